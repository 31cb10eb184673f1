#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proxy/capability.h"
#include "proxy/lib/mem.h"
#include "proxy/negotiate.h"

#define FIND UID_PREFIX "5.1.4.1.2.2.1"
#define MOVE UID_PREFIX "5.1.4.1.2.2.2"
#define GET  UID_PREFIX "5.1.4.1.2.2.3"

static const char yaml[] =
    "listeners:\n"
    "  in: {address: '0.0.0.0:104', protocol: dicom, ae_titles: [A]}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 10.0.0.1}\n"
    "  probe: {ae_title: PROBE, address: 10.0.0.2, services: verification}\n"
    "  all: {ae_title: CT, address: 10.0.0.3, port: 104, services: [storage,\n"
    "        verification, worklist, query, mpps, commitment]}\n"
    "  viewer: {ae_title: VIEW, address: 10.0.0.4, services: query}\n"
    "destinations:\n"
    "  one: {protocol: dicom, endpoints: 'pacs:104', ae_title: ONE,\n"
    "        plaintext: {allowed: test}, accept: [explicit-le]}\n"
    "  two: {protocol: dicom, endpoints: 'pacs:105', ae_title: TWO,\n"
    "        plaintext: {allowed: test}, accept: [explicit-le, implicit-le]}\n"
    "  ris: {protocol: dicom, endpoints: 'ris:104', ae_title: RIS,\n"
    "        plaintext: {allowed: test}}\n"
    "routes:\n"
    "  - {service: storage, forward: [one, two]}\n"
    "  - {service: worklist, relay: ris}\n"
    "  - {service: query, relay: one}\n"
    "  - {service: commitment, device: all, hold: one}\n"
    "spool: {path: /s}\n"
    "records: {path: /r}\n"
    "control: {path: /c}\n";

struct fixture {
	struct config *config;
	struct capabilities *capabilities;
	struct assoc *rq, *ac;
	struct assoc *up[NEGOTIATE_LEGS]; /* what the legs answer */
	struct agreed_context agreed[ASSOC_MAX_CONTEXTS];
	struct negotiation n;
};

static struct fixture f;

static int setup(void **state)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));
	enum err e = config_load_from_memory(yaml, sizeof(yaml) - 1, "t.yaml",
					     &f.config, errors);

	(void)state;
	if (e != ERR_OK)
		config_errors_print(errors, stderr);
	mem_free(errors);
	assert_int_equal(e, ERR_OK);
	assert_int_equal(capability_new(NULL, &f.capabilities), ERR_OK);
	f.rq = mem_zalloc(sizeof(*f.rq));
	f.ac = mem_zalloc(sizeof(*f.ac));
	assoc_init(f.rq);
	memcpy(f.rq->calling_ae, "CT", 3);
	memcpy(f.rq->called_ae, "A", 2);
	f.n = (struct negotiation){
	    .config = f.config, .capabilities = f.capabilities, .rq = f.rq};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_free(f.rq);
	mem_free(f.ac);
	for (size_t i = 0; i < NEGOTIATE_LEGS; i++)
		mem_free(f.up[i]);
	memset(f.up, 0, sizeof(f.up));
	capability_free(f.capabilities);
	config_free(f.config);
	return 0;
}

static void propose(uint8_t id, const char *abstract, const char *first,
		    const char *second)
{
	assert_int_equal(assoc_add_context(f.rq, id, abstract), ERR_OK);
	assert_int_equal(assoc_add_ts(f.rq, first), ERR_OK);
	if (second != NULL)
		assert_int_equal(assoc_add_ts(f.rq, second), ERR_OK);
}

static size_t answer(void)
{
	assoc_init_answer(f.ac, f.rq);
	negotiate_begin(&f.n);
	for (size_t i = 0; i < f.n.n_legs; i++)
		negotiate_leg_answer(&f.n, i, f.up[i], f.ac);
	return negotiate_end(&f.n, f.ac, f.agreed);
}

