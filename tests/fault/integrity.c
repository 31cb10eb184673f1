/* integrity ROUNDS SEED DIR - see integrity.h. DIR exists and is empty.
 *
 * A round is two seconds of work, then everything is closed, opened again and
 * compared; one ledger in three is deleted before that. Status 0 only if all
 * was there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/fault/integrity.h"

enum { ROUND_MS = 2000, LOOKERS = 2, PUTTERS_MAX = 4 };

/* How many put at once. */
static const unsigned putters[] = {4, 2, 1, 3};

/* ---- opening ------------------------------------------------------------- */

static void open_spool(struct integrity *w, struct dice *d)
{
	size_t mib = 8 + dice_below(d, 13);
	struct spool_options o = {
	    .path = w->dir,
	    .segment = INTEGRITY_SEGMENT,
	    .quota = (uint64_t)INTEGRITY_SEGMENTS * INTEGRITY_SEGMENT,
	    .buffers = mib << 20,
	    /* Outcomes that go with the next flush leave a disk at rest. */
	    .outcome_ms = w->alone ? 1000 : 1 + dice_below(d, 40)};
	char why[SPOOL_WHY_LEN];

	if (spool_open(&o, &w->spool, why) != ERR_OK)
		integrity_fail("the spool does not open: %s", why);
}

static void open_ledger(struct integrity *w, struct dice *d)
{
	struct ledger_options o = {.path = w->dir};
	char why[LEDGER_WHY_LEN], text[256];

	w->was_rebuilt = w->round > 0 && dice_one_in(d, 3);
	if (w->was_rebuilt) {
		(void)snprintf(text, sizeof(text), "rm -f '%s'/ledger.db*",
			       w->dir);
		if (system(text) != 0)
			integrity_fail("cannot remove the ledger");
		atomic_fetch_add(&w->rebuilt, 1);
	}
	if (ledger_open(&o, w->spool, &w->ledger, why) != ERR_OK)
		integrity_fail("the ledger does not open: %s", why);
	integrity_barrier(w);
}

static void on_damage(void *arg, const char *line)
{
	(void)arg;
	integrity_fail("spool check: %s", line);
}

/* Everything that the spool holds, whether it is needed or not. */
static void check_spool(struct integrity *w)
{
	struct spool_check_report report;

	integrity_need(spool_check(w->spool, on_damage, NULL, &report),
		       "spool check", 0);
	if (report.damaged != 0 || report.torn != 0)
		integrity_fail("spool check: %llu damaged, %llu torn",
			       (unsigned long long)report.damaged,
			       (unsigned long long)report.torn);
}

/* ---- a round ---------------------------------------------------------------
 */

static pthread_t start(void *(*run)(void *arg), struct integrity *w)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, w) != 0)
		integrity_fail("no thread");
	return t;
}

static void work(struct integrity *w)
{
	unsigned n = w->alone ? 1 : putters[w->round / 2 % ARRAY_LEN(putters)];
	bool partials = !w->alone;
	pthread_t put[PUTTERS_MAX], look[LOOKERS], partial = 0;

	atomic_store(&w->stop, false);
	atomic_store(&w->put_threads, 0);
	for (unsigned i = 0; i < n; i++)
		put[i] = start(integrity_put_many, w);
	for (unsigned i = 0; i < LOOKERS; i++)
		look[i] = start(integrity_look_many, w);
	if (partials)
		partial = start(integrity_partial_many, w);
	(void)nanosleep(
	    &(struct timespec){.tv_sec = ROUND_MS / 1000,
			       .tv_nsec = ROUND_MS % 1000 * 1000000},
	    NULL);
	atomic_store(&w->stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(put[i], NULL);
	if (partials)
		pthread_join(partial, NULL);
	for (unsigned i = 0; i < LOOKERS; i++)
		pthread_join(look[i], NULL);
}

static void open_all(struct integrity *w, struct dice *d)
{
	open_spool(w, d);
	open_ledger(w, d);
	integrity_check(w);
	integrity_partial_check(w);
}

static void close_all(struct integrity *w)
{
	integrity_barrier(w);
	check_spool(w);
	ledger_close(w->ledger);
	spool_close(w->spool);
}

static void run_rounds(struct integrity *w, unsigned rounds)
{
	for (w->round = 0; w->round < rounds; w->round++) {
		struct dice d = dice_new(w, 300);

		/* One alone is written ahead: store/spool_early.c. */
		w->alone = w->round % 2 == 0;
		atomic_store(&integrity_round, w->round);
		open_all(w, &d);
		if (w->round % 5 == 4)
			integrity_partial_expire(w);
		work(w);
		close_all(w);
	}
	w->alone = false;
	open_all(w, &(struct dice){.state = w->seed});
	close_all(w);
}

/* ---- the end ----------------------------------------------------------------
 */

static unsigned long long count(atomic_uint_least64_t *n)
{
	return (unsigned long long)atomic_load(n);
}

static void report(struct integrity *w, unsigned rounds)
{
	printf("%u rounds: %llu objects (%llu MiB, %llu partial) read %llu "
	       "times, %llu broken off, %llu gone on with, %llu given up "
	       "unfinished, %llu outcomes, %llu moved, %llu times full, "
	       "%llu ledgers made anew (%llu objects delivered again, %llu in "
	       "part)\n",
	       rounds, count(&w->stored), count(&w->bytes) >> 20,
	       count(&w->partials), count(&w->looks), count(&w->aborted),
	       count(&w->resumed), count(&w->abandoned), count(&w->outcomes),
	       count(&w->moved), count(&w->full), count(&w->rebuilt),
	       count(&w->again), count(&w->parts));
}

/* A run that did not come by everything proves nothing of it. */
static void expect_all(struct integrity *w)
{
	if (count(&w->partials) == 0 || count(&w->aborted) == 0 ||
	    count(&w->resumed) == 0 || count(&w->abandoned) == 0 ||
	    count(&w->moved) == 0)
		integrity_fail("something was never done");
}

static void *array(size_t size)
{
	void *p = mem_zarray(INTEGRITY_OBJECTS, size);

	if (p == NULL)
		integrity_fail("out of memory");
	return p;
}

static void init(struct integrity *w, const char *dir, uint64_t seed)
{
	w->dir = dir;
	w->seed = seed;
	(void)pthread_mutex_init(&w->lock, NULL);
	w->objects = array(sizeof(*w->objects));
	w->todo = array(sizeof(*w->todo));
	w->kept = array(sizeof(*w->kept));
	for (size_t i = 0; i < INTEGRITY_SLOTS; i++) {
		w->slots[i].w = w;
		(void)pthread_mutex_init(&w->slots[i].lock, NULL);
		(void)pthread_cond_init(&w->slots[i].cond, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct integrity w;
	unsigned rounds;

	if (argc != 4) {
		(void)fprintf(stderr, "integrity ROUNDS SEED DIR\n");
		return 2;
	}
	log_set_level(LOG_ERROR + 1);
	rounds = (unsigned)strtoul(argv[1], NULL, 10);
	init(&w, argv[3], strtoull(argv[2], NULL, 10));
	run_rounds(&w, rounds);
	report(&w, rounds);
	if (rounds >= 8)
		expect_all(&w);
	mem_free(w.objects);
	mem_free(w.todo);
	mem_free(w.kept);
	return 0;
}
