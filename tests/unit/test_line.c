/* The arithmetic of the bench's emulated line: rate, delay, faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/line_fault.c"
#include "tests/bench/line_queue.c"

static const uint64_t MS = 1000000, SECOND = 1000000000;

static struct line_queue line(double mbit, uint64_t delay, size_t limit)
{
	return (struct line_queue){
	    .mbit = mbit, .delay = delay, .limit = limit, .mtu = 1500};
}

static void enter(struct line_queue *q, size_t n, uint64_t now)
{
	struct line_piece *p = line_piece_get(q);

	p->n = n;
	line_queue_enter(q, p, now);
}

static size_t take_all(struct line_queue *q, uint64_t now)
{
	struct line_piece *p;
	size_t n = 0;

	while ((p = line_queue_take(q, now))) {
		n += p->n;
		line_piece_put(q, p);
	}
	return n;
}

static void a_piece_takes_its_time_and_the_delay(void **state)
{
	struct line_queue q = line(12, 50 * MS, 64 * 1024);

	(void)state;
	enter(&q, 1500, SECOND); /* 12,000 bits: 1 ms */
	assert_int_equal(line_queue_next(&q), SECOND + 51 * MS);
	assert_int_equal(take_all(&q, SECOND + 51 * MS - 1), 0);
	assert_int_equal(take_all(&q, SECOND + 51 * MS), 1500);
	line_queue_free(&q);
}

static void what_waits_bounds_the_queue_and_keeps_the_rate(void **state)
{
	struct line_queue q = line(12, 50 * MS, 10 * 1500);
	uint64_t now = SECOND;
	size_t sent = 0, got = 0;

	(void)state;
	for (; now < 11 * SECOND; now += 3 * MS) {
		got += take_all(&q, now);
		while (line_queue_room(&q)) {
			enter(&q, 1500, now);
			sent += 1500;
		}
		assert_in_range(q.waiting, 0, 10 * 1500);
	}
	/* 10 s at 1.5 MB a second, less what is on its way. */
	assert_in_range(got, 14900000, 14925000);
	assert_int_equal(sent - got, line_queue_inside(&q));
	assert_int_equal(q.stat.most_queued, 10 * 1500);
	assert_true(line_queue_share(&q) > 0.999);
	line_queue_free(&q);
}

static void a_line_half_used_is_half_full(void **state)
{
	struct line_queue q = line(12, 0, 64 * 1024);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		enter(&q, 1500, SECOND + i * 2 * MS);
	assert_true(line_queue_share(&q) > 0.499);
	assert_true(line_queue_share(&q) < 0.502);
	line_queue_free(&q);
}

static void a_cut_loses_what_is_inside(void **state)
{
	struct line_queue q = line(12, 10 * MS, 64 * 1024);

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		enter(&q, 1500, SECOND);
	assert_int_equal(take_all(&q, SECOND + 12 * MS), 2 * 1500);
	assert_int_equal(line_queue_inside(&q), 18 * 1500);
	line_queue_cut(&q, SECOND + 12 * MS);
	assert_int_equal(q.stat.lost, 18 * 1500);
	assert_int_equal(line_queue_inside(&q), 0);
	assert_int_equal(line_queue_next(&q), UINT64_MAX);
	assert_int_equal(q.stat.busy, 12 * MS);
	enter(&q, 1500, SECOND + 13 * MS);
	assert_int_equal(line_queue_next(&q), SECOND + 24 * MS);
	line_queue_free(&q);
}

static void standing_still_delays_and_loses_nothing(void **state)
{
	struct line_queue q = line(12, 10 * MS, 64 * 1024);

	(void)state;
	enter(&q, 1500, SECOND);
	line_queue_shift(&q, 5 * SECOND);
	assert_int_equal(take_all(&q, 6 * SECOND + 11 * MS - 1), 0);
	assert_int_equal(take_all(&q, 6 * SECOND + 11 * MS), 1500);
	line_queue_free(&q);
}

static void another_rate_counts_for_what_enters_later(void **state)
{
	struct line_queue q = line(12, 0, 64 * 1024);

	(void)state;
	enter(&q, 1500, SECOND);
	line_queue_rate(&q, 120);
	enter(&q, 1500, SECOND);
	assert_int_equal(take_all(&q, SECOND + MS), 1500);
	assert_int_equal(line_queue_next(&q), SECOND + MS + MS / 10);
	line_queue_free(&q);
}

