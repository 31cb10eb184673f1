/* ledger_view_rows.c - from a statement to its rows, one after another. */
#include <string.h>

#include "store/ledger_view_in.h"

enum err view_row(struct ledger_view *v, sqlite3_stmt **st)
{
	bool row;
	enum err e = db_row(*st, &row);

	if (e != ERR_OK)
		e = view_failed(v, e);
	if (!row)
		view_done(st);
	return e;
}

enum err view_next(struct ledger_view *v, sqlite3_stmt **st, bool more)
{
	if (more)
		return view_row(v, st);
	view_done(st);
	return ERR_OK;
}

void view_done(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
	*st = NULL;
}

enum err view_all(struct ledger_view *v, const char *sql, sqlite3_stmt **st)
{
	enum err e;

	*st = NULL;
	e = view_prepare(v, sql, st);
	return e == ERR_OK ? view_row(v, st) : e;
}

enum err view_of(struct ledger_view *v, const char *sql, uint64_t key,
		 sqlite3_stmt **st)
{
	enum err e;

	*st = NULL;
	e = view_prepare(v, sql, st);
	if (e != ERR_OK)
		return e;
	db_bind_u64(*st, 1, key);
	return view_row(v, st);
}

enum err view_page(struct ledger_view *v, const char *sql, uint64_t before,
		   unsigned limit, sqlite3_stmt **st)
{
	enum err e;

	*st = NULL;
	e = view_prepare(v, sql, st);
	if (e != ERR_OK)
		return e;
	db_bind_u64(*st, 1, before != 0 ? before : INT64_MAX);
	db_bind_int(*st, 2, view_limit(limit));
	return view_row(v, st);
}

enum err view_begin(struct ledger_view *v)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(v, "BEGIN", &st);

	if (e != ERR_OK)
		return e;
	e = db_run(st);
	if (e != ERR_OK)
		e = view_failed(v, e);
	view_done(&st);
	return e;
}

/* Without one it does nothing. */
void view_end(struct ledger_view *v)
{
	if (v->db != NULL && sqlite3_get_autocommit(v->db) == 0)
		(void)sqlite3_exec(v->db, "COMMIT", NULL, NULL, NULL);
}

unsigned view_limit(unsigned limit)
{
	return limit == 0 || limit > LEDGER_PAGE_MAX ? LEDGER_PAGE_MAX : limit;
}

void view_blob(sqlite3_stmt *st, int i, void *out, size_t n)
{
	if ((size_t)sqlite3_column_bytes(st, i) == n)
		memcpy(out, sqlite3_column_blob(st, i), n);
}
