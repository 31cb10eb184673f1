/* Output of views: what comes from elsewhere is escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proxy/lib/mem.h"
#include "web-status/page.h"

static void assert_out(struct web_out *o, const char *want)
{
	assert_false(out_failed(o));
	assert_int_equal(out_len(o), strlen(want));
	assert_memory_equal(out_data(o), want, strlen(want));
	out_clear(o);
}

static void text_cannot_become_markup(void **state)
{
	struct web_out *o = out_new(1000);

	(void)state;
	out_text(o, "<script>alert('x\"&')</script>");
	assert_out(o, "&lt;script&gt;alert(&#39;x&quot;&amp;&#39;)&lt;/script"
		      "&gt;");
	out_text(o, "a\x01"
		    "b\x7f"
		    "c\xff"
		    "d\xc3\xbc\xed\xa0\x80");
	assert_out(o, "a\xef\xbf\xbd"
		      "b\xef\xbf\xbd"
		      "c\xef\xbf\xbd"
		      "d\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	out_text(o, NULL);
	assert_out(o, "");
	out_url(o, "a b&c=\"<\xc3\xbc");
	assert_out(o, "a%20b%26c%3D%22%3C%C3%BC");
	out_free(o);
}

static void a_format_escapes_its_arguments_only(void **state)
{
	struct web_out *o = out_new(1000);

	(void)state;
	out_printf(o, "<td class=\"%s\">%s</td>", "a\"b", "<i>");
	assert_out(o, "<td class=\"a&quot;b\">&lt;i&gt;</td>");
	out_printf(o, "%d %u %5d|%-4d|%04x %lld %llu %zu %jd %ld 100%% %c", -1,
		   2u, 3, 4, 255u, -5LL, 6ULL, (size_t)7, (intmax_t)8, 9L, '<');
	assert_out(o, "-1 2     3|4   |00ff -5 6 7 8 9 100% &lt;");
	out_printf(o, "%.3s|%.*s|%.1f|%*d", "abcdef", 2, "xyz", 2.25, 3, 1);
	assert_out(o, "abc|xy|2.2|  1");
	out_free(o);
}

static void what_is_too_long_fails_for_good(void **state)
{
	struct web_out *o = out_new(8);

	(void)state;
	out_text(o, "12345678");
	assert_false(out_failed(o));
	out_text(o, "9");
	assert_true(out_failed(o));
	out_clear(o);
	out_raw(o, "again");
	assert_out(o, "again");
	out_free(o);
}

static void json_is_safe_inside_a_page(void **state)
{
	struct web_out *o = out_new(1000);
	json_t *j = json_pack("{s:s}", "k", "</script><!--&");

	(void)state;
	out_json(o, j);
	assert_out(o, "{\"k\":\"\\u003c/script\\u003e\\u003c!--\\u0026\"}");
	out_json_string(o, "a\"b\n");
	assert_out(o, "\"a\\\"b\\n\"");
	out_json_string(o, "\xff");
	assert_out(o, "\"?\"");
	json_decref(j);
	out_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_cannot_become_markup),
	    cmocka_unit_test(a_format_escapes_its_arguments_only),
	    cmocka_unit_test(what_is_too_long_fails_for_good),
	    cmocka_unit_test(json_is_safe_inside_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
