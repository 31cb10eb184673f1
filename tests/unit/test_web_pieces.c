/* Words, errors, verdict and the lines that admit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/lib/mem.h"
#include "web-status/admit.h"
#include "web-status/verdict.h"

static unsigned places_in(const char *s)
{
	unsigned bits = 0;

	for (; *s != '\0'; s++)
		if (s[0] == '{' && s[1] >= '1' && s[1] <= '4' && s[2] == '}')
			bits |= 1u << (s[1] - '0');
	return bits;
}

static void both_languages_have_the_same_places(void **state)
{
	(void)state;
	for (int i = 0; i < WORD_N; i++) {
		const char *en = word_text((enum word)i, WEB_EN);
		const char *zh = word_text((enum word)i, WEB_ZH);

		assert_true(en[0] != '\0' && zh[0] != '\0');
		if (places_in(en) != places_in(zh))
			fail_msg("%s / %s", en, zh);
	}
}

static void words_take_texts_in_their_own_order(void **state)
{
	struct page p = {.language = WEB_EN};
	const char *const texts[] = {"20 Mbit/s", "19:00", NULL};
	char out[64];

	(void)state;
	word_with(&p, W_LIMIT_NEXT, texts, out, sizeof(out));
	assert_string_equal(out, "20 Mbit/s from 19:00");
	p.language = WEB_ZH;
	word_with(&p, W_LIMIT_NEXT, texts, out, sizeof(out));
	assert_string_equal(out, "19:00 起 20 Mbit/s");
	word_with(&p, W_LIMIT_NEXT, texts, out, 9);
	assert_true(strlen(out) < 9);
}

static void sizes_are_short(void **state)
{
	char out[SHOW_LEN];

	(void)state;
	assert_string_equal(count_text(0, out), "0");
	assert_string_equal(count_text(1234567, out), "1,234,567");
	assert_string_equal(bytes_text(999, out), "999 B");
	assert_string_equal(bytes_text(1536000, out), "1.5 MB");
	assert_string_equal(rate_text(200000000, out), "200 Mbit/s");
	assert_string_equal(bytes_text(UINT64_MAX, out), "18447 PB");
}

static void an_error_is_taken_apart_in_both_languages(void **state)
{
	struct page p = {.language = WEB_EN};
	struct error_parts e;
	const char *text =
	    "no connection to the destination (10.0.0.1:104: refused): check "
	    "that the archive runs, its port, and firewalls between; culvert "
	    "echo DESTINATION tries it [CV3002]";

	(void)state;
	error_split(&p, text, &e);
	assert_string_equal(e.code, "CV3002");
	assert_non_null(strstr(e.cause, "10.0.0.1:104"));
	assert_null(strstr(e.cause, "firewalls"));
	assert_non_null(strstr(e.remedy, "firewalls"));
	p.language = WEB_ZH;
	error_split(&p, text, &e);
	assert_non_null(strstr(e.cause, "10.0.0.1:104"));
	assert_null(strstr(e.cause, "no connection"));
	error_split(&p, "it broke; mend it", &e);
	assert_string_equal(e.cause, "it broke");
	assert_string_equal(e.remedy, "mend it");
	assert_string_equal(e.code, "");
}

/* ---- the verdict --------------------------------------------------------- */

static void verdict_on(const char *status, struct verdict *v)
{
	static const struct config cfg;
	json_t *j = status != NULL ? json_loads(status, 0, NULL) : NULL;

	assert_true(status == NULL || j != NULL);
	verdict_of(&cfg, j, v);
	json_decref(j);
}

#define HEALTHY                                                                \
	"\"spool\":{\"failed\":false,\"full\":false,\"alert\":\"\"},"          \
	"\"ledger\":{\"writable\":true,\"accepting\":true,"                    \
	"\"rebuilding\":false,\"alert\":\"\"}"

static void all_is_well_when_nothing_is_wrong(void **state)
{
	struct verdict *v = mem_zalloc(sizeof(*v));

	(void)state;
	assert_non_null(v);
	verdict_on("{" HEALTHY ",\"destinations\":[{\"name\":\"a\",\"state\":"
		   "\"idle\",\"queued\":7}]}",
		   v);
	assert_int_equal(v->level, LEVEL_OK);
	assert_int_equal(v->n, 0);
	assert_int_equal(v->waiting, 7);
	mem_free(v);
}

