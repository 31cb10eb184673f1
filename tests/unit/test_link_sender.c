#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/delivery_kit.h"
#include "tests/unit/fake_far.h"
#include "tests/unit/net_fixture.h"

#define MIB ((size_t)1 << 20)

struct fixture {
	struct kit k;
	struct fake_far far;
};

static const char config[] =
    "destinations:\n"
    "  a: {protocol: link, endpoints: [\"127.0.0.1:%u\"],\n"
    "      tls: {ca: %s, certificate: %s, key: %s},\n"
    "      link: {connections: %u},\n"
    "      retry: {first: 1s, max: 2s, probe: 10s},\n"
    "      timeouts: {connect: 2s, idle: 1s}}\n"
    "routes: [{service: storage, forward: [a]}]\n";

static void open_with(struct fixture *f, unsigned connections)
{
	char text[2048];

	kit_open(&f->k);
	far_start(&f->far);
	(void)snprintf(text, sizeof(text), config, f->far.port,
		       net_file("ca.pem"), net_file("client.pem"),
		       net_file("client.key"), connections);
	kit_config(&f->k, text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	open_with(f, 1);
	*state = f;
	return 0;
}

static int setup_four(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	open_with(f, 4);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->k.scheduler != NULL)
		kit_unschedule(&f->k);
	assert_int_equal(f->far.wrong, 0);
	far_stop(&f->far);
	kit_close(&f->k);
	free(f);
	return 0;
}

/* ---- helpers ----------------------------------------------------------- */

#define UNTIL_STATE(f, n, state)                                               \
	KIT_UNTIL(&(f)->k, kit_count(&(f)->k, "a", DELIVERY_##state) == (n))

static void is_there(struct fixture *f, const struct transfer_id *id,
		     unsigned n, size_t length)
{
	struct far_tx t;

	assert_true(far_find(&f->far, id, &t));
	assert_true(t.state == FAR_ARRIVED || t.state == FAR_DELIVERED);
	assert_int_equal(t.length, length);
	for (size_t i = 0; i < length; i++) {
		if (t.bytes[i] != kit_byte(n, i))
			fail_msg("byte %zu of %zu differs", i, length);
	}
}

static unsigned chunks_twice(struct fixture *f, const struct transfer_id *id)
{
	struct far_tx t;
	unsigned n = 0;

	assert_true(far_find(&f->far, id, &t));
	for (uint32_t i = 0; i < t.chunks; i++)
		n += t.twice[i];
	return n;
}

static struct destination_status status(struct fixture *f)
{
	struct destination_status st;

	assert_true(scheduler_status(f->k.scheduler, 0, &st));
	return st;
}

static struct transfer_id put(struct fixture *f, size_t length, unsigned *n)
{
	struct kit_instance in = {.length = length};
	struct transfer_id id;
	unsigned number = kit_put(&f->k, &in, &id);

	if (n != NULL)
		*n = number;
	return id;
}

/* ---- tests --------------------------------------------------------------- */

static void small_ones_go_out_behind_their_offers(void **state)
{
	struct fixture *f = *state;
	struct transfer_id ids[100];
	unsigned n[100];
	struct far_tx t;

	for (unsigned i = 0; i < 100; i++)
		ids[i] = put(f, 20000 + i, &n[i]);
	kit_schedule(&f->k);
	UNTIL_STATE(f, 100, DELIVERED);
	KIT_UNTIL(&f->k, f->far.notes >= 100);
	for (unsigned i = 0; i < 100; i++) {
		is_there(f, &ids[i], n[i], 20000 + i);
		assert_true(far_find(&f->far, &ids[i], &t));
		assert_int_equal(t.offers, 1);
		assert_int_equal(t.eager, 1);
		assert_true(t.noted);
	}
	assert_int_equal(status(f).delivered, 100);
}

static void a_large_one_arrives_as_it_was(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	size_t length = 5 * MIB + 4321;
	struct transfer_id id = put(f, length, &n);

	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, length);
	assert_int_equal(f->far.data, length);
}

static void an_empty_one_arrives(void **state)
{
	struct fixture *f = *state;
	struct kit_instance in = {.empty = true};
	struct transfer_id id;
	unsigned n = kit_put(&f->k, &in, &id);

	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, 0);
}

