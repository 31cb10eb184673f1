#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/delivery_kit.h"

#define CT "1.2.840.10008.5.1.4.1.1.2"

static const char two[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: A, associations: 3,\n"
    "      timeouts: {connect: 9s, associate: 9s, response: 9s, idle: 1s},\n"
    "      retry: {first: 100ms, max: 200ms, probe: 300ms}}\n"
    "  b: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: B, associations: 2,\n"
    "      retry: {first: 100ms, max: 200ms, probe: 300ms}}\n"
    "routes: [{service: storage, forward: [a, b]}]\n";

static const char one_at_a_time[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: A, associations: 1}\n"
    "routes: [{service: storage, forward: [a]}]\n";

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_close(*state);
	free(*state);
	return 0;
}

static void put(struct kit *k, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kit_put(k, &(struct kit_instance){0}, NULL);
}

/* The ledger counts n in this state. */
#define UNTIL_COUNT(k, dest, state, n)                                         \
	KIT_UNTIL(k, kit_count(k, dest, state) == (n))

static struct destination_status status_of(struct kit *k, size_t i)
{
	struct destination_status st;

	assert_true(scheduler_status(k->scheduler, i, &st));
	return st;
}

/* ---- going well -------------------------------------------------------- */

static void all_that_is_queued_arrives_once(void **state)
{
	struct kit *k = *state;

	put(k, 30);
	kit_config(k, two);
	kit_schedule(k);
	put(k, 30); /* before and after the start */
	KIT_UNTIL(k, k->scp[0].n_stores == 60);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 60);
	kit_for(k, 300);
	assert_int_equal(k->scp[0].n_stores, 60);
	assert_true(k->scp[0].associations <= 4); /* one is the prober's */
	KIT_UNTIL(k, status_of(k, 0).delivered == 60);
	KIT_UNTIL(k, status_of(k, 0).queued == 0);
	assert_int_equal(status_of(k, 0).state, DESTINATION_IDLE);
}

static void fan_out_keeps_destinations_apart(void **state)
{
	struct kit *k = *state;
	struct kit_instance both = {.to = {"a", "b"}};

	fake_stop(&k->scp[1]);
	kit_config(k, two);
	for (int i = 0; i < 20; i++)
		kit_put(k, &both, NULL);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 20);
	assert_int_equal(kit_count(k, "b", DELIVERY_QUEUED), 20);
	KIT_UNTIL(k, status_of(k, 1).state == DESTINATION_BACKOFF);
	assert_true(status_of(k, 1).alert);
	assert_true(strlen(status_of(k, 1).error) > 0);
	assert_true(status_of(k, 1).until_wall_ms > 0);
	fake_start(&k->scp[1], k->scp[1].port);
	UNTIL_COUNT(k, "b", DELIVERY_DELIVERED, 20);
	assert_false(status_of(k, 1).alert);
}

static void urgent_ones_go_first(void **state)
{
	struct kit *k = *state;

	kit_config(k, one_at_a_time);
	for (int i = 0; i < 5; i++)
		kit_put(k,
			&(struct kit_instance){.device_priority = 1,
					       .sop_instance = "1.1"},
			NULL);
	kit_put(
	    k,
	    &(struct kit_instance){.device_priority = 3, .sop_instance = "1.2"},
	    NULL);
	kit_put(k,
		&(struct kit_instance){.device_priority = 1,
				       .dicom_priority = 1,
				       .sop_instance = "1.3"},
		NULL);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, k->scp[0].n_stores == 7);
	assert_string_equal(k->scp[0].stores[0].sop_instance, "1.2");
	assert_string_equal(k->scp[0].stores[1].sop_instance, "1.3");
}

/* A day old and low beats new and stat. */
static void age_outweighs_priority_in_the_end(void **state)
{
	struct kit *k = *state;

	kit_config(k, one_at_a_time);
	for (int i = 0; i < 3; i++)
		kit_put(k, &(struct kit_instance){.device_priority = 3}, NULL);
	kit_put(
	    k,
	    &(struct kit_instance){.device_priority = 0,
				   .received_ms = clock_wall_ms() - 86400000,
				   .sop_instance = "1.9"},
	    NULL);
	kit_barrier(k);
	k->scp[0].delay_ms = 50;
	kit_schedule(k);
	KIT_UNTIL(k, k->scp[0].n_stores == 4);
	/* one or two were on their way when it came into the window */
	assert_true(strcmp(k->scp[0].stores[3].sop_instance, "1.9") != 0);
}

