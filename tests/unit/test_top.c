/* What culvert top shows of an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/cli_top_frame.h"

static struct top_frame frame;

static void show(const char *status)
{
	json_t *a = json_loads(status, 0, NULL);

	assert_non_null(a);
	top_frame(&frame, a, NULL, "", NULL, 0, 0);
	json_decref(a);
}

/* The words in this order, in one line. */
static const struct top_line *line_of(const char *first, const char *rest)
{
	for (size_t i = 0; i < frame.n; i++) {
		const char *p = frame.lines[i].text;

		if (strncmp(p, first, strlen(first)) != 0)
			continue;
		for (const char *w = rest; *w != '\0';) {
			char word[32] = "";
			size_t n = strcspn(w, "|");

			assert_true(n < sizeof(word));
			memcpy(word, w, n);
			p = strstr(p, word);
			if (p == NULL)
				fail_msg("no \"%s\" in \"%s\"", word,
					 frame.lines[i].text);
			w += n + (w[n] == '|');
		}
		return &frame.lines[i];
	}
	fail_msg("no line of %s", first);
	return NULL;
}

static void limits_are_in_bits(void **state)
{
	(void)state;
	show("{\"rates\":[{\"of\":\"destination\",\"name\":\"cloud\","
	     "\"out\":20000000,\"limit\":50000000}]}");
	(void)line_of("destination cloud",
		      "20.0 Mbit/s|50.0 Mbit/s|########............");
}

static void links_are_shown_open_and_closed(void **state)
{
	(void)state;
	show("{\"destinations\":[{\"name\":\"far\",\"link\":{\"node\":"
	     "\"centre\",\"open_ms\":5,\"connections\":4,\"transfers\":17,"
	     "\"in_flight\":2097152,\"rate\":12500000,\"rtt_us\":40500,"
	     "\"arrived\":3,\"error\":\"\"}},{\"name\":\"away\",\"link\":"
	     "{\"node\":\"\",\"open_ms\":0,\"error\":\"no [CV5023]\"}}]}");
	assert_int_equal(line_of("far              centre",
				 "4|17|2.1 MB|100 Mbit/s|40.5 ms|3")
			     ->colour,
			 CLI_PLAIN);
	assert_int_equal(
	    line_of("away             closed", "-|no [CV5023]")->colour,
	    CLI_YELLOW);
}

static void without_links_there_is_no_table_of_them(void **state)
{
	(void)state;
	show("{\"destinations\":[{\"name\":\"cloud\"}]}");
	for (size_t i = 0; i < frame.n; i++)
		assert_int_not_equal(strncmp(frame.lines[i].text, "link", 4),
				     0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_are_in_bits),
	    cmocka_unit_test(links_are_shown_open_and_closed),
	    cmocka_unit_test(without_links_there_is_no_table_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
