#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/window.h"
#include "store/instance.h"

enum { SECOND = 1000000, MS = 1000, UNDER_WAY = 1024 };

/* A line: an access link that takes at once, a bottleneck with a queue, a far
 * disk that flushes now and then. Answers come in the order of chunks. */
struct line {
	uint64_t rate;     /* bytes/s of the bottleneck */
	uint64_t delay_us; /* round trip */
	uint64_t flush_us; /* the far disk flushes each */

	uint64_t now, start, free_at;
	uint64_t acked; /* bytes */
	uint64_t peak;  /* of the window, bytes */
	struct link_window_mark marks[UNDER_WAY];
	uint64_t due[UNDER_WAY];
	size_t first, n;
};

static void send_one(struct line *l, struct link_window *w, uint32_t len)
{
	size_t at = (l->first + l->n) % UNDER_WAY;
	uint64_t there;

	assert_true(l->n < UNDER_WAY);
	link_window_begin(w, l->now, len, false, &l->marks[at]);
	link_window_end(&l->marks[at], l->now);
	if (l->free_at < l->now)
		l->free_at = l->now;
	l->free_at += (uint64_t)len * SECOND / l->rate;
	there = l->free_at + l->delay_us / 2;
	there += l->flush_us - there % l->flush_us;
	l->due[at] = there + l->delay_us / 2;
	l->n++;
}

static void answer_one(struct line *l, struct link_window *w)
{
	l->now = l->due[l->first];
	link_window_acked(w, l->now, &l->marks[l->first]);
	l->acked += l->marks[l->first].len;
	l->first = (l->first + 1) % UNDER_WAY;
	l->n--;
}

/* Everything to send, for us microseconds. Returns per cent of the line. */
static unsigned run(struct line *l, struct link_window *w, uint32_t len,
		    uint64_t us)
{
	uint64_t from = l->now, acked = l->acked;

	while (l->now < from + us) {
		while (link_window_admits(w, len, false))
			send_one(l, w, len);
		if (link_window_size(w) > l->peak)
			l->peak = link_window_size(w);
		answer_one(l, w);
	}
	return (unsigned)((l->acked - acked) * 100 / (l->now - from) * SECOND /
			  l->rate);
}

static struct link_window fresh(uint64_t ceiling)
{
	struct link_window_config c = {.ceiling = ceiling};
	struct link_window w;

	link_window_init(&w, &c);
	return w;
}

static const struct {
	const char *what;
	uint64_t rate, delay_us, flush_us;
} lines[] = {
    {"1 Mbit/s, 100 ms", 125000, 100 * MS, 5 * MS},
    {"10 Mbit/s, 20 ms", 1250000, 20 * MS, 5 * MS},
    {"100 Mbit/s, 100 ms", 12500000, 100 * MS, 5 * MS},
    {"100 Mbit/s, 1 ms, slow disk", 12500000, 1 * MS, 30 * MS},
    {"1 Gbit/s, 50 ms", 125000000, 50 * MS, 5 * MS},
    {"1 Gbit/s, 200 ms", 125000000, 200 * MS, 20 * MS},
};

static void lines_are_full_and_queues_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct link_window w = fresh(256 << 20);
		struct line l = {.rate = lines[i].rate,
				 .delay_us = lines[i].delay_us,
				 .flush_us = lines[i].flush_us,
				 .now = SECOND};
		uint64_t bdp =
		    l.rate / 1000 * ((l.delay_us + l.flush_us) / 1000);
		unsigned full;

		(void)run(&l, &w, CHUNK_LEN, 20 * SECOND); /* comes to speed */
		l.peak = 0;
		full = run(&l, &w, CHUNK_LEN, 100 * SECOND);
		print_message("case: %s: %u %%, window %u KiB, bdp %u KiB\n",
			      lines[i].what, full, (unsigned)(l.peak >> 10),
			      (unsigned)(bdp >> 10));
		assert_true(full >= 95);
		assert_true(l.peak <= 4 * bdp + 8 * CHUNK_LEN);
	}
}

