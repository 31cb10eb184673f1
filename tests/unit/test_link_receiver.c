/* The receiving end of a link: what is offered, sent, stored and told. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "store/ledger_origin.h"
#include "tests/unit/receiver_kit.h"

static void an_instance_of_one_chunk_arrives_and_is_delivered(void **state)
{
	struct edge e;
	struct thing t = rk_thing(1, 300000);
	const struct link_frame *f;
	struct ledger_origin o;

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_arrived(&e, &t);
	o = rk_origin("edge-1", &t);
	assert_int_equal(o.state, ORIGIN_ARRIVED);
	assert_int_equal(o.length, t.length);
	assert_memory_equal(o.root, t.root, sizeof(t.root));
	rk_outcome(&t, OUTCOME_DELIVERED);
	f = edge_expect(&e, LINK_DELIVERED);
	assert_true(transfer_id_equal(&f->id, &t.in.id));
	assert_int_equal(f->delivered.outcome, LINK_OUT_DELIVERED);
	edge_ids(&e, LINK_NOTED, &t);
	while (!rk_origin("edge-1", &t).noted)
		;
	edge_close(&e);
}

static void an_instance_of_several_chunks_arrives(void **state)
{
	struct edge e;
	struct thing t = rk_thing(2, 3 * CHUNK_LEN + 5000);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	for (uint32_t i = 0; i < t.chunks; i++)
		edge_data(&e, &t, t.chunks - 1 - i);
	edge_arrived(&e, &t);
	assert_int_equal(rk_origin("edge-1", &t).chunks, 4);
	assert_int_equal(rk_kept(), 0);
	edge_close(&e);
}

static void an_empty_instance_arrives_with_its_offer(void **state)
{
	struct edge e;
	struct thing t = rk_thing(3, 0);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	assert_int_equal(rk_origin("edge-1", &t).state, ORIGIN_ARRIVED);
	edge_close(&e);
}

static void eager_data_does_not_wait_for_the_answer(void **state)
{
	struct edge e;
	struct thing small = rk_thing(4, 70000),
		     large = rk_thing(5, CHUNK_LEN + 1);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &small, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &small, 0);
	edge_has(&e, &small, 0);
	edge_arrived(&e, &small);
	edge_offer(&e, &large, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &large, 0);
	edge_data(&e, &large, 1);
	edge_has(&e, &large, 0);
	edge_arrived(&e, &large);
	edge_close(&e);
}

static void what_arrived_is_not_taken_twice(void **state)
{
	struct edge e;
	struct thing t = rk_thing(6, 1000);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_arrived(&e, &t);
	edge_close(&e);
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_ids(&e, LINK_QUERY, &t);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void a_transfer_goes_on_after_the_link_was_cut(void **state)
{
	struct edge e;
	struct thing t = rk_thing(7, 4 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_data(&e, &t, 1);
	edge_acked(&e, &t, 0, 2);
	edge_part(&e, &t, 2, 500000);
	edge_close(&e);
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 2);
	edge_data(&e, &t, 2);
	edge_data(&e, &t, 3);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void a_transfer_goes_on_after_a_restart(void **state)
{
	struct edge e;
	struct thing t = rk_thing(8, 4 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_close(&e);
	rk_stop();
	rk_start();
	edge_open(&e);
	edge_ids(&e, LINK_QUERY, &t);
	edge_has(&e, &t, 1);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 1);
	for (uint32_t i = 1; i < t.chunks; i++)
		edge_data(&e, &t, i);
	edge_arrived(&e, &t);
	edge_close(&e);
	rk_stop();
	rk_start();
	edge_open(&e);
	edge_ids(&e, LINK_QUERY, &t);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void what_was_delivered_is_told_until_it_is_noted(void **state)
{
	struct edge e;
	struct thing t = rk_thing(9, 1000);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_close(&e);
	rk_outcome(&t, OUTCOME_DELIVERED);
	fixture_settle(&rk.f);
	edge_open(&e);
	(void)edge_expect(&e, LINK_DELIVERED);
	edge_close(&e);
	edge_open(&e);
	(void)edge_expect(&e, LINK_DELIVERED);
	edge_ids(&e, LINK_NOTED, &t);
	while (!rk_origin("edge-1", &t).noted)
		;
	edge_close(&e);
	edge_open(&e);
	edge_silent(&e, 300);
	edge_close(&e);
}

static void what_is_stuck_is_told(void **state)
{
	struct edge e;
	struct thing t = rk_thing(10, 1000);
	const struct link_frame *f;

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	rk_outcome(&t, OUTCOME_QUARANTINED);
	f = edge_expect(&e, LINK_UNDELIVERED);
	assert_int_equal(f->why.code, LINK_STUCK_QUARANTINED);
	edge_ids(&e, LINK_QUERY, &t);
	edge_arrived(&e, &t);
	(void)edge_expect(&e, LINK_UNDELIVERED);
	edge_close(&e);
}

static void a_transfer_to_follow_becomes_whole_by_root(void **state)
{
	struct edge e;
	struct thing t = rk_thing(11, 2 * CHUNK_LEN + 77);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_data(&e, &t, 1);
	edge_acked(&e, &t, 0, 2);
	edge_root(&e, &t);
	edge_data(&e, &t, 2);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void a_transfer_to_follow_becomes_whole_by_an_offer(void **state)
{
	struct edge e;
	struct thing t = rk_thing(12, 2 * CHUNK_LEN + 77);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_data(&e, &t, 1);
	edge_acked(&e, &t, 0, 2);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 2);
	edge_data(&e, &t, 2);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void a_withdrawn_transfer_leaves_nothing(void **state)
{
	struct edge e;
	struct thing t = rk_thing(13, 3 * CHUNK_LEN);
	struct link_frame f = {.type = LINK_WITHDRAW,
			       .id = t.in.id,
			       .withdraw = LINK_WITHDRAW_ABORTED};

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_send(&e, &f);
	edge_refused(&e, &t, LINK_REFUSED_WITHDRAWN);
	assert_int_equal(rk_kept(), 0);
	edge_send(&e, &f);
	edge_refused(&e, &t, LINK_REFUSED_UNKNOWN);
	edge_ids(&e, LINK_QUERY, &t);
	edge_refused(&e, &t, LINK_REFUSED_UNKNOWN);
	edge_close(&e);
}

static void withdrawing_what_has_arrived_is_too_late(void **state)
{
	struct edge e;
	struct thing t = rk_thing(14, 3000);
	struct link_frame f = {.type = LINK_WITHDRAW,
			       .id = t.in.id,
			       .withdraw = LINK_WITHDRAW_DISCARDED};

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_send(&e, &f);
	edge_arrived(&e, &t);
	edge_close(&e);
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_send(&e, &f);
	edge_arrived(&e, &t);
	edge_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RK_TEST(an_instance_of_one_chunk_arrives_and_is_delivered),
	    RK_TEST(an_instance_of_several_chunks_arrives),
	    RK_TEST(an_empty_instance_arrives_with_its_offer),
	    RK_TEST(eager_data_does_not_wait_for_the_answer),
	    RK_TEST(what_arrived_is_not_taken_twice),
	    RK_TEST(a_transfer_goes_on_after_the_link_was_cut),
	    RK_TEST(a_transfer_goes_on_after_a_restart),
	    RK_TEST(what_was_delivered_is_told_until_it_is_noted),
	    RK_TEST(what_is_stuck_is_told),
	    RK_TEST(a_transfer_to_follow_becomes_whole_by_root),
	    RK_TEST(a_transfer_to_follow_becomes_whole_by_an_offer),
	    RK_TEST(a_withdrawn_transfer_leaves_nothing),
	    RK_TEST(withdrawing_what_has_arrived_is_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
