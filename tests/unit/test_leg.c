#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/leg_frame.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/shaper.h"
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

/* ---- data -------------------------------------------------------------- */

static void what_is_written_arrives_and_what_comes_is_given(void **state)
{
	uint8_t pdu[5000];
	size_t n = leg_kit_pdata(pdu, 4000);

	(void)state;
	leg_kit_destination(1);
	kit.far[0].echo = true;
	leg_kit_established();
	assert_int_equal(kit.near.result, 0);
	assert_int_equal(kit.near.max_pdu, 65536);
	assert_int_equal(near_write(&kit.near, pdu, n), ERR_OK);
	UNTIL(buf_len(&kit.near.got) == n);
	assert_memory_equal(buf_data(&kit.near.got), pdu, n);
	assert_true(strncmp(leg_peer(kit.near.l), "127.0.0.1:", 10) == 0);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_release_rq, 1);
	assert_int_equal(kit.far[0].n_abort, 0);
}

static void what_passes_is_counted_and_never_waits(void **state)
{
	uint8_t pdu[5000];
	size_t n = leg_kit_pdata(pdu, 4000);
	struct shaper *s;

	(void)state;
	assert_int_equal(shaper_new(1, 1, &s), ERR_OK);
	assert_true(shaper_set(s, SHAPER_DESTINATION, 0,
			       (struct shaper_limit){.rate = 1},
			       clock_mono_ns()));
	leg_kit_destination(1);
	kit.d->shaper = s;
	kit.far[0].echo = true;
	leg_kit_established();
	for (size_t i = 1; i <= 20; i++) {
		assert_int_equal(near_write(&kit.near, pdu, n), ERR_OK);
		UNTIL(buf_len(&kit.near.got) == i * n);
	}
	assert_int_equal(shaper_passed(s, SHAPER_OUT, SHAPER_DESTINATION, 0),
			 20 * n);
	/* and the A-ASSOCIATE-AC */
	assert_true(shaper_passed(s, SHAPER_IN, SHAPER_DESTINATION, 0) >=
		    20 * n);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	shaper_free(s);
}

/* ---- release ----------------------------------------------------------- */

static void a_release_that_collides_ends_in_order(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_release = FAR_RQ_THEN_RP;
	leg_kit_established();
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_release_rp, 1);
	assert_int_equal(kit.far[0].n_abort, 0);
}

static void data_before_the_answer_to_a_release_is_dropped(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_release = FAR_DATA_THEN_RP;
	leg_kit_established();
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
	assert_int_equal(buf_len(&kit.near.got), 0);
	assert_int_equal(kit.far[0].n_abort, 0);
}

static void other_answers_to_a_release_end_it_too(void **state)
{
	static const enum far_on_release other[] = {FAR_RELEASE_ABORT,
						    FAR_RELEASE_FIN};

	(void)state;
	leg_kit_destination(1);
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		kit.far[0].on_release = other[i];
		leg_kit_established();
		near_release(&kit.near);
		UNTIL(kit.near.n_gone);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
}

static void the_peer_may_release_first(void **state)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	far_put(far_last(&kit.far[0]), pdu, pdu_release_rq_encode(pdu));
	UNTIL(kit.near.n_released);
	assert_int_equal(near_write(&kit.near, "x", 1), ERR_CLOSED);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_release_rp, 1);
	assert_int_equal(kit.far[0].n_abort, 0);
}

static void a_release_in_one_piece_with_the_acceptance_is_answered(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_RELEASES;
	leg_kit_established();
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_released, 1);
	UNTIL(kit.far[0].n_release_rp == 1);
}

static void release_when_released(struct near *n, const char *event)
{
	if (strcmp(event, "released") == 0)
		near_release(n);
}

static void a_release_after_the_peers_is_nothing_more(void **state)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)state;
	leg_kit_destination(1);
	kit.near.probe = release_when_released;
	leg_kit_established();
	far_put(far_last(&kit.far[0]), pdu, pdu_release_rq_encode(pdu));
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.far[0].n_release_rq, 0);
}

/* ---- loss -------------------------------------------------------------- */

static void an_abort_of_the_peers_is_told(void **state)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	far_put(far_last(&kit.far[0]), pdu,
		pdu_abort_encode(pdu, (struct pdu_abort){0, 0}));
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
	assert_non_null(strstr(kit.near.why, "aborted by the peer"));
}

static void a_connection_cut_is_told(void **state)
{
	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	stream_close(far_last(&kit.far[0])->s, ERR_IO);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
	assert_non_null(strstr(kit.near.why, "connection was lost"));
}

static void a_half_closed_peer_is_lost(void **state)
{
	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	stream_finish(far_last(&kit.far[0])->s);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
}

