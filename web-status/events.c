/* events.c - see events.h. One thread makes the snapshots; the viewers'
 * connections sleep (are suspended) in between. */
#include "web-status/events.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "web-status/gate.h"

enum {
	SOURCES_MAX = 8,  /* routes with events */
	TICK_MS = 1000,   /* between snapshots */
	ALIVE_MS = 10000, /* a comment goes out after that long */
	SNAPSHOT_MAX = 256 * 1024,
	PIECE = 16 * 1024,
};

/* Framed, shared by those who still send it. */
struct snapshot {
	unsigned refs; /* under the lock of all */
	uint64_t number;
	size_t n;
	char text[];
};

struct source {
	const struct web_route *route; /* NULL: free */
	unsigned viewers;
	struct snapshot *latest;
	uint64_t made_ms, sent_ms;
};

struct viewer {
	struct list node;
	struct web_events *events;
	struct MHD_Connection *connection;
	struct web_peer *peer;
	struct source *source;
	struct snapshot *sending; /* NULL: between two */
	size_t at;
	uint64_t number;  /* of the last one begun */
	uint64_t session; /* 0: none */
	bool asleep;
};

struct web_events {
	struct web_server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool stopping;
	struct list viewers;
	unsigned n_viewers;
	uint64_t number;
	struct source sources[SOURCES_MAX][WEB_LANGUAGES];
};

/* ---- snapshots --------------------------------------------------------- */

static void snapshot_unref(struct snapshot *s)
{
	if (s != NULL && --s->refs == 0)
		mem_free(s);
}

/* Each line of the data has a field of its own. */
static void frame(struct web_out *o, const struct web_out *data,
		  uint64_t number)
{
	const char *p = out_data(data), *end = p + out_len(data);

	out_printf(o, "id: %llu\n", (unsigned long long)number);
	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop != NULL ? stop : end) - p);

		out_raw(o, "data: ");
		out_bytes(o, p, n);
		out_raw(o, "\n");
		p += n + (stop != NULL);
	}
	out_raw(o, "\n");
}

static struct snapshot *pack(const struct web_out *o, uint64_t number)
{
	struct snapshot *s;

	if (out_failed(o) || out_len(o) == 0)
		return NULL;
	s = mem_zalloc(sizeof(*s) + out_len(o));
	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->number = number;
	s->n = out_len(o);
	memcpy(s->text, out_data(o), s->n);
	return s;
}

/* NULL: there is nothing to say. No lock is held: it takes its time. */
static struct snapshot *make(struct web_events *e,
			     const struct web_route *route,
			     enum web_language language, uint64_t number)
{
	struct web_request *r = request_new(e->server, NULL);
	struct web_out *data = out_new(SNAPSHOT_MAX);
	struct web_out *framed = out_new(SNAPSHOT_MAX * 2);
	struct snapshot *s = NULL;

	if (r != NULL && data != NULL && framed != NULL) {
		r->route = route;
		r->language = language;
		if (route->event(r, data) && !out_failed(data)) {
			frame(framed, data, number);
			s = pack(framed, number);
		}
	}
	out_free(framed);
	out_free(data);
	request_free(r);
	return s;
}

static struct snapshot *alive(uint64_t number)
{
	static const char text[] = ": \n\n";
	struct snapshot *s = mem_zalloc(sizeof(*s) + sizeof(text));

	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->number = number;
	s->n = sizeof(text) - 1;
	memcpy(s->text, text, s->n);
	return s;
}

/* ---- the thread -------------------------------------------------------- */

/* Under lock, which is let go meanwhile. */
static void renew(struct web_events *e, struct source *s,
		  enum web_language language)
{
	const struct web_route *route = s->route;
	uint64_t number = ++e->number, now;
	struct snapshot *fresh;

	/* viewers who come and go make no work */
	if (s->latest != NULL && web_now_ms() - s->made_ms < TICK_MS / 2)
		return;
	pthread_mutex_unlock(&e->lock);
	fresh = make(e, route, language, number);
	now = web_now_ms();
	pthread_mutex_lock(&e->lock);
	s->made_ms = now;
	if (fresh == NULL && now - s->sent_ms > ALIVE_MS)
		fresh = alive(number);
	if (fresh == NULL)
		return;
	snapshot_unref(s->latest);
	s->latest = fresh;
	s->sent_ms = now;
}

/* Under lock. Sleepers look for themselves whether there is news; every tick
 * also finds out who has gone. */
static void wake_all(struct web_events *e)
{
	LIST_EACH(node, tmp, &e->viewers)
	{
		struct viewer *v = CONTAINER_OF(node, struct viewer, node);

		if (!v->asleep)
			continue;
		v->asleep = false;
		MHD_resume_connection(v->connection);
	}
}

/* Under lock. */
static void tick(struct web_events *e)
{
	for (size_t i = 0; i < SOURCES_MAX; i++)
		for (unsigned k = 0; k < WEB_LANGUAGES; k++)
			if (e->sources[i][k].viewers > 0)
				renew(e, &e->sources[i][k],
				      (enum web_language)k);
	wake_all(e);
}

static void wait_tick(struct web_events *e)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += TICK_MS / 1000;
	if (e->n_viewers == 0)
		pthread_cond_wait(&e->work, &e->lock);
	else
		(void)pthread_cond_timedwait(&e->work, &e->lock, &end);
}

