#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proxy/dicom/identify.h"
#include "proxy/dicom/part10.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"

/* ---- data sets, made element by element ---- */

enum { UNDEFINED = -1 };

struct draft {
	uint8_t bytes[8192];
	struct wr w;
	enum ts_kind kind;
};

static void u16(struct draft *d, unsigned v)
{
	if (d->kind == TS_EXPLICIT_BE)
		wr_u16(&d->w, (uint16_t)v);
	else
		wr_u16le(&d->w, (uint16_t)v);
}

static void u32(struct draft *d, uint32_t v)
{
	if (d->kind == TS_EXPLICIT_BE)
		wr_u32(&d->w, v);
	else
		wr_u32le(&d->w, v);
}

static void begin(struct draft *d, enum ts_kind kind)
{
	d->kind = kind;
	d->w = wr_init(d->bytes, sizeof(d->bytes));
}

/* The head of an element; vr NULL: an item or delimiter. */
static void head(struct draft *d, uint32_t tag, const char *vr, int64_t len)
{
	uint32_t n = len == UNDEFINED ? 0xFFFFFFFF : (uint32_t)len;

	u16(d, tag >> 16);
	u16(d, tag & 0xFFFF);
	if (d->kind == TS_IMPLICIT_LE || vr == NULL) {
		u32(d, n);
		return;
	}
	wr_bytes(&d->w, vr, 2);
	if (vr[0] != '\0' && strstr("OB OW SQ UN UT", vr) != NULL) {
		u16(d, 0);
		u32(d, n);
	} else {
		u16(d, n);
	}
}

static void bytes(struct draft *d, uint32_t tag, const char *vr, const char *v,
		  size_t n)
{
	head(d, tag, vr, (int64_t)(n + n % 2));
	wr_bytes(&d->w, v, n);
	wr_fill(&d->w, vr[0] == 'U' ? '\0' : ' ', n % 2);
}

static void text(struct draft *d, uint32_t tag, const char *vr, const char *v)
{
	bytes(d, tag, vr, v, strlen(v));
}

static const struct identity ct = {
    .has = 0xFF,
    .sop_class = UID_CT_STORAGE,
    .sop_instance = "1.2.3.4",
    .study = "1.2.3",
    .series = "1.2.3.1",
    .modality = "CT",
    .accession = "A1001",
    .patient_id = "P0042",
    .patient_name = "DOE^JANE",
};

static void put_group_8(struct draft *d, const char *charset)
{
	if (charset != NULL)
		text(d, 0x00080005, "CS", charset);
	text(d, 0x00080016, "UI", ct.sop_class);
	text(d, 0x00080018, "UI", ct.sop_instance);
	text(d, 0x00080020, "DA", "20260504");
	text(d, 0x00080050, "SH", ct.accession);
	text(d, 0x00080060, "CS", ct.modality);
}

static void put_group_20(struct draft *d)
{
	text(d, 0x0020000D, "UI", ct.study);
	text(d, 0x0020000E, "UI", ct.series);
}

static void put_rest(struct draft *d)
{
	text(d, 0x00100010, "PN", ct.patient_name);
	text(d, 0x00100020, "LO", ct.patient_id);
	put_group_20(d);
}

static void put_all(struct draft *d)
{
	put_group_8(d, NULL);
	put_rest(d);
	head(d, 0x7FE00010, "OW", 4);
	wr_u32(&d->w, 0x01020304);
}

/* ---- reading them ---- */

/* In pieces of step bytes, each in a block of its own. */
static struct identity read_in_steps(enum ts_kind kind, const uint8_t *p,
				     size_t n, size_t step)
{
	struct identity out;
	struct identify id;
	bool more = true;

	identify_init(&id, kind);
	while (n > 0 && more) {
		size_t piece = n < step ? n : step;
		uint8_t *copy = malloc(piece);

		assert_non_null(copy);
		memcpy(copy, p, piece);
		more = identify_feed(&id, copy, piece);
		free(copy);
		p += piece;
		n -= piece;
	}
	identify_end(&id, &out);
	return out;
}

static struct identity read_draft(const struct draft *d)
{
	struct identity whole, split;

	assert_true(wr_ok(&d->w));
	whole = read_in_steps(d->kind, d->bytes, d->w.len, SIZE_MAX);
	for (size_t step = 1; step < 20; step++) {
		split = read_in_steps(d->kind, d->bytes, d->w.len, step);
		assert_memory_equal(&whole, &split, sizeof(whole));
	}
	return whole;
}

