/* commitment.c - the engine's thread: see commitment.h, commitment_int.h. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/config.h"
#include "proxy/commitment_int.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

enum {
	TICK_MS = 100,
	JOBS_MAX = 64,                    /* reports waiting */
	JOB_BYTES_MAX = 64 * 1024 * 1024, /* their data sets */
	JOBS_AT_ONCE = 16,                /* before requests get their turn */
};

_Static_assert((size_t)JOB_BYTES_MAX >= COMMIT_DATA_MAX, "one fits");

/* ---- reports that come in ----------------------------------------------- */

static void job_free(struct report_job *job)
{
	if (job == NULL)
		return;
	mem_free(job->data);
	mem_free(job);
}

static enum err job_new(const struct commitment_report *report,
			commitment_done_fn *done, void *arg,
			struct report_job **out)
{
	struct report_job *job;

	if (report->len > COMMIT_DATA_MAX)
		return ERR_LIMIT;
	job = mem_zalloc(sizeof(*job));
	if (job == NULL)
		return ERR_NOMEM;
	job->data = mem_zalloc(report->len + 1);
	if (job->data == NULL) {
		mem_free(job);
		return ERR_NOMEM;
	}
	if (report->len > 0)
		memcpy(job->data, report->data, report->len);
	job->len = report->len;
	job->kind = uid_ts_kind(report->transfer_syntax);
	job->event_type = report->event_type;
	INSTANCE_SET(job->from, report->from);
	job->done = done;
	job->arg = arg;
	*out = job;
	return ERR_OK;
}

enum err commitment_report(struct commitment *c,
			   const struct commitment_report *report,
			   commitment_done_fn *done, void *arg)
{
	struct report_job *job;
	enum err e = job_new(report, done, arg, &job);

	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&c->mutex);
	if (atomic_load(&c->stopping)) {
		e = ERR_CANCELED;
	} else if (c->n_jobs >= JOBS_MAX ||
		   job->len > JOB_BYTES_MAX - c->job_bytes) {
		e = ERR_BUSY;
	} else {
		list_push_back(&c->jobs, &job->node);
		c->n_jobs++;
		c->job_bytes += job->len;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->mutex);
	if (e != ERR_OK)
		job_free(job);
	return e;
}

static struct report_job *take_job(struct commitment *c)
{
	struct report_job *job = NULL;
	struct list *n;

	pthread_mutex_lock(&c->mutex);
	n = list_pop_front(&c->jobs);
	if (n != NULL) {
		job = CONTAINER_OF(n, struct report_job, node);
		c->n_jobs--;
		c->job_bytes -= job->len;
	}
	pthread_mutex_unlock(&c->mutex);
	return job;
}

static void answer_some(struct commitment *c)
{
	for (int i = 0; i < JOBS_AT_ONCE && !atomic_load(&c->stopping); i++) {
		struct report_job *job = take_job(c);

		if (job == NULL)
			return;
		job->done(job->arg, answer_report(c, job));
		job_free(job);
	}
}

static void answer_none(struct commitment *c)
{
	struct report_job *job;

	while ((job = take_job(c)) != NULL) {
		job->done(job->arg, STATUS_PROCESSING_FAILURE);
		job_free(job);
	}
}

/* ---- the round ---------------------------------------------------------- */

static void count(struct commitment *c)
{
	unsigned waiting = 0, asked = 0;
	int64_t oldest = 0;

	LIST_EACH(n, tmp, &c->requests)
	{
		const struct request *r = CONTAINER_OF(n, struct request, node);

		if (r->gone)
			continue;
		waiting += !r->asked;
		asked += r->asked;
		if (oldest == 0 || r->m.received_ms < oldest)
			oldest = r->m.received_ms;
	}
	pthread_mutex_lock(&c->mutex);
	c->stats.waiting = waiting;
	c->stats.asked = asked;
	c->stats.oldest_ms = oldest;
	pthread_mutex_unlock(&c->mutex);
}

int64_t request_now_ms(const struct request *r)
{
	int64_t since = (int64_t)((clock_mono_ns() - r->seen_ns) / 1000000);

	return r->m.received_ms + r->age_ms + since;
}

static bool is_due(const struct commitment *c, const struct request *r)
{
	if (r->gone || clock_mono_ns() < r->next_ns)
		return false;
	return r->applied != c->applied ||
	       (r->again_ms != 0 && request_now_ms(r) >= r->again_ms);
}

/* What the ledger shows changes with every instance: reading it takes a tenth
 * of the time at most. */
static bool read_again(struct commitment *c, uint64_t applied)
{
	uint64_t begun = clock_mono_ns();

	if (read_requests(c) != ERR_OK)
		return false;
	c->applied = applied;
	c->next_read_ns = clock_mono_ns() + (clock_mono_ns() - begun) * 10;
	return true;
}

