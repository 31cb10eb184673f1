/* scheduler.c - start, stop, hints, status. */
#include "proxy/scheduler.h"

#include <stdio.h>
#include <string.h>

#include "proxy/capability.h"
#include "proxy/directory.h"
#include "proxy/health.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"
#include "proxy/scheduler_keep.h"

enum { READERS = 2, READ_QUEUE = 4096, WRITERS_MAX = 16 };

uint64_t sched_now(void)
{
	return clock_mono_ns() / 1000000;
}

struct dest *sched_dest(struct scheduler *s, const char *name)
{
	for (size_t i = 0; i < s->n_dests; i++) {
		if (strcmp(s->dests[i].config->name, name) == 0)
			return &s->dests[i];
	}
	return NULL;
}

/* ---- outcomes ---------------------------------------------------------- */

void sched_outcome(struct dest *d, const struct outcome *o)
{
	struct unposted *u;

	if (list_empty(&d->unposted) &&
	    spool_outcome(d->s->opt.spool, o) != ERR_BUSY)
		return;
	u = mem_zalloc(sizeof(*u));
	if (u == NULL) {
		log_event(LOG_ERROR, "outcome-lost", "destination=%s",
			  d->config->name);
		return; /* the instance is sent once more after a restart */
	}
	u->outcome = *o;
	list_push_back(&d->unposted, &u->node);
}

void sched_flush_outcomes(struct dest *d)
{
	LIST_EACH(n, tmp, &d->unposted)
	{
		struct unposted *u = CONTAINER_OF(n, struct unposted, node);

		if (spool_outcome(d->s->opt.spool, &u->outcome) == ERR_BUSY)
			return;
		list_remove(n);
		mem_free(u);
	}
}

/* ---- hints ------------------------------------------------------------- */

static void on_hint(struct msg *m)
{
	struct scheduler *s = CONTAINER_OF(m, struct scheduler, hint_msg);

	atomic_store(&s->hint_posted, false);
	for (size_t i = 0; i < s->n_dests; i++) {
		if (atomic_load(&s->dests[i].hinted))
			run_dest(&s->dests[i]);
	}
	sched_settled(s);
}

static void post_hint(struct scheduler *s)
{
	if (!atomic_exchange(&s->hint_posted, true))
		(void)mailbox_post(s->opt.mailbox, &s->hint_msg);
}

void scheduler_tick(struct scheduler *s)
{
	for (size_t i = 0; i < s->n_dests; i++)
		passage_flush(&s->dests[i].passage, false);
}

void scheduler_queued(struct scheduler *s, const char *destination)
{
	struct dest *d = sched_dest(s, destination);

	if (d == NULL)
		return;
	atomic_store(&d->hinted, true);
	post_hint(s);
}

static void on_want_posted(struct msg *m)
{
	struct scheduler *s = CONTAINER_OF(m, struct scheduler, want_msg);

	atomic_store(&s->want_posted, false);
	for (size_t i = 0; i < s->n_dests && !s->stopping; i++) {
		if (s->dests[i].prober != NULL)
			prober_kick(s->dests[i].prober);
	}
	sched_settled(s);
}

/* On a worker. */
static void on_want(void *arg)
{
	struct scheduler *s = arg;

	if (!atomic_exchange(&s->want_posted, true))
		(void)mailbox_post(s->opt.mailbox, &s->want_msg);
}

/* ---- start ------------------------------------------------------------- */

static enum err open_directory(struct dest *d)
{
	unsigned n = d->config->associations;
	char why[256];

	if (directory_prepare(d->config->path, why, sizeof(why)) != ERR_OK)
		log_event(LOG_ERROR, "directory-unusable",
			  "destination=%s text=\"%s\"", d->config->name, why);
	return reader_new(n < WRITERS_MAX ? n : WRITERS_MAX, READ_QUEUE,
			  "culvert-files", &d->writers);
}

static enum err open_prober(struct dest *d)
{
	struct prober_env env = {.loop = d->s->opt.loop,
				 .main = d->s->opt.mailbox,
				 .workers = d->s->opt.workers,
				 .n_workers = d->s->opt.n_workers,
				 .destination = d->destination};

	return prober_new(&env, &d->prober);
}