static void *events_main(void *arg)
{
	struct web_events *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->stopping) {
		wait_tick(e);
		if (!e->stopping)
			tick(e);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* ---- a viewer ---------------------------------------------------------- */

/* Under lock. */
static bool over(const struct viewer *v)
{
	const struct web_events *e = v->events;

	return e->stopping ||
	       (v->session != 0 &&
		!sessions_alive(e->server->sessions, web_now_ms(), v->session));
}

/* Under lock. */
static void take_latest(struct viewer *v)
{
	struct snapshot *s = v->source->latest;

	if (v->sending != NULL || s == NULL || s->number == v->number)
		return;
	v->sending = s;
	s->refs++;
	v->at = 0;
	v->number = s->number;
	peer_deadline(v->peer, web_piece_ms()); /* to take all of it */
}

/* Under lock. */
static size_t copy_out(struct viewer *v, char *out, size_t max)
{
	size_t n = v->sending->n - v->at;

	if (n > max)
		n = max;
	memcpy(out, v->sending->text + v->at, n);
	v->at += n;
	if (v->at == v->sending->n) {
		snapshot_unref(v->sending);
		v->sending = NULL;
	}
	return n;
}

static ssize_t on_want(void *arg, uint64_t at, char *out, size_t max)
{
	struct viewer *v = arg;
	ssize_t n = 0;

	(void)at;
	pthread_mutex_lock(&v->events->lock);
	take_latest(v);
	if (over(v)) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (v->sending != NULL) {
		n = (ssize_t)copy_out(v, out, max);
	} else {
		peer_deadline(v->peer, 0);
		v->asleep = true;
		MHD_suspend_connection(v->connection);
	}
	pthread_mutex_unlock(&v->events->lock);
	return n;
}

static void on_gone(void *arg)
{
	struct viewer *v = arg;
	struct web_events *e = v->events;

	pthread_mutex_lock(&e->lock);
	list_remove(&v->node);
	e->n_viewers--;
	v->source->viewers--;
	snapshot_unref(v->sending);
	pthread_mutex_unlock(&e->lock);
	mem_free(v);
}

/* Under lock. The sources of a route stay with it. */
static struct source *source_of(struct web_events *e,
				const struct web_route *route,
				enum web_language language)
{
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct source *s = &e->sources[i][language];

		if (s->route == NULL)
			for (unsigned k = 0; k < WEB_LANGUAGES; k++)
				e->sources[i][k].route = route;
		if (s->route == route)
			return s;
	}
	return NULL;
}

/* Under lock. */
static bool add(struct web_events *e, struct viewer *v,
		const struct web_request *r)
{
	v->source = source_of(e, r->route, r->language);
	if (e->stopping || v->source == NULL ||
	    e->n_viewers == EVENTS_VIEWERS_MAX)
		return false;
	/* an old one is not shown again: a new one comes at once */
	if (v->source->latest != NULL &&
	    web_now_ms() - v->source->made_ms > 2 * TICK_MS)
		v->number = v->source->latest->number;
	v->source->viewers++;
	list_push_back(&e->viewers, &v->node);
	e->n_viewers++;
	pthread_cond_signal(&e->work);
	return true;
}

struct MHD_Response *events_response(struct web_request *r)
{
	struct web_events *e = r->server->events;
	struct viewer *v = mem_zalloc(sizeof(*v));
	struct MHD_Response *m;
	bool added;

	if (v == NULL)
		return NULL;
	v->events = e;
	v->connection = r->connection;
	v->peer = r->peer;
	v->session = r->has_session ? r->session.id : 0;
	pthread_mutex_lock(&e->lock);
	added = add(e, v, r);
	pthread_mutex_unlock(&e->lock);
	if (!added) {
		mem_free(v);
		return NULL;
	}
	peer_deadline(r->peer, 0);
	m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, on_want,
					      v, on_gone);
	if (m == NULL)
		on_gone(v);
	return m;
}

/* ---- life -------------------------------------------------------------- */

enum err events_start(struct web_server *s, struct web_events **out)
{
	struct web_events *e = mem_zalloc(sizeof(*e));
	pthread_condattr_t attr;

	if (e == NULL)
		return ERR_NOMEM;
	e->server = s;
	list_init(&e->viewers);
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->work, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&e->thread, NULL, events_main, e) != 0) {
		pthread_cond_destroy(&e->work);
		pthread_mutex_destroy(&e->lock);
		mem_free(e);
		return ERR_IO;
	}
	*out = e;
	return ERR_OK;
}

void events_stop(struct web_events *e)
{
	pthread_mutex_lock(&e->lock);
	e->stopping = true;
	pthread_cond_signal(&e->work);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	pthread_mutex_lock(&e->lock);
	wake_all(e);
	pthread_mutex_unlock(&e->lock);
}

void events_free(struct web_events *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < SOURCES_MAX; i++)
		for (unsigned k = 0; k < WEB_LANGUAGES; k++)
			snapshot_unref(e->sources[i][k].latest);
	pthread_cond_destroy(&e->work);
	pthread_mutex_destroy(&e->lock);
	mem_free(e);
}
