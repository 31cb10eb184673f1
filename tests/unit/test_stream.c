#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "tests/unit/net_fixture.h"

enum { KEEP = 1 << 23 };

/* One end under test: what happened to it. */
struct peer {
	struct stream *s; /* NULL once closed */
	int n_open, n_eof, n_drain, n_closed;
	enum err why;
	char detail[TLS_WHY_LEN];
	uint8_t *got; /* KEEP bytes */
	size_t have;
	bool echo;
	/* called first thing in each event, if set */
	void (*probe)(struct peer *p, const char *event);
	const char *probe_at;
};

struct fixture {
	struct worker *w;
	struct listener *l;
	struct tls_context *server_ctx, *client_ctx;
	struct stream_options server_opts, client_opts;
	struct peer server, client;
	int raw; /* a plain socket of the test, or -1 */
	int live;
};

static struct fixture f;

static void probe(struct peer *p, const char *event)
{
	if (p->probe != NULL && strcmp(p->probe_at, event) == 0)
		p->probe(p, event);
}

static void on_open(void *arg)
{
	struct peer *p = arg;

	assert_int_equal(p->n_closed, 0);
	p->n_open++;
	probe(p, "open");
}

static void on_read(void *arg, const uint8_t *b, size_t n)
{
	struct peer *p = arg;

	assert_int_equal(p->n_closed, 0);
	assert_int_equal(p->n_open, 1);
	assert_true(n > 0 && n <= KEEP - p->have);
	memcpy(p->got + p->have, b, n);
	p->have += n;
	if (p->echo) {
		struct iovec iov = {(void *)(uintptr_t)b, n};

		assert_int_equal(stream_write(p->s, &iov, 1), ERR_OK);
	}
	probe(p, "read");
}

static void on_drain(void *arg)
{
	struct peer *p = arg;

	assert_int_equal(p->n_closed, 0);
	p->n_drain++;
	probe(p, "drain");
}

static void on_eof(void *arg)
{
	struct peer *p = arg;

	assert_int_equal(p->n_closed, 0);
	p->n_eof++;
	probe(p, "eof");
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct peer *p = arg;

	assert_int_equal(p->n_closed, 0);
	assert_non_null(detail);
	p->n_closed++;
	p->why = why;
	p->s = NULL;
	snprintf(p->detail, sizeof(p->detail), "%s", detail);
}

static const struct stream_events events = {on_open, on_read, on_drain, on_eof,
					    on_closed};

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	(void)arg;
	(void)peer;
	if (f.server.s != NULL || f.server.n_closed > 0 ||
	    stream_accept(f.w, fd, &f.server_opts, &events, &f.server,
			  &f.server.s) != ERR_OK)
		f.server.n_closed += f.server.s == NULL;
}

static const char *listening_at(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "localhost:%u", listener_port(f.l));
	return text;
}

static void begin(void)
{
	char why[LISTENER_WHY_LEN];

	f.live = net_mem_live();
	f.raw = -1;
	assert_int_equal(worker_new(0, &f.w), ERR_OK);
	assert_int_equal(listener_open(worker_loop(f.w), "127.0.0.1:0", 16,
				       on_accept, NULL, &f.l, why),
			 ERR_OK);
	f.server.got = malloc(KEEP);
	f.client.got = malloc(KEEP);
}

static int setup_plain(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	begin();
	return 0;
}

static int setup_tls(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	begin();
	f.server_ctx = net_server("ca.pem", "server");
	f.client_ctx = net_client("ca.pem", "client");
	f.server_opts.tls = f.server_ctx;
	f.client_opts.tls = f.client_ctx;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_mem_ok();
	listener_close(f.l, NULL, NULL);
	worker_stop(f.w); /* aborts unless every handle is closed */
	assert_null(f.client.s);
	assert_null(f.server.s);
	tls_context_unref(f.server_ctx);
	tls_context_unref(f.client_ctx);
	if (f.raw >= 0)
		close(f.raw);
	free(f.server.got);
	free(f.client.got);
	assert_int_equal(net_mem_live(), f.live);
	return 0;
}

static void turn(void)
{
	uv_run(worker_loop(f.w), UV_RUN_NOWAIT);
	usleep(200);
}

