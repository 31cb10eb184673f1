#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/leg_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/leg_kit.h"
#include "tests/unit/net_fixture.h"

static int setup_plain(void **state)
{
	(void)state;
	leg_kit_begin(false);
	return 0;
}

static int setup_tls(void **state)
{
	(void)state;
	leg_kit_begin(true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	leg_kit_end();
	return 0;
}

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- opening ----------------------------------------------------------- */

static void a_permanent_rejection_is_handed_on_at_once(void **state)
{
	(void)state;
	leg_kit_destination(2);
	kit.far[0].on_rq = FAR_REJECT;
	memcpy(kit.far[0].reject, "\1\1\7", 3);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 1);
	assert_true(kit.near.refusal.rejected);
	assert_int_equal(kit.near.refusal.reject.reason, 7);
	assert_non_null(strstr(kit.near.detail, "1/1/7"));
	assert_int_equal(kit.far[1].n_conns, 0);
}

static void a_transient_rejection_leads_to_the_next_endpoint(void **state)
{
	(void)state;
	leg_kit_destination(2);
	kit.far[0].on_rq = FAR_REJECT;
	memcpy(kit.far[0].reject, "\2\3\1", 3);
	leg_kit_established();
	assert_int_equal(kit.far[0].n_rq, 1);
	assert_int_equal(kit.far[1].n_rq, 1);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void the_last_transient_rejection_is_handed_on(void **state)
{
	(void)state;
	leg_kit_destination(2);
	kit.far[0].on_rq = kit.far[1].on_rq = FAR_REJECT;
	memcpy(kit.far[0].reject, "\2\3\1", 3);
	memcpy(kit.far[1].reject, "\2\3\2", 3);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 1);
	assert_true(kit.near.refusal.rejected);
	assert_int_equal(kit.near.refusal.reject.reason, 2);
}

static void every_bad_answer_leads_to_the_next_endpoint(void **state)
{
	static const enum far_on_rq bad[] = {FAR_CLOSE,   FAR_ABORT,
					     FAR_GARBAGE, FAR_BAD_AC,
					     FAR_LONG_AC, FAR_DATA};

	(void)state;
	kit.config.breaker.failures = 100;
	leg_kit_destination(2);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		unsigned before = kit.far[1].n_rq;

		kit.far[0].on_rq = bad[i];
		destination_mark(kit.d, 0, NULL);
		leg_kit_established();
		assert_int_equal(kit.far[0].n_rq, i + 1);
		assert_int_equal(kit.far[1].n_rq, before + 1);
		UNTIL(kit.far[0].n_closed == i + 1);
		near_release(&kit.near);
		UNTIL(kit.near.n_gone);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
	/* what cannot be understood is answered with A-ABORT (AA-8) */
	assert_int_equal(kit.far[0].n_abort, 4);
	assert_int_equal(kit.far[0].abort_source, ABORT_PROVIDER);
}

static void nothing_but_bad_answers_is_a_refusal_with_a_cause(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_GARBAGE;
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 1);
	assert_false(kit.near.refusal.rejected);
}

