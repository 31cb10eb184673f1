/* The receiving end of a link: what it does not take, and from whom. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "store/ledger_origin.h"
#include "store/spool_partial.h"
#include "tests/unit/receiver_kit.h"

static void offer_is_refused(struct edge *e, const struct thing *t,
			     uint16_t code)
{
	edge_offer(e, t, LINK_F_COMPLETE);
	edge_refused(e, t, code);
}

/* ---- chunks ---------------------------------------------------------------
 */

static const struct link_frame *bad(struct edge *e, const struct thing *t,
				    uint32_t index, uint8_t reason)
{
	const struct link_frame *f = edge_expect(e, LINK_BAD);

	assert_true(transfer_id_equal(&f->id, &t->in.id));
	assert_int_equal(f->bad.index, index);
	assert_int_equal(f->bad.reason, reason);
	return f;
}

static void a_wrong_leaf_is_bad_and_the_chunk_may_come_again(void **state)
{
	struct edge e;
	const uint64_t lengths[] = {5000, 2 * CHUNK_LEN};

	(void)state;
	edge_open(&e);
	for (unsigned i = 0; i < 2; i++) {
		struct thing t = rk_thing(20 + i, lengths[i]);
		struct thing other = t;
		const struct link_frame *f;

		edge_offer(&e, &t, LINK_F_COMPLETE);
		edge_has(&e, &t, 0);
		other.data = rk.data + 1;
		edge_part(&e, &other, 0,
			  t.length < CHUNK_LEN ? (size_t)t.length : CHUNK_LEN);
		edge_end(&e, &t, 0);
		f = bad(&e, &t, 0, LINK_BAD_HASH);
		assert_memory_not_equal(f->bad.said, f->bad.found,
					LINK_HASH_LEN);
		for (uint32_t c = 0; c < t.chunks; c++)
			edge_data(&e, &t, c);
		edge_arrived(&e, &t);
	}
	edge_close(&e);
}

static void a_chunk_damaged_on_the_way_is_bad_each_time(void **state)
{
	struct edge e;
	struct thing t = rk_thing(22, 2 * CHUNK_LEN);

	(void)state;
	assert_int_equal(setenv("CULVERT_TEST_FLIP", "1/1", 1), 0);
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	for (int i = 0; i < 3; i++) {
		edge_data(&e, &t, 1);
		(void)bad(&e, &t, 1, LINK_BAD_HASH);
	}
	assert_int_equal(unsetenv("CULVERT_TEST_FLIP"), 0);
	edge_data(&e, &t, 1);
	edge_acked(&e, &t, 1, 1);
	edge_close(&e);
}

