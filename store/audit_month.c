/* audit_month.c - the month files of the writer. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/audit_int.h"
#include "store/migrations.h"
#include "store/seal.h"

enum { STOP_AMONG = 10000 }; /* rows at the end */

/* ---- one month ----------------------------------------------------------- */

void audit_month_close(struct audit *a)
{
	if (a->in_transaction)
		(void)sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
	a->in_transaction = false;
	a->added = a->committed;
	(void)sqlite3_finalize(a->insert);
	(void)sqlite3_finalize(a->insert_sealed);
	a->insert = a->insert_sealed = NULL;
	db_close(a->db);
	a->db = NULL;
	a->month[0] = '\0';
}

static enum err fill_kinds(sqlite3 *db)
{
	static const struct {
		int number;
		const char *text;
	} rows[] = {
#define X(number, name, text) {(number), text},
	    AUDIT_EVENT_MAP(X)
#undef X
	};
	sqlite3_stmt *st;
	enum err e =
	    db_prepare(db, "INSERT OR IGNORE INTO kinds VALUES(?,?)", &st);

	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(rows); i++) {
		db_bind_int(st, 1, rows[i].number);
		db_bind_text(st, 2, rows[i].text);
		e = db_run(st);
	}
	(void)sqlite3_finalize(st);
	return e;
}

static enum err name_log(struct audit *a)
{
	sqlite3_stmt *st;
	enum err e = db_prepare(a->db,
				"INSERT INTO log SELECT 1,? WHERE NOT EXISTS"
				"(SELECT 1 FROM log)",
				&st);

	if (e != ERR_OK)
		return e;
	db_bind_blob(st, 1, a->log, sizeof(a->log));
	e = db_run(st);
	(void)sqlite3_finalize(st);
	return e;
}

static enum err prepare(struct audit *a)
{
	enum err e = db_prepare(a->db,
				"INSERT INTO audit VALUES(?,?,?,?,?,?,?,?,?,?,"
				"?,?,?,?,?,?,?,?,NULL,?,?,?,?)",
				&a->insert);

	return e != ERR_OK ? e
			   : db_prepare(a->db, "INSERT INTO sealed VALUES(?,?)",
					&a->insert_sealed);
}

static enum err month_try(struct audit *a)
{
	struct db_options o = {
	    .path = a->path, .cache_bytes = AUDIT_CACHE, .busy_ms = 1000};
	enum err e = db_open(&o, &a->db, a->why);

	if (e != ERR_OK)
		return e;
	e = migrations_run(a->db, &migrations_audit, a->why);
	if (e != ERR_OK)
		return e;
	e = fill_kinds(a->db);
	if (e == ERR_OK)
		e = name_log(a);
	if (e == ERR_OK)
		e = prepare(a);
	if (e != ERR_OK)
		audit_say(a, NULL);
	return e;
}

static void remove_all(const char *path)
{
	static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
	char one[AUDIT_PATH_LEN];

	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		snprintf(one, sizeof(one), "%s%s", path, suffix[i]);
		(void)unlink(one);
	}
}

/* A month is there with its tables and the name of the log, or not at all:
 * one that was killed in between must not look like damage. */
static enum err make_file(struct audit *a)
{
	char path[sizeof(a->path)];
	enum err e;

	memcpy(path, a->path, sizeof(path));
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return ERR_OK;
	snprintf(a->path + strlen(a->path), sizeof(a->path) - strlen(a->path),
		 ".new");
	remove_all(a->path);
	e = month_try(a);
	audit_month_close(a);
	remove_all(path); /* the log of one that was deleted is not its own */
	if (e == ERR_OK && rename(a->path, path) != 0) {
		audit_say(a, strerror(errno));
		e = ERR_IO;
	}
	memcpy(a->path, path, sizeof(path));
	return e;
}

enum err audit_month_open(struct audit *a, const char month[AUDIT_MONTH_LEN])
{
	char aside[DB_WHY_LEN];
	enum err e;

	audit_month_close(a);
	snprintf(a->path, sizeof(a->path), "%s/audit-%s.db", a->dir, month);
	e = make_file(a);
	if (e == ERR_OK)
		e = month_try(a);
	if (e == ERR_CORRUPT) {
		audit_month_close(a);
		if (db_move_aside(a->path, "corrupt", aside) != ERR_OK)
			return ERR_IO;
		log_event(LOG_ERROR, "audit-damaged", "moved-to=%s", aside);
		snprintf(a->gap, sizeof(a->gap),
			 "audit of %s was damaged and moved to %.180s", month,
			 aside);
		e = make_file(a);
		if (e == ERR_OK)
			e = month_try(a);
	}
	if (e != ERR_OK) {
		audit_month_close(a);
		return e;
	}
	memcpy(a->month, month, AUDIT_MONTH_LEN);
	(void)db_identity(a->path, &a->identity);
	return ERR_OK;
}

/* ---- what was there before ------------------------------------------------
 */

