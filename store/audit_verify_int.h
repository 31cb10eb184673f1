/* audit_verify_int.h - what the files of the check share. Nobody else includes
 * it.
 *
 *   audit_verify.c        the order of things, and rows
 *   audit_verify_file.c   each file by itself: is it ours, are its triggers on
 *   audit_verify_head.c   heads, the ones inside and the ones from outside
 *   audit_verify_run.c    what stands for months that were pruned
 *   audit_verify_seal.c   sealed values */
#ifndef STORE_AUDIT_VERIFY_INT_H
#define STORE_AUDIT_VERIFY_INT_H

#include "store/audit_int.h"
#include "store/audit_read.h"
#include "store/audit_verify.h"

struct audit_check {
	const struct audit_verify_options *o;
	struct audit_verify_report *r;
	struct audit_pruned *pruned; /* NULL: there is none */
	bool has_log;
	uint8_t log[AUDIT_LOG_LEN]; /* of the first file that has one */

	int64_t heads_to; /* the highest head number when it began */
	bool has_last;
	struct audit_head last; /* the copy beside the months */

	/* Rows. */
	int64_t seq; /* of the row before; 0: none */
	bool began;  /* the chain did */
	uint8_t chain[AUDIT_CHAIN_LEN];
	int64_t last_ms; /* of the last row, with its other clock */
	uint64_t last_mono_ns;
	char last_boot[AUDIT_BOOT_LEN];

	/* The erasure looked up last. */
	int64_t erasure; /* seq; 0: none */
	bool erasure_good;
	char erasure_study[65];
	int64_t erasure_before_ms;

	uint64_t total; /* rows there are; 0: not known yet */
	bool stopped;
	char why[AUDIT_WHY_LEN];
};

/* Tells how far it is. False: no further. */
bool audit_check_goes_on(struct audit_check *c);

void audit_check_say(struct audit_check *c, enum audit_fault fault, int64_t seq,
		     const char *file, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The verifier of a key, or NULL. */
const struct seal_verifier *audit_check_key(const struct audit_check *c,
					    const uint8_t id[SEAL_KEY_ID_LEN]);
/* One row by its number. ERR_NOTFOUND. */
enum err audit_check_row(struct audit_check *c, int64_t seq,
			 struct audit_row *out) MUST_CHECK;

enum err audit_check_files(struct audit_check *c) MUST_CHECK;
enum err audit_check_heads(struct audit_check *c) MUST_CHECK;
/* Every run's signature. */
enum err audit_check_runs(struct audit_check *c) MUST_CHECK;
/* Rows from..to are not there: true if runs stand for all of them, and join
 * what is before. Moves the place in the chain to the end of the last one. */
bool audit_check_gap(struct audit_check *c, int64_t from, int64_t to);
void audit_check_sealed(struct audit_check *c, const struct audit_row *r,
			const char *file);

#endif
