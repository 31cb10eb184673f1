/* Messages through an association that has legs: bytes, turns, order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/relay_kit.h"

/* ---- bytes ------------------------------------------------------------- */

static void bytes_pass_unchanged_however_they_are_cut(void **state)
{
	struct buf up, down;

	(void)state;
	kit_associate("CULVERT");
	buf_init(&up, 1 << 20);
	buf_init(&down, 1 << 20);
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct command rq = kit_request_command(C_FIND_RQ,
							(uint16_t)seed, true),
			       rsp = kit_response_command(
				   C_FIND_RSP, (uint16_t)seed, 0xff00, true);
		bool ris = seed % 2 == 0;
		struct end *far = ris ? AT_RIS : AT_PACS;
		uint8_t id = ris ? CTX_WORKLIST : CTX_FIND;

		buf_clear(&up);
		buf_clear(&down);
		kit_message(&up, id, &rq, seed * 97, seed);
		kit_put_cut(DEVICE, buf_data(&up), buf_len(&up), seed);
		kit_await_bytes(far, &up);
		kit_message(&down, id, &rsp, seed * 613, seed + 7);
		kit_put_cut(far, buf_data(&down), buf_len(&down), seed);
		kit_await_bytes(DEVICE, &down);
		rsp =
		    kit_response_command(C_FIND_RSP, (uint16_t)seed, 0, false);
		kit_send(far, id, &rsp, 0);
		kit_await_response(DEVICE, id, C_FIND_RSP, (uint16_t)seed, 0);
	}
	buf_free(&up);
	buf_free(&down);
	kit_release();
	assert_int_equal(AT_RIS->n_release_rq, 1);
	assert_int_equal(AT_PACS->n_release_rq, 1);
}

/* ---- the device's half ------------------------------------------------- */

static void an_early_answer_ends_nothing_twice(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 5, true),
		       rsp =
			   kit_response_command(C_STORE_RSP, 5, 0xa700, false);
	struct buf up;

	(void)state;
	kit_associate("LIVE");
	buf_init(&up, 1 << 20);
	kit_message(&up, CTX_STORE, &rq, 300000, 0);
	kit_put(DEVICE, buf_data(&up), 100000);
	UNTIL(buf_len(&AT_PACS->data) > 50000);
	kit_send(AT_PACS, CTX_STORE, &rsp, 0);
	kit_await_response(DEVICE, CTX_STORE, C_STORE_RSP, 5, 0xa700);
	kit_put(DEVICE, buf_data(&up) + 100000, buf_len(&up) - 100000);
	kit_await_bytes(AT_PACS, &up);
	buf_free(&up);
	kit_ask(CTX_FIND, 6);
	kit_await_request(AT_PACS, C_FIND_RQ, 6);
	kit_answer(AT_PACS, CTX_FIND, 6, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 6, 0);
	kit_release();
}

static void a_header_that_comes_with_the_request_is_not_lost(void **state)
{
	struct command rq = kit_request_command(C_FIND_RQ, 1, true);
	struct buf up;

	(void)state;
	kit_request("CULVERT");
	buf_init(&up, 1 << 20);
	kit_message(&up, CTX_FIND, &rq, 100, 0);
	UNTIL(stream_bytes_out(DEVICE->s) > 0);
	kit_put(DEVICE, buf_data(&up), 3);
	UNTIL(DEVICE->open);
	kit_for(20);
	kit_put(DEVICE, buf_data(&up) + 3, buf_len(&up) - 3);
	kit_await_bytes(AT_PACS, &up);
	buf_free(&up);
	kit_answer(AT_PACS, CTX_FIND, 1, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 1, 0);
	kit_release();
}

static void a_slow_destination_holds_the_device_back(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 5, true),
		       rsp = kit_response_command(C_STORE_RSP, 5, 0, false);
	struct buf up;
	size_t sent = 0;

	(void)state;
	kit_associate("LIVE");
	buf_init(&up, 64 << 20);
	kit_message(&up, CTX_STORE, &rq, 40 << 20, 0);
	stream_read_pause(AT_PACS->s);
	while (sent < buf_len(&up)) {
		size_t n =
		    buf_len(&up) - sent < 65536 ? buf_len(&up) - sent : 65536;

		kit_put(DEVICE, buf_data(&up) + sent, n);
		sent += n;
		kit_turn();
	}
	kit_for(100);
	/* what is not in the kernel waits at the device */
	assert_true(stream_queued(DEVICE->s) > (8 << 20));
	stream_read_resume(AT_PACS->s);
	kit_await_bytes(AT_PACS, &up);
	buf_free(&up);
	kit_send(AT_PACS, CTX_STORE, &rsp, 0);
	kit_await_response(DEVICE, CTX_STORE, C_STORE_RSP, 5, 0);
	kit_release();
}

