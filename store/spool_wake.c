#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* ---- waking puts ----------------------------------------------------------
 */

/* With every buffer in half-filled records of slow peers, nothing would ever
 * come back: so the one who waits longest may take a few beyond the bound. */
static bool may_grant(const struct spool *s, const struct spool_put *put)
{
	/* What takes a whole chunk at once may wait before the pool is full. It
	 * leaves room for the next piece of those that were told to go on. */
	if (put->partial != NULL)
		return s->slabs_used + RECORD_SLABS <=
		       (s->slabs_soft + s->slabs_middle) / 2;
	return spool_pool_full(s) &&
	       s->slabs_used + GRANT_SLABS <= s->slabs_hard;
}

void writer_grant(struct spool *s)
{
	LIST_EACH(n, tmp, &s->waiters)
	{
		struct spool_put *put =
		    CONTAINER_OF(n, struct spool_put, waiting);

		if (may_grant(s, put)) {
			put->grant = GRANT_SLABS;
			return;
		}
	}
}

static struct spool_put *wakeable(struct spool *s)
{
	LIST_EACH(n, tmp, &s->waiters)
	{
		struct spool_put *put =
		    CONTAINER_OF(n, struct spool_put, waiting);

		if (!put_full_now(put))
			return put;
	}
	return NULL;
}

void writer_wake_puts(struct spool *s)
{
	struct spool_put *put;

	pthread_mutex_lock(&s->callback_lock);
	pthread_mutex_lock(&s->lock);
	while ((put = wakeable(s)) != NULL) {
		struct spool_put_events events = put->events;

		list_remove(&put->waiting);
		pthread_mutex_unlock(&s->lock);
		if (events.on_writable != NULL)
			events.on_writable(events.arg);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->callback_lock);
}
