/* test_link_session.c - the dialler's session against an acceptor that is made
 * of raw streams and does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/destination.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/clock.h"
#include "proxy/link/session.h"
#include "proxy/net/listener.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/session_far.h"

enum { DOWNS = 16 };

/* ---- the owner ---------------------------------------------------------- */

static struct owner {
	struct link_session *s; /* NULL: stopped */
	unsigned n_up, n_conn, n_lost, n_frame, n_silent, n_down, n_stopped;
	unsigned conn[LINK_CONNECTIONS_MAX], lost[LINK_CONNECTIONS_MAX];
	bool held[LINK_CONNECTIONS_MAX]; /* told by on_conn, not lost */
	struct link_session_down downs[DOWNS];
	char text[LINK_CONN_TEXT_LEN];
	uint16_t no_up;
	bool stop_in_lost;
} own;

static void on_hello(void *arg, struct link_hello *ours)
{
	(void)arg;
	ours->position++;
}

static uint16_t on_up(void *arg, const struct link_hello *theirs,
		      const struct link_terms *terms,
		      char text[LINK_TEXT_MAX + 1])
{
	(void)arg;
	(void)text;
	own.n_up++;
	assert_string_equal(theirs->node, "far");
	assert_true(terms->they_take);
	return own.no_up;
}

static void on_conn(void *arg, unsigned number)
{
	(void)arg;
	assert_true(link_session_up(own.s));
	assert_non_null(link_session_conn(own.s, number));
	assert_false(own.held[number]);
	own.held[number] = true;
	own.n_conn++;
	own.conn[number]++;
}

static void on_lost(void *arg, unsigned number, const char *text)
{
	(void)arg;
	assert_true(own.held[number]);
	assert_true(text[0] != '\0');
	own.held[number] = false;
	own.n_lost++;
	own.lost[number]++;
	if (own.stop_in_lost)
		link_session_stop(own.s, LINK_BYE_SHUTDOWN);
}

static void on_frame(void *arg, unsigned number, const struct link_frame *f)
{
	(void)arg;
	(void)f;
	assert_true(own.held[number]);
	own.n_frame++;
}

static void on_silent(void *arg, unsigned number)
{
	(void)arg;
	assert_true(own.held[number]);
	own.n_silent++;
}

static void on_down(void *arg, const struct link_session_down *d)
{
	(void)arg;
	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++)
		assert_false(own.held[i]);
	assert_false(link_session_up(own.s));
	if (own.n_down < DOWNS)
		own.downs[own.n_down] = *d;
	own.n_down++;
	snprintf(own.text, sizeof(own.text), "%s", d->text);
}

static void on_stopped(void *arg)
{
	(void)arg;
	own.n_stopped++;
	own.s = NULL;
}

static const struct link_session_events events = {
    .on_hello = on_hello,
    .on_up = on_up,
    .on_conn = on_conn,
    .on_lost = on_lost,
    .on_frame = on_frame,
    .on_silent = on_silent,
    .on_down = on_down,
    .on_stopped = on_stopped,
};

/* ---- kit ---------------------------------------------------------------- */

static struct config_destination config;
static struct config_endpoint endpoints[2];
static struct destination *destination;
static int live;

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

static void turn(void)
{
	uv_run(worker_loop(far.w), UV_RUN_NOWAIT);
	usleep(100);
}