/* From the first byte on: 105 MB in at most 1.1 times bytes / bandwidth. */
static void the_first_seconds_are_not_lost(void **state)
{
	struct link_window w = fresh(64 << 20);
	struct line l = {.rate = 12500000,
			 .delay_us = 100 * MS,
			 .flush_us = 5 * MS,
			 .now = SECOND};

	(void)state;
	while (l.acked < 105000000) {
		while (link_window_admits(&w, 512000, false))
			send_one(&l, &w, 512000);
		answer_one(&l, &w);
	}
	assert_true(l.now - SECOND < 8400 * MS * 11 / 10);
}

static void a_line_that_changes_is_followed(void **state)
{
	struct link_window w = fresh(256 << 20);
	struct line l = {.rate = 125000000,
			 .delay_us = 50 * MS,
			 .flush_us = 5 * MS,
			 .now = SECOND};

	(void)state;
	(void)run(&l, &w, CHUNK_LEN, 30 * SECOND);
	l.rate /= 100;
	(void)run(&l, &w, CHUNK_LEN, 60 * SECOND);
	assert_true(link_window_size(&w) <= 8 << 20);
	l.rate *= 100;
	(void)run(&l, &w, CHUNK_LEN, 10 * SECOND);
	assert_true(run(&l, &w, CHUNK_LEN, 20 * SECOND) >= 95);
	l.delay_us = 200 * MS; /* another route */
	(void)run(&l, &w, CHUNK_LEN, 40 * SECOND);
	assert_true(run(&l, &w, CHUNK_LEN, 30 * SECOND) >= 95);
}

static void the_ceiling_holds_and_one_chunk_always_goes(void **state)
{
	struct link_window w = fresh(4 << 20);
	struct line l = {.rate = 125000000,
			 .delay_us = 200 * MS,
			 .flush_us = 5 * MS,
			 .now = SECOND};
	struct link_window_mark m;

	(void)state;
	(void)run(&l, &w, CHUNK_LEN, 20 * SECOND);
	assert_int_equal(l.peak, 4 << 20);
	w = fresh(1);
	assert_true(link_window_admits(&w, CHUNK_LEN, false));
	link_window_begin(&w, 1, CHUNK_LEN, false, &m);
	assert_false(link_window_admits(&w, 1, false));
	link_window_ceiling(&w, 3 << 20);
	assert_true(link_window_admits(&w, CHUNK_LEN, false));
	link_window_ceiling(&w, 0);
	assert_false(link_window_admits(&w, 1, false));
	link_window_dropped(&w, &m);
	assert_int_equal(link_window_in_flight(&w), 0);
}

static void a_far_end_that_stalls_gets_no_more_than_the_window(void **state)
{
	struct link_window w = fresh(16 << 20);
	struct link_window_mark m;
	unsigned n = 0;

	(void)state;
	while (link_window_admits(&w, CHUNK_LEN, false) && n < 100) {
		link_window_begin(&w, 5, CHUNK_LEN, false, &m);
		n++;
	}
	assert_int_equal(n, LINK_WINDOW_START / CHUNK_LEN);
}

static void urgent_chunks_have_room_of_their_own(void **state)
{
	struct link_window_config c = {.ceiling = 8 << 20, .urgent = 2 << 20};
	struct link_window w;
	struct link_window_mark m;

	(void)state;
	link_window_init(&w, &c);
	while (link_window_admits(&w, CHUNK_LEN, false))
		link_window_begin(&w, 5, CHUNK_LEN, false, &m);
	assert_int_equal(link_window_in_flight(&w), 6 << 20);
	while (link_window_admits(&w, CHUNK_LEN, true))
		link_window_begin(&w, 5, CHUNK_LEN, false, &m);
	assert_int_equal(link_window_in_flight(&w), 8 << 20);
	c.urgent = 8 << 20; /* all of it: one ordinary chunk at a time */
	link_window_init(&w, &c);
	assert_true(link_window_admits(&w, CHUNK_LEN, false));
	link_window_begin(&w, 5, CHUNK_LEN, false, &m);
	assert_false(link_window_admits(&w, CHUNK_LEN, false));
	assert_true(link_window_admits(&w, CHUNK_LEN, true));
}

