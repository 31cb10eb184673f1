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

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/search_kit.h"

/* Run SQL on the ledger itself: time passes faster than in a test. */
static void change(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(f->ledger, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

/* ---- asking ------------------------------------------------------------ */

static bool fits(const struct view_delivery *d, const struct search_filter *f)
{
	return (f->from_ms == 0 || d->received_ms >= f->from_ms) &&
	       (f->to_ms == 0 || d->received_ms < f->to_ms) &&
	       (f->device == NULL || strcmp(f->device, d->device) == 0) &&
	       (f->calling_ae == NULL ||
		strcmp(f->calling_ae, d->calling_ae) == 0) &&
	       (f->destination == NULL ||
		strcmp(f->destination, d->destination) == 0) &&
	       (f->study == NULL || strcmp(f->study, d->study) == 0) &&
	       (!f->has_state || f->state == d->state);
}

/* What a filter should find, the newest first, from a plain listing. */
static size_t expected(const struct search_rows *all,
		       const struct search_filter *f, uint64_t *ids)
{
	size_t n = 0;

	for (size_t i = all->n; i > 0; i--)
		if (fits(&all->d[i - 1], f))
			ids[n++] = all->d[i - 1].delivery;
	return n;
}

/* Page by page one way from place; ids as they come. */
static size_t page_through(struct ledger_view *v, struct search_filter f,
			   uint64_t *ids)
{
	struct search_rows *r = calloc(1, sizeof(*r));
	struct search_page page;
	size_t n = 0, pages = 0;

	assert_non_null(r);
	do {
		r->n = 0;
		assert_int_equal(ledger_search(v, &f, search_on_row, r, &page),
				 ERR_OK);
		assert_int_equal(page.rows, r->n);
		assert_true(r->n <= f.limit);
		for (size_t i = 0; i < r->n; i++)
			ids[n++] =
			    r->d[f.way == SEARCH_OLDER ? i : r->n - 1 - i]
				.delivery;
		f.place = f.way == SEARCH_OLDER ? page.older : page.newer;
		assert_true(++pages < 1000);
	} while (f.place != 0);
	free(r);
	return n;
}

static void check(struct ledger_view *v, const struct search_rows *all,
		  struct search_filter f)
{
	uint64_t want[1000], got[1000];
	size_t n = expected(all, &f, want);

	f.way = SEARCH_OLDER;
	assert_int_equal(page_through(v, f, got), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], want[i]);
	f.way = SEARCH_NEWER;
	assert_int_equal(page_through(v, f, got), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[n - 1 - i], want[i]);
}

/* ---- transfers ---------------------------------------------------------- */

static struct search_filter combined(unsigned bits, unsigned salt)
{
	struct search_filter f = {.limit = 1 + salt % 17};

	if ((bits & 1) != 0)
		f.device = search_devices[salt % 3];
	if ((bits & 2) != 0)
		f.calling_ae = search_aes[salt / 3 % 2];
	if ((bits & 4) != 0)
		f.destination = search_places[salt / 2 % 3];
	if ((bits & 8) != 0)
		f.study = search_study_uids[salt % 5];
	if ((bits & 16) != 0)
		f.from_ms = SEARCH_T0 + 1000 * (salt * 13 % SEARCH_N);
	if ((bits & 32) != 0)
		f.to_ms = SEARCH_T0 + 1000 * (salt * 29 % SEARCH_N);
	if ((bits & 64) != 0) {
		f.has_state = true;
		f.state = (enum delivery_state)(salt % DELIVERY_N_STATES);
	}
	return f;
}

static void every_filter_finds_what_a_plain_listing_has(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct search_rows *all;

	search_fill(f);
	v = search_view(f);
	all = search_everything(v);
	assert_true(all->n > SEARCH_N);
	for (unsigned bits = 0; bits < 128; bits++)
		for (unsigned salt = 0; salt < 10; salt++)
			check(v, all, combined(bits, salt * 11 + bits));
	free(all);
	ledger_view_close(v);
}

static void what_does_not_exist_is_found_nowhere(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct search_rows *all;

	search_fill(f);
	v = search_view(f);
	all = search_everything(v);
	check(v, all, (struct search_filter){.device = "no", .limit = 5});
	check(v, all, (struct search_filter){.calling_ae = "no", .limit = 5});
	check(v, all, (struct search_filter){.destination = "no", .limit = 5});
	check(v, all, (struct search_filter){.study = "9.9", .limit = 5});
	check(v, all,
	      (struct search_filter){.from_ms = SEARCH_T0 * 9, .limit = 5});
	check(v, all, (struct search_filter){.to_ms = 5, .limit = 5});
	free(all);
	ledger_view_close(v);
}

/* Blocks of a ledger that is spread over a million sequences. */
static void spread(struct fixture *f)
{
	change(f, "UPDATE deliveries SET id=id+(id>>5)*700*32;"
		  "UPDATE instances SET seq=seq*701;"
		  "UPDATE series SET first=first*701;"
		  "DELETE FROM blocks; DELETE FROM marks;"
		  "INSERT INTO blocks SELECT seq>>10,min(received_ms),"
		  "max(received_ms) FROM instances GROUP BY 1;"
		  "INSERT OR IGNORE INTO marks SELECT 1,o.device,i.seq>>10"
		  " FROM instances i JOIN origins o ON o.id=i.origin;"
		  "INSERT OR IGNORE INTO marks SELECT 2,o.calling_ae,i.seq>>10"
		  " FROM instances i JOIN origins o ON o.id=i.origin;"
		  "INSERT OR IGNORE INTO marks SELECT 3,t.name,d.id>>15"
		  " FROM deliveries d JOIN destinations t"
		  " ON t.id=d.destination;"
		  "INSERT OR IGNORE INTO marks SELECT 4,state,id>>15"
		  " FROM deliveries WHERE state IN (3,4,5,7);");
}

static void blocks_are_stepped_over_without_losing_a_row(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct search_rows *all;

	search_fill(f);
	fixture_close(f);
	spread(f);
	v = search_view(f);
	all = search_everything(v);
	assert_true(all->n > SEARCH_N);
	for (unsigned bits = 0; bits < 128; bits++)
		for (unsigned salt = 0; salt < 3; salt++)
			check(v, all, combined(bits, salt * 17 + bits));
	free(all);
	ledger_view_close(v);
}

/* Every block has the device and every block has the title, but no instance
 * has both; and there are some more blocks than four calls look through. */
static void a_search_that_finds_hardly_anything_is_cut(void **state)
{
	struct fixture *f = *state;
	struct search_filter q = {
	    .device = "ct", .calling_ae = "A2", .limit = 10};
	struct search_page page;
	struct search_rows *r = calloc(1, sizeof(*r));
	struct ledger_view *v;
	char sql[512];
	unsigned calls = 0;

	assert_non_null(r);
	search_fill(f);
	fixture_close(f);
	change(f, "UPDATE origins SET calling_ae='A1' WHERE device='ct';");
	spread(f);
	snprintf(sql, sizeof(sql),
		 "INSERT OR IGNORE INTO blocks(block,first_ms,last_ms)"
		 " WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i+1"
		 " FROM n WHERE i<%d) SELECT i,%d,%d FROM n;"
		 "INSERT OR IGNORE INTO marks SELECT 1,'ct',block FROM blocks;"
		 "INSERT OR IGNORE INTO marks SELECT 2,'A2',block FROM blocks;",
		 4 * SEARCH_BLOCKS, SEARCH_T0, SEARCH_T0);
	change(f, sql);
	v = search_view(f);
	do {
		assert_int_equal(ledger_search(v, &q, search_on_row, r, &page),
				 ERR_OK);
		assert_int_equal(page.cut, page.older != 0);
		q.place = page.older;
		assert_true(++calls <= 5);
	} while (page.older != 0);
	assert_int_equal(calls, 5);
	assert_int_equal(r->n, 0);
	free(r);
	ledger_view_close(v);
}

static void one_can_go_back_to_the_page_before(void **state)
{
	struct fixture *f = *state;
	struct search_filter q = {.limit = 10};
	struct search_page first, second, back;
	struct search_rows *a = calloc(1, sizeof(*a)),
			   *b = calloc(1, sizeof(*b));
	struct ledger_view *v;

	assert_non_null(a);
	assert_non_null(b);
	search_fill(f);
	v = search_view(f);
	assert_int_equal(ledger_search(v, &q, search_on_row, a, &first),
			 ERR_OK);
	assert_int_equal(first.newer, 0);
	q.place = first.older;
	assert_int_equal(ledger_search(v, &q, search_on_row, b, &second),
			 ERR_OK);
	q.way = SEARCH_NEWER;
	q.place = second.newer;
	b->n = 0;
	assert_int_equal(ledger_search(v, &q, search_on_row, b, &back), ERR_OK);
	assert_int_equal(b->n, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(a->d[i].delivery, b->d[i].delivery);
	assert_int_equal(back.newer, 0);
	assert_int_equal(back.older, first.older);
	free(a);
	free(b);
	ledger_view_close(v);
}

static void identifiers_are_found_by_their_key_only(void **state)
{
	struct fixture *f = *state;
	struct search_filter q = {.limit = LEDGER_PAGE_MAX};
	struct search_page page;
	struct search_rows *r = calloc(1, sizeof(*r));
	struct ledger_view *v;
	int64_t accession, other;

	assert_non_null(r);
	search_fill(f);
	v = search_view(f);
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_ACCESSION, " aCC3  ", &q.accession),
	    ERR_OK);
	assert_int_equal(ledger_search(v, &q, search_on_row, r, &page), ERR_OK);
	assert_true(r->n > 5);
	for (size_t i = 0; i < r->n; i++)
		assert_string_equal(r->d[i].study, "1.4");
	accession = q.accession;
	q.accession = 0;
	r->n = 0;
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_PATIENT, "PID0", &q.patient),
	    ERR_OK);
	assert_int_equal(ledger_search(v, &q, search_on_row, r, &page), ERR_OK);
	assert_true(r->n > 10);
	for (size_t i = 0; i < r->n; i++)
		assert_true(strcmp(r->d[i].study, "1.1") == 0 ||
			    strcmp(r->d[i].study, "1.2") == 0);
	/* Both must fit, and one is no other. */
	q.accession = accession;
	r->n = 0;
	assert_int_equal(ledger_search(v, &q, search_on_row, r, &page), ERR_OK);
	assert_int_equal(r->n, 0);
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_PATIENT, "Acc3", &other), ERR_OK);
	assert_int_not_equal(other, accession);
	assert_int_equal(ledger_search_key(f->l, SEARCH_PATIENT, "  ", &other),
			 ERR_OK);
	assert_int_equal(other, 0);
	free(r);
	ledger_view_close(v);
}

