#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/commit.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"

#define OPEN 0xFFFFFFFFu

static const char transaction[] = "1.2.3.4.5";

/* ---- data sets, made element by element --------------------------------- */

struct draft {
	uint8_t bytes[4096];
	struct wr w;
	enum ts_kind kind;
};

static void begin(struct draft *d, enum ts_kind kind)
{
	d->kind = kind;
	d->w = wr_init(d->bytes, sizeof(d->bytes));
}

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

static void head(struct draft *d, uint32_t tag, const char *vr, uint32_t n)
{
	u16(d, tag >> 16);
	u16(d, tag & 0xFFFF);
	if (d->kind == TS_IMPLICIT_LE || vr == NULL) {
		u32(d, n);
		return;
	}
	wr_bytes(&d->w, vr, 2);
	if (strstr("SQ UN", vr) != NULL) {
		u16(d, 0);
		u32(d, n);
	} else {
		u16(d, n);
	}
}

static void uid(struct draft *d, uint32_t tag, const char *text)
{
	size_t n = strlen(text);

	head(d, tag, "UI", (uint32_t)(n + n % 2));
	wr_bytes(&d->w, text, n);
	wr_fill(&d->w, 0, n % 2);
}

/* An item of open length; instance NULL: without. */
static void ref(struct draft *d, const char *instance, int reason)
{
	head(d, 0xFFFEE000, NULL, OPEN);
	uid(d, 0x00081150, UID_CT_STORAGE);
	if (instance != NULL)
		uid(d, 0x00081155, instance);
	if (reason >= 0) {
		head(d, 0x00081197, "US", 2);
		u16(d, (unsigned)reason);
	}
	head(d, 0xFFFEE00D, NULL, 0);
}

static void close_sequence(struct draft *d)
{
	head(d, 0xFFFEE0DD, NULL, 0);
}

static enum err decode(const struct draft *d, struct commit_set *out)
{
	uint8_t *copy = malloc(d->w.len + 1);
	enum err e;

	assert_true(wr_ok(&d->w));
	assert_non_null(copy);
	memcpy(copy, d->bytes, d->w.len);
	e = commit_decode(copy, d->w.len, d->kind, out);
	free(copy);
	return e;
}

static const enum ts_kind kinds[] = {TS_IMPLICIT_LE, TS_EXPLICIT_LE,
				     TS_EXPLICIT_BE};

/* ---- reading ------------------------------------------------------------ */

static void a_request_is_read_in_every_encoding(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct commit_set set;
		struct draft d;

		begin(&d, kinds[k]);
		uid(&d, 0x00081195, transaction);
		head(&d, 0x00081199, "SQ", OPEN);
		ref(&d, "1.2.1", -1);
		ref(&d, "1.2.22", -1);
		close_sequence(&d);
		assert_int_equal(decode(&d, &set), ERR_OK);
		assert_string_equal(set.transaction, transaction);
		assert_int_equal(set.n, 2);
		assert_int_equal(set.n_failed, 0);
		assert_string_equal(set.refs[0].sop_class, UID_CT_STORAGE);
		assert_string_equal(set.refs[0].sop_instance, "1.2.1");
		assert_string_equal(set.refs[1].sop_instance, "1.2.22");
		assert_int_equal(commit_event_type(&set), COMMIT_EVENT_ALL);
		commit_free(&set);
	}
}

static void a_report_tells_failed_ones_and_why(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct commit_set set;
		struct draft d;

		begin(&d, kinds[k]);
		uid(&d, 0x00081195, transaction);
		head(&d, 0x00081198, "SQ", OPEN);
		ref(&d, "1.2.1", COMMIT_NO_SUCH_INSTANCE);
		ref(&d, "1.2.2", -1);
		close_sequence(&d);
		head(&d, 0x00081199, "SQ", OPEN);
		ref(&d, "1.2.3", 7); /* means nothing there */
		close_sequence(&d);
		assert_int_equal(decode(&d, &set), ERR_OK);
		assert_int_equal(set.n, 3);
		assert_int_equal(set.n_failed, 2);
		assert_int_equal(set.refs[0].reason, COMMIT_NO_SUCH_INSTANCE);
		assert_int_equal(set.refs[1].reason, COMMIT_PROCESSING_FAILURE);
		assert_int_equal(set.refs[2].reason, COMMIT_OK);
		assert_int_equal(commit_event_type(&set), COMMIT_EVENT_SOME);
		commit_free(&set);
	}
}

