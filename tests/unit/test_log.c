/* The log: text, JSON, the journal's prefix, what repeats. Each case writes to
 * a file in the place of stderr. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/log_json.h"
#include "proxy/lib/log_repeat.h"
#include "proxy/lib/mem.h"

static char text[65536];

/* What body writes to stderr, in a process of its own. */
static const char *written(void (*body)(void), int journal)
{
	char path[] = "/tmp/culvert-test-log-XXXXXX", stream[64];
	int fd = mkstemp(path), status;
	struct stat st;
	ssize_t n;
	pid_t pid;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		 (unsigned long long)st.st_dev + (journal < 0),
		 (unsigned long long)st.st_ino);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (journal != 0)
			setenv("JOURNAL_STREAM", stream, 1);
		else
			unsetenv("JOURNAL_STREAM");
		dup2(fd, STDERR_FILENO);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void info_and_warning(void)
{
	log_event(LOG_INFO, "assoc-accepted", "assoc=%d device=%s", 17, "ct");
	log_event(LOG_WARN, "segment-rename-failed",
		  "segment=%08x detail=\"%s\"", 7, "No such file");
	log_event(LOG_ERROR, "held", "destination=cloud text=\"no [CV3103]\"");
	log_event(LOG_WARN, "refused", "code=CV2003 cause=\"mine\"");
	log_event(LOG_DEBUG, "nothing", "x=1");
}

static void a_warning_carries_code_cause_and_remedy(void **state)
{
	const char *t = written(info_and_warning, 0);
	const struct condition *c = condition_get(CONDITION_SPOOL_FILES);
	char want[600];

	(void)state;
	assert_non_null(
	    strstr(t, "Z info assoc-accepted assoc=17 device=ct\n"));
	snprintf(want, sizeof(want),
		 " warn segment-rename-failed code=CV7002 segment=00000007 "
		 "detail=\"No such file\" cause=\"%s\" remedy=\"%s\"\n",
		 c->cause[0], c->remedy[0]);
	assert_non_null(strstr(t, want));
	assert_null(strstr(t, "nothing"));
}

static void a_line_may_say_its_own_code_and_words(void **state)
{
	const char *t = written(info_and_warning, 0);

	(void)state;
	assert_non_null(strstr(t, "error held code=CV3103 destination=cloud"));
	assert_non_null(strstr(t, "declare this AE title at the archive"));
	assert_non_null(
	    strstr(t, "refused code=CV2003 cause=\"mine\" remedy="));
}

static void the_journal_gets_priorities(void **state)
{
	const char *t = written(info_and_warning, 1);

	(void)state;
	assert_memory_equal(t, "<6>2", 4);
	assert_non_null(strstr(t, "\n<4>2"));
	assert_non_null(strstr(t, "\n<3>2"));
}

/* JOURNAL_STREAM is inherited by what runs elsewhere. */
static void another_stream_is_not_the_journal(void **state)
{
	(void)state;
	assert_memory_equal(written(info_and_warning, -1), "2", 1);
}

static void as_json(void)
{
	log_set_format(LOG_JSON);
	info_and_warning();
}

/* What hostile text reached the log: an AE title with a key in it. */
static void quoted_in_quotes(void)
{
	char ae[40], subject[40];

	log_esc("A\" x=1 y=\"", ae, sizeof(ae));
	log_esc(" code=CV0001 z", subject, sizeof(subject));
	log_event(LOG_INFO, "refused",
		  "calling=%s cause=\"calling AE title %s is not declared\" "
		  "remedy=\"add %s\" subject=%s detail=\"subject %s\"",
		  ae, ae, ae, subject, subject);
}

static void cut_in_a_value(void)
{
	memset(text, '\\', 2500);
	text[2500] = '\0';
	log_event(LOG_WARN, "held", "destination=cloud cause=\"%s\"", text);
}

/* As parsers of key=value see it: a value ends at the first quote. */
static void a_quote_inside_a_value_ends_it_for_nobody(void **state)
{
	const char *t = written(quoted_in_quotes, 0);

	(void)state;
	assert_non_null(strstr(
	    t,
	    " calling=\"A\\x22 x=1 y=\\x22\" "
	    "cause=\"calling AE title 'A\\x22 x=1 y=\\x22' is not declared\" "
	    "remedy=\"add 'A\\x22 x=1 y=\\x22'\" "
	    "subject=\"\\x20code=CV0001 z\" "
	    "detail=\"subject '\\x20code=CV0001 z'\"\n"));
}

