/* A leg's whole life, broken off at every turn of the loop in every way, and
 * with every allocation failing once. What holds: on_gone comes exactly once
 * and last, no event comes after detaching, nothing leaks (leg_kit.c looks). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/leg_kit.h"
#include "tests/unit/net_fixture.h"

enum { TURNS = 45 };

/* What happens in the midst of it. */
enum fault {
	NEAR_ABORTS,
	NEAR_RELEASES,
	NEAR_PAUSES,
	NEAR_BAD_PDU,
	FAR_CUTS,
	FAR_FINISHES,
	FAR_ABORTS,
	FAR_ASKS_RELEASE,
	FAR_ANSWERS_RELEASE,
	FAR_SENDS_RUBBISH,
	FAR_SENDS_AC,
	FAR_STOPS_READING,
	BOTH_RELEASE,
	BOTH_ABORT,
	WORKER_STOPS,
	N_FAULTS
};

static void far_say(enum fault what, struct far_conn *c)
{
	static const uint8_t rubbish[10] = {0x99, 0x99, 0x99};
	static const uint8_t ac[10] = {PDU_ASSOCIATE_AC, 0, 0, 0, 0, 4};
	uint8_t pdu[PDU_CONTROL_LEN];

	if (what == FAR_ABORTS || what == BOTH_ABORT)
		far_put(c, pdu,
			pdu_abort_encode(pdu, (struct pdu_abort){0, 0}));
	else if (what == FAR_ASKS_RELEASE || what == BOTH_RELEASE)
		far_put(c, pdu, pdu_release_rq_encode(pdu));
	else if (what == FAR_ANSWERS_RELEASE)
		far_put(c, pdu, pdu_release_rp_encode(pdu));
	else if (what == FAR_SENDS_RUBBISH)
		far_put(c, rubbish, sizeof(rubbish));
	else if (what == FAR_SENDS_AC)
		far_put(c, ac, sizeof(ac));
}

static void far_does(enum fault what)
{
	struct far_conn *c;

	if (kit.far[0].n_conns == 0 || far_last(&kit.far[0])->s == NULL)
		return;
	c = far_last(&kit.far[0]);
	if (what == FAR_CUTS)
		stream_close(c->s, ERR_IO);
	else if (what == FAR_FINISHES)
		stream_finish(c->s);
	else if (what == FAR_STOPS_READING)
		stream_read_pause(c->s);
	else
		far_say(what, c);
}

static void near_does(enum fault what)
{
	struct near *n = &kit.near;

	if (n->l == NULL)
		return;
	if (what == NEAR_ABORTS || what == BOTH_ABORT) {
		near_abort(n);
	} else if (what == NEAR_RELEASES || what == BOTH_RELEASE) {
		near_release(n);
	} else if (what == NEAR_PAUSES) {
		leg_pause(n->l);
	} else if (what == NEAR_BAD_PDU) {
		n->in_call = true;
		leg_bad_pdu(n->l, ABORT_INVALID_PARAMETER);
		n->in_call = false;
	}
}

/* The ordinary life: open, two messages there and back, release. */
static void live_on(struct near *n, const char *event)
{
	uint8_t pdu[2048];
	size_t len = leg_kit_pdata(pdu, 1500);

	if (n->detached || n->l == NULL)
		return;
	if (strcmp(event, "accepted") == 0) {
		leg_watch(n->l, 300);
		(void)!near_write(n, pdu, len);
		(void)!near_write(n, pdu, len);
	} else if (strcmp(event, "read") == 0 && buf_len(&n->got) == 2 * len) {
		near_release(n);
	}
}

/* What only stopped goes on: its deadlines are too long for here. */
static void go_on(enum fault what)
{
	for (int i = 0; i < 10; i++)
		leg_kit_turn();
	if (what == NEAR_PAUSES && kit.near.l != NULL)
		leg_resume(kit.near.l);
	if (what == FAR_STOPS_READING && kit.far[0].n_conns > 0 &&
	    far_last(&kit.far[0])->s != NULL)
		stream_read_resume(far_last(&kit.far[0])->s);
}

