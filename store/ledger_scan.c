/* ledger_scan.c - all deliveries of a stretch of time, for exports of millions.
 *
 * One statement a page, in the order of the table. What many rows share (their
 * destination, origin, kind and series) is read once and remembered. */
#include <stddef.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_search_in.h"

enum { SLOTS = 64, PART_LEN = 256, FIELDS_MAX = 6 };

/* ---- what rows share ------------------------------------------------------
 */

#define FIELD(name)                                                            \
	{                                                                      \
		offsetof(struct view_delivery, name),                          \
		    sizeof(((struct view_delivery *)0)->name)                  \
	}

enum shared { DESTINATION, ORIGIN, KIND, SERIES, SHARED };

static const struct {
	const char *sql;
	bool number; /* column 0, an association */
	struct {
		size_t at, size;
	} fields[FIELDS_MAX];
} tables[SHARED] = {
    [DESTINATION] = {"SELECT name FROM destinations WHERE id=?",
		     false,
		     {FIELD(destination)}},
    [ORIGIN] = {"SELECT association,listener,device,peer,calling_ae,called_ae"
		" FROM origins WHERE id=?",
		true,
		{FIELD(association), FIELD(listener), FIELD(device),
		 FIELD(peer), FIELD(calling_ae), FIELD(called_ae)}},
    [KIND] = {"SELECT sop_class,transfer_syntax FROM kinds WHERE id=?",
	      false,
	      {FIELD(sop_class), FIELD(transfer_syntax)}},
    [SERIES] = {"SELECT study,series,modality FROM series WHERE id=?",
		false,
		{FIELD(study), FIELD(series), FIELD(modality)}},
};

struct slot {
	int64_t id; /* 0: empty */
	char bytes[PART_LEN];
};

struct scanner {
	struct ledger_view *v;
	sqlite3_stmt *st[SHARED];
	struct slot slots[SHARED][SLOTS];
};

static void take_columns(sqlite3_stmt *st, enum shared of, char *to)
{
	for (int i = 0; i < FIELDS_MAX && tables[of].fields[i].size > 0; i++) {
		size_t size = tables[of].fields[i].size;
		uint64_t number;

		if (i == 0 && tables[of].number) {
			number = db_u64(st, 0);
			memcpy(to, &number, sizeof(number));
		} else {
			db_text(st, i, to, size);
		}
		to += size;
	}
}

static enum err fetch(struct scanner *s, enum shared of, int64_t id,
		      struct slot *slot)
{
	bool row;
	enum err e;

	*slot = (struct slot){0};
	db_bind_int(s->st[of], 1, id);
	e = db_row(s->st[of], &row);
	if (e != ERR_OK)
		return view_failed(s->v, e);
	if (row)
		take_columns(s->st[of], of, slot->bytes);
	(void)sqlite3_reset(s->st[of]);
	slot->id = id;
	return ERR_OK;
}

/* The fields of d that stand in row id of a table that many share. */
static enum err share(struct scanner *s, enum shared of, int64_t id,
		      struct view_delivery *d)
{
	struct slot *slot = &s->slots[of][(uint64_t)id % SLOTS];
	const char *from = slot->bytes;
	enum err e = ERR_OK;

	if (slot->id != id || id == 0)
		e = fetch(s, of, id, slot);
	for (int i = 0; i < FIELDS_MAX && tables[of].fields[i].size > 0; i++) {
		memcpy((char *)d + tables[of].fields[i].at, from,
		       tables[of].fields[i].size);
		from += tables[of].fields[i].size;
	}
	return e;
}

/* ---- rows ------------------------------------------------------------------
 */

static const char sql_rows[] =
    "SELECT d.id,d.state,d.destination,d.priority,d.attempts,d.remote_status,"
    "d.next_attempt_ms,d.changed_ms,d.last_error,i.transfer,i.received_ms,"
    "i.sop_instance,i.length,i.chunks,i.root,i.origin,i.kind,i.series,"
    "i.command,i.type," LEDGER_SQL_TRANSACTION
    " FROM deliveries d CROSS JOIN instances i ON i.seq=d.id>>5"
    " WHERE d.id>?1 AND d.id<?2 AND i.received_ms>=?3 AND i.received_ms<?4"
    " ORDER BY d.id LIMIT ?5";

static enum err read_row(struct scanner *s, sqlite3_stmt *st,
			 struct view_delivery *d)
{
	static const int shared_at[SHARED] = {
	    [DESTINATION] = 2, [ORIGIN] = 15, [KIND] = 16, [SERIES] = 17};
	unsigned state = (unsigned)sqlite3_column_int(st, 1);
	enum err e = ERR_OK;

