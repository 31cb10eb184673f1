#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "tests/unit/delivery_kit.h"

#define MIB ((size_t)1024 * 1024)

#define DEST(name, associations, more)                                         \
	"  " name ": {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"       \
	"      plaintext: {allowed: test}, associations: " associations ",\n"  \
	"      timeouts: {connect: 9s, associate: 9s, idle: 1s, " more "},\n"  \
	"      cut_through: 2MiB,\n"                                           \
	"      retry: {first: 100ms, max: 200ms, probe: 300ms}}\n"

static const char usual[] = "destinations:\n" DEST("a", "3", "response: 9s")
    DEST("b", "3", "response: 9s") "routes: [{service: storage, forward: [a, "
				   "b]}]\n";
static const char narrow[] = "destinations:\n" DEST(
    "a", "1", "response: 9s") "routes: [{service: storage, forward: [a]}]\n";
static const char hasty[] = "destinations:\n" DEST(
    "a", "3", "response: 400ms") "routes: [{service: storage, forward: [a]}]\n";

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_close(*state);
	free(*state);
	return 0;
}

/* The ledger counts n in this state. */
#define UNTIL_COUNT(k, dest, state, n)                                         \
	KIT_UNTIL(k, kit_count(k, dest, state) == (n))

static struct destination_status status_of(struct kit *k, size_t i)
{
	struct destination_status st;

	assert_true(scheduler_status(k->scheduler, i, &st));
	return st;
}

/* Begun, n MiB of it here, and on its way: the spool keeps a full chunk until
 * another follows, and the sender the last one that is durable. */
static struct kit_slow *flying(struct kit *k, const struct kit_instance *i,
			       size_t n)
{
	struct kit_slow *s = kit_begin(k, i);

	kit_come(s, n * MIB);
	KIT_UNTIL(k, k->scp[0].data_bytes == (n - 2) * MIB);
	return s;
}

/* The scp's ith has the bytes of the nth that was put. */
static void assert_bytes(struct fake_scp *f, size_t i, unsigned n, size_t len)
{
	size_t kept = len < 4 * MIB ? len : 4 * MIB;

	assert_int_equal(f->stores[i].length, len);
	for (size_t at = 0; at < kept && f->stores[i].bytes != NULL; at++)
		if (f->stores[i].bytes[at] != kit_byte(n, at))
			fail_msg("byte %zu differs", at);
}

/* ---- going well -------------------------------------------------------- */

static void it_travels_while_it_comes_but_for_its_last_chunk(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;
	unsigned n;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	kit_come(s, 3 * MIB); /* six chunks, each of them full */
	KIT_UNTIL(k, k->scp[0].data_bytes == 4 * MIB);
	kit_for(k, 300);
	assert_int_equal(k->scp[0].data_bytes, 4 * MIB);
	assert_int_equal(k->scp[0].n_stores, 0);
	assert_int_equal(kit_count(k, "a", DELIVERY_QUEUED), 0);
	n = kit_whole(s); /* the chunk held back was the last one */
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_int_equal(k->scp[0].n_stores, 1);
	assert_int_equal(k->scp[0].data_bytes, 6 * MIB);
	assert_bytes(&k->scp[0], 0, n, 6 * MIB);
	assert_int_equal(k->scp[0].aborts, 0);
	KIT_UNTIL(k, status_of(k, 0).delivered == 1);
	assert_int_equal(status_of(k, 0).failures, 0);
	assert_int_equal(status_of(k, 0).in_flight, 0);
	assert_int_equal(k->early.n, 0);
}

static void an_odd_end_comes_with_the_rest(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;
	unsigned n;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){.to = {"a", "b"}}, 3);
	kit_come(s, 777);
	n = kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	UNTIL_COUNT(k, "b", DELIVERY_DELIVERED, 1);
	assert_bytes(&k->scp[0], 0, n, 3 * MIB + 777);
	assert_bytes(&k->scp[1], 0, n, 3 * MIB + 777);
	assert_int_equal(k->scp[0].n_stores + k->scp[1].n_stores, 2);
}

static void one_after_the_other_each_travels_early(void **state)
{
	struct kit *k = *state;

	kit_config(k, usual);
	kit_schedule(k);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before = k->scp[0].data_bytes;
		struct kit_slow *s = kit_begin(k, &(struct kit_instance){0});

		kit_come(s, 3 * MIB);
		KIT_UNTIL(k, k->scp[0].data_bytes >= before + MIB);
		(void)kit_whole(s);
	}
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 4);
	assert_int_equal(k->scp[0].n_stores, 4);
	assert_int_equal(k->scp[0].aborts, 0);
}

/* Told of and whole before the main loop has looked. */
static void whole_before_a_line_is_free_it_goes_as_ever(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;

	kit_config(k, usual);
	kit_schedule(k);
	s = kit_begin(k, &(struct kit_instance){0});
	kit_come(s, 3 * MIB);
	(void)kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_int_equal(k->scp[0].n_stores, 1);
	assert_int_equal(k->scp[0].data_bytes, 3 * MIB);
}

