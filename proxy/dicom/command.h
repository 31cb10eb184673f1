/* command.h - DIMSE command sets (PS3.7 sections 6.3, 9.3, 10.3, annexes C
 * and E). Always implicit VR little endian.
 *
 * Pure: no I/O, no allocation, no clock. Input is hostile; the caller bounds
 * the bytes of a command set (COMMAND_MAX). */
#ifndef PROXY_DICOM_COMMAND_H
#define PROXY_DICOM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/uid.h"
#include "proxy/lib/err.h"
#include "proxy/lib/wr.h"

enum {
	COMMAND_MAX = 65536,     /* advice: longest command set to gather */
	COMMAND_STORE_MAX = 512, /* room for any command made here */
	COMMAND_MAX_OFFENDING = 16,
	COMMAND_MAX_ATTRIBUTES = 64,
	COMMAND_NO_DATA_SET = 0x0101,
	COMMAND_RESPONSE = 0x8000, /* bit of the command field */
};

/* Command field (0000,0100). */
enum {
	C_STORE_RQ = 0x0001,
	C_STORE_RSP = 0x8001,
	C_GET_RQ = 0x0010,
	C_GET_RSP = 0x8010,
	C_FIND_RQ = 0x0020,
	C_FIND_RSP = 0x8020,
	C_MOVE_RQ = 0x0021,
	C_MOVE_RSP = 0x8021,
	C_ECHO_RQ = 0x0030,
	C_ECHO_RSP = 0x8030,
	C_CANCEL_RQ = 0x0FFF,
	N_EVENT_REPORT_RQ = 0x0100,
	N_EVENT_REPORT_RSP = 0x8100,
	N_GET_RQ = 0x0110,
	N_GET_RSP = 0x8110,
	N_SET_RQ = 0x0120,
	N_SET_RSP = 0x8120,
	N_ACTION_RQ = 0x0130,
	N_ACTION_RSP = 0x8130,
	N_CREATE_RQ = 0x0140,
	N_CREATE_RSP = 0x8140,
	N_DELETE_RQ = 0x0150,
	N_DELETE_RSP = 0x8150,
};

enum { PRIORITY_MEDIUM = 0, PRIORITY_HIGH = 1, PRIORITY_LOW = 2 };

/* Statuses that we give (PS3.7 annex C, PS3.4 annex B.2.3). */
enum {
	STATUS_SUCCESS = 0x0000,
	STATUS_PROCESSING_FAILURE = 0x0110,
	STATUS_DUPLICATE_INSTANCE = 0x0111,
	STATUS_NO_SUCH_INSTANCE = 0x0112,
	STATUS_NO_SUCH_EVENT = 0x0113,
	STATUS_INVALID_ARGUMENT = 0x0115,
	STATUS_INVALID_INSTANCE = 0x0117,
	STATUS_CLASS_INSTANCE_CONFLICT = 0x0119,
	STATUS_MISSING_ATTRIBUTE = 0x0120,
	STATUS_CLASS_NOT_SUPPORTED = 0x0122,
	STATUS_NO_SUCH_ACTION = 0x0123,
	STATUS_NOT_AUTHORIZED = 0x0124,
	STATUS_DUPLICATE_INVOCATION = 0x0210,
	STATUS_UNRECOGNIZED_OPERATION = 0x0211,
	STATUS_MISTYPED_ARGUMENT = 0x0212,
	STATUS_RESOURCE_LIMIT = 0x0213,
	STATUS_OUT_OF_RESOURCES = 0xA700,
	STATUS_UNABLE_TO_RETRIEVE = 0xA702, /* PS3.4 C.4.2.1.5 */
	STATUS_CLASS_MISMATCH = 0xA900,
	STATUS_CANNOT_UNDERSTAND = 0xC000,
	STATUS_UNABLE_TO_PROCESS = 0xC001, /* PS3.4 C.4.1.1.4 */
};

enum status_class {
	STATUS_IS_SUCCESS, /* 0000 */
	STATUS_IS_WARNING, /* 0001, 0107, 0116, Bxxx */
	STATUS_IS_FAILURE, /* 01xx, 02xx, Axxx, Cxxx, and any other */
	STATUS_IS_CANCEL,  /* FE00 */
	STATUS_IS_PENDING, /* FF00, FF01 */
};

