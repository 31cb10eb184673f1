#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proxy/lib/mem.h"
#include "tests/unit/identify_kit.h"

static void every_encoding_is_read(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < DRAFT_KINDS; i++) {
		draft_begin(&d, draft_kinds[i]);
		draft_all(&d);
		got = identity_of(&d);
		identity_is_ct(&got);
	}
}

static void a_lie_about_the_encoding_is_seen_through(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < DRAFT_KINDS; i++) {
		draft_begin(&d, draft_kinds[i]);
		draft_all(&d);
		for (size_t k = 0; k < DRAFT_KINDS; k++) {
			got = identity_in_steps(draft_kinds[k], d.bytes,
						d.w.len, 3);
			identity_is_ct(&got);
		}
	}
}

static void deflated_data_sets_are_read(void **state)
{
	static const int bits[] = {-15, 15}; /* raw; with a zlib header */
	static uint8_t z[8192];
	static struct draft d;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_all(&d);
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		size_t n = draft_deflate(&d, bits[i], z, sizeof(z));

		for (size_t step = 1; step < 300; step += 7) {
			got = identity_in_steps(TS_DEFLATED_LE, z, n, step);
			identity_is_ct(&got);
		}
		for (size_t cut = 1; cut < 20; cut++) {
			got = identity_in_steps(TS_DEFLATED_LE, z, cut, 5);
			assert_true(got.damaged);
		}
	}
	got = identity_in_steps(TS_DEFLATED_LE, d.bytes, d.w.len, 5);
	assert_true(got.damaged);
	assert_int_equal(got.has, 0);
}

static void an_inflating_bomb_is_bounded(void **state)
{
	enum { BOMB = 64 << 20 };
	static uint8_t z[100000], zeros[1 << 16];
	z_stream s = {.next_out = z, .avail_out = sizeof(z)};
	struct identity got;
	struct identify id;
	size_t fed = 0, n;

	(void)state;
	/* (0008,0005) with a value of BOMB bytes, explicit "UN". */
	memcpy(zeros, "\x08\0\x06\0UN\0\0\0\0\0\x04", 12);
	assert_int_equal(
	    deflateInit2(&s, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	for (size_t done = 0; done < BOMB; done += sizeof(zeros)) {
		s.next_in = zeros;
		s.avail_in = sizeof(zeros);
		assert_int_equal(deflate(&s, Z_NO_FLUSH), Z_OK);
		memset(zeros, 0, 12);
	}
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	n = sizeof(z) - s.avail_out;
	assert_int_equal(deflateEnd(&s), Z_OK);
	identify_init(&id, TS_DEFLATED_LE);
	while (fed < n && identify_feed(&id, z + fed, 1))
		fed++;
	identify_end(&id, &got);
	assert_true(got.damaged);
	assert_true(fed > n / 8 && fed < n / 2); /* it stops at a quarter */
}

static void *no_calloc(size_t n, size_t size)
{
	(void)n;
	(void)size;
	return NULL;
}

static int good_callocs;

static void *few_callocs(size_t n, size_t size)
{
	return good_callocs-- > 0 ? calloc(n, size) : NULL;
}

static void without_memory_a_deflated_one_is_only_unread(void **state)
{
	const struct mem_hook none = {no_calloc, realloc, free};
	const struct mem_hook few = {few_callocs, realloc, free};
	static uint8_t z[8192];
	static struct draft d;
	struct identity got;
	size_t n;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_all(&d);
	n = draft_deflate(&d, -15, z, sizeof(z));
	mem_set_hook(&none);
	got = identity_in_steps(TS_DEFLATED_LE, z, n, n);
	mem_set_hook(NULL);
	assert_true(got.damaged);
	assert_int_equal(got.has, 0);
	for (int fail_at = 1; fail_at < 3; fail_at++) {
		good_callocs = fail_at;
		mem_set_hook(&few);
		got = identity_in_steps(TS_DEFLATED_LE, z, n, 3);
		mem_set_hook(NULL);
		assert_true(got.damaged || got.has == 0xFF);
	}
}

static void it_stops_after_the_series(void **state)
{
	static struct draft d;
	struct identify id;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_rest(&d);
	identify_init(&id, TS_EXPLICIT_LE);
	assert_true(identify_feed(&id, d.bytes, d.w.len - 1));
	assert_false(identify_feed(&id, d.bytes + d.w.len - 1, 1));
	assert_false(identify_feed(&id, (const uint8_t *)"\xff\xff", 2));
	identify_end(&id, &got);
	identity_is_ct(&got);
	identify_init(&id, TS_EXPLICIT_LE); /* nothing is fed, nothing asked */
	identify_end(&id, NULL);
}

static void it_stops_where_the_identifiers_cannot_come_any_more(void **state)
{
	static struct draft d;
	struct identify id;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_IMPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_head(&d, 0x00280010, "US", 2);
	identify_init(&id, TS_IMPLICIT_LE);
	assert_false(identify_feed(&id, d.bytes, d.w.len));
	identify_end(&id, &got);
	assert_false(got.damaged);
	assert_int_equal(got.has, IDENTITY_SOP_CLASS | IDENTITY_SOP_INSTANCE |
				      IDENTITY_ACCESSION | IDENTITY_MODALITY);
}

static void order_and_repetition_do_not_matter(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_IMPLICIT_LE);
	draft_text(&d, 0x00080018, "UI", draft_ct.sop_instance);
	draft_text(&d, 0x00100020, "LO", draft_ct.patient_id);
	draft_text(&d, 0x00100010, "PN", draft_ct.patient_name);
	draft_group_8(&d, "ISO_IR 100");
	draft_text(&d, 0x00080018, "UI", "9.9.9");
	draft_group_20(&d);
	got = identity_of(&d);
	identity_is_ct(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_encoding_is_read),
	    cmocka_unit_test(a_lie_about_the_encoding_is_seen_through),
	    cmocka_unit_test(deflated_data_sets_are_read),
	    cmocka_unit_test(an_inflating_bomb_is_bounded),
	    cmocka_unit_test(without_memory_a_deflated_one_is_only_unread),
	    cmocka_unit_test(it_stops_after_the_series),
	    cmocka_unit_test(
		it_stops_where_the_identifiers_cannot_come_any_more),
	    cmocka_unit_test(order_and_repetition_do_not_matter),
	};

	return cmocka_run_group_tests_name("identify", tests, NULL, NULL);
}
