/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/unit/audit_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/db.h"

int audit_kit_setup(void **state)
{
	struct audit_kit *k = mem_zalloc(sizeof(*k));
	char why[SEAL_WHY_LEN], pem[SEAL_PEM_LEN];

	assert_non_null(k);
	snprintf(k->dir, sizeof(k->dir), "/tmp/culvert-chain-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	snprintf(k->key, sizeof(k->key), "%s/signing.key", k->dir);
	assert_int_equal(seal_signer_open(k->key, true, &k->signer, why),
			 ERR_OK);
	assert_int_equal(seal_signer_pem(k->signer, pem), ERR_OK);
	assert_int_equal(seal_verifier_new(pem, &k->verifier, why), ERR_OK);
	*state = k;
	return 0;
}

int audit_kit_teardown(void **state)
{
	struct audit_kit *k = *state;
	char cmd[100];

	audit_kit_close(k);
	seal_signer_close(k->signer);
	seal_verifier_free(k->verifier);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", k->dir);
	assert_int_equal(system(cmd), 0);
	mem_free(k);
	return 0;
}

void audit_kit_open(struct audit_kit *k)
{
	char why[AUDIT_WHY_LEN];

	if (audit_open(k->dir, &k->audit, why) != ERR_OK)
		fail_msg("%s", why);
	audit_identify(k->audit, "edge-01", k->signer);
}

void audit_kit_close(struct audit_kit *k)
{
	audit_close(k->audit);
	k->audit = NULL;
}

static void append(struct audit_kit *k, const struct audit_event *e)
{
	assert_int_equal(audit_append(k->audit, e), ERR_OK);
	assert_int_equal(audit_commit(k->audit), ERR_OK);
}

void audit_kit_row(struct audit_kit *k, int64_t wall_ms, const char *detail)
{
	struct audit_event e = {.kind = AUDIT_ASSOCIATION_REFUSED,
				.outcome = AUDIT_MINOR,
				.wall_ms = wall_ms,
				.mono_ns = 5,
				.association = 17,
				.listener = "modalities",
				.calling_ae = "CT2"};

	snprintf(e.detail, sizeof(e.detail), "%s", detail);
	append(k, &e);
}

void audit_kit_sealed(struct audit_kit *k, int64_t wall_ms, const char *study)
{
	static const uint8_t blob[] = "nonce, bytes and tag";
	struct audit_event e = {.kind = AUDIT_QUERY,
				.wall_ms = wall_ms,
				.mono_ns = 5,
				.sealed = blob,
				.sealed_len = sizeof(blob)};

	audit_commitment((const uint8_t *)"saltsaltsaltsaltplain", 21,
			 e.commitment);
	snprintf(e.study, sizeof(e.study), "%s", study);
	append(k, &e);
}

void audit_kit_sign(struct audit_kit *k)
{
	assert_int_equal(audit_sign_now(k->audit), ERR_OK);
}

static void drop_triggers(sqlite3 *db)
{
	char sql[4096] = "";
	sqlite3_stmt *st;
	bool row;

	assert_int_equal(db_prepare(db,
				    "SELECT name FROM sqlite_schema WHERE "
				    "type='trigger'",
				    &st),
			 ERR_OK);
	while (db_row(st, &row) == ERR_OK && row)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql),
			 "DROP TRIGGER %s;", sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	assert_int_equal(db_exec(db, sql), ERR_OK);
}

void audit_kit_sql(struct audit_kit *k, const char *file, bool drop,
		   const char *sql)
{
	char path[128];
	struct db_options o = {.path = path};
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/%s", k->dir, file);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	if (drop)
		drop_triggers(db);
	if (db_exec(db, sql) != ERR_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	db_close(db);
}

static void on_finding(void *arg, const struct audit_finding *f)
{
	struct audit_kit *k = arg;

	if (f->fault == AUDIT_FAULT_TRIGGER_MISSING)
		return; /* by audit_kit_sql() itself */
	if (k->n < ARRAY_LEN(k->found))
		k->found[k->n++] = *f;
}

enum err audit_kit_verify(struct audit_kit *k, const struct audit_head *known,
			  size_t n_known)
{
	struct audit_verify_options o = {.dir = k->dir,
					 .keys = &k->verifier,
					 .n_keys = 1,
					 .known = known,
					 .n_known = n_known,
					 .finding = on_finding,
					 .arg = k};
	char why[AUDIT_WHY_LEN] = "";
	enum err e;

	k->n = 0;
	memset(k->found, 0, sizeof(k->found));
	e = audit_verify(&o, &k->report, why);
	if (e != ERR_OK && e != ERR_CORRUPT)
		fail_msg("%s: %s", err_text(e), why);
	return k->n == 0 ? ERR_OK : ERR_CORRUPT;
}
