/* leg_frame.h - where PDUs begin and end in a stream of bytes, without looking
 * into P-DATA-TF: its bytes are passed on as they are.
 *
 * Pure: no I/O, no allocation, no clock. Input is hostile. */
#ifndef PROXY_LEG_FRAME_H
#define PROXY_LEG_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/pdu.h"

enum leg_piece {
	LEG_PIECE_NONE,    /* part of a control PDU: nothing to report yet */
	LEG_PIECE_DATA,    /* bytes of P-DATA-TF PDUs, headers included */
	LEG_PIECE_CONTROL, /* another PDU: type, body */
	LEG_PIECE_BAD,     /* the stream is broken: abort_reason */
};

enum { LEG_BODY_LEN = 4 }; /* of RJ, RELEASE-RQ, RELEASE-RP, ABORT */

/* Begin with {0}, between two PDUs. Fields are private save those named. */
struct leg_frame {
	uint32_t left; /* bytes of the PDU still to come */
	uint8_t head[PDU_HEADER_LEN];
	uint8_t n_head, n_body;
	bool data;
	enum pdu_type type;         /* CONTROL */
	uint8_t body[LEG_BODY_LEN]; /* CONTROL: its first bytes */
	uint8_t abort_reason;       /* BAD */
};

/* Take a piece from the front of n > 0 bytes; returns its length > 0. For DATA
 * p[0..length) is to be passed on. A-ASSOCIATE PDUs are reported by their
 * header, their body is nobody's: they are not expected any more. After BAD
 * there is nothing to be had. */
size_t leg_frame_next(struct leg_frame *f, const uint8_t *p, size_t n,
		      enum leg_piece *piece);

#endif