static enum err open_dest(struct scheduler *s, size_t i)
{
	struct dest *d = &s->dests[i];
	const struct config_destination *c = &s->opt.config->destinations[i];
	enum err e;

	d->s = s;
	d->config = c;
	d->passage.ledger = s->opt.ledger;
	d->passage.destination = c->name;
	list_init(&d->holds);
	list_init(&d->unposted);
	list_init(&d->flights);
	(void)uv_timer_init(s->opt.loop, &d->timer);
	s->n_dests++; /* from here on it is closed with the others */
	d->destination = s->opt.destinations[i];
	d->n_lanes = c->protocol == CONFIG_LINK ? 1 : c->associations;
	d->lanes = mem_zarray(d->n_lanes, sizeof(*d->lanes));
	if (d->lanes == NULL)
		return ERR_NOMEM;
	for (size_t lane = 0; lane < d->n_lanes; lane++)
		d->lanes[lane].dest = d;
	e = recent_new(&d->recent);
	if (e == ERR_OK && c->protocol == CONFIG_DIRECTORY)
		e = open_directory(d);
	else if (e == ERR_OK && c->protocol == CONFIG_LINK)
		e = run_make_lane(&d->lanes[0]); /* something may wait there */
	else if (e == ERR_OK)
		e = open_prober(d);
	d->held_by_operator = keep_is_held(s->opt.config, c->name);
	return e;
}

static enum err open_all(struct scheduler *s)
{
	const struct config *c = s->opt.config;
	unsigned readers =
	    s->opt.reader_threads != 0 ? s->opt.reader_threads : READERS;
	enum err e =
	    reader_new(readers, READ_QUEUE, "culvert-reader", &s->reader);

	s->dests = mem_zarray(c->n_destinations + 1, sizeof(*s->dests));
	if (s->dests == NULL)
		e = ERR_NOMEM;
	for (size_t i = 0; e == ERR_OK && i < c->n_destinations; i++)
		e = open_dest(s, i);
	return e;
}

/* Senders need not wait out their pause. */
static void on_back(void *arg, size_t i)
{
	struct scheduler *s = arg;
	struct dest *d = &s->dests[i];

	if (!d->trying || d->stopped)
		return;
	d->not_before_ms = 0;
	run_dest(d);
}

static enum err open_health(struct scheduler *s)
{
	struct health_env env = {.loop = s->opt.loop,
				 .main = s->opt.mailbox,
				 .workers = s->opt.workers,
				 .n_workers = s->opt.n_workers,
				 .destinations = s->opt.destinations,
				 .n_destinations = s->n_dests,
				 .back = on_back,
				 .arg = s};

	return health_new(&env, &s->health);
}

static void ignore(void *arg)
{
	(void)arg;
}

enum err scheduler_start(const struct scheduler_options *opt,
			 struct scheduler **out, char why[SCHEDULER_WHY_LEN])
{
	struct scheduler *s = mem_zalloc(sizeof(*s));
	enum err e;

	(void)snprintf(why, SCHEDULER_WHY_LEN, "out of memory");
	if (s == NULL)
		return ERR_NOMEM;
	s->opt = *opt;
	s->random = clock_mono_ns() | 1;
	s->started_ms = clock_wall_ms();
	s->hint_msg.run = on_hint;
	s->want_msg.run = on_want_posted;
	list_init(&s->orders);
	(void)uv_timer_init(opt->loop, &s->stop_timer);
	e = open_all(s);
	if (e == ERR_OK)
		e = open_health(s);
	if (e != ERR_OK) {
		scheduler_stop(s, 0, ignore, NULL);
		return e;
	}
	capability_on_want(opt->capabilities, on_want, s);
	if (opt->early != NULL)
		early_desk_listen(opt->early, early_heard, s);
	for (size_t i = 0; i < s->n_dests; i++)
		run_dest(&s->dests[i]);
	*out = s;
	return ERR_OK;
}

/* ---- stop -------------------------------------------------------------- */

static void free_dest(struct dest *d)
{
	hold_free_all(d);
	early_free(d);
	window_free(d);
	sched_flush_outcomes(d);
	while (!list_empty(&d->unposted))
		mem_free(CONTAINER_OF(list_pop_front(&d->unposted),
				      struct unposted, node));
	recent_free(d->recent);
	reader_free(d->writers);
	mem_free(d->lanes);
}

