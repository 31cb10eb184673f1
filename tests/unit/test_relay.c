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

#define DEVICE  (&kit.device)
#define AT_RIS  (&kit.far[RIS].end)
#define AT_PACS (&kit.far[PACS].end)

static void release(void)
{
	kit_control(DEVICE, PDU_RELEASE_RQ);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_release_rp, 1);
	UNTIL(AT_RIS->s == NULL && AT_PACS->s == NULL);
}

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
	release();
	assert_int_equal(AT_RIS->n_release_rq, 1);
	assert_int_equal(AT_PACS->n_release_rq, 1);
}

/* ---- the device's half ------------------------------------------------- */

static void ask(uint8_t context_id, uint16_t id)
{
	struct command c = kit_request_command(C_FIND_RQ, id, true);

	kit_send(DEVICE, context_id, &c, 100);
}

static void answer(struct end *far, uint8_t context_id, uint16_t id,
		   uint16_t status)
{
	struct command c =
	    kit_response_command(C_FIND_RSP, id, status, status == 0xff00);

	kit_send(far, context_id, &c, 300);
}

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
	ask(CTX_FIND, 6);
	kit_await_request(AT_PACS, C_FIND_RQ, 6);
	answer(AT_PACS, CTX_FIND, 6, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 6, 0);
	release();
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
	answer(AT_PACS, CTX_FIND, 1, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 1, 0);
	release();
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
	kit_message(&up, CTX_STORE, &rq, 24 << 20, 0);
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
	release();
}

/* ---- loss -------------------------------------------------------------- */

static void cut_off(struct end *far)
{
	stream_close(far->s, ERR_CANCELED);
	UNTIL(far->s == NULL);
	kit_for(5);
}

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
	cut_off(AT_RIS);
	kit_put(DEVICE, buf_data(&up) + 20000, buf_len(&up) - 20000);
	buf_free(&up);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 9, 0xc001);
	ask(CTX_WORKLIST, 10);
	kit_await_request(AT_RIS, C_FIND_RQ, 10);
	answer(AT_RIS, CTX_WORKLIST, 10, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 10, 0);
	release();
}

/* ---- the destination's half -------------------------------------------- */

static void begin_get(uint16_t id)
{
	struct command c = kit_request_command(C_GET_RQ, id, true);

	kit_send(DEVICE, CTX_GET, &c, 100);
	kit_await_request(AT_PACS, C_GET_RQ, id);
}

static void end_get(uint16_t id)
{
	struct command c = kit_response_command(C_GET_RSP, id, 0, false);

	kit_send(AT_PACS, CTX_GET, &c, 0);
	kit_await_response(DEVICE, CTX_GET, C_GET_RSP, id, 0);
}

static void an_early_answer_of_the_device_ends_nothing_twice(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true),
		       rsp =
			   kit_response_command(C_STORE_RSP, 50, 0xa700, false);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	begin_get(1);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100000);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	kit_send(DEVICE, CTX_STORE, &rsp, 0);
	kit_await_response(AT_PACS, CTX_STORE, C_STORE_RSP, 50, 0xa700);
	kit_put(AT_PACS, buf_data(&down) + 100000, buf_len(&down) - 100000);
	kit_await_bytes(DEVICE, &down);
	buf_free(&down);
	end_get(1);
	release();
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
	answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	release();
}

static void two_answers_in_one_pdu_are_a_fault_of_the_destination(void **state)
{
	struct command rsp = kit_response_command(C_FIND_RSP, 3, 0xff00, true);
	struct buf down;
	uint8_t *p;
	size_t n;

	(void)state;
	kit_associate("CULVERT");
	ask(CTX_FIND, 3);
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
	ask(CTX_FIND, 4);
	kit_await_request(AT_PACS, C_FIND_RQ, 4);
	answer(AT_PACS, CTX_FIND, 4, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 4, 0);
	release();
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

static void store_here(uint16_t id, size_t n)
{
	struct command c = kit_request_command(C_STORE_RQ, id, true);

	kit_send(DEVICE, CTX_STORE, &c, n);
}

static void answers_wait_for_the_message_under_way(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	begin_get(1);
	ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100000);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	/* of another leg, of our own, refused */
	answer(AT_RIS, CTX_WORKLIST, 2, 0xff00);
	answer(AT_RIS, CTX_WORKLIST, 2, 0);
	store_here(3, 1000);
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
	end_get(1);
	release();
}

