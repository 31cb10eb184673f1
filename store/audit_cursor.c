#include "store/audit_cursor.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/migrations.h"

enum { PATH_LEN = 1100, CACHE = 64 * 1024, BUSY_MS = 1000 };

struct audit_cursors {
	sqlite3 *db;
	sqlite3_stmt *get, *set;
};

static const char script_1[] =
    "CREATE TABLE cursors(repository TEXT PRIMARY KEY, seq INTEGER NOT NULL,"
    " wall_ms INTEGER NOT NULL) WITHOUT ROWID;";

static const char *const scripts[] = {script_1};

static const struct migrations migrations = {
    .what = "repositories",
    .application_id = 0x43765231, /* "CvR1" */
    .scripts = scripts,
    .n = ARRAY_LEN(scripts),
};

static void close_db(struct audit_cursors *c)
{
	(void)sqlite3_finalize(c->get);
	(void)sqlite3_finalize(c->set);
	c->get = c->set = NULL;
	db_close(c->db);
	c->db = NULL;
}

static enum err try_open(struct audit_cursors *c, const char *path,
			 char why[AUDIT_CURSOR_WHY_LEN])
{
	struct db_options o = {
	    .path = path, .cache_bytes = CACHE, .busy_ms = BUSY_MS};
	enum err e = db_open(&o, &c->db, why);

	if (e == ERR_OK)
		e = migrations_run(c->db, &migrations, why);
	if (e != ERR_OK)
		return e;
	/* A log that is checkpointed by itself: there is one small table. */
	(void)sqlite3_wal_autocheckpoint(c->db, 100);
	e = db_prepare(c->db, "SELECT seq FROM cursors WHERE repository=?",
		       &c->get);
	if (e == ERR_OK)
		e = db_prepare(c->db,
			       "INSERT INTO cursors VALUES(?1,?2,?3) ON "
			       "CONFLICT(repository) DO UPDATE SET seq=?2,"
			       "wall_ms=?3",
			       &c->set);
	if (e != ERR_OK && why != NULL)
		(void)snprintf(why, AUDIT_CURSOR_WHY_LEN, "%.120s: %.100s",
			       path, sqlite3_errmsg(c->db));
	return e;
}

enum err audit_cursors_open(const char *dir, struct audit_cursors **out,
			    char why[AUDIT_CURSOR_WHY_LEN])
{
	char path[PATH_LEN], aside[DB_WHY_LEN], text[DB_WHY_LEN];
	struct audit_cursors *c = mem_zalloc(sizeof(*c));
	enum err e;

	if (c == NULL)
		return ERR_NOMEM;
	why = why != NULL ? why : text;
	(void)snprintf(path, sizeof(path), "%.1024s/repositories.db", dir);
	e = try_open(c, path, why);
	if (e == ERR_CORRUPT) {
		close_db(c);
		e = db_move_aside(path, "corrupt", aside);
		if (e == ERR_OK) {
			log_event(LOG_ERROR, "repositories-damaged",
				  "moved-to=%s effect=\"the audit is sent "
				  "to the repositories from its begin\"",
				  aside);
			e = try_open(c, path, why);
		}
	}
	if (e != ERR_OK) {
		audit_cursors_close(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void audit_cursors_close(struct audit_cursors *c)
{
	if (c == NULL)
		return;
	close_db(c);
	mem_free(c);
}

enum err audit_cursor_get(struct audit_cursors *c, const char *repository,
			  int64_t *seq)
{
	bool row = false;
	enum err e;

	*seq = 0;
	db_bind_text(c->get, 1, repository);
	e = db_row(c->get, &row);
	if (e == ERR_OK && row)
		*seq = sqlite3_column_int64(c->get, 0);
	(void)sqlite3_reset(c->get);
	return e;
}

enum err audit_cursor_set(struct audit_cursors *c, const char *repository,
			  int64_t seq, int64_t wall_ms)
{
	db_bind_text(c->set, 1, repository);
	db_bind_int(c->set, 2, seq);
	db_bind_int(c->set, 3, wall_ms);
	return db_run(c->set);
}