	*d = (struct view_delivery){.delivery = db_u64(st, 0)};
	d->seq = d->delivery >> 5;
	if (state < DELIVERY_N_STATES)
		d->state = (enum delivery_state)state;
	d->priority = sqlite3_column_int(st, 3);
	d->attempts = (uint32_t)db_u64(st, 4);
	d->remote_status = sqlite3_column_int(st, 5);
	d->next_attempt_ms = sqlite3_column_int64(st, 6);
	d->changed_ms = sqlite3_column_int64(st, 7);
	DB_TEXT(st, 8, d->last_error);
	view_blob(st, 9, d->transfer.b, sizeof(d->transfer.b));
	d->received_ms = sqlite3_column_int64(st, 10);
	DB_TEXT(st, 11, d->sop_instance);
	d->length = db_u64(st, 12);
	d->chunks = (uint32_t)db_u64(st, 13);
	view_blob(st, 14, d->root, sizeof(d->root));
	d->command = (uint16_t)db_u64(st, 18);
	d->type = (uint16_t)db_u64(st, 19);
	DB_TEXT(st, 20, d->transaction);
	for (unsigned i = 0; e == ERR_OK && i < SHARED; i++)
		e = share(s, (enum shared)i,
			  sqlite3_column_int64(st, shared_at[i]), d);
	return e;
}

static enum err read_rows(struct scanner *sc, sqlite3_stmt *st, struct scan *s,
			  view_delivery_fn *fn, void *arg)
{
	struct view_delivery d;
	bool more = true;
	unsigned n = 0;
	enum err e = view_row(sc->v, &st);

	while (e == ERR_OK && st != NULL) {
		e = read_row(sc, st, &d);
		if (e != ERR_OK)
			break;
		s->after = d.delivery;
		n++;
		more = fn(arg, &d);
		e = view_next(sc->v, &st, more);
	}
	view_done(&st);
	s->ended = e == ERR_OK && more && n < view_limit(s->limit);
	return e;
}

/* ---- a page ----------------------------------------------------------------
 */

/* The ids that can have come in these times, both ends exclusive. */
static enum err bounds(struct ledger_view *v, const struct scan *s,
		       int64_t *low, int64_t *high)
{
	uint64_t first = 0, last = 0;
	enum err e;

	*low = (int64_t)s->after;
	*high = INT64_MAX;
	if (s->from_ms == 0 && s->to_ms == 0)
		return ERR_OK;
	e = search_blocks_of(v, s->from_ms, s->to_ms, &first, &last);
	if (e != ERR_OK)
		return e;
	if ((int64_t)(first << LEDGER_BLOCK_BITS << 5) - 1 > *low)
		*low = (int64_t)(first << LEDGER_BLOCK_BITS << 5) - 1;
	*high = (int64_t)((last + 1) << LEDGER_BLOCK_BITS << 5);
	return ERR_OK;
}

static enum err prepare(struct scanner *sc, const struct scan *s,
			sqlite3_stmt **st)
{
	int64_t low, high;
	enum err e = bounds(sc->v, s, &low, &high);

	for (unsigned i = 0; e == ERR_OK && i < SHARED; i++)
		e = view_prepare(sc->v, tables[i].sql, &sc->st[i]);
	if (e == ERR_OK)
		e = view_prepare(sc->v, sql_rows, st);
	if (e != ERR_OK)
		return e;
	db_bind_int(*st, 1, low);
	db_bind_int(*st, 2, high);
	db_bind_int(*st, 3, s->from_ms);
	db_bind_int(*st, 4, search_to(s->to_ms));
	db_bind_int(*st, 5, view_limit(s->limit));
	return ERR_OK;
}

enum err ledger_scan(struct ledger_view *v, struct scan *s,
		     view_delivery_fn *fn, void *arg)
{
	struct scanner *sc = mem_zalloc(sizeof(*sc));
	sqlite3_stmt *st = NULL;
	enum err e;

	if (sc == NULL)
		return ERR_NOMEM;
	sc->v = v;
	s->ended = true;
	e = view_begin(v);
	if (e == ERR_OK)
		e = prepare(sc, s, &st);
	if (e == ERR_OK)
		e = read_rows(sc, st, s, fn, arg);
	for (unsigned i = 0; i < SHARED; i++)
		(void)sqlite3_finalize(sc->st[i]);
	view_end(v);
	mem_free(sc);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}
