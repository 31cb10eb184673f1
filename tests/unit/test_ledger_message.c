/* Messages in the ledger: order, held ones, commitment, rebuilding. */
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
#include "tests/unit/ledger_fixture.h"

enum { N_EVENT_REPORT = 0x0100, N_SET = 0x0120, N_ACTION = 0x0130 };

#define PUSH_MODEL          "1.2.840.10008.1.20.1"
#define PUSH_MODEL_INSTANCE "1.2.840.10008.1.20.1.1"

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

static struct instance message(uint16_t command, const char *transaction)
{
	struct instance in = fixture_instance(1);

	in.command = command;
	in.type = 1;
	INSTANCE_SET(in.sop_class, PUSH_MODEL);
	INSTANCE_SET(in.sop_instance, PUSH_MODEL_INSTANCE);
	INSTANCE_SET(in.transaction, transaction);
	in.study[0] = in.series[0] = in.modality[0] = '\0';
	return in;
}

static enum delivery_state state_of(struct fixture *f, const char *destination)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT d.state FROM deliveries d JOIN destinations t"
		 " ON t.id=d.destination WHERE t.name='%s'",
		 destination);
	return (enum delivery_state)fixture_sql(f, sql);
}

/* An instance for "cloud", which must commit, and perhaps for "second". */
static struct transfer_id put_committing(struct fixture *f, unsigned uid,
					 bool second)
{
	struct instance in = fixture_instance(uid);

	if (second) {
		in.n_destinations = 2;
		INSTANCE_SET(in.destinations[1], "second");
	}
	in.commit = 1;
	return fixture_put(f, &in, 5000);
}

static int64_t chunks(struct fixture *f)
{
	return fixture_sql(f, "SELECT count(*) FROM chunks");
}

/* ---- messages ------------------------------------------------------------ */

static void a_message_is_queued_as_it_came(void **state)
{
	struct fixture *f = *state;
	struct instance in = message(N_ACTION, "1.2.3.99");
	struct fixture_items got;

	fixture_open(f);
	fixture_put(f, &in, 300);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.items[0].command, N_ACTION);
	assert_int_equal(got.items[0].type, 1);
	assert_string_equal(got.items[0].transaction, "1.2.3.99");
	assert_string_equal(got.items[0].sop_class, PUSH_MODEL);
	assert_int_equal(got.items[0].length, 300);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_messages"
					" WHERE message='N-ACTION'"
					" AND state='queued'"),
			 1);
}

static void an_instance_is_no_message(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct fixture_items got;

	fixture_open(f);
	fixture_put(f, &in, 10);
	in.command = INSTANCE_C_STORE_RQ;
	fixture_put(f, &in, 10);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.items[0].command, 0);
	assert_string_equal(got.items[0].transaction, "");
	assert_int_equal(got.items[1].command, 0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM messages"), 0);
}

static void a_message_goes_before_the_instances_of_its_device(void **state)
{
	struct fixture *f = *state;
	struct instance urgent = fixture_instance(1);
	struct instance in = message(N_SET, "");
	struct fixture_items got;

	fixture_open(f);
	urgent.priority = 1;
	fixture_put(f, &urgent, 10);
	fixture_put(f, &in, 10);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.items[0].command, N_SET);
	assert_int_equal(got.items[0].priority, 3);
	assert_int_equal(got.items[1].priority, 2);
}

static void messages_of_one_instance_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct instance in = message(N_SET, "");
	struct fixture_items got;
	struct transfer_id first;

	fixture_open(f);
	first = fixture_put(f, &in, 10);
	fixture_put(f, &in, 11);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_false(got.items[0].earlier_open);
	assert_true(got.items[1].earlier_open);
	fixture_outcome(f, &first, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.items[0].length, 11);
	assert_false(got.items[0].earlier_open);
}

/* All of them are about the one well-known instance. */
static void messages_of_other_transactions_do_not_wait(void **state)
{
	struct fixture *f = *state;
	struct instance a = message(N_EVENT_REPORT, "1.2.1"),
			b = message(N_EVENT_REPORT, "1.2.2");
	struct fixture_items got;

	fixture_open(f);
	fixture_put(f, &a, 10);
	fixture_put(f, &b, 10);
	fixture_put(f, &a, 10);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 3);
	assert_false(got.items[0].earlier_open);
	assert_false(got.items[1].earlier_open);
	assert_true(got.items[2].earlier_open);
}

