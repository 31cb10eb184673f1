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
#include "store/ledger_rollup.h"
#include "tests/unit/ledger_fixture.h"

#define T0 1700006400000LL /* a full hour */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	fixture_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

static struct ledger_view *view(struct fixture *f)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	if (ledger_view_open(f->dir, &v, why) != ERR_OK)
		fail_msg("%s", why);
	return v;
}

/* ---- posting ------------------------------------------------------------ */

static void post_values(struct fixture *f, int64_t at_ms,
			const struct sample_value *v, size_t n)
{
	struct ledger_sample s = {.at_ms = at_ms, .n = n, .values = v};

	ledger_sample(f->l, &s);
}

/* The values of one made-up step. */
static void post_step(struct fixture *f, int64_t at_ms, int64_t i)
{
	const struct sample_value v[] = {
	    {ROLLUP_SECONDS, "", 10},
	    {ROLLUP_SPOOL_USED, "", 1000 - i},
	    {ROLLUP_OUT_BYTES, "cloud", i},
	    {ROLLUP_OUT_BYTES, "second", 2 * i},
	    {ROLLUP_QUEUE_COUNT, "cloud", i % 7},
	    {ROLLUP_RTT_US, "cloud", 100 + i % 2 * 100},
	    {ROLLUP_LIMIT, "cloud", i},
	};

	post_values(f, at_ms, v, ARRAY_LEN(v));
}

/* Every post has become rows. */
static void settle(struct fixture *f, const char *sql, int64_t want)
{
	fixture_await(f, sql, want);
}

/* ---- reading ------------------------------------------------------------ */

struct points {
	size_t n;
	struct {
		int64_t at_ms, value;
		enum rollup_metric metric;
		char name[33];
	} p[4096];
};

static bool on_point(void *arg, const struct rollup_point *p)
{
	struct points *all = arg;

	assert_true(all->n < ARRAY_LEN(all->p));
	all->p[all->n].at_ms = p->at_ms;
	all->p[all->n].value = p->value;
	all->p[all->n].metric = p->metric;
	snprintf(all->p[all->n].name, 33, "%s", p->name);
	all->n++;
	return true;
}

static struct points *series(struct ledger_view *v, enum rollup_metric m,
			     const char *name, enum rollup_level level)
{
	struct points *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_int_equal(ledger_rollup(v, ROLLUP_BIT(m), name, level, 0,
				       INT64_MAX, on_point, p),
			 ERR_OK);
	return p;
}

static void expect_one(struct ledger_view *v, enum rollup_metric m,
		       enum rollup_level level, int64_t value)
{
	struct points *p = series(v, m, NULL, level);

	assert_int_equal(p->n, 1);
	assert_int_equal(p->p[0].value, value);
	assert_int_equal(p->p[0].at_ms, T0);
	free(p);
}

/* ---- tests -------------------------------------------------------------- */

static void a_sample_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct points *p;

	post_step(f, T0 + 10000, 7);
	settle(f, "SELECT count(*) FROM rollups", 4);
	v = view(f);
	p = series(v, ROLLUP_OUT_BYTES, "second", ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->p[0].at_ms, T0); /* where it begins */
	assert_int_equal(p->p[0].value, 14);
	assert_string_equal(p->p[0].name, "second");
	free(p);
	p = series(v, ROLLUP_OUT_BYTES, NULL, ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 2);
	free(p);
	expect_one(v, ROLLUP_SPOOL_USED, ROLLUP_SECONDS_10, 993);
	p = series(v, ROLLUP_OUT_BYTES, "third", ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 0);
	free(p);
	p = series(v, ROLLUP_IN_BYTES, NULL, ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 0);
	free(p);
	ledger_view_close(v);
}

