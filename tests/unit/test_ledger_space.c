/* Segments of the spool are freed when nothing in them is needed. */
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

/* ---- space
 * ---------------------------------------------------------------------- */

static void segments_whose_instances_are_done_are_recycled(void **state)
{
	struct fixture *f = *state;
	struct spool_stats st;

	fixture_open(f);
	/* Three times the quota goes through. */
	for (unsigned i = 0; i < 240; i++) {
		struct instance in = fixture_instance(i);
		struct transfer_id id = fixture_put(f, &in, 800000);

		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
	do {
		usleep(20000);
		spool_stats(f->spool, &st);
	} while (st.segments > 3);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 0);
}

/* Put n instances of 1 MB from number from on, and have them delivered. */
static void pass(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct instance in = fixture_instance(from + i);
		struct transfer_id id = fixture_put(f, &in, 1000000);

		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
}

static void keep(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct instance in = fixture_instance(from + i);

		fixture_put(f, &in, 1000000);
	}
}

/* Its record, alone alive in the first segment, is moved; the record that it is
 * held stands in a segment that stays. */
static void one_held_instance_does_not_pin_its_segment(void **state)
{
	static uint8_t chunk[CHUNK_LEN];
	struct fixture *f = *state;
	struct fixture_items got;
	struct ledger_query q = {.destination = "cloud",
				 .state = DELIVERY_HELD,
				 .after = LEDGER_CURSOR_START,
				 .max = 10};
	struct instance held = fixture_instance(9999);
	struct place before;
	struct transfer_id id;
	size_t len;

	fixture_open(f);
	id = fixture_put(f, &held, 1000);
	pass(f, 0, 4);
	fixture_outcome(f, &id, OUTCOME_HELD, "cloud");
	fixture_settle(f);
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 1);
	before = got.items[0].first;
	keep(f, 100, 35); /* more than half of the quota: space is short */
	for (unsigned i = 0;
	     i < 300 && got.items[0].first.segment == before.segment; i++) {
		pass(f, 200 + i, 1);
		fixture_fetch(f, &q, &got);
		assert_int_equal(got.n, 1);
	}
	assert_true(got.items[0].first.segment != before.segment);
	assert_int_equal(
	    spool_read_chunk(f->spool, got.items[0].first, &id, 0, chunk, &len),
	    ERR_OK);
	assert_int_equal(len, 1000);
	while (spool_read_chunk(f->spool, before, &id, 0, chunk, &len) !=
	       ERR_NOTFOUND)
		usleep(10000);
	/* A rebuild still knows that it is held. */
	fixture_settle(f);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=1", 1);
}

static bool has_segment(struct fixture *f, uint32_t number)
{
	struct spool_segment_info info[256];
	size_t n = spool_segments(f->spool, info, ARRAY_LEN(info));

	for (size_t i = 0; i < n && i < ARRAY_LEN(info); i++)
		if (info[i].number == number)
			return true;
	return false;
}

/* The segment with that record goes only when it was written again. Then the
 * ledger is lost. */
static void decide_and_recycle(struct fixture *f, uint8_t commit,
			       enum outcome_kind last)
{
	struct instance in = fixture_instance(9999);
	struct transfer_id id;
	uint32_t segment;

	fixture_open(f);
	in.commit = commit;
	in.n_destinations = 2;
	INSTANCE_SET(in.destinations[1], "second");
	id = fixture_put(f, &in, 1000);
	keep(f, 100, 2);
	pass(f, 200, 3);
	if (last != OUTCOME_DELIVERED)
		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, last, "cloud");
	fixture_settle(f);
	segment = (uint32_t)fixture_sql(f, "SELECT outcome_segment"
					   " FROM deliveries WHERE"
					   " outcome_segment IS NOT NULL");
	for (unsigned i = 0; has_segment(f, segment) && i < 500; i++) {
		pass(f, 300 + i, 1);
		usleep(20000);
	}
	assert_false(has_segment(f, segment));
	fixture_settle(f);
	assert_int_equal(unlink(f->ledger), 0);
}

static void what_was_delivered_to_one_of_two_stays_so(void **state)
{
	struct fixture *f = *state;

	decide_and_recycle(f, 0, OUTCOME_DELIVERED);
	fixture_await(f,
		      "SELECT count(*) FROM v_deliveries WHERE"
		      " sop_instance='1.2.3.4.9999' AND"
		      " ((destination='cloud' AND state='delivered') OR"
		      " (destination='second' AND state='queued'))",
		      2);
}

static void what_was_committed_by_one_of_two_stays_so(void **state)
{
	struct fixture *f = *state;

	decide_and_recycle(f, 1, OUTCOME_COMMITTED);
	fixture_await(f,
		      "SELECT count(*) FROM v_deliveries WHERE"
		      " sop_instance='1.2.3.4.9999' AND"
		      " ((destination='cloud' AND state='committed') OR"
		      " (destination='second' AND state='queued'))",
		      2);
}

static void what_waits_for_commitment_by_one_of_two_stays_so(void **state)
{
	struct fixture *f = *state;

	decide_and_recycle(f, 1, OUTCOME_DELIVERED);
	fixture_await(f,
		      "SELECT count(*) FROM v_deliveries WHERE"
		      " sop_instance='1.2.3.4.9999' AND"
		      " ((destination='cloud' AND state='uncommitted') OR"
		      " (destination='second' AND state='queued'))",
		      2);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(segments_whose_instances_are_done_are_recycled),
	    T(one_held_instance_does_not_pin_its_segment),
	    T(what_was_delivered_to_one_of_two_stays_so),
	    T(what_was_committed_by_one_of_two_stays_so),
	    T(what_waits_for_commitment_by_one_of_two_stays_so),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
