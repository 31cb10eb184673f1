/* Counters and token buckets, with a clock made by hand. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/limits.h"
#include "proxy/lib/condition.h"

static const char text[] =
    "listeners:\n"
    "  one: {address: 10.0.0.1:104, protocol: dicom, ae_titles: [A],\n"
    "    limits: {associations: 4, per_device: 3, rate: 10/s}}\n"
    "  two: {address: 10.0.0.1:105, protocol: dicom, ae_titles: [A],\n"
    "    limits: {handshakes: 5/s}}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 10.1.4.20}\n"
    "  mr: {ae_title: MR, address: 10.1.4.21,\n"
    "    limits: {associations: 1, rate: 2/min}}\n";

static struct config *cfg;
static struct limits *l;

static void a_bucket_starts_full_and_refills_evenly(void **state)
{
	struct limit_bucket b;

	(void)state;
	limit_bucket_init(&b, (struct config_rate){3, 1000}, 50);
	for (int i = 0; i < 3; i++)
		assert_true(limit_bucket_take(&b, 50));
	assert_false(limit_bucket_take(&b, 50));
	assert_int_equal(limit_bucket_wait(&b, 50), 334);
	assert_false(limit_bucket_take(&b, 383));
	assert_true(limit_bucket_take(&b, 384));
	assert_false(limit_bucket_take(&b, 384));
	/* What was rounded up before is not lost. */
	assert_true(limit_bucket_take(&b, 717));
	assert_int_equal(limit_bucket_wait(&b, UINT64_MAX), 0);
	for (int i = 0; i < 3; i++)
		assert_true(limit_bucket_take(&b, UINT64_MAX));
	assert_false(limit_bucket_take(&b, UINT64_MAX));
}

static void a_clock_that_goes_back_gives_nothing(void **state)
{
	struct limit_bucket b;

	(void)state;
	limit_bucket_init(&b, (struct config_rate){1, 1000}, 5000);
	assert_true(limit_bucket_take(&b, 5000));
	assert_false(limit_bucket_take(&b, 0));
	assert_false(limit_bucket_take(&b, 999));
	assert_true(limit_bucket_take(&b, 1000));
}

static void the_largest_rate_does_not_overflow(void **state)
{
	struct limit_bucket b;
	struct config_rate most = {UINT32_MAX, 24ull * 3600 * 1000};

	(void)state;
	limit_bucket_init(&b, (struct config_rate){3, 1000}, 0);
	for (int i = 0; i < 3; i++)
		assert_true(limit_bucket_take(&b, 0));
	/* Times three, this wraps around to almost nothing. */
	assert_true(limit_bucket_take(&b, UINT64_MAX / 3 + 1));
	limit_bucket_init(&b, most, 0);
	assert_true(limit_bucket_take(&b, UINT64_MAX));
	assert_true(b.credit <= most.n * most.per_ms);
	assert_int_equal(limit_bucket_wait(&b, UINT64_MAX), 0);
}

static void without_a_rate_nothing_is_refused(void **state)
{
	struct limit_bucket b;

	(void)state;
	limit_bucket_init(&b, (struct config_rate){0, 0}, 0);
	for (int i = 0; i < 1000; i++)
		assert_true(limit_bucket_take(&b, 0));
	assert_int_equal(limit_bucket_wait(&b, 0), 0);
}

static void a_listener_is_full_at_its_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(limits_connect(l, 0), LIMIT_PASS);
	assert_int_equal(limits_connect(l, 0), LIMIT_LISTENER_FULL);
	assert_int_equal(limits_connect(l, 1), LIMIT_PASS);
	limits_disconnect(l, 0, -1);
	assert_int_equal(limits_listener_count(l, 0), 3);
	assert_int_equal(limits_connect(l, 0), LIMIT_PASS);
}

static void a_device_is_full_at_its_limit_over_all_listeners(void **state)
{
	(void)state;
	assert_int_equal(limits_connect(l, 0), LIMIT_PASS);
	assert_int_equal(limits_connect(l, 1), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 0, 1, 0), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 1, 1, 0), LIMIT_DEVICE_FULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_DEVICE_FULL);
	assert_int_equal(limits_device_count(l, 0), 3);
	limits_disconnect(l, 0, 1);
	assert_int_equal(limits_associate(l, 1, 1, 0), LIMIT_PASS);
}

static void a_device_may_not_be_too_fast(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(limits_connect(l, 0), LIMIT_PASS);
		assert_int_equal(limits_associate(l, 0, 1, 0), LIMIT_PASS);
		limits_disconnect(l, 0, 1);
	}
	assert_int_equal(limits_associate(l, 0, 1, 0), LIMIT_DEVICE_TOO_FAST);
	assert_int_equal(limits_associate(l, 0, 1, 29999),
			 LIMIT_DEVICE_TOO_FAST);
	assert_int_equal(limits_associate(l, 0, 1, 30000), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_PASS);
}

