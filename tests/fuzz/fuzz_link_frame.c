/* Frames of the chunk link: however the bytes are cut, the same frames come;
 * what was decoded is encoded again and decodes to the same; lists inside
 * bodies can be walked; metadata is taken or refused. The first byte says how
 * to cut. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/link/frame.h"
#include "proxy/link/offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

struct tally {
	uint64_t hash; /* of all frames, encoded again */
	uint64_t frames, skipped;
	enum err end;
	const char *why;
	bool idle;
};

static void mix(struct tally *t, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		t->hash = (t->hash ^ p[i]) * 1099511628211u;
}

static void walk_runs(const struct link_frame *f)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < f->runs.n; i++) {
		struct link_run run = link_run_at(f->runs, i);

		CHECK(run.count > 0 && (i == 0 || run.first > end));
		end = (uint64_t)run.first + run.count;
		CHECK(end <= LINK_CHUNKS_MAX);
	}
}

static void walk_pairs(const struct link_frame *f)
{
	struct link_bytes list = f->accepts.list;
	struct link_pair pair;
	uint32_t n = 0;

	while (link_accepts_next(&list, &pair)) {
		CHECK(pair.abstract[0] != '\0' && pair.transfer[0] != '\0');
		n++;
	}
	CHECK(n == f->accepts.pairs);
}

/* What is taken of metadata goes out again and is taken again. */
static void take(const struct link_frame *f)
{
	struct instance in, again;
	uint8_t meta[INSTANCE_ENCODED_MAX];
	struct link_bytes bytes = {meta, 0};

	if (link_offer_take(&f->id, f->content.meta, &in) != ERR_OK)
		return;
	CHECK(in.n_destinations == 0 && in.device[0] == '\0');
	bytes.len = link_offer_meta(&in, meta);
	CHECK(link_offer_take(&f->id, bytes, &again) == ERR_OK);
	CHECK(memcmp(&in, &again, sizeof(in)) == 0);
}

static void walk(const struct link_frame *f)
{
	if (f->type == LINK_HAVE || f->type == LINK_ACK)
		walk_runs(f);
	else if (f->type == LINK_ACCEPTS)
		walk_pairs(f);
	else if (f->type == LINK_OFFER || f->type == LINK_ROOT)
		take(f);
	else if (f->type == LINK_QUERY || f->type == LINK_NOTED)
		(void)link_id_at(f->ids, f->ids.n - 1);
	else if (f->type == LINK_DATA)
		CHECK(f->data.offset + f->data.data.len <= CHUNK_LEN);
	else if (f->type == LINK_REFUSED)
		(void)link_refusal_class(f->why.code);
}

/* Both ends come to the same terms. */
static void agree(const struct link_hello *theirs)
{
	static const struct link_hello ours = {
	    .version_min = 1,
	    .version_max = 1,
	    .features = LINK_TAKES | LINK_JOINS,
	    .window = 64u << 20,
	    .transfers = 100,
	    .connections = 4,
	    .chunk_log2 = LINK_CHUNK_LOG2,
	};
	struct link_terms a, b;
	uint16_t bye = link_agree(&ours, theirs, &a);

	CHECK(link_agree(theirs, &ours, &b) == bye);
	if (bye != 0)
		return;
	CHECK(a.connections >= 1 && a.connections == b.connections);
	CHECK(a.version == 1 && a.features == b.features);
	CHECK(!a.they_take || a.window >= CHUNK_LEN);
}

static void on_frame(struct tally *t, const struct link_frame *f)
{
	uint8_t first[LINK_FRAME_MAX], second[LINK_FRAME_MAX];
	struct link_header h;
	struct link_frame got;
	const char *why = NULL;
	size_t len = 0, again = 0;

	walk(f);
	if (f->type == LINK_HELLO)
		agree(&f->hello);
	CHECK(link_frame_encode(f, first, sizeof(first), &len) == ERR_OK);
	CHECK(link_header_decode(first, len, &h, &why) == ERR_OK);
	CHECK(h.body_len == len - LINK_HEADER_LEN);
	CHECK(link_body_decode(&h, first + LINK_HEADER_LEN, &got, &why) ==
	      ERR_OK);
	CHECK(link_frame_encode(&got, second, sizeof(second), &again) ==
	      ERR_OK);
	CHECK(again == len && memcmp(first, second, len) == 0);
	mix(t, first, len);
}

static void feed(struct link_stream *s, const uint8_t *data, size_t len,
		 struct tally *t)
{
	uint8_t *piece = malloc(len > 0 ? len : 1);
	struct link_frame f;
	size_t at = 0, used;

	CHECK(piece != NULL);
	memcpy(piece, data, len);
	for (;;) {
		t->end = link_stream_next(s, piece + at, len - at, &used, &f);
		CHECK(used <= len - at);
		at += used;
		if (t->end != ERR_OK)
			break;
		on_frame(t, &f);
	}
	CHECK(t->end != ERR_AGAIN || at == len);
	free(piece);
}

static struct tally run(const uint8_t *data, size_t len, size_t step)
{
	struct tally t = {.hash = 14695981039346656037u, .end = ERR_AGAIN};
	struct link_stream s;
	struct buf hold;
	size_t n;

	buf_init(&hold, LINK_FRAME_MAX);
	link_stream_init(&s, &hold);
	for (; len > 0 && t.end == ERR_AGAIN; data += n, len -= n) {
		n = step > 0 && step < len ? step : len;
		feed(&s, data, n, &t);
	}
	t.frames = s.frames;
	t.skipped = s.skipped;
	t.why = s.why;
	t.idle = link_stream_idle(&s);
	buf_free(&hold);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tally whole, cut;

	if (len == 0)
		return 0;
	whole = run(data + 1, len - 1, 0);
	cut = run(data + 1, len - 1, 1u + data[0] % 37);
	CHECK(whole.end == cut.end && whole.why == cut.why);
	CHECK(whole.hash == cut.hash);
	CHECK(whole.frames == cut.frames && whole.skipped == cut.skipped);
	CHECK(whole.idle == cut.idle || whole.end == ERR_PROTO);
	return 0;
}
