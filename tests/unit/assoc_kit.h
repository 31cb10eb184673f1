/* assoc_kit.h - association PDUs: recorded ones, and made item by item. */
#ifndef TESTS_UNIT_ASSOC_KIT_H
#define TESTS_UNIT_ASSOC_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/assoc.h"
#include "proxy/lib/wr.h"

enum { DCMTK_RQ_LEN = 211, DCMTK_AC_LEN = 190 };

/* As DCMTK 3.6.7's echoscu sends it; FF in the reserved result slot. */
extern const uint8_t dcmtk_rq[DCMTK_RQ_LEN];
/* What DCMTK 3.6.7's storescp answered. */
extern const uint8_t dcmtk_ac[DCMTK_AC_LEN];

/* Zeroed; the caller frees it with mem_free(). */
struct assoc *assoc_fresh(void);
/* assoc_decode() of a PDU with its header. */
enum err assoc_of(const uint8_t *pdu, size_t n, struct assoc *a);

struct draft {
	uint8_t bytes[200000];
	struct wr w;
	size_t open[4];
	size_t n_open;
};

void draft_begin(struct draft *d, enum pdu_type type);
/* Items nest; the length is filled in when they are closed. */
void draft_open(struct draft *d, uint8_t type);
void draft_close(struct draft *d);
void draft_item(struct draft *d, uint8_t type, const void *bytes, size_t n);
void draft_text(struct draft *d, uint8_t type, const char *s);
/* A presentation context with one transfer syntax. */
void draft_context(struct draft *d, uint8_t id, const char *abstract,
		   const char *ts);
/* User information with one of each sub-item. */
void draft_negotiation(struct draft *d);
enum err draft_decode(struct draft *d, struct assoc *a);

#endif