static void every_verdict_has_words(void **state)
{
	(void)state;
	for (int v = LIMIT_LISTENER_FULL; v <= LIMIT_DEVICE_TOO_FAST; v++) {
		assert_true(strlen(limit_verdict_name((enum limit_verdict)v)) >
			    4);
		assert_non_null(
		    strstr(condition_of_event(
			       limit_verdict_name((enum limit_verdict)v))
			       ->cause[CONDITION_EN],
			   "limits."));
	}
}

static void a_changed_rate_keeps_the_share_of_tokens(void **state)
{
	struct limit_bucket b;

	(void)state;
	limit_bucket_init(&b, (struct config_rate){4, 1000}, 0);
	for (int i = 0; i < 4; i++)
		assert_true(limit_bucket_take(&b, 0));
	limit_bucket_change(&b, (struct config_rate){100, 1000}, 500);
	for (int i = 0; i < 50; i++)
		assert_true(limit_bucket_take(&b, 500));
	assert_false(limit_bucket_take(&b, 500));
	limit_bucket_change(&b, (struct config_rate){0, 0}, 500);
	assert_true(limit_bucket_take(&b, 500));
	limit_bucket_change(&b, (struct config_rate){1, 1000}, 600);
	assert_true(limit_bucket_take(&b, 600));
	assert_false(limit_bucket_take(&b, 600));
	/* the same once more gives no second token */
	limit_bucket_change(&b, (struct config_rate){1, 1000}, 600);
	assert_false(limit_bucket_take(&b, 600));
}

static struct config *load(const char *yaml)
{
	static struct config_errors e;
	struct config *c = NULL;

	if (config_load_from_memory(yaml, strlen(yaml), "t", &c, &e) != ERR_OK)
		config_errors_print(&e, stderr);
	assert_non_null(c);
	return c;
}

static const char later[] =
    "listeners:\n"
    "  new: {address: 10.0.0.1:106, protocol: dicom, ae_titles: [A]}\n"
    "  one: {address: 10.0.0.1:104, protocol: dicom, ae_titles: [A],\n"
    "    limits: {associations: 2, per_device: 1, rate: 1/s}}\n"
    "devices:\n"
    "  ct: {ae_title: CT, address: 10.1.4.20, limits: {associations: 2}}\n";

static void a_reload_brings_other_limits(void **state)
{
	struct config *fresh = load(later);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(limits_connect(l, 0), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_PASS);
	limits_take(l, fresh, 0);
	config_free(fresh); /* nothing of it is needed */
	/* who is here stays */
	assert_int_equal(limits_listener_count(l, 0), 3);
	assert_int_equal(limits_connect(l, 0), LIMIT_LISTENER_FULL);
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_DEVICE_FULL);
	limits_disconnect(l, 0, 0);
	limits_disconnect(l, 0, 0);
	/* 8 of 10 a second were left, that is 0.8 of 1 */
	assert_int_equal(limits_associate(l, 0, 0, 0), LIMIT_DEVICE_TOO_FAST);
	assert_int_equal(limits_associate(l, 0, 0, 200), LIMIT_PASS);
	/* mr is not in the new one, nor is two: as before */
	assert_int_equal(limits_connect(l, 1), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 1, 1, 0), LIMIT_PASS);
	assert_int_equal(limits_associate(l, 1, 1, 0), LIMIT_DEVICE_FULL);
}

static void handshakes_have_a_rate_of_their_own(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(limits_handshake(l, 1, 0), 0);
	assert_int_equal(limits_handshake(l, 1, 0), 200);
	assert_int_equal(limits_handshake(l, 1, 200), 200);
	/* one too many is not counted twice */
	assert_int_equal(limits_handshake(l, 1, 300), 100);
	assert_int_equal(limits_handshake(l, 1, 500), 100);
	assert_int_equal(limits_handshake(l, 1, 2000), 0);
	/* where none is configured */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(limits_handshake(l, 0, 0), 0);
}

static void *come_and_go(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++)
		if (limits_connect(l, 1) == LIMIT_PASS) {
			bool in = limits_associate(l, 1, 0, 0) == LIMIT_PASS;

			limits_disconnect(l, 1, in ? 0 : -1);
		}
	return NULL;
}

static void threads_may_share_the_counters(void **state)
{
	pthread_t t[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, come_and_go, NULL),
				 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(limits_listener_count(l, 1), 0);
	assert_int_equal(limits_device_count(l, 0), 0);
}

/* Repeats. */

struct seen {
	size_t calls;
	uint64_t count, first_ms, last_ms;
	char address[48];
};

static void on_report(void *arg, const struct refusal *r)
{
	struct seen *s = arg;

	s->calls++;
	s->count = r->count;
	s->first_ms = r->first_ms;
	s->last_ms = r->last_ms;
	memcpy(s->address, r->key.address, sizeof(s->address));
}

static struct refusal_key key_of(int i)
{
	struct refusal_key k = {.listener = "one",
				.calling_ae = "X",
				.called_ae = "A",
				.reason = "address-unknown"};

