/* ledger_sure.c - waiting for an audit row to be durable. */
#include <pthread.h>
#include <time.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

struct ledger_sure {
	pthread_mutex_t lock;
	pthread_cond_t settled;
	unsigned owners; /* the waiter and the post */
	bool done;
	enum err e;
};

struct ledger_sure *ledger_sure_new(void)
{
	struct ledger_sure *s = mem_zalloc(sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	s->owners = 2;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->settled, &attr);
	(void)pthread_condattr_destroy(&attr);
	return s;
}

/* The lock is held, and given back. */
static void drop(struct ledger_sure *s)
{
	unsigned left = --s->owners;

	(void)pthread_mutex_unlock(&s->lock);
	if (left > 0)
		return;
	(void)pthread_cond_destroy(&s->settled);
	(void)pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

void ledger_sure_settle(struct ledger_sure *s, enum err e)
{
	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->e = e;
	s->done = true;
	(void)pthread_cond_signal(&s->settled);
	drop(s);
}

enum err ledger_sure_wait(struct ledger_sure *s, unsigned ms)
{
	uint64_t end_ns = clock_mono_ns() + ms * 1000000ull;
	struct timespec end = {.tv_sec = (time_t)(end_ns / 1000000000ull),
			       .tv_nsec = (long)(end_ns % 1000000000ull)};
	enum err e = ERR_TIMEOUT;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->done)
		if (pthread_cond_timedwait(&s->settled, &s->lock, &end) != 0)
			break;
	if (s->done)
		e = s->e;
	drop(s);
	return e;
}
