/* server.c - see server.h.
 *
 * Built in the order of struct server's fields, taken apart in the opposite
 * one. Stopping has phases, each begun by the end of the one before:
 *
 *   running --SIGTERM--> draining --no association left--> settling
 *      --senders ended--> stopped: the loop has nothing left and returns */
#include "proxy/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "policy/config.h"
#include "proxy/acceptor.h"
#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/commitment.h"
#include "proxy/control.h"
#include "proxy/destination.h"
#include "proxy/early.h"
#include "proxy/host.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"
#include "proxy/link/receiver.h"
#include "proxy/message_scp.h"
#include "proxy/net/mailbox.h"
#include "proxy/net/tls.h"
#include "proxy/net/worker.h"
#include "proxy/notify.h"
#include "proxy/reload.h"
#include "proxy/scheduler.h"
#include "proxy/shaping.h"
#include "proxy/store_scp.h"
#include "store/ledger.h"
#include "store/ledger_origin.h"
#include "store/ledger_view.h"
#include "store/seal.h"
#include "store/spool.h"

enum {
	WHY_LEN = 768,
	WORKERS_MAX = 64,
	TICK_MS = 2000,
	DRAIN_TICK_MS = 20,
	DRAIN_GRACE_MS = 5000, /* for associations in the middle of a message */
	SENDER_GRACE_MS = 5000,  /* for instances on their way out */
	CLOCK_STEP_MS = 2000,    /* smaller ones are NTP's daily work */
	REPORT_GRACE_MS = 20000, /* for a ledger that does not answer */
	STORE_GRACE_MS = 30000,  /* for a disk that does not answer */
};

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_SETTLING, PHASE_STOPPED };

struct server {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct destination **destinations; /* by index in config */
	struct commitment *commitment;
	uv_loop_t loop;
	bool loop_open;
	struct mailbox mailbox;
	bool mailbox_open;
	/* Half of them carry devices, the others deliveries, so that no device
	 * waits while a chunk is sealed for an archive. */
	struct worker *workers[2 * WORKERS_MAX];
	size_t n_workers;
	pthread_mutex_t scheduler_lock; /* the ledger thread asks, too */
	struct scheduler *scheduler;    /* NULL before and after it runs */
	struct scheduler *ending;       /* while it stops */
	struct early_desk early;
	struct admission *admission;
	uint8_t epoch[LINK_ID_LEN];  /* of this start, for links */
	struct link_receiver *links; /* under scheduler_lock, too */
	struct acceptor *acceptor;
	struct reload *reload;
	struct control *control;

	enum phase phase;
	uint64_t drain_began_ms;
	bool hurry;       /* a second signal came */
	int records_lock; /* descriptor, -1: none */
	uv_signal_t signals[3];
	uv_timer_t tick, drain, hours;
	struct shaping shaping;
	int64_t clock_offset_ms; /* wall minus monotonic, at the last tick */
	char alert[SPOOL_WHY_LEN];
	char why[WHY_LEN];
};

static uint64_t mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- audit ------------------------------------------------------------- */

static void audit_plain(struct server *s, enum audit_kind kind,
			enum audit_outcome outcome, const char *key,
			const char *text)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = kind;
	e->outcome = outcome;
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, key, text);
	audit_json_end(&j);
	ledger_audit(s->ledger, e);
	mem_free(e);
}

/* ---- start ------------------------------------------------------------- */

static void on_queued(void *arg, const char *destination, uint64_t count)
{
	struct server *s = arg;

	(void)count;
	pthread_mutex_lock(&s->scheduler_lock);
	if (s->scheduler != NULL)
		scheduler_queued(s->scheduler, destination);
	pthread_mutex_unlock(&s->scheduler_lock);
}

static void on_origin(void *arg, const struct ledger_origin *o)
{
	struct server *s = arg;

	pthread_mutex_lock(&s->scheduler_lock);
	if (s->links != NULL)
		link_receiver_origin(s->links, o);
	pthread_mutex_unlock(&s->scheduler_lock);
}

static struct scheduler *swap_scheduler(struct server *s,
					struct scheduler *next)
{
	struct scheduler *before;

	pthread_mutex_lock(&s->scheduler_lock);
	before = s->scheduler;
	s->scheduler = next;
	pthread_mutex_unlock(&s->scheduler_lock);
	return before;
}