/* Sequences inside sequences, inside items, and in a UN, which is implicit. */
static void what_is_not_ours_is_skipped_however_nested(void **state)
{
	struct commit_set set;
	struct draft d, inner;

	(void)state;
	begin(&inner, TS_IMPLICIT_LE);
	head(&inner, 0xFFFEE000, NULL, OPEN);
	head(&inner, 0x00091003, "SQ", OPEN);
	ref(&inner, "9.9.9", -1);
	close_sequence(&inner);
	head(&inner, 0xFFFEE00D, NULL, 0);

	begin(&d, TS_EXPLICIT_LE);
	head(&d, 0x00081110, "SQ", OPEN);
	head(&d, 0xFFFEE000, NULL, OPEN);
	head(&d, 0x00091001, "UN", OPEN);
	wr_bytes(&d.w, inner.bytes, inner.w.len);
	close_sequence(&d);
	head(&d, 0x00081115, "SQ", OPEN);
	ref(&d, "9.9.8", -1);
	close_sequence(&d);
	head(&d, 0xFFFEE00D, NULL, 0);
	close_sequence(&d);
	uid(&d, 0x00081195, transaction);
	head(&d, 0x00081199, "SQ", OPEN);
	ref(&d, "1.2.1", -1);
	close_sequence(&d);
	head(&d, 0x00091001, "UN", 2);
	wr_bytes(&d.w, "ab", 2);
	assert_int_equal(decode(&d, &set), ERR_OK);
	assert_int_equal(set.n, 1);
	assert_string_equal(set.refs[0].sop_instance, "1.2.1");
	commit_free(&set);
}

static void a_sequence_sent_as_un_is_read(void **state)
{
	struct commit_set set;
	struct draft d, inner;

	(void)state;
	begin(&inner, TS_IMPLICIT_LE);
	ref(&inner, "1.2.1", -1);
	begin(&d, TS_EXPLICIT_LE);
	uid(&d, 0x00081195, transaction);
	head(&d, 0x00081199, "UN", (uint32_t)inner.w.len);
	wr_bytes(&d.w, inner.bytes, inner.w.len);
	assert_int_equal(decode(&d, &set), ERR_OK);
	assert_int_equal(set.n, 1);
	commit_free(&set);
}

static void another_encoding_than_agreed_is_seen(void **state)
{
	struct commit_set set;
	struct draft d;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		begin(&d, kinds[k]);
		uid(&d, 0x00081195, transaction);
		head(&d, 0x00081199, "SQ", OPEN);
		ref(&d, "1.2.1", -1);
		close_sequence(&d);
		d.kind = kinds[1 - k];
		assert_int_equal(decode(&d, &set), ERR_OK);
		commit_free(&set);
	}
}

static void what_lacks_its_point_is_refused(void **state)
{
	struct commit_set set;
	struct draft d;

	(void)state;
	begin(&d, TS_IMPLICIT_LE);
	assert_int_equal(decode(&d, &set), ERR_INVAL); /* empty */
	uid(&d, 0x00081195, transaction);
	assert_int_equal(decode(&d, &set), ERR_INVAL); /* no reference */
	assert_string_equal(set.transaction, transaction);
	head(&d, 0x00081199, "SQ", OPEN);
	close_sequence(&d);
	assert_int_equal(decode(&d, &set), ERR_INVAL); /* nor here */

	begin(&d, TS_IMPLICIT_LE);
	head(&d, 0x00081199, "SQ", OPEN);
	ref(&d, "1.2.1", -1);
	close_sequence(&d);
	assert_int_equal(decode(&d, &set), ERR_INVAL); /* no transaction */
	uid(&d, 0x00081195, "no uid");
	assert_int_equal(decode(&d, &set), ERR_INVAL);

	begin(&d, TS_IMPLICIT_LE);
	uid(&d, 0x00081195, transaction);
	head(&d, 0x00081199, "SQ", OPEN);
	ref(&d, NULL, -1);
	close_sequence(&d);
	assert_int_equal(decode(&d, &set), ERR_PROTO); /* no instance */
	assert_null(set.refs);
	assert_int_equal(commit_decode(d.bytes, d.w.len, TS_DEFLATED_LE, &set),
			 ERR_UNSUPPORTED);
}

static void any_cut_is_refused_without_reading_beyond(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct draft d;

		begin(&d, kinds[k]);
		uid(&d, 0x00081195, transaction);
		head(&d, 0x00081198, "SQ", OPEN);
		ref(&d, "1.2.1", 0x110);
		close_sequence(&d);
		head(&d, 0x00081199, "SQ", OPEN);
		ref(&d, "1.2.2", -1);
		close_sequence(&d);
		for (size_t n = d.w.len - 1; n > 0; n--) {
			struct commit_set set;
			enum err e;

			d.w.len = n;
			e = decode(&d, &set);
			if (e != ERR_OK) /* else cut between elements */
				assert_null(set.refs);
			commit_free(&set);
		}
	}
}

