/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/audit_read.h"
#include "tests/unit/audit_kit.h"

enum { N = 3000 };
#define DAY   86400000LL
#define BEGIN KIT_MAY

static const enum audit_kind kinds[] = {
    AUDIT_ASSOCIATION_ACCEPTED, AUDIT_INSTANCES_RECEIVED,
    AUDIT_INSTANCES_TRANSFERRED, AUDIT_ASSOCIATION_ENDED};

static void make(struct audit_event *e, unsigned i)
{
	*e = (struct audit_event){
	    .kind = kinds[i % 4], .mono_ns = i + 1, .listener = "modalities"};
	/* sixty days, and a clock that once stood back for a while */
	e->wall_ms = BEGIN + (int64_t)i * (60 * DAY / N);
	if (i >= 1000 && i < 1100)
		e->wall_ms -= 20 * DAY;
	snprintf(e->device, sizeof(e->device), "ct-%u", i % 7);
	snprintf(e->study, sizeof(e->study), "1.2.%u", i / 40);
	if (i % 3 == 0)
		snprintf(e->destination, sizeof(e->destination), "cloud");
	if (i % 500 == 3) {
		e->kind = AUDIT_MANUAL_ACTION;
		e->outcome = AUDIT_SERIOUS;
		snprintf(e->user, sizeof(e->user), "uid %u", i % 1000);
	}
}

static void fill(struct audit_kit *k)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));

	assert_non_null(e);
	audit_kit_open(k);
	for (unsigned i = 0; i < N; i++) {
		enum err r;

		make(e, i);
		r = audit_append(k->audit, e);
		if (r == ERR_AGAIN) {
			assert_int_equal(audit_commit(k->audit), ERR_OK);
			r = audit_append(k->audit, e);
		}
		assert_int_equal(r, ERR_OK);
	}
	assert_int_equal(audit_commit(k->audit), ERR_OK);
	mem_free(e);
}

static size_t numbers(struct audit_kit *k, struct audit_filter f, int64_t *seq)
{
	struct audit_reader *r;
	const struct audit_row *row;
	size_t n = 0;
	enum err e;

	assert_int_equal(audit_read_open(k->dir, &f, &r, NULL), ERR_OK);
	for (;;) {
		e = audit_read_next(r, &row);
		if (e == ERR_AGAIN)
			continue;
		assert_int_equal(e, ERR_OK);
		if (row == NULL)
			break;
		assert_true(n < N);
		seq[n++] = row->seq;
	}
	audit_read_close(r);
	return n;
}

/* Returns how many there were. */
static size_t same(struct audit_kit *k, struct audit_filter f)
{
	static int64_t slow[N], quick[N];
	size_t n = 0;

	for (int backwards = 0; backwards < 2; backwards++) {
		f.backwards = backwards;
		f.quick = false;
		f.budget_ns = 0;
		n = numbers(k, f, slow);
		f.quick = true;
		f.budget_ns = 1; /* asks after each window */
		assert_int_equal(numbers(k, f, quick), n);
		assert_memory_equal(slow, quick, n * sizeof(*slow));
	}
	return n;
}

#define SAME(...) same(k, (struct audit_filter){__VA_ARGS__})

static void what_is_found_quickly_is_what_is_there(void **state)
{
	struct audit_kit *k = *state;
	const int32_t rare = AUDIT_MANUAL_ACTION, none = AUDIT_CLOCK_STEP;

	fill(k);
	assert_int_equal(SAME(.device = NULL), N);
	assert_int_equal(SAME(.study = "1.2.7"), 40);
	assert_int_equal(SAME(.study = "1.2.nothing"), 0);
	assert_int_equal(SAME(.kinds = &rare, .n_kinds = 1), N / 500);
	assert_int_equal(SAME(.kinds = &none, .n_kinds = 1), 0);
	assert_int_equal(SAME(.outcome_min = AUDIT_SERIOUS), N / 500);
	assert_int_equal(SAME(.outcome_min = AUDIT_MAJOR), 0);
	assert_int_equal(SAME(.user = "uid 503"), N / 1000);
	assert_int_equal(SAME(.destination = "cloud"), N / 3);
	assert_true(SAME(.device = "ct-3") > N / 8);
	assert_true(SAME(.device = "ct-3", .destination = "cloud",
			 .from_seq = 500, .to_seq = 2500) > 50);
}

static void times_are_found_across_months_and_steps_of_the_clock(void **state)
{
	struct audit_kit *k = *state;
	const int64_t edges[] = {BEGIN - DAY,         BEGIN,
				 BEGIN + 3 * DAY + 5, BEGIN + 15 * DAY,
				 BEGIN + 26 * DAY,    BEGIN + 30 * DAY,
				 BEGIN + 59 * DAY,    BEGIN + 90 * DAY};
	size_t all = 0;

	fill(k);
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		all += SAME(.from_ms = edges[i]);
		all += SAME(.to_ms = edges[i]);
		for (size_t j = i; j < ARRAY_LEN(edges); j++)
			all += SAME(.from_ms = edges[i], .to_ms = edges[j],
				    .device = j % 2 ? "ct-2" : NULL);
	}
	assert_true(all > N);
}

/* Whoever can edit the file can edit its indexes, too. */
static void what_is_verified_and_exported_does_not_ask_an_index(void **state)
{
	struct audit_kit *k = *state;
	static int64_t seq[N];
	struct audit_filter f = {.from_ms = BEGIN};

	fill(k);
	audit_kit_close(k);
	audit_kit_sql(k, "audit-2024-05.db", true, "DELETE FROM spans");
	assert_int_equal(numbers(k, f, seq), N);
	f.quick = true;
	assert_true(numbers(k, f, seq) < N);
}

int main(void)
{
#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, audit_kit_setup,                 \
					audit_kit_teardown)
	const struct CMUnitTest tests[] = {
	    T(what_is_found_quickly_is_what_is_there),
	    T(times_are_found_across_months_and_steps_of_the_clock),
	    T(what_is_verified_and_exported_does_not_ask_an_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
