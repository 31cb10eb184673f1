#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/net/address.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "proxy/net/worker.h"
#include "tests/unit/net_fixture.h"

static atomic_int hooks_run, closed, posted;

static void on_hook(struct worker_hook *h)
{
	(void)h;
	atomic_fetch_add(&hooks_run, 1);
}

struct setup_msg {
	struct msg msg;
	struct worker *w;
	struct worker_hook hook;
	uv_timer_t timer;
	uv_sem_t done;
	const char *endpoint;
	struct stream *s;
};

static void close_timer(struct worker_hook *h)
{
	struct setup_msg *m = CONTAINER_OF(h, struct setup_msg, hook);

	uv_close((uv_handle_t *)&m->timer, NULL);
	atomic_fetch_add(&hooks_run, 1);
}

static void never(uv_timer_t *t)
{
	(void)t;
	abort();
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	(void)arg;
	(void)detail;
	if (why == ERR_CANCELED)
		atomic_fetch_add(&closed, 1);
}

static const struct stream_events events = {.on_closed = on_closed};

static void prepare(struct msg *msg)
{
	struct setup_msg *m = CONTAINER_OF(msg, struct setup_msg, msg);

	if (!worker_is_current(m->w))
		abort();
	m->hook.fn = close_timer;
	worker_hook_add(m->w, &m->hook);
	uv_timer_init(worker_loop(m->w), &m->timer);
	uv_timer_start(&m->timer, never, 1000000, 0);
	if (stream_connect(m->w, m->endpoint, NULL, &events, NULL, &m->s) !=
	    ERR_OK)
		abort();
	uv_sem_post(&m->done);
}

static void count(struct msg *m)
{
	(void)m;
	atomic_fetch_add(&posted, 1);
}

static void a_thread_stops_with_all_it_has_open(void **state)
{
	struct setup_msg m = {.msg = {.run = prepare}};
	struct msg c = {.run = count};
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char endpoint[ADDRESS_TEXT_LEN];

	(void)state;
	hooks_run = closed = posted = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	m.endpoint = address_text((struct sockaddr *)&sin, endpoint);
	uv_sem_init(&m.done, 0);
	assert_int_equal(worker_start(3, &m.w), ERR_OK);
	assert_int_equal(worker_index(m.w), 3);
	assert_false(worker_is_current(m.w));
	assert_true(worker_post(m.w, &m.msg));
	uv_sem_wait(&m.done);
	assert_true(worker_post(m.w, &c));
	worker_stop(m.w);
	assert_int_equal(hooks_run, 1);
	assert_int_equal(closed, 1);
	assert_int_equal(posted, 1);
	close(fd);
	uv_sem_destroy(&m.done);
}

static void a_worker_without_thread_is_run_by_its_maker(void **state)
{
	struct worker_hook one = {.fn = on_hook}, two = {.fn = on_hook};
	struct msg c = {.run = count};
	struct worker *w;

	(void)state;
	hooks_run = posted = 0;
	assert_int_equal(worker_new(0, &w), ERR_OK);
	assert_true(worker_is_current(w));
	worker_hook_add(w, &one);
	worker_hook_add(w, &two);
	worker_hook_remove(&one);
	assert_true(worker_post(w, &c));
	uv_run(worker_loop(w), UV_RUN_ONCE);
	assert_int_equal(posted, 1);
	worker_stop(w);
	assert_int_equal(hooks_run, 1);
	worker_hook_remove(&two); /* safe after it has run */
}

static void load_counts_from_any_thread(void **state)
{
	struct worker *w;

	(void)state;
	assert_int_equal(worker_start(0, &w), ERR_OK);
	worker_load_add(w, 5);
	worker_load_add(w, -2);
	assert_int_equal(worker_load(w), 3);
	worker_stop(w);
}

/* ---- threads that share TLS contexts ---------------------------------- */

enum { ROUNDS = 20, THREADS = 3 };

struct dialer {
	struct msg msg;
	struct worker *w;
	struct stream *s;
	struct stream_options opts;
	char endpoint[32];
	atomic_int rounds;
	int resumed;
};

static void dial_open(void *arg)
{
	struct dialer *d = arg;
	struct tls_info info;

	if (!stream_tls_info(d->s, &info))
		abort();
	d->resumed += info.resumed;
}

static void dial_read(void *arg, const uint8_t *p, size_t n)
{
	struct dialer *d = arg;

	(void)p;
	(void)n;
	stream_finish(d->s);
}

