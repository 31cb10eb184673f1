#include "store/ledger_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/ledger_view_in.h"
#include "store/migrations.h"

enum { VIEW_CACHE = 8 << 20, VIEW_BUSY_MS = 2000 };

/* ---- connection ---------------------------------------------------------- */

static void disconnect(struct ledger_view *v)
{
	db_close(v->db);
	v->db = NULL;
}

static enum err connect_now(struct ledger_view *v)
{
	struct db_options o = {.path = v->path,
			       .read_only = true,
			       .cache_bytes = VIEW_CACHE,
			       .busy_ms = VIEW_BUSY_MS};
	enum err e;

	if (!db_identity(v->path, &v->identity))
		return ERR_NOTFOUND;
	e = db_open(&o, &v->db, v->why);
	if (e != ERR_OK)
		return e;
	e = migrations_check(v->db, &migrations_ledger, v->why);
	if (e != ERR_OK)
		disconnect(v);
	return e;
}

enum err ledger_view_open(const char *path, struct ledger_view **out,
			  char why[LEDGER_WHY_LEN])
{
	struct ledger_view *v = mem_zalloc(sizeof(*v));
	enum err e;

	if (v == NULL)
		return ERR_NOMEM;
	snprintf(v->path, sizeof(v->path), "%.500s/ledger.db", path);
	e = connect_now(v);
	if (e == ERR_NOTFOUND)
		snprintf(v->why, sizeof(v->why), "%.200s: no ledger here",
			 v->path);
	else if (e != ERR_OK && v->why[0] == '\0')
		snprintf(v->why, sizeof(v->why), "%.200s: %s", v->path,
			 err_text(e));
	if (e != ERR_OK) {
		if (why != NULL)
			memcpy(why, v->why, sizeof(v->why));
		mem_free(v);
		return e == ERR_NOTFOUND || e == ERR_UNSUPPORTED ||
			       e == ERR_NOMEM
			   ? e
			   : ERR_IO;
	}
	*out = v;
	return ERR_OK;
}

void ledger_view_close(struct ledger_view *v)
{
	if (v == NULL)
		return;
	disconnect(v);
	mem_free(v);
}

const char *ledger_view_why(const struct ledger_view *v)
{
	return v->why;
}

enum err view_failed(struct ledger_view *v, enum err e)
{
	snprintf(v->why, sizeof(v->why), "%.160s: %.80s", v->path,
		 v->db != NULL ? sqlite3_errmsg(v->db) : err_text(e));
	return e == ERR_BUSY || e == ERR_NOMEM ? e : ERR_IO;
}

/* The daemon may have moved the file aside and begun another. */
static enum err reconnect(struct ledger_view *v)
{
	struct db_identity now;
	enum err e;

	if (v->db != NULL && db_identity(v->path, &now) &&
	    now.inode == v->identity.inode && now.device == v->identity.device)
		return ERR_OK;
	disconnect(v);
	e = connect_now(v);
	if (e == ERR_OK)
		return ERR_OK;
	if (e == ERR_NOTFOUND || e == ERR_UNSUPPORTED) {
		snprintf(v->why, sizeof(v->why),
			 "%.200s is being rebuilt: try again", v->path);
		return ERR_BUSY;
	}
	return view_failed(v, e);
}

enum err view_prepare(struct ledger_view *v, const char *sql,
		      sqlite3_stmt **out)
{
	enum err e = reconnect(v);

	if (e != ERR_OK)
		return e;
	e = db_prepare(v->db, sql, out);
	return e != ERR_OK ? view_failed(v, e) : ERR_OK;
}

/* ---- deliveries ------------------------------------------------------------
 */