#define UNTIL(condition)                                                       \
	do {                                                                   \
		for (int i_ = 0; !(condition); i_++) {                         \
			if (i_ > 50000)                                        \
				fail_msg("never: %s", #condition);             \
			turn();                                                \
		}                                                              \
	} while (0)

static void turns(int n)
{
	while (n-- > 0)
		turn();
}

static void dial(const char *endpoint)
{
	assert_int_equal(stream_connect(f.w, endpoint, &f.client_opts, &events,
					&f.client, &f.client.s),
			 ERR_OK);
}

static void both_open(void)
{
	dial(listening_at());
	UNTIL((f.client.n_open && f.server.n_open) || f.client.n_closed);
	if (f.client.n_closed)
		fail_msg("client: %s\nserver: %s", f.client.detail,
			 f.server.detail);
}

/* A socket of the test, connected to a stream of the server. */
static void raw_open(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(listener_port(f.l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	f.raw = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f.raw, (struct sockaddr *)&sin, sizeof(sin)),
			 0);
	assert_int_equal(fcntl(f.raw, F_SETFL, O_NONBLOCK), 0);
	UNTIL(f.server.s != NULL);
}

static void put(struct peer *p, const void *b, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)b, n};

	assert_int_equal(stream_write(p->s, &iov, 1), ERR_OK);
}

static uint8_t pattern_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251 + i / 65537);
}

static uint8_t *pattern(size_t n)
{
	uint8_t *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = pattern_at(i);
	return p;
}

static void assert_pattern(const struct peer *p, size_t n)
{
	assert_int_equal(p->have, n);
	for (size_t i = 0; i < n; i++)
		if (p->got[i] != pattern_at(i))
			fail_msg("byte %zu differs", i);
}

/* ---- both kinds ------------------------------------------------------- */

static void bytes_come_back_as_they_were_sent(void **state)
{
	static const size_t sizes[] = {1,     100,   16383, 16384,
				       16385, 65536, 99999, 1 << 20};
	uint8_t *p = pattern(1 << 21);
	size_t sent = 0;

	(void)state;
	f.server.echo = true;
	both_open();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct iovec iov[3] = {
		    {p + sent, 1},
		    {p + sent + 1, sizes[i] / 2},
		    {p + sent + 1 + sizes[i] / 2, sizes[i] - sizes[i] / 2}};

		assert_int_equal(stream_write(f.client.s, iov, 3), ERR_OK);
		sent += sizes[i] + 1;
		UNTIL(f.client.have == sent);
	}
	assert_pattern(&f.client, sent);
	assert_true(stream_bytes_in(f.client.s) >= sent);
	assert_true(stream_bytes_out(f.client.s) >= sent);
	assert_string_equal(stream_peer(f.client.s), stream_local(f.server.s));
	assert_string_equal(stream_local(f.client.s), stream_peer(f.server.s));
	free(p);
}

static void finish_hands_over_everything_and_closes_both(void **state)
{
	uint8_t *p = pattern(3 << 20);

	(void)state;
	both_open();
	put(&f.client, p, 3 << 20);
	stream_finish(f.client.s);
	stream_finish(f.client.s);
	assert_int_equal(stream_write(f.client.s, &(struct iovec){p, 1}, 1),
			 ERR_CLOSED);
	UNTIL(f.server.n_eof);
	assert_pattern(&f.server, 3 << 20);
	stream_finish(f.server.s);
	UNTIL(f.server.n_closed && f.client.n_closed);
	assert_int_equal(f.server.why, ERR_OK);
	assert_int_equal(f.client.why, ERR_OK);
	assert_int_equal(f.client.n_eof, 0);
	free(p);
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
	(void)state;
	both_open();
	put(&f.server, "late", 4);
	stream_finish(f.server.s);
	UNTIL(f.client.n_eof && f.client.have == 4);
	put(&f.client, "answer", 6); /* dropped there, but no error here */
	stream_finish(f.client.s);
	UNTIL(f.server.n_closed && f.client.n_closed);
	assert_int_equal(f.server.why, ERR_OK);
	assert_int_equal(f.client.why, ERR_OK);
}

