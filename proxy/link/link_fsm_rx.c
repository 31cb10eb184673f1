#include <assert.h>

#include "proxy/link/link_fsm.h"

/* clang-format off */
#define GO(action, next) {LINK_RX_DO_##action, LINK_RX_##next}
#define EV(name) [LINK_RX_EV_##name]

/* A cell that is not written has action NONE. */
static const struct link_rx_step grid[LINK_RX_N_STATES][LINK_RX_N_EVENTS] = {
[LINK_RX_UNKNOWN] = {
	EV(RX_OFFER)      = GO(DECIDE, DECIDING),
	EV(RX_DATA)       = GO(IGNORE, UNKNOWN),
	EV(RX_ROOT)       = GO(IGNORE, UNKNOWN),
	EV(RX_WITHDRAW)   = GO(TELL_UNKNOWN, UNKNOWN),
	EV(RX_QUERY)      = GO(TELL_UNKNOWN, UNKNOWN),
	EV(RX_NOTED)      = GO(IGNORE, UNKNOWN),
	EV(TAKEN)         = GO(IGNORE, UNKNOWN),
	EV(PUT_OFF)       = GO(IGNORE, UNKNOWN),
	EV(DECLINED)      = GO(IGNORE, UNKNOWN),
	EV(CHUNK_DURABLE) = GO(FORGET, UNKNOWN),
	EV(CHUNK_BAD)     = GO(IGNORE, UNKNOWN),
	EV(LOST)          = GO(IGNORE, UNKNOWN),
	EV(UP)            = GO(IGNORE, UNKNOWN),
},
[LINK_RX_DECIDING] = {
	EV(RX_OFFER)      = GO(DECIDE, DECIDING),
	EV(RX_DATA)       = GO(TAKE, DECIDING),
	EV(RX_ROOT)       = GO(TAKE_ROOT, DECIDING),
	EV(RX_WITHDRAW)   = GO(CANCEL, UNKNOWN),
	EV(RX_QUERY)      = GO(IGNORE, DECIDING),
	EV(RX_NOTED)      = GO(IGNORE, DECIDING),
	EV(TAKEN)         = GO(TELL_HAVE, RECEIVING),
	EV(PUT_OFF)       = GO(REFUSE, KEPT),
	EV(DECLINED)      = GO(REFUSE, UNKNOWN),
	EV(LOST)          = GO(KEEP, KEPT),
},
[LINK_RX_RECEIVING] = {
	EV(RX_OFFER)      = GO(TELL_HAVE, RECEIVING),
	EV(RX_DATA)       = GO(TAKE, RECEIVING),
	EV(RX_ROOT)       = GO(TAKE_ROOT, RECEIVING),
	EV(RX_WITHDRAW)   = GO(CANCEL, UNKNOWN),
	EV(RX_QUERY)      = GO(TELL_HAVE, RECEIVING),
	EV(RX_NOTED)      = GO(IGNORE, RECEIVING),
	EV(CHUNK_DURABLE) = GO(TELL_ACK, RECEIVING),
	EV(CHUNK_BAD)     = GO(TELL_BAD, RECEIVING),
	EV(WHOLE)         = GO(COMPLETE, COMPLETING),
	EV(WRONG_ROOT)    = GO(REFUSE, UNKNOWN),
	EV(STORE_FAILED)  = GO(REFUSE, KEPT),
	EV(CHUNK_LOST)    = GO(TELL_BAD, RECEIVING),
	EV(LOST)          = GO(KEEP, KEPT),
	EV(EXPIRED)       = GO(EXPIRE, UNKNOWN),
},
[LINK_RX_COMPLETING] = {
	EV(RX_OFFER)      = GO(IGNORE, COMPLETING),
	EV(RX_DATA)       = GO(IGNORE, COMPLETING),
	EV(RX_ROOT)       = GO(IGNORE, COMPLETING),
	EV(RX_WITHDRAW)   = GO(IGNORE, COMPLETING),
	EV(RX_QUERY)      = GO(IGNORE, COMPLETING),
	EV(RX_NOTED)      = GO(IGNORE, COMPLETING),
	EV(CHUNK_DURABLE) = GO(IGNORE, COMPLETING),
	EV(CHUNK_BAD)     = GO(IGNORE, COMPLETING),
	EV(FINAL_DURABLE) = GO(TELL_ARRIVED, ARRIVED),
	EV(STORE_FAILED)  = GO(REFUSE, KEPT),
	EV(LOST)          = GO(IGNORE, COMPLETING),
	EV(UP)            = GO(IGNORE, COMPLETING),
},
[LINK_RX_ARRIVED] = {
	EV(RX_OFFER)      = GO(TELL_ARRIVED, ARRIVED),
	EV(RX_DATA)       = GO(IGNORE, ARRIVED),
	EV(RX_ROOT)       = GO(IGNORE, ARRIVED),
	EV(RX_WITHDRAW)   = GO(TELL_ARRIVED, ARRIVED),
	EV(RX_QUERY)      = GO(TELL_ARRIVED, ARRIVED),
	EV(RX_NOTED)      = GO(IGNORE, ARRIVED),
	EV(CHUNK_DURABLE) = GO(IGNORE, ARRIVED),
	EV(CHUNK_BAD)     = GO(IGNORE, ARRIVED),
	EV(CHUNK_LOST)    = GO(TAKE_BACK, KEPT),
	EV(OUT_DONE)      = GO(TELL_DELIVERED, DELIVERED),
	EV(OUT_STUCK)     = GO(TELL_STUCK, ARRIVED),
	EV(LOST)          = GO(IGNORE, ARRIVED),
	EV(UP)            = GO(TELL_STUCK, ARRIVED),
},
[LINK_RX_DELIVERED] = {
	EV(RX_OFFER)      = GO(TELL_DELIVERED, DELIVERED),
	EV(RX_DATA)       = GO(IGNORE, DELIVERED),
	EV(RX_ROOT)       = GO(IGNORE, DELIVERED),
	EV(RX_WITHDRAW)   = GO(TELL_DELIVERED, DELIVERED),
	EV(RX_QUERY)      = GO(TELL_DELIVERED, DELIVERED),
	EV(RX_NOTED)      = GO(FORGET, UNKNOWN),
	EV(CHUNK_LOST)    = GO(IGNORE, DELIVERED),
	EV(LOST)          = GO(IGNORE, DELIVERED),
	EV(UP)            = GO(TELL_DELIVERED, DELIVERED),
	EV(EXPIRED)       = GO(FORGET, UNKNOWN),
},
[LINK_RX_KEPT] = {
	EV(RX_OFFER)      = GO(DECIDE, DECIDING),
	EV(RX_DATA)       = GO(IGNORE, KEPT),
	EV(RX_ROOT)       = GO(IGNORE, KEPT),
	EV(RX_WITHDRAW)   = GO(CANCEL, UNKNOWN),
	EV(RX_QUERY)      = GO(TELL_HAVE, KEPT),
	EV(RX_NOTED)      = GO(IGNORE, KEPT),
	EV(TAKEN)         = GO(IGNORE, KEPT),
	EV(PUT_OFF)       = GO(IGNORE, KEPT),
	EV(DECLINED)      = GO(IGNORE, KEPT),
	EV(CHUNK_DURABLE) = GO(IGNORE, KEPT),
	EV(CHUNK_BAD)     = GO(IGNORE, KEPT),
	EV(CHUNK_LOST)    = GO(IGNORE, KEPT),
	EV(LOST)          = GO(IGNORE, KEPT),
	EV(UP)            = GO(IGNORE, KEPT),
	EV(EXPIRED)       = GO(FORGET, UNKNOWN),
},
};
/* clang-format on */