static void a_wrong_length_is_bad(void **state)
{
	struct edge e;
	struct thing t = rk_thing(23, CHUNK_LEN + 5000);
	struct thing longer = rk_thing(23, 3 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &longer, 1);
	(void)bad(&e, &t, 1, LINK_BAD_LENGTH);
	edge_data(&e, &longer, 2);
	(void)bad(&e, &t, 2, LINK_BAD_LENGTH);
	edge_part(&e, &t, 0, 100000);
	edge_end(&e, &t, 0);
	(void)bad(&e, &t, 0, LINK_BAD_LENGTH);
	edge_data(&e, &t, 1);
	edge_data(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_close(&e);
}

static void
another_chunk_in_the_place_of_a_durable_one_is_a_conflict(void **state)
{
	struct edge e;
	struct thing t = rk_thing(24, 2 * CHUNK_LEN);
	struct thing other = t;

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	other.data = rk.data + 1;
	edge_data(&e, &other, 0);
	(void)bad(&e, &t, 0, LINK_BAD_CONFLICT);
	edge_close(&e);
}

static void a_wrong_root_ends_the_transfer(void **state)
{
	struct edge e;
	const uint64_t lengths[] = {0, 5000, 2 * CHUNK_LEN};

	(void)state;
	edge_open(&e);
	for (unsigned i = 0; i < 3; i++) {
		struct thing t = rk_thing(25 + i, lengths[i]);

		t.root[5] ^= 1;
		edge_offer(&e, &t, LINK_F_COMPLETE);
		edge_has(&e, &t, 0);
		for (uint32_t c = 0; c < t.chunks; c++)
			edge_data(&e, &t, c);
		edge_refused(&e, &t, LINK_REFUSED_ROOT);
		assert_int_equal(rk_origin("edge-1", &t).state, ORIGIN_NONE);
	}
	assert_int_equal(rk_kept(), 0);
	edge_close(&e);
}

static void a_gap_in_a_chunk_ends_the_connection(void **state)
{
	struct edge e;
	struct thing t = rk_thing(28, 2 * CHUNK_LEN);
	struct link_frame f = {.type = LINK_DATA, .id = t.in.id};

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	f.data.offset = 700; /* not begun: dropped */
	f.data.data.p = rk.data;
	f.data.data.len = 100;
	edge_send(&e, &f);
	edge_part(&e, &t, 0, 600);
	edge_send(&e, &f);
	edge_ends(&e, LINK_BYE_PROTOCOL);
}

static void more_half_chunks_than_the_window_end_the_connection(void **state)
{
	struct edge e;
	struct thing t = rk_thing(29, 5 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, 0);
	edge_has(&e, &t, 0);
	for (uint32_t i = 0; i < 200; i++) {
		struct link_frame f = {.type = LINK_DATA, .id = t.in.id};

		f.data.index = i;
		f.data.data.p = rk.data;
		f.data.data.len = 1;
		edge_send(&e, &f);
	}
	edge_ends(&e, LINK_BYE_PROTOCOL);
}

static void chunks_begun_on_several_connections_count_once(void **state)
{
	struct edge e, second;
	struct thing t = rk_thing(30, 3 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_connect(&second, "127.0.0.1");
	edge_join(&second, &e, 1);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_part(&e, &t, 0, 300000);
	edge_data(&second, &t, 1);
	edge_acked(&e, &t, 1, 1);
	edge_data(&second, &t, 0); /* forgets what the first one began */
	edge_acked(&e, &t, 0, 1);
	edge_close(&second);
	edge_data(&e, &t, 2);
	edge_arrived(&e, &t);
	edge_close(&e);
}

/* ---- offers ---------------------------------------------------------------
 */

static void what_no_route_takes_is_refused(void **state)
{
	struct edge e;
	struct thing t = rk_thing(31, 5000);

	(void)state;
	INSTANCE_SET(t.in.called_ae, "NOBODY");
	edge_open(&e);
	offer_is_refused(&e, &t, LINK_REFUSED_NO_ROUTE);
	INSTANCE_SET(t.in.called_ae, "ARCHIVE");
	INSTANCE_SET(t.in.sop_class, "1.2.840.10008.5.1.4.31");
	offer_is_refused(&e, &t, LINK_REFUSED_NO_ROUTE);
	edge_close(&e);
}

static void what_the_archive_does_not_accept_is_refused(void **state)
{
	struct edge e;
	struct thing t = rk_thing(32, 5000);
	struct capability_key key = {.destination = "picky",
				     .calling_ae = t.in.calling_ae,
				     .called_ae = t.in.called_ae,
				     .abstract = t.in.sop_class,
				     .transfer_syntax = t.in.transfer_syntax};

	(void)state;
	INSTANCE_SET(t.in.called_ae, "PICKY");
	capability_learn(rk.capabilities, &key, false);
	edge_open(&e);
	offer_is_refused(&e, &t, LINK_REFUSED_NOT_ACCEPTED);
	capability_learn(rk.capabilities, &key, true);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_close(&e);
}

static void metadata_that_cannot_be_used_is_refused(void **state)
{
	struct edge e;
	struct thing t = rk_thing(33, 5000), other = rk_thing(34, 5000);
	uint8_t meta[1] = {9};
	struct link_frame f = {.type = LINK_OFFER, .id = t.in.id};

	(void)state;
	edge_open(&e);
	f.content.meta.p = meta;
	f.content.meta.len = sizeof(meta);
	edge_send(&e, &f);
	edge_refused(&e, &t, LINK_REFUSED_META);
	INSTANCE_SET(other.in.sop_class, "not a uid");
	offer_is_refused(&e, &other, LINK_REFUSED_META);
	edge_close(&e);
}

static void more_transfers_than_agreed_are_put_off(void **state)
{
	struct edge e;
	struct thing last = rk_thing(47, 5000), ninth = rk_thing(48, 5000);

	(void)state;
	edge_open(&e);
	assert_int_equal(e.theirs.transfers, 8);
	for (unsigned i = 0; i < 8; i++) {
		struct thing t = rk_thing(40 + i, 5000);

		edge_offer(&e, &t, LINK_F_COMPLETE);
		edge_has(&e, &t, 0);
	}
	offer_is_refused(&e, &ninth, LINK_REFUSED_BUSY);
	edge_data(&e, &last, 0);
	edge_arrived(&e, &last);
	edge_offer(&e, &ninth, LINK_F_COMPLETE);
	edge_has(&e, &ninth, 0);
	edge_close(&e);
}

static void another_root_under_a_known_name_is_a_conflict(void **state)
{
	struct edge e;
	struct thing t = rk_thing(50, 5000), other = rk_thing(50, 6000);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	offer_is_refused(&e, &other, LINK_REFUSED_CONFLICT);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_close(&e);
	edge_open(&e);
	offer_is_refused(&e, &other, LINK_REFUSED_CONFLICT);
	edge_close(&e);
}

/* ---- owners ---------------------------------------------------------------
 */

static void what_is_anothers_is_unknown(void **state)
{
	struct edge e, f;
	struct thing t = rk_thing(51, 5000), half = rk_thing(52, 3 * CHUNK_LEN);
	struct link_frame w = {.type = LINK_WITHDRAW,
			       .id = half.in.id,
			       .withdraw = LINK_WITHDRAW_ABORTED};

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_offer(&e, &half, LINK_F_COMPLETE);
	edge_has(&e, &half, 0);
	edge_data(&e, &half, 0);
	edge_acked(&e, &half, 0, 1);
	edge_connect(&f, "127.0.0.2");
	edge_hello(&f, 2);
	edge_ids(&f, LINK_QUERY, &t);
	edge_refused(&f, &t, LINK_REFUSED_UNKNOWN);
	edge_ids(&f, LINK_QUERY, &half);
	edge_refused(&f, &half, LINK_REFUSED_UNKNOWN);
	edge_send(&f, &w);
	edge_refused(&f, &half, LINK_REFUSED_UNKNOWN);
	edge_data(&f, &half, 1); /* of no transfer of its own: dropped */
	rk_outcome(&t, OUTCOME_DELIVERED);
	(void)edge_expect(&e, LINK_DELIVERED);
	edge_ids(&f, LINK_NOTED, &t);
	edge_silent(&f, 200);
	assert_false(rk_origin("edge-1", &t).noted);
	edge_offer(&f, &half, LINK_F_COMPLETE); /* its own, of that name */
	edge_has(&f, &half, 0);
	assert_int_equal(rk_kept(), 2);
	edge_data(&f, &half, 0);
	edge_acked(&f, &half, 0, 1);
	edge_close(&f);
	edge_close(&e);
}

/* Two edges behind one certificate. */
static void what_is_another_stores_is_unknown(void **state)
{
	struct edge e, f;
	struct thing t = rk_thing(54, 5000);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_arrived(&e, &t);
	edge_connect(&f, "127.0.0.1");
	edge_hello(&f, 2);
	edge_ids(&f, LINK_QUERY, &t);
	edge_refused(&f, &t, LINK_REFUSED_UNKNOWN);
	rk_outcome(&t, OUTCOME_DELIVERED);
	(void)edge_expect(&e, LINK_DELIVERED);
	edge_ids(&f, LINK_NOTED, &t);
	edge_silent(&f, 200);
	assert_false(rk_origin("edge-1", &t).noted);
	edge_close(&f);
	edge_close(&e);
}

static void a_session_is_joined_by_its_owner_only(void **state)
{
	struct edge e, f, g;
	struct link_frame j = {.type = LINK_JOIN, .join = {.number = 1}};

	(void)state;
	edge_open(&e);
	edge_connect(&f, "127.0.0.2");
	memcpy(j.join.session, e.theirs.session, LINK_ID_LEN);
	edge_send(&f, &j);
	edge_ends(&f, LINK_BYE_SESSION);
	edge_connect(&f, "127.0.0.1");
	j.join.number = 4;
	edge_send(&f, &j);
	edge_ends(&f, LINK_BYE_LIMITS);
	edge_connect(&f, "127.0.0.1");
	edge_join(&f, &e, 0); /* in the place of the first one */
	edge_ends(&e, 0);
	edge_connect(&g, "127.0.0.1");
	edge_join(&g, &e, 3);
	edge_close(&f);
	edge_close(&g);
}

static void whoever_is_not_declared_is_refused(void **state)
{
	struct edge e;

	(void)state;
	edge_connect(&e, "127.0.0.3");
	edge_ends(&e, LINK_BYE_UNDECLARED);
}

static void a_newer_link_of_a_store_replaces_the_older(void **state)
{
	struct edge e, f, g;
	struct thing t = rk_thing(53, 3 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_connect(&g, "127.0.0.1");
	edge_hello(&g, 9); /* another store: both stay */
	edge_open(&f);
	edge_ends(&e, LINK_BYE_REPLACED);
	edge_offer(&f, &t, LINK_F_COMPLETE);
	edge_has(&f, &t, 1);
	edge_silent(&g, 100);
	edge_close(&f);
	edge_close(&g);
}

static void an_owner_has_links_of_sixteen_stores(void **state)
{
	struct edge e[17];
	struct link_frame f;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		edge_connect(&e[i], "127.0.0.1");
		edge_hello(&e[i], i + 1);
	}
	edge_connect(&e[16], "127.0.0.1");
	f = (struct link_frame){.type = LINK_HELLO,
				.hello = {.version_min = 1,
					  .version_max = 1,
					  .spool = {99},
					  .epoch = {1},
					  .connections = 1,
					  .chunk_log2 = LINK_CHUNK_LOG2,
					  .node = "x"}};
	edge_send(&e[16], &f);
	edge_ends(&e[16], LINK_BYE_BUSY);
	for (unsigned i = 0; i < 16; i++)
		edge_close(&e[i]);
}

/* ---- what is kept ---------------------------------------------------------
 */

static void what_is_kept_expires(void **state)
{
	struct edge e;
	struct thing t = rk_thing(54, 3 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_close(&e);
	while (atomic_load(&rk.open) > 0)
		(void)usleep(1000);
	assert_int_equal(rk_kept(), 1);
	assert_int_equal(
	    spool_partial_expire(rk.f.spool, clock_wall_ms() + 1000), 1);
	edge_open(&e);
	edge_ids(&e, LINK_QUERY, &t);
	edge_refused(&e, &t, LINK_REFUSED_UNKNOWN);
	edge_close(&e);
}

static void links_end_when_the_worker_stops(void **state)
{
	struct edge e;
	struct thing t = rk_thing(55, 3 * CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	edge_data(&e, &t, 1);
	rk_stop();
	edge_close(&e);
	rk_start();
	assert_int_equal(rk_kept(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RK_TEST(a_wrong_leaf_is_bad_and_the_chunk_may_come_again),
	    RK_TEST(a_chunk_damaged_on_the_way_is_bad_each_time),
	    RK_TEST(a_wrong_length_is_bad),
	    RK_TEST(another_chunk_in_the_place_of_a_durable_one_is_a_conflict),
	    RK_TEST(a_wrong_root_ends_the_transfer),
	    RK_TEST(a_gap_in_a_chunk_ends_the_connection),
	    RK_TEST(more_half_chunks_than_the_window_end_the_connection),
	    RK_TEST(chunks_begun_on_several_connections_count_once),
	    RK_TEST(what_no_route_takes_is_refused),
	    RK_TEST(what_the_archive_does_not_accept_is_refused),
	    RK_TEST(metadata_that_cannot_be_used_is_refused),
	    RK_TEST(more_transfers_than_agreed_are_put_off),
	    RK_TEST(another_root_under_a_known_name_is_a_conflict),
	    RK_TEST(what_is_anothers_is_unknown),
	    RK_TEST(what_is_another_stores_is_unknown),
	    RK_TEST(a_session_is_joined_by_its_owner_only),
	    RK_TEST(whoever_is_not_declared_is_refused),
	    RK_TEST(a_newer_link_of_a_store_replaces_the_older),
	    RK_TEST(an_owner_has_links_of_sixteen_stores),
	    RK_TEST(what_is_kept_expires),
	    RK_TEST(links_end_when_the_worker_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
