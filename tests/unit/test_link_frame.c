#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/link_kit.h"

static const enum link_type types[] = {
#define X(name, number, min, max, flags, from) LINK_##name,
    LINK_TYPE_MAP(X)
#undef X
};

static const struct {
	uint32_t min, max;
	uint8_t flags;
} bounds[] = {
#define X(name, number, min, max, flags, from) {(min), (max), (flags)},
    LINK_TYPE_MAP(X)
#undef X
};

static void set_length(uint8_t *frame, size_t body)
{
	frame[4] = 0;
	frame[5] = (uint8_t)(body >> 16);
	frame[6] = (uint8_t)(body >> 8);
	frame[7] = (uint8_t)body;
}

/* ---- every type ---- */

static void every_type_survives_the_way_there_and_back(void **state)
{
	uint8_t first[LINK_FRAME_MAX], second[LINK_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_frame f = link_kit_sample(types[i]), got;
		size_t len = link_kit_encode(&f, first);

		assert_int_equal(link_kit_decode(first, len, &got), ERR_OK);
		assert_int_equal(got.type, f.type);
		assert_int_equal(got.flags, f.flags);
		assert_memory_equal(&got.id, &f.id, sizeof(f.id));
		assert_int_equal(link_kit_encode(&got, second), len);
		assert_memory_equal(first, second, len);
	}
}

/* Written by hand from PROTOCOL.md. */
static void bytes_are_those_of_the_document(void **state)
{
	static const uint8_t chunk_end[] = {
	    0x12, 0,  0, 0, 0, 0, 0, 56,                         /* header */
	    7,    0,  0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, /* id */
	    0,    0,  1, 2,                                      /* index */
	    0,    16, 0, 0,                                      /* length */
	    9,    0,  0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
	    0,    0,  0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 10};
	static const uint8_t refused[] = {
	    0x26, 0, 0, 0, 0, 0, 0, 25, 7, 0, 0, 0, 0,  0, 0,   0,  0,
	    0,    0, 0, 0, 0, 0, 0, 0,  3, 0, 0, 0, 60, 2, 'n', 'o'};
	static const uint8_t joined[] = {0x03, 0, 0, 0, 0, 0, 0, 2, 5, 0};
	struct link_frame f;
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	assert_int_equal(link_kit_decode(chunk_end, sizeof(chunk_end), &f),
			 ERR_OK);
	assert_int_equal(f.type, LINK_CHUNK_END);
	assert_int_equal(f.id.b[0], 7);
	assert_int_equal(f.end.index, 258);
	assert_int_equal(f.end.length, CHUNK_LEN);
	assert_int_equal(f.end.leaf[31], 10);
	assert_int_equal(link_kit_encode(&f, out), sizeof(chunk_end));
	assert_memory_equal(out, chunk_end, sizeof(chunk_end));
	assert_int_equal(link_kit_decode(refused, sizeof(refused), &f), ERR_OK);
	assert_int_equal(f.why.code, LINK_REFUSED_NO_SPACE);
	assert_int_equal(f.why.retry_s, 60);
	assert_int_equal(f.why.text.len, 2);
	assert_int_equal(link_kit_decode(joined, sizeof(joined), &f), ERR_OK);
	assert_int_equal(f.join.number, 5);
}

static void hello_stands_as_documented(void **state)
{
	struct link_frame f = link_kit_sample(LINK_HELLO);
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	assert_int_equal(link_kit_encode(&f, out), 8 + 87 + 7);
	assert_memory_equal(out + 8, "CVLT\0\1\0\2", 8);
	assert_int_equal(out[8 + 12], 1);    /* spool */
	assert_int_equal(out[8 + 28], 2);    /* epoch */
	assert_int_equal(out[8 + 44], 3);    /* session */
	assert_int_equal(out[8 + 67], 4);    /* position */
	assert_int_equal(out[8 + 73], 0x80); /* window */
	assert_int_equal(out[8 + 79], 64);   /* transfers */
	assert_int_equal(out[8 + 82], 15000 >> 8);
	assert_int_equal(out[8 + 84], 4);
	assert_int_equal(out[8 + 85], 20);
	assert_int_equal(out[8 + 86], 7);
	assert_memory_equal(out + 8 + 87, "edge-01", 7);
}