/* ---- withdrawn --------------------------------------------------------- */

static void what_breaks_off_is_aborted_and_forgotten(void **state)
{
	struct kit *k = *state;

	kit_config(k, usual);
	kit_schedule(k);
	kit_broken(flying(k, &(struct kit_instance){0}, 3));
	KIT_UNTIL(k, k->scp[0].aborts == 1);
	KIT_UNTIL(k, status_of(k, 0).in_flight == 0);
	assert_int_equal(k->scp[0].n_stores, 0);
	assert_int_equal(status_of(k, 0).failures, 0);
	assert_int_equal(k->early.n, 0);
	kit_put(k, &(struct kit_instance){0}, NULL);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_int_equal(k->scp[0].n_stores, 1);
}

static void a_pause_longer_than_a_response_may_take_ends_it(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;
	uint64_t began;

	kit_config(k, hasty);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	began = clock_mono_ns();
	KIT_UNTIL(k, k->scp[0].aborts == 1);
	assert_true(clock_mono_ns() - began < UINT64_C(2000000000));
	kit_come(s, MIB);
	(void)kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_int_equal(k->scp[0].n_stores, 1);
	assert_int_equal(status_of(k, 0).failures, 0);
}

static void it_gives_way_to_what_is_whole(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;
	unsigned small;

	kit_config(k, narrow);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	small = kit_put(k, &(struct kit_instance){0}, NULL);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_bytes(&k->scp[0], 0, small, 1000);
	assert_int_equal(k->scp[0].aborts, 1);
	kit_come(s, 2 * MIB); /* and does not try again */
	kit_for(k, 200);
	assert_int_equal(k->scp[0].n_stores, 1);
	(void)kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 2);
	assert_int_equal(status_of(k, 0).failures, 0);
}

static void with_lines_to_spare_it_stays(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	for (unsigned i = 1; i <= 20; i++) {
		kit_put(k, &(struct kit_instance){0}, NULL);
		UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, i);
	}
	assert_int_equal(k->scp[0].aborts, 0);
	(void)kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 21);
	assert_int_equal(k->scp[0].data_bytes, 3 * MIB + 20 * 1000);
}

/* ---- order ------------------------------------------------------------- */

static void an_earlier_one_of_its_uid_is_sent_before_it(void **state)
{
	struct kit *k = *state;
	struct kit_instance same = {.sop_instance = "1.2.77"};
	struct kit_slow *s;
	unsigned first, last;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &same, 3);
	first = kit_put(k, &same, NULL);
	last = kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 2);
	assert_bytes(&k->scp[0], 0, first, 1000);
	assert_bytes(&k->scp[0], 1, last, 3 * MIB);
	assert_int_equal(k->scp[0].at_once, 1);
}

static void a_later_one_of_its_uid_waits_for_it(void **state)
{
	struct kit *k = *state;
	struct kit_instance same = {.sop_instance = "1.2.77"};
	struct kit_slow *s;
	unsigned first, last;

	k->scp[0].delay_ms = 200;
	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &same, 3);
	first = kit_whole(s);
	last = kit_put(k, &same, NULL);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 2);
	assert_bytes(&k->scp[0], 0, first, 3 * MIB);
	assert_bytes(&k->scp[0], 1, last, 1000);
	assert_int_equal(k->scp[0].at_once, 1);
}

static void two_of_one_uid_that_come_together_never_meet(void **state)
{
	struct kit *k = *state;
	struct kit_instance same = {.sop_instance = "1.2.77"};
	struct kit_slow *s, *t;
	unsigned first, last;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &same, 3);
	t = kit_begin(k, &same);
	kit_come(t, 4 * MIB);
	kit_for(k, 100);
	first = kit_whole(t); /* the one that does not fly */
	last = kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 2);
	assert_bytes(&k->scp[0], 0, first, 4 * MIB);
	assert_bytes(&k->scp[0], 1, last, 3 * MIB);
	assert_int_equal(k->scp[0].at_once, 1);
}

/* ---- answers ----------------------------------------------------------- */

static void the_verdict_is_that_of_the_delivery(void **state)
{
	struct kit *k = *state;

	kit_config(k, usual);
	k->scp[0].status = 0xa700;
	kit_schedule(k);
	(void)kit_whole(flying(k, &(struct kit_instance){0}, 3));
	KIT_UNTIL(k, status_of(k, 0).failures >= 1);
	assert_int_equal(kit_count(k, "a", DELIVERY_DELIVERED), 0);
	k->scp[0].status = 0;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
}

