#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/mem.h"
#include "tests/unit/delivery_kit.h"

static const char config[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: A, associations: 3,\n"
    "      timeouts: {connect: 9s, associate: 9s, response: 9s, idle: 1s},\n"
    "      retry: {first: 100ms, max: 200ms, probe: 300ms},\n"
    "      quarantine_after: 3}\n"
    "  d: {protocol: directory, path: files}\n"
    "routes: [{service: storage, forward: [a]}]\n";

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	kit_config(k, config);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_close(*state);
	free(*state);
	return 0;
}

#define UNTIL_COUNT(k, dest, state, n)                                         \
	KIT_UNTIL(k, kit_count(k, dest, state) == (n))

static void put_step(struct kit *k, uint16_t command, const char *uid)
{
	kit_put(k,
		&(struct kit_instance){.command = command,
				       .sop_class = UID_MPPS,
				       .sop_instance = uid,
				       .transfer_syntax = UID_IMPLICIT_LE},
		NULL);
}

/* One step from its beginning to its end. */
static void put_all(struct kit *k, const char *uid)
{
	put_step(k, N_CREATE_RQ, uid);
	put_step(k, N_SET_RQ, uid);
	put_step(k, N_SET_RQ, uid);
}

/* What arrived of a step is in order: the creation, then as many changes. */
static void assert_order(const struct kit *k, const char *uid, unsigned changes)
{
	const struct fake_scp *scp = &k->scp[0];
	uint16_t want = N_CREATE_RQ;
	unsigned n = 0;

	for (size_t i = 0; i < scp->n_stores; i++) {
		if (strcmp(scp->stores[i].sop_instance, uid) != 0)
			continue;
		assert_int_equal(scp->stores[i].field, want);
		want = N_SET_RQ;
		n++;
	}
	assert_int_equal(n, 1 + changes);
}

static void steps_arrive_in_their_order(void **state)
{
	struct kit *k = *state;
	char uid[16];

	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(uid, sizeof(uid), "1.9.%u", i);
		put_all(k, uid);
		kit_put(k, &(struct kit_instance){0}, NULL);
	}
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 160);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(uid, sizeof(uid), "1.9.%u", i);
		assert_order(k, uid, 2);
	}
	assert_int_equal(k->scp[0].at_once, 1); /* never two of one step */
}

/* All that follows waits for the one that cannot be sent yet; others do not. */
static void a_failed_creation_holds_its_changes_back(void **state)
{
	struct kit *k = *state;

	strcpy(k->scp[0].bad_instance, "1.9.1");
	k->scp[0].bad_status = 0xA700;
	put_all(k, "1.9.1");
	put_all(k, "1.9.2");
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 3);
	kit_for(k, 400);
	assert_int_equal(k->scp[0].n_stores, 3);
	assert_order(k, "1.9.2", 2);
	kit_unschedule(k); /* a restart changes nothing of it */
	kit_schedule(k);
	kit_for(k, 400);
	assert_int_equal(k->scp[0].n_stores, 3);
	k->scp[0].bad_status = 0;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 6);
	assert_order(k, "1.9.1", 2);
}

static void a_refused_service_keeps_the_order(void **state)
{
	struct kit *k = *state;

	strcpy(k->scp[0].refuse_class, UID_MPPS);
	k->scp[0].refuse = true;
	put_all(k, "1.9.1");
	put_all(k, "1.9.2");
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	kit_for(k, 700); /* probes */
	assert_int_equal(k->scp[0].n_stores, 1);
	k->scp[0].refuse = false;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 7);
	assert_order(k, "1.9.1", 2);
	assert_order(k, "1.9.2", 2);
}

/* While there is nobody: in order when somebody comes. */
static void the_order_outlives_an_absence_and_a_restart(void **state)
{
	struct kit *k = *state;
	uint16_t port = k->scp[0].port;

	fake_stop(&k->scp[0]);
	put_step(k, N_CREATE_RQ, "1.9.1");
	kit_schedule(k);
	kit_for(k, 200);
	put_step(k, N_SET_RQ, "1.9.1");
	kit_for(k, 200);
	kit_unschedule(k);
	put_step(k, N_SET_RQ, "1.9.1");
	kit_schedule(k);
	kit_for(k, 200);
	fake_start(&k->scp[0], port);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 3);
	assert_order(k, "1.9.1", 2);
}

/* What it decides is seen by a person, and what follows is tried. */
static void a_creation_in_quarantine_lets_its_changes_go(void **state)
{
	struct kit *k = *state;
	unsigned others = 0;

	strcpy(k->scp[0].bad_instance, "1.9.1");
	k->scp[0].bad_status = 0x0110;
	put_step(k, N_CREATE_RQ, "1.9.1");
	put_step(k, N_SET_RQ, "1.9.1");
	kit_schedule(k);
	while (kit_count(k, "a", DELIVERY_QUARANTINED) == 0) {
		put_step(k, N_CREATE_RQ, "1.9.2"); /* others succeed */
		others++;
		kit_for(k, 20);
	}
	k->scp[0].bad_status = 0;
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, others + 1);
}

