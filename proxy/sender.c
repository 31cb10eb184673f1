/* sender.c - the life of a sender: tasks in and out, connecting, the end. */
#include "proxy/sender.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

/* ---- tasks ------------------------------------------------------------- */

struct task *sender_first(struct sender *s)
{
	return list_empty(&s->queue)
		   ? NULL
		   : CONTAINER_OF(s->queue.next, struct task, node);
}

void sender_finish(struct sender *s, struct task *t, enum task_end end,
		   const struct verdict *v, const char *detail)
{
	list_remove(&t->node);
	feed_drop(&s->feed, t);
	t->end = end;
	t->verdict = *v;
	(void)snprintf(t->detail, sizeof(t->detail), "%s",
		       detail != NULL ? detail : "");
	t->msg.run = t->done;
	/* The main mailbox outlives every sender. */
	(void)mailbox_post(s->env.main, &t->msg);
}

void sender_fail(struct sender *s, const struct verdict *v, const char *detail,
		 bool opened)
{
	struct task *t = sender_outstanding(s);

	s->phase = PHASE_NONE;
	if (t != NULL) {
		s->failures++;
		sender_finish(s, t, TASK_ANSWERED, v, detail);
	}
	while ((t = sender_first(s)) != NULL)
		sender_finish(s, t, opened ? TASK_RETURNED : TASK_NOT_OPENED, v,
			      detail);
}

/* ---- the timer --------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
	sender_on_timer(CONTAINER_OF(timer, struct sender, timer));
}

void sender_timer(struct sender *s, uint64_t ms)
{
	(void)uv_timer_start(&s->timer, on_timer, ms, 0);
}

/* ---- connecting -------------------------------------------------------- */

static const char *server_name(const struct sender *s)
{
	const struct config_tls *tls = &s->config->tls;

	return tls->server_name[0] != '\0' ? tls->server_name : NULL;
}

void sender_open(struct sender *s)
{
	struct task *t = sender_first(s);
	struct stream_options o = {.tls = s->env.destination->tls,
				   .server_name = server_name(s),
				   .connect_ms = s->config->timeouts.connect,
				   .handshake_ms = s->config->timeouts.connect,
				   .finish_ms = 1000,
				   .low_water = SENDER_QUEUE_LOW};
	char endpoint[DESTINATION_ENDPOINT_LEN];
	struct verdict v;
	enum err e;

	if (t == NULL || s->stream != NULL)
		return;
	memcpy(s->calling_ae, t->calling_ae, sizeof(s->calling_ae));
	memcpy(s->called_ae, t->called_ae, sizeof(s->called_ae));
	if (s->attempt == 0)
		s->round = (struct destination_round){.insist = true};
	s->endpoint = destination_pick(s->env.destination, &s->round);
	destination_endpoint(s->config, s->endpoint, endpoint);
	s->ul = UL_STA1;
	e = stream_connect(s->env.worker, endpoint, &o, &sender_events, s,
			   &s->stream);
	if (e != ERR_OK) {
		s->stream = NULL;
		v = outcome_of_failure(e == ERR_NOMEM ? FAIL_NO_MEMORY
						      : FAIL_RESOLVE);
		sender_fail(s, &v, endpoint, false);
		return;
	}
	worker_load_add(s->env.worker, 1);
	sender_event(s, UL_EVT1);
	feed_fill(&s->feed); /* the first chunk meanwhile */
}

/* ---- the end ----------------------------------------------------------- */

static void on_main_closed(struct msg *m)
{
	struct sender *s = CONTAINER_OF(m, struct sender, close_msg);
	void (*closed)(void *arg) = s->closed;
	void *arg = s->closed_arg;

	mem_free(s);
	closed(arg);
}

static void finished(struct sender *s)
{
	buf_free(&s->hold);
	buf_free(&s->command);
	feed_trim(&s->feed);
	s->close_msg.run = on_main_closed;
	(void)mailbox_post(s->env.main, &s->close_msg);
}

static void on_pace_closed(uv_handle_t *h)
{
	finished(CONTAINER_OF((uv_timer_t *)h, struct sender, pace));
}