static void one_uid_is_sent_in_order_and_never_twice_at_once(void **state)
{
	struct kit *k = *state;

	kit_config(k, two);
	k->scp[0].delay_ms = 5;
	for (unsigned i = 0; i < 24; i++)
		kit_put(k,
			&(struct kit_instance){.sop_instance =
						   i % 2 == 0 ? "1.5" : "1.6",
					       .length = 100 + i},
			NULL);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 24);
	assert_int_equal(k->scp[0].at_once, 1);
	for (size_t i = 0, even = 100, odd = 101; i < 24; i++) {
		const struct fake_store *s = &k->scp[0].stores[i];
		size_t *want = s->length % 2 == 0 ? &even : &odd;

		assert_int_equal(s->length, *want);
		*want += 2;
	}
}

static void a_restart_goes_on_where_it_stopped(void **state)
{
	struct kit *k = *state;

	kit_config(k, two);
	k->scp[0].delay_ms = 10;
	put(k, 60);
	kit_schedule(k);
	KIT_UNTIL(k, k->scp[0].n_stores >= 15);
	kit_unschedule(k);
	assert_true(k->scp[0].n_stores < 60);
	k->scp[0].delay_ms = 0;
	/* The last outcomes reach the ledger; a few were under way. */
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) + 6 >=
			 k->scp[0].n_stores);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 60);
	assert_true(k->scp[0].n_stores <= 60 + 6);
}

/* ---- going wrong ------------------------------------------------------- */

static void a_busy_archive_is_tried_again_until_it_takes_all(void **state)
{
	struct kit *k = *state;

	k->scp[0].status = 0xA700;
	kit_config(k, two);
	put(k, 10);
	kit_schedule(k);
	KIT_UNTIL(k, status_of(k, 0).failures >= 5);
	assert_non_null(strstr(status_of(k, 0).error, "A700"));
	k->scp[0].status = 0;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 10);
	assert_int_equal(kit_count(k, "a", DELIVERY_QUARANTINED), 0);
}

static void bad_one(void **state, int how, unsigned status)
{
	struct kit *k = *state;

	strcpy(k->scp[0].bad_instance, "1.2.3.7");
	k->scp[0].on_bad = how;
	k->scp[0].bad_status = status;
	kit_config(k, two);
	put(k, 30);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_QUARANTINED, 1);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 29);
	assert_int_equal(kit_count(k, "a", DELIVERY_QUEUED), 0);
}

static void one_that_is_not_understood_is_quarantined(void **state)
{
	bad_one(state, FAKE_ANSWER, 0xC001);
}

static void one_on_which_the_archive_aborts_is_quarantined(void **state)
{
	bad_one(state, FAKE_ABORT, 0);
}

static void one_on_which_the_archive_closes_is_quarantined(void **state)
{
	bad_one(state, FAKE_CLOSE, 0);
}

/* A crash takes the others in flight along; they are not to blame, however
 * often it happens beside them. */
static void victims_of_a_crash_are_not_blamed(void **state)
{
	struct kit *k = *state;
	struct destination_status st;

	strcpy(k->scp[0].bad_instance, "1.2.3.0");
	k->scp[0].on_bad = FAKE_CRASH;
	k->scp[0].delay_ms = 30;
	kit_config(k, two);
	put(k, 60);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_QUARANTINED, 1);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 59);
	st = status_of(k, 0);
	/* five for the bad one, and those in flight at its first two; a slow
	 * machine may have a few more under way. Blamed ones would be tried
	 * five times each. */
	assert_true(st.failures <= 5 + 5 * 2);
}

static void nothing_is_quarantined_while_nothing_succeeds(void **state)
{
	struct kit *k = *state;

	k->scp[0].status = 0x0110;
	kit_config(k, two);
	put(k, 5);
	kit_schedule(k);
	KIT_UNTIL(k, status_of(k, 0).failures >= 40);
	kit_for(k, 100);
	assert_int_equal(kit_count(k, "a", DELIVERY_QUARANTINED), 0);
	assert_int_equal(kit_count(k, "a", DELIVERY_QUEUED), 5);
}

static void a_refused_context_is_held_and_released_by_itself(void **state)
{
	struct kit *k = *state;

	strcpy(k->scp[0].refuse_class, CT);
	k->scp[0].refuse = true;
	kit_config(k, two);
	for (int i = 0; i < 10; i++) {
		kit_put(k, &(struct kit_instance){.sop_class = CT}, NULL);
		kit_put(k, &(struct kit_instance){0}, NULL);
	}
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 10);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_HELD);
	assert_int_equal(status_of(k, 0).held, 10);
	assert_true(status_of(k, 0).alert);
	assert_non_null(strstr(status_of(k, 0).held_why, "SOP class"));
	assert_int_equal(kit_count(k, "a", DELIVERY_QUEUED), 10);
	k->scp[0].refuse = false;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 20);
	assert_int_equal(status_of(k, 0).held, 0);
}