static void one_life(bool tls, enum fault what, int at)
{
	leg_kit_begin(tls);
	kit.deadline_ms = 150;
	kit.far[0].echo = true;
	kit.near.probe = live_on;
	leg_kit_destination(1);
	assert_int_equal(near_open(&kit.near), ERR_OK);
	for (int i = 0; i < at; i++)
		leg_kit_turn();
	near_does(what);
	far_does(what);
	if (what != WORKER_STOPS)
		go_on(what);
	for (int i = 0; what != WORKER_STOPS && !kit.near.n_gone; i++) {
		if (i > 20000)
			fail_msg("fault %d at turn %d: never gone", what, at);
		leg_kit_turn();
	}
	leg_kit_end();
	assert_int_equal(kit.near.n_gone, 1);
}

static void every_fault_at_every_turn_ends_in_order(bool tls)
{
	for (int what = 0; what < N_FAULTS; what++) {
		for (int at = 0; at < TURNS; at++)
			one_life(tls, (enum fault)what, at);
	}
}

static void every_fault_at_every_turn_plain(void **state)
{
	(void)state;
	every_fault_at_every_turn_ends_in_order(false);
}

static void every_fault_at_every_turn_tls(void **state)
{
	(void)state;
	every_fault_at_every_turn_ends_in_order(true);
}

/* ---- no memory --------------------------------------------------------- */

static void every_allocation_may_fail(bool tls)
{
	unsigned gone = 0, whole = 0;

	for (int n = 0; n < (tls ? 700 : 60); n++) {
		leg_kit_begin(tls);
		kit.deadline_ms = 60;
		kit.far[0].echo = true;
		kit.near.probe = live_on;
		leg_kit_destination(2);
		net_mem_fail_after(n);
		if (near_open(&kit.near) == ERR_OK) {
			for (int i = 0; i < 60 && kit.near.l != NULL; i++)
				leg_kit_turn();
			net_mem_ok();
			/* lost, refused, or still waiting for what the far side
			 * could not say */
			if (kit.near.l != NULL && !kit.near.detached)
				near_abort(&kit.near);
			UNTIL(kit.near.n_gone);
			gone++;
			whole += kit.near.n_accepted;
		}
		leg_kit_end();
	}
	assert_true(gone > 0);
	assert_true(whole > 0);
}

static void every_allocation_may_fail_plain(void **state)
{
	(void)state;
	every_allocation_may_fail(false);
}

static void every_allocation_may_fail_tls(void **state)
{
	(void)state;
	every_allocation_may_fail(true);
}

/* ---- endpoints --------------------------------------------------------- */

/* Two endpoints, every pair of answers: one event says how it went. */
static void every_pair_of_answers_has_one_end(void **state)
{
	(void)state;
	for (int a = FAR_ACCEPT; a <= FAR_RELEASES; a++) {
		for (int b = FAR_ACCEPT; b <= FAR_RELEASES; b++) {
			leg_kit_begin(false);
			kit.deadline_ms = 60;
			kit.far[0].on_rq = (enum far_on_rq)a;
			kit.far[1].on_rq = (enum far_on_rq)b;
			memcpy(kit.far[0].reject, "\2\3\1", 3);
			memcpy(kit.far[1].reject, "\2\3\1", 3);
			leg_kit_destination(2);
			assert_int_equal(near_open(&kit.near), ERR_OK);
			UNTIL(kit.near.n_accepted || kit.near.n_gone);
			if (kit.near.l != NULL && !kit.near.n_released)
				near_release(&kit.near);
			UNTIL(kit.near.n_gone);
			assert_int_equal(
			    kit.near.n_accepted + kit.near.n_refused, 1);
			leg_kit_end();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_fault_at_every_turn_plain),
	    cmocka_unit_test(every_fault_at_every_turn_tls),
	    cmocka_unit_test(every_allocation_may_fail_plain),
	    cmocka_unit_test(every_allocation_may_fail_tls),
	    cmocka_unit_test(every_pair_of_answers_has_one_end),
	};

	net_mem_install();
	return cmocka_run_group_tests_name("leg_faults", tests, NULL, NULL);
}