static void expect_ct(const struct identity *got)
{
	assert_int_equal(got->has, ct.has);
	assert_false(got->damaged);
	assert_string_equal(got->sop_class, ct.sop_class);
	assert_string_equal(got->sop_instance, ct.sop_instance);
	assert_string_equal(got->study, ct.study);
	assert_string_equal(got->series, ct.series);
	assert_string_equal(got->modality, ct.modality);
	assert_string_equal(got->accession, ct.accession);
	assert_string_equal(got->patient_id, ct.patient_id);
	assert_string_equal(got->patient_name, ct.patient_name);
}

static const enum ts_kind plain_kinds[] = {TS_IMPLICIT_LE, TS_EXPLICIT_LE,
					   TS_EXPLICIT_BE};

static size_t deflated(const struct draft *d, int bits, uint8_t *out,
		       size_t size)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)d->bytes,
		      .avail_in = (uInt)d->w.len,
		      .next_out = out,
		      .avail_out = (uInt)size};

	assert_int_equal(
	    deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return size - z.avail_out;
}

static void every_encoding_is_read(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain_kinds); i++) {
		begin(&d, plain_kinds[i]);
		put_all(&d);
		got = read_draft(&d);
		expect_ct(&got);
	}
}

static void a_lie_about_the_encoding_is_seen_through(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain_kinds); i++) {
		begin(&d, plain_kinds[i]);
		put_all(&d);
		for (size_t k = 0; k < ARRAY_LEN(plain_kinds); k++) {
			got =
			    read_in_steps(plain_kinds[k], d.bytes, d.w.len, 3);
			expect_ct(&got);
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
	begin(&d, TS_EXPLICIT_LE);
	put_all(&d);
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		size_t n = deflated(&d, bits[i], z, sizeof(z));

		for (size_t step = 1; step < 300; step += 7) {
			got = read_in_steps(TS_DEFLATED_LE, z, n, step);
			expect_ct(&got);
		}
		for (size_t cut = 1; cut < 20; cut++) {
			got = read_in_steps(TS_DEFLATED_LE, z, cut, 5);
			assert_true(got.damaged);
		}
	}
	got = read_in_steps(TS_DEFLATED_LE, d.bytes, d.w.len, 5);
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
	begin(&d, TS_EXPLICIT_LE);
	put_all(&d);
	n = deflated(&d, -15, z, sizeof(z));
	mem_set_hook(&none);
	got = read_in_steps(TS_DEFLATED_LE, z, n, n);
	mem_set_hook(NULL);
	assert_true(got.damaged);
	assert_int_equal(got.has, 0);
	for (int fail_at = 1; fail_at < 3; fail_at++) {
		good_callocs = fail_at;
		mem_set_hook(&few);
		got = read_in_steps(TS_DEFLATED_LE, z, n, 3);
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
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	put_rest(&d);
	identify_init(&id, TS_EXPLICIT_LE);
	assert_true(identify_feed(&id, d.bytes, d.w.len - 1));
	assert_false(identify_feed(&id, d.bytes + d.w.len - 1, 1));
	assert_false(identify_feed(&id, (const uint8_t *)"\xff\xff", 2));
	identify_end(&id, &got);
	expect_ct(&got);
	identify_init(&id, TS_EXPLICIT_LE); /* nothing is fed, nothing asked */
	identify_end(&id, NULL);
}

static void it_stops_where_the_identifiers_cannot_come_any_more(void **state)
{
	static struct draft d;
	struct identify id;
	struct identity got;

	(void)state;
	begin(&d, TS_IMPLICIT_LE);
	put_group_8(&d, NULL);
	head(&d, 0x00280010, "US", 2);
	identify_init(&id, TS_IMPLICIT_LE);
	assert_false(identify_feed(&id, d.bytes, d.w.len));
	identify_end(&id, &got);
	assert_false(got.damaged);
	assert_int_equal(got.has, IDENTITY_SOP_CLASS | IDENTITY_SOP_INSTANCE |
				      IDENTITY_ACCESSION | IDENTITY_MODALITY);
}

/* A sequence whose items say other things, in every mixture of lengths. */
static void put_nest(struct draft *d, int depth, unsigned lengths)
{
	struct draft inner = {.kind = d->kind};
	bool undefined = lengths & 1;

	inner.w = wr_init(inner.bytes, sizeof(inner.bytes));
	text(&inner, 0x00080018, "UI", "9.9.9");
	text(&inner, 0x0020000E, "UI", "9.9.9");
	if (depth > 0)
		put_nest(&inner, depth - 1, lengths >> 2);
	assert_true(wr_ok(&inner.w));
	if (undefined)
		head(d, 0x00081140, "SQ", UNDEFINED);
	else
		head(d, 0x00081140, "SQ",
		     (int64_t)inner.w.len + 8 + (lengths & 2 ? 8 : 0));
	head(d, 0xFFFEE000, NULL,
	     lengths & 2 ? UNDEFINED : (int64_t)inner.w.len);
	wr_bytes(&d->w, inner.bytes, inner.w.len);
	if (lengths & 2)
		head(d, 0xFFFEE00D, NULL, 0);
	if (undefined)
		head(d, 0xFFFEE0DD, NULL, 0);
}

static void what_sequences_say_does_not_count(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain_kinds); i++) {
		for (unsigned lengths = 0; lengths < 64; lengths++) {
			begin(&d, plain_kinds[i]);
			put_group_8(&d, NULL);
			put_nest(&d, 2, lengths);
			put_rest(&d);
			got = read_draft(&d);
			expect_ct(&got);
		}
	}
}