static void what_is_written_to_a_full_socket_keeps_its_order(void **state)
{
	uint8_t *p = pattern(KEEP);
	size_t sent = 0;

	(void)state;
	both_open();
	stream_read_pause(f.server.s);
	while (stream_queued(f.client.s) == 0) {
		put(&f.client, p + sent, 300001);
		sent += 300001;
		assert_true(sent < KEEP - 700000);
		turns(2);
	}
	for (size_t n = 1; n < 999; n += 7) {
		put(&f.client, p + sent, n);
		sent += n;
		if (n % 3 == 0)
			turn();
	}
	stream_read_resume(f.server.s);
	UNTIL(f.server.have == sent);
	assert_pattern(&f.server, sent);
	free(p);
}

static void a_paused_reader_holds_back_the_writer(void **state)
{
	uint8_t *p = pattern(1 << 20);
	size_t sent = 0;
	enum err e = ERR_OK;

	(void)state;
	both_open();
	stream_read_pause(f.server.s);
	assert_true(stream_read_paused(f.server.s));
	while (sent < 64 << 20 && e == ERR_OK) {
		e = stream_write(f.client.s, &(struct iovec){p, 1 << 20}, 1);
		sent += e == ERR_OK ? 1 << 20 : 0;
		turns(3);
	}
	assert_int_equal(e, ERR_LIMIT);
	assert_true(stream_queued(f.client.s) > 2 << 20);
	assert_true(stream_queued(f.client.s) < 5 << 20);
	assert_int_equal(f.client.n_drain, 0);
	assert_int_equal(f.server.have, 0);
	stream_close(f.client.s, ERR_DENIED);
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_DENIED);
	free(p);
}

static void pause_a_moment(struct peer *p, const char *event)
{
	(void)event;
	stream_read_pause(p->s);
}

static void pausing_in_every_event_loses_nothing(void **state)
{
	uint8_t *p = pattern(4 << 20);

	(void)state;
	f.server.probe = pause_a_moment;
	f.server.probe_at = "read";
	both_open();
	put(&f.client, p, 4 << 20);
	stream_finish(f.client.s);
	for (int i = 0; f.server.n_eof == 0 && i < 20000; i++) {
		size_t before = f.server.have;

		turn();
		turn();
		if (stream_read_paused(f.server.s)) {
			size_t after = f.server.have;

			turns(2);
			assert_int_equal(f.server.have, after);
			stream_read_resume(f.server.s);
			assert_int_equal(f.server.have, after);
		}
		(void)before;
	}
	UNTIL(f.server.n_eof);
	assert_pattern(&f.server, 4 << 20);
	free(p);
}

static void drain_comes_once_when_the_queue_is_low(void **state)
{
	uint8_t *p = pattern(3 << 20);

	(void)state;
	both_open();
	stream_read_pause(f.server.s);
	put(&f.client, p, 3 << 20);
	put(&f.client, p, 3 << 19);
	turns(5);
	if (stream_queued(f.client.s) > 256 * 1024)
		assert_int_equal(f.client.n_drain, 0);
	stream_read_resume(f.server.s);
	UNTIL(stream_queued(f.client.s) == 0 && f.client.n_drain > 0);
	assert_int_equal(f.client.n_drain, 1);
	UNTIL(f.server.have == (3 << 20) + (3 << 19));
	free(p);
}

static void small_writes_leave_together(void **state)
{
	(void)state;
	both_open();
	turns(5);
	for (int i = 0; i < 100; i++)
		put(&f.client, "0123456789", 10);
	assert_int_equal(stream_queued(f.client.s), 1000);
	turn();
	assert_int_equal(stream_queued(f.client.s), 0);
	UNTIL(f.server.have == 1000);
}

