#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dicom/part10.h"
#include "proxy/lib/mem.h"

static const struct part10_meta ct = {
    .sop_class = UID_CT_STORAGE,
    .sop_instance = "1.2.3",
    .transfer_syntax = UID_EXPLICIT_LE,
    .impl_version = UID_OUR_VERSION,
    .source_ae = "CT2",
};

/* What follows the preamble for ct. */
static const char ct_bytes[] = "DICM"
			       "\x02\0\0\0UL\x04\0\x9e\0\0\0"
			       "\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
			       "\x02\0\x02\0UI\x1a\0"
			       "1.2.840.10008.5.1.4.1.1.2\0"
			       "\x02\0\x03\0UI\x06\0"
			       "1.2.3\0"
			       "\x02\0\x10\0UI\x14\0"
			       "1.2.840.10008.1.2.1\0"
			       "\x02\0\x12\0UI\x1e\0"
			       "1.2.826.0.1.3680043.10.1599.1\0"
			       "\x02\0\x13\0SH\x0a\0"
			       "CULVERT_1 "
			       "\x02\0\x16\0AE\x04\0"
			       "CT2 ";

enum { CT_LEN = PART10_PREAMBLE + sizeof(ct_bytes) - 1 };

static size_t encode(const struct part10_meta *m, uint8_t out[PART10_META_MAX])
{
	struct wr w = wr_init(out, PART10_META_MAX);

	assert_int_equal(part10_meta_encode(m, &w), ERR_OK);
	return w.len;
}

static void the_head_is_that_of_the_standard(void **state)
{
	uint8_t out[PART10_META_MAX];
	size_t n = encode(&ct, out);

	(void)state;
	for (size_t i = 0; i < PART10_PREAMBLE; i++)
		assert_int_equal(out[i], 0);
	assert_int_equal(n, CT_LEN);
	assert_memory_equal(out + PART10_PREAMBLE, ct_bytes,
			    sizeof(ct_bytes) - 1);
}

static void the_longest_head_has_room(void **state)
{
	struct part10_meta m, back;
	uint8_t out[PART10_META_MAX];
	size_t n, off;

	(void)state;
	memset(&m, 0, sizeof(m));
	memset(m.sop_class, '1', UID_MAX);
	memset(m.sop_instance, '2', UID_MAX);
	memset(m.transfer_syntax, '3', UID_MAX);
	memset(m.impl_class, '4', UID_MAX);
	memset(m.impl_version, 'v', 16);
	memset(m.source_ae, 'a', 16);
	memset(m.sending_ae, 'b', 16);
	memset(m.receiving_ae, 'c', 16);
	n = encode(&m, out);
	assert_int_equal(part10_split(out, n, &back, &off), ERR_OK);
	assert_int_equal(off, n);
	assert_memory_equal(&m, &back, sizeof(m));
}

static void a_small_writer_is_told(void **state)
{
	uint8_t out[PART10_META_MAX];

	(void)state;
	for (size_t n = 0; n < CT_LEN; n++) {
		struct wr w = wr_init(out, n);

		assert_int_equal(part10_meta_encode(&ct, &w), ERR_LIMIT);
	}
}

static void required_fields_are_required(void **state)
{
	uint8_t out[PART10_META_MAX];
	struct wr w = wr_init(out, sizeof(out));
	struct part10_meta m = ct;

	(void)state;
	m.sop_class[0] = '\0';
	assert_int_equal(part10_meta_encode(&m, &w), ERR_INVAL);
	m = ct;
	m.sop_instance[0] = '\0';
	assert_int_equal(part10_meta_encode(&m, &w), ERR_INVAL);
	m = ct;
	m.transfer_syntax[0] = '\0';
	assert_int_equal(part10_meta_encode(&m, &w), ERR_INVAL);
}

/* A head and the first bytes of a data set. */
static size_t file(uint8_t out[PART10_META_MAX + 8])
{
	size_t n = encode(&ct, out);

	memcpy(out + n, "\x08\0\x05\0CS\0\0", 8);
	return n + 8;
}

