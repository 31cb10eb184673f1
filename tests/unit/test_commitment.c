/* One commitment, from the request to its report. */
#include "tests/unit/commitment_kit.h"

/* ---- the usual way ------------------------------------------------------ */

static void what_has_arrived_is_asked_for_and_reported(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	put_delivered(w, 1);
	put_delivered(w, 2);
	m1 = request(w, T1, 1, 2);
	m = await_asked(w, T1);
	assert_string_equal(m.destination, "cloud");
	assert_string_equal(m.device, "ct-1");
	assert_string_equal(m.calling_ae, "CT1");
	assert_string_equal(m.called_ae, "ARCHIVE");
	assert_string_equal(m.sop_class, UID_COMMITMENT);
	assert_string_equal(m.sop_instance, UID_COMMITMENT_INSTANCE);
	assert_int_equal(m.type, COMMIT_ACTION_TYPE);
	assert_int_equal(m.state, DELIVERY_QUEUED);
	names(w, &m, 1, "..");
	delivered(w, &m.transfer);
	quiet();
	await_state(w, T1, &m1, DELIVERY_HELD);
	assert_int_equal(report(w, T1, 1, ".."), 0);
	m = await_reported(w, T1);
	assert_string_equal(m.destination, "@ct-1");
	assert_string_equal(m.calling_ae, "ARCHIVE"); /* swapped */
	assert_string_equal(m.called_ae, "CT1");
	assert_int_equal(m.state, DELIVERY_QUEUED);
	names(w, &m, 1, "..");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
}

static void one_in_the_queue_holds_the_request_back(void **state)
{
	struct world *w = *state;
	struct commitment_stats st;
	struct transfer_id late;
	struct view_message m;

	put_delivered(w, 1);
	late = put_instance(w, 2);
	request(w, T1, 1, 2);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	commitment_stats(w->c, &st);
	assert_int_equal(st.waiting, 1);
	assert_true(st.oldest_ms > 0);
	delivered(w, &late);
	m = await_asked(w, T1);
	names(w, &m, 1, "..");
	UNTIL(w, (commitment_stats(w->c, &st), st.asked == 1));
	assert_int_equal(st.waiting, 0);
}