static void an_undefined_un_is_a_sequence_in_implicit_vr(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	for (int honest = 0; honest < 2; honest++) {
		begin(&d, TS_EXPLICIT_LE);
		put_group_8(&d, NULL);
		head(&d, 0x00091001, "UN", UNDEFINED);
		d.kind = honest ? TS_IMPLICIT_LE : TS_EXPLICIT_LE;
		head(&d, 0xFFFEE000, NULL, UNDEFINED);
		text(&d, 0x00080018, "UI", "9.9.9");
		put_nest(&d, 1, 15);
		head(&d, 0xFFFEE00D, NULL, 0);
		head(&d, 0xFFFEE0DD, NULL, 0);
		d.kind = TS_EXPLICIT_LE;
		head(&d, 0x00091002, "XX", 2); /* explicit VR is back */
		wr_bytes(&d.w, "ab", 2);
		put_rest(&d);
		got = read_draft(&d);
		expect_ct(&got);
	}
}

static void missing_delimiters_are_supplied(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	head(&d, 0x00081140, "SQ", UNDEFINED);
	head(&d, 0xFFFEE000, NULL, UNDEFINED);
	text(&d, 0x00080018, "UI", "9.9.9");
	head(&d, 0xFFFEE000, NULL, UNDEFINED); /* the first item is not ended */
	text(&d, 0x00080018, "UI", "9.9.9");
	head(&d, 0xFFFEE0DD, NULL, 0); /* nor the second */
	put_rest(&d);
	got = read_draft(&d);
	expect_ct(&got);
}

static void delimiters_too_many_are_passed_over(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	head(&d, 0x00081140, "SQ", UNDEFINED);
	head(&d, 0xFFFEE000, NULL, 0);
	head(&d, 0xFFFEE00D, NULL, 0); /* of an item of known length */
	head(&d, 0xFFFEE0DD, NULL, 0);
	head(&d, 0xFFFEE0DD, NULL, 0); /* of nothing */
	put_rest(&d);
	got = read_draft(&d);
	expect_ct(&got);
}

static void a_sequence_without_items_is_damage(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	head(&d, 0x00081140, "SQ", UNDEFINED);
	text(&d, 0x00080018, "UI", "9.9.9");
	put_rest(&d);
	got = read_draft(&d);
	assert_true(got.damaged);
	assert_string_equal(got.sop_instance, ct.sop_instance);
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

static void spoilt_vrs_are_survived(void **state)
{
	static const char *const vrs[] = {"??", "  ", "XX", "--", "\0\0", "ui"};
	static struct draft d;
	struct identity got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vrs); i++) {
		begin(&d, TS_EXPLICIT_LE);
		text(&d, 0x00080008, "CS", "ORIGINAL");
		put_group_8(&d, NULL);
		head(&d, 0x00081030, vrs[i], 6);
		wr_bytes(&d.w, "abcdef", 6);
		put_rest(&d);
		got = read_draft(&d);
		expect_ct(&got);
	}
	/* Of the future: two capitals, long form. */
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	wr_bytes(&d.w, "\x08\0\x30\x10ZZ\0\0\x06\0\0\0abcdef", 18);
	put_rest(&d);
	got = read_draft(&d);
	expect_ct(&got);
	/* An implicit element gone astray. */
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	wr_bytes(&d.w, "\x08\0\x30\x10\x06\0\0\0abcdef", 14);
	put_rest(&d);
	got = read_draft(&d);
	expect_ct(&got);
}

