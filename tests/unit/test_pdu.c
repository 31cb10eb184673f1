#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/pdu.h"
#include "proxy/lib/mem.h"

/* A-RELEASE-RQ, PS3.8 table 9-24. */
static const uint8_t release_rq[] = {0x05, 0, 0, 0, 0, 4, 0, 0, 0, 0};

static void decodes_type_and_length(void **state)
{
	struct pdu_header h;

	(void)state;
	assert_int_equal(
	    pdu_header_decode(release_rq, sizeof(release_rq), 64, &h), ERR_OK);
	assert_int_equal(h.type, PDU_RELEASE_RQ);
	assert_int_equal(h.body_len, 4);
}

static void every_short_prefix_asks_for_more(void **state)
{
	struct pdu_header h = {.body_len = 99};

	(void)state;
	for (size_t n = 0; n < PDU_HEADER_LEN; n++)
		assert_int_equal(pdu_header_decode(release_rq, n, 64, &h),
				 ERR_AGAIN);
	assert_int_equal(h.body_len, 99); /* *out untouched */
}

static void refuses_hostile_headers(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[PDU_HEADER_LEN];
		enum err want;
	} cases[] = {
	    {"type 0", {0x00, 0, 0, 0, 0, 4}, ERR_PROTO},
	    {"type 8", {0x08, 0, 0, 0, 0, 4}, ERR_PROTO},
	    {"one byte too long", {0x04, 0, 0, 0, 0, 65}, ERR_LIMIT},
	    {"length 2^32-1", {0x04, 0, 255, 255, 255, 255}, ERR_LIMIT},
	};
	struct pdu_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].what);
		assert_int_equal(
		    pdu_header_decode(cases[i].bytes, PDU_HEADER_LEN, 64, &h),
		    cases[i].want);
	}
}

static void first_bytes_name_the_protocol(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum pdu_first want;
	} rows[] = {
	    {"", 0, PDU_FIRST_MORE},
	    {"\x01", 1, PDU_FIRST_DICOM},
	    {"\x07\xff", 2, PDU_FIRST_DICOM},
	    {"\x00", 1, PDU_FIRST_OTHER},
	    {"\x08", 1, PDU_FIRST_OTHER},
	    {"\x16", 1, PDU_FIRST_MORE},
	    {"\x16\x03", 2, PDU_FIRST_TLS},
	    {"\x16\x02", 2, PDU_FIRST_OTHER},
	    {"G", 1, PDU_FIRST_MORE},
	    {"GE", 2, PDU_FIRST_MORE},
	    {"GET", 3, PDU_FIRST_MORE},
	    {"GET / HTTP/1.1", 14, PDU_FIRST_HTTP},
	    {"POST", 4, PDU_FIRST_HTTP},
	    {"HEAD", 4, PDU_FIRST_HTTP},
	    {"PUT ", 4, PDU_FIRST_HTTP},
	    {"OPTI", 4, PDU_FIRST_HTTP},
	    {"PRI * HTTP/2.0", 14, PDU_FIRST_HTTP},
	    {"GEX", 3, PDU_FIRST_OTHER},
	    {"PUTX", 4, PDU_FIRST_OTHER},
	    {"SSH-", 4, PDU_FIRST_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    pdu_first_bytes((const uint8_t *)rows[i].bytes, rows[i].n),
		    rows[i].want);
}

/* ---- stream ---- */

/* What a stream of events said, as text, independent of how input was cut. */
struct heard {
	char text[4096];
	size_t len;
	enum err end;
};

static void say(struct heard *h, const char *fmt, unsigned a, unsigned b,
		unsigned c)
{
	int n =
	    snprintf(h->text + h->len, sizeof(h->text) - h->len, fmt, a, b, c);

	assert_true(n > 0 && (size_t)n < sizeof(h->text) - h->len);
	h->len += (size_t)n;
}

static void hear(struct heard *h, const struct pdu_event *ev)
{
	switch (ev->kind) {
	case PDU_EV_MORE:
		break;
	case PDU_EV_PDU:
		say(h, "pdu(%u,%u", ev->type, (unsigned)ev->len, 0);
		for (size_t i = 0; i < ev->len; i++)
			say(h, " %02x", ev->data[i], 0, 0);
		say(h, ")", 0, 0, 0);
		break;
	case PDU_EV_PDV_BEGIN:
		say(h, "pdv(%u,%u,%u:", ev->pdv.context_id,
		    ev->pdv.command * 1u + ev->pdv.last * 2u, ev->pdv.len);
		break;
	case PDU_EV_PDV_DATA:
		assert_true(ev->len > 0);
		for (size_t i = 0; i < ev->len; i++)
			say(h, " %02x", ev->data[i], 0, 0);
		break;
	case PDU_EV_PDV_END:
		say(h, ")", 0, 0, 0);
		break;
	}
}

