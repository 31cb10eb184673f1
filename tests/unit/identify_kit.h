/* identify_kit.h - data sets made element by element, and read back. */
#ifndef TESTS_UNIT_IDENTIFY_KIT_H
#define TESTS_UNIT_IDENTIFY_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/identify.h"
#include "proxy/lib/wr.h"

enum { DRAFT_UNDEFINED = -1, DRAFT_KINDS = 3 };

struct draft {
	uint8_t bytes[8192];
	struct wr w;
	enum ts_kind kind;
};

/* What the data sets say. */
extern const struct identity draft_ct;
/* The encodings that are not deflated. */
extern const enum ts_kind draft_kinds[DRAFT_KINDS];

void draft_begin(struct draft *d, enum ts_kind kind);
/* The head of an element; vr NULL: an item or delimiter. len may be
 * DRAFT_UNDEFINED. */
void draft_head(struct draft *d, uint32_t tag, const char *vr, int64_t len);
/* A whole element, padded to an even length. */
void draft_bytes(struct draft *d, uint32_t tag, const char *vr, const char *v,
		 size_t n);
void draft_text(struct draft *d, uint32_t tag, const char *vr, const char *v);

/* Parts of draft_ct. charset NULL: no (0008,0005). */
void draft_group_8(struct draft *d, const char *charset);
void draft_group_20(struct draft *d);
void draft_rest(struct draft *d); /* groups 10 and 20 */
void draft_all(struct draft *d);  /* and a pixel */

/* The draft deflated with zlib's window bits. Returns its length. */
size_t draft_deflate(const struct draft *d, int bits, uint8_t *out,
		     size_t size);

/* Identify n bytes in pieces of step bytes, each in a block of its own. */
struct identity identity_in_steps(enum ts_kind kind, const uint8_t *p, size_t n,
				  size_t step);
/* Identify it whole and in steps of 1 to 19 bytes, all with one result. */
struct identity identity_of(const struct draft *d);
/* It is draft_ct, undamaged. */
void identity_is_ct(const struct identity *got);

#endif
