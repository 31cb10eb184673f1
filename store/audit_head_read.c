/* audit_head_read.c - heads out of the databases. */
#include <stdio.h>
#include <string.h>

#include "store/audit_int.h"

static bool take(sqlite3_stmt *st, int i, uint8_t *out, size_t n)
{
	if (sqlite3_column_type(st, i) != SQLITE_BLOB ||
	    (size_t)sqlite3_column_bytes(st, i) != n)
		return false;
	memcpy(out, sqlite3_column_blob(st, i), n);
	return true;
}

static bool take_signature(sqlite3_stmt *st, int i, struct audit_head *h)
{
	int n = sqlite3_column_bytes(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_BLOB || n <= 0 ||
	    n > SEAL_SIGNATURE_MAX)
		return false;
	h->sig_len = (size_t)n;
	memcpy(h->sig, sqlite3_column_blob(st, i), h->sig_len);
	return true;
}

static bool take_node(sqlite3_stmt *st, int i, struct audit_head *h)
{
	int n = sqlite3_column_bytes(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_TEXT || n >= AUDIT_NODE_LEN)
		return false;
	DB_TEXT(st, i, h->node);
	return strlen(h->node) == (size_t)n;
}

bool audit_head_column(sqlite3_stmt *st, struct audit_head *out)
{
	struct audit_head h = {.number = sqlite3_column_int64(st, 0),
			       .seq = sqlite3_column_int64(st, 1),
			       .wall_ms = sqlite3_column_int64(st, 3)};

	if (sqlite3_column_type(st, 1) != SQLITE_INTEGER ||
	    sqlite3_column_type(st, 3) != SQLITE_INTEGER ||
	    !take(st, 2, h.chain, sizeof(h.chain)) || !take_node(st, 4, &h) ||
	    !take(st, 5, h.log, sizeof(h.log)) ||
	    !take(st, 6, h.key_id, sizeof(h.key_id)) ||
	    !take_signature(st, 7, &h))
		return false;
	*out = h;
	return true;
}

enum err audit_head_of(sqlite3 *db, struct audit_head *out)
{
	sqlite3_stmt *st;
	bool row = false;
	enum err e = db_prepare(db,
				"SELECT number,seq,chain,wall_ms,node,log,"
				"key_id,sig FROM heads ORDER BY number DESC "
				"LIMIT 1",
				&st);

	if (e != ERR_OK)
		return ERR_NOTFOUND; /* from before there were any */
	e = db_row(st, &row);
	if (e == ERR_OK && (!row || !audit_head_column(st, out)))
		e = ERR_NOTFOUND;
	(void)sqlite3_finalize(st);
	return e;
}

static enum err newest(void *arg, const char *name, const char *path)
{
	struct audit_head *best = arg, h;
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};
	sqlite3 *db;

	(void)name;
	if (audit_db_open(&o, &db, NULL) != ERR_OK)
		return ERR_OK;
	if (audit_head_of(db, &h) == ERR_OK && h.number > best->number)
		*best = h;
	db_close(db);
	return ERR_OK;
}

enum err audit_head_newest(const char *dir, struct audit_head *out)
{
	struct audit_head best = {0};
	enum err e = audit_month_each(dir, newest, &best);

	if (e != ERR_OK)
		return e;
	if (best.number == 0)
		return ERR_NOTFOUND;
	*out = best;
	return ERR_OK;
}
