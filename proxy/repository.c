/* repository.c - the worker that the repositories live on, and what is known of
 * them. */
#include "proxy/repository.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/repository_int.h"

enum {
	WORKER_INDEX = 900, /* names its thread, apart from the others */
	SAVE_MS = 1000,
};

const char *repository_state_name(enum repository_state s)
{
	switch (s) {
	case REPOSITORY_WAITING:
		return "waiting";
	case REPOSITORY_CONNECTING:
		return "connecting";
	case REPOSITORY_CONNECTED:
		return "connected";
	}
	return "?";
}

uint64_t repository_now(const struct repository *r)
{
	return uv_now(worker_loop(r->all->worker));
}

static bool is_tls(const struct repository *r)
{
	return r->config->protocol == CONFIG_SYSLOG_TLS;
}

void repository_endpoint(const struct config_repository *c,
			 char out[CONFIG_HOST_LEN + 16])
{
	bool v6 = strchr(c->address.host, ':') != NULL;

	(void)snprintf(out, CONFIG_HOST_LEN + 16, "%s%s%s:%u", v6 ? "[" : "",
		       c->address.host, v6 ? "]" : "", c->address.port);
}

enum err repository_tls_context(const struct config_repository *c,
				struct tls_context **out, char why[TLS_WHY_LEN])
{
	struct tls_options o = {
	    .profile = TLS_PROFILE_BCP195,
	    .ca = c->tls.ca,
	    .certificate = c->tls.certificate,
	    .key = c->tls.key,
	    .tls13_only = c->tls.min_version == CONFIG_TLS_1_3,
	};

	return tls_client_new(&o, out, why);
}

/* ---- what befalls them ------------------------------------------------------
 */

void repository_up(struct repository *r, const char *how)
{
	uint64_t now = repository_now(r);

	log_event(LOG_INFO, "repository-connected",
		  "repository=%s address=%s%s%s down_s=%llu", r->config->name,
		  r->endpoint, how[0] != '\0' ? " " : "", how,
		  (unsigned long long)(r->down_ms != 0
					   ? (now - r->down_ms) / 1000
					   : 0));
	r->state = REPOSITORY_CONNECTED;
	r->down_ms = r->pause_ms = 0;
	pthread_mutex_lock(&r->all->lock);
	r->status.error[0] = '\0';
	pthread_mutex_unlock(&r->all->lock);
}

/* A quarter less or more, so that edges do not all come back at once. */
static uint64_t jittered(uint64_t ms)
{
	uint64_t part = ms / 4;

	return ms - part + (part > 0 ? uv_hrtime() / 1000 % (2 * part) : 0);
}

void repository_down(struct repository *r, const char *why)
{
	const struct config_repository *c = r->config;
	uint64_t now = repository_now(r);
	bool first = r->down_ms == 0;

	r->state = REPOSITORY_WAITING;
	r->pause_ms = r->pause_ms == 0 ? c->retry.first : 2 * r->pause_ms;
	if (r->pause_ms > c->retry.max)
		r->pause_ms = c->retry.max;
	r->retry_at_ms = now + jittered(r->pause_ms);
	if (first)
		r->down_ms = now != 0 ? now : 1;
	log_event(first ? LOG_WARN : LOG_DEBUG, "repository-away",
		  "repository=%s address=%s cause=\"%s\" effect=\"rows after "
		  "seq %lld wait in the audit\" again_ms=%llu",
		  c->name, r->endpoint, why, (long long)r->arrived,
		  (unsigned long long)r->pause_ms);
	pthread_mutex_lock(&r->all->lock);
	r->status.error_ms = clock_wall_ms();
	(void)snprintf(r->status.error, sizeof(r->status.error), "%s", why);
	pthread_mutex_unlock(&r->all->lock);
}

void repository_unreadable(struct repository *r)
{
	char text[REPOSITORY_WHY_LEN];

	(void)snprintf(text, sizeof(text),
		       "the audit cannot be read: %s; culvert audit verify "
		       "tells more",
		       r->queue.why);
	r->queue.why[0] = '\0';
	repository_down(r, text);
}

void repository_arrived(struct repository *r, int64_t seq)
{
	if (seq <= r->arrived)
		return;
	r->arrived = seq;
}

