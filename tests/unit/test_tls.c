#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls.h"
#include "tests/unit/net_fixture.h"

/* Two engines joined by two queues of ciphertext. */
struct end {
	struct tls *tls;
	struct buf out; /* ciphertext for the other end */
	enum err state; /* of the handshake */
};

struct pair {
	struct tls_context *server_ctx, *client_ctx;
	struct end server, client;
};

static enum err take(void *arg, const uint8_t *p, size_t n)
{
	struct end *e = arg;

	return buf_append(&e->out, p, n);
}

static void end_begin(struct end *e, struct tls_context *c, const char *name,
		      const char *key)
{
	memset(e, 0, sizeof(*e));
	buf_init(&e->out, 1 << 22);
	e->state = ERR_AGAIN;
	assert_int_equal(tls_new(c, name, key, take, e, &e->tls), ERR_OK);
}

static void end_finish(struct end *e)
{
	tls_free(e->tls);
	buf_free(&e->out);
}

/* Give e up to n bytes of what from holds, and let it go on. */
static void step(struct end *e, struct end *from, size_t n)
{
	const uint8_t *rest;

	if (e->state != ERR_AGAIN)
		return;
	n = n < buf_len(&from->out) ? n : buf_len(&from->out);
	tls_feed(e->tls, n > 0 ? buf_data(&from->out) : NULL, n);
	e->state = tls_handshake(e->tls);
	buf_consume(&from->out, n - tls_pending_input(e->tls, &rest));
}

/* Both handshakes, n bytes at a time, until nothing moves. */
static void shake(struct pair *p, size_t n)
{
	step(&p->client, &p->server, 0);
	for (int i = 0; i < 100000; i++) {
		size_t before =
		    buf_len(&p->client.out) + buf_len(&p->server.out);

		step(&p->server, &p->client, n);
		step(&p->client, &p->server, n);
		if (before == buf_len(&p->client.out) + buf_len(&p->server.out))
			return;
	}
	fail_msg("the handshake does not end");
}

static void pair_begin(struct pair *p, const char *name, const char *key)
{
	end_begin(&p->server, p->server_ctx, NULL, NULL);
	end_begin(&p->client, p->client_ctx, name, key);
}

static void pair_end(struct pair *p)
{
	end_finish(&p->server);
	end_finish(&p->client);
}

static void pair_free(struct pair *p)
{
	pair_end(p);
	tls_context_unref(p->server_ctx);
	tls_context_unref(p->client_ctx);
}

static void pair_new(struct pair *p, const char *server, const char *client)
{
	p->server_ctx = net_server("ca.pem", server);
	p->client_ctx = net_client("ca.pem", client);
	pair_begin(p, "localhost", "localhost:1");
}

/* Read all that waits; the text is compared. ERR of the last read. */
static enum err receive(struct end *e, struct end *from, const char *want)
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

static void send_text(struct end *e, const char *text)
{
	assert_int_equal(tls_write(e->tls, (const uint8_t *)text, strlen(text)),
			 ERR_OK);
}

static void assert_good(struct pair *p)
{
	if (p->server.state != ERR_OK || p->client.state != ERR_OK)
		fail_msg("server: %s\nclient: %s", tls_failure(p->server.tls),
			 tls_failure(p->client.tls));
	send_text(&p->client, "ping");
	assert_int_equal(receive(&p->server, &p->client, "ping"), ERR_AGAIN);
	send_text(&p->server, "pong");
	assert_int_equal(receive(&p->client, &p->server, "pong"), ERR_AGAIN);
}

