/* ledger_unfinished.c - transfers whose records have not all been seen. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"

void unfinished_free(struct unfinished *u)
{
	list_remove(&u->node);
	mem_free(u->chunks);
	mem_free(u->noted);
	mem_wipe(&u->instance, sizeof(u->instance));
	mem_free(u);
}

void unfinished_forget(struct mirror *m, struct unfinished *u)
{
	ledger_map_delete(&m->unfinished_at, ledger_transfer_key(&u->id));
	if (u->partial)
		m->partials--;
	unfinished_free(u);
}

/* It is garbage: its places are free. */
void unfinished_drop(struct mirror *m, struct unfinished *u)
{
	for (size_t i = 0; i < u->n; i++)
		space_unpin(m, &u->chunks[i].place, u->chunks[i].length);
	unfinished_forget(m, u);
}

uint64_t ledger_resume(const struct mirror *m)
{
	uint64_t at = m->position;

	LIST_EACH(it, tmp, &m->unfinished)
	{
		const struct unfinished *u =
		    CONTAINER_OF(it, struct unfinished, node);

		if (u->first <= at)
			at = u->first - 1;
	}
	return at;
}

struct unfinished *unfinished_find(struct mirror *m,
				   const struct transfer_id *id)
{
	uint64_t *at =
	    ledger_map_get(&m->unfinished_at, ledger_transfer_key(id));

	return at != NULL ? (struct unfinished *)(uintptr_t)*at : NULL;
}

enum err unfinished_get(struct mirror *m, const struct tail_record *r,
			struct unfinished **out)
{
	struct unfinished *u = unfinished_find(m, &r->id);
	enum err e;

	*out = u;
	if (u != NULL)
		return ERR_OK;
	u = mem_zalloc(sizeof(*u));
	if (u == NULL)
		return ERR_NOMEM;
	e = ledger_map_set(&m->unfinished_at, ledger_transfer_key(&r->id),
			   (uint64_t)(uintptr_t)u);
	if (e != ERR_OK) {
		mem_free(u);
		return e;
	}
	u->id = r->id;
	u->first = r->sequence;
	u->partial = r->partial;
	if (u->partial)
		m->partials++;
	list_push_back(&m->unfinished, &u->node);
	*out = u;
	return ERR_OK;
}

/* ---- done without ever being whole here -----------------------------------
 */

/* Which destinations need nothing any more after this outcome, as bits. */
static uint32_t ends_at(const struct instance *in, const struct outcome *o)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < in->n_destinations; i++)
		if (o->destination[0] == '\0' ||
		    strcmp(o->destination, in->destinations[i]) == 0)
			bits |= 1u << i;
	return bits;
}

/* The destinations that this outcome ends it for. */
static uint32_t ended_by(const struct instance *in, const struct outcome *o)
{
	switch (o->kind) {
	case OUTCOME_DELIVERED:
	case OUTCOME_DELIVERED_FLAGGED:
		return in->commit == 0
			   ? ends_at(in, o)
			   : ends_at(in, o) & ~(1u << (in->commit - 1));
	case OUTCOME_COMMITTED:
	case OUTCOME_WITHDRAWN:
	case OUTCOME_DISCARDED:
		return ends_at(in, o);
	case OUTCOME_REDIRECTED: /* its target is not known here */
	case OUTCOME_HELD:
	case OUTCOME_QUARANTINED:
	case OUTCOME_RELEASED:
	case OUTCOME_ARRIVED:
	case OUTCOME_ABANDONED:
	case OUTCOME_RESTART:
	case OUTCOME_KEPT:
		break;
	}
	return 0;
}

enum err unfinished_note(struct unfinished *u, const struct outcome *o,
			 uint32_t segment)
{
	/* Before the final record not all destinations are known. */
	uint32_t bits = u->final != 0 ? ended_by(&u->instance, o) : 0;
	void *more;

	if ((bits & ~u->done) == 0)
		return ERR_OK;
	more = mem_realloc(u->noted, (u->n_noted + 1) * sizeof(*u->noted));
	if (more == NULL)
		return ERR_NOMEM;
	u->noted = more;
	u->noted[u->n_noted++] = (struct unfinished_outcome){*o, segment};
	u->done |= bits;
	return ERR_OK;
}

bool unfinished_is_done(const struct unfinished *u)
{
	unsigned n = u->instance.n_destinations;

	return u->final != 0 && n > 0 && u->done == (1u << n) - 1;
}
