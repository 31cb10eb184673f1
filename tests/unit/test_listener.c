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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/address.h"
#include "proxy/net/listener.h"
#include "tests/unit/net_fixture.h"

static uv_loop_t loop;
static struct listener *l;
static int accepted, n_closed, last_fd;
static char last_peer[ADDRESS_TEXT_LEN];

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	assert_ptr_equal(arg, &loop);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	address_text(peer, last_peer);
	accepted++;
	if (last_fd >= 0)
		close(last_fd);
	last_fd = fd;
}

static void on_closed(void *arg)
{
	assert_ptr_equal(arg, &loop);
	n_closed++;
}

static int open_at(const char *address, char *why)
{
	return (int)listener_open(&loop, address, 16, on_accept, &loop, &l,
				  why);
}

static int setup(void **state)
{
	char why[LISTENER_WHY_LEN];

	(void)state;
	accepted = n_closed = 0;
	last_fd = -1;
	l = NULL;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(open_at("127.0.0.1:0", why), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	listener_close(l, on_closed, &loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n_closed, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(net_mem_live(), 0);
	if (last_fd >= 0)
		close(last_fd);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(listener_port(l)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static void turns(int n)
{
	while (n-- > 0) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

static void until_accepted(int n)
{
	for (int i = 0; accepted < n && i < 60000; i++)
		turns(1);
	assert_int_equal(accepted, n);
}

static void connections_are_handed_over_with_their_address(void **state)
{
	int a = dial(), b = dial();

	(void)state;
	assert_true(listener_port(l) != 0);
	until_accepted(2);
	assert_int_equal(strncmp(last_peer, "127.0.0.1:", 10), 0);
	close(a);
	close(b);
}

static void a_paused_listener_lets_connections_wait(void **state)
{
	int a;

	(void)state;
	listener_pause(l);
	listener_pause(l);
	assert_int_equal(listener_waiting(l), 0);
	a = dial();
	turns(5);
	assert_int_equal(accepted, 0);
	assert_int_equal(listener_waiting(l), 1);
	listener_resume(l);
	listener_resume(l);
	until_accepted(1);
	assert_int_equal(listener_waiting(l), 0);
	close(a);
}

static void says(const char *address, enum err want, const char *word)
{
	char why[LISTENER_WHY_LEN] = "";
	struct listener *keep = l;

	assert_int_equal(open_at(address, why), want);
	assert_ptr_equal(l, keep);
	if (strstr(why, word) == NULL)
		fail_msg("\"%s\" is not in: %s", word, why);
}

static void a_listener_that_cannot_be_says_why(void **state)
{
	char taken[32];

	(void)state;
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", listener_port(l));
	says(taken, ERR_EXISTS, "another program has this port");
	says("192.0.2.1:11299", ERR_NOTFOUND, "no such address");
	says("localhost:11299", ERR_INVAL, "0.0.0.0:104");
	says("127.0.0.1", ERR_INVAL, "not an address and a port");
	net_mem_fail_after(0);
	says("127.0.0.1:0", ERR_NOMEM, "memory");
	net_mem_ok();
}

/* A process without descriptors must neither spin nor block. */
static void running_out_of_descriptors_drops_connections(void **state)
{
	struct rlimit old, low;
	int clients[4], fill[256], n = 0, next;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		clients[i] = dial();
	next = dup(0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (n < 256 && (fill[n] = dup(0)) >= 0)
		n++;
	turns(5);
	assert_int_equal(accepted, 0);
	assert_int_equal(listener_starved(l), 4);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	while (n > 0)
		close(fill[--n]);
	for (size_t i = 0; i < 4; i++)
		close(clients[i]);
	clients[0] = dial();
	turns(5);
	assert_int_equal(accepted, 1);
	assert_int_equal(listener_starved(l), 4);
	close(clients[0]);
}

/* ---- address.h -------------------------------------------------------- */

static void endpoints_are_split(void **state)
{
	static const struct {
		const char *text, *host;
		int port; /* -1: refused */
	} cases[] = {
	    {"host:104", "host", 104},
	    {"pacs.example.org:2762", "pacs.example.org", 2762},
	    {"10.0.0.1:0", "10.0.0.1", 0},
	    {"[::1]:65535", "::1", 65535},
	    {"[fe80::1%lo]:1", "fe80::1%lo", 1},
	    {"", "", -1},
	    {":1", "", -1},
	    {"host", "", -1},
	    {"host:", "", -1},
	    {"host:65536", "", -1},
	    {"host:00001", "host", 1},
	    {"host:000001", "", -1},
	    {"host:1x", "", -1},
	    {"host:-1", "", -1},
	    {"::1:104", "", -1},
	    {"[::1]104", "", -1},
	    {"[::1]", "", -1},
	    {"[]:1", "", -1},
	    {"a b:1", "", -1},
	    {"a/b:1", "", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char host[ADDRESS_HOST_LEN] = "";
		uint16_t port = 0;
		enum err e = address_split(cases[i].text, host, &port);

		if (e != (cases[i].port < 0 ? ERR_INVAL : ERR_OK))
			fail_msg("%s", cases[i].text);
		if (e != ERR_OK)
			continue;
		assert_string_equal(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
	}
}

static void addresses_are_written_as_people_write_them(void **state)
{
	static const char *const numeric[] = {"10.0.0.1", "::1", "2001:db8::5"};
	struct sockaddr_storage ss;
	char text[ADDRESS_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(address_numeric(numeric[i], 104, &ss), ERR_OK);
		assert_string_equal(
		    address_host_text((struct sockaddr *)&ss, text),
		    numeric[i]);
		assert_int_equal(address_port((struct sockaddr *)&ss), 104);
		assert_true(address_is_numeric(numeric[i]));
	}
	assert_string_equal(address_text((struct sockaddr *)&ss, text),
			    "[2001:db8::5]:104");
	assert_int_equal(address_numeric("::ffff:10.1.2.3", 5, &ss), ERR_OK);
	assert_string_equal(address_text((struct sockaddr *)&ss, text),
			    "10.1.2.3:5");
	assert_false(address_is_numeric("localhost"));
	assert_false(address_is_numeric("10.0.0"));
	memset(&ss, 0, sizeof(ss));
	assert_string_equal(address_text((struct sockaddr *)&ss, text), "?");
}

static int group_setup(void **state)
{
	(void)state;
	net_mem_install();
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(connections_are_handed_over_with_their_address),
	    T(a_paused_listener_lets_connections_wait),
	    T(a_listener_that_cannot_be_says_why),
	    T(running_out_of_descriptors_drops_connections),
	    cmocka_unit_test(endpoints_are_split),
	    cmocka_unit_test(addresses_are_written_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
