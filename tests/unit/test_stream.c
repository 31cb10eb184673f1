#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_kit.h"

static void bytes_come_back_as_they_were_sent(void **state)
{
	static const size_t sizes[] = {1,     100,   16383, 16384,
				       16385, 65536, 99999, 1 << 20};
	uint8_t *p = kit_pattern(1 << 21);
	size_t sent = 0;

	(void)state;
	kit.server.echo = true;
	kit_both_open();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct iovec iov[3] = {
		    {p + sent, 1},
		    {p + sent + 1, sizes[i] / 2},
		    {p + sent + 1 + sizes[i] / 2, sizes[i] - sizes[i] / 2}};

		assert_int_equal(stream_write(kit.client.s, iov, 3), ERR_OK);
		sent += sizes[i] + 1;
		UNTIL(kit.client.have == sent);
	}
	kit_is_pattern(&kit.client, sent);
	assert_true(stream_bytes_in(kit.client.s) >= sent);
	assert_true(stream_bytes_out(kit.client.s) >= sent);
	assert_string_equal(stream_peer(kit.client.s),
			    stream_local(kit.server.s));
	assert_string_equal(stream_local(kit.client.s),
			    stream_peer(kit.server.s));
	free(p);
}

static void finish_hands_over_everything_and_closes_both(void **state)
{
	uint8_t *p = kit_pattern(3 << 20);

	(void)state;
	kit_both_open();
	kit_put(&kit.client, p, 3 << 20);
	stream_finish(kit.client.s);
	stream_finish(kit.client.s);
	assert_int_equal(stream_write(kit.client.s, &(struct iovec){p, 1}, 1),
			 ERR_CLOSED);
	UNTIL(kit.server.n_eof);
	kit_is_pattern(&kit.server, 3 << 20);
	stream_finish(kit.server.s);
	UNTIL(kit.server.n_closed && kit.client.n_closed);
	assert_int_equal(kit.server.why, ERR_OK);
	assert_int_equal(kit.client.why, ERR_OK);
	assert_int_equal(kit.client.n_eof, 0);
	free(p);
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
	(void)state;
	kit_both_open();
	kit_put(&kit.server, "late", 4);
	stream_finish(kit.server.s);
	UNTIL(kit.client.n_eof && kit.client.have == 4);
	/* dropped there, but no error here */
	kit_put(&kit.client, "answer", 6);
	stream_finish(kit.client.s);
	UNTIL(kit.server.n_closed && kit.client.n_closed);
	assert_int_equal(kit.server.why, ERR_OK);
	assert_int_equal(kit.client.why, ERR_OK);
}

static void what_is_written_to_a_full_socket_keeps_its_order(void **state)
{
	uint8_t *p = kit_pattern(KIT_KEEP);
	size_t sent = 0;

	(void)state;
	kit_both_open();
	stream_read_pause(kit.server.s);
	while (stream_queued(kit.client.s) == 0) {
		kit_put(&kit.client, p + sent, 300001);
		sent += 300001;
		assert_true(sent < KIT_KEEP - 700000);
		kit_turns(2);
	}
	for (size_t n = 1; n < 999; n += 7) {
		kit_put(&kit.client, p + sent, n);
		sent += n;
		if (n % 3 == 0)
			kit_turn();
	}
	stream_read_resume(kit.server.s);
	UNTIL(kit.server.have == sent);
	kit_is_pattern(&kit.server, sent);
	free(p);
}

static void a_paused_reader_holds_back_the_writer(void **state)
{
	uint8_t *p = kit_pattern(1 << 20);
	size_t sent = 0;
	enum err e = ERR_OK;

	(void)state;
	kit_both_open();
	stream_read_pause(kit.server.s);
	assert_true(stream_read_paused(kit.server.s));
	while (sent < 64 << 20 && e == ERR_OK) {
		e = stream_write(kit.client.s, &(struct iovec){p, 1 << 20}, 1);
		sent += e == ERR_OK ? 1 << 20 : 0;
		kit_turns(3);
	}
	assert_int_equal(e, ERR_LIMIT);
	assert_true(stream_queued(kit.client.s) > 2 << 20);
	assert_true(stream_queued(kit.client.s) < 5 << 20);
	assert_int_equal(kit.client.n_drain, 0);
	assert_int_equal(kit.server.have, 0);
	stream_close(kit.client.s, ERR_DENIED);
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_DENIED);
	free(p);
}

