/* audit_read_file.c - one month file, row by row. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proxy/lib/mem.h"
#include "store/audit_read_int.h"
#include "store/migrations.h"

/* ---- opening --------------------------------------------------------------
 */

static enum err probe(sqlite3 *db)
{
	int64_t n;

	return db_integer(db, "SELECT count(*) FROM sqlite_schema", &n);
}

static bool beside(const char *path, const char *suffix)
{
	char name[AUDIT_PATH_LEN + 8];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 && st.st_size > 0;
}

enum err audit_db_open(const struct db_options *o, sqlite3 **out,
		       char why[DB_WHY_LEN])
{
	struct db_options again = *o;
	sqlite3 *db;
	enum err e = db_open(o, &db, why);

	if (e != ERR_OK || !o->read_only) {
		if (e == ERR_OK)
			*out = db;
		return e;
	}
	e = probe(db);
	if (e == ERR_OK) {
		*out = db;
		return ERR_OK;
	}
	if (why != NULL)
		snprintf(why, DB_WHY_LEN, "%.150s: %.90s", o->path,
			 sqlite3_errmsg(db));
	db_close(db);
	/* WAL mode makes a file beside the database, even to read. */
	if (e != ERR_IO || beside(o->path, "-wal"))
		return e;
	again.immutable = true;
	e = db_open(&again, &db, NULL);
	if (e != ERR_OK)
		return e;
	e = probe(db);
	if (e != ERR_OK)
		db_close(db);
	else
		*out = db;
	return e;
}

/* ERR_CORRUPT: of another kind. */
static enum err version(struct audit_file *f)
{
	int64_t kind, n;
	enum err e = db_integer(f->db, "PRAGMA application_id", &kind);

	if (e == ERR_OK)
		e = db_integer(f->db, "PRAGMA user_version", &n);
	if (e != ERR_OK)
		return e;
	if (kind != migrations_audit.application_id || n < 1)
		return ERR_CORRUPT;
	f->chained = n > 1;
	f->indexed = n > 2;
	return n > migrations_audit.n ? ERR_UNSUPPORTED : ERR_OK;
}

enum err audit_file_open(struct audit_file *f,
			 const struct audit_filter *filter,
			 char why[AUDIT_WHY_LEN])
{
	struct db_options o = {.path = f->path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};
	enum err e = audit_db_open(&o, &f->db, why);

	if (e != ERR_OK)
		return e;
	e = version(f);
	if (e == ERR_UNSUPPORTED && why != NULL)
		snprintf(why, AUDIT_WHY_LEN,
			 "%.150s was written by a newer program", f->path);
	if (e == ERR_OK && filter != NULL)
		e = audit_file_prepare(f, filter);
	/* a table that is not there */
	if (e == ERR_IO && sqlite3_errcode(f->db) == SQLITE_ERROR)
		e = ERR_CORRUPT;
	f->row = mem_zalloc(sizeof(*f->row));
	f->sealed = mem_zalloc(AUDIT_SEALED_LEN);
	if (f->row == NULL || f->sealed == NULL)
		e = ERR_NOMEM;
	if (e != ERR_OK)
		audit_file_close(f);
	return e;
}

void audit_file_close(struct audit_file *f)
{
	(void)sqlite3_finalize(f->rows);
	(void)sqlite3_finalize(f->seek);
	(void)sqlite3_finalize(f->blob);
	(void)sqlite3_finalize(f->erased);
	(void)sqlite3_finalize(f->span);
	f->rows = f->seek = f->blob = f->erased = f->span = NULL;
	db_close(f->db);
	f->db = NULL;
	mem_free(f->row);
	mem_free(f->sealed);
	f->row = NULL;
	f->sealed = NULL;
	f->stepping = f->waiting = false;
}

enum err audit_file_span(struct audit_file *f)
{
	enum err e = db_integer(f->db, "SELECT min(seq) FROM audit", &f->first);

	if (e == ERR_OK)
		e = db_integer(f->db, "SELECT max(seq) FROM audit", &f->last);
	if (e != ERR_NOTFOUND)
		return e;
	f->first = f->last = 0;
	return ERR_OK;
}

/* ---- rows ------------------------------------------------------------------
 */

struct decode {
	sqlite3_stmt *st;
	int at;
	const char *malformed;
};

static void bad(struct decode *d)
{
	if (d->malformed == NULL)
		d->malformed = sqlite3_column_name(d->st, d->at);
}

static int64_t integer(struct decode *d)
{
	int64_t v = sqlite3_column_int64(d->st, d->at);

	if (sqlite3_column_type(d->st, d->at) != SQLITE_INTEGER)
		bad(d);
	d->at++;
	return v;
}

/* 0 stands for NULL, and is never stored. */
static uint64_t optional(struct decode *d)
{
	if (sqlite3_column_type(d->st, d->at) != SQLITE_NULL) {
		uint64_t v = (uint64_t)sqlite3_column_int64(d->st, d->at);

		if (v == 0)
			bad(d);
		return (uint64_t)integer(d);
	}
	d->at++;
	return 0;
}

static int32_t small(struct decode *d)
{
	int at = d->at;
	int64_t v = integer(d);

	if (v < INT32_MIN || v > INT32_MAX) {
		d->at = at;
		bad(d);
		d->at++;
		return 0;
	}
	return (int32_t)v;
}