static void a_value_that_is_cut_off_is_closed(void **state)
{
	const char *t = written(cut_in_a_value, 0);
	size_t n = strlen(t);

	(void)state;
	assert_in_range(n, 1990, 2100);
	assert_string_equal(t + n - 4, "\\?\"\n");
}

static void every_line_of_json_is_an_object(void **state)
{
	const char *t = written(as_json, 0);
	unsigned n = 0;

	(void)state;
	for (; *t != '\0'; t = strchr(t, '\n') + 1, n++) {
		size_t len = strcspn(t, "\n");
		json_error_t error;
		json_t *o = json_loadb(t, len, JSON_REJECT_DUPLICATES, &error);

		if (o == NULL)
			fail_msg("%s: %.*s", error.text, (int)len, t);
		assert_int_equal(
		    strlen(json_string_value(json_object_get(o, "time"))), 24);
		if (n == 1) {
			assert_string_equal(
			    json_string_value(json_object_get(o, "event")),
			    "segment-rename-failed");
			assert_string_equal(
			    json_string_value(json_object_get(o, "detail")),
			    "No such file");
			assert_string_equal(
			    json_string_value(json_object_get(o, "code")),
			    "CV7002");
		}
		json_decref(o);
	}
	assert_int_equal(n, 4);
}

/* ---- the conversion ----------------------------------------------------- */

static char converted[16384];

static void to(const char *pairs, const char *want)
{
	char line[16384];

	snprintf(line, sizeof(line),
		 "{\"time\":\"T\",\"level\":\"info\",\"event\":\"e\"%s}", want);
	log_json(converted, sizeof(converted), "T", "info", "e", pairs);
	assert_string_equal(converted, line);
}

static void pairs_become_keys(void **state)
{
	(void)state;
	to("", "");
	to("a=1 b=two", ",\"a\":\"1\",\"b\":\"two\"");
	to("a=\"one two\" b=\"\"", ",\"a\":\"one two\",\"b\":\"\"");
	to("a= b=1", ",\"a\":\"\",\"b\":\"1\"");
	to("a=\"it says \"x\" there\" b=1",
	   ",\"a\":\"it says \\\"x\\\" there\",\"b\":\"1\"");
	to("a=\"ends (\"x\")\"", ",\"a\":\"ends (\\\"x\\\")\"");
	to("a=\"cut off", ",\"a\":\"cut off\"");
	to("a=\"x=1\" b=2", ",\"a\":\"x=1\",\"b\":\"2\"");
	to("some words a=1 more", ",\"a\":\"1\",\"words\":\"some words more\"");
	to("a=1 a=2 a=3", ",\"a\":\"1\",\"a.2\":\"2\",\"a.3\":\"3\"");
	to("time=1", ",\"time.2\":\"1\"");
}

static void escapes_and_bytes_become_valid_json(void **state)
{
	(void)state;
	to("a=\"\\x22\\x5c\\x0a\"", ",\"a\":\"\\\"\\\\\\u000a\"");
	to("a=\"\\xff\"", ",\"a\":\"\\\\xff\"");
	to("a=\\x41", ",\"a\":\"\\\\x41\"");
	to("a=\"\xe4\xb8\xad\"", ",\"a\":\"\xe4\xb8\xad\"");
	to("a=\"\xff\xc0\xaf\"",
	   ",\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	to("a=\"\xed\xa0\x80\"",
	   ",\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* Any bytes: valid JSON, and what was escaped comes back. */
static void random_pairs_survive(void **state)
{
	uint32_t seed = 12345;
	char raw[64], quoted[300], pairs[400];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = 0;
		json_t *o;

		seed = seed * 1664525u + 1013904223u;
		n = seed >> 27;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			raw[i] = (char)(1 + (seed >> 24) % 0x7e);
		}
		raw[n] = '\0';
		snprintf(pairs, sizeof(pairs), "a=%s b=%s",
			 log_esc(raw, quoted, sizeof(quoted)), raw);
		log_json(converted, sizeof(converted), "T", "info", "e", pairs);
		o = json_loads(converted, JSON_REJECT_DUPLICATES, NULL);
		if (o == NULL)
			fail_msg("%s\n%s", pairs, converted);
		assert_string_equal(json_string_value(json_object_get(o, "a")),
				    raw);
		json_decref(o);
	}
}

static void a_long_line_is_cut_at_a_pair(void **state)
{
	char pairs[4000], out[300];
	json_t *o;

	(void)state;
	memset(pairs, 'x', sizeof(pairs));
	memcpy(pairs, "a=1 b=", 6);
	pairs[sizeof(pairs) - 1] = '\0';
	assert_true(log_json(out, sizeof(out), "T", "info", "e", pairs) < 300);
	o = json_loads(out, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "a")), "1");
	assert_null(json_object_get(o, "b"));
	json_decref(o);
}