static void assert_says(const struct end *e, const char *const words[])
{
	for (; *words != NULL; words++)
		if (strstr(tls_failure(e->tls), *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words,
				 tls_failure(e->tls));
}

#define SAYS(e, ...) assert_says(e, (const char *const[]){__VA_ARGS__, NULL})

/* ---- good handshakes -------------------------------------------------- */

static void both_ends_know_each_other(void **state)
{
	struct tls_info si, ci;
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	tls_info(p.server.tls, &si);
	tls_info(p.client.tls, &ci);
	assert_string_equal(si.version, "TLSv1.3");
	assert_string_equal(si.suite, "TLS_AES_256_GCM_SHA384");
	assert_string_equal(si.group, "X25519");
	assert_string_equal(si.subject, "CN=client");
	assert_string_equal(si.issuer, "CN=Test CA");
	assert_int_equal(strlen(si.fingerprint), 64);
	assert_false(si.resumed);
	assert_string_equal(ci.subject, "CN=server");
	assert_string_equal(ci.sans, "DNS:localhost, IP:127.0.0.1");
	assert_string_equal(ci.suite, si.suite);
	assert_string_equal(ci.group, si.group);
	pair_free(&p);
}

static void a_handshake_works_one_byte_at_a_time(void **state)
{
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	shake(&p, 1);
	assert_good(&p);
	pair_free(&p);
}

static void addresses_are_matched_against_ip_names(void **state)
{
	struct pair p;

	(void)state;
	p.server_ctx = net_server("ca.pem", "server");
	p.client_ctx = net_client("ca.pem", "client");
	pair_begin(&p, "127.0.0.1", NULL);
	shake(&p, SIZE_MAX);
	assert_good(&p);
	pair_end(&p);
	pair_begin(&p, "127.0.0.2", NULL);
	shake(&p, SIZE_MAX);
	assert_int_equal(p.client.state, ERR_TLS);
	SAYS(&p.client, "wanted 127.0.0.2", "IP:127.0.0.1", "another host");
	pair_free(&p);
}

static struct tls_options base_options(bool server)
{
	return (struct tls_options){
	    .ca = net_file("ca.pem"),
	    .certificate = net_file(server ? "server.pem" : "client.pem"),
	    .key = net_file(server ? "server.key" : "client.key"),
	};
}

static struct tls_context *make(bool server, const struct tls_options *o)
{
	char why[TLS_WHY_LEN];
	struct tls_context *c = NULL;
	enum err e =
	    server ? tls_server_new(o, &c, why) : tls_client_new(o, &c, why);

	if (e != ERR_OK)
		fail_msg("%s", why);
	return c;
}

static void every_suite_and_group_of_the_profile_works(void **state)
{
	static const struct {
		const char *suite, *group, *version;
	} cases[] = {
	    {"TLS_AES_256_GCM_SHA384", "P-256", "TLSv1.3"},
	    {"TLS_AES_128_GCM_SHA256", "P-384", "TLSv1.3"},
	    {"TLS_CHACHA20_POLY1305_SHA256", "X25519", "TLSv1.3"},
	    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "P-256", "TLSv1.2"},
	    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "P-384", "TLSv1.2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_options o = base_options(false);
		struct tls_info info;
		struct pair p;

		o.suites = cases[i].suite;
		o.groups = cases[i].group;
		p.server_ctx = net_server("ca.pem", "server");
		p.client_ctx = make(false, &o);
		pair_begin(&p, "localhost", NULL);
		shake(&p, SIZE_MAX);
		assert_good(&p);
		tls_info(p.client.tls, &info);
		assert_string_equal(info.suite, cases[i].suite);
		assert_string_equal(info.group, cases[i].group);
		assert_string_equal(info.version, cases[i].version);
		pair_free(&p);
	}
}

static void close_notify_is_sent_once(void **state)
{
	struct pair p;
	size_t once;

	(void)state;
	pair_new(&p, "server", "client");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	tls_close_notify(p.client.tls);
	once = buf_len(&p.client.out);
	assert_true(once > 0);
	tls_close_notify(p.client.tls);
	tls_close_notify(p.client.tls);
	assert_int_equal(buf_len(&p.client.out), once);
	assert_int_equal(receive(&p.server, &p.client, ""), ERR_CLOSED);
	/* the other direction still works, as TLS 1.3 has it */
	send_text(&p.server, "more");
	assert_int_equal(receive(&p.client, &p.server, "more"), ERR_AGAIN);
	pair_free(&p);
}