static void free_all(struct scheduler *s)
{
	scheduler_stopped_fn *stopped = s->stopped;
	void *arg = s->stopped_arg;

	for (size_t i = 0; i < s->n_dests; i++)
		free_dest(&s->dests[i]);
	reader_free(s->reader);
	mem_free(s->dests);
	mem_free(s);
	stopped(arg);
}

static void on_part_closed(void *arg)
{
	struct scheduler *s = arg;

	if (--s->n_parts == 0)
		free_all(s);
}

static void on_handle_closed(uv_handle_t *h)
{
	on_part_closed(h->data);
}

static void close_dest(struct scheduler *s, struct dest *d)
{
	passage_flush(&d->passage, true);
	for (size_t i = 0; i < d->n_lanes; i++) {
		struct lane *l = &d->lanes[i];

		if (l->impl == NULL)
			continue;
		s->n_parts++;
		l->ops->close(l->impl, on_part_closed, s);
	}
	if (d->prober != NULL) {
		s->n_parts++;
		prober_close(d->prober, on_part_closed, s);
	}
	s->n_parts++;
	d->timer.data = s;
	uv_close((uv_handle_t *)&d->timer, on_handle_closed);
}

static unsigned flying(const struct scheduler *s)
{
	unsigned n = 0;

	/* a link goes on where it stopped: nobody waits for it */
	for (size_t i = 0; i < s->n_dests; i++)
		n += link_is(&s->dests[i]) ? 0 : s->dests[i].in_flight;
	return n;
}

/* The parts end in two steps: first lanes give their tasks back, and what is
 * asked of the ledger is answered; then all is freed. */
void sched_settled(struct scheduler *s)
{
	if (!s->stopping || s->closing_parts || s->pending > 0 ||
	    atomic_load(&s->hint_posted) || atomic_load(&s->want_posted) ||
	    (flying(s) > 0 && !s->grace_over))
		return;
	s->closing_parts = true;
	s->n_parts = 1;
	for (size_t i = 0; i < s->n_dests; i++)
		close_dest(s, &s->dests[i]);
	if (s->health != NULL) {
		s->n_parts++;
		health_close(s->health, on_part_closed, s);
	}
	s->stop_timer.data = s;
	uv_close((uv_handle_t *)&s->stop_timer, on_handle_closed);
}

static void on_grace_over(uv_timer_t *t)
{
	struct scheduler *s = CONTAINER_OF(t, struct scheduler, stop_timer);

	s->grace_over = true;
	sched_settled(s);
}

void scheduler_stop(struct scheduler *s, uint64_t grace_ms,
		    scheduler_stopped_fn *stopped, void *arg)
{
	s->stopping = true;
	s->stopped = stopped;
	s->stopped_arg = arg;
	if (s->opt.capabilities != NULL)
		capability_on_want(s->opt.capabilities, NULL, NULL);
	if (s->opt.early != NULL)
		early_desk_listen(s->opt.early, NULL, NULL);
	for (size_t i = 0; i < s->n_dests; i++) {
		s->dests[i].stopped = true;
		early_stop(&s->dests[i]);
		(void)uv_timer_stop(&s->dests[i].timer);
	}
	orders_cancel(s);
	(void)uv_timer_start(&s->stop_timer, on_grace_over, grace_ms, 0);
	sched_settled(s);
}

/* ---- status ------------------------------------------------------------ */

const char *destination_state_name(enum destination_state st)
{
	static const char *const names[DESTINATION_NSTATES] = {
	    [DESTINATION_IDLE] = "idle",
	    [DESTINATION_SENDING] = "sending",
	    [DESTINATION_WAITING] = "connecting",
	    [DESTINATION_BACKOFF] = "backing off",
	    [DESTINATION_HELD] = "held",
	    [DESTINATION_OPERATOR] = "held by operator",
	    [DESTINATION_STOPPED] = "stopped",
	};

	return names[st];
}

