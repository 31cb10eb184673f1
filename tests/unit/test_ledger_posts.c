/* What any thread posts: associations, refusals, operations, audit. */
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

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/ledger_identity.h"
#include "tests/unit/ledger_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

/* ---- posted rows
 * ---------------------------------------------------------------- */

static void associations_and_their_contexts_are_on_record(void **state)
{
	struct fixture *f = *state;
	struct ledger_context c[2] = {
	    {.id = 1,
	     .abstract = "1.2.840.10008.1.1",
	     .accepted = "1.2.840.10008.1.2",
	     .proposed = "1.2.840.10008.1.2 1.2.840.10008.1.2.1"},
	    {.id = 3, .result = 3, .abstract = "1.2.3"}};
	struct ledger_association a = {.party = "modalities",
				       .device = "ct-room-2",
				       .peer = "10.1.4.20",
				       .begun_ms = clock_wall_ms(),
				       .result = "accepted",
				       .n_contexts = 2,
				       .contexts = c};
	struct ledger_association_end end = {
	    .ended_ms = clock_wall_ms(), .stores = 4, .why = "released"};

	fixture_open(f);
	a.id = end.id = ledger_association_id(f->l);
	ledger_association_begin(f->l, &a);
	ledger_association_end(f->l, &end);
	fixture_await(f, "SELECT stores FROM associations", 4);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contexts"), 2);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_associations"
					" WHERE why='released'"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT associations FROM devices"), 1);
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	assert_true(ledger_association_id(f->l) > a.id);
}

static void repeated_refusals_become_counts(void **state)
{
	struct fixture *f = *state;
	struct ledger_refusal r = {.listener = "modalities",
				   .peer = "10.9.9.9",
				   .calling_ae = "WHO",
				   .reason = "unknown-ae",
				   .remedy = "declare the device",
				   .at_ms = 1000000};

	fixture_open(f);
	for (int i = 0; i < 50; i++)
		ledger_refusal(f->l, &r);
	r.at_ms += 3600 * 1000;
	ledger_refusal(f->l, &r);
	fixture_await(f, "SELECT sum(count) FROM refusals", 51);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM refusals"), 2);
	assert_int_equal(fixture_sql(f, "SELECT max(count) FROM refusals"), 50);
}

static void a_capability_seen_again_replaces_the_older(void **state)
{
	struct fixture *f = *state;
	struct ledger_capability c = {.destination = "cloud",
				      .endpoint = "pacs:2762",
				      .abstract = "1.2.3",
				      .transfer_syntax = "1.2",
				      .checked_ms = 1};

	fixture_open(f);
	ledger_capability(f->l, &c);
	c.accepted = true;
	c.checked_ms = 2;
	ledger_capability(f->l, &c);
	fixture_await(f, "SELECT max(checked_ms) FROM capabilities", 2);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM capabilities"
					" WHERE accepted"),
			 1);
}

static void a_flood_of_refusals_is_dropped_with_a_counted_gap(void **state)
{
	struct fixture *f = *state;
	struct db_options o = {.path = f->ledger, .cache_bytes = 1 << 20};
	struct ledger_refusal r = {.reason = "unknown-ae"};
	struct ledger_association a = {.result = "accepted"};
	struct ledger_stats st;
	char month[32], text[CLOCK_TEXT_LEN];
	sqlite3 *db;

	f->ledger_options.queue_max = 400;
	fixture_open(f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	fixture_lock(db);
	for (int i = 0; i < 1000; i++)
		ledger_refusal(f->l, &r);
	ledger_stats(f->l, &st);
	assert_true(st.dropped_posts >= 800);
	assert_true(ledger_accepting(f->l));
	for (int i = 0; i < 150; i++) {
		a.id = ledger_association_id(f->l);
		ledger_association_begin(f->l, &a);
	}
	assert_false(ledger_accepting(f->l));
	assert_int_equal(db_exec(db, "ROLLBACK"), ERR_OK);
	db_close(db);
	fixture_await(f, "SELECT count(*) FROM associations", 150);
	snprintf(month, sizeof(month), "audit-%.7s.db",
		 clock_text(clock_wall_ms(), text));
	for (int i = 0; i < 12000 && !fixture_has(f, month); i++)
		usleep(5000);
	assert_true(fixture_sql_in(f, month,
				   "SELECT sum(detail->>'rows') FROM audit"
				   " WHERE kind=43") >= 800);
	assert_true(ledger_accepting(f->l));
}

static void audit_events_are_written_and_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	struct audit_event e = {.kind = AUDIT_MANUAL_ACTION,
				.user = "uid 1000 alice"};
	char month[32], text[CLOCK_TEXT_LEN];

	fixture_open(f);
	ledger_audit(f->l, &e);
	fixture_close(f);
	fixture_open(f);
	ledger_audit(f->l, &e);
	fixture_close(f);
	snprintf(month, sizeof(month), "audit-%.7s.db",
		 clock_text(clock_wall_ms(), text));
	assert_int_equal(fixture_sql_in(f, month,
					"SELECT count(*) FROM v_audit"
					" WHERE event='manual-action'"),
			 2);
	assert_int_equal(
	    fixture_sql_in(f, month, "SELECT max(seq)=count(*) FROM audit"), 1);
}