/* ---- resumption ------------------------------------------------------- */

static void resume_with(const struct tls_options *client, bool works)
{
	struct tls_info si, ci;
	struct pair p;

	p.server_ctx = net_server("ca.pem", "server");
	p.client_ctx = make(false, client);
	for (int i = 0; i < 3; i++) {
		pair_begin(&p, "localhost", "localhost:1");
		shake(&p, SIZE_MAX);
		assert_good(&p);
		tls_info(p.server.tls, &si);
		tls_info(p.client.tls, &ci);
		assert_int_equal(si.resumed, works && i > 0);
		assert_int_equal(ci.resumed, works && i > 0);
		assert_string_equal(si.subject, "CN=client");
		assert_int_equal(strlen(si.fingerprint), 64);
		assert_string_equal(ci.sans, "DNS:localhost, IP:127.0.0.1");
		tls_close_notify(p.client.tls);
		pair_end(&p);
	}
	/* another endpoint, and another name, have no session */
	pair_begin(&p, "localhost", "localhost:2");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	tls_info(p.client.tls, &ci);
	assert_false(ci.resumed);
	pair_end(&p);
	/* nor is there one after a flush, on either side */
	tls_context_flush_sessions(p.server_ctx);
	pair_begin(&p, "localhost", "localhost:1");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	tls_info(p.server.tls, &si);
	assert_false(si.resumed);
	assert_string_equal(si.subject, "CN=client");
	pair_free(&p);
}

static void a_resumed_session_keeps_the_identity(void **state)
{
	struct tls_options o = base_options(false);

	(void)state;
	resume_with(&o, true);
	o.tls12_only = true; /* no tickets there: see tls_session.c */
	resume_with(&o, false);
}

static void resumption_can_be_turned_off(void **state)
{
	struct tls_options o = base_options(true);
	struct tls_info info;
	struct pair p;

	(void)state;
	o.no_resumption = true;
	p.server_ctx = make(true, &o);
	p.client_ctx = net_client("ca.pem", "client");
	for (int i = 0; i < 2; i++) {
		pair_begin(&p, "localhost", "localhost:1");
		shake(&p, SIZE_MAX);
		assert_good(&p);
		tls_info(p.server.tls, &info);
		assert_false(info.resumed);
		if (i == 0)
			pair_end(&p);
	}
	pair_free(&p);
}

/* ---- failures --------------------------------------------------------- */

static void fails_at_client(const char *server_ca, const char *server,
			    const char *const words[])
{
	struct pair p;

	p.server_ctx = net_server(server_ca, server);
	p.client_ctx = net_client("ca.pem", "client");
	for (size_t n = 1; n < 100000; n *= 1000) {
		pair_begin(&p, "localhost", NULL);
		shake(&p, n);
		assert_int_equal(p.client.state, ERR_TLS);
		assert_says(&p.client, words);
		/* the server learns it from our alert */
		assert_int_not_equal(p.server.state, ERR_OK);
		pair_end(&p);
	}
	pair_begin(&p, "localhost", NULL);
	pair_free(&p);
}

#define FAILS_AT_CLIENT(ca, server, ...)                                       \
	fails_at_client(ca, server, (const char *const[]){__VA_ARGS__, NULL})

static void a_bad_server_certificate_is_named(void **state)
{
	(void)state;
	FAILS_AT_CLIENT("ca.pem", "expired", "the server's certificate",
			"CN=expired", "issuer CN=Test CA", "serial",
			"expired on 20", "renewed");
	FAILS_AT_CLIENT("ca.pem", "future", "CN=future", "not valid before",
			"clock");
	FAILS_AT_CLIENT("ca.pem", "other-name", "wanted localhost", "DNS:other",
			"server_name");
	FAILS_AT_CLIENT("ca.pem", "stranger/server", "unknown CA",
			"issuer CN=Strange CA is not in", "ca.pem");
	FAILS_AT_CLIENT("ca.pem", "bad/server", "CN=server",
			"another CA with the same name");
}