/* HEAD is lines: it may end behind each, if it is not too short. */
static bool is_lines(enum link_type type, const uint8_t *frame, size_t n)
{
	return type == LINK_HEAD && n >= 8 + 64 && frame[n - 1] == '\n';
}

/* A body cut anywhere, with a length that says so, is refused or is another
 * valid frame; nothing is read beyond it (the sanitizer looks). */
static void every_cut_of_every_type_is_safe(void **state)
{
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_frame f = link_kit_sample(types[i]), got;
		size_t len = link_kit_encode(&f, out);

		for (size_t n = 0; n < len; n++) {
			enum err e;

			if (n >= 8)
				set_length(out, n - 8);
			e = link_kit_decode(out, n, &got);
			if (n < 8)
				assert_int_equal(e, ERR_AGAIN);
			else if (types[i] != LINK_DATA &&
				 !is_lines(types[i], out, n) &&
				 !(types[i] == LINK_HELLO && n == 8))
				assert_int_equal(e, ERR_PROTO);
		}
	}
}

static void a_byte_behind_the_last_field_is_refused(void **state)
{
	uint8_t out[LINK_FRAME_MAX] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_frame f = link_kit_sample(types[i]), got;
		size_t len = link_kit_encode(&f, out);
		bool open = types[i] == LINK_HELLO || types[i] == LINK_DATA;

		out[len] = 0;
		set_length(out, len + 1 - 8);
		assert_int_equal(link_kit_decode(out, len + 1, &got),
				 open ? ERR_OK : ERR_PROTO);
	}
}

/* ---- header ---- */

static void headers_keep_to_the_types_bounds(void **state)
{
	const char *why;
	struct link_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		uint8_t b[8] = {(uint8_t)types[i], bounds[i].flags};

		assert_true(bounds[i].max <= LINK_BODY_MAX);
		set_length(b, bounds[i].min);
		assert_int_equal(link_header_decode(b, 8, &h, &why), ERR_OK);
		set_length(b, bounds[i].max);
		assert_int_equal(link_header_decode(b, 8, &h, &why), ERR_OK);
		assert_int_equal(h.body_len, bounds[i].max);
		set_length(b, bounds[i].max + 1);
		assert_int_equal(link_header_decode(b, 8, &h, &why), ERR_PROTO);
		set_length(b, bounds[i].min - 1);
		assert_int_equal(link_header_decode(b, 8, &h, &why), ERR_PROTO);
	}
}

static void headers_refuse_what_is_not_there(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[LINK_HEADER_LEN];
		enum err want;
	} rows[] = {
	    {"type 0", {0x00, 0, 0, 0, 0, 0, 0, 8}, ERR_PROTO},
	    {"between the types", {0x07, 0, 0, 0, 0, 0, 0, 8}, ERR_PROTO},
	    {"last of the critical", {0x7f, 0, 0, 0, 0, 0, 0, 8}, ERR_PROTO},
	    {"first skippable", {0x80, 0xff, 0, 0, 0, 0, 0, 0}, ERR_OK},
	    {"skippable, longest", {0xff, 0, 0, 0, 0, 0, 0x3f, 0xf8}, ERR_OK},
	    {"skippable, longer", {0xff, 0, 0, 0, 0, 0, 0x3f, 0xf9}, ERR_PROTO},
	    {"reserved 1", {0x04, 0, 1, 0, 0, 0, 0, 8}, ERR_PROTO},
	    {"reserved 2", {0x04, 0, 0, 1, 0, 0, 0, 8}, ERR_PROTO},
	    {"PING with a flag", {0x04, 1, 0, 0, 0, 0, 0, 8}, ERR_PROTO},
	    {"OFFER with flag 4", {0x10, 4, 0, 0, 0, 0, 0, 70}, ERR_PROTO},
	    {"2^32 - 1", {0x11, 0, 0, 0, 255, 255, 255, 255}, ERR_PROTO},
	};
	struct link_header h = {.body_len = 99};
	const char *why = NULL;

	(void)state;
	for (size_t n = 0; n < LINK_HEADER_LEN; n++)
		assert_int_equal(link_header_decode(rows[3].bytes, n, &h, &why),
				 ERR_AGAIN);
	assert_int_equal(h.body_len, 99); /* *out untouched */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("case: %s\n", rows[i].what);
		assert_int_equal(link_header_decode(rows[i].bytes, 8, &h, &why),
				 rows[i].want);
	}
}

