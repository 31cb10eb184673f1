/* ledger_connect.c - ledger.db is opened, fails, is lost, and comes back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/migrations.h"

enum {
	CACHE_DEFAULT = 32 << 20,
	BUSY_MS = 1000,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	WAL_FRAMES = 1000,       /* 4 MB: copy into the database */
	WAL_FRAMES_LONG = 16000, /* 64 MB: readers hold it: insist */
	WAL_TRUNCATE_MS = 5000
};

static const char *const sql[ST_N] = {
#define X(name, text) [ST_##name] = text,
    LEDGER_SQL(X)
#undef X
};

static int on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct ledger *l = arg;

	(void)db;
	(void)name;
	l->wal_frames = frames;
	return SQLITE_OK;
}

/* ---- connecting --------------------------------------------------------- */

static enum err move_aside(struct ledger *l)
{
	char aside[DB_WHY_LEN];
	struct db_identity there;

	if (db_identity(l->path, &there)) {
		if (db_move_aside(l->path, l->aside, aside) != ERR_OK)
			return ERR_IO;
		log_event(LOG_ERROR, "ledger-moved-aside", "why=%s to=%s",
			  l->aside, aside);
	}
	l->rebuild = false;
	return ERR_OK;
}

/* A log without its database must not meet a new one. */
static void remove_leftovers(struct ledger *l)
{
	static const char *const suffix[] = {"-wal", "-shm"};
	char path[sizeof(l->path) + 8];
	struct db_identity there;

	if (db_identity(l->path, &there))
		return;
	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		snprintf(path, sizeof(path), "%s%s", l->path, suffix[i]);
		(void)unlink(path);
	}
}

static enum err prepare_all(struct ledger *l)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < ST_N; i++)
		e = db_prepare(l->db, sql[i], &l->st[i]);
	return e;
}

/* In one transaction, so that a disk that takes no writes is found here. */
static enum err load(struct ledger *l)
{
	enum err e = ledger_begin(l);

	if (e == ERR_OK)
		e = db_run(l->st[ST_SYNCED]);
	if (e == ERR_OK)
		e = ledger_load(l);
	if (e == ERR_OK)
		e = ledger_space_check(l);
	if (e == ERR_OK)
		e = mirror_flush(l);
	if (e == ERR_OK)
		e = db_run(l->st[ST_COMMIT]);
	if (e == ERR_OK)
		l->in_transaction = false;
	return e;
}

static enum err open_database(struct ledger *l)
{
	struct db_options o = {.path = l->path,
			       .cache_bytes = l->o.cache_bytes != 0
						  ? l->o.cache_bytes
						  : CACHE_DEFAULT,
			       .busy_ms = BUSY_MS};
	enum err e;

	remove_leftovers(l);
	l->why[0] = '\0';
	e = db_open(&o, &l->db, l->why);
	if (e != ERR_OK)
		return e;
	(void)db_identity(l->path, &l->identity);
	e = migrations_run(l->db, &migrations_ledger, l->why);
	/* what is deleted leaves no copy in its page, nor in one that is free:
	 * a series has sealed values */
	if (e == ERR_OK)
		e = db_exec(l->db, "PRAGMA secure_delete=ON");
	if (e == ERR_OK)
		e = prepare_all(l);
	if (e == ERR_OK) {
		(void)sqlite3_wal_hook(l->db, on_wal, l);
		e = load(l);
	}
	if (e == ERR_OK)
		e = spool_tail_open(l->spool, l->m.position, &l->tail);
	return e;
}

static void explain(struct ledger *l, enum err e)
{
	if (l->why[0] != '\0')
		return;
	snprintf(l->why, sizeof(l->why), "%.160s: %.80s", l->path,
		 l->db != NULL && sqlite3_errcode(l->db) != SQLITE_OK
		     ? sqlite3_errmsg(l->db)
		     : err_text(e));
}