static uint8_t result(uint8_t id)
{
	return assoc_context(f.ac, id)->result;
}

static void learn(const char *destination, const char *called, const char *ts,
		  bool accepted)
{
	struct capability_key key = {.destination = destination,
				     .calling_ae = "CT",
				     .called_ae = called,
				     .abstract = UID_CT_STORAGE,
				     .transfer_syntax = ts};

	capability_learn(f.capabilities, &key, accepted);
}

static void before_first_contact_the_configured_lists_meet(void **state)
{
	(void)state;
	propose(1, UID_CT_STORAGE, UID_IMPLICIT_LE, UID_EXPLICIT_LE);
	propose(3, UID_CT_STORAGE, UID_IMPLICIT_LE, NULL);
	assert_int_equal(answer(), 1);
	assert_int_equal(result(1), CONTEXT_ACCEPTED);
	assert_string_equal(f.agreed[0].transfer_syntax, UID_EXPLICIT_LE);
	assert_int_equal(result(3), CONTEXT_TRANSFER_SYNTAXES);
}

static void what_is_known_of_every_destination_decides(void **state)
{
	(void)state;
	learn("one", "ONE", UID_J2K_LOSSLESS, true);
	propose(1, UID_CT_STORAGE, UID_J2K_LOSSLESS, UID_EXPLICIT_LE);
	assert_int_equal(answer(), 1);
	assert_string_equal(f.agreed[0].transfer_syntax, UID_EXPLICIT_LE);
	learn("two", "TWO", UID_J2K_LOSSLESS, true);
	assert_int_equal(answer(), 1);
	assert_string_equal(f.agreed[0].transfer_syntax, UID_J2K_LOSSLESS);
	learn("two", "TWO", UID_J2K_LOSSLESS, false);
	learn("one", "ONE", UID_EXPLICIT_LE, false);
	assert_int_equal(answer(), 0);
	assert_int_equal(result(1), CONTEXT_TRANSFER_SYNTAXES);
}

static void unknown_pairs_are_wanted_of_the_prober(void **state)
{
	struct capability_pair due[8];

	(void)state;
	propose(1, UID_CT_STORAGE, UID_RLE, NULL);
	(void)answer();
	assert_int_equal(capability_due(f.capabilities, "one", "CT", "ONE", 1,
					due, ARRAY_LEN(due)),
			 1);
	assert_string_equal(due[0].transfer_syntax, UID_RLE);
}

static void services_decide_before_syntaxes(void **state)
{
	(void)state;
	f.n.device = 1;
	propose(1, UID_CT_STORAGE, UID_EXPLICIT_LE, NULL);
	propose(3, UID_VERIFICATION, UID_IMPLICIT_LE, NULL);
	propose(5, UID_WORKLIST, UID_IMPLICIT_LE, NULL);
	assert_int_equal(answer(), 1);
	assert_int_equal(result(1), CONTEXT_USER_REJECTED);
	assert_int_equal(result(3), CONTEXT_ACCEPTED);
	assert_int_equal(result(5), CONTEXT_USER_REJECTED);
}

/* ---- live -------------------------------------------------------------- */

enum { RIS = 0, PACS = 1 }; /* legs, in the order of the contexts */