static void each_level_sums_up_the_one_below(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct points *p;
	int64_t sum = 0;

	for (int64_t i = 0; i < 360; i++)
		post_step(f, T0 + (i + 1) * 10000, i);
	settle(f, "SELECT count(*) FROM rollups", 360 + 60 + 6 + 1);
	v = view(f);
	p = series(v, ROLLUP_OUT_BYTES, "cloud", ROLLUP_MINUTE);
	assert_int_equal(p->n, 60);
	assert_int_equal(p->p[0].value, 0 + 1 + 2 + 3 + 4 + 5);
	assert_int_equal(p->p[59].at_ms, T0 + 59 * 60000);
	for (size_t i = 0; i < p->n; i++)
		sum += p->p[i].value;
	assert_int_equal(sum, 359 * 360 / 2);
	free(p);
	p = series(v, ROLLUP_OUT_BYTES, "cloud", ROLLUP_HOUR);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->p[0].value, sum);
	free(p);
	expect_one(v, ROLLUP_SECONDS, ROLLUP_HOUR, 3600);
	expect_one(v, ROLLUP_SPOOL_USED, ROLLUP_HOUR, 1000);
	expect_one(v, ROLLUP_QUEUE_COUNT, ROLLUP_HOUR, 6);
	expect_one(v, ROLLUP_RTT_US, ROLLUP_HOUR, 150);
	expect_one(v, ROLLUP_LIMIT, ROLLUP_HOUR, 359);
	p = series(v, ROLLUP_LIMIT, "cloud", ROLLUP_MINUTES_10);
	assert_int_equal(p->n, 6);
	assert_int_equal(p->p[2].value, 179);
	free(p);
	ledger_view_close(v);
}

static void a_range_is_by_where_steps_begin(void **state)
{
	struct fixture *f = *state;
	struct points *p = calloc(1, sizeof(*p));
	struct ledger_view *v;

	assert_non_null(p);
	for (int64_t i = 0; i < 12; i++)
		post_step(f, T0 + (i + 1) * 10000, i);
	settle(f, "SELECT count(*) FROM rollups WHERE slot<(1<<40)", 12);
	v = view(f);
	assert_int_equal(ledger_rollup(v, ROLLUP_BIT(ROLLUP_LIMIT), "cloud",
				       ROLLUP_SECONDS_10, T0 + 1, T0 + 30001,
				       on_point, p),
			 ERR_OK);
	assert_int_equal(p->n, 3);
	assert_int_equal(p->p[0].value, 1);
	assert_int_equal(p->p[2].value, 3);
	p->n = 0;
	assert_int_equal(ledger_rollup(v, ~0ULL, NULL, ROLLUP_MINUTE, T0,
				       T0 + 60000, on_point, p),
			 ERR_OK);
	assert_int_equal(p->n, 7);
	p->n = 0;
	assert_int_equal(
	    ledger_rollup(v, ~0ULL, NULL, ROLLUP_HOUR, -5, -1, on_point, p),
	    ERR_OK);
	assert_int_equal(p->n, 0);
	free(p);
	ledger_view_close(v);
}

static void two_samples_of_one_step_are_joined(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct points *p;

	post_step(f, T0 + 4000, 10);
	post_step(f, T0 + 10000, 20);
	fixture_await(f, "SELECT count(*) FROM rollups", 4);
	post_step(f, T0 + 20000, 1);
	settle(f, "SELECT count(*) FROM rollups", 5);
	v = view(f);
	p = series(v, ROLLUP_OUT_BYTES, "cloud", ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 2);
	assert_int_equal(p->p[0].value, 30);
	free(p);
	p = series(v, ROLLUP_SPOOL_USED, NULL, ROLLUP_SECONDS_10);
	assert_int_equal(p->p[0].value, 990);
	free(p);
	ledger_view_close(v);
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;

	post_step(f, T0 + 10000, 1);
	settle(f, "SELECT count(*) FROM rollups", 4);
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	post_step(f, T0 + 20000, 2);
	settle(f, "SELECT count(*) FROM rollups", 5);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM rollup_names"),
			 7);
	v = view(f);
	expect_one(v, ROLLUP_SECONDS, ROLLUP_MINUTE, 20);
	ledger_view_close(v);
}

static void old_steps_go_two_at_a_time(void **state)
{
	struct fixture *f = *state;
	int64_t late = T0 + rollup_kept_ms(ROLLUP_SECONDS_10) + 600000;

	for (int64_t i = 0; i < 6; i++)
		post_step(f, T0 + (i + 1) * 10000, i);
	settle(f, "SELECT count(*) FROM rollups WHERE slot<(1<<40)", 6);
	post_step(f, late, 1);
	settle(f, "SELECT count(*) FROM rollups WHERE slot<(1<<40)", 5);
	post_step(f, late + 10000, 1);
	post_step(f, late + 20000, 1);
	post_step(f, late + 30000, 1);
	settle(f, "SELECT count(*) FROM rollups WHERE slot<(1<<40)", 4);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM rollups WHERE "
					"slot>=(1<<40) AND slot<(2<<40)"),
			 3);
}

