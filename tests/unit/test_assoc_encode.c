#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/assoc_kit.h"

static void encodes_what_dcmtk_sends(void **state)
{
	struct assoc *a = assoc_fresh();
	uint8_t out[512], want[sizeof(dcmtk_rq)];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	memcpy(want, dcmtk_rq, sizeof(want));
	want[105] = 0; /* reserved: we send zero */
	assert_int_equal(dcmtk_rq[105], 0xFF);
	assert_int_equal(assoc_of(dcmtk_rq, sizeof(dcmtk_rq), a), ERR_OK);
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
	struct assoc *rq = assoc_fresh(), *ac = assoc_fresh();
	uint8_t out[512];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	assert_int_equal(assoc_of(dcmtk_rq, sizeof(dcmtk_rq), rq), ERR_OK);
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
	struct assoc *rq = assoc_fresh(), *ac = assoc_fresh(),
		     *got = assoc_fresh();
	static uint8_t out[16384];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	memset(d.bytes + 42, 0xA5, 32);
	for (int i = 0; i < 128; i++)
		draft_context(&d, (uint8_t)(255 - 2 * i), UID_CT_STORAGE,
			      UID_EXPLICIT_LE);
	assert_int_equal(draft_decode(&d, rq), ERR_OK);
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
	assert_int_equal(assoc_of(out, w.len, got), ERR_OK);
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
	struct assoc *a = assoc_fresh(), *b = assoc_fresh(),
		     *from = assoc_fresh();
	static struct draft d;
	static uint8_t out[4096], again[4096];
	struct wr w = wr_init(out, sizeof(out)),
		  w2 = wr_init(again, sizeof(again));

	(void)state;
	draft_begin(&d, PDU_ASSOCIATE_RQ);
	draft_negotiation(&d);
	assert_int_equal(draft_decode(&d, from), ERR_OK);
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
	assert_int_equal(assoc_of(out, w.len, b), ERR_OK);
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
	struct assoc *a = assoc_fresh();
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
	struct assoc *a = assoc_fresh();

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(encodes_what_dcmtk_sends),
	    cmocka_unit_test(answers_what_dcmtk_answers),
	    cmocka_unit_test(every_context_is_answered_in_order),
	    cmocka_unit_test(what_is_built_comes_back_as_it_was),
	    cmocka_unit_test(improper_requests_are_not_encoded),
	    cmocka_unit_test(full_requests_say_so),
	};

	return cmocka_run_group_tests_name("assoc_encode", tests, NULL, NULL);
}
