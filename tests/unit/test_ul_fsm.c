#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/dicom/ul_fsm.h"
#include "proxy/lib/mem.h"

/* Table 9-10 once more, as the standard prints it: event by event, the cells
 * Sta1..Sta13, "-" for an empty one. */
static const char *const table[UL_N_EVENTS] = {
    "AE-1 - - - - - - - - - - - -",
    "- - - AE-2 - - - - - - - - -",
    "- AA-1 AA-8 - AE-3 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
    "- AA-1 AA-8 - AE-4 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
    "AE-5 - - - - - - - - - - - -",
    "- AE-6 AA-8 - AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7",
    "- - AE-7 - - - - - - - - - -",
    "- - AE-8 - - - - - - - - - -",
    "- - - - - DT-1 - AR-7 - - - - -",
    "- AA-1 AA-8 - AA-8 DT-2 AR-6 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
    "- - - - - AR-1 - - - - - - -",
    "- AA-1 AA-8 - AA-8 AR-2 AR-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
    "- AA-1 AA-8 - AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6",
    "- - - - - - - AR-4 AR-9 - - AR-4 -",
    "- - AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 -",
    "- AA-2 AA-3 - AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-2",
    "- AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AR-5",
    "- AA-2 - - - - - - - - - - AA-2",
    "- AA-1 AA-8 - AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7",
};

/* Tables 9-6 to 9-9: where each action leads. */
static const struct {
	const char *action;
	enum ul_state next, other;
} leads[] = {
    {"AE-1", UL_STA4, UL_STA4},   {"AE-2", UL_STA5, UL_STA5},
    {"AE-3", UL_STA6, UL_STA6},   {"AE-4", UL_STA1, UL_STA1},
    {"AE-5", UL_STA2, UL_STA2},   {"AE-6", UL_STA3, UL_STA13},
    {"AE-7", UL_STA6, UL_STA6},   {"AE-8", UL_STA13, UL_STA13},
    {"DT-1", UL_STA6, UL_STA6},   {"DT-2", UL_STA6, UL_STA6},
    {"AR-1", UL_STA7, UL_STA7},   {"AR-2", UL_STA8, UL_STA8},
    {"AR-3", UL_STA1, UL_STA1},   {"AR-4", UL_STA13, UL_STA13},
    {"AR-5", UL_STA1, UL_STA1},   {"AR-6", UL_STA7, UL_STA7},
    {"AR-7", UL_STA8, UL_STA8},   {"AR-8", UL_STA9, UL_STA10},
    {"AR-9", UL_STA11, UL_STA11}, {"AR-10", UL_STA12, UL_STA12},
    {"AA-1", UL_STA13, UL_STA13}, {"AA-2", UL_STA1, UL_STA1},
    {"AA-3", UL_STA1, UL_STA1},   {"AA-4", UL_STA1, UL_STA1},
    {"AA-5", UL_STA1, UL_STA1},   {"AA-6", UL_STA13, UL_STA13},
    {"AA-7", UL_STA13, UL_STA13}, {"AA-8", UL_STA13, UL_STA13},
};

static void check_lead(const char *action, struct ul_step step)
{
	for (size_t i = 0; i < ARRAY_LEN(leads); i++) {
		if (strcmp(leads[i].action, action) != 0)
			continue;
		assert_int_equal(step.next, leads[i].next);
		assert_int_equal(step.other, leads[i].other);
		return;
	}
	fail();
}

static void every_cell_is_that_of_table_9_10(void **state)
{
	char cell[8];
	int full = 0;

	(void)state;
	for (int e = 0; e < UL_N_EVENTS; e++) {
		const char *row = table[e];

		for (int s = 0; s < UL_N_STATES; s++) {
			struct ul_step step =
			    ul_fsm((enum ul_state)s, (enum ul_event)e);
			int n = 0;

			assert_int_equal(sscanf(row, "%7s%n", cell, &n), 1);
			row += n;
			assert_string_equal(ul_action_name(step.action), cell);
			if (strcmp(cell, "-") == 0) {
				assert_int_equal(step.action, UL_NONE);
				assert_int_equal(step.next, s);
				assert_int_equal(step.other, s);
			} else {
				check_lead(cell, step);
				full++;
			}
		}
	}
	assert_int_equal(full, 123);
}