void repository_restart(struct repository *r, int64_t first)
{
	r->arrived = r->acked_seq = first - 1;
	r->back = first;
	r->n_trail = 0;
	for (size_t i = 0; i < REPOSITORY_MARKS; i++)
		r->marks[i].seq = 0;
}

void repository_count(struct repository *r, uint64_t messages, uint64_t bytes)
{
	pthread_mutex_lock(&r->all->lock);
	r->status.messages += messages;
	r->status.bytes += bytes;
	pthread_mutex_unlock(&r->all->lock);
}

/* ---- each tick -------------------------------------------------------------
 */

static void save(struct repository *r)
{
	uint64_t now = repository_now(r);

	if (r->arrived == r->saved ||
	    (now - r->saved_at_ms < SAVE_MS && !r->draining))
		return;
	r->saved_at_ms = now;
	if (audit_cursor_set(r->all->cursors, r->config->name, r->arrived,
			     clock_wall_ms()) == ERR_OK)
		r->saved = r->arrived;
	else
		log_event(LOG_ERROR, "repository-cursor-unsaved",
			  "repository=%s cause=\"repositories.db cannot be "
			  "written\" effect=\"rows go again after a restart\"",
			  r->config->name);
}

static void tell(struct repository *r)
{
	struct repository_status *s = &r->status;
	int64_t sent = r->arrived;

	if (r->state == REPOSITORY_CONNECTED && r->acked_seq > sent)
		sent = r->acked_seq;
	pthread_mutex_lock(&r->all->lock);
	s->state = r->state;
	if (sent > s->sent)
		s->sent_ms = clock_wall_ms();
	s->sent = sent;
	s->newest = r->queue.newest > sent ? r->queue.newest : sent;
	s->behind = s->newest - s->sent;
	s->head = r->queue.head_seq;
	pthread_mutex_unlock(&r->all->lock);
}

static bool is_idle(const struct repository *r)
{
	return r->state != REPOSITORY_CONNECTED ||
	       (r->queue.reader == NULL && r->n_marks == 0 &&
		(r->arrived + 1 >= r->queue.next ||
		 r->acked_seq + 1 >= r->queue.next));
}

static void drained(struct repository *r)
{
	r->drained = true;
	pthread_mutex_lock(&r->all->lock);
	r->all->n_drained++;
	pthread_cond_signal(&r->all->progress);
	pthread_mutex_unlock(&r->all->lock);
}

static void on_tick(uv_timer_t *t)
{
	struct repository *r = CONTAINER_OF(t, struct repository, timer);

	if (r->draining)
		repository_queue_hurry(&r->queue);
	if (is_tls(r))
		repository_tls_tick(r);
	else
		repository_udp_tick(r);
	save(r);
	tell(r);
	if (r->draining && !r->drained && is_idle(r))
		drained(r);
}

/* ---- on the worker
 * ----------------------------------------------------------- */

static void on_worker_stops(struct worker_hook *h)
{
	struct repositories *all = CONTAINER_OF(h, struct repositories, hook);

	for (size_t i = 0; i < all->n; i++) {
		struct repository *r = &all->v[i];

		r->closing = true;
		uv_close((uv_handle_t *)&r->timer, NULL);
		if (is_tls(r))
			repository_tls_close(r);
		else
			repository_udp_close(r);
		repository_queue_close(&r->queue);
	}
}

static void on_begin(struct msg *m)
{
	struct repositories *all = CONTAINER_OF(m, struct repositories, begin);

	worker_hook_add(all->worker, &all->hook);
	for (size_t i = 0; i < all->n; i++) {
		struct repository *r = &all->v[i];

		(void)uv_timer_init(worker_loop(all->worker), &r->timer);
		(void)uv_timer_start(&r->timer, on_tick, 0, REPOSITORY_TICK_MS);
	}
}

static void on_drain(struct msg *m)
{
	struct repositories *all = CONTAINER_OF(m, struct repositories, drain);

	for (size_t i = 0; i < all->n; i++)
		all->v[i].draining = true;
}

/* ---- start and stop
 * ----------------------------------------------------------- */

