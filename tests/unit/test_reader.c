#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "proxy/lib/mem.h"
#include "proxy/reader.h"

struct counted {
	struct job job;
	atomic_int *ran;
	int *order; /* of a single thread */
	int number;
};

static void count(struct job *j)
{
	struct counted *c = CONTAINER_OF(j, struct counted, job);

	if (c->order != NULL)
		c->order[atomic_load(c->ran)] = c->number;
	atomic_fetch_add(c->ran, 1);
}

static void every_job_runs_before_the_pool_is_gone(void **state)
{
	struct counted jobs[200];
	struct reader *r;
	atomic_int ran = 0;

	(void)state;
	assert_int_equal(reader_new(3, 1000, "t", &r), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = (struct counted){.job.run = count, .ran = &ran};
		assert_int_equal(reader_submit(r, &jobs[i].job), ERR_OK);
	}
	reader_free(r);
	assert_int_equal(ran, ARRAY_LEN(jobs));
}

static void one_thread_keeps_the_order(void **state)
{
	struct counted jobs[50];
	int order[50];
	struct reader *r;
	atomic_int ran = 0;

	(void)state;
	assert_int_equal(reader_new(1, 1000, "t", &r), ERR_OK);
	for (int i = 0; i < 50; i++) {
		jobs[i] = (struct counted){
		    .job.run = count, .ran = &ran, .order = order, .number = i};
		assert_int_equal(reader_submit(r, &jobs[i].job), ERR_OK);
	}
	reader_free(r);
	for (int i = 0; i < 50; i++)
		assert_int_equal(order[i], i);
}

struct blocker {
	struct job job;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool begun, go;
};

static void block(struct job *j)
{
	struct blocker *b = CONTAINER_OF(j, struct blocker, job);

	pthread_mutex_lock(&b->lock);
	b->begun = true;
	pthread_cond_broadcast(&b->cond);
	while (!b->go)
		pthread_cond_wait(&b->cond, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void a_full_queue_refuses_and_leaves_the_job_alone(void **state)
{
	struct blocker b = {.job.run = block,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .cond = PTHREAD_COND_INITIALIZER};
	struct counted jobs[3];
	struct reader *r;
	atomic_int ran = 0;

	(void)state;
	assert_int_equal(reader_new(1, 2, "t", &r), ERR_OK);
	assert_int_equal(reader_submit(r, &b.job), ERR_OK);
	pthread_mutex_lock(&b.lock);
	while (!b.begun)
		pthread_cond_wait(&b.cond, &b.lock);
	pthread_mutex_unlock(&b.lock);
	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct counted){.job.run = count, .ran = &ran};
		assert_int_equal(reader_submit(r, &jobs[i].job),
				 i < 2 ? ERR_OK : ERR_BUSY);
	}
	pthread_mutex_lock(&b.lock);
	b.go = true;
	pthread_cond_broadcast(&b.cond);
	pthread_mutex_unlock(&b.lock);
	reader_free(r);
	assert_int_equal(ran, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_job_runs_before_the_pool_is_gone),
	    cmocka_unit_test(one_thread_keeps_the_order),
	    cmocka_unit_test(a_full_queue_refuses_and_leaves_the_job_alone),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