#undef GO
#undef EV

struct link_rx_step link_rx_step(enum link_rx_state state,
				 enum link_rx_event event)
{
	struct link_rx_step step;

	assert(state < LINK_RX_N_STATES && event < LINK_RX_N_EVENTS);
	step = grid[state][event];
	if (step.action == LINK_RX_DO_NONE)
		step.next = state;
	return step;
}

static const struct {
	const char *name, *text;
} states[] = {
#define X(name, text) {#name, (text)},
    LINK_RX_STATE_MAP(X)
#undef X
};

const char *link_rx_state_name(enum link_rx_state state)
{
	return state < LINK_RX_N_STATES ? states[state].name : "-";
}

const char *link_rx_state_text(enum link_rx_state state)
{
	return state < LINK_RX_N_STATES ? states[state].text : "-";
}

const char *link_rx_event_name(enum link_rx_event event)
{
	static const char *const names[] = {
#define X(name, text) #name,
	    LINK_RX_EVENT_MAP(X)
#undef X
	};

	return event < LINK_RX_N_EVENTS ? names[event] : "-";
}

const char *link_rx_action_name(enum link_rx_action action)
{
	static const char *const names[] = {"-",
#define X(name, text) #name,
					    LINK_RX_ACTION_MAP(X)
#undef X
	};

	return action < LINK_RX_N_ACTIONS ? names[action] : "-";
}
