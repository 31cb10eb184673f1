#include <assert.h>

#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* The writer's side of partial transfers: what became of their records. */

/* A run of chunks of one transfer that came to the same end. */
struct told {
	struct partial *p;
	uint32_t first, n;
	enum err e;
};

static void tell(struct spool *s, const struct told *t)
{
	struct spool_partial_put *pp;

	if (t->n == 0)
		return;
	pthread_mutex_lock(&s->callback_lock);
	pthread_mutex_lock(&s->lock);
	pp = t->p->open;
	pthread_mutex_unlock(&s->lock);
	if (pp != NULL)
		pp->on_chunks(pp->put.events.arg, t->e, t->first, t->n);
	pthread_mutex_unlock(&s->callback_lock);
}

static void settle(struct spool *s, struct record *r, enum err e)
{
	struct partial *p = r->put->partial;
	const struct record_head *h = &r->head;
	struct partial_chunk *c = partial_chunk_find(p, h->index);

	r->settled = true;
	/* Whatever became of it, its bytes may stand on the disk. */
	p->written = true;
	if (e == ERR_OK && c != NULL) {
		if (list_empty(&p->link)) /* abandoned meanwhile */
			return;
		partial_chunk_durable(s, p, c, h->sequence,
				      (struct place){h->segment, h->offset});
		return;
	}
	partial_chunk_remove(s, p, h->index);
	if (p->open != NULL && p->open->finishing)
		put_fail(&p->open->put, e);
}

static void settle_and_tell(struct spool *s, struct record *r, enum err e,
			    struct told *t)
{
	uint32_t index = r->head.index;

	pthread_mutex_lock(&s->lock);
	settle(s, r, e);
	pthread_mutex_unlock(&s->lock);
	if (t->n > 0 && t->p == r->put->partial && t->first + t->n == index) {
		t->n++;
		return;
	}
	tell(s, t);
	*t =
	    (struct told){.p = r->put->partial, .first = index, .n = 1, .e = e};
}

/* Each record still holds its put, and that the transfer. */
void spool_partial_settle(struct spool *s, struct list *records, enum err e)
{
	struct told t = {.n = 0};

	LIST_EACH(n, tmp, records)
	{
		struct record *r = CONTAINER_OF(n, struct record, link);

		if (record_is_partial_chunk(r))
			settle_and_tell(s, r, e, &t);
	}
	tell(s, &t);
}

void spool_partial_settle_one(struct spool *s, struct record *r, enum err e)
{
	struct told t = {.n = 0};

	if (r->settled)
		return;
	settle_and_tell(s, r, e, &t);
	tell(s, &t);
}

/* An instance from now on, or unfinished as before. */
void spool_partial_done(struct spool *s, struct spool_put *put, enum err e)
{
	struct partial *p = put->partial;

	pthread_mutex_lock(&s->lock);
	assert(p->open == CONTAINER_OF(put, struct spool_partial_put, put));
	p->open = NULL;
	if (e == ERR_OK)
		partial_remove(s, p);
	pthread_mutex_unlock(&s->lock);
}
