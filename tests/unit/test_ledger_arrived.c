/* What has arrived at the far end of a link, in the ledger of the near end. */
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
#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"
#include "store/db.h"
#include "store/migrations.h"
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

static struct transfer_id put_arrived(struct fixture *f, unsigned uid)
{
	struct instance in = fixture_instance(uid);
	struct transfer_id id = fixture_put(f, &in, 500);

	fixture_outcome(f, &id, OUTCOME_ARRIVED, "cloud");
	return id;
}

static struct transfer_id one_arrived(struct fixture *f)
{
	struct transfer_id id;

	fixture_open(f);
	id = put_arrived(f, 1);
	fixture_settle(f);
	return id;
}

static void then(struct fixture *f, const struct transfer_id *id,
		 enum outcome_kind kind)
{
	fixture_outcome(f, id, kind, "cloud");
	fixture_settle(f);
}

static int64_t in_state(struct fixture *f, enum delivery_state s)
{
	char sql[80];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM deliveries WHERE state=%d", (int)s);
	return fixture_sql(f, sql);
}

/* The only delivery is in this state, and counted so. */
static void expect_state(struct fixture *f, enum delivery_state s)
{
	char sql[80];

	assert_int_equal(in_state(f, s), 1);
	snprintf(sql, sizeof(sql), "SELECT count FROM totals WHERE state=%d",
		 (int)s);
	assert_int_equal(fixture_sql(f, sql), 1);
	assert_int_equal(fixture_sql(f, "SELECT sum(count) FROM totals"), 1);
}

static int64_t chunks(struct fixture *f)
{
	return fixture_sql(f, "SELECT count(*) FROM chunks");
}

static int64_t attempts(struct fixture *f)
{
	return fixture_sql(f, "SELECT attempts FROM deliveries");
}

static struct ledger_query arrived_query(void)
{
	return (struct ledger_query){.destination = "cloud",
				     .state = DELIVERY_ARRIVED,
				     .after = LEDGER_CURSOR_START,
				     .max = LEDGER_FETCH_MAX};
}

/* ---- states ----------------------------------------------------------------
 */

static void it_keeps_its_bytes_and_is_not_queued(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;

	(void)one_arrived(f);
	expect_state(f, DELIVERY_ARRIVED);
	assert_true(delivery_state_keeps(DELIVERY_ARRIVED));
	assert_int_equal(chunks(f), 1);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 0);
}

static void what_the_far_archive_says_ends_it(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = one_arrived(f);

	then(f, &id, OUTCOME_DELIVERED);
	expect_state(f, DELIVERY_DELIVERED);
	assert_int_equal(attempts(f), 1);
	assert_int_equal(chunks(f), 0);
}

static void one_that_never_was_told_arrived_is_delivered(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 500);
	then(f, &id, OUTCOME_DELIVERED_FLAGGED);
	then(f, &id, OUTCOME_ARRIVED); /* too late */
	expect_state(f, DELIVERY_DELIVERED);
	assert_int_equal(chunks(f), 0);
}

static void released_it_is_queued_again(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct transfer_id id = one_arrived(f);
	uint64_t hints = f->hints;

	then(f, &id, OUTCOME_RELEASED);
	expect_state(f, DELIVERY_QUEUED);
	assert_int_equal(attempts(f), 0);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_true(f->hints > hints);
	then(f, &id, OUTCOME_ARRIVED);
	expect_state(f, DELIVERY_ARRIVED);
}

static void it_may_be_held_or_quarantined_or_given_up(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = one_arrived(f);

	then(f, &id, OUTCOME_HELD);
	expect_state(f, DELIVERY_HELD);
	then(f, &id, OUTCOME_ARRIVED);
	then(f, &id, OUTCOME_QUARANTINED);
	expect_state(f, DELIVERY_QUARANTINED);
	assert_int_equal(chunks(f), 1);
	then(f, &id, OUTCOME_ARRIVED);
	then(f, &id, OUTCOME_DISCARDED);
	expect_state(f, DELIVERY_DISCARDED);
	assert_int_equal(chunks(f), 0);
}

static void it_may_go_another_way(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = one_arrived(f);

	fixture_redirect(f, &id, "cloud", "other");
	fixture_settle(f);
	assert_int_equal(in_state(f, DELIVERY_WITHDRAWN), 1);
	assert_int_equal(in_state(f, DELIVERY_QUEUED), 1);
	assert_int_equal(chunks(f), 1);
}