static void little_to_do_does_not_shrink_it(void **state)
{
	struct link_window w = fresh(256 << 20);
	struct line l = {.rate = 125000000,
			 .delay_us = 50 * MS,
			 .flush_us = 5 * MS,
			 .now = SECOND};
	uint64_t size;

	(void)state;
	(void)run(&l, &w, CHUNK_LEN, 5 * SECOND);
	while (l.n > 0)
		answer_one(&l, &w);
	size = link_window_size(&w);
	for (unsigned i = 0; i < 200; i++) {
		struct link_window_mark m;

		l.now += 100 * MS;
		link_window_begin(&w, l.now, 20000, true, &m);
		link_window_end(&m, l.now);
		l.now += 55 * MS;
		link_window_acked(&w, l.now, &m);
		l.now += 600 * MS;
	}
	assert_true(link_window_rate(&w) > 100000000);
	assert_true(link_window_size(&w) > size / 2);
	link_window_restart(&w);
	assert_int_equal(link_window_rate(&w), 0);
	assert_int_equal(link_window_size(&w), LINK_WINDOW_START);
}

static void odd_clocks_and_numbers_do_no_harm(void **state)
{
	struct link_window w = fresh(UINT64_MAX);
	struct link_window_mark m;

	(void)state;
	link_window_begin(&w, 100, CHUNK_LEN, false, &m);
	link_window_end(&m, 100);
	link_window_acked(&w, 100, &m); /* in no time */
	assert_true(link_window_size(&w) >= LINK_WINDOW_MIN);
	link_window_begin(&w, 200, 0, false, &m);
	link_window_acked(&w, UINT64_MAX / 2, &m);
	assert_true(link_window_size(&w) > 0);
}

/* ---- silence ---- */

static void silence_is_two_round_trips_and_a_second(void **state)
{
	struct link_silence s;
	uint64_t t = 5 * SECOND;

	(void)state;
	link_silence_init(&s, t);
	assert_false(link_silent(&s, t + 100 * SECOND)); /* nothing was asked */
	assert_true(link_silence_ping(&s, t));
	assert_false(link_silence_ping(&s, t + 99 * MS));
	link_silence_pong(&s, t + 200 * MS, t);
	t += 300 * MS;
	assert_true(link_silence_ping(&s, t));
	assert_false(link_silence_ping(&s, t + 199 * MS));
	assert_true(link_silence_ping(&s, t + 200 * MS));
	assert_false(link_silent(&s, t + 1400 * MS));
	assert_true(link_silent(&s, t + 1401 * MS));
	assert_true(link_silence_probe(&s, t + 1401 * MS));
	assert_false(link_silence_probe(&s, t + 2400 * MS));
	assert_true(link_silence_probe(&s, t + 2401 * MS)); /* each second */
	link_silence_heard(&s, t + 2500 * MS);
	assert_false(link_silent(&s, t + 9999 * MS));
	assert_false(link_silence_probe(&s, t + 9999 * MS));
	assert_false(link_silence_dead(&s, t + 2500 * MS + 45 * SECOND, 15000));
	assert_true(link_silence_dead(&s, t + 2501 * MS + 45 * SECOND, 15000));
}

static void stamps_that_cannot_be_are_not_counted(void **state)
{
	struct link_silence s;

	(void)state;
	link_silence_init(&s, SECOND);
	link_silence_pong(&s, 2 * SECOND, 3 * SECOND);
	link_silence_pong(&s, 9000ull * SECOND, 0);
	assert_int_equal(s.rtt_us, 0);
	link_silence_pong(&s, 2 * SECOND, 2 * SECOND - 80 * MS);
	assert_int_equal(s.rtt_us, 80 * MS);
	link_silence_pong(&s, 2 * SECOND, 2 * SECOND - 160 * MS);
	assert_int_equal(s.rtt_us, 90 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_full_and_queues_bounded),
	    cmocka_unit_test(the_first_seconds_are_not_lost),
	    cmocka_unit_test(a_line_that_changes_is_followed),
	    cmocka_unit_test(the_ceiling_holds_and_one_chunk_always_goes),
	    cmocka_unit_test(
		a_far_end_that_stalls_gets_no_more_than_the_window),
	    cmocka_unit_test(urgent_chunks_have_room_of_their_own),
	    cmocka_unit_test(little_to_do_does_not_shrink_it),
	    cmocka_unit_test(odd_clocks_and_numbers_do_no_harm),
	    cmocka_unit_test(silence_is_two_round_trips_and_a_second),
	    cmocka_unit_test(stamps_that_cannot_be_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