static enum err prepare(struct repositories *all, size_t i,
			char why[TLS_WHY_LEN])
{
	const struct config *cfg = all->o.config;
	struct repository *r = &all->v[i];
	char text[TLS_WHY_LEN];
	enum err e;

	*r = (struct repository){
	    .all = all, .config = &cfg->repositories[i], .fd = -1};
	all->n++;
	repository_endpoint(r->config, r->endpoint);
	r->batch = mem_zalloc(REPOSITORY_BATCH);
	if (r->batch == NULL)
		return ERR_NOMEM;
	e = audit_cursor_get(all->cursors, r->config->name, &r->arrived);
	if (e != ERR_OK) {
		(void)snprintf(why, TLS_WHY_LEN,
			       "repositories.db in %.600s cannot be read",
			       cfg->records.path);
		return e;
	}
	r->saved = r->arrived;
	r->queue = (struct repository_queue){.config = r->config,
					     .dir = cfg->records.path,
					     .node = cfg->node,
					     .o = &all->o,
					     .next = r->arrived + 1,
					     .pid = (uint32_t)getpid()};
	r->status.name = r->config->name;
	r->status.protocol = config_syslog_name(r->config->protocol);
	memcpy(r->status.address, r->endpoint, sizeof(r->endpoint));
	if (!is_tls(r))
		return ERR_OK;
	e = repository_tls_open(r, text);
	if (e != ERR_OK)
		(void)snprintf(why, TLS_WHY_LEN, "repository %s: %.*s",
			       r->config->name, TLS_WHY_LEN - 64, text);
	return e;
}

static void free_all(struct repositories *all)
{
	for (size_t i = 0; i < all->n; i++) {
		tls_context_unref(all->v[i].tls);
		if (all->v[i].batch != NULL)
			mem_wipe(all->v[i].batch, REPOSITORY_BATCH);
		mem_free(all->v[i].batch);
	}
	audit_cursors_close(all->cursors);
	(void)pthread_mutex_destroy(&all->lock);
	(void)pthread_cond_destroy(&all->progress);
	mem_free(all);
}

static enum err start(struct repositories *all, char why[TLS_WHY_LEN])
{
	const struct config *cfg = all->o.config;
	enum err e = audit_cursors_open(cfg->records.path, &all->cursors, why);

	for (size_t i = 0; e == ERR_OK && i < cfg->n_repositories; i++)
		e = prepare(all, i, why);
	if (e == ERR_OK)
		e = worker_start(WORKER_INDEX, &all->worker);
	if (e == ERR_OK) {
		all->begin.run = on_begin;
		all->hook.fn = on_worker_stops;
		(void)worker_post(all->worker, &all->begin);
	}
	return e;
}

enum err repositories_start(const struct repositories_options *o,
			    struct repositories **out, char why[768])
{
	struct repositories *all;
	pthread_condattr_t attr;
	enum err e;

	why[0] = '\0';
	*out = NULL;
	if (o->config->n_repositories == 0)
		return ERR_OK;
	all = mem_zalloc(sizeof(*all));
	if (all == NULL)
		return ERR_NOMEM;
	all->o = *o;
	(void)pthread_mutex_init(&all->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&all->progress, &attr);
	(void)pthread_condattr_destroy(&attr);
	e = start(all, why);
	if (e != ERR_OK) {
		free_all(all);
		return e;
	}
	*out = all;
	return ERR_OK;
}

static void drain(struct repositories *all, uint64_t grace_ms)
{
	struct timespec until;
	uint64_t end = clock_mono_ns() + grace_ms * 1000000;
	int rc = 0;

	until.tv_sec = (time_t)(end / 1000000000);
	until.tv_nsec = (long)(end % 1000000000);
	all->drain.run = on_drain;
	if (!worker_post(all->worker, &all->drain))
		return;
	pthread_mutex_lock(&all->lock);
	while (all->n_drained < all->n && rc == 0)
		rc = pthread_cond_timedwait(&all->progress, &all->lock, &until);
	pthread_mutex_unlock(&all->lock);
}

void repositories_stop(struct repositories *r, uint64_t grace_ms)
{
	if (r == NULL)
		return;
	if (grace_ms > 0)
		drain(r, grace_ms);
	worker_stop(r->worker);
	free_all(r);
}

bool repositories_status(struct repositories *r, size_t i,
			 struct repository_status *out)
{
	if (r == NULL || i >= r->n)
		return false;
	pthread_mutex_lock(&r->lock);
	*out = r->v[i].status;
	pthread_mutex_unlock(&r->lock);
	return true;
}
