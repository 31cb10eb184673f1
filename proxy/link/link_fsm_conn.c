#include <assert.h>

#include "proxy/link/link_fsm.h"

/* clang-format off */
#define GO(action, next) {LINK_CONN_DO_##action, LINK_CONN_##next, \
			  LINK_CONN_##next}
#define OR(action, next, refused) {LINK_CONN_DO_##action, LINK_CONN_##next, \
				   LINK_CONN_##refused}
#define EV(name) [LINK_CONN_EV_##name]

/* A cell that is not written has action NONE. */
static const struct link_conn_step
    grid[LINK_CONN_N_STATES][LINK_CONN_N_EVENTS] = {
[LINK_CONN_START] = {
	EV(UP_HELLO)    = GO(SAY_HELLO, HELLO_SENT),
	EV(UP_JOIN)     = GO(SAY_JOIN, JOIN_SENT),
	EV(UP_ACCEPT)   = GO(LISTEN, FIRST),
	EV(TIMEOUT)     = GO(DROP, CLOSED),
	EV(STOP)        = GO(DROP, CLOSED),
	EV(END)         = GO(DROP, CLOSED),
},
[LINK_CONN_HELLO_SENT] = {
	EV(RX_HELLO)    = OR(AGREE, OPEN, CLOSING),
	EV(RX_JOIN)     = GO(BREAK, CLOSING),
	EV(RX_JOINED)   = GO(BREAK, CLOSING),
	EV(RX_PING)     = GO(BREAK, CLOSING),
	EV(RX_PONG)     = GO(BREAK, CLOSING),
	EV(RX_BYE)      = GO(HEAR_BYE, CLOSED),
	EV(RX_TRANSFER) = GO(BREAK, CLOSING),
	EV(RX_BROKEN)   = GO(BREAK, CLOSING),
	EV(TIMEOUT)     = GO(EXPIRE, CLOSING),
	EV(STOP)        = GO(LEAVE, CLOSING),
	EV(END)         = GO(DROP, CLOSED),
},
[LINK_CONN_JOIN_SENT] = {
	EV(RX_HELLO)    = GO(BREAK, CLOSING),
	EV(RX_JOIN)     = GO(BREAK, CLOSING),
	EV(RX_JOINED)   = OR(JOINED, OPEN, CLOSING),
	EV(RX_PING)     = GO(BREAK, CLOSING),
	EV(RX_PONG)     = GO(BREAK, CLOSING),
	EV(RX_BYE)      = GO(HEAR_BYE, CLOSED),
	EV(RX_TRANSFER) = GO(BREAK, CLOSING),
	EV(RX_BROKEN)   = GO(BREAK, CLOSING),
	EV(TIMEOUT)     = GO(EXPIRE, CLOSING),
	EV(STOP)        = GO(LEAVE, CLOSING),
	EV(END)         = GO(DROP, CLOSED),
},
[LINK_CONN_FIRST] = {
	EV(RX_HELLO)    = OR(ANSWER_HELLO, OPEN, CLOSING),
	EV(RX_JOIN)     = OR(ANSWER_JOIN, OPEN, CLOSING),
	EV(RX_JOINED)   = GO(BREAK, CLOSING),
	EV(RX_PING)     = GO(BREAK, CLOSING),
	EV(RX_PONG)     = GO(BREAK, CLOSING),
	EV(RX_BYE)      = GO(HEAR_BYE, CLOSED),
	EV(RX_TRANSFER) = GO(BREAK, CLOSING),
	EV(RX_BROKEN)   = GO(BREAK, CLOSING),
	EV(TIMEOUT)     = GO(EXPIRE, CLOSING),
	EV(STOP)        = GO(LEAVE, CLOSING),
	EV(END)         = GO(DROP, CLOSED),
},
[LINK_CONN_OPEN] = {
	EV(RX_HELLO)    = GO(BREAK, CLOSING),
	EV(RX_JOIN)     = GO(BREAK, CLOSING),
	EV(RX_JOINED)   = GO(BREAK, CLOSING),
	EV(RX_PING)     = GO(PONG, OPEN),
	EV(RX_PONG)     = GO(MEASURE, OPEN),
	EV(RX_BYE)      = GO(HEAR_BYE, CLOSED),
	EV(RX_TRANSFER) = GO(PASS, OPEN),
	EV(RX_BROKEN)   = GO(BREAK, CLOSING),
	EV(TIMEOUT)     = GO(EXPIRE, CLOSING),
	EV(STOP)        = GO(LEAVE, CLOSING),
	EV(END)         = GO(DROP, CLOSED),
},
[LINK_CONN_CLOSING] = {
	EV(RX_HELLO)    = GO(IGNORE, CLOSING),
	EV(RX_JOIN)     = GO(IGNORE, CLOSING),
	EV(RX_JOINED)   = GO(IGNORE, CLOSING),
	EV(RX_PING)     = GO(IGNORE, CLOSING),
	EV(RX_PONG)     = GO(IGNORE, CLOSING),
	EV(RX_BYE)      = GO(HEAR_BYE, CLOSED),
	EV(RX_TRANSFER) = GO(IGNORE, CLOSING),
	EV(RX_BROKEN)   = GO(DROP, CLOSED),
	EV(TIMEOUT)     = GO(DROP, CLOSED),
	EV(STOP)        = GO(IGNORE, CLOSING),
	EV(END)         = GO(DROP, CLOSED),
},
};
/* clang-format on */

#undef GO
#undef OR
#undef EV

struct link_conn_step link_conn_step(enum link_conn_state state,
				     enum link_conn_event event)
{
	struct link_conn_step step;

	assert(state < LINK_CONN_N_STATES && event < LINK_CONN_N_EVENTS);
	step = grid[state][event];
	if (step.action == LINK_CONN_DO_NONE)
		step.next = step.refused = state;
	return step;
}

const char *link_conn_state_name(enum link_conn_state state)
{
	static const char *const names[] = {
#define X(name, text) #name,
	    LINK_CONN_STATE_MAP(X)
#undef X
	};

	return state < LINK_CONN_N_STATES ? names[state] : "-";
}

const char *link_conn_event_name(enum link_conn_event event)
{
	static const char *const names[] = {
#define X(name, text) #name,
	    LINK_CONN_EVENT_MAP(X)
#undef X
	};

	return event < LINK_CONN_N_EVENTS ? names[event] : "-";
}

const char *link_conn_action_name(enum link_conn_action action)
{
	static const char *const names[] = {"-",
#define X(name, text) #name,
					    LINK_CONN_ACTION_MAP(X)
#undef X
	};

	return action < LINK_CONN_N_ACTIONS ? names[action] : "-";
}
