#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dicom/assoc.h"
#include "proxy/lib/mem.h"

/* As DCMTK 3.6.7's echoscu sends it; FF in the reserved result slot. */
static const uint8_t dcmtk_rq[] = {
    0x01, 0x00, 0x00, 0x00, 0x00, 0xcd, 0x00, 0x01, 0x00, 0x00, 0x41, 0x4e,
    0x59, 0x2d, 0x53, 0x43, 0x50, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x45, 0x43, 0x48, 0x4f, 0x53, 0x43, 0x55, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x10, 0x00, 0x00, 0x15, 0x31, 0x2e, 0x32, 0x2e, 0x38, 0x34,
    0x30, 0x2e, 0x31, 0x30, 0x30, 0x30, 0x38, 0x2e, 0x33, 0x2e, 0x31, 0x2e,
    0x31, 0x2e, 0x31, 0x20, 0x00, 0x00, 0x2e, 0x01, 0x00, 0xff, 0x00, 0x30,
    0x00, 0x00, 0x11, 0x31, 0x2e, 0x32, 0x2e, 0x38, 0x34, 0x30, 0x2e, 0x31,
    0x30, 0x30, 0x30, 0x38, 0x2e, 0x31, 0x2e, 0x31, 0x40, 0x00, 0x00, 0x11,
    0x31, 0x2e, 0x32, 0x2e, 0x38, 0x34, 0x30, 0x2e, 0x31, 0x30, 0x30, 0x30,
    0x38, 0x2e, 0x31, 0x2e, 0x32, 0x50, 0x00, 0x00, 0x3a, 0x51, 0x00, 0x00,
    0x04, 0x00, 0x00, 0x40, 0x00, 0x52, 0x00, 0x00, 0x1b, 0x31, 0x2e, 0x32,
    0x2e, 0x32, 0x37, 0x36, 0x2e, 0x30, 0x2e, 0x37, 0x32, 0x33, 0x30, 0x30,
    0x31, 0x30, 0x2e, 0x33, 0x2e, 0x30, 0x2e, 0x33, 0x2e, 0x36, 0x2e, 0x37,
    0x55, 0x00, 0x00, 0x0f, 0x4f, 0x46, 0x46, 0x49, 0x53, 0x5f, 0x44, 0x43,
    0x4d, 0x54, 0x4b, 0x5f, 0x33, 0x36, 0x37,
};

/* What DCMTK 3.6.7's storescp answered. */
static const uint8_t dcmtk_ac[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0xb8, 0x00, 0x01, 0x00, 0x00, 0x41, 0x4e,
    0x59, 0x2d, 0x53, 0x43, 0x50, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x45, 0x43, 0x48, 0x4f, 0x53, 0x43, 0x55, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x10, 0x00, 0x00, 0x15, 0x31, 0x2e, 0x32, 0x2e, 0x38, 0x34,
    0x30, 0x2e, 0x31, 0x30, 0x30, 0x30, 0x38, 0x2e, 0x33, 0x2e, 0x31, 0x2e,
    0x31, 0x2e, 0x31, 0x21, 0x00, 0x00, 0x19, 0x01, 0x00, 0x00, 0x00, 0x40,
    0x00, 0x00, 0x11, 0x31, 0x2e, 0x32, 0x2e, 0x38, 0x34, 0x30, 0x2e, 0x31,
    0x30, 0x30, 0x30, 0x38, 0x2e, 0x31, 0x2e, 0x32, 0x50, 0x00, 0x00, 0x3a,
    0x51, 0x00, 0x00, 0x04, 0x00, 0x00, 0x40, 0x00, 0x52, 0x00, 0x00, 0x1b,
    0x31, 0x2e, 0x32, 0x2e, 0x32, 0x37, 0x36, 0x2e, 0x30, 0x2e, 0x37, 0x32,
    0x33, 0x30, 0x30, 0x31, 0x30, 0x2e, 0x33, 0x2e, 0x30, 0x2e, 0x33, 0x2e,
    0x36, 0x2e, 0x37, 0x55, 0x00, 0x00, 0x0f, 0x4f, 0x46, 0x46, 0x49, 0x53,
    0x5f, 0x44, 0x43, 0x4d, 0x54, 0x4b, 0x5f, 0x33, 0x36, 0x37,
};