/* Bits of has: which elements are there. Order is that of the tags. */
enum {
	CMD_AFFECTED_CLASS = 1u << 0,      /* (0000,0002) */
	CMD_REQUESTED_CLASS = 1u << 1,     /* 0003 */
	CMD_FIELD = 1u << 2,               /* 0100 */
	CMD_MESSAGE_ID = 1u << 3,          /* 0110 */
	CMD_RESPONDED_ID = 1u << 4,        /* 0120 */
	CMD_MOVE_DESTINATION = 1u << 5,    /* 0600 */
	CMD_PRIORITY = 1u << 6,            /* 0700 */
	CMD_DATA_SET_TYPE = 1u << 7,       /* 0800 */
	CMD_STATUS = 1u << 8,              /* 0900 */
	CMD_OFFENDING = 1u << 9,           /* 0901 */
	CMD_COMMENT = 1u << 10,            /* 0902 */
	CMD_ERROR_ID = 1u << 11,           /* 0903 */
	CMD_AFFECTED_INSTANCE = 1u << 12,  /* 1000 */
	CMD_REQUESTED_INSTANCE = 1u << 13, /* 1001 */
	CMD_EVENT_TYPE = 1u << 14,         /* 1002 */
	CMD_ATTRIBUTES = 1u << 15,         /* 1005 */
	CMD_ACTION_TYPE = 1u << 16,        /* 1008 */
	CMD_REMAINING = 1u << 17,          /* 1020 */
	CMD_COMPLETED = 1u << 18,          /* 1021 */
	CMD_FAILED = 1u << 19,             /* 1022 */
	CMD_WARNING = 1u << 20,            /* 1023 */
	CMD_ORIGINATOR_AE = 1u << 21,      /* 1030 */
	CMD_ORIGINATOR_ID = 1u << 22,      /* 1031 */
};

/* A field without its bit in has is 0 or "". Text is trimmed and may hold any
 * byte but NUL: log it through log_esc(). */
struct command {
	uint32_t has;
	uint16_t field;
	uint16_t message_id;
	uint16_t responded_id;
	uint16_t priority;
	uint16_t data_set_type;
	uint16_t status;
	uint16_t error_id;
	uint16_t event_type;
	uint16_t action_type;
	uint16_t remaining, completed, failed, warning;
	uint16_t originator_id;
	char affected_class[UID_SIZE], requested_class[UID_SIZE];
	char affected_instance[UID_SIZE], requested_instance[UID_SIZE];
	char move_destination[17];
	char originator_ae[17];
	char comment[65];
	uint16_t n_offending, n_attributes;
	uint32_t offending[COMMAND_MAX_OFFENDING]; /* group << 16 | element */
	uint32_t attributes[COMMAND_MAX_ATTRIBUTES];
};

/* Decode a whole command set.
 *
 * Taken: a missing or wrong (0000,0000), elements in any order (of repeated
 * ones the first counts), unknown elements, values padded with spaces or NULs
 * or not padded. Text too long for its field, and numbers shorter than theirs,
 * count as absent; lists are cut at their bound. UIDs are not judged: see
 * uid_valid().
 *
 *   ERR_OK
 *   ERR_PROTO  an element runs past the end, or there is no command field
 *
 * *out is unspecified on error. */
enum err command_decode(const uint8_t *bytes, size_t len,
			struct command *out) MUST_CHECK;

/* Whether a data set follows: any type but 0101, PS3.7 annex E.1. Without the
 * element: what that command usually has. */
bool command_has_data_set(const struct command *c);

/* Append the elements named in has, ascending, evenly padded, with (0000,0000)
 * first. ERR_LIMIT: w too small. ERR_INVAL: no CMD_FIELD. */
enum err command_encode(const struct command *c, struct wr *w) MUST_CHECK;

/* ---- the commands we make; each overwrites *out ---- */

/* UIDs longer than 64 characters are cut: check with uid_valid() before. */
void command_echo_rq(struct command *out, uint16_t message_id);
void command_store_rq(struct command *out, uint16_t message_id,
		      const char *sop_class, const char *sop_instance,
		      uint16_t priority);
/* Add (0000,1030) and (0000,1031) to a C-STORE-RQ that serves a C-MOVE. */
void command_set_originator(struct command *c, const char *ae, uint16_t id);
/* A DIMSE-N request (PS3.7 section 10.3). Its class and instance are the
 * affected ones of N-EVENT-REPORT and N-CREATE, the requested ones of all
 * others. sop_instance "": left out (N-CREATE only). type: the event type of
 * an N-EVENT-REPORT, the action type of an N-ACTION, else not used. */
void command_message_rq(struct command *out, uint16_t field,
			uint16_t message_id, const char *sop_class,
			const char *sop_instance, uint16_t type, bool data_set);
/* The response to any request but C-CANCEL, without data set: responded id,
 * class, instance, event and action type are the request's; requested class
 * and instance come back as affected ones. comment: NULL, or text of which 64
 * bytes are used. */
void command_response(struct command *out, const struct command *rq,
		      uint16_t status, const char *comment);

/* ---- words ---- */

/* "C-STORE-RQ"; "unknown command". */
const char *command_name(uint16_t field);
enum status_class command_status_class(uint16_t status);
/* English for a C-STORE or general status; never NULL. */
const char *command_status_text(uint16_t status);

#endif