static enum err open_spool(struct server *s)
{
	const struct config *c = s->config;
	struct spool_options o = {.path = c->spool.path,
				  .key_path = c->spool.key,
				  .quota = c->spool.quota,
				  .high_water = c->spool.high_water,
				  .low_water = c->spool.low_water,
				  .segment = (size_t)c->spool.segment};
	enum err e =
	    host_directory("spool.path", c->spool.path, s->why, sizeof(s->why));

	return e != ERR_OK ? e : spool_open(&o, &s->spool, s->why);
}

static enum err open_ledger(struct server *s)
{
	const char *path = s->config->records.path;
	struct ledger_options o = {.path = path,
				   .on_queued = on_queued,
				   .on_origin = on_origin,
				   .arg = s};
	enum err e =
	    host_directory("records.path", path, s->why, sizeof(s->why));

	if (e == ERR_OK)
		e = host_lock_records(path, &s->records_lock, s->why,
				      sizeof(s->why));
	return e != ERR_OK ? e : ledger_open(&o, s->spool, &s->ledger, s->why);
}

static bool on_capability(void *arg, const struct ledger_capability *c)
{
	struct server *s = arg;
	struct capability_key key = {.destination = c->destination,
				     .calling_ae = c->calling_ae,
				     .called_ae = c->called_ae,
				     .abstract = c->abstract,
				     .transfer_syntax = c->transfer_syntax};

	capability_load(s->capabilities, &key, c->accepted, c->checked_ms);
	return true;
}

static enum err open_capabilities(struct server *s)
{
	struct ledger_view *view;
	enum err e = capability_new(s->ledger, &s->capabilities);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < s->config->n_destinations; i++) {
		const struct config_destination *d =
		    &s->config->destinations[i];

		if (d->protocol == CONFIG_DIRECTORY)
			capability_always(s->capabilities, d->name);
	}
	/* what was learnt before is a help, not a need */
	if (ledger_view_open(s->config->records.path, &view, s->why) != ERR_OK)
		return ERR_OK;
	if (ledger_view_capabilities(view, NULL, on_capability, s) != ERR_OK)
		log_event(LOG_WARN, "capabilities-unread", "cause=\"%s\"",
			  ledger_view_why(view));
	ledger_view_close(view);
	return ERR_OK;
}

static enum err open_destinations(struct server *s)
{
	return destinations_open(s->config, s->ledger, s->capabilities,
				 &s->destinations, s->why);
}

static enum err open_shaping(struct server *s)
{
	enum err e = shaping_begin(s->config, &s->shaping, s->why);

	if (e != ERR_OK)
		return e;
	(void)shaping_apply(&s->shaping, clock_wall_ms(), clock_mono_ns());
	destinations_shape(s->destinations, s->config->n_destinations,
			   s->shaping.shaper);
	return ERR_OK;
}

static enum err open_loop(struct server *s)
{
	enum err e;

	if (uv_loop_init(&s->loop) != 0)
		return ERR_IO;
	s->loop_open = true;
	e = mailbox_init(&s->mailbox, &s->loop);
	early_desk_init(&s->early, &s->mailbox);
	s->mailbox_open = e == ERR_OK;
	return e;
}

static enum err start_workers(struct server *s)
{
	size_t n = s->config->workers;

	if (n == 0)
		n = uv_available_parallelism();
	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	for (size_t i = 0; i < 2 * n; i++) {
		enum err e = worker_start((unsigned)i, &s->workers[i]);

		if (e != ERR_OK)
			return e;
		s->n_workers++;
	}
	return ERR_OK;
}

static enum err start_commitment(struct server *s)
{
	struct commitment_options o = {
	    .config = s->config, .spool = s->spool, .ledger = s->ledger};

	return commitment_start(&o, &s->commitment, s->why);
}

static enum err start_scheduler(struct server *s)
{
	struct scheduler_options o = {.loop = &s->loop,
				      .mailbox = &s->mailbox,
				      .config = s->config,
				      .spool = s->spool,
				      .ledger = s->ledger,
				      .capabilities = s->capabilities,
				      .destinations = s->destinations,
				      .commitment = s->commitment,
				      .early = &s->early,
				      .workers = s->workers + s->n_workers / 2,
				      .n_workers = s->n_workers / 2};
	struct scheduler *scheduler;
	enum err e = scheduler_start(&o, &scheduler, s->why);

