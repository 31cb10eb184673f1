/* Sealed values of series, erased: looked for in the file, byte by byte. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_keep.h"
#include "store/ledger_search.h"
#include "store/seal_sign.h"
#include "tests/unit/ledger_fixture.h"

enum { STUDIES = 40, SERIES = 6, BLOB = 700, T0 = 1000000 };

static struct seal_signer *signer;

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	char path[128], why[SEAL_WHY_LEN];

	assert_non_null(f);
	setenv("CULVERT_TEST_CLOCK", "1", 1);
	fixture_init(f);
	snprintf(path, sizeof(path), "%s/signing.key", f->dir);
	assert_int_equal(seal_signer_open(path, true, &signer, why), ERR_OK);
	f->ledger_options.signer = signer;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	mem_free(*state);
	seal_signer_close(signer);
	return 0;
}

static struct instance made(unsigned study, unsigned series, unsigned i)
{
	struct instance in = fixture_instance(study * 1000 + series * 100 + i);

	in.received_ms = T0 + (int64_t)study * 1000;
	snprintf(in.study, sizeof(in.study), "1.2.%u", study);
	snprintf(in.series, sizeof(in.series), "1.2.%u.%u", study, series);
	snprintf(in.accession, sizeof(in.accession), "Acc%u", study);
	snprintf(in.patient_id, sizeof(in.patient_id), "Pid%u", study / 2);
	snprintf(in.patient_name, sizeof(in.patient_name), "Name%0*u",
		 (int)(study * 7 % 90), study);
	return in;
}

/* Rows grow as instances are added to them, in no order. */
static void fill(struct fixture *f)
{
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned k = 0; k < STUDIES * SERIES; k++) {
			unsigned n = k * 97 % (STUDIES * SERIES);
			struct instance in = made(n / SERIES, n % SERIES, i);
			struct transfer_id id =
			    fixture_put(f, &in, (size_t)10 << (4 * i));

			fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
		}
		fixture_settle(f);
	}
}

/* ---- what is in the files ---------------------------------------------------
 */

struct blob {
	int64_t id, last_ms;
	char study[65];
	uint8_t b[BLOB];
	int n;
};

struct blobs {
	struct blob *v;
	size_t n;
};

static struct blobs blobs_of(struct fixture *f)
{
	struct blobs all = {.v = mem_zarray(2000, sizeof(*all.v))};
	sqlite3_stmt *st;
	sqlite3 *db;

	assert_non_null(all.v);
	assert_int_equal(sqlite3_open(f->ledger, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT id,study,last_ms,identity "
					    "FROM series WHERE identity IS NOT "
					    "NULL ORDER BY id",
					    -1, &st, NULL),
			 SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW && all.n < 2000) {
		struct blob *b = &all.v[all.n++];

		b->id = sqlite3_column_int64(st, 0);
		snprintf(b->study, sizeof(b->study), "%s",
			 (const char *)sqlite3_column_text(st, 1));
		b->last_ms = sqlite3_column_int64(st, 2);
		b->n = sqlite3_column_bytes(st, 3);
		assert_in_range(b->n, 20, BLOB);
		memcpy(b->b, sqlite3_column_blob(st, 3), (size_t)b->n);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return all;
}

static size_t load(struct fixture *f, const char *suffix, uint8_t *out,
		   size_t cap)
{
	char path[128];
	FILE *in;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s%s", f->ledger, suffix);
	in = fopen(path, "rbe");
	if (in != NULL) {
		n = fread(out, 1, cap, in);
		assert_int_equal(fclose(in), 0);
	}
	assert_true(n < cap);
	return n;
}

/* How many of them are in the ledger's files, whole or in part. */
static size_t found(struct fixture *f, const struct blobs *all,
		    bool (*which)(const struct blob *b))
{
	enum { CAP = 32 << 20, PART = 24 };
	uint8_t *file = mem_zalloc(CAP);
	size_t n, hits = 0;

	assert_non_null(file);
	n = load(f, "", file, CAP / 2);
	n += load(f, "-wal", file + n, CAP / 2);
	for (size_t i = 0; i < all->n; i++) {
		const struct blob *b = &all->v[i];

		if (which(b) && memmem(file, n, b->b + b->n - PART, PART))
			hits++;
	}
	mem_free(file);
	return hits;
}

static bool of_study(const struct blob *b)
{
	return strcmp(b->study, "1.2.7") == 0;
}

static bool not_of_study(const struct blob *b)
{
	return !of_study(b);
}

static bool early(const struct blob *b)
{
	return b->last_ms < T0 + 20 * 1000;
}

static bool late(const struct blob *b)
{
	return !early(b);
}

static size_t count(const struct blobs *all, bool (*which)(const struct blob *))
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += which(&all->v[i]);
	return n;
}

static struct ledger_keep_result *order(struct fixture *f,
					const struct ledger_keep_order *o)
{
	static struct ledger_keep_result r;

	assert_int_equal(ledger_keep(f->l, o, NULL, NULL, &r), ERR_OK);
	return &r;
}