static void a_release_waits_for_what_is_owed(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	ask(CTX_FIND, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	kit_control(DEVICE, PDU_RELEASE_RQ);
	answer(AT_RIS, CTX_WORKLIST, 2, 0xff00);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0xff00);
	answer(AT_RIS, CTX_WORKLIST, 2, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0);
	kit_for(30);
	assert_int_equal(DEVICE->n_release_rp, 0);
	cut_off(AT_PACS); /* which ends it, too */
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
	ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	buf_init(&ris, 1 << 20);
	buf_init(&pacs, 1 << 20);
	kit_message(&ris, CTX_WORKLIST, &rsp, 100000, 0);
	kit_message(&pacs, CTX_FIND, &rsp, 500000, 0);
	stream_read_pause(DEVICE->s);
	for (int i = 0; i < 40; i++) {
		kit_put(AT_RIS, buf_data(&ris), buf_len(&ris));
		kit_put(AT_PACS, buf_data(&pacs), buf_len(&pacs));
	}
	kit_for(200);
	assert_true(stream_queued(AT_PACS->s) > (8 << 20));
	stream_read_resume(DEVICE->s);
	while (n_ris + n_pacs < 80) {
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
	assert_int_equal(n_ris, 40);
	buf_free(&ris);
	buf_free(&pacs);
	answer(AT_RIS, CTX_WORKLIST, 2, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0);
	answer(AT_PACS, CTX_FIND, 2, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0);
	release();
}

/* ---- opening again ----------------------------------------------------- */

static void a_lost_leg_is_opened_again_or_answered_for(void **state)
{
	struct command c = kit_request_command(C_FIND_RQ, 3, true);
	struct buf two;

	(void)state;
	kit_associate("CULVERT");
	cut_off(AT_RIS);
	ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	kit_control(AT_RIS, PDU_RELEASE_RQ);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0xc001);
	UNTIL(AT_RIS->s == NULL);
	assert_int_equal(AT_RIS->n_release_rp, 1);
	kit.far[RIS].rejects = true;
	ask(CTX_WORKLIST, 3);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 3, 0xc001);
	kit.far[RIS].rejects = false;
	kit.far[RIS].silent = true;
	ask(CTX_WORKLIST, 4);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 4, 0xc001);
	kit.far[RIS].silent = false;
	UNTIL(AT_RIS->s == NULL);
	kit.far[RIS].refused = CTX_WORKLIST; /* which it had accepted */
	ask(CTX_WORKLIST, 5);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 5, 0xc001);
	UNTIL(AT_RIS->s == NULL);
	kit.far[RIS].refused = 0;
	/* what comes behind the one that waits waits, too */
	buf_init(&two, 1 << 20);
	kit_message(&two, CTX_WORKLIST, &c, 100, 5);
	kit_message(&two, CTX_FIND, &c, 5000, 6);
	kit_put_cut(DEVICE, buf_data(&two), buf_len(&two), 7);
	buf_free(&two);
	kit_await_request(AT_RIS, C_FIND_RQ, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	answer(AT_RIS, CTX_WORKLIST, 3, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 3, 0);
	answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	release();
}

static void a_destination_that_is_away_costs_only_its_contexts(void **state)
{
	(void)state;
	kit.far[RIS].rejects = true;
	kit_associate("CULVERT");
	assert_int_not_equal(kit_result(CTX_WORKLIST), 0);
	assert_int_equal(kit_result(CTX_FIND), 0);
	assert_int_equal(kit_result(CTX_ECHO), 0);
	ask(CTX_FIND, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	release();
}

static void a_cancel_passes_in_mid_stream(void **state)
{
	struct command c = kit_request_command(C_CANCEL_RQ, 2, false);

	(void)state;
	kit_associate("CULVERT");
	ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	for (int i = 0; i < 5; i++)
		answer(AT_PACS, CTX_FIND, 2, 0xff00);
	kit_send(DEVICE, CTX_FIND, &c, 0);
	kit_await_request(AT_PACS, C_CANCEL_RQ, 2);
	for (int i = 0; i < 5; i++)
		kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xff00);
	answer(AT_PACS, CTX_FIND, 2, 0xfe00);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xfe00);
	/* to nobody: it is dropped */
	cut_off(AT_PACS);
	kit_send(DEVICE, CTX_FIND, &c, 0);
	store_here(3, 100);
	kit_await_response(DEVICE, CTX_STORE, C_STORE_RSP, 3, 0);
	release();
}

/* ---- the end ----------------------------------------------------------- */

static void a_drain_waits_for_what_is_owed(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	association_drain(&kit.env, false);
	kit_for(20);
	assert_int_equal(DEVICE->n_abort, 0);
	answer(AT_PACS, CTX_FIND, 2, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_abort, 1);
	UNTIL(AT_RIS->s == NULL && AT_PACS->s == NULL);
}

static void a_drain_waits_for_a_request_that_fails(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	cut_off(AT_PACS);
	kit.far[PACS].silent = true;
	ask(CTX_FIND, 2);
	kit_for(20);
	association_drain(&kit.env, false);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xc001);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_abort, 1);
}