#define UNTIL(condition)                                                       \
	do {                                                                   \
		uint64_t end_ = now_ms() + 20000;                              \
		while (!(condition)) {                                         \
			if (now_ms() > end_)                                   \
				fail_msg("never: %s", #condition);             \
			turn();                                                \
		}                                                              \
	} while (0)

static void run(uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		turn();
}

static struct link_hello hello(uint8_t fill, uint32_t features,
			       const char *node)
{
	struct link_hello h = {
	    .version_min = LINK_VERSION,
	    .version_max = LINK_VERSION,
	    .features = features,
	    .window = 64 << 20,
	    .transfers = 1024,
	    .keepalive_ms = 5000,
	    .connections = 16,
	    .chunk_log2 = LINK_CHUNK_LOG2,
	};

	memset(h.spool, fill, LINK_ID_LEN);
	snprintf(h.node, sizeof(h.node), "%s", node);
	return h;
}

static void put(char *out, size_t n, const char *file)
{
	assert_true(snprintf(out, n, "%s", net_file(file)) < (int)n);
}

static void configure(uint32_t connections)
{
	memset(&config, 0, sizeof(config));
	snprintf(config.name, sizeof(config.name), "far");
	config.protocol = CONFIG_LINK;
	config.link.connections = connections;
	config.timeouts.connect = 3000;
	config.breaker.failures = 100;
	config.breaker.pause = 1000;
	put(config.tls.ca, sizeof(config.tls.ca), "ca.pem");
	put(config.tls.certificate, sizeof(config.tls.certificate),
	    "client.pem");
	put(config.tls.key, sizeof(config.tls.key), "client.key");
	config.endpoints.v = endpoints;
	config.endpoints.n = 1;
	snprintf(endpoints[0].host, sizeof(endpoints[0].host), "localhost");
	endpoints[0].port = listener_port(far.l);
}

/* A session that is wanted. */
static void begin(uint32_t connections)
{
	struct link_hello h = hello(0x10, LINK_FOLLOW, "edge");
	struct link_session_options o = {
	    .worker = far.w, .hello = &h, .first_ms = 40, .max_ms = 400};
	char why[768];

	if (config.name[0] == '\0')
		configure(connections);
	config.link.connections = connections;
	assert_int_equal(destination_open(&config, &destination, why), ERR_OK);
	o.destination = destination;
	assert_int_equal(link_session_new(&o, &events, NULL, &own.s), ERR_OK);
	link_session_want(own.s, true);
	assert_int_equal(far.n_fars, 0);
}

static int setup(void **state)
{
	struct tls_options o = {.ca = net_file("ca.pem"),
				.certificate = net_file("server.pem"),
				.key = net_file("server.key"),
				.tls13_only = true,
				.alpn = LINK_ALPN};
	char why[TLS_WHY_LEN];

	(void)state;
	memset(&far, 0, sizeof(far));
	memset(&own, 0, sizeof(own));
	memset(&config, 0, sizeof(config));
	destination = NULL;
	live = net_mem_live();
	assert_int_equal(worker_new(0, &far.w), ERR_OK);
	assert_int_equal(tls_server_new(&o, &far.tls, why), ERR_OK);
	assert_int_equal(listener_open(worker_loop(far.w), "127.0.0.1:0", 64,
				       far_accept, NULL, &far.l, why),
			 ERR_OK);
	far.hello = hello(0xa0, LINK_TAKES | LINK_FOLLOW | LINK_JOINS, "far");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_mem_ok();
	listener_close(far.l, NULL, NULL);
	worker_stop(far.w);
	assert_null(own.s);
	destination_close(destination);
	tls_context_unref(far.tls);
	assert_int_equal(net_mem_live(), live);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}

/* ---- opening ------------------------------------------------------------ */

static void all_connections_open(void **state)
{
	(void)state;
	begin(4);
	UNTIL(link_session_connections(own.s) == 4);
	assert_int_equal(own.n_up, 1);
	assert_int_equal(own.n_conn, 4);
	assert_int_equal(far.n_hello, 1);
	assert_int_equal(far.n_join, 3);
	assert_int_equal(link_session_terms(own.s)->connections, 4);
	assert_null(link_session_conn(own.s, 4));
	assert_null(link_session_conn(own.s, 99));
	assert_int_equal(link_session_retry_ms(own.s), 0);
	assert_true(link_session_roomy(own.s) >= 0);
	run(200);
	assert_int_equal(far.n_fars, 4);
}

static void the_next_endpoint_is_tried_at_once(void **state)
{
	struct destination_health h;

	(void)state;
	configure(1);
	config.endpoints.n = 2;
	endpoints[1] = endpoints[0];
	endpoints[0].port = 1; /* nobody */
	begin(1);
	UNTIL(own.n_up == 1);
	assert_int_equal(own.n_down, 0);
	assert_true(destination_health(destination, 0, &h));
	assert_int_equal(h.failures, 1);
	assert_true(destination_health(destination, 1, &h));
	assert_int_equal(h.failures, 0);
	assert_true(h.answered_ms > 0);
}

static void an_owner_may_refuse_what_answered(void **state)
{
	(void)state;
	own.no_up = LINK_BYE_LIMITS;
	begin(2);
	UNTIL(own.n_down == 1);
	assert_int_equal(own.downs[0].fault, LINK_FAULT_HELD);
	assert_int_equal(own.n_conn, 0);
	assert_int_equal(far.bye, LINK_BYE_LIMITS);
}

/* ---- losing ------------------------------------------------------------- */

static void a_lost_connection_joins_again(void **state)
{
	(void)state;
	begin(3);
	UNTIL(link_session_connections(own.s) == 3);
	far_cut(2);
	UNTIL(own.lost[2] == 1);
	UNTIL(own.conn[2] == 2);
	far_cut(0); /* the first one too, while others live */
	UNTIL(own.conn[0] == 2);
	assert_int_equal(far.n_hello, 1);
	assert_int_equal(own.n_up, 1);
	assert_int_equal(own.n_down, 0);
}

static void when_none_is_left_hello_begins_anew(void **state)
{
	(void)state;
	begin(1);
	UNTIL(own.n_conn == 1);
	far_cut(0);
	UNTIL(own.n_up == 2 && own.held[0]);
	assert_int_equal(own.n_down, 1);
	assert_true(own.downs[0].was_up);
	assert_int_equal(own.downs[0].fault, LINK_FAULT_LOST);
	assert_int_equal(own.downs[0].retry_ms, 0);
	assert_int_equal(far.n_hello, 2);
	/* Without progress it is not tried for ever at once. */
	far_cut(0);
	UNTIL(own.n_down == 2);
	assert_in_range(own.downs[1].retry_ms, 30, 50);
	UNTIL(own.n_up == 3);
}

static void progress_makes_the_next_attempt_come_at_once(void **state)
{
	(void)state;
	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		UNTIL(own.held[0]);
		far_ack(far_of(0));
		UNTIL(own.n_frame == i + 1);
		far_cut(0);
		UNTIL(own.n_down == i + 1);
		assert_int_equal(own.downs[i].retry_ms, 0);
		assert_int_equal(own.downs[i].failures, 1);
	}
}