static void order_and_repetition_do_not_matter(void **state)
{
	static struct draft d;
	struct identity got;

	(void)state;
	begin(&d, TS_IMPLICIT_LE);
	text(&d, 0x00080018, "UI", ct.sop_instance);
	text(&d, 0x00100020, "LO", ct.patient_id);
	text(&d, 0x00100010, "PN", ct.patient_name);
	put_group_8(&d, "ISO_IR 100");
	text(&d, 0x00080018, "UI", "9.9.9");
	put_group_20(&d);
	got = read_draft(&d);
	expect_ct(&got);
}

static void every_cut_is_damage_or_between_elements(void **state)
{
	static struct draft d;
	size_t clean = 0;

	(void)state;
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, NULL);
	put_rest(&d);
	for (size_t n = 0; n < d.w.len; n++) {
		struct identity got = read_in_steps(d.kind, d.bytes, n, 11);

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
		for (size_t k = 0; k < ARRAY_LEN(plain_kinds); k++) {
			got = read_in_steps(plain_kinds[k],
					    (const uint8_t *)junk[i], 12, 5);
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
		begin(&d, TS_EXPLICIT_LE);
		text(&d, 0x00080018, "UI", bad[i]);
		put_group_20(&d);
		got = read_draft(&d);
		assert_int_equal(got.has, IDENTITY_STUDY | IDENTITY_SERIES);
		assert_string_equal(got.sop_instance, "");
		assert_false(got.damaged);
	}
	begin(&d, TS_EXPLICIT_LE); /* empty is readable */
	text(&d, 0x00080018, "UI", "");
	put_group_20(&d);
	got = read_draft(&d);
	assert_true(got.has & IDENTITY_SOP_INSTANCE);
}

/* ---- character sets; names of PS3.5 annexes H to K ---- */

static struct identity read_name(const char *charset, const char *name,
				 size_t n)
{
	static struct draft d;

	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, charset);
	bytes(&d, 0x00100010, "PN", name, n);
	put_group_20(&d);
	return read_draft(&d);
}

