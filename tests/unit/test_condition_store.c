/* What the records complain about when their files are against them: each
 * condition is provoked, and its line read. */
#include <sys/stat.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit.h"
#include "store/db.h"
#include "store/seal_sign.h"
#include "tests/unit/ledger_fixture.h"
#include "tests/unit/log_kit.h"

static struct seal_signer *signer;

/* ---- a ledger and an audit -------------------------------------------------
 */

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	char path[128], why[SEAL_WHY_LEN];

	assert_non_null(f);
	fixture_init(f);
	snprintf(path, sizeof(path), "%s/signing.key", f->dir);
	assert_int_equal(seal_signer_open(path, true, &signer, why), ERR_OK);
	f->ledger_options.signer = signer;
	listen_to_log();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	mem_free(*state);
	seal_signer_close(signer);
	end_listening();
	return 0;
}

/* Of a stranger, who writes to the file beside us. */
static void run_in(const char *path, const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 20000);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void month(const struct fixture *f, char out[128])
{
	char text[CLOCK_TEXT_LEN];

	snprintf(out, 128, "%s/audit-%.7s.db", f->dir,
		 clock_text(clock_wall_ms(), text));
}

static void note(struct fixture *f, const char *user)
{
	struct audit_event e = {.kind = AUDIT_START};

	snprintf(e.user, sizeof(e.user), "%s", user);
	ledger_audit(f->l, &e);
}

static void a_row_that_the_ledger_refuses_is_told(void **state)
{
	struct fixture *f = *state;
	struct ledger_refusal r = {.listener = "in", .reason = "unknown-ae"};

	fixture_open(f);
	fixture_settle(f);
	run_in(f->ledger, "CREATE TRIGGER no BEFORE INSERT ON refusals BEGIN "
			  "SELECT RAISE(ABORT, 'not this one'); END");
	ledger_refusal(f->l, &r);
	says("ledger-row-refused", "CV8006", "the ledger refused a row");
	fixture_settle(f); /* it goes on */
}

static void a_row_that_the_audit_refuses_is_told(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_START};
	char path[128];

	fixture_open(f);
	assert_int_equal(ledger_audit_sure(f->l, &e, 20000), ERR_OK);
	month(f, path);
	run_in(path, "CREATE TRIGGER no BEFORE INSERT ON audit WHEN "
		     "NEW.user='mallory' BEGIN SELECT RAISE(ABORT, 'no'); END");
	note(f, "mallory");
	says("audit-row-refused", "CV8104", "the audit refused a row");
}

static void a_head_that_cannot_be_kept_is_told(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_START};
	char path[128];

	fixture_open(f);
	assert_int_equal(ledger_audit_sure(f->l, &e, 20000), ERR_OK);
	month(f, path);
	run_in(path, "CREATE TRIGGER no BEFORE INSERT ON heads BEGIN "
		     "SELECT RAISE(ABORT, 'no'); END");
	assert_int_equal(ledger_audit_sure(f->l, &e, 20000), ERR_OK);
	fixture_close_ledger(f); /* signs the last one */
	says("audit-unsigned", "CV8106", "could not be signed or kept");
}

static void a_copy_of_the_last_head_that_cannot_be_written_is_told(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_START};
	char path[128];

	snprintf(path, sizeof(path), "%s/audit-pruned.db", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	fixture_open(f);
	assert_int_equal(ledger_audit_sure(f->l, &e, 20000), ERR_OK);
	fixture_close_ledger(f);
	says("audit-last-unwritten", "CV8107", "could not be written");
	assert_int_equal(rmdir(path), 0);
}

static void a_head_of_tomorrow_makes_the_clock_suspect(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_START};
	char path[128];

	fixture_open(f);
	assert_int_equal(ledger_audit_sure(f->l, &e, 20000), ERR_OK);
	fixture_close(f);
	month(f, path);
	run_in(path, "DROP TRIGGER heads_no_update;"
		     "UPDATE heads SET wall_ms=wall_ms+86400000");
	snprintf(path, sizeof(path), "%s/audit-pruned.db", f->dir);
	run_in(path, "UPDATE last SET wall_ms=wall_ms+86400000");
	fixture_open(f);
	says("clock-suspect", "CV8110", "the clock jumped");
	assert_non_null(strstr(said, "the clock jumped by -86"));
}

static void a_shell_that_keeps_the_log_long_is_told(void **state)
{
	struct fixture *f = *state;

	fixture_open(f);
	fixture_settle(f);
	run_in(f->ledger, "PRAGMA wal_autocheckpoint=0;"
			  "CREATE TABLE ballast(x);"
			  "INSERT INTO ballast VALUES(zeroblob(70000000))");
	fixture_put_many(f, 1, 1);
	says("ledger-log-long", "CV8004", "keeps ledger.db-wal");
}

static void one_that_was_redirected_too_often_is_told(void **state)
{
	enum { PLACES = 32 }; /* of one instance */
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	char from[33] = "cloud", to[33];
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 100);
	for (int i = 0; i < PLACES; i++) {
		snprintf(to, sizeof(to), "place-%d", i);
		fixture_redirect(f, &id, from, to);
		memcpy(from, to, sizeof(from));
	}
	fixture_settle(f);
	says("redirect-refused", "CV8008", "redirected too often");
}

static void a_key_beside_which_nothing_can_be_written_is_told(void **state)
{
	struct fixture *f = *state;
	struct seal_signer *s;
	char path[128], pub[140], why[SEAL_WHY_LEN];

	snprintf(path, sizeof(path), "%s/other.key", f->dir);
	snprintf(pub, sizeof(pub), "%s.pub", path);
	assert_int_equal(mkdir(pub, 0700), 0);
	assert_int_equal(seal_signer_open(path, true, &s, why), ERR_OK);
	says("signing-key-unpublished", "CV7010", "public");
	seal_signer_close(s);
	assert_int_equal(rmdir(pub), 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_row_that_the_ledger_refuses_is_told),
	    T(a_row_that_the_audit_refuses_is_told),
	    T(a_head_that_cannot_be_kept_is_told),
	    T(a_copy_of_the_last_head_that_cannot_be_written_is_told),
	    T(a_head_of_tomorrow_makes_the_clock_suspect),
	    T(a_shell_that_keeps_the_log_long_is_told),
	    T(one_that_was_redirected_too_often_is_told),
	    T(a_key_beside_which_nothing_can_be_written_is_told),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
