#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/tls_kit.h"

/* ---- good handshakes -------------------------------------------------- */

static void both_ends_know_each_other(void **state)
{
	struct tls_info si, ci;
	struct pair p;

	(void)state;
	pair_new(&p, "server", "client");
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
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
	pair_shake(&p, 1);
	pair_is_good(&p);
	pair_free(&p);
}

static void addresses_are_matched_against_ip_names(void **state)
{
	struct pair p;

	(void)state;
	p.server_ctx = net_server("ca.pem", "server");
	p.client_ctx = net_client("ca.pem", "client");
	pair_begin(&p, "127.0.0.1", NULL);
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	pair_end(&p);
	pair_begin(&p, "127.0.0.2", NULL);
	pair_shake(&p, SIZE_MAX);
	assert_int_equal(p.client.state, ERR_TLS);
	SAYS(&p.client, "wanted 127.0.0.2", "IP:127.0.0.1", "another host");
	pair_free(&p);
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
		struct tls_options o = kit_options(false);
		struct tls_info info;
		struct pair p;

		o.suites = cases[i].suite;
		o.groups = cases[i].group;
		p.server_ctx = net_server("ca.pem", "server");
		p.client_ctx = kit_context(false, &o);
		pair_begin(&p, "localhost", NULL);
		pair_shake(&p, SIZE_MAX);
		pair_is_good(&p);
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
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	tls_close_notify(p.client.tls);
	once = buf_len(&p.client.out);
	assert_true(once > 0);
	tls_close_notify(p.client.tls);
	tls_close_notify(p.client.tls);
	assert_int_equal(buf_len(&p.client.out), once);
	assert_int_equal(end_receive(&p.server, &p.client, ""), ERR_CLOSED);
	/* the other direction still works, as TLS 1.3 has it */
	end_send(&p.server, "more");
	assert_int_equal(end_receive(&p.client, &p.server, "more"), ERR_AGAIN);
	pair_free(&p);
}

/* ---- resumption ------------------------------------------------------- */

static void resume_with(const struct tls_options *client, bool works)
{
	struct tls_info si, ci;
	struct pair p;

	p.server_ctx = net_server("ca.pem", "server");
	p.client_ctx = kit_context(false, client);
	for (int i = 0; i < 3; i++) {
		pair_begin(&p, "localhost", "localhost:1");
		pair_shake(&p, SIZE_MAX);
		pair_is_good(&p);
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
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	tls_info(p.client.tls, &ci);
	assert_false(ci.resumed);
	pair_end(&p);
	/* nor is there one after a flush, on either side */
	tls_context_flush_sessions(p.server_ctx);
	pair_begin(&p, "localhost", "localhost:1");
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	tls_info(p.server.tls, &si);
	assert_false(si.resumed);
	assert_string_equal(si.subject, "CN=client");
	pair_free(&p);
}

static void a_resumed_session_keeps_the_identity(void **state)
{
	struct tls_options o = kit_options(false);

	(void)state;
	resume_with(&o, true);
	o.tls12_only = true; /* no tickets there: see tls_session.c */
	resume_with(&o, false);
}

static void resumption_can_be_turned_off(void **state)
{
	struct tls_options o = kit_options(true);
	struct tls_info info;
	struct pair p;

	(void)state;
	o.no_resumption = true;
	p.server_ctx = kit_context(true, &o);
	p.client_ctx = net_client("ca.pem", "client");
	for (int i = 0; i < 2; i++) {
		pair_begin(&p, "localhost", "localhost:1");
		pair_shake(&p, SIZE_MAX);
		pair_is_good(&p);
		tls_info(p.server.tls, &info);
		assert_false(info.resumed);
		/* the second time its certificate is known already */
		assert_string_equal(info.subject, "CN=client");
		if (i == 0)
			pair_end(&p);
	}
	pair_free(&p);
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
	struct tls_options o = kit_options(true);

	(void)state;
	o.key = net_file("client.key");
	refused(&o, true, WORDS("client.key", "does not belong", "server.pem"));
	o = kit_options(true);
	o.key = net_file("none.key");
	refused(&o, true, WORDS("none.key", "No such file"));
	o = kit_options(true);
	o.certificate = net_file("server.key");
	refused(&o, true, WORDS("server.key", "no certificate"));
	o = kit_options(true);
	o.ca = net_file("server.key");
	refused(&o, true, WORDS("server.key", "no certificate"));
	o = kit_options(true);
	o.ca = NULL;
	refused(&o, true, WORDS("no CA"));
	o = kit_options(true);
	o.key = net_file("server.pem");
	refused(&o, true, WORDS("no usable private key"));
	o = kit_options(true);
	o.ca = net_file("expired.pem");
	refused(&o, true, WORDS("has expired"));
	o = kit_options(true);
	o.suites = "TLS_RSA_WITH_AES_128_CBC_SHA";
	refused(&o, true, WORDS("TLS_RSA_WITH_AES_128_CBC_SHA", "bcp195"));
	o = kit_options(true);
	o.groups = "P-192";
	refused(&o, true, WORDS("P-192", "X25519"));
	o = kit_options(true);
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
		p.client.state = tls_new(cc, "localhost", NULL, end_take,
					 &p.client, &p.client.tls);
		p.server.state =
		    tls_new(sc, NULL, NULL, end_take, &p.server, &p.server.tls);
		if (p.client.state == ERR_OK && p.server.state == ERR_OK) {
			p.client.state = p.server.state = ERR_AGAIN;
			pair_shake(&p, SIZE_MAX);
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
		struct tls_options o = kit_options(true);
		struct tls_context *c = NULL;

		net_mem_fail_after(n);
		done = tls_server_new(&o, &c, why) == ERR_OK;
		net_mem_ok();
		tls_context_unref(c);
	}
	assert_true(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    KIT_TEST(both_ends_know_each_other),
	    KIT_TEST(a_handshake_works_one_byte_at_a_time),
	    KIT_TEST(addresses_are_matched_against_ip_names),
	    KIT_TEST(every_suite_and_group_of_the_profile_works),
	    KIT_TEST(close_notify_is_sent_once),
	    KIT_TEST(a_resumed_session_keeps_the_identity),
	    KIT_TEST(resumption_can_be_turned_off),
	    KIT_TEST(bad_files_are_named),
	    KIT_TEST(contexts_survive_failed_allocations),
	    KIT_TEST(any_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
