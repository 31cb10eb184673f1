/* worker.c - see worker.h.
 *
 * A turn of the loop: timers, jobs (idle), flushes (prepare), wait and I/O,
 * flushes again (check), close callbacks. So whatever an event wrote leaves in
 * one go before the loop sleeps. */
#include "proxy/net/worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/stream.h"
#include "proxy/net/stream_int.h"
#include "proxy/net/worker_int.h"

static void must0(int rc) /* for calls that fail only by our own mistake */
{
	if (rc != 0)
		abort();
}

/* ---- jobs ------------------------------------------------------------- */

static void run_all(struct list *due)
{
	struct list batch, *n;

	list_init(&batch);
	list_splice_back(&batch, due);
	while ((n = list_pop_front(&batch)) != NULL) {
		struct worker_job *j = CONTAINER_OF(n, struct worker_job, node);

		j->run(j);
	}
}

static void on_idle(uv_idle_t *idle)
{
	struct worker *w = idle->data;

	run_all(&w->jobs);
	if (list_empty(&w->jobs))
		must0(uv_idle_stop(idle));
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct worker *w = prepare->data;

	run_all(&w->flushes);
	if (!list_empty(&w->flushes)) /* on_drain wrote: do not wait */
		must0(uv_idle_start(&w->idle, on_idle));
}

static void on_check(uv_check_t *check)
{
	struct worker *w = check->data;

	run_all(&w->flushes);
}

void worker_job_soon(struct worker *w, struct worker_job *j)
{
	if (!list_empty(&j->node) || w->stopping)
		return;
	list_push_back(&w->jobs, &j->node);
	must0(uv_idle_start(&w->idle, on_idle));
}

void worker_job_flush(struct worker *w, struct worker_job *j)
{
	if (list_empty(&j->node))
		list_push_back(&w->flushes, &j->node);
}

/* ---- the end ---------------------------------------------------------- */

static void run_hooks(struct worker *w)
{
	struct list *n;

	while ((n = list_pop_front(&w->hooks)) != NULL) {
		struct worker_hook *h =
		    CONTAINER_OF(n, struct worker_hook, node);

		h->fn(h);
	}
}

static void begin_stop(struct worker *w)
{
	run_hooks(w);
	w->stopping = true;
	stream_close_all(w);
	mailbox_close(&w->mailbox, NULL, NULL);
	uv_close((uv_handle_t *)&w->idle, NULL);
	uv_close((uv_handle_t *)&w->prepare, NULL);
	uv_close((uv_handle_t *)&w->check, NULL);
}

static void on_stop(struct msg *m)
{
	begin_stop(CONTAINER_OF(m, struct worker, stop));
}

static void worker_free(struct worker *w)
{
	must0(uv_loop_close(&w->loop));
	assert(list_empty(&w->streams));
	uv_mutex_destroy(&w->mailbox.lock);
	chunk_pool_free(&w->chunks);
	mem_free(w->read_buf);
	mem_free(w->plain_buf);
	mem_free(w);
}

void worker_stop(struct worker *w)
{
	if (w->threaded) {
		w->stop.run = on_stop;
		if (!worker_post(w, &w->stop))
			abort();
		must0(uv_thread_join(&w->tid));
		uv_sem_destroy(&w->ready);
	} else {
		begin_stop(w);
		uv_run(&w->loop, UV_RUN_DEFAULT);
	}
	worker_free(w);
}

/* ---- birth ------------------------------------------------------------ */

static enum err loop_handles_init(struct worker *w)
{
	enum err e = mailbox_init(&w->mailbox, &w->loop);

	if (e != ERR_OK)
		return e;
	must0(uv_idle_init(&w->loop, &w->idle));
	must0(uv_prepare_init(&w->loop, &w->prepare));
	must0(uv_check_init(&w->loop, &w->check));
	w->idle.data = w->prepare.data = w->check.data = w;
	must0(uv_prepare_start(&w->prepare, on_prepare));
	must0(uv_check_start(&w->check, on_check));
	return ERR_OK;
}

static enum err buffers_init(struct worker *w)
{
	w->read_buf = mem_realloc(NULL, WORKER_READ_SIZE);
	w->plain_buf = mem_realloc(NULL, WORKER_PLAIN_SIZE);
	return w->read_buf != NULL && w->plain_buf != NULL ? ERR_OK : ERR_NOMEM;
}

enum err worker_new(unsigned index, struct worker **out)
{
	struct worker *w = mem_zalloc(sizeof(*w));
	enum err e = ERR_NOMEM;

	if (w == NULL)
		return ERR_NOMEM;
	w->index = index;
	list_init(&w->hooks);
	list_init(&w->streams);
	list_init(&w->jobs);
	list_init(&w->flushes);
	chunk_pool_init(&w->chunks);
	w->tid = uv_thread_self();
	if (buffers_init(w) != ERR_OK)
		goto err_after_zalloc;
	e = ERR_IO;
	if (uv_loop_init(&w->loop) != 0)
		goto err_after_zalloc;
	if (loop_handles_init(w) != ERR_OK)
		goto err_after_loop;
	/* A peer that is gone must be an error code, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	*out = w;
	return ERR_OK;

err_after_loop:
	must0(uv_loop_close(&w->loop));
err_after_zalloc:
	mem_free(w->read_buf);
	mem_free(w->plain_buf);
	mem_free(w);
	return e;
}

static void thread_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	w->tid = uv_thread_self();
	uv_sem_post(&w->ready);
	uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* Signals are the main thread's business. */
static int thread_create_quiet(struct worker *w)
{
	sigset_t all, old;
	uv_thread_t tid;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = uv_thread_create(&tid, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

enum err worker_start(unsigned index, struct worker **out)
{
	struct worker *w;
	enum err e = worker_new(index, &w);

	if (e != ERR_OK)
		return e;
	must0(uv_sem_init(&w->ready, 0));
	if (thread_create_quiet(w) != 0) {
		uv_sem_destroy(&w->ready);
		worker_stop(w);
		return ERR_IO;
	}
	w->threaded = true;
	uv_sem_wait(&w->ready);
	*out = w;
	return ERR_OK;
}

/* ---- small ------------------------------------------------------------ */

uv_loop_t *worker_loop(struct worker *w)
{
	return &w->loop;
}

unsigned worker_index(const struct worker *w)
{
	return w->index;
}

bool worker_is_current(const struct worker *w)
{
	uv_thread_t self = uv_thread_self();

	return uv_thread_equal(&self, &w->tid) != 0;
}

bool worker_post(struct worker *w, struct msg *m)
{
	return mailbox_post(&w->mailbox, m);
}

void worker_hook_add(struct worker *w, struct worker_hook *h)
{
	list_push_back(&w->hooks, &h->node);
}

void worker_hook_remove(struct worker_hook *h)
{
	list_remove(&h->node);
}

void worker_load_add(struct worker *w, int delta)
{
	atomic_fetch_add_explicit(&w->load, delta, memory_order_relaxed);
}

int worker_load(const struct worker *w)
{
	return atomic_load_explicit(&w->load, memory_order_relaxed);
}