static void half_a_message_ends_both_sides(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true);
	struct buf down;

	(void)state;
	kit_associate("CULVERT");
	begin_get(1);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100001);
	buf_free(&down);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	cut_off(AT_PACS);
	UNTIL(DEVICE->s == NULL); /* at once, not after ARTIM */
	UNTIL(AT_RIS->s == NULL);
	assert_int_equal(AT_RIS->n_abort, 1);
}

/* ---- time -------------------------------------------------------------- */

static struct config_destination *destination(const char *name)
{
	for (size_t i = 0; i < kit.config->n_destinations; i++) {
		if (strcmp(kit.config->destinations[i].name, name) == 0)
			return &kit.config->destinations[i];
	}
	return NULL;
}

static void silence_of_a_destination_is_answered(void **state)
{
	(void)state;
	destination("pacs")->timeouts.response = 100;
	kit_associate("CULVERT");
	ask(CTX_FIND, 2);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xc001);
	UNTIL(AT_PACS->s == NULL);
	assert_int_equal(AT_PACS->n_abort, 1);
	release();
}

static void a_destination_that_trickles_is_answered_for(void **state)
{
	struct command rsp = kit_response_command(C_FIND_RSP, 2, 0xff00, true);
	struct buf down;

	(void)state;
	destination("pacs")->timeouts.response = 200;
	kit_associate("CULVERT");
	ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_FIND, &rsp, 1000, 0);
	for (size_t i = 0; i < buf_len(&down) && AT_PACS->s != NULL; i++) {
		kit_put(AT_PACS, buf_data(&down) + i, 1);
		kit_for(20);
	}
	buf_free(&down);
	assert_null(AT_PACS->s);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xc001);
	release();
}

static void half_a_message_does_not_keep_the_turn(void **state)
{
	struct command rq = kit_request_command(N_EVENT_REPORT_RQ, 70, true);
	struct buf down;

	(void)state;
	destination("ris")->timeouts.response = 100;
	kit_associate("CULVERT");
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_PRINTER, &rq, 600000, 0);
	kit_put(AT_RIS, buf_data(&down), 500000);
	buf_free(&down);
	UNTIL(DEVICE->s == NULL);
}

static void a_device_that_does_not_answer_is_let_go(void **state)
{
	struct command rq = kit_request_command(C_STORE_RQ, 50, true);

	(void)state;
	kit.config->listeners[0].timeouts.idle = 200;
	kit_associate("CULVERT");
	begin_get(1);
	kit_send(AT_PACS, CTX_STORE, &rq, 1000);
	kit_await_request(DEVICE, C_STORE_RQ, 50);
	UNTIL(DEVICE->s == NULL);
	UNTIL(AT_PACS->s == NULL);
	assert_int_equal(AT_PACS->n_abort, 1);
}

/* ---- at any point ------------------------------------------------------ */

/* A worklist query, a retrieval with one instance, an instance of the
 * device's, all at once. far is cut off when it has sent or got so many bytes;
 * the device then must have an answer to all it asked, or be at an end. */
struct script {
	struct buf device, ris, pacs;
};

static void add_request(struct buf *b, uint8_t context_id, uint16_t field,
			uint16_t id, size_t n, unsigned seed)
{
	struct command c = kit_request_command(field, id, true);

	kit_message(b, context_id, &c, n, seed);
}

static void add_response(struct buf *b, uint8_t context_id, uint16_t field,
			 uint16_t id, uint16_t status, unsigned seed)
{
	struct command c =
	    kit_response_command(field, id, status, status == 0xff00);

	kit_message(b, context_id, &c, 700, seed);
}

static void script_begin(struct script *s, unsigned seed)
{
	buf_init(&s->device, 1 << 20);
	buf_init(&s->ris, 1 << 20);
	buf_init(&s->pacs, 1 << 20);
	add_request(&s->device, CTX_WORKLIST, C_FIND_RQ, 1, 300, seed);
	add_request(&s->device, CTX_GET, C_GET_RQ, 2, 300, seed);
	add_request(&s->device, CTX_STORE, C_STORE_RQ, 3, 3000, seed);
	add_response(&s->device, CTX_STORE, C_STORE_RSP, 9, 0, seed);
	add_response(&s->ris, CTX_WORKLIST, C_FIND_RSP, 1, 0xff00, seed);
	add_response(&s->ris, CTX_WORKLIST, C_FIND_RSP, 1, 0, seed);
	add_response(&s->pacs, CTX_GET, C_GET_RSP, 2, 0xff00, seed);
	add_request(&s->pacs, CTX_STORE, C_STORE_RQ, 9, 3000, seed);
	add_response(&s->pacs, CTX_GET, C_GET_RSP, 2, 0, seed);
}