static void close_all(struct ledger *l)
{
	spool_tail_close(l->tail);
	l->tail = NULL;
	for (size_t i = 0; i < ST_N; i++) {
		(void)sqlite3_finalize(l->st[i]);
		l->st[i] = NULL;
	}
	if (l->db != NULL && l->in_transaction)
		(void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
	l->in_transaction = false;
	db_close(l->db);
	l->db = NULL;
	mirror_free(&l->m);
}

static enum err connect_once(struct ledger *l)
{
	enum err e = ERR_OK;

	if (l->rebuild)
		e = move_aside(l);
	if (e == ERR_OK)
		e = open_database(l);
	if (e == ERR_OK)
		return ERR_OK;
	explain(l, e);
	close_all(l);
	if (e == ERR_CORRUPT || e == ERR_INVAL || e == ERR_NOTFOUND) {
		l->rebuild = true;
		if (e != ERR_NOTFOUND || l->aside == NULL)
			l->aside = "corrupt";
		log_event(LOG_ERROR, "ledger-unusable", "detail=\"%s\"",
			  l->why);
	}
	return e;
}

enum err ledger_connect(struct ledger *l)
{
	enum err e = connect_once(l);

	if (e != ERR_OK && l->rebuild)
		e = connect_once(l);
	if (e != ERR_OK)
		return e;
	l->tail_empty = false;
	l->batch = 0;
	if (l->rebuilding)
		log_event(l->aside != NULL ? LOG_WARN : LOG_INFO,
			  "ledger-rebuilding", "why=%s upto=%llu",
			  l->aside != NULL ? l->aside : "missing",
			  (unsigned long long)l->m.rebuilt);
	if (l->failing)
		log_event(LOG_INFO, "ledger-recovered", "file=%s", l->path);
	l->failing = false;
	l->backoff_ms = 0;
	l->why[0] = '\0';
	return ERR_OK;
}

/* ---- failing ------------------------------------------------------------ */

void ledger_disconnect(struct ledger *l)
{
	struct list all;

	close_all(l);
	list_init(&all);
	list_splice_back(&all, &l->written);
	list_splice_back(&all, &l->todo);
	list_splice_back(&l->todo, &all);
	ledger_owed_undo(l);
}

void ledger_failed(struct ledger *l, enum err e)
{
	if (l->db != NULL || l->why[0] == '\0')
		explain(l, e);
	if (!l->failing)
		log_event(LOG_ERROR, "ledger-failing", "detail=\"%s\"", l->why);
	l->failing = true;
	if (l->db != NULL && (e == ERR_CORRUPT || e == ERR_INVAL)) {
		l->rebuild = true;
		l->aside = "corrupt";
	}
	ledger_disconnect(l);
	l->backoff_ms =
	    l->backoff_ms == 0 ? BACKOFF_FIRST_MS : l->backoff_ms * 2;
	if (l->backoff_ms > BACKOFF_MAX_MS)
		l->backoff_ms = BACKOFF_MAX_MS;
	l->retry_ns = clock_mono_ns() + l->backoff_ms * 1000000ULL;
	ledger_publish(l);
}

bool ledger_is_lost(struct ledger *l)
{
	struct db_identity now;

	return !db_identity(l->path, &now) || now.inode != l->identity.inode ||
	       now.device != l->identity.device;
}

void ledger_lost(struct ledger *l)
{
	struct db_identity there;

	l->rebuild = db_identity(l->path, &there);
	l->aside = l->rebuild ? "replaced" : "deleted";
	log_event(LOG_ERROR, "ledger-lost", "file=%s why=%s", l->path,
		  l->aside);
	ledger_disconnect(l);
	l->retry_ns = 0;
}

/* ---- the write-ahead log ------------------------------------------------- */

static enum err checkpoint(struct ledger *l, int mode)
{
	int frames = 0, done = 0;
	int code = sqlite3_wal_checkpoint_v2(l->db, NULL, mode, &frames, &done);

	if ((code & 0xff) == SQLITE_BUSY)
		return ERR_OK;
	return db_err(code);
}

/* Copying all frames lets the next commit begin the log anew, unless a reader
 * stands in it: readers of ours are short, so a long log is somebody's shell.
 */
enum err ledger_checkpoint(struct ledger *l)
{
	uint64_t now = clock_mono_ns();

	if (l->wal_frames < WAL_FRAMES)
		return ERR_OK;
	if (l->wal_frames < WAL_FRAMES_LONG ||
	    now - l->truncate_ns < WAL_TRUNCATE_MS * 1000000ULL)
		return checkpoint(l, SQLITE_CHECKPOINT_PASSIVE);
	l->truncate_ns = now;
	log_event(LOG_WARN, "ledger-log-long", "frames=%d", l->wal_frames);
	return checkpoint(l, SQLITE_CHECKPOINT_TRUNCATE);
}

enum err ledger_cut_log(struct ledger *l)
{
	int frames, done, code;

	(void)sqlite3_busy_timeout(l->db, 0);
	code = sqlite3_wal_checkpoint_v2(
	    l->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &done);
	(void)sqlite3_busy_timeout(l->db, BUSY_MS);
	return db_err(code);
}
