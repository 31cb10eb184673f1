#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/commitment_plan.h"

/* Received at 1000, looked at right away. */
static const struct commitment_facts fresh = {
    .now_ms = 1000,
    .received_ms = 1000,
    .unknown_ms = 60,
    .deadline_ms = 3000,
};

static void is(const struct commitment_facts *f, enum commitment_step step,
	       int64_t again)
{
	struct commitment_plan p = commitment_plan(f);

	assert_int_equal(p.step, step);
	assert_int_equal(p.again_ms, again);
}

static void what_has_arrived_is_asked_for_at_once(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.arrived = 3;
	is(&f, STEP_ASK, 0);
	f.lost = 1;
	is(&f, STEP_ASK, 0);
}

static void one_that_is_on_its_way_is_waited_for(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.arrived = 3;
	f.waiting = 1;
	f.unknown = 1;
	f.lost = 1;
	is(&f, STEP_WAIT, 4000);
	f.now_ms = 3999;
	is(&f, STEP_WAIT, 4000);
}

static void unknown_ones_wait_their_time_and_then_pass(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.unknown = 1;
	is(&f, STEP_WAIT, 1060);
	f.lost = 2;
	f.arrived = 2;
	is(&f, STEP_WAIT, 1060);
	f.now_ms = 1060;
	is(&f, STEP_ASK, 0);
	f.arrived = f.lost = 0;
	is(&f, STEP_ASK, 0);
	f.now_ms = 1000;
	f.unknown_ms = 5000; /* longer than the deadline */
	is(&f, STEP_WAIT, 4000);
}

static void nothing_but_lost_ones_is_denied_at_once(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.lost = 2;
	is(&f, STEP_DENY, 0);
}

static void once_asked_the_archive_has_the_word(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.asked = ASKED_OPEN;
	is(&f, STEP_WAIT, 4000);
	f.blocked = true;
	is(&f, STEP_WAIT, 4000);
	f.asked = ASKED_FAILED;
	is(&f, STEP_REFUSED, 0);
}

static void an_archive_that_is_silent_is_asked_again_and_again(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.asked = ASKED_OPEN;
	f.deadline_ms = 80000;
	f.accepted_ms = 2000;
	is(&f, STEP_WAIT, 12000);
	f.now_ms = 12000;
	is(&f, STEP_REPEAT, 0);
	f.accepted_ms = 12000;
	f.repeats = 1;
	is(&f, STEP_WAIT, 32000);
	f.repeats = 1000;
	is(&f, STEP_WAIT, 81000); /* the deadline */
	f.deadline_ms = 3 * UINT64_C(86400000);
	f.repeats = 0;
	is(&f, STEP_WAIT, 612000);
	f.repeats = 2;
	is(&f, STEP_WAIT, 2412000);
}

static void an_older_one_of_the_same_name_comes_first(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.arrived = 1;
	f.blocked = true;
	is(&f, STEP_WAIT, 4000);
}

static void the_deadline_ends_every_wait(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.now_ms = 4000;
	for (unsigned i = 0; i < 8; i++) {
		f.asked = i & 1 ? ASKED_OPEN : ASKED_NOT;
		f.blocked = (i & 2) != 0;
		f.waiting = i & 4;
		is(&f, STEP_OVERDUE, 0);
	}
}

static void a_report_ends_it_whatever_else_is_known(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		f.reported = (i & 1) != 0;
		f.covered = !f.reported;
		f.blocked = (i & 2) != 0;
		f.asked = i & 4 ? ASKED_FAILED : ASKED_NOT;
		f.now_ms = i & 8 ? 9000 : 1000;
		is(&f, STEP_FINISH, 0);
	}
}

static void times_at_the_edges_do_not_overflow(void **state)
{
	struct commitment_facts f = fresh;

	(void)state;
	f.unknown = 1;
	f.deadline_ms = UINT64_MAX;
	f.unknown_ms = UINT64_MAX;
	is(&f, STEP_WAIT, INT64_MAX);
	f.received_ms = INT64_MAX;
	is(&f, STEP_WAIT, INT64_MAX);
	f.received_ms = -5; /* before 1970 */
	f.deadline_ms = 3000;
	f.now_ms = 0;
	is(&f, STEP_WAIT, 2995);
}

static void every_state_of_a_delivery_has_its_meaning(void **state)
{
	static const enum named_state named[DELIVERY_N_STATES] = {
	    [DELIVERY_QUEUED] = NAMED_WAITING,
	    [DELIVERY_HELD] = NAMED_WAITING,
	    [DELIVERY_QUARANTINED] = NAMED_LOST,
	    [DELIVERY_DELIVERED] = NAMED_ARRIVED,
	    [DELIVERY_WITHDRAWN] = NAMED_LOST,
	    [DELIVERY_DISCARDED] = NAMED_LOST,
	    [DELIVERY_UNCOMMITTED] = NAMED_ARRIVED,
	    [DELIVERY_COMMITTED] = NAMED_ARRIVED,
	    [DELIVERY_ARRIVED] = NAMED_WAITING,
	};

	(void)state;
	for (int s = 0; s < DELIVERY_N_STATES; s++) {
		enum delivery_state d = (enum delivery_state)s;

		assert_int_equal(commitment_named(true, d), named[s]);
		assert_int_equal(commitment_named(false, d), NAMED_UNKNOWN);
		assert_int_equal(commitment_asked(d), named[s] == NAMED_LOST
							  ? ASKED_FAILED
							  : ASKED_OPEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_has_arrived_is_asked_for_at_once),
	    cmocka_unit_test(one_that_is_on_its_way_is_waited_for),
	    cmocka_unit_test(unknown_ones_wait_their_time_and_then_pass),
	    cmocka_unit_test(nothing_but_lost_ones_is_denied_at_once),
	    cmocka_unit_test(once_asked_the_archive_has_the_word),
	    cmocka_unit_test(
		an_archive_that_is_silent_is_asked_again_and_again),
	    cmocka_unit_test(an_older_one_of_the_same_name_comes_first),
	    cmocka_unit_test(the_deadline_ends_every_wait),
	    cmocka_unit_test(a_report_ends_it_whatever_else_is_known),
	    cmocka_unit_test(times_at_the_edges_do_not_overflow),
	    cmocka_unit_test(every_state_of_a_delivery_has_its_meaning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