static void a_message_that_is_done_is_no_longer_open(void **state)
{
	struct fixture *f = *state;
	struct instance in = message(N_SET, "");
	struct transfer_id id;

	fixture_open(f);
	in.n_destinations = 2;
	INSTANCE_SET(in.destinations[1], "second");
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT open FROM messages"), 1);
	fixture_outcome(f, &id, OUTCOME_DISCARDED, "second");
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT open FROM messages"), 0);
	assert_int_equal(chunks(f), 0);
}

/* ---- held ---------------------------------------------------------------- */

static void a_held_message_waits_until_it_is_released(void **state)
{
	struct fixture *f = *state;
	struct instance in = message(N_ACTION, "1.2.3.99");
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	in.held = true;
	id = fixture_put(f, &in, 300);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 0);
	assert_int_equal(f->hints, 0);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_HELD);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_queue"
					" WHERE state='held' AND last_error"
					"='" LEDGER_HELD_REASON "'"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT count FROM totals"
					" WHERE state=1"),
			 1);
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(f->hints, 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM deliveries"
					" WHERE last_error IS NULL"),
			 1);
}

/* The request that goes upstream has the transaction of the held one. */
static void a_held_message_holds_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct instance held = message(N_ACTION, "1.2.3.99");
	struct instance in = held;
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	held.held = true;
	id = fixture_put(f, &held, 300);
	fixture_put(f, &held, 300);
	fixture_put(f, &in, 299);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.items[0].length, 299);
	assert_false(got.items[0].earlier_open);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM messages"
					" WHERE open=0"),
			 1);
}

/* ---- commitment ------------------------------------------------------------
 */

static void what_is_not_committed_keeps_its_space(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = put_committing(f, 1, true);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "second");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_UNCOMMITTED);
	assert_int_equal(state_of(f, "second"), DELIVERY_DELIVERED);
	assert_int_equal(chunks(f), 1);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 0);
	fixture_outcome(f, &id, OUTCOME_COMMITTED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_COMMITTED);
	assert_int_equal(chunks(f), 0);
	assert_int_equal(fixture_sql(f, "SELECT count FROM totals WHERE"
					" state=7"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT count FROM totals WHERE"
					" state=6"),
			 0);
	/* It waits for nothing, so it is not asked again. */
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_COMMITTED);
}

static void what_is_not_committed_does_not_hold_back_its_like(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = put_committing(f, 1, false);
	put_committing(f, 1, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_false(got.items[0].earlier_open);
}

static void what_was_refused_is_sent_again_and_may_be_quarantined(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = put_committing(f, 1, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.items[0].attempts, 0);
	assert_int_equal(chunks(f), 1);
	fixture_outcome(f, &id, OUTCOME_DELIVERED_FLAGGED, "cloud");
	fixture_outcome(f, &id, OUTCOME_QUARANTINED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_QUARANTINED);
	assert_int_equal(chunks(f), 1);
}

static void a_commitment_given_up_leaves_it_delivered(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;

	fixture_open(f);
	id = put_committing(f, 1, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_DISCARDED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_DELIVERED);
	assert_int_equal(chunks(f), 0);
}

static void one_that_was_redirected_need_not_be_committed(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;

	fixture_open(f);
	id = put_committing(f, 1, false);
	fixture_redirect(f, &id, "cloud", "other");
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "other");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_WITHDRAWN);
	assert_int_equal(state_of(f, "other"), DELIVERY_DELIVERED);
	assert_int_equal(chunks(f), 0);
}

