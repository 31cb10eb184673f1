/* ledger_transfer.c - answers about transfers that still come in.
 *
 * Of an unfinished one the mirror knows the durable chunks; no row is made of
 * it before it is whole. */
#include "store/ledger_in.h"

static void unfinished_places(const struct unfinished *u,
			      const struct request *r, struct place *out,
			      size_t *n)
{
	for (size_t i = 0; i < u->n && *n < r->as.transfer.n; i++) {
		const struct unfinished_chunk *c = &u->chunks[i];

		if (c->index < r->as.transfer.first)
			continue;
		if (c->index != r->as.transfer.first + *n || c->damaged)
			return;
		out[(*n)++] = c->place;
	}
}

/* What stands behind the last chunk is the final record of a partial one. */
static enum err whole_places(struct ledger *l, const struct request *r,
			     struct place *places, struct ledger_transfer *t)
{
	sqlite3_stmt *st = l->st[ST_INSTANCE_GET];
	uint32_t first = r->as.transfer.first, left;
	bool row;
	enum err e;

	db_bind_u64(st, 1, t->seq);
	e = db_row(st, &row);
	if (e != ERR_OK || !row)
		return e != ERR_OK ? e : ERR_CORRUPT;
	t->length = db_u64(st, 1);
	(void)sqlite3_reset(st);
	t->chunks = (uint32_t)((t->length + CHUNK_LEN - 1) / CHUNK_LEN);
	left = first < t->chunks ? t->chunks - first : 0;
	if (left > r->as.transfer.n)
		left = r->as.transfer.n;
	if (left == 0)
		return ERR_OK;
	return ledger_read_places(l, t->seq, first, left, places, &t->n);
}

/* Of a whole one the rows; of another one what was tailed. */
static enum err look(struct ledger *l, const struct request *r,
		     struct place *places, struct ledger_transfer *t)
{
	const struct transfer_id *id = &r->as.transfer.id;
	const uint64_t *live =
	    ledger_map_get(&l->m.transfers, ledger_transfer_key(id));
	const struct unfinished *u;

	if (live != NULL) {
		t->seq = *live;
		return whole_places(l, r, places, t);
	}
	u = unfinished_find(&l->m, id);
	if (u == NULL) {
		t->e = ERR_NOTFOUND;
		return ERR_OK;
	}
	t->partial = u->partial;
	t->chunks = (uint32_t)u->n;
	t->instance = u->has_instance ? &u->instance : NULL;
	unfinished_places(u, r, places, &t->n);
	return ERR_OK;
}

enum err ledger_answer_transfer(struct ledger *l, const struct request *r,
				enum err why)
{
	struct place places[LEDGER_PLACES_MAX];
	struct ledger_transfer t = {.places = places};
	enum err e = why;

	if (e == ERR_OK)
		e = look(l, r, places, &t);
	if (e != ERR_OK)
		t = (struct ledger_transfer){.e = e == ERR_CANCELED ? e
								    : ERR_IO};
	r->as.transfer.fn(r->arg, &t);
	return e;
}
