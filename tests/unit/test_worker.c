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

static void failed_allocations_leave_nothing_behind(void **state)
{
	struct worker *w;
	int n = 0;

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
	assert_int_equal(net_mem_live(), 0);
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
	    cmocka_unit_test(failed_allocations_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
