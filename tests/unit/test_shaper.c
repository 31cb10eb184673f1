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

#define MS    1000000ull
#define S     1000000000ull
#define KBIT  1000ull
#define MBIT  1000000ull
#define GBIT  1000000000ull
#define START (77 * S + 12345)

enum { KIB = 1024, ACTORS_MAX = 32 };

/* ---- a world of senders ------------------------------------------------ */

/* Somebody who has always more to send, and sleeps in whole milliseconds. */
struct actor {
	struct shaper_client client;
	enum shaper_class class_;
	size_t want;
	uint64_t wake_ns;
	uint64_t pause_ns; /* after each grant; 0: asks on at once */
	uint64_t sent;
	uint64_t longest_ns; /* from asking to the grant */
	uint64_t asked_ns;   /* 0: does not wait */
};

/* No more than rate * t + burst, in any stretch of time. */
struct judge {
	double rate, burst; /* bytes, a second */
	double level, most;
	uint64_t at_ns;
};

static struct {
	struct shaper *shaper;
	struct actor actors[ACTORS_MAX];
	size_t n;
	uint64_t now_ns;
	uint64_t sent;
	struct judge judge;
	unsigned random;
} w;

static unsigned next_random(void)
{
	w.random = w.random * 1103515245u + 12345u;
	return w.random >> 16;
}

static void judge_by(uint64_t rate, uint64_t burst)
{
	w.judge = (struct judge){.rate = (double)rate / 8,
				 .burst = (double)burst,
				 .at_ns = w.now_ns};
}

static void judge_sent(uint64_t n)
{
	struct judge *j = &w.judge;

	j->level -= (double)(w.now_ns - j->at_ns) * 1e-9 * j->rate;
	j->level = (j->level > 0 ? j->level : 0) + (double)n;
	j->at_ns = w.now_ns;
	j->most = j->level > j->most ? j->level : j->most;
}

static void within_burst(void)
{
	if (w.judge.most > w.judge.burst + 2)
		fail_msg("a burst of %.0f bytes, not %.0f", w.judge.most,
			 w.judge.burst);
}

static int begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_ns = START;
	w.random = 4711;
	return shaper_new(3, 4, &w.shaper) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	for (size_t i = 0; i < w.n; i++)
		shaper_leave(&w.actors[i].client);
	shaper_free(w.shaper);
	return 0;
}

static struct actor *add(enum shaper_class class_, size_t destination,
			 size_t device)
{
	struct actor *a = &w.actors[w.n++];

	*a = (struct actor){
	    .class_ = class_, .want = 1024 * KIB, .wake_ns = w.now_ns};
	shaper_join(&a->client, w.shaper, SHAPER_OUT, destination, device);
	return a;
}

static void limit(enum shaper_level level, size_t index, uint64_t rate,
		  uint64_t burst)
{
	(void)shaper_set(w.shaper, level, index,
			 (struct shaper_limit){rate, burst, 20}, w.now_ns);
}

/* One wakes up and sends what it may. */
static void act(struct actor *a)
{
	uint64_t wait;
	size_t n;

	do {
		if (a->asked_ns == 0)
			a->asked_ns = w.now_ns;
		n = shaper_take(&a->client, a->class_, a->want, w.now_ns,
				&wait);
		if (n == 0)
			break;
		assert_true(n <= a->want);
		if (w.now_ns - a->asked_ns > a->longest_ns)
			a->longest_ns = w.now_ns - a->asked_ns;
		a->asked_ns = 0;
		a->sent += n;
		w.sent += n;
		judge_sent(n);
		wait = a->pause_ns;
	} while (wait == 0);
	assert_true(n > 0 || wait > 0);
	assert_true(n > 0 || wait <= SHAPER_SLEEP_MS * MS);
	/* a loop's timer: whole milliseconds, and late now and then */
	a->wake_ns = w.now_ns + (wait + MS - 1) / MS * MS;
	if (next_random() % 8 == 0)
		a->wake_ns += next_random() % (2 * MS);
}

static void run_until(uint64_t until_ns)
{
	for (;;) {
		struct actor *first = &w.actors[0];

		for (size_t i = 1; i < w.n; i++)
			if (w.actors[i].wake_ns < first->wake_ns)
				first = &w.actors[i];
		if (first->wake_ns >= until_ns)
			break;
		w.now_ns = first->wake_ns;
		act(first);
	}
	w.now_ns = until_ns;
}