static void names_come_out_as_utf8(void **state)
{
#define NAME(s) s, sizeof(s) - 1
	static const struct {
		const char *charset, *in;
		size_t n;
		const char *want;
	} rows[] = {
	    {NULL, NAME(" DOE^JANE "), "DOE^JANE"},
	    {NULL, NAME("B\xfcz"), "B?z"},
	    {"ISO_IR 6", NAME("B\xfcz"), "B?z"},
	    {"NONSENSE", NAME("B\xfcz"), "B?z"},
	    {"ISO_IR 100", NAME("Buc^J\xe9r\xf4me"), "Buc^J\u00e9r\u00f4me"},
	    {"ISO-IR 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"iso ir 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO_8859-1", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO 2022 IR 100", NAME("\xc4neas"), "\u00c4neas"},
	    {"ISO_IR 101", NAME("Wa\xb3\xeasa"), "Wa\u0142\u0119sa"},
	    {"ISO_IR 144", NAME("\xbb\xee\xda\x63"), "\u041b\u044e\u043ac"},
	    {"ISO_IR 126", NAME("\xc4\xe9\xef\xed"),
	     "\u0394\u03b9\u03bf\u03bd"},
	    {"ISO_IR 127", NAME("\xe2\xc8\xc7"), "\u0642\u0628\u0627"},
	    {"ISO_IR 138", NAME("\xf9\xf8\xe5"), "\u05e9\u05e8\u05d5"},
	    {"ISO_IR 148", NAME("\xc7\xfd"), "\u00c7\u0131"},
	    {"ISO_IR 203", NAME("\xa4\xbd"), "\u20ac\u0153"},
	    {"ISO_IR 109", NAME("\xa1"), "\u0126"},
	    {"ISO_IR 110", NAME("\xa1"), "\u0104"},
	    {"ISO_IR 166", NAME("\xb9\xd2"), "\u0e19\u0e32"},
	    {"ISO_IR 192", NAME("Wang^\xe7\x8e\x8b"), "Wang^\u738b"},
	    {"ISO_IR 192",
	     NAME("a\xff"
		  "b\xe7"),
	     "a?b?"},
	    {"ISO_IR 192", NAME("\xed\xa0\x80"), "???"}, /* a surrogate */
	    {"ISO_IR 192", NAME("a\xc2\x85z"), "a?z"},   /* C1 control */
	    {"GB18030", NAME("Wang=\xcd\xf5^\xd0\xa1\xb6\xab"),
	     "Wang=\u738b^\u5c0f\u4e1c"},
	    {"GB18030", NAME("\x95\x32\x82\x36"), "\U00020000"},
	    {"GBK", NAME("\xcd\xf5"), "\u738b"},
	    {"ISO 2022 GBK", NAME("\xcd\xf5"), "\u738b"},
	    {"ISO_IR 13", NAME("\xd4\xcf\xc0\xde^\xc0\xdb\xb3\xff"),
	     "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73?"},
	    {"\\ISO 2022 IR 87",
	     NAME("Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
	     "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"},
	    {"ISO 2022 IR 13\\ISO 2022 IR 87",
	     NAME("\xd4\xcf=\x1b$B;3\x1b(J^\xdb"),
	     "\uff94\uff8f=\u5c71^\uff9b"},
	    {"\\ISO 2022 IR 159", NAME("\x1b$(D\x30\x21\x1b(B."), "\u4e02."},
	    {"\\ISO 2022 IR 149",
	     NAME("Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
	     "Hong=\u6d2a^\u5409\u6d1e"},
	    {"\\ISO 2022 IR 149", NAME("\x1b$)C\xfb\xf3^\xd1\xce"),
	     "\u6d2a^\u5409"}, /* not repeated after the delimiter */
	    {"ISO 2022 IR 149", NAME("\xfb\xf3"), "\u6d2a"},
	    {"\\ISO 2022 IR 58", NAME("\x1b$)A\xcd\xf5^\xd0\xa1"),
	     "\u738b^\u5c0f"},
	    {"ISO 2022 IR 100\\ISO 2022 IR 144",
	     NAME("\xe9^\x1b-L\xbb\x1b-A\xe9^\xe9"),
	     "\u00e9^\u041b\u00e9^\u00e9"},
	    {"ISO 2022 IR 100\\ISO 2022 IR 144", NAME("\x1b-L\xbb^\xe9"),
	     "\u041b^\u00e9"}, /* back at the delimiter */
	    {"\\ISO 2022 IR 87", NAME("\x1b$B;"), "?"},
	    {"\\ISO 2022 IR 87", NAME("\x1b$B;\x1b(Bx"), "?x"},
	    {"\\ISO 2022 IR 87", NAME("\x1b%/1x"), "?x"},
	    {"\\ISO 2022 IR 87", NAME("a\x1b"), "a?"},
	    {NULL, NAME("a\tb\x7f"), "a?b?"},
	    {NULL, NAME("\0\0 x \0"), "x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct identity got =
		    read_name(rows[i].charset, rows[i].in, rows[i].n);

		print_message("case: %zu\n", i);
		assert_string_equal(got.patient_name, rows[i].want);
		assert_true(got.has & IDENTITY_PATIENT_NAME);
		assert_false(got.damaged);
	}
}

static void long_text_is_cut_between_characters(void **state)
{
	static struct draft d;
	char name[600];
	struct identity got;
	size_t n;

	(void)state;
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, "ISO_IR 13");
	memset(name, 0xC0, sizeof(name)); /* three bytes each in UTF-8 */
	bytes(&d, 0x00100010, "PN", name, sizeof(name));
	memset(name, 'I', sizeof(name));
	bytes(&d, 0x00100020, "LO", name, sizeof(name));
	put_group_20(&d);
	got = read_draft(&d);
	n = strlen(got.patient_name);
	assert_int_equal(n % 3, 0);
	assert_int_equal(n, (IDENTITY_PATIENT_NAME_SIZE - 1) / 3 * 3);
	assert_int_equal(strlen(got.patient_id), IDENTITY_PATIENT_ID_SIZE - 1);
	assert_false(got.damaged);
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, "ISO_IR 144");
	memset(name, 0xD0, sizeof(name)); /* two bytes each */
	bytes(&d, 0x00100010, "PN", name, sizeof(name));
	put_group_20(&d);
	got = read_draft(&d);
	assert_int_equal(strlen(got.patient_name), 384);
	name[0] = 'I';
	begin(&d, TS_EXPLICIT_LE); /* now one byte stays over, and two */
	put_group_8(&d, "ISO_IR 144");
	bytes(&d, 0x00100010, "PN", name, sizeof(name));
	put_group_20(&d);
	got = read_draft(&d);
	assert_int_equal(strlen(got.patient_name), 383);
	assert_null(strchr(got.patient_name, '?'));
	begin(&d, TS_EXPLICIT_LE);
	put_group_8(&d, "ISO_IR 13");
	bytes(&d, 0x00100010, "PN", name, sizeof(name));
	put_group_20(&d);
	got = read_draft(&d);
	assert_int_equal(strlen(got.patient_name), 382);
	assert_null(strchr(got.patient_name, '?'));
}

/* ---- pydicom's own files, where they are installed ---- */

#define FILES "/usr/lib/python3/dist-packages/pydicom/data/"

static uint8_t *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(4 << 20);

	assert_non_null(p);
	*n = f != NULL ? fread(p, 1, 4 << 20, f) : 0;
	if (f != NULL)
		fclose(f);
	return p;
}

