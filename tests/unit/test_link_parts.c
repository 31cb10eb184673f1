#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/link_kit.h"

/* ---- versions ---- */

static void of_another_version_only_the_range_is_read(void **state)
{
	static const uint8_t newer[] = {0x01, 0,   0, 0, 0, 0, 0, 11, 'C', 'V',
					'L',  'T', 0, 2, 0, 9, 1, 2,  3};
	struct link_frame f;
	struct link_terms t;
	struct link_frame ours = link_kit_sample(LINK_HELLO);

	(void)state;
	assert_int_equal(link_kit_decode(newer, sizeof(newer), &f), ERR_OK);
	assert_int_equal(f.hello.version_min, 2);
	assert_int_equal(f.hello.version_max, 9);
	assert_int_equal(f.hello.features, 0);
	ours.hello.version_max = 1;
	assert_int_equal(link_agree(&ours.hello, &f.hello, &t),
			 LINK_BYE_VERSION);
	assert_int_equal(link_agree(&f.hello, &ours.hello, &t),
			 LINK_BYE_VERSION);
}

static void both_ends_agree_on_the_same(void **state)
{
	struct link_hello a = link_kit_sample(LINK_HELLO).hello,
			  b = link_kit_sample(LINK_HELLO).hello;
	struct link_terms at_a, at_b;

	(void)state;
	b.spool[0] = 99;
	b.version_max = 1;
	b.features = LINK_TAKES | LINK_FOLLOW | LINK_JOINS;
	b.window = 3 << 20;
	b.connections = 2;
	b.keepalive_ms = 5000;
	a.features = LINK_JOINS;
	assert_int_equal(link_agree(&a, &b, &at_a), 0);
	assert_int_equal(link_agree(&b, &a, &at_b), 0);
	assert_int_equal(at_a.version, 1);
	assert_int_equal(at_a.features, LINK_JOINS);
	assert_int_equal(at_a.features, at_b.features);
	assert_int_equal(at_a.connections, 2);
	assert_int_equal(at_a.keepalive_ms, 5000);
	assert_int_equal(at_a.window, 3 << 20);
	assert_true(at_a.they_take && !at_a.we_take);
	assert_true(at_b.we_take && !at_b.they_take);
	b.keepalive_ms = 1;
	assert_int_equal(link_agree(&a, &b, &at_a), 0);
	assert_int_equal(at_a.keepalive_ms, 1000);
	a.keepalive_ms = b.keepalive_ms = 0;
	assert_int_equal(link_agree(&a, &b, &at_a), 0);
	assert_int_equal(at_a.keepalive_ms, 15000);
	a.features = 0;
	assert_int_equal(link_agree(&a, &b, &at_a), 0);
	assert_int_equal(at_a.connections, 1); /* without LINK_JOINS */
}

static void ends_that_cannot_work_together_say_why(void **state)
{
	struct link_hello a = link_kit_sample(LINK_HELLO).hello,
			  b = link_kit_sample(LINK_HELLO).hello;
	struct link_terms t;

	(void)state;
	assert_int_equal(link_agree(&a, &b, &t), LINK_BYE_SELF);
	b.spool[0] = 99;
	assert_int_equal(link_agree(&a, &b, &t), 0);
	b.window = CHUNK_LEN - 1;
	assert_int_equal(link_agree(&a, &b, &t), LINK_BYE_LIMITS);
	assert_int_equal(link_agree(&b, &a, &t), LINK_BYE_LIMITS);
	b.features = 0; /* takes nothing, so needs no window */
	assert_int_equal(link_agree(&a, &b, &t), 0);
	a.features = 0; /* nobody takes anything */
	assert_int_equal(link_agree(&a, &b, &t), LINK_BYE_LIMITS);
	a = link_kit_sample(LINK_HELLO).hello;
	b.chunk_log2 = 21;
	assert_int_equal(link_agree(&a, &b, &t), LINK_BYE_LIMITS);
}

