/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/audit.h"
#include "store/db.h"

#define MAY  1778000000000LL /* 2026-05-05 */
#define JUNE 1781000000000LL /* 2026-06-09 */

static int setup(void **state)
{
	char *dir = strdup("/tmp/culvert-audit-XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", (char *)*state);
	assert_int_equal(system(cmd), 0);
	free(*state);
	return 0;
}

static struct audit *opened(void **state)
{
	struct audit *a;
	char why[AUDIT_WHY_LEN];

	if (audit_open(*state, &a, why) != ERR_OK)
		fail_msg("%s", why);
	return a;
}

static sqlite3 *month(void **state, const char *name, bool read_only)
{
	char path[100];
	struct db_options o = {.path = path, .read_only = read_only};
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/audit-%s.db", (char *)*state, name);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	return db;
}

static int64_t ask(void **state, const char *name, const char *sql)
{
	sqlite3 *db = month(state, name, true);
	int64_t v = 0;

	assert_int_equal(db_integer(db, sql, &v), ERR_OK);
	db_close(db);
	return v;
}

static struct audit_event event(int64_t when)
{
	struct audit_event e = {.kind = AUDIT_ASSOCIATION_REFUSED,
				.outcome = AUDIT_MINOR,
				.wall_ms = when,
				.mono_ns = 5,
				.association = 17,
				.listener = "modalities",
				.calling_ae = "CT2",
				.detail = "{\"reason\":\"unknown-ae\"}"};

	return e;
}

static void rows_carry_what_was_given_and_nothing_for_empty(void **state)
{
	struct audit *a = opened(state);
	struct audit_event e = event(MAY);

	e.sealed_len = 3;
	e.sealed = (const uint8_t *)"\1\2\3";
	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_int_equal(
	    ask(state, "2026-05",
		"SELECT count(*) FROM audit WHERE kind=11 AND outcome=4"
		" AND association=17 AND listener='modalities'"
		" AND calling_ae='CT2' AND device IS NULL AND study IS NULL"
		" AND detail->>'reason'='unknown-ae' AND sealed IS NULL"
		" AND (SELECT blob FROM sealed WHERE seq=1)=x'010203'"
		" AND length(chain)=32 AND length(prev_chain)=32"
		" AND length(sealed_hash)=32 AND length(commitment)=32"
		" AND length(boot)=36 AND mono_ns=5"),
	    1);
	assert_int_equal(ask(state, "2026-05",
			     "SELECT count(*) FROM v_audit WHERE"
			     " event='association-refused'"),
			 1);
	audit_close(a);
}

static void nothing_is_there_before_the_commit(void **state)
{
	struct audit *a = opened(state);
	struct audit_event e = event(MAY);

	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(ask(state, "2026-05", "SELECT count(*) FROM audit"),
			 0);
	audit_undo(a);
	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_int_equal(ask(state, "2026-05", "SELECT max(seq) FROM audit"),
			 1);
	audit_close(a);
}