static void reports_do_not_wait_for_each_other(void **state)
{
	struct kit *k = *state;
	struct kit_instance i = {.command = N_EVENT_REPORT_RQ,
				 .type = 1,
				 .sop_class = UID_COMMITMENT,
				 .sop_instance = UID_COMMITMENT_INSTANCE,
				 .transfer_syntax = UID_IMPLICIT_LE,
				 .transaction = "1.7.1"};
	struct destination_status st;

	k->scp[0].delay_ms = 2000;
	kit_put(k, &i, NULL);
	i.transaction = "1.7.2";
	kit_put(k, &i, NULL);
	kit_schedule(k);
	do {
		kit_turn(k);
		assert_true(scheduler_status(k->scheduler, 0, &st));
		assert_int_equal(st.delivered, 0);
	} while (st.in_flight < 2);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 2);
}

static void what_is_held_at_its_beginning_is_not_sent(void **state)
{
	struct kit *k = *state;

	kit_put(k,
		&(struct kit_instance){.command = N_ACTION_RQ,
				       .type = 1,
				       .sop_class = UID_COMMITMENT,
				       .sop_instance = UID_COMMITMENT_INSTANCE,
				       .transfer_syntax = UID_IMPLICIT_LE,
				       .transaction = "1.7.1",
				       .held = true},
		NULL);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_schedule(k);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
	kit_for(k, 200);
	assert_int_equal(k->scp[0].n_stores, 1);
	assert_int_equal(kit_count(k, "a", DELIVERY_HELD), 1);
}

struct answer {
	bool done;
	enum err e;
	uint64_t n;
};

static void on_done(void *arg, enum err e, uint64_t n)
{
	*(struct answer *)arg = (struct answer){.done = true, .e = e, .n = n};
}

static void a_request_that_waits_is_released_by_its_name_alone(void **state)
{
	struct kit *k = *state;
	struct scheduler_scope all = {.destination = "a"};
	struct transfer_id id;
	struct answer r = {0};

	kit_put(k,
		&(struct kit_instance){.command = N_ACTION_RQ,
				       .type = 1,
				       .sop_class = UID_COMMITMENT,
				       .sop_instance = UID_COMMITMENT_INSTANCE,
				       .transfer_syntax = UID_IMPLICIT_LE,
				       .transaction = "1.7.1",
				       .held = true},
		&id);
	kit_barrier(k);
	kit_schedule(k);
	scheduler_release(k->scheduler, all, on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.n, 0);
	r.done = false;
	scheduler_retry(k->scheduler, all, on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.n, 0);
	r.done = false;
	scheduler_redirect(k->scheduler, all, "d", on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_NOTFOUND);
	r.done = false;
	scheduler_discard(k->scheduler, all, on_done, &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.e, ERR_NOTFOUND);
	kit_for(k, 200);
	assert_int_equal(kit_count(k, "a", DELIVERY_HELD), 1);
	r.done = false;
	scheduler_release(k->scheduler,
			  (struct scheduler_scope){.transfer = &id}, on_done,
			  &r);
	KIT_UNTIL(k, r.done);
	assert_int_equal(r.n, 1);
	UNTIL_COUNT(k, "a", DELIVERY_DELIVERED, 1);
}

static void a_directory_keeps_messages_waiting_with_a_remedy(void **state)
{
	struct kit *k = *state;
	struct destination_status st;

	kit_put(k,
		&(struct kit_instance){.command = N_CREATE_RQ,
				       .sop_class = UID_MPPS,
				       .sop_instance = "1.9.1",
				       .to = {"d"}},
		NULL);
	kit_put(k, &(struct kit_instance){.to = {"d"}}, NULL);
	kit_schedule(k);
	UNTIL_COUNT(k, "d", DELIVERY_DELIVERED, 1);
	do {
		kit_turn(k);
		assert_true(scheduler_status(k->scheduler, 1, &st));
	} while (!st.alert);
	assert_int_equal(kit_count(k, "d", DELIVERY_QUEUED), 1);
	assert_non_null(strstr(st.held_why, "redirect"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(steps_arrive_in_their_order),
	    T(a_failed_creation_holds_its_changes_back),
	    T(a_refused_service_keeps_the_order),
	    T(the_order_outlives_an_absence_and_a_restart),
	    T(a_creation_in_quarantine_lets_its_changes_go),
	    T(reports_do_not_wait_for_each_other),
	    T(what_is_held_at_its_beginning_is_not_sent),
	    T(a_request_that_waits_is_released_by_its_name_alone),
	    T(a_directory_keeps_messages_waiting_with_a_remedy),
	};

	return cmocka_run_group_tests_name("scheduler messages", tests, NULL,
					   NULL);
}
