/* link_sender.c - the life of a link's sender: tasks in, the end, timers. */
#include "proxy/link/link_sender.h"

#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

uint64_t link_sender_now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* ---- working ------------------------------------------------------------ */

static bool is_asking(const struct link_sender *s)
{
	return s->n_open > 0 || s->survey.asked > 0;
}

void link_sender_pump(struct link_sender *s)
{
	bool more = true;

	link_chunk_settle(s);
	while (s->up && more && !s->closing) {
		link_offer_next(s);
		link_chunk_fill(s);
		more = link_chunk_send(s);
	}
	if (!s->up)
		return;
	link_ahead_next(s);
	link_ask_next(s);
	link_session_asking(s->session, is_asking(s));
}

static void on_soon(uv_prepare_t *p)
{
	struct link_sender *s = CONTAINER_OF(p, struct link_sender, soon);

	(void)uv_prepare_stop(p);
	link_sender_pump(s);
}

void link_sender_pump_soon(struct link_sender *s)
{
	if (s->made && !s->closing)
		(void)uv_prepare_start(&s->soon, on_soon);
}

static void on_pace(uv_timer_t *t)
{
	link_sender_pump(CONTAINER_OF(t, struct link_sender, pace));
}

void link_sender_pace_in(struct link_sender *s, uint64_t ns)
{
	uint64_t ms = (ns + 999999) / 1000000;

	if (uv_is_active((uv_handle_t *)&s->pace) &&
	    uv_timer_get_due_in(&s->pace) <= ms)
		return;
	uv_update_time(s->pace.loop);
	(void)uv_timer_start(&s->pace, on_pace, ms, 0);
}

static bool is_busy(const struct link_sender *s)
{
	return s->up || !list_empty(&s->settling) || !list_empty(&s->unwritten);
}

static void on_tick(uv_timer_t *t)
{
	struct link_sender *s = CONTAINER_OF(t, struct link_sender, tick);

	link_report_flush(s);
	link_ask_settle(s);
	link_line_ask_lost(s);
	link_line_tick(s, clock_mono_ns() / 1000000);
	link_sender_pump(s);
	if (!s->closing)
		(void)uv_timer_start(t, on_tick,
				     is_busy(s) ? TX_TICK_MS : TX_LOOK_MS, 0);
}

/* ---- the end ------------------------------------------------------------- */

static void on_main_closed(struct msg *m)
{
	struct link_sender *s = CONTAINER_OF(m, struct link_sender, close_msg);
	void (*closed)(void *arg) = s->closed;
	void *arg = s->closed_arg;

	(void)pthread_mutex_destroy(&s->lock);
	mem_free(s);
	closed(arg);
}

static void free_list(struct list *l)
{
	while (!list_empty(l))
		link_tx_free(CONTAINER_OF(l->next, struct link_tx, node));
}

/* Every handle is closed, nothing comes back any more. */
static void finished(struct link_sender *s)
{
	struct list *lists[] = {&s->quiet, &s->arrived, &s->asked,
				&s->settling};

	link_report_flush(s);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		free_list(lists[i]);
	while (!list_empty(&s->unwritten))
		mem_free(CONTAINER_OF(list_pop_front(&s->unwritten),
				      struct tx_outcome, node));
	for (unsigned i = 0; i < TX_SLOTS; i++) {
		if (s->slots[i].data != NULL)
			mem_wipe(s->slots[i].data, CHUNK_LEN);
		mem_free(s->slots[i].data);
	}
	link_accepts_free(s);
	idmap_free(&s->txs);
	s->close_msg.run = on_main_closed;
	(void)mailbox_post(s->env.main, &s->close_msg);
}

static void on_soon_closed(uv_handle_t *h)
{
	finished(CONTAINER_OF((uv_prepare_t *)h, struct link_sender, soon));
}

static void on_pace_closed(uv_handle_t *h)
{
	struct link_sender *s =
	    CONTAINER_OF((uv_timer_t *)h, struct link_sender, pace);

	uv_close((uv_handle_t *)&s->soon, on_soon_closed);
}

static void on_tick_closed(uv_handle_t *h)
{
	struct link_sender *s =
	    CONTAINER_OF((uv_timer_t *)h, struct link_sender, tick);

	uv_close((uv_handle_t *)&s->pace, on_pace_closed);
}

void link_sender_settled(struct link_sender *s)
{
	if (!s->closing || s->session != NULL || s->in_flight > 0)
		return;
	if (!s->made)
		finished(s);
	else if (!uv_is_closing((uv_handle_t *)&s->tick))
		uv_close((uv_handle_t *)&s->tick, on_tick_closed);
}

static void give_all_back(struct list *l)
{
	struct verdict v = outcome_of_failure(FAIL_STOPPED);

	LIST_EACH(n, tmp, l)
	{
		struct link_tx *tx = CONTAINER_OF(n, struct link_tx, node);

		if (tx->work == NULL)
			continue;
		link_report_task(tx, TASK_RETURNED, &v, NULL);
		link_tx_free(tx);
	}
}

