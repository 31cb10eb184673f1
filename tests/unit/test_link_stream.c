#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/link_kit.h"

static const uint8_t skippable[] = {0x90, 0xff, 0, 0, 0, 0, 0, 3, 1, 2, 3};
static const uint8_t empty_skippable[] = {0x80, 0, 0, 0, 0, 0, 0, 0};

/* What came: every frame, encoded again, one after the other. */
struct heard {
	struct buf bytes;
	enum err end;
};

static void hear(struct link_stream *s, const uint8_t *p, size_t n,
		 struct heard *h)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);
	uint8_t out[LINK_FRAME_MAX];
	struct link_frame f;
	size_t at = 0, used;

	assert_non_null(exact);
	memcpy(exact, p, n);
	for (;;) {
		h->end = link_stream_next(s, exact + at, n - at, &used, &f);
		at += used;
		if (h->end != ERR_OK)
			break;
		assert_int_equal(
		    buf_append(&h->bytes, out, link_kit_encode(&f, out)),
		    ERR_OK);
	}
	assert_true(h->end != ERR_AGAIN || at == n);
	free(exact);
}

static struct heard run(const uint8_t *p, size_t n, size_t step,
			struct link_stream *s)
{
	struct heard h = {.end = ERR_AGAIN};
	struct buf hold;

	buf_init(&h.bytes, 1 << 20);
	buf_init(&hold, LINK_FRAME_MAX);
	link_stream_init(s, &hold);
	while (n > 0 && h.end == ERR_AGAIN) {
		size_t k = step < n ? step : n;

		hear(s, p, k, &h);
		p += k;
		n -= k;
	}
	assert_true(h.end == ERR_PROTO || link_stream_idle(s));
	buf_free(&hold);
	return h;
}

/* All types, with frames to be skipped before, between and behind. */
static size_t everything(uint8_t *out, uint8_t *want, size_t *want_len)
{
	static const enum link_type types[] = {
#define X(name, number, min, max, flags, from) LINK_##name,
	    LINK_TYPE_MAP(X)
#undef X
	};
	size_t len = 0;

	*want_len = 0;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_frame f = link_kit_sample(types[i]);
		uint8_t one[LINK_FRAME_MAX];
		size_t n = link_kit_encode(&f, one);

		memcpy(out + len, skippable, sizeof(skippable));
		len += sizeof(skippable);
		memcpy(out + len, one, n);
		len += n;
		memcpy(want + *want_len, one, n);
		*want_len += n;
	}
	memcpy(out + len, empty_skippable, sizeof(empty_skippable));
	return len + sizeof(empty_skippable);
}

static void frames_come_the_same_however_they_are_cut(void **state)
{
	static uint8_t in[8192], want[8192];
	size_t want_len, len = everything(in, want, &want_len);

	(void)state;
	for (size_t step = 1; step <= len; step += step < 140 ? 1 : 97) {
		struct link_stream s;
		struct heard h = run(in, len, step, &s);

		assert_int_equal(h.end, ERR_AGAIN);
		assert_int_equal(buf_len(&h.bytes), want_len);
		assert_memory_equal(buf_data(&h.bytes), want, want_len);
		assert_int_equal(s.frames, 45);
		assert_int_equal(s.skipped, 23);
		buf_free(&h.bytes);
	}
}

static void whole_frames_are_not_copied(void **state)
{
	uint8_t in[LINK_FRAME_MAX];
	struct link_frame f = link_kit_sample(LINK_DATA);
	size_t used, len = link_kit_encode(&f, in);
	struct link_stream s;
	struct buf hold;

	(void)state;
	buf_init(&hold, LINK_FRAME_MAX);
	link_stream_init(&s, &hold);
	assert_int_equal(link_stream_next(&s, in, len, &used, &f), ERR_OK);
	assert_ptr_equal(f.data.data.p, in + LINK_DATA_HEAD);
	assert_int_equal(hold.cap, 0);
	buf_free(&hold);
}

static void an_end_within_a_frame_is_not_idle(void **state)
{
	static const uint8_t *const inputs[] = {skippable, NULL};
	uint8_t ping[LINK_FRAME_MAX];
	struct link_frame f = link_kit_sample(LINK_PING), got;
	size_t len = link_kit_encode(&f, ping);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const uint8_t *p = inputs[i] != NULL ? inputs[i] : ping;
		size_t all = inputs[i] != NULL ? sizeof(skippable) : len;

		for (size_t n = 0; n < all; n++) {
			struct link_stream s;
			struct buf hold;
			size_t used;

			buf_init(&hold, LINK_FRAME_MAX);
			link_stream_init(&s, &hold);
			assert_int_equal(
			    link_stream_next(&s, p, n, &used, &got), ERR_AGAIN);
			assert_int_equal(link_stream_idle(&s), n == 0);
			buf_free(&hold);
		}
	}
}

static void an_error_is_final_and_has_a_reason(void **state)
{
	static const uint8_t broken[] = {0x04, 0, 0, 0, 0, 0, 0, 9, 0, 0};
	uint8_t good[LINK_FRAME_MAX];
	struct link_frame f = link_kit_sample(LINK_PING), got;
	size_t used, len = link_kit_encode(&f, good);

	(void)state;
	for (size_t step = 1; step <= sizeof(broken); step++) {
		struct link_stream s;
		struct heard h = run(broken, sizeof(broken), step, &s);

		assert_int_equal(h.end, ERR_PROTO);
		assert_non_null(s.why);
		assert_int_equal(link_stream_next(&s, good, len, &used, &got),
				 ERR_PROTO);
		assert_int_equal(used, 0);
		buf_free(&h.bytes);
	}
}

static void *no_realloc(void *p, size_t size)
{
	(void)p;
	(void)size;
	return NULL;
}

static void *no_calloc(size_t n, size_t size)
{
	(void)n;
	(void)size;
	return NULL;
}

static void no_memory_is_no_fault_of_the_peer(void **state)
{
	static const struct mem_hook none = {no_calloc, no_realloc, free};
	struct link_stream s;
	struct link_frame f;
	struct buf hold;
	size_t used;

	(void)state;
	buf_init(&hold, LINK_FRAME_MAX);
	link_stream_init(&s, &hold);
	mem_set_hook(&none);
	assert_int_equal(link_stream_next(&s, skippable, 4, &used, &f),
			 ERR_NOMEM);
	mem_set_hook(NULL);
	assert_null(s.why);
	assert_int_equal(link_stream_next(&s, skippable, 4, &used, &f),
			 ERR_NOMEM);
	buf_free(&hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_come_the_same_however_they_are_cut),
	    cmocka_unit_test(whole_frames_are_not_copied),
	    cmocka_unit_test(an_end_within_a_frame_is_not_idle),
	    cmocka_unit_test(an_error_is_final_and_has_a_reason),
	    cmocka_unit_test(no_memory_is_no_fault_of_the_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