static void what_does_not_belong_there_is_aborted(void **state)
{
	static const char *const wrong[] = {
	    "\1\0\0\0\0\4\0\0\0\0",   "\2\0\0\0\0\4\0\0\0\0",
	    "\3\0\0\0\0\4\0\0\0\0",   "\6\0\0\0\0\4\0\0\0\0",
	    "\x16\3\1\0\0\4\0\0\0\0", "\4\0\x7f\0\0\4\0\0\0\0"};

	(void)state;
	leg_kit_destination(1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		leg_kit_established();
		far_put(far_last(&kit.far[0]), wrong[i], 10);
		UNTIL(kit.near.n_gone);
		assert_int_equal(kit.near.n_lost, 1);
		UNTIL(kit.far[0].n_abort == i + 1);
		assert_int_equal(kit.far[0].abort_source, ABORT_PROVIDER);
		assert_int_equal(kit.far[0].abort_reason,
				 i < 4    ? ABORT_UNEXPECTED_PDU
				 : i == 4 ? ABORT_UNRECOGNIZED_PDU
					  : ABORT_INVALID_PARAMETER);
		near_free(&kit.near);
		memset(&kit.near, 0, sizeof(kit.near));
	}
}

static void bad_when_read(struct near *n, const char *event)
{
	if (strcmp(event, "read") == 0) {
		n->in_call = true;
		leg_bad_pdu(n->l, ABORT_INVALID_PARAMETER);
		n->in_call = false;
	}
}

static void a_fault_that_the_owner_finds_is_the_peers(void **state)
{
	(void)state;
	leg_kit_destination(1);
	kit.far[0].on_rq = FAR_ACCEPT_WITH_DATA;
	kit.near.probe = bad_when_read;
	leg_kit_established();
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
	UNTIL(kit.far[0].n_abort == 1);
	assert_int_equal(kit.far[0].abort_reason, ABORT_INVALID_PARAMETER);
}

static void a_fault_found_later_is_told_on_another_turn(void **state)
{
	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	kit.near.in_call = true;
	leg_bad_pdu(kit.near.l, ABORT_UNEXPECTED_PDU);
	kit.near.in_call = false;
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
}

static void silence_while_watched_ends_the_leg(void **state)
{
	uint64_t begun;

	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	leg_watch(kit.near.l, 60000);
	begun = now_ms();
	leg_watch(kit.near.l, 120);
	UNTIL(kit.near.n_gone);
	assert_true(now_ms() - begun >= 110 && now_ms() - begun < 30000);
	assert_int_equal(kit.near.n_lost, 1);
	assert_non_null(strstr(kit.near.why, "no answer"));
	UNTIL(kit.far[0].n_abort == 1);
}