static struct identity read_file(const char *path, bool *there)
{
	struct identity got = {0};
	struct part10_meta m;
	size_t n, off = 0;
	uint8_t *p = slurp(path, &n);

	*there = n > 0;
	if (n > 0) {
		assert_int_equal(part10_split(p, n, &m, &off), ERR_OK);
		got = read_in_steps(uid_ts_kind(m.transfer_syntax), p + off,
				    n - off, 1000);
	}
	free(p);
	return got;
}

static void real_files_are_identified(void **state)
{
	static const struct {
		const char *path, *sop_instance, *name;
	} rows[] = {
	    {"test_files/CT_small.dcm",
	     "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
	     "CompressedSamples^CT1"},
	    {"test_files/MR_small_bigendian.dcm",
	     "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457",
	     "CompressedSamples^MR1"},
	    {"test_files/MR_small_implicit.dcm",
	     "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457",
	     "CompressedSamples^MR1"},
	    {"test_files/image_dfl.dcm",
	     "1.3.6.1.4.1.5962.1.1.0.0.0.977067309.6001.0", NULL},
	    {"charset_files/chrH31.dcm", NULL,
	     "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce="
	     "\u3084\u307e\u3060^\u305f\u308d\u3046"},
	    {"charset_files/chrI2.dcm", NULL,
	     "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9"},
	    {"charset_files/chrX1.dcm", NULL,
	     "Wang^XiaoDong=\u738b^\u5c0f\u6771="},
	};
	size_t read = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[200];
		struct identity got;
		bool there;

		snprintf(path, sizeof(path), FILES "%s", rows[i].path);
		got = read_file(path, &there);
		if (!there)
			continue;
		read++;
		assert_false(got.damaged);
		if (rows[i].sop_instance != NULL)
			assert_string_equal(got.sop_instance,
					    rows[i].sop_instance);
		if (rows[i].name != NULL)
			assert_string_equal(got.patient_name, rows[i].name);
	}
	if (read == 0)
		skip();
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
	    cmocka_unit_test(what_sequences_say_does_not_count),
	    cmocka_unit_test(an_undefined_un_is_a_sequence_in_implicit_vr),
	    cmocka_unit_test(missing_delimiters_are_supplied),
	    cmocka_unit_test(delimiters_too_many_are_passed_over),
	    cmocka_unit_test(a_sequence_without_items_is_damage),
	    cmocka_unit_test(endless_nesting_ends),
	    cmocka_unit_test(spoilt_vrs_are_survived),
	    cmocka_unit_test(order_and_repetition_do_not_matter),
	    cmocka_unit_test(every_cut_is_damage_or_between_elements),
	    cmocka_unit_test(other_bytes_are_damage),
	    cmocka_unit_test(unreadable_codes_are_absent),
	    cmocka_unit_test(names_come_out_as_utf8),
	    cmocka_unit_test(long_text_is_cut_between_characters),
	    cmocka_unit_test(real_files_are_identified),
	};

	return cmocka_run_group_tests_name("identify", tests, NULL, NULL);
}