	if (e == ERR_OK)
		(void)swap_scheduler(s, scheduler);
	return e;
}

static int count_open(void *arg)
{
	struct server *s = arg;

	return (int)acceptor_open(s->acceptor);
}

static void on_reload_asked(void *arg, const char *by, reload_done_fn *done,
			    void *done_arg)
{
	struct server *s = arg;

	reload_start(s->reload, by, done, done_arg);
}

static enum err start_control(struct server *s)
{
	struct control_options o = {.config = s->config,
				    .spool = s->spool,
				    .ledger = s->ledger,
				    .scheduler = s->scheduler,
				    .destinations = s->destinations,
				    .commitment = s->commitment,
				    .mailbox = &s->mailbox,
				    .shaping = &s->shaping,
				    .associations = count_open,
				    .reload = on_reload_asked,
				    .arg = s};

	return control_start(&o, &s->control, s->why);
}

static enum err start_acceptor(struct server *s)
{
	struct acceptor_options o = {.loop = &s->loop,
				     .config = s->config,
				     .spool = s->spool,
				     .ledger = s->ledger,
				     .capabilities = s->capabilities,
				     .destinations = s->destinations,
				     .commitment = s->commitment,
				     .shaper = s->shaping.shaper,
				     .early = &s->early,
				     .links = s->links,
				     .admission = s->admission,
				     .workers = s->workers,
				     .n_workers = s->n_workers / 2};

	return acceptor_start(&o, &s->acceptor, s->why);
}

static enum err start_admission(struct server *s)
{
	return admission_new(s->config, s->ledger, &s->admission);
}

static void on_hours(uv_timer_t *t);

static void on_reshape(void *arg)
{
	struct server *s = arg;

	on_hours(&s->hours);
}

static enum err start_reload(struct server *s)
{
	struct reload_options o = {.loop = &s->loop,
				   .config = s->config,
				   .shaping = &s->shaping,
				   .admission = s->admission,
				   .ledger = s->ledger,
				   .reshape = on_reshape,
				   .arg = s};

	return reload_new(&o, &s->reload);
}

static enum err start_links(struct server *s)
{
	struct link_receiver_options o = {.config = s->config,
					  .spool = s->spool,
					  .ledger = s->ledger,
					  .capabilities = s->capabilities,
					  .shaper = s->shaping.shaper,
					  .admission = s->admission,
					  .workers = s->workers,
					  .n_workers = s->n_workers / 2,
					  .epoch = s->epoch};
	struct link_receiver *links;
	enum err e = link_receiver_new(&o, &links);

	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&s->scheduler_lock);
	s->links = links;
	pthread_mutex_unlock(&s->scheduler_lock);
	return ERR_OK;
}

static enum err start_tls(struct server *s)
{
	enum err e = tls_global_init();

	return e == ERR_OK ? seal_random(s->epoch, sizeof(s->epoch)) : e;
}

/* Listeners come last: nobody is let in before all is ready. */
static enum err start_all(struct server *s)
{
	static const struct {
		const char *what;
		enum err (*start)(struct server *s);
	} steps[] = {
	    {"TLS library", start_tls},
	    {"spool", open_spool},
	    {"ledger", open_ledger},
	    {"capabilities", open_capabilities},
	    {"destinations", open_destinations},
	    {"bandwidth limits", open_shaping},
	    {"main loop", open_loop},
	    {"workers", start_workers},
	    {"storage commitment", start_commitment},
	    {"scheduler", start_scheduler},
	    {"admission", start_admission},
	    {"reload", start_reload},
	    {"links", start_links},
	    {"listeners", start_acceptor},
	    {"control socket", start_control},
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		enum err e;

		s->why[0] = '\0';
		e = steps[i].start(s);
		if (e == ERR_OK)
			continue;
		log_event(LOG_ERROR, "start-failed", "part=\"%s\" cause=\"%s\"",
			  steps[i].what,
			  s->why[0] != '\0' ? s->why : err_text(e));
		return e;
	}
	return ERR_OK;
}

/* ---- while it runs ----------------------------------------------------- */

