/* The catalogue: every row complete, found by code, name and event. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/condition_events.h"

static const struct condition *at(unsigned i)
{
	return condition_get((enum condition_id)i);
}

static void codes_and_names_are_unique_and_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONDITION_N; i++) {
		assert_int_equal(at(i)->id, i);
		assert_int_equal(strlen(at(i)->code), 6);
		if (i > 0 && at(i)->number <= at(i - 1)->number)
			fail_msg("%s comes after %s", at(i)->code,
				 at(i - 1)->code);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(at(i)->name, at(j)->name) == 0)
				fail_msg("%s twice", at(i)->name);
	}
}

static bool has_chinese(const char *text)
{
	for (; *text != '\0'; text++)
		if ((uint8_t)*text >= 0xe4 && (uint8_t)*text <= 0xe9)
			return true;
	return false;
}

static void check_text(const struct condition *c, const char *text)
{
	static const char *const unfinished[] = {"TO"
						 "DO",
						 "FIX"
						 "ME",
						 "???", "%", "  "};
	size_t n = strlen(text);

	if (n < 4 || text[n - 1] == '.' || text[n - 1] == ' ' ||
	    (n > 3 && strcmp(text + n - 3, "。") == 0))
		fail_msg("%s: \"%s\"", c->name, text);
	for (size_t i = 0; i < sizeof(unfinished) / sizeof(*unfinished); i++)
		if (strstr(text, unfinished[i]) != NULL)
			fail_msg("%s: \"%s\"", c->name, text);
}

static void every_row_has_cause_and_remedy_in_both_languages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONDITION_N; i++) {
		const struct condition *c = at(i);

		for (int l = 0; l < CONDITION_LANGUAGES; l++) {
			check_text(c, c->cause[l]);
			check_text(c, c->remedy[l]);
		}
		for (const char *p = c->cause[CONDITION_EN]; *p != '\0'; p++)
			assert_true(isascii(*p));
		for (const char *p = c->remedy[CONDITION_EN]; *p != '\0'; p++)
			assert_true(isascii(*p));
		if (!has_chinese(c->cause[CONDITION_ZH]) ||
		    !has_chinese(c->remedy[CONDITION_ZH]))
			fail_msg("%s is not in Chinese", c->name);
		assert_true(condition_area(c, CONDITION_EN)[0] != '\0');
		assert_true(has_chinese(condition_area(c, CONDITION_ZH)));
	}
}

static void names_are_words_of_the_log(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONDITION_N; i++)
		assert_int_equal(
		    strspn(at(i)->name,
			   "abcdefghijklmnopqrstuvwxyz0123456789-"),
		    strlen(at(i)->name));
}

static void a_row_is_found_by_code_and_name(void **state)
{
	const struct condition *c = condition_get(CONDITION_SPOOL_FULL);

	(void)state;
	assert_ptr_equal(condition_find("CV7001"), c);
	assert_ptr_equal(condition_find("cv7001"), c);
	assert_ptr_equal(condition_find("7001"), c);
	assert_ptr_equal(condition_find("spool-full"), c);
	assert_null(condition_find("CV0000"));
	assert_null(condition_find("CV70011"));
	assert_null(condition_find("spool"));
	assert_null(condition_find(""));
	assert_null(condition_find("CV"));
}

static void an_event_leads_to_its_condition(void **state)
{
	(void)state;
	assert_ptr_equal(condition_of_event("spool-full"),
			 condition_get(CONDITION_SPOOL_FULL));
	assert_ptr_equal(condition_of_event("segment-rename-failed"),
			 condition_get(CONDITION_SPOOL_FILES));
	assert_null(condition_of_event("held"));
	assert_true(condition_event_varies("held"));
	assert_false(condition_event_varies("spool-full"));
	assert_null(condition_of_event("no-such-event"));
	assert_string_equal(condition_code("no-such-event"), "");
	assert_string_equal(condition_code("connect"), "CV3002");
}

static void no_event_is_listed_that_is_a_name(void **state)
{
	(void)state;
#define X(word, id) assert_null(condition_find(word));
#define V(word)     assert_null(condition_find(word));
	CONDITION_EVENT_MAP(X, V)
#undef X
#undef V
}

static void a_text_names_its_condition(void **state)
{
	(void)state;
	assert_ptr_equal(condition_in_text("the TLS handshake failed (it has "
					   "expired [CV2601]): see [CV3004]"),
			 condition_get(CONDITION_TLS_EXPIRED));
	assert_null(condition_in_text(""));
	assert_null(condition_in_text("[CV"));
	assert_null(condition_in_text("[CV9999] [CV26011] CV2601"));
	assert_non_null(condition_in_text("[CV[CV7001]"));
}

static void languages_are_known_by_their_tags(void **state)
{
	(void)state;
	assert_int_equal(condition_language("zh"), CONDITION_ZH);
	assert_int_equal(condition_language("zh_CN.UTF-8"), CONDITION_ZH);
	assert_int_equal(condition_language("zh-Hans"), CONDITION_ZH);
	assert_int_equal(condition_language("en_GB"), CONDITION_EN);
	assert_int_equal(condition_language("C.UTF-8"), CONDITION_EN);
	assert_int_equal(condition_language(NULL), CONDITION_EN);
	assert_int_equal(condition_language("de"), -1);
	assert_int_equal(condition_language("zho"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes_and_names_are_unique_and_in_order),
	    cmocka_unit_test(every_row_has_cause_and_remedy_in_both_languages),
	    cmocka_unit_test(names_are_words_of_the_log),
	    cmocka_unit_test(a_row_is_found_by_code_and_name),
	    cmocka_unit_test(an_event_leads_to_its_condition),
	    cmocka_unit_test(no_event_is_listed_that_is_a_name),
	    cmocka_unit_test(a_text_names_its_condition),
	    cmocka_unit_test(languages_are_known_by_their_tags),
	};

	return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
