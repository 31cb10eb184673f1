#include "store/audit.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/migrations.h"

enum { MONTH_LEN = 8, DIR_LEN = 512, BOOT_LEN = 40, AUDIT_CACHE = 1 << 20 };

struct audit {
	char dir[DIR_LEN];
	char path[DIR_LEN + 32];
	char month[MONTH_LEN]; /* "2026-05"; "" when none is open */
	char boot[BOOT_LEN];
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct db_identity identity;
	int64_t seq;       /* of the last row added */
	int64_t committed; /* of the last row committed */
	bool in_transaction;
	bool unsynced;
	char gap[AUDIT_WHY_LEN]; /* waits for audit_gap() */
	char told[AUDIT_WHY_LEN];
	char why[AUDIT_WHY_LEN];
};

const char *audit_kind_text(enum audit_kind k)
{
	switch (k) {
#define X(number, name, text)                                                  \
	case AUDIT_##name:                                                     \
		return text;
		AUDIT_EVENT_MAP(X)
#undef X
	}
	return "unknown";
}

const char *audit_why(const struct audit *a)
{
	return a->why;
}

static void say(struct audit *a, const char *what)
{
	snprintf(a->why, sizeof(a->why), "%.160s: %.80s", a->path,
		 what != NULL ? what : sqlite3_errmsg(a->db));
}

static void month_of(int64_t wall_ms, char out[MONTH_LEN])
{
	char text[CLOCK_TEXT_LEN];

	clock_text(wall_ms, text);
	memcpy(out, text, MONTH_LEN - 1);
	out[MONTH_LEN - 1] = '\0';
}

