/* Endpoints: order, weights and circuits by a clock made by hand; then health
 * and fail-over against SCPs that are scripted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/destination.h"
#include "proxy/endpoints.h"
#include "proxy/lib/log.h"
#include "tests/unit/delivery_kit.h"

enum { PAUSE = 30000, INTERVAL = 20000, OPENING = 40000, FAILURES = 3 };

/* ---- order ------------------------------------------------------------- */

static struct config_destination given(size_t n)
{
	static struct config_endpoint endpoints[8];

	return (struct config_destination){
	    .name = "a",
	    .endpoints = {.n = n, .v = endpoints},
	    .timeouts = {.connect = OPENING / 4, .associate = OPENING * 3 / 4},
	    .breaker = {.failures = FAILURES, .pause = PAUSE},
	};
}

static struct endpoints *made(const struct config_destination *c)
{
	struct endpoints *e;

	assert_int_equal(endpoints_new(c, 0, &e), ERR_OK);
	return e;
}

/* The first of a new round. */
static size_t first(struct endpoints *e, uint64_t now)
{
	struct destination_round r = {0};

	return endpoints_pick(e, &r, now);
}

static enum endpoint_change fail_it(struct endpoints *e, size_t i, unsigned n,
				    uint64_t now)
{
	enum endpoint_change last = ENDPOINT_SAME;

	while (n-- > 0)
		last = endpoints_mark(e, i, true, now);
	return last;
}

static void a_round_gives_each_endpoint_once_in_order(void **state)
{
	struct config_destination c = given(3);
	struct endpoints *e = made(&c);
	struct destination_round r = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(endpoints_pick(e, &r, 0), i);
		(void)endpoints_mark(e, i, true, 0);
	}
	assert_true(endpoints_pick(e, &r, 0) == DESTINATION_NONE);
	assert_int_equal(e->v[1].picked, 1);
	endpoints_free(e);
}

static void one_that_failed_comes_last_until_the_pause_is_over(void **state)
{
	struct config_destination c = given(2);
	struct endpoints *e = made(&c);

	(void)state;
	(void)endpoints_mark(e, 0, true, 100);
	assert_int_equal(first(e, 100), 1);
	assert_int_equal(first(e, 100 + PAUSE - 1), 1);
	assert_int_equal(first(e, 100 + PAUSE), 0);
	(void)endpoints_mark(e, 0, true, 100 + PAUSE);
	(void)endpoints_mark(e, 0, false, 200 + PAUSE);
	assert_int_equal(first(e, 200 + PAUSE), 0);
	endpoints_free(e);
}

