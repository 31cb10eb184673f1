/* Token buckets and the tree of limits, with a clock made by hand. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/bucket.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/shaper.h"
#include "tests/unit/shaper_world.h"

/* ---- the bucket -------------------------------------------------------- */

static void a_bucket_is_exact(void **state)
{
	struct bucket b = {.at_ns = 5};

	(void)state;
	bucket_set(&b, 8 * KBIT, 1000, 10); /* a byte a millisecond */
	assert_int_equal(bucket_level(&b), 0);
	assert_int_equal(bucket_wait(&b, 3), 3 * MS);
	bucket_refill(&b, 10 + 3 * MS - 1);
	assert_int_equal(bucket_level(&b), 2);
	assert_int_equal(bucket_wait(&b, 3), 1);
	bucket_refill(&b, 10 + 3 * MS);
	assert_int_equal(bucket_level(&b), 3);
	bucket_take(&b, 5);
	assert_int_equal(bucket_level(&b), -2);
	assert_int_equal(bucket_wait(&b, 0), 2 * MS);
	bucket_refill(&b, 7); /* a clock that goes back */
	assert_int_equal(bucket_level(&b), -2);
	bucket_refill(&b, UINT64_MAX);
	assert_int_equal(bucket_level(&b), 1000);
	assert_int_equal(bucket_wait(&b, 1001), 1 * MS);
	assert_int_equal(bucket_wait(&b, INT64_MAX),
			 (BUCKET_WAIT_MAX - 1000) * MS);
	bucket_put(&b, UINT64_MAX);
	assert_int_equal(bucket_level(&b), 1000);
	bucket_take(&b, UINT64_MAX);
	assert_int_equal(bucket_level(&b), -1000);
}

static void a_bucket_survives_the_largest_numbers(void **state)
{
	struct bucket b = {.at_ns = 0};

	(void)state;
	bucket_set(&b, UINT64_MAX, UINT64_MAX, 1);
	assert_int_equal(b.rate, BUCKET_RATE_MAX);
	bucket_refill(&b, 2);
	assert_int_equal(bucket_level(&b), 125);
	bucket_refill(&b, UINT64_MAX);
	assert_int_equal(bucket_level(&b), BUCKET_BURST_MAX);
	bucket_take(&b, UINT64_MAX);
	assert_int_equal(bucket_level(&b), -BUCKET_BURST_MAX);
	bucket_set(&b, 1, 100, UINT64_MAX);
	assert_int_equal(bucket_level(&b), -100);
	assert_true(bucket_wait(&b, 100) == 1600 * S);
	assert_true(bucket_wait(&b, INT64_MAX) > 1600 * S);
}

/* ---- rates ------------------------------------------------------------- */

/* Who is behind so many others that their needs are more than the burst still
 * comes at its time, and not only when it has slept as long as it may. */
static void a_queue_longer_than_the_burst_is_no_brake(void **state)
{
	(void)state;
	world_limit(SHAPER_TOTAL, 0, 50 * MBIT, 40 * KIB);
	world_judge_by(50 * MBIT, 40 * KIB);
	for (size_t i = 0; i < 8; i++)
		world_add(SHAPER_BULK, i % 3, i % 4);
	world_run(10 * S);
	world_about(w.sent, 50 * MBIT, 10, 10);
	world_within_burst();
}

static void a_limit_is_kept_within_three_percent(void **state)
{
	static const uint64_t rates[] = {MBIT,      2500 * KBIT, 10 * MBIT,
					 50 * MBIT, 200 * MBIT,  600 * MBIT,
					 GBIT};
	static const size_t counts[] = {1, 4, 16};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
			assert_int_equal(world_end(NULL) + world_begin(NULL),
					 0);
			world_limit(SHAPER_TOTAL, 0, rates[i],
				    world_burst_of(rates[i]));
			world_judge_by(rates[i], world_burst_of(rates[i]));
			for (size_t n = 0; n < counts[k]; n++)
				world_add(SHAPER_BULK, n % 3, n % 4);
			world_run(10 * S);
			world_about(w.sent, rates[i], 10, 3);
			world_within_burst();
		}
	}
}

