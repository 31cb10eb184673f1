/* relay_message.h - DIMSE messages as bytes: made and cut at random, read back
 * out of P-DATA-TF PDUs. */
#ifndef TESTS_UNIT_RELAY_MESSAGE_H
#define TESTS_UNIT_RELAY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/buf.h"

/* The device's contexts. Storage, verification and commitment are taken here;
 * worklist goes to the RIS, all else to the PACS. Who calls "LIVE" has storage
 * and verification relayed to the PACS too. */
enum {
	CTX_ECHO = 1,
	CTX_STORE = 3,    /* CT, both roles */
	CTX_WORKLIST = 5, /* to the RIS */
	CTX_FIND = 7,     /* to the PACS */
	CTX_MOVE = 9,
	CTX_GET = 11,
	CTX_PRINTER = 13, /* to the RIS; N-EVENT-REPORT comes back */
};

#define CLASS_MWL  "1.2.840.10008.5.1.4.31"
#define CLASS_FIND "1.2.840.10008.5.1.4.1.2.2.1"
#define CLASS_MOVE "1.2.840.10008.5.1.4.1.2.2.2"
#define CLASS_GET  "1.2.840.10008.5.1.4.1.2.2.3"
#define CLASS_CT   "1.2.840.10008.5.1.4.1.1.2"
#define CLASS_ECHO "1.2.840.10008.1.1"
#define CLASS_PRT  "1.2.840.10008.5.1.1.16"

/* A message as bytes, to send and to compare with. seed 0: one PDV a PDU of at
 * most 16 KiB; else cut at random: several PDVs a PDU, single bytes, empty
 * fragments. data NULL: n bytes that depend on seed and n. */
void kit_message(struct buf *out, uint8_t context_id, const struct command *c,
		 size_t n, unsigned seed);
struct command kit_request_command(uint16_t field, uint16_t id, bool data_set);
struct command kit_response_command(uint16_t field, uint16_t id,
				    uint16_t status, bool data_set);

struct got {
	uint8_t context_id;
	struct command command;
	size_t n;       /* bytes of the data set */
	struct buf raw; /* all PDUs of it */
};
/* Take the first whole message out of what came. False: there is none yet. */
bool kit_take(struct buf *data, struct got *g);
/* Length of the first PDU, 0: it is not whole. */
size_t relay_pdu_len(const struct buf *b);

/* The next of a sequence. */
uint32_t kit_random(unsigned *seed);

#endif