static void only_takers_answer_and_only_to_takers_is_sent(void **state)
{
	struct link_terms edge = {.they_take = true};
	struct link_terms cloud = {.we_take = true};

	(void)state;
	assert_true(link_may_send(LINK_ACK, false, &edge));
	assert_false(link_may_send(LINK_OFFER, false, &edge));
	assert_true(link_may_send(LINK_OFFER, true, &cloud));
	assert_false(link_may_send(LINK_ACK, true, &cloud));
	assert_true(link_may_send(LINK_PING, true, &cloud));
	assert_true(link_may_send(LINK_JOIN, true, &cloud));
	assert_false(link_may_send(LINK_JOIN, false, &edge));
	assert_true(link_may_send(LINK_JOINED, false, &edge));
	assert_false(link_may_send(LINK_JOINED, true, &cloud));
	assert_false(link_may_send(LINK_HEAD, true, &cloud));
	cloud.features = edge.features = LINK_HEADS;
	assert_true(link_may_send(LINK_HEAD, true, &cloud));
	assert_false(link_may_send(LINK_HEAD, false, &edge));
}

/* ---- parts ---- */

static void runs_say_exactly_the_bits(void **state)
{
	static uint8_t map[40], back[40];
	uint8_t out[4 * LINK_RUN_LEN];
	uint32_t seed = 1, from;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint32_t chunks = round + 1;

		memset(back, 0, sizeof(back));
		for (size_t i = 0; i < sizeof(map); i++) {
			seed = seed * 1664525 + 1013904223;
			map[i] = round % 3 == 0   ? 0xff
				 : round % 3 == 1 ? 0
						  : (uint8_t)(seed >> 24);
		}
		map[round % 40] = (uint8_t)(seed >> 16);
		for (from = 0; from < chunks;) {
			struct link_runs r = {out, 0};

			r.n = link_runs_from_map(map, chunks, &from, out, 4);
			for (uint32_t i = 0; i < r.n; i++) {
				struct link_run run = link_run_at(r, i);

				for (uint32_t c = 0; c < run.count; c++)
					back[(run.first + c) / 8] |=
					    (uint8_t)(1u
						      << (run.first + c) % 8);
			}
		}
		for (uint32_t c = 0; c < 320; c++)
			assert_int_equal(back[c / 8] >> c % 8 & 1,
					 c < chunks ? map[c / 8] >> c % 8 & 1
						    : 0);
	}
}

static void chunks_are_counted_to_the_last_byte(void **state)
{
	uint32_t n = 9;

	(void)state;
	assert_true(link_chunks(0, &n) && n == 0);
	assert_true(link_chunks(1, &n) && n == 1);
	assert_true(link_chunks(CHUNK_LEN, &n) && n == 1);
	assert_true(link_chunks(CHUNK_LEN + 1, &n) && n == 2);
	assert_true(link_chunks((uint64_t)0xffffffff << 20, &n) &&
		    n == LINK_CHUNKS_MAX);
	assert_false(link_chunks(((uint64_t)0xffffffff << 20) + 1, &n));
	assert_false(link_chunks(UINT64_MAX, &n));
}

static void lists_of_pairs_are_read_as_written(void **state)
{
	uint8_t list[80];
	size_t len = 0;
	struct link_bytes rest;
	struct link_pair pair;

	(void)state;
	assert_true(link_accepts_put(list, sizeof(list), &len, "1.2", "3.4"));
	assert_true(link_accepts_put(list, sizeof(list), &len, "5.6", "7"));
	assert_false(link_accepts_put(list, sizeof(list), &len, "", "7"));
	assert_false(link_accepts_put(list, sizeof(list), &len, "1.a", "7"));
	assert_false(link_accepts_put(list, len + 3, &len, "1", "7"));
	assert_int_equal(len, 14);
	rest = (struct link_bytes){list, len};
	assert_true(link_accepts_next(&rest, &pair));
	assert_string_equal(pair.abstract, "1.2");
	assert_string_equal(pair.transfer, "3.4");
	assert_true(link_accepts_next(&rest, &pair));
	assert_string_equal(pair.transfer, "7");
	assert_false(link_accepts_next(&rest, &pair));
}

