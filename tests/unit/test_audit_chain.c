/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sqlite3.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/audit_erase.h"
#include "store/audit_prune.h"
#include "store/db.h"
#include "tests/unit/audit_kit.h"

#define MAY_FILE  "audit-2024-05.db"
#define JUNE_FILE "audit-2024-06.db"

static void whole(struct audit_kit *k)
{
	if (audit_kit_verify(k, NULL, 0) != ERR_OK)
		fail_msg("%s", k->found[0].text);
}

static void faulty(struct audit_kit *k, enum audit_fault fault, int64_t seq)
{
	assert_int_equal(audit_kit_verify(k, NULL, 0), ERR_CORRUPT);
	for (size_t i = 0; i < k->n; i++)
		if (k->found[i].fault == fault && k->found[i].seq == seq)
			return;
	fail_msg("%s instead of %s %lld: %s",
		 audit_fault_text(k->found[0].fault), audit_fault_text(fault),
		 (long long)seq, k->found[0].text);
}

static void rows(struct audit_kit *k, int64_t when, int n)
{
	for (int i = 0; i < n; i++)
		audit_kit_row(k, when + i, "{}");
}

static void heads_are_signed_and_bind_the_rows(void **state)
{
	struct audit_kit *k = *state;

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_sign(k);
	rows(k, KIT_MAY, 2);
	whole(k);
	assert_int_equal(k->report.rows, 5);
	assert_int_equal(k->report.chain_first, 1);
	assert_int_equal(k->report.head_last, 3);
	assert_int_equal(k->report.uncovered, 2);
	audit_kit_sign(k);
	audit_kit_sign(k); /* nothing new */
	whole(k);
	assert_int_equal(k->report.heads, 2);
	assert_int_equal(k->report.uncovered, 0);
}

static void
the_chain_goes_on_over_restarts_months_and_a_clock_set_back(void **state)
{
	struct audit_kit *k = *state;

	for (int i = 0; i < 3; i++) {
		audit_kit_open(k);
		rows(k, KIT_MAY, 2);
		rows(k, KIT_JUNE, 2);
		rows(k, KIT_MAY, 1);
		if (i == 1)
			audit_kit_sign(k);
		audit_kit_close(k);
	}
	whole(k);
	assert_int_equal(k->report.rows, 15);
	assert_int_equal(k->report.last, 15);
}

static void what_was_not_committed_leaves_no_trace_in_the_chain(void **state)
{
	struct audit_kit *k = *state;
	struct audit_event e = {.kind = AUDIT_START, .wall_ms = KIT_MAY};

	audit_kit_open(k);
	rows(k, KIT_MAY, 2);
	assert_int_equal(audit_append(k->audit, &e), ERR_OK);
	audit_undo(k->audit);
	rows(k, KIT_MAY, 2);
	whole(k);
	assert_int_equal(k->report.rows, 4);
}

static void a_lost_month_is_a_gap_and_the_chain_goes_on(void **state)
{
	struct audit_kit *k = *state;
	char path[128];

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	rows(k, KIT_JUNE, 3);
	audit_kit_sign(k);
	audit_kit_close(k);
	snprintf(path, sizeof(path), "%s/" JUNE_FILE, k->dir);
	assert_int_equal(unlink(path), 0);
	audit_kit_open(k);
	assert_string_equal(audit_gap(k->audit),
			    "rows 4 to 6 are not there any more");
	rows(k, KIT_JUNE, 2);
	audit_kit_sign(k);
	faulty(k, AUDIT_FAULT_ROWS_MISSING, 4);
	assert_int_equal(k->report.last, 8);
	assert_int_equal(k->report.rows, 5);
}

static void one_row(struct audit_kit *k, enum audit_kind kind)
{
	struct audit_event e = {.kind = kind, .wall_ms = KIT_MAY};

	assert_int_equal(audit_append(k->audit, &e), ERR_OK);
	assert_int_equal(audit_commit(k->audit), ERR_OK);
}

static const char *gap_of_next(struct audit_kit *k)
{
	audit_kit_close(k);
	audit_kit_open(k);
	assert_int_equal(audit_sign_found(k->audit), ERR_OK);
	return audit_gap(k->audit);
}

