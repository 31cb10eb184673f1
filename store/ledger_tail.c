/* ledger_tail.c - spool records, one by one, become rows.
 *
 * A transfer becomes rows once its final record and all chunks were seen. Until
 * then it lives in memory only, and a restart reads again from the first record
 * of the oldest such transfer (resume); what lies at or below applied is then
 * seen a second time and must change nothing.
 *
 * A partial transfer (spool_partial.h) is one that stays unfinished through a
 * restart: the spool says KEPT of it first.
 *
 * moved copies: of a live instance they replace a place. A copy of what is not
 * live counts only while a lost ledger is rebuilt, when the original may be
 * gone already; afterwards it is of a delivery that ended meanwhile. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/spool_partial.h"

/* ---- chunks ----------------------------------------------------------- */

static struct unfinished_chunk *chunk_find(struct unfinished *u, uint32_t index)
{
	/* They come in order, so the end is where to look. */
	for (size_t i = u->n; i > 0 && u->chunks[i - 1].index >= index; i--)
		if (u->chunks[i - 1].index == index)
			return &u->chunks[i - 1];
	return NULL;
}

static enum err chunk_room(struct unfinished *u, uint32_t index,
			   struct unfinished_chunk **out)
{
	size_t at = u->n;

	if (u->n == u->cap) {
		size_t cap = u->cap != 0 ? u->cap * 2 : 1;
		void *more = mem_realloc(u->chunks, cap * sizeof(*u->chunks));

		if (more == NULL)
			return ERR_NOMEM;
		u->chunks = more;
		u->cap = cap;
	}
	while (at > 0 && u->chunks[at - 1].index > index)
		at--;
	memmove(&u->chunks[at + 1], &u->chunks[at],
		(u->n - at) * sizeof(*u->chunks));
	u->n++;
	*out = &u->chunks[at];
	**out = (struct unfinished_chunk){.index = index};
	return ERR_OK;
}

/* The highest sequence is the place that counts; sequences rise. */
static enum err chunk_put(struct mirror *m, struct unfinished *u,
			  const struct tail_record *r, bool damaged)
{
	struct unfinished_chunk *c = chunk_find(u, r->index);
	enum err e;

	if (mirror_segment_get(m, r->place.segment) == NULL)
		return ERR_NOMEM;
	if (c != NULL && damaged)
		return ERR_OK; /* a good copy is better */
	if (c != NULL) {
		space_unpin(m, &c->place, c->length);
	} else {
		e = chunk_room(u, r->index, &c);
		if (e != ERR_OK)
			return e;
	}
	c->length = r->length;
	c->sequence = r->sequence;
	c->place = r->place;
	c->damaged = damaged;
	space_pin(m, &c->place, c->length);
	return ERR_OK;
}

static void take_head(struct unfinished *u, const struct tail_record *r)
{
	if (r->has_instance && (r->final || !u->has_instance)) {
		u->instance = r->instance;
		u->has_instance = true;
	}
	if (r->final) {
		u->final = r->sequence;
		u->expected = r->index + 1;
	}
}

static bool any_damaged(const struct unfinished *u)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->chunks[i].damaged)
			return true;
	return false;
}

static const char reason_damaged[] =
    "a record of it in the spool is damaged: have it sent again";
static const char reason_missing[] =
    "a record of it is missing from the spool: have it sent again";

/* A lost ledger is rebuilt, and of a transfer that was done everywhere some
 * segments are gone already: that is no loss. */
static enum err insert_done(struct ledger *l, struct unfinished *u)
{
	enum err e = ledger_insert(l, u, NULL);

	for (size_t i = 0; e == ERR_OK && i < u->n_noted; i++)
		e = ledger_outcome(l, &u->noted[i].o, u->noted[i].segment);
	if (e == ERR_OK)
		unfinished_forget(&l->m, u);
	return e;
}

/* All is there: make rows. Else wait for the rest. */
static enum err maybe_insert(struct ledger *l, struct unfinished *u)
{
	bool damaged;
	enum err e;

	if (unfinished_is_done(u))
		return insert_done(l, u);
	if (u->final == 0 || !u->has_instance || u->n < u->expected)
		return ERR_OK;
	damaged = u->damaged || any_damaged(u);
	e = ledger_insert(l, u, damaged ? reason_damaged : NULL);
	if (e == ERR_OK)
		unfinished_forget(&l->m, u);
	return e;
}

/* A restart saw its final record before and made rows of it then. */
static enum err is_row(struct ledger *l, const struct tail_record *r, bool *is)
{
	sqlite3_stmt *st = l->st[ST_INSTANCE_LAST];
	enum err e;

	*is = false;
	if (!r->final || r->sequence > l->m.applied)
		return ERR_OK;
	db_bind_u64(st, 1, r->sequence);
	e = db_row(st, is);
	(void)sqlite3_reset(st);
	return e;
}

