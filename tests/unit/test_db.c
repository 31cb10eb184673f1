/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/ledger_map.h"
#include "store/migrations.h"

struct place_ {
	char dir[64], path[96];
};

static int setup(void **state)
{
	struct place_ *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/culvert-db-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/x.db", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place_ *p = *state;
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", p->dir);
	assert_int_equal(system(cmd), 0);
	free(p);
	return 0;
}

static sqlite3 *opened(struct place_ *p)
{
	struct db_options o = {.path = p->path, .cache_bytes = 1 << 20};
	char why[DB_WHY_LEN];
	sqlite3 *db;

	if (db_open(&o, &db, why) != ERR_OK)
		fail_msg("%s", why);
	return db;
}

static int64_t integer(sqlite3 *db, const char *sql)
{
	int64_t v = 0;

	assert_int_equal(db_integer(db, sql, &v), ERR_OK);
	return v;
}

static void a_new_database_is_not_readable_by_others(void **state)
{
	struct place_ *p = *state;
	sqlite3 *db = opened(p);
	struct stat st;

	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
	db_close(db);
}

static void codes_become_our_errors(void **state)
{
	(void)state;
	assert_int_equal(db_err(SQLITE_DONE), ERR_OK);
	assert_int_equal(db_err(SQLITE_FULL), ERR_NOSPACE);
	assert_int_equal(db_err(SQLITE_NOTADB), ERR_CORRUPT);
	assert_int_equal(db_err(SQLITE_CORRUPT_VTAB), ERR_CORRUPT);
	assert_int_equal(db_err(SQLITE_IOERR_FSYNC), ERR_IO);
	assert_int_equal(db_err(SQLITE_BUSY_SNAPSHOT), ERR_BUSY);
	assert_int_equal(db_err(SQLITE_CONSTRAINT_PRIMARYKEY), ERR_INVAL);
	assert_int_equal(db_err(SQLITE_READONLY_DBMOVED), ERR_NOTFOUND);
	assert_int_equal(db_err(SQLITE_IOERR_NOMEM), ERR_IO);
}

static void reading_what_is_not_there_is_not_found(void **state)
{
	struct place_ *p = *state;
	struct db_options o = {.path = p->path, .read_only = true};
	sqlite3 *db;

	assert_int_equal(db_open(&o, &db, NULL), ERR_NOTFOUND);
	assert_int_not_equal(access(p->path, F_OK), 0);
}

static void a_file_that_is_no_database_is_corrupt(void **state)
{
	struct place_ *p = *state;
	struct db_options o = {.path = p->path};
	char why[DB_WHY_LEN] = "";
	FILE *f = fopen(p->path, "w");
	sqlite3 *db;

	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		(void)fputs("not a database ", f);
	(void)fclose(f);
	assert_int_equal(db_open(&o, &db, why), ERR_CORRUPT);
	assert_non_null(strstr(why, p->path));
}

static void a_file_moved_aside_takes_its_log_along(void **state)
{
	struct place_ *p = *state;
	sqlite3 *db = opened(p);
	struct db_identity before, after;
	char aside[DB_WHY_LEN], wal[DB_WHY_LEN + 8];

	assert_int_equal(db_exec(db, "CREATE TABLE t(x)"), ERR_OK);
	assert_true(db_identity(p->path, &before));
	assert_int_equal(db_move_aside(p->path, "word", aside), ERR_OK);
	assert_non_null(strstr(aside, "x.db.word-"));
	assert_false(db_identity(p->path, &after));
	assert_true(db_identity(aside, &after));
	assert_true(before.inode == after.inode);
	snprintf(wal, sizeof(wal), "%s-wal", aside);
	assert_int_equal(access(wal, F_OK), 0);
	db_close(db);
}

/* ---- migrations
 * ----------------------------------------------------------------- */

static const char *const scripts[] = {
    "CREATE TABLE a(x INTEGER); INSERT INTO a VALUES(1);",
    "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y=x+1;",
    "CREATE TABLE b(z); INSERT INTO b SELECT y FROM a;",
};

static struct migrations upto(int n)
{
	return (struct migrations){
	    .what = "test", .application_id = 42, .scripts = scripts, .n = n};
}

static void an_old_database_is_brought_forward_with_its_rows(void **state)
{
	struct migrations old = upto(1), new = upto(3);
	sqlite3 *db = opened(*state);
	char why[DB_WHY_LEN];

	assert_int_equal(migrations_run(db, &old, why), ERR_OK);
	assert_int_equal(integer(db, "PRAGMA user_version"), 1);
	assert_int_equal(migrations_check(db, &new, why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "start the daemon"));
	assert_int_equal(migrations_run(db, &new, why), ERR_OK);
	assert_int_equal(integer(db, "PRAGMA user_version"), 3);
	assert_int_equal(integer(db, "SELECT z FROM b"), 2);
	assert_int_equal(migrations_check(db, &new, why), ERR_OK);
	assert_int_equal(migrations_run(db, &new, why), ERR_OK);
	assert_int_equal(integer(db, "SELECT count(*) FROM b"), 1);
	db_close(db);
}

