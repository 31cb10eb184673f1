/* audit_verify_file.c - each file by itself. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/audit_verify_int.h"
#include "store/migrations.h"

enum { STEPS = 100000 /* of SQLite's machine, between two looks */ };

/* What a file must have, by its version. */
static const struct {
	int version;
	const char *name;
} triggers[] = {
    {1, "audit_no_update"},  {1, "audit_no_delete"},  {1, "audit_no_replace"},
    {2, "log_no_update"},    {2, "log_no_delete"},    {2, "log_no_insert"},
    {2, "heads_no_update"},  {2, "heads_no_delete"},  {2, "heads_no_insert"},
    {2, "erased_no_update"}, {2, "erased_no_delete"}, {2, "erased_no_insert"},
    {2, "sealed_no_update"}, {2, "sealed_no_delete"}, {2, "sealed_no_insert"},
};

static bool has_trigger(sqlite3 *db, const char *name)
{
	char sql[256];
	int64_t n = 0;

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM sqlite_schema WHERE type='trigger' AND "
		 "name='%s' AND sql LIKE '%%RAISE(ABORT,%%'",
		 name);
	return db_integer(db, sql, &n) == ERR_OK && n == 1;
}

static void look_triggers(struct audit_check *c, sqlite3 *db, const char *name)
{
	int64_t version = 0;

	if (db_integer(db, "PRAGMA user_version", &version) != ERR_OK)
		return;
	for (size_t i = 0; i < ARRAY_LEN(triggers); i++) {
		if (triggers[i].version > version ||
		    has_trigger(db, triggers[i].name))
			continue;
		audit_check_say(c, AUDIT_FAULT_TRIGGER_MISSING, 0, name,
				"the trigger %s, which refuses edits, is gone "
				"or another",
				triggers[i].name);
	}
}

static void look_log(struct audit_check *c, sqlite3 *db, const char *name)
{
	sqlite3_stmt *st;
	bool row = false;
	const void *id;

	if (db_prepare(db, "SELECT id FROM log", &st) != ERR_OK)
		return; /* from before there was a chain */
	if (db_row(st, &row) != ERR_OK || !row ||
	    sqlite3_column_bytes(st, 0) != AUDIT_LOG_LEN) {
		audit_check_say(c, AUDIT_FAULT_FILE_FOREIGN, 0, name,
				"the file does not say of which audit it is");
	} else {
		id = sqlite3_column_blob(st, 0);
		if (!c->has_log)
			memcpy(c->log, id, AUDIT_LOG_LEN);
		else if (memcmp(c->log, id, AUDIT_LOG_LEN) != 0)
			audit_check_say(c, AUDIT_FAULT_FILE_FOREIGN, 0, name,
					"the file is of another audit than the "
					"files before it");
		c->has_log = true;
	}
	(void)sqlite3_finalize(st);
}

static void look_blobs(struct audit_check *c, sqlite3 *db, const char *name)
{
	int64_t seq = 0;

	if (db_integer(db,
		       "SELECT seq FROM sealed WHERE NOT EXISTS(SELECT 1 FROM "
		       "audit a WHERE a.seq=sealed.seq AND "
		       "a.sealed_hash IS NOT NULL) ORDER BY seq LIMIT 1",
		       &seq) == ERR_OK)
		audit_check_say(c, AUDIT_FAULT_SEALED_ADDED, seq, name,
				"a sealed value was put in for row %lld, which "
				"has none",
				(long long)seq);
}

static int on_steps(void *arg)
{
	return audit_check_goes_on(arg) ? 0 : 1;
}

static enum err look(void *arg, const char *name, const char *path)
{
	struct audit_check *c = arg;
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};
	sqlite3 *db;

	/* what cannot be read, the rows' reader says */
	if (audit_db_open(&o, &db, NULL) != ERR_OK)
		return ERR_OK;
	sqlite3_progress_handler(db, STEPS, on_steps, c);
	look_log(c, db, name);
	look_triggers(c, db, name);
	look_blobs(c, db, name);
	db_close(db);
	return audit_check_goes_on(c) ? ERR_OK : ERR_CANCELED;
}

enum err audit_check_files(struct audit_check *c)
{
	if (c->has_last) {
		memcpy(c->log, c->last.log, sizeof(c->log));
		c->has_log = true;
	}
	return audit_month_each(c->o->dir, look, c);
}
