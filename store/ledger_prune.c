/* ledger_prune.c - finished transfers and old associations out of the ledger.
 *
 * Nothing that is not finished, nothing that the spool still needs to know
 * (chunks, a pinned outcome), nothing of a study that is held. In small
 * batches, in the order of sequence. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_keep_in.h"

enum { BATCH = 200 };

/* What is still needed of instance i; ?2 is the cutoff. */
#define NEEDED                                                                 \
	"EXISTS(SELECT 1 FROM deliveries d WHERE d.id>=i.seq*32 AND "          \
	"d.id<i.seq*32+32 AND (d.state NOT IN(3,4,5,7) OR "                    \
	"d.outcome_segment IS NOT NULL OR d.changed_ms>=?2))"                  \
	" OR EXISTS(SELECT 1 FROM chunks c WHERE c.instance=i.seq)"            \
	" OR (i.link_owner IS NOT NULL AND coalesce(i.link_noted,0)=0)"        \
	" OR i.seq=(SELECT max(seq) FROM instances)"

struct old {
	int64_t seq, series, origin;
};

struct batch {
	struct old old[BATCH];
	size_t n;
	int64_t last; /* looked at; 0: none */
	bool end;
};

/* ---- holds ------------------------------------------------------------------
 */

struct looking {
	const char *study;
	bool found;
};

static bool on_hold(void *arg, const struct audit_hold *h)
{
	struct looking *s = arg;

	s->found = strcmp(h->study, s->study) == 0;
	return !s->found;
}

static bool is_held(struct ledger *l, const char *study)
{
	struct audit_pruned *beside = audit_beside(l->audit);
	struct looking s = {.study = study};

	return beside == NULL ||
	       audit_hold_each(beside, on_hold, &s) != ERR_OK || s.found;
}

/* ---- which ------------------------------------------------------------------
 */

static void take(struct ledger *l, struct batch *b, sqlite3_stmt *st)
{
	const char *study = (const char *)sqlite3_column_text(st, 4);

	if (sqlite3_column_int(st, 5) != 0 ||
	    (study != NULL && is_held(l, study)))
		return;
	b->old[b->n++] = (struct old){.seq = sqlite3_column_int64(st, 0),
				      .series = sqlite3_column_int64(st, 2),
				      .origin = sqlite3_column_int64(st, 3)};
}

static enum err collect(struct ledger *l, const struct prune_place *at,
			struct batch *b)
{
	sqlite3_stmt *st;
	size_t seen = 0;
	bool row;
	enum err e = db_prepare(l->db,
				"SELECT i.seq,i.received_ms,i.series,i.origin,"
				"s.study," NEEDED " FROM instances i "
				"LEFT JOIN series s ON s.id=i.series "
				"WHERE i.seq>?1 ORDER BY i.seq LIMIT ?3",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, at->seq);
	db_bind_int(st, 2, at->cutoff_ms);
	db_bind_int(st, 3, BATCH);
	while ((e = db_row(st, &row)) == ERR_OK && row) {
		/* they came in the order of seq */
		if (sqlite3_column_int64(st, 1) >= at->cutoff_ms)
			break;
		b->last = sqlite3_column_int64(st, 0);
		seen++;
		take(l, b, st);
	}
	b->end = seen < BATCH;
	(void)sqlite3_finalize(st);
	return e;
}

/* ---- away -------------------------------------------------------------------
 */

static enum err run_with(struct ledger *l, const char *sql, int64_t a,
			 int64_t b)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(l->db, sql, &st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, a);
	if (sqlite3_bind_parameter_count(st) > 1)
		db_bind_int(st, 2, b);
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

static enum err drop_one(struct ledger *l, const struct old *o)
{
	enum err e = run_with(
	    l, "DELETE FROM deliveries WHERE id>=?1*32 AND id<?1*32+32", o->seq,
	    0);

	if (e == ERR_OK)
		e = run_with(l, "DELETE FROM messages WHERE seq=?1", o->seq, 0);
	if (e == ERR_OK)
		e = run_with(l, "DELETE FROM instances WHERE seq=?1", o->seq,
			     0);
	return e;
}

/* ---- what stood for them ----------------------------------------------------
 */

/* Counted anew: what is left of it is not much. */
static const char series_recount[] =
    "UPDATE series SET (instances,bytes,first_ms,last_ms,first)="
    "(SELECT count(*),sum(length),min(received_ms),max(received_ms),min(seq)"
    " FROM instances INDEXED BY instances_series WHERE series=?1),"
    "(device,calling_ae)=(SELECT o.device,o.calling_ae FROM instances i"
    " JOIN origins o ON o.id=i.origin WHERE i.seq=(SELECT min(seq)"
    " FROM instances INDEXED BY instances_series WHERE series=?1))"
    " WHERE id=?1";

static bool changed(struct ledger *l)
{
	return sqlite3_changes(l->db) > 0;
}

static enum err settle_series(struct ledger *l, int64_t id)
{
	enum err e = run_with(l,
			      "DELETE FROM series WHERE id=?1 AND NOT EXISTS("
			      "SELECT 1 FROM instances WHERE series=?1)",
			      id, 0);

	if (e != ERR_OK)
		return e;
	if (!changed(l))
		return run_with(l, series_recount, id, 0);
	ledger_series_forget(l, id);
	return ERR_OK;
}

