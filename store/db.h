/* db.h - the few things every SQLite user in the store needs.
 *
 * A connection belongs to one thread (no mutexes inside). SQLite allocates by
 * mem.h. Private to store/: nothing outside includes this header. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum { DB_WHY_LEN = 256 };

/* What SQLite's result code (plain or extended) means to us:
 *   OK, ROW, DONE -> OK; NOMEM; FULL -> NOSPACE; CORRUPT, NOTADB, FORMAT ->
 *   CORRUPT; BUSY, LOCKED, SCHEMA -> BUSY; READONLY_DBMOVED -> NOTFOUND;
 *   CONSTRAINT, MISMATCH, TOOBIG, RANGE -> INVAL; all else -> IO. */
enum err db_err(int code) MUST_CHECK;

struct db_options {
	const char *path;
	bool read_only;
	bool immutable; /* with read_only: nobody writes it, make no -shm */
	size_t cache_bytes;
	int busy_ms;
};

/* Open or (unless read_only) create, mode 0640. Writers: WAL,
 * synchronous=NORMAL, checkpoints left to the caller, foreign_keys off, no
 * memory map. ERR_NOTFOUND: read_only and absent. why (NULL is fine) in words.
 */
enum err db_open(const struct db_options *options, sqlite3 **out,
		 char why[DB_WHY_LEN]) MUST_CHECK;
/* NULL is fine. All statements must be finalized. */
void db_close(sqlite3 *db);

/* Run one or several statements that give no rows. */
enum err db_exec(sqlite3 *db, const char *sql) MUST_CHECK;
/* Prepare for many uses. */
enum err db_prepare(sqlite3 *db, const char *sql,
		    sqlite3_stmt **out) MUST_CHECK;
/* Step a statement that gives no rows, then reset it. */
enum err db_run(sqlite3_stmt *st) MUST_CHECK;
/* Step to the next row: ERR_OK and *row true; at the end, or on an error,
 * *row is false and the statement is reset. */
enum err db_row(sqlite3_stmt *st, bool *row) MUST_CHECK;
/* One integer of one row; ERR_NOTFOUND when there is none or it is NULL. */
enum err db_integer(sqlite3 *db, const char *sql, int64_t *out) MUST_CHECK;

/* Binding cannot fail for a valid index but for memory, which the step then
 * reports as NULL would be wrong: so a failed bind makes the next db_run() or
 * db_row() of the statement fail. Text and blobs are borrowed until reset. */
static inline void db_bind_int(sqlite3_stmt *st, int i, int64_t v)
{
	(void)sqlite3_bind_int64(st, i, v);
}

static inline void db_bind_u64(sqlite3_stmt *st, int i, uint64_t v)
{
	(void)sqlite3_bind_int64(st, i, (int64_t)v);
}

/* NULL or "" is stored as NULL. */
void db_bind_text(sqlite3_stmt *st, int i, const char *text);
void db_bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n);

/* Column i as text into out, cut to fit; NULL gives "". */
void db_text(sqlite3_stmt *st, int i, char *out, size_t size);
#define DB_TEXT(st, i, field) db_text((st), (i), (field), sizeof(field))
static inline uint64_t db_u64(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

/* What the file at path is: its inode and device, for noticing that somebody
 * replaced it. False when there is none. */
struct db_identity {
	uint64_t device, inode;
};
bool db_identity(const char *path, struct db_identity *out);

/* Rename path (and its -wal and -shm, so that they never meet a new file) to
 * path.<word>-<time>. ERR_IO. aside (DB_WHY_LEN) gets the new name. */
enum err db_move_aside(const char *path, const char *word,
		       char aside[DB_WHY_LEN]) MUST_CHECK;

#endif