/* ---- loss -------------------------------------------------------------- */

static void a_request_that_was_cut_in_half_is_answered(void **state)
{
	struct command rq = kit_request_command(C_FIND_RQ, 9, true);
	struct buf up;

	(void)state;
	kit_associate("CULVERT");
	buf_init(&up, 1 << 20);
	kit_message(&up, CTX_WORKLIST, &rq, 50000, 0);
	kit_put(DEVICE, buf_data(&up), 20000);
	UNTIL(buf_len(&AT_RIS->data) > 10000);
	kit_cut_off(AT_RIS);
	kit_put(DEVICE, buf_data(&up) + 20000, buf_len(&up) - 20000);
	buf_free(&up);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 9, 0xc001);
	kit_ask(CTX_WORKLIST, 10);
	kit_await_request(AT_RIS, C_FIND_RQ, 10);
	kit_answer(AT_RIS, CTX_WORKLIST, 10, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 10, 0);
	kit_release();
}

/* ---- the destination's half -------------------------------------------- */

static void an_early_answer_of_the_device_ends_nothing_twice(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true),
		       rsp =
			   kit_response_command(C_STORE_RSP, 50, 0xa700, false);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	kit_begin_get(1);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100000);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	kit_send(DEVICE, CTX_STORE, &rsp, 0);
	kit_await_response(AT_PACS, CTX_STORE, C_STORE_RSP, 50, 0xa700);
	kit_put(AT_PACS, buf_data(&down) + 100000, buf_len(&down) - 100000);
	kit_await_bytes(DEVICE, &down);
	buf_free(&down);
	kit_end_get(1);
	kit_release();
}

static void a_refusal_does_not_fall_into_a_message(void **state)
{
	struct command rq = kit_request_command(C_FIND_RQ, 3, true),
		       bad = kit_request_command(C_STORE_RQ, 60, true);
	struct buf up;

	(void)state;
	kit_associate("CULVERT");
	buf_init(&up, 1 << 20);
	kit_message(&up, CTX_FIND, &rq, 50000, 0);
	kit_put(DEVICE, buf_data(&up), 20000);
	UNTIL(buf_len(&AT_PACS->data) > 10000);
	kit_send(AT_PACS, CTX_FIND, &bad, 100);
	kit_for(20);
	kit_put(DEVICE, buf_data(&up) + 20000, buf_len(&up) - 20000);
	kit_await_bytes(AT_PACS, &up);
	buf_free(&up);
	kit_await_response(AT_PACS, CTX_FIND, C_STORE_RSP, 60, 0x0124);
	kit_answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	kit_release();
}

static void two_answers_in_one_pdu_are_a_fault_of_the_destination(void **state)
{
	struct command rsp = kit_response_command(C_FIND_RSP, 3, 0xff00, true);
	struct buf down;
	uint8_t *p;
	size_t n;

	(void)state;
	kit_associate("CULVERT");
	kit_ask(CTX_FIND, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_FIND, &rsp, 40, 0);
	n = buf_len(&down) - 46; /* the data set's PDU, with its header */
	kit_message(&down, CTX_FIND, &rsp, 40, 0);
	/* the command of the second into the PDU of the first data set */
	p = buf_data(&down);
	n -= 6;
	assert_int_equal(p[n], PDU_DATA_TF);
	{
		size_t more = n; /* length of the first PDU, with header */

		memmove(p + n + 6 + 46, p + n + 6 + 46 + 6,
			buf_len(&down) - (n + 6 + 46 + 6));
		p[n + 4] = (uint8_t)((46 + more - 6) >> 8);
		p[n + 5] = (uint8_t)(46 + more - 6);
	}
	kit_put(AT_PACS, p, buf_len(&down) - 6);
	buf_free(&down);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0xc001);
	UNTIL(AT_PACS->s == NULL);
	assert_int_equal(AT_PACS->n_abort, 1);
	kit_ask(CTX_FIND, 4);
	kit_await_request(AT_PACS, C_FIND_RQ, 4);
	kit_answer(AT_PACS, CTX_FIND, 4, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 4, 0);
	kit_release();
}

static void a_release_waits_for_the_message_under_way(void **state)
{
	struct command rq = kit_request_command(N_EVENT_REPORT_RQ, 70, true);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_PRINTER, &rq, 600000, 0);
	kit_put(AT_RIS, buf_data(&down), 500000);
	UNTIL(buf_len(&DEVICE->data) > 300000);
	kit_control(DEVICE, PDU_RELEASE_RQ);
	kit_for(50);
	assert_int_equal(DEVICE->n_release_rp, 0);
	kit_put(AT_RIS, buf_data(&down) + 500000, buf_len(&down) - 500000);
	kit_await_bytes(DEVICE, &down);
	buf_free(&down);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_release_rp, 1);
	UNTIL(AT_RIS->s == NULL);
}