static void a_file_is_split_where_the_data_set_begins(void **state)
{
	uint8_t bytes[PART10_META_MAX + 8];
	size_t n = file(bytes), off = 0;
	struct part10_meta m;

	(void)state;
	assert_int_equal(part10_split(bytes, n, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN);
	assert_string_equal(m.sop_class, ct.sop_class);
	assert_string_equal(m.sop_instance, ct.sop_instance);
	assert_string_equal(m.transfer_syntax, ct.transfer_syntax);
	assert_string_equal(m.impl_class, UID_OUR_CLASS);
	assert_string_equal(m.source_ae, "CT2");
	assert_string_equal(m.sending_ae, "");
}

static void every_cut_asks_for_more(void **state)
{
	uint8_t bytes[PART10_META_MAX + 8];
	struct part10_meta m;
	size_t off;

	(void)state;
	(void)file(bytes);
	for (size_t n = 0; n < CT_LEN; n++) {
		uint8_t *copy = mem_zalloc(n > 0 ? n : 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		assert_int_equal(part10_split(copy, n, &m, &off), ERR_AGAIN);
		mem_free(copy);
	}
	assert_int_equal(part10_split(bytes, CT_LEN, &m, &off), ERR_OK);
}

static void odd_heads_are_followed_by_their_tags(void **state)
{
	uint8_t bytes[PART10_META_MAX + 8];
	size_t n = file(bytes), off;
	struct part10_meta m;

	(void)state;
	bytes[140] = 20; /* group length too small */
	assert_int_equal(part10_split(bytes, n, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN);
	assert_string_equal(m.source_ae, "CT2");
	bytes[140] = 0xFF; /* too large */
	assert_int_equal(part10_split(bytes, n, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN);
	/* No group length; no preamble; neither. */
	memmove(bytes + 132, bytes + 144, n - 144);
	assert_int_equal(part10_split(bytes, n - 12, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN - 12);
	assert_int_equal(part10_split(bytes + 128, n - 140, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN - 140);
	assert_int_equal(part10_split(bytes + 132, n - 144, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN - 144);
	assert_string_equal(m.sop_class, UID_CT_STORAGE);
}

static void a_deflated_data_set_is_not_taken_for_meta(void **state)
{
	uint8_t bytes[PART10_META_MAX + 8];
	size_t n = file(bytes), off;
	struct part10_meta m;

	(void)state;
	memcpy(bytes + n - 8, "\x02\0\x77\x99\xff\xff\xff\xff", 8);
	assert_int_equal(part10_split(bytes, n, &m, &off), ERR_OK);
	assert_int_equal(off, CT_LEN);
}

static void bare_data_sets_have_no_meta(void **state)
{
	uint8_t bytes[256] = {8, 0, 5, 0, 'C', 'S', 0, 0};
	struct part10_meta m;
	size_t off = 99;

	(void)state;
	assert_int_equal(part10_split(bytes, 256, &m, &off), ERR_NOTFOUND);
	assert_int_equal(off, 0);
	assert_string_equal(m.transfer_syntax, "");
	memcpy(bytes + 128, "DICM\x08\0\x05\0CS\0\0", 12);
	assert_int_equal(part10_split(bytes, 256, &m, &off), ERR_NOTFOUND);
	assert_int_equal(off, 132);
}

static void endless_meta_is_refused(void **state)
{
	static uint8_t big[PART10_HEAD_MAX + 100];
	struct part10_meta m;
	size_t off;

	(void)state;
	memcpy(big + 128, "DICM", 4);
	for (size_t at = 132; at + 8 <= sizeof(big); at += 8)
		memcpy(big + at, "\x02\0\x99\0SH\0\0", 8);
	assert_int_equal(part10_split(big, sizeof(big), &m, &off), ERR_LIMIT);
	memcpy(big + 132, "\x02\0\x02\x01OB\0\0\xff\xff\xff\x7f", 12);
	assert_int_equal(part10_split(big, 1000, &m, &off), ERR_LIMIT);
}

static void implicit_meta_is_taken_for_what_it_is(void **state)
{
	static const char bytes[] =
	    "DICM"
	    "\x02\0\x02\0\x04\0\0\0"
	    "1.2\0"
	    "\x02\0\x10\0\x12\0\0\0" UID_IMPLICIT_LE "\0"
	    "\x08\0\x05\0\0\0\0\0";
	struct part10_meta m;
	size_t off;

	(void)state;
	assert_int_equal(
	    part10_split((const uint8_t *)bytes, sizeof(bytes) - 1, &m, &off),
	    ERR_OK);
	assert_int_equal(off, sizeof(bytes) - 1 - 8);
	assert_string_equal(m.sop_class, "1.2");
	assert_string_equal(m.transfer_syntax, UID_IMPLICIT_LE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_head_is_that_of_the_standard),
	    cmocka_unit_test(the_longest_head_has_room),
	    cmocka_unit_test(a_small_writer_is_told),
	    cmocka_unit_test(required_fields_are_required),
	    cmocka_unit_test(a_file_is_split_where_the_data_set_begins),
	    cmocka_unit_test(every_cut_asks_for_more),
	    cmocka_unit_test(odd_heads_are_followed_by_their_tags),
	    cmocka_unit_test(a_deflated_data_set_is_not_taken_for_meta),
	    cmocka_unit_test(bare_data_sets_have_no_meta),
	    cmocka_unit_test(endless_meta_is_refused),
	    cmocka_unit_test(implicit_meta_is_taken_for_what_it_is),
	};

	return cmocka_run_group_tests_name("part10", tests, NULL, NULL);
}