static void a_newer_database_is_refused_and_untouched(void **state)
{
	struct migrations old = upto(1), new = upto(3);
	sqlite3 *db = opened(*state);
	char why[DB_WHY_LEN];

	assert_int_equal(migrations_run(db, &new, why), ERR_OK);
	assert_int_equal(migrations_run(db, &old, why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "version 3, this program knows 1"));
	assert_int_equal(integer(db, "PRAGMA user_version"), 3);
	db_close(db);
}

static void a_step_that_fails_is_undone_whole(void **state)
{
	static const char *const broken[] = {
	    "CREATE TABLE a(x);",
	    "CREATE TABLE b(x); INSERT INTO b VALUES(1); NONSENSE;",
	};
	struct migrations m = {
	    .what = "test", .application_id = 42, .scripts = broken, .n = 2};
	sqlite3 *db = opened(*state);
	char why[DB_WHY_LEN];

	assert_int_not_equal(migrations_run(db, &m, why), ERR_OK);
	assert_non_null(strstr(why, "step to version 2"));
	assert_int_equal(integer(db, "PRAGMA user_version"), 1);
	assert_int_equal(
	    integer(db, "SELECT count(*) FROM sqlite_schema WHERE name='b'"),
	    0);
	db_close(db);
}

static void a_foreign_database_is_not_taken_over(void **state)
{
	struct migrations m = upto(3);
	sqlite3 *db = opened(*state);
	char why[DB_WHY_LEN];

	assert_int_equal(db_exec(db, "CREATE TABLE theirs(x)"), ERR_OK);
	assert_int_equal(migrations_run(db, &m, why), ERR_CORRUPT);
	assert_int_equal(integer(db, "SELECT count(*) FROM sqlite_schema"), 1);
	db_close(db);
}

/* The first released ledger and audit, with a row, go on to today's. */
static void the_first_schemas_come_forward(void **state)
{
	struct migrations first = migrations_ledger;
	sqlite3 *db = opened(*state);
	char why[DB_WHY_LEN];

	first.n = 1;
	assert_int_equal(migrations_run(db, &first, why), ERR_OK);
	assert_int_equal(
	    db_exec(db, "INSERT INTO destinations(id,name) VALUES(1,'cloud');"
			"INSERT INTO kinds VALUES(1,'1.2','1.2.1');"
			"INSERT INTO origins VALUES(1,5,'l','d','p','A','B',0);"
			"INSERT INTO series VALUES(1,'1','2','CT',9,NULL);"
			"INSERT INTO instances VALUES(9,x'00112233445566778899"
			"aabbccddeeff',5,1,1,1,'1.2.3',0,10,1,x'00',NULL,NULL);"
			"INSERT INTO deliveries VALUES(288,1,0,1,0,0,-1,5,7,"
			"NULL,NULL,NULL);"),
	    ERR_OK);
	assert_int_equal(migrations_run(db, &migrations_ledger, why), ERR_OK);
	assert_int_equal(integer(db, "SELECT count(*) FROM v_queue"
				     " WHERE destination='cloud' AND transfer="
				     "'00112233445566778899aabbccddeeff'"),
			 1);
	db_close(db);
}

/* ---- the map
 * -------------------------------------------------------------------- */

static void the_map_agrees_with_a_plain_array(void **state)
{
	enum { KEYS = 500 };
	struct ledger_map m = {0};
	uint64_t plain[KEYS] = {0};
	uint64_t x = 88172645463325252ULL;
	size_t n = 0;

	(void)state;
	for (int step = 0; step < 60000; step++) {
		uint64_t key, *at;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		key = x % KEYS;
		if (key == 1)
			continue; /* 0 and 1 are one key */
		at = ledger_map_get(&m, key);
		assert_int_equal(at != NULL ? *at : 0, plain[key]);
		if (x >> 40 & 1) {
			n += plain[key] == 0;
			plain[key] = (uint64_t)step + 1;
			assert_int_equal(ledger_map_set(&m, key, plain[key]),
					 ERR_OK);
		} else {
			n -= plain[key] != 0;
			plain[key] = 0;
			ledger_map_delete(&m, key);
		}
		assert_int_equal(m.n, n);
	}
	ledger_map_free(&m);
	assert_null(ledger_map_get(&m, 5));
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_new_database_is_not_readable_by_others),
	    T(codes_become_our_errors),
	    T(reading_what_is_not_there_is_not_found),
	    T(a_file_that_is_no_database_is_corrupt),
	    T(a_file_moved_aside_takes_its_log_along),
	    T(an_old_database_is_brought_forward_with_its_rows),
	    T(a_newer_database_is_refused_and_untouched),
	    T(a_step_that_fails_is_undone_whole),
	    T(a_foreign_database_is_not_taken_over),
	    T(the_first_schemas_come_forward),
	    cmocka_unit_test(the_map_agrees_with_a_plain_array),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
