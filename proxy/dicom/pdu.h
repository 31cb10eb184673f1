/* pdu.h - DICOM Upper Layer PDU framing (PS3.8 section 9.3).
 *
 * Pure: no I/O, no clock. Input is hostile. The one allocation is the growth
 * of a struct buf that the caller owns and bounds. */
#ifndef PROXY_DICOM_PDU_H
#define PROXY_DICOM_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"

enum {
	PDU_HEADER_LEN = 6,          /* bytes: type, reserved, length */
	PDU_CONTROL_LEN = 10,        /* RJ, RELEASE-RQ, RELEASE-RP, ABORT */
	PDU_PDATA_HEADER_LEN = 12,   /* PDU header and one PDV header */
	PDU_CONTROL_MAX = 1024,      /* longest body taken of the four above */
	PDU_ASSOCIATE_MAX = 1 << 20, /* advice for the buffer's maximum */
	PDU_PDATA_MAX = 16 << 20,    /* longest P-DATA body ever taken */
	PDU_DEFAULT_MAX = 16384,     /* what to assume when item 51 is absent */
};

enum pdu_type {
	PDU_ASSOCIATE_RQ = 0x01,
	PDU_ASSOCIATE_AC = 0x02,
	PDU_ASSOCIATE_RJ = 0x03,
	PDU_DATA_TF = 0x04,
	PDU_RELEASE_RQ = 0x05,
	PDU_RELEASE_RP = 0x06,
	PDU_ABORT = 0x07,
};

/* Message control header, PS3.8 annex E.2. */
enum { PDV_COMMAND = 0x01, PDV_LAST = 0x02 };

/* A-ABORT (PS3.8 table 9-26). */
enum { ABORT_USER = 0, ABORT_PROVIDER = 2 };
enum {
	ABORT_NO_REASON = 0,
	ABORT_UNRECOGNIZED_PDU = 1,
	ABORT_UNEXPECTED_PDU = 2,
	ABORT_UNRECOGNIZED_PARAMETER = 4,
	ABORT_UNEXPECTED_PARAMETER = 5,
	ABORT_INVALID_PARAMETER = 6,
};

/* A-ASSOCIATE-RJ (PS3.8 table 9-21): result, source, reasons by source. */
enum { REJECT_PERMANENT = 1, REJECT_TRANSIENT = 2 };
enum { REJECT_USER = 1, REJECT_ACSE = 2, REJECT_PRESENTATION = 3 };
enum {
	REJECT_USER_NO_REASON = 1,
	REJECT_USER_CONTEXT_NAME = 2,
	REJECT_USER_CALLING_AE = 3,
	REJECT_USER_CALLED_AE = 7,
	REJECT_ACSE_NO_REASON = 1,
	REJECT_ACSE_VERSION = 2,
	REJECT_PRESENTATION_CONGESTION = 1,
	REJECT_PRESENTATION_LIMIT = 2,
};

/* "A-ASSOCIATE-RQ" and so on. */
const char *pdu_type_name(enum pdu_type type);

/* ---- one header ---- */

struct pdu_header {
	enum pdu_type type;
	uint32_t body_len; /* bytes after the header, host order */
};

/* Decode the header at buf[0..len). Reads only that range and keeps no
 * pointer into it. max_body: largest body accepted, in bytes.
 *
 *   ERR_OK     *out is filled; the header took PDU_HEADER_LEN bytes
 *   ERR_AGAIN  len < PDU_HEADER_LEN
 *   ERR_PROTO  unknown PDU type
 *   ERR_LIMIT  body_len > max_body
 *
 * *out is untouched unless ERR_OK. */
enum err pdu_header_decode(const uint8_t *buf, size_t len, uint32_t max_body,
			   struct pdu_header *out) MUST_CHECK;

/* ---- what a new connection speaks ---- */

enum pdu_first {
	PDU_FIRST_MORE,  /* cannot say yet: give at least one byte more */
	PDU_FIRST_DICOM, /* a PDU type 01..07 */
	PDU_FIRST_TLS,   /* a TLS record with a handshake */
	PDU_FIRST_HTTP,  /* an HTTP request line */
	PDU_FIRST_OTHER,
};

/* Look at the first n bytes a peer sent. Four bytes always suffice. */
enum pdu_first pdu_first_bytes(const uint8_t *bytes, size_t n);

/* ---- the stream of a connection ---- */

enum pdu_event_kind {
	PDU_EV_MORE,      /* all input used, nothing to report */
	PDU_EV_PDU,       /* a whole PDU other than P-DATA-TF: type, body */
	PDU_EV_PDV_BEGIN, /* pdv */
	PDU_EV_PDV_DATA,  /* pdv, data: the next bytes of its payload */
	PDU_EV_PDV_END,   /* pdv: its payload is complete */
};

