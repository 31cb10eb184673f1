#include "proxy/outcome.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

struct verdict outcome_verdict(enum fate fate, bool of_destination,
			       enum condition_id why)
{
	struct verdict v = {.fate = fate,
			    .of_destination = of_destination,
			    .code = "success",
			    .cause = "done",
			    .remedy = ""};

	if (why == CONDITION_N)
		return v;
	v.condition = condition_get(why);
	v.code = v.condition->name;
	v.cause = v.condition->cause[CONDITION_EN];
	v.remedy = v.condition->remedy[CONDITION_EN];
	return v;
}

/* ---- C-STORE status ---------------------------------------------------- */

/* The first row whose range holds the status decides; the last holds all. */
static const struct status_row {
	uint16_t first, last;
	enum fate fate;
	bool of_destination;
	enum condition_id why;
} statuses[] = {
#define ROW(a, b, f, of_dest, w)                                               \
	{                                                                      \
		a, b, FATE_##f, of_dest, w                                     \
	}
    ROW(0x0000, 0x0000, DELIVERED, false, CONDITION_N),
    ROW(0x0001, 0x0001, FLAGGED, false, CONDITION_WARNING),
    ROW(0x0105, 0x0106, SUSPECT, false, CONDITION_ATTRIBUTE),
    ROW(0x0107, 0x0107, FLAGGED, false, CONDITION_WARNING),
    ROW(0x0110, 0x0110, SUSPECT, false, CONDITION_PROCESSING_FAILURE),
    ROW(0x0111, 0x0111, FLAGGED, false, CONDITION_DUPLICATE),
    ROW(0x0116, 0x0116, FLAGGED, false, CONDITION_WARNING),
    ROW(0x0117, 0x0117, SUSPECT, false, CONDITION_INVALID_UID),
    ROW(0x0119, 0x0119, SUSPECT, false, CONDITION_CLASS_CONFLICT),
    ROW(0x0122, 0x0122, HOLD_CONTEXT, false, CONDITION_CLASS_UNSUPPORTED),
    ROW(0x0124, 0x0124, HOLD_CONTEXT, false, CONDITION_NOT_AUTHORISED),
    ROW(0x0211, 0x0211, HOLD_CONTEXT, false, CONDITION_UNRECOGNISED_OPERATION),
    ROW(0x0213, 0x0213, RETRY, true, CONDITION_OUT_OF_RESOURCES),
    ROW(0xA700, 0xA7FF, RETRY, true, CONDITION_OUT_OF_RESOURCES),
    ROW(0xA900, 0xA9FF, SUSPECT, false, CONDITION_CLASS_MISMATCH),
    ROW(0xB000, 0xB000, FLAGGED, false, CONDITION_COERCED),
    ROW(0xB006, 0xB006, FLAGGED, false, CONDITION_COERCED),
    ROW(0xB007, 0xB007, FLAGGED, false, CONDITION_WARNING),
    ROW(0xB001, 0xBFFF, FLAGGED, false, CONDITION_WARNING),
    ROW(0xC000, 0xCFFF, SUSPECT, false, CONDITION_CANNOT_UNDERSTAND),
    ROW(0xFE00, 0xFE00, RETRY, false, CONDITION_CANCELLED),
    ROW(0xFF00, 0xFF01, SUSPECT, false, CONDITION_PENDING),
    ROW(0x0000, 0xFFFF, SUSPECT, false, CONDITION_STATUS_REFUSED),
#undef ROW
};

struct verdict outcome_of_status(uint16_t status)
{
	const struct status_row *row = statuses;
	struct verdict v;

	while (status < row->first || status > row->last)
		row++; /* the last row holds every status */
	v = outcome_verdict(row->fate, row->of_destination, row->why);
	v.status = status;
	return v;
}

/* ---- A-ASSOCIATE-RJ ---------------------------------------------------- */

enum { ANY = 0xFF };

/* PS3.8 table 9-21. First match; result and reason ANY match all. */
static const struct reject_row {
	uint8_t result, source, reason;
	enum fate fate;
	bool of_destination;
	enum condition_id why;
} rejects[] = {
#define ROW(res, src, rsn, f, of_dest, w)                                      \
	{                                                                      \
		res, src, rsn, FATE_##f, of_dest, w                            \
	}
    ROW(2, ANY, ANY, RETRY, true, CONDITION_REJECTED_BUSY),
    ROW(1, 1, 2, HOLD_DESTINATION, true, CONDITION_REJECTED_APPLICATION),
    ROW(1, 1, 3, HOLD_DESTINATION, true, CONDITION_REJECTED_CALLING),
    ROW(1, 1, 7, HOLD_DESTINATION, true, CONDITION_REJECTED_CALLED),
    ROW(1, 2, 2, HOLD_DESTINATION, true, CONDITION_REJECTED_APPLICATION),
    ROW(1, 3, ANY, RETRY, true, CONDITION_REJECTED_BUSY),
    ROW(ANY, ANY, ANY, HOLD_DESTINATION, true, CONDITION_REJECTED),
#undef ROW
};

static bool fits(uint8_t want, uint8_t got)
{
	return want == ANY || want == got;
}

struct verdict outcome_of_reject(uint8_t result, uint8_t source, uint8_t reason)
{
	const struct reject_row *row = rejects;

