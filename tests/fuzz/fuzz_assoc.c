/* A-ASSOCIATE: what was decoded and is encoded again decodes to the same. The
 * first byte chooses RQ or AC; the rest is the body. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/assoc.h"
#include "proxy/lib/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			__builtin_trap();                                      \
	} while (0)

static struct assoc *first, *second;
static uint8_t pdu[1 << 20];

static void check_bounds(const struct assoc *a)
{
	CHECK(a->n_contexts <= ASSOC_MAX_CONTEXTS && a->n_ts <= ASSOC_MAX_TS);
	CHECK(a->n_roles <= ASSOC_MAX_ROLES && a->n_items <= ASSOC_MAX_ITEMS);
	CHECK(a->n_item_bytes <= ASSOC_MAX_ITEM_BYTES);
	CHECK(memchr(a->called_ae, '\0', AE_SIZE) != NULL);
	CHECK(memchr(a->calling_ae, '\0', AE_SIZE) != NULL);
	CHECK(memchr(a->impl_version, '\0', AE_SIZE) != NULL);
	for (size_t i = 0; i < a->n_contexts; i++) {
		const struct assoc_context *c = &a->contexts[i];

		CHECK(c->id % 2 == 1 && assoc_context(a, c->id) == c);
		CHECK(c->n_ts <= ASSOC_MAX_CONTEXT_TS);
		for (size_t t = 0; t < c->n_ts; t++)
			CHECK(uid_valid(assoc_ts(a, c, t)));
	}
}

static void check_same(const struct assoc *a, const struct assoc *b)
{
	CHECK(strcmp(a->called_ae, b->called_ae) == 0);
	CHECK(strcmp(a->calling_ae, b->calling_ae) == 0);
	CHECK(strcmp(a->app_context, b->app_context) == 0);
	CHECK(strcmp(a->impl_class, b->impl_class) == 0);
	CHECK(strcmp(a->impl_version, b->impl_version) == 0);
	CHECK(a->max_pdu == b->max_pdu && a->has_async == b->has_async);
	CHECK(a->async_invoked == b->async_invoked);
	CHECK(a->async_performed == b->async_performed);
	CHECK(a->n_contexts == b->n_contexts && a->n_ts == b->n_ts);
	CHECK(a->n_roles == b->n_roles && a->n_items == b->n_items);
	CHECK(a->n_item_bytes == b->n_item_bytes);
	for (size_t i = 0; i < a->n_contexts; i++) {
		const struct assoc_context *c = &a->contexts[i];
		const struct assoc_context *d = &b->contexts[i];

		CHECK(c->id == d->id && c->result == d->result);
		CHECK(c->n_ts == d->n_ts);
		CHECK(strcmp(c->abstract, d->abstract) == 0);
		for (size_t t = 0; t < c->n_ts; t++)
			CHECK(strcmp(assoc_ts(a, c, t), assoc_ts(b, d, t)) ==
			      0);
	}
	for (size_t i = 0; i < a->n_roles; i++)
		CHECK(strcmp(a->roles[i].sop_class, b->roles[i].sop_class) ==
			  0 &&
		      a->roles[i].scu == b->roles[i].scu &&
		      a->roles[i].scp == b->roles[i].scp);
}

static void answer(const struct assoc *rq)
{
	struct wr w = wr_init(pdu, sizeof(pdu));

	assoc_init_answer(second, rq);
	for (size_t i = 0; i < rq->n_contexts; i++) {
		const struct assoc_context *c = &rq->contexts[i];

		if (c->n_ts > 0)
			CHECK(assoc_answer(second, c->id, CONTEXT_ACCEPTED,
					   assoc_ts(rq, c, 0)) == ERR_OK);
	}
	CHECK(assoc_encode_ac(second, &w) == ERR_OK);
	CHECK(assoc_decode(pdu + PDU_HEADER_LEN, w.len - PDU_HEADER_LEN,
			   PDU_ASSOCIATE_AC, second) == ERR_OK);
	for (size_t i = 0; i < rq->n_contexts; i++) {
		const struct assoc_context *c = &rq->contexts[i];

		CHECK((assoc_accepted(rq, second, c->id) != NULL) ==
		      (c->n_ts > 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wr w = wr_init(pdu, sizeof(pdu));
	enum pdu_type type;
	enum err e;

	if (first == NULL) {
		first = mem_zalloc(sizeof(*first));
		second = mem_zalloc(sizeof(*second));
	}
	if (len == 0 || first == NULL || second == NULL)
		return 0;
	type = data[0] % 2 == 0 ? PDU_ASSOCIATE_RQ : PDU_ASSOCIATE_AC;
	e = assoc_decode(data + 1, len - 1, type, first);
	check_bounds(first);
	if (e != ERR_OK)
		return 0;
	e = type == PDU_ASSOCIATE_RQ ? assoc_encode_rq(first, &w)
				     : assoc_encode_ac(first, &w);
	if (e == ERR_OK) {
		CHECK(assoc_decode(pdu + PDU_HEADER_LEN, w.len - PDU_HEADER_LEN,
				   type, second) == ERR_OK);
		check_same(first, second);
	}
	if (type == PDU_ASSOCIATE_RQ)
		answer(first);
	return 0;
}