static void pause_a_moment(struct peer *p, const char *event)
{
	(void)event;
	stream_read_pause(p->s);
}

static void pausing_in_every_event_loses_nothing(void **state)
{
	uint8_t *p = kit_pattern(4 << 20);

	(void)state;
	kit.server.probe = pause_a_moment;
	kit.server.probe_at = "read";
	kit_both_open();
	kit_put(&kit.client, p, 4 << 20);
	stream_finish(kit.client.s);
	for (int i = 0; kit.server.n_eof == 0 && i < 20000; i++) {
		size_t before = kit.server.have;

		kit_turn();
		kit_turn();
		if (stream_read_paused(kit.server.s)) {
			size_t after = kit.server.have;

			kit_turns(2);
			assert_int_equal(kit.server.have, after);
			stream_read_resume(kit.server.s);
			assert_int_equal(kit.server.have, after);
		}
		(void)before;
	}
	UNTIL(kit.server.n_eof);
	kit_is_pattern(&kit.server, 4 << 20);
	free(p);
}

static void drain_comes_once_when_the_queue_is_low(void **state)
{
	uint8_t *p = kit_pattern(3 << 20);

	(void)state;
	kit_both_open();
	stream_read_pause(kit.server.s);
	kit_put(&kit.client, p, 3 << 20);
	kit_put(&kit.client, p, 3 << 19);
	kit_turns(5);
	if (stream_queued(kit.client.s) > 256 * 1024)
		assert_int_equal(kit.client.n_drain, 0);
	stream_read_resume(kit.server.s);
	UNTIL(stream_queued(kit.client.s) == 0 && kit.client.n_drain > 0);
	assert_int_equal(kit.client.n_drain, 1);
	UNTIL(kit.server.have == (3 << 20) + (3 << 19));
	free(p);
}

static void small_writes_leave_together(void **state)
{
	(void)state;
	kit_both_open();
	kit_turns(5);
	for (int i = 0; i < 100; i++)
		kit_put(&kit.client, "0123456789", 10);
	assert_int_equal(stream_queued(kit.client.s), 1000);
	kit_turn();
	assert_int_equal(stream_queued(kit.client.s), 0);
	UNTIL(kit.server.have == 1000);
}

static void nothing_happens_before_the_loop_turns(void **state)
{
	(void)state;
	kit_dial(kit_endpoint());
	assert_int_equal(kit.client.n_open + kit.client.n_closed, 0);
	assert_int_equal(
	    stream_write(kit.client.s, &(struct iovec){&kit, 1}, 1),
	    ERR_CLOSED);
	stream_close(kit.client.s, ERR_BUSY);
	stream_close(kit.client.s, ERR_IO);
	stream_finish(kit.client.s);
	assert_int_equal(kit.client.n_closed, 0);
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_BUSY);
	assert_int_equal(kit.client.n_open, 0);
}

static void close_here(struct peer *p, const char *event)
{
	(void)event;
	stream_close(p->s, ERR_DENIED);
	stream_close(p->s, ERR_IO);
	stream_read_resume(p->s);
	stream_finish(p->s);
	stream_set_idle(p->s, 1000);
}

static void closing_inside_any_event_is_final(void **state)
{
	static const char *const at[] = {"open", "read", "drain", "eof"};
	uint8_t *p = kit_pattern(32 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		kit.client.probe = close_here;
		kit.client.probe_at = at[i];
		kit.client_opts.low_water = 1;
		kit.client_opts.out_cap = 64 << 20;
		kit_dial(kit_endpoint());
		UNTIL((kit.server.n_open && kit.client.n_open) ||
		      kit.client.n_closed);
		if (kit.server.n_open && kit.server.s != NULL) {
			kit_put(&kit.server, "x", 1);
			stream_finish(kit.server.s);
		}
		if (kit.client.s != NULL && kit.client.n_open)
			(void)!stream_write(kit.client.s,
					    &(struct iovec){p, 32 << 20}, 1);
		UNTIL(kit.client.n_closed &&
		      (kit.server.n_closed || kit.server.s == NULL ||
		       kit.server.n_open == 0));
		assert_int_equal(kit.client.why, ERR_DENIED);
		if (kit.server.s != NULL)
			stream_close(kit.server.s, ERR_OK);
		UNTIL(kit.server.s == NULL);
		kit_turns(10);
		kit_forget();
	}
	free(p);
}

