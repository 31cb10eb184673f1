#include "proxy/outcome.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

#define WAIT    "nothing: it is tried again by itself"
#define INSPECT "look at the archive's log for this SOP Instance UID"
#define ASK                                                                    \
	"ask the archive's administrator to allow it; it is then "             \
	"released by itself"

/* ---- C-STORE status ---------------------------------------------------- */

/* The first row whose range holds the status decides; the last holds all. */
static const struct status_row {
	uint16_t first, last;
	struct verdict v;
} statuses[] = {
#define ROW(a, b, f, of_dest, word, c, r)                                      \
	{                                                                      \
		a, b,                                                          \
		{                                                              \
			.fate = FATE_##f, .of_destination = of_dest,           \
			.code = word, .cause = c, .remedy = r                  \
		}                                                              \
	}
    ROW(0x0000, 0x0000, DELIVERED, false, "success", "stored", ""),
    ROW(0x0001, 0x0001, FLAGGED, false, "warning",
	"stored; an optional attribute is not supported there", ""),
    ROW(0x0105, 0x0106, SUSPECT, false, "attribute",
	"the archive finds an attribute missing or invalid", INSPECT),
    ROW(0x0107, 0x0107, FLAGGED, false, "warning",
	"stored; the archive left some attributes out", ""),
    ROW(0x0110, 0x0110, SUSPECT, false, "processing-failure",
	"the archive failed while processing the instance", INSPECT),
    ROW(0x0111, 0x0111, FLAGGED, false, "duplicate",
	"the archive has this SOP Instance UID already", ""),
    ROW(0x0116, 0x0116, FLAGGED, false, "warning",
	"stored; the archive finds an attribute value out of range", ""),
    ROW(0x0117, 0x0117, SUSPECT, false, "invalid-uid",
	"the archive finds the SOP Instance UID invalid", INSPECT),
    ROW(0x0119, 0x0119, SUSPECT, false, "class-conflict",
	"the archive knows this SOP Instance UID with another SOP class",
	INSPECT),
    ROW(0x0122, 0x0122, HOLD_CONTEXT, false, "class-unsupported",
	"the archive does not support this SOP class",
	"enable the SOP class at the archive; it is then released by itself"),
    ROW(0x0124, 0x0124, HOLD_CONTEXT, false, "not-authorised",
	"the archive does not authorise storing this SOP class", ASK),
    ROW(0x0211, 0x0211, HOLD_CONTEXT, false, "unrecognised-operation",
	"the far end does not take C-STORE",
	"check that the destination's port is a storage service"),
    ROW(0x0213, 0x0213, RETRY, true, "resources",
	"the archive is short of resources", "check its load and disk"),
    ROW(0xA700, 0xA7FF, RETRY, true, "out-of-resources",
	"the archive is out of resources", "check its disk and its quota"),
    ROW(0xA900, 0xA9FF, SUSPECT, false, "class-mismatch",
	"the archive says that the data set does not match its SOP class",
	INSPECT),
    ROW(0xB000, 0xB000, FLAGGED, false, "coerced",
	"stored; the archive changed attributes",
	"its copy is no longer bit-identical: see its coercion rules"),
    ROW(0xB006, 0xB006, FLAGGED, false, "discarded",
	"stored; the archive discarded elements", ""),
    ROW(0xB007, 0xB007, FLAGGED, false, "class-warning",
	"stored, though the data set does not match its SOP class", ""),
    ROW(0xB001, 0xBFFF, FLAGGED, false, "warning", "stored, with a warning",
	""),
    ROW(0xC000, 0xCFFF, SUSPECT, false, "cannot-understand",
	"the archive cannot understand the data set", INSPECT),
    ROW(0xFE00, 0xFE00, RETRY, false, "cancelled",
	"the archive cancelled the store", WAIT),
    ROW(0xFF00, 0xFF01, SUSPECT, false, "pending",
	"the archive answered a store with a pending status",
	"report this to its vendor"),
    ROW(0x0000, 0xFFFF, SUSPECT, false, "refused",
	"the archive refused the instance", INSPECT),
#undef ROW
};

struct verdict outcome_of_status(uint16_t status)
{
	const struct status_row *row = statuses;
	struct verdict v;