static struct assoc *new_assoc(void)
{
	struct assoc *a = mem_zalloc(sizeof(*a));

	assert_non_null(a);
	return a;
}

static enum err decode(const uint8_t *pdu, size_t n, struct assoc *a)
{
	return assoc_decode(pdu + PDU_HEADER_LEN, n - PDU_HEADER_LEN,
			    (enum pdu_type)pdu[0], a);
}

/* ---- a request, item by item ---- */

struct draft {
	uint8_t bytes[200000];
	struct wr w;
	size_t open[4];
	size_t n_open;
};

static void begin(struct draft *d, enum pdu_type type)
{
	d->w = wr_init(d->bytes, sizeof(d->bytes));
	d->n_open = 0;
	wr_u8(&d->w, (uint8_t)type);
	wr_u8(&d->w, 0);
	wr_u32(&d->w, 0);
	wr_u16(&d->w, 1);
	wr_u16(&d->w, 0);
	wr_bytes(&d->w, "CALLED          CALLING         ", 32);
	wr_fill(&d->w, 0, 32);
}

static void open_item(struct draft *d, uint8_t type)
{
	wr_u8(&d->w, type);
	wr_u8(&d->w, 0);
	wr_u16(&d->w, 0);
	d->open[d->n_open++] = d->w.len;
}

static void close_item(struct draft *d)
{
	size_t at = d->open[--d->n_open];

	wr_patch_u16(&d->w, at - 2, (uint16_t)(d->w.len - at));
}

static void item(struct draft *d, uint8_t type, const void *bytes, size_t n)
{
	open_item(d, type);
	wr_bytes(&d->w, bytes, n);
	close_item(d);
}

static void text(struct draft *d, uint8_t type, const char *s)
{
	item(d, type, s, strlen(s));
}

static void context(struct draft *d, uint8_t id, const char *abstract,
		    const char *ts)
{
	open_item(d, 0x20);
	wr_bytes(&d->w, (const uint8_t[]){id, 0, 0xFF, 0}, 4);
	text(d, 0x30, abstract);
	text(d, 0x40, ts);
	close_item(d);
}

static enum err finish(struct draft *d, struct assoc *a)
{
	assert_true(wr_ok(&d->w));
	assert_int_equal(d->n_open, 0);
	return decode(d->bytes, d->w.len, a);
}

/* ---- decode ---- */

static void reads_what_dcmtk_requests(void **state)
{
	struct assoc *a = new_assoc();
	const struct assoc_context *c;

	(void)state;
	assert_int_equal(decode(dcmtk_rq, sizeof(dcmtk_rq), a), ERR_OK);
	assert_int_equal(a->version, 1);
	assert_string_equal(a->called_ae, "ANY-SCP");
	assert_string_equal(a->calling_ae, "ECHOSCU");
	assert_string_equal(a->app_context, UID_APPLICATION_CONTEXT);
	assert_int_equal(a->max_pdu, 16384);
	assert_string_equal(a->impl_class, "1.2.276.0.7230010.3.0.3.6.7");
	assert_string_equal(a->impl_version, "OFFIS_DCMTK_367");
	assert_int_equal(a->n_contexts, 1);
	assert_int_equal(a->async_invoked, 1);
	assert_false(a->has_async);
	c = assoc_context(a, 1);
	assert_non_null(c);
	assert_int_equal(c->result, 0);
	assert_string_equal(c->abstract, UID_VERIFICATION);
	assert_int_equal(c->n_ts, 1);
	assert_string_equal(assoc_ts(a, c, 0), UID_IMPLICIT_LE);
	assert_null(assoc_context(a, 3));
	mem_free(a);
}