static void nothing_happens_before_the_loop_turns(void **state)
{
	(void)state;
	dial(listening_at());
	assert_int_equal(f.client.n_open + f.client.n_closed, 0);
	assert_int_equal(stream_write(f.client.s, &(struct iovec){&f, 1}, 1),
			 ERR_CLOSED);
	stream_close(f.client.s, ERR_BUSY);
	stream_close(f.client.s, ERR_IO);
	stream_finish(f.client.s);
	assert_int_equal(f.client.n_closed, 0);
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_BUSY);
	assert_int_equal(f.client.n_open, 0);
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
	uint8_t *p = pattern(32 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		f.client.probe = close_here;
		f.client.probe_at = at[i];
		f.client_opts.low_water = 1;
		f.client_opts.out_cap = 64 << 20;
		dial(listening_at());
		UNTIL((f.server.n_open && f.client.n_open) ||
		      f.client.n_closed);
		if (f.server.n_open && f.server.s != NULL) {
			put(&f.server, "x", 1);
			stream_finish(f.server.s);
		}
		if (f.client.s != NULL && f.client.n_open)
			(void)!stream_write(f.client.s,
					    &(struct iovec){p, 32 << 20}, 1);
		UNTIL(f.client.n_closed &&
		      (f.server.n_closed || f.server.s == NULL ||
		       f.server.n_open == 0));
		assert_int_equal(f.client.why, ERR_DENIED);
		if (f.server.s != NULL)
			stream_close(f.server.s, ERR_OK);
		UNTIL(f.server.s == NULL);
		turns(10);
		f.client.n_open = f.client.n_closed = f.client.n_eof = 0;
		f.client.have = 0;
		f.server.n_open = f.server.n_closed = f.server.n_eof = 0;
	}
	free(p);
}

/* Close either end after n turns of the loop, with data under way. */
static void closing_at_any_step_is_clean(void **state)
{
	uint8_t *p = pattern(1 << 20);

	(void)state;
	for (int n = 0; n < 60; n++) {
		struct peer *victim = n % 2 ? &f.server : &f.client;

		dial(listening_at());
		for (int i = 0; i < n / 2; i++) {
			if (f.client.s != NULL && f.client.n_open &&
			    stream_queued(f.client.s) == 0)
				(void)!stream_write(
				    f.client.s, &(struct iovec){p, 1 << 20}, 1);
			f.server.have = 0;
			uv_run(worker_loop(f.w), UV_RUN_NOWAIT);
		}
		if (victim->s != NULL)
			stream_close(victim->s, ERR_CANCELED);
		if (f.client.s != NULL && n % 3 == 0)
			stream_finish(f.client.s);
		turns(5);
		if (f.client.s != NULL)
			stream_close(f.client.s, ERR_CANCELED);
		UNTIL(f.client.n_closed);
		turns(5);
		if (f.server.s != NULL)
			stream_close(f.server.s, ERR_CANCELED);
		UNTIL(f.server.s == NULL);
		f.client.n_open = f.client.n_closed = f.client.n_eof = 0;
		f.server.n_open = f.server.n_closed = f.server.n_eof = 0;
		f.client.have = f.server.have = 0;
	}
	free(p);
}

static void stopping_the_worker_closes_with_canceled(void **state)
{
	(void)state;
	both_open();
	put(&f.client, "x", 1);
	listener_close(f.l, NULL, NULL);
	worker_stop(f.w);
	assert_int_equal(f.client.why, ERR_CANCELED);
	assert_int_equal(f.server.why, ERR_CANCELED);
	/* for teardown */
	assert_int_equal(worker_new(0, &f.w), ERR_OK);
	char why[LISTENER_WHY_LEN];
	assert_int_equal(listener_open(worker_loop(f.w), "127.0.0.1:0", 16,
				       on_accept, NULL, &f.l, why),
			 ERR_OK);
}

static void any_failed_allocation_ends_the_stream_only(void **state)
{
	uint8_t *p = pattern(1 << 20);
	bool done = false;

	(void)state;
	for (int n = 0; !done && n < 2000; n += n < 40 ? 1 : 23) {
		enum err e;

		net_mem_fail_after(n);
		e = stream_connect(f.w, listening_at(), &f.client_opts, &events,
				   &f.client, &f.client.s);
		if (e != ERR_OK) {
			net_mem_ok();
			assert_int_equal(e, ERR_NOMEM);
			f.client.s = NULL;
			continue;
		}
		for (int i = 0;
		     i < 3000 && f.client.s != NULL && f.server.have < 1 << 20;
		     i++) {
			if (f.client.n_open && f.client.s != NULL &&
			    stream_bytes_out(f.client.s) < 1 << 19 &&
			    stream_queued(f.client.s) == 0)
				(void)!stream_write(
				    f.client.s, &(struct iovec){p, 1 << 20}, 1);
			turn();
			if (f.server.n_closed && i > 50)
				break;
		}
		done = f.server.have >= 1 << 20;
		net_mem_ok();
		if (f.client.s != NULL)
			stream_close(f.client.s, ERR_OK);
		UNTIL(f.client.s == NULL);
		turns(5);
		if (f.server.s != NULL)
			stream_close(f.server.s, ERR_OK);
		UNTIL(f.server.s == NULL);
		f.client.n_open = f.client.n_closed = f.client.n_eof = 0;
		f.server.n_open = f.server.n_closed = f.server.n_eof = 0;
		f.client.have = f.server.have = 0;
	}
	assert_true(done);
	free(p);
}