/* Close either end after n turns of the loop, with data under way. */
static void closing_at_any_step_is_clean(void **state)
{
	uint8_t *p = kit_pattern(1 << 20);

	(void)state;
	for (int n = 0; n < 60; n++) {
		struct peer *victim = n % 2 ? &kit.server : &kit.client;

		kit_dial(kit_endpoint());
		for (int i = 0; i < n / 2; i++) {
			if (kit.client.s != NULL && kit.client.n_open &&
			    stream_queued(kit.client.s) == 0)
				(void)!stream_write(kit.client.s,
						    &(struct iovec){p, 1 << 20},
						    1);
			kit.server.have = 0;
			uv_run(worker_loop(kit.w), UV_RUN_NOWAIT);
		}
		if (victim->s != NULL)
			stream_close(victim->s, ERR_CANCELED);
		if (kit.client.s != NULL && n % 3 == 0)
			stream_finish(kit.client.s);
		kit_turns(5);
		if (kit.client.s != NULL)
			stream_close(kit.client.s, ERR_CANCELED);
		UNTIL(kit.client.n_closed);
		kit_turns(5);
		if (kit.server.s != NULL)
			stream_close(kit.server.s, ERR_CANCELED);
		UNTIL(kit.server.s == NULL);
		kit_forget();
	}
	free(p);
}

static void stopping_the_worker_closes_with_canceled(void **state)
{
	(void)state;
	kit_both_open();
	kit_put(&kit.client, "x", 1);
	listener_close(kit.l, NULL, NULL);
	worker_stop(kit.w);
	assert_int_equal(kit.client.why, ERR_CANCELED);
	assert_int_equal(kit.server.why, ERR_CANCELED);
	/* for teardown */
	assert_int_equal(worker_new(0, &kit.w), ERR_OK);
	kit_listen();
}

static void any_failed_allocation_ends_the_stream_only(void **state)
{
	uint8_t *p = kit_pattern(1 << 20);
	bool done = false;

	(void)state;
	for (int n = 0; !done && n < 2000; n += n < 40 ? 1 : 23) {
		enum err e;

		net_mem_fail_after(n);
		e = stream_connect(kit.w, kit_endpoint(), &kit.client_opts,
				   &kit_events, &kit.client, &kit.client.s);
		if (e != ERR_OK) {
			net_mem_ok();
			assert_int_equal(e, ERR_NOMEM);
			kit.client.s = NULL;
			continue;
		}
		for (int i = 0; i < 3000 && kit.client.s != NULL &&
				kit.server.have < 1 << 20;
		     i++) {
			if (kit.client.n_open && kit.client.s != NULL &&
			    stream_bytes_out(kit.client.s) < 1 << 19 &&
			    stream_queued(kit.client.s) == 0)
				(void)!stream_write(kit.client.s,
						    &(struct iovec){p, 1 << 20},
						    1);
			kit_turn();
			if (kit.server.n_closed && i > 50)
				break;
		}
		done = kit.server.have >= 1 << 20;
		net_mem_ok();
		if (kit.client.s != NULL)
			stream_close(kit.client.s, ERR_OK);
		UNTIL(kit.client.s == NULL);
		kit_turns(5);
		if (kit.server.s != NULL)
			stream_close(kit.server.s, ERR_OK);
		UNTIL(kit.server.s == NULL);
		kit_forget();
	}
	assert_true(done);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(bytes_come_back_as_they_were_sent),
	    BOTH(finish_hands_over_everything_and_closes_both),
	    BOTH(a_half_closed_peer_still_gets_its_answer),
	    BOTH(what_is_written_to_a_full_socket_keeps_its_order),
	    BOTH(a_paused_reader_holds_back_the_writer),
	    BOTH(pausing_in_every_event_loses_nothing),
	    BOTH(drain_comes_once_when_the_queue_is_low),
	    BOTH(small_writes_leave_together),
	    BOTH(nothing_happens_before_the_loop_turns),
	    BOTH(closing_inside_any_event_is_final),
	    BOTH(closing_at_any_step_is_clean),
	    BOTH(stopping_the_worker_closes_with_canceled),
	    BOTH(any_failed_allocation_ends_the_stream_only),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