static void a_cut_line_repeats_only_what_was_under_way(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	size_t length = 24 * MIB + 17;
	struct transfer_id id = put(f, length, &n);

	f->far.cut_after = 6 * MIB;
	f->far.cuts = 3;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, length);
	assert_int_equal(f->far.cuts, 0);
	assert_true(f->far.hellos >= 4);
	assert_int_equal(chunks_twice(f, &id), 0);
}

static void several_connections_share_the_work(void **state)
{
	struct fixture *f = *state;
	unsigned n[3];
	struct transfer_id ids[3];

	for (unsigned i = 0; i < 3; i++)
		ids[i] = put(f, 6 * MIB + i, &n[i]);
	kit_schedule(&f->k);
	UNTIL_STATE(f, 3, DELIVERED);
	for (unsigned i = 0; i < 3; i++)
		is_there(f, &ids[i], n[i], 6 * MIB + i);
	assert_int_equal(f->far.joins, 3);
}

static void a_bad_chunk_is_sent_again(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	struct transfer_id id = put(f, 3 * MIB, &n);

	f->far.bad_index = 1;
	f->far.bad_n = 2;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, 3 * MIB);
	assert_int_equal(f->far.bads, 2);
	assert_int_equal(f->far.data, 5 * MIB);
}

static void a_chunk_bad_three_times_is_quarantined(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put(f, 3 * MIB, NULL);
	struct far_tx t;

	f->far.bad_index = 1;
	f->far.bad_n = 100;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, QUARANTINED);
	assert_int_equal(f->far.bads, 3);
	assert_non_null(strstr(status(f).error, "eeeeeeee"));
	KIT_UNTIL(&f->k, f->far.withdraws == 1);
	assert_true(far_find(&f->far, &id, &t));
	assert_int_equal(t.withdrawn, LINK_WITHDRAW_QUARANTINED);
}

static void damage_of_our_own_copy_is_quarantined(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 30000, NULL);
	kit_barrier(&f->k);
	kit_damage(&f->k, kit_place(&f->k, "a"));
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, QUARANTINED);
	assert_int_equal(f->far.arrived, 0);
}

static void what_is_refused_for_now_is_tried_again(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	struct transfer_id id = put(f, 1000, &n);

	f->far.refuse = LINK_REFUSED_NO_SPACE;
	f->far.refuse_n = 1;
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, f->far.refuse_n == 0);
	KIT_UNTIL(&f->k, status(f).failures == 1);
	assert_non_null(strstr(status(f).error, "space"));
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, 1000);
}

static void what_no_route_takes_is_held(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 1000, NULL);
	(void)put(f, 1000, NULL);
	f->far.refuse = LINK_REFUSED_NO_ROUTE;
	f->far.refuse_n = 2;
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, status(f).held == 2);
	assert_true(status(f).alert);
	assert_non_null(strstr(status(f).held_why, "route"));
}

static void what_can_never_be_used_is_quarantined(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 1000, NULL);
	f->far.refuse = LINK_REFUSED_META;
	f->far.refuse_n = 1;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, QUARANTINED);
}

static void what_is_not_known_there_is_offered_anew(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	struct transfer_id id = put(f, 3 * MIB, &n);

	f->far.refuse = LINK_REFUSED_EXPIRED;
	f->far.refuse_n = 2;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, 3 * MIB);
	assert_int_equal(f->far.offers, 3);
}

static void what_has_arrived_waits_for_the_far_archive(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put(f, 1000, NULL);
	struct far_tx t;

	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	KIT_UNTIL(&f->k, status(f).arrived == 1 && status(f).in_flight == 0);
	kit_for(&f->k, 1500); /* longer than idle: it stays open */
	assert_int_equal(status(f).link.connections, 1);
	f->far.keep = false;
	far_deliver(&f->far);
	UNTIL_STATE(f, 1, DELIVERED);
	KIT_UNTIL(&f->k, f->far.notes == 1);
	assert_true(far_find(&f->far, &id, &t));
	assert_int_equal(t.offers, 1);
	KIT_UNTIL(&f->k, status(f).link.connections == 0);
}