static void a_configured_burst_is_never_exceeded(void **state)
{
	(void)state;
	world_limit(SHAPER_DESTINATION, 0, 20 * MBIT, 100 * KIB);
	world_judge_by(20 * MBIT, 100 * KIB);
	for (int i = 0; i < 3; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE);
	world_add(SHAPER_URGENT, 0, SHAPER_NONE)->pause_ns = 50 * MS;
	for (int i = 0; i < 20; i++) {
		world_run(300 * MS);
		for (size_t n = 0; n < w.n; n++) /* quiet: credit gathers */
			w.actors[n].wake_ns = w.now_ns + S;
		world_run(S);
	}
	world_within_burst();
	/* and it is made use of */
	assert_true(w.judge.most > 90 * KIB);
}

static void senders_share_alike(void **state)
{
	(void)state;
	world_limit(SHAPER_TOTAL, 0, 100 * MBIT, 256 * KIB);
	for (int i = 0; i < 16; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE);
	world_run(10 * S);
	for (size_t i = 0; i < w.n; i++)
		world_about(w.actors[i].sent, 100 * MBIT / 16, 10, 15);
}

static void small_wants_are_kept_to_the_limit_too(void **state)
{
	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	world_judge_by(10 * MBIT, 64 * KIB);
	for (int i = 0; i < 4; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE)->want = 500;
	world_run(10 * S);
	world_about(w.sent, 10 * MBIT, 10, 3);
	world_within_burst();
}

/* ---- the tree ---------------------------------------------------------- */

static void every_level_limits(void **state)
{
	struct actor *slow, *other, *free_;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 100 * MBIT, 256 * KIB);
	world_limit(SHAPER_DESTINATION, 0, 30 * MBIT, 256 * KIB);
	world_limit(SHAPER_DEVICE, 1, 10 * MBIT, 64 * KIB);
	slow = world_add(SHAPER_BULK, 0, 1);
	other = world_add(SHAPER_BULK, 0, 2);
	free_ = world_add(SHAPER_BULK, 1, 3);
	world_run(10 * S);
	world_about(slow->sent, 10 * MBIT, 10, 3);
	world_about(other->sent, 20 * MBIT, 10, 3);
	/* what the others cannot use is not lost */
	world_about(free_->sent, 70 * MBIT, 10, 3);
	assert_int_equal(shaper_passed(w.shaper, SHAPER_OUT, SHAPER_TOTAL, 0),
			 w.sent);
	assert_int_equal(shaper_passed(w.shaper, SHAPER_OUT, SHAPER_DEVICE, 1),
			 slow->sent);
}

static void a_device_has_one_limit_for_all_destinations(void **state)
{
	(void)state;
	world_limit(SHAPER_DEVICE, 2, 10 * MBIT, 64 * KIB);
	world_add(SHAPER_BULK, 0, 2);
	world_add(SHAPER_BULK, 1, 2);
	world_add(SHAPER_URGENT, 2, 2);
	world_run(10 * S);
	world_about(w.sent, 10 * MBIT, 10, 3);
}

static void the_ways_do_not_disturb_each_other(void **state)
{
	struct actor *out, *in;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	out = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	in = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	shaper_join(&in->client, w.shaper, SHAPER_IN, 0, SHAPER_NONE);
	world_run(10 * S);
	world_about(out->sent, 10 * MBIT, 10, 3);
	world_about(in->sent, 10 * MBIT, 10, 3);
}

/* ---- changes ----------------------------------------------------------- */

