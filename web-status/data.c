#include "web-status/data.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/control.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/list.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_view.h"

enum {
	VIEWS_KEPT = 8,
	VIEWS_MS = 30000, /* then they are opened anew: the file may be another
			   */
	FRESH_MS = 1000,  /* a status this old is good */
	PATIENCE_MS = 2500, /* longest wait for a new one */
	USEFUL_MS = 10000,  /* one older than this is none */
	EVENTS_MAX = 256,   /* waiting to be put on record */
	EVENTS_A_MINUTE = 60,
	LOGINS_MAX = 4096, /* likewise, of those that succeeded */
	EVENTS_AGAIN_MS = 1000,
	MINUTE_MS = 60 * 1000,
};

/* What is to be put on record. */
struct event {
	struct list node;
	char what[16], user[65], address[80], method[16];
	unsigned more; /* others like it that were left out */
};

struct web_data {
	const struct config *config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, fresh;
	/* Under lock: */
	bool stopping, wanted;
	json_t *status;
	uint64_t status_ms;
	unsigned asked, answered; /* questions begun and ended */
	struct ledger_view *views[VIEWS_KEPT];
	size_t n_views;
	uint64_t views_ms; /* when those kept were last thrown away */
	struct list events;
	size_t n_events;
	uint64_t again_ms;  /* not before; 0: at once */
	uint64_t minute_ms; /* when this minute's count began */
	unsigned in_minute, left_out;
	atomic_int asks;
};

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- the ledger -------------------------------------------------------- */

/* Under lock. */
static void drop_views(struct web_data *d)
{
	while (d->n_views > 0)
		ledger_view_close(d->views[--d->n_views]);
	d->views_ms = now_ms();
}

struct ledger_view *data_ledger(struct web_data *d, char *why)
{
	struct ledger_view *v = NULL;

	pthread_mutex_lock(&d->lock);
	if (now_ms() - d->views_ms > VIEWS_MS)
		drop_views(d);
	if (d->n_views > 0)
		v = d->views[--d->n_views];
	pthread_mutex_unlock(&d->lock);
	if (v == NULL &&
	    ledger_view_open(d->config->records.path, &v, why) != ERR_OK)
		return NULL;
	return v;
}

void data_ledger_return(struct web_data *d, struct ledger_view *v)
{
	if (v == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	if (d->n_views < VIEWS_KEPT) {
		d->views[d->n_views++] = v;
		v = NULL;
	}
	pthread_mutex_unlock(&d->lock);
	ledger_view_close(v);
}

/* ---- status ------------------------------------------------------------ */

static json_t *ask_status(const struct web_data *d)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = NULL;
	char why[256];

	if (request != NULL && control_ask(d->config->control.path, request,
					   &answer, NULL, why) != ERR_OK)
		answer = NULL;
	json_decref(request);
	if (answer != NULL && !json_is_true(json_object_get(answer, "ok"))) {
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

/* Under lock, which is let go meanwhile. */
static void refresh(struct web_data *d)
{
	json_t *answer, *before;

	d->wanted = false;
	d->asked++;
	pthread_mutex_unlock(&d->lock);
	answer = ask_status(d);
	pthread_mutex_lock(&d->lock);
	d->answered = d->asked;
	before = d->status;
	if (answer != NULL) {
		d->status = answer;
		d->status_ms = now_ms();
	} else if (before != NULL && now_ms() - d->status_ms > USEFUL_MS) {
		d->status = NULL;
	} else {
		before = NULL;
	}
	pthread_cond_broadcast(&d->fresh);
	json_decref(before);
}

static void until(struct timespec *t, uint64_t ms)
{
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_sec += (time_t)(ms / 1000);
	t->tv_nsec += (long)(ms % 1000) * 1000000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_sec++;
		t->tv_nsec -= 1000000000;
	}
}

/* Under lock: wait for an answer to a question that begins after now. */
static void wait_fresh(struct web_data *d)
{
	unsigned want = d->asked + 1;
	struct timespec end;

	until(&end, PATIENCE_MS);
	d->wanted = true;
	pthread_cond_signal(&d->work);
	while (!d->stopping && (int)(d->answered - want) < 0)
		if (pthread_cond_timedwait(&d->fresh, &d->lock, &end) != 0)
			return;
}

json_t *data_status(struct web_data *d, uint64_t *age_ms)
{
	json_t *status;
	uint64_t age;

	pthread_mutex_lock(&d->lock);
	if (d->status == NULL || now_ms() - d->status_ms > FRESH_MS)
		wait_fresh(d);
	age = now_ms() - d->status_ms;
	status = d->status != NULL && age <= USEFUL_MS ? json_incref(d->status)
						       : NULL;
	pthread_mutex_unlock(&d->lock);
	if (age_ms != NULL)
		*age_ms = age;
	return status;
}

/* ---- other questions --------------------------------------------------- */

static json_t *as_of(const char *user, unsigned roles)
{
	json_t *list = json_array();

	for (unsigned bit = 1; list != NULL && bit <= ROLE_ANY; bit <<= 1) {
		char text[ROLE_TEXT_LEN];

		if ((roles & bit) != 0)
			json_array_append_new(
			    list, json_string(role_text(bit, text)));
	}
	return json_pack("{s:s,s:o}", "user",
			 user[0] != '\0' ? user : "status page", "roles", list);
}

enum err data_ask(struct web_data *d, const json_t *request, const char *user,
		  unsigned roles, json_t **answer, int *fd)
{
	json_t *whole = json_copy((json_t *)(uintptr_t)request);
	enum err e = ERR_BUSY;
	char why[256] = "";

	if (whole == NULL ||
	    json_object_set_new(whole, "as", as_of(user, roles)) != 0) {
		json_decref(whole);
		return ERR_NOMEM;
	}
	if (atomic_fetch_add(&d->asks, 1) < DATA_ASKS_MAX)
		e = control_ask(d->config->control.path, whole, answer, fd,
				why);
	atomic_fetch_sub(&d->asks, 1);
	json_decref(whole);
	return e;
}

/* ---- records ----------------------------------------------------------- */

static bool send_event(struct web_data *d, const struct event *e)
{
	json_t *request =
	    json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "op", "web-event", "event",
		      e->what, "user", e->user, "address", e->address, "method",
		      e->method, "more", (int)e->more);
	json_t *answer = NULL;
	char why[256] = "";
	bool done = request != NULL &&
		    control_ask(d->config->control.path, request, &answer, NULL,
				why) == ERR_OK &&
		    json_is_true(json_object_get(answer, "ok"));

	if (!done)
		log_event(LOG_WARN, "web-unrecorded", "event=%s detail=\"%s\"",
			  e->what, why);
	json_decref(answer);
	json_decref(request);
	return done;
}