static void why_it_stays_there_is_shown(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 1000, NULL);
	f->far.stuck = LINK_STUCK_QUARANTINED;
	f->far.status = 0xA700;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	KIT_UNTIL(&f->k,
		  strstr(status(f).error, "quarantined at the far") != NULL);
	assert_true(status(f).alert);
	f->far.stuck = 0;
	f->far.status = 0xB000;
	far_deliver(&f->far);
	UNTIL_STATE(f, 1, DELIVERED);
}

static void after_our_restart_all_that_arrived_is_asked_for(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 20; i++)
		(void)put(f, 1000, NULL);
	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 20, ARRIVED);
	kit_unschedule(&f->k);
	assert_int_equal(f->far.queries, 0);
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, f->far.queries == 20);
	f->far.keep = false;
	far_deliver(&f->far);
	UNTIL_STATE(f, 20, DELIVERED);
	assert_int_equal(f->far.offers, 20);
}

static void what_a_wiped_store_has_lost_is_sent_again(void **state)
{
	struct fixture *f = *state;
	unsigned n[5];
	struct transfer_id ids[5];

	for (unsigned i = 0; i < 5; i++)
		ids[i] = put(f, 2000, &n[i]);
	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 5, ARRIVED);
	far_restart(&f->far, true);
	f->far.keep = false;
	UNTIL_STATE(f, 5, DELIVERED);
	for (unsigned i = 0; i < 5; i++)
		is_there(f, &ids[i], n[i], 2000);
	assert_true(f->far.queries >= 5);
}

static void a_far_end_that_restarts_is_asked(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 2000, NULL);
	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	far_restart(&f->far, false);
	KIT_UNTIL(&f->k, f->far.queries >= 1);
	assert_int_equal(kit_count(&f->k, "a", DELIVERY_ARRIVED), 1);
	assert_int_equal(f->far.offers, 1);
}

/* DELIVERED was on the way when its connection ended; the link goes on over
 * the others. */
static void what_a_lost_connection_had_said_is_asked_for(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		(void)put(f, 2000, NULL);
	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 3, ARRIVED);
	KIT_UNTIL(&f->k, status(f).link.connections == 4);
	pthread_mutex_lock(&f->far.lock);
	for (size_t i = 0; i < f->far.n_tx; i++)
		f->far.tx[i].state = FAR_DELIVERED;
	pthread_mutex_unlock(&f->far.lock);
	far_cut_one(&f->far);
	UNTIL_STATE(f, 3, DELIVERED);
	assert_int_equal(f->far.hellos, 1);
	assert_int_equal(f->far.offers, 3);
}

static void a_line_that_cannot_be_opened_slows_the_destination(void **state)
{
	struct fixture *f = *state;

	(void)put(f, 2000, NULL);
	f->far.deaf = true;
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, status(f).failures >= 1);
	assert_true(status(f).alert);
	f->far.deaf = false;
	UNTIL_STATE(f, 1, DELIVERED);
}

static void on_order(void *arg, enum err e, uint64_t n)
{
	(void)e;
	*(uint64_t *)arg = n;
}

static void what_is_discarded_is_withdrawn(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put(f, 4 * MIB, NULL);
	struct scheduler_scope what = {.destination = "a", .transfer = &id};
	struct far_tx t;
	uint64_t reached = 0;

	f->far.bad_index = 3; /* it never gets whole */
	f->far.bad_n = 2;
	f->far.window = 1 << 20;
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, f->far.data >= MIB);
	scheduler_discard(f->k.scheduler, what, on_order, &reached);
	UNTIL_STATE(f, 1, DISCARDED);
	assert_int_equal(reached, 1);
	KIT_UNTIL(&f->k, f->far.withdraws == 1);
	assert_true(far_find(&f->far, &id, &t));
	if (t.state == FAR_WITHDRAWN)
		assert_int_equal(t.withdrawn, LINK_WITHDRAW_DISCARDED);
}