static void a_change_of_limit_takes_effect_at_once(void **state)
{
	uint64_t sent;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, MBIT, 64 * KIB);
	for (int i = 0; i < 16; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE);
	world_run(5 * S);
	world_about(w.sent, MBIT, 5, 6);
	sent = w.sent;
	world_limit(SHAPER_TOTAL, 0, 200 * MBIT, world_burst_of(200 * MBIT));
	world_run(200 * MS);
	/* nobody sleeps longer than 25 ms over it */
	assert_true(w.sent - sent > 200 * MBIT / 8 / 1000 * 165);
	world_limit(SHAPER_TOTAL, 0, 2 * MBIT, 64 * KIB);
	world_judge_by(2 * MBIT, 64 * KIB);
	world_run(10 * S);
	world_within_burst();
	sent = w.sent;
	world_limit(SHAPER_TOTAL, 0, 0, 0);
	w.actors[0].pause_ns = MS;
	for (size_t i = 1; i < w.n; i++)
		w.actors[i].pause_ns = MS;
	world_run(50 * MS);
	assert_true(w.sent - sent > 16 * 20 * 1024 * KIB);
	/* and from no limit to one: without a burst on top */
	world_limit(SHAPER_TOTAL, 0, 2 * MBIT, 64 * KIB);
	world_judge_by(2 * MBIT, 64 * KIB);
	sent = w.sent;
	world_run(10 * S);
	world_within_burst();
	world_about(w.sent - sent, 2 * MBIT, 10, 3);
}

/* ---- classes ----------------------------------------------------------- */

static void what_is_urgent_overtakes(void **state)
{
	struct actor *stat;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 256 * KIB);
	world_judge_by(10 * MBIT, 256 * KIB);
	for (int i = 0; i < 16; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE);
	world_run(2 * S);
	stat = world_add(SHAPER_URGENT, 0, SHAPER_NONE);
	stat->want = SHAPER_FRAME;
	stat->pause_ns = 100 * MS; /* a tenth of the line */
	world_run(10 * S);
	/* its frames find the reserve: they do not wait at all */
	assert_true(stat->longest_ns <= 2 * MS);
	assert_true(stat->sent >= 95 * SHAPER_FRAME);
	stat->pause_ns = 0; /* and now as much as it can get */
	stat->sent = 0;
	world_run(10 * S);
	assert_true(stat->sent > 10 * MBIT / 8 * 10 / 100 * 85);
	world_about(w.sent, 10 * MBIT, 22, 3);
	world_within_burst();
}

static void urgent_traffic_does_not_starve_bulk(void **state)
{
	struct actor *bulk[3];

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	world_judge_by(10 * MBIT, 128 * KIB);
	for (int i = 0; i < 8; i++)
		world_add(SHAPER_URGENT, 0, SHAPER_NONE);
	for (int i = 0; i < 3; i++)
		bulk[i] = world_add(SHAPER_BULK, 1, SHAPER_NONE);
	world_run(20 * S);
	for (int i = 0; i < 3; i++)
		assert_true(bulk[i]->sent > 10 * MBIT / 8 * 20 / 17 / 4);
	world_about(w.sent, 10 * MBIT, 20, 3);
	world_within_burst();
}

static void live_traffic_is_counted_and_never_waits(void **state)
{
	struct actor *live, *bulk;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	bulk = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	live = world_add(SHAPER_LIVE, 0, SHAPER_NONE);
	live->want = 7500; /* 6 Mbit/s */
	live->pause_ns = 10 * MS;
	world_run(20 * S);
	assert_int_equal(live->longest_ns, 0);
	world_about(live->sent + bulk->sent, 10 * MBIT, 20, 3);
	assert_true(bulk->sent > 10 * MBIT / 8 * 20 / 100 * 38);
}

static void live_traffic_beyond_the_limit_does_not_starve_others(void **state)
{
	struct actor *live, *bulk;
	uint64_t sent;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	bulk = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	live = world_add(SHAPER_LIVE, 0, SHAPER_NONE);
	live->want = 25000; /* 20 Mbit/s */
	live->pause_ns = 10 * MS;
	world_run(20 * S);
	assert_true(bulk->sent > 10 * MBIT / 8 * 20 / 24);
	assert_true(bulk->sent < 10 * MBIT / 8 * 20 / 14);
	/* its debt is no more than a burst */
	live->pause_ns = 1000 * S;
	world_run(200 * MS);
	sent = bulk->sent;
	world_run(2 * S);
	world_about(bulk->sent - sent, 10 * MBIT, 2, 3);
}

/* ---- odds and ends ----------------------------------------------------- */

