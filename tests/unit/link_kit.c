#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/link_kit.h"

/* One frame of each type, valid, with every field filled. */

static const uint8_t run_bytes[] = {0, 0, 0, 0, 0, 0, 0, 3,
				    0, 0, 0, 9, 0, 0, 0, 1};
static const uint8_t id_bytes[2 * LINK_ID_LEN] = {1, [16] = 2};
static const uint8_t some[] = "some bytes";
static uint8_t pairs[64];
static size_t pairs_len;

static const char head_text[] =
    "culvert audit head 1\nnode: edge-01\n"
    "log: 00112233445566778899aabbccddeeff\nnumber: 17\nseq: 4711\n"
    "chain: 00112233445566778899aabbccddeeff"
    "00112233445566778899aabbccddeeff\n"
    "time: 2026-05-04T09:15:27.123Z\nkey: 0011223344556677\n"
    "signature: MAYCAQECAQE=\n";

static struct link_frame hello(void)
{
	struct link_frame f = {.type = LINK_HELLO};

	f.hello = (struct link_hello){
	    .version_min = 1,
	    .version_max = 2,
	    .features = LINK_TAKES | LINK_JOINS,
	    .spool = {1},
	    .epoch = {2},
	    .session = {3},
	    .position = 4,
	    .window = 8 << 20,
	    .transfers = 64,
	    .keepalive_ms = 15000,
	    .connections = 4,
	    .chunk_log2 = LINK_CHUNK_LOG2,
	    .node = "edge-01",
	};
	return f;
}

static struct link_frame content(enum link_type type, uint8_t flags)
{
	struct link_frame f = {.type = type, .flags = flags};

	f.id.b[0] = 7;
	f.content.length = (5u << 20) + 1;
	f.content.chunks = 6;
	f.content.root[31] = 8;
	f.content.meta = (struct link_bytes){some, sizeof(some)};
	return f;
}

static struct link_frame accepts(void)
{
	struct link_frame f = {.type = LINK_ACCEPTS, .flags = LINK_F_MORE};

	pairs_len = 0;
	assert_true(link_accepts_put(pairs, sizeof(pairs), &pairs_len,
				     "1.2.840.10008.1.1", "1.2.840.10008.1.2"));
	f.accepts = (struct link_accepts){
	    .serial = 1,
	    .age_s = 2,
	    .called_ae = {(const uint8_t *)"ARCHIVE", 7},
	    .pairs = 1,
	    .list = {pairs, pairs_len},
	};
	return f;
}

static struct link_frame reason(enum link_type type, uint16_t code)
{
	struct link_frame f = {.type = type};

	f.why.code = code;
	f.why.text = (struct link_bytes){some, sizeof(some) - 1};
	return f;
}

struct link_frame link_kit_sample(enum link_type type)
{
	struct link_frame f = {.type = type};

	switch (type) {
	case LINK_HELLO:
		return hello();
	case LINK_JOIN:
	case LINK_JOINED:
		f.join.number = 15;
		break;
	case LINK_PING:
	case LINK_PONG:
		f.stamp = 0x0102030405060708u;
		break;
	case LINK_BYE:
		f = reason(type, LINK_BYE_SHUTDOWN);
		f.flags = LINK_F_LINK;
		break;
	case LINK_OFFER:
		return content(type, LINK_F_COMPLETE | LINK_F_EAGER);
	case LINK_ROOT:
		return content(type, 0);
	case LINK_DATA:
		f.data = (struct link_data){1, 2, {some, sizeof(some)}};
		break;
	case LINK_CHUNK_END:
		f.end = (struct link_chunk_end){1, CHUNK_LEN, {9}};
		break;
	case LINK_WITHDRAW:
		f.withdraw = LINK_WITHDRAW_ABORTED;
		break;
	case LINK_QUERY:
	case LINK_NOTED:
		f.ids = (struct link_ids){id_bytes, 2};
		break;
	case LINK_HEAD:
		f.head = (struct link_bytes){(const uint8_t *)head_text,
					     sizeof(head_text) - 1};
		break;
	case LINK_HAVE:
	case LINK_ACK:
		f.runs = (struct link_runs){run_bytes, 2};
		break;
	case LINK_BAD:
		f.bad = (struct link_bad_chunk){1, LINK_BAD_HASH, {1}, {2}};
		break;
	case LINK_ARRIVED:
		f.arrived = (struct link_arrived){12, {13}};
		break;
	case LINK_DELIVERED:
		f.delivered =
		    (struct link_delivered){LINK_OUT_FLAGGED, 0xb000, 14};
		break;
	case LINK_UNDELIVERED:
		return reason(type, LINK_STUCK_HELD);
	case LINK_REFUSED:
		return reason(type, LINK_REFUSED_NO_SPACE);
	case LINK_ACCEPTS:
		return accepts();
	}
	return f;
}

size_t link_kit_encode(const struct link_frame *f, uint8_t *out)
{
	size_t len = 0;

	assert_int_equal(link_frame_encode(f, out, LINK_FRAME_MAX, &len),
			 ERR_OK);
	return len;
}

/* Decode exactly len bytes, in memory of exactly that size. */
enum err link_kit_decode(const uint8_t *bytes, size_t len,
			 struct link_frame *out)
{
	static uint8_t *copy;
	struct link_header h;
	const char *why = NULL;
	enum err e;

	free(copy);
	copy = malloc(len > 0 ? len : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	e = link_header_decode(copy, len, &h, &why);
	if (e == ERR_OK)
		e = h.type >= LINK_SKIPPABLE || h.body_len != len - 8
			? ERR_AGAIN
			: link_body_decode(&h, copy + 8, out, &why);
	assert_true((e == ERR_PROTO) == (why != NULL));
	return e;
}
