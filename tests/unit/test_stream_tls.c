#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_kit.h"

static void tls_information_is_there_after_opening(void **state)
{
	struct tls_info info;

	(void)state;
	kit_dial(kit_endpoint());
	assert_false(stream_tls_info(kit.client.s, &info));
	UNTIL(kit.client.n_open && kit.server.n_open);
	assert_true(stream_tls_info(kit.server.s, &info));
	assert_string_equal(info.subject, "CN=client");
	assert_true(stream_tls_info(kit.client.s, &info));
	assert_string_equal(info.version, "TLSv1.3");
}

static void sessions_are_resumed_for_the_same_endpoint(void **state)
{
	struct tls_info info;

	(void)state;
	for (int i = 0; i < 3; i++) {
		kit_both_open();
		kit_put(&kit.server, "x", 1); /* after the tickets */
		UNTIL(kit.client.have == 1);
		assert_true(stream_tls_info(kit.client.s, &info));
		assert_int_equal(info.resumed, i > 0);
		assert_true(stream_tls_info(kit.server.s, &info));
		assert_int_equal(info.resumed, i > 0);
		assert_string_equal(info.subject, "CN=client");
		stream_finish(kit.client.s);
		UNTIL(kit.server.n_eof);
		stream_finish(kit.server.s);
		UNTIL(kit.server.n_closed && kit.client.n_closed);
		kit_forget();
	}
}

static void a_fin_without_close_notify_is_an_abort_unless_allowed(void **state)
{
	int fd = -1;

	(void)state;
	for (int ok = 0; ok < 2; ok++) {
		kit_both_open();
		kit_turns(10);
		stream_eof_ok(kit.server.s, ok);
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
			if (strcmp(text, stream_local(kit.client.s)) == 0)
				break;
		}
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		UNTIL(kit.server.n_eof || kit.server.n_closed);
		if (ok) {
			assert_int_equal(kit.server.n_closed, 0);
			stream_finish(kit.server.s);
		} else {
			assert_int_equal(kit.server.n_eof, 0);
			assert_int_equal(kit.server.why, ERR_CLOSED);
			assert_non_null(
			    strstr(kit.server.detail, "close_notify"));
		}
		stream_close(kit.client.s, ERR_OK);
		UNTIL(kit.server.n_closed && kit.client.n_closed);
		kit_forget();
	}
}

static void a_refused_certificate_is_told_to_both(void **state)
{
	(void)state;
	tls_context_unref(kit.client_ctx);
	kit.client_ctx = net_client("ca.pem", "stranger/client");
	kit.client_opts.tls = kit.client_ctx;
	kit_dial(kit_endpoint());
	UNTIL(kit.server.n_closed && kit.client.n_closed);
	assert_int_equal(kit.server.why, ERR_TLS);
	assert_non_null(strstr(kit.server.detail, "unknown CA"));
	assert_int_equal(kit.server.n_open, 0);
	assert_int_equal(kit.client.why, ERR_TLS);
	assert_non_null(strstr(kit.client.detail, "refused OUR certificate"));
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
	tls_context_unref(kit.client_ctx);
	kit.client_ctx = net_client("ca.pem", "expired");
	kit.client_opts.tls = kit.client_ctx;
	kit.client.probe = write_at_once;
	kit.client.probe_at = "open";
	kit_dial(kit_endpoint());
	UNTIL(kit.server.n_closed && kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_TLS);
	assert_non_null(
	    strstr(kit.client.detail, "OUR certificate CN=expired"));
}

static void a_plaintext_client_is_told_apart(void **state)
{
	static const uint8_t rq[] = {1, 0, 0, 0, 0, 4, 0, 0, 0, 0};
	char c;

	(void)state;
	kit_raw_open();
	assert_int_equal(write(kit.raw, rq, sizeof(rq)), sizeof(rq));
	UNTIL(read(kit.raw, &c, 1) == 0);
	close(kit.raw);
	kit.raw = -1;
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_TLS);
	assert_non_null(strstr(kit.server.detail, "DICOM in clear"));
}

static void a_plaintext_server_is_told_apart(void **state)
{
	(void)state;
	kit.server_opts.tls = NULL;
	kit_dial(kit_endpoint());
	UNTIL(kit.server.n_open);
	kit_put(&kit.server, "\x07\0\0\0\0\x04\0\0\2\1", 10); /* A-ABORT */
	UNTIL(kit.client.n_closed);
	assert_int_equal(kit.client.why, ERR_TLS);
	assert_non_null(strstr(kit.client.detail, "DICOM in clear"));
	stream_close(kit.server.s, ERR_OK);
}

static void a_silent_client_trips_the_handshake_deadline(void **state)
{
	(void)state;
	kit.server_opts.handshake_ms = 60;
	kit_raw_open();
	UNTIL(kit.server.n_closed);
	assert_int_equal(kit.server.why, ERR_TIMEOUT);
	assert_non_null(strstr(kit.server.detail, "TLS handshake"));
	assert_int_equal(kit.server.n_open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TLS(tls_information_is_there_after_opening),
	    TLS(sessions_are_resumed_for_the_same_endpoint),
	    TLS(a_fin_without_close_notify_is_an_abort_unless_allowed),
	    TLS(a_refused_certificate_is_told_to_both),
	    TLS(the_alert_is_read_though_writing_fails),
	    TLS(a_plaintext_client_is_told_apart),
	    TLS(a_plaintext_server_is_told_apart),
	    TLS(a_silent_client_trips_the_handshake_deadline),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, NULL);
}
