#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/condition_seen.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/tls_kit.h"

enum err end_take(void *arg, const uint8_t *p, size_t n)
{
	struct end *e = arg;

	return buf_append(&e->out, p, n);
}

void end_begin(struct end *e, struct tls_context *c, const char *name,
	       const char *key)
{
	memset(e, 0, sizeof(*e));
	buf_init(&e->out, 1 << 22);
	e->state = ERR_AGAIN;
	assert_int_equal(tls_new(c, name, key, end_take, e, &e->tls), ERR_OK);
}

void end_finish(struct end *e)
{
	tls_free(e->tls);
	buf_free(&e->out);
}

void end_step(struct end *e, struct end *from, size_t n)
{
	const uint8_t *rest;

	if (e->state != ERR_AGAIN)
		return;
	n = n < buf_len(&from->out) ? n : buf_len(&from->out);
	tls_feed(e->tls, n > 0 ? buf_data(&from->out) : NULL, n);
	e->state = tls_handshake(e->tls);
	buf_consume(&from->out, n - tls_pending_input(e->tls, &rest));
}

enum err end_receive(struct end *e, struct end *from, const char *want)
{
	uint8_t got[4096];
	size_t have = 0, n;
	const uint8_t *rest;
	enum err err;

	tls_feed(e->tls, buf_len(&from->out) > 0 ? buf_data(&from->out) : NULL,
		 buf_len(&from->out));
	while ((err = tls_read(e->tls, got + have, sizeof(got) - have, &n)) ==
	       ERR_OK)
		have += n;
	buf_consume(&from->out,
		    buf_len(&from->out) - tls_pending_input(e->tls, &rest));
	assert_int_equal(have, strlen(want));
	assert_memory_equal(got, want, have);
	return err;
}

void end_send(struct end *e, const char *text)
{
	assert_int_equal(tls_write(e->tls, (const uint8_t *)text, strlen(text)),
			 ERR_OK);
}

void end_says(const struct end *e, const char *const words[])
{
	for (; *words != NULL; words++)
		if (strstr(tls_failure(e->tls), *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words,
				 tls_failure(e->tls));
	condition_asserted(condition_in_text(tls_failure(e->tls)));
}

void pair_begin(struct pair *p, const char *name, const char *key)
{
	end_begin(&p->server, p->server_ctx, NULL, NULL);
	end_begin(&p->client, p->client_ctx, name, key);
}

void pair_end(struct pair *p)
{
	end_finish(&p->server);
	end_finish(&p->client);
}

void pair_free(struct pair *p)
{
	pair_end(p);
	tls_context_unref(p->server_ctx);
	tls_context_unref(p->client_ctx);
}

void pair_new(struct pair *p, const char *server, const char *client)
{
	p->server_ctx = net_server("ca.pem", server);
	p->client_ctx = net_client("ca.pem", client);
	pair_begin(p, "localhost", "localhost:1");
}

void pair_shake(struct pair *p, size_t n)
{
	end_step(&p->client, &p->server, 0);
	for (int i = 0; i < 100000; i++) {
		size_t before =
		    buf_len(&p->client.out) + buf_len(&p->server.out);

		end_step(&p->server, &p->client, n);
		end_step(&p->client, &p->server, n);
		if (before == buf_len(&p->client.out) + buf_len(&p->server.out))
			return;
	}
	fail_msg("the handshake does not end");
}

void pair_is_good(struct pair *p)
{
	if (p->server.state != ERR_OK || p->client.state != ERR_OK)
		fail_msg("server: %s\nclient: %s", tls_failure(p->server.tls),
			 tls_failure(p->client.tls));
	end_send(&p->client, "ping");
	assert_int_equal(end_receive(&p->server, &p->client, "ping"),
			 ERR_AGAIN);
	end_send(&p->server, "pong");
	assert_int_equal(end_receive(&p->client, &p->server, "pong"),
			 ERR_AGAIN);
}

struct tls_options kit_options(bool server)
{
	return (struct tls_options){
	    .ca = net_file("ca.pem"),
	    .certificate = net_file(server ? "server.pem" : "client.pem"),
	    .key = net_file(server ? "server.key" : "client.key"),
	};
}

struct tls_context *kit_context(bool server, const struct tls_options *o)
{
	char why[TLS_WHY_LEN];
	struct tls_context *c = NULL;
	enum err e =
	    server ? tls_server_new(o, &c, why) : tls_client_new(o, &c, why);

	if (e != ERR_OK)
		fail_msg("%s", why);
	return c;
}

static int live_before;

int kit_setup(void **state)
{
	(void)state;
	live_before = net_mem_live();
	return 0;
}

int kit_teardown(void **state)
{
	(void)state;
	net_mem_ok();
	assert_int_equal(net_mem_live(), live_before);
	return 0;
}

int kit_group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}