static void numbers_have_words_and_classes(void **state)
{
	(void)state;
	assert_string_equal(link_type_name(LINK_CHUNK_END), "CHUNK_END");
	assert_string_equal(link_type_name(0x7f), "unknown");
	assert_string_equal(link_type_name(0), "unknown");
	assert_string_equal(link_bye_text(0), "unknown");
	assert_string_equal(link_bye_text(9999), "unknown");
	assert_string_not_equal(link_bye_text(LINK_BYE_SELF), "unknown");
	assert_string_equal(link_refusal_text(14), "unknown");
	assert_string_not_equal(link_bad_text(4), "unknown");
	assert_string_not_equal(link_withdraw_text(4), "unknown");
	assert_string_not_equal(link_stuck_text(4), "unknown");
	assert_int_equal(link_refusal_class(LINK_REFUSED_NO_SPACE), LINK_RETRY);
	assert_int_equal(link_refusal_class(LINK_REFUSED_UNKNOWN), LINK_AFRESH);
	assert_int_equal(link_refusal_class(LINK_REFUSED_ROOT),
			 LINK_QUARANTINE);
	assert_int_equal(link_refusal_class(9999), LINK_HOLD);
	assert_int_equal(link_type_from(LINK_OFFER), LINK_FROM_SENDER);
	assert_int_equal(link_type_from(LINK_ACCEPTS), LINK_FROM_RECEIVER);
	assert_int_equal(link_type_from(LINK_JOIN), LINK_FROM_DIALLER);
}

/* ---- the document ---- */

static void with_comma(char *out, size_t n, unsigned v)
{
	if (v >= 1000)
		snprintf(out, n, "%u,%03u", v / 1000, v % 1000);
	else
		snprintf(out, n, "%u", v);
}

static bool in_document(FILE *f, const char *want)
{
	char line[512];

	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, want, strlen(want)) == 0)
			return true;
	return false;
}

static void the_document_has_the_types_of_the_code(void **state)
{
	static const struct {
		const char *name;
		unsigned number, min, max;
		const char *from;
	} rows[] = {
#define X(name, number, min, max, flags, from)                                 \
	{#name, (number), (min), (max), #from},
	    LINK_TYPE_MAP(X)
#undef X
	};
	FILE *f = fopen("proxy/link/PROTOCOL.md", "r");

	(void)state;
	if (f == NULL)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[128], min[16], max[16];

		with_comma(min, sizeof(min), rows[i].min);
		with_comma(max, sizeof(max), rows[i].max);
		snprintf(want, sizeof(want), "| 0x%02x | %s | %c | %s%s%s |",
			 rows[i].number, rows[i].name, rows[i].from[0], min,
			 rows[i].min == rows[i].max ? "" : " to ",
			 rows[i].min == rows[i].max ? "" : max);
		if (!in_document(f, want))
			fail_msg("not in the document: %s", want);
	}
	fclose(f);
}

static void the_document_has_the_reasons_of_the_code(void **state)
{
	static const char *const rows[] = {
#define X(name, number, text) "| " #number " | " #name " |",
	    LINK_BYE_MAP(X)
#undef X
#define X(name, number, class, text) "| " #number " | " #name " |",
		LINK_REFUSAL_MAP(X)
#undef X
	};
	FILE *f = fopen("proxy/link/PROTOCOL.md", "r");

	(void)state;
	if (f == NULL)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!in_document(f, rows[i]))
			fail_msg("not in the document: %s", rows[i]);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_another_version_only_the_range_is_read),
	    cmocka_unit_test(both_ends_agree_on_the_same),
	    cmocka_unit_test(ends_that_cannot_work_together_say_why),
	    cmocka_unit_test(only_takers_answer_and_only_to_takers_is_sent),
	    cmocka_unit_test(runs_say_exactly_the_bits),
	    cmocka_unit_test(chunks_are_counted_to_the_last_byte),
	    cmocka_unit_test(lists_of_pairs_are_read_as_written),
	    cmocka_unit_test(numbers_have_words_and_classes),
	    cmocka_unit_test(the_document_has_the_types_of_the_code),
	    cmocka_unit_test(the_document_has_the_reasons_of_the_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
