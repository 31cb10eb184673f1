/* Legs that are lost, opened again, silent; devices that leave. */
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

/* ---- opening again ----------------------------------------------------- */

static void a_lost_leg_is_opened_again_or_answered_for(void **state)
{
	struct command c = kit_request_command(C_FIND_RQ, 3, true);
	struct buf two;

	(void)state;
	kit_associate("CULVERT");
	kit_cut_off(AT_RIS);
	kit_ask(CTX_WORKLIST, 2);
	kit_await_request(AT_RIS, C_FIND_RQ, 2);
	kit_control(AT_RIS, PDU_RELEASE_RQ);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 2, 0xc001);
	UNTIL(AT_RIS->s == NULL);
	assert_int_equal(AT_RIS->n_release_rp, 1);
	kit.far[RIS].rejects = true;
	kit_ask(CTX_WORKLIST, 3);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 3, 0xc001);
	kit.far[RIS].rejects = false;
	kit.far[RIS].silent = true;
	kit_ask(CTX_WORKLIST, 4);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 4, 0xc001);
	kit.far[RIS].silent = false;
	UNTIL(AT_RIS->s == NULL);
	kit.far[RIS].refused = CTX_WORKLIST; /* which it had accepted */
	kit_ask(CTX_WORKLIST, 5);
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
	kit_answer(AT_RIS, CTX_WORKLIST, 3, 0);
	kit_await_response(DEVICE, CTX_WORKLIST, C_FIND_RSP, 3, 0);
	kit_answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	kit_release();
}

static void a_destination_that_is_away_costs_only_its_contexts(void **state)
{
	(void)state;
	kit.far[RIS].rejects = true;
	kit_associate("CULVERT");
	assert_int_not_equal(kit_result(CTX_WORKLIST), 0);
	assert_int_equal(kit_result(CTX_FIND), 0);
	assert_int_equal(kit_result(CTX_ECHO), 0);
	kit_ask(CTX_FIND, 3);
	kit_await_request(AT_PACS, C_FIND_RQ, 3);
	kit_answer(AT_PACS, CTX_FIND, 3, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 3, 0);
	kit_release();
}

static void a_cancel_passes_in_mid_stream(void **state)
{
	struct command c = kit_request_command(C_CANCEL_RQ, 2, false);

	(void)state;
	kit_associate("CULVERT");
	kit_ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	for (int i = 0; i < 5; i++)
		kit_answer(AT_PACS, CTX_FIND, 2, 0xff00);
	kit_send(DEVICE, CTX_FIND, &c, 0);
	kit_await_request(AT_PACS, C_CANCEL_RQ, 2);
	for (int i = 0; i < 5; i++)
		kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xff00);
	kit_answer(AT_PACS, CTX_FIND, 2, 0xfe00);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xfe00);
	/* to nobody: it is dropped */
	kit_cut_off(AT_PACS);
	kit_send(DEVICE, CTX_FIND, &c, 0);
	kit_store(3, 100);
	kit_await_response(DEVICE, CTX_STORE, C_STORE_RSP, 3, 0);
	kit_release();
}

/* ---- the end ----------------------------------------------------------- */

static void a_drain_waits_for_what_is_owed(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	kit_ask(CTX_FIND, 2);
	kit_await_request(AT_PACS, C_FIND_RQ, 2);
	association_drain(&kit.env, false);
	kit_for(20);
	assert_int_equal(DEVICE->n_abort, 0);
	kit_answer(AT_PACS, CTX_FIND, 2, 0);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0);
	UNTIL(DEVICE->s == NULL);
	assert_int_equal(DEVICE->n_abort, 1);
	UNTIL(AT_RIS->s == NULL && AT_PACS->s == NULL);
}

static void a_drain_waits_for_a_request_that_fails(void **state)
{
	(void)state;
	kit_associate("CULVERT");
	kit_cut_off(AT_PACS);
	kit.far[PACS].silent = true;
	kit_ask(CTX_FIND, 2);
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
	kit_begin_get(1);
	buf_init(&down, 1 << 20);
	kit_message(&down, CTX_STORE, &rq, 300000, 0);
	kit_put(AT_PACS, buf_data(&down), 100001);
	buf_free(&down);
	UNTIL(buf_len(&DEVICE->data) > 50000);
	kit_cut_off(AT_PACS);
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
	kit_ask(CTX_FIND, 2);
	kit_await_response(DEVICE, CTX_FIND, C_FIND_RSP, 2, 0xc001);
	UNTIL(AT_PACS->s == NULL);
	assert_int_equal(AT_PACS->n_abort, 1);
	kit_release();
}

static void a_destination_that_trickles_is_answered_for(void **state)
{
	struct command rsp = kit_response_command(C_FIND_RSP, 2, 0xff00, true);
	struct buf down;

	(void)state;
	destination("pacs")->timeouts.response = 200;
	kit_associate("CULVERT");
	kit_ask(CTX_FIND, 2);
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
	kit_release();
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
	kit_begin_get(1);
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

	while (kit_take(&DEVICE->data, &g)) {
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
		kit_release();
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
