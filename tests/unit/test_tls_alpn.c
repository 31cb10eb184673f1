/* test_tls_alpn.c - peers that do not name the protocol are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/net_fixture.h"
#include "tests/unit/tls_kit.h"

static void shake(struct pair *p, const char *server, const char *client,
		  bool tls12)
{
	struct tls_options so = kit_options(true), co = kit_options(false);

	so.alpn = server;
	co.alpn = client;
	so.tls12_only = tls12;
	p->server_ctx = kit_context(true, &so);
	p->client_ctx = kit_context(false, &co);
	pair_begin(p, "localhost", "localhost:1");
	pair_shake(p, SIZE_MAX);
}

static void ends_that_name_the_same_protocol_agree(void **state)
{
	struct pair p;

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		shake(&p, "culvert/1", "culvert/1", tls12);
		pair_is_good(&p);
		pair_free(&p);
	}
}

static void a_resumed_session_names_it_again(void **state)
{
	struct tls_info info;
	struct pair p;

	(void)state;
	shake(&p, "culvert/1", "culvert/1", false);
	pair_is_good(&p);
	tls_close_notify(p.client.tls);
	pair_end(&p);
	pair_begin(&p, "localhost", "localhost:1");
	pair_shake(&p, SIZE_MAX);
	pair_is_good(&p);
	tls_info(p.client.tls, &info);
	assert_true(info.resumed);
	pair_free(&p);
}

static void another_protocol_is_refused_with_an_alert(void **state)
{
	struct pair p;

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		shake(&p, "culvert/1", "h2", tls12);
		assert_int_equal(p.server.state, ERR_TLS);
		assert_int_equal(p.client.state, ERR_TLS);
		SAYS(&p.server, "\"h2\"", "\"culvert/1\"", "listener");
		SAYS(&p.client, "no_application_protocol", "\"h2\"",
		     "host and port");
		pair_free(&p);
	}
}

static void a_client_that_names_none_is_refused(void **state)
{
	struct pair p;

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		shake(&p, "culvert/1", NULL, tls12);
		assert_int_equal(p.server.state, ERR_TLS);
		SAYS(&p.server, "no application protocol", "\"culvert/1\"",
		     "dicom-tls");
		pair_free(&p);
	}
}

static void a_server_that_knows_none_is_refused(void **state)
{
	struct pair p;

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		shake(&p, NULL, "culvert/1", tls12);
		assert_int_equal(p.server.state, ERR_OK);
		assert_int_equal(p.client.state, ERR_TLS);
		SAYS(&p.client, "not \"culvert/1\"", "protocol: link");
		pair_free(&p);
	}
}

static void a_name_that_cannot_be_one_is_refused_at_once(void **state)
{
	static const char *const names[] = {"a,b", "0123456789abcdef0"
						   "123456789abcdef0"};
	struct tls_options o = kit_options(true);
	struct tls_context *c = NULL;
	char why[TLS_WHY_LEN];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		o.alpn = names[i];
		assert_int_equal(tls_server_new(&o, &c, why), ERR_INVAL);
		assert_non_null(strstr(why, "application protocol"));
		assert_null(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    KIT_TEST(ends_that_name_the_same_protocol_agree),
	    KIT_TEST(a_resumed_session_names_it_again),
	    KIT_TEST(another_protocol_is_refused_with_an_alert),
	    KIT_TEST(a_client_that_names_none_is_refused),
	    KIT_TEST(a_server_that_knows_none_is_refused),
	    KIT_TEST(a_name_that_cannot_be_one_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
