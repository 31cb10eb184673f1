/* Outcomes that the ledger writes again, and what a lost ledger makes of
 * instances of which a part is gone. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "tests/unit/ledger_fixture.h"
#include "tests/unit/spool_kit.h"

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

/* at_ms: small numbers, in the order in which they were decided. */
static void write_one(struct fixture *f, const struct transfer_id *id,
		      enum outcome_kind kind, int64_t at_ms, bool repeated)
{
	struct outcome o = {
	    .id = *id, .kind = kind, .at_ms = at_ms, .repeated = repeated};

	INSTANCE_SET(o.destination, "cloud");
	assert_int_equal(spool_outcome(f->spool, &o), ERR_OK);
}

static struct transfer_id put_one(struct fixture *f)
{
	struct instance in = fixture_instance(1);

	fixture_open(f);
	return fixture_put(f, &in, 500);
}

static void lose_ledger(struct fixture *f)
{
	fixture_close(f);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_open(f);
	fixture_barrier(f);
}

static enum delivery_state state_now(struct fixture *f)
{
	return (enum delivery_state)fixture_sql(f,
						"SELECT state FROM deliveries");
}

static void what_was_decided_meanwhile_stays(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put_one(f);

	write_one(f, &id, OUTCOME_HELD, 100, false);
	fixture_settle(f);
	/* The ledger had not seen it when it wrote the first one again. */
	write_one(f, &id, OUTCOME_RELEASED, 200, false);
	write_one(f, &id, OUTCOME_HELD, 100, true);
	fixture_settle(f);
	assert_int_equal(state_now(f), DELIVERY_QUEUED);
	write_one(f, &id, OUTCOME_ARRIVED, 300, false);
	write_one(f, &id, OUTCOME_RELEASED, 200, true);
	fixture_settle(f);
	assert_int_equal(state_now(f), DELIVERY_ARRIVED);
	lose_ledger(f);
	assert_int_equal(state_now(f), DELIVERY_ARRIVED);
}

static void the_last_one_left_counts_for_a_lost_ledger(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put_one(f);

	/* 200 was written again because its segment was to go. */
	write_one(f, &id, OUTCOME_HELD, 100, false);
	write_one(f, &id, OUTCOME_QUARANTINED, 200, true);
	fixture_settle(f);
	lose_ledger(f);
	assert_int_equal(state_now(f), DELIVERY_QUARANTINED);
}

static void a_repeated_one_changes_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct ledger_attempt note = {
	    .attempts = 3, .remote_status = -1, .error = "no route"};
	struct transfer_id id = put_one(f);

	write_one(f, &id, OUTCOME_RELEASED, 100, false);
	fixture_settle(f);
	note.delivery = (uint64_t)fixture_sql(f, "SELECT id FROM deliveries");
	ledger_attempt(f->l, &note);
	fixture_await(f, "SELECT attempts FROM deliveries", 3);
	write_one(f, &id, OUTCOME_RELEASED, 100, true);
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT attempts FROM deliveries"), 3);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM deliveries"
					" WHERE last_error IS NOT NULL"),
			 1);
}

/* Chunk 0 in the first segment, the rest and the outcome in the second. */
static struct transfer_id put_over_two_segments(struct fixture *f)
{
	struct instance first = fixture_instance(1), in = fixture_instance(2);

	fixture_open(f);
	(void)fixture_put(f, &first, 900000);
	return fixture_put(f, &in, CHUNK_LEN + 500000);
}

static void lose_first_segment(struct fixture *f)
{
	char path[KIT_PATH_LEN];

	fixture_close(f);
	assert_int_equal(unlink(f->ledger), 0);
	assert_int_equal(unlink(kit_segment_path(f->dir, 0, path)), 0);
	fixture_open(f);
	fixture_barrier(f);
}

static void what_was_done_needs_no_missing_part(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put_over_two_segments(f);

	write_one(f, &id, OUTCOME_DELIVERED, 100, false);
	fixture_settle(f);
	lose_first_segment(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 1);
	assert_int_equal(state_now(f), DELIVERY_DELIVERED);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 0);
	fixture_close(f); /* and it stays so */
	fixture_open(f);
	fixture_barrier(f);
	assert_int_equal(state_now(f), DELIVERY_DELIVERED);
}

static void what_was_not_done_shows_its_missing_part(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put_over_two_segments(f);

	write_one(f, &id, OUTCOME_ARRIVED, 100, false);
	fixture_settle(f);
	lose_first_segment(f);
	assert_int_equal(state_now(f), DELIVERY_QUARANTINED);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(what_was_decided_meanwhile_stays),
	    T(the_last_one_left_counts_for_a_lost_ledger),
	    T(a_repeated_one_changes_nothing_else),
	    T(what_was_done_needs_no_missing_part),
	    T(what_was_not_done_shows_its_missing_part),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
