#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* What a start finds of partial transfers: the ledger's rules (a chunk, a final
 * record, ABANDONED, KEPT, RESTART, in their order), so that both come to know
 * the same ones. */

enum { IO_ERRORS_MAX = 1000 };

static enum err take_chunk(struct spool *s, const struct tail_record *r)
{
	struct partial *p = partial_find_id(s, &r->id);
	struct partial_chunk *c;

	if (p == NULL)
		p = partial_add(s, &r->id, &r->instance.origin);
	if (p == NULL)
		return ERR_NOMEM;
	(void)INSTANCE_SET(p->sop_instance, r->instance.sop_instance);
	p->touched_ms = r->instance.touched_ms;
	p->written = true;
	c = partial_chunk_find(p, r->index);
	if (c == NULL)
		c = partial_chunk_add(p, r->index);
	if (c == NULL)
		return ERR_NOMEM;
	if (c->sequence != 0) { /* a later copy */
		p->durable--;
		p->bytes -= c->length;
		c->sequence = 0;
	}
	c->length = r->length;
	memcpy(c->leaf, r->leaf, sizeof(c->leaf));
	partial_chunk_durable(s, p, c, r->sequence, r->place);
	return ERR_OK;
}

static void remove_id(struct spool *s, const struct transfer_id *id)
{
	struct partial *p = partial_find_id(s, id);

	if (p != NULL)
		partial_remove(s, p);
}

static void take_restart(struct spool *s)
{
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		if (p->kept)
			p->kept = false;
		else
			partial_remove(s, p);
	}
}

/* Of one that is unfinished there is no other outcome: so it was finished, and
 * its final record is gone already. */
static void take_outcome(struct spool *s, const struct outcome *o)
{
	struct partial *p;

	if (o->kind == OUTCOME_RESTART) {
		take_restart(s);
	} else if (o->kind == OUTCOME_KEPT) {
		p = partial_find_id(s, &o->id);
		if (p != NULL)
			p->kept = true;
	} else {
		remove_id(s, &o->id);
	}
}

static enum err take(struct spool *s, const struct tail_record *r)
{
	switch (r->kind) {
	case TAIL_CHUNK:
		if (!r->partial)
			return ERR_OK;
		if (r->final || r->moved || !r->instance.has_origin)
			remove_id(s, &r->id);
		else
			return take_chunk(s, r);
		break;
	case TAIL_OUTCOMES:
		for (size_t i = 0; i < r->n_outcomes; i++)
			take_outcome(s, &r->outcomes[i]);
		break;
	case TAIL_DAMAGE:
		/* The ledger reports it. A chunk is asked for again; one that
		 * was finished is for a person to judge. */
		if (r->partial && r->final)
			remove_id(s, &r->id);
		break;
	}
	return ERR_OK;
}

static enum err walk(struct spool *s, struct spool_tail *tail)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	unsigned io_errors = 0;
	enum err e = r != NULL ? ERR_OK : ERR_NOMEM;

	while (e == ERR_OK) {
		e = spool_tail_next(tail, r, 0);
		if (e == ERR_IO && ++io_errors < IO_ERRORS_MAX)
			e = ERR_OK; /* it tries again, then goes on */
		else if (e == ERR_OK)
			e = take(s, r);
	}
	if (r != NULL)
		mem_wipe(r, sizeof(*r));
	mem_free(r);
	return e == ERR_AGAIN || e == ERR_IO ? ERR_OK : e;
}

static uint64_t bytes_of(const struct spool *s)
{
	uint64_t bytes = 0;

	LIST_EACH(n, tmp, &s->partials)
	bytes += CONTAINER_OF(n, struct partial, link)->bytes;
	return bytes;
}

enum err spool_partial_load(struct spool *s, const struct segment *newest,
			    const struct segment_extent *walked)
{
	const struct segment *first = newest;
	struct spool_tail *tail;
	enum err e;

	if (walked->partial_from != 0 && walked->partial_from < newest->number)
		first = spool_segment_after(s, walked->partial_from - 1);
	e = spool_tail_open(s, first->first - 1, &tail);
	if (e != ERR_OK)
		return e;
	e = walk(s, tail);
	spool_tail_close(tail);
	if (e == ERR_OK && s->n_partials > 0)
		log_event(LOG_INFO, "partials-found",
			  "transfers=%u bytes=%llu since-segment=%08x",
			  s->n_partials, (unsigned long long)bytes_of(s),
			  atomic_load(&s->partial_from));
	return e;
}