/* ---- what repeats ------------------------------------------------------- */

static struct log_repeats *table;

static int fresh(void **state)
{
	(void)state;
	table = mem_zalloc(sizeof(*table));
	return table == NULL;
}

static int gone(void **state)
{
	(void)state;
	mem_free(table);
	return 0;
}

static unsigned passed(const char *event, const char *pairs, unsigned n,
		       uint64_t at)
{
	struct log_repeat out;
	unsigned ok = 0;

	for (unsigned i = 0; i < n; i++)
		ok += log_repeat_pass(table, 2, event, pairs, at, &out);
	return ok;
}

static void many_of_a_kind_are_counted(void **state)
{
	struct log_repeat out;

	(void)state;
	assert_int_equal(passed("not-delivered",
				"destination=a transfer=1 code=CV3001", 50, 1),
			 LOG_REPEAT_MANY);
	assert_false(log_repeat_due(table, 2, false, &out));
	assert_true(log_repeat_due(table, LOG_REPEAT_NS + 1, false, &out));
	assert_int_equal(out.held, 50 - LOG_REPEAT_MANY);
	assert_string_equal(out.event, "not-delivered");
	assert_string_equal(out.key, "destination=a code=CV3001");
	assert_false(log_repeat_due(table, LOG_REPEAT_NS + 1, true, &out));
}

static void others_are_not_held_back_with_them(void **state)
{
	(void)state;
	passed("not-delivered", "destination=a", 50, 1);
	assert_int_equal(passed("not-delivered", "destination=b", 1, 1), 1);
	assert_int_equal(passed("held", "destination=a", 1, 1), 1);
}

static void a_new_window_sums_up_the_last(void **state)
{
	struct log_repeat out;

	(void)state;
	passed("held", "destination=a", LOG_REPEAT_MANY + 3, 1);
	assert_true(log_repeat_pass(table, 2, "held", "destination=a",
				    LOG_REPEAT_NS + 2, &out));
	assert_true(out.used);
	assert_int_equal(out.held, 3);
}

static void a_full_table_gives_up_the_oldest_and_tells(void **state)
{
	struct log_repeat out;
	char pairs[64];
	uint64_t held = 0;

	(void)state;
	passed("held", "destination=first", LOG_REPEAT_MANY + 5, 1);
	for (unsigned i = 0; i < LOG_REPEAT_TABLE; i++) {
		snprintf(pairs, sizeof(pairs), "destination=d%u", i);
		assert_true(
		    log_repeat_pass(table, 2, "held", pairs, 2 + i, &out));
		held += out.used ? out.held : 0;
	}
	assert_int_equal(held, 5);
}

static void what_happens_once_is_never_held_back(void **state)
{
	(void)state;
	assert_int_equal(passed("quarantined", "destination=a", 100, 1), 100);
	assert_int_equal(passed("audit-gap", "rows=1", 100, 1), 100);
	assert_int_equal(passed("config-refused", "file=x", 100, 1), 100);
}

static void a_flood(void)
{
	for (int i = 0; i < 1000; i++)
		log_event(LOG_WARN, "message-refused",
			  "assoc=%d from=ct message=C-STORE", i);
	log_flush(1);
}

static void a_flood_becomes_one_line(void **state)
{
	const char *t = written(a_flood, 0);
	unsigned lines = 0;

	(void)state;
	assert_non_null(strstr(t, "message-refused code=CV2020 from=ct "
				  "message=C-STORE repeated=980 seconds="));
	for (const char *p = t; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, LOG_REPEAT_MANY + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_warning_carries_code_cause_and_remedy),
	    T(a_quote_inside_a_value_ends_it_for_nobody),
	    T(a_value_that_is_cut_off_is_closed),
	    T(a_line_may_say_its_own_code_and_words),
	    T(the_journal_gets_priorities),
	    T(another_stream_is_not_the_journal),
	    T(every_line_of_json_is_an_object),
	    T(pairs_become_keys),
	    T(escapes_and_bytes_become_valid_json),
	    T(random_pairs_survive),
	    T(a_long_line_is_cut_at_a_pair),
	    T(many_of_a_kind_are_counted),
	    T(others_are_not_held_back_with_them),
	    T(a_new_window_sums_up_the_last),
	    T(a_full_table_gives_up_the_oldest_and_tells),
	    T(what_happens_once_is_never_held_back),
	    T(a_flood_becomes_one_line),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
