/* PDU streams: however the bytes are cut, the same events come, nothing is
 * read beyond a piece, and the counts add up. The first byte says how to cut.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/pdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

enum { HOLD_MAX = 4096, ADVERTISED = 64 };

struct tally {
	uint64_t hash; /* of all that was said */
	uint64_t payload, begun, ended, declared;
	enum err end;
	uint8_t reason;
	bool idle, open;
};

static void mix(struct tally *t, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		t->hash = (t->hash ^ b[i]) * 1099511628211u;
}

static void on_event(struct tally *t, const struct pdu_event *ev)
{
	switch (ev->kind) {
	case PDU_EV_MORE:
		return;
	case PDU_EV_PDU:
		CHECK(!t->open && ev->type != PDU_DATA_TF);
		CHECK(ev->len <= HOLD_MAX);
		mix(t, &ev->type, sizeof(ev->type));
		mix(t, ev->data, ev->len);
		break;
	case PDU_EV_PDV_BEGIN:
		CHECK(!t->open);
		t->open = true;
		t->begun++;
		t->declared += ev->pdv.len;
		mix(t, &ev->pdv.context_id, 1);
		mix(t, &ev->pdv.len, sizeof(ev->pdv.len));
		break;
	case PDU_EV_PDV_DATA:
		CHECK(t->open && ev->len > 0);
		t->payload += ev->len;
		mix(t, ev->data, ev->len);
		break;
	case PDU_EV_PDV_END:
		CHECK(t->open && t->payload == t->declared);
		t->open = false;
		t->ended++;
		break;
	}
}

static void feed(struct pdu_stream *s, const uint8_t *data, size_t len,
		 struct tally *t)
{
	uint8_t *piece = malloc(len > 0 ? len : 1);
	struct pdu_event ev;
	size_t at = 0, used, turns = 0;

	CHECK(piece != NULL);
	memcpy(piece, data, len);
	do {
		t->end = pdu_stream_next(s, piece + at, len - at, &used, &ev);
		if (t->end != ERR_OK)
			break;
		CHECK(used <= len - at);
		at += used;
		on_event(t, &ev);
		CHECK(++turns <= 3 * len + 3);
	} while (ev.kind != PDU_EV_MORE);
	CHECK(t->end != ERR_OK || at == len);
	free(piece);
}

/* step 0: all at once. */
static struct tally run(const uint8_t *data, size_t len, size_t step)
{
	struct tally t = {.hash = 14695981039346656037u};
	struct pdu_stream s;
	struct buf hold;
	size_t n;

	buf_init(&hold, HOLD_MAX);
	pdu_stream_init(&s, &hold, ADVERTISED);
	for (; len > 0 && t.end == ERR_OK; data += n, len -= n) {
		n = step > 0 && step < len ? step : len;
		feed(&s, data, n, &t);
	}
	t.reason = s.abort_reason;
	t.idle = pdu_stream_idle(&s);
	buf_free(&hold);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tally whole, cut;
	struct pdu_header h;

	if (len == 0)
		return 0;
	whole = run(data + 1, len - 1, 0);
	cut = run(data + 1, len - 1, 1u + data[0] % 17);
	CHECK(whole.end == cut.end && whole.reason == cut.reason);
	CHECK(whole.hash == cut.hash && whole.payload == cut.payload);
	CHECK(whole.begun == cut.begun && whole.ended == cut.ended);
	CHECK(whole.idle == cut.idle && whole.open == cut.open);
	if (pdu_header_decode(data, len, 1 << 20, &h) == ERR_OK)
		CHECK(h.body_len <= 1 << 20); /* the limit must hold */
	CHECK(len < 4 || pdu_first_bytes(data, len) != PDU_FIRST_MORE);
	return 0;
}
