/* test_tls_peers.c - our streams against openssl s_server and s_client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "tests/unit/net_fixture.h"

enum { ARGS_MAX = 40 };

static struct worker *w;
static struct stream *stream;
static int n_open, n_closed;
static enum err why_closed;
static char detail[TLS_WHY_LEN], got[256];
static struct tls_info info;

static void on_open(void *arg)
{
	(void)arg;
	n_open++;
	assert_true(stream_tls_info(stream, &info));
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	size_t have = strlen(got);

	(void)arg;
	if (n < sizeof(got) - have)
		memcpy(got + have, p, n);
}

static void on_eof(void *arg)
{
	(void)arg;
	stream_finish(stream);
}

static void on_closed(void *arg, enum err why, const char *text)
{
	(void)arg;
	n_closed++;
	why_closed = why;
	stream = NULL;
	snprintf(detail, sizeof(detail), "%s", text);
}

static const struct stream_events events = {on_open, on_read, NULL, on_eof,
					    on_closed};

static int setup(void **state)
{
	(void)state;
	if (!net_have_openssl())
		skip();
	assert_int_equal(worker_new(0, &w), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_stop(w);
	return 0;
}

static void reset(void)
{
	n_open = n_closed = 0;
	memset(got, 0, sizeof(got));
	memset(&info, 0, sizeof(info));
	detail[0] = '\0';
}

#define UNTIL(condition)                                                       \
	do {                                                                   \
		for (int i_ = 0; !(condition); i_++) {                         \
			if (i_ > 300000)                                       \
				fail_msg("never: %s (%s)", #condition,         \
					 detail);                              \
			uv_run(worker_loop(w), UV_RUN_NOWAIT);                 \
			usleep(200);                                           \
		}                                                              \
	} while (0)

/* ---- our client, their server ----------------------------------------- */

static pid_t s_server(int port, const char *name, const char *const extra[])
{
	const char *argv[ARGS_MAX] = {"openssl", "s_server", "-rev", "-4",
				      "-accept"};
	char cert[64], key[64], text[8];
	int n = 5;
	pid_t pid;

	snprintf(cert, sizeof(cert), "%s.pem", name);
	snprintf(key, sizeof(key), "%s.key", name);
	snprintf(text, sizeof(text), "%d", port);
	argv[n++] = text;
	argv[n++] = "-cert";
	argv[n++] = net_file(cert);
	argv[n++] = "-key";
	argv[n++] = net_file(key);
	argv[n++] = "-CAfile";
	argv[n++] = net_file("ca.pem");
	for (; *extra != NULL; extra++)
		argv[n++] = *extra;
	pid = net_spawn(argv);
	net_await_port(port);
	return pid;
}

static void dial(int port, struct tls_context *c)
{
	struct stream_options o = {.tls = c, .server_name = "localhost"};
	char endpoint[32];

	reset();
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%d", port);
	assert_int_equal(
	    stream_connect(w, endpoint, &o, &events, NULL, &stream), ERR_OK);
}