	while (status < row->first || status > row->last)
		row++; /* the last row holds every status */
	v = row->v;
	v.status = status;
	return v;
}

/* ---- A-ASSOCIATE-RJ ---------------------------------------------------- */

enum { ANY = 0xFF };

/* PS3.8 table 9-21. First match; result and reason ANY match all. */
static const struct reject_row {
	uint8_t result, source, reason;
	struct verdict v;
} rejects[] = {
#define ROW(res, src, rsn, f, of_dest, word, c, r)                             \
	{                                                                      \
		res, src, rsn,                                                 \
		{                                                              \
			.fate = FATE_##f, .of_destination = of_dest,           \
			.code = word, .cause = c, .remedy = r                  \
		}                                                              \
	}
    ROW(2, ANY, ANY, RETRY, true, "rejected-busy",
	"the archive refuses associations for the moment",
	"if it lasts, lower 'associations' of the destination or raise the "
	"archive's limit"),
    ROW(1, 1, 2, HOLD_DESTINATION, true, "rejected-application",
	"the archive refuses the DICOM application context",
	"check that the destination's port is a DICOM service"),
    ROW(1, 1, 3, HOLD_DESTINATION, true, "rejected-calling",
	"the archive does not know the calling AE title",
	"declare this AE title at the archive, or set calling_ae_title of the "
	"destination"),
    ROW(1, 1, 7, HOLD_DESTINATION, true, "rejected-called",
	"the archive does not answer to the called AE title",
	"set ae_title of the destination to the archive's"),
    ROW(1, 2, 2, HOLD_DESTINATION, true, "rejected-version",
	"the archive does not speak this version of the protocol",
	"check that the destination's port is a DICOM service"),
    ROW(1, 3, ANY, RETRY, true, "rejected-limit",
	"the archive is at its limit of associations",
	"lower 'associations' of the destination or raise the archive's "
	"limit"),
    ROW(ANY, ANY, ANY, HOLD_DESTINATION, true, "rejected",
	"the archive rejects the association",
	"look at the archive's log; AE titles and addresses are the usual "
	"cause"),
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
	return row->v;
}

/* ---- A-ABORT and refused contexts -------------------------------------- */

static struct verdict abort_outstanding(uint8_t source)
{
	struct verdict v = {
	    .fate = FATE_SUSPECT,
	    .isolate = true,
	    .code = "aborted",
	    .cause = "the archive aborted the association during this instance",
	    .remedy = INSPECT,
	};

	if (source == 2) {
		v.code = "aborted-protocol";
		v.cause = "the archive aborted the association: it found an "
			  "error of protocol during this instance";
	}
	return v;
}

struct verdict outcome_of_abort(uint8_t source, uint8_t reason,
				bool outstanding)
{
	(void)reason; /* shown by the caller; the fate is the same */
	if (outstanding)
		return abort_outstanding(source);
	return (struct verdict){
	    .fate = FATE_RETRY,
	    .of_destination = true,
	    .code = "aborted-idle",
	    .cause = "the archive aborted the association",
	    .remedy = WAIT,
	};
}

struct verdict outcome_of_context(uint8_t result)
{
	struct verdict v = {
	    .fate = FATE_HOLD_CONTEXT,
	    .code = "context-refused",
	    .cause = "the archive does not accept this SOP class in this "
		     "transfer syntax",
	    .remedy = "enable it at the archive; it is then released by itself",
	};

	if (result == 3) { /* PS3.8 table 9-18 */
		v.code = "abstract-syntax-refused";
		v.cause = "the archive does not support this SOP class";
	} else if (result == 4) {
		v.code = "transfer-syntax-refused";
		v.cause = "the archive does not support this transfer syntax";
		v.remedy = "enable the codec at the archive; it is then "
			   "released by itself";
	}
	return v;
}

/* ---- everything that is no answer -------------------------------------- */