static void run(uint64_t ns)
{
	run_until(w.now_ns + ns);
}

static void about(uint64_t sent, uint64_t rate, double seconds, double percent)
{
	double want = (double)rate / 8 * seconds;
	double off = ((double)sent / want - 1) * 100;

	if (off > percent || off < -percent)
		fail_msg("%llu bytes, not %.0f: off by %.2f %%",
			 (unsigned long long)sent, want, off);
}

static uint64_t burst_of(uint64_t rate)
{
	uint64_t burst = rate / 8 / 50;

	return burst > 64 * KIB ? burst : 64 * KIB;
}

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
	limit(SHAPER_TOTAL, 0, 50 * MBIT, 40 * KIB);
	judge_by(50 * MBIT, 40 * KIB);
	for (size_t i = 0; i < 8; i++)
		add(SHAPER_BULK, i % 3, i % 4);
	run(10 * S);
	about(w.sent, 50 * MBIT, 10, 10);
	within_burst();
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
			assert_int_equal(end(NULL) + begin(NULL), 0);
			limit(SHAPER_TOTAL, 0, rates[i], burst_of(rates[i]));
			judge_by(rates[i], burst_of(rates[i]));
			for (size_t n = 0; n < counts[k]; n++)
				add(SHAPER_BULK, n % 3, n % 4);
			run(10 * S);
			about(w.sent, rates[i], 10, 3);
			within_burst();
		}
	}
}

static void a_configured_burst_is_never_exceeded(void **state)
{
	(void)state;
	limit(SHAPER_DESTINATION, 0, 20 * MBIT, 100 * KIB);
	judge_by(20 * MBIT, 100 * KIB);
	for (int i = 0; i < 3; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE);
	add(SHAPER_URGENT, 0, SHAPER_NONE)->pause_ns = 50 * MS;
	for (int i = 0; i < 20; i++) {
		run(300 * MS);
		for (size_t n = 0; n < w.n; n++) /* quiet: credit gathers */
			w.actors[n].wake_ns = w.now_ns + S;
		run(S);
	}
	within_burst();
	/* and it is made use of */
	assert_true(w.judge.most > 90 * KIB);
}

static void senders_share_alike(void **state)
{
	(void)state;
	limit(SHAPER_TOTAL, 0, 100 * MBIT, 256 * KIB);
	for (int i = 0; i < 16; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE);
	run(10 * S);
	for (size_t i = 0; i < w.n; i++)
		about(w.actors[i].sent, 100 * MBIT / 16, 10, 15);
}

static void small_wants_are_kept_to_the_limit_too(void **state)
{
	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	judge_by(10 * MBIT, 64 * KIB);
	for (int i = 0; i < 4; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE)->want = 500;
	run(10 * S);
	about(w.sent, 10 * MBIT, 10, 3);
	within_burst();
}

/* ---- the tree ---------------------------------------------------------- */

static void every_level_limits(void **state)
{
	struct actor *slow, *other, *free_;

	(void)state;
	limit(SHAPER_TOTAL, 0, 100 * MBIT, 256 * KIB);
	limit(SHAPER_DESTINATION, 0, 30 * MBIT, 256 * KIB);
	limit(SHAPER_DEVICE, 1, 10 * MBIT, 64 * KIB);
	slow = add(SHAPER_BULK, 0, 1);
	other = add(SHAPER_BULK, 0, 2);
	free_ = add(SHAPER_BULK, 1, 3);
	run(10 * S);
	about(slow->sent, 10 * MBIT, 10, 3);
	about(other->sent, 20 * MBIT, 10, 3);
	/* what the others cannot use is not lost */
	about(free_->sent, 70 * MBIT, 10, 3);
	assert_int_equal(shaper_passed(w.shaper, SHAPER_OUT, SHAPER_TOTAL, 0),
			 w.sent);
	assert_int_equal(shaper_passed(w.shaper, SHAPER_OUT, SHAPER_DEVICE, 1),
			 slow->sent);
}

static void a_device_has_one_limit_for_all_destinations(void **state)
{
	(void)state;
	limit(SHAPER_DEVICE, 2, 10 * MBIT, 64 * KIB);
	add(SHAPER_BULK, 0, 2);
	add(SHAPER_BULK, 1, 2);
	add(SHAPER_URGENT, 2, 2);
	run(10 * S);
	about(w.sent, 10 * MBIT, 10, 3);
}