/* ---- turns ------------------------------------------------------------- */

static void answers_wait_for_the_message_under_way(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	kit_begin_get(1);
	kit_ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100000);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	/* of another leg, of our own, refused */
	kit_answer(AT_RIS, CTX_WORKLIST, 2, 0xff00);
	kit_answer(AT_RIS, CTX_WORKLIST, 2, 0);
	kit_store(3, 1000);
	kit_for(50);
	kit_send(DEVICE, CTX_FIND,
		 &(struct command){.has = CMD_FIELD | CMD_MESSAGE_ID |
					  CMD_DATA_SET_TYPE,
				   .field = C_ECHO_RQ,
				   .message_id = 4,
				   .data_set_type = COMMAND_NO_DATA_SET},
		 0);
	kit_for(50);
	assert_true(buf_len(&DEVICE->data) < 100000);
	kit_put(AT_PACS, buf_data(&down) + 100000, buf_len(&down) - 100000);
	kit_await_bytes(DEVICE, &down);
	buf_free(&down);
	kit_await_response(DEVICE, CTX_STORE, C_STORE_RSP, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_ECHO_RSP, 4, 0x0124);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0xff00);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0);
	kit_end_get(1);
	kit_release();
}

static void a_release_waits_for_what_is_owed(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	kit_ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	kit_ask(CTX_FIND, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	kit_control(DEVICE, PDU_RELEASE_RQ);
	kit_answer(AT_RIS, CTX_WORKLIST, 2, 0xff00);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0xff00);
	kit_answer(AT_RIS, CTX_WORKLIST, 2, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0);
	kit_for(30);
	assert_int_equal(DEVICE->n_release_rp, 0);
	kit_cut_off(AT_PACS); /* which ends it, too */
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0xc001);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_release_rp, 1);
	UNTIL(AT_RIS->s == NULL);
	assert_int_equal(AT_RIS->n_release_rq, 1);
}

static void a_slow_device_holds_destinations_back(void **state)
{
	struct command rsp = kit_response_command(C_FIND_RSP, 2, 0xff00, true);
	struct buf ris, pacs;
	unsigned n_ris = 0, n_pacs = 0;

	(void)state;
	kit_associate("CULVERT");
	kit_ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	kit_ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	buf_init(&ris, 1 << 20);
	buf_init(&pacs, 1 << 20);
	kit_message(&ris, CTX_WORKLIST, &rsp, 100000, 0);
	kit_message(&pacs, CTX_FIND, &rsp, 500000, 0);
	stream_read_pause(DEVICE->s);
	for (int i = 0; i < 80; i++) {
		kit_put(AT_RIS, buf_data(&ris), buf_len(&ris));
		kit_put(AT_PACS, buf_data(&pacs), buf_len(&pacs));
	}
	kit_for(200);
	assert_true(stream_queued(AT_PACS->s) > (8 << 20));
	stream_read_resume(DEVICE->s);
	while (n_ris + n_pacs < 160) {
		struct got g;
		const struct buf *want;

		kit_await(DEVICE, &g);
		want = g.context_id == CTX_FIND ? &pacs : &ris;
		n_ris += want == &ris;
		n_pacs += want == &pacs;
		assert_int_equal(buf_len(&g.raw), buf_len(want));
		assert_memory_equal(buf_data(&g.raw), buf_data(want),
				    buf_len(want));
		buf_free(&g.raw);
	}
	assert_int_equal(n_ris, 80);
	buf_free(&ris);
	buf_free(&pacs);
	kit_answer(AT_RIS, CTX_WORKLIST, 2, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0);
	kit_answer(AT_PACS, CTX_FIND, 2, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0);
	kit_release();
}

#define RELAY(test)                                                            \
	cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RELAY(bytes_pass_unchanged_however_they_are_cut),
	    RELAY(an_early_answer_ends_nothing_twice),
	    RELAY(a_header_that_comes_with_the_request_is_not_lost),
	    RELAY(a_slow_destination_holds_the_device_back),
	    RELAY(a_request_that_was_cut_in_half_is_answered),
	    RELAY(an_early_answer_of_the_device_ends_nothing_twice),
	    RELAY(a_refusal_does_not_fall_into_a_message),
	    RELAY(two_answers_in_one_pdu_are_a_fault_of_the_destination),
	    RELAY(a_release_waits_for_the_message_under_way),
	    RELAY(answers_wait_for_the_message_under_way),
	    RELAY(a_release_waits_for_what_is_owed),
	    RELAY(a_slow_device_holds_destinations_back),
	};

	net_mem_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