static void read_boot(char out[BOOT_LEN])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	out[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(out, BOOT_LEN, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	(void)fclose(f);
}

/* ---- months ---------------------------------------------------------- */

static void month_close(struct audit *a)
{
	if (a->in_transaction)
		(void)sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
	a->in_transaction = false;
	a->seq = a->committed;
	(void)sqlite3_finalize(a->insert);
	a->insert = NULL;
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

static enum err month_try(struct audit *a)
{
	struct db_options o = {
	    .path = a->path, .cache_bytes = AUDIT_CACHE, .busy_ms = 1000};
	int64_t last = 0;
	enum err e = db_open(&o, &a->db, a->why);

	if (e != ERR_OK)
		return e;
	e = migrations_run(a->db, &migrations_audit, a->why);
	if (e != ERR_OK)
		return e;
	e = fill_kinds(a->db);
	if (e == ERR_OK)
		e = db_prepare(a->db,
			       "INSERT INTO audit VALUES(?,?,?,?,?,?,?,?,?,?,"
			       "?,?,?,?,?,?,?,?,?,NULL,NULL)",
			       &a->insert);
	if (e == ERR_OK) {
		e = db_integer(a->db, "SELECT max(seq) FROM audit", &last);
		if (e == ERR_NOTFOUND)
			e = ERR_OK;
	}
	if (e != ERR_OK) {
		say(a, NULL);
		return e;
	}
	if (last > a->committed)
		a->seq = a->committed = last;
	return ERR_OK;
}

static enum err month_open(struct audit *a, const char month[MONTH_LEN])
{
	char aside[DB_WHY_LEN];
	enum err e;

	month_close(a);
	snprintf(a->path, sizeof(a->path), "%s/audit-%s.db", a->dir, month);
	e = month_try(a);
	if (e == ERR_CORRUPT) {
		month_close(a);
		if (db_move_aside(a->path, "corrupt", aside) != ERR_OK)
			return ERR_IO;
		log_event(LOG_ERROR, "audit-damaged", "moved-to=%s", aside);
		snprintf(a->gap, sizeof(a->gap),
			 "audit of %s was damaged and moved to %.180s", month,
			 aside);
		e = month_try(a);
	}
	if (e != ERR_OK) {
		month_close(a);
		return e;
	}
	memcpy(a->month, month, MONTH_LEN);
	(void)db_identity(a->path, &a->identity);
	return ERR_OK;
}

/* ---- opening --------------------------------------------------------- */

static int64_t last_of(const char *path)
{
	struct db_options o = {.path = path,
			       .read_only = true,
			       .cache_bytes = AUDIT_CACHE,
			       .busy_ms = 1000};
	sqlite3 *db;
	int64_t last = 0;

	if (db_open(&o, &db, NULL) != ERR_OK)
		return 0;
	if (db_integer(db, "SELECT max(seq) FROM audit", &last) != ERR_OK)
		last = 0;
	db_close(db);
	return last;
}

/* A clock that once stood wrong may have put the highest seq in any month. */
static enum err find_last(struct audit *a)
{
	DIR *dir = opendir(a->dir);
	struct dirent *d;

	if (dir == NULL)
		return ERR_IO;
	while ((d = readdir(dir)) != NULL) {
		char path[DIR_LEN + 264];
		int64_t last;

		if (fnmatch("audit-[0-9]*-[0-9][0-9].db", d->d_name, 0) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", a->dir, d->d_name);
		last = last_of(path);
		if (last > a->committed)
			a->committed = last;
	}
	(void)closedir(dir);
	a->seq = a->committed;
	return ERR_OK;
}

enum err audit_open(const char *dir, struct audit **out,
		    char why[AUDIT_WHY_LEN])
{
	struct audit *a;
	enum err e;

	if (strlen(dir) >= DIR_LEN)
		return ERR_INVAL;
	a = mem_zalloc(sizeof(*a));
	if (a == NULL)
		return ERR_NOMEM;
	snprintf(a->dir, sizeof(a->dir), "%s", dir);
	read_boot(a->boot);
	e = find_last(a);
	if (e != ERR_OK) {
		if (why != NULL)
			snprintf(why, AUDIT_WHY_LEN,
				 "%.200s: directory cannot be read", dir);
		mem_free(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

void audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	month_close(a);
	mem_free(a);
}

/* ---- rows ------------------------------------------------------------ */

static void bind_event(struct audit *a, const struct audit_event *e)
{
	sqlite3_stmt *st = a->insert;

	db_bind_int(st, 1, a->seq + 1);
	db_bind_int(st, 2, e->wall_ms);
	db_bind_u64(st, 3, e->mono_ns);
	db_bind_text(st, 4, a->boot);
	db_bind_int(st, 5, e->kind);
	db_bind_int(st, 6, e->outcome);
	if (e->association != 0)
		db_bind_u64(st, 7, e->association);
	else
		(void)sqlite3_bind_null(st, 7);
	db_bind_text(st, 8, e->listener);
	db_bind_text(st, 9, e->device);
	db_bind_text(st, 10, e->destination);
	db_bind_text(st, 11, e->peer);
	db_bind_text(st, 12, e->local);
	db_bind_text(st, 13, e->calling_ae);
	db_bind_text(st, 14, e->called_ae);
	db_bind_text(st, 15, e->fingerprint);
	db_bind_text(st, 16, e->study);
	db_bind_text(st, 17, e->user);
	db_bind_text(st, 18, e->detail);
	db_bind_blob(st, 19, e->sealed, e->sealed_len);
}

static enum err begin(struct audit *a, const char month[MONTH_LEN])
{
	enum err e;

	if (a->in_transaction)
		return strcmp(a->month, month) == 0 ? ERR_OK : ERR_AGAIN;
	if (strcmp(a->month, month) != 0) {
		e = month_open(a, month);
		if (e != ERR_OK)
			return e;
	}
	e = db_exec(a->db, "BEGIN IMMEDIATE");
	if (e != ERR_OK)
		say(a, NULL);
	a->in_transaction = e == ERR_OK;
	return e;
}

enum err audit_append(struct audit *a, const struct audit_event *event)
{
	char month[MONTH_LEN];
	enum err e;

	if (event->sealed_len > AUDIT_SEALED_LEN)
		return ERR_INVAL;
	month_of(event->wall_ms, month);
	e = begin(a, month);
	if (e != ERR_OK)
		return e;
	bind_event(a, event);
	e = db_run(a->insert);
	if (e == ERR_OK)
		a->seq++;
	else
		say(a, NULL);
	return e;
}

enum err audit_commit(struct audit *a)
{
	enum err e;

	if (!a->in_transaction)
		return ERR_OK;
	e = db_exec(a->db, "COMMIT");
	if (e != ERR_OK) {
		say(a, NULL);
		month_close(a);
		return e;
	}
	a->in_transaction = false;
	a->committed = a->seq;
	a->unsynced = true;
	a->why[0] = '\0';
	return ERR_OK;
}

void audit_undo(struct audit *a)
{
	month_close(a);
}

enum err audit_sync(struct audit *a)
{
	enum err e;

	if (!a->unsynced || a->db == NULL || a->in_transaction)
		return ERR_OK;
	/* A checkpoint flushes the log before it copies. */
	e = db_err(sqlite3_wal_checkpoint_v2(
	    a->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
	if (e != ERR_OK)
		say(a, NULL);
	else
		a->unsynced = false;
	return e;
}

enum err audit_flush(struct audit *a)
{
	sqlite3_file *wal = NULL;

	if (a->db == NULL || a->in_transaction)
		return ERR_OK;
	/* a checkpoint would not flush what a reader keeps it from copying */
	if (sqlite3_file_control(a->db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
				 &wal) == SQLITE_OK &&
	    wal != NULL && wal->pMethods != NULL &&
	    wal->pMethods->xSync(wal, SQLITE_SYNC_FULL) == SQLITE_OK)
		return ERR_OK;
	say(a, "the log cannot be flushed");
	return ERR_IO;
}

const char *audit_gap(struct audit *a)
{
	struct db_identity now;

	if (a->db != NULL && !a->in_transaction &&
	    (!db_identity(a->path, &now) || now.inode != a->identity.inode ||
	     now.device != a->identity.device)) {
		snprintf(a->gap, sizeof(a->gap),
			 "audit of %s was deleted or replaced while it was "
			 "written: rows up to %lld are lost",
			 a->month, (long long)a->committed);
		log_event(LOG_ERROR, "audit-lost", "file=%s", a->path);
		month_close(a);
	}
	if (a->gap[0] == '\0')
		return NULL;
	memcpy(a->told, a->gap, sizeof(a->told));
	a->gap[0] = '\0';
	return a->told;
}