static void no_more_are_open_than_the_far_end_takes(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 60; i++)
		(void)put(f, 5000, NULL);
	f->far.transfers = 7;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 60, DELIVERED);
	assert_true(f->far.most_open <= 7);
}

static void urgent_ones_overtake(void **state)
{
	struct fixture *f = *state;
	struct kit_instance in = {.length = 40 * MIB};
	struct kit_instance stat = {.length = 300000, .device_priority = 2};
	struct transfer_id large, urgent;
	struct far_tx a, b;

	(void)kit_put(&f->k, &in, &large);
	kit_schedule(&f->k);
	KIT_UNTIL(&f->k, f->far.data > MIB);
	(void)kit_put(&f->k, &stat, &urgent);
	UNTIL_STATE(f, 2, DELIVERED);
	assert_true(far_find(&f->far, &large, &a));
	assert_true(far_find(&f->far, &urgent, &b));
	assert_true(b.order < a.order);
}

/* ---- what the far end says by itself ---------------------------------------
 */

#define CT  "1.2.840.10008.5.1.4.1.1.2"
#define MR  "1.2.840.10008.5.1.4.1.1.4"
#define JLS "1.2.840.10008.1.2.4.80"

static void say_accepts(struct fixture *f, uint32_t serial,
			const char *abstract)
{
	uint8_t list[256];
	struct link_frame fr = {.type = LINK_ACCEPTS};

	fr.accepts.serial = serial;
	fr.accepts.list.p = list;
	fr.accepts.pairs = 1;
	assert_true(link_accepts_put(list, sizeof(list), &fr.accepts.list.len,
				     abstract, JLS));
	far_say(&f->far, &fr);
}

static enum capability known(struct fixture *f, const char *abstract)
{
	struct capability_key key = {.destination = "a",
				     .calling_ae = "DEV",
				     .called_ae = "X",
				     .abstract = abstract,
				     .transfer_syntax = JLS};

	return capability_lookup(f->k.capabilities, &key, NULL);
}

static void what_the_far_archive_accepts_is_mirrored(void **state)
{
	struct fixture *f = *state;
	struct capability_key key = {.destination = "a",
				     .calling_ae = "DEV",
				     .called_ae = "X",
				     .abstract = CT,
				     .transfer_syntax = JLS};

	capability_want(f->k.capabilities, &key);
	key.abstract = MR;
	capability_want(f->k.capabilities, &key);
	(void)put(f, 1000, NULL);
	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	say_accepts(f, 1, CT);
	KIT_UNTIL(&f->k, known(f, CT) == CAPABILITY_ACCEPTED);
	assert_int_equal(known(f, MR), CAPABILITY_UNKNOWN);
	say_accepts(f, 2, MR);
	KIT_UNTIL(&f->k, known(f, MR) == CAPABILITY_ACCEPTED);
	assert_int_equal(known(f, CT), CAPABILITY_REFUSED);
}

static void a_chunk_lost_after_arriving_is_sent_again(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	struct transfer_id id = put(f, 3 * MIB, &n);
	struct link_frame fr = {.type = LINK_BAD,
				.id = id,
				.bad = {.index = 1, .reason = LINK_BAD_LOST}};
	struct far_tx t;

	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	pthread_mutex_lock(&f->far.lock);
	f->far.tx[0].state = FAR_GETTING;
	f->far.tx[0].have[1] = 0;
	memset(f->far.tx[0].bytes + MIB, 0, MIB);
	pthread_mutex_unlock(&f->far.lock);
	f->far.open = 1;
	f->far.keep = false;
	far_say(&f->far, &fr);
	UNTIL_STATE(f, 1, DELIVERED);
	is_there(f, &id, n, 3 * MIB);
	assert_true(far_find(&f->far, &id, &t));
	assert_int_equal(t.offers, 2);
	assert_int_equal(f->far.data, 4 * MIB);
}