enum err audit_month_each(const char *dir, audit_month_fn *fn, void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum err e = ERR_OK;

	if (d == NULL)
		return ERR_IO;
	while (e == ERR_OK && (entry = readdir(d)) != NULL) {
		char path[AUDIT_PATH_LEN];

		if (fnmatch("audit-[0-9]*-[0-9][0-9].db", entry->d_name, 0) !=
		    0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		e = fn(arg, entry->d_name, path);
	}
	(void)closedir(d);
	return e;
}

struct found {
	struct audit *a;
	bool log;
};

static void take_blob(sqlite3_stmt *st, int i, uint8_t *out, size_t n)
{
	const void *p = sqlite3_column_blob(st, i);

	if (p != NULL && (size_t)sqlite3_column_bytes(st, i) == n)
		memcpy(out, p, n);
}

static void find_log(struct found *f, sqlite3 *db)
{
	sqlite3_stmt *st;
	bool row = false;

	if (f->log || db_prepare(db, "SELECT id FROM log", &st) != ERR_OK)
		return;
	if (db_row(st, &row) == ERR_OK && row &&
	    sqlite3_column_bytes(st, 0) == AUDIT_LOG_LEN) {
		take_blob(st, 0, f->a->log, AUDIT_LOG_LEN);
		f->log = true;
	}
	(void)sqlite3_finalize(st);
}

/* Whether the newest start or stop is a stop; a few rows may follow it, of what
 * was still under way. A start that is the last row got no further. */
static bool ends_with_stop(sqlite3 *db, bool *stop)
{
	sqlite3_stmt *st;
	bool row = false, yes = false;

	*stop = false;
	if (db_prepare(db,
		       "SELECT kind,seq=(SELECT max(seq) FROM audit) FROM"
		       "(SELECT kind,seq FROM audit ORDER BY seq DESC"
		       " LIMIT ?) WHERE kind IN(?,?) ORDER BY seq DESC LIMIT 1",
		       &st) != ERR_OK)
		return false;
	db_bind_int(st, 1, STOP_AMONG);
	db_bind_int(st, 2, AUDIT_START);
	db_bind_int(st, 3, AUDIT_STOP);
	if (db_row(st, &row) == ERR_OK && row) {
		*stop = sqlite3_column_int(st, 0) == AUDIT_STOP;
		yes = *stop || sqlite3_column_int(st, 1) != 0;
	}
	(void)sqlite3_finalize(st);
	return yes;
}

/* When the newest start was; else the first row of the month. */
static int64_t newest_start(sqlite3 *db)
{
	int64_t ms = 0;
	char sql[128];

	snprintf(sql, sizeof(sql),
		 "SELECT wall_ms FROM audit WHERE kind=%d"
		 " ORDER BY seq DESC LIMIT 1",
		 (int)AUDIT_START);
	if (db_integer(db, sql, &ms) != ERR_OK &&
	    db_integer(db, "SELECT wall_ms FROM audit ORDER BY seq LIMIT 1",
		       &ms) != ERR_OK)
		return 0;
	return ms;
}

static void find_point(struct audit *a, sqlite3 *db, const char *name)
{
	struct audit_point p = {0};
	sqlite3_stmt *st;
	bool row = false, stop;

	if (db_prepare(db,
		       "SELECT seq,chain FROM audit ORDER BY seq DESC LIMIT 1",
		       &st) != ERR_OK)
		return;
	if (db_row(st, &row) == ERR_OK && row) {
		p.seq = sqlite3_column_int64(st, 0);
		p.has_chain = sqlite3_column_bytes(st, 1) == AUDIT_CHAIN_LEN;
		take_blob(st, 1, p.chain, sizeof(p.chain));
	}
	if (p.seq > a->committed.seq) {
		a->committed = p;
		a->stopped = ends_with_stop(db, &stop);
		a->unclean = !stop;
		a->began_ms = newest_start(db);
		snprintf(a->found, sizeof(a->found), "%.7s",
			 name + sizeof("audit-") - 1);
	}
	(void)sqlite3_finalize(st);
}

/* A clock that once stood wrong may have put the highest seq in any month. */
static enum err look(void *arg, const char *name, const char *path)
{
	struct found *f = arg;
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};
	struct audit_head head;
	sqlite3 *db;

	if (db_open(&o, &db, NULL) != ERR_OK)
		return ERR_OK;
	find_point(f->a, db, name);
	find_log(f, db);
	if (audit_head_of(db, &head) == ERR_OK &&
	    head.number > f->a->head.number)
		f->a->head = head;
	db_close(db);
	return ERR_OK;
}

static void gap_since(struct audit *a, int64_t last)
{
	snprintf(a->gap, sizeof(a->gap),
		 "rows %lld to %lld are not there any more",
		 (long long)a->committed.seq + 1, (long long)last);
	log_event(LOG_ERROR, "audit-lost", "first=%lld last=%lld",
		  (long long)a->committed.seq + 1, (long long)last);
}

/* Rows that were there once, as what is kept beside the months says. The chain
 * goes on behind them. */
static void look_beside(struct found *f)
{
	struct audit *a = f->a;
	struct audit_head last;
	struct audit_run run;

	if (a->pruned == NULL)
		return;
	if (audit_pruned_highest(a->pruned, &run) == ERR_OK &&
	    run.last > a->committed.seq) {
		a->found[0] = '\0';
		a->committed.seq = run.last;
		a->committed.has_chain = run.has_chain;
		memcpy(a->committed.chain, run.chain, sizeof(run.chain));
		if (!f->log)
			memcpy(a->log, run.log, sizeof(a->log));
		f->log = true;
	}
	if (audit_pruned_last(a->pruned, &last) != ERR_OK)
		return;
	if (!f->log)
		memcpy(a->log, last.log, sizeof(a->log));
	f->log = true;
	if (last.number > a->head.number)
		a->head = last;
	if (last.seq > a->committed.seq) {
		gap_since(a, last.seq);
		a->found[0] = '\0';
		a->committed.seq = last.seq;
		a->committed.has_chain = true;
		memcpy(a->committed.chain, last.chain, sizeof(last.chain));
	}
}

enum err audit_month_find(struct audit *a)
{
	struct found f = {.a = a};
	enum err e = audit_month_each(a->dir, look, &f);

	if (e != ERR_OK)
		return e;
	look_beside(&f);
	if (!f.log)
		e = seal_random(a->log, sizeof(a->log));
	a->added = a->committed;
	return e;
}