/* Under lock. */
static bool over_rate(struct web_data *d)
{
	if (now_ms() - d->minute_ms > MINUTE_MS) {
		d->minute_ms = now_ms();
		d->in_minute = 0;
	}
	return ++d->in_minute > EVENTS_A_MINUTE || d->n_events >= EVENTS_MAX;
}

void data_record(struct web_data *d, const char *what, const char *user,
		 const char *address, const char *method)
{
	struct event *e = mem_zalloc(sizeof(*e));

	if (e == NULL)
		return;
	snprintf(e->what, sizeof(e->what), "%s", what);
	snprintf(e->user, sizeof(e->user), "%s", user);
	snprintf(e->address, sizeof(e->address), "%s", address);
	snprintf(e->method, sizeof(e->method), "%s", method);
	pthread_mutex_lock(&d->lock);
	/* what succeeds is not left out */
	if (over_rate(d) &&
	    (strcmp(what, "login") != 0 || d->n_events >= LOGINS_MAX)) {
		d->left_out++;
		mem_free(e);
	} else {
		e->more = d->left_out;
		d->left_out = 0;
		list_push_back(&d->events, &e->node);
		d->n_events++;
		pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
}

/* Under lock, which is let go meanwhile. What the daemon does not take now is
 * tried again later, but for those there are when the page ends. */
static void send_events(struct web_data *d)
{
	struct list *node;

	if (!d->stopping && now_ms() < d->again_ms)
		return;
	while ((node = list_pop_front(&d->events)) != NULL) {
		struct event *e = CONTAINER_OF(node, struct event, node);
		bool done;

		pthread_mutex_unlock(&d->lock);
		done = send_event(d, e);
		pthread_mutex_lock(&d->lock);
		if (!done && !d->stopping) {
			list_push_front(&d->events, node);
			d->again_ms = now_ms() + EVENTS_AGAIN_MS;
			return;
		}
		d->n_events--;
		mem_free(e);
	}
}

/* ---- the thread -------------------------------------------------------- */

/* What was left out goes on record though nothing else comes. */
static void sum_up(struct web_data *d)
{
	if (d->left_out == 0 || now_ms() - d->minute_ms <= MINUTE_MS)
		return;
	pthread_mutex_unlock(&d->lock);
	data_record(d, "login-failed", "", "", "password");
	pthread_mutex_lock(&d->lock);
}

static void *data_main(void *arg)
{
	struct web_data *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stopping || d->n_events > 0) {
		struct timespec end;

		if (d->wanted && !d->stopping)
			refresh(d);
		send_events(d);
		sum_up(d);
		until(&end, d->n_events > 0 ? EVENTS_AGAIN_MS : MINUTE_MS / 4);
		if (!d->wanted && !d->stopping &&
		    (d->n_events == 0 || now_ms() < d->again_ms))
			(void)pthread_cond_timedwait(&d->work, &d->lock, &end);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

static void data_free(struct web_data *d)
{
	drop_views(d);
	json_decref(d->status);
	pthread_cond_destroy(&d->work);
	pthread_cond_destroy(&d->fresh);
	pthread_mutex_destroy(&d->lock);
	mem_free(d);
}

enum err data_start(const struct config *config, struct web_data **out)
{
	struct web_data *d = mem_zalloc(sizeof(*d));

	if (d == NULL)
		return ERR_NOMEM;
	d->config = config;
	pthread_mutex_init(&d->lock, NULL);
	cond_init(&d->work);
	cond_init(&d->fresh);
	list_init(&d->events);
	if (pthread_create(&d->thread, NULL, data_main, d) != 0) {
		data_free(d);
		return ERR_IO;
	}
	*out = d;
	return ERR_OK;
}

void data_stop(struct web_data *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_signal(&d->work);
	pthread_cond_broadcast(&d->fresh);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	data_free(d);
}