/* Feed in pieces of 1..step bytes, each in a block of its own so that a read
 * past its end is seen. */
static void listen(struct pdu_stream *s, const uint8_t *bytes, size_t n,
		   size_t step, struct heard *h)
{
	struct pdu_event ev = {.kind = PDU_EV_MORE};

	while (n > 0 && h->end == ERR_OK) {
		size_t piece = n < step ? n : step, at = 0, used;
		uint8_t *copy = malloc(piece);

		assert_non_null(copy);
		memcpy(copy, bytes, piece);
		do {
			h->end = pdu_stream_next(s, copy + at, piece - at,
						 &used, &ev);
			if (h->end != ERR_OK)
				break;
			assert_true(used <= piece - at);
			at += used;
			hear(h, &ev);
		} while (ev.kind != PDU_EV_MORE);
		if (h->end == ERR_OK)
			assert_int_equal(at, piece);
		free(copy);
		bytes += piece;
		n -= piece;
	}
}

struct outcome {
	struct heard heard;
	struct pdu_stream stream;
	struct buf hold;
};

static struct outcome run(const uint8_t *bytes, size_t n, size_t step,
			  uint32_t advertised)
{
	struct outcome out = {0};

	buf_init(&out.hold, 4096);
	pdu_stream_init(&out.stream, &out.hold, advertised);
	listen(&out.stream, bytes, n, step, &out.heard);
	out.stream.hold = NULL;
	buf_free(&out.hold);
	return out;
}

static const uint8_t talk[] = {
    0x05, 0, 0, 0, 0,   4,    0,    0,    0,   0, /* RELEASE-RQ */
    0x01, 0, 0, 0, 0,   3,    'a',  'b',  'c',    /* RQ, not decoded */
    0x04, 0, 0, 0, 0,   9,    0,    0,    0,   5,
    3,    3, 1, 2, 3,                             /* one odd PDV */
    0x04, 0, 0, 0, 0,   0,                        /* none */
    0x04, 9, 0, 0, 0,   20,                       /* three PDVs: */
    0,    0, 0, 4, 1,   0,    0xAA, 0xBB,         /* data */
    0,    0, 0, 2, 1,   2,                        /* empty last */
    0,    0, 0, 2, 255, 0xFF,                     /* reserved bits */
    0x07, 0, 0, 0, 0,   4,    0,    0,    2,   1, /* ABORT */
    0x06, 0, 0, 0, 0,   0,                        /* short RP */
};

static const char talk_said[] = "pdu(5,4 00 00 00 00)"
				"pdu(1,3 61 62 63)"
				"pdv(3,3,3: 01 02 03)"
				"pdv(1,0,2: aa bb)"
				"pdv(1,2,0:)"
				"pdv(255,3,0:)"
				"pdu(7,4 00 00 02 01)"
				"pdu(6,0)";

static void a_stream_says_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t step = 1; step <= sizeof(talk); step++) {
		struct outcome o = run(talk, sizeof(talk), step, 16384);

		assert_int_equal(o.heard.end, ERR_OK);
		assert_string_equal(o.heard.text, talk_said);
		assert_int_equal(o.stream.pdus, 7);
		assert_int_equal(o.stream.odd, 1);
		assert_int_equal(o.stream.oversized, 0);
		assert_true(pdu_stream_idle(&o.stream));
	}
}

static void the_end_is_clean_only_between_pdus(void **state)
{
	static const size_t clean[] = {0, 10, 19, 34, 40, 66, 76, 82};

	(void)state;
	for (size_t n = 0; n <= sizeof(talk); n++) {
		struct outcome o = run(talk, n, 7, 0);
		bool want = false;

		for (size_t i = 0; i < ARRAY_LEN(clean); i++)
			want = want || clean[i] == n;
		assert_int_equal(pdu_stream_idle(&o.stream), want);
	}
}

static void oversized_pdus_are_taken_and_counted(void **state)
{
	struct outcome o = run(talk, sizeof(talk), 5, 10);

	(void)state;
	assert_int_equal(o.heard.end, ERR_OK);
	assert_int_equal(o.stream.oversized, 1);
	o = run(talk, sizeof(talk), 5, 0); /* nothing advertised */
	assert_int_equal(o.stream.oversized, 0);
}