/* ---- plain only ------------------------------------------------------- */

static void a_refused_connection_says_what_to_check(void **state)
{
	char endpoint[32];

	(void)state;
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", net_free_port());
	dial(endpoint);
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_IO);
	assert_non_null(strstr(f.client.detail, "nothing listens"));
	assert_non_null(strstr(f.client.detail, endpoint));
}

static void an_unknown_name_says_so(void **state)
{
	(void)state;
	f.client_opts.connect_ms = 30000;
	dial("no-such-host.invalid:104");
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_NOTFOUND);
	assert_non_null(strstr(f.client.detail, "no-such-host.invalid"));
}

static void a_look_up_can_be_left_behind(void **state)
{
	(void)state;
	dial("no-such-host.invalid:104");
	stream_close(f.client.s, ERR_CANCELED);
	UNTIL(f.client.n_closed); /* teardown waits for the request */
}

static void bad_endpoints_are_refused_at_once(void **state)
{
	static const char *const bad[] = {
	    "",     "host",  "host:",   "host:0",
	    ":104", "a b:1", "h:70000", "::1:104"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(stream_connect(f.w, bad[i], NULL, &events,
						&f.client, &f.client.s),
				 ERR_INVAL);
	f.client.s = NULL;
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
	f.client_opts.connect_ms = 100;
	dial(address_text((struct sockaddr *)&sin, endpoint));
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_TIMEOUT);
	assert_non_null(strstr(f.client.detail, "no answer from"));
	for (size_t i = 0; i < ARRAY_LEN(filler); i++)
		close(filler[i]);
	close(fd);
}

static void a_deadline_ends_a_busy_stream_too(void **state)
{
	(void)state;
	f.server.echo = true;
	both_open();
	stream_set_deadline(f.client.s, 60);
	put(&f.client, "x", 1);
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_TIMEOUT);
	assert_non_null(strstr(f.client.detail, "deadline"));
	assert_int_equal(f.client.have, 1);
}

static void only_idleness_trips_the_idle_limit(void **state)
{
	(void)state;
	both_open();
	stream_set_idle(f.server.s, 80);
	for (int i = 0; i < 20; i++) {
		put(&f.client, "x", 1);
		for (int k = 0; k < 10; k++) {
			usleep(1000);
			turn();
		}
	}
	assert_int_equal(f.server.n_closed, 0);
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_TIMEOUT);
	assert_non_null(strstr(f.server.detail, "80 ms"));
}

static void a_pause_of_ours_is_not_idleness_of_the_peer(void **state)
{
	(void)state;
	both_open();
	stream_set_idle(f.server.s, 30);
	stream_read_pause(f.server.s);
	for (int i = 0; i < 100; i++) {
		usleep(1000);
		turn();
	}
	assert_int_equal(f.server.n_closed, 0);
	stream_read_resume(f.server.s);
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_TIMEOUT);
}

static void a_peer_that_never_reads_trips_the_idle_limit(void **state)
{
	uint8_t *p = pattern(4 << 20);

	(void)state;
	raw_open();
	UNTIL(f.server.n_open);
	while (stream_write(f.server.s, &(struct iovec){p, 1 << 20}, 1) ==
	       ERR_OK)
		turn();
	stream_set_idle(f.server.s, 50);
	stream_read_pause(f.server.s);
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_TIMEOUT);
	free(p);
}

static void finish_does_not_wait_for_ever(void **state)
{
	(void)state;
	f.server_opts.finish_ms = 50;
	raw_open();
	UNTIL(f.server.n_open);
	put(&f.server, "bye", 3);
	stream_finish(f.server.s);
	UNTIL(f.server.n_closed); /* the peer neither reads nor closes */
	assert_int_equal(f.server.why, ERR_OK);
}