static void on_timer_closed(uv_handle_t *h)
{
	struct sender *s = CONTAINER_OF((uv_timer_t *)h, struct sender, timer);

	uv_close((uv_handle_t *)&s->pace, on_pace_closed);
}

/* Goes on when nothing is in flight any more. */
static void try_end(struct sender *s)
{
	if (!s->closing || s->stream != NULL || !feed_quiet(&s->feed))
		return;
	if (!s->timer_made)
		finished(s);
	else if (!uv_is_closing((uv_handle_t *)&s->timer))
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void sender_after_close(struct sender *s)
{
	worker_load_add(s->env.worker, -1);
	sender_forget_asked(s);
	(void)uv_timer_stop(&s->timer);
	sender_pace_stop(s);
	if (s->closing) {
		try_end(s);
		return;
	}
	sender_open(s); /* if something still waits */
	if (s->stream == NULL)
		feed_trim(&s->feed);
}

static void on_feed(void *arg)
{
	struct sender *s = arg;

	if (s->closing)
		try_end(s);
	else if (s->stream != NULL && s->ul == UL_STA6)
		sender_pump(s);
}

/* ---- messages from the main loop --------------------------------------- */

static void make_timer(struct sender *s)
{
	if (s->timer_made)
		return;
	(void)uv_timer_init(worker_loop(s->env.worker), &s->timer);
	(void)uv_timer_init(worker_loop(s->env.worker), &s->pace);
	s->timer_made = true;
}

static void on_give(struct msg *m)
{
	struct task *t = CONTAINER_OF(m, struct task, msg);
	struct sender *s = t->owner;

	list_push_back(&s->queue, &t->node);
	make_timer(s);
	if (s->stream == NULL) {
		sender_open(s);
		return;
	}
	feed_fill(&s->feed);
	if (s->ul == UL_STA6 && s->phase == PHASE_NONE)
		sender_pump(s);
}

static void on_close(struct msg *m)
{
	struct sender *s = CONTAINER_OF(m, struct sender, close_msg);
	struct verdict v = outcome_of_failure(FAIL_STOPPED);
	bool outstanding = sender_outstanding(s) != NULL;

	s->closing = true;
	sender_fail(s, &v, NULL, true);
	if (s->stream != NULL && s->ul == UL_STA6)
		sender_event(s, outstanding ? UL_EVT15 : UL_EVT11);
	else if (s->stream != NULL && s->ul != UL_STA1 && s->ul != UL_STA7 &&
		 s->ul != UL_STA13)
		stream_close(s->stream, ERR_CANCELED);
	if (s->stream != NULL && s->timer_made)
		sender_timer(s, 2000); /* then it is dropped */
	try_end(s);
}

/* ---- for the main loop ------------------------------------------------- */

enum err sender_new(const struct sender_env *env, struct sender **out)
{
	struct sender *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->env = *env;
	s->config = env->destination->config;
	list_init(&s->queue);
	feed_init(&s->feed, env->worker, env->reader, env->spool, env->ledger,
		  &s->queue, on_feed, s);
	buf_init(&s->hold, PDU_ASSOCIATE_MAX);
	buf_init(&s->command, COMMAND_MAX);
	*out = s;
	return ERR_OK;
}

void sender_give(struct sender *s, struct task *t)
{
	t->owner = s;
	t->msg.run = on_give;
	t->given_ns = clock_mono_ns();
	t->next = 0;
	t->failed_index = 0;
	t->places_stale = false;
	t->ask_at_ns = 0;
	if (!worker_post(s->env.worker, &t->msg)) { /* it is stopping */
		t->end = TASK_RETURNED;
		t->verdict = outcome_of_failure(FAIL_STOPPED);
		t->msg.run = t->done;
		(void)mailbox_post(s->env.main, &t->msg);
	}
}

void sender_close(struct sender *s, void (*closed)(void *arg), void *arg)
{
	s->closed = closed;
	s->closed_arg = arg;
	s->close_msg.run = on_close;
	if (!worker_post(s->env.worker, &s->close_msg)) {
		s->close_msg.run = on_main_closed;
		(void)mailbox_post(s->env.main, &s->close_msg);
	}
}

bool sender_is_open(const struct sender *s)
{
	return atomic_load(&s->open);
}