static void read_instance(sqlite3_stmt *st, struct view_delivery *d)
{
	view_blob(st, 9, d->transfer.b, sizeof(d->transfer.b));
	d->received_ms = sqlite3_column_int64(st, 10);
	DB_TEXT(st, 11, d->sop_instance);
	d->length = db_u64(st, 12);
	d->chunks = (uint32_t)db_u64(st, 13);
	view_blob(st, 14, d->root, sizeof(d->root));
	d->association = db_u64(st, 15);
	DB_TEXT(st, 16, d->listener);
	DB_TEXT(st, 17, d->device);
	DB_TEXT(st, 18, d->peer);
	DB_TEXT(st, 19, d->calling_ae);
	DB_TEXT(st, 20, d->called_ae);
	DB_TEXT(st, 21, d->sop_class);
	DB_TEXT(st, 22, d->transfer_syntax);
	DB_TEXT(st, 23, d->study);
	DB_TEXT(st, 24, d->series);
	DB_TEXT(st, 25, d->modality);
	d->command = (uint16_t)db_u64(st, 26);
	d->type = (uint16_t)db_u64(st, 27);
	DB_TEXT(st, 28, d->transaction);
}

void view_read_delivery(sqlite3_stmt *st, struct view_delivery *d)
{
	unsigned state = (unsigned)sqlite3_column_int(st, 1);

	*d = (struct view_delivery){.delivery = db_u64(st, 0)};
	d->seq = d->delivery >> 5;
	if (state < DELIVERY_N_STATES)
		d->state = (enum delivery_state)state;
	DB_TEXT(st, 2, d->destination);
	d->priority = sqlite3_column_int(st, 3);
	d->attempts = (uint32_t)db_u64(st, 4);
	d->remote_status = sqlite3_column_int(st, 5);
	d->next_attempt_ms = sqlite3_column_int64(st, 6);
	d->changed_ms = sqlite3_column_int64(st, 7);
	DB_TEXT(st, 8, d->last_error);
	read_instance(st, d);
}

/* Run fn on each row; consumes the statement. *n counts the rows. */
static enum err each_delivery(struct ledger_view *v, sqlite3_stmt *st,
			      view_delivery_fn *fn, void *arg, unsigned *n)
{
	struct view_delivery d;
	enum err e = view_row(v, &st);

	while (e == ERR_OK && st != NULL) {
		view_read_delivery(st, &d);
		(*n)++;
		e = view_next(v, &st, fn(arg, &d));
	}
	return e;
}

/* What is open, uncommitted or arrived is found by its index, all else by
 * scanning in order. */
#define DELIVERY_FILTERS                                                       \
	" AND d.id>?3 AND (?4 IS NULL OR o.device=?4)"                         \
	" AND (?5 IS NULL OR s.study=?5) ORDER BY d.id LIMIT ?6"
#define NAMED                                                                  \
	"d.destination IN (SELECT id FROM destinations"                        \
	" WHERE ?1 IS NULL OR name=?1)"

static const char sql_open[] = VIEW_DELIVERY_COLUMNS
    "INDEXED BY deliveries_open " VIEW_DELIVERY_JOINS "WHERE " NAMED
    " AND d.state=?2 AND d.state<=2" DELIVERY_FILTERS;
/* A state with an index of its own. */
#define WAITING(index, state)                                                  \
	VIEW_DELIVERY_COLUMNS "INDEXED BY " index " " VIEW_DELIVERY_JOINS      \
			      "WHERE " NAMED                                   \
			      " AND d.state=" state DELIVERY_FILTERS
/* In order without sorting. */
#define WAITING_AT(index, state)                                               \
	VIEW_DELIVERY_COLUMNS                                                  \
	"INDEXED BY " index " " VIEW_DELIVERY_JOINS                            \
	"WHERE d.destination=(SELECT id FROM destinations"                     \
	" WHERE name=?1) AND d.state=" state DELIVERY_FILTERS
static const char sql_uncommitted[] = WAITING("deliveries_uncommitted", "6");
static const char sql_uncommitted_at[] =
    WAITING_AT("deliveries_uncommitted", "6");
static const char sql_arrived[] = WAITING("deliveries_arrived", "8");
static const char sql_arrived_at[] = WAITING_AT("deliveries_arrived", "8");
static const char sql_scan[] = VIEW_DELIVERY_COLUMNS VIEW_DELIVERY_JOINS
    "WHERE (?2 IS NULL OR d.state=?2) AND (?1 "
    "IS NULL OR t.name=?1)" DELIVERY_FILTERS;