static void a_flood_leaves_operations_more_room_than_attempts(void **state)
{
	struct fixture *f = *state;
	struct db_options o = {.path = f->ledger, .cache_bytes = 1 << 20};
	struct ledger_operation op = {.command = 0x0020};
	struct ledger_attempt attempt = {.delivery = 1};
	struct ledger_stats st;
	sqlite3 *db;

	f->ledger_options.queue_max = 400;
	fixture_open(f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	fixture_lock(db);
	for (int i = 0; i < 300; i++)
		ledger_attempt(f->l, &attempt);
	ledger_stats(f->l, &st);
	assert_int_equal(st.dropped_posts, 100);
	for (int i = 0; i < 300; i++)
		ledger_operation(f->l, &op);
	ledger_stats(f->l, &st);
	assert_int_equal(st.dropped_posts, 300);
	assert_int_equal(db_exec(db, "ROLLBACK"), ERR_OK);
	db_close(db);
	fixture_await(f, "SELECT count(*) FROM operations", 100);
}

/* ---- sealed identifiers -------------------------------------------------- */

static void fill(uint8_t *p, size_t n)
{
	static const char secret[] = "DOE^JANE^VERYSECRET ";

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)secret[i % (sizeof(secret) - 1)];
}

static struct seal *key_of(struct fixture *f)
{
	struct seal *seal;

	assert_int_equal(
	    ledger_identity_key(spool_key(f->spool), spool_id(f->spool), &seal),
	    ERR_OK);
	return seal;
}

static void an_identifier_is_sealed_and_opens_with_the_key(void **state)
{
	struct fixture *f = *state;
	uint8_t clear[LEDGER_IDENTIFIER_MAX + 1], out[LEDGER_IDENTIFIER_SEALED];
	uint8_t got[LEDGER_IDENTIFIER_SEALED];
	uint8_t commitment[32];
	struct seal *seal;
	size_t len = 0, n = 0;

	fixture_open(f);
	fill(clear, sizeof(clear));
	seal = key_of(f);
	for (size_t i = 0; i <= LEDGER_IDENTIFIER_MAX; i += 512) {
		assert_int_equal(ledger_seal_identifier(f->l, clear, i, out,
							sizeof(out), &len,
							commitment),
				 ERR_OK);
		assert_int_equal(len, i + LEDGER_IDENTIFIER_EXTRA);
		assert_int_equal(
		    ledger_identifier_open(seal, out, len, got, &n), ERR_OK);
		assert_int_equal(n, i);
		assert_memory_equal(got, clear, n);
	}
	out[len / 2] ^= 1;
	assert_int_equal(ledger_identifier_open(seal, out, len, got, &n),
			 ERR_CORRUPT);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(ledger_identifier_open(seal, out, i, got, &n),
				 ERR_CORRUPT);
	assert_int_equal(ledger_seal_identifier(f->l, clear, sizeof(clear), out,
						sizeof(out), &len, commitment),
			 ERR_LIMIT);
	assert_int_equal(
	    ledger_seal_identifier(f->l, clear, 100, out,
				   100 + LEDGER_IDENTIFIER_EXTRA - 1, &len,
				   commitment),
	    ERR_LIMIT);
	seal_free(seal);
}

/* What is sealed for one purpose is nothing for the other. */
static void an_identifier_is_no_identity(void **state)
{
	struct fixture *f = *state;
	uint8_t out[64];
	struct ledger_identity id;
	uint8_t commitment[32];
	struct seal *seal;
	size_t len = 0;

	fixture_open(f);
	seal = key_of(f);
	assert_int_equal(ledger_seal_identifier(f->l, (const uint8_t *)"\0\0\0",
						3, out, sizeof(out), &len,
						commitment),
			 ERR_OK);
	assert_int_equal(ledger_identity_open(seal, out, len, &id),
			 ERR_CORRUPT);
	seal_free(seal);
}

static void the_largest_identifier_fits_an_audit_row(void **state)
{
	struct fixture *f = *state;
	uint8_t clear[LEDGER_IDENTIFIER_MAX], out[LEDGER_IDENTIFIER_SEALED];
	struct audit_event e = {.kind = AUDIT_QUERY, .sealed = out};
	uint8_t commitment[32];
	char month[32], text[CLOCK_TEXT_LEN];
	size_t len = 0;

	fixture_open(f);
	fill(clear, sizeof(clear));
	assert_int_equal(ledger_seal_identifier(f->l, clear, sizeof(clear), out,
						sizeof(out), &len, commitment),
			 ERR_OK);
	assert_true(len <= AUDIT_SEALED_LEN);
	e.sealed_len = (uint16_t)len;
	ledger_audit(f->l, &e);
	memset(out, 0, sizeof(out)); /* it was copied */
	e = (struct audit_event){.kind = AUDIT_RETRIEVE};
	ledger_audit(f->l, &e);
	fixture_close(f);
	assert_false(fixture_grep(f, "VERYSECRET"));
	snprintf(month, sizeof(month), "audit-%.7s.db",
		 clock_text(clock_wall_ms(), text));
	assert_int_equal(fixture_sql_in(f, month,
					"SELECT length(blob) FROM v_audit v"
					" JOIN sealed USING(seq)"
					" WHERE event='query'"
					" AND hex(blob) NOT LIKE '0000%'"),
			 LEDGER_IDENTIFIER_SEALED);
	assert_int_equal(fixture_sql_in(f, month,
					"SELECT count(*) FROM v_audit v"
					" JOIN audit a USING(seq)"
					" WHERE event='retrieve'"
					" AND a.sealed IS NULL"),
			 1);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(associations_and_their_contexts_are_on_record),
	    T(repeated_refusals_become_counts),
	    T(a_capability_seen_again_replaces_the_older),
	    T(a_flood_of_refusals_is_dropped_with_a_counted_gap),
	    T(audit_events_are_written_and_survive_a_restart),
	    T(a_flood_leaves_operations_more_room_than_attempts),
	    T(an_identifier_is_sealed_and_opens_with_the_key),
	    T(an_identifier_is_no_identity),
	    T(the_largest_identifier_fits_an_audit_row),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