static void dial_closed(void *arg, enum err why, const char *detail)
{
	struct dialer *d = arg;

	if (why != ERR_OK)
		print_error("%s\n", detail);
	if (why == ERR_OK && atomic_fetch_add(&d->rounds, 1) + 1 < ROUNDS)
		d->msg.run(&d->msg);
}

static void dial_run(struct msg *m)
{
	static const struct stream_events ev = {.on_open = dial_open,
						.on_read = dial_read,
						.on_closed = dial_closed};
	struct dialer *d = CONTAINER_OF(m, struct dialer, msg);

	if (stream_connect(d->w, d->endpoint, &d->opts, &ev, d, &d->s) !=
	    ERR_OK)
		abort();
}

struct answerer {
	struct stream *s;
};

static void answer_open(void *arg)
{
	struct answerer *a = arg;

	if (stream_write(a->s, &(struct iovec){(void *)(uintptr_t) "hi", 2},
			 1) != ERR_OK)
		abort();
}

static void answer_eof(void *arg)
{
	struct answerer *a = arg;

	stream_finish(a->s);
}

static void answer_closed(void *arg, enum err why, const char *detail)
{
	(void)why;
	(void)detail;
	mem_free(arg);
}

static void answer(void *arg, int fd, const struct sockaddr *peer)
{
	static const struct stream_events ev = {.on_open = answer_open,
						.on_eof = answer_eof,
						.on_closed = answer_closed};
	struct dialer *d = arg;
	struct answerer *a = mem_zalloc(sizeof(*a));
	struct stream_options o = {.tls = d->opts.tls};

	(void)peer;
	if (stream_accept(d->w, fd, &o, &ev, a, &a->s) != ERR_OK)
		abort();
}

static void threads_share_contexts_and_their_sessions(void **state)
{
	struct tls_context *sc = net_server("ca.pem", "server");
	struct tls_context *cc = net_client("ca.pem", "client");
	static struct dialer d[THREADS];
	struct dialer server = {.opts = {.tls = sc}};
	char why[LISTENER_WHY_LEN];
	struct listener *l;
	int resumed = 0;

	(void)state;
	assert_int_equal(worker_new(0, &server.w), ERR_OK);
	assert_int_equal(listener_open(worker_loop(server.w), "127.0.0.1:0", 16,
				       answer, &server, &l, why),
			 ERR_OK);
	for (unsigned i = 0; i < THREADS; i++) {
		d[i].msg.run = dial_run;
		d[i].opts.tls = cc;
		d[i].opts.server_name = "localhost";
		snprintf(d[i].endpoint, sizeof(d[i].endpoint), "127.0.0.1:%u",
			 listener_port(l));
		assert_int_equal(worker_start(i, &d[i].w), ERR_OK);
		assert_true(worker_post(d[i].w, &d[i].msg));
	}
	for (int i = 0; i < THREADS; i++)
		while (atomic_load(&d[i].rounds) < ROUNDS) {
			uv_run(worker_loop(server.w), UV_RUN_NOWAIT);
			usleep(100);
		}
	for (int i = 0; i < THREADS; i++) {
		worker_stop(d[i].w);
		resumed += d[i].resumed;
	}
	assert_true(resumed > ROUNDS);
	listener_close(l, NULL, NULL);
	worker_stop(server.w);
	tls_context_unref(sc);
	tls_context_unref(cc);
}

static void failed_allocations_leave_nothing_behind(void **state)
{
	int n = 0, live = net_mem_live();
	struct worker *w;

	(void)state;
	for (; n < 20; n++) {
		enum err e;

		net_mem_fail_after(n);
		e = worker_start(0, &w);
		net_mem_ok();
		if (e == ERR_OK)
			break;
		assert_int_equal(e, ERR_NOMEM);
	}
	assert_in_range(n, 3, 19);
	worker_stop(w);
	assert_int_equal(net_mem_live(), live);
}

static int group_setup(void **state)
{
	(void)state;
	net_mem_install();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_thread_stops_with_all_it_has_open),
	    cmocka_unit_test(a_worker_without_thread_is_run_by_its_maker),
	    cmocka_unit_test(load_counts_from_any_thread),
	    cmocka_unit_test(threads_share_contexts_and_their_sessions),
	    cmocka_unit_test(failed_allocations_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