static void an_end_that_was_no_stop_is_a_gap(void **state)
{
	struct audit_kit *k = *state;

	audit_kit_open(k);
	one_row(k, AUDIT_START);
	one_row(k, AUDIT_MANUAL_ACTION);
	audit_kit_sign(k); /* a minute's head; then it was killed */
	assert_non_null(strstr(gap_of_next(k), "after row 2 is lost"));
	one_row(k, AUDIT_START);
	one_row(k, AUDIT_STOP);
	one_row(k, AUDIT_ASSOCIATION_ENDED); /* it drained */
	assert_non_null(strstr(gap_of_next(k), "after row 5 is lost"));
	one_row(k, AUDIT_STOP);
	one_row(k, AUDIT_ASSOCIATION_ENDED);
	audit_kit_sign(k);
	assert_null(gap_of_next(k));
	one_row(k, AUDIT_START); /* and went no further */
	audit_kit_sign(k);
	assert_null(gap_of_next(k));
	whole(k);
}

static void a_file_lost_while_it_is_written_is_a_gap_too(void **state)
{
	struct audit_kit *k = *state;
	char path[128];

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	snprintf(path, sizeof(path), "%s/" MAY_FILE, k->dir);
	assert_int_equal(unlink(path), 0);
	assert_non_null(audit_gap(k->audit));
	rows(k, KIT_MAY, 2);
	audit_kit_sign(k);
	faulty(k, AUDIT_FAULT_ROWS_MISSING, 1);
	assert_int_equal(k->report.last, 5);
}

/* The daemon of before there was a chain. */
static void rows_without_a_chain_are_counted_and_the_chain_begins(void **state)
{
	struct audit_kit *k = *state;

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_close(k);
	audit_kit_sql(k, MAY_FILE, true,
		      "UPDATE audit SET prev_chain=NULL, chain=NULL;"
		      "ALTER TABLE audit DROP COLUMN commitment;"
		      "ALTER TABLE audit DROP COLUMN sealed_hash;"
		      "DROP TABLE log; DROP TABLE heads; DROP TABLE sealed;"
		      "DROP TABLE erased; DROP TABLE spans;"
		      "DROP INDEX audit_kind; DROP INDEX audit_failed;"
		      "DROP INDEX audit_device; DROP INDEX audit_destination;"
		      "DROP INDEX audit_study; DROP INDEX audit_user;"
		      "PRAGMA user_version=1");
	audit_kit_sql(k, "audit-pruned.db", true, "DELETE FROM last");
	whole(k);
	assert_int_equal(k->report.unchained, 3);
	audit_kit_open(k);
	rows(k, KIT_MAY, 2);
	rows(k, KIT_JUNE, 1);
	audit_kit_sign(k);
	whole(k);
	assert_int_equal(k->report.unchained, 3);
	assert_int_equal(k->report.chain_first, 4);
	assert_int_equal(k->report.rows, 6);
}

static void triggers_refuse_every_edit(void **state)
{
	static const char *const refused[] = {
	    "UPDATE audit SET user='x'",
	    "DELETE FROM audit",
	    "INSERT OR REPLACE INTO audit SELECT * FROM audit",
	    "UPDATE heads SET seq=1",
	    "DELETE FROM heads",
	    "INSERT OR REPLACE INTO heads SELECT * FROM heads",
	    "UPDATE log SET id=x'00'",
	    "DELETE FROM log",
	    "INSERT OR REPLACE INTO log VALUES(1,x'00')",
	    "UPDATE sealed SET blob=x'00'",
	    "DELETE FROM sealed",
	    "INSERT OR REPLACE INTO sealed SELECT seq, x'00' FROM sealed"};
	struct audit_kit *k = *state;
	char path[128];
	struct db_options o = {.path = path};
	sqlite3 *db;

	audit_kit_open(k);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	audit_kit_sign(k);
	snprintf(path, sizeof(path), "%s/" MAY_FILE, k->dir);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (db_exec(db, refused[i]) != ERR_INVAL)
			fail_msg("%s", refused[i]);
	db_close(db);
	whole(k);
}

