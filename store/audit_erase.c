#include "store/audit_erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/audit_int.h"

#define BEFORE "\"before_ms\":"

void audit_erase_event(const struct audit_erase *what, const char *user,
		       uint64_t values, struct audit_event *e)
{
	struct audit_json j;

	memset(e, 0, sizeof(*e));
	e->kind = AUDIT_ERASED;
	snprintf(e->study, sizeof(e->study), "%s", what->study);
	snprintf(e->user, sizeof(e->user), "%s", user);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	if (what->study[0] == '\0')
		audit_json_number(&j, "before_ms", what->before_ms);
	audit_json_number(&j, "values", (int64_t)values);
	audit_json_end(&j);
}

int64_t audit_erase_before(const char *detail)
{
	const char *at = strstr(detail, BEFORE);

	return at != NULL ? strtoll(at + sizeof(BEFORE) - 1, NULL, 10) : 0;
}

/* ---- one file --------------------------------------------------------------
 */

struct batch {
	struct audit *a;
	const struct audit_erase *what;
	int64_t by, seq;
	uint64_t *values;
};

static bool fits(const struct batch *b, sqlite3_stmt *st)
{
	const char *study = (const char *)sqlite3_column_text(st, 1);

	if (b->what->study[0] != '\0')
		return study != NULL && strcmp(study, b->what->study) == 0;
	return sqlite3_column_int64(st, 2) < b->what->before_ms;
}

/* The numbers to erase, and where the batch ends (0: with the file). */
static enum err collect(sqlite3 *db, struct batch *b, int64_t *seqs, size_t *n,
			int64_t *end)
{
	sqlite3_stmt *st;
	size_t seen = 0;
	bool row;
	enum err e = db_prepare(db,
				"SELECT s.seq,a.study,a.wall_ms FROM sealed s "
				"JOIN audit a ON a.seq=s.seq WHERE s.seq>? "
				"ORDER BY s.seq LIMIT ?",
				&st);

	if (e != ERR_OK)
		return e;
	*n = 0;
	*end = 0;
	db_bind_int(st, 1, b->seq);
	db_bind_int(st, 2, AUDIT_ERASE_BATCH);
	while ((e = db_row(st, &row)) == ERR_OK && row) {
		*end = sqlite3_column_int64(st, 0);
		if (fits(b, st))
			seqs[(*n)++] = *end;
		seen++;
	}
	if (seen < AUDIT_ERASE_BATCH)
		*end = 0;
	(void)sqlite3_finalize(st);
	return e;
}

static enum err erase_one(sqlite3_stmt *mark, sqlite3_stmt *drop, int64_t seq,
			  int64_t by)
{
	enum err e;

	db_bind_int(mark, 1, seq);
	db_bind_int(mark, 2, by);
	e = db_run(mark);
	db_bind_int(drop, 1, seq);
	return e == ERR_OK ? db_run(drop) : e;
}

static enum err erase_all(sqlite3 *db, const int64_t *seqs, size_t n,
			  int64_t by)
{
	sqlite3_stmt *mark, *drop;
	enum err e = db_prepare(db, "INSERT INTO erased VALUES(?,?)", &mark);

	if (e != ERR_OK)
		return e;
	e = db_prepare(db, "DELETE FROM sealed WHERE seq=?", &drop);
	if (e == ERR_OK) {
		for (size_t i = 0; e == ERR_OK && i < n; i++)
			e = erase_one(mark, drop, seqs[i], by);
		(void)sqlite3_finalize(drop);
	}
	(void)sqlite3_finalize(mark);
	return e;
}

/* Overwritten, and not left in the log either, unless somebody reads it at this
 * moment: then until the next batch, or until nobody has the file open. */
static enum err erase_batch(sqlite3 *db, const int64_t *seqs, size_t n,
			    int64_t by)
{
	enum err e = db_exec(db, "PRAGMA secure_delete=ON; BEGIN IMMEDIATE");

	if (e == ERR_OK)
		e = erase_all(db, seqs, n, by);
	if (e == ERR_OK)
		e = db_exec(db, "COMMIT");
	if (e != ERR_OK)
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	else
		(void)sqlite3_wal_checkpoint_v2(
		    db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return e;
}

static enum err work_on(struct batch *b, sqlite3 *db, int64_t *end)
{
	int64_t seqs[AUDIT_ERASE_BATCH];
	size_t n;
	enum err e = collect(db, b, seqs, &n, end);

	if (e == ERR_OK && n > 0 && b->by != 0)
		e = erase_batch(db, seqs, n, b->by);
	if (e == ERR_OK)
		*b->values += n;
	return e;
}

/* ---- all files -------------------------------------------------------------
 */

struct search {
	const char *after;
	char name[64], path[AUDIT_PATH_LEN];
};

static enum err look(void *arg, const char *name, const char *path)
{
	struct search *s = arg;

	if (strcmp(name, s->after) <= 0 ||
	    (s->name[0] != '\0' && strcmp(name, s->name) >= 0))
		return ERR_OK;
	snprintf(s->name, sizeof(s->name), "%.63s", name);
	snprintf(s->path, sizeof(s->path), "%s", path);
	return ERR_OK;
}

static bool has_sealed(sqlite3 *db)
{
	int64_t n;

	return db_integer(db,
			  "SELECT count(*) FROM sqlite_schema WHERE "
			  "name IN('sealed','erased') AND type='table'",
			  &n) == ERR_OK &&
	       n == 2;
}

static enum err work_in(struct batch *b, const char *path, int64_t *end)
{
	struct db_options o = {
	    .path = path, .cache_bytes = AUDIT_CACHE, .busy_ms = 1000};
	sqlite3 *db;
	enum err e;

	if (b->a->db != NULL && strcmp(path, b->a->path) == 0)
		return work_on(b, b->a->db, end);
	e = db_open(&o, &db, b->a->why);
	if (e != ERR_OK)
		return e;
	*end = 0;
	if (has_sealed(db))
		e = work_on(b, db, end);
	if (e != ERR_OK)
		snprintf(b->a->why, sizeof(b->a->why), "%.100s: %.100s", path,
			 sqlite3_errmsg(db));
	db_close(db);
	return e;
}

enum err audit_erase_some(struct audit *a, const struct audit_erase *what,
			  int64_t by, struct audit_erase_place *at,
			  uint64_t *values, bool *more)
{
	struct batch b = {
	    .a = a, .what = what, .by = by, .seq = at->seq, .values = values};
	char path[AUDIT_PATH_LEN];
	int64_t end = 0;
	enum err e;

	*more = true;
	if (!at->inside) {
		struct search s = {.after = at->name};

		e = audit_month_each(a->dir, look, &s);
		if (e != ERR_OK)
			return e;
		*more = s.name[0] != '\0';
		if (!*more)
			return ERR_OK;
		memcpy(at->name, s.name, sizeof(at->name));
		at->inside = true;
		b.seq = at->seq = 0;
	}
	snprintf(path, sizeof(path), "%s/%s", a->dir, at->name);
	e = work_in(&b, path, &end);
	if (e != ERR_OK)
		return e; /* the same batch again */
	at->seq = end;
	at->inside = end != 0;
	return ERR_OK;
}
