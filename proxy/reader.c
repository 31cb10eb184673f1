#include "proxy/reader.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "proxy/lib/mem.h"

enum { THREAD_NAME = 16 };

struct reader {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list queue; /* of struct job; under lock, like the next three */
	size_t n_queued;
	size_t queue_max;
	bool ending;
	char name[THREAD_NAME];
	unsigned n_threads;
	pthread_t threads[];
};

/* NULL: the pool ends and nothing waits. */
static struct job *take(struct reader *r)
{
	struct list *node;

	pthread_mutex_lock(&r->lock);
	while (list_empty(&r->queue) && !r->ending)
		pthread_cond_wait(&r->more, &r->lock);
	node = list_pop_front(&r->queue);
	if (node != NULL)
		r->n_queued--;
	pthread_mutex_unlock(&r->lock);
	return node != NULL ? CONTAINER_OF(node, struct job, node) : NULL;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct job *j;

	(void)pthread_setname_np(pthread_self(), r->name);
	while ((j = take(r)) != NULL)
		j->run(j);
	return NULL;
}

static void destroy(struct reader *r)
{
	pthread_cond_destroy(&r->more);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

enum err reader_new(unsigned threads, size_t queue_max, const char *name,
		    struct reader **out)
{
	struct reader *r =
	    mem_zalloc(sizeof(*r) + threads * sizeof(r->threads[0]));

	if (r == NULL)
		return ERR_NOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	list_init(&r->queue);
	r->queue_max = queue_max;
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	while (r->n_threads < threads) {
		if (pthread_create(&r->threads[r->n_threads], NULL, reader_main,
				   r) != 0) {
			reader_free(r);
			return ERR_IO;
		}
		r->n_threads++;
	}
	*out = r;
	return ERR_OK;
}

enum err reader_submit(struct reader *r, struct job *j)
{
	enum err e = ERR_OK;

	pthread_mutex_lock(&r->lock);
	if (r->n_queued >= r->queue_max) {
		e = ERR_BUSY;
	} else {
		list_push_back(&r->queue, &j->node);
		r->n_queued++;
		pthread_cond_signal(&r->more);
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

void reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->ending = true;
	pthread_cond_broadcast(&r->more);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->n_threads; i++)
		(void)pthread_join(r->threads[i], NULL);
	destroy(r);
}