static void saying_it_twice_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = one_arrived(f);

	then(f, &id, OUTCOME_ARRIVED);
	expect_state(f, DELIVERY_ARRIVED);
	assert_int_equal(attempts(f), 1);
}

static void it_does_not_hold_back_its_like(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct fixture_items got;
	struct transfer_id id = one_arrived(f);

	fixture_put(f, &in, 600);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_false(got.items[0].earlier_open);
	then(f, &id, OUTCOME_RELEASED);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.items[0].length, 500);
	assert_int_equal(got.items[0].earlier_open + got.items[1].earlier_open,
			 1);
}

/* ---- reading ---------------------------------------------------------------
 */

static void they_are_fetched_in_order_of_arrival(void **state)
{
	struct fixture *f = *state;
	struct ledger_query q = arrived_query();
	struct fixture_items got;

	fixture_open(f);
	for (unsigned i = 0; i < 3; i++)
		(void)put_arrived(f, i);
	fixture_settle(f);
	q.max = 2;
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.items[0].sop_instance, "1.2.3.4.0");
	assert_string_equal(got.items[1].sop_instance, "1.2.3.4.1");
	q.after = got.next;
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 1);
	assert_true(got.end);
	assert_string_equal(got.items[0].sop_instance, "1.2.3.4.2");
}

static void why_it_stays_there_may_be_noted(void **state)
{
	struct fixture *f = *state;
	struct ledger_query q = arrived_query();
	struct ledger_attempt note = {.attempts = 1,
				      .remote_status = 0xa700,
				      .next_attempt_ms = INT64_MAX,
				      .error = "held at the far end"};
	struct fixture_items got;
	struct transfer_id id = one_arrived(f);

	fixture_fetch(f, &q, &got);
	note.delivery = got.items[0].delivery;
	ledger_attempt(f->l, &note);
	fixture_await(f,
		      "SELECT count(*) FROM deliveries"
		      " WHERE last_error='held at the far end'",
		      1);
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 1); /* whatever the next attempt */
	then(f, &id, OUTCOME_DELIVERED);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM deliveries"
					" WHERE last_error IS NOT NULL"),
			 0);
}

/* The far end may say so before the arrival itself is in the ledger. */
static void why_it_stays_there_may_come_first(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct ledger_attempt note = {.attempts = 1,
				      .remote_status = 0xa900,
				      .error = "quarantined " LEDGER_FAR_END};
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 500);
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	note.delivery = got.items[0].delivery;
	ledger_attempt(f->l, &note);
	fixture_await(f,
		      "SELECT count(*) FROM deliveries"
		      " WHERE last_error IS NOT NULL",
		      1);
	then(f, &id, OUTCOME_ARRIVED);
	expect_state(f, DELIVERY_ARRIVED);
	assert_int_equal(fixture_sql(f,
				     "SELECT count(*) FROM deliveries WHERE"
				     " last_error='quarantined at the far end'"
				     " AND remote_status=0xa900"),
			 1);
}

static void what_a_link_says_of_its_far_end_is_known_as_such(void **state)
{
	(void)state;
	for (uint8_t k = LINK_STUCK_RETRYING; k <= LINK_STUCK_DISCARDED; k++)
		assert_non_null(strstr(link_stuck_text(k), LEDGER_FAR_END));
}

static bool count_row(void *arg, const struct view_delivery *d)
{
	assert_int_equal(d->state, DELIVERY_ARRIVED);
	++*(unsigned *)arg;
	return true;
}

static void a_view_lists_them(void **state)
{
	struct fixture *f = *state;
	struct view_filter filter = {.state = DELIVERY_ARRIVED, .limit = 10};
	struct ledger_view *v;
	unsigned n = 0;

	(void)one_arrived(f);
	assert_int_equal(ledger_view_open(f->dir, &v, NULL), ERR_OK);
	assert_int_equal(ledger_view_deliveries(v, &filter, count_row, &n),
			 ERR_OK);
	assert_int_equal(n, 1);
	filter.destination = "cloud";
	assert_int_equal(ledger_view_deliveries(v, &filter, count_row, &n),
			 ERR_OK);
	assert_int_equal(n, 2);
	filter.destination = "other";
	assert_int_equal(ledger_view_deliveries(v, &filter, count_row, &n),
			 ERR_OK);
	assert_int_equal(n, 2);
	ledger_view_close(v);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_queue"
					" WHERE state='arrived'"),
			 1);
}

