#include <assert.h>

#include "proxy/link/link_fsm.h"

/* clang-format off */
#define GO(action, next) {LINK_TX_DO_##action, LINK_TX_##next}
#define EV(name) [LINK_TX_EV_##name]

/* A cell that is not written has action NONE. Nothing is freed but by NOTED:
 * DROP ends this link's part in it, what becomes of the bytes is decided by
 * whoever withdrew or quarantined it. */
static const struct link_tx_step grid[LINK_TX_N_STATES][LINK_TX_N_EVENTS] = {
[LINK_TX_NEW] = {
	EV(GO)             = GO(OFFER, OFFERED),
	EV(WITHDRAW)       = GO(DROP, DONE),
	EV(RX_HAVE)        = GO(IGNORE, NEW),
	EV(RX_ACK)         = GO(IGNORE, NEW),
	EV(RX_BAD)         = GO(IGNORE, NEW),
	EV(RX_ARRIVED)     = GO(IGNORE, NEW),
	EV(RX_DELIVERED)   = GO(IGNORE, NEW),
	EV(RX_UNDELIVERED) = GO(IGNORE, NEW),
	EV(RX_REFUSED)     = GO(IGNORE, NEW),
	EV(RX_AFRESH)      = GO(IGNORE, NEW),
	EV(RX_GONE)        = GO(IGNORE, NEW),
	EV(LOST)           = GO(IGNORE, NEW),
	EV(UP)             = GO(IGNORE, NEW),
	EV(VOID)           = GO(IGNORE, NEW),
},
[LINK_TX_WAITING] = {
	EV(GO)             = GO(OFFER, OFFERED),
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(RX_HAVE)        = GO(IGNORE, WAITING),
	EV(RX_ACK)         = GO(IGNORE, WAITING),
	EV(RX_BAD)         = GO(IGNORE, WAITING),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(IGNORE, WAITING),
	EV(RX_AFRESH)      = GO(IGNORE, WAITING),
	EV(RX_GONE)        = GO(IGNORE, WAITING),
	EV(LOST)           = GO(IGNORE, WAITING),
	EV(UP)             = GO(IGNORE, WAITING),
	EV(VOID)           = GO(IGNORE, WAITING),
},
[LINK_TX_OFFERED] = {
	EV(ALL_SENT)       = GO(IGNORE, OFFERED),
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(THIRD_BAD)      = GO(QUARANTINE, WITHDRAWING),
	EV(RX_HAVE)        = GO(TAKE_MAP, SENDING),
	EV(RX_ACK)         = GO(ACKED, OFFERED),
	EV(RX_BAD)         = GO(RESEND, OFFERED),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(REFUSE, REFUSED),
	EV(RX_AFRESH)      = GO(REQUEUE, WAITING),
	EV(RX_GONE)        = GO(REQUEUE, WAITING),
	EV(LOST)           = GO(REQUEUE, WAITING),
},
[LINK_TX_SENDING] = {
	EV(ALL_SENT)       = GO(FINISH, FINISHING),
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(THIRD_BAD)      = GO(QUARANTINE, WITHDRAWING),
	EV(RX_HAVE)        = GO(TAKE_MAP, SENDING),
	EV(RX_ACK)         = GO(ACKED, SENDING),
	EV(RX_BAD)         = GO(RESEND, SENDING),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(REFUSE, REFUSED),
	EV(RX_AFRESH)      = GO(REQUEUE, WAITING),
	EV(RX_GONE)        = GO(REQUEUE, WAITING),
	EV(LOST)           = GO(REQUEUE, WAITING),
},
[LINK_TX_FINISHING] = {
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(THIRD_BAD)      = GO(QUARANTINE, WITHDRAWING),
	EV(RX_HAVE)        = GO(TAKE_MAP, SENDING),
	EV(RX_ACK)         = GO(ACKED, FINISHING),
	EV(RX_BAD)         = GO(RESEND, SENDING),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(REFUSE, REFUSED),
	EV(RX_AFRESH)      = GO(REQUEUE, WAITING),
	EV(RX_GONE)        = GO(REQUEUE, WAITING),
	EV(LOST)           = GO(REQUEUE, WAITING),
},
[LINK_TX_ARRIVED] = {
	EV(WITHDRAW)       = GO(TOO_LATE, ARRIVED),
	EV(RX_HAVE)        = GO(REQUEUE, WAITING),
	EV(RX_ACK)         = GO(IGNORE, ARRIVED),
	EV(RX_BAD)         = GO(REQUEUE, WAITING),
	EV(RX_ARRIVED)     = GO(IGNORE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(REFUSE, REFUSED),
	EV(RX_AFRESH)      = GO(REQUEUE, WAITING),
	EV(RX_GONE)        = GO(REQUEUE, WAITING),
	EV(LOST)           = GO(IGNORE, ARRIVED),
	EV(UP)             = GO(IGNORE, ARRIVED),
	EV(VOID)           = GO(ASK, ASKED),
},
[LINK_TX_ASKED] = {
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(RX_HAVE)        = GO(REQUEUE, WAITING),
	EV(RX_ACK)         = GO(IGNORE, ASKED),
	EV(RX_BAD)         = GO(REQUEUE, WAITING),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(REFUSE, REFUSED),
	EV(RX_AFRESH)      = GO(REQUEUE, WAITING),
	EV(RX_GONE)        = GO(REQUEUE, WAITING),
	EV(LOST)           = GO(IGNORE, ASKED),
	EV(UP)             = GO(ASK, ASKED),
	EV(VOID)           = GO(ASK, ASKED),
},
[LINK_TX_SETTLING] = {
	EV(WRITTEN)        = GO(NOTED, DONE),
	EV(WITHDRAW)       = GO(TOO_LATE, SETTLING),
	EV(RX_HAVE)        = GO(IGNORE, SETTLING),
	EV(RX_ACK)         = GO(IGNORE, SETTLING),
	EV(RX_BAD)         = GO(IGNORE, SETTLING),
	EV(RX_ARRIVED)     = GO(IGNORE, SETTLING),
	EV(RX_DELIVERED)   = GO(IGNORE, SETTLING),
	EV(RX_UNDELIVERED) = GO(IGNORE, SETTLING),
	EV(RX_REFUSED)     = GO(IGNORE, SETTLING),
	EV(RX_AFRESH)      = GO(IGNORE, SETTLING),
	EV(RX_GONE)        = GO(IGNORE, SETTLING),
	EV(LOST)           = GO(IGNORE, SETTLING),
	EV(UP)             = GO(IGNORE, SETTLING),
	EV(VOID)           = GO(IGNORE, SETTLING),
},
[LINK_TX_REFUSED] = {
	EV(WITHDRAW)       = GO(WITHDRAW, WITHDRAWING),
	EV(RETRY)          = GO(REQUEUE, WAITING),
	EV(RX_HAVE)        = GO(IGNORE, REFUSED),
	EV(RX_ACK)         = GO(IGNORE, REFUSED),
	EV(RX_BAD)         = GO(IGNORE, REFUSED),
	EV(RX_ARRIVED)     = GO(ARRIVE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(SHOW, ARRIVED),
	EV(RX_REFUSED)     = GO(IGNORE, REFUSED),
	EV(RX_AFRESH)      = GO(IGNORE, REFUSED),
	EV(RX_GONE)        = GO(IGNORE, REFUSED),
	EV(LOST)           = GO(IGNORE, REFUSED),
	EV(UP)             = GO(IGNORE, REFUSED),
	EV(VOID)           = GO(IGNORE, REFUSED),
},
[LINK_TX_WITHDRAWING] = {
	EV(RX_HAVE)        = GO(IGNORE, WITHDRAWING),
	EV(RX_ACK)         = GO(IGNORE, WITHDRAWING),
	EV(RX_BAD)         = GO(IGNORE, WITHDRAWING),
	EV(RX_ARRIVED)     = GO(TOO_LATE, ARRIVED),
	EV(RX_DELIVERED)   = GO(SETTLE, SETTLING),
	EV(RX_UNDELIVERED) = GO(TOO_LATE, ARRIVED),
	EV(RX_REFUSED)     = GO(WITHDRAW, WITHDRAWING),
	EV(RX_AFRESH)      = GO(DROP, DONE),
	EV(RX_GONE)        = GO(DROP, DONE),
	EV(LOST)           = GO(IGNORE, WITHDRAWING),
	EV(UP)             = GO(WITHDRAW, WITHDRAWING),
	EV(VOID)           = GO(WITHDRAW, WITHDRAWING),
},
[LINK_TX_DONE] = {
	EV(RX_HAVE)        = GO(IGNORE, DONE),
	EV(RX_ACK)         = GO(IGNORE, DONE),
	EV(RX_BAD)         = GO(IGNORE, DONE),
	EV(RX_ARRIVED)     = GO(IGNORE, DONE),
	EV(RX_DELIVERED)   = GO(AGAIN_NOTED, DONE),
	EV(RX_UNDELIVERED) = GO(IGNORE, DONE),
	EV(RX_REFUSED)     = GO(IGNORE, DONE),
	EV(RX_AFRESH)      = GO(IGNORE, DONE),
	EV(RX_GONE)        = GO(IGNORE, DONE),
	EV(LOST)           = GO(IGNORE, DONE),
	EV(UP)             = GO(IGNORE, DONE),
	EV(VOID)           = GO(IGNORE, DONE),
},
};
/* clang-format on */

#undef GO
#undef EV

struct link_tx_step link_tx_step(enum link_tx_state state,
				 enum link_tx_event event)
{
	struct link_tx_step step;

	assert(state < LINK_TX_N_STATES && event < LINK_TX_N_EVENTS);
	step = grid[state][event];
	if (step.action == LINK_TX_DO_NONE)
		step.next = state;
	return step;
}

static const struct {
	const char *name, *text;
} states[] = {
#define X(name, text) {#name, (text)},
    LINK_TX_STATE_MAP(X)
#undef X
};

const char *link_tx_state_name(enum link_tx_state state)
{
	return state < LINK_TX_N_STATES ? states[state].name : "-";
}

const char *link_tx_state_text(enum link_tx_state state)
{
	return state < LINK_TX_N_STATES ? states[state].text : "-";
}

const char *link_tx_event_name(enum link_tx_event event)
{
	static const char *const names[] = {
#define X(name, text) #name,
	    LINK_TX_EVENT_MAP(X)
#undef X
	};

	return event < LINK_TX_N_EVENTS ? names[event] : "-";
}

const char *link_tx_action_name(enum link_tx_action action)
{
	static const char *const names[] = {"-",
#define X(name, text) #name,
					    LINK_TX_ACTION_MAP(X)
#undef X
	};

	return action < LINK_TX_N_ACTIONS ? names[action] : "-";
}