static const char sql_receipts[] = VIEW_DELIVERY_COLUMNS VIEW_DELIVERY_JOINS
    "WHERE d.state IN (3,7) AND (?1 IS NULL OR t.name=?1)" DELIVERY_FILTERS;

static const char *sql_of(const struct view_filter *f)
{
	if (!f->any_state && f->state <= DELIVERY_QUARANTINED)
		return sql_open;
	if (!f->any_state && f->state == DELIVERY_UNCOMMITTED)
		return f->destination != NULL ? sql_uncommitted_at
					      : sql_uncommitted;
	if (!f->any_state && f->state == DELIVERY_ARRIVED)
		return f->destination != NULL ? sql_arrived_at : sql_arrived;
	return sql_scan;
}

/* No instance of a study is older than its first series. */
static enum err study_begins(struct ledger_view *v, const char *study,
			     uint64_t *after)
{
	sqlite3_stmt *st;
	enum err e;

	if (study == NULL)
		return ERR_OK;
	e = view_prepare(v, "SELECT min(first) FROM series WHERE study=?", &st);
	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, study);
	e = view_row(v, &st);
	if (e != ERR_OK || st == NULL)
		return e;
	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		*after = INT64_MAX;
	else if (db_u64(st, 0) << 5 > *after + 1)
		*after = (db_u64(st, 0) << 5) - 1;
	view_done(&st);
	return ERR_OK;
}

static enum err deliveries(struct ledger_view *v, const struct view_filter *f,
			   const char *sql, view_delivery_fn *fn, void *arg)
{
	uint64_t after = f->after;
	sqlite3_stmt *st;
	unsigned n = 0;
	enum err e = study_begins(v, f->study, &after);

	if (e == ERR_OK)
		e = view_prepare(v, sql, &st);
	if (e != ERR_OK)
		return e;
	db_bind_text(st, 1, f->destination);
	if (f->any_state)
		(void)sqlite3_bind_null(st, 2);
	else
		db_bind_int(st, 2, (int64_t)f->state);
	db_bind_u64(st, 3, after);
	db_bind_text(st, 4, f->device);
	db_bind_text(st, 5, f->study);
	db_bind_int(st, 6, view_limit(f->limit));
	return each_delivery(v, st, fn, arg, &n);
}

enum err ledger_view_deliveries(struct ledger_view *v,
				const struct view_filter *f,
				view_delivery_fn *fn, void *arg)
{
	return deliveries(v, f, sql_of(f), fn, arg);
}

enum err ledger_view_receipts(struct ledger_view *v, const char *destination,
			      uint64_t after, unsigned limit,
			      view_delivery_fn *fn, void *arg)
{
	struct view_filter f = {
	    .destination = destination, .after = after, .limit = limit};

	return deliveries(v, &f, sql_receipts, fn, arg);
}

enum err ledger_view_uncommitted(struct ledger_view *v, const char *destination,
				 uint64_t after, unsigned limit,
				 view_delivery_fn *fn, void *arg)
{
	struct view_filter f = {.destination = destination,
				.state = DELIVERY_UNCOMMITTED,
				.after = after,
				.limit = limit};

	return ledger_view_deliveries(v, &f, fn, arg);
}

/* ---- finding one ------------------------------------------------------------
 */

/* The lowest and the highest id that begin with these digits. */
static bool hex_range(const char *text, uint8_t low[TRANSFER_ID_LEN],
		      uint8_t high[TRANSFER_ID_LEN])
{
	size_t n = strlen(text);

	if (n == 0 || n > TRANSFER_ID_LEN * 2 ||
	    strspn(text, "0123456789abcdefABCDEF") != n)
		return false;
	for (size_t i = 0; i < TRANSFER_ID_LEN * 2; i++) {
		char digit[2] = {i < n ? text[i] : '0', '\0'};
		unsigned shift = i % 2 == 0 ? 4 : 0;
		unsigned value = (unsigned)strtoul(digit, NULL, 16);
		unsigned top = i < n ? value : 15;

		if (shift == 4)
			low[i / 2] = high[i / 2] = 0;
		low[i / 2] = (uint8_t)(low[i / 2] | value << shift);
		high[i / 2] = (uint8_t)(high[i / 2] | top << shift);
	}
	return true;
}