static void a_leg_is_asked_what_is_live_on_it_only(void **state)
{
	struct assoc *rq = mem_zalloc(sizeof(*rq));

	(void)state;
	f.n.device = 2;
	f.rq->max_pdu = 20000;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, UID_EXPLICIT_LE);
	propose(3, UID_CT_STORAGE, UID_EXPLICIT_LE, NULL);
	propose(5, FIND, UID_IMPLICIT_LE, NULL);
	negotiate_begin(&f.n);
	assert_int_equal(f.n.n_legs, 2);
	assert_string_equal(f.config->destinations[f.n.destinations[RIS]].name,
			    "ris");
	assert_int_equal(negotiate_leg_rq(&f.n, RIS, rq), ERR_OK);
	assert_int_equal(rq->n_contexts, 1);
	assert_int_equal(rq->contexts[0].id, 1);
	assert_int_equal(rq->contexts[0].n_ts, 2);
	assert_int_equal(rq->max_pdu, 20000);
	assert_string_equal(rq->called_ae, "RIS");
	assert_string_equal(rq->calling_ae, "CT");
	assert_int_equal(negotiate_leg_rq(&f.n, PACS, rq), ERR_OK);
	assert_int_equal(rq->n_contexts, 1);
	assert_int_equal(rq->contexts[0].id, 5);
	mem_free(rq);
}

static void up_answers(size_t leg, uint8_t id, uint8_t result_, const char *ts)
{
	if (f.up[leg] == NULL) {
		f.up[leg] = mem_zalloc(sizeof(*f.up[leg]));
		assoc_init(f.up[leg]);
	}
	assert_int_equal(assoc_add_context(f.up[leg], id, "1.2"), ERR_OK);
	f.up[leg]->contexts[f.up[leg]->n_contexts - 1].result = result_;
	assert_int_equal(assoc_add_ts(f.up[leg], ts), ERR_OK);
}

static void the_device_gets_the_destinations_own_answer(void **state)
{
	(void)state;
	f.n.device = 2;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, UID_EXPLICIT_LE);
	propose(3, FIND, UID_IMPLICIT_LE, NULL);
	propose(5, MOVE, UID_IMPLICIT_LE, NULL);
	up_answers(RIS, 1, CONTEXT_ACCEPTED, UID_EXPLICIT_LE);
	up_answers(PACS, 3, CONTEXT_USER_REJECTED, UID_IMPLICIT_LE);
	f.up[RIS]->max_pdu = 9000;
	assert_int_equal(answer(), 1);
	assert_int_equal(result(1), CONTEXT_ACCEPTED);
	assert_int_equal(f.agreed[0].way, WAY_RELAY);
	assert_int_equal(f.agreed[0].leg, RIS);
	assert_string_equal(f.agreed[0].transfer_syntax, UID_EXPLICIT_LE);
	assert_int_equal(result(3), CONTEXT_USER_REJECTED);
	assert_int_equal(result(5), CONTEXT_NO_REASON);
	assert_int_equal(f.ac->max_pdu, 9000);
}

static void a_leg_that_is_down_takes_its_contexts_only(void **state)
{
	(void)state;
	f.n.device = 2;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, NULL);
	propose(3, UID_CT_STORAGE, UID_EXPLICIT_LE, NULL);
	assert_int_equal(answer(), 1);
	assert_int_equal(result(1), CONTEXT_NO_REASON);
	assert_int_equal(result(3), CONTEXT_ACCEPTED);
	assert_int_equal(f.agreed[0].way, WAY_STORE);
	assert_int_equal(f.agreed[0].leg, -1);
}

static void a_syntax_that_was_not_proposed_is_no_answer(void **state)
{
	(void)state;
	f.n.device = 2;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, NULL);
	up_answers(0, 1, CONTEXT_ACCEPTED, UID_J2K);
	assert_int_equal(answer(), 0);
	assert_int_equal(result(1), CONTEXT_TRANSFER_SYNTAXES);
}