static void the_uncommitted_are_fetched_in_order_of_arrival(void **state)
{
	struct fixture *f = *state;
	struct ledger_query q = {.destination = "cloud",
				 .state = DELIVERY_UNCOMMITTED,
				 .after = LEDGER_CURSOR_START,
				 .max = 2};
	struct fixture_items got;

	fixture_open(f);
	for (unsigned i = 0; i < 3; i++) {
		struct transfer_id id = put_committing(f, i, false);

		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
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

/* ---- rebuilding -------------------------------------------------------------
 */

static int64_t count_state(struct fixture *f, enum delivery_state s)
{
	char sql[80];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM deliveries WHERE state=%d", (int)s);
	return fixture_sql(f, sql);
}

static void put_one_of_each(struct fixture *f)
{
	struct instance in = message(N_ACTION, "1.2.3.99");
	struct transfer_id id;

	in.held = true;
	fixture_put(f, &in, 300);
	in.held = false;
	fixture_put(f, &in, 300);
	in = message(N_SET, "");
	id = fixture_put(f, &in, 20);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	id = put_committing(f, 1, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	id = put_committing(f, 2, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_COMMITTED, "cloud");
	id = put_committing(f, 3, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
}

static void check_one_of_each(struct fixture *f)
{
	assert_int_equal(count_state(f, DELIVERY_HELD), 1);
	assert_int_equal(count_state(f, DELIVERY_QUEUED), 2);
	assert_int_equal(count_state(f, DELIVERY_DELIVERED), 1);
	assert_int_equal(count_state(f, DELIVERY_UNCOMMITTED), 1);
	assert_int_equal(count_state(f, DELIVERY_COMMITTED), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM messages"
					" WHERE transaction_uid='1.2.3.99'"
					" AND command=304 AND open"),
			 2);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM messages"
					" WHERE command=288 AND NOT open"),
			 1);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM instances WHERE command=304"
			   " AND type=1"),
	    2);
	assert_int_equal(chunks(f), 4);
}

static void a_rebuilt_ledger_knows_messages_and_what_is_held(void **state)
{
	struct fixture *f = *state;
	char why[LEDGER_WHY_LEN];
	uint64_t n = 0;

	fixture_open(f);
	put_one_of_each(f);
	check_one_of_each(f);
	fixture_close_ledger(f);
	assert_int_equal(ledger_rebuild(&f->ledger_options, f->spool, &n, why),
			 ERR_OK);
	assert_int_equal(n, 6);
	check_one_of_each(f);
}

static void a_restart_keeps_messages_and_what_is_held(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	uint64_t hash;

	fixture_open(f);
	put_one_of_each(f);
	fixture_queued(f, "cloud", &got);
	hash = got.items[0].uid_hash;
	fixture_close(f);
	fixture_open(f);
	fixture_barrier(f);
	check_one_of_each(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_true(got.items[0].uid_hash == hash);
	assert_false(got.items[0].earlier_open);
	assert_false(got.items[1].earlier_open);
}

static void put_big(struct fixture *f, unsigned uid, bool deliver)
{
	struct instance in = fixture_instance(uid);
	struct transfer_id id = fixture_put(f, &in, 1000000);

	if (deliver)
		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
}

/* Its record is alone alive in its segment and is moved when space is short,
 * and what became of it is written again; then the ledger is lost. */
static void an_uncommitted_one_survives_moving_and_rebuilding(void **state)
{
	struct fixture *f = *state;
	struct ledger_query q = {.destination = "cloud",
				 .state = DELIVERY_UNCOMMITTED,
				 .after = LEDGER_CURSOR_START,
				 .max = 10};
	struct fixture_items got;
	struct transfer_id id;
	uint32_t before;

	fixture_open(f);
	id = put_committing(f, 9999, false);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	for (unsigned i = 0; i < 4; i++)
		put_big(f, i, true);
	fixture_settle(f);
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 1);
	before = got.items[0].first.segment;
	for (unsigned i = 0; i < 35; i++) /* more than half of the quota */
		put_big(f, 100 + i, false);
	for (unsigned i = 0; i < 300 && got.items[0].first.segment == before;
	     i++) {
		put_big(f, 200 + i, true);
		fixture_fetch(f, &q, &got);
		assert_int_equal(got.n, 1);
	}
	assert_true(got.items[0].first.segment != before);
	fixture_settle(f);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=6", 1);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_message_is_queued_as_it_came),
	    T(an_instance_is_no_message),
	    T(a_message_goes_before_the_instances_of_its_device),
	    T(messages_of_one_instance_keep_their_order),
	    T(messages_of_other_transactions_do_not_wait),
	    T(a_message_that_is_done_is_no_longer_open),
	    T(a_held_message_waits_until_it_is_released),
	    T(a_held_message_holds_nobody_else),
	    T(what_is_not_committed_keeps_its_space),
	    T(what_is_not_committed_does_not_hold_back_its_like),
	    T(what_was_refused_is_sent_again_and_may_be_quarantined),
	    T(a_commitment_given_up_leaves_it_delivered),
	    T(one_that_was_redirected_need_not_be_committed),
	    T(the_uncommitted_are_fetched_in_order_of_arrival),
	    T(a_rebuilt_ledger_knows_messages_and_what_is_held),
	    T(a_restart_keeps_messages_and_what_is_held),
	    T(an_uncommitted_one_survives_moving_and_rebuilding),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