static enum err apply_new(struct ledger *l, const struct tail_record *r)
{
	struct unfinished *u;
	bool is;
	enum err e = is_row(l, r, &is);

	if (e != ERR_OK)
		return e;
	if (is) {
		u = unfinished_find(&l->m, &r->id);
		if (u != NULL)
			unfinished_drop(&l->m, u);
		return ERR_OK;
	}
	e = unfinished_get(&l->m, r, &u);
	if (e == ERR_OK)
		e = chunk_put(&l->m, u, r, false);
	if (e != ERR_OK)
		return e;
	take_head(u, r);
	return maybe_insert(l, u);
}

/* ---- moved copies ------------------------------------------------------ */

static enum err old_place(struct ledger *l, uint64_t seq, uint32_t index,
			  struct place *place, uint32_t *length, bool *found)
{
	sqlite3_stmt *st = l->st[ST_CHUNKS_OF];
	enum err e;

	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, index);
	db_bind_int(st, 3, 1);
	e = db_row(st, found);
	if (e != ERR_OK || !*found)
		return e;
	*found = db_u64(st, 0) == index;
	place->segment = (uint32_t)db_u64(st, 1);
	place->offset = (uint32_t)db_u64(st, 2);
	*length = (uint32_t)db_u64(st, 3);
	(void)sqlite3_reset(st);
	return ERR_OK;
}

static enum err apply_move(struct ledger *l, const struct tail_record *r,
			   uint64_t seq)
{
	sqlite3_stmt *st = l->st[ST_CHUNK_MOVE];
	struct place old = {0};
	uint32_t length = 0;
	bool found;
	enum err e = old_place(l, seq, r->index, &old, &length, &found);

	if (e != ERR_OK || !found)
		return e;
	if (mirror_segment_get(&l->m, r->place.segment) == NULL)
		return ERR_NOMEM;
	db_bind_u64(st, 1, seq);
	db_bind_int(st, 2, r->index);
	db_bind_int(st, 3, r->place.segment);
	db_bind_int(st, 4, r->place.offset);
	e = db_run(st);
	if (e != ERR_OK)
		return e;
	space_unpin(&l->m, &old, length);
	space_pin(&l->m, &r->place, length);
	/* A rebuild that starts at this copy must meet them after it. */
	return ledger_repeat_outcomes(l, seq);
}

static enum err apply_chunk(struct ledger *l, const struct tail_record *r)
{
	struct mirror *m = &l->m;
	uint64_t key = ledger_transfer_key(&r->id);
	uint64_t *live = ledger_map_get(&m->transfers, key);

	if (live != NULL)
		return r->moved && r->sequence > m->applied
			   ? apply_move(l, r, *live)
			   : ERR_OK;
	if (r->moved && (r->sequence > m->rebuilt ||
			 ledger_map_get(&m->finished, key) != NULL))
		return ERR_OK;
	return apply_new(l, r);
}

/* ---- damage ------------------------------------------------------------ */

static enum err record_damage(struct ledger *l, const struct tail_record *r)
{
	const struct tail_damage *d = &r->damage;
	sqlite3_stmt *st = l->st[ST_DAMAGE];
	char text[TRANSFER_TEXT_LEN] = "";
	enum err e;

	db_bind_int(st, 1, clock_wall_ms());
	db_bind_int(st, 2, r->place.segment);
	db_bind_int(st, 3, r->place.offset);
	db_bind_u64(st, 4, d->bytes);
	db_bind_int(st, 5, d->certain);
	db_bind_blob(st, 6, r->id.b, d->named ? TRANSFER_ID_LEN : 0);
	db_bind_text(st, 7, d->text);
	e = db_run(st);
	if (e != ERR_OK || sqlite3_changes(l->db) == 0)
		return e;
	if (d->named)
		transfer_id_text(&r->id, text);
	log_event(d->certain ? LOG_ERROR : LOG_WARN, "spool-damage",
		  "segment=%u offset=%u bytes=%llu certain=%s transfer=%s "
		  "text=\"%s\"",
		  r->place.segment, r->place.offset,
		  (unsigned long long)d->bytes, d->certain ? "yes" : "no", text,
		  d->text);
	if (d->certain)
		ledger_audit_text(l, AUDIT_SPOOL_ALERT, AUDIT_SERIOUS, "damage",
				  d->text);
	return ERR_OK;
}

static void suspect_all(struct mirror *m)
{
	LIST_EACH(it, tmp, &m->unfinished)
	CONTAINER_OF(it, struct unfinished, node)->suspect = true;
}

static enum err named_damage(struct ledger *l, const struct tail_record *r)
{
	uint64_t *live =
	    ledger_map_get(&l->m.transfers, ledger_transfer_key(&r->id));
	struct unfinished *u;
	bool is;
	enum err e;