/* ---- rules of single types: refused alike by encoder and decoder ---- */

/* at, value: one byte of the encoded sample of type is replaced. */
static void bodies_refuse_hostile_fields(void **state)
{
	static const struct {
		const char *what;
		enum link_type type;
		size_t at; /* in the body */
		uint8_t value;
	} rows[] = {
	    {"magic", LINK_HELLO, 3, 'X'},
	    {"version_min 0", LINK_HELLO, 5, 0},
	    {"version_min > max", LINK_HELLO, 5, 3},
	    {"no connections", LINK_HELLO, 84, 0},
	    {"17 connections", LINK_HELLO, 84, 17},
	    {"node of 0", LINK_HELLO, 86, 0},
	    {"node of 33", LINK_HELLO, 86, 33},
	    {"node with a NUL", LINK_HELLO, 88, 0},
	    {"node with an escape", LINK_HELLO, 88, 27},
	    {"magic", LINK_JOIN, 0, 'X'},
	    {"number 16", LINK_JOIN, 20, 16},
	    {"reserved", LINK_JOIN, 21, 1},
	    {"number 16", LINK_JOINED, 0, 16},
	    {"reserved", LINK_JOINED, 1, 1},
	    {"reason 0", LINK_BYE, 1, 0},
	    {"text beyond the body", LINK_BYE, 2, 200},
	    {"text with a newline", LINK_BYE, 4, '\n'},
	    {"text of 8 bits", LINK_BYE, 4, 0xe4},
	    {"chunks", LINK_OFFER, 27, 5},
	    {"length", LINK_OFFER, 20, 1},
	    {"length of 2^63", LINK_OFFER, 16, 0x80},
	    {"metadata beyond", LINK_OFFER, 60, 7},
	    {"chunks", LINK_ROOT, 27, 7},
	    {"offset of 1 MiB", LINK_DATA, 21, 0x10},
	    {"offset of 2^31", LINK_DATA, 20, 0x80},
	    {"longer than a chunk", LINK_CHUNK_END, 23, 1},
	    {"reason 0", LINK_WITHDRAW, 16, 0},
	    {"reserved", LINK_WITHDRAW, 17, 1},
	    {"no id", LINK_QUERY, 1, 0},
	    {"more ids than bytes", LINK_QUERY, 1, 3},
	    {"2^16 - 1 ids", LINK_NOTED, 0, 255},
	    {"a NUL", LINK_HEAD, 3, 0},
	    {"text of 8 bits", LINK_HEAD, 3, 0xe4},
	    {"no line at the end", LINK_HEAD, 242, 'x'},
	    {"more runs than bytes", LINK_HAVE, 17, 3},
	    {"runs that touch", LINK_HAVE, 29, 3},
	    {"runs that overlap", LINK_HAVE, 29, 2},
	    {"runs that fall", LINK_ACK, 29, 0},
	    {"an empty run", LINK_ACK, 33, 0},
	    {"no run", LINK_ACK, 17, 0},
	    {"reason 0", LINK_BAD, 20, 0},
	    {"reserved", LINK_BAD, 21, 1},
	    {"outcome 0", LINK_DELIVERED, 16, 0},
	    {"outcome 3", LINK_DELIVERED, 16, 3},
	    {"reserved", LINK_DELIVERED, 17, 1},
	    {"kind 0", LINK_UNDELIVERED, 16, 0},
	    {"reserved", LINK_UNDELIVERED, 17, 1},
	    {"text 201", LINK_UNDELIVERED, 20, 201},
	    {"reason 0", LINK_REFUSED, 17, 0},
	    {"AE title of 17", LINK_ACCEPTS, 8, 17},
	    {"AE title with a NUL", LINK_ACCEPTS, 9, 0},
	    {"pairs", LINK_ACCEPTS, 17, 2},
	    {"no pair", LINK_ACCEPTS, 17, 0},
	    {"UID of 0", LINK_ACCEPTS, 18, 0},
	    {"UID of 65", LINK_ACCEPTS, 18, 65},
	    {"UID with a letter", LINK_ACCEPTS, 19, 'x'},
	};
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct link_frame f = link_kit_sample(rows[i].type), got;
		size_t len = link_kit_encode(&f, out);

		print_message("case: %s, %s\n",
			      link_type_name((uint8_t)rows[i].type),
			      rows[i].what);
		out[8 + rows[i].at] = rows[i].value;
		assert_int_equal(link_kit_decode(out, len, &got), ERR_PROTO);
	}
}