/* A transport exists in all states but Sta1 and Sta4. */
static void a_peer_can_never_meet_an_empty_cell(void **state)
{
	static const enum ul_event of_peer[] = {
	    UL_EVT3,  UL_EVT4,  UL_EVT6,  UL_EVT10, UL_EVT12,
	    UL_EVT13, UL_EVT16, UL_EVT17, UL_EVT19,
	};

	(void)state;
	for (int s = 0; s < UL_N_STATES; s++) {
		if (s == UL_STA1 || s == UL_STA4)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(of_peer); i++)
			assert_int_not_equal(
			    ul_fsm((enum ul_state)s, of_peer[i]).action,
			    UL_NONE);
	}
}

static void every_state_can_end(void **state)
{
	(void)state;
	for (int s = 0; s < UL_N_STATES; s++) {
		enum ul_event ev = UL_EVT17;

		if (s == UL_STA1)
			continue;
		assert_int_equal(ul_fsm((enum ul_state)s, ev).next, UL_STA1);
	}
}

static void walk(const enum ul_event *events, const enum ul_state *states,
		 size_t n, bool acceptor)
{
	enum ul_state at = UL_STA1;

	for (size_t i = 0; i < n; i++) {
		struct ul_step step = ul_fsm(at, events[i]);

		assert_int_not_equal(step.action, UL_NONE);
		at = acceptor && step.action == UL_AR8 ? step.other : step.next;
		assert_int_equal(at, states[i]);
	}
}

static void both_sides_live_a_whole_association(void **state)
{
	static const enum ul_event rq[] = {UL_EVT1,  UL_EVT2,  UL_EVT3,
					   UL_EVT9,  UL_EVT10, UL_EVT11,
					   UL_EVT10, UL_EVT13};
	static const enum ul_state rq_at[] = {UL_STA4, UL_STA5, UL_STA6,
					      UL_STA6, UL_STA6, UL_STA7,
					      UL_STA7, UL_STA1};
	static const enum ul_event ac[] = {UL_EVT5,  UL_EVT6,  UL_EVT7,
					   UL_EVT10, UL_EVT12, UL_EVT9,
					   UL_EVT14, UL_EVT17};
	static const enum ul_state ac_at[] = {UL_STA2,  UL_STA3, UL_STA6,
					      UL_STA6,  UL_STA8, UL_STA8,
					      UL_STA13, UL_STA1};

	(void)state;
	walk(rq, rq_at, ARRAY_LEN(rq), false);
	walk(ac, ac_at, ARRAY_LEN(ac), true);
}

static void release_collisions_end_on_both_sides(void **state)
{
	static const enum ul_event rq[] = {
	    UL_EVT1, UL_EVT2, UL_EVT3, UL_EVT11, UL_EVT12, UL_EVT14, UL_EVT13};
	static const enum ul_state rq_at[] = {
	    UL_STA4, UL_STA5, UL_STA6, UL_STA7, UL_STA9, UL_STA11, UL_STA1};
	static const enum ul_event ac[] = {UL_EVT5,  UL_EVT6,  UL_EVT7,
					   UL_EVT11, UL_EVT12, UL_EVT13,
					   UL_EVT14, UL_EVT18};
	static const enum ul_state ac_at[] = {UL_STA2,  UL_STA3,  UL_STA6,
					      UL_STA7,  UL_STA10, UL_STA12,
					      UL_STA13, UL_STA1};

	(void)state;
	walk(rq, rq_at, ARRAY_LEN(rq), false);
	walk(ac, ac_at, ARRAY_LEN(ac), true);
}

static void everything_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(ul_state_name(UL_STA13), "Sta13");
	assert_string_equal(ul_event_name(UL_EVT19), "Evt19");
	assert_string_equal(ul_action_name(UL_AA8), "AA-8");
	assert_string_equal(ul_action_name(UL_NONE), "-");
	for (int i = 0; i < UL_N_STATES; i++)
		assert_true(strlen(ul_state_text((enum ul_state)i)) > 3);
	for (int i = 0; i < UL_N_EVENTS; i++)
		assert_true(strlen(ul_event_text((enum ul_event)i)) > 3);
	for (int i = 0; i < UL_N_ACTIONS; i++)
		assert_true(strlen(ul_action_text((enum ul_action)i)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_cell_is_that_of_table_9_10),
	    cmocka_unit_test(a_peer_can_never_meet_an_empty_cell),
	    cmocka_unit_test(every_state_can_end),
	    cmocka_unit_test(both_sides_live_a_whole_association),
	    cmocka_unit_test(release_collisions_end_on_both_sides),
	    cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests_name("ul_fsm", tests, NULL, NULL);
}