static void watch_spool(struct server *s)
{
	struct spool_stats st;

	spool_stats(s->spool, &st);
	if (strcmp(st.alert, s->alert) == 0)
		return;
	memcpy(s->alert, st.alert, sizeof(s->alert));
	log_event(st.alert[0] != '\0' ? LOG_ERROR : LOG_INFO, "spool-alert",
		  "cause=\"%s\"",
		  st.alert[0] != '\0' ? st.alert : "over: all is well again");
	audit_plain(s, AUDIT_SPOOL_ALERT,
		    st.alert[0] != '\0' ? AUDIT_SERIOUS : AUDIT_SUCCESS,
		    "alert", st.alert[0] != '\0' ? st.alert : "over");
}

static void watch_clock(struct server *s)
{
	int64_t offset = clock_wall_ms() - (int64_t)mono_ms();
	int64_t step = offset - s->clock_offset_ms;
	char text[64];

	if (s->clock_offset_ms != 0 &&
	    (step > CLOCK_STEP_MS || step < -CLOCK_STEP_MS)) {
		snprintf(text, sizeof(text), "%lld", (long long)step);
		log_event(LOG_WARN, "clock-step", "ms=%s", text);
		audit_plain(s, AUDIT_CLOCK_STEP, AUDIT_MINOR, "step_ms", text);
	}
	s->clock_offset_ms = offset;
}

static void on_tick(uv_timer_t *t)
{
	struct server *s = t->data;

	admission_flush(s->admission, false);
	shaping_sample(&s->shaping, clock_mono_ns());
	link_receiver_tick(s->links);
	watch_spool(s);
	watch_clock(s);
}

static void on_hours(uv_timer_t *t)
{
	struct server *s = t->data;
	uint64_t ms =
	    shaping_apply(&s->shaping, clock_wall_ms(), clock_mono_ns());

	uv_timer_start(&s->hours, on_hours, ms, 0);
}

/* ---- stopping ---------------------------------------------------------- */

static void close_handles(struct server *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_close((uv_handle_t *)&s->drain, NULL);
	uv_close((uv_handle_t *)&s->hours, NULL);
}

static void stop_workers(struct server *s)
{
	while (s->n_workers > 0)
		worker_stop(s->workers[--s->n_workers]);
}

static void on_scheduler_stopped(void *arg)
{
	struct server *s = arg;

	s->phase = PHASE_STOPPED;
	s->ending = NULL;
	commitment_stop(s->commitment);
	stop_workers(s);
	mailbox_close(&s->mailbox, NULL, NULL);
	s->mailbox_open = false;
	close_handles(s);
}

static void settle(struct server *s)
{
	struct scheduler *scheduler = swap_scheduler(s, NULL);

	s->phase = PHASE_SETTLING;
	s->ending = scheduler;
	uv_timer_stop(&s->drain);
	scheduler_stop(scheduler, s->hurry ? 0 : SENDER_GRACE_MS,
		       on_scheduler_stopped, s);
}

/* The writer waits for the disk and will call workers when it answers: nothing
 * can be taken apart. Ending here is as safe as a power cut. */
static void give_up(void)
{
	log_event(LOG_ERROR, "stopped-hard",
		  "cause=\"the spool's disk does not answer\" effect=\"nothing "
		  "acknowledged is lost\" remedy=\"look after the disk under "
		  "spool.path\"");
	_exit(EXIT_FAILURE);
}

/* What was taken from a peer, and is not answered yet. */
static unsigned unanswered(const struct server *s)
{
	return store_pending() + message_pending() +
	       link_receiver_pending(s->links);
}

static void on_drain_tick(uv_timer_t *t)
{
	struct server *s = t->data;
	uint64_t waited = mono_ms() - s->drain_began_ms;

	if (s->hurry || waited > DRAIN_GRACE_MS)
		acceptor_drain(s->acceptor, true);
	if (waited > REPORT_GRACE_MS)
		commitment_stop(s->commitment); /* answers what waits */
	if (waited > STORE_GRACE_MS && unanswered(s) > 0)
		give_up();
	if (acceptor_open(s->acceptor) == 0 && unanswered(s) == 0)
		settle(s);
}