static void the_ways_do_not_disturb_each_other(void **state)
{
	struct actor *out, *in;

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	out = add(SHAPER_BULK, 0, SHAPER_NONE);
	in = add(SHAPER_BULK, 0, SHAPER_NONE);
	shaper_join(&in->client, w.shaper, SHAPER_IN, 0, SHAPER_NONE);
	run(10 * S);
	about(out->sent, 10 * MBIT, 10, 3);
	about(in->sent, 10 * MBIT, 10, 3);
}

/* ---- changes ----------------------------------------------------------- */

static void a_change_of_limit_takes_effect_at_once(void **state)
{
	uint64_t sent;

	(void)state;
	limit(SHAPER_TOTAL, 0, MBIT, 64 * KIB);
	for (int i = 0; i < 16; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE);
	run(5 * S);
	about(w.sent, MBIT, 5, 6);
	sent = w.sent;
	limit(SHAPER_TOTAL, 0, 200 * MBIT, burst_of(200 * MBIT));
	run(200 * MS);
	/* nobody sleeps longer than 25 ms over it */
	assert_true(w.sent - sent > 200 * MBIT / 8 / 1000 * 165);
	limit(SHAPER_TOTAL, 0, 2 * MBIT, 64 * KIB);
	judge_by(2 * MBIT, 64 * KIB);
	run(10 * S);
	within_burst();
	sent = w.sent;
	limit(SHAPER_TOTAL, 0, 0, 0);
	w.actors[0].pause_ns = MS;
	for (size_t i = 1; i < w.n; i++)
		w.actors[i].pause_ns = MS;
	run(50 * MS);
	assert_true(w.sent - sent > 16 * 20 * 1024 * KIB);
	/* and from no limit to one: without a burst on top */
	limit(SHAPER_TOTAL, 0, 2 * MBIT, 64 * KIB);
	judge_by(2 * MBIT, 64 * KIB);
	sent = w.sent;
	run(10 * S);
	within_burst();
	about(w.sent - sent, 2 * MBIT, 10, 3);
}

/* ---- classes ----------------------------------------------------------- */

static void what_is_urgent_overtakes(void **state)
{
	struct actor *stat;

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 256 * KIB);
	judge_by(10 * MBIT, 256 * KIB);
	for (int i = 0; i < 16; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE);
	run(2 * S);
	stat = add(SHAPER_URGENT, 0, SHAPER_NONE);
	stat->want = SHAPER_FRAME;
	stat->pause_ns = 100 * MS; /* a tenth of the line */
	run(10 * S);
	/* its frames find the reserve: they do not wait at all */
	assert_true(stat->longest_ns <= 2 * MS);
	assert_true(stat->sent >= 95 * SHAPER_FRAME);
	stat->pause_ns = 0; /* and now as much as it can get */
	stat->sent = 0;
	run(10 * S);
	assert_true(stat->sent > 10 * MBIT / 8 * 10 / 100 * 85);
	about(w.sent, 10 * MBIT, 22, 3);
	within_burst();
}

static void urgent_traffic_does_not_starve_bulk(void **state)
{
	struct actor *bulk[3];

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	judge_by(10 * MBIT, 128 * KIB);
	for (int i = 0; i < 8; i++)
		add(SHAPER_URGENT, 0, SHAPER_NONE);
	for (int i = 0; i < 3; i++)
		bulk[i] = add(SHAPER_BULK, 1, SHAPER_NONE);
	run(20 * S);
	for (int i = 0; i < 3; i++)
		assert_true(bulk[i]->sent > 10 * MBIT / 8 * 20 / 17 / 4);
	about(w.sent, 10 * MBIT, 20, 3);
	within_burst();
}

static void live_traffic_is_counted_and_never_waits(void **state)
{
	struct actor *live, *bulk;

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	bulk = add(SHAPER_BULK, 0, SHAPER_NONE);
	live = add(SHAPER_LIVE, 0, SHAPER_NONE);
	live->want = 7500; /* 6 Mbit/s */
	live->pause_ns = 10 * MS;
	run(20 * S);
	assert_int_equal(live->longest_ns, 0);
	about(live->sent + bulk->sent, 10 * MBIT, 20, 3);
	assert_true(bulk->sent > 10 * MBIT / 8 * 20 / 100 * 38);
}