static void pauses_double_with_jitter_up_to_the_longest(void **state)
{
	static const uint64_t want[] = {40, 80, 160, 320, 400, 400};

	(void)state;
	far.no_hello = LINK_BYE_BUSY;
	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t begin_ms;

		UNTIL(own.n_down == i + 1);
		begin_ms = now_ms();
		assert_int_equal(own.downs[i].bye, LINK_BYE_BUSY);
		assert_int_equal(own.downs[i].failures, i + 1);
		assert_false(own.downs[i].was_up);
		assert_in_range(own.downs[i].retry_ms, want[i] * 3 / 4,
				want[i] * 5 / 4);
		UNTIL(far.n_hello == i + 2);
		assert_true(now_ms() - begin_ms + 5 >= own.downs[i].retry_ms);
	}
	far.no_hello = 0;
	UNTIL(own.n_up == 1);
}

static void the_reason_decides(void **state)
{
	static const struct {
		uint16_t reason;
		enum link_session_fault fault;
		uint64_t least, most;
	} cases[] = {
	    {LINK_BYE_SHUTDOWN, LINK_FAULT_LOST, 30, 50},
	    {LINK_BYE_VERSION, LINK_FAULT_HELD, 225000, 375000},
	    {LINK_BYE_PROTOCOL, LINK_FAULT_ALERT, 30, 50},
	    {LINK_BYE_LIMITS, LINK_FAULT_HELD, 225000, 375000},
	    {LINK_BYE_UNDECLARED, LINK_FAULT_HELD, 225000, 375000},
	    {LINK_BYE_SESSION, LINK_FAULT_LOST, 0, 0},
	    {LINK_BYE_REPLACED, LINK_FAULT_LOST, 30, 50},
	    {LINK_BYE_TIMEOUT, LINK_FAULT_LOST, 0, 0},
	    {LINK_BYE_STORE, LINK_FAULT_LOST, 30, 50},
	    {LINK_BYE_BUSY, LINK_FAULT_LOST, 30, 50},
	    {LINK_BYE_SELF, LINK_FAULT_HELD, 225000, 375000},
	    {999, LINK_FAULT_LOST, 30, 50},
	};

	(void)state;
	begin(2);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		UNTIL(link_session_connections(own.s) == 2);
		far_ack(far_of(0)); /* so that failures count from 0 */
		UNTIL(own.n_frame == i + 1);
		far_bye(far_of(1), cases[i].reason, true);
		UNTIL(own.n_down == i + 1);
		assert_int_equal(own.downs[i].bye, cases[i].reason);
		assert_int_equal(own.downs[i].fault, cases[i].fault);
		assert_in_range(own.downs[i].retry_ms, cases[i].least,
				cases[i].most);
		assert_true(own.downs[i].was_up);
		link_session_hurry(own.s);
	}
	UNTIL(own.held[0]);
}