static void reads_what_dcmtk_accepts(void **state)
{
	struct assoc *rq = new_assoc(), *ac = new_assoc();

	(void)state;
	assert_int_equal(decode(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
	assert_int_equal(decode(dcmtk_ac, sizeof(dcmtk_ac), ac), ERR_OK);
	assert_string_equal(assoc_accepted(rq, ac, 1), UID_IMPLICIT_LE);
	assert_null(assoc_accepted(rq, ac, 3));
	ac->contexts[0].result = CONTEXT_NO_REASON;
	assert_null(assoc_accepted(rq, ac, 1));
	mem_free(rq);
	mem_free(ac);
}

static void an_acceptor_cannot_choose_what_was_not_proposed(void **state)
{
	struct assoc *rq = new_assoc(), *ac = new_assoc();

	(void)state;
	assert_int_equal(decode(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
	assoc_init_answer(ac, rq);
	assert_int_equal(assoc_answer(ac, 1, CONTEXT_ACCEPTED, UID_EXPLICIT_LE),
			 ERR_OK);
	assert_null(assoc_accepted(rq, ac, 1));
	assert_int_equal(assoc_answer(ac, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE),
			 ERR_OK);
	assert_non_null(assoc_accepted(rq, ac, 1));
	assert_int_equal(ac->n_ts, 1);
	mem_free(rq);
	mem_free(ac);
}

static void every_cut_of_a_request_is_refused_or_whole(void **state)
{
	struct assoc *a = new_assoc();
	/* Where an item ends, the body may end too. */
	static const size_t whole[] = {74, 99, 149, 211};

	(void)state;
	for (size_t n = PDU_HEADER_LEN; n <= sizeof(dcmtk_rq); n++) {
		uint8_t *copy = mem_zalloc(n);
		bool want = false;

		assert_non_null(copy);
		memcpy(copy, dcmtk_rq, n);
		for (size_t i = 0; i < ARRAY_LEN(whole); i++)
			want = want || whole[i] == n;
		assert_int_equal(decode(copy, n, a), want ? ERR_OK : ERR_PROTO);
		mem_free(copy);
	}
	mem_free(a);
}

static void a_length_that_disagrees_is_refused(void **state)
{
	/* Bytes that hold the low half of a length field in dcmtk_rq. */
	static const size_t at[] = {77, 102, 110, 131, 152, 156, 164, 195};
	struct assoc *a = new_assoc();
	uint8_t copy[sizeof(dcmtk_rq)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		memcpy(copy, dcmtk_rq, sizeof(copy));
		copy[at[i]] = (uint8_t)(copy[at[i]] + 200);
		print_message("length at %zu\n", at[i]);
		assert_int_equal(decode(copy, sizeof(copy), a), ERR_PROTO);
	}
	mem_free(a);
}

static void odd_devices_are_understood(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	memcpy(d.bytes + 6, "\x00\x03\xff\xff", 4);
	memcpy(d.bytes + 10, "ARCHIVE\0\0\0\0\0\0\0\0\0", 16);
	memcpy(d.bytes + 26, "  CT2\0garbage    ", 16);
	item(&d, 0x77, "what", 4);
	item(&d, 0x10, "1.2.3\0", 6);
	context(&d, 1, UID_CT_STORAGE " ", UID_EXPLICIT_LE);
	open_item(&d, 0x50);
	item(&d, 0x51, NULL, 0);
	item(&d, 0x66, "x", 1);
	close_item(&d);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->version, 3);
	assert_string_equal(a->called_ae, "ARCHIVE");
	assert_string_equal(a->calling_ae, "CT2");
	assert_string_equal(a->app_context, "1.2.3");
	assert_int_equal(a->max_pdu, PDU_DEFAULT_MAX);
	assert_string_equal(a->impl_class, "");
	assert_string_equal(a->contexts[0].abstract, UID_CT_STORAGE);
	assert_int_equal(a->contexts[0].result, 0);
	assert_int_equal(a->unknown_items, 2);
	mem_free(a);
}

static void missing_items_are_facts(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	memset(d.bytes + 10, ' ', 32);
	open_item(&d, 0x20);
	wr_bytes(&d.w, "\x05\0\0\0", 4);
	close_item(&d);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_string_equal(a->called_ae, "");
	assert_string_equal(a->calling_ae, "");
	assert_string_equal(a->app_context, "");
	assert_int_equal(a->n_contexts, 1);
	assert_string_equal(a->contexts[0].abstract, "");
	assert_int_equal(a->contexts[0].n_ts, 0);
	mem_free(a);
}

static void even_and_repeated_ids_are_left_out(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	context(&d, 1, UID_CT_STORAGE, UID_EXPLICIT_LE);
	context(&d, 2, UID_CT_STORAGE, UID_EXPLICIT_LE);
	context(&d, 0, UID_CT_STORAGE, UID_EXPLICIT_LE);
	context(&d, 1, UID_MR_STORAGE, UID_EXPLICIT_LE);
	context(&d, 255, UID_MR_STORAGE, UID_EXPLICIT_LE);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->n_contexts, 2);
	assert_int_equal(a->dropped_contexts, 3);
	assert_string_equal(assoc_context(a, 1)->abstract, UID_CT_STORAGE);
	assert_string_equal(assoc_context(a, 255)->abstract, UID_MR_STORAGE);
	mem_free(a);
}

static void more_contexts_than_ids_cannot_be(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	for (int i = 0; i < 600; i++)
		context(&d, (uint8_t)i, UID_CT_STORAGE, UID_EXPLICIT_LE);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->n_contexts, ASSOC_MAX_CONTEXTS);
	assert_int_equal(a->dropped_contexts, 600 - ASSOC_MAX_CONTEXTS);
	mem_free(a);
}

static void transfer_syntaxes_are_bounded_and_judged(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	open_item(&d, 0x20);
	wr_bytes(&d.w, "\x07\0\0\0", 4);
	text(&d, 0x30, UID_CT_STORAGE);
	text(&d, 0x40, "not a uid");
	text(&d, 0x40, "");
	for (int i = 0; i < 70; i++)
		text(&d, 0x40, i % 2 ? UID_RLE : UID_J2K);
	close_item(&d);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->contexts[0].n_ts, ASSOC_MAX_CONTEXT_TS);
	assert_int_equal(a->dropped_ts, 2 + 70 - ASSOC_MAX_CONTEXT_TS);
	assert_true(assoc_has_ts(a, &a->contexts[0], UID_RLE));
	assert_false(assoc_has_ts(a, &a->contexts[0], UID_IMPLICIT_LE));
	mem_free(a);
}

