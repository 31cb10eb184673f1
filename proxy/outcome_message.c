/* outcome_message.c - what a destination's answer to a DIMSE-N request means
 * (PS3.7 section 10.1 and annex C; PS3.4 F.7.2 and J.3). */
#include "proxy/dicom/command.h"
#include "proxy/outcome.h"

#define INSPECT "look at the destination's log for this SOP Instance UID"
#define ASK                                                                    \
	"ask the destination's administrator to allow it; it is then "         \
	"released by itself"
#define ENABLE "enable it at the destination; it is then released by itself"

enum { ANY = 0 };

/* The first row that fits decides; the last fits all. */
static const struct row {
	uint16_t command, first, last;
	struct verdict v;
} rows[] = {
#define ROW(rq, a, b, f, of_dest, word, c, r)                                  \
	{                                                                      \
		rq, a, b,                                                      \
		{                                                              \
			.fate = FATE_##f, .of_destination = of_dest,           \
			.code = word, .cause = c, .remedy = r                  \
		}                                                              \
	}
    ROW(ANY, 0x0000, 0x0000, DELIVERED, false, "success", "done", ""),
    ROW(ANY, 0x0001, 0x0001, FLAGGED, false, "warning",
	"done; an optional attribute is not supported there", ""),
    ROW(ANY, 0x0107, 0x0107, FLAGGED, false, "warning",
	"done; the destination left some attributes out", ""),
    ROW(ANY, 0x0116, 0x0116, FLAGGED, false, "warning",
	"done; the destination finds an attribute value out of range", ""),
    ROW(ANY, 0xB000, 0xBFFF, FLAGGED, false, "warning", "done, with a warning",
	""),
    /* also the answer when an earlier try arrived and its answer was lost */
    ROW(N_CREATE_RQ, 0x0111, 0x0111, FLAGGED, false, "duplicate",
	"the destination has this SOP Instance UID already", ""),
    ROW(N_SET_RQ, 0x0112, 0x0112, SUSPECT, false, "no-such-instance",
	"the destination does not know the SOP instance to be changed",
	"see what became of its N-CREATE; " INSPECT),
    ROW(N_ACTION_RQ, 0x0112, 0x0112, SUSPECT, false, "no-such-instance",
	"the destination does not know the SOP instance of the request",
	"check that it offers this service"),
    ROW(ANY, 0x0105, 0x0106, SUSPECT, false, "attribute",
	"the destination finds an attribute missing or invalid", INSPECT),
    ROW(ANY, 0x0110, 0x0110, SUSPECT, false, "processing-failure",
	"the destination failed while processing the request", INSPECT),
    ROW(ANY, 0x0113, 0x0113, HOLD_CONTEXT, false, "no-such-event",
	"the destination does not know this type of event", ENABLE),
    ROW(ANY, 0x0114, 0x0115, SUSPECT, false, "argument",
	"the destination finds the argument of the request invalid", INSPECT),
    ROW(ANY, 0x0117, 0x0117, SUSPECT, false, "invalid-uid",
	"the destination finds the SOP Instance UID invalid", INSPECT),
    ROW(ANY, 0x0118, 0x0118, HOLD_CONTEXT, false, "class-unsupported",
	"the destination does not know this SOP class", ENABLE),
    ROW(ANY, 0x0119, 0x0119, SUSPECT, false, "class-conflict",
	"the destination knows this SOP Instance UID with another SOP class",
	INSPECT),
    ROW(ANY, 0x0120, 0x0121, SUSPECT, false, "attribute-missing",
	"the destination misses an attribute or its value", INSPECT),
    ROW(ANY, 0x0122, 0x0122, HOLD_CONTEXT, false, "class-unsupported",
	"the destination does not support this SOP class", ENABLE),
    ROW(ANY, 0x0123, 0x0123, HOLD_CONTEXT, false, "no-such-action",
	"the destination does not know this type of action", ENABLE),
    ROW(ANY, 0x0124, 0x0124, HOLD_CONTEXT, false, "not-authorised",
	"the destination does not authorise this request", ASK),
    ROW(ANY, 0x0210, 0x0210, SUSPECT, false, "duplicate-invocation",
	"the destination takes the message ID for one in use",
	"report this to its vendor"),
    ROW(ANY, 0x0211, 0x0211, HOLD_CONTEXT, false, "unrecognised-operation",
	"the destination does not take this kind of request", ENABLE),
    ROW(ANY, 0x0213, 0x0213, RETRY, true, "resources",
	"the destination is short of resources", "check its load and disk"),
    ROW(ANY, 0xA700, 0xA7FF, RETRY, true, "out-of-resources",
	"the destination is out of resources", "check its disk and its quota"),
    ROW(ANY, 0xFE00, 0xFE00, RETRY, false, "cancelled",
	"the destination cancelled the request",
	"nothing: it is tried again by itself"),
    ROW(ANY, 0xFF00, 0xFF01, SUSPECT, false, "pending",
	"the destination answered the request with a pending status",
	"report this to its vendor"),
    ROW(ANY, 0x0000, 0xFFFF, SUSPECT, false, "refused",
	"the destination refused the request", INSPECT),
#undef ROW
};

static bool fits(const struct row *row, uint16_t command, uint16_t status)
{
	return (row->command == ANY || row->command == command) &&
	       status >= row->first && status <= row->last;
}

struct verdict outcome_of_message_status(uint16_t command, uint16_t status)
{
	const struct row *row = rows;
	struct verdict v;

	while (!fits(row, command, status))
		row++; /* the last row fits all */
	v = row->v;
	v.status = status;
	return v;
}

struct verdict outcome_of_closed_step(bool again)
{
	if (again)
		return (struct verdict){
		    .fate = FATE_FLAGGED,
		    .status = STATUS_PROCESSING_FAILURE,
		    .code = "step-closed-again",
		    .cause = "the procedure step is final there: this is the "
			     "repetition of a try whose answer was lost",
		    .remedy = "",
		};
	return (struct verdict){
	    .fate = FATE_QUARANTINE,
	    .status = STATUS_PROCESSING_FAILURE,
	    .code = "step-closed",
	    .cause = "the procedure step is final there and takes no change",
	    .remedy = "compare the step at the destination, then discard this "
		      "update or try it again",
	};
}

struct verdict outcome_of_role(void)
{
	return (struct verdict){
	    .fate = FATE_HOLD_CONTEXT,
	    .code = "role-refused",
	    .cause = "the destination does not take reports of this SOP class: "
		     "it refused the role of their sender",
	    .remedy = "let it accept the SCP role for this SOP class; it is "
		      "then released by itself",
	};
}