/* ---- rebuilding, upgrading ---------------------------------------------- */

static void a_rebuilt_ledger_is_searched_the_same(void **state)
{
	struct fixture *f = *state;
	struct search_filter q = {.limit = 1000};
	struct ledger_view *v;
	struct search_rows *all;
	uint64_t instances;
	char why[LEDGER_WHY_LEN];

	fixture_open(f);
	for (unsigned i = 0; i < 30; i++) {
		struct instance in = search_made(i);

		fixture_put(f, &in, 10);
	}
	fixture_settle(f);
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_ACCESSION, "Acc1", &q.accession),
	    ERR_OK);
	fixture_close_ledger(f);
	assert_int_equal(
	    ledger_rebuild(&f->ledger_options, f->spool, &instances, why),
	    ERR_OK);
	assert_int_equal(instances, 30);
	v = search_view(f);
	all = search_everything(v);
	for (unsigned bits = 0; bits < 128; bits++)
		check(v, all, combined(bits, bits));
	q.study = "1.2";
	all->n = 0;
	{
		struct search_page page;

		assert_int_equal(
		    ledger_search(v, &q, search_on_row, all, &page), ERR_OK);
	}
	assert_true(all->n > 0);
	free(all);
	ledger_view_close(v);
}

/* As a release wrote it that knew no search. */
static void make_older(struct fixture *f)
{
	change(f, "DROP TABLE owed;"
		  "DROP TABLE rollups; DROP TABLE rollup_names;"
		  "DROP TABLE marks; DROP TABLE blocks;"
		  "DROP TABLE search_state; DROP INDEX associations_out;"
		  "DROP INDEX series_patient; DROP INDEX series_accession;"
		  "DROP INDEX series_device; DROP INDEX series_study;"
		  "DROP INDEX series_first; DROP INDEX instances_series;"
		  "ALTER TABLE series DROP COLUMN accession;"
		  "ALTER TABLE series DROP COLUMN patient;"
		  "ALTER TABLE series DROP COLUMN device;"
		  "ALTER TABLE series DROP COLUMN calling_ae;"
		  "ALTER TABLE series DROP COLUMN instances;"
		  "ALTER TABLE series DROP COLUMN bytes;"
		  "ALTER TABLE series DROP COLUMN first_ms;"
		  "ALTER TABLE series DROP COLUMN last_ms;"
		  "PRAGMA user_version=3;");
}

