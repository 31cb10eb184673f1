/* server_stop.c - the phases of stopping, as server.c has them, and the end. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/acceptor.h"
#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/commitment.h"
#include "proxy/control.h"
#include "proxy/destination.h"
#include "proxy/handshakes.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver.h"
#include "proxy/message_scp.h"
#include "proxy/net/worker.h"
#include "proxy/notify.h"
#include "proxy/reload.h"
#include "proxy/repository.h"
#include "proxy/repository_open.h"
#include "proxy/sampler.h"
#include "proxy/scheduler.h"
#include "proxy/server_int.h"
#include "proxy/store_scp.h"
#include "proxy/web_child.h"
#include "store/ledger.h"
#include "store/seal_sign.h"

enum {
	DRAIN_TICK_MS = 20,
	DRAIN_GRACE_MS = 5000, /* for associations in the middle of a message */
	SENDER_GRACE_MS = 5000,     /* for instances on their way out */
	REPORT_GRACE_MS = 20000,    /* for a ledger that does not answer */
	STORE_GRACE_MS = 30000,     /* for a disk that does not answer */
	REPOSITORY_GRACE_MS = 2000, /* for the audit's last rows */
};

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
	struct scheduler *scheduler = server_swap_scheduler(s, NULL);

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
	log_event(LOG_ERROR, "stopped-hard", "part=spool");
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
	uint64_t waited = server_mono_ms() - s->drain_began_ms;

	if (s->hurry || waited > DRAIN_GRACE_MS)
		acceptor_drain(s->acceptor, true);
	if (waited > REPORT_GRACE_MS)
		commitment_stop(s->commitment); /* answers what waits */
	if (waited > STORE_GRACE_MS && unanswered(s) > 0)
		give_up();
	if (acceptor_open(s->acceptor) == 0 && unanswered(s) == 0)
		settle(s);
}

static void audit_stop(struct server *s, int number)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = AUDIT_STOP;
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "version", CULVERT_VERSION);
	audit_json_text(&j, "reason", number == SIGTERM ? "SIGTERM" : "SIGINT");
	audit_json_number(&j, "associations", acceptor_open(s->acceptor));
	audit_json_end(&j);
	ledger_audit(s->ledger, e);
	mem_free(e);
}

void server_on_stop(uv_signal_t *sig, int number)
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
	s->drain_began_ms = server_mono_ms();
	audit_stop(s, number);
	web_child_stop(s->web);
	s->web = NULL;
	control_stop(s->control);
	s->control = NULL;
	acceptor_drain(s->acceptor, false);
	uv_timer_start(&s->drain, on_drain_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

/* ---- the end ----------------------------------------------------------- */

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
void server_take_apart(struct server *s)
{
	struct scheduler *scheduler = server_swap_scheduler(s, NULL);

	web_child_stop(s->web);
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
	if (s->handshakes != NULL)
		handshakes_flush(s->handshakes, true);
	reload_free(s->reload);
	sampler_free(s->sampler);
	admission_free(s->admission);
	destinations_close(s->destinations, s->config->n_destinations);
	handshakes_free(s->handshakes);
	shaping_end(&s->shaping);
	commitment_free(s->commitment);
	ledger_close(s->ledger);
	/* the last rows are there now */
	repositories_stop(s->repositories, s->hurry ? 0 : REPOSITORY_GRACE_MS);
	repository_opener_free(s->opener);
	seal_signer_close(s->signer);
	if (s->records_lock >= 0)
		close(s->records_lock);
	capability_free(s->capabilities);
	spool_close(s->spool);
	link_receiver_free(s->links);
}