static void what_is_retrieved_comes_live_what_is_stored_is_spooled(void **state)
{
	const struct assoc_role *r;
	struct assoc *rq = mem_zalloc(sizeof(*rq));

	(void)state;
	f.n.device = 2;
	propose(1, GET, UID_IMPLICIT_LE, NULL);
	propose(3, UID_CT_STORAGE, UID_J2K, UID_EXPLICIT_LE);
	assert_int_equal(assoc_add_role(f.rq, UID_CT_STORAGE, true, true),
			 ERR_OK);
	negotiate_begin(&f.n);
	assert_int_equal(f.n.n_legs, 1);
	assert_int_equal(negotiate_leg_rq(&f.n, 0, rq), ERR_OK);
	/* the syntax that the storage route refuses is not asked for */
	assert_int_equal(rq->n_contexts, 2);
	assert_int_equal(rq->contexts[1].n_ts, 1);
	r = assoc_role(rq, UID_CT_STORAGE);
	assert_true(r != NULL && !r->scu && r->scp);
	up_answers(0, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE);
	up_answers(0, 3, CONTEXT_ACCEPTED, UID_EXPLICIT_LE);
	assert_int_equal(assoc_add_role(f.up[0], UID_CT_STORAGE, false, true),
			 ERR_OK);
	assert_int_equal(answer(), 2);
	assert_int_equal(f.agreed[1].way, WAY_STORE);
	assert_int_equal(f.agreed[1].leg, 0);
	r = assoc_role(f.ac, UID_CT_STORAGE);
	assert_true(r != NULL && r->scu && r->scp);
	assert_true(negotiate_leg_fits(f.agreed, 2, 0, f.up[0], 16384));
	assert_false(negotiate_leg_fits(f.agreed, 2, 0, f.up[0], 20000));
	mem_free(rq);
}

static void without_the_role_upstream_storage_stays_here(void **state)
{
	const struct assoc_role *r;

	(void)state;
	f.n.device = 2;
	propose(3, UID_CT_STORAGE, UID_EXPLICIT_LE, NULL);
	assert_int_equal(assoc_add_role(f.rq, UID_CT_STORAGE, true, true),
			 ERR_OK);
	up_answers(0, 3, CONTEXT_ACCEPTED, UID_EXPLICIT_LE);
	assert_int_equal(answer(), 1);
	assert_int_equal(f.agreed[0].leg, -1);
	r = assoc_role(f.ac, UID_CT_STORAGE);
	assert_true(r != NULL && r->scu && !r->scp);
}

static void
commitment_is_held_for_a_device_and_reported_by_an_archive(void **state)
{
	(void)state;
	f.n.device = 2;
	propose(1, UID_COMMITMENT, UID_J2K, UID_EXPLICIT_LE);
	assert_int_equal(answer(), 1);
	assert_int_equal(f.agreed[0].way, WAY_MESSAGE);
	assert_string_equal(f.agreed[0].transfer_syntax, UID_EXPLICIT_LE);
	assert_int_equal(assoc_add_role(f.rq, UID_COMMITMENT, false, true),
			 ERR_OK);
	assert_int_equal(answer(), 1);
	assert_int_equal(f.agreed[0].way, WAY_REPORT);
	assert_true(assoc_role(f.ac, UID_COMMITMENT)->scp);
}

static void the_smallest_window_counts_and_only_when_all_is_live(void **state)
{
	(void)state;
	f.n.device = 2;
	f.rq->has_async = true;
	f.rq->async_invoked = 0;
	f.rq->async_performed = 5;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, NULL);
	up_answers(0, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE);
	f.up[0]->async_invoked = 4;
	f.up[0]->async_performed = 0;
	assert_int_equal(answer(), 1);
	assert_true(f.ac->has_async);
	assert_int_equal(f.ac->async_invoked, 4);
	assert_int_equal(f.ac->async_performed, 5);
	propose(3, UID_VERIFICATION, UID_IMPLICIT_LE, NULL);
	f.ac->has_async = false;
	assert_int_equal(answer(), 2);
	assert_false(f.ac->has_async);
}