	if (live != NULL)
		return r->damage.certain
			   ? ledger_quarantine(l, *live, reason_damaged)
			   : ERR_OK;
	e = is_row(l, r, &is);
	/* A middle of it torn by a power cut: it never had an end. */
	if (e != ERR_OK || is || (!r->damage.certain && !r->final))
		return e;
	e = unfinished_get(&l->m, r, &u);
	if (e == ERR_OK)
		e = chunk_put(&l->m, u, r, true);
	if (e != ERR_OK)
		return e;
	take_head(u, r);
	return maybe_insert(l, u);
}

static enum err apply_damage(struct ledger *l, const struct tail_record *r)
{
	enum err e = record_damage(l, r);

	if (e != ERR_OK)
		return e;
	if (r->damage.named)
		return named_damage(l, r);
	if (r->damage.certain)
		suspect_all(&l->m);
	return ERR_OK;
}

/* ---- transfers that end without a final record ------------------------- */

static void apply_kept(struct ledger *l, const struct outcome *o)
{
	struct unfinished *u = unfinished_find(&l->m, &o->id);

	if (u != NULL)
		u->kept = u->partial;
	else
		spool_partial_disown(l->spool, &o->id);
}

/* Keep what there is of a transfer for a person to judge. */
static enum err salvage(struct ledger *l, struct unfinished *u,
			const char *reason)
{
	enum err e;

	if (u->final == 0)
		u->final = u->first;
	if (!u->has_instance)
		u->instance.id = u->id;
	e = ledger_insert(l, u, reason);
	if (e == ERR_OK)
		unfinished_forget(&l->m, u);
	return e;
}

static enum err apply_restart(struct ledger *l, uint64_t sequence)
{
	enum err e = ERR_OK;

	LIST_EACH(it, tmp, &l->m.unfinished)
	{
		struct unfinished *u =
		    CONTAINER_OF(it, struct unfinished, node);

		if (u->final != 0 || u->kept) {
			u->kept = false;
			continue;
		}
		/* What is partial was never acknowledged as a whole. */
		if (!u->partial && (u->suspect || any_damaged(u)) &&
		    sequence > l->m.applied)
			e = salvage(l, u, reason_damaged);
		else
			unfinished_drop(&l->m, u);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err apply_outcome(struct ledger *l, const struct tail_record *r,
			      const struct outcome *o)
{
	struct unfinished *u;
	enum err e;

	if (o->kind == OUTCOME_RESTART)
		return apply_restart(l, r->sequence);
	if (o->kind == OUTCOME_KEPT) {
		apply_kept(l, o);
		return ERR_OK;
	}
	if (o->kind == OUTCOME_ABANDONED) {
		u = unfinished_find(&l->m, &o->id);
		if (u != NULL && u->final == 0)
			unfinished_drop(&l->m, u);
		return ERR_OK;
	}
	u = unfinished_find(&l->m, &o->id);
	if (u != NULL) {
		e = unfinished_note(u, o, r->place.segment);
		return e == ERR_OK ? maybe_insert(l, u) : e;
	}
	if (r->sequence <= l->m.applied)
		return ERR_OK;
	return ledger_outcome(l, o, r->place.segment);
}

enum err ledger_apply(struct ledger *l, const struct tail_record *r)
{
	enum err e = ERR_OK;

	l->m.at = r->sequence;
	switch (r->kind) {
	case TAIL_CHUNK:
		e = apply_chunk(l, r);
		break;
	case TAIL_OUTCOMES:
		for (size_t i = 0; e == ERR_OK && i < r->n_outcomes; i++)
			e = apply_outcome(l, r, &r->outcomes[i]);
		break;
	case TAIL_DAMAGE:
		e = apply_damage(l, r);
		break;
	}
	if (e == ERR_OK && r->sequence > l->m.position)
		l->m.position = r->sequence;
	return e;
}

static void caught_up(struct ledger *l)
{
	l->m.caught_up = true;
	ledger_map_free(&l->m.finished);
	if (!l->rebuilding)
		return;
	l->rebuilding = false;
	if (l->aside == NULL && l->m.instances == 0)
		return; /* the first start */
	log_event(LOG_INFO, "ledger-rebuilt", "instances=%llu",
		  (unsigned long long)l->m.instances);
	ledger_audit_text(l, AUDIT_LEDGER_REBUILT, AUDIT_MINOR, "why",
			  l->aside != NULL ? l->aside : "missing");
}

enum err ledger_settle(struct ledger *l)
{
	enum err e = ERR_OK;

	LIST_EACH(it, tmp, &l->m.unfinished)
	{
		struct unfinished *u =
		    CONTAINER_OF(it, struct unfinished, node);

		if (u->final == 0)
			continue;
		e = ledger_begin(l);
		if (e == ERR_OK)
			e = salvage(l, u, reason_missing);
		if (e != ERR_OK)
			return e;
	}
	if (!l->m.caught_up)
		caught_up(l);
	return ERR_OK;
}
