/* outcome.h - what each answer of a destination means for an instance or a
 * message.
 *
 * One pure table: every C-STORE status (PS3.7 annex C, PS3.4 table B.2-1), the
 * statuses of the DIMSE-N services (PS3.7 10.1, PS3.4 F.7.2 and J.3),
 * A-ASSOCIATE-RJ and A-ABORT (PS3.8 9.3.4, 9.3.8), refused presentation
 * context (PS3.8 table 9-18) and every way in which the line or the local
 * disk can fail, each with its condition of the catalogue.
 *
 * The table classes one event. What repeats (five spaced failures, a whole
 * destination slowed) is the scheduler's business. */
#ifndef PROXY_OUTCOME_H
#define PROXY_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/condition.h"

enum fate {
	FATE_DELIVERED,        /* the destination has it */
	FATE_FLAGGED,          /* has it, with a warning worth showing */
	FATE_RETRY,            /* again after a back-off, without end */
	FATE_SUSPECT,          /* again; quarantine after five spaced failures
				* while others succeed */
	FATE_HOLD_CONTEXT,     /* this SOP class and transfer syntax between
				* these two AE titles waits; slow probe */
	FATE_HOLD_DESTINATION, /* this pair of AE titles waits; slow probe */
	FATE_QUARANTINE,       /* at once: our copy is damaged, or trying
				* again is of no use */
	FATE_N
};

/* Why an instance did not come to a status. */
enum failure {
	FAIL_RESOLVE,         /* name not resolved */
	FAIL_CONNECT,         /* refused or unreachable */
	FAIL_CONNECT_TIMEOUT, /* no TCP connection in time */
	FAIL_TLS,             /* handshake failed */
	FAIL_ASSOCIATE_TIMEOUT,
	FAIL_ASSOCIATE_LOST,   /* closed instead of an answer to our RQ */
	FAIL_NOT_DICOM,        /* answered with what is no DICOM */
	FAIL_UNSENDABLE,       /* AE title or UID may not be sent */
	FAIL_LOST_IDLE,        /* connection gone, nothing outstanding */
	FAIL_LOST,             /* gone with this instance outstanding */
	FAIL_LINE,             /* gone in the midst of a large instance */
	FAIL_SEND_TIMEOUT,     /* the peer stopped reading */
	FAIL_RESPONSE_TIMEOUT, /* all sent, no response */
	FAIL_PROTOCOL,         /* the peer broke the protocol */
	FAIL_CORRUPT,          /* our copy failed its seal */
	FAIL_READ,             /* our disk failed on reading */
	FAIL_NO_MEMORY,
	FAIL_DIRECTORY_FULL,   /* ENOSPC, EDQUOT */
	FAIL_DIRECTORY_DENIED, /* EACCES, EROFS, ENOENT */
	FAIL_DIRECTORY_IO,
	FAIL_DIRECTORY_MESSAGE, /* a message is no file */
	FAIL_STOPPED,           /* we stopped: nobody's fault, not counted */
	FAIL_N
};

struct verdict {
	enum fate fate;
	/* Says more of the destination than of the instance: repeated, it
	 * slows the whole destination. */
	bool of_destination;
	/* The peer crashed or cut with the instance outstanding: others in
	 * flight may be its victims, so it is next tried on its own. */
	bool isolate;
	uint16_t status; /* of the response, 0 when there is none */
	/* Of the catalogue, NULL for plain success; the three are its name and
	 * its words in English, static, never NULL. */
	const struct condition *condition;
	const char *code;   /* stable word: "connect" */
	const char *cause;  /* plain words, no final full stop */
	const char *remedy; /* "" when nothing is to do */
};

/* A verdict with the words of the catalogue; CONDITION_N: plain success. */
struct verdict outcome_verdict(enum fate fate, bool of_destination,
			       enum condition_id why);

/* The status of a C-STORE-RSP. Every 16-bit value has a verdict. */
struct verdict outcome_of_status(uint16_t status);
/* The same of the response to a DIMSE-N request with this command field. */
struct verdict outcome_of_message_status(uint16_t command, uint16_t status);
/* An N-SET answered 0110 with error ID A710: the procedure step may no longer
 * be updated (PS3.4 F.7.2.2). again: it was sent before, and how that ended
 * is not known. */
struct verdict outcome_of_closed_step(bool again);
/* The peer answered our item 54 with another role than we need. */
struct verdict outcome_of_role(void);
/* result, source, reason as received; unknown values have a verdict too. */
struct verdict outcome_of_reject(uint8_t result, uint8_t source,
				 uint8_t reason);
/* outstanding: an instance was being sent or its response was awaited. */
struct verdict outcome_of_abort(uint8_t source, uint8_t reason,
				bool outstanding);
/* result of the presentation context in the A-ASSOCIATE-AC, not 0. */
struct verdict outcome_of_context(uint8_t result);
struct verdict outcome_of_failure(enum failure f);

/* "cause [status] (detail): remedy [CV3001]", cut to fit before its code;
 * detail may be NULL. Detail that came from a peer is escaped by the caller.
 * Returns out. */
char *verdict_text(const struct verdict *v, const char *detail, char *out,
		   size_t size);

/* "delivered", "retry", ... for the ledger, pages and logs. */
const char *fate_name(enum fate f);

#endif