static void weights_are_kept_to_the_turn(void **state)
{
	uint32_t weights[] = {5, 2, 1};
	struct config_destination c = given(3);
	struct endpoints *e;

	(void)state;
	c.balance = CONFIG_WEIGHTED;
	c.weights.n = 3;
	c.weights.v = weights;
	e = made(&c);
	for (size_t turn = 0; turn < 800; turn++)
		(void)first(e, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(e->v[i].picked, 100 * weights[i]);
	/* without the first the others keep their proportion */
	(void)fail_it(e, 0, FAILURES, 0);
	for (size_t turn = 0; turn < 300; turn++)
		(void)first(e, 1);
	assert_int_equal(e->v[0].picked, 500);
	assert_in_range(e->v[1].picked, 399, 401);
	assert_in_range(e->v[2].picked, 199, 201);
	endpoints_free(e);
}

static void without_weights_all_have_the_same_share(void **state)
{
	struct config_destination c = given(2);
	struct endpoints *e;

	(void)state;
	c.balance = CONFIG_WEIGHTED;
	e = made(&c);
	for (size_t turn = 0; turn < 10; turn++)
		assert_int_equal(first(e, 0), turn % 2);
	endpoints_free(e);
}

/* ---- circuits ---------------------------------------------------------- */

static void failures_in_a_row_open_the_circuit_once(void **state)
{
	struct config_destination c = given(1);
	struct endpoints *e = made(&c);
	struct destination_round insist = {.insist = true};

	(void)state;
	assert_int_equal(fail_it(e, 0, FAILURES - 1, 0), ENDPOINT_SAME);
	assert_int_equal(endpoints_mark(e, 0, false, 0), ENDPOINT_SAME);
	assert_int_equal(fail_it(e, 0, FAILURES - 1, 0), ENDPOINT_SAME);
	assert_true(endpoints_available(e, 0));
	assert_int_equal(endpoints_circuit(e, 0, 0), CIRCUIT_CLOSED);
	assert_int_equal(endpoints_mark(e, 0, true, 0), ENDPOINT_DOWN);
	assert_int_equal(endpoints_mark(e, 0, true, 0), ENDPOINT_SAME);
	assert_int_equal(endpoints_circuit(e, 0, 0), CIRCUIT_OPEN);
	assert_false(endpoints_available(e, PAUSE - 1));
	assert_true(first(e, PAUSE - 1) == DESTINATION_NONE);
	/* a sender paces itself */
	assert_int_equal(endpoints_pick(e, &insist, 1), 0);
	assert_true(endpoints_pick(e, &insist, 1) == DESTINATION_NONE);
	assert_int_equal(endpoints_mark(e, 0, false, 2), ENDPOINT_UP);
	assert_int_equal(endpoints_mark(e, 0, false, 2), ENDPOINT_SAME);
	assert_true(endpoints_available(e, 2));
	endpoints_free(e);
}

static void half_open_lets_exactly_one_attempt_through(void **state)
{
	struct config_destination c = given(1);
	struct endpoints *e = made(&c);
	uint64_t now = PAUSE;

	(void)state;
	(void)fail_it(e, 0, FAILURES, 0);
	assert_int_equal(endpoints_circuit(e, 0, now), CIRCUIT_HALF_OPEN);
	assert_true(endpoints_available(e, now));
	assert_int_equal(first(e, now), 0);
	assert_int_equal(endpoints_circuit(e, 0, now), CIRCUIT_HALF_OPEN);
	assert_false(endpoints_available(e, now));
	assert_true(first(e, now) == DESTINATION_NONE);
	/* it fails: the pause begins anew */
	assert_int_equal(endpoints_mark(e, 0, true, now), ENDPOINT_SAME);
	assert_int_equal(endpoints_circuit(e, 0, now), CIRCUIT_OPEN);
	assert_true(first(e, now + PAUSE - 1) == DESTINATION_NONE);
	now += PAUSE;
	assert_int_equal(first(e, now), 0);
	assert_true(first(e, now) == DESTINATION_NONE);
	assert_int_equal(endpoints_mark(e, 0, false, now), ENDPOINT_UP);
	assert_int_equal(first(e, now), 0);
	assert_int_equal(first(e, now), 0);
	endpoints_free(e);
}

static void an_attempt_that_nobody_tells_of_does_not_shut_it_for_ever(void **s)
{
	struct config_destination c = given(1);
	struct endpoints *e = made(&c);

	(void)s;
	(void)fail_it(e, 0, FAILURES, 0);
	assert_int_equal(first(e, PAUSE), 0);
	assert_true(first(e, PAUSE + OPENING - 1) == DESTINATION_NONE);
	assert_int_equal(first(e, PAUSE + OPENING), 0);
	endpoints_free(e);
}

static void the_preferred_one_is_tried_again_by_traffic_without_echoes(void **s)
{
	struct config_destination c = given(2);
	struct endpoints *e = made(&c);

	(void)s;
	(void)fail_it(e, 0, FAILURES, 0);
	assert_int_equal(first(e, PAUSE - 1), 1);
	assert_int_equal(first(e, PAUSE), 0); /* the one attempt */
	assert_int_equal(first(e, PAUSE), 1);
	endpoints_free(e);
}

static void with_echoes_traffic_leaves_finding_out_to_them(void **state)
{
	struct config_destination c = given(2);
	struct destination_round r = {0};
	struct endpoints *e;

	(void)state;
	c.health.interval = INTERVAL;
	e = made(&c);
	(void)fail_it(e, 0, FAILURES, 0);
	assert_int_equal(endpoints_pick(e, &r, PAUSE), 1);
	assert_int_equal(endpoints_pick(e, &r, PAUSE),
			 0); /* better than none */
	(void)endpoints_mark(e, 0, false, PAUSE);
	assert_int_equal(first(e, PAUSE), 0);
	endpoints_free(e);
}

/* ---- when to ask ------------------------------------------------------- */

static void silent_ones_are_asked_after_the_interval(void **state)
{
	struct config_destination c = given(1);
	struct endpoints *e;

	(void)state;
	c.health.interval = INTERVAL;
	e = made(&c);
	assert_int_equal(endpoints_echo_in(e, 0, 0), INTERVAL);
	(void)endpoints_mark(e, 0, false, 5000);
	assert_int_equal(endpoints_echo_in(e, 0, 6000), INTERVAL - 1000);
	assert_int_equal(endpoints_echo_in(e, 0, 5000 + INTERVAL), 0);
	assert_int_equal(endpoints_echo_in(e, 0, 9000 + INTERVAL), 0);
	endpoints_free(e);
}

static void those_that_failed_are_asked_soon_then_more_rarely(void **state)
{
	static const uint64_t waits[] = {2000, 4000, 8000, 16000, 20000, 20000};
	struct config_destination c = given(1);
	struct endpoints *e;

	(void)state;
	c.health.interval = INTERVAL;
	e = made(&c);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		(void)endpoints_mark(e, 0, true, 1000);
		assert_int_equal(endpoints_echo_in(e, 0, 1000), waits[i]);
	}
	endpoints_free(e);
}

