/* test_metrics.c - the status as metrics, in both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "web-status/metrics.h"

static const char status_text[] =
    "{\"ok\":true,\"node\":\"edge\",\"version\":\"1.0\",\"uptime_ms\":1500,"
    "\"now_ms\":1000000,\"associations\":3,\"spool\":{\"quota\":100,"
    "\"used\":40,\"full\":true,\"failed\":false,\"stored\":7},"
    "\"destinations\":[{\"name\":\"clo\\\"ud\\n\",\"queued\":2,"
    "\"delivered\":5,\"oldest_ms\":990000,\"line\":{\"rtt_us\":2500},"
    "\"alert\":true},{\"name\":\"other\",\"queued\":0,\"line\":null}],"
    "\"rates\":[{\"of\":\"total\",\"name\":\"\",\"limit\":1000}],"
    "\"alerts\":[{}],\"acknowledgements\":{\"sum_us\":1500000,\"buckets\":["
    "{\"le\":\"0.1\",\"count\":2},{\"le\":\"+Inf\",\"count\":1}]}}";

static char text[65536];

static const char *render(const char *json, enum metrics_format format)
{
	json_t *status = json != NULL ? json_loads(json, 0, NULL) : NULL;
	struct buf b;

	buf_init(&b, METRICS_MAX);
	assert_int_equal(metrics_render(status, format, &b), ERR_OK);
	assert_true(buf_len(&b) < sizeof(text));
	memcpy(text, buf_data(&b), buf_len(&b));
	text[buf_len(&b)] = '\0';
	buf_free(&b);
	json_decref(status);
	return text;
}

static void has(const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (strstr(text, whole) == NULL)
		fail_msg("no line '%s' in:\n%s", line, text);
}

static void a_daemon_that_does_not_answer_is_down(void **state)
{
	(void)state;
	assert_string_equal(render(NULL, METRICS_OPEN),
			    "# TYPE culvert_up gauge\n"
			    "# HELP culvert_up 1: the daemon answers.\n"
			    "culvert_up 0\n# EOF\n");
}

static void counters_end_in_total_in_both_formats(void **state)
{
	(void)state;
	render(status_text, METRICS_TEXT);
	has("# TYPE culvert_spool_instances_total counter");
	has("culvert_spool_instances_total 7");
	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "# UNIT"));
	render(status_text, METRICS_OPEN);
	has("# TYPE culvert_spool_instances counter");
	has("culvert_spool_instances_total 7");
	has("# TYPE culvert_build info");
	has("# UNIT culvert_uptime_seconds seconds");
	assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
}

static void values_are_in_base_units(void **state)
{
	(void)state;
	render(status_text, METRICS_OPEN);
	has("culvert_uptime_seconds 1.500");
	has("culvert_spool_full 1");
	has("culvert_spool_failed 0");
	has("culvert_destination_round_trip_seconds{destination=\"clo\\\"ud"
	    "\\n\"} 0.002500");
	has("culvert_destination_queue_oldest_seconds{destination=\"clo\\\"ud"
	    "\\n\"} 10.000");
	has("culvert_limit_bytes_per_second{level=\"total\",name=\"\"} 125");
	has("culvert_alerts 1");
}

static void a_histogram_is_cumulative(void **state)
{
	(void)state;
	render(status_text, METRICS_OPEN);
	has("culvert_acknowledgement_seconds_bucket{le=\"0.1\"} 2");
	has("culvert_acknowledgement_seconds_bucket{le=\"+Inf\"} 3");
	has("culvert_acknowledgement_seconds_count 3");
	has("culvert_acknowledgement_seconds_sum 1.500000");
}

static void what_is_missing_is_left_out(void **state)
{
	(void)state;
	render("{\"destinations\":[{\"name\":1},{}],\"spool\":7,\"rates\":{},"
	       "\"acknowledgements\":{\"buckets\":\"x\"}}",
	       METRICS_TEXT);
	assert_null(strstr(text, "culvert_destination"));
	assert_null(strstr(text, "culvert_spool"));
	has("culvert_up 1");
}

/* Each family once, all of it together, with a head: what a parser wants. */
static void families_stand_together(void **state)
{
	char seen[128][80], family[80] = "";
	size_t n = 0;

	(void)state;
	render(status_text, METRICS_OPEN);
	for (char *line = strtok(text, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(line + 7, "%79s", family), 1);
			for (size_t i = 0; i < n; i++)
				assert_string_not_equal(seen[i], family);
			assert_true(n < 128);
			memcpy(seen[n++], family, sizeof(family));
		} else if (line[0] != '#') {
			assert_int_equal(strncmp(line, family, strlen(family)),
					 0);
		}
	}
	assert_true(n > 15);
}

static void the_format_follows_what_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(metrics_format_for(NULL), METRICS_TEXT);
	assert_int_equal(metrics_format_for("text/plain, */*"), METRICS_TEXT);
	assert_int_equal(
	    metrics_format_for("application/openmetrics-text;version=1.0.0"),
	    METRICS_OPEN);
}

static void a_full_buffer_is_an_error(void **state)
{
	json_t *status = json_loads(status_text, 0, NULL);
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_not_equal(metrics_render(status, METRICS_TEXT, &b), ERR_OK);
	buf_free(&b);
	json_decref(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_daemon_that_does_not_answer_is_down),
	    cmocka_unit_test(counters_end_in_total_in_both_formats),
	    cmocka_unit_test(values_are_in_base_units),
	    cmocka_unit_test(a_histogram_is_cumulative),
	    cmocka_unit_test(what_is_missing_is_left_out),
	    cmocka_unit_test(families_stand_together),
	    cmocka_unit_test(the_format_follows_what_is_accepted),
	    cmocka_unit_test(a_full_buffer_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