static void each_month_has_its_file_and_numbers_go_on(void **state)
{
	struct audit *a = opened(state);
	struct audit_event may = event(MAY), june = event(JUNE);

	assert_int_equal(audit_append(a, &may), ERR_OK);
	assert_int_equal(audit_append(a, &june), ERR_AGAIN);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_int_equal(audit_append(a, &june), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	/* The clock stepped back over the end of the month. */
	assert_int_equal(audit_append(a, &may), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	audit_close(a);
	a = opened(state);
	assert_int_equal(audit_append(a, &june), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_int_equal(ask(state, "2026-05", "SELECT max(seq) FROM audit"),
			 3);
	assert_int_equal(ask(state, "2026-06", "SELECT max(seq) FROM audit"),
			 4);
	audit_close(a);
}

static void rows_cannot_be_changed_replaced_or_deleted(void **state)
{
	struct audit *a = opened(state);
	struct audit_event e = event(MAY);
	sqlite3 *db;

	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	audit_close(a);
	db = month(state, "2026-05", false);
	assert_int_equal(db_exec(db, "UPDATE audit SET outcome=0"), ERR_INVAL);
	assert_int_equal(db_exec(db, "DELETE FROM audit"), ERR_INVAL);
	assert_int_equal(db_exec(db, "REPLACE INTO audit(seq,wall_ms,mono_ns,"
				     "kind,outcome) VALUES(1,1,1,1,1)"),
			 ERR_INVAL);
	db_close(db);
	assert_int_equal(ask(state, "2026-05", "SELECT outcome FROM audit"), 4);
}

static void a_month_that_is_lost_is_named_once(void **state)
{
	struct audit *a = opened(state);
	struct audit_event e = event(MAY);
	char path[100];
	const char *gap;

	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_null(audit_gap(a));
	snprintf(path, sizeof(path), "%s/audit-2026-05.db", (char *)*state);
	assert_int_equal(unlink(path), 0);
	gap = audit_gap(a);
	assert_non_null(gap);
	assert_non_null(strstr(gap, "2026-05"));
	assert_null(audit_gap(a));
	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_int_equal(ask(state, "2026-05", "SELECT min(seq) FROM audit"),
			 2);
	audit_close(a);
}

static void a_damaged_month_is_kept_aside_and_named(void **state)
{
	struct audit *a = opened(state);
	struct audit_event e = event(MAY);
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "%s/audit-2026-05.db", (char *)*state);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		(void)fputs("rubbish ", f);
	(void)fclose(f);
	assert_int_equal(audit_append(a, &e), ERR_OK);
	assert_int_equal(audit_commit(a), ERR_OK);
	assert_non_null(strstr(audit_gap(a), "corrupt"));
	audit_close(a);
}

/* ---- JSON
 * ------------------------------------------------------------------------ */

static void json_is_escaped_and_valid(void **state)
{
	char out[200];
	struct audit_json j = audit_json_begin(out, sizeof(out));

	(void)state;
	audit_json_text(&j, "a", "x\"\\\n\x01\x7f");
	audit_json_number(&j, "n", -5);
	audit_json_text(&j, "u", "M\xc3\xbcller");
	audit_json_text(&j, "bad", "a\xff\xc0\x80z");
	audit_json_end(&j);
	assert_string_equal(
	    out, "{\"a\":\"x\\\"\\\\\\u000a\\u0001\\u007f\",\"n\":-5,"
		 "\"u\":\"M\xc3\xbcller\",\"bad\":\"a\xef\xbf\xbd"
		 "\xef\xbf\xbd\xef\xbf\xbdz\"}");
}

static void json_that_does_not_fit_says_so_at_every_size(void **state)
{
	(void)state;
	for (size_t cap = 16; cap < 80; cap++) {
		char *out = malloc(cap);
		struct audit_json j;
		size_t n;

		assert_non_null(out);
		j = audit_json_begin(out, cap);
		audit_json_text(&j, "reason", "none at all");
		audit_json_number(&j, "status", 0xa700);
		audit_json_text(&j, "last", "\xe2\x82\xac");
		audit_json_end(&j);
		n = strlen(out);
		assert_true(n < cap);
		assert_true(out[0] == '{' && out[n - 1] == '}');
		if (j.cut)
			assert_non_null(strstr(out, "\"cut\":true}"));
		else
			assert_non_null(strstr(out, "\"last\""));
		free(out);
	}
}

static void an_empty_object_is_valid(void **state)
{
	char out[16];
	struct audit_json j = audit_json_begin(out, sizeof(out));

	(void)state;
	audit_json_end(&j);
	assert_string_equal(out, "{}");
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(rows_carry_what_was_given_and_nothing_for_empty),
	    T(nothing_is_there_before_the_commit),
	    T(each_month_has_its_file_and_numbers_go_on),
	    T(rows_cannot_be_changed_replaced_or_deleted),
	    T(a_month_that_is_lost_is_named_once),
	    T(a_damaged_month_is_kept_aside_and_named),
	    cmocka_unit_test(json_is_escaped_and_valid),
	    cmocka_unit_test(json_that_does_not_fit_says_so_at_every_size),
	    cmocka_unit_test(an_empty_object_is_valid),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