static void a_rejected_pair_is_held_and_others_go_on(void **state)
{
	struct kit *k = *state;

	memcpy(k->scp[0].reject, (uint8_t[3]){1, 1, 3}, 3);
	strcpy(k->scp[0].reject_calling, "CT1");
	kit_config(k, two);
	for (int i = 0; i < 6; i++) {
		kit_put(k, &(struct kit_instance){.calling_ae = "CT1"}, NULL);
		kit_put(k, &(struct kit_instance){.calling_ae = "CT2"}, NULL);
	}
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 6);
	KIT_UNTIL(k, status_of(k, 0).held == 6);
	assert_non_null(strstr(status_of(k, 0).held_why, "calling AE"));
	pthread_mutex_lock(&k->scp[0].lock);
	k->scp[0].reject_calling[0] = '\0';
	pthread_mutex_unlock(&k->scp[0].lock);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 12);
}

static void a_queue_that_nobody_takes_does_not_fill_the_window(void **state)
{
	struct kit *k = *state;

	strcpy(k->scp[0].refuse_class, CT);
	k->scp[0].refuse = true;
	kit_config(k, two);
	for (int i = 0; i < 1300; i++)
		kit_put(k,
			&(struct kit_instance){.sop_class = CT, .length = 10},
			NULL);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_barrier(k);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	k->scp[0].refuse = false;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1301);
}

/* ---- orders ------------------------------------------------------------ */

struct answer {
	bool done;
	enum err e;
	uint64_t n;
};

static void on_done(void *arg, enum err e, uint64_t n)
{
	*(struct answer *)arg = (struct answer){.done = true, .e = e, .n = n};
}

static void held_ones_wait_until_released(void **state)
{
	struct kit *k = *state;
	struct transfer_id id;
	struct answer r = {0};

	fake_stop(&k->scp[0]);
	kit_config(k, two);
	put(k, 3);
	kit_put(k, &(struct kit_instance){0}, &id);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_BACKOFF);
	scheduler_hold(k->scheduler, (struct scheduler_scope){.transfer = &id},
		       on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_OK);
	assert_int_equal(r.n, 1);
	UNTIL_COUNT(k, "a", DELIVERY_HELD, 1);
	fake_start(&k->scp[0], k->scp[0].port);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 3);
	kit_for(k, 300);
	assert_int_equal(k->scp[0].n_stores, 3);
	r.done = false;
	scheduler_release(k->scheduler,
			  (struct scheduler_scope){.destination = "a"}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.n, 1);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 4);
}

static void a_held_destination_stays_so_over_a_restart(void **state)
{
	struct kit *k = *state;
	struct answer r = {0};

	kit_config(k, two);
	kit_schedule(k);
	scheduler_hold(k->scheduler,
		       (struct scheduler_scope){.destination = "a"}, on_done,
		       &r);
	assert_int_equal(r.e, ERR_OK);
	put(k, 5);
	kit_for(k, 200);
	assert_int_equal(k->scp[0].n_stores, 0);
	assert_int_equal(status_of(k, 0).state, DESTINATION_OPERATOR);
	kit_unschedule(k);
	kit_schedule(k);
	kit_for(k, 200);
	assert_int_equal(k->scp[0].n_stores, 0);
	r.done = false;
	scheduler_release(k->scheduler,
			  (struct scheduler_scope){.destination = "a"}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_OK);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 5);
}

static void quarantined_ones_can_be_tried_again_or_discarded(void **state)
{
	struct kit *k = *state;
	struct answer r = {0};

	strcpy(k->scp[0].bad_instance, "1.2.3.2");
	k->scp[0].bad_status = 0xC000;
	kit_config(k, two);
	put(k, 12);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_QUARANTINED, 1);
	k->scp[0].bad_status = 0;
	scheduler_retry(k->scheduler,
			(struct scheduler_scope){.destination = "a"}, on_done,
			&r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_OK);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 12);
	r.done = false;
	scheduler_discard(k->scheduler,
			  (struct scheduler_scope){.destination = "a"}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_NOTFOUND);
}

static void a_queue_can_be_sent_elsewhere_or_given_up(void **state)
{
	struct kit *k = *state;
	struct transfer_id id;
	struct answer r = {0};

	fake_stop(&k->scp[0]);
	kit_config(k, two);
	put(k, 600);
	kit_put(k, &(struct kit_instance){0}, &id);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_BACKOFF);
	scheduler_discard(k->scheduler,
			  (struct scheduler_scope){.transfer = &id}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.n, 1);
	UNTIL_COUNT(k, "a", DELIVERY_DISCARDED, 1);
	r.done = false;
	scheduler_redirect(k->scheduler,
			   (struct scheduler_scope){.destination = "a"}, "b",
			   on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_OK);
	/* one may have been on its way to nowhere at that moment */
	assert_true(r.n >= 598);
	KIT_UNTIL(k, k->scp[1].n_stores >= r.n);
	fake_start(&k->scp[0], k->scp[0].port);
}

