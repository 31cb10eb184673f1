/* audit_kit.h - a directory with an audit in it, and what is found there. */
#ifndef TESTS_UNIT_AUDIT_KIT_H
#define TESTS_UNIT_AUDIT_KIT_H

#include "store/audit.h"
#include "store/audit_read.h"
#include "store/audit_verify.h"
#include "store/seal_sign.h"

#define KIT_MAY  1714900000000LL /* 2024-05-05 */
#define KIT_JUNE 1717900000000LL /* 2024-06-09 */

struct audit_kit {
	char dir[64];
	char key[96];
	struct seal_signer *signer;
	struct seal_verifier *verifier;
	struct audit *audit; /* NULL: closed */
	struct audit_verify_report report;
	size_t n;
	struct audit_finding found[64];
};

int audit_kit_setup(void **state);
int audit_kit_teardown(void **state);
void audit_kit_open(struct audit_kit *k);
void audit_kit_close(struct audit_kit *k);
/* One row, committed. */
void audit_kit_row(struct audit_kit *k, int64_t wall_ms, const char *detail);
/* One with something sealed. */
void audit_kit_sealed(struct audit_kit *k, int64_t wall_ms, const char *study);
void audit_kit_sign(struct audit_kit *k);
/* Run SQL in a file of the directory, triggers out of the way if drop. */
void audit_kit_sql(struct audit_kit *k, const char *file, bool drop,
		   const char *sql);
/* audit_verify() into report and found. */
enum err audit_kit_verify(struct audit_kit *k, const struct audit_head *known,
			  size_t n_known);

#endif