static void put_negotiation(struct draft *d)
{
	open_item(d, 0x50);
	item(d, 0x51, "\0\1\0\0", 4);
	text(d, 0x52, "1.2.3.4");
	item(d, 0x53, "\0\x08\0\0", 4);
	item(d, 0x54,
	     "\0\x03"
	     "1.2"
	     "\1\0",
	     7);
	text(d, 0x55, "VERSION");
	item(d, 0x56,
	     "\0\x03"
	     "1.2"
	     "\1\1",
	     7);
	item(d, 0x57,
	     "\0\x03"
	     "1.2"
	     "\0\x03"
	     "1.3"
	     "\0\0",
	     12);
	item(d, 0x58,
	     "\x02\x01\0\x04"
	     "user"
	     "\0\x06"
	     "secret",
	     16);
	close_item(d);
}

static void negotiation_is_read_and_kept(void **state)
{
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	text(&d, 0x10, UID_APPLICATION_CONTEXT);
	context(&d, 1, UID_CT_STORAGE, UID_EXPLICIT_LE);
	put_negotiation(&d);
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->max_pdu, 65536);
	assert_string_equal(a->impl_class, "1.2.3.4");
	assert_string_equal(a->impl_version, "VERSION");
	assert_true(a->has_async);
	assert_int_equal(a->async_invoked, 8);
	assert_int_equal(a->async_performed, 0);
	assert_non_null(assoc_role(a, "1.2"));
	assert_true(assoc_role(a, "1.2")->scu);
	assert_false(assoc_role(a, "1.2")->scp);
	assert_null(assoc_role(a, "1.3"));
	assert_int_equal(a->user_identity_type, 2);
	assert_true(a->user_identity_response_wanted);
	assert_int_equal(a->n_items, 3);
	assoc_wipe(a);
	assert_int_equal(a->n_items, 0);
	assert_null(memmem(a, sizeof(*a), "secret", 6));
	mem_free(a);
}

