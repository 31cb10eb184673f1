/* After pruning, what stands for many rows is as if it were counted anew. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_keep.h"
#include "store/ledger_search.h"
#include "store/seal_sign.h"
#include "tests/unit/ledger_fixture.h"

enum { N = 1400, OLD = 1200, STUDIES = 9, T0 = 1000000 };

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
	f->ledger_options.retention_transfers_ms = 1;
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

/* Times that do not rise with the sequence, series that are mixed. */
static struct instance made(unsigned i)
{
	struct instance in = fixture_instance(i);
	unsigned study = i < OLD ? i * 7 / 11 % STUDIES : i % 3;

	in.received_ms = T0 + (int64_t)(i * 7919 % N) * 1000;
	in.association = 1 + i % 40;
	snprintf(in.device, sizeof(in.device), "ct-%u", i % 3);
	snprintf(in.calling_ae, sizeof(in.calling_ae), "A%u", i % 2);
	snprintf(in.study, sizeof(in.study), "1.2.%u", study);
	snprintf(in.series, sizeof(in.series), "1.2.%u.%u", study, i / 100 % 2);
	return in;
}

/* All of the old ones are done but one in 50 from the middle on. */
static void fill(struct fixture *f, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct instance in = made(i);
		struct transfer_id id = fixture_put(f, &in, 100 + i);

		if (i < OLD / 2 || i % 50 != 0)
			fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
}

static void prune(struct fixture *f)
{
	static struct ledger_keep_result r;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_PRUNE};

	assert_int_equal(ledger_keep(f->l, &o, NULL, NULL, &r), ERR_OK);
	if (r.e != ERR_OK)
		fail_msg("%s", r.why);
	fixture_settle(f);
}

static void sums_agree(struct fixture *f)
{
	static const char *const wrong[] = {
	    "SELECT count(*) FROM series s WHERE (instances,bytes,first_ms,"
	    "last_ms,first) IS NOT (SELECT count(*),sum(length),"
	    "min(received_ms),max(received_ms),min(seq) FROM instances "
	    "WHERE series=s.id)",
	    "SELECT count(*) FROM series s WHERE (device,calling_ae) IS NOT "
	    "(SELECT device,calling_ae FROM origins o JOIN instances i ON "
	    "o.id=i.origin WHERE i.seq=s.first)",
	    "SELECT count(*) FROM instances i WHERE NOT EXISTS(SELECT 1 FROM "
	    "series WHERE id=i.series)",
	    "SELECT count(*) FROM instances i WHERE NOT EXISTS(SELECT 1 FROM "
	    "origins WHERE id=i.origin)",
	    "SELECT count(*) FROM origins o WHERE instances<>(SELECT count(*) "
	    "FROM instances WHERE origin=o.id) OR instances=0",
	    "SELECT count(*) FROM blocks b WHERE NOT EXISTS(SELECT 1 FROM "
	    "instances WHERE seq>>10=b.block)",
	    "SELECT count(*) FROM instances i WHERE NOT EXISTS(SELECT 1 FROM "
	    "blocks WHERE block=i.seq>>10 AND first_ms<=i.received_ms AND "
	    "last_ms>=i.received_ms)",
	    "SELECT count(*) FROM marks m WHERE NOT EXISTS(SELECT 1 FROM "
	    "blocks WHERE block=m.block)",
	    "SELECT count(*) FROM instances i JOIN origins o ON o.id=i.origin "
	    "WHERE NOT EXISTS(SELECT 1 FROM marks WHERE kind=1 AND "
	    "name=o.device AND block=i.seq>>10)",
	    "SELECT count(*) FROM deliveries d WHERE NOT EXISTS(SELECT 1 FROM "
	    "instances WHERE seq=d.id>>5)"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (fixture_sql(f, wrong[i]) != 0)
			fail_msg("not 0: %s", wrong[i]);
}

/* ---- what the views say -----------------------------------------------------
 */

struct seen {
	struct fixture *f;
	uint64_t studies, instances, bytes;
};

static bool on_study(void *arg, const struct view_study *s)
{
	struct seen *seen = arg;
	char sql[256];

	seen->studies++;
	seen->instances += s->instances;
	seen->bytes += s->bytes;
	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM instances i JOIN series s ON "
		 "s.id=i.series WHERE s.study='%s'",
		 s->study);
	assert_int_equal(s->instances, fixture_sql(seen->f, sql));
	return true;
}

static bool on_row(void *arg, const struct view_delivery *d)
{
	struct seen *seen = arg;

	(void)d;
	seen->instances++;
	return true;
}