/* ---- writing ------------------------------------------------------------ */

static void fill(struct commit_set *set, size_t n, size_t failed)
{
	char text[UID_SIZE];

	memset(set, 0, sizeof(*set));
	memcpy(set->transaction, transaction, sizeof(transaction));
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "1.2.%zu", i * 7);
		assert_int_equal(commit_add(set, UID_CT_STORAGE, text,
					    i < failed ? 0x112 : 0),
				 ERR_OK);
	}
}

static void what_is_written_is_read_again(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct commit_set set, again;
		struct buf b;

		buf_init(&b, COMMIT_DATA_MAX);
		fill(&set, 10000, 3);
		assert_int_equal(commit_encode_report(&set, kinds[k], &b),
				 ERR_OK);
		assert_int_equal(
		    commit_decode(buf_data(&b), buf_len(&b), kinds[k], &again),
		    ERR_OK);
		assert_int_equal(again.n, set.n);
		assert_int_equal(again.n_failed, 3);
		assert_memory_equal(again.refs, set.refs,
				    set.n * sizeof(set.refs[0]));
		commit_free(&again);
		buf_clear(&b);
		/* a request leaves out what has failed */
		assert_int_equal(commit_encode_action(&set, kinds[k], &b),
				 ERR_OK);
		assert_int_equal(
		    commit_decode(buf_data(&b), buf_len(&b), kinds[k], &again),
		    ERR_OK);
		assert_int_equal(again.n, 9997);
		assert_string_equal(again.refs[0].sop_instance, "1.2.21");
		commit_free(&again);
		commit_free(&set);
		buf_free(&b);
	}
}

/* PS3.5 annex A.1, A.2, byte by byte. */
static void the_bytes_are_those_of_the_standard(void **state)
{
	static const uint8_t implicit[] = "\x08\x00\x95\x11\x02\x00\x00\x00"
					  "1\0"
					  "\x08\x00\x98\x11\x26\x00\x00\x00"
					  "\xfe\xff\x00\xe0\x1e\x00\x00\x00"
					  "\x08\x00\x50\x11\x02\x00\x00\x00"
					  "2\0"
					  "\x08\x00\x55\x11\x02\x00\x00\x00"
					  "3\0"
					  "\x08\x00\x97\x11\x02\x00\x00\x00"
					  "\x12\x01";
	static const uint8_t explicit[] = "\x08\x00\x95\x11UI\x02\x00"
					  "1\0"
					  "\x08\x00\x99\x11SQ\0\0\x1c\x00\0\0"
					  "\xfe\xff\x00\xe0\x14\x00\x00\x00"
					  "\x08\x00\x50\x11UI\x02\x00"
					  "2\0"
					  "\x08\x00\x55\x11UI\x02\x00"
					  "3\0";
	struct commit_set set = {.transaction = "1"};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(commit_add(&set, "2", "3", 0x112), ERR_OK);
	assert_int_equal(commit_encode_report(&set, TS_IMPLICIT_LE, &b),
			 ERR_OK);
	assert_int_equal(buf_len(&b), sizeof(implicit) - 1);
	assert_memory_equal(buf_data(&b), implicit, sizeof(implicit) - 1);
	set.refs[0].reason = 0;
	set.n_failed = 0;
	buf_clear(&b);
	assert_int_equal(commit_encode_action(&set, TS_EXPLICIT_LE, &b),
			 ERR_OK);
	assert_int_equal(buf_len(&b), sizeof(explicit) - 1);
	assert_memory_equal(buf_data(&b), explicit, sizeof(explicit) - 1);
	assert_int_equal(commit_encode_action(&set, TS_EXPLICIT_BE, &b),
			 ERR_UNSUPPORTED);
	buf_free(&b);
	commit_free(&set);
}

