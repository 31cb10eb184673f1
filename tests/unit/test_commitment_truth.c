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

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(an_answer_that_comes_again_is_not_the_word_for_all),
	    TEST(a_request_released_after_it_was_asked_is_not_answered_for_all),
	    TEST(a_report_on_its_way_answers_only_what_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
