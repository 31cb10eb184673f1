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

#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_kit.h"

static void a_refused_connection_says_what_to_check(void **state)
{
	char endpoint[32];

	(void)state;
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", net_free_port());
	kit_dial(endpoint);
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_IO);
	assert_non_null(strstr(kit.client.detail, "nothing listens"));
	assert_non_null(strstr(kit.client.detail, endpoint));
}

static void an_unknown_name_says_so(void **state)
{
	(void)state;
	kit.client_opts.connect_ms = 30000;
	kit_dial("no-such-host.invalid:104");
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_NOTFOUND);
	assert_non_null(strstr(kit.client.detail, "no-such-host.invalid"));
}

static void a_look_up_can_be_left_behind(void **state)
{
	(void)state;
	kit_dial("no-such-host.invalid:104");
	stream_close(kit.client.s, ERR_CANCELED);
	UNTIL(kit.client.n_closed); /* teardown waits for the request */
}

static void bad_endpoints_are_refused_at_once(void **state)
{
	static const char *const bad[] = {
	    "",     "host",  "host:",   "host:0",
	    ":104", "a b:1", "h:70000", "::1:104"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(stream_connect(kit.w, bad[i], NULL,
						&kit_events, &kit.client,
						&kit.client.s),
				 ERR_INVAL);
	kit.client.s = NULL;
}

/* A full backlog drops what comes: as silent as a firewall. */
static void a_silent_address_times_out(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), filler[4];
	char endpoint[ADDRESS_TEXT_LEN];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	for (size_t i = 0; i < ARRAY_LEN(filler); i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(filler[i], (struct sockaddr *)&sin, len);
	}
	kit.client_opts.connect_ms = 100;
	kit_dial(address_text((struct sockaddr *)&sin, endpoint));
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_TIMEOUT);
	assert_non_null(strstr(kit.client.detail, "no answer from"));
	for (size_t i = 0; i < ARRAY_LEN(filler); i++)
		close(filler[i]);
	close(fd);
}

static void a_deadline_ends_a_busy_stream_too(void **state)
{
	size_t sent = 0;

	(void)state;
	kit.server.echo = true;
	kit_both_open();
	kit_put(&kit.client, "x", 1);
	UNTIL(kit.client.have == 1);
	stream_set_deadline(kit.client.s, 60);
	for (; kit.client.n_closed == 0 && sent < KIT_KEEP - 1; sent++) {
		kit_put(&kit.client, "x", 1);
		kit_turn();
	}
	assert_int_equal(kit.client.n_closed, 1);
	assert_int_equal(kit.client.why, ERR_TIMEOUT);
	assert_non_null(strstr(kit.client.detail, "deadline"));
}

static void only_idleness_trips_the_idle_limit(void **state)
{
	(void)state;
	kit_both_open();
	stream_set_idle(kit.server.s, 1000);
	for (int i = 0; i < 125; i++) {
		kit_put(&kit.client, "x", 1);
		for (int k = 0; k < 10; k++) {
			usleep(1000);
			kit_turn();
		}
	}
	assert_int_equal(kit.server.n_closed, 0);
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_TIMEOUT);
	assert_non_null(strstr(kit.server.detail, "1000 ms"));
}

static void a_pause_of_ours_is_not_idleness_of_the_peer(void **state)
{
	(void)state;
	kit_both_open();
	stream_set_idle(kit.server.s, 30);
	stream_read_pause(kit.server.s);
	for (int i = 0; i < 100; i++) {
		usleep(1000);
		kit_turn();
	}
	assert_int_equal(kit.server.n_closed, 0);
	stream_read_resume(kit.server.s);
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_TIMEOUT);
}

static void a_peer_that_never_reads_trips_the_idle_limit(void **state)
{
	uint8_t *p = kit_pattern(4 << 20);

	(void)state;
	kit_raw_open();
	UNTIL(kit.server.n_open);
	while (stream_write(kit.server.s, &(struct iovec){p, 1 << 20}, 1) ==
	       ERR_OK)
		kit_turn();
	stream_set_idle(kit.server.s, 50);
	stream_read_pause(kit.server.s);
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_TIMEOUT);
	free(p);
}

static void finish_does_not_wait_for_ever(void **state)
{
	(void)state;
	kit.server_opts.finish_ms = 50;
	kit_raw_open();
	UNTIL(kit.server.n_open);
	kit_put(&kit.server, "bye", 3);
	stream_finish(kit.server.s);
	UNTIL(kit.server.n_closed); /* the peer neither reads nor closes */
	assert_int_equal(kit.server.why, ERR_OK);
}

static void bytes_before_a_reset_still_arrive(void **state)
{
	struct linger hard = {1, 0};
	uint8_t *p = kit_pattern(1 << 20);

	(void)state;
	kit_raw_open();
	UNTIL(kit.server.n_open);
	assert_int_equal(write(kit.raw, "abort", 5), 5);
	UNTIL(kit.server.have == 5);
	setsockopt(kit.raw, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(kit.raw);
	kit.raw = -1;
	for (int i = 0; i < 5 && kit.server.s != NULL; i++) {
		(void)!stream_write(kit.server.s, &(struct iovec){p, 1 << 20},
				    1);
		kit_turn();
	}
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_CLOSED);
	assert_int_equal(kit.server.n_eof, 0);
	free(p);
}

static void a_fin_in_clear_is_an_eof(void **state)
{
	(void)state;
	kit_raw_open();
	UNTIL(kit.server.n_open);
	shutdown(kit.raw, SHUT_WR);
	UNTIL(kit.server.n_eof);
	assert_int_equal(kit.server.n_closed, 0);
	kit_put(&kit.server, "still", 5);
	stream_finish(kit.server.s);
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    PLAIN(a_refused_connection_says_what_to_check),
	    PLAIN(an_unknown_name_says_so),
	    PLAIN(a_look_up_can_be_left_behind),
	    PLAIN(bad_endpoints_are_refused_at_once),
	    PLAIN(a_silent_address_times_out),
	    PLAIN(a_deadline_ends_a_busy_stream_too),
	    PLAIN(only_idleness_trips_the_idle_limit),
	    PLAIN(a_pause_of_ours_is_not_idleness_of_the_peer),
	    PLAIN(a_peer_that_never_reads_trips_the_idle_limit),
	    PLAIN(finish_does_not_wait_for_ever),
	    PLAIN(bytes_before_a_reset_still_arrive),
	    PLAIN(a_fin_in_clear_is_an_eof),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