/* ---- restarts, loss, space -------------------------------------------------
 */

static void a_restart_and_a_rebuild_keep_it(void **state)
{
	struct fixture *f = *state;
	char why[LEDGER_WHY_LEN];
	uint64_t n;

	(void)one_arrived(f);
	fixture_close(f);
	fixture_open(f);
	fixture_barrier(f);
	expect_state(f, DELIVERY_ARRIVED);
	fixture_close_ledger(f);
	assert_int_equal(ledger_rebuild(&f->ledger_options, f->spool, &n, why),
			 ERR_OK);
	expect_state(f, DELIVERY_ARRIVED);
	assert_int_equal(attempts(f), 1);
	assert_int_equal(chunks(f), 1);
}

static void put_big(struct fixture *f, unsigned uid, bool deliver)
{
	struct instance in = fixture_instance(uid);
	struct transfer_id id = fixture_put(f, &in, 1000000);

	if (deliver)
		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
}

static uint32_t segment_of_it(struct fixture *f)
{
	struct ledger_query q = arrived_query();
	struct fixture_items got;

	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 1);
	return got.items[0].first.segment;
}

/* Its record is alone alive in its segment and is moved when space is short;
 * the segment with what became of it goes as well. Then the ledger is lost. */
static void moving_and_losing_the_ledger_keep_it(void **state)
{
	struct fixture *f = *state;
	uint32_t before;

	fixture_open(f);
	(void)put_arrived(f, 9999);
	for (unsigned i = 0; i < 4; i++)
		put_big(f, i, true);
	fixture_settle(f);
	before = segment_of_it(f);
	for (unsigned i = 0; i < 35; i++) /* more than half of the quota */
		put_big(f, 100 + i, false);
	for (unsigned i = 0; i < 300 && segment_of_it(f) == before; i++)
		put_big(f, 200 + i, true);
	assert_true(segment_of_it(f) != before);
	fixture_settle(f);
	fixture_close(f);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_open(f);
	fixture_barrier(f);
	assert_int_equal(in_state(f, DELIVERY_ARRIVED), 1);
	assert_true(segment_of_it(f) != before);
}

/* ---- a ledger of the version before ----------------------------------------
 */

static void make_old(struct fixture *f)
{
	struct db_options o = {.path = f->ledger, .busy_ms = 100};
	struct migrations old = migrations_ledger;
	char why[DB_WHY_LEN];
	sqlite3 *db;

	old.n = 2;
	assert_int_equal(db_open(&o, &db, why), ERR_OK);
	assert_int_equal(migrations_run(db, &old, why), ERR_OK);
	assert_int_equal(db_exec(db, "INSERT INTO kinds VALUES(1,'c','t');"
				     "INSERT INTO origins VALUES(1,7,'l','d',"
				     "'p','a','b',1);"
				     "INSERT INTO series VALUES(1,'s','t','CT',"
				     "1,NULL);"
				     "INSERT INTO instances VALUES(1,"
				     "zeroblob(16),1,1,1,1,'1.2',0,9,1,"
				     "zeroblob(32),NULL,NULL,NULL,NULL)"),
			 ERR_OK);
	db_close(db);
}

static void an_older_ledger_is_taken_over(void **state)
{
	struct fixture *f = *state;

	make_old(f);
	(void)one_arrived(f);
	assert_false(fixture_has(f, "ledger.db.corrupt"));
	assert_int_equal(fixture_sql(f, "PRAGMA user_version"),
			 migrations_ledger.n);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 2);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"
					" WHERE link_owner IS NULL"),
			 2);
	expect_state(f, DELIVERY_ARRIVED);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(it_keeps_its_bytes_and_is_not_queued),
	    T(what_the_far_archive_says_ends_it),
	    T(one_that_never_was_told_arrived_is_delivered),
	    T(released_it_is_queued_again),
	    T(it_may_be_held_or_quarantined_or_given_up),
	    T(it_may_go_another_way),
	    T(saying_it_twice_changes_nothing),
	    T(it_does_not_hold_back_its_like),
	    T(they_are_fetched_in_order_of_arrival),
	    T(why_it_stays_there_may_be_noted),
	    T(why_it_stays_there_may_come_first),
	    T(what_a_link_says_of_its_far_end_is_known_as_such),
	    T(a_view_lists_them),
	    T(a_restart_and_a_rebuild_keep_it),
	    T(moving_and_losing_the_ledger_keep_it),
	    T(an_older_ledger_is_taken_over),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