static void broken_streams_fail_for_good(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[14];
		size_t n;
		enum err want;
		uint8_t reason;
	} rows[] = {
	    {"unknown type",
	     {0x08, 0, 0, 0, 0, 0},
	     6,
	     ERR_PROTO,
	     ABORT_UNRECOGNIZED_PDU},
	    {"PDV of length 1",
	     {4, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, 3, 0},
	     13,
	     ERR_PROTO,
	     ABORT_INVALID_PARAMETER},
	    {"PDV of length 0",
	     {4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 1, 3},
	     12,
	     ERR_PROTO,
	     ABORT_INVALID_PARAMETER},
	    {"PDV beyond its PDU",
	     {4, 0, 0, 0, 0, 8, 0, 0, 0, 5, 1, 3, 0, 0},
	     14,
	     ERR_PROTO,
	     ABORT_INVALID_PARAMETER},
	    {"PDV length 2^32-1",
	     {4, 0, 0, 0, 0, 8, 255, 255, 255, 255, 1, 3, 0, 0},
	     14,
	     ERR_PROTO,
	     ABORT_INVALID_PARAMETER},
	    {"scraps after a PDV",
	     {4, 0, 0, 0, 0, 8, 0, 0, 0, 2, 1, 3, 0, 0},
	     14,
	     ERR_PROTO,
	     ABORT_INVALID_PARAMETER},
	    {"P-DATA above the hard cap",
	     {4, 0, 1, 0, 0, 1},
	     6,
	     ERR_LIMIT,
	     ABORT_INVALID_PARAMETER},
	    {"RQ above the buffer",
	     {1, 0, 0, 0, 16, 1},
	     6,
	     ERR_LIMIT,
	     ABORT_INVALID_PARAMETER},
	    {"a huge ABORT",
	     {7, 0, 255, 255, 255, 255},
	     6,
	     ERR_LIMIT,
	     ABORT_INVALID_PARAMETER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pdu_event ev;
		struct outcome o;
		size_t used = 1;

		print_message("case: %s\n", rows[i].what);
		for (size_t step = 1; step <= rows[i].n; step++) {
			o = run(rows[i].bytes, rows[i].n, step, 16384);
			assert_int_equal(o.heard.end, rows[i].want);
			assert_int_equal(o.stream.abort_reason, rows[i].reason);
		}
		assert_int_equal(
		    pdu_stream_next(&o.stream, talk, sizeof(talk), &used, &ev),
		    rows[i].want);
		assert_int_equal(used, 0);
		assert_false(pdu_stream_idle(&o.stream));
	}
}

static void a_body_of_the_full_buffer_is_taken(void **state)
{
	uint8_t *big = calloc(1, 6 + 4096);
	struct buf hold;
	struct pdu_stream s;
	struct pdu_event ev;
	size_t used;

	(void)state;
	assert_non_null(big);
	memcpy(big, "\x01\0\0\0\x10\0", 6);
	buf_init(&hold, 4096);
	pdu_stream_init(&s, &hold, 0);
	for (int half = 0; half < 2; half++)
		assert_int_equal(
		    pdu_stream_next(&s, big + 2051 * half, 2051, &used, &ev),
		    ERR_OK);
	assert_int_equal(ev.kind, PDU_EV_PDU);
	assert_int_equal(ev.len, 4096);
	buf_free(&hold);
	free(big);
}

static void *no_memory(void *p, size_t n)
{
	(void)p;
	(void)n;
	return NULL;
}

static void memory_running_out_is_an_error_of_the_stream(void **state)
{
	const struct mem_hook hook = {
	    .calloc = calloc, .realloc = no_memory, .free = free};
	struct outcome o;

	(void)state;
	mem_set_hook(&hook);
	o = run(talk, sizeof(talk), 4, 0);
	mem_set_hook(NULL);
	assert_int_equal(o.heard.end, ERR_NOMEM);
	assert_int_equal(o.stream.abort_reason, ABORT_NO_REASON);
}

/* ---- small PDUs ---- */