static void who_may_only_query_retrieves_and_does_not_store(void **state)
{
	const struct assoc_role *r;
	struct assoc *rq = mem_zalloc(sizeof(*rq));

	(void)state;
	f.n.device = 3;
	propose(1, GET, UID_IMPLICIT_LE, NULL);
	propose(3, UID_CT_STORAGE, UID_EXPLICIT_LE, NULL);
	assert_int_equal(assoc_add_role(f.rq, UID_CT_STORAGE, true, true),
			 ERR_OK);
	negotiate_begin(&f.n);
	assert_int_equal(negotiate_leg_rq(&f.n, 0, rq), ERR_OK);
	r = assoc_role(rq, UID_CT_STORAGE);
	assert_true(r != NULL && !r->scu && r->scp);
	up_answers(0, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE);
	up_answers(0, 3, CONTEXT_ACCEPTED, UID_EXPLICIT_LE);
	assert_int_equal(assoc_add_role(f.up[0], UID_CT_STORAGE, false, true),
			 ERR_OK);
	assert_int_equal(answer(), 2);
	assert_int_equal(f.agreed[1].way, WAY_RELAY);
	assert_true(f.agreed[1].scp);
	assert_false(f.agreed[0].scp);
	r = assoc_role(f.ac, UID_CT_STORAGE);
	assert_true(r != NULL && !r->scu && r->scp);
	mem_free(rq);
}

static void add_item(struct assoc *a, uint8_t type, const char *class)
{
	struct assoc_item *it = &a->items[a->n_items++];
	uint8_t *p = a->item_bytes + a->n_item_bytes;
	size_t n = strlen(class);

	*it = (struct assoc_item){
	    .type = type, .len = (uint16_t)(n + 3), .off = a->n_item_bytes};
	p[0] = 0;
	p[1] = (uint8_t)n;
	memcpy(p + 2, class, n);
	p[2 + n] = 1;
	a->n_item_bytes += it->len;
}

static void extended_negotiation_goes_where_its_class_goes(void **state)
{
	struct assoc *rq = mem_zalloc(sizeof(*rq));

	(void)state;
	f.n.device = 2;
	propose(1, UID_WORKLIST, UID_IMPLICIT_LE, NULL);
	propose(3, FIND, UID_IMPLICIT_LE, NULL);
	add_item(f.rq, 0x56, FIND);
	add_item(f.rq, 0x56, UID_WORKLIST);
	add_item(f.rq, 0x58, "user");
	negotiate_begin(&f.n);
	assert_int_equal(negotiate_leg_rq(&f.n, PACS, rq), ERR_OK);
	assert_int_equal(rq->n_items, 2);
	assert_int_equal(rq->items[0].type, 0x56);
	assert_int_equal(rq->items[1].type, 0x58);
	assert_memory_equal(rq->item_bytes + 2, FIND, strlen(FIND));
	/* and one answer comes to one user */
	up_answers(RIS, 1, CONTEXT_ACCEPTED, UID_IMPLICIT_LE);
	up_answers(PACS, 3, CONTEXT_ACCEPTED, UID_IMPLICIT_LE);
	add_item(f.up[RIS], 0x59, "one");
	add_item(f.up[PACS], 0x59, "two");
	assert_int_equal(answer(), 2);
	assert_int_equal(f.ac->n_items, 1);
	mem_free(rq);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(before_first_contact_the_configured_lists_meet),
	    T(what_is_known_of_every_destination_decides),
	    T(unknown_pairs_are_wanted_of_the_prober),
	    T(services_decide_before_syntaxes),
	    T(a_leg_is_asked_what_is_live_on_it_only),
	    T(the_device_gets_the_destinations_own_answer),
	    T(a_leg_that_is_down_takes_its_contexts_only),
	    T(a_syntax_that_was_not_proposed_is_no_answer),
	    T(what_is_retrieved_comes_live_what_is_stored_is_spooled),
	    T(without_the_role_upstream_storage_stays_here),
	    T(commitment_is_held_for_a_device_and_reported_by_an_archive),
	    T(the_smallest_window_counts_and_only_when_all_is_live),
	    T(who_may_only_query_retrieves_and_does_not_store),
	    T(extended_negotiation_goes_where_its_class_goes),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