static void refuse(struct link_frame f)
{
	uint8_t out[LINK_FRAME_MAX];
	size_t len;

	assert_int_equal(link_frame_encode(&f, out, sizeof(out), &len),
			 ERR_INVAL);
}

static void the_encoder_refuses_what_the_decoder_would(void **state)
{
	static const uint8_t beyond[] = {255, 255, 255, 254, 0, 0, 0, 2};
	static uint8_t big[LINK_DATA_MAX + 1];
	struct link_frame f;

	(void)state;
	f = link_kit_sample(LINK_DATA);
	f.data.data = (struct link_bytes){big, sizeof(big)};
	refuse(f);
	f.data.data.len = 0;
	refuse(f);
	f.data = (struct link_data){0, CHUNK_LEN - 1, {big, 2}};
	refuse(f);
	f.data = (struct link_data){LINK_CHUNKS_MAX, 0, {big, 1}};
	refuse(f);
	f = link_kit_sample(LINK_OFFER);
	f.content.chunks = 5;
	refuse(f);
	f = link_kit_sample(LINK_OFFER);
	f.flags = 0; /* but with a length */
	refuse(f);
	f.flags = 0x80;
	refuse(f);
	f = link_kit_sample(LINK_OFFER);
	f.content.meta = (struct link_bytes){big, INSTANCE_ENCODED_MAX + 1};
	refuse(f);
	f = link_kit_sample(LINK_HAVE);
	f.runs.n = LINK_RUNS_MAX + 1;
	refuse(f);
	f = link_kit_sample(LINK_ACK);
	f.runs = (struct link_runs){beyond, 1};
	refuse(f);
	f = link_kit_sample(LINK_QUERY);
	f.ids.n = LINK_IDS_MAX + 1;
	refuse(f);
	f = link_kit_sample(LINK_UNDELIVERED);
	f.why.code = 256;
	refuse(f);
	f = link_kit_sample(LINK_HELLO);
	f.hello.node[0] = '\0';
	refuse(f);
	f = link_kit_sample(LINK_PING);
	f.type = (enum link_type)0x50;
	refuse(f);
}

static void the_encoder_stays_in_its_room(void **state)
{
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_frame f = link_kit_sample(types[i]);
		size_t len = link_kit_encode(&f, out), got = 99;
		uint8_t *exact = malloc(len);

		assert_non_null(exact);
		for (size_t cap = 0; cap < len; cap++)
			assert_int_equal(
			    link_frame_encode(&f, exact, cap, &got), ERR_LIMIT);
		assert_int_equal(got, 99);
		assert_int_equal(link_frame_encode(&f, exact, len, &got),
				 ERR_OK);
		free(exact);
	}
}

