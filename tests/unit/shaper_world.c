#include "tests/unit/shaper_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

struct world w;

static unsigned next_random(void)
{
	w.random = w.random * 1103515245u + 12345u;
	return w.random >> 16;
}

void world_judge_by(uint64_t rate, uint64_t burst)
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

void world_within_burst(void)
{
	if (w.judge.most > w.judge.burst + 2)
		fail_msg("a burst of %.0f bytes, not %.0f", w.judge.most,
			 w.judge.burst);
}

int world_begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_ns = START;
	w.random = 4711;
	return shaper_new(3, 4, &w.shaper) == ERR_OK ? 0 : -1;
}

int world_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < w.n; i++)
		shaper_leave(&w.actors[i].client);
	shaper_free(w.shaper);
	return 0;
}

struct actor *world_add(enum shaper_class class_, size_t destination,
			size_t device)
{
	struct actor *a = &w.actors[w.n++];

	*a = (struct actor){
	    .class_ = class_, .want = 1024 * KIB, .wake_ns = w.now_ns};
	shaper_join(&a->client, w.shaper, SHAPER_OUT, destination, device);
	return a;
}

void world_limit(enum shaper_level level, size_t index, uint64_t rate,
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

void world_run(uint64_t ns)
{
	run_until(w.now_ns + ns);
}

void world_about(uint64_t sent, uint64_t rate, double seconds, double percent)
{
	double want = (double)rate / 8 * seconds;
	double off = ((double)sent / want - 1) * 100;

	if (off > percent || off < -percent)
		fail_msg("%llu bytes, not %.0f: off by %.2f %%",
			 (unsigned long long)sent, want, off);
}

uint64_t world_burst_of(uint64_t rate)
{
	uint64_t burst = rate / 8 / 50;

	return burst > 64 * KIB ? burst : 64 * KIB;
}
