#include "store/ledger_search.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_search_in.h"

/* ---- pages -------------------------------------------------------------- */

void search_page_of(const struct search_ids *ids, uint64_t place,
		    struct search_page *page)
{
	size_t n = ids->n < ids->limit ? ids->n : ids->limit;
	bool more = ids->n > ids->limit;
	uint64_t on = 0, back = 0;

	if (more)
		on = ids->v[n - 1];
	else if (ids->cut)
		on = ids->end;
	if (place != 0)
		back = n > 0                      ? ids->v[0]
		       : ids->way == SEARCH_OLDER ? place - 1
						  : place + 1;
	*page = (struct search_page){.cut = ids->cut && !more};
	page->older = ids->way == SEARCH_OLDER ? on : back;
	page->newer = ids->way == SEARCH_OLDER ? back : on;
}

/* ---- transfers ---------------------------------------------------------- */

static enum err give_one(struct ledger_view *v, sqlite3_stmt *st, uint64_t id,
			 view_delivery_fn *fn, void *arg, bool *more)
{
	struct view_delivery d;
	bool row;
	enum err e;

	db_bind_u64(st, 1, id);
	e = db_row(st, &row);
	if (e == ERR_OK && row) {
		view_read_delivery(st, &d);
		*more = fn(arg, &d);
	}
	(void)sqlite3_reset(st);
	return e == ERR_OK ? ERR_OK : view_failed(v, e);
}

/* The newest first, whichever way they were found. */
static enum err give_ids(struct ledger_view *v, const struct search_ids *ids,
			 view_delivery_fn *fn, void *arg, unsigned *rows)
{
	size_t n = ids->n < ids->limit ? ids->n : ids->limit;
	sqlite3_stmt *st;
	bool more = true;
	enum err e = view_prepare(
	    v, VIEW_DELIVERY_COLUMNS VIEW_DELIVERY_JOINS "WHERE d.id=?", &st);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && more && i < n; i++) {
		size_t at = ids->way == SEARCH_OLDER ? i : n - 1 - i;

		e = give_one(v, st, ids->v[at], fn, arg, &more);
		if (e == ERR_OK)
			(*rows)++;
	}
	view_done(&st);
	return e;
}

enum err ledger_search(struct ledger_view *v, const struct search_filter *f,
		       view_delivery_fn *fn, void *arg,
		       struct search_page *page)
{
	struct search_ids *ids = mem_zalloc(sizeof(*ids));
	enum err e;

	if (ids == NULL)
		return ERR_NOMEM;
	*page = (struct search_page){0};
	e = view_begin(v);
	if (e == ERR_OK)
		e = search_find(v, f, ids);
	if (e == ERR_OK) {
		search_page_of(ids, f->place, page);
		e = give_ids(v, ids, fn, arg, &page->rows);
	}
	view_end(v);
	mem_free(ids);
	return e;
}

/* ---- a study's transfers ------------------------------------------------ */

/* Of the last that began before: some may be over by then. */
#define OUTGOING_LOOKED_AT "8"
static const char sql_outgoing[] =
    "SELECT id,peer,tls_version,tls_suite,tls_group,fingerprint,subject"
    " FROM (SELECT * FROM associations INDEXED BY associations_out"
    " WHERE direction=1 AND party=?1 AND begun_ms<=?2"
    " ORDER BY begun_ms DESC LIMIT " OUTGOING_LOOKED_AT ")"
    " WHERE ended_ms IS NULL OR ended_ms>=?2 ORDER BY begun_ms DESC LIMIT 1";

struct study_reader {
	struct ledger_view *v;
	sqlite3_stmt *outgoing;
	view_study_delivery_fn *fn;
	void *arg;
	enum err e;
};

static bool was_sent(const struct view_delivery *d)
{
	switch (d->state) {
	case DELIVERY_DELIVERED:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_COMMITTED:
	case DELIVERY_ARRIVED:
		return true;
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_QUARANTINED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_DISCARDED:
		return false;
	}
	return false;
}

static enum err read_outgoing(struct study_reader *r,
			      const struct view_delivery *d,
			      struct view_outgoing *out)
{
	sqlite3_stmt *st = r->outgoing;
	bool row;
	enum err e;

	*out = (struct view_outgoing){0};
	if (!was_sent(d))
		return ERR_OK;
	db_bind_text(st, 1, d->destination);
	db_bind_int(st, 2, d->changed_ms);
	e = db_row(st, &row);
	if (e == ERR_OK && row) {
		out->association = db_u64(st, 0);
		DB_TEXT(st, 1, out->peer);
		DB_TEXT(st, 2, out->tls_version);
		DB_TEXT(st, 3, out->tls_suite);
		DB_TEXT(st, 4, out->tls_group);
		DB_TEXT(st, 5, out->fingerprint);
		DB_TEXT(st, 6, out->subject);
	}
	(void)sqlite3_reset(st);
	return e == ERR_OK ? ERR_OK : view_failed(r->v, e);
}

static bool on_study_delivery(void *arg, const struct view_delivery *d)
{
	struct study_reader *r = arg;
	struct view_outgoing out;

	r->e = read_outgoing(r, d, &out);
	return r->e == ERR_OK && r->fn(r->arg, d, &out);
}

/* In order of arrival: the other way round than a search gives them. */
static void turn(struct search_ids *ids)
{
	size_t n = ids->n < ids->limit ? ids->n : ids->limit;

	ids->n = n;
	ids->way = SEARCH_OLDER;
}

static enum err read_study(struct study_reader *r, struct search_ids *ids,
			   const struct search_filter *f)
{
	unsigned rows = 0;
	enum err e = search_find(r->v, f, ids);

	if (e == ERR_OK)
		e = view_prepare(r->v, sql_outgoing, &r->outgoing);
	if (e != ERR_OK)
		return e;
	turn(ids);
	e = give_ids(r->v, ids, on_study_delivery, r, &rows);
	view_done(&r->outgoing);
	return e == ERR_OK ? r->e : e;
}

enum err ledger_search_study(struct ledger_view *v, const char *study,
			     uint64_t after, unsigned limit,
			     view_study_delivery_fn *fn, void *arg)
{
	struct search_ids *ids = mem_zalloc(sizeof(*ids));
	struct search_filter f = {.study = study,
				  .way = SEARCH_NEWER,
				  .place = after,
				  .limit = limit};
	struct study_reader r = {.v = v, .fn = fn, .arg = arg};
	enum err e = ERR_OK;

	if (ids == NULL)
		return ERR_NOMEM;
	if (search_given(study) != NULL)
		e = view_begin(v);
	if (e == ERR_OK && search_given(study) != NULL)
		e = read_study(&r, ids, &f);
	view_end(v);
	mem_free(ids);
	return e;
}

enum err ledger_search_unready(struct ledger_view *v, uint64_t *series)
{
	sqlite3_stmt *st;
	enum err e = view_all(v, "SELECT unready FROM search_state", &st);

	*series = 0;
	if (e == ERR_OK && st != NULL)
		*series = db_u64(st, 0);
	view_done(&st);
	return e;
}
