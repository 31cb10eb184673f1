/* A ledger that is lost, damaged, foreign, newer or older. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/migrations.h"
#include "tests/unit/ledger_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

struct load {
	struct fixture *f;
	unsigned from, n;
};

static void *put_load(void *arg)
{
	struct load *load = arg;

	for (unsigned i = 0; i < load->n; i++) {
		struct instance in = fixture_instance(load->from + i);
		struct transfer_id id = fixture_put(load->f, &in, 300);

		if (i % 4 == 0)
			fixture_outcome(load->f, &id, OUTCOME_DELIVERED,
					"cloud");
	}
	return NULL;
}

static void a_ledger_deleted_under_load_is_rebuilt_from_the_spool(void **state)
{
	struct fixture *f = *state;
	struct load load = {.f = f, .from = 1, .n = 400};
	pthread_t thread;

	fixture_open(f);
	assert_int_equal(pthread_create(&thread, NULL, put_load, &load), 0);
	fixture_await(f, "SELECT count(*)>100 FROM instances", 1);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_await(f, "SELECT count(*)>200 FROM instances", 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	fixture_await(f, "SELECT count(*) FROM instances", 400);
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(DISTINCT transfer)"
					" FROM instances"),
			 400);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM deliveries WHERE state=3"),
	    100);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM deliveries WHERE state=0"),
	    300);
	assert_int_equal(
	    fixture_sql(f, "SELECT sum(count) FROM totals WHERE state=0"), 300);
}

static void scribble(const char *path, long at)
{
	FILE *file = fopen(path, "r+b");
	char junk[2048];

	assert_non_null(file);
	memset(junk, 0x5a, sizeof(junk));
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
	assert_int_equal(fclose(file), 0);
}

static void a_damaged_ledger_is_moved_aside_and_rebuilt(void **state)
{
	struct fixture *f = *state;

	fixture_open(f);
	fixture_put_many(f, 1, 20);
	fixture_barrier(f);
	fixture_close(f);
	scribble(f->ledger, 0);
	fixture_open(f);
	fixture_barrier(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 20);
	assert_true(fixture_has(f, "ledger.db.corrupt-"));
}

static void a_ledger_of_another_spool_is_moved_aside(void **state)
{
	struct fixture *f = *state;
	struct db_options o = {.path = f->ledger, .cache_bytes = 1 << 20};
	sqlite3 *db;

	fixture_open(f);
	fixture_put_many(f, 1, 3);
	fixture_barrier(f);
	fixture_close(f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	assert_int_equal(db_exec(db, "UPDATE spool_state SET spool_id="
				     "x'00112233445566778899aabbccddeeff'"),
			 ERR_OK);
	db_close(db);
	fixture_open(f);
	fixture_barrier(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 3);
	assert_true(fixture_has(f, "ledger.db.foreign-"));
}

static void a_ledger_of_a_newer_program_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct db_options o = {.path = f->ledger, .cache_bytes = 1 << 20};
	char why[LEDGER_WHY_LEN];
	sqlite3 *db;

	fixture_open(f);
	fixture_put_many(f, 1, 1);
	fixture_barrier(f);
	fixture_close_ledger(f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	assert_int_equal(db_exec(db, "PRAGMA user_version=77"), ERR_OK);
	db_close(db);
	assert_int_equal(ledger_open(&f->ledger_options, f->spool, &f->l, why),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "version 77"));
	assert_int_equal(fixture_sql(f, "PRAGMA user_version"), 77);
	assert_false(fixture_has(f, "ledger.db."));
}

static void rebuild_writes_the_ledger_anew(void **state)
{
	struct fixture *f = *state;
	char why[LEDGER_WHY_LEN];
	uint64_t n = 0;

	fixture_open(f);
	fixture_put_many(f, 1, 12);
	fixture_barrier(f);
	fixture_close_ledger(f);
	assert_int_equal(ledger_rebuild(&f->ledger_options, f->spool, &n, why),
			 ERR_OK);
	assert_int_equal(n, 12);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 12);
	assert_true(fixture_has(f, "ledger.db.before-rebuild-"));
}

/* ---- an older one -------------------------------------------------------- */

static const char *const same_in_1[] = {
    "spool_state", "kinds",        "origins",     "destinations", "totals",
    "devices",     "twins",        "chunks",      "damage",       "refusals",
    "contexts",    "associations", "capabilities"};

