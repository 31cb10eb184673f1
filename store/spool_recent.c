#include <string.h>

#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Large writes pass by the page cache, so what they wrote would come back from
 * the disk, although the ledger and most deliveries want it at once. So the
 * newest of these records stay here as they were written, sealed, within the
 * bound of the record buffers; whoever reads one opens and checks it as if it
 * came from the disk. A segment number is never used again, so a place names
 * one record for ever. */

struct record *spool_recent_hold(struct spool *s, uint32_t segment,
				 uint32_t offset)
{
	for (struct list *n = s->recent.prev; n != &s->recent; n = n->prev) {
		struct record *r = CONTAINER_OF(n, struct record, recent);

		if (r->head.segment != segment || r->head.offset != offset)
			continue;
		r->refs++;
		return r;
	}
	return NULL;
}

bool record_unref(struct spool *s, struct record *r)
{
	if (--r->refs > 0)
		return false;
	if (r->kept) {
		s->recent_slabs -= r->n_slabs;
		s->slabs_used += r->n_slabs;
		record_give_slabs(s, r);
	}
	return true;
}

void spool_recent_drop(struct spool *s, struct record *r)
{
	bool gone;

	pthread_mutex_lock(&s->lock);
	gone = record_unref(s, r);
	pthread_mutex_unlock(&s->lock);
	if (gone)
		record_free(r);
}

bool spool_recent_evict(struct spool *s)
{
	struct list *n = list_pop_front(&s->recent);
	struct record *r;

	if (n == NULL)
		return false;
	r = CONTAINER_OF(n, struct record, recent);
	if (record_unref(s, r))
		record_free(r);
	return true;
}

void spool_recent_add(struct spool *s, struct record *r)
{
	r->refs++;
	r->kept = true;
	s->slabs_used -= r->n_slabs;
	s->recent_slabs += r->n_slabs;
	list_push_back(&s->recent, &r->recent);
	while (s->recent_slabs > s->slabs_hard / 4 && spool_recent_evict(s))
		;
}

void spool_recent_forget(struct spool *s, uint32_t segment)
{
	LIST_EACH(n, tmp, &s->recent)
	{
		struct record *r = CONTAINER_OF(n, struct record, recent);

		if (r->head.segment != segment)
			continue;
		list_remove(&r->recent);
		if (record_unref(s, r))
			record_free(r);
	}
}