/* Nothing of it may reach what is ours. */
static void what_it_says_of_unknown_ones_harms_nothing(void **state)
{
	static const enum link_type types[] = {
	    LINK_HAVE,      LINK_ACK,         LINK_BAD,    LINK_ARRIVED,
	    LINK_DELIVERED, LINK_UNDELIVERED, LINK_REFUSED};
	struct fixture *f = *state;
	unsigned n;
	struct transfer_id id = put(f, 1000, &n), other;
	uint8_t run[LINK_RUN_LEN] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

	f->far.keep = true;
	kit_schedule(&f->k);
	UNTIL_STATE(f, 1, ARRIVED);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct link_frame fr = {.type = types[i]};

		memset(&fr.id, 0x55, sizeof(fr.id));
		if (types[i] == LINK_HAVE || types[i] == LINK_ACK)
			fr.runs = (struct link_runs){run, 1};
		if (types[i] == LINK_BAD)
			fr.bad.reason = LINK_BAD_LOST;
		if (types[i] == LINK_DELIVERED)
			fr.delivered.outcome = LINK_OUT_DELIVERED;
		if (types[i] == LINK_UNDELIVERED || types[i] == LINK_REFUSED)
			fr.why.code = 1;
		far_say(&f->far, &fr);
	}
	KIT_UNTIL(&f->k, f->far.notes == 1); /* of the one delivered */
	f->far.keep = false;
	far_deliver(&f->far);
	UNTIL_STATE(f, 1, DELIVERED);
	other = put(f, 2000, &n);
	UNTIL_STATE(f, 2, DELIVERED);
	is_there(f, &other, n, 2000);
	(void)id;
}

static void a_queued_one_is_not_freed_by_a_strange_answer(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id = put(f, 3 * MIB, NULL);
	struct scheduler_scope what = {.destination = "a", .transfer = &id};
	struct link_frame fr = {.type = LINK_REFUSED, .id = id};
	uint64_t reached = 0;

	kit_barrier(&f->k);
	f->far.transfers = 1;
	f->far.keep = true;
	(void)put(f, 1000, NULL);
	kit_schedule(&f->k);
	UNTIL_STATE(f, 2, ARRIVED);
	scheduler_discard(f->k.scheduler, what, on_order, &reached);
	UNTIL_STATE(f, 1, DISCARDED);
	fr.why.code = LINK_REFUSED_UNKNOWN;
	far_say(&f->far, &fr);
	kit_for(&f->k, 500);
	assert_int_equal(kit_count(&f->k, "a", DELIVERY_DISCARDED), 1);
	assert_int_equal(kit_count(&f->k, "a", DELIVERY_QUEUED), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    TEST(small_ones_go_out_behind_their_offers),
	    TEST(a_large_one_arrives_as_it_was),
	    TEST(an_empty_one_arrives),
	    TEST(a_cut_line_repeats_only_what_was_under_way),
	    cmocka_unit_test_setup_teardown(several_connections_share_the_work,
					    setup_four, teardown),
	    TEST(a_bad_chunk_is_sent_again),
	    TEST(a_chunk_bad_three_times_is_quarantined),
	    TEST(damage_of_our_own_copy_is_quarantined),
	    TEST(what_is_refused_for_now_is_tried_again),
	    TEST(what_no_route_takes_is_held),
	    TEST(what_can_never_be_used_is_quarantined),
	    TEST(what_is_not_known_there_is_offered_anew),
	    TEST(what_has_arrived_waits_for_the_far_archive),
	    TEST(why_it_stays_there_is_shown),
	    TEST(after_our_restart_all_that_arrived_is_asked_for),
	    TEST(what_a_wiped_store_has_lost_is_sent_again),
	    TEST(a_far_end_that_restarts_is_asked),
	    cmocka_unit_test_setup_teardown(
		what_a_lost_connection_had_said_is_asked_for, setup_four,
		teardown),
	    TEST(a_line_that_cannot_be_opened_slows_the_destination),
	    TEST(what_is_discarded_is_withdrawn),
	    TEST(no_more_are_open_than_the_far_end_takes),
	    TEST(urgent_ones_overtake),
	    TEST(what_the_far_archive_accepts_is_mirrored),
	    TEST(a_chunk_lost_after_arriving_is_sent_again),
	    TEST(what_it_says_of_unknown_ones_harms_nothing),
	    TEST(a_queued_one_is_not_freed_by_a_strange_answer),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