static void a_refused_context_is_held_when_it_is_whole(void **state)
{
	struct kit *k = *state;
	struct kit_instance i = {.sop_class = "1.2.840.10008.5.1.4.1.1.2"};
	struct kit_slow *s;

	strcpy(k->scp[0].refuse_class, i.sop_class);
	k->scp[0].refuse = true;
	kit_config(k, usual);
	kit_schedule(k);
	s = kit_begin(k, &i);
	kit_come(s, 3 * MIB);
	kit_for(k, 300);
	assert_int_equal(status_of(k, 0).failures, 0);
	assert_int_equal(k->scp[0].data_bytes, 0);
	(void)kit_whole(s);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_HELD);
	k->scp[0].refuse = false;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
}

static void an_archive_that_is_away_gets_it_when_it_is_back(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;

	kit_config(k, usual);
	fake_stop(&k->scp[0]);
	kit_schedule(k);
	s = kit_begin(k, &(struct kit_instance){0});
	kit_come(s, 3 * MIB);
	kit_for(k, 300);
	(void)kit_whole(s);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_BACKOFF);
	fake_start(&k->scp[0], k->scp[0].port);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
}

static void a_line_that_breaks_in_the_middle_costs_nothing(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	fake_stop(&k->scp[0]);
	KIT_UNTIL(k, status_of(k, 0).in_flight == 0);
	assert_int_equal(status_of(k, 0).failures, 0);
	fake_start(&k->scp[0], k->scp[0].port);
	(void)kit_whole(s);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
}

/* ---- orders and the end ------------------------------------------------ */

static void on_order(void *arg, enum err e, uint64_t n)
{
	(void)n;
	assert_int_equal(e, ERR_OK);
	*(bool *)arg = true;
}

static void a_hold_of_the_destination_calls_it_back(void **state)
{
	struct kit *k = *state;
	bool done = false;
	struct kit_slow *s;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	scheduler_hold(k->scheduler,
		       (struct scheduler_scope){.destination = "a"}, on_order,
		       &done);
	KIT_UNTIL(k, done && k->scp[0].aborts == 1);
	(void)kit_whole(s);
	kit_barrier(k);
	kit_for(k, 200);
	assert_int_equal(k->scp[0].n_stores, 0);
	done = false;
	scheduler_release(k->scheduler,
			  (struct scheduler_scope){.destination = "a"},
			  on_order, &done);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_true(done);
}

static void a_stop_ends_it_and_the_next_start_sends_it(void **state)
{
	struct kit *k = *state;
	struct kit_slow *s;

	kit_config(k, usual);
	kit_schedule(k);
	s = flying(k, &(struct kit_instance){0}, 3);
	kit_unschedule(k);
	assert_int_equal(k->scp[0].n_stores, 0);
	assert_int_equal(k->scp[0].aborts, 1);
	kit_come(s, MIB);
	(void)kit_whole(s);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	assert_int_equal(k->scp[0].n_stores, 1);
}

/* ---- the desk ---------------------------------------------------------- */

static void no_more_are_told_of_than_fit(void **state)
{
	enum { N = EARLY_MAX + 10 };
	struct kit *k = *state;
	struct instance in = {.n_destinations = 1, .destinations = {"a"}};
	struct transfer_id id = {{0}};
	struct early *e[N] = {NULL};

	kit_config(k, usual);
	assert_int_equal(early_next(k->config, &in, 0), 2 * MIB);
	assert_true(early_next(k->config, &in, 2 * MIB) == UINT64_MAX);
	for (unsigned i = 0; i < N; i++)
		early_tell(&k->early, &e[i], &in, &id, 0, 2 * MIB);
	for (unsigned i = 0; i < N; i++) {
		assert_true((e[i] != NULL) == (i < EARLY_MAX));
		early_end(&e[i], i % 2 == 0);
		assert_null(e[i]);
		early_end(&e[i], true);
	}
	KIT_UNTIL(k, k->early.n == 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(it_travels_while_it_comes_but_for_its_last_chunk),
	    T(an_odd_end_comes_with_the_rest),
	    T(one_after_the_other_each_travels_early),
	    T(whole_before_a_line_is_free_it_goes_as_ever),
	    T(what_breaks_off_is_aborted_and_forgotten),
	    T(a_pause_longer_than_a_response_may_take_ends_it),
	    T(it_gives_way_to_what_is_whole),
	    T(with_lines_to_spare_it_stays),
	    T(an_earlier_one_of_its_uid_is_sent_before_it),
	    T(a_later_one_of_its_uid_waits_for_it),
	    T(two_of_one_uid_that_come_together_never_meet),
	    T(the_verdict_is_that_of_the_delivery),
	    T(a_refused_context_is_held_when_it_is_whole),
	    T(an_archive_that_is_away_gets_it_when_it_is_back),
	    T(a_line_that_breaks_in_the_middle_costs_nothing),
	    T(a_hold_of_the_destination_calls_it_back),
	    T(a_stop_ends_it_and_the_next_start_sends_it),
	    T(no_more_are_told_of_than_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