static void bytes_before_a_reset_still_arrive(void **state)
{
	struct linger hard = {1, 0};
	uint8_t *p = pattern(1 << 20);

	(void)state;
	raw_open();
	UNTIL(f.server.n_open);
	assert_int_equal(write(f.raw, "abort", 5), 5);
	UNTIL(f.server.have == 5);
	setsockopt(f.raw, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(f.raw);
	f.raw = -1;
	for (int i = 0; i < 5 && f.server.s != NULL; i++) {
		(void)!stream_write(f.server.s, &(struct iovec){p, 1 << 20}, 1);
		turn();
	}
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_CLOSED);
	assert_int_equal(f.server.n_eof, 0);
	free(p);
}

static void a_fin_in_clear_is_an_eof(void **state)
{
	(void)state;
	raw_open();
	UNTIL(f.server.n_open);
	shutdown(f.raw, SHUT_WR);
	UNTIL(f.server.n_eof);
	assert_int_equal(f.server.n_closed, 0);
	put(&f.server, "still", 5);
	stream_finish(f.server.s);
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_OK);
}

/* ---- TLS only --------------------------------------------------------- */

static void tls_information_is_there_after_opening(void **state)
{
	struct tls_info info;

	(void)state;
	dial(listening_at());
	assert_false(stream_tls_info(f.client.s, &info));
	UNTIL(f.client.n_open && f.server.n_open);
	assert_true(stream_tls_info(f.server.s, &info));
	assert_string_equal(info.subject, "CN=client");
	assert_true(stream_tls_info(f.client.s, &info));
	assert_string_equal(info.version, "TLSv1.3");
}

static void sessions_are_resumed_for_the_same_endpoint(void **state)
{
	struct tls_info info;

	(void)state;
	for (int i = 0; i < 3; i++) {
		both_open();
		put(&f.server, "x", 1); /* after the tickets */
		UNTIL(f.client.have == 1);
		assert_true(stream_tls_info(f.client.s, &info));
		assert_int_equal(info.resumed, i > 0);
		assert_true(stream_tls_info(f.server.s, &info));
		assert_int_equal(info.resumed, i > 0);
		assert_string_equal(info.subject, "CN=client");
		stream_finish(f.client.s);
		UNTIL(f.server.n_eof);
		stream_finish(f.server.s);
		UNTIL(f.server.n_closed && f.client.n_closed);
		memset(&f.client.n_open, 0, 4 * sizeof(int));
		memset(&f.server.n_open, 0, 4 * sizeof(int));
		f.client.have = 0;
	}
}

static void a_fin_without_close_notify_is_an_abort_unless_allowed(void **state)
{
	int fd = -1;

	(void)state;
	for (int ok = 0; ok < 2; ok++) {
		both_open();
		turns(10);
		stream_eof_ok(f.server.s, ok);
		/* shut the client's socket behind its back */
		for (fd = 3; fd < 1024; fd++) {
			struct sockaddr_in sin;
			socklen_t len = sizeof(sin);
			char text[ADDRESS_TEXT_LEN];

			if (getsockname(fd, (struct sockaddr *)&sin, &len) !=
				0 ||
			    sin.sin_family != AF_INET)
				continue;
			address_text((struct sockaddr *)&sin, text);
			if (strcmp(text, stream_local(f.client.s)) == 0)
				break;
		}
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		UNTIL(f.server.n_eof || f.server.n_closed);
		if (ok) {
			assert_int_equal(f.server.n_closed, 0);
			stream_finish(f.server.s);
		} else {
			assert_int_equal(f.server.n_eof, 0);
			assert_int_equal(f.server.why, ERR_CLOSED);
			assert_non_null(
			    strstr(f.server.detail, "close_notify"));
		}
		stream_close(f.client.s, ERR_OK);
		UNTIL(f.server.n_closed && f.client.n_closed);
		memset(&f.client.n_open, 0, 4 * sizeof(int));
		memset(&f.server.n_open, 0, 4 * sizeof(int));
	}
}