static void what_comes_or_a_pause_keeps_a_watched_leg(void **state)
{
	uint8_t pdu[64];
	size_t n = leg_kit_pdata(pdu, 10);
	uint64_t begun;

	(void)state;
	leg_kit_destination(1);
	leg_kit_established();
	leg_watch(kit.near.l, 100);
	for (int i = 0; i < 5; i++) {
		begun = now_ms();
		UNTIL(now_ms() - begun > 50);
		far_put(far_last(&kit.far[0]), pdu, n);
	}
	leg_pause(kit.near.l);
	begun = now_ms();
	UNTIL(now_ms() - begun > 250);
	leg_resume(kit.near.l);
	leg_watch(kit.near.l, 0);
	begun = now_ms();
	UNTIL(now_ms() - begun > 250);
	assert_int_equal(kit.near.n_lost, 0);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

/* ---- back-pressure ----------------------------------------------------- */

static size_t fill(struct near *n)
{
	static uint8_t pdu[65536];
	size_t len = leg_kit_pdata(pdu, 60000), sent = 0;

	for (int quiet = 0; quiet < 20;) {
		if (near_write(n, pdu, len) == ERR_OK) {
			sent += len;
			quiet = 0;
		} else {
			quiet++;
			leg_kit_turn();
		}
	}
	return sent;
}

static void a_peer_that_never_reads_fills_the_queue_and_no_more(void **state)
{
	(void)state;
	kit.out_cap = 1 << 20;
	kit.far[0].deaf = true;
	leg_kit_destination(1);
	leg_kit_established();
	/* the kernel's own buffers take some of it, when it gets to that */
	do
		(void)fill(&kit.near);
	while (leg_queued(kit.near.l) <= (1 << 20) - 70000);
	assert_true(leg_queued(kit.near.l) <= (1 << 20));
	near_abort(&kit.near);
	UNTIL(kit.near.n_gone); /* the abort cannot leave: 1 s */
}

static void a_peer_that_reads_again_drains_the_queue(void **state)
{
	size_t sent;

	(void)state;
	kit.out_cap = 1 << 20;
	kit.far[0].deaf = true;
	leg_kit_destination(1);
	leg_kit_established();
	sent = fill(&kit.near);
	assert_int_equal(kit.near.n_drain, 0);
	stream_read_resume(far_last(&kit.far[0])->s);
	UNTIL(kit.near.n_drain == 1);
	UNTIL(kit.far[0].bytes == sent);
	near_release(&kit.near);
	UNTIL(kit.near.n_gone);
}

static void a_deaf_peer_is_not_waited_for_while_watched(void **state)
{
	(void)state;
	kit.out_cap = 1 << 20;
	kit.far[0].deaf = true;
	leg_kit_destination(1);
	leg_kit_established();
	(void)fill(&kit.near);
	leg_watch(kit.near.l, 100);
	UNTIL(kit.near.n_gone);
	assert_int_equal(kit.near.n_lost, 1);
}

/* ---- frames ------------------------------------------------------------ */

/* Cut a stream of PDUs at every place: the pieces are the same. */
static void pdus_are_found_wherever_the_input_is_cut(void **state)
{
	static uint8_t in[1024], out[1024];
	size_t n = leg_kit_pdata(in, 10), data;

	(void)state;
	n += leg_kit_pdata(in + n, 0);
	n += leg_kit_pdata(in + n, 300);
	data = n;
	n += pdu_abort_encode(in + n, (struct pdu_abort){2, 6});
	for (size_t cut = 1; cut < n; cut++) {
		struct leg_frame f = {0};
		size_t at = 0, got = 0, end = cut;
		unsigned controls = 0;

		while (at < n) {
			enum leg_piece piece;
			size_t used =
			    leg_frame_next(&f, in + at, end - at, &piece);

			assert_true(used > 0 && used <= end - at);
			assert_int_not_equal(piece, LEG_PIECE_BAD);
			if (piece == LEG_PIECE_DATA) {
				memcpy(out + got, in + at, used);
				got += used;
			} else if (piece == LEG_PIECE_CONTROL) {
				assert_int_equal(f.type, PDU_ABORT);
				assert_int_equal(f.body[2], 2);
				assert_int_equal(f.body[3], 6);
				controls++;
			}
			at += used;
			end = at < cut ? cut : n;
		}
		assert_int_equal(got, data);
		assert_memory_equal(out, in, data);
		assert_int_equal(controls, 1);
	}
}

static void control_pdus_of_any_length_are_taken(void **state)
{
	static uint8_t in[2048] = {PDU_RELEASE_RQ, 0, 0, 0, 4, 0};
	struct leg_frame f = {0};
	enum leg_piece piece;

	(void)state;
	assert_int_equal(leg_frame_next(&f, in, 1030, &piece), 1030);
	assert_int_equal(piece, LEG_PIECE_CONTROL);
	in[4] = 0;
	assert_int_equal(leg_frame_next(&f, in, 10, &piece), 6);
	assert_int_equal(piece, LEG_PIECE_CONTROL);
	in[4] = 4;
	in[5] = 1;
	(void)leg_frame_next(&f, in, 2000, &piece);
	assert_int_equal(piece, LEG_PIECE_BAD);
	assert_int_equal(f.abort_reason, ABORT_INVALID_PARAMETER);
}

#define BOTH(test)                                                             \
	cmocka_unit_test_setup_teardown(test, setup_plain, teardown),          \
	    cmocka_unit_test_setup_teardown(test, setup_tls, teardown)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup_plain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(what_is_written_arrives_and_what_comes_is_given),
	    BOTH(what_passes_is_counted_and_never_waits),
	    BOTH(a_release_that_collides_ends_in_order),
	    BOTH(data_before_the_answer_to_a_release_is_dropped),
	    BOTH(other_answers_to_a_release_end_it_too),
	    BOTH(the_peer_may_release_first),
	    BOTH(a_release_in_one_piece_with_the_acceptance_is_answered),
	    BOTH(a_release_after_the_peers_is_nothing_more),
	    BOTH(an_abort_of_the_peers_is_told),
	    BOTH(a_connection_cut_is_told),
	    BOTH(a_half_closed_peer_is_lost),
	    BOTH(what_does_not_belong_there_is_aborted),
	    BOTH(a_fault_that_the_owner_finds_is_the_peers),
	    PLAIN(a_fault_found_later_is_told_on_another_turn),
	    BOTH(silence_while_watched_ends_the_leg),
	    PLAIN(what_comes_or_a_pause_keeps_a_watched_leg),
	    BOTH(a_peer_that_never_reads_fills_the_queue_and_no_more),
	    BOTH(a_peer_that_reads_again_drains_the_queue),
	    BOTH(a_deaf_peer_is_not_waited_for_while_watched),
	    cmocka_unit_test(pdus_are_found_wherever_the_input_is_cut),
	    cmocka_unit_test(control_pdus_of_any_length_are_taken),
	};

	net_mem_install();
	return cmocka_run_group_tests_name("leg", tests, NULL, NULL);
}