static void text(struct decode *d, char *out, size_t size)
{
	int type = sqlite3_column_type(d->st, d->at);
	const void *p;
	size_t n;

	out[0] = '\0';
	if (type != SQLITE_NULL) {
		p = sqlite3_column_text(d->st, d->at);
		n = (size_t)sqlite3_column_bytes(d->st, d->at);
		if (type != SQLITE_TEXT || n == 0 || n >= size || p == NULL ||
		    memchr(p, '\0', n) != NULL) {
			bad(d);
			n = 0;
		}
		if (n > 0)
			memcpy(out, p, n);
		out[n] = '\0';
	}
	d->at++;
}

/* False: NULL. */
static bool hash(struct decode *d, uint8_t out[AUDIT_CHAIN_LEN])
{
	bool there = sqlite3_column_type(d->st, d->at) != SQLITE_NULL;

	memset(out, 0, AUDIT_CHAIN_LEN);
	if (there) {
		if (sqlite3_column_type(d->st, d->at) != SQLITE_BLOB ||
		    sqlite3_column_bytes(d->st, d->at) != AUDIT_CHAIN_LEN)
			bad(d);
		else
			memcpy(out, sqlite3_column_blob(d->st, d->at),
			       AUDIT_CHAIN_LEN);
	}
	d->at++;
	return there;
}

#define TEXT(d, field) text((d), (field), sizeof(field))

static void decode_public(struct decode *d, struct audit_row *r)
{
	r->seq = integer(d);
	r->wall_ms = integer(d);
	r->mono_ns = (uint64_t)integer(d);
	TEXT(d, r->boot);
	r->kind = small(d);
	r->outcome = small(d);
	r->association = optional(d);
	TEXT(d, r->listener);
	TEXT(d, r->device);
	TEXT(d, r->destination);
	TEXT(d, r->peer);
	TEXT(d, r->local);
	TEXT(d, r->calling_ae);
	TEXT(d, r->called_ae);
	TEXT(d, r->fingerprint);
	TEXT(d, r->study);
	TEXT(d, r->user);
	TEXT(d, r->detail);
}

static bool take_blob(struct audit_file *f, sqlite3_stmt *st, int i,
		      struct audit_row *r)
{
	size_t n = (size_t)sqlite3_column_bytes(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_BLOB || n > AUDIT_SEALED_LEN)
		return false;
	if (n > 0)
		memcpy(f->sealed, sqlite3_column_blob(st, i), n);
	r->sealed = f->sealed;
	r->sealed_len = n;
	return true;
}

static enum err find_erasure(struct audit_file *f, struct audit_row *r)
{
	bool row = false;
	enum err e;

	db_bind_int(f->erased, 1, r->seq);
	e = db_row(f->erased, &row);
	r->sealed_is = row ? AUDIT_SEALED_ERASED : AUDIT_SEALED_MISSING;
	r->erased_by = row ? sqlite3_column_int64(f->erased, 0) : 0;
	if (row)
		(void)sqlite3_reset(f->erased);
	return e;
}

static enum err find_sealed(struct audit_file *f, bool wanted,
			    struct audit_row *r)
{
	bool row = false;
	enum err e;

	db_bind_int(f->blob, 1, r->seq);
	e = db_row(f->blob, &row);
	if (e != ERR_OK)
		return e;
	if (!row)
		return find_erasure(f, r);
	r->sealed_is = AUDIT_SEALED_HERE;
	if (wanted && !take_blob(f, f->blob, 0, r))
		r->malformed = "sealed";
	(void)sqlite3_reset(f->blob);
	return ERR_OK;
}

static enum err decode(struct audit_file *f, bool sealed)
{
	struct decode d = {.st = f->rows};
	struct audit_row *r = f->row;
	bool prev, committed, hashed;

	decode_public(&d, r);
	prev = hash(&d, r->prev_chain);
	r->has_chain = hash(&d, r->chain);
	if (prev != r->has_chain)
		d.malformed = "prev_chain";
	committed = hash(&d, r->commitment);
	hashed = hash(&d, r->sealed_hash);
	if (committed != hashed)
		d.malformed = "sealed_hash";
	r->sealed_is = AUDIT_SEALED_NONE;
	r->sealed = NULL;
	r->sealed_len = 0;
	r->erased_by = 0;
	r->malformed = d.malformed;
	if (hashed)
		return find_sealed(f, sealed, r);
	if (sqlite3_column_type(f->rows, d.at) == SQLITE_NULL)
		return ERR_OK;
	/* from before there was a chain */
	r->sealed_is = AUDIT_SEALED_HERE;
	if (r->has_chain || (sealed && !take_blob(f, f->rows, d.at, r)))
		r->malformed = "sealed";
	return ERR_OK;
}

enum err audit_file_row(struct audit_file *f, const struct audit_filter *filter,
			bool *got)
{
	enum err e;

	*got = false;
	if (!f->stepping)
		return ERR_OK;
	e = db_row(f->rows, got);
	if (e == ERR_OK && *got)
		e = decode(f, filter->sealed);
	if (e != ERR_OK || !*got) {
		f->stepping = false;
		f->next = filter->backwards ? f->until - 1 : f->until + 1;
		return e;
	}
	f->next = filter->backwards ? f->row->seq - 1 : f->row->seq + 1;
	return ERR_OK;
}
