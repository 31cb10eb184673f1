/* Texts that a browser sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/lib/mem.h"
#include "web-status/parse.h"

static void assert_path(const char *target, const char *want)
{
	char out[WEB_PATH_MAX] = "untouched";

	assert_int_equal(parse_path(target, out, sizeof(out)), want != NULL);
	assert_string_equal(out, want != NULL ? want : "untouched");
}

static void paths_are_decoded_and_cut_at_the_query(void **state)
{
	(void)state;
	assert_path("/", "/");
	assert_path("/transfers?study=1.2", "/transfers");
	assert_path("/transfers/1.2.840%2E1", "/transfers/1.2.840.1");
	assert_path("/audit/", "/audit/");
}

static void path_tricks_are_refused(void **state)
{
	static const char *const tricks[] = {"",
					     "*",
					     "transfers",
					     "http://x/",
					     "/../etc",
					     "/a/../b",
					     "/a/..",
					     "/./a",
					     "/%2e%2e/etc",
					     "/a/%2E%2e",
					     "//etc/passwd",
					     "/a//b",
					     "/a%2fb",
					     "/a%2Fb",
					     "/a\\b",
					     "/a%5cb",
					     "/a%00b",
					     "/a%0ab",
					     "/a%",
					     "/a%4",
					     "/a%zz",
					     "/a%ff",
					     "/%c0%af",
					     "/a\tb",
					     "/%ed%a0%80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tricks); i++)
		assert_path(tricks[i], NULL);
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
	char small[4] = "ab";

	(void)state;
	assert_false(parse_path("/abc", small, sizeof(small)));
	assert_true(parse_path("/ab", small, sizeof(small)));
	assert_string_equal(small, "/ab");
}

static void the_first_value_of_a_parameter_counts(void **state)
{
	char out[16];

	(void)state;
	assert_true(parse_query("a=1&b=2&a=3", "a", out, sizeof(out)));
	assert_string_equal(out, "1");
	assert_true(parse_query("x=a+b%20c", "x", out, sizeof(out)));
	assert_string_equal(out, "a b c");
	assert_true(parse_query("x&y=", "x", out, sizeof(out)));
	assert_string_equal(out, "");
	assert_true(parse_query("%61=%E4%B8%AD", "a", out, sizeof(out)));
	assert_string_equal(out, "\xe4\xb8\xad");
	assert_false(parse_query("ab=1", "a", out, sizeof(out)));
	assert_false(parse_query("a=%f", "a", out, sizeof(out)));
	assert_false(parse_query("a=%00", "a", out, sizeof(out)));
	assert_false(parse_query("a=0123456789abcdef", "a", out, sizeof(out)));
	assert_false(parse_query("", "a", out, sizeof(out)));
}

static void parameters_are_bounded(void **state)
{
	char query[WEB_PARAMETERS_MAX * 2 + 8] = "", out[4];

	(void)state;
	for (int i = 0; i < WEB_PARAMETERS_MAX - 1; i++)
		strcat(query, "b&");
	strcat(query, "a=1");
	assert_true(parse_query(query, "a", out, sizeof(out)));
	memmove(query + 2, query, strlen(query) + 1);
	assert_false(parse_query(query, "a", out, sizeof(out)));
}

static void cookies_are_found_by_their_whole_name(void **state)
{
	char out[8];

	(void)state;
	assert_true(
	    parse_cookie("a=1; lang=zh; b=2", "lang", out, sizeof(out)));
	assert_string_equal(out, "zh");
	assert_true(parse_cookie("lang=en", "lang", out, sizeof(out)));
	assert_false(parse_cookie("xlang=en", "lang", out, sizeof(out)));
	assert_false(parse_cookie("language=en", "lang", out, sizeof(out)));
	assert_false(parse_cookie("lang=<b>", "lang", out, sizeof(out)));
	assert_false(parse_cookie("lang=abcdefgh", "lang", out, sizeof(out)));
	assert_false(parse_cookie(NULL, "lang", out, sizeof(out)));
}

static void the_language_is_what_is_liked_best(void **state)
{
	(void)state;
	assert_int_equal(parse_language(NULL), WEB_EN);
	assert_int_equal(parse_language("zh-CN,zh;q=0.9,en;q=0.8"), WEB_ZH);
	assert_int_equal(parse_language("en-GB,en;q=0.9,zh;q=0.8"), WEB_EN);
	assert_int_equal(parse_language("de, zh;q=0.3, en;q=0.2"), WEB_ZH);
	assert_int_equal(parse_language("de, fr"), WEB_EN);
	assert_int_equal(parse_language("zh;q=0"), WEB_EN);
	assert_int_equal(parse_language(";q=,,;;q=9"), WEB_EN);
	assert_int_equal(parse_language("zhx"), WEB_EN);
}

static void assert_host(const char *header, const char *want, unsigned port)
{
	char out[PARSE_HOST_LEN] = "";
	uint16_t got = 0;

	assert_int_equal(parse_host(header, out, sizeof(out), &got),
			 want != NULL);
	assert_string_equal(out, want != NULL ? want : "");
	assert_int_equal(got, port);
}

static void hosts_come_with_and_without_a_port(void **state)
{
	(void)state;
	assert_host("Culvert.Example", "culvert.example", 0);
	assert_host("10.0.0.1:8104", "10.0.0.1", 8104);
	assert_host("[::1]:8104", "::1", 8104);
	assert_host("[::1]", "::1", 0);
	assert_host("", NULL, 0);
	assert_host("a:", NULL, 0);
	assert_host("a:0", NULL, 0);
	assert_host("a:65536", NULL, 0);
	assert_host("a:1:2", NULL, 0);
	assert_host("a b", NULL, 0);
	assert_host("a/b", NULL, 0);
	assert_host("u@a", NULL, 0);
	assert_host("[::1", NULL, 0);
	assert_host("[::1]x", NULL, 0);
}

static void an_origin_is_the_same_place_or_not(void **state)
{
	(void)state;
	assert_true(parse_same_origin("http://a:80", "a", false));
	assert_true(parse_same_origin("https://A", "a:443", true));
	assert_true(parse_same_origin("http://a:81", "a:81", false));
	assert_false(parse_same_origin("http://a:81", "a:82", false));
	assert_false(parse_same_origin("http://a", "a", true));
	assert_false(parse_same_origin("https://a", "a", false));
	assert_false(parse_same_origin("null", "a", false));
	assert_false(parse_same_origin("http://a.b", "a", false));
	assert_false(parse_same_origin("http://a/x", "a", false));
}

static void etags_match_in_lists_and_weakly(void **state)
{
	(void)state;
	assert_true(parse_etag_match("\"a\"", "\"a\""));
	assert_true(parse_etag_match("\"b\", W/\"a\"", "\"a\""));
	assert_true(parse_etag_match("*", "\"a\""));
	assert_false(parse_etag_match("\"ab\"", "\"a\""));
	assert_false(parse_etag_match(NULL, "\"a\""));
}

static void only_paths_of_ours_are_gone_to(void **state)
{
	(void)state;
	assert_true(parse_is_local("/transfers?study=1.2&x=%20"));
	assert_false(parse_is_local("//evil.example/"));
	assert_false(parse_is_local("/\\evil.example/"));
	assert_false(parse_is_local("https://evil.example/"));
	assert_false(parse_is_local("javascript:alert(1)"));
	assert_false(parse_is_local("/a\r\nSet-Cookie: x"));
	assert_false(parse_is_local("/a/../b"));
	assert_false(parse_is_local(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_decoded_and_cut_at_the_query),
	    cmocka_unit_test(path_tricks_are_refused),
	    cmocka_unit_test(a_path_that_does_not_fit_is_refused),
	    cmocka_unit_test(the_first_value_of_a_parameter_counts),
	    cmocka_unit_test(parameters_are_bounded),
	    cmocka_unit_test(cookies_are_found_by_their_whole_name),
	    cmocka_unit_test(the_language_is_what_is_liked_best),
	    cmocka_unit_test(hosts_come_with_and_without_a_port),
	    cmocka_unit_test(an_origin_is_the_same_place_or_not),
	    cmocka_unit_test(etags_match_in_lists_and_weakly),
	    cmocka_unit_test(only_paths_of_ours_are_gone_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