static void on_stop_signal(uv_signal_t *sig, int number)
{
	struct server *s = sig->data;

	if (s->phase != PHASE_RUNNING) {
		log_event(LOG_WARN, "stopping-now", "signal=%d", number);
		s->hurry = true; /* the next tick of the drain sees it */
		if (s->ending != NULL)
			scheduler_stop(s->ending, 0, on_scheduler_stopped, s);
		return;
	}
	log_event(LOG_INFO, "stopping", "signal=%d associations=%u", number,
		  acceptor_open(s->acceptor));
	notify_service("STOPPING=1");
	s->phase = PHASE_DRAINING;
	s->drain_began_ms = mono_ms();
	audit_plain(s, AUDIT_STOP, AUDIT_SUCCESS, "version", CULVERT_VERSION);
	control_stop(s->control);
	s->control = NULL;
	acceptor_drain(s->acceptor, false);
	uv_timer_start(&s->drain, on_drain_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

static void on_hup(uv_signal_t *sig, int number)
{
	struct server *s = sig->data;

	(void)number;
	if (s->phase == PHASE_RUNNING)
		reload_start(s->reload, "SIGHUP", NULL, NULL);
}

static void start_handles(struct server *s)
{
	static const struct {
		int number;
		uv_signal_cb fn;
	} watched[] = {{SIGTERM, on_stop_signal},
		       {SIGINT, on_stop_signal},
		       {SIGHUP, on_hup}};

	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], watched[i].fn,
				watched[i].number);
	}
	uv_timer_init(&s->loop, &s->tick);
	uv_timer_init(&s->loop, &s->drain);
	uv_timer_init(&s->loop, &s->hours);
	s->tick.data = s->drain.data = s->hours.data = s;
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	on_hours(&s->hours);
}

static void on_scheduler_gone(void *arg)
{
	bool *gone = arg;

	*gone = true;
}

/* A start that failed after the scheduler's. The mailbox is needed to the end,
 * and keeps the loop alive: so no UV_RUN_DEFAULT. */
static void end_scheduler(struct server *s, struct scheduler *scheduler)
{
	bool gone = false;

	scheduler_stop(scheduler, 0, on_scheduler_gone, &gone);
	while (!gone)
		uv_run(&s->loop, UV_RUN_ONCE);
}

/* What is left once the loop has run out, or after a failed start. */
static void take_apart(struct server *s)
{
	struct scheduler *scheduler = swap_scheduler(s, NULL);

	control_stop(s->control);
	if (s->acceptor != NULL && s->n_workers > 0)
		acceptor_drain(s->acceptor, true);
	if (scheduler != NULL)
		end_scheduler(s, scheduler);
	commitment_stop(s->commitment);
	stop_workers(s);
	if (s->acceptor != NULL)
		acceptor_free(s->acceptor);
	if (s->mailbox_open)
		mailbox_close(&s->mailbox, NULL, NULL);
	if (s->loop_open) {
		uv_run(&s->loop, UV_RUN_DEFAULT);
		uv_loop_close(&s->loop);
	}
	if (s->admission != NULL)
		admission_flush(s->admission, true);
	reload_free(s->reload);
	admission_free(s->admission);
	destinations_close(s->destinations, s->config->n_destinations);
	shaping_end(&s->shaping);
	commitment_free(s->commitment);
	ledger_close(s->ledger);
	if (s->records_lock >= 0)
		close(s->records_lock);
	capability_free(s->capabilities);
	spool_close(s->spool);
	link_receiver_free(s->links);
}

int server_run(const struct config *config)
{
	struct server *s = mem_zalloc(sizeof(*s));
	enum err e;

	if (s == NULL)
		return EXIT_FAILURE;
	s->config = config;
	s->records_lock = -1;
	pthread_mutex_init(&s->scheduler_lock, NULL);
	host_raise_descriptors();
	e = start_all(s);
	if (e == ERR_OK) {
		start_handles(s);
		audit_plain(s, AUDIT_START, AUDIT_SUCCESS, "version",
			    CULVERT_VERSION);
		log_event(LOG_INFO, "ready",
			  "node=%s version=%s workers=%zu tls=\"%s\"",
			  config->node, CULVERT_VERSION, s->n_workers,
			  tls_library_version());
		notify_service("READY=1");
		uv_run(&s->loop, UV_RUN_DEFAULT);
	}
	take_apart(s);
	pthread_mutex_destroy(&s->scheduler_lock);
	mem_free(s);
	if (e == ERR_OK)
		log_event(LOG_INFO, "stopped", "node=%s", config->node);
	return e == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
