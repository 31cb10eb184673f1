/* audit_verify.h - is the audit what was written, all of it and in order?
 *
 * Walks every row and every head, names what is wrong, goes on. Needs the
 * public key only; memory is constant. What it cannot see: rows written after
 * the last head it knows (a minute's worth), if somebody with all rights took
 * away or forged them, and anything, if he also took the signing key and every
 * head outside of the machine is unknown to the one who verifies. */
#ifndef STORE_AUDIT_VERIFY_H
#define STORE_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit_head.h"
#include "store/audit_row.h"

#define AUDIT_FAULT_MAP(X)                                                     \
	X(ROW_CHANGED, "row-changed") /* its fields do not give its hash */    \
	X(ROW_MALFORMED, "row-malformed") /* a column holds another type */    \
	X(ROW_ADDED, "row-added")         /* a number that comes twice */      \
	X(ROWS_MISSING, "rows-missing")   /* and no signed run explains it */  \
	X(ORDER, "order")                 /* does not follow the row before */ \
	X(CHAIN_MISSING,                                                       \
	  "chain-missing")        /* unchained after the chain began */        \
	X(TRUNCATED, "truncated") /* a head knows rows that are gone */        \
	X(SEALED_CHANGED,                                                      \
	  "sealed-changed") /* the blob is not the one hashed */               \
	X(SEALED_MISSING,                                                      \
	  "sealed-missing")             /* and no row says it was erased */    \
	X(SEALED_ADDED, "sealed-added") /* a blob that no row has */           \
	X(HEAD_DIFFERS, "head-differs") /* signed another chain for a row */   \
	X(HEAD_FORGED, "head-forged")   /* its signature is no good */         \
	X(HEAD_KEY, "head-key")         /* signed by a key nobody gave us */   \
	X(HEAD_MISSING, "head-missing") /* a number left out, or none */       \
	X(RUN_FORGED, "run-forged")     /* of a pruned month: signature */     \
	X(RUN_DIFFERS, "run-differs")   /* does not join what is left */       \
	X(FILE_DAMAGED, "file-damaged") /* SQLite cannot read it */            \
	X(FILE_FOREIGN, "file-foreign") /* of another log */                   \
	X(TRIGGER_MISSING, "trigger-missing") /* what refuses edits is gone */

enum audit_fault {
#define X(name, text) AUDIT_FAULT_##name,
	AUDIT_FAULT_MAP(X)
#undef X
};
const char *audit_fault_text(enum audit_fault f); /* never NULL */

struct audit_finding {
	enum audit_fault fault;
	int64_t seq;    /* the row, or the first of them; 0: none */
	char file[64];  /* without its directory; "" when there is none */
	char text[256]; /* a sentence */
};

struct audit_verify_options {
	const char *dir;
	struct seal_verifier *const *keys; /* whose heads are believed */
	size_t n_keys;
	const struct audit_head *known; /* kept outside; in any order */
	size_t n_known;
	/* Both may be NULL. finding: in order of seq, as far as that goes.
	 * progress: many times a second, total 0 as long as it is not known;
	 * it may wait. False: no further. */
	void (*finding)(void *arg, const struct audit_finding *f);
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct audit_verify_report {
	uint64_t rows;       /* seen, all */
	uint64_t unchained;  /* from before there was a chain */
	int64_t chain_first; /* seq of the first row with one; 0: none */
	int64_t last;        /* seq of the last row */
	uint8_t chain[AUDIT_CHAIN_LEN]; /* of it */
	uint64_t heads;
	int64_t head_last; /* seq of the last good head; 0: none */
	int64_t head_last_ms;
	uint64_t uncovered; /* rows after it */
	uint64_t pruned;    /* rows that a signed run stands for */
	uint64_t erased;    /* sealed values erased on record */
	uint64_t findings;
	struct audit_finding first; /* the first of them */
};

/* ERR_OK: nothing found; ERR_CORRUPT: report->findings > 0; ERR_NOTFOUND: no
 * audit there; ERR_CANCELED: progress said so; ERR_IO, ERR_NOMEM: it could not
 * be walked, why says so. */
enum err audit_verify(const struct audit_verify_options *o,
		      struct audit_verify_report *report,
		      char why[AUDIT_WHY_LEN]) MUST_CHECK;

/* ---- rows from elsewhere: an export ----------------------------------- */

/* Check rows that come one after the other. Start with all zero; first and
 * prev may be set from a manifest before the first row (any = true). */
struct audit_link {
	bool any;
	int64_t seq; /* of the row before */
	uint8_t chain[AUDIT_CHAIN_LEN];
};

/* ERR_OK: r's chain is the hash of its fields after its prev_chain, and it
 * follows the row before (consecutive: seq is one more and prev_chain is that
 * chain). Otherwise ERR_CORRUPT and *f says what. */
enum err audit_link_row(struct audit_link *l, const struct audit_row *r,
			bool consecutive, struct audit_finding *f) MUST_CHECK;

#endif