static const struct verdict failures[FAIL_N] = {
#define ROW(name, f, of_dest, alone, word, c, r)                               \
	[FAIL_##name] = {.fate = FATE_##f,                                     \
			 .of_destination = of_dest,                            \
			 .isolate = alone,                                     \
			 .code = word,                                         \
			 .cause = c,                                           \
			 .remedy = r}
    ROW(RESOLVE, RETRY, true, false, "resolve",
	"the destination's host name cannot be resolved",
	"check the name in 'endpoints' and the machine's DNS"),
    ROW(CONNECT, RETRY, true, false, "connect",
	"no connection to the destination",
	"check that the archive runs, its port, and firewalls between"),
    ROW(CONNECT_TIMEOUT, RETRY, true, false, "connect-timeout",
	"the destination does not answer to a connection",
	"check address, routes and firewalls between"),
    ROW(TLS, RETRY, true, false, "tls", "the TLS handshake failed",
	"check certificates and TLS settings of both sides"),
    ROW(ASSOCIATE_TIMEOUT, RETRY, true, false, "associate-timeout",
	"the destination took the connection but did not answer the "
	"association request",
	"check that the port speaks DICOM, and whether it expects TLS"),
    ROW(ASSOCIATE_LOST, RETRY, true, false, "associate-lost",
	"the destination closed the connection instead of answering the "
	"association request",
	"check that the port speaks DICOM, whether it expects TLS, and "
	"whether the archive allows this address"),
    ROW(NOT_DICOM, RETRY, true, false, "not-dicom",
	"the destination's answer is no DICOM",
	"check that the port speaks DICOM, and whether it expects TLS"),
    ROW(UNSENDABLE, QUARANTINE, false, false, "unsendable",
	"an AE title or UID of the instance is not valid DICOM",
	"send the instance again with valid identifiers"),
    ROW(LOST_IDLE, RETRY, true, false, "lost",
	"the connection to the destination was lost", WAIT),
    ROW(LOST, SUSPECT, false, true, "lost-outstanding",
	"the connection was lost during this instance",
	"if it happens with this instance only, the archive may crash on "
	"it: " INSPECT),
    ROW(LINE, RETRY, true, false, "line-broke",
	"the connection broke in the midst of a large instance", WAIT),
    ROW(SEND_TIMEOUT, SUSPECT, false, false, "send-timeout",
	"the archive stopped reading during this instance", INSPECT),
    ROW(RESPONSE_TIMEOUT, SUSPECT, false, false, "response-timeout",
	"the archive did not answer to this instance in time",
	"look at the archive's load, or raise timeouts.response of the "
	"destination"),
    ROW(PROTOCOL, SUSPECT, false, false, "protocol",
	"the archive broke the protocol during this instance",
	"report this to its vendor"),
    ROW(CORRUPT, QUARANTINE, false, false, "corrupt",
	"our own copy is damaged: its seal does not fit",
	"send the instance again from the device; check the spool's disk"),
    ROW(READ, RETRY, false, false, "read",
	"our own copy cannot be read from the spool", "check the spool's disk"),
    ROW(NO_MEMORY, RETRY, true, false, "memory", "out of memory",
	"give the machine more memory or lower 'associations'"),
    ROW(DIRECTORY_FULL, RETRY, true, false, "directory-full",
	"no space left in the destination's directory",
	"make space; it goes on by itself"),
    ROW(DIRECTORY_DENIED, RETRY, true, false, "directory-denied",
	"the destination's directory cannot be written",
	"check that it exists and its owner and mode"),
    ROW(DIRECTORY_IO, RETRY, true, false, "directory-io",
	"writing to the destination's directory failed", "check that disk"),
    ROW(DIRECTORY_MESSAGE, HOLD_CONTEXT, false, false, "directory-message",
	"a directory takes instances only, no other messages",
	"route this service to a destination that speaks DICOM, or redirect "
	"what is queued to one"),
    ROW(STOPPED, RETRY, false, false, "stopped", "the daemon was stopped",
	WAIT),
#undef ROW
};

struct verdict outcome_of_failure(enum failure f)
{
	return failures[f];
}

/* ---- words ------------------------------------------------------------- */

char *verdict_text(const struct verdict *v, const char *detail, char *out,
		   size_t size)
{
	bool more = detail != NULL && detail[0] != '\0';
	char status[16] = "";

	if (v->status != 0)
		(void)snprintf(status, sizeof(status), " [%04X]", v->status);
	(void)snprintf(out, size, "%s%s%s%s%s%s%s", v->cause, status,
		       more ? " (" : "", more ? detail : "", more ? ")" : "",
		       v->remedy[0] != '\0' ? ": " : "", v->remedy);
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
