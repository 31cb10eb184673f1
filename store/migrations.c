#include "store/migrations.h"

#include <stdio.h>

#include "proxy/lib/mem.h"

static enum err read_version(sqlite3 *db, int64_t *kind, int64_t *version)
{
	enum err e = db_integer(db, "PRAGMA application_id", kind);

	return e != ERR_OK ? e : db_integer(db, "PRAGMA user_version", version);
}

static void say_newer(const struct migrations *m, int64_t version,
		      char why[DB_WHY_LEN])
{
	if (why != NULL)
		snprintf(why, DB_WHY_LEN,
			 "%s database has version %lld, this program knows "
			 "%d: use the program that wrote it, or a newer one",
			 m->what, (long long)version, m->n);
}

static void say_foreign(const struct migrations *m, char why[DB_WHY_LEN])
{
	if (why != NULL)
		snprintf(why, DB_WHY_LEN, "not a %s database of culvert",
			 m->what);
}

static enum err run_one(sqlite3 *db, const struct migrations *m, int version)
{
	char stamp[96];
	enum err e = db_exec(db, "BEGIN IMMEDIATE");

	if (e != ERR_OK)
		return e;
	snprintf(stamp, sizeof(stamp),
		 "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 m->application_id, version + 1);
	e = db_exec(db, m->scripts[version]);
	if (e == ERR_OK)
		e = db_exec(db, stamp);
	if (e == ERR_OK)
		e = db_exec(db, "COMMIT");
	if (e != ERR_OK)
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return e;
}

static enum err run_from(sqlite3 *db, const struct migrations *m,
			 int64_t version, char why[DB_WHY_LEN])
{
	for (int v = (int)version; v < m->n; v++) {
		enum err e = run_one(db, m, v);

		if (e == ERR_OK)
			continue;
		if (why != NULL)
			snprintf(why, DB_WHY_LEN,
				 "%s database: step to version %d: %.150s",
				 m->what, v + 1, sqlite3_errmsg(db));
		return e;
	}
	return ERR_OK;
}

enum err migrations_run(sqlite3 *db, const struct migrations *m,
			char why[DB_WHY_LEN])
{
	int64_t kind, version, tables;
	enum err e = read_version(db, &kind, &version);

	if (e == ERR_OK)
		e = db_integer(db, "SELECT count(*) FROM sqlite_schema",
			       &tables);
	if (e != ERR_OK) {
		if (why != NULL)
			snprintf(why, DB_WHY_LEN, "%s database: %.200s",
				 m->what, sqlite3_errmsg(db));
		return e;
	}
	if (kind != m->application_id &&
	    (kind != 0 || version != 0 || tables != 0)) {
		say_foreign(m, why);
		return ERR_CORRUPT;
	}
	if (version > m->n) {
		say_newer(m, version, why);
		return ERR_UNSUPPORTED;
	}
	return run_from(db, m, version, why);
}

enum err migrations_check(sqlite3 *db, const struct migrations *m,
			  char why[DB_WHY_LEN])
{
	int64_t kind, version;
	enum err e = read_version(db, &kind, &version);

	if (e != ERR_OK)
		return e;
	if (kind == m->application_id && version == m->n)
		return ERR_OK;
	if (kind != m->application_id)
		say_foreign(m, why);
	else if (version > m->n)
		say_newer(m, version, why);
	else if (why != NULL)
		snprintf(why, DB_WHY_LEN,
			 "%s database has version %lld, this program needs "
			 "%d: start the daemon once, it converts it",
			 m->what, (long long)version, m->n);
	return ERR_UNSUPPORTED;
}