static void edits_are_named(void **state)
{
	static const struct {
		const char *sql;
		enum audit_fault fault;
		int64_t seq;
	} edits[] = {
	    {"UPDATE audit SET user='mallory' WHERE seq=3",
	     AUDIT_FAULT_ROW_CHANGED, 3},
	    {"UPDATE audit SET user='' WHERE seq=3", AUDIT_FAULT_ROW_MALFORMED,
	     3},
	    {"UPDATE audit SET detail=CAST(detail AS BLOB) WHERE seq=3",
	     AUDIT_FAULT_ROW_MALFORMED, 3},
	    {"DELETE FROM audit WHERE seq=3", AUDIT_FAULT_ROWS_MISSING, 3},
	    {"UPDATE audit SET chain=zeroblob(32) WHERE seq=3",
	     AUDIT_FAULT_ROW_CHANGED, 3},
	    {"UPDATE audit SET prev_chain=NULL, chain=NULL WHERE seq=3",
	     AUDIT_FAULT_CHAIN_MISSING, 3},
	    {"UPDATE sealed SET blob=x'00' WHERE seq=4",
	     AUDIT_FAULT_SEALED_CHANGED, 4},
	    {"DELETE FROM sealed WHERE seq=4", AUDIT_FAULT_SEALED_MISSING, 4},
	    {"INSERT INTO sealed VALUES(2,x'00')", AUDIT_FAULT_SEALED_ADDED, 2},
	    {"DELETE FROM audit WHERE seq>3", AUDIT_FAULT_TRUNCATED, 5},
	    {"UPDATE heads SET wall_ms=1", AUDIT_FAULT_HEAD_FORGED, 5},
	    {"DELETE FROM heads", AUDIT_FAULT_HEAD_MISSING, 0},
	};
	struct audit_kit *k = *state;
	char keep[400];

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	rows(k, KIT_MAY, 1);
	audit_kit_sign(k);
	rows(k, KIT_MAY, 1);
	audit_kit_sign(k);
	rows(k, KIT_MAY, 1);
	audit_kit_close(k);
	snprintf(keep, sizeof(keep), "cp -r %s %s.keep", k->dir, k->dir);
	assert_int_equal(system(keep), 0);
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		audit_kit_sql(k, MAY_FILE, true, edits[i].sql);
		if (edits[i].fault == AUDIT_FAULT_HEAD_MISSING)
			continue; /* all are gone: the copy is left */
		faulty(k, edits[i].fault, edits[i].seq);
		snprintf(keep, sizeof(keep), "rm -r %s; cp -r %s.keep %s",
			 k->dir, k->dir, k->dir);
		assert_int_equal(system(keep), 0);
	}
	snprintf(keep, sizeof(keep), "rm -r %s.keep", k->dir);
	assert_int_equal(system(keep), 0);
}

static void heads_travel_as_text(void **state)
{
	struct audit_kit *k = *state;
	struct audit_head h, again;
	char text[AUDIT_HEAD_FILE_LEN];
	size_t len;

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_sign(k);
	assert_int_equal(audit_head_newest(k->dir, &h), ERR_OK);
	len = audit_head_file(&h, text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(audit_head_parse(text, len, &again), ERR_OK);
	assert_int_equal(audit_head_check(k->verifier, &again), ERR_OK);
	assert_memory_equal(h.chain, again.chain, sizeof(h.chain));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(audit_head_parse(text, i, &again), ERR_INVAL);
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		text[i] = (char)(was ^ 1);
		if (audit_head_parse(text, len, &again) == ERR_OK)
			assert_int_equal(audit_head_check(k->verifier, &again),
					 ERR_CORRUPT);
		text[i] = was;
	}
}

/* Whoever holds all rights, and not the head that was taken away. */
static void an_outside_head_finds_what_was_cut_off_whole(void **state)
{
	struct audit_kit *k = *state;
	struct audit_head h;
	char cmd[400];

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_sign(k);
	audit_kit_close(k);
	snprintf(cmd, sizeof(cmd), "cp -r %s %s.keep", k->dir, k->dir);
	assert_int_equal(system(cmd), 0);
	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	audit_kit_sign(k);
	assert_int_equal(audit_head_newest(k->dir, &h), ERR_OK);
	audit_kit_close(k);
	assert_int_equal(audit_kit_verify(k, &h, 1), ERR_OK);
	snprintf(cmd, sizeof(cmd), "rm -r %s; mv %s.keep %s", k->dir, k->dir,
		 k->dir);
	assert_int_equal(system(cmd), 0);
	whole(k); /* an older copy of everything says nothing */
	assert_int_equal(audit_kit_verify(k, &h, 1), ERR_CORRUPT);
	assert_int_equal(k->found[0].fault, AUDIT_FAULT_TRUNCATED);
	assert_int_equal(k->found[0].seq, 6);
}