static void nobody_is_asked_when_echoes_are_off_or_it_is_a_device(void **state)
{
	struct config_destination c = given(1);
	struct endpoints *e = made(&c);

	(void)state;
	(void)endpoints_mark(e, 0, true, 0);
	assert_true(endpoints_echo_in(e, 0, 1u << 30) == UINT64_MAX);
	endpoints_free(e);
	c.health.interval = INTERVAL;
	c.implicit = true;
	e = made(&c);
	assert_true(endpoints_echo_in(e, 0, 1u << 30) == UINT64_MAX);
	endpoints_free(e);
}

/* ---- threads ----------------------------------------------------------- */

struct racer {
	pthread_t thread;
	struct destination *destination;
	pthread_barrier_t *start;
	unsigned got, turns;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	(void)pthread_barrier_wait(r->start);
	for (unsigned i = 0; i < r->turns; i++) {
		struct destination_round round = {0};
		size_t at = destination_pick(r->destination, &round);

		r->got += at != DESTINATION_NONE;
		if (at != DESTINATION_NONE && r->turns > 1)
			destination_mark(r->destination, at,
					 i % 3 == 0 ? NULL : "no");
		(void)destination_available(r->destination);
	}
	return NULL;
}

static unsigned let_race(struct destination *d, unsigned turns)
{
	struct racer racers[8];
	pthread_barrier_t start;
	unsigned got = 0;

	assert_int_equal(pthread_barrier_init(&start, NULL, 8), 0);
	for (size_t i = 0; i < 8; i++) {
		racers[i] = (struct racer){
		    .destination = d, .start = &start, .turns = turns};
		assert_int_equal(
		    pthread_create(&racers[i].thread, NULL, race, &racers[i]),
		    0);
	}
	for (size_t i = 0; i < 8; i++) {
		(void)pthread_join(racers[i].thread, NULL);
		got += racers[i].got;
	}
	(void)pthread_barrier_destroy(&start);
	return got;
}

static void of_many_threads_one_gets_the_attempt(void **state)
{
	struct config_destination c = given(1);
	struct timespec nap = {.tv_nsec = 10 * 1000000};
	struct destination_health h;
	struct destination *d;
	char why[768];

	(void)state;
	log_set_level(LOG_ERROR + 1);
	c.breaker.pause = 1000;
	assert_int_equal(destination_open(&c, &d, why), ERR_OK);
	for (unsigned i = 0; i < FAILURES; i++)
		destination_mark(d, 0, "nobody listens there");
	assert_false(destination_available(d));
	assert_true(destination_health(d, 0, &h));
	assert_string_equal(h.why, "nobody listens there");
	assert_int_equal(h.circuit, CIRCUIT_OPEN);
	for (int i = 0; !destination_available(d) && i < 6000; i++)
		(void)nanosleep(&nap, NULL);
	assert_int_equal(let_race(d, 1), 1);
	destination_mark(d, 0, NULL);
	assert_int_equal(let_race(d, 1), 8);
	assert_true(let_race(d, 2000) > 0); /* for the sanitizer */
	assert_false(destination_health(d, 1, &h));
	destination_close(d);
}

/* ---- with archives ------------------------------------------------------ */

#define TWO_ENDPOINTS(associate)                                               \
	"destinations:\n"                                                      \
	"  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\", "                \
	"\"127.0.0.1:%u\"],\n"                                                 \
	"      plaintext: {allowed: test}, ae_title: ARCHIVE,\n"               \
	"      associations: 1, timeouts: {connect: 10s, "                     \
	"associate: " associate ", response: 10s, idle: 100ms},\n"             \
	"      health: {interval: 300ms}, breaker: {failures: 2, pause: "      \
	"10m},\n"                                                              \
	"      retry: {first: 100ms, max: 10m}}\n"                             \
	"routes: [{service: storage, forward: [a]}]\n"

/* None fails because the machine is busy. */
static const char patient[] = TWO_ENDPOINTS("10s");
static const char impatient[] = TWO_ENDPOINTS("300ms");

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	kit_config(k, patient);
	*state = k;
	return 0;
}

static int setup_impatient(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_open(k);
	kit_config(k, impatient);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kit *k = *state;

	kit_close(k);
	free(k);
	return 0;
}

static struct destination_health health_of(struct kit *k, size_t i)
{
	struct destination_health h;

	assert_true(destination_health(k->destinations[0], i, &h));
	return h;
}

static void come_back(struct kit *k, size_t i)
{
	fake_start(&k->scp[i], k->scp[i].port);
}

