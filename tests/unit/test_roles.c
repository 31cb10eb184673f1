/* test_roles.c - the table of rights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/roles.h"

static void what_is_not_in_the_table_is_nobodys(void **state)
{
	(void)state;
	assert_null(right_find(RIGHT_OP, "format-disk"));
	assert_null(right_find(RIGHT_OP, ""));
	assert_null(right_find(RIGHT_PAGE, "/secret"));
	assert_null(right_find(RIGHT_PAGE, "status"));
	assert_false(right_allows(RIGHT_OP, "/", ROLE_ANY));
	assert_false(right_allows(RIGHT_PAGE, "/auditor", ROLE_ANY));
}

static void each_row_stands_once(void **state)
{
	const struct right *a, *b;

	(void)state;
	for (size_t i = 0; (a = right_at(i)) != NULL; i++) {
		for (size_t j = i + 1; (b = right_at(j)) != NULL; j++)
			assert_false(a->kind == b->kind &&
				     strcmp(a->name, b->name) == 0);
		assert_true(a->what[0] != '\0');
		assert_true((a->roles & ~(unsigned)ROLE_ANY) == 0);
		assert_true(!a->open || a->roles == ROLE_NONE);
	}
}

static void rights_follow_the_role(void **state)
{
	(void)state;
	assert_true(right_allows(RIGHT_OP, "status", ROLE_AUDITOR));
	assert_true(right_allows(RIGHT_OP, "retry", ROLE_OPERATOR));
	assert_false(
	    right_allows(RIGHT_OP, "retry", ROLE_SECURITY | ROLE_AUDITOR));
	assert_true(right_allows(RIGHT_OP, "reload", ROLE_SECURITY));
	assert_false(right_allows(RIGHT_OP, "reload", ROLE_OPERATOR));
	assert_true(right_allows(RIGHT_OP, "audit-export", ROLE_AUDITOR));
	assert_false(right_allows(RIGHT_OP, "audit-export", ROLE_OPERATOR));
	assert_false(right_allows(RIGHT_OP, "status", ROLE_NONE));
	assert_false(right_allows(RIGHT_OP, "web-event", ROLE_ANY));
}

static void the_longest_page_that_covers_counts(void **state)
{
	(void)state;
	assert_true(right_allows(RIGHT_PAGE, "/healthz", ROLE_NONE));
	assert_true(right_allows(RIGHT_PAGE, "/assets/a.css", ROLE_NONE));
	assert_false(right_allows(RIGHT_PAGE, "/", ROLE_NONE));
	assert_true(right_allows(RIGHT_PAGE, "/", ROLE_OPERATOR));
	assert_string_equal(right_find(RIGHT_PAGE, "/audit/x.csv")->name,
			    "/audit/");
	assert_false(right_allows(RIGHT_PAGE, "/audit/x.csv", ROLE_OPERATOR));
	/* "/" is itself only, or everything would be everybody's */
	assert_null(right_find(RIGHT_PAGE, "/other"));
}

static void roles_have_names(void **state)
{
	char text[ROLE_TEXT_LEN];

	(void)state;
	assert_string_equal(role_text(ROLE_ANY, text),
			    "operator,security,auditor");
	assert_string_equal(role_text(ROLE_AUDITOR, text), "auditor");
	assert_string_equal(role_text(0, text), "none");
	assert_int_equal(role_parse("security"), ROLE_SECURITY);
	assert_int_equal(role_parse("root"), 0);
	assert_int_equal(role_parse(""), 0);
}

static void the_printed_table_has_every_row(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	const struct right *r;

	(void)state;
	assert_non_null(out);
	rights_print(out, true);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; (r = right_at(i)) != NULL; i++) {
		char begin[64];

		snprintf(begin, sizeof(begin), "| %s | ", r->name);
		assert_non_null(strstr(text, begin));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_in_the_table_is_nobodys),
	    cmocka_unit_test(each_row_stands_once),
	    cmocka_unit_test(rights_follow_the_role),
	    cmocka_unit_test(the_longest_page_that_covers_counts),
	    cmocka_unit_test(roles_have_names),
	    cmocka_unit_test(the_printed_table_has_every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
