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

static const char yaml[] =
    "listeners:\n"
    "  in: {address: '0.0.0.0:104', protocol: dicom, ae_titles: [A]}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 10.0.0.1}\n"
    "  probe: {ae_title: PROBE, address: 10.0.0.2, services: verification}\n"
    "destinations:\n"
    "  one: {protocol: dicom, endpoints: 'pacs:104', ae_title: ONE,\n"
    "        plaintext: {allowed: test}, accept: [explicit-le]}\n"
    "  two: {protocol: dicom, endpoints: 'pacs:105', ae_title: TWO,\n"
    "        plaintext: {allowed: test}, accept: [explicit-le, implicit-le]}\n"
    "routes:\n"
    "  - {service: storage, forward: [one, two]}\n"
    "spool: {path: /s}\n"
    "records: {path: /r}\n"
    "control: {path: /c}\n";

struct fixture {
	struct config *config;
	struct capabilities *capabilities;
	struct assoc *rq, *ac;
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
	return negotiate(&f.n, f.ac, f.agreed);
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
	assert_int_equal(result(5), CONTEXT_ABSTRACT_SYNTAX);
}

static void private_classes_are_storage_other_services_are_not(void **state)
{
	static const struct {
		const char *uid;
		unsigned want;
	} cases[] = {
	    {UID_VERIFICATION, CONFIG_VERIFICATION},
	    {UID_CT_STORAGE, CONFIG_STORAGE},
	    {"1.2.840.113619.4.26", CONFIG_STORAGE},
	    {"1.3.46.670589.11.0.0.12.1", CONFIG_STORAGE},
	    {UID_PREFIX "1.3.10", CONFIG_STORAGE},
	    {UID_WORKLIST, 0},
	    {UID_MPPS, 0},
	    {UID_COMMITMENT, 0},
	    {UID_PREFIX "5.1.4.1.2.2.1", 0},
	    {UID_PREFIX "5.1.1.9", 0},
	    {UID_PREFIX "5.1.4.34.7", CONFIG_STORAGE},
	    {"", 0},
	    {"not a uid", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].uid);
		assert_int_equal(negotiate_service(cases[i].uid),
				 cases[i].want);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(before_first_contact_the_configured_lists_meet),
	    T(what_is_known_of_every_destination_decides),
	    T(unknown_pairs_are_wanted_of_the_prober),
	    T(services_decide_before_syntaxes),
	    T(private_classes_are_storage_other_services_are_not),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
