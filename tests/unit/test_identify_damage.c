#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/lib/mem.h"
#include "tests/unit/identify_kit.h"

/* A sequence whose items say other things, in every mixture of lengths. */
static void put_nest(struct draft *d, int depth, unsigned lengths)
{
	struct draft inner = {.kind = d->kind};
	bool undefined = lengths & 1;

	inner.w = wr_init(inner.bytes, sizeof(inner.bytes));
	draft_text(&inner, 0x00080018, "UI", "9.9.9");
	draft_text(&inner, 0x0020000E, "UI", "9.9.9");
	if (depth > 0)
		put_nest(&inner, depth - 1, lengths >> 2);
	assert_true(wr_ok(&inner.w));
	if (undefined)
		draft_head(d, 0x00081140, "SQ", DRAFT_UNDEFINED);
	else
		draft_head(d, 0x00081140, "SQ",
			   (int64_t)inner.w.len + 8 + (lengths & 2 ? 8 : 0));
	draft_head(d, 0xFFFEE000, NULL,
		   lengths & 2 ? DRAFT_UNDEFINED : (int64_t)inner.w.len);
	wr_bytes(&d->w, inner.bytes, inner.w.len);
	if (lengths & 2)
		draft_head(d, 0xFFFEE00D, NULL, 0);
	if (undefined)
		draft_head(d, 0xFFFEE0DD, NULL, 0);
}

static void what_sequences_say_does_not_count(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < DRAFT_KINDS; i++) {
		for (unsigned lengths = 0; lengths < 64; lengths++) {
			draft_begin(&d, draft_kinds[i]);
			draft_group_8(&d, NULL);
			put_nest(&d, 2, lengths);
			draft_rest(&d);
			got = identity_of(&d);
			identity_is_ct(&got);
		}
	}
}

static void an_undefined_un_is_a_sequence_in_implicit_vr(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (int honest = 0; honest < 2; honest++) {
		draft_begin(&d, TS_EXPLICIT_LE);
		draft_group_8(&d, NULL);
		draft_head(&d, 0x00091001, "UN", DRAFT_UNDEFINED);
		d.kind = honest ? TS_IMPLICIT_LE : TS_EXPLICIT_LE;
		draft_head(&d, 0xFFFEE000, NULL, DRAFT_UNDEFINED);
		draft_text(&d, 0x00080018, "UI", "9.9.9");
		put_nest(&d, 1, 15);
		draft_head(&d, 0xFFFEE00D, NULL, 0);
		draft_head(&d, 0xFFFEE0DD, NULL, 0);
		d.kind = TS_EXPLICIT_LE;
		draft_head(&d, 0x00091002, "XX", 2); /* explicit VR is back */
		wr_bytes(&d.w, "ab", 2);
		draft_rest(&d);
		got = identity_of(&d);
		identity_is_ct(&got);
	}
}

static void missing_delimiters_are_supplied(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_head(&d, 0x00081140, "SQ", DRAFT_UNDEFINED);
	draft_head(&d, 0xFFFEE000, NULL, DRAFT_UNDEFINED);
	draft_text(&d, 0x00080018, "UI", "9.9.9");
	draft_head(&d, 0xFFFEE000, NULL,
		   DRAFT_UNDEFINED); /* the first item is not ended */
	draft_text(&d, 0x00080018, "UI", "9.9.9");
	draft_head(&d, 0xFFFEE0DD, NULL, 0); /* nor the second */
	draft_rest(&d);
	got = identity_of(&d);
	identity_is_ct(&got);
}

static void delimiters_too_many_are_passed_over(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_head(&d, 0x00081140, "SQ", DRAFT_UNDEFINED);
	draft_head(&d, 0xFFFEE000, NULL, 0);
	draft_head(&d, 0xFFFEE00D, NULL, 0); /* of an item of known length */
	draft_head(&d, 0xFFFEE0DD, NULL, 0);
	draft_head(&d, 0xFFFEE0DD, NULL, 0); /* of nothing */
	draft_rest(&d);
	got = identity_of(&d);
	identity_is_ct(&got);
}

static void a_sequence_without_items_is_damage(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_head(&d, 0x00081140, "SQ", DRAFT_UNDEFINED);
	draft_text(&d, 0x00080018, "UI", "9.9.9");
	draft_rest(&d);
	got = identity_of(&d);
	assert_true(got.damaged);
	assert_string_equal(got.sop_instance, draft_ct.sop_instance);
	assert_int_equal(got.has & IDENTITY_SERIES, 0);
}