static void no_more_than_the_bound_is_taken(void **state)
{
	struct commit_set set, out;
	struct buf b;

	(void)state;
	buf_init(&b, COMMIT_DATA_MAX);
	fill(&set, COMMIT_REFS_MAX, 0);
	assert_int_equal(commit_add(&set, "1", "2", 0), ERR_LIMIT);
	assert_int_equal(set.n, COMMIT_REFS_MAX);
	/* one more, by hand: an item at the end */
	assert_int_equal(commit_encode_action(&set, TS_IMPLICIT_LE, &b),
			 ERR_OK);
	assert_int_equal(buf_append(&b,
				    "\x08\x00\x99\x11\x12\x00\x00\x00"
				    "\xfe\xff\x00\xe0\x0a\x00\x00\x00"
				    "\x08\x00\x55\x11\x02\x00\x00\x00"
				    "3\0",
				    26),
			 ERR_OK);
	assert_int_equal(
	    commit_decode(buf_data(&b), buf_len(&b), TS_IMPLICIT_LE, &out),
	    ERR_LIMIT);
	commit_free(&set);
	buf_free(&b);
}

/* ---- merging ------------------------------------------------------------ */

static void merging_keeps_all_that_was_asked_and_no_more(void **state)
{
	struct commit_set asked, answer, out;

	(void)state;
	fill(&asked, 4, 0); /* 1.2.0 1.2.7 1.2.14 1.2.21 */
	fill(&answer, 0, 0);
	assert_int_equal(commit_add(&answer, "1", "1.2.14", 0), ERR_OK);
	assert_int_equal(commit_add(&answer, "1", "1.2.99", 0), ERR_OK);
	assert_int_equal(commit_add(&answer, "1", "1.2.7", 0), ERR_OK);
	assert_int_equal(commit_add(&answer, "1", "1.2.7", 0x119), ERR_OK);
	assert_int_equal(commit_add(&answer, "1", "1.2.0", 0), ERR_OK);
	assert_int_equal(commit_merge(&asked, &answer, &out), ERR_OK);
	assert_int_equal(out.n, 4);
	assert_int_equal(out.n_failed, 2);
	assert_int_equal(out.refs[0].reason, 0);
	assert_int_equal(out.refs[1].reason, 0x119); /* the worse one */
	assert_int_equal(out.refs[2].reason, 0);
	assert_int_equal(out.refs[3].reason, COMMIT_PROCESSING_FAILURE);
	assert_string_equal(out.refs[3].sop_class, UID_CT_STORAGE);
	commit_free(&out);
	assert_int_equal(commit_merge(&asked, NULL, &out), ERR_OK);
	assert_int_equal(out.n_failed, 4);
	commit_free(&out);
	commit_free(&asked);
	commit_free(&answer);
}

/* ---- memory that runs out ----------------------------------------------- */

static int left; /* allocations that succeed; negative: all */

static bool refuse(void)
{
	return left == 0 || (left > 0 && left-- == 0);
}

static void *failing_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : calloc(n, size);
}

static void *failing_realloc(void *p, size_t size)
{
	return refuse() ? NULL : realloc(p, size);
}

static const struct mem_hook failing = {
    .calloc = failing_calloc, .realloc = failing_realloc, .free = free};

static enum err all_of_it(void)
{
	struct commit_set set, merged;
	enum err e;
	struct draft d;

	begin(&d, TS_IMPLICIT_LE);
	uid(&d, 0x00081195, transaction);
	head(&d, 0x00081199, "SQ", OPEN);
	for (int i = 0; i < 20; i++)
		ref(&d, "1.2.1", -1);
	close_sequence(&d);
	e = commit_decode(d.bytes, d.w.len, d.kind, &set);
	if (e != ERR_OK)
		return e;
	e = commit_merge(&set, &set, &merged);
	if (e == ERR_OK)
		commit_free(&merged);
	commit_free(&set);
	return e;
}

static void every_allocation_may_fail(void **state)
{
	int n = 0;
	enum err e;

	(void)state;
	mem_set_hook(&failing);
	do {
		left = n++;
		e = all_of_it();
		assert_true(e == ERR_OK || e == ERR_NOMEM);
	} while (e != ERR_OK);
	mem_set_hook(NULL);
	assert_true(n > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_read_in_every_encoding),
	    cmocka_unit_test(a_report_tells_failed_ones_and_why),
	    cmocka_unit_test(what_is_not_ours_is_skipped_however_nested),
	    cmocka_unit_test(a_sequence_sent_as_un_is_read),
	    cmocka_unit_test(another_encoding_than_agreed_is_seen),
	    cmocka_unit_test(what_lacks_its_point_is_refused),
	    cmocka_unit_test(any_cut_is_refused_without_reading_beyond),
	    cmocka_unit_test(what_is_written_is_read_again),
	    cmocka_unit_test(the_bytes_are_those_of_the_standard),
	    cmocka_unit_test(no_more_than_the_bound_is_taken),
	    cmocka_unit_test(merging_keeps_all_that_was_asked_and_no_more),
	    cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
