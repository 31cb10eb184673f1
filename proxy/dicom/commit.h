/* commit.h - data sets of storage commitment (PS3.4 annex J.3).
 *
 * Request (N-ACTION, action type 1): transaction UID (0008,1195) and the
 * instances (0008,1199) of {class (0008,1150), instance (0008,1155)}.
 * Report (N-EVENT-REPORT, event type 1: all safe, 2: some failed): the same,
 * (0008,1199) being those that are safe, and (0008,1198) those that are not,
 * each with a reason (0008,1197).
 *
 * Pure: no I/O, no clock. Input is hostile. The only memory taken is the array
 * of references, by mem.h, in the set that the caller owns. */
#ifndef PROXY_DICOM_COMMIT_H
#define PROXY_DICOM_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/uid.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"

enum {
	COMMIT_REFS_MAX = 65536,            /* in both sequences together */
	COMMIT_DATA_MAX = 16 * 1024 * 1024, /* bytes of a data set */
	COMMIT_ACTION_TYPE = 1,             /* "request storage commitment" */
	COMMIT_EVENT_ALL = 1,               /* "successful" */
	COMMIT_EVENT_SOME = 2,              /* "complete, failures exist" */
};

/* Failure reasons (PS3.3 section C.14.1.1). */
enum {
	COMMIT_OK = 0,
	COMMIT_PROCESSING_FAILURE = 0x0110,
	COMMIT_NO_SUCH_INSTANCE = 0x0112,
	COMMIT_CLASS_CONFLICT = 0x0119,
	COMMIT_CLASS_UNSUPPORTED = 0x0122,
	COMMIT_DUPLICATE_TRANSACTION = 0x0131,
	COMMIT_RESOURCE_LIMIT = 0x0213,
};

/* In a decoded set valid by uid_valid(); sop_class may be "". */
struct commit_ref {
	char sop_class[UID_SIZE];
	char sop_instance[UID_SIZE];
	uint16_t reason; /* COMMIT_OK: in (0008,1199); else in (0008,1198) */
};

struct commit_set {
	char transaction[UID_SIZE];
	struct commit_ref *refs; /* owned: commit_free() */
	size_t n, cap;
	size_t n_failed; /* of them with a reason */
};

/* Read a data set whole in memory. Unknown elements, nested sequences and
 * delimiters are skipped. A repeated element counts as often as it comes.
 *
 *   ERR_OK
 *   ERR_PROTO        an element or item runs past its parent's end, or is no
 *                    data set; or a reference has no valid instance UID
 *   ERR_INVAL        no valid transaction UID, or not one reference
 *   ERR_LIMIT        more than COMMIT_REFS_MAX references
 *   ERR_UNSUPPORTED  kind is deflated
 *   ERR_NOMEM
 *
 * *out is overwritten; unless ERR_OK it holds nothing to free, but transaction
 * is what was read of it. A missing class is "", a missing or zero reason in
 * (0008,1198) is 0110. */
enum err commit_decode(const uint8_t *bytes, size_t len, enum ts_kind kind,
		       struct commit_set *out) MUST_CHECK;

/* Add a reference to a set (zeroed, or filled before). ERR_LIMIT, ERR_NOMEM:
 * the set is as it was. */
enum err commit_add(struct commit_set *set, const char *sop_class,
		    const char *sop_instance, uint16_t reason) MUST_CHECK;
/* Free the references, zero the set. */
void commit_free(struct commit_set *set);

/* Append a data set to out. A request holds every reference whose reason is
 * COMMIT_OK, in order, and no other; a report both kinds. kind: implicit or
 * explicit little endian, else ERR_UNSUPPORTED. ERR_LIMIT (out's maximum),
 * ERR_NOMEM; out then holds a part. */
enum err commit_encode_action(const struct commit_set *set, enum ts_kind kind,
			      struct buf *out) MUST_CHECK;
enum err commit_encode_report(const struct commit_set *set, enum ts_kind kind,
			      struct buf *out) MUST_CHECK;

/* The event type that a report of this set has. */
uint16_t commit_event_type(const struct commit_set *set);

/* ---- looking up and merging ------------------------------------------ */

/* References of a set by instance UID. The set must not change meanwhile. */
struct commit_index {
	const struct commit_set *set;
	uint32_t *order; /* owned: commit_index_free() */
};

enum err commit_index(const struct commit_set *set,
		      struct commit_index *out) MUST_CHECK;
/* A failed one if there are several of that UID: the worse answer counts.
 * NULL: none. */
const struct commit_ref *commit_index_find(const struct commit_index *x,
					   const char *sop_instance);
void commit_index_free(struct commit_index *x);

/* The truth for whoever asked: every reference of asked, in its order, with
 * the reason that answer gives; COMMIT_PROCESSING_FAILURE where answer is
 * silent. answer NULL: silent on everything. asked's reasons are ignored.
 * *out is overwritten. ERR_NOMEM: nothing to free. */
enum err commit_merge(const struct commit_set *asked,
		      const struct commit_set *answer,
		      struct commit_set *out) MUST_CHECK;

#endif