struct pdv {
	uint8_t context_id; /* as sent: any value */
	bool command;       /* a command fragment, else data set */
	bool last;          /* the last fragment of command or data set */
	uint32_t len; /* payload bytes, without the PDV header; may be 0 */
};

struct pdu_event {
	enum pdu_event_kind kind;
	enum pdu_type type; /* PDU_EV_PDU; PDU_DATA_TF for the PDV kinds */
	struct pdv pdv;     /* PDV kinds */
	const uint8_t
	    *data;  /* PDU_EV_PDU: the body; PDV_DATA: into the input */
	size_t len; /* bytes at data */
};

/* Fields are private, save the counters. */
struct pdu_stream {
	struct buf *hold; /* borrowed */
	uint32_t advertised;
	uint8_t head[PDU_HEADER_LEN]; /* a header that arrived in parts */
	uint8_t n_head;
	uint8_t state;
	enum err failed;
	struct pdu_header pdu;
	uint32_t pdu_left; /* body bytes not yet taken */
	struct pdv pdv;
	uint32_t pdv_left; /* payload bytes not yet taken */

	uint8_t abort_reason; /* after an error: reason for our A-ABORT */
	uint64_t pdus;        /* begun, of any type */
	uint64_t oversized;   /* P-DATA above what we advertised, taken */
	uint64_t odd;         /* PDVs of odd length, taken */
};

/* hold: the caller's buffer, empty, which outlives s; its maximum bounds the
 * A-ASSOCIATE PDUs taken. advertised: the maximum length we put into item 51
 * (0: none); P-DATA above it is taken and counted, up to PDU_PDATA_MAX. */
void pdu_stream_init(struct pdu_stream *s, struct buf *hold,
		     uint32_t advertised);

/* Take input until there is one event. Call again with the rest (bytes +
 * *used, n - *used) until PDU_EV_MORE, which is given once all n bytes are
 * used. *used can be 0 with an event; every event chain ends.
 *
 * ev->data is borrowed: it points into bytes, or into hold, and is valid
 * until the next call for this stream or the end of bytes' life, whichever is
 * first. A PDV's payload is never copied or held. Several PDVs in a PDU, empty
 * fragments and odd lengths are taken.
 *
 *   ERR_OK     *ev and *used are filled
 *   ERR_PROTO  unknown PDU type (abort_reason 1); a PDV shorter than 2 bytes
 *              or longer than the rest of its PDU (abort_reason 6)
 *   ERR_LIMIT  a PDU longer than we take (abort_reason 6)
 *   ERR_NOMEM  hold could not grow (abort_reason 0)
 *
 * An error is final: every later call returns it again, with nothing used. */
enum err pdu_stream_next(struct pdu_stream *s, const uint8_t *bytes, size_t n,
			 size_t *used, struct pdu_event *ev) MUST_CHECK;

/* Whether the stream stands between two PDUs: a clean place for EOF. */
bool pdu_stream_idle(const struct pdu_stream *s);

/* ---- small PDUs, decoded ---- */

struct pdu_reject {
	uint8_t result, source, reason;
};

struct pdu_abort {
	uint8_t source, reason;
};

/* Any body is fine: bytes that are missing read as 0. */
struct pdu_reject pdu_reject_decode(const uint8_t *body, size_t len);
struct pdu_abort pdu_abort_decode(const uint8_t *body, size_t len);

/* Static English for the log: "called AE title not recognized". Never NULL. */
const char *pdu_reject_text(struct pdu_reject r);
const char *pdu_abort_text(struct pdu_abort a);

/* ---- encoders: each fills out and returns the number of bytes ---- */

size_t pdu_reject_encode(uint8_t out[PDU_CONTROL_LEN], struct pdu_reject r);
size_t pdu_abort_encode(uint8_t out[PDU_CONTROL_LEN], struct pdu_abort a);
size_t pdu_release_rq_encode(uint8_t out[PDU_CONTROL_LEN]);
size_t pdu_release_rp_encode(uint8_t out[PDU_CONTROL_LEN]);

/* The 12 bytes before a P-DATA-TF with one PDV of payload_len bytes.
 * mch: PDV_COMMAND | PDV_LAST. payload_len <= PDU_PDATA_MAX. */
size_t pdu_pdata_header(uint8_t out[PDU_PDATA_HEADER_LEN], uint32_t payload_len,
			uint8_t context_id, uint8_t mch);

/* Largest even PDV payload to send to a peer which declared peer_max in item
 * 51 (0: no limit), one PDV a PDU, never above our_max (>= 8, same unit: a PDU
 * length). 0 when the peer leaves no room for two bytes: do not send. */
uint32_t pdu_payload_max(uint32_t peer_max, uint32_t our_max);

#endif
