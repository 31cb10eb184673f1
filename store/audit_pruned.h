/* audit_pruned.h - audit-pruned.db: what is known of the audit outside of its
 * month files.
 *
 *   runs    a pruned month as signed runs of numbers: where the chain entered
 *           and left each
 *   last    a copy of the newest head, so that the loss of the newest rows
 *           shows, and numbers go on behind them
 *   holds   legal holds
 *   clock   whether the clock is fit for pruning
 *   pending what is being erased, until it is
 *
 * Belongs to the ledger thread; readers open it read-only. */
#ifndef STORE_AUDIT_PRUNED_H
#define STORE_AUDIT_PRUNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit_head.h"

struct audit_pruned; /* opaque */

/* Rows first..last of one month without a hole, none of them there any more. */
struct audit_run {
	uint8_t log[AUDIT_LOG_LEN];
	char month[8]; /* "2026-05" */
	int64_t first, last;
	bool has_chain; /* false: from before there was a chain */
	uint8_t prev[AUDIT_CHAIN_LEN];  /* the chain before the first */
	uint8_t chain[AUDIT_CHAIN_LEN]; /* of the last */
	int64_t count;
	int64_t head; /* the highest number of a head in the file; 0: none */
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t sig[SEAL_SIGNATURE_MAX];
	size_t sig_len;
};

enum { AUDIT_RUN_TEXT_LEN = 512 };

/* The statement that is signed. Returns its length. */
size_t audit_run_text(const struct audit_run *r, char out[AUDIT_RUN_TEXT_LEN]);
enum err audit_run_sign(struct seal_signer *s, struct audit_run *r) MUST_CHECK;
/* ERR_CORRUPT: not this key's. */
enum err audit_run_check(const struct seal_verifier *v,
			 const struct audit_run *r) MUST_CHECK;

/* Open (and make, unless read_only) audit-pruned.db in dir. ERR_NOTFOUND:
 * read_only and absent; ERR_CORRUPT: damaged; else as db_open(). */
enum err audit_pruned_open(const char *dir, bool read_only,
			   struct audit_pruned **out,
			   char why[AUDIT_WHY_LEN]) MUST_CHECK;
void audit_pruned_close(struct audit_pruned *p); /* NULL is fine */

/* ERR_NOTFOUND: none yet. */
enum err audit_pruned_last(struct audit_pruned *p,
			   struct audit_head *out) MUST_CHECK;
enum err audit_pruned_set_last(struct audit_pruned *p,
			       const struct audit_head *h) MUST_CHECK;

/* Remember n runs, whole or not at all, safe from power loss. */
enum err audit_pruned_add(struct audit_pruned *p, const struct audit_run *runs,
			  size_t n) MUST_CHECK;
/* The run with the lowest number that ends at seq or later. ERR_NOTFOUND. */
enum err audit_pruned_next(struct audit_pruned *p, int64_t seq,
			   struct audit_run *out) MUST_CHECK;
/* The highest number in a run; *seq 0: none. */
enum err audit_pruned_highest(struct audit_pruned *p,
			      struct audit_run *out) MUST_CHECK;

/* The highest number of a head that went with a pruned month; 0: none. */
int64_t audit_pruned_heads(struct audit_pruned *p);

/* ---- legal holds ------------------------------------------------------ */

struct audit_hold {
	int64_t id;
	char study[65]; /* "": all */
	char reason[256];
	char user[65];
	int64_t since_ms;
};

/* *id is the new one's. */
enum err audit_hold_add(struct audit_pruned *p, const struct audit_hold *h,
			int64_t *id) MUST_CHECK;
/* ERR_NOTFOUND: none such. */
enum err audit_hold_remove(struct audit_pruned *p, int64_t id) MUST_CHECK;
typedef bool audit_hold_fn(void *arg, const struct audit_hold *h);
enum err audit_hold_each(struct audit_pruned *p, audit_hold_fn *fn,
			 void *arg) MUST_CHECK;

/* ---- erasing that is under way ---------------------------------------- */

struct audit_pending {
	char study[65];    /* "": all before */
	int64_t before_ms; /* 0: of a study */
	char user[65];
	int64_t by; /* the row that says so; 0: it may not be written yet */
};

/* Remember it, safe from power loss; one of the same study and moment is
 * replaced. */
enum err audit_pending_set(struct audit_pruned *p,
			   const struct audit_pending *o) MUST_CHECK;
/* Any one of them. ERR_NOTFOUND: none. */
enum err audit_pending_get(struct audit_pruned *p,
			   struct audit_pending *out) MUST_CHECK;
/* That of this study and moment, if there is one. */
enum err audit_pending_remove(struct audit_pruned *p, const char *study,
			      int64_t before_ms) MUST_CHECK;

/* ---- the clock -------------------------------------------------------- */

/* Set when it jumped, cleared when an auditor confirms; "": fit. */
enum err audit_clock_get(struct audit_pruned *p, char why[AUDIT_WHY_LEN]);
enum err audit_clock_set(struct audit_pruned *p, const char *why) MUST_CHECK;

#endif
