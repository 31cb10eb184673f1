/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/ledger_search.h"
#include "tests/unit/ledger_fixture.h"

enum { N = 60, T0 = 1000000 };

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

static void fill(struct fixture *f)
{
	static const char *const aes[] = {"A1", "A2"};

	fixture_open(f);
	for (unsigned i = 0; i < N; i++) {
		struct instance in = fixture_instance(i);
		struct transfer_id id;

		in.received_ms = T0 + (int64_t)i * 1000;
		in.association = 1 + i % 6;
		INSTANCE_SET(in.calling_ae, aes[i % 2]);
		snprintf(in.device, sizeof(in.device), "ct-%u", i % 3);
		snprintf(in.study, sizeof(in.study), "1.2.%u", i / 10);
		snprintf(in.series, sizeof(in.series), "1.2.%u.%u", i / 10,
			 i % 2);
		in.n_destinations = 1 + i % 2;
		INSTANCE_SET(in.destinations[0], "cloud");
		INSTANCE_SET(in.destinations[1], "second");
		id = fixture_put(f, &in, 10 + i);
		if (i % 4 == 0)
			fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
}

struct rows {
	size_t n, stop; /* stop: say that it is enough; 0: never */
	struct view_delivery d[200];
};

static bool on_row(void *arg, const struct view_delivery *d)
{
	struct rows *r = arg;

	assert_true(r->n < 200);
	r->d[r->n++] = *d;
	return r->n != r->stop;
}

/* The same by the search, the oldest first. */
static void search(struct ledger_view *v, int64_t from, int64_t to,
		   struct rows *r)
{
	struct search_filter f = {.from_ms = from, .to_ms = to, .limit = 1000};
	struct search_page page;

	r->n = r->stop = 0;
	assert_int_equal(ledger_search(v, &f, on_row, r, &page), ERR_OK);
	for (size_t i = 0; i < r->n / 2; i++) {
		struct view_delivery d = r->d[i];

		r->d[i] = r->d[r->n - 1 - i];
		r->d[r->n - 1 - i] = d;
	}
}

static void scan(struct ledger_view *v, struct scan s, size_t stop,
		 struct rows *r)
{
	unsigned pages = 0;

	r->n = 0;
	do {
		size_t before = r->n;

		r->stop = stop == 0 ? 0 : r->n + stop;
		assert_int_equal(ledger_scan(v, &s, on_row, r), ERR_OK);
		assert_true(s.ended || r->n > before);
		assert_true(++pages < 200);
	} while (!s.ended);
}

static struct ledger_view *view(struct fixture *f)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	if (ledger_view_open(f->dir, &v, why) != ERR_OK)
		fail_msg("%s", why);
	return v;
}

static void a_scan_gives_what_a_search_does_oldest_first(void **state)
{
	static const int64_t times[][2] = {{0, 0},
					   {T0 + 5000, 0},
					   {0, T0 + 30000},
					   {T0 + 7000, T0 + 8000},
					   {T0 + N * 1000, 0}};
	struct rows *a = calloc(2, sizeof(*a)), *b = a + 1;
	struct fixture *f = *state;
	struct ledger_view *v;
	size_t all = 0;

	assert_non_null(a);
	fill(f);
	v = view(f);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		for (unsigned limit = 1; limit < 120; limit += 17) {
			struct scan s = {.from_ms = times[i][0],
					 .to_ms = times[i][1],
					 .limit = limit};

			search(v, s.from_ms, s.to_ms, a);
			scan(v, s, limit % 2 ? 5 : 0, b);
			assert_int_equal(a->n, b->n);
			assert_memory_equal(a->d, b->d, a->n * sizeof(*a->d));
			all += a->n;
		}
	assert_true(all > 500);
	ledger_view_close(v);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_scan_gives_what_a_search_does_oldest_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