static void the_largest_value_is_kept(void **state)
{
	struct fixture *f = *state;
	const struct sample_value huge = {ROLLUP_OUT_BYTES, "cloud", INT64_MAX};
	struct ledger_view *v;
	struct points *p;

	post_values(f, T0 + 10000, &huge, 1);
	settle(f, "SELECT count(*) FROM rollups", 4);
	v = view(f);
	p = series(v, ROLLUP_OUT_BYTES, NULL, ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 1);
	assert_true(p->p[0].value == INT64_MAX);
	free(p);
	ledger_view_close(v);
}

/* Cut in the middle of a value, and a number that has no name. */
static void a_damaged_row_gives_what_can_be_read(void **state)
{
	struct fixture *f = *state;
	struct ledger_view *v;
	struct points *p;
	sqlite3 *db;

	post_step(f, T0 + 10000, 3);
	settle(f, "SELECT count(*) FROM rollups", 4);
	assert_int_equal(sqlite3_open(f->ledger, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	assert_int_equal(
	    sqlite3_exec(db, "UPDATE rollups SET data=x'63050105808080'", NULL,
			 NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	post_step(f, T0 + 20000, 4);
	settle(f, "SELECT count(*) FROM rollups", 5);
	v = view(f);
	p = series(v, ROLLUP_SECONDS, NULL, ROLLUP_SECONDS_10);
	assert_int_equal(p->n, 2);
	assert_int_equal(p->p[0].value, 5);
	assert_int_equal(p->p[1].value, 10);
	free(p);
	expect_one(v, ROLLUP_SECONDS, ROLLUP_MINUTE, 15);
	ledger_view_close(v);
}

static void the_level_fits_the_range(void **state)
{
	const int64_t now = T0, hour = 3600000;

	(void)state;
	assert_int_equal(rollup_level_for(now - hour, now, now, 400),
			 ROLLUP_SECONDS_10);
	assert_int_equal(rollup_level_for(now - hour, now, now, 300),
			 ROLLUP_MINUTE);
	assert_int_equal(rollup_level_for(now - 24 * hour, now, now, 1440),
			 ROLLUP_MINUTE);
	assert_int_equal(rollup_level_for(now - 7 * 24 * hour, now, now, 2000),
			 ROLLUP_MINUTES_10);
	assert_int_equal(rollup_level_for(now - 90 * 24 * hour, now, now, 500),
			 ROLLUP_HOUR);
	/* An hour, but of last week. */
	assert_int_equal(rollup_level_for(now - 7 * 24 * hour,
					  now - 7 * 24 * hour + hour, now, 400),
			 ROLLUP_MINUTES_10);
}

static void a_time_is_in_the_first_bucket_that_holds_it(void **state)
{
	(void)state;
	assert_int_equal(rollup_bucket(0), 0);
	assert_int_equal(rollup_bucket(1000), 0);
	assert_int_equal(rollup_bucket(1001), 1);
	assert_int_equal(rollup_bucket(10000000), ROLLUP_BOUNDS - 2);
	assert_int_equal(rollup_bucket(10000001), ROLLUP_BOUNDS - 1);
	assert_int_equal(rollup_bucket(UINT64_MAX), ROLLUP_BOUNDS - 1);
	assert_string_equal(rollup_bound_text[ROLLUP_BOUNDS - 1], "+Inf");
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_sample_comes_back_as_it_was),
	    T(each_level_sums_up_the_one_below),
	    T(a_range_is_by_where_steps_begin),
	    T(two_samples_of_one_step_are_joined),
	    T(a_restart_goes_on_where_it_was),
	    T(old_steps_go_two_at_a_time),
	    T(the_largest_value_is_kept),
	    T(a_damaged_row_gives_what_can_be_read),
	    cmocka_unit_test(the_level_fits_the_range),
	    cmocka_unit_test(a_time_is_in_the_first_bucket_that_holds_it),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