/* A port that takes connections into its backlog, and no more. */
static int deaf_port(uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static void a_black_hole_leaves_time_for_the_second_endpoint(void **state)
{
	int fd = deaf_port(&kit.endpoints[0].port);
	uint64_t begun = now_ms();

	(void)state;
	(void)snprintf(kit.endpoints[0].host, sizeof(kit.endpoints[0].host),
		       "127.0.0.1");
	kit.deadline_ms = 2000;
	leg_kit_destination(2);
	leg_kit_established();
	assert_true(now_ms() - begun >= 990);
	assert_int_equal(kit.far[1].n_rq, 1);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	close(fd);
}

/* What was timed for an attempt must not end the association after it. */
static void a_silent_endpoint_leaves_no_timer_behind(void **state)
{
	(void)state;
	kit.deadline_ms = 2000;
	kit.far[0].on_rq = FAR_SILENT;
	leg_kit_destination(2);
	leg_kit_established();
	assert_int_equal(kit.far[1].n_rq, 1);
	assert_int_equal(kit.near.l->artim_at, 0);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void black_holes_alone_end_within_the_deadline(void **state)
{
	int fd = deaf_port(&kit.endpoints[0].port);
	uint64_t begun = now_ms();

	(void)state;
	(void)snprintf(kit.endpoints[0].host, sizeof(kit.endpoints[0].host),
		       "127.0.0.1");
	kit.deadline_ms = 300;
	kit.far[1].on_rq = FAR_SILENT;
	leg_kit_destination(2);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 1);
	assert_true(now_ms() - begun >= 290 && now_ms() - begun < 30000);
	UNTIL(kit.far[1].n_abort == 1); /* it was told */
	assert_int_equal(kit.far[1].abort_source, ABORT_USER);
	close(fd);
}

static void an_address_that_nobody_has_is_passed_over(void **state)
{
	(void)state;
	(void)snprintf(kit.endpoints[0].host, sizeof(kit.endpoints[0].host),
		       "127.0.0.1");
	kit.endpoints[0].port = 1;
	leg_kit_destination(2);
	leg_kit_established();
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void an_open_circuit_refuses_without_a_connection(void **state)
{
	struct near *n = &kit.near;

	(void)state;
	leg_kit_destination(1);
	for (int i = 0; i < 3; i++)
		destination_mark(kit.d, 0, "down");
	assert_int_equal(near_open(n), ERR_OK);
	assert_int_equal(n->n_refused, 0); /* never inside the call */
	UNTIL(n->n_gone);
	assert_int_equal(n->n_refused, 1);
	assert_string_equal(n->refusal.code, "circuit-open");
	assert_int_equal(kit.far[0].n_conns, 0);
}

static void failed_openings_open_the_circuit(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_CLOSE;
	for (int i = 0; i < 3; i++) {
		assert_true(destination_available(kit.d));
		assert_int_equal(near_open(&kit.near), ERR_OK);
		UNTIL(kit.near.n_gone);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
	assert_false(destination_available(kit.d));
	assert_int_equal(kit.far[0].n_conns, 3);
}

static void a_request_that_is_none_is_not_taken(void **state)
{
	struct leg_request r = {.worker = kit.w,
				.rq = (const uint8_t *)"\4\0\0\0\0\0",
				.rq_len = 6};
	static const struct leg_events none;
	struct leg *l;

	(void)state;
	leg_kit_destination(1);
	r.destination = kit.d;
	assert_int_equal(leg_open(&r, &none, NULL, &l), ERR_INVAL);
	r.rq = (const uint8_t *)"\1\0\0\0\0\2";
	assert_int_equal(leg_open(&r, &none, NULL, &l), ERR_INVAL);
}

/* ---- data with the answer ---------------------------------------------- */

static void data_in_one_piece_with_the_acceptance_follows_it(void **state)
{
	uint8_t want[512];
	size_t n = leg_kit_pdata(want, 100);

	(void)state;
	n += leg_kit_pdata(want + n, 200);
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_ACCEPT_WITH_DATA;
	leg_kit_established();
	UNTIL(buf_len(&kit.near.got) == n);
	assert_memory_equal(buf_data(&kit.near.got), want, n);
	near_abort(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void pause_when_accepted(struct near *n, const char *event)
{
	if (strcmp(event, "accepted") == 0)
		leg_pause(n->l);
}

static void data_with_the_acceptance_waits_for_a_paused_owner(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_ACCEPT_WITH_DATA;
	kit.near.probe = pause_when_accepted;
	leg_kit_established();
	for (int i = 0; i < 50; i++)
		leg_kit_turn();
	assert_int_equal(buf_len(&kit.near.got), 0);
	kit.near.in_call = true;
	leg_resume(kit.near.l);
	kit.near.in_call = false;
	UNTIL(buf_len(&kit.near.got) == 324);
	far_put(far_last(&kit.far[0]), buf_data(&kit.near.got), 324);
	UNTIL(buf_len(&kit.near.got) == 648);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void a_paused_owner_is_not_flooded(void **state)
{
	static uint8_t pdu[65536];
	size_t n = leg_kit_pdata(pdu, 60000);
	struct far_conn *c;

	(void)state;
	leg_kit_destination(1);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	leg_pause(kit.near.l); /* before there is anything to pause */
	UNTIL(kit.near.n_accepted);
	c = far_last(&kit.far[0]);
	for (int i = 0; i < 40; i++)
		far_put(c, pdu, n);
	for (int i = 0; i < 100; i++)
		leg_kit_turn();
	assert_int_equal(buf_len(&kit.near.got), 0);
	leg_resume(kit.near.l);
	UNTIL(buf_len(&kit.near.got) == 40 * n);
	near_abort(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void data_that_waits_goes_with_a_worker_that_stops(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_ACCEPT_WITH_DATA;
	kit.near.probe = pause_when_accepted;
	leg_kit_established();
}

static void a_leg_released_while_paused_sees_the_answer(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_ACCEPT_WITH_DATA;
	kit.near.probe = pause_when_accepted;
	leg_kit_established();
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_release_rq, 1);
	assert_int_equal(kit.far[0].n_abort, 0);
	assert_int_equal(buf_len(&kit.near.got), 0);
}

/* ---- giving up --------------------------------------------------------- */

static void an_abort_reaches_the_peer(void **state)
{
	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	near_abort(&kit.near);
	leg_abort(kit.near.l); /* again */
	leg_release(kit.near.l);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_abort, 1);
	assert_int_equal(kit.far[0].abort_source, ABORT_USER);
	assert_int_equal(kit.far[0].n_release_rq, 0);
}

static void opening_may_be_given_up_at_any_turn(void **state)
{
	(void)state;
	kit.far[0].on_rq = FAR_SILENT;
	leg_kit_destination(1);
	for (int at = 0; at < 30; at++) {
		assert_int_equal(near_open(&kit.near), ERR_OK);
		for (int i = 0; i < at; i++)
			leg_kit_turn();
		if (at % 2 == 0)
			near_abort(&kit.near);
		else
			near_release(&kit.near);
		UNTIL(kit.near.n_gone);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
	assert_true(kit.far[0].n_abort > 5);
}

static void a_refusal_not_yet_told_may_be_cancelled(void **state)
{
	(void)state;
	leg_kit_destination(1);
	for (int i = 0; i < 3; i++)
		destination_mark(kit.d, 0, "down");
	assert_int_equal(near_open(&kit.near), ERR_OK);
	near_abort(&kit.near);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_refused, 0);
}

static const char *abort_at;

static void abort_in_event(struct near *n, const char *event)
{
	if (strcmp(event, abort_at) == 0)
		near_abort(n);
}

static void a_leg_may_be_aborted_inside_any_event(void **state)
{
	static const char *const events[] = {"accepted", "refused", "read",
					     "released", "lost"};
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)state;
	kit.config.breaker.failures = 100;
	leg_kit_destination(1);
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		abort_at = events[i];
		kit.near.probe = abort_in_event;
		kit.far[0].on_rq = i == 1   ? FAR_CLOSE
				   : i == 3 ? FAR_RELEASES
					    : FAR_ACCEPT_WITH_DATA;
		assert_int_equal(near_open(&kit.near), ERR_OK);
		if (i == 4) {
			UNTIL(kit.near.n_accepted);
			far_put(
			    far_last(&kit.far[0]), pdu,
			    pdu_abort_encode(pdu, (struct pdu_abort){0, 0}));
		}
		UNTIL(kit.near.n_gone);
		assert_true(kit.near.detached);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
}

static void a_worker_that_stops_ends_its_legs(void **state)
{
	(void)state;
	leg_kit_destination(1);
	leg_kit_established(); /* the rest is leg_kit_end()'s */
}

static void a_worker_may_stop_while_legs_open(void **state)
{
	(void)state;
	kit.far[0].on_rq = FAR_SILENT;
	leg_kit_destination(2);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	leg_kit_turn();
}

#define BOTH(test)                                                             \
	cmocka_unit_test_setup_teardown(test, setup_plain, teardown),          \
	    cmocka_unit_test_setup_teardown(test, setup_tls, teardown)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup_plain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(a_permanent_rejection_is_handed_on_at_once),
	    BOTH(a_transient_rejection_leads_to_the_next_endpoint),
	    PLAIN(the_last_transient_rejection_is_handed_on),
	    BOTH(every_bad_answer_leads_to_the_next_endpoint),
	    PLAIN(nothing_but_bad_answers_is_a_refusal_with_a_cause),
	    BOTH(a_black_hole_leaves_time_for_the_second_endpoint),
	    BOTH(a_silent_endpoint_leaves_no_timer_behind),
	    BOTH(black_holes_alone_end_within_the_deadline),
	    PLAIN(an_address_that_nobody_has_is_passed_over),
	    PLAIN(an_open_circuit_refuses_without_a_connection),
	    PLAIN(failed_openings_open_the_circuit),
	    PLAIN(a_request_that_is_none_is_not_taken),
	    BOTH(data_in_one_piece_with_the_acceptance_follows_it),
	    BOTH(data_with_the_acceptance_waits_for_a_paused_owner),
	    BOTH(a_paused_owner_is_not_flooded),
	    BOTH(data_that_waits_goes_with_a_worker_that_stops),
	    BOTH(a_leg_released_while_paused_sees_the_answer),
	    BOTH(an_abort_reaches_the_peer),
	    BOTH(opening_may_be_given_up_at_any_turn),
	    PLAIN(a_refusal_not_yet_told_may_be_cancelled),
	    BOTH(a_leg_may_be_aborted_inside_any_event),
	    BOTH(a_worker_that_stops_ends_its_legs),
	    BOTH(a_worker_may_stop_while_legs_open),
	};

	net_mem_install();
	return cmocka_run_group_tests_name("leg_open", tests, NULL, NULL);
}
