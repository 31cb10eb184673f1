#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/assoc_kit.h"

static void reads_what_dcmtk_requests(void **state)
{
	struct assoc *a = assoc_fresh();
	const struct assoc_context *c;

	(void)state;
	assert_int_equal(assoc_of(dcmtk_rq, sizeof(dcmtk_rq), a), ERR_OK);
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
	struct assoc *rq = assoc_fresh(), *ac = assoc_fresh();

	(void)state;
	assert_int_equal(assoc_of(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
	assert_int_equal(assoc_of(dcmtk_ac, sizeof(dcmtk_ac), ac), ERR_OK);
	assert_string_equal(assoc_accepted(rq, ac, 1), UID_IMPLICIT_LE);
	assert_null(assoc_accepted(rq, ac, 3));
	ac->contexts[0].result = CONTEXT_NO_REASON;
	assert_null(assoc_accepted(rq, ac, 1));
	mem_free(rq);
	mem_free(ac);
}

static void an_acceptor_cannot_choose_what_was_not_proposed(void **state)
{
	struct assoc *rq = assoc_fresh(), *ac = assoc_fresh();

	(void)state;
	assert_int_equal(assoc_of(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
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
	struct assoc *a = assoc_fresh();
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
		assert_int_equal(assoc_of(copy, n, a),
				 want ? ERR_OK : ERR_PROTO);
		mem_free(copy);
	}
	mem_free(a);
}

static void a_length_that_disagrees_is_refused(void **state)
{
	/* Bytes that hold the low half of a length field in dcmtk_rq. */
	static const size_t at[] = {77, 102, 110, 131, 152, 156, 164, 195};
	struct assoc *a = assoc_fresh();
	uint8_t copy[sizeof(dcmtk_rq)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		memcpy(copy, dcmtk_rq, sizeof(copy));
		copy[at[i]] = (uint8_t)(copy[at[i]] + 200);
		print_message("length at %zu\n", at[i]);
		assert_int_equal(assoc_of(copy, sizeof(copy), a), ERR_PROTO);
	}
	mem_free(a);
}

static void odd_devices_are_understood(void **state)
{
	static struct draft d;
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	memcpy(d.bytes + 6, "\x00\x03\xff\xff", 4);
	memcpy(d.bytes + 10, "ARCHIVE\0\0\0\0\0\0\0\0\0", 16);
	memcpy(d.bytes + 26, "  CT2\0garbage    ", 16);
	draft_item(&d, 0x77, "what", 4);
	draft_item(&d, 0x10, "1.2.3\0", 6);
	draft_context(&d, 1, UID_CT_STORAGE " ", UID_EXPLICIT_LE);
	draft_open(&d, 0x50);
	draft_item(&d, 0x51, NULL, 0);
	draft_item(&d, 0x66, "x", 1);
	draft_close(&d);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
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
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	memset(d.bytes + 10, ' ', 32);
	draft_open(&d, 0x20);
	wr_bytes(&d.w, "\x05\0\0\0", 4);
	draft_close(&d);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
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
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	draft_context(&d, 1, UID_CT_STORAGE, UID_EXPLICIT_LE);
	draft_context(&d, 2, UID_CT_STORAGE, UID_EXPLICIT_LE);
	draft_context(&d, 0, UID_CT_STORAGE, UID_EXPLICIT_LE);
	draft_context(&d, 1, UID_MR_STORAGE, UID_EXPLICIT_LE);
	draft_context(&d, 255, UID_MR_STORAGE, UID_EXPLICIT_LE);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
	assert_int_equal(a->n_contexts, 2);
	assert_int_equal(a->dropped_contexts, 3);
	assert_string_equal(assoc_context(a, 1)->abstract, UID_CT_STORAGE);
	assert_string_equal(assoc_context(a, 255)->abstract, UID_MR_STORAGE);
	mem_free(a);
}

static void more_contexts_than_ids_cannot_be(void **state)
{
	static struct draft d;
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	for (int i = 0; i < 600; i++)
		draft_context(&d, (uint8_t)i, UID_CT_STORAGE, UID_EXPLICIT_LE);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
	assert_int_equal(a->n_contexts, ASSOC_MAX_CONTEXTS);
	assert_int_equal(a->dropped_contexts, 600 - ASSOC_MAX_CONTEXTS);
	mem_free(a);
}

static void transfer_syntaxes_are_bounded_and_judged(void **state)
{
	static struct draft d;
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	draft_open(&d, 0x20);
	wr_bytes(&d.w, "\x07\0\0\0", 4);
	draft_text(&d, 0x30, UID_CT_STORAGE);
	draft_text(&d, 0x40, "not a uid");
	draft_text(&d, 0x40, "");
	for (int i = 0; i < 70; i++)
		draft_text(&d, 0x40, i % 2 ? UID_RLE : UID_J2K);
	draft_close(&d);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
	assert_int_equal(a->contexts[0].n_ts, ASSOC_MAX_CONTEXT_TS);
	assert_int_equal(a->dropped_ts, 2 + 70 - ASSOC_MAX_CONTEXT_TS);
	assert_true(assoc_has_ts(a, &a->contexts[0], UID_RLE));
	assert_false(assoc_has_ts(a, &a->contexts[0], UID_IMPLICIT_LE));
	mem_free(a);
}

static void negotiation_is_read_and_kept(void **state)
{
	static struct draft d;
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	draft_text(&d, 0x10, UID_APPLICATION_CONTEXT);
	draft_context(&d, 1, UID_CT_STORAGE, UID_EXPLICIT_LE);
	draft_negotiation(&d);
	assert_int_equal(draft_decode(&d, a), ERR_OK);
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
	struct assoc *a = assoc_fresh();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		draft_begin(&d, PDU_ASSOCIATE_RQ);
		draft_open(&d, 0x50);
		draft_item(&d, rows[i].type, rows[i].bytes, rows[i].n);
		draft_close(&d);
		print_message("case: %zu\n", i);
		assert_int_equal(draft_decode(&d, a), ERR_PROTO);
	}
	mem_free(a);
}

static void opaque_items_are_bounded(void **state)
{
	static struct draft d;
	static uint8_t big[30000];
	struct assoc *a = assoc_fresh();

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	for (int i = 0; i < 3; i++) {
		draft_open(&d, 0x50);
		draft_item(&d, 0x56, big, sizeof(big));
		draft_item(&d, 0x56, "\0\0", 2);
		draft_close(&d);
	}
	assert_int_equal(draft_decode(&d, a), ERR_OK);
	assert_int_equal(a->n_items, 5);
	assert_int_equal(a->dropped_items, 1);
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
	    cmocka_unit_test(ae_titles_are_judged),
	    cmocka_unit_test(the_struct_keeps_its_promise_of_size),
	};

	return cmocka_run_group_tests_name("assoc", tests, NULL, NULL);
}