static void what_is_in_quarantine_is_not_asked_for_and_fails(void **state)
{
	struct world *w = *state;
	struct transfer_id bad;
	struct view_message m;

	put_delivered(w, 1);
	bad = put_instance(w, 2);
	put_delivered(w, 3);
	fixture_outcome(&w->f, &bad, OUTCOME_QUARANTINED, "cloud");
	request(w, T1, 1, 3);
	m = await_asked(w, T1);
	{
		struct commit_set set;

		read_set(w, &m, &set);
		assert_int_equal(set.n, 2);
		assert_string_equal(set.refs[1].sop_instance, "1.2.3.4.3");
		commit_free(&set);
	}
	assert_int_equal(report(w, T1, 1, ".-."), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x.");
}

static void nothing_left_to_ask_is_reported_at_once(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_instance(w, 1), b = put_instance(w, 2), m1;
	struct view_message m;

	fixture_outcome(&w->f, &a, OUTCOME_QUARANTINED, "cloud");
	fixture_outcome(&w->f, &b, OUTCOME_WITHDRAWN, "cloud");
	m1 = request(w, T1, 1, 2);
	m = await_reported(w, T1);
	names(w, &m, 1, "xx");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
}

static void unknown_ones_wait_and_then_pass(void **state)
{
	struct world *w = *state;
	int64_t begun = clock_wall_ms();
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 2);
	m = await_asked(w, T1);
	assert_true(clock_wall_ms() - begun >= 300);
	names(w, &m, 1, "..");
	assert_int_equal(report(w, T1, 1, ".2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".2");
}

static void one_that_comes_after_the_request_is_waited_for(void **state)
{
	struct world *w = *state;
	struct transfer_id late;

	request(w, T1, 1, 1);
	late = put_instance(w, 1);
	quiet(); /* longer than unknown ones wait */
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	delivered(w, &late);
	(void)await_asked(w, T1);
}

static void the_newest_of_two_with_one_uid_counts(void **state)
{
	struct world *w = *state;
	struct transfer_id again;

	put_delivered(w, 1);
	again = put_instance(w, 1);
	request(w, T1, 1, 1);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	delivered(w, &again);
	(void)await_asked(w, T1);
}

/* ---- reports ------------------------------------------------------------ */

static void what_the_archive_leaves_out_is_not_safe(void **state)
{
	struct world *w = *state;
	struct view_message m;

	for (unsigned i = 1; i <= 4; i++)
		put_delivered(w, i);
	request(w, T1, 1, 4);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, ".-2x"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x2x");
}

static void a_report_that_comes_again_changes_nothing(void **state)
{
	struct world *w = *state;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	assert_int_equal(report(w, T1, 1, "x"), 0);
	(void)await_reported(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	restart(w);
	assert_int_equal(report(w, T1, 1, "."), 0);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void reports_that_answer_nothing_are_refused(void **state)
{
	struct world *w = *state;
	struct commit_set set;
	struct transfer_id m1;

	assert_int_equal(report(w, T2, 1, "."), 0x110);
	put_delivered(w, 1);
	m1 = request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T2, 1, "."), 0x110);
	assert_int_equal(report(w, T1, 7, "."), 0x110); /* never asked for */
	fill(&set, T1, 1, 1);
	assert_int_equal(report_set(w, &set, "other"), 0x110);
	assert_int_equal(report_set(w, &set, "ct-1"), 0x110); /* itself */
	/* nor does another modality vouch for it */
	assert_int_equal(report_set(w, &set, "ct-2"), 0x110);
	assert_int_equal(give(w, "garbage!", 8, 1, "cloud"), 0x115);
	assert_int_equal(give(w, "", 0, 1, "cloud"), 0x115);
	assert_int_equal(give(w, "", 0, 3, "cloud"), 0x113);
	quiet();
	await_state(w, T1, &m1, DELIVERY_HELD);
	/* the archive may also come as a device */
	assert_int_equal(report_set(w, &set, "archive"), 0);
	(void)await_reported(w, T1);
	commit_free(&set);
}

/* Before the engine has asked, nobody can answer. */
static void a_report_that_comes_too_early_is_refused(void **state)
{
	struct world *w = *state;
	struct transfer_id late = put_instance(w, 1);

	request(w, T1, 1, 1);
	assert_int_equal(report(w, T1, 1, "."), 0x110);
	delivered(w, &late);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
}

/* ---- failures ----------------------------------------------------------- */

static void the_deadline_is_reported_as_failure(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	w->cfg->commitment.deadline = 1500;
	put_delivered(w, 1);
	put_instance(w, 2);
	m1 = request(w, T1, 1, 1); /* asked, never answered */
	request(w, T2, 1, 2);      /* never asked */
	(void)await_asked(w, T1);
	m = await_reported(w, T1);
	names(w, &m, 1, "x");
	m = await_reported(w, T2);
	names(w, &m, 1, "xx");
	assert_int_equal(count_of(w, T2, N_ACTION_RQ), 0);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, T1, 1, "."), 0); /* too late */
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

/* The report was lost: the archive had nobody to give it to. */
static void a_silent_archive_is_asked_again_by_another_name(void **state)
{
	struct world *w = *state;
	struct view_message m, again;
	struct transfer_id m1;

	w->cfg->commitment.deadline = 8000;
	put_delivered(w, 1);
	m1 = request(w, T1, 1, 1);
	m = await_asked(w, T1);
	delivered(w, &m.transfer);
	fixture_settle(&w->f);
	again = await_nth(w, NULL, N_ACTION_RQ, 2);
	assert_memory_equal(again.transaction, "2.25.", 5);
	assert_string_equal(again.peer, m.peer);
	names(w, &again, 1, ".");
	assert_int_equal(report(w, again.transaction, 1, "2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, "2");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, again.transaction, 1, "."), 0);
	assert_int_equal(report(w, T1, 1, "."), 0);
	quiet();
	assert_int_equal(count_of(w, NULL, N_EVENT_REPORT_RQ), 1);
}

static void a_request_that_the_archive_refuses_is_reported(void **state)
{
	struct world *w = *state;
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	m = await_asked(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_QUARANTINED, "cloud");
	m = await_reported(w, T1);
	names(w, &m, 1, "x");
}

static void a_request_that_cannot_be_read_is_put_aside(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct instance in;

	held_action(&in, "ct-1", "CT1", T1);
	m1 = put_bytes(w, &in, "garbage!", 8);
	await_state(w, T1, &m1, DELIVERY_QUARANTINED);
	/* and others go on */
	put_delivered(w, 1);
	request(w, T2, 1, 1);
	(void)await_asked(w, T2);
}

/* ---- one transaction UID, several requests ------------------------------ */

static void the_same_request_again_is_answered_once(void **state)
{
	struct world *w = *state;
	struct transfer_id late = put_instance(w, 1), a, b;
	struct view_message m;

	a = request(w, T1, 1, 1);
	b = request(w, T1, 1, 1);
	delivered(w, &late);
	(void)await_asked(w, T1);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_reported(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_DELIVERED, "@ct-1");
	await_state(w, T1, &a, DELIVERY_DELIVERED);
	await_state(w, T1, &b, DELIVERY_WITHDRAWN);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void one_whose_report_is_on_its_way_is_not_asked_for_again(void **state)
{
	struct world *w = *state;
	struct transfer_id again;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	(void)await_reported(w, T1);
	again = request(w, T1, 1, 1);
	await_state(w, T1, &again, DELIVERY_WITHDRAWN);
	restart(w);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void after_its_report_was_delivered_it_is_a_new_request(void **state)
{
	struct world *w = *state;
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "x"), 0);
	m = await_reported(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_DELIVERED, "@ct-1");
	fixture_settle(&w->f);
	request(w, T1, 1, 1);
	(void)await_nth(w, T1, N_ACTION_RQ, 2);
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_nth(w, T1, N_EVENT_REPORT_RQ, 2);
	names(w, &m, 1, ".");
}

static void two_devices_with_one_transaction_take_turns(void **state)
{
	struct world *w = *state;
	struct transfer_id a, b;
	struct view_message m;

	put_delivered(w, 1);
	put_delivered(w, 2);
	a = request_of(w, 1, T1, 1, 1);
	b = request_of(w, 2, T1, 2, 1);
	m = await_asked(w, T1);
	assert_string_equal(m.device, "ct-1");
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(report(w, T1, 2, "."), 0x110); /* not its turn */
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_reported(w, T1);
	assert_string_equal(m.destination, "@ct-1");
	await_state(w, T1, &a, DELIVERY_DELIVERED);
	m = await_nth(w, T1, N_ACTION_RQ, 2);
	assert_string_equal(m.device, "ct-2");
	names(w, &m, 2, ".");
	await_state(w, T1, &b, DELIVERY_HELD);
	assert_int_equal(report(w, T1, 2, "2"), 0);
	m = await_nth(w, T1, N_EVENT_REPORT_RQ, 2);
	assert_string_equal(m.destination, "@ct-2");
	assert_string_equal(m.called_ae, "CT2");
	names(w, &m, 2, "2");
	await_state(w, T1, &b, DELIVERY_DELIVERED);
}

/* ---- requests that were released by hand -------------------------------- */

static void one_that_went_by_itself_gets_its_report_too(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	put_instance(w, 1);
	m1 = request(w, T1, 1, 1);
	fixture_outcome(&w->f, &m1, OUTCOME_RELEASED, "cloud");
	await_state(w, T1, &m1, DELIVERY_QUEUED);
	delivered(w, &m1);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, T1, 1, "2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, "2");
	assert_int_equal(report(w, T1, 1, "2"), 0);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(what_has_arrived_is_asked_for_and_reported),
	    TEST(one_in_the_queue_holds_the_request_back),
	    TEST(what_is_in_quarantine_is_not_asked_for_and_fails),
	    TEST(nothing_left_to_ask_is_reported_at_once),
	    TEST(unknown_ones_wait_and_then_pass),
	    TEST(one_that_comes_after_the_request_is_waited_for),
	    TEST(the_newest_of_two_with_one_uid_counts),
	    TEST(what_the_archive_leaves_out_is_not_safe),
	    TEST(a_report_that_comes_again_changes_nothing),
	    TEST(reports_that_answer_nothing_are_refused),
	    TEST(a_report_that_comes_too_early_is_refused),
	    TEST(the_deadline_is_reported_as_failure),
	    TEST(a_silent_archive_is_asked_again_by_another_name),
	    TEST(a_request_that_the_archive_refuses_is_reported),
	    TEST(a_request_that_cannot_be_read_is_put_aside),
	    TEST(the_same_request_again_is_answered_once),
	    TEST(one_whose_report_is_on_its_way_is_not_asked_for_again),
	    TEST(after_its_report_was_delivered_it_is_a_new_request),
	    TEST(two_devices_with_one_transaction_take_turns),
	    TEST(one_that_went_by_itself_gets_its_report_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