static void words_for_people_are_made_printable(void **state)
{
	static const uint8_t odd[LINK_TEXT_MAX + 50] = {'a', '\n', 0xe4, 'b'};
	struct link_frame f = link_kit_sample(LINK_BYE), got;
	uint8_t out[LINK_FRAME_MAX];
	size_t len;

	(void)state;
	f.why.text = (struct link_bytes){odd, sizeof(odd)};
	len = link_kit_encode(&f, out);
	assert_int_equal(link_kit_decode(out, len, &got), ERR_OK);
	assert_int_equal(got.why.text.len, LINK_TEXT_MAX);
	assert_memory_equal(got.why.text.p, "a??b", 4);
}

static void the_biggest_frames_fit_one_record(void **state)
{
	static uint8_t payload[LINK_DATA_MAX], runs[LINK_RUNS_MAX * 8];
	uint8_t out[LINK_FRAME_MAX], head[LINK_DATA_HEAD];
	struct link_frame f = link_kit_sample(LINK_DATA), got;
	uint32_t from = 0;
	static uint8_t map[LINK_RUNS_MAX];

	(void)state;
	f.id.b[3] = 4;
	f.data = (struct link_data){3, 5, {payload, sizeof(payload)}};
	assert_int_equal(link_kit_encode(&f, out), LINK_FRAME_MAX);
	assert_int_equal(link_kit_decode(out, LINK_FRAME_MAX, &got), ERR_OK);
	assert_int_equal(got.data.data.len, LINK_DATA_MAX);
	assert_int_equal(link_data_head(head, &f.id, 3, 5, LINK_DATA_MAX),
			 LINK_DATA_HEAD);
	assert_memory_equal(head, out, LINK_DATA_HEAD);
	memset(map, 0x55, sizeof(map));
	f = link_kit_sample(LINK_HAVE);
	f.flags = LINK_F_MORE;
	f.runs.n = link_runs_from_map(map, sizeof(map) * 8, &from, runs,
				      LINK_RUNS_MAX);
	f.runs.p = runs;
	assert_int_equal(f.runs.n, LINK_RUNS_MAX);
	assert_int_equal(link_kit_encode(&f, out), 8 + 18 + LINK_RUNS_MAX * 8);
}

static void to_follow_and_empty_offers_are_frames(void **state)
{
	struct link_frame f = link_kit_sample(LINK_OFFER), got;
	uint8_t out[LINK_FRAME_MAX];

	(void)state;
	f.flags = 0;
	f.content.length = 0;
	f.content.chunks = 0;
	memset(f.content.root, 0, sizeof(f.content.root));
	assert_int_equal(link_kit_decode(out, link_kit_encode(&f, out), &got),
			 ERR_OK);
	f.flags = LINK_F_COMPLETE; /* an empty data set has a root */
	f.content.root[0] = 1;
	assert_int_equal(link_kit_decode(out, link_kit_encode(&f, out), &got),
			 ERR_OK);
	f = link_kit_sample(LINK_ROOT);
	f.content.meta.len = 0;
	assert_int_equal(link_kit_decode(out, link_kit_encode(&f, out), &got),
			 ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_type_survives_the_way_there_and_back),
	    cmocka_unit_test(bytes_are_those_of_the_document),
	    cmocka_unit_test(hello_stands_as_documented),
	    cmocka_unit_test(every_cut_of_every_type_is_safe),
	    cmocka_unit_test(a_byte_behind_the_last_field_is_refused),
	    cmocka_unit_test(headers_keep_to_the_types_bounds),
	    cmocka_unit_test(headers_refuse_what_is_not_there),
	    cmocka_unit_test(bodies_refuse_hostile_fields),
	    cmocka_unit_test(the_encoder_refuses_what_the_decoder_would),
	    cmocka_unit_test(the_encoder_stays_in_its_room),
	    cmocka_unit_test(words_for_people_are_made_printable),
	    cmocka_unit_test(the_biggest_frames_fit_one_record),
	    cmocka_unit_test(to_follow_and_empty_offers_are_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
