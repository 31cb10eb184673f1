#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/net/mailbox.h"

enum { POSTERS = 4, EACH = 5000 };

struct numbered {
	struct msg msg;
	int poster, number;
};

static uv_loop_t loop;
static struct mailbox mb;
static int ran, last[POSTERS], wakes, closed;
static pthread_t loop_thread;

static void run_numbered(struct msg *m)
{
	struct numbered *n = CONTAINER_OF(m, struct numbered, msg);

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_int_equal(n->number, last[n->poster] + 1);
	last[n->poster] = n->number;
	ran++;
	mem_free(n);
}

static void post_number(int poster, int number)
{
	struct numbered *n = mem_zalloc(sizeof(*n));

	n->msg.run = run_numbered;
	n->poster = poster;
	n->number = number;
	assert_true(mailbox_post(&mb, &n->msg));
}

static void *poster_main(void *arg)
{
	int poster = *(int *)arg;

	for (int i = 1; i <= EACH; i++)
		post_number(poster, i);
	return NULL;
}

static void on_closed(void *arg)
{
	assert_ptr_equal(arg, &mb);
	closed++;
}

static int setup(void **state)
{
	(void)state;
	ran = wakes = closed = 0;
	memset(last, 0, sizeof(last));
	loop_thread = pthread_self();
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(mailbox_init(&mb, &loop), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!closed)
		mailbox_close(&mb, on_closed, &mb);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(closed, 1);
	uv_mutex_destroy(&mb.lock);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static void messages_of_many_threads_run_in_each_ones_order(void **state)
{
	pthread_t threads[POSTERS];
	int ids[POSTERS];

	(void)state;
	for (int i = 0; i < POSTERS; i++) {
		ids[i] = i;
		assert_int_equal(
		    pthread_create(&threads[i], NULL, poster_main, &ids[i]), 0);
	}
	while (ran < POSTERS * EACH)
		uv_run(&loop, UV_RUN_ONCE);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < POSTERS; i++)
		assert_int_equal(last[i], EACH);
}

static void a_burst_wakes_once(void **state)
{
	(void)state;
	for (int i = 1; i <= 100; i++)
		post_number(0, i);
	uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(ran, 100);
}

static void closing_runs_what_was_posted_and_refuses_the_rest(void **state)
{
	struct numbered late = {.msg = {.run = run_numbered}};

	(void)state;
	for (int i = 1; i <= 10; i++)
		post_number(0, i);
	mailbox_close(&mb, on_closed, &mb);
	assert_int_equal(ran, 10);
	assert_false(mailbox_post(&mb, &late.msg));
	assert_int_equal(closed, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(closed, 1);
	assert_false(mailbox_post(&mb, &late.msg));
	assert_int_equal(ran, 10);
}

static void again(struct msg *m)
{
	if (++wakes < 3)
		assert_true(mailbox_post(&mb, m));
}

static void a_message_may_post_itself_again(void **state)
{
	struct msg m = {.run = again};

	(void)state;
	assert_true(mailbox_post(&mb, &m));
	while (wakes < 3)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(wakes, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(messages_of_many_threads_run_in_each_ones_order),
	    T(a_burst_wakes_once),
	    T(closing_runs_what_was_posted_and_refuses_the_rest),
	    T(a_message_may_post_itself_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