static void a_join_to_a_forgotten_session_begins_anew(void **state)
{
	(void)state;
	begin(2);
	UNTIL(link_session_connections(own.s) == 2);
	far.no_join = LINK_BYE_SESSION;
	far_cut(1);
	UNTIL(own.n_down == 1);
	assert_int_equal(own.downs[0].bye, LINK_BYE_SESSION);
	far.no_join = 0;
	UNTIL(link_session_connections(own.s) == 2);
	assert_int_equal(far.n_hello, 2);
}

static void a_number_that_is_not_wanted_is_not_tried_again(void **state)
{
	(void)state;
	far.no_join = LINK_BYE_LIMITS;
	begin(3);
	UNTIL(far.n_join == 2);
	run(300);
	assert_int_equal(far.n_join, 2);
	assert_int_equal(link_session_connections(own.s), 1);
	assert_int_equal(own.n_down, 0);
}

static void a_join_that_fails_is_tried_again_later(void **state)
{
	(void)state;
	far.no_join = LINK_BYE_BUSY;
	begin(2);
	UNTIL(far.n_join == 3);
	far.no_join = 0;
	UNTIL(own.held[1]);
	assert_int_equal(far.n_hello, 1);
}

/* ---- silence ------------------------------------------------------------ */

static void a_probe_takes_the_place_of_a_silent_connection(void **state)
{
	uint64_t begin_ms;

	(void)state;
	begin(2);
	UNTIL(link_session_connections(own.s) == 2);
	link_session_asking(own.s, true);
	run(300);
	begin_ms = now_ms();
	far_of(0)->muted = true;
	UNTIL(own.conn[0] == 2);
	assert_in_range(now_ms() - begin_ms, 900, 3500);
	assert_int_equal(own.lost[0], 1);
	assert_int_equal(own.n_silent, 1);
	assert_int_equal(own.lost[1], 0);
	assert_int_equal(far.n_hello, 1);
	run(300);
	assert_int_equal(link_session_connections(own.s), 2);
}

static void probes_go_on_each_second_until_one_gets_through(void **state)
{
	(void)state;
	begin(1);
	UNTIL(own.n_conn == 1);
	link_session_asking(own.s, true);
	far_of(0)->muted = true;
	far.deaf = true; /* probes reach it, and are not answered */
	UNTIL(far.n_fars >= 4);
	assert_int_equal(own.n_silent, 1);
	assert_int_equal(own.n_lost, 0);
	far.deaf = false;
	UNTIL(own.conn[0] == 2);
	run(1500);
	assert_int_equal(own.conn[0], 2);
	assert_int_equal(own.n_up, 1);
}