	snprintf(k.address, sizeof(k.address), "10.0.%d.%d", i / 256, i % 256);
	return k;
}

static void repeats_become_counts(void **state)
{
	struct refusal_key a = key_of(1), b = key_of(2);
	struct refusals *r;
	struct seen s = {0};

	(void)state;
	assert_int_equal(refusals_new(&r), ERR_OK);
	assert_true(refusals_note(r, &a, 1000, on_report, &s));
	assert_false(refusals_note(r, &a, 2000, on_report, &s));
	assert_false(refusals_note(r, &a, 9000, on_report, &s));
	assert_true(refusals_note(r, &b, 9000, on_report, &s));
	refusals_flush(r, 60999, false, on_report, &s);
	assert_int_equal(s.calls, 0);
	refusals_flush(r, 61000, false, on_report, &s);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.first_ms, 2000);
	assert_int_equal(s.last_ms, 9000);
	assert_true(refusals_note(r, &a, 61000, on_report, &s));
	refusals_flush(r, 61000, true, on_report, &s);
	assert_int_equal(s.calls, 1); /* nothing was counted since */
	refusals_free(r);
}

static void a_window_that_ended_reports_before_the_next(void **state)
{
	struct refusal_key a = key_of(1);
	struct refusals *r;
	struct seen s = {0};

	(void)state;
	assert_int_equal(refusals_new(&r), ERR_OK);
	assert_true(refusals_note(r, &a, 0, on_report, &s));
	assert_false(refusals_note(r, &a, 1, on_report, &s));
	assert_true(refusals_note(r, &a, 60000, on_report, &s));
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.count, 1);
	refusals_free(r);
}

static void a_full_table_drops_the_oldest_and_says_so(void **state)
{
	struct refusals *r;
	struct seen s = {0};

	(void)state;
	assert_int_equal(refusals_new(&r), ERR_OK);
	for (int i = 0; i < REFUSAL_TABLE; i++) {
		struct refusal_key k = key_of(i);

		assert_true(refusals_note(r, &k, 100, on_report, &s));
		assert_false(refusals_note(
		    r, &k, (uint64_t)(i == 7 ? 150 : 200), on_report, &s));
	}
	for (int i = 0; i < 2; i++) {
		struct refusal_key k = key_of(1000);

		assert_int_equal(refusals_note(r, &k, 300, on_report, &s),
				 i == 0);
		assert_int_equal(s.calls, 1);
	}
	assert_string_equal(s.address, "10.0.0.7");
	refusals_flush(r, 300, true, on_report, &s);
	assert_int_equal(s.calls, 1 + REFUSAL_TABLE);
	refusals_free(r);
}

static void names_and_addresses_that_change_become_one_kind(void **state)
{
	struct refusals *r;
	struct seen s = {0};
	unsigned fresh = 0;

	(void)state;
	assert_int_equal(refusals_new(&r), ERR_OK);
	for (int i = 0; i < 1000; i++) {
		struct refusal_key k = key_of(7);

		snprintf(k.calling_ae, sizeof(k.calling_ae), "X%d", i);
		refusals_merge(r, &k);
		assert_string_equal(k.address, "10.0.0.7");
		fresh += refusals_note(r, &k, 100, on_report, &s);
	}
	assert_int_equal(fresh, REFUSAL_NAMES + 1);
	for (int i = 0; i < 1000; i++) {
		struct refusal_key k = key_of(1000 + i);

		refusals_merge(r, &k);
		fresh += refusals_note(r, &k, 100, on_report, &s);
	}
	assert_int_equal(fresh, REFUSAL_TABLE + 1);
	assert_int_equal(s.calls, 0);
	refusals_free(r);
}

static int setup(void **state)
{
	(void)state;
	cfg = load(text);
	return limits_new(cfg, 0, &l) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	limits_free(l);
	config_free(cfg);
	cfg = NULL;
	l = NULL;
	return 0;
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bucket_starts_full_and_refills_evenly),
	    cmocka_unit_test(a_clock_that_goes_back_gives_nothing),
	    cmocka_unit_test(the_largest_rate_does_not_overflow),
	    cmocka_unit_test(without_a_rate_nothing_is_refused),
	    FRESH(a_listener_is_full_at_its_limit),
	    FRESH(a_device_is_full_at_its_limit_over_all_listeners),
	    FRESH(a_device_may_not_be_too_fast),
	    cmocka_unit_test(a_changed_rate_keeps_the_share_of_tokens),
	    FRESH(a_reload_brings_other_limits),
	    FRESH(handshakes_have_a_rate_of_their_own),
	    cmocka_unit_test(every_verdict_has_words),
	    FRESH(threads_may_share_the_counters),
	    cmocka_unit_test(repeats_become_counts),
	    cmocka_unit_test(a_window_that_ended_reports_before_the_next),
	    cmocka_unit_test(a_full_table_drops_the_oldest_and_says_so),
	    cmocka_unit_test(names_and_addresses_that_change_become_one_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