static void a_ledger_of_an_older_release_becomes_searchable(void **state)
{
	struct fixture *f = *state;
	struct search_filter q = {.limit = 1000};
	struct search_page page;
	struct ledger_view *v;
	struct search_studies before = {0}, after = {0};
	struct study_filter s = {.limit = 10};
	struct search_rows *all, *r = calloc(1, sizeof(*r));
	uint64_t left;

	assert_non_null(r);
	search_fill(f);
	v = search_view(f);
	assert_int_equal(
	    ledger_search_studies(v, &s, search_on_study, &before, &page),
	    ERR_OK);
	ledger_view_close(v);
	fixture_close(f);
	make_older(f);
	fixture_open(f);
	fixture_await(f, "SELECT unready=0 FROM search_state", 1);
	v = search_view(f);
	assert_int_equal(ledger_search_unready(v, &left), ERR_OK);
	assert_int_equal(left, 0);
	all = search_everything(v);
	for (unsigned bits = 0; bits < 128; bits++)
		check(v, all, combined(bits, bits));
	assert_int_equal(
	    ledger_search_studies(v, &s, search_on_study, &after, &page),
	    ERR_OK);
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.s, before.s, sizeof(after.s[0]) * after.n);
	assert_int_equal(
	    ledger_search_key(f->l, SEARCH_ACCESSION, "Acc3", &q.accession),
	    ERR_OK);
	assert_int_equal(ledger_search(v, &q, search_on_row, r, &page), ERR_OK);
	assert_true(r->n > 5);
	free(all);
	free(r);
	ledger_view_close(v);
}

int main(int argc, char **argv)
{
#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, search_setup, search_teardown)
	const struct CMUnitTest tests[] = {
	    T(every_filter_finds_what_a_plain_listing_has),
	    T(what_does_not_exist_is_found_nowhere),
	    T(blocks_are_stepped_over_without_losing_a_row),
	    T(a_search_that_finds_hardly_anything_is_cut),
	    T(one_can_go_back_to_the_page_before),
	    T(identifiers_are_found_by_their_key_only),
	    T(a_rebuilt_ledger_is_searched_the_same),
	    T(a_ledger_of_an_older_release_becomes_searchable),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
