#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/opener.h"

/* ---- memory ---------------------------------------------------------- */

/* SQLite asks for the size of a block, so each carries it in front; 16 bytes
 * keep the alignment. */
enum { MEM_HEAD = 16 };

static void *mem_from(void *block, int n)
{
	if (block == NULL)
		return NULL;
	memcpy(block, &n, sizeof(n));
	return (char *)block + MEM_HEAD;
}

static void *db_malloc(int n)
{
	return mem_from(mem_zalloc((size_t)n + MEM_HEAD), n);
}

static void db_free(void *p)
{
	if (p != NULL)
		mem_free((char *)p - MEM_HEAD);
}

static void *db_realloc(void *p, int n)
{
	return mem_from(mem_realloc((char *)p - MEM_HEAD, (size_t)n + MEM_HEAD),
			n);
}

static int db_size(void *p)
{
	int n = 0;

	if (p != NULL)
		memcpy(&n, (char *)p - MEM_HEAD, sizeof(n));
	return n;
}

static int db_roundup(int n)
{
	return (n + 7) & ~7;
}

static int db_mem_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void db_mem_shutdown(void *arg)
{
	(void)arg;
}

static void on_sqlite_log(void *arg, int code, const char *text)
{
	char esc[400];

	(void)arg;
	if (code == SQLITE_SCHEMA || code == SQLITE_NOTICE_RECOVER_WAL)
		return;
	log_event(LOG_DEBUG, "sqlite", "code=%d text=%s", code,
		  log_esc(text, esc, sizeof(esc)));
}

/* Files by the opener, where the process has one. */
static void open_by_opener(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (opener_is_set() && vfs != NULL)
		(void)vfs->xSetSystemCall(vfs, "open",
					  (sqlite3_syscall_ptr)opener_open);
}

static void library_init(void)
{
	static const sqlite3_mem_methods methods = {
	    .xMalloc = db_malloc,
	    .xFree = db_free,
	    .xRealloc = db_realloc,
	    .xSize = db_size,
	    .xRoundup = db_roundup,
	    .xInit = db_mem_init,
	    .xShutdown = db_mem_shutdown,
	};

	/* Refused only when somebody initialised SQLite before: harmless. */
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_config(SQLITE_CONFIG_LOG, on_sqlite_log, NULL);
	(void)sqlite3_initialize();
	open_by_opener();
}

/* ---- errors ---------------------------------------------------------- */

enum err db_err(int code)
{
	if (code == SQLITE_READONLY_DBMOVED)
		return ERR_NOTFOUND;
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return ERR_OK;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_FULL:
		return ERR_NOSPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_SCHEMA:
		return ERR_BUSY;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
	case SQLITE_RANGE:
		return ERR_INVAL;
	}
	return ERR_IO;
}

/* ---- opening --------------------------------------------------------- */

static enum err writer_pragmas(sqlite3 *db)
{
	return db_exec(db, "PRAGMA journal_mode=WAL;"
			   "PRAGMA synchronous=NORMAL;"
			   "PRAGMA wal_autocheckpoint=0;"
			   "PRAGMA journal_size_limit=67108864;"
			   "PRAGMA temp_store=MEMORY;");
}

static enum err open_configure(sqlite3 *db, const struct db_options *o)
{
	char sql[96];
	enum err e;

	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, o->busy_ms);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%zu",
		 o->cache_bytes / 1024 + 1);
	e = db_exec(db, sql);
	/* An opener opens no files without a name. */
	if (e == ERR_OK && o->read_only && opener_is_set())
		e = db_exec(db, "PRAGMA temp_store=MEMORY");
	if (e != ERR_OK || o->read_only)
		return e;
	return writer_pragmas(db);
}

/* Group-readable for the status page, unlike SQLite's own 0644. Only a new
 * file: closing a descriptor of an open database would drop its locks. */
static void create_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd >= 0)
		(void)close(fd);
}

/* The path as a URI that says so. False: too long. */
static bool immutable_uri(const char *path, char *out, size_t size)
{
	static const char head[] = "file:", tail[] = "?immutable=1";
	size_t n = sizeof(head) - 1;

	memcpy(out, head, n);
	for (; *path != '\0'; path++) {
		if (n + 3 + sizeof(tail) > size)
			return false;
		if (strchr("%?#", *path) != NULL)
			n += (size_t)snprintf(out + n, 4, "%%%02X",
					      (unsigned char)*path);
		else
			out[n++] = *path;
	}
	memcpy(out + n, tail, sizeof(tail));
	return true;
}

