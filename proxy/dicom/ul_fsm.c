#include "proxy/dicom/ul_fsm.h"

#include <assert.h>

#include "proxy/lib/mem.h"

/* Table 9-10, a row for each event, a column for each state Sta1..Sta13; "NN"
 * is an empty cell of the standard's. Short names for the grid only. */
#define NN   UL_NONE
#define A(n) UL_AA##n
#define E(n) UL_AE##n
#define R(n) UL_AR##n
#define D(n) UL_DT##n

/* clang-format off */
static const unsigned char grid[UL_N_EVENTS][UL_N_STATES] = {
/*            1     2     3     4     5     6     7     8     9     10     11    12    13 */
[UL_EVT1]  = {E(1), NN,   NN,   NN,   NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT2]  = {NN,   NN,   NN,   E(2), NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT3]  = {NN,   A(1), A(8), NN,   E(3), A(8), A(8), A(8), A(8), A(8),  A(8), A(8), A(6)},
[UL_EVT4]  = {NN,   A(1), A(8), NN,   E(4), A(8), A(8), A(8), A(8), A(8),  A(8), A(8), A(6)},
[UL_EVT5]  = {E(5), NN,   NN,   NN,   NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT6]  = {NN,   E(6), A(8), NN,   A(8), A(8), A(8), A(8), A(8), A(8),  A(8), A(8), A(7)},
[UL_EVT7]  = {NN,   NN,   E(7), NN,   NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT8]  = {NN,   NN,   E(8), NN,   NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT9]  = {NN,   NN,   NN,   NN,   NN,   D(1), NN,   R(7), NN,   NN,    NN,   NN,   NN},
[UL_EVT10] = {NN,   A(1), A(8), NN,   A(8), D(2), R(6), A(8), A(8), A(8),  A(8), A(8), A(6)},
[UL_EVT11] = {NN,   NN,   NN,   NN,   NN,   R(1), NN,   NN,   NN,   NN,    NN,   NN,   NN},
[UL_EVT12] = {NN,   A(1), A(8), NN,   A(8), R(2), R(8), A(8), A(8), A(8),  A(8), A(8), A(6)},
[UL_EVT13] = {NN,   A(1), A(8), NN,   A(8), A(8), R(3), A(8), A(8), R(10), R(3), A(8), A(6)},
[UL_EVT14] = {NN,   NN,   NN,   NN,   NN,   NN,   NN,   R(4), R(9), NN,    NN,   R(4), NN},
[UL_EVT15] = {NN,   NN,   A(1), A(2), A(1), A(1), A(1), A(1), A(1), A(1),  A(1), A(1), NN},
[UL_EVT16] = {NN,   A(2), A(3), NN,   A(3), A(3), A(3), A(3), A(3), A(3),  A(3), A(3), A(2)},
[UL_EVT17] = {NN,   A(5), A(4), A(4), A(4), A(4), A(4), A(4), A(4), A(4),  A(4), A(4), R(5)},
[UL_EVT18] = {NN,   A(2), NN,   NN,   NN,   NN,   NN,   NN,   NN,   NN,    NN,   NN,   A(2)},
[UL_EVT19] = {NN,   A(1), A(8), NN,   A(8), A(8), A(8), A(8), A(8), A(8),  A(8), A(8), A(7)},
};
/* clang-format on */

#undef NN
#undef A
#undef E
#undef R
#undef D

static const unsigned char next_of[UL_N_ACTIONS] = {
#define X(name, label, text, next) [UL_##name] = UL_##next,
    UL_ACTION_MAP(X)
#undef X
};

struct ul_step ul_fsm(enum ul_state state, enum ul_event event)
{
	struct ul_step step;

	assert(state < UL_N_STATES && event < UL_N_EVENTS);
	step.action = grid[event][state];
	step.next = step.action == UL_NONE ? state : next_of[step.action];
	step.other = step.next;
	if (step.action == UL_AE6)
		step.other = UL_STA13;
	if (step.action == UL_AR8)
		step.other = UL_STA10;
	return step;
}

struct words {
	const char *name, *text;
};

static const struct words states[] = {
#define X(name, label, text) {label, text},
    UL_STATE_MAP(X)
#undef X
};

static const struct words events[] = {
#define X(name, label, text) {label, text},
    UL_EVENT_MAP(X)
#undef X
};

static const struct words actions[] = {{"-", "cannot happen"},
#define X(name, label, text, next) {label, text},
				       UL_ACTION_MAP(X)
#undef X
};

const char *ul_state_name(enum ul_state state)
{
	return state < UL_N_STATES ? states[state].name : "-";
}

const char *ul_event_name(enum ul_event event)
{
	return event < UL_N_EVENTS ? events[event].name : "-";
}

const char *ul_action_name(enum ul_action action)
{
	return action < UL_N_ACTIONS ? actions[action].name : "-";
}

const char *ul_state_text(enum ul_state state)
{
	return state < UL_N_STATES ? states[state].text : "-";
}

const char *ul_event_text(enum ul_event event)
{
	return event < UL_N_EVENTS ? events[event].text : "-";
}

const char *ul_action_text(enum ul_action action)
{
	return action < UL_N_ACTIONS ? actions[action].text : "-";
}