static void an_endpoint_that_is_away_is_found_and_found_again(void **state)
{
	struct kit *k = *state;

	fake_stop(&k->scp[1]);
	kit_schedule(k);
	KIT_UNTIL(k, health_of(k, 1).circuit == CIRCUIT_OPEN);
	assert_true(health_of(k, 1).why[0] != '\0');
	assert_int_equal(health_of(k, 0).circuit, CIRCUIT_CLOSED);
	assert_true(destination_available(k->destinations[0]));
	KIT_UNTIL(k, health_of(k, 0).echoed_ms != 0);
	come_back(k, 1);
	KIT_UNTIL(k, health_of(k, 1).circuit == CIRCUIT_CLOSED);
	assert_string_equal(health_of(k, 1).why, "");
	assert_true(k->scp[1].echoes > 0);
}

static void one_that_listens_but_never_answers_is_down(void **state)
{
	struct kit *k = *state;

	k->scp[0].on_rq = FAKE_SILENT_RQ;
	k->scp[1].on_rq = FAKE_CLOSE_RQ;
	kit_schedule(k);
	KIT_UNTIL(k, !destination_available(k->destinations[0]));
	k->scp[0].on_rq = FAKE_ACCEPT;
	KIT_UNTIL(k, destination_available(k->destinations[0]));
	assert_int_equal(health_of(k, 0).circuit, CIRCUIT_CLOSED);
	assert_int_equal(health_of(k, 1).circuit, CIRCUIT_OPEN);
}

static void one_that_rejects_is_busy_not_down(void **state)
{
	struct kit *k = *state;

	memcpy(k->scp[0].reject, (uint8_t[]){2, 3, 1}, 3);
	k->scp[0].on_rq = FAKE_REJECT;
	kit_schedule(k);
	KIT_UNTIL(k,
		  health_of(k, 0).echoed_ms != 0 && k->scp[0].associations > 2);
	assert_int_equal(health_of(k, 0).circuit, CIRCUIT_CLOSED);
	assert_int_equal(health_of(k, 0).failures, 0);
}

static void instances_go_to_the_next_endpoint_when_the_first_is_away(void **s)
{
	struct kit *k = *s;

	fake_stop(&k->scp[0]);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, k->scp[1].n_stores == 2);
	KIT_UNTIL(k, kit_count(k, "a", DELIVERY_DELIVERED) == 2);
	assert_int_equal(health_of(k, 1).circuit, CIRCUIT_CLOSED);
	come_back(k, 0);
}

static void one_that_hangs_up_on_the_request_is_passed_over(void **state)
{
	struct kit *k = *state;

	k->scp[0].on_rq = FAKE_CLOSE_RQ;
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, k->scp[1].n_stores == 1);
}

static void senders_that_wait_go_on_when_an_echo_is_answered(void **state)
{
	struct kit *k = *state;
	struct destination_status st;

	fake_stop(&k->scp[0]);
	fake_stop(&k->scp[1]);
	kit_put(k, &(struct kit_instance){0}, NULL);
	kit_barrier(k);
	kit_schedule(k);
	KIT_UNTIL(k, !destination_available(k->destinations[0]));
	assert_true(scheduler_status(k->scheduler, 0, &st));
	assert_true(st.alert);
	assert_true(st.error[0] != '\0');
	come_back(k, 0);
	KIT_UNTIL(k, k->scp[0].n_stores == 1);
	come_back(k, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_round_gives_each_endpoint_once_in_order),
	    cmocka_unit_test(
		one_that_failed_comes_last_until_the_pause_is_over),
	    cmocka_unit_test(weights_are_kept_to_the_turn),
	    cmocka_unit_test(without_weights_all_have_the_same_share),
	    cmocka_unit_test(failures_in_a_row_open_the_circuit_once),
	    cmocka_unit_test(half_open_lets_exactly_one_attempt_through),
	    cmocka_unit_test(
		an_attempt_that_nobody_tells_of_does_not_shut_it_for_ever),
	    cmocka_unit_test(
		the_preferred_one_is_tried_again_by_traffic_without_echoes),
	    cmocka_unit_test(with_echoes_traffic_leaves_finding_out_to_them),
	    cmocka_unit_test(silent_ones_are_asked_after_the_interval),
	    cmocka_unit_test(those_that_failed_are_asked_soon_then_more_rarely),
	    cmocka_unit_test(
		nobody_is_asked_when_echoes_are_off_or_it_is_a_device),
	    cmocka_unit_test(of_many_threads_one_gets_the_attempt),
	    cmocka_unit_test_setup_teardown(
		an_endpoint_that_is_away_is_found_and_found_again, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		one_that_listens_but_never_answers_is_down, setup_impatient,
		teardown),
	    cmocka_unit_test_setup_teardown(one_that_rejects_is_busy_not_down,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(
		instances_go_to_the_next_endpoint_when_the_first_is_away, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		one_that_hangs_up_on_the_request_is_passed_over, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		senders_that_wait_go_on_when_an_echo_is_answered, setup,
		teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
