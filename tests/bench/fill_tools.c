/* fill_tools.c - chance, time, SQL, the keys of the directory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/spool.h"
#include "tests/bench/fill.h"

/* ---- chance and time ----------------------------------------------------- */

uint64_t chance(void)
{
	uint64_t z = wish.seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t below(uint64_t n)
{
	return chance() % n;
}

uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t time_of(uint64_t i, uint64_t n, uint64_t begin_ms)
{
	double all = (double)i / (double)n * (double)wish.days;
	double day = floor(all), at = all - day;
	double hour = at < 0.1   ? at / 0.1 * 7
		      : at < 0.9 ? 7 + (at - 0.1) / 0.8 * 12
				 : 19 + (at - 0.9) / 0.1 * 5;

	return begin_ms + (uint64_t)(day * DAY_MS + hour * 3600000);
}

/* ---- SQL ----------------------------------------------------------------- */

sqlite3 *db;

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "fill: %s: %s\n", what,
		db != NULL ? sqlite3_errmsg(db) : "");
	exit(1);
}

void run(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(sql);
}

sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail(sql);
	return st;
}

void step(sqlite3_stmt *st)
{
	if (sqlite3_step(st) != SQLITE_DONE)
		fail("insert");
	(void)sqlite3_reset(st);
}

void num(sqlite3_stmt *st, int i, uint64_t v)
{
	(void)sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

void text(sqlite3_stmt *st, int i, const char *v)
{
	(void)sqlite3_bind_text(st, i, v, -1, SQLITE_TRANSIENT);
}

void blob(sqlite3_stmt *st, int i, size_t n)
{
	uint64_t bytes[32];

	for (size_t k = 0; k * 8 < n; k++)
		bytes[k] = chance();
	(void)sqlite3_bind_blob(st, i, bytes, (int)n, SQLITE_TRANSIENT);
}

uint64_t highest(const char *sql)
{
	sqlite3_stmt *s = prepare(sql);
	uint64_t v;

	if (sqlite3_step(s) != SQLITE_ROW)
		fail(sql);
	v = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return v;
}

/* ---- the directory ------------------------------------------------------- */

static uint8_t spool[SPOOL_ID_LEN];

static void read_spool_id(void)
{
	sqlite3_stmt *s = prepare("SELECT spool_id FROM spool_state");

	if (sqlite3_step(s) != SQLITE_ROW ||
	    sqlite3_column_bytes(s, 0) != SPOOL_ID_LEN)
		fail("spool_state");
	memcpy(spool, sqlite3_column_blob(s, 0), sizeof(spool));
	(void)sqlite3_finalize(s);
}

void open_ledger(void)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/ledger.db", wish.dir);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) !=
	    SQLITE_OK)
		fail(path);
	read_spool_id();
}

void close_ledger(void)
{
	while (sqlite3_next_stmt(db, NULL) != NULL)
		(void)sqlite3_finalize(sqlite3_next_stmt(db, NULL));
	(void)sqlite3_close(db);
	db = NULL;
}

struct seal_key *data_key(void)
{
	struct seal_key *key;
	char why[SEAL_WHY_LEN];

	if (wish.key == NULL)
		return NULL;
	if (seal_key_open(wish.key, false, &key, why) != ERR_OK)
		fail(why);
	return key;
}

const uint8_t *spool_of_ledger(void)
{
	return spool;
}