/* In TLS 1.3 the client is done before the server judges its certificate. */
static void fails_at_server(const char *client, const char *const words[],
			    const char *const client_words[])
{
	struct pair p;

	p.server_ctx = net_server("ca.pem", "server");
	p.client_ctx = net_client("ca.pem", client);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_int_equal(p.server.state, ERR_TLS);
	assert_says(&p.server, words);
	if (p.client.state == ERR_OK)
		p.client.state = receive(&p.client, &p.server, "");
	assert_int_equal(p.client.state, ERR_TLS);
	assert_says(&p.client, client_words);
	pair_free(&p);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_bad_client_certificate_is_named_on_both_sides(void **state)
{
	(void)state;
	fails_at_server("expired",
			WORDS("the client's certificate", "expired on"),
			WORDS("refused OUR certificate CN=expired", "alert",
			      "valid until"));
	fails_at_server("stranger/client",
			WORDS("unknown CA", "CN=Strange CA", "ca.pem"),
			WORDS("refused OUR certificate CN=client",
			      "issuer CN=Strange CA", "alert"));
	fails_at_server(NULL, WORDS("showed no certificate", "required"),
			WORDS("we have none", "tls.certificate"));
}

static void only_the_pinned_certificate_is_accepted(void **state)
{
	struct tls_options o = base_options(false);
	struct tls_info info;
	char pin[TLS_FINGERPRINT_LEN];
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	tls_info(p.client.tls, &info);
	memcpy(pin, info.fingerprint, sizeof(pin));
	pair_end(&p);
	tls_context_unref(p.client_ctx);
	o.fingerprint = pin;
	p.client_ctx = make(false, &o);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_good(&p);
	pair_end(&p);
	tls_context_unref(p.client_ctx);
	pin[10] = pin[10] == 'a' ? 'b' : 'a';
	p.client_ctx = make(false, &o);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_int_equal(p.client.state, ERR_TLS);
	SAYS(&p.client, "not the one configured", pin, "fingerprint");
	pair_free(&p);
}

static void no_common_suite_or_version_is_said(void **state)
{
	struct tls_options so = base_options(true), co = base_options(false);
	struct pair p;

	(void)state;
	so.suites = "TLS_AES_256_GCM_SHA384";
	co.suites = "TLS_AES_128_GCM_SHA256";
	p.server_ctx = make(true, &so);
	p.client_ctx = make(false, &co);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_int_equal(p.server.state, ERR_TLS);
	SAYS(&p.server, "no common cipher suite");
	pair_free(&p);
	so = base_options(true);
	co = base_options(false);
	so.tls13_only = true;
	co.tls12_only = true;
	p.server_ctx = make(true, &so);
	p.client_ctx = make(false, &co);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_int_equal(p.server.state, ERR_TLS);
	SAYS(&p.server, "no TLS version that is allowed");
	pair_free(&p);
}

static void server_gets(const void *bytes, size_t n, size_t at_once,
			const char *const words[])
{
	struct tls_context *c = net_server("ca.pem", "server");
	struct end from, e;

	memset(&from, 0, sizeof(from));
	buf_init(&from.out, 4096);
	assert_int_equal(buf_append(&from.out, bytes, n), ERR_OK);
	end_begin(&e, c, NULL, NULL);
	while (e.state == ERR_AGAIN && buf_len(&from.out) > 0)
		step(&e, &from, at_once);
	assert_int_equal(e.state, ERR_TLS);
	assert_says(&e, words);
	end_finish(&e);
	buf_free(&from.out);
	tls_context_unref(c);
}

static void plaintext_and_old_tls_are_recognised(void **state)
{
	static const uint8_t rq[] = {1, 0, 0, 0, 0, 0xcd, 0, 1, 0, 0};
	static const uint8_t tls11[] = {
	    0x16, 3,  1,  0,  0x2d, 1,  0,  0,    0x29, 3,  2,  1,  2,
	    3,    4,  5,  6,  7,    8,  9,  10,   11,   12, 13, 14, 15,
	    16,   17, 18, 19, 20,   21, 22, 23,   24,   25, 26, 27, 28,
	    29,   30, 31, 32, 0,    0,  2,  0xc0, 0x09, 1,  0};

	(void)state;
	for (size_t n = 1; n < 100; n += 60) {
		server_gets(rq, sizeof(rq), n,
			    WORDS("speaks DICOM in clear", "plaintext"));
		server_gets("GET / HTTP/1.1\r\n\r\n", 18, n,
			    WORDS("HTTP, not TLS"));
		server_gets("\xff\xfe\xfd\xfc", 4, n,
			    WORDS("does not speak TLS", "ff"));
		server_gets(tls11, sizeof(tls11), n, WORDS("TLS 1.1 or older"));
	}
}

static void an_early_end_is_explained(void **state)
{
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	step(&p.client, &p.server, 0);
	assert_int_equal(tls_transport_ended(p.client.tls), ERR_CLOSED);
	SAYS(&p.client, "before it sent a byte", "plaintext DICOM port");
	pair_end(&p);
	pair_begin(&p, "localhost", NULL);
	step(&p.client, &p.server, 0);
	step(&p.server, &p.client, 100);
	assert_int_equal(tls_transport_ended(p.server.tls), ERR_CLOSED);
	SAYS(&p.server, "during the TLS handshake");
	pair_end(&p);
	pair_begin(&p, "localhost", NULL);
	shake(&p, SIZE_MAX);
	assert_good(&p);
	assert_int_equal(tls_transport_ended(p.server.tls), ERR_CLOSED);
	SAYS(&p.server, "without TLS close_notify");
	pair_free(&p);
}

static void a_changed_byte_is_noticed(void **state)
{
	uint8_t out[64];
	struct pair p;
	size_t n;

	(void)state;
	pair_new(&p, "server", "client");
	shake(&p, SIZE_MAX);
	assert_good(&p);
	send_text(&p.client, "ping");
	buf_data(&p.client.out)[buf_len(&p.client.out) - 3] ^= 1;
	tls_feed(p.server.tls, buf_data(&p.client.out), buf_len(&p.client.out));
	assert_int_equal(tls_read(p.server.tls, out, sizeof(out), &n), ERR_TLS);
	SAYS(&p.server, "integrity");
	assert_int_equal(tls_read(p.server.tls, out, sizeof(out), &n), ERR_TLS);
	pair_free(&p);
}

static enum err refuse(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	return ERR_NOMEM;
}

static void an_error_of_the_sink_comes_back(void **state)
{
	struct tls_context *c = net_client("ca.pem", "client");
	struct tls *t;

	(void)state;
	assert_int_equal(tls_new(c, NULL, NULL, refuse, NULL, &t), ERR_OK);
	assert_int_equal(tls_handshake(t), ERR_NOMEM);
	tls_free(t);
	tls_context_unref(c);
}

/* ---- contexts --------------------------------------------------------- */

static void refused(const struct tls_options *o, bool server,
		    const char *const words[])
{
	struct tls_context *c = NULL;
	char why[TLS_WHY_LEN];
	enum err e =
	    server ? tls_server_new(o, &c, why) : tls_client_new(o, &c, why);

	assert_int_not_equal(e, ERR_OK);
	assert_null(c);
	for (; *words != NULL; words++)
		if (strstr(why, *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words, why);
}

static void bad_files_are_named(void **state)
{
	struct tls_options o = base_options(true);

	(void)state;
	o.key = net_file("client.key");
	refused(&o, true, WORDS("client.key", "does not belong", "server.pem"));
	o = base_options(true);
	o.key = net_file("none.key");
	refused(&o, true, WORDS("none.key", "No such file"));
	o = base_options(true);
	o.certificate = net_file("server.key");
	refused(&o, true, WORDS("server.key", "no certificate"));
	o = base_options(true);
	o.ca = net_file("server.key");
	refused(&o, true, WORDS("server.key", "no certificate"));
	o = base_options(true);
	o.ca = NULL;
	refused(&o, true, WORDS("no CA"));
	o = base_options(true);
	o.key = net_file("server.pem");
	refused(&o, true, WORDS("no usable private key"));
	o = base_options(true);
	o.ca = net_file("expired.pem");
	refused(&o, true, WORDS("has expired"));
	o = base_options(true);
	o.suites = "TLS_RSA_WITH_AES_128_CBC_SHA";
	refused(&o, true, WORDS("TLS_RSA_WITH_AES_128_CBC_SHA", "bcp195"));
	o = base_options(true);
	o.groups = "P-192";
	refused(&o, true, WORDS("P-192", "X25519"));
	o = base_options(true);
	o.fingerprint = "abc";
	refused(&o, true, WORDS("64 hexadecimal"));
	refused(&(struct tls_options){.ca = net_file("ca.pem")}, true,
		WORDS("needs a certificate"));
}

/* ---- memory ----------------------------------------------------------- */

/* Whatever allocation fails, nothing leaks and nothing crashes. */
static void any_failed_allocation_is_survived(void **state)
{
	bool done = false;
	int before;

	(void)state;
	for (int n = 0; !done && n < 3000; n += n < 60 ? 1 : 17) {
		struct tls_context *sc = net_server("ca.pem", "server");
		struct tls_context *cc = net_client("ca.pem", "client");
		struct pair p = {.server_ctx = sc, .client_ctx = cc};

		before = net_mem_live();
		memset(&p.client, 0, sizeof(p.client));
		memset(&p.server, 0, sizeof(p.server));
		buf_init(&p.client.out, 1 << 20);
		buf_init(&p.server.out, 1 << 20);
		net_mem_fail_after(n);
		p.client.state = tls_new(cc, "localhost", NULL, take, &p.client,
					 &p.client.tls);
		p.server.state =
		    tls_new(sc, NULL, NULL, take, &p.server, &p.server.tls);
		if (p.client.state == ERR_OK && p.server.state == ERR_OK) {
			p.client.state = p.server.state = ERR_AGAIN;
			shake(&p, SIZE_MAX);
			done = p.client.state == ERR_OK &&
			       p.server.state == ERR_OK;
		}
		net_mem_ok();
		pair_end(&p);
		tls_context_flush_sessions(sc);
		(void)before;
		tls_context_unref(sc);
		tls_context_unref(cc);
	}
	assert_true(done);
}

static void contexts_survive_failed_allocations(void **state)
{
	char why[TLS_WHY_LEN];
	bool done = false;

	(void)state;
	for (int n = 0; !done && n < 3000; n += n < 60 ? 1 : 13) {
		struct tls_options o = base_options(true);
		struct tls_context *c = NULL;

		net_mem_fail_after(n);
		done = tls_server_new(&o, &c, why) == ERR_OK;
		net_mem_ok();
		tls_context_unref(c);
	}
	assert_true(done);
}

static int live_before;

static int setup(void **state)
{
	(void)state;
	live_before = net_mem_live();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_mem_ok();
	assert_int_equal(net_mem_live(), live_before);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(both_ends_know_each_other),
	    T(a_handshake_works_one_byte_at_a_time),
	    T(addresses_are_matched_against_ip_names),
	    T(every_suite_and_group_of_the_profile_works),
	    T(close_notify_is_sent_once),
	    T(a_resumed_session_keeps_the_identity),
	    T(resumption_can_be_turned_off),
	    T(a_bad_server_certificate_is_named),
	    T(a_bad_client_certificate_is_named_on_both_sides),
	    T(only_the_pinned_certificate_is_accepted),
	    T(no_common_suite_or_version_is_said),
	    T(plaintext_and_old_tls_are_recognised),
	    T(an_early_end_is_explained),
	    T(a_changed_byte_is_noticed),
	    T(an_error_of_the_sink_comes_back),
	    T(bad_files_are_named),
	    T(contexts_survive_failed_allocations),
	    T(any_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