static void cuts_come_with_the_bytes_of_the_ways_that_count(void **state)
{
	struct line_faults f = {.cut_every = 3000, .cuts_most = 2};
	uint8_t b[1500] = {0};
	unsigned cuts = 0;

	(void)state;
	assert_true(line_ways_parse("up", f.cut_ways));
	line_faults_start(&f);
	for (unsigned i = 0; i < 10; i++)
		line_faults_enter(&f, LINE_DOWN, b, sizeof(b), SECOND);
	assert_false(line_faults_cut(&f, SECOND));
	for (unsigned i = 0; i < 10; i++) {
		line_faults_enter(&f, LINE_UP, b, sizeof(b), SECOND);
		cuts += line_faults_cut(&f, SECOND);
		assert_int_equal(cuts, i < 1 ? 0 : i < 3 ? 1 : 2);
	}
}

static void times_count_from_the_first_byte(void **state)
{
	struct line_faults f = {0};
	uint8_t b[1] = {0};
	uint64_t over, hour = 3600 * SECOND;

	(void)state;
	assert_true(line_times_parse("0.5", false, f.cut_at, &f.n_cut_at));
	assert_true(line_times_parse("1-2.5,4-5", true, f.holes, &f.n_holes));
	line_faults_start(&f);
	assert_int_equal(line_faults_next(&f), UINT64_MAX);
	assert_false(line_faults_cut(&f, hour));
	line_faults_enter(&f, LINE_UP, b, 1, hour);
	assert_int_equal(line_faults_next(&f), hour + SECOND / 2);
	assert_true(line_faults_cut(&f, hour + SECOND / 2));
	assert_false(line_faults_cut(&f, hour + SECOND / 2));
	assert_int_equal(line_faults_next(&f), hour + SECOND);
	assert_true(line_faults_still(&f, hour + SECOND, &over));
	assert_int_equal(line_faults_next(&f), hour + 5 * (SECOND / 2));
	assert_false(line_faults_still(&f, hour + 5 * (SECOND / 2), &over));
	assert_int_equal(over, 3 * (SECOND / 2));
	assert_int_equal(line_faults_next(&f), hour + 4 * SECOND);
}

static void times_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {"",   "x",  "2,1", "1,1",
					  "-1", "1,", "1-2"};
	struct line_span v[LINE_TIMES];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(line_times_parse(bad[i], false, v, &n));
	assert_false(line_times_parse("1", true, v, &n));
	assert_false(line_times_parse("2-1", true, v, &n));
	assert_false(line_times_parse("1-3,2-4", true, v, &n));
}

static unsigned ones(const uint8_t *b, size_t n)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		count += (unsigned)__builtin_popcount(b[i]);
	return count;
}

static void bits_flip_as_often_as_asked_and_alike_for_a_seed(void **state)
{
	struct line_faults f = {.flip_every = 1000, .seed = 7}, g;
	static uint8_t a[1500], b[1500];

	(void)state;
	assert_true(line_ways_parse("both", f.flip_ways));
	g = f;
	line_faults_start(&f);
	line_faults_start(&g);
	for (unsigned i = 0; i < 10000; i++) {
		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		line_faults_enter(&f, LINE_UP, a, sizeof(a), 1);
		line_faults_enter(&g, LINE_UP, b, sizeof(b), 1);
		assert_memory_equal(a, b, sizeof(a));
		assert_in_range(ones(a, sizeof(a)), 0, 1500);
	}
	assert_in_range(f.flips, 14400, 15600); /* 15 MB */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_piece_takes_its_time_and_the_delay),
	    cmocka_unit_test(what_waits_bounds_the_queue_and_keeps_the_rate),
	    cmocka_unit_test(a_line_half_used_is_half_full),
	    cmocka_unit_test(a_cut_loses_what_is_inside),
	    cmocka_unit_test(standing_still_delays_and_loses_nothing),
	    cmocka_unit_test(another_rate_counts_for_what_enters_later),
	    cmocka_unit_test(cuts_come_with_the_bytes_of_the_ways_that_count),
	    cmocka_unit_test(times_count_from_the_first_byte),
	    cmocka_unit_test(times_that_make_no_sense_are_refused),
	    cmocka_unit_test(bits_flip_as_often_as_asked_and_alike_for_a_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
