/* server.c - see server.h.
 *
 * Built in the order of struct server's fields, taken apart in the opposite
 * one. Stopping has phases, each begun by the end of the one before:
 *
 *   running --SIGTERM--> draining --no association left--> settling
 *      --senders ended--> stopped: the loop has nothing left and returns */
#include "proxy/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/admission.h"
#include "proxy/config_record.h"
#include "proxy/handshakes.h"
#include "proxy/host.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver.h"
#include "proxy/net/tls.h"
#include "proxy/notify.h"
#include "proxy/reload.h"
#include "proxy/sampler.h"
#include "proxy/scheduler.h"
#include "proxy/server_int.h"
#include "store/ledger.h"

enum {
	TICK_MS = 2000,
	CLOCK_STEP_MS = 2000, /* smaller ones are NTP's daily work */
};

uint64_t server_mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

void server_audit(struct server *s, enum audit_kind kind,
		  enum audit_outcome outcome, const char *key, const char *text)
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

struct scheduler *server_swap_scheduler(struct server *s,
					struct scheduler *next)
{
	struct scheduler *before;

	pthread_mutex_lock(&s->scheduler_lock);
	before = s->scheduler;
	s->scheduler = next;
	pthread_mutex_unlock(&s->scheduler_lock);
	return before;
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
		  "detail=\"%s\"",
		  st.alert[0] != '\0' ? st.alert : "over: all is well again");
	server_audit(s, AUDIT_SPOOL_ALERT,
		     st.alert[0] != '\0' ? AUDIT_SERIOUS : AUDIT_SUCCESS,
		     "alert", st.alert[0] != '\0' ? st.alert : "over");
}

#ifdef CULVERT_TEST_HOOKS
/* A test lets the wall clock seem to step by so many milliseconds. */
static int64_t pretended_ms(void)
{
	const char *path = getenv("CULVERT_TEST_CLOCK");
	FILE *f = path != NULL ? fopen(path, "re") : NULL;
	char text[32] = "";

	if (f == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	(void)fclose(f);
	return strtoll(text, NULL, 10);
}
#else
static int64_t pretended_ms(void)
{
	return 0;
}
#endif

static void watch_clock(struct server *s)
{
	int64_t offset =
	    clock_wall_ms() + pretended_ms() - (int64_t)server_mono_ms();
	int64_t step = offset - s->clock_offset_ms;
	char text[64];

	if (s->clock_offset_ms != 0 &&
	    (step > CLOCK_STEP_MS || step < -CLOCK_STEP_MS)) {
		snprintf(text, sizeof(text), "%lld", (long long)step);
		log_event(LOG_WARN, "clock-step", "ms=%s", text);
		server_audit(s, AUDIT_CLOCK_STEP, AUDIT_MINOR, "step_ms", text);
	}
	s->clock_offset_ms = offset;
}

static void on_tick(uv_timer_t *t)
{
	struct server *s = t->data;

	admission_flush(s->admission, false);
	handshakes_flush(s->handshakes, false);
	if (s->scheduler != NULL)
		scheduler_tick(s->scheduler);
	shaping_sample(&s->shaping, clock_mono_ns());
	link_receiver_tick(s->links);
	sampler_tick(s->sampler, s->scheduler, clock_wall_ms(),
		     clock_mono_ns());
	watch_spool(s);
	watch_clock(s);
	log_flush(0);
}

void server_on_hours(uv_timer_t *t)
{
	struct server *s = t->data;
	uint64_t ms =
	    shaping_apply(&s->shaping, clock_wall_ms(), clock_mono_ns());

	uv_timer_start(&s->hours, server_on_hours, ms, 0);
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
	} watched[] = {{SIGTERM, server_on_stop},
		       {SIGINT, server_on_stop},
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
	server_on_hours(&s->hours);
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
	host_hide_memory();
	e = server_start(s);
	if (e == ERR_OK) {
		start_handles(s);
		config_record_start(s->ledger, config);
		log_event(LOG_INFO, "ready",
			  "node=%s version=%s workers=%zu tls=\"%s\"",
			  config->node, CULVERT_VERSION, s->n_workers,
			  tls_library_version());
		notify_service("READY=1");
		uv_run(&s->loop, UV_RUN_DEFAULT);
	}
	server_take_apart(s);
	pthread_mutex_destroy(&s->scheduler_lock);
	mem_free(s);
	if (e == ERR_OK)
		log_event(LOG_INFO, "stopped", "node=%s", config->node);
	log_flush(1);
	return e == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