static int open_file(const struct db_options *o, int flags, sqlite3 **db)
{
	char uri[4096];

	if (!o->read_only || !o->immutable)
		return sqlite3_open_v2(o->path, db, flags, NULL);
	if (!immutable_uri(o->path, uri, sizeof(uri)))
		return SQLITE_CANTOPEN;
	return sqlite3_open_v2(uri, db, flags | SQLITE_OPEN_URI, NULL);
}

enum err db_open(const struct db_options *o, sqlite3 **out,
		 char why[DB_WHY_LEN])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int flags = SQLITE_OPEN_NOMUTEX;
	sqlite3 *db = NULL;
	int code;
	enum err e;

	(void)pthread_once(&once, library_init);
	if (o->read_only && access(o->path, F_OK) != 0)
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	if (!o->read_only)
		create_private(o->path);
	flags |= o->read_only ? SQLITE_OPEN_READONLY
			      : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	code = open_file(o, flags, &db);
	e = db_err(code);
	if (e == ERR_OK)
		e = open_configure(db, o);
	if (e != ERR_OK) {
		if (why != NULL)
			snprintf(why, DB_WHY_LEN, "%.150s: %.90s", o->path,
				 db != NULL ? sqlite3_errmsg(db)
					    : sqlite3_errstr(code));
		(void)sqlite3_close(db);
		return e;
	}
	*out = db;
	return ERR_OK;
}

void db_close(sqlite3 *db)
{
	if (db != NULL)
		(void)sqlite3_close_v2(db);
}

/* ---- statements ------------------------------------------------------ */

enum err db_exec(sqlite3 *db, const char *sql)
{
	return db_err(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
	return db_err(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT,
					 out, NULL));
}

enum err db_run(sqlite3_stmt *st)
{
	bool row;
	enum err e = db_row(st, &row);

	if (row)
		(void)sqlite3_reset(st);
	return e;
}

enum err db_row(sqlite3_stmt *st, bool *row)
{
	int code = sqlite3_step(st);

	*row = code == SQLITE_ROW;
	if (!*row)
		(void)sqlite3_reset(st);
	return db_err(code);
}

enum err db_integer(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *st;
	bool row;
	enum err e = db_prepare(db, sql, &st);

	if (e != ERR_OK)
		return e;
	e = db_row(st, &row);
	if (e == ERR_OK && (!row || sqlite3_column_type(st, 0) == SQLITE_NULL))
		e = ERR_NOTFOUND;
	if (e == ERR_OK)
		*out = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return e;
}

void db_bind_text(sqlite3_stmt *st, int i, const char *text)
{
	if (text == NULL || text[0] == '\0')
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

void db_bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n)
{
	if (n == 0)
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
}

void db_text(sqlite3_stmt *st, int i, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, i);
	size_t n = text != NULL ? strnlen((const char *)text, size - 1) : 0;

	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
}

/* ---- files ----------------------------------------------------------- */

bool db_identity(const char *path, struct db_identity *out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	out->device = (uint64_t)st.st_dev;
	out->inode = (uint64_t)st.st_ino;
	return true;
}

static enum err rename_if_there(const char *from, const char *to)
{
	return rename(from, to) == 0 || errno == ENOENT ? ERR_OK : ERR_IO;
}

enum err db_move_aside(const char *path, const char *word,
		       char aside[DB_WHY_LEN])
{
	static const char *const suffix[] = {"", "-wal", "-shm"};
	char from[DB_WHY_LEN + 8], to[DB_WHY_LEN + 8], when[CLOCK_TEXT_LEN];

	clock_text(clock_wall_ms(), when);
	if (snprintf(aside, DB_WHY_LEN, "%s.%s-%s", path, word, when) >=
	    DB_WHY_LEN)
		return ERR_IO;
	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		snprintf(from, sizeof(from), "%s%s", path, suffix[i]);
		snprintf(to, sizeof(to), "%s%s", aside, suffix[i]);
		if (rename_if_there(from, to) != ERR_OK)
			return ERR_IO;
	}
	return ERR_OK;
}
