/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_keep.h"
#include "store/ledger_keep_in.h"
#include "store/seal_sign.h"
#include "tests/unit/ledger_fixture.h"

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
	f->ledger_options.retention_audit_ms = 1;
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

static struct ledger_keep_result *keep(struct fixture *f,
				       const struct ledger_keep_order *o)
{
	static struct ledger_keep_result r;

	assert_int_equal(ledger_keep(f->l, o, NULL, NULL, &r), ERR_OK);
	return &r;
}

static void prune(struct fixture *f)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_PRUNE};
	struct ledger_keep_result *r = keep(f, &o);

	if (r->e != ERR_OK)
		fail_msg("%s", r->why);
	fixture_settle(f);
}

static void deliver(struct fixture *f, unsigned first, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct instance in = fixture_instance(first + i);
		struct transfer_id id = fixture_put(f, &in, 100);

		fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(f);
}

static void what_is_finished_goes_what_waits_stays(void **state)
{
	struct fixture *f = *state;

	fixture_open(f);
	deliver(f, 1, 5);
	fixture_put_many(f, 100, 2); /* these wait */
	fixture_settle(f);
	deliver(f, 200, 3);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 10);
	prune(f);
	/* the last one carries the numbers on */
	fixture_await(f, "SELECT count(*) FROM instances", 3);
	fixture_await(f, "SELECT count(*) FROM deliveries", 3);
	fixture_await(f, "SELECT count(*) FROM deliveries WHERE state=0", 2);
	/* and a ledger that opens again finds all in order */
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	deliver(f, 300, 2);
	fixture_await(f, "SELECT count(*) FROM instances", 5);
}

static void a_held_study_stays(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order hold = {
	    .op = LEDGER_KEEP_HOLD, .reason = "court", .user = "uid 0 root"};
	struct ledger_keep_order unhold = {.op = LEDGER_KEEP_UNHOLD};
	struct instance in = fixture_instance(1);
	struct ledger_keep_result *r;

	fixture_open(f);
	deliver(f, 1, 2);
	memcpy(hold.study, in.study, sizeof(hold.study));
	r = keep(f, &hold);
	assert_int_equal(r->e, ERR_OK);
	unhold.id = r->id;
	prune(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 2);
	hold.op = LEDGER_KEEP_HOLDS;
	r = keep(f, &hold);
	assert_int_equal(r->n_holds, 1);
	assert_string_equal(r->holds[0].reason, "court");
	assert_int_equal(keep(f, &unhold)->e, ERR_OK);
	assert_int_equal(keep(f, &unhold)->e, ERR_NOTFOUND);
	prune(f);
	fixture_await(f, "SELECT count(*) FROM instances", 1);
}

static void nothing_is_pruned_by_a_clock_that_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_PRUNE};
	struct ledger_keep_order confirm = {.op = LEDGER_KEEP_CLOCK};
	struct ledger_keep_result *r;

	setenv("CULVERT_TEST_CLOCK", "0", 1);
	fixture_open(f);
	deliver(f, 1, 2);
	r = keep(f, &o);
	assert_int_equal(r->e, ERR_DENIED);
	assert_non_null(strstr(r->why, "not synchronised"));
	assert_non_null(strstr(r->why, "confirm-clock"));
	assert_int_equal(keep(f, &confirm)->e, ERR_OK);
	prune(f);
	fixture_await(f, "SELECT count(*) FROM instances", 1);
}

static void many_small_steps_of_the_clock_are_a_large_one(void **state)
{
	const int64_t minute = 60 * 1000;
	int64_t known = 0, at = 1000 * minute;

	(void)state;
	assert_int_equal(keep_clock_step(&known, at), 0);
	assert_int_equal(keep_clock_step(&known, at + 59 * minute), 0);
	assert_int_equal(keep_clock_step(&known, at + 61 * minute),
			 61 * minute);
	assert_int_equal(keep_clock_step(&known, at + 61 * minute), 0);
	assert_int_equal(keep_clock_step(&known, at), -61 * minute);
}

static void a_head_can_be_had_at_once(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_HEAD};
	struct audit_event e = {.kind = AUDIT_START};
	struct ledger_keep_result *r;

	fixture_open(f);
	assert_int_equal(ledger_audit_sure(f->l, &e, 10000), ERR_OK);
	r = keep(f, &o);
	assert_int_equal(r->e, ERR_OK);
	assert_true(r->head.number > 0);
	assert_true(r->head.seq > 0);
}

static bool at_once(void *arg, uint64_t so_far, uint64_t in_all)
{
	(void)arg;
	(void)so_far;
	(void)in_all;
	return true;
}

static void one_who_does_not_wait_blocks_nobody(void **state)
{
	struct fixture *f = *state;
	struct ledger_keep_order o = {.op = LEDGER_KEEP_PRUNE};
	struct ledger_keep_result r;
	enum err e;

	fixture_open(f);
	assert_int_equal(ledger_keep(f->l, &o, at_once, NULL, &r),
			 ERR_CANCELED);
	do
		e = ledger_keep(f->l, &o, NULL, NULL, &r);
	while (e == ERR_BUSY);
	assert_int_equal(e, ERR_OK);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(what_is_finished_goes_what_waits_stays),
	    T(a_held_study_stays),
	    T(nothing_is_pruned_by_a_clock_that_is_not_believed),
	    T(many_small_steps_of_the_clock_are_a_large_one),
	    T(a_head_can_be_had_at_once),
	    T(one_who_does_not_wait_blocks_nobody),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