static int64_t erased_rows(struct fixture *f)
{
	int64_t n = 0;
	struct audit_event e = {.kind = AUDIT_START};
	char name[400] = "", sql[128];
	FILE *p;

	assert_int_equal(ledger_audit_sure(f->l, &e, 10000), ERR_OK);
	snprintf(sql, sizeof(sql), "ls %s | grep '^audit-[0-9].*db$'", f->dir);
	p = popen(sql, "r"); /* NOLINT: of our own making */
	assert_non_null(p);
	assert_non_null(fgets(name, sizeof(name), p));
	pclose(p);
	name[strcspn(name, "\n")] = '\0';
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM audit WHERE kind=%d",
		 (int)AUDIT_ERASED);
	n = fixture_sql_in(f, name, sql);
	return n;
}

/* ---- tests --------------------------------------------------------------- */

static void a_study_that_is_erased_is_in_no_page(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {
	    .op = LEDGER_KEEP_ERASE, .study = "1.2.7", .user = "uid 0 root"};
	struct instance in = made(7, 0, 9);
	struct ledger_keep_result *r;
	struct blobs all;
	int64_t key;

	fixture_open(f);
	fill(f);
	all = blobs_of(f);
	assert_in_range(count(&all, of_study), SERIES, 4 * SERIES);
	assert_int_equal(found(f, &all, of_study), count(&all, of_study));
	r = order(f, &o);
	if (r->e != ERR_OK)
		fail_msg("%s", r->why);
	assert_int_equal(r->values, count(&all, of_study));
	assert_int_equal(found(f, &all, of_study), 0);
	assert_int_equal(found(f, &all, not_of_study),
			 count(&all, not_of_study));
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM series WHERE study='1.2.7' "
			   "AND (identity IS NOT NULL OR accession IS NOT NULL "
			   "OR patient IS NOT NULL)"),
	    0);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM series WHERE study<>'1.2.7' "
			   "AND (identity IS NULL OR accession IS NULL)"),
	    0);
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_ACCESSION, "Acc7", &key), ERR_OK);
	assert_int_equal(erased_rows(f), 1);
	/* nothing is left, and that is no new row */
	r = order(f, &o);
	assert_int_equal(r->e, ERR_OK);
	assert_int_equal(r->values, 0);
	assert_int_equal(erased_rows(f), 1);
	/* one that comes later has a row of its own, with its values */
	(void)fixture_put(f, &in, 100);
	fixture_settle(f);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM series WHERE study='1.2.7' "
			   "AND identity IS NOT NULL AND instances=1"),
	    1);
	assert_int_equal(
	    fixture_sql(f, "SELECT count(*) FROM instances i JOIN series s ON "
			   "s.id=i.series WHERE s.study='1.2.7'"),
	    4 * SERIES + 1);
	mem_free(all.v);
}

static void what_came_before_a_moment_is_erased(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_ERASE,
				      .before_ms = T0 + 20 * 1000,
				      .user = "uid 0 root"};
	struct ledger_keep_result *r;
	struct blobs all;

	fixture_open(f);
	fill(f);
	all = blobs_of(f);
	r = order(f, &o);
	if (r->e != ERR_OK)
		fail_msg("%s", r->why);
	assert_int_equal(r->values, count(&all, early));
	assert_true(count(&all, early) > 0 && count(&all, late) > 0);
	assert_int_equal(found(f, &all, early), 0);
	assert_int_equal(found(f, &all, late), count(&all, late));
	mem_free(all.v);
}

static void what_is_held_is_not_erased(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order hold = {.op = LEDGER_KEEP_HOLD,
					 .study = "1.2.7",
					 .reason = "court",
					 .user = "uid 0 root"};
	struct ledger_keep_order o = {
	    .op = LEDGER_KEEP_ERASE, .study = "1.2.7", .user = "uid 0 root"};
	struct blobs all;

	fixture_open(f);
	fill(f);
	assert_int_equal(order(f, &hold)->e, ERR_OK);
	all = blobs_of(f);
	assert_int_equal(order(f, &o)->e, ERR_DENIED);
	assert_int_equal(found(f, &all, of_study), count(&all, of_study));
	mem_free(all.v);
}

/* ---- one who does not wait for the end ------------------------------------
 */

struct watch {
	uint64_t so_far, in_all;
	unsigned asked;
};

static bool look_once(void *arg, uint64_t so_far, uint64_t in_all)
{
	struct watch *w = arg;

	w->so_far = so_far;
	w->in_all = in_all;
	return ++w->asked == 1;
}

static void what_nobody_waits_for_is_done_to_its_end(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_ERASE,
				      .before_ms = INT64_MAX,
				      .user = "uid 0 root"};
	static struct ledger_keep_result r;
	struct watch w = {0};
	struct blobs all;

	fixture_open(f);
	fill(f);
	all = blobs_of(f);
	assert_int_equal(ledger_keep(f->l, &o, look_once, &w, &r),
			 ERR_CANCELED);
	fixture_await(
	    f, "SELECT count(*) FROM series WHERE identity IS NOT NULL", 0);
	/* and then the next one may order */
	o = (struct ledger_keep_order){.op = LEDGER_KEEP_HOLDS};
	while (ledger_keep(f->l, &o, NULL, NULL, &r) == ERR_BUSY)
		;
	assert_int_equal(r.e, ERR_OK);
	assert_int_equal(found(f, &all, early), 0);
	assert_int_equal(found(f, &all, late), 0);
	mem_free(all.v);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_study_that_is_erased_is_in_no_page),
	    T(what_came_before_a_moment_is_erased),
	    T(what_is_held_is_not_erased),
	    T(what_nobody_waits_for_is_done_to_its_end),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