static void endless_nesting_ends(void **state)
{
	static const uint8_t level[] = {8, 0,    0x40, 0x11, 'S',  'Q',  0,
					0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF,
					0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF};
	struct identify id;
	struct identity got;
	size_t n = 0;

	(void)state;
	identify_init(&id, TS_EXPLICIT_LE);
	while (identify_feed(&id, level, sizeof(level)) && n < 10000000)
		n++;
	identify_end(&id, &got);
	assert_true(n > 1000 && n < 10000000);
	assert_true(got.damaged);
}

/* ---- elements -------------------------------------------------------- */

static void spoilt_vrs_are_survived(void **state)
{
	static const char *const vrs[] = {"??", "  ", "XX", "--", "\0\0", "ui"};
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vrs); i++) {
		draft_begin(&d, TS_EXPLICIT_LE);
		draft_text(&d, 0x00080008, "CS", "ORIGINAL");
		draft_group_8(&d, NULL);
		draft_head(&d, 0x00081030, vrs[i], 6);
		wr_bytes(&d.w, "abcdef", 6);
		draft_rest(&d);
		got = identity_of(&d);
		identity_is_ct(&got);
	}
	/* Of the future: two capitals, long form. */
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	wr_bytes(&d.w, "\x08\0\x30\x10ZZ\0\0\x06\0\0\0abcdef", 18);
	draft_rest(&d);
	got = identity_of(&d);
	identity_is_ct(&got);
	/* An implicit element gone astray. */
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	wr_bytes(&d.w, "\x08\0\x30\x10\x06\0\0\0abcdef", 14);
	draft_rest(&d);
	got = identity_of(&d);
	identity_is_ct(&got);
}

static void every_cut_is_damage_or_between_elements(void **state)
{
	static struct draft d;
	size_t clean = 0;

	(void)state;
	draft_begin(&d, TS_EXPLICIT_LE);
	draft_group_8(&d, NULL);
	draft_rest(&d);
	for (size_t n = 0; n < d.w.len; n++) {
		struct identity got = identity_in_steps(d.kind, d.bytes, n, 11);

		clean += !got.damaged;
	}
	assert_int_equal(clean, 9); /* at 0, and after each but the last */
}

static void other_bytes_are_damage(void **state)
{
	static const char *const junk[] = {
	    "GET / HTTP/1.1\r\n\r\n",
	    "hello world, this is no data set",
	    "\0\0\0\0\4\0\0\0\0\0\0\0",
	};
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		for (size_t k = 0; k < DRAFT_KINDS; k++) {
			got = identity_in_steps(
			    draft_kinds[k], (const uint8_t *)junk[i], 12, 5);
			assert_int_equal(got.has, 0);
			assert_true(got.damaged);
		}
	}
}

static void unreadable_codes_are_absent(void **state)
{
	static const char *const bad[] = {
	    "1.2\n3",
	    "1.2.\xc3\xa4",
	    "11111111111111111111111111111111111111111111111111111111111111111",
	    ("1111111111111111111111111111111111111111111111111111111111111111"
	     "1111111111111111111111111111111111111111"),
	};
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		draft_begin(&d, TS_EXPLICIT_LE);
		draft_text(&d, 0x00080018, "UI", bad[i]);
		draft_group_20(&d);
		got = identity_of(&d);
		assert_int_equal(got.has, IDENTITY_STUDY | IDENTITY_SERIES);
		assert_string_equal(got.sop_instance, "");
		assert_false(got.damaged);
	}
	draft_begin(&d, TS_EXPLICIT_LE); /* empty is readable */
	draft_text(&d, 0x00080018, "UI", "");
	draft_group_20(&d);
	got = identity_of(&d);
	assert_true(got.has & IDENTITY_SOP_INSTANCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_sequences_say_does_not_count),
	    cmocka_unit_test(an_undefined_un_is_a_sequence_in_implicit_vr),
	    cmocka_unit_test(missing_delimiters_are_supplied),
	    cmocka_unit_test(delimiters_too_many_are_passed_over),
	    cmocka_unit_test(a_sequence_without_items_is_damage),
	    cmocka_unit_test(endless_nesting_ends),
	    cmocka_unit_test(spoilt_vrs_are_survived),
	    cmocka_unit_test(every_cut_is_damage_or_between_elements),
	    cmocka_unit_test(other_bytes_are_damage),
	    cmocka_unit_test(unreadable_codes_are_absent),
	};

	return cmocka_run_group_tests_name("identify_damage", tests, NULL,
					   NULL);
}