static void copy_table(sqlite3 *db, const char *table, const char *columns)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO main.%s SELECT %s FROM later.%s", table, columns,
		 table);
	assert_int_equal(db_exec(db, sql), ERR_OK);
}

/* What the first version of the program would have written of the same. */
static void make_version_1(struct fixture *f)
{
	struct migrations first = migrations_ledger;
	struct db_options o = {.cache_bytes = 1 << 20};
	char path[128], text[256];
	sqlite3 *db;

	first.n = 1;
	snprintf(path, sizeof(path), "%s/version-1.db", f->dir);
	o.path = path;
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	assert_int_equal(migrations_run(db, &first, NULL), ERR_OK);
	snprintf(text, sizeof(text), "ATTACH '%s' AS later", f->ledger);
	assert_int_equal(db_exec(db, text), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(same_in_1); i++)
		copy_table(db, same_in_1[i], "*");
	copy_table(db, "series", "id,study,series,modality,first,identity");
	copy_table(db, "instances",
		   "seq,transfer,received_ms,origin,kind,series,sop_instance,"
		   "dicom_priority,length,chunks,root,move_id,move_originator");
	copy_table(db, "deliveries",
		   "id,destination,state,priority,attempts,next_attempt_ms,"
		   "remote_status,changed_ms,uid_hash,outcome_segment,target,"
		   "last_error");
	assert_int_equal(db_exec(db, "DETACH later"), ERR_OK);
	db_close(db);
	snprintf(text, sizeof(text), "rm -f %s*", f->ledger);
	assert_int_equal(system(text), 0);
	assert_int_equal(rename(path, f->ledger), 0);
}

static void put_commitment(struct fixture *f)
{
	struct instance in = fixture_instance(50);
	struct transfer_id id;

	in.commit = 1;
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	in = fixture_instance(51);
	in.command = 0x0130;
	in.held = true;
	INSTANCE_SET(in.transaction, "1.2.9");
	fixture_put(f, &in, 10);
}

static void a_ledger_of_version_1_is_taken_over_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct ledger_view *v;
	struct fixture_items got;
	struct transfer_id a, b;

	fixture_open(f);
	a = fixture_put(f, &in, 1000);
	b = fixture_put(f, &in, 2000);
	fixture_put_many(f, 10, 5);
	fixture_outcome(f, &b, OUTCOME_QUARANTINED, "cloud");
	fixture_settle(f);
	fixture_close(f);
	make_version_1(f);
	assert_int_equal(ledger_view_open(f->dir, &v, NULL), ERR_UNSUPPORTED);

	fixture_open(f);
	fixture_barrier(f);
	assert_int_equal(fixture_sql(f, "PRAGMA user_version"),
			 migrations_ledger.n);
	assert_false(fixture_has(f, "ledger.db.")); /* not made anew */
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 6);
	assert_true(transfer_id_equal(&got.items[0].transfer, &a));
	assert_int_equal(got.items[0].command, 0);
	fixture_outcome(f, &a, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &b, OUTCOME_RELEASED, "cloud");
	put_commitment(f);
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_deliveries"
					" WHERE state='delivered'"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_queue"
					" WHERE state='uncommitted'"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_messages"
					" WHERE state='held'"),
			 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_queue"
					" WHERE state='queued'"),
			 6);
}

static void an_older_ledger_and_one_made_anew_have_one_schema(void **state)
{
	static const char schema[] =
	    "SELECT count(*) FROM sqlite_schema WHERE sql IS NOT NULL";
	static const char columns[] =
	    "SELECT count(*) FROM sqlite_schema s, pragma_table_info(s.name)"
	    " WHERE s.type IN ('table','view')";
	struct fixture *f = *state;
	int64_t n, m;

	fixture_open(f);
	fixture_barrier(f);
	n = fixture_sql(f, schema);
	m = fixture_sql(f, columns);
	fixture_close(f);
	make_version_1(f);
	fixture_open(f);
	assert_int_equal(fixture_sql(f, schema), n);
	assert_int_equal(fixture_sql(f, columns), m);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_ledger_deleted_under_load_is_rebuilt_from_the_spool),
	    T(a_damaged_ledger_is_moved_aside_and_rebuilt),
	    T(a_ledger_of_another_spool_is_moved_aside),
	    T(a_ledger_of_a_newer_program_is_left_alone),
	    T(rebuild_writes_the_ledger_anew),
	    T(a_ledger_of_version_1_is_taken_over_as_it_is),
	    T(an_older_ledger_and_one_made_anew_have_one_schema),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