static void on_close(struct msg *m)
{
	struct link_sender *s = CONTAINER_OF(m, struct link_sender, close_msg);

	s->closing = true;
	give_all_back(&s->waiting[0]);
	give_all_back(&s->waiting[1]);
	give_all_back(&s->sending[0]);
	give_all_back(&s->sending[1]);
	give_all_back(&s->quiet);
	link_line_stop(s);
	link_sender_settled(s);
}

/* ---- messages from the main loop ------------------------------------------
 */

static void make(struct link_sender *s)
{
	uv_loop_t *loop = worker_loop(s->env.worker);

	if (s->made || s->closing)
		return;
	(void)uv_timer_init(loop, &s->tick);
	(void)uv_timer_init(loop, &s->pace);
	(void)uv_prepare_init(loop, &s->soon);
	s->made = true;
	s->lost = spool_outcomes(s->env.spool).lost;
	on_tick(&s->tick);
}

static void on_start(struct msg *m)
{
	struct link_sender *s = CONTAINER_OF(m, struct link_sender, start_msg);

	make(s);
}

static void on_give(struct msg *m)
{
	struct task *t = CONTAINER_OF(m, struct task, msg);
	struct link_sender *s = t->owner;

	link_tx_give(s, t);
	link_line_want(s);
	if (!s->up && s->session != NULL)
		link_session_hurry(s->session);
	link_sender_pump_soon(s);
}

struct withdrawal {
	struct msg msg;
	struct link_sender *s;
	struct transfer_id id;
	uint8_t why;
};

static void on_withdraw(struct msg *m)
{
	struct withdrawal *w = CONTAINER_OF(m, struct withdrawal, msg);
	struct link_tx *tx = link_tx_find(w->s, &w->id);

	if (tx == NULL && !w->s->closing) /* perhaps half of it is there */
		tx = link_tx_new(w->s, &w->id, LINK_TX_WAITING);
	if (tx != NULL) {
		tx->why = w->why;
		link_tx_event(tx, LINK_TX_EV_WITHDRAW, NULL);
	}
	link_sender_pump_soon(w->s);
	mem_free(w);
}

/* ---- for the main loop ----------------------------------------------------
 */

enum err link_sender_new(const struct link_sender_env *env,
			 struct link_sender **out)
{
	struct link_sender *s = mem_zalloc(sizeof(*s));
	struct link_window_config wc = {
	    .ceiling = env->destination->config->link.window,
	    .urgent = env->destination->config->link.window / 8};
	struct list *lists[] = {&s->waiting[0], &s->waiting[1], &s->sending[0],
				&s->sending[1], &s->quiet,      &s->arrived,
				&s->asked,      &s->settling,   &s->questions,
				&s->unwritten,  &s->ahead,      &s->accepts};

	if (s == NULL)
		return ERR_NOMEM;
	s->env = *env;
	s->config = env->destination->config;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_init(lists[i]);
	for (unsigned i = 0; i < TX_SLOTS; i++)
		s->slots[i].read.s = s;
	for (unsigned i = 0; i < TX_METAS; i++)
		s->metas[i].s = s;
	link_window_init(&s->window, &wc);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->start_msg.run = on_start;
	if (!worker_post(env->worker, &s->start_msg)) {
		(void)pthread_mutex_destroy(&s->lock);
		mem_free(s);
		return ERR_NOMEM;
	}
	*out = s;
	return ERR_OK;
}

static void give(void *lane, struct task *t)
{
	struct link_sender *s = lane;

	t->owner = s;
	t->msg.run = on_give;
	t->given_ns = clock_mono_ns();
	t->failed_index = 0;
	t->ask_at_ns = 0;
	t->places_stale = false;
	if (!worker_post(s->env.worker, &t->msg)) { /* it is stopping */
		t->end = TASK_RETURNED;
		t->verdict = outcome_of_failure(FAIL_STOPPED);
		t->msg.run = t->done;
		(void)mailbox_post(s->env.main, &t->msg);
	}
}

static void close_lane(void *lane, void (*closed)(void *arg), void *arg)
{
	struct link_sender *s = lane;

	s->closed = closed;
	s->closed_arg = arg;
	s->close_msg.run = on_close;
	if (!worker_post(s->env.worker, &s->close_msg)) {
		s->close_msg.run = on_main_closed;
		(void)mailbox_post(s->env.main, &s->close_msg);
	}
}

static bool is_open(const void *lane)
{
	const struct link_sender *s = lane;

	return atomic_load(&s->open);
}

const struct lane_ops link_sender_ops = {.give = give,
					 .close = close_lane,
					 .is_open = is_open,
					 .tell = link_ahead_tell};

void link_sender_withdraw(struct link_sender *s, const struct transfer_id *id,
			  enum link_withdraw why)
{
	struct withdrawal *w = mem_zalloc(sizeof(*w));

	if (w == NULL)
		return; /* the far end keeps it for a day */
	w->s = s;
	w->id = *id;
	w->why = (uint8_t)why;
	w->msg.run = on_withdraw;
	if (!worker_post(s->env.worker, &w->msg))
		mem_free(w);
}

void link_sender_status(struct link_sender *s, struct link_sender_status *out)
{
	(void)pthread_mutex_lock(&s->lock);
	*out = s->shown;
	(void)pthread_mutex_unlock(&s->lock);
}