static void lengths_inside_negotiation_are_checked(void **state)
{
	static const struct {
		uint8_t type, n;
		const char *bytes;
	} rows[] = {
	    {0x51, 3, "\0\0\0"},
	    {0x53, 2, "\0\1"},
	    {0x54, 6,
	     "\0\x03"
	     "1.2"
	     "\1"},
	    {0x54, 1, "\0"},
	    {0x56, 3,
	     "\0\x02"
	     "1"},
	    {0x57, 7,
	     "\0\x01"
	     "1"
	     "\0\x01"
	     "1"
	     "\0"},
	    {0x58, 7,
	     "\x01\0\0\x01"
	     "a"
	     "\0\x01"},
	    {0x59, 2, "\0\x01"},
	};
	static struct draft d;
	struct assoc *a = new_assoc();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&d, PDU_ASSOCIATE_RQ);
		open_item(&d, 0x50);
		item(&d, rows[i].type, rows[i].bytes, rows[i].n);
		close_item(&d);
		print_message("case: %zu\n", i);
		assert_int_equal(finish(&d, a), ERR_PROTO);
	}
	mem_free(a);
}

static void opaque_items_are_bounded(void **state)
{
	static struct draft d;
	static uint8_t big[30000];
	struct assoc *a = new_assoc();

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	for (int i = 0; i < 3; i++) {
		open_item(&d, 0x50);
		item(&d, 0x56, big, sizeof(big));
		item(&d, 0x56, "\0\0", 2);
		close_item(&d);
	}
	assert_int_equal(finish(&d, a), ERR_OK);
	assert_int_equal(a->n_items, 5);
	assert_int_equal(a->dropped_items, 1);
	mem_free(a);
}

/* ---- encode ---- */

static void encodes_what_dcmtk_sends(void **state)
{
	struct assoc *a = new_assoc();
	uint8_t out[512], want[sizeof(dcmtk_rq)];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	memcpy(want, dcmtk_rq, sizeof(want));
	want[105] = 0; /* reserved: we send zero */
	assert_int_equal(dcmtk_rq[105], 0xFF);
	assert_int_equal(decode(dcmtk_rq, sizeof(dcmtk_rq), a), ERR_OK);
	assert_int_equal(assoc_encode_rq(a, &w), ERR_OK);
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	for (size_t n = 0; n < sizeof(want); n++) {
		w = wr_init(out, n);
		assert_int_equal(assoc_encode_rq(a, &w), ERR_LIMIT);
	}
	mem_free(a);
}