static void the_gravest_comes_first(void **state)
{
	struct verdict *v = mem_zalloc(sizeof(*v));

	(void)state;
	assert_non_null(v);
	verdict_on("{" HEALTHY
		   ",\"destinations\":[{\"name\":\"a\",\"state\":\"held by "
		   "operator\"},{\"name\":\"b\",\"state\":\"backing off\","
		   "\"queued\":3,\"error\":\"why\"}]}",
		   v);
	assert_int_equal(v->n, 2);
	assert_int_equal(v->at[0].level, LEVEL_BAD);
	assert_string_equal(v->at[0].subject, "b");
	assert_string_equal(v->at[0].detail, "why");
	assert_string_equal(v->at[1].subject, "a");
	mem_free(v);
}

static void silence_and_nonsense_are_not_well(void **state)
{
	struct verdict *v = mem_zalloc(sizeof(*v));

	(void)state;
	assert_non_null(v);
	verdict_on(NULL, v);
	assert_int_equal(v->level, LEVEL_BAD);
	assert_int_equal(v->at[0].head, W_T_DAEMON);
	verdict_on("{\"spool\":[],\"ledger\":7,\"destinations\":{\"a\":1}}", v);
	assert_int_equal(v->n, 0);
	verdict_on("{\"spool\":{\"full\":true,\"alert\":\"94 %\"},"
		   "\"ledger\":{\"writable\":false,\"alert\":\"disk\"}}",
		   v);
	assert_int_equal(v->n, 2);
	assert_string_equal(v->at[0].detail, "94 %");
	mem_free(v);
}

/* ---- what would admit
 * -------------------------------------------------------- */

static const char text[] = "listeners:\n"
			   "  modalities: {address: 0.0.0.0:11104, protocol: "
			   "dicom, ae_titles: [ARCHIVE]}\n"
			   "devices:\n"
			   "  ct: {ae_title: CT2, address: 10.1.4.0/24}\n"
			   "destinations:\n"
			   "  out: {protocol: directory, path: out}\n"
			   "routes:\n"
			   "  - {service: storage, forward: [out]}\n"
			   "spool: {path: spool, quota: 1GiB}\n"
			   "records: {path: records}\n";

static struct config *config_of_text(void)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));
	struct config *cfg = NULL;

	assert_non_null(errors);
	assert_int_equal(config_load_from_memory(text, sizeof(text) - 1,
						 "/tmp/t.yaml", &cfg, errors),
			 ERR_OK);
	mem_free(errors);
	return cfg;
}

static void the_lines_that_admit_name_what_is_there(void **state)
{
	struct config *cfg = config_of_text();
	struct ledger_refusal r = {.listener = "modalities",
				   .peer = "10.1.4.9",
				   .calling_ae = "CT9",
				   .called_ae = "PACS",
				   .reason = "calling-ae-unknown"};
	char out[ADMIT_LEN];

	(void)state;
	assert_true(admit_yaml(cfg, &r, out));
	assert_string_equal(out, "devices:\n  ct:\n    ae_title: [CT2, CT9]\n");
	memcpy(r.reason, "called-ae-unknown", sizeof("called-ae-unknown"));
	assert_true(admit_yaml(cfg, &r, out));
	assert_string_equal(
	    out, "listeners:\n  modalities:\n    ae_titles: [ARCHIVE, PACS]\n");
	memcpy(r.reason, "address-unknown", sizeof("address-unknown"));
	memcpy(r.calling_ae, "a: \"b\\", 7);
	assert_true(admit_yaml(cfg, &r, out));
	assert_non_null(strstr(out, "ae_title: \"a: \\\"b\\\\\"\n"));
	memcpy(r.reason, "tls-handshake", sizeof("tls-handshake"));
	assert_false(admit_yaml(cfg, &r, out));
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_languages_have_the_same_places),
	    cmocka_unit_test(words_take_texts_in_their_own_order),
	    cmocka_unit_test(sizes_are_short),
	    cmocka_unit_test(an_error_is_taken_apart_in_both_languages),
	    cmocka_unit_test(all_is_well_when_nothing_is_wrong),
	    cmocka_unit_test(the_gravest_comes_first),
	    cmocka_unit_test(silence_and_nonsense_are_not_well),
	    cmocka_unit_test(the_lines_that_admit_name_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
