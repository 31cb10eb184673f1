#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_kit.h"

struct stream_kit kit;

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
	assert_true(n > 0 && n <= KIT_KEEP - p->have);
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

const struct stream_events kit_events = {on_open, on_read, on_drain, on_eof,
					 on_closed};

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	(void)arg;
	(void)peer;
	if (kit.server.s != NULL || kit.server.n_closed > 0 ||
	    stream_accept(kit.w, fd, &kit.server_opts, &kit_events, &kit.server,
			  &kit.server.s) != ERR_OK)
		kit.server.n_closed += kit.server.s == NULL;
}

void kit_listen(void)
{
	char why[LISTENER_WHY_LEN];

	assert_int_equal(listener_open(worker_loop(kit.w), "127.0.0.1:0", 16,
				       on_accept, NULL, &kit.l, why),
			 ERR_OK);
}

const char *kit_endpoint(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "localhost:%u", listener_port(kit.l));
	return text;
}

static void kit_begin(void)
{
	kit.live = net_mem_live();
	kit.raw = -1;
	assert_int_equal(worker_new(0, &kit.w), ERR_OK);
	kit_listen();
	kit.server.got = malloc(KIT_KEEP);
	kit.client.got = malloc(KIT_KEEP);
}

int kit_plain(void **state)
{
	(void)state;
	memset(&kit, 0, sizeof(kit));
	kit_begin();
	return 0;
}

int kit_tls(void **state)
{
	(void)state;
	memset(&kit, 0, sizeof(kit));
	kit_begin();
	kit.server_ctx = net_server("ca.pem", "server");
	kit.client_ctx = net_client("ca.pem", "client");
	kit.server_opts.tls = kit.server_ctx;
	kit.client_opts.tls = kit.client_ctx;
	return 0;
}

int kit_teardown(void **state)
{
	(void)state;
	net_mem_ok();
	listener_close(kit.l, NULL, NULL);
	worker_stop(kit.w); /* aborts unless every handle is closed */
	assert_null(kit.client.s);
	assert_null(kit.server.s);
	tls_context_unref(kit.server_ctx);
	tls_context_unref(kit.client_ctx);
	if (kit.raw >= 0)
		close(kit.raw);
	free(kit.server.got);
	free(kit.client.got);
	assert_int_equal(net_mem_live(), kit.live);
	return 0;
}

int kit_group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}

void kit_turn(void)
{
	uv_run(worker_loop(kit.w), UV_RUN_NOWAIT);
	usleep(200);
}

void kit_turns(int n)
{
	while (n-- > 0)
		kit_turn();
}

void kit_dial(const char *endpoint)
{
	assert_int_equal(stream_connect(kit.w, endpoint, &kit.client_opts,
					&kit_events, &kit.client,
					&kit.client.s),
			 ERR_OK);
}

void kit_both_open(void)
{
	kit_dial(kit_endpoint());
	UNTIL((kit.client.n_open && kit.server.n_open) || kit.client.n_closed);
	if (kit.client.n_closed)
		fail_msg("client: %s\nserver: %s", kit.client.detail,
			 kit.server.detail);
}

void kit_raw_open(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(listener_port(kit.l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	kit.raw = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(kit.raw, (struct sockaddr *)&sin, sizeof(sin)),
			 0);
	assert_int_equal(fcntl(kit.raw, F_SETFL, O_NONBLOCK), 0);
	UNTIL(kit.server.s != NULL);
}

static void forget(struct peer *p)
{
	p->n_open = p->n_eof = p->n_drain = p->n_closed = 0;
	p->have = 0;
}

void kit_forget(void)
{
	forget(&kit.client);
	forget(&kit.server);
}

void kit_put(struct peer *p, const void *b, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)b, n};

	assert_int_equal(stream_write(p->s, &iov, 1), ERR_OK);
}

static uint8_t pattern_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251 + i / 65537);
}

uint8_t *kit_pattern(size_t n)
{
	uint8_t *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = pattern_at(i);
	return p;
}

void kit_is_pattern(const struct peer *p, size_t n)
{
	assert_int_equal(p->have, n);
	for (size_t i = 0; i < n; i++)
		if (p->got[i] != pattern_at(i))
			fail_msg("byte %zu differs", i);
}