static void without_a_limit_nothing_is_asked(void **state)
{
	struct shaper_client none = {.shaper = NULL};
	uint64_t wait = 1;

	(void)state;
	assert_false(shaper_is_limited(&none));
	assert_int_equal(shaper_take(&none, SHAPER_BULK, 1 << 30, 1, &wait),
			 1 << 30);
	assert_int_equal(wait, 0);
	assert_int_equal(shaper_count(&none, 1 << 30, 1), 0);
	shaper_return(&none, 5);
	shaper_leave(&none);
	world_add(SHAPER_BULK, 0, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
	world_limit(SHAPER_DESTINATION, 1, MBIT, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
	world_limit(SHAPER_DEVICE, 0, MBIT, 0);
	assert_true(shaper_is_limited(&w.actors[0].client));
	world_limit(SHAPER_DEVICE, 0, 0, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
}

static void who_does_not_come_back_holds_nobody_up(void **state)
{
	struct actor *gone, *left, *here;
	uint64_t wait;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, MBIT, 32 * KIB);
	gone = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	left = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	here = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	assert_int_equal(
	    shaper_take(&gone->client, SHAPER_URGENT, 1 << 20, w.now_ns, &wait),
	    0);
	assert_int_equal(
	    shaper_take(&left->client, SHAPER_URGENT, 1 << 20, w.now_ns, &wait),
	    0);
	shaper_leave(&left->client);
	shaper_leave(&left->client);
	gone->wake_ns = left->wake_ns = UINT64_MAX;
	world_run(10 * S);
	world_about(here->sent, MBIT, 10, 6);
}

static void what_was_not_sent_can_be_returned(void **state)
{
	struct actor *a;
	uint64_t wait;
	size_t n;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	a = world_add(SHAPER_URGENT, 0, SHAPER_NONE);
	w.now_ns += S;
	n = shaper_take(&a->client, SHAPER_URGENT, SHAPER_FRAME, w.now_ns,
			&wait);
	assert_int_equal(n, SHAPER_FRAME);
	shaper_return(&a->client, n);
	for (int i = 0; i < 4; i++)
		assert_int_equal(shaper_take(&a->client, SHAPER_URGENT,
					     SHAPER_FRAME, w.now_ns, &wait),
				 SHAPER_FRAME);
	assert_int_equal(shaper_take(&a->client, SHAPER_URGENT, SHAPER_FRAME,
				     w.now_ns, &wait),
			 0);
}

static void a_grant_is_a_slice_at_most(void **state)
{
	struct actor *a;
	uint64_t wait;

	(void)state;
	world_limit(SHAPER_TOTAL, 0, 80 * MBIT, 1024 * KIB);
	world_limit(SHAPER_DESTINATION, 0, GBIT, 1024 * KIB);
	a = world_add(SHAPER_BULK, 0, SHAPER_NONE);
	w.now_ns += S;
	/* 10 ms of the slower one */
	assert_int_equal(
	    shaper_take(&a->client, SHAPER_BULK, 1 << 20, w.now_ns, &wait),
	    100000);
	world_limit(SHAPER_TOTAL, 0, MBIT, 1024 * KIB);
	assert_int_equal(
	    shaper_take(&a->client, SHAPER_BULK, 1 << 20, w.now_ns, &wait),
	    SHAPER_FRAME);
}

static void the_largest_reserve_leaves_room_for_a_frame(void **state)
{
	struct shaper_limit l = {MBIT, 1, 100};

	(void)state;
	assert_true(shaper_set(w.shaper, SHAPER_TOTAL, 0, l, w.now_ns));
	assert_false(shaper_set(w.shaper, SHAPER_TOTAL, 0, l, w.now_ns));
	world_add(SHAPER_BULK, 0, SHAPER_NONE);
	world_run(20 * S);
	world_about(w.sent, MBIT, 20, 3);
}

static void bulk_does_not_take_what_urgent_waits_for(void **state)
{
	struct actor *stat;

	(void)state;
	(void)shaper_set(w.shaper, SHAPER_TOTAL, 0,
			 (struct shaper_limit){MBIT, 64 * KIB, 0}, w.now_ns);
	for (int i = 0; i < 8; i++)
		world_add(SHAPER_BULK, 0, SHAPER_NONE)->want = 1000;
	stat = world_add(SHAPER_URGENT, 0, SHAPER_NONE);
	stat->want = SHAPER_FRAME;
	stat->pause_ns = 500 * MS;
	world_run(20 * S);
	/* a frame takes 131 ms */
	assert_true(stat->longest_ns < 160 * MS);
	assert_true(stat->sent > 25 * SHAPER_FRAME);
}

/* Reading 256 KiB at a time, as fast as it is let. */
static void a_reader_is_held_to_the_limit(void **state)
{
	struct shaper_client c;
	uint64_t came = 0, until;

	(void)state;
	world_limit(SHAPER_DEVICE, 3, 20 * MBIT, 64 * KIB);
	shaper_join(&c, w.shaper, SHAPER_IN, SHAPER_NONE, 3);
	until = w.now_ns + 10 * S;
	while (w.now_ns < until) {
		uint64_t wait = shaper_count(&c, 256 * KIB, w.now_ns);

		came += 256 * KIB;
		while (wait > 0) {
			w.now_ns += (wait + MS - 1) / MS * MS;
			wait = shaper_count(&c, 0, w.now_ns);
		}
	}
	world_about(came, 20 * MBIT, 10, 3);
}

static void *sender_thread(void *arg)
{
	struct actor *a = arg;
	uint64_t end_ns = a->wake_ns, wait, now;

	while ((now = clock_mono_ns()) < end_ns) {
		size_t n =
		    shaper_take(&a->client, a->class_, a->want, now, &wait);

		a->sent += n;
		if (n == 0)
			(void)usleep((useconds_t)(wait / 1000 + 1));
	}
	shaper_leave(&a->client);
	return NULL;
}

static void threads_share_one_limit(void **state)
{
	pthread_t threads[4];
	uint64_t begun = clock_mono_ns(), sent = 0, took;

	(void)state;
	w.now_ns = begun;
	world_limit(SHAPER_TOTAL, 0, 400 * MBIT, 1024 * KIB);
	for (size_t i = 0; i < 4; i++) {
		world_add(i == 0 ? SHAPER_URGENT : SHAPER_BULK, i % 3, i);
		w.actors[i].wake_ns = begun + 300 * MS;
		assert_int_equal(pthread_create(&threads[i], NULL,
						sender_thread, &w.actors[i]),
				 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		sent += w.actors[i].sent;
	}
	took = clock_mono_ns() - begun;
	assert_true((double)sent <=
		    (double)took * 1e-9 * 50e6 + 1024 * KIB + 1);
	assert_true(sent > 1024 * KIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_A_WORLD(test)                                                       \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end)
	    cmocka_unit_test(a_bucket_is_exact),
	    cmocka_unit_test(a_bucket_survives_the_largest_numbers),
	    IN_A_WORLD(a_limit_is_kept_within_three_percent),
	    IN_A_WORLD(a_queue_longer_than_the_burst_is_no_brake),
	    IN_A_WORLD(a_configured_burst_is_never_exceeded),
	    IN_A_WORLD(senders_share_alike),
	    IN_A_WORLD(small_wants_are_kept_to_the_limit_too),
	    IN_A_WORLD(every_level_limits),
	    IN_A_WORLD(a_device_has_one_limit_for_all_destinations),
	    IN_A_WORLD(the_ways_do_not_disturb_each_other),
	    IN_A_WORLD(a_change_of_limit_takes_effect_at_once),
	    IN_A_WORLD(what_is_urgent_overtakes),
	    IN_A_WORLD(urgent_traffic_does_not_starve_bulk),
	    IN_A_WORLD(live_traffic_is_counted_and_never_waits),
	    IN_A_WORLD(live_traffic_beyond_the_limit_does_not_starve_others),
	    IN_A_WORLD(without_a_limit_nothing_is_asked),
	    IN_A_WORLD(who_does_not_come_back_holds_nobody_up),
	    IN_A_WORLD(what_was_not_sent_can_be_returned),
	    IN_A_WORLD(a_grant_is_a_slice_at_most),
	    IN_A_WORLD(the_largest_reserve_leaves_room_for_a_frame),
	    IN_A_WORLD(bulk_does_not_take_what_urgent_waits_for),
	    IN_A_WORLD(a_reader_is_held_to_the_limit),
	    IN_A_WORLD(threads_share_one_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
