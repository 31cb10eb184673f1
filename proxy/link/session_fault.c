/* session_fault.c - what an end means for the dialler (PROTOCOL.md, "Errors").
 */
#include "proxy/link/session_int.h"

/* The peer's word counts before ours. */
static uint16_t reason_of(const struct session_end *end)
{
	return end->heard != 0 ? end->heard : end->said;
}

enum link_session_fault session_fault(const struct session_end *end)
{
	switch (reason_of(end)) {
	case LINK_BYE_VERSION:
	case LINK_BYE_LIMITS:
	case LINK_BYE_UNDECLARED:
	case LINK_BYE_SELF:
		return LINK_FAULT_HELD;
	case LINK_BYE_PROTOCOL:
		return LINK_FAULT_ALERT;
	default: /* others, and those of later versions */
		return LINK_FAULT_LOST;
	}
}

bool session_at_once(const struct session_end *end, bool was_up)
{
	switch (reason_of(end)) {
	case 0: /* the line was cut */
		return was_up;
	case LINK_BYE_SESSION:
	case LINK_BYE_TIMEOUT:
		return true;
	default:
		return false;
	}
}