static void by_study(struct fixture *f, struct ledger_view *v)
{
	struct study_filter filter = {.limit = SEARCH_STUDIES_MAX};
	struct seen seen = {.f = f};
	struct search_page page;

	assert_int_equal(
	    ledger_search_studies(v, &filter, on_study, &seen, &page), ERR_OK);
	assert_int_equal(seen.studies,
			 fixture_sql(f, "SELECT count(DISTINCT study) FROM "
					"series"));
	assert_int_equal(seen.instances,
			 fixture_sql(f, "SELECT count(*) FROM instances"));
	assert_int_equal(seen.bytes,
			 fixture_sql(f, "SELECT sum(length) FROM instances"));
}

static void by_device(struct fixture *f, struct ledger_view *v)
{
	struct seen seen = {.f = f};

	for (unsigned i = 0; i < 3; i++) {
		char device[8];
		struct search_filter filter = {.device = device,
					       .limit = LEDGER_PAGE_MAX};
		struct search_page page = {0};

		snprintf(device, sizeof(device), "ct-%u", i);
		do {
			assert_int_equal(
			    ledger_search(v, &filter, on_row, &seen, &page),
			    ERR_OK);
			filter.place = page.older;
		} while (page.older != 0 && page.rows > 0);
	}
	assert_int_equal(seen.instances,
			 fixture_sql(f, "SELECT count(*) FROM deliveries"));
}

static void views_agree(struct fixture *f)
{
	char why[LEDGER_WHY_LEN];
	struct ledger_view *v;

	sums_agree(f);
	assert_int_equal(ledger_view_open(f->dir, &v, why), ERR_OK);
	by_study(f, v);
	by_device(f, v);
	ledger_view_close(v);
}

static void after_pruning_the_views_agree_with_counting_anew(void **state)
{
	struct fixture *f = *state;
	int64_t blocks;

	fixture_open(f);
	fill(f, 0, OLD);
	views_agree(f);
	blocks = fixture_sql(f, "SELECT count(*) FROM blocks");
	assert_true(blocks > 2);
	prune(f);
	/* one in 50 of the second half, and the last */
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"),
			 OLD / 2 / 50 + 1);
	assert_true(fixture_sql(f, "SELECT min(block) FROM blocks") > 0);
	assert_true(fixture_sql(f, "SELECT count(*) FROM blocks") < blocks);
	views_agree(f);
	/* the same series go on; what was remembered of them is right */
	fill(f, OLD, N);
	views_agree(f);
	prune(f);
	views_agree(f);
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	fill(f, 0, 20);
	views_agree(f);
}

struct arriving {
	struct fixture *f;
	_Atomic bool done;
};

static void *arrive(void *arg)
{
	struct arriving *a = arg;

	for (unsigned i = 0; i < 400; i++) {
		struct instance in = made(i % OLD);
		struct transfer_id id = fixture_put(a->f, &in, 100);

		fixture_outcome(a->f, &id, OUTCOME_DELIVERED, "cloud");
	}
	a->done = true;
	return NULL;
}

static void images_may_arrive_while_it_is_pruned(void **state)
{
	struct arriving a = {.f = *state};
	pthread_t thread;
	unsigned n = 0;

	fixture_open(a.f);
	assert_int_equal(pthread_create(&thread, NULL, arrive, &a), 0);
	for (; !a.done; n++)
		prune(a.f);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(n > 2);
	fixture_settle(a.f);
	views_agree(a.f);
}

static void a_block_in_the_middle_that_is_empty_goes_too(void **state)
{
	static struct ledger_keep_result r;
	struct fixture *f = *state;
	struct ledger_keep_order hold = {.op = LEDGER_KEEP_HOLD,
					 .study = "1.2.777",
					 .reason = "court",
					 .user = "uid 0 root"};
	struct instance in = made(3);

	fixture_open(f);
	assert_int_equal(ledger_keep(f->l, &hold, NULL, NULL, &r), ERR_OK);
	INSTANCE_SET(in.study, "1.2.777");
	(void)fixture_put(f, &in, 100);
	fill(f, 4, OLD / 2);
	assert_true(fixture_sql(f, "SELECT count(*) FROM blocks") > 1);
	fill(f, OLD, OLD + 3);
	prune(f);
	views_agree(f);
	assert_int_equal(fixture_sql(f, "SELECT min(block) FROM blocks"), 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(after_pruning_the_views_agree_with_counting_anew),
	    T(images_may_arrive_while_it_is_pruned),
	    T(a_block_in_the_middle_that_is_empty_goes_too),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