static void live_traffic_beyond_the_limit_does_not_starve_others(void **state)
{
	struct actor *live, *bulk;
	uint64_t sent;

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 128 * KIB);
	bulk = add(SHAPER_BULK, 0, SHAPER_NONE);
	live = add(SHAPER_LIVE, 0, SHAPER_NONE);
	live->want = 25000; /* 20 Mbit/s */
	live->pause_ns = 10 * MS;
	run(20 * S);
	assert_true(bulk->sent > 10 * MBIT / 8 * 20 / 24);
	assert_true(bulk->sent < 10 * MBIT / 8 * 20 / 14);
	/* its debt is no more than a burst */
	live->pause_ns = 1000 * S;
	run(200 * MS);
	sent = bulk->sent;
	run(2 * S);
	about(bulk->sent - sent, 10 * MBIT, 2, 3);
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
	add(SHAPER_BULK, 0, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
	limit(SHAPER_DESTINATION, 1, MBIT, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
	limit(SHAPER_DEVICE, 0, MBIT, 0);
	assert_true(shaper_is_limited(&w.actors[0].client));
	limit(SHAPER_DEVICE, 0, 0, 0);
	assert_false(shaper_is_limited(&w.actors[0].client));
}

static void who_does_not_come_back_holds_nobody_up(void **state)
{
	struct actor *gone, *left, *here;
	uint64_t wait;

	(void)state;
	limit(SHAPER_TOTAL, 0, MBIT, 32 * KIB);
	gone = add(SHAPER_BULK, 0, SHAPER_NONE);
	left = add(SHAPER_BULK, 0, SHAPER_NONE);
	here = add(SHAPER_BULK, 0, SHAPER_NONE);
	assert_int_equal(
	    shaper_take(&gone->client, SHAPER_URGENT, 1 << 20, w.now_ns, &wait),
	    0);
	assert_int_equal(
	    shaper_take(&left->client, SHAPER_URGENT, 1 << 20, w.now_ns, &wait),
	    0);
	shaper_leave(&left->client);
	shaper_leave(&left->client);
	gone->wake_ns = left->wake_ns = UINT64_MAX;
	run(10 * S);
	about(here->sent, MBIT, 10, 6);
}

static void what_was_not_sent_can_be_returned(void **state)
{
	struct actor *a;
	uint64_t wait;
	size_t n;

	(void)state;
	limit(SHAPER_TOTAL, 0, 10 * MBIT, 64 * KIB);
	a = add(SHAPER_URGENT, 0, SHAPER_NONE);
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
	limit(SHAPER_TOTAL, 0, 80 * MBIT, 1024 * KIB);
	limit(SHAPER_DESTINATION, 0, GBIT, 1024 * KIB);
	a = add(SHAPER_BULK, 0, SHAPER_NONE);
	w.now_ns += S;
	/* 10 ms of the slower one */
	assert_int_equal(
	    shaper_take(&a->client, SHAPER_BULK, 1 << 20, w.now_ns, &wait),
	    100000);
	limit(SHAPER_TOTAL, 0, MBIT, 1024 * KIB);
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
	add(SHAPER_BULK, 0, SHAPER_NONE);
	run(20 * S);
	about(w.sent, MBIT, 20, 3);
}

static void bulk_does_not_take_what_urgent_waits_for(void **state)
{
	struct actor *stat;

	(void)state;
	(void)shaper_set(w.shaper, SHAPER_TOTAL, 0,
			 (struct shaper_limit){MBIT, 64 * KIB, 0}, w.now_ns);
	for (int i = 0; i < 8; i++)
		add(SHAPER_BULK, 0, SHAPER_NONE)->want = 1000;
	stat = add(SHAPER_URGENT, 0, SHAPER_NONE);
	stat->want = SHAPER_FRAME;
	stat->pause_ns = 500 * MS;
	run(20 * S);
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
	limit(SHAPER_DEVICE, 3, 20 * MBIT, 64 * KIB);
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
	about(came, 20 * MBIT, 10, 3);
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
	limit(SHAPER_TOTAL, 0, 400 * MBIT, 1024 * KIB);
	for (size_t i = 0; i < 4; i++) {
		add(i == 0 ? SHAPER_URGENT : SHAPER_BULK, i % 3, i);
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
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)
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