static void a_refused_certificate_is_told_to_both(void **state)
{
	(void)state;
	tls_context_unref(f.client_ctx);
	f.client_ctx = net_client("ca.pem", "stranger/client");
	f.client_opts.tls = f.client_ctx;
	dial(listening_at());
	UNTIL(f.server.n_closed && f.client.n_closed);
	assert_int_equal(f.server.why, ERR_TLS);
	assert_non_null(strstr(f.server.detail, "unknown CA"));
	assert_int_equal(f.server.n_open, 0);
	assert_int_equal(f.client.why, ERR_TLS);
	assert_non_null(strstr(f.client.detail, "refused OUR certificate"));
}

/* The alert must survive even when we were already writing. */
static void write_at_once(struct peer *p, const char *event)
{
	static uint8_t big[1 << 20];

	(void)event;
	(void)!stream_write(p->s, &(struct iovec){big, sizeof(big)}, 1);
}

static void the_alert_is_read_though_writing_fails(void **state)
{
	(void)state;
	tls_context_unref(f.client_ctx);
	f.client_ctx = net_client("ca.pem", "expired");
	f.client_opts.tls = f.client_ctx;
	f.client.probe = write_at_once;
	f.client.probe_at = "open";
	dial(listening_at());
	UNTIL(f.server.n_closed && f.client.n_closed);
	assert_int_equal(f.client.why, ERR_TLS);
	assert_non_null(strstr(f.client.detail, "OUR certificate CN=expired"));
}

static void a_plaintext_client_is_told_apart(void **state)
{
	static const uint8_t rq[] = {1, 0, 0, 0, 0, 4, 0, 0, 0, 0};
	char c;

	(void)state;
	raw_open();
	assert_int_equal(write(f.raw, rq, sizeof(rq)), sizeof(rq));
	UNTIL(read(f.raw, &c, 1) == 0);
	close(f.raw);
	f.raw = -1;
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_TLS);
	assert_non_null(strstr(f.server.detail, "DICOM in clear"));
}

static void a_plaintext_server_is_told_apart(void **state)
{
	(void)state;
	f.server_opts.tls = NULL;
	dial(listening_at());
	UNTIL(f.server.n_open);
	put(&f.server, "\x07\0\0\0\0\x04\0\0\2\1", 10); /* A-ABORT */
	UNTIL(f.client.n_closed);
	assert_int_equal(f.client.why, ERR_TLS);
	assert_non_null(strstr(f.client.detail, "DICOM in clear"));
	stream_close(f.server.s, ERR_OK);
}

static void a_silent_client_trips_the_handshake_deadline(void **state)
{
	(void)state;
	f.server_opts.handshake_ms = 60;
	raw_open();
	UNTIL(f.server.n_closed);
	assert_int_equal(f.server.why, ERR_TIMEOUT);
	assert_non_null(strstr(f.server.detail, "TLS handshake"));
	assert_int_equal(f.server.n_open, 0);
}

static int group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}

#define P(t)                                                                   \
	{                                                                      \
		"plain: " #t, t, setup_plain, teardown, NULL                   \
	}
#define S(t)                                                                   \
	{                                                                      \
		"tls: " #t, t, setup_tls, teardown, NULL                       \
	}
#define BOTH(t) P(t), S(t)

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
	    P(a_refused_connection_says_what_to_check),
	    P(an_unknown_name_says_so),
	    P(a_look_up_can_be_left_behind),
	    P(bad_endpoints_are_refused_at_once),
	    P(a_silent_address_times_out),
	    P(a_deadline_ends_a_busy_stream_too),
	    P(only_idleness_trips_the_idle_limit),
	    P(a_pause_of_ours_is_not_idleness_of_the_peer),
	    P(a_peer_that_never_reads_trips_the_idle_limit),
	    P(finish_does_not_wait_for_ever),
	    P(bytes_before_a_reset_still_arrive),
	    P(a_fin_in_clear_is_an_eof),
	    S(tls_information_is_there_after_opening),
	    S(sessions_are_resumed_for_the_same_endpoint),
	    S(a_fin_without_close_notify_is_an_abort_unless_allowed),
	    S(a_refused_certificate_is_told_to_both),
	    S(the_alert_is_read_though_writing_fails),
	    S(a_plaintext_client_is_told_apart),
	    S(a_plaintext_server_is_told_apart),
	    S(a_silent_client_trips_the_handshake_deadline),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
