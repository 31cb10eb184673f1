/* outcome_message.c - what a destination's answer to a DIMSE-N request means
 * (PS3.7 section 10.1 and annex C; PS3.4 F.7.2 and J.3). */
#include "proxy/dicom/command.h"
#include "proxy/outcome.h"

enum { ANY = 0 };

/* The first row that fits decides; the last fits all. */
static const struct row {
	uint16_t command, first, last;
	enum fate fate;
	bool of_destination;
	enum condition_id why;
} rows[] = {
#define ROW(rq, a, b, f, of_dest, w)                                           \
	{                                                                      \
		rq, a, b, FATE_##f, of_dest, w                                 \
	}
    ROW(ANY, 0x0000, 0x0000, DELIVERED, false, CONDITION_N),
    ROW(ANY, 0x0001, 0x0001, FLAGGED, false, CONDITION_WARNING),
    ROW(ANY, 0x0107, 0x0107, FLAGGED, false, CONDITION_WARNING),
    ROW(ANY, 0x0116, 0x0116, FLAGGED, false, CONDITION_WARNING),
    ROW(ANY, 0xB000, 0xBFFF, FLAGGED, false, CONDITION_WARNING),
    /* also the answer when an earlier try arrived and its answer was lost */
    ROW(N_CREATE_RQ, 0x0111, 0x0111, FLAGGED, false, CONDITION_DUPLICATE),
    ROW(N_SET_RQ, 0x0112, 0x0112, SUSPECT, false, CONDITION_NO_SUCH_INSTANCE),
    ROW(N_ACTION_RQ, 0x0112, 0x0112, SUSPECT, false,
	CONDITION_NO_SUCH_INSTANCE),
    ROW(ANY, 0x0105, 0x0106, SUSPECT, false, CONDITION_ATTRIBUTE),
    ROW(ANY, 0x0110, 0x0110, SUSPECT, false, CONDITION_PROCESSING_FAILURE),
    ROW(ANY, 0x0113, 0x0113, HOLD_CONTEXT, false,
	CONDITION_UNRECOGNISED_OPERATION),
    ROW(ANY, 0x0114, 0x0115, SUSPECT, false, CONDITION_ARGUMENT),
    ROW(ANY, 0x0117, 0x0117, SUSPECT, false, CONDITION_INVALID_UID),
    ROW(ANY, 0x0118, 0x0118, HOLD_CONTEXT, false, CONDITION_CLASS_UNSUPPORTED),
    ROW(ANY, 0x0119, 0x0119, SUSPECT, false, CONDITION_CLASS_CONFLICT),
    ROW(ANY, 0x0120, 0x0121, SUSPECT, false, CONDITION_ATTRIBUTE),
    ROW(ANY, 0x0122, 0x0122, HOLD_CONTEXT, false, CONDITION_CLASS_UNSUPPORTED),
    ROW(ANY, 0x0123, 0x0123, HOLD_CONTEXT, false,
	CONDITION_UNRECOGNISED_OPERATION),
    ROW(ANY, 0x0124, 0x0124, HOLD_CONTEXT, false, CONDITION_NOT_AUTHORISED),
    ROW(ANY, 0x0210, 0x0210, SUSPECT, false, CONDITION_DUPLICATE_INVOCATION),
    ROW(ANY, 0x0211, 0x0211, HOLD_CONTEXT, false,
	CONDITION_UNRECOGNISED_OPERATION),
    ROW(ANY, 0x0213, 0x0213, RETRY, true, CONDITION_OUT_OF_RESOURCES),
    ROW(ANY, 0xA700, 0xA7FF, RETRY, true, CONDITION_OUT_OF_RESOURCES),
    ROW(ANY, 0xFE00, 0xFE00, RETRY, false, CONDITION_CANCELLED),
    ROW(ANY, 0xFF00, 0xFF01, SUSPECT, false, CONDITION_PENDING),
    ROW(ANY, 0x0000, 0xFFFF, SUSPECT, false, CONDITION_STATUS_REFUSED),
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
	v = outcome_verdict(row->fate, row->of_destination, row->why);
	v.status = status;
	return v;
}

struct verdict outcome_of_closed_step(bool again)
{
	struct verdict v = again ? outcome_verdict(FATE_FLAGGED, false,
						   CONDITION_STEP_CLOSED_AGAIN)
				 : outcome_verdict(FATE_QUARANTINE, false,
						   CONDITION_STEP_CLOSED);

	v.status = STATUS_PROCESSING_FAILURE;
	return v;
}

struct verdict outcome_of_role(void)
{
	return outcome_verdict(FATE_HOLD_CONTEXT, false,
			       CONDITION_ROLE_REFUSED);
}