	while (!fits(row->result, result) || !fits(row->source, source) ||
	       !fits(row->reason, reason))
		row++; /* the last row fits all */
	return outcome_verdict(row->fate, row->of_destination, row->why);
}

/* ---- A-ABORT and refused contexts -------------------------------------- */

struct verdict outcome_of_abort(uint8_t source, uint8_t reason,
				bool outstanding)
{
	struct verdict v;

	/* shown by the caller; the fate is the same */
	(void)source;
	(void)reason;
	if (!outstanding)
		return outcome_verdict(FATE_RETRY, true,
				       CONDITION_ABORTED_IDLE);
	v = outcome_verdict(FATE_SUSPECT, false, CONDITION_ABORTED);
	v.isolate = true;
	return v;
}

/* PS3.8 table 9-18 */
struct verdict outcome_of_context(uint8_t result)
{
	return outcome_verdict(FATE_HOLD_CONTEXT, false,
			       result == 3   ? CONDITION_ABSTRACT_SYNTAX_REFUSED
			       : result == 4 ? CONDITION_TRANSFER_SYNTAX_REFUSED
					     : CONDITION_CONTEXT_REFUSED);
}

/* ---- everything that is no answer -------------------------------------- */

static const struct {
	enum fate fate;
	bool of_destination, isolate;
	enum condition_id why;
} failures[FAIL_N] = {
#define ROW(name, f, of_dest, alone, w)                                        \
	[FAIL_##name] = {FATE_##f, of_dest, alone, w}
    ROW(RESOLVE, RETRY, true, false, CONDITION_RESOLVE),
    ROW(CONNECT, RETRY, true, false, CONDITION_CONNECT),
    ROW(CONNECT_TIMEOUT, RETRY, true, false, CONDITION_CONNECT_TIMEOUT),
    ROW(TLS, RETRY, true, false, CONDITION_TLS),
    ROW(ASSOCIATE_TIMEOUT, RETRY, true, false, CONDITION_ASSOCIATE_TIMEOUT),
    ROW(ASSOCIATE_LOST, RETRY, true, false, CONDITION_ASSOCIATE_LOST),
    ROW(NOT_DICOM, RETRY, true, false, CONDITION_NOT_DICOM),
    ROW(UNSENDABLE, QUARANTINE, false, false, CONDITION_UNSENDABLE),
    ROW(LOST_IDLE, RETRY, true, false, CONDITION_LOST),
    ROW(LOST, SUSPECT, false, true, CONDITION_LOST_OUTSTANDING),
    ROW(LINE, RETRY, true, false, CONDITION_LINE_BROKE),
    ROW(SEND_TIMEOUT, SUSPECT, false, false, CONDITION_SEND_TIMEOUT),
    ROW(RESPONSE_TIMEOUT, SUSPECT, false, false, CONDITION_RESPONSE_TIMEOUT),
    ROW(PROTOCOL, SUSPECT, false, false, CONDITION_PROTOCOL),
    ROW(CORRUPT, QUARANTINE, false, false, CONDITION_CORRUPT),
    ROW(READ, RETRY, false, false, CONDITION_READ),
    ROW(NO_MEMORY, RETRY, true, false, CONDITION_MEMORY),
    ROW(DIRECTORY_FULL, RETRY, true, false, CONDITION_DIRECTORY_FULL),
    ROW(DIRECTORY_DENIED, RETRY, true, false, CONDITION_DIRECTORY_DENIED),
    ROW(DIRECTORY_IO, RETRY, true, false, CONDITION_DIRECTORY_IO),
    ROW(DIRECTORY_MESSAGE, HOLD_CONTEXT, false, false,
	CONDITION_DIRECTORY_MESSAGE),
    ROW(STOPPED, RETRY, false, false, CONDITION_STOPPED),
#undef ROW
};

struct verdict outcome_of_failure(enum failure f)
{
	struct verdict v = outcome_verdict(
	    failures[f].fate, failures[f].of_destination, failures[f].why);

	v.isolate = failures[f].isolate;
	return v;
}

/* ---- words ------------------------------------------------------------- */

char *verdict_text(const struct verdict *v, const char *detail, char *out,
		   size_t size)
{
	bool more = detail != NULL && detail[0] != '\0';
	char status[16] = "", code[12] = "";
	size_t n;

	if (v->status != 0)
		(void)snprintf(status, sizeof(status), " [%04X]", v->status);
	if (v->condition != NULL)
		(void)snprintf(code, sizeof(code), " [%s]", v->condition->code);
	n = strlen(code);
	if (n >= size)
		n = 0;
	(void)snprintf(out, size - n, "%s%s%s%s%s%s%s", v->cause, status,
		       more ? " (" : "", more ? detail : "", more ? ")" : "",
		       v->remedy[0] != '\0' ? ": " : "", v->remedy);
	if (n > 0)
		memcpy(out + strlen(out), code, n + 1);
	return out;
}

const char *fate_name(enum fate f)
{
	static const char *const names[FATE_N] = {
	    [FATE_DELIVERED] = "delivered",
	    [FATE_FLAGGED] = "delivered-flagged",
	    [FATE_RETRY] = "retry",
	    [FATE_SUSPECT] = "suspect",
	    [FATE_HOLD_CONTEXT] = "hold-context",
	    [FATE_HOLD_DESTINATION] = "hold-destination",
	    [FATE_QUARANTINE] = "quarantine",
	};

	return names[f];
}