static enum err settle_origin(struct ledger *l, int64_t id, int64_t n)
{
	enum err e = run_with(
	    l, "UPDATE origins SET instances=instances-?2 WHERE id=?1", id, n);

	if (e == ERR_OK)
		e = run_with(l,
			     "DELETE FROM origins WHERE id=?1 AND "
			     "instances<=0",
			     id, 0);
	if (e != ERR_OK || !changed(l))
		return e;
	for (size_t i = 0; i < LEDGER_CACHED; i++)
		if (l->m.origins[i].id == id)
			memset(&l->m.origins[i], 0, sizeof(l->m.origins[i]));
	return ERR_OK;
}

/* Each series and origin of the batch once, and the blocks that are empty. */
static enum err settle(struct ledger *l, struct batch *b)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < b->n; i++) {
		int64_t series = b->old[i].series, origin = b->old[i].origin;
		int64_t n = 0;

		for (size_t k = i; k < b->n; k++) {
			if (b->old[k].origin == origin) {
				b->old[k].origin = 0;
				n++;
			}
			if (b->old[k].series == series)
				b->old[k].series = 0;
		}
		if (series != 0)
			e = settle_series(l, series);
		if (e == ERR_OK && origin != 0)
			e = settle_origin(l, origin, n);
		if (e == ERR_OK)
			e = run_with(l,
				     "DELETE FROM blocks WHERE block=?1>>10 "
				     "AND NOT EXISTS(SELECT 1 FROM instances "
				     "WHERE seq>=?1>>10<<10 AND "
				     "seq<((?1>>10)+1)<<10)",
				     b->old[i].seq, 0);
	}
	return e;
}

static enum err drop(struct ledger *l, struct batch *b)
{
	/* what is counted in memory is in the rows first */
	enum err e = mirror_flush(l);

	for (size_t i = 0; e == ERR_OK && i < b->n; i++)
		e = drop_one(l, &b->old[i]);
	if (e == ERR_OK)
		e = settle(l, b);
	return e;
}

static enum err instances(struct ledger *l, struct prune_place *at)
{
	struct batch b = {.n = 0};
	enum err e = collect(l, at, &b);

	if (e == ERR_OK && at->really && b.n > 0)
		e = drop(l, &b);
	if (e != ERR_OK)
		return e;
	at->transfers += b.n;
	if (b.last != 0)
		at->seq = b.last;
	at->instances_done = b.end;
	return ERR_OK;
}

/* ---- associations -----------------------------------------------------------
 */

static enum err collect_associations(struct ledger *l,
				     const struct prune_place *at,
				     struct batch *b)
{
	sqlite3_stmt *st;
	size_t seen = 0;
	bool row;
	enum err e = db_prepare(l->db,
				"SELECT id,begun_ms,ended_ms FROM associations "
				"WHERE id>?1 ORDER BY id LIMIT ?2",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, at->association);
	db_bind_int(st, 2, BATCH);
	while ((e = db_row(st, &row)) == ERR_OK && row) {
		if (sqlite3_column_int64(st, 1) >= at->cutoff_ms)
			break;
		b->last = sqlite3_column_int64(st, 0);
		seen++;
		if (sqlite3_column_type(st, 2) == SQLITE_INTEGER &&
		    sqlite3_column_int64(st, 2) < at->cutoff_ms)
			b->old[b->n++] = (struct old){.seq = b->last};
	}
	b->end = seen < BATCH;
	(void)sqlite3_finalize(st);
	return e;
}

static enum err drop_association(struct ledger *l, int64_t id)
{
	static const char *const sql[] = {
	    "DELETE FROM contexts WHERE association=?1",
	    "DELETE FROM operations WHERE association=?1",
	    "DELETE FROM associations WHERE id=?1"};
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(sql); i++)
		e = run_with(l, sql[i], id, 0);
	return e;
}

/* What is left behind by all that went. */
static enum err sweep(struct ledger *l, const struct prune_place *at)
{
	enum err e = run_with(l, "DELETE FROM refusals WHERE last_ms<?1",
			      at->cutoff_ms, 0);

	/* of this block the row is not written yet */
	if (e == ERR_OK)
		e = mirror_flush(l);
	if (e == ERR_OK)
		e = db_exec(l->db, "DELETE FROM marks WHERE block NOT IN("
				   "SELECT block FROM blocks)");
	return e;
}

static enum err associations(struct ledger *l, struct prune_place *at,
			     bool *more)
{
	struct batch b = {.n = 0};
	enum err e = collect_associations(l, at, &b);

	for (size_t i = 0; e == ERR_OK && at->really && i < b.n; i++)
		e = drop_association(l, b.old[i].seq);
	if (e == ERR_OK && b.end && at->really)
		e = sweep(l, at);
	if (e != ERR_OK)
		return e;
	at->associations += b.n;
	if (b.last != 0)
		at->association = b.last;
	*more = !b.end;
	return ERR_OK;
}

enum err ledger_prune_some(struct ledger *l, struct prune_place *at, bool *more)
{
	enum err e = at->really ? ledger_begin(l) : ERR_OK;

	*more = true;
	if (e != ERR_OK)
		return e;
	return at->instances_done ? associations(l, at, more)
				  : instances(l, at);
}