/* ---- wanted ------------------------------------------------------------- */

static void what_is_not_wanted_is_closed_and_may_come_back(void **state)
{
	(void)state;
	begin(2);
	UNTIL(link_session_connections(own.s) == 2);
	link_session_want(own.s, false);
	assert_int_equal(own.n_lost, 2);
	assert_int_equal(own.n_down, 1);
	assert_int_equal(own.downs[0].fault, LINK_FAULT_NONE);
	UNTIL(far.n_bye == 2);
	assert_int_equal(far.bye, LINK_BYE_SHUTDOWN);
	assert_true(far.bye_link);
	run(100);
	assert_int_equal(own.n_up, 1);
	link_session_want(own.s, true);
	UNTIL(link_session_connections(own.s) == 2);
	assert_int_equal(own.n_up, 2);
}

static void it_stops_with_a_word(void **state)
{
	(void)state;
	begin(2);
	UNTIL(link_session_connections(own.s) == 2);
	link_session_stop(own.s, LINK_BYE_STORE);
	link_session_stop(own.s, LINK_BYE_SHUTDOWN);
	assert_int_equal(own.n_stopped, 0);
	UNTIL(own.n_stopped == 1);
	assert_int_equal(far.n_bye, 2);
	assert_int_equal(far.bye, LINK_BYE_STORE);
}

static void it_may_stop_at_any_time(void **state)
{
	(void)state;
	begin(2);
	link_session_stop(own.s, LINK_BYE_SHUTDOWN); /* before anything */
	UNTIL(own.n_stopped == 1);
	destination_close(destination);
	begin(2);
	run(2); /* while it is being made */
	link_session_stop(own.s, LINK_BYE_SHUTDOWN);
	UNTIL(own.n_stopped == 2);
	destination_close(destination);
	far.n_fars = 0;
	own.stop_in_lost = true;
	begin(3);
	UNTIL(link_session_connections(own.s) == 3);
	far_cut(1); /* inside of its own events */
	UNTIL(own.n_stopped == 3);
	assert_int_equal(own.n_lost, 3);
}

static void without_memory_it_fails_softly(void **state)
{
	(void)state;
	for (int n = 0; n < 30000; n += 1 + n / 8) {
		memset(&own.n_up, 0, sizeof(own) - sizeof(own.s));
		far.n_fars = 0;
		begin(2);
		net_mem_fail_after(n);
		run(15);
		net_mem_ok();
		link_session_hurry(own.s);
		UNTIL(link_session_connections(own.s) == 2);
		link_session_stop(own.s, LINK_BYE_SHUTDOWN);
		UNTIL(own.s == NULL);
		for (unsigned i = 0; i < far.n_fars; i++)
			UNTIL(far.fars[i].s == NULL);
		destination_close(destination);
		destination = NULL;
	}
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(all_connections_open),
	    T(the_next_endpoint_is_tried_at_once),
	    T(an_owner_may_refuse_what_answered),
	    T(a_lost_connection_joins_again),
	    T(when_none_is_left_hello_begins_anew),
	    T(progress_makes_the_next_attempt_come_at_once),
	    T(pauses_double_with_jitter_up_to_the_longest),
	    T(the_reason_decides),
	    T(a_join_to_a_forgotten_session_begins_anew),
	    T(a_number_that_is_not_wanted_is_not_tried_again),
	    T(a_join_that_fails_is_tried_again_later),
	    T(a_probe_takes_the_place_of_a_silent_connection),
	    T(probes_go_on_each_second_until_one_gets_through),
	    T(what_is_not_wanted_is_closed_and_may_come_back),
	    T(it_stops_with_a_word),
	    T(it_may_stop_at_any_time),
	    T(without_memory_it_fails_softly),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
