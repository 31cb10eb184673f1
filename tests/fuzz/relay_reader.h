/* relay_reader.h - checks that bytes are a sequence of PDUs that can be read,
 * with messages that do not mix. For one fuzz target, which includes it once.
 */
#ifndef TESTS_FUZZ_RELAY_READER_H
#define TESTS_FUZZ_RELAY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/lib/buf.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- what goes out is a sequence of whole messages ---------------------- */

struct reader {
	struct pdu_stream in;
	struct buf hold;
	uint8_t context_id;
	bool busy, data, has_data, over; /* over: the message, in this PDU */
	uint64_t pdu;
	struct buf command;
};

static inline void reader_init(struct reader *r)
{
	buf_init(&r->hold, PDU_ASSOCIATE_MAX);
	buf_init(&r->command, 1 << 20);
	pdu_stream_init(&r->in, &r->hold, 0);
	r->busy = r->over = false;
}

static inline void reader_free(struct reader *r)
{
	buf_free(&r->hold);
	buf_free(&r->command);
}

static inline void reader_pdv_begin(struct reader *r, const struct pdv *pdv)
{
	if (r->pdu != r->in.pdus)
		r->over = false;
	r->pdu = r->in.pdus;
	must(!r->over);
	if (!r->busy) {
		r->busy = true;
		r->data = false;
		r->context_id = pdv->context_id;
		buf_clear(&r->command);
	}
	must(pdv->context_id == r->context_id && pdv->command == !r->data);
}

static inline void reader_pdv_end(struct reader *r, const struct pdv *pdv)
{
	struct command c;

	if (!pdv->last)
		return;
	if (pdv->command) {
		must(command_decode(buf_data(&r->command), buf_len(&r->command),
				    &c) == ERR_OK);
		r->data = command_has_data_set(&c);
	} else {
		r->data = false;
	}
	r->busy = r->data;
	r->over = !r->data;
}

static inline void reader_take(struct reader *r, const uint8_t *p, size_t n)
{
	struct pdu_event ev = {.kind = PDU_EV_PDU};
	size_t used;

	while (ev.kind != PDU_EV_MORE) {
		must(pdu_stream_next(&r->in, p, n, &used, &ev) == ERR_OK);
		p += used;
		n -= used;
		if (ev.kind == PDU_EV_PDV_BEGIN)
			reader_pdv_begin(r, &ev.pdv);
		else if (ev.kind == PDU_EV_PDV_DATA && ev.pdv.command)
			must(buf_append(&r->command, ev.data, ev.len) ==
			     ERR_OK);
		else if (ev.kind == PDU_EV_PDV_END)
			reader_pdv_end(r, &ev.pdv);
		else if (ev.kind == PDU_EV_PDU && ev.type != PDU_ABORT)
			must(!r->busy || ev.type == PDU_ASSOCIATE_RJ);
	}
}

#endif
