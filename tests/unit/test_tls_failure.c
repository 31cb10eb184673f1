#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/net_fixture.h"
#include "tests/unit/tls_kit.h"

static void fails_at_client(const char *server_ca, const char *server,
			    const char *const words[])
{
	struct pair p;

	p.server_ctx = net_server(server_ca, server);
	p.client_ctx = net_client("ca.pem", "client");
	for (size_t n = 1; n < 100000; n *= 1000) {
		pair_begin(&p, "localhost", NULL);
		pair_shake(&p, n);
		assert_int_equal(p.client.state, ERR_TLS);
		end_says(&p.client, words);
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
	pair_shake(&p, SIZE_MAX);
	assert_int_equal(p.server.state, ERR_TLS);
	end_says(&p.server, words);
	if (p.client.state == ERR_OK)
		p.client.state = end_receive(&p.client, &p.server, "");
	assert_int_equal(p.client.state, ERR_TLS);
	end_says(&p.client, client_words);
	pair_free(&p);
}

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
	struct tls_options o = kit_options(false);
	struct tls_info info;
	char pin[TLS_FINGERPRINT_LEN];
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	tls_info(p.client.tls, &info);
	memcpy(pin, info.fingerprint, sizeof(pin));
	pair_end(&p);
	tls_context_unref(p.client_ctx);
	o.fingerprint = pin;
	p.client_ctx = kit_context(false, &o);
	pair_begin(&p, "localhost", NULL);
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	pair_end(&p);
	tls_context_unref(p.client_ctx);
	pin[10] = pin[10] == 'a' ? 'b' : 'a';
	p.client_ctx = kit_context(false, &o);
	pair_begin(&p, "localhost", NULL);
	pair_shake(&p, SIZE_MAX);
	assert_int_equal(p.client.state, ERR_TLS);
	SAYS(&p.client, "not the one configured", pin, "fingerprint");
	pair_free(&p);
}

static void no_common_suite_or_version_is_said(void **state)
{
	struct tls_options so = kit_options(true), co = kit_options(false);
	struct pair p;

	(void)state;
	so.suites = "TLS_AES_256_GCM_SHA384";
	co.suites = "TLS_AES_128_GCM_SHA256";
	p.server_ctx = kit_context(true, &so);
	p.client_ctx = kit_context(false, &co);
	pair_begin(&p, "localhost", NULL);
	pair_shake(&p, SIZE_MAX);
	assert_int_equal(p.server.state, ERR_TLS);
	SAYS(&p.server, "no common cipher suite");
	pair_free(&p);
	so = kit_options(true);
	co = kit_options(false);
	so.tls13_only = true;
	co.tls12_only = true;
	p.server_ctx = kit_context(true, &so);
	p.client_ctx = kit_context(false, &co);
	pair_begin(&p, "localhost", NULL);
	pair_shake(&p, SIZE_MAX);
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
		end_step(&e, &from, at_once);
	assert_int_equal(e.state, ERR_TLS);
	end_says(&e, words);
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
	end_step(&p.client, &p.server, 0);
	assert_int_equal(tls_transport_ended(p.client.tls), ERR_CLOSED);
	SAYS(&p.client, "before it sent a byte", "plaintext DICOM port");
	pair_end(&p);
	pair_begin(&p, "localhost", NULL);
	end_step(&p.client, &p.server, 0);
	end_step(&p.server, &p.client, 100);
	assert_int_equal(tls_transport_ended(p.server.tls), ERR_CLOSED);
	SAYS(&p.server, "during the TLS handshake");
	pair_end(&p);
	pair_begin(&p, "localhost", NULL);
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
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
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	end_send(&p.client, "ping");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    KIT_TEST(a_bad_server_certificate_is_named),
	    KIT_TEST(a_bad_client_certificate_is_named_on_both_sides),
	    KIT_TEST(only_the_pinned_certificate_is_accepted),
	    KIT_TEST(no_common_suite_or_version_is_said),
	    KIT_TEST(plaintext_and_old_tls_are_recognised),
	    KIT_TEST(an_early_end_is_explained),
	    KIT_TEST(a_changed_byte_is_noticed),
	    KIT_TEST(an_error_of_the_sink_comes_back),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