static void answers_what_dcmtk_answers(void **state)
{
	struct assoc *rq = new_assoc(), *ac = new_assoc();
	uint8_t out[512];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	assert_int_equal(decode(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
	assoc_init_answer(ac, rq);
	strcpy(ac->impl_class, "1.2.276.0.7230010.3.0.3.6.7");
	strcpy(ac->impl_version, "OFFIS_DCMTK_367");
	assert_int_equal(assoc_answer(ac, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE),
			 ERR_OK);
	assert_int_equal(assoc_encode_ac(ac, &w), ERR_OK);
	assert_int_equal(w.len, sizeof(dcmtk_ac));
	assert_memory_equal(out, dcmtk_ac, sizeof(dcmtk_ac));
	mem_free(rq);
	mem_free(ac);
}

static void every_context_is_answered_in_order(void **state)
{
	static struct draft d;
	struct assoc *rq = new_assoc(), *ac = new_assoc(), *got = new_assoc();
	static uint8_t out[16384];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	memset(d.bytes + 42, 0xA5, 32);
	for (int i = 0; i < 128; i++)
		context(&d, (uint8_t)(255 - 2 * i), UID_CT_STORAGE,
			UID_EXPLICIT_LE);
	assert_int_equal(finish(&d, rq), ERR_OK);
	assoc_init_answer(ac, rq);
	assert_int_equal(assoc_answer(ac, 9, CONTEXT_ACCEPTED, UID_EXPLICIT_LE),
			 ERR_OK);
	assert_int_equal(assoc_answer(ac, 11, CONTEXT_TRANSFER_SYNTAXES, NULL),
			 ERR_OK);
	assert_int_equal(assoc_answer(ac, 8, CONTEXT_NO_REASON, NULL),
			 ERR_NOTFOUND);
	assert_int_equal(assoc_answer(ac, 9, CONTEXT_ACCEPTED, "x"), ERR_INVAL);
	assert_int_equal(assoc_encode_ac(ac, &w), ERR_OK);
	assert_memory_equal(out + 42, d.bytes + 42, 32); /* the echo */
	assert_int_equal(decode(out, w.len, got), ERR_OK);
	assert_int_equal(got->n_contexts, 128);
	for (size_t i = 0; i < 128; i++) {
		const struct assoc_context *c = &got->contexts[i];

		assert_int_equal(c->id, 255 - 2 * i);
		assert_int_equal(c->result, c->id == 9    ? 0
					    : c->id == 11 ? 4
							  : 2);
		assert_int_equal(c->n_ts, c->id == 9);
	}
	assert_string_equal(assoc_accepted(rq, got, 9), UID_EXPLICIT_LE);
	mem_free(rq);
	mem_free(ac);
	mem_free(got);
}

static void what_is_built_comes_back_as_it_was(void **state)
{
	struct assoc *a = new_assoc(), *b = new_assoc(), *from = new_assoc();
	static struct draft d;
	static uint8_t out[4096], again[4096];
	struct wr w = wr_init(out, sizeof(out)),
		  w2 = wr_init(again, sizeof(again));

	(void)state;
	begin(&d, PDU_ASSOCIATE_RQ);
	put_negotiation(&d);
	assert_int_equal(finish(&d, from), ERR_OK);
	assoc_init(a);
	strcpy(a->called_ae, "CLOUDPACS");
	strcpy(a->calling_ae, "SIXTEEN_LETTERS_");
	a->max_pdu = 131072;
	a->has_async = true;
	a->async_invoked = 3;
	assert_int_equal(assoc_add_context(a, 1, UID_CT_STORAGE), ERR_OK);
	assert_int_equal(assoc_add_ts(a, UID_EXPLICIT_LE), ERR_OK);
	assert_int_equal(assoc_add_ts(a, UID_IMPLICIT_LE), ERR_OK);
	assert_int_equal(assoc_add_context(a, 3, UID_COMMITMENT), ERR_OK);
	assert_int_equal(assoc_add_ts(a, UID_IMPLICIT_LE), ERR_OK);
	assert_int_equal(assoc_add_role(a, UID_COMMITMENT, false, true),
			 ERR_OK);
	for (int t = 0x56; t <= 0x59; t++)
		assert_int_equal(assoc_copy_items(a, from, (uint8_t)t), ERR_OK);
	assert_int_equal(assoc_encode_rq(a, &w), ERR_OK);
	assert_int_equal(decode(out, w.len, b), ERR_OK);
	assert_string_equal(b->called_ae, "CLOUDPACS");
	assert_string_equal(b->calling_ae, "SIXTEEN_LETTERS_");
	assert_string_equal(b->impl_class, UID_OUR_CLASS);
	assert_string_equal(b->impl_version, UID_OUR_VERSION);
	assert_int_equal(b->max_pdu, 131072);
	assert_int_equal(b->async_invoked, 3);
	assert_int_equal(b->async_performed, 1);
	assert_int_equal(b->n_contexts, 2);
	assert_int_equal(assoc_context(b, 1)->n_ts, 2);
	assert_string_equal(assoc_ts(b, assoc_context(b, 3), 0),
			    UID_IMPLICIT_LE);
	assert_true(assoc_role(b, UID_COMMITMENT)->scp);
	assert_int_equal(b->n_items, 3);
	assert_int_equal(b->user_identity_type, 2);
	assert_int_equal(assoc_encode_rq(b, &w2), ERR_OK);
	assert_int_equal(w.len, w2.len);
	assert_memory_equal(out, again, w.len);
	mem_free(a);
	mem_free(b);
	mem_free(from);
}

static void improper_requests_are_not_encoded(void **state)
{
	struct assoc *a = new_assoc();
	uint8_t out[1024];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	assoc_init(a);
	strcpy(a->called_ae, "A");
	strcpy(a->calling_ae, "B");
	assert_int_equal(assoc_encode_rq(a, &w), ERR_INVAL); /* no context */
	assert_int_equal(assoc_add_ts(a, UID_RLE), ERR_INVAL);
	assert_int_equal(assoc_add_context(a, 2, UID_CT_STORAGE), ERR_INVAL);
	assert_int_equal(assoc_add_context(a, 1, "CT"), ERR_INVAL);
	assert_int_equal(assoc_add_context(a, 1, UID_CT_STORAGE), ERR_OK);
	assert_int_equal(assoc_add_context(a, 1, UID_CT_STORAGE), ERR_INVAL);
	assert_int_equal(assoc_encode_rq(a, &w), ERR_INVAL); /* no syntax */
	assert_int_equal(assoc_add_ts(a, UID_RLE), ERR_OK);
	strcpy(a->calling_ae, "");
	assert_int_equal(assoc_encode_rq(a, &w), ERR_INVAL);
	strcpy(a->calling_ae, "B\\C");
	assert_int_equal(assoc_encode_rq(a, &w), ERR_INVAL);
	strcpy(a->calling_ae, "B");
	strcpy(a->impl_class, "");
	assert_int_equal(assoc_encode_rq(a, &w), ERR_INVAL);
	strcpy(a->impl_class, "1.2");
	assert_int_equal(assoc_encode_rq(a, &w), ERR_OK);
	mem_free(a);
}

static void full_requests_say_so(void **state)
{
	struct assoc *a = new_assoc();

	(void)state;
	assoc_init(a);
	for (int i = 0; i < ASSOC_MAX_CONTEXTS; i++) {
		uint8_t id = (uint8_t)(2 * i + 1);

		assert_int_equal(assoc_add_context(a, id, "1.2"), ERR_OK);
		assert_int_equal(assoc_add_role(a, "1.2", true, true), ERR_OK);
		for (int t = 0; t < ASSOC_MAX_TS / ASSOC_MAX_CONTEXTS; t++)
			assert_int_equal(assoc_add_ts(a, "1.2"), ERR_OK);
	}
	assert_int_equal(assoc_add_ts(a, "1.2"), ERR_LIMIT);
	assert_int_equal(assoc_add_role(a, "1.2", true, true), ERR_LIMIT);
	mem_free(a);
}

static void ae_titles_are_judged(void **state)
{
	(void)state;
	assert_true(assoc_ae_valid("A"));
	assert_true(assoc_ae_valid("SIXTEEN LETTERS!"));
	assert_false(assoc_ae_valid("SEVENTEEN LETTERS"));
	assert_false(assoc_ae_valid(""));
	assert_false(assoc_ae_valid("   "));
	assert_false(assoc_ae_valid("A\\B"));
	assert_false(assoc_ae_valid("A\tB"));
	assert_false(assoc_ae_valid("\xc3\x84"));
}

static void the_struct_keeps_its_promise_of_size(void **state)
{
	(void)state;
	assert_true(sizeof(struct assoc) < 600 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_dcmtk_requests),
	    cmocka_unit_test(reads_what_dcmtk_accepts),
	    cmocka_unit_test(an_acceptor_cannot_choose_what_was_not_proposed),
	    cmocka_unit_test(every_cut_of_a_request_is_refused_or_whole),
	    cmocka_unit_test(a_length_that_disagrees_is_refused),
	    cmocka_unit_test(odd_devices_are_understood),
	    cmocka_unit_test(missing_items_are_facts),
	    cmocka_unit_test(even_and_repeated_ids_are_left_out),
	    cmocka_unit_test(more_contexts_than_ids_cannot_be),
	    cmocka_unit_test(transfer_syntaxes_are_bounded_and_judged),
	    cmocka_unit_test(negotiation_is_read_and_kept),
	    cmocka_unit_test(lengths_inside_negotiation_are_checked),
	    cmocka_unit_test(opaque_items_are_bounded),
	    cmocka_unit_test(encodes_what_dcmtk_sends),
	    cmocka_unit_test(answers_what_dcmtk_answers),
	    cmocka_unit_test(every_context_is_answered_in_order),
	    cmocka_unit_test(what_is_built_comes_back_as_it_was),
	    cmocka_unit_test(improper_requests_are_not_encoded),
	    cmocka_unit_test(full_requests_say_so),
	    cmocka_unit_test(ae_titles_are_judged),
	    cmocka_unit_test(the_struct_keeps_its_promise_of_size),
	};

	return cmocka_run_group_tests_name("assoc", tests, NULL, NULL);
}