static void script_end(struct script *s)
{
	buf_free(&s->device);
	buf_free(&s->ris);
	buf_free(&s->pacs);
}

enum { ALL = 1u << 1 | 1u << 2 | 1u << 3 }; /* that the device asks */

/* All three send what they have in small pieces, in turns, the destinations
 * once they were asked, until cut says that one goes. */
static void play(struct script *s, unsigned seed, struct end *goes,
		 size_t after)
{
	struct {
		struct end *e;
		struct buf *b;
		size_t sent;
	} who[] = {{DEVICE, &s->device, 0},
		   {AT_RIS, &s->ris, 0},
		   {AT_PACS, &s->pacs, 0}};
	unsigned idle = 0;

	while (idle < 300) {
		size_t i = kit_random(&seed) % 3;
		size_t left = buf_len(who[i].b) - who[i].sent;
		size_t n = 1 + kit_random(&seed) % 400;

		idle++;
		if (i > 0 && buf_len(&who[i].e->data) < 350)
			left = 0; /* not asked yet */
		n = n < left ? n : left;
		if (who[i].e == goes && who[i].sent + n > after)
			n = after - who[i].sent;
		if (n > 0 && who[i].e->s != NULL) {
			kit_put(who[i].e, buf_data(who[i].b) + who[i].sent, n);
			who[i].sent += n;
			idle = 0;
		}
		if (who[i].e == goes && who[i].sent == after &&
		    goes->s != NULL) {
			stream_close(goes->s, ERR_CANCELED);
			who[i].sent = buf_len(who[i].b); /* for good */
			goes = NULL;
		}
		kit_turn();
	}
}

static unsigned answered(void)
{
	unsigned ids = 0;
	struct got g;

	while (kit_take(DEVICE, &g)) {
		if ((g.command.field & COMMAND_RESPONSE) != 0 &&
		    g.command.status != 0xff00)
			ids |= 1u << g.command.responded_id;
		buf_free(&g.raw);
	}
	return ids;
}

static void again(void)
{
	kit_teardown(NULL);
	kit_setup(NULL);
}

static void sweep(bool ris, size_t step)
{
	struct script s;
	unsigned ids;
	size_t len;

	script_begin(&s, 0);
	len = buf_len(ris ? &s.ris : &s.pacs);
	script_end(&s);
	for (size_t at = 0; at < len; at += step) {
		unsigned seed = (unsigned)at + 1;

		script_begin(&s, at % 2 == 0 ? 0 : seed);
		destination("ris")->timeouts.response = 200;
		destination("pacs")->timeouts.retrieve = 200;
		kit_associate("CULVERT");
		play(&s, seed, ris ? AT_RIS : AT_PACS, at);
		ids = 0;
		UNTIL(DEVICE->s == NULL || (ids |= answered()) == ALL);
		assert_true(!ris || DEVICE->s != NULL);
		script_end(&s);
		again();
	}
}

static void a_leg_is_lost_at_any_point(void **state)
{
	(void)state;
	sweep(true, 37);
	sweep(false, 97);
}

static void nothing_is_lost_when_nobody_goes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 12; seed++) {
		struct script s;

		script_begin(&s, seed);
		kit_associate("CULVERT");
		play(&s, seed, NULL, 0);
		assert_int_equal(answered(), ALL);
		release();
		script_end(&s);
		again();
	}
}

static void a_device_leaves_at_any_point(void **state)
{
	struct script s;

	(void)state;
	for (size_t at = 0; at < 4000; at += 97) {
		script_begin(&s, (unsigned)at);
		kit_associate("CULVERT");
		play(&s, (unsigned)at, DEVICE, at);
		UNTIL(AT_RIS->s == NULL && AT_PACS->s == NULL);
		script_end(&s);
		again();
	}
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
	    RELAY(a_lost_leg_is_opened_again_or_answered_for),
	    RELAY(a_destination_that_is_away_costs_only_its_contexts),
	    RELAY(a_cancel_passes_in_mid_stream),
	    RELAY(a_drain_waits_for_what_is_owed),
	    RELAY(a_drain_waits_for_a_request_that_fails),
	    RELAY(half_a_message_ends_both_sides),
	    RELAY(silence_of_a_destination_is_answered),
	    RELAY(a_destination_that_trickles_is_answered_for),
	    RELAY(half_a_message_does_not_keep_the_turn),
	    RELAY(a_device_that_does_not_answer_is_let_go),
	    RELAY(a_leg_is_lost_at_any_point),
	    RELAY(nothing_is_lost_when_nobody_goes),
	    RELAY(a_device_leaves_at_any_point),
	};

	net_mem_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
