/* No device is told of more than the archive has: what goes wrong between. */
#include "tests/unit/commitment_kit.h"

/* Two instances, of which the second is in quarantine. */
static void put_one_lost(struct world *w)
{
	struct transfer_id lost;

	put_delivered(w, 1);
	lost = put_instance(w, 2);
	fixture_outcome(&w->f, &lost, OUTCOME_QUARANTINED, "cloud");
}

static void an_answer_that_comes_again_is_not_the_word_for_all(void **state)
{
	struct world *w = *state;
	struct transfer_id a, b;
	struct view_message m;

	put_one_lost(w);
	a = request(w, T1, 1, 2);
	b = request(w, T1, 1, 2);
	m = await_asked(w, T1);
	names(w, &m, 1, ".");
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x");
	await_state(w, T1, &a, DELIVERY_DELIVERED);
	await_state(w, T1, &b, DELIVERY_WITHDRAWN);
	assert_int_equal(report(w, T1, 1, "."), 0);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void
a_request_released_after_it_was_asked_is_not_answered_for_all(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	put_one_lost(w);
	m1 = request(w, T1, 1, 2);
	m = await_asked(w, T1);
	delivered(w, &m.transfer);
	fixture_outcome(&w->f, &m1, OUTCOME_RELEASED, "cloud");
	await_state(w, T1, &m1, DELIVERY_QUEUED);
	delivered(w, &m1);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, T1, 1, "."), 0x110);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 0);
}

/* A device that uses a transaction UID again, for other instances. */
static void a_report_on_its_way_answers_only_what_it_names(void **state)
{
	struct world *w = *state;
	struct transfer_id second;
	struct view_message m;

	put_delivered(w, 1);
	put_delivered(w, 2);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	(void)await_reported(w, T1);
	second = request(w, T1, 2, 1);
	m = await_nth(w, T1, N_ACTION_RQ, 2);
	names(w, &m, 2, ".");
	assert_int_equal(report(w, T1, 2, "2"), 0);
	m = await_nth(w, T1, N_EVENT_REPORT_RQ, 2);
	names(w, &m, 2, "2");
	await_state(w, T1, &second, DELIVERY_DELIVERED);
}

/* A clock that is set makes nothing overdue, and nothing wait for ever. */
static void a_request_of_the_future_does_not_wait_for_it(void **state)
{
	struct world *w = *state;
	struct commit_set set;
	struct view_message m;
	struct instance in;
	struct buf b;

	w->cfg->commitment.deadline = 1500;
	held_action(&in, "ct-1", "CT1", T1);
	in.received_ms += 3600 * 1000;
	fill(&set, T1, 1, 1);
	buf_init(&b, COMMIT_DATA_MAX);
	assert_int_equal(commit_encode_action(&set, TS_EXPLICIT_LE, &b),
			 ERR_OK);
	put_bytes(w, &in, buf_data(&b), buf_len(&b));
	buf_free(&b);
	commit_free(&set);
	m = await_asked(w, T1); /* after commitment.unknown */
	names(w, &m, 1, ".");
	m = await_reported(w, T1); /* after commitment.deadline */
	names(w, &m, 1, "x");
}

/* What was lost when it was asked, and is on its way now, was not asked for. */
static void what_is_on_its_way_again_is_not_asked_for_meanwhile(void **state)
{
	struct world *w = *state;
	struct transfer_id lost;
	struct view_message m;

	w->cfg->commitment.deadline = 8000;
	put_delivered(w, 1);
	lost = put_instance(w, 2);
	fixture_outcome(&w->f, &lost, OUTCOME_QUARANTINED, "cloud");
	request(w, T1, 1, 2);
	m = await_asked(w, T1);
	names(w, &m, 1, ".");
	fixture_outcome(&w->f, &lost, OUTCOME_RELEASED, "cloud");
	delivered(w, &m.transfer);
	for (int i = 0; i < 6; i++)
		quiet(); /* more than an eighth of the deadline */
	assert_int_equal(count_of(w, NULL, N_ACTION_RQ), 1);
	delivered(w, &lost);
	m = await_nth(w, NULL, N_ACTION_RQ, 2);
	names(w, &m, 1, "..");
}

/* It has one of that UID, but not the one that is in quarantine here. */
static void the_archive_has_no_say_in_what_it_was_not_sent(void **state)
{
	struct world *w = *state;
	struct view_message m;

	put_one_lost(w);
	request(w, T1, 1, 2);
	m = await_asked(w, T1);
	names(w, &m, 1, ".");
	assert_int_equal(report(w, T1, 1, ".."), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(an_answer_that_comes_again_is_not_the_word_for_all),
	    TEST(a_request_released_after_it_was_asked_is_not_answered_for_all),
	    TEST(a_report_on_its_way_answers_only_what_it_names),
	    TEST(a_request_of_the_future_does_not_wait_for_it),
	    TEST(what_is_on_its_way_again_is_not_asked_for_meanwhile),
	    TEST(the_archive_has_no_say_in_what_it_was_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
