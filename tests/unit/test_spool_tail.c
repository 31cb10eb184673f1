#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "tests/unit/spool_one_kit.h"

/* ---- outcomes -------------------------------------------------------- */

static void outcomes_come_back_in_order(void **state)
{
	struct outcome o = {.kind = OUTCOME_DELIVERED, .status = 0xb007};
	struct kit_records r;
	size_t n = 0;

	(void)state;
	(void)INSTANCE_SET(o.destination, "cloud");
	for (unsigned i = 0; i < 2000; i++) {
		o.id.b[0] = (uint8_t)i;
		o.id.b[1] = (uint8_t)(i >> 8);
		o.at_ms = i;
		assert_int_equal(spool_outcome(one.spool, &o), ERR_OK);
	}
	assert_true(one_wait_outcome(OUTCOME_DELIVERED, &o.id));
	one_reopen();
	kit_tail(one.spool, 0, &r);
	for (size_t i = 0; i < r.n_outcomes; i++) {
		if (r.outcomes[i].kind == OUTCOME_RESTART)
			continue;
		assert_int_equal(r.outcomes[i].at_ms, n++);
		assert_int_equal(r.outcomes[i].status, 0xb007);
		assert_string_equal(r.outcomes[i].destination, "cloud");
	}
	assert_int_equal(n, 2000);
	kit_records_free(&r);
	o.kind = OUTCOME_RESTART;
	assert_int_equal(spool_outcome(one.spool, &o), ERR_INVAL);
}

static void closing_writes_what_waits(void **state)
{
	struct outcome o = {.kind = OUTCOME_HELD, .id = {{9}}};
	struct kit_records r;

	(void)state;
	assert_int_equal(spool_outcome(one.spool, &o), ERR_OK);
	one_reopen();
	kit_tail(one.spool, 0, &r);
	assert_true(one_has_outcome(&r, OUTCOME_HELD, &o.id));
	kit_records_free(&r);
}

static void every_start_is_told_to_the_tail(void **state)
{
	const struct transfer_id none = {{0}};

	(void)state;
	assert_true(one_wait_outcome(OUTCOME_RESTART, &none));
}

/* ---- tailing --------------------------------------------------------- */

static void a_tail_goes_on_where_another_stopped(void **state)
{
	struct kit_records all, some;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(one_put(i, 150000, NULL), ERR_OK);
	kit_tail(one.spool, 0, &all);
	assert_true(all.n >= 40);
	for (size_t i = 0; i < all.n; i += 7) {
		kit_tail(one.spool, all.at[i].sequence, &some);
		assert_true(some.n >= all.n - i - 1);
		assert_int_equal(some.at[0].sequence, all.at[i + 1].sequence);
		kit_records_free(&some);
	}
	one_reopen();
	kit_tail(one.spool, all.at[20].sequence, &some);
	assert_int_equal(some.at[0].sequence, all.at[21].sequence);
	kit_records_free(&some);
	kit_records_free(&all);
}

static void *put_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	return one_put(77, 1000, NULL) == ERR_OK ? NULL : one.spool;
}

static void a_waiting_tail_wakes_for_a_record(void **state)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	const struct transfer_id none = {{0}};
	struct spool_tail *t;
	pthread_t thread;
	void *failed;

	(void)state;
	assert_true(one_wait_outcome(OUTCOME_RESTART, &none));
	assert_int_equal(spool_tail_open(one.spool, 0, &t), ERR_OK);
	while (spool_tail_next(t, r, 0) == ERR_OK)
		;
	assert_int_equal(spool_tail_next(t, r, 5), ERR_AGAIN);
	assert_true(spool_tail_position(t) >= spool_durable(one.spool));
	pthread_create(&thread, NULL, put_soon, NULL);
	assert_int_equal(spool_tail_next(t, r, 60000), ERR_OK);
	assert_true(r->final);
	assert_int_equal(r->instance.association, 77);
	pthread_join(thread, &failed);
	assert_null(failed);
	spool_tail_close(t);
	mem_free(r);
}

static void the_first_record_carries_what_was_known(void **state)
{
	struct instance stored;
	struct kit_records r;
	const struct tail_record *first;

	(void)state;
	assert_int_equal(one_put(8, 3 * CHUNK_LEN, &stored), ERR_OK);
	kit_tail(one.spool, 0, &r);
	first = kit_chunk(&r, &stored.id, 0);
	assert_non_null(first);
	assert_true(first->first && !first->final && first->has_instance);
	assert_int_equal(first->instance.association, 8);
	assert_false(kit_chunk(&r, &stored.id, 1)->has_instance);
	assert_true(kit_chunk(&r, &stored.id, 2)->final);
	kit_records_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ONE_TEST(outcomes_come_back_in_order),
	    ONE_TEST(closing_writes_what_waits),
	    ONE_TEST(every_start_is_told_to_the_tail),
	    ONE_TEST(a_tail_goes_on_where_another_stopped),
	    ONE_TEST(a_waiting_tail_wakes_for_a_record),
	    ONE_TEST(the_first_record_carries_what_was_known),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
