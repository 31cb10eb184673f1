#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/relay_run.h"

enum { KEPT_MAX = 16 };

static struct relay_run run;

static int setup(void **state)
{
	(void)state;
	relay_run_init(&run, KEPT_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	relay_run_free(&run);
	return 0;
}

/* What may go out, as text; taken out of the run. */
static const char *passed(void)
{
	static char text[128];
	struct iovec iov[2];
	unsigned n = relay_run_out(&run, iov);
	size_t len = 0;

	assert_true(n <= ARRAY_LEN(iov));
	for (unsigned i = 0; i < n; i++) {
		memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	assert_int_equal(len, relay_run_ready(&run));
	text[len] = '\0';
	relay_run_passed(&run);
	return text;
}

static void take(const char *bytes)
{
	relay_run_take(&run, (const uint8_t *)bytes, strlen(bytes));
}

static void nothing_goes_out_that_is_not_safe(void **state)
{
	(void)state;
	take("header");
	assert_string_equal(passed(), "");
	assert_int_equal(relay_run_held(&run), 6);
	relay_run_safe(&run);
	assert_string_equal(passed(), "header");
	assert_int_equal(relay_run_held(&run), 0);
}

static void what_follows_the_safe_part_stays(void **state)
{
	static const char input[] = "messageheader";

	(void)state;
	relay_run_take(&run, (const uint8_t *)input, 7);
	relay_run_safe(&run);
	relay_run_take(&run, (const uint8_t *)input + 7, 3);
	assert_string_equal(passed(), "message");
	assert_int_equal(relay_run_keep(&run), ERR_OK);
	take("der");
	assert_string_equal(passed(), "");
	relay_run_safe(&run);
	assert_string_equal(passed(), "header");
}

static void what_was_safe_when_the_input_ended_still_is(void **state)
{
	static const char input[] = "messagehea";

	(void)state;
	relay_run_take(&run, (const uint8_t *)input, 7);
	relay_run_safe(&run);
	relay_run_take(&run, (const uint8_t *)input + 7, 3);
	assert_int_equal(relay_run_keep(&run), ERR_OK);
	assert_string_equal(passed(), "message");
	assert_int_equal(relay_run_held(&run), 3);
	relay_run_safe(&run); /* a decision makes what is kept safe, too */
	assert_string_equal(passed(), "hea");
}

static void what_is_dropped_never_goes_out(void **state)
{
	(void)state;
	take("one");
	assert_int_equal(relay_run_keep(&run), ERR_OK);
	take("two");
	relay_run_safe(&run);
	relay_run_drop(&run);
	take("three");
	relay_run_safe(&run);
	assert_string_equal(passed(), "three");
}

static void no_more_is_kept_than_allowed(void **state)
{
	(void)state;
	take("0123456789");
	assert_int_equal(relay_run_keep(&run), ERR_OK);
	take("0123456789");
	assert_int_equal(relay_run_keep(&run), ERR_LIMIT);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(nothing_goes_out_that_is_not_safe),
	    T(what_follows_the_safe_part_stays),
	    T(what_was_safe_when_the_input_ended_still_is),
	    T(what_is_dropped_never_goes_out),
	    T(no_more_is_kept_than_allowed),
	};

	return cmocka_run_group_tests_name("relay_run", tests, NULL, NULL);
}