static void signatures_are_what_openssl_checks(void **state)
{
	struct audit_kit *k = *state;
	uint8_t sig[SEAL_SIGNATURE_MAX];
	char path[128], cmd[400];
	size_t len;
	FILE *f;

	assert_int_equal(seal_sign(k->signer, "hello\n", 6, sig, &len), ERR_OK);
	assert_int_equal(seal_verify(k->verifier, "hello\n", 6, sig, len),
			 ERR_OK);
	assert_int_equal(seal_verify(k->verifier, "hellO\n", 6, sig, len),
			 ERR_CORRUPT);
	for (size_t i = 0; i < len; i++) {
		sig[i] ^= 1;
		assert_int_equal(
		    seal_verify(k->verifier, "hello\n", 6, sig, len),
		    ERR_CORRUPT);
		sig[i] ^= 1;
		assert_int_equal(seal_verify(k->verifier, "hello\n", 6, sig, i),
				 ERR_CORRUPT);
	}
	snprintf(path, sizeof(path), "%s/sig", k->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(sig, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	snprintf(cmd, sizeof(cmd),
		 "echo hello | openssl dgst -sha256 -verify %s.pub -signature "
		 "%s >/dev/null",
		 k->key, path);
	assert_int_equal(system(cmd), 0);
}

static void a_key_that_others_read_or_that_is_none_is_refused(void **state)
{
	struct audit_kit *k = *state;
	struct seal_signer *s;
	char why[SEAL_WHY_LEN];

	assert_int_equal(chmod(k->key, 0640), 0);
	assert_int_equal(seal_signer_open(k->key, true, &s, why), ERR_NOKEY);
	assert_non_null(strstr(why, "chmod 600"));
	assert_int_equal(chmod(k->key, 0600), 0);
	assert_int_equal(truncate(k->key, 100), 0);
	assert_int_equal(seal_signer_open(k->key, true, &s, why), ERR_NOKEY);
	assert_int_equal(unlink(k->key), 0);
	assert_int_equal(seal_signer_open(k->key, false, &s, why), ERR_NOKEY);
}

static void reading_is_merged_filtered_bounded_and_goes_both_ways(void **state)
{
	struct audit_kit *k = *state;
	struct audit_filter f = {.from_seq = 2, .to_seq = 9};
	struct audit_reader *r;
	const struct audit_row *row;
	int64_t seq = 2;

	audit_kit_open(k);
	for (int i = 0; i < 5; i++) {
		rows(k, KIT_MAY, 1);
		rows(k, KIT_JUNE, 1);
	}
	assert_int_equal(audit_read_open(k->dir, &f, &r, NULL), ERR_OK);
	while (audit_read_next(r, &row) == ERR_OK && row != NULL) {
		assert_int_equal(row->seq, seq++);
		audit_read_pause(r);
		assert_int_equal(audit_read_position(r), row->seq);
	}
	assert_int_equal(seq, 10);
	audit_read_close(r);
	f = (struct audit_filter){.backwards = true, .from_ms = KIT_JUNE};
	assert_int_equal(audit_read_open(k->dir, &f, &r, NULL), ERR_OK);
	for (seq = 10; audit_read_next(r, &row) == ERR_OK && row != NULL;
	     seq -= 2)
		assert_int_equal(row->seq, seq);
	assert_int_equal(seq, 0);
	audit_read_close(r);
	f = (struct audit_filter){.device = "none", .budget = 1};
	assert_int_equal(audit_read_open(k->dir, &f, &r, NULL), ERR_OK);
	assert_int_equal(audit_read_next(r, &row), ERR_AGAIN);
	while (audit_read_next(r, &row) == ERR_AGAIN)
		;
	assert_null(row);
	audit_read_close(r);
}

/* ---- erasing and pruning ------------------------------------------------- */

static int64_t record(struct audit_kit *k, struct audit_event *e)
{
	struct audit_filter f = {.backwards = true};
	struct audit_reader *r;
	const struct audit_row *row;
	int64_t seq;

	e->wall_ms = KIT_JUNE;
	assert_int_equal(audit_append(k->audit, e), ERR_OK);
	assert_int_equal(audit_commit(k->audit), ERR_OK);
	assert_int_equal(audit_read_open(k->dir, &f, &r, NULL), ERR_OK);
	assert_int_equal(audit_read_next(r, &row), ERR_OK);
	seq = row->seq;
	audit_read_close(r);
	return seq;
}

static uint64_t erase(struct audit_kit *k, const struct audit_erase *what,
		      int64_t by)
{
	struct audit_erase_place at = {.name = ""};
	uint64_t values = 0;
	bool more = true;

	while (more)
		assert_int_equal(
		    audit_erase_some(k->audit, what, by, &at, &values, &more),
		    ERR_OK);
	return values;
}

static void erase_on_record(struct audit_kit *k, const struct audit_erase *what)
{
	struct audit_event e;
	uint64_t n = erase(k, what, 0);

	audit_erase_event(what, "uid 0 root", n, &e);
	assert_int_equal(erase(k, what, record(k, &e)), n);
}

static void prune(struct audit_kit *k, int64_t cutoff)
{
	struct audit_prune *p;
	struct audit_event e;
	bool done = false;

	assert_int_equal(audit_prune_begin(k->audit, cutoff, &p), ERR_OK);
	assert_non_null(p);
	while (!done)
		assert_int_equal(audit_prune_read(p, &done), ERR_OK);
	audit_prune_event(p, "", &e);
	(void)record(k, &e);
	assert_int_equal(audit_prune_end(p), ERR_OK);
	audit_prune_free(p);
}

static void an_erased_value_leaves_the_chain_whole(void **state)
{
	struct audit_kit *k = *state;
	struct audit_erase study = {.study = "1.2"};
	struct audit_erase before = {.before_ms = KIT_MAY + 1};

	audit_kit_open(k);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	audit_kit_sealed(k, KIT_MAY, "1.3");
	audit_kit_sealed(k, KIT_JUNE, "1.2");
	audit_kit_sealed(k, KIT_JUNE, "1.4");
	audit_kit_sign(k);
	erase_on_record(k, &study);
	whole(k);
	assert_int_equal(k->report.erased, 2);
	erase_on_record(k, &before);
	whole(k);
	assert_int_equal(k->report.erased, 3);
}

/* A month that somebody else writes to is not passed over. */
static void what_cannot_be_erased_now_is_not_skipped(void **state)
{
	struct audit_kit *k = *state;
	struct audit_erase study = {.study = "1.2"};
	struct audit_erase_place at = {.name = ""};
	char path[128];
	uint64_t values = 0;
	bool more = true;
	sqlite3 *db;

	audit_kit_open(k);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	audit_kit_sealed(k, KIT_JUNE, "1.2");
	snprintf(path, sizeof(path), "%s/" MAY_FILE, k->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(
	    audit_erase_some(k->audit, &study, 2, &at, &values, &more),
	    ERR_BUSY);
	assert_true(more);
	sqlite3_close(db);
	while (more)
		assert_int_equal(
		    audit_erase_some(k->audit, &study, 2, &at, &values, &more),
		    ERR_OK);
	assert_int_equal(values, 2);
	assert_int_equal(erase(k, &study, 0), 0);
}

static void an_erasure_covers_only_what_it_names(void **state)
{
	struct audit_kit *k = *state;
	struct audit_erase study = {.study = "1.2"};

	audit_kit_open(k);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	audit_kit_sealed(k, KIT_MAY, "1.3");
	erase_on_record(k, &study);
	audit_kit_close(k);
	audit_kit_sql(k, MAY_FILE, true,
		      "INSERT INTO erased VALUES(2,3);"
		      "DELETE FROM sealed WHERE seq=2");
	faulty(k, AUDIT_FAULT_SEALED_MISSING, 2);
}

static void a_pruned_month_leaves_signed_runs(void **state)
{
	struct audit_kit *k = *state;

	audit_kit_open(k);
	rows(k, KIT_MAY, 3);
	rows(k, KIT_JUNE, 2);
	rows(k, KIT_MAY, 2); /* the clock stepped back */
	rows(k, KIT_JUNE, 2);
	audit_kit_sign(k);
	prune(k, KIT_JUNE);
	audit_kit_sign(k);
	whole(k);
	assert_int_equal(k->report.pruned, 5);
	assert_int_equal(k->report.rows, 5);
	assert_int_equal(k->report.chain_first, 1);
	audit_kit_close(k);
	audit_kit_open(k);
	rows(k, KIT_JUNE, 1);
	whole(k);
	audit_kit_close(k);
	audit_kit_sql(k, "audit-pruned.db", true,
		      "UPDATE runs SET chain=zeroblob(32) WHERE first=1");
	faulty(k, AUDIT_FAULT_RUN_FORGED, 1);
}

static void a_month_that_was_edited_or_is_held_is_not_pruned(void **state)
{
	struct audit_kit *k = *state;
	struct audit_hold hold = {.study = "1.2", .reason = "court"};
	struct audit_prune *p;
	int64_t id;
	bool done;

	audit_kit_open(k);
	audit_kit_sealed(k, KIT_MAY, "1.2");
	rows(k, KIT_JUNE, 2);
	assert_int_equal(audit_hold_add(audit_beside(k->audit), &hold, &id),
			 ERR_OK);
	assert_int_equal(audit_prune_begin(k->audit, KIT_JUNE, &p), ERR_OK);
	assert_null(p);
	assert_int_equal(audit_hold_remove(audit_beside(k->audit), id), ERR_OK);
	assert_int_equal(audit_hold_remove(audit_beside(k->audit), id),
			 ERR_NOTFOUND);
	/* not over yet, and never the month that is written */
	assert_int_equal(audit_prune_begin(k->audit, KIT_MAY, &p), ERR_OK);
	assert_null(p);
	audit_kit_sql(k, MAY_FILE, true, "UPDATE audit SET user='x'");
	assert_int_equal(audit_prune_begin(k->audit, KIT_JUNE, &p), ERR_OK);
	assert_non_null(p);
	assert_int_equal(audit_prune_read(p, &done), ERR_CORRUPT);
	assert_non_null(strstr(audit_prune_why(p), "row 1"));
	audit_prune_free(p);
}

/* ---- a sample for those who edit the files --------------------------------
 */

enum { APRIL_MS = 26 * 24 * 3600 };

/* April was pruned, the rows of May and June interleave, there are sealed
 * values, one of them erased, and ten heads or so. */
static int make_sample(const char *dir)
{
	struct audit_erase study = {.study = "1.9"};
	void *state = NULL;
	struct audit_kit *k;
	char cmd[256];

	(void)audit_kit_setup(&state);
	k = state;
	audit_kit_open(k);
	rows(k, KIT_MAY - APRIL_MS * 1000LL, 10);
	audit_kit_sign(k);
	for (int i = 0; i < 3; i++) {
		rows(k, KIT_MAY, 10);
		audit_kit_sealed(k, KIT_MAY, i == 1 ? "1.9" : "1.2");
		audit_kit_sign(k);
		rows(k, KIT_JUNE, 10);
		audit_kit_sign(k);
	}
	prune(k, KIT_MAY - 3600 * 1000LL);
	erase_on_record(k, &study);
	audit_kit_sign(k);
	rows(k, KIT_JUNE, 3);
	audit_kit_close(k);
	snprintf(cmd, sizeof(cmd), "cp -r %s/. '%.100s'", k->dir, dir);
	assert_int_equal(system(cmd), 0);
	return audit_kit_teardown(&state);
}

int main(int argc, char **argv)
{
#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, audit_kit_setup,                 \
					audit_kit_teardown)
	const struct CMUnitTest tests[] = {
	    T(heads_are_signed_and_bind_the_rows),
	    T(the_chain_goes_on_over_restarts_months_and_a_clock_set_back),
	    T(what_was_not_committed_leaves_no_trace_in_the_chain),
	    T(a_lost_month_is_a_gap_and_the_chain_goes_on),
	    T(an_end_that_was_no_stop_is_a_gap),
	    T(a_file_lost_while_it_is_written_is_a_gap_too),
	    T(rows_without_a_chain_are_counted_and_the_chain_begins),
	    T(triggers_refuse_every_edit),
	    T(edits_are_named),
	    T(heads_travel_as_text),
	    T(an_outside_head_finds_what_was_cut_off_whole),
	    T(signatures_are_what_openssl_checks),
	    T(a_key_that_others_read_or_that_is_none_is_refused),
	    T(an_erased_value_leaves_the_chain_whole),
	    T(what_cannot_be_erased_now_is_not_skipped),
	    T(an_erasure_covers_only_what_it_names),
	    T(a_pruned_month_leaves_signed_runs),
	    T(a_month_that_was_edited_or_is_held_is_not_pruned),
	    T(reading_is_merged_filtered_bounded_and_goes_both_ways),
	};

	if (argc == 3 && strcmp(argv[1], "--sample") == 0)
		return make_sample(argv[2]);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