static void control_pdus_are_those_of_the_standard(void **state)
{
	static const uint8_t rj[] = {3, 0, 0, 0, 0, 4, 0, 1, 1, 7};
	static const uint8_t rp[] = {6, 0, 0, 0, 0, 4, 0, 0, 0, 0};
	static const uint8_t ab[] = {7, 0, 0, 0, 0, 4, 0, 0, 2, 6};
	uint8_t out[PDU_CONTROL_LEN];

	(void)state;
	assert_int_equal(
	    pdu_reject_encode(out,
			      (struct pdu_reject){REJECT_PERMANENT, REJECT_USER,
						  REJECT_USER_CALLED_AE}),
	    10);
	assert_memory_equal(out, rj, 10);
	assert_int_equal(pdu_release_rq_encode(out), 10);
	assert_memory_equal(out, release_rq, 10);
	assert_int_equal(pdu_release_rp_encode(out), 10);
	assert_memory_equal(out, rp, 10);
	assert_int_equal(
	    pdu_abort_encode(out, (struct pdu_abort){ABORT_PROVIDER,
						     ABORT_INVALID_PARAMETER}),
	    10);
	assert_memory_equal(out, ab, 10);
}

static void rejects_and_aborts_are_read_and_worded(void **state)
{
	struct pdu_reject r =
	    pdu_reject_decode((const uint8_t[]){0, 2, 3, 1}, 4);
	struct pdu_abort a = pdu_abort_decode((const uint8_t[]){9, 9, 2, 1}, 4);

	(void)state;
	assert_int_equal(r.result, REJECT_TRANSIENT);
	assert_string_equal(pdu_reject_text(r), "temporary congestion");
	assert_int_equal(a.source, ABORT_PROVIDER);
	assert_string_equal(pdu_abort_text(a), "unrecognized PDU");
	assert_int_equal(pdu_reject_decode(NULL, 0).source, 0);
	assert_int_equal(pdu_abort_decode((const uint8_t[]){0, 0, 2}, 3).reason,
			 0);
	for (int i = 0; i < 256 * 256; i++) {
		r.source = a.source = (uint8_t)(i >> 8);
		r.reason = a.reason = (uint8_t)i;
		assert_true(strlen(pdu_reject_text(r)) > 5);
		assert_true(strlen(pdu_abort_text(a)) > 5);
	}
	assert_string_equal(pdu_type_name(PDU_DATA_TF), "P-DATA-TF");
}

static void pdata_header_counts_like_dcmtk(void **state)
{
	/* DCMTK's C-ECHO-RSP: 78 bytes of command in one PDV. */
	static const uint8_t want[] = {4, 0, 0, 0,    0, 0x54,
				       0, 0, 0, 0x50, 1, 3};
	uint8_t out[PDU_PDATA_HEADER_LEN];

	(void)state;
	assert_int_equal(pdu_pdata_header(out, 78, 1, PDV_COMMAND | PDV_LAST),
			 12);
	assert_memory_equal(out, want, 12);
}

static void payloads_stay_even_and_inside_both_maxima(void **state)
{
	(void)state;
	assert_int_equal(pdu_payload_max(16384, 1 << 20), 16378);
	assert_int_equal(pdu_payload_max(16385, 1 << 20), 16378);
	assert_int_equal(pdu_payload_max(0, 131072), 131066);
	assert_int_equal(pdu_payload_max(1 << 30, 65536), 65530);
	assert_int_equal(pdu_payload_max(8, 65536), 2);
	assert_int_equal(pdu_payload_max(7, 65536), 0);
	assert_int_equal(pdu_payload_max(0, UINT32_MAX), PDU_PDATA_MAX - 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decodes_type_and_length),
	    cmocka_unit_test(every_short_prefix_asks_for_more),
	    cmocka_unit_test(refuses_hostile_headers),
	    cmocka_unit_test(first_bytes_name_the_protocol),
	    cmocka_unit_test(a_stream_says_the_same_however_it_is_cut),
	    cmocka_unit_test(the_end_is_clean_only_between_pdus),
	    cmocka_unit_test(oversized_pdus_are_taken_and_counted),
	    cmocka_unit_test(broken_streams_fail_for_good),
	    cmocka_unit_test(a_body_of_the_full_buffer_is_taken),
	    cmocka_unit_test(memory_running_out_is_an_error_of_the_stream),
	    cmocka_unit_test(control_pdus_are_those_of_the_standard),
	    cmocka_unit_test(rejects_and_aborts_are_read_and_worded),
	    cmocka_unit_test(pdata_header_counts_like_dcmtk),
	    cmocka_unit_test(payloads_stay_even_and_inside_both_maxima),
	};

	return cmocka_run_group_tests_name("pdu", tests, NULL, NULL);
}