static void talk(void)
{
	struct iovec line = {(void *)(uintptr_t) "abc\n", 4};

	UNTIL(n_open || n_closed);
	if (n_closed)
		fail_msg("%s", detail);
	assert_int_equal(stream_write(stream, &line, 1), ERR_OK);
	UNTIL(strcmp(got, "cba\n") == 0 || n_closed);
	if (n_closed)
		fail_msg("%s", detail);
	stream_finish(stream);
	UNTIL(n_closed);
	assert_int_equal(why_closed, ERR_OK);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void good_with(const char *const extra[], const char *version,
		      const char *suite)
{
	struct tls_context *c = net_client("ca.pem", "client");
	int port = net_free_port();
	pid_t pid = s_server(port, "server", extra);

	for (int i = 0; i < 2; i++) {
		dial(port, c);
		talk();
		assert_string_equal(info.version, version);
		if (suite != NULL)
			assert_string_equal(info.suite, suite);
		assert_string_equal(info.subject, "CN=server");
		assert_int_equal(info.resumed, i > 0);
	}
	net_reap(pid);
	tls_context_unref(c);
}

static void openssl_servers_are_understood_and_resumed(void **state)
{
	(void)state;
	good_with(LIST("-Verify", "2"), "TLSv1.3", "TLS_AES_256_GCM_SHA384");
	good_with(LIST("-tls1_2", "-Verify", "2"), "TLSv1.2", NULL);
	good_with(LIST("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
		  "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256");
	good_with(LIST("-groups", "P-384"), "TLSv1.3", NULL);
}

/* A restarted server does not know its old sessions: fall back, not fail. */
static void a_restarted_server_means_a_full_handshake(void **state)
{
	struct tls_context *c = net_client("ca.pem", "client");
	static const char *const versions[] = {"-tls1_3", "-tls1_2"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int port = net_free_port();
		pid_t pid = s_server(port, "server", LIST(versions[i]));

		dial(port, c);
		talk();
		net_reap(pid);
		pid = s_server(port, "server", LIST(versions[i]));
		dial(port, c);
		talk();
		assert_false(info.resumed);
		assert_string_equal(info.subject, "CN=server");
		net_reap(pid);
		tls_context_flush_sessions(c);
	}
	tls_context_unref(c);
}

static void client_fails(const char *server, const char *const extra[],
			 const char *client, const char *const words[])
{
	struct tls_context *c = net_client("ca.pem", client);
	int port = net_free_port();
	pid_t pid = s_server(port, server, extra);

	dial(port, c);
	UNTIL(n_closed);
	assert_int_equal(why_closed, ERR_TLS);
	for (; *words != NULL; words++)
		if (strstr(detail, *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words, detail);
	net_reap(pid);
	tls_context_unref(c);
}

static void failures_with_openssl_servers_are_explained(void **state)
{
	(void)state;
	client_fails("expired", LIST("-tls1_3"), "client",
		     LIST("CN=expired", "expired on"));
	client_fails("other-name", LIST("-tls1_2"), "client",
		     LIST("wanted localhost", "DNS:other"));
	client_fails("stranger/server", LIST("-tls1_3"), "client",
		     LIST("unknown CA", "CN=Strange CA"));
	client_fails(
	    "server", LIST("-Verify", "2", "-verify_return_error"),
	    "stranger/client",
	    LIST("refused OUR certificate CN=client", "alert unknown_ca"));
	client_fails("server", LIST("-Verify", "2", "-verify_return_error"),
		     "expired", LIST("OUR certificate", "certificate_expired"));
	client_fails("server", LIST("-Verify", "2"), NULL,
		     LIST("we have none", "certificate_required"));
	client_fails("server",
		     LIST("-Verify", "2", "-verify_return_error", "-tls1_2"),
		     "stranger/client",
		     LIST("refused OUR certificate CN=client", "unknown_ca"));
	client_fails("server", LIST("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
		     "client", LIST("TLS 1.1 or older"));
	client_fails("server",
		     LIST("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),
		     "client", LIST("no common", "handshake_failure"));
	client_fails("server", LIST("-groups", "P-521"), "client",
		     LIST("no common", "group"));
}

/* ---- our server, their client ----------------------------------------- */

static struct tls_context *server_ctx;

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct stream_options o = {.tls = server_ctx};

	(void)arg;
	(void)peer;
	assert_null(stream);
	assert_int_equal(stream_accept(w, fd, &o, &events, NULL, &stream),
			 ERR_OK);
}

static pid_t s_client(int port, const char *name, const char *const extra[])
{
	const char *argv[ARGS_MAX] = {"openssl", "s_client", "-connect"};
	char cert[64], key[64], text[32];
	int n = 3;

	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	argv[n++] = text;
	argv[n++] = "-CAfile";
	argv[n++] = net_file("ca.pem");
	argv[n++] = "-verify_return_error";
	if (name != NULL) {
		snprintf(cert, sizeof(cert), "%s.pem", name);
		snprintf(key, sizeof(key), "%s.key", name);
		argv[n++] = "-cert";
		argv[n++] = net_file(cert);
		argv[n++] = "-key";
		argv[n++] = net_file(key);
	}
	for (; *extra != NULL; extra++)
		argv[n++] = *extra;
	return net_spawn(argv);
}

/* It is opened first, and written at once later. */
static bool is_written(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 0;
}

static struct listener *server_begin(void)
{
	char why[LISTENER_WHY_LEN];
	struct listener *l = NULL;

	server_ctx = net_server("ca.pem", "server");
	assert_int_equal(listener_open(worker_loop(w), "127.0.0.1:0", 4,
				       on_accept, NULL, &l, why),
			 ERR_OK);
	return l;
}

static void server_end(struct listener *l)
{
	listener_close(l, NULL, NULL);
	tls_context_unref(server_ctx);
}

static void openssl_clients_are_known_also_when_resumed(void **state)
{
	static const char *const versions[] = {"-tls1_3", "-tls1_2"};
	struct listener *l = server_begin();

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *session = net_file("session");
		pid_t pid;

		unlink(session);
		reset();
		pid = s_client(listener_port(l), "client",
			       LIST(versions[i], "-sess_out", session));
		UNTIL(n_open);
		assert_false(info.resumed);
		assert_string_equal(info.subject, "CN=client");
		for (int k = 0; !is_written(session) && k < 60000; k++) {
			uv_run(worker_loop(w), UV_RUN_NOWAIT);
			usleep(1000);
		}
		net_reap(pid);
		UNTIL(n_closed);
		reset();
		pid = s_client(listener_port(l), "client",
			       LIST(versions[i], "-sess_in", session));
		UNTIL(n_open);
		assert_true(info.resumed);
		assert_string_equal(info.subject, "CN=client");
		assert_int_equal(strlen(info.fingerprint), 64);
		net_reap(pid);
		UNTIL(n_closed);
		/* forgotten: the same ticket means a full handshake */
		tls_context_flush_sessions(server_ctx);
		reset();
		pid = s_client(listener_port(l), "client",
			       LIST(versions[i], "-sess_in", session));
		UNTIL(n_open);
		assert_false(info.resumed);
		assert_string_equal(info.subject, "CN=client");
		net_reap(pid);
		UNTIL(n_closed);
	}
	server_end(l);
}

static void server_fails(const char *client, const char *const extra[],
			 const char *const words[])
{
	struct listener *l = server_begin();
	pid_t pid;

	reset();
	pid = s_client(listener_port(l), client, extra);
	UNTIL(n_closed);
	assert_int_equal(why_closed, ERR_TLS);
	assert_int_equal(n_open, 0);
	for (; *words != NULL; words++)
		if (strstr(detail, *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words, detail);
	net_reap(pid);
	server_end(l);
}

static void failures_with_openssl_clients_are_explained(void **state)
{
	(void)state;
	server_fails(NULL, LIST("-tls1_3"), LIST("showed no certificate"));
	server_fails(NULL, LIST("-tls1_2"), LIST("showed no certificate"));
	server_fails("expired", LIST("-tls1_3"),
		     LIST("the client's certificate CN=expired", "expired on"));
	server_fails("stranger/client", LIST("-tls1_2"),
		     LIST("unknown CA", "CN=Strange CA"));
	server_fails("client", LIST("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
		     LIST("TLS 1.1 or older"));
	server_fails("client", LIST("-tls1_2", "-cipher", "AES128-SHA"),
		     LIST("no common cipher suite"));
	server_fails("client", LIST("-groups", "P-521", "-tls1_3"),
		     LIST("no common", "group"));
	server_fails("client", LIST("-verify_hostname", "elsewhere"),
		     LIST("OUR certificate CN=server"));
}

static int group_setup(void **state)
{
	(void)state;
	net_file("ca.pem");
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(openssl_servers_are_understood_and_resumed),
	    T(a_restarted_server_means_a_full_handshake),
	    T(failures_with_openssl_servers_are_explained),
	    T(openssl_clients_are_known_also_when_resumed),
	    T(failures_with_openssl_clients_are_explained),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