static bool has_jobs(struct commitment *c)
{
	bool any;

	pthread_mutex_lock(&c->mutex);
	any = !list_empty(&c->jobs);
	pthread_mutex_unlock(&c->mutex);
	return any;
}

/* Every request has its turn, those that are due a look; an archive that
 * reports does not wait for all of them: the round goes on after it. */
static void give_turns(struct commitment *c)
{
	LIST_EACH(n, tmp, &c->requests)
	{
		struct request *r = CONTAINER_OF(n, struct request, node);

		if (atomic_load(&c->stopping) || c->view == NULL)
			return;
		if (r->round == c->round)
			continue;
		r->round = c->round;
		if (!is_due(c, r))
			continue;
		act_look(c, r);
		if (has_jobs(c))
			return;
	}
	c->round++;
}

static void round_of_requests(struct commitment *c)
{
	uint64_t applied;

	ledger_stats(c->ledger, c->ledger_stats);
	if (c->ledger_stats->rebuilding)
		return; /* half a ledger would mislead */
	applied = c->ledger_stats->applied + 1; /* 0: never read */
	if (read_open(c) != ERR_OK)
		return;
	if (applied != c->applied && clock_mono_ns() >= c->next_read_ns &&
	    !read_again(c, applied))
		return;
	give_turns(c);
	if (c->view != NULL && !atomic_load(&c->stopping))
		own_look(c);
	count(c);
}

static void wait_a_tick(struct commitment *c)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += TICK_MS * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	pthread_mutex_lock(&c->mutex);
	if (list_empty(&c->jobs) && !c->woken && !atomic_load(&c->stopping))
		pthread_cond_timedwait(&c->wake, &c->mutex, &t);
	c->woken = false;
	pthread_mutex_unlock(&c->mutex);
}

static void *thread_main(void *arg)
{
	struct commitment *c = arg;

	(void)pthread_setname_np(pthread_self(), "culvert-commit");
	while (!atomic_load(&c->stopping)) {
		answer_some(c);
		round_of_requests(c);
		wait_a_tick(c);
	}
	answer_none(c);
	return NULL;
}

/* ---- start and stop ----------------------------------------------------- */

static void free_all(struct commitment *c)
{
	LIST_EACH(n, tmp, &c->requests)
	read_forget(c, CONTAINER_OF(n, struct request, node));
	ledger_view_close(c->view);
	own_free(c->own);
	mem_free(c->ledger_stats);
	mem_free(c->chunk);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->mutex);
	mem_free(c);
}

static enum err make(const struct commitment_options *options,
		     struct commitment **out)
{
	struct commitment *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return ERR_NOMEM;
	c->config = options->config;
	c->spool = options->spool;
	c->ledger = options->ledger;
	list_init(&c->jobs);
	list_init(&c->requests);
	c->round = 1;
	pthread_mutex_init(&c->mutex, NULL);
	io_cond_init(&c->wake);
	c->chunk = mem_zalloc(CHUNK_LEN);
	c->ledger_stats = mem_zalloc(sizeof(*c->ledger_stats));
	if (c->chunk == NULL || c->ledger_stats == NULL ||
	    own_new(c->config, &c->own) != ERR_OK) {
		free_all(c);
		return ERR_NOMEM;
	}
	*out = c;
	return ERR_OK;
}

/* Signals are the main thread's business. */
static int start_thread(struct commitment *c)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&c->thread, NULL, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

enum err commitment_start(const struct commitment_options *options,
			  struct commitment **out, char why[COMMITMENT_WHY_LEN])
{
	struct commitment *c;
	enum err e = make(options, &c);
	int rc;

	why[0] = '\0';
	if (e != ERR_OK) {
		snprintf(why, COMMITMENT_WHY_LEN, "%s", err_text(e));
		return e;
	}
	rc = start_thread(c);
	if (rc != 0) {
		snprintf(why, COMMITMENT_WHY_LEN, "no thread to be had: %s",
			 strerror(rc));
		free_all(c);
		return ERR_IO;
	}
	*out = c;
	return ERR_OK;
}

void commitment_stop(struct commitment *c)
{
	if (c == NULL || atomic_load(&c->stopping))
		return;
	pthread_mutex_lock(&c->mutex);
	atomic_store(&c->stopping, true);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
	pthread_join(c->thread, NULL);
}

void commitment_free(struct commitment *c)
{
	if (c != NULL)
		free_all(c);
}

void commitment_wake(struct commitment *c)
{
	pthread_mutex_lock(&c->mutex);
	c->woken = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
}

void commitment_stats(struct commitment *c, struct commitment_stats *out)
{
	pthread_mutex_lock(&c->mutex);
	*out = c->stats;
	pthread_mutex_unlock(&c->mutex);
}