static void orders_that_make_no_sense_are_refused(void **state)
{
	struct kit *k = *state;
	struct transfer_id id = {{9}};
	struct answer r = {0};

	kit_config(k, two);
	kit_schedule(k);
	kit_barrier(k);
	scheduler_retry(k->scheduler, (struct scheduler_scope){0}, on_done, &r);
	assert_int_equal(r.e, ERR_INVAL);
	scheduler_hold(k->scheduler,
		       (struct scheduler_scope){.destination = "z"}, on_done,
		       &r);
	assert_int_equal(r.e, ERR_NOTFOUND);
	scheduler_redirect(k->scheduler,
			   (struct scheduler_scope){.destination = "a"}, "a",
			   on_done, &r);
	assert_int_equal(r.e, ERR_INVAL);
	r.done = false;
	scheduler_discard(k->scheduler,
			  (struct scheduler_scope){.transfer = &id}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_NOTFOUND);
}

/* ---- probing, stopping ------------------------------------------------- */

static void what_devices_propose_is_asked(void **state)
{
	struct kit *k = *state;
	struct capability_key key = {.destination = "a",
				     .calling_ae = "DEV",
				     .called_ae = "A",
				     .abstract = CT,
				     .transfer_syntax =
					 "1.2.840.10008.1.2.4.50"};

	strcpy(k->scp[0].refuse_class, CT);
	k->scp[0].refuse = true;
	kit_config(k, two);
	kit_schedule(k);
	capability_want(k->capabilities, &key);
	key.abstract = "1.2.840.10008.5.1.4.1.1.4";
	capability_want(k->capabilities, &key);
	KIT_UNTIL(k, capability_lookup(k->capabilities, &key, NULL) ==
			 CAPABILITY_ACCEPTED);
	key.abstract = CT;
	KIT_UNTIL(k, capability_lookup(k->capabilities, &key, NULL) ==
			 CAPABILITY_REFUSED);
	KIT_UNTIL(k, k->scp[0].echoes == 1);
	assert_int_equal(k->scp[0].associations, 1);
}

static void may_be_stopped_at_any_moment(void **state)
{
	for (unsigned ms = 0; ms < 40; ms += 4) {
		struct kit *k = *state;

		kit_config(k, two);
		for (int i = 0; i < 6; i++)
			kit_put(k,
				&(struct kit_instance){.length = 1500000,
						       .to = {"a", "b"}},
				NULL);
		kit_schedule(k);
		kit_for(k, ms);
		kit_unschedule(k);
		teardown(state);
		setup(state);
	}
}

static void a_stop_does_not_wait_for_a_peer_that_hangs(void **state)
{
	struct kit *k = *state;
	uint64_t begin;

	k->scp[0].on_store = FAKE_SILENT;
	kit_config(k, one_at_a_time);
	put(k, 2);
	kit_schedule(k);
	KIT_UNTIL(k, status_of(k, 0).state == DESTINATION_SENDING);
	begin = clock_mono_ns();
	kit_unschedule(k);
	assert_true(clock_mono_ns() - begin < UINT64_C(4000000000));
	assert_int_equal(kit_count(k, "a", DELIVERY_QUEUED), 2);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(all_that_is_queued_arrives_once),
	    T(fan_out_keeps_destinations_apart),
	    T(urgent_ones_go_first),
	    T(age_outweighs_priority_in_the_end),
	    T(one_uid_is_sent_in_order_and_never_twice_at_once),
	    T(a_restart_goes_on_where_it_stopped),
	    T(a_busy_archive_is_tried_again_until_it_takes_all),
	    T(one_that_is_not_understood_is_quarantined),
	    T(one_on_which_the_archive_aborts_is_quarantined),
	    T(one_on_which_the_archive_closes_is_quarantined),
	    T(victims_of_a_crash_are_not_blamed),
	    T(nothing_is_quarantined_while_nothing_succeeds),
	    T(a_refused_context_is_held_and_released_by_itself),
	    T(a_rejected_pair_is_held_and_others_go_on),
	    T(a_queue_that_nobody_takes_does_not_fill_the_window),
	    T(held_ones_wait_until_released),
	    T(a_held_destination_stays_so_over_a_restart),
	    T(quarantined_ones_can_be_tried_again_or_discarded),
	    T(a_queue_can_be_sent_elsewhere_or_given_up),
	    T(orders_that_make_no_sense_are_refused),
	    T(what_devices_propose_is_asked),
	    T(may_be_stopped_at_any_moment),
	    T(a_stop_does_not_wait_for_a_peer_that_hangs),
	};

	return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