static enum err find_transfer(struct ledger_view *v, const char *text,
			      uint64_t *seq, bool *many)
{
	uint8_t low[TRANSFER_ID_LEN], high[TRANSFER_ID_LEN];
	sqlite3_stmt *st;
	enum err e;

	if (!hex_range(text, low, high))
		return ERR_INVAL;
	e = view_prepare(v,
			 "SELECT seq FROM instances"
			 " WHERE transfer BETWEEN ? AND ? LIMIT 2",
			 &st);
	if (e != ERR_OK)
		return e;
	db_bind_blob(st, 1, low, sizeof(low));
	db_bind_blob(st, 2, high, sizeof(high));
	e = view_row(v, &st);
	if (e != ERR_OK || st == NULL)
		return e != ERR_OK ? e : ERR_NOTFOUND;
	*seq = db_u64(st, 0);
	e = view_row(v, &st);
	*many = st != NULL;
	if (st != NULL)
		view_done(&st);
	return e;
}

static enum err show(struct ledger_view *v, uint64_t from, uint64_t to,
		     view_delivery_fn *fn, void *arg, unsigned *n)
{
	sqlite3_stmt *st;
	enum err e = view_prepare(v,
				  VIEW_DELIVERY_COLUMNS VIEW_DELIVERY_JOINS
				  "WHERE d.id BETWEEN ? AND ? ORDER BY d.id",
				  &st);

	if (e != ERR_OK)
		return e;
	db_bind_u64(st, 1, from);
	db_bind_u64(st, 2, to);
	return each_delivery(v, st, fn, arg, n);
}

/* Too many: every instance that matches, up to a page. */
static enum err show_all(struct ledger_view *v, const char *text,
			 view_delivery_fn *fn, void *arg)
{
	uint8_t low[TRANSFER_ID_LEN], high[TRANSFER_ID_LEN];
	sqlite3_stmt *st;
	unsigned n = 0;
	enum err e;

	if (!hex_range(text, low, high))
		return ERR_INVAL;
	e = view_prepare(v,
			 VIEW_DELIVERY_COLUMNS VIEW_DELIVERY_JOINS
			 "WHERE i.transfer BETWEEN ? AND ?"
			 " ORDER BY d.id LIMIT ?",
			 &st);
	if (e != ERR_OK)
		return e;
	db_bind_blob(st, 1, low, sizeof(low));
	db_bind_blob(st, 2, high, sizeof(high));
	db_bind_int(st, 3, LEDGER_PAGE_MAX);
	e = each_delivery(v, st, fn, arg, &n);
	return e == ERR_OK ? ERR_LIMIT : e;
}

enum err ledger_view_find(struct ledger_view *v, const char *text,
			  view_delivery_fn *fn, void *arg)
{
	bool many = false;
	uint64_t seq = 0;
	unsigned n = 0;
	enum err e;

	if (text[0] != '\0' && strlen(text) < 19 &&
	    strspn(text, "0123456789") == strlen(text)) {
		uint64_t id = strtoull(text, NULL, 10);

		e = show(v, id, id, fn, arg, &n);
		if (e != ERR_OK || n > 0)
			return e;
	}
	e = find_transfer(v, text, &seq, &many);
	if (e != ERR_OK)
		return e;
	if (many)
		return show_all(v, text, fn, arg);
	return show(v, seq << 5, (seq << 5) + 31, fn, arg, &n);
}

enum err ledger_view_identity(struct ledger_view *v, uint64_t seq,
			      uint8_t *sealed, size_t cap, size_t *len)
{
	sqlite3_stmt *st;
	enum err e = view_of(v,
			     "SELECT s.identity FROM instances i"
			     " JOIN series s ON s.id=i.series"
			     " WHERE i.seq=?",
			     seq, &st);

	if (e != ERR_OK || st == NULL)
		return e != ERR_OK ? e : ERR_NOTFOUND;
	*len = (size_t)sqlite3_column_bytes(st, 0);
	if (*len > cap)
		e = ERR_LIMIT;
	else if (*len > 0)
		memcpy(sealed, sqlite3_column_blob(st, 0), *len);
	view_done(&st);
	return e;
}
