/* test_stream_tcp.c - what streams ask of the kernel and how they share out
 * their turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_kit.h"

static void the_kernel_tells_what_it_knows(void **state)
{
	struct stream_tcp t;

	(void)state;
	kit_dial(kit_endpoint());
	assert_false(stream_tcp_info(kit.client.s, &t)); /* not connected */
	UNTIL(kit.client.n_open && kit.server.n_open);
	kit_put(&kit.client, "hello", 5);
	UNTIL(kit.server.have == 5);
	assert_true(stream_tcp_info(kit.client.s, &t));
	assert_true(t.rtt_us > 0 && t.mss > 0 && t.pmtu >= t.mss);
	assert_int_equal(t.retransmitted, 0);
	assert_int_equal(t.notsent, 0);
	assert_true(t.congestion[0] != '\0');
}

static void what_the_peer_s_kernel_acknowledged_is_known(void **state)
{
	uint8_t *p = kit_pattern(1024 * 1024);
	uint64_t acked = 0;

	(void)state;
	kit_dial(kit_endpoint());
	assert_false(stream_bytes_acked(kit.client.s, &acked));
	UNTIL(kit.client.n_open && kit.server.n_open);
	kit_put(&kit.client, "hello", 5);
	UNTIL(kit.server.have == 5 &&
	      stream_bytes_acked(kit.client.s, &acked) &&
	      acked == stream_bytes_out(kit.client.s));
	stream_read_pause(kit.server.s);
	for (int i = 0; i < 3; i++)
		kit_put(&kit.client, p, 1024 * 1024);
	kit_turns(50);
	assert_true(stream_bytes_acked(kit.client.s, &acked));
	assert_true(acked <= stream_bytes_out(kit.client.s));
	stream_read_resume(kit.server.s);
	UNTIL(stream_queued(kit.client.s) == 0 &&
	      stream_bytes_acked(kit.client.s, &acked) &&
	      acked == stream_bytes_out(kit.client.s));
	free(p);
}

static void a_congestion_control_that_exists_is_used(void **state)
{
	struct stream_tcp t;

	(void)state;
	kit.client_opts.congestion = "reno"; /* every kernel has it */
	kit_both_open();
	assert_string_equal(stream_note(kit.client.s), "");
	assert_true(stream_tcp_info(kit.client.s, &t));
	assert_string_equal(t.congestion, "reno");
	assert_true(stream_tcp_info(kit.server.s, &t));
	assert_true(t.congestion[0] != '\0');
}

static void one_that_does_not_is_told_and_ignored(void **state)
{
	struct stream_tcp t;

	(void)state;
	kit.server_opts.congestion = "no-such";
	kit_both_open();
	assert_non_null(strstr(stream_note(kit.server.s), "\"no-such\""));
	assert_non_null(strstr(stream_note(kit.server.s), "net.ipv4.tcp_"));
	assert_true(stream_tcp_info(kit.server.s, &t));
	assert_string_not_equal(t.congestion, "no-such");
	kit_put(&kit.server, "x", 1);
	UNTIL(kit.client.have == 1);
}

/* What a peer that does not read leaves in the kernel of its sender. */
static uint32_t notsent_with(uint32_t max)
{
	uint8_t *p = kit_pattern(16 * 1024);
	struct stream_tcp t;

	kit.client_opts.notsent_max = max;
	kit_both_open();
	stream_read_pause(kit.server.s);
	for (int i = 0; i < 3000 && !stream_blocked(kit.client.s); i++) {
		kit_put(&kit.client, p, 16 * 1024);
		stream_push(kit.client.s);
		if (i % 16 == 0)
			kit_turn();
	}
	kit_turns(20);
	assert_true(stream_tcp_info(kit.client.s, &t));
	stream_close(kit.client.s, ERR_OK);
	stream_close(kit.server.s, ERR_OK);
	UNTIL(kit.client.n_closed && kit.server.n_closed);
	kit_forget();
	free(p);
	return t.notsent;
}

static void little_waits_in_the_kernel_if_wanted(void **state)
{
	uint32_t without, with;

	(void)state;
	kit.client_opts.out_cap = 64 << 20;
	without = notsent_with(0);
	with = notsent_with(32 * 1024);
	assert_in_range(with, 0, 256 * 1024);
	assert_true(without > with);
}

static void refill(struct peer *p, const char *event)
{
	(void)event;
	if (p->n_drain < 50) {
		kit_put(p, "again", 5);
		stream_want_drain(p->s);
	}
}

static void a_drain_that_was_asked_for_comes_though_nothing_waits(void **state)
{
	(void)state;
	kit_both_open();
	stream_want_drain(kit.client.s);
	assert_int_equal(kit.client.n_drain, 0);
	kit_turn();
	assert_int_equal(kit.client.n_drain, 1);
	kit_turns(10);
	assert_int_equal(kit.client.n_drain, 1);
}

/* The loop would sleep on what on_drain wrote. */
static void what_on_drain_writes_leaves_without_another_event(void **state)
{
	(void)state;
	kit_both_open();
	kit.client.probe = refill;
	kit.client.probe_at = "drain";
	stream_want_drain(kit.client.s);
	for (int i = 0; i < 300 && kit.client.n_drain < 50; i++)
		uv_run(worker_loop(kit.w), UV_RUN_ONCE);
	assert_int_equal(kit.client.n_drain, 50);
	UNTIL(kit.server.have == 49 * 5);
}

static void records_of_their_own_keep_order_and_bytes(void **state)
{
	uint8_t *p = kit_pattern(200 * 1024);
	struct iovec iov[2];
	size_t at = 0;

	(void)state;
	kit_both_open();
	for (size_t n = 1; at + n <= 200 * 1024; n = n * 3 % 40000 + 1) {
		iov[0] = (struct iovec){p + at, n / 3};
		iov[1] = (struct iovec){p + at + n / 3, n - n / 3};
		if (n % 2 == 0)
			assert_int_equal(stream_write(kit.client.s, iov, 2),
					 ERR_OK);
		else
			assert_int_equal(
			    stream_write_records(kit.client.s, iov, 2), ERR_OK);
		at += n;
	}
	UNTIL(kit.server.have == at);
	kit_is_pattern(&kit.server, at);
	free(p);
}

static void a_record_of_its_own_costs_one(void **state)
{
	uint8_t p[100] = {0};
	struct iovec iov = {p, sizeof(p)};
	uint64_t before;

	(void)state;
	kit_both_open();
	kit_turns(50);
	before = stream_bytes_out(kit.client.s);
	for (int i = 0; i < 3; i++)
		assert_int_equal(stream_write(kit.client.s, &iov, 1), ERR_OK);
	assert_int_equal(stream_write_records(kit.client.s, &iov, 1), ERR_OK);
	assert_int_equal(stream_write(kit.client.s, &iov, 1), ERR_OK);
	UNTIL(kit.server.have == 500);
	assert_int_equal(stream_bytes_out(kit.client.s) - before, 500 + 3 * 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(the_kernel_tells_what_it_knows),
	    BOTH(what_the_peer_s_kernel_acknowledged_is_known),
	    BOTH(a_congestion_control_that_exists_is_used),
	    BOTH(one_that_does_not_is_told_and_ignored),
	    BOTH(little_waits_in_the_kernel_if_wanted),
	    BOTH(a_drain_that_was_asked_for_comes_though_nothing_waits),
	    BOTH(what_on_drain_writes_leaves_without_another_event),
	    BOTH(records_of_their_own_keep_order_and_bytes),
	    TLS(a_record_of_its_own_costs_one),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