static enum destination_state state_of(const struct dest *d,
				       const struct destination_status *st)
{
	if (d->stopped)
		return DESTINATION_STOPPED;
	if (d->held_by_operator)
		return DESTINATION_OPERATOR;
	if (d->in_flight > 0)
		return st->associations > 0 ? DESTINATION_SENDING
					    : DESTINATION_WAITING;
	if (d->not_before_ms > sched_now())
		return DESTINATION_BACKOFF;
	if (!list_empty(&d->holds) && d->ready.n == 0)
		return DESTINATION_HELD;
	return d->waiting.n > 0 ? DESTINATION_BACKOFF : DESTINATION_IDLE;
}

static void fill_until(const struct dest *d, struct destination_status *st)
{
	const struct heap_node *n = heap_first(&d->waiting);
	uint64_t until = d->not_before_ms, now = sched_now();

	if (st->state != DESTINATION_BACKOFF)
		return;
	if (until <= now && n != NULL)
		until = (uint64_t)n->key;
	if (until > now)
		st->until_wall_ms = clock_wall_ms() + (int64_t)(until - now);
}

static void fill_holds(const struct dest *d, struct destination_status *st)
{
	LIST_EACH(n, tmp, &d->holds)
	{
		const struct hold *h = CONTAINER_OF(n, struct hold, node);

		st->held += h->skipped + (h->probe != NULL);
		if (st->held_why[0] == '\0')
			(void)snprintf(st->held_why, sizeof(st->held_why), "%s",
				       h->why);
	}
}

static void fill_counts(const struct ledger_destination_stats *from,
			struct destination_status *st)
{
	st->queued = from->count[DELIVERY_QUEUED];
	st->arrived = from->count[DELIVERY_ARRIVED];
}

static void fill_queued(struct scheduler *s, struct destination_status *st)
{
	struct ledger_stats *stats = mem_zalloc(sizeof(*stats));

	if (stats == NULL)
		return;
	ledger_stats(s->opt.ledger, stats);
	for (size_t i = 0; i < stats->n_destinations; i++) {
		if (strcmp(stats->destinations[i].name, st->name) == 0)
			fill_counts(&stats->destinations[i], st);
	}
	mem_free(stats);
}

static void fill_lanes(const struct dest *d, struct destination_status *st)
{
	for (size_t i = 0; i < d->n_lanes; i++) {
		const struct lane *l = &d->lanes[i];

		st->associations += l->impl != NULL && l->ops->is_open(l->impl);
	}
}

/* No endpoint is left: live associations are refused, and it is on alert even
 * when nothing is queued. A device that is off alarms nobody. */
static bool fill_down(const struct dest *d, struct destination_status *st)
{
	struct destination_health h = {.circuit = CIRCUIT_CLOSED};

	for (size_t i = 0; destination_health(d->destination, i, &h); i++) {
		if (h.circuit == CIRCUIT_CLOSED)
			return false;
	}
	if (h.circuit == CIRCUIT_CLOSED || d->config->implicit)
		return false;
	if (h.failed_ms > st->error_wall_ms) {
		st->error_wall_ms = h.failed_ms;
		memcpy(st->error, h.why, sizeof(st->error));
	}
	return true;
}

bool scheduler_status(struct scheduler *s, size_t i,
		      struct destination_status *out)
{
	const struct dest *d = &s->dests[i];

	if (i >= s->n_dests)
		return false;
	*out = (struct destination_status){
	    .in_flight = d->in_flight,
	    .retrying = (uint32_t)d->waiting.n,
	    .success_wall_ms = d->success_ms,
	    .error_wall_ms = d->error_ms,
	    .delivered = d->delivered,
	    .delivered_bytes = d->delivered_bytes,
	    .failures = d->failures,
	};
	(void)snprintf(out->name, sizeof(out->name), "%s", d->config->name);
	(void)snprintf(out->protocol, sizeof(out->protocol), "%s",
		       config_protocol_name(d->config->protocol));
	destination_endpoint(d->config, 0, out->endpoint);
	(void)snprintf(out->error, sizeof(out->error), "%s", d->error);
	fill_queued(s, out);
	fill_lanes(d, out);
	link_status(d, out);
	fill_holds(d, out);
	out->state = state_of(d, out);
	fill_until(d, out);
	out->alert = fill_down(d, out) || out->held_why[0] != '\0' ||
		     d->trying || d->error_ms > d->success_ms;
	return true;
}
