/* scheduler_orders.c - what an operator does.
 *
 * An order reads the deliveries it speaks of from the ledger, a page a turn of
 * the loop, and writes an outcome for each one that it fits. The ledger tells
 * of released ones by a hint. */
#include <stdio.h>
#include <string.h>

#include "proxy/commitment.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"
#include "proxy/scheduler_keep.h"
#include "store/ledger_view.h"

enum {
	PAGE = 256,
	BUSY_WAIT_MS = 50,
	BUSY_WAITS = 100,         /* for one delivery, then it is passed over */
	OLD_HINTS_MS = 30 * 1000, /* for the ledger to hear of it */
};

enum order_kind {
	ORDER_RETRY,
	ORDER_HOLD,
	ORDER_RELEASE,
	ORDER_DISCARD,
	ORDER_REDIRECT,
};

/* States in which an order fits, and the outcome it writes. */
static const struct {
	bool fits[DELIVERY_N_STATES];
	enum outcome_kind outcome;
} rows[] = {
    [ORDER_RETRY] = {{[DELIVERY_QUEUED] = true,
		      [DELIVERY_HELD] = true,
		      [DELIVERY_QUARANTINED] = true,
		      [DELIVERY_ARRIVED] = true},
		     OUTCOME_RELEASED},
    [ORDER_HOLD] = {{[DELIVERY_QUEUED] = true}, OUTCOME_HELD},
    [ORDER_RELEASE] = {{[DELIVERY_HELD] = true}, OUTCOME_RELEASED},
    [ORDER_DISCARD] = {{[DELIVERY_QUEUED] = true,
			[DELIVERY_HELD] = true,
			[DELIVERY_QUARANTINED] = true,
			[DELIVERY_UNCOMMITTED] = true,
			[DELIVERY_ARRIVED] = true},
		       OUTCOME_DISCARDED},
    [ORDER_REDIRECT] = {{[DELIVERY_QUEUED] = true,
			 [DELIVERY_HELD] = true,
			 [DELIVERY_QUARANTINED] = true,
			 [DELIVERY_ARRIVED] = true},
			OUTCOME_REDIRECTED},
};

struct order {
	struct list node; /* in scheduler.orders */
	uv_timer_t timer;
	struct scheduler *s;
	enum order_kind kind;
	char destination[33]; /* "": every one of the transfer */
	char to[33];
	bool has_transfer;
	struct transfer_id transfer;
	struct ledger_view *view;
	unsigned state; /* whole destinations: the one being read */
	uint64_t after;
	size_t page; /* rows of this page */
	uint64_t reached, busy;
	bool whole;        /* the destination itself was changed */
	uint64_t late;     /* delivery the ledger is behind with; 0: none */
	unsigned patience; /* BUSY_WAITs left for it */
	bool again;        /* it is read again after one */
	scheduler_done_fn *done;
	void *arg;
};

/* ---- one delivery ------------------------------------------------------ */

static void write_outcome(struct order *o, struct dest *d,
			  const struct view_delivery *v)
{
	struct outcome out = {.id = v->transfer,
			      .kind = rows[o->kind].outcome,
			      .at_ms = clock_wall_ms()};

	(void)snprintf(out.destination, sizeof(out.destination), "%s",
		       v->destination);
	(void)snprintf(out.target, sizeof(out.target), "%s", o->to);
	sched_outcome(d, &out);
}

static void expect_old(struct dest *d)
{
	d->old_hints_until_ms = sched_now() + OLD_HINTS_MS;
	fetch_rescan(d, RESCAN_MS);
}

static void retry_queued(struct dest *d, struct item *it,
			 const struct view_delivery *v)
{
	struct ledger_attempt a = {.delivery = v->delivery,
				   .attempts = v->attempts,
				   .remote_status = v->remote_status};

	if (it != NULL && it->state == ITEM_WAITING) {
		it->failures = 0;
		window_ready(d, it);
	} else if (it == NULL) {
		(void)snprintf(a.error, sizeof(a.error), "%s", v->last_error);
		ledger_attempt(d->s->opt.ledger, &a);
		expect_old(d);
	}
	d->not_before_ms = 0;
}

/* Whether it must be let go to where it is on its way. */
static bool is_on_its_way(const struct order *o, const struct dest *d,
			  const struct item *it)
{
	if (it == NULL || it->state != ITEM_FLYING)
		return false;
	return !link_is(d) || o->kind == ORDER_RETRY;
}

/* What the far end of a link holds of it is of no use any more. */
static void withdraw(struct order *o, const struct dest *d,
		     const struct item *it, const struct view_delivery *v)
{
	if (o->kind == ORDER_DISCARD)
		link_withdraw(d, &v->transfer, LINK_WITHDRAW_DISCARDED);
	if (o->kind == ORDER_REDIRECT)
		link_withdraw(d, &v->transfer, LINK_WITHDRAW_REROUTED);
	if (o->kind == ORDER_HOLD && it != NULL && it->state == ITEM_FLYING)
		link_withdraw(d, &v->transfer, LINK_WITHDRAW_DISCARDED);
}

/* False: it is on its way. */
static bool apply(struct order *o, struct dest *d,
		  const struct view_delivery *v)
{
	struct item *it = window_find(d, v->delivery);
	struct dest *to = sched_dest(o->s, o->to);

	if (is_on_its_way(o, d, it))
		return false;
	if (o->kind == ORDER_RETRY && v->state == DELIVERY_QUEUED) {
		retry_queued(d, it, v);
		return true;
	}
	write_outcome(o, d, v);
	withdraw(o, d, it, v);
	if (it != NULL && it->state == ITEM_FLYING)
		it->withdrawn = true;
	else if (it != NULL)
		window_drop(d, it, true);
	if (rows[o->kind].outcome == OUTCOME_RELEASED) {
		window_forget_done(d, v->delivery);
		expect_old(d);
	}
	if (to != NULL)
		expect_old(to);
	return true;
}

/* A device's request that waits for the instances it names: it follows them,
 * and goes by itself only if a person says so of it alone. */
static bool follows_others(const struct order *o, const struct view_delivery *v)
{
	return !o->has_transfer && v->state == DELIVERY_HELD &&
	       v->command == N_ACTION_RQ &&
	       strcmp(v->listener, COMMITMENT_LISTENER) != 0;
}

/* The far end of a link has it and delivers it: only if a person names it. */
static bool is_there(const struct order *o, const struct view_delivery *v)
{
	return !o->has_transfer && v->state == DELIVERY_ARRIVED;
}

/* It ended just now, and the ledger does not know yet how: whether the order
 * fits is seen when it does. */
static bool wait_for_ledger(struct order *o, const struct view_delivery *v)
{
	if (o->late != v->delivery) {
		o->late = v->delivery;
		o->patience = BUSY_WAITS;
	}
	if (o->patience == 0)
		return false;
	o->patience--;
	return true;
}

/* False: to be read again in a moment. */
static bool consider(struct order *o, const struct view_delivery *v)
{
	struct dest *d = sched_dest(o->s, v->destination);

	if (d == NULL || is_there(o, v) || !rows[o->kind].fits[v->state] ||
	    follows_others(o, v))
		return true;
	if (v->state == DELIVERY_QUEUED && window_is_done(d, v->delivery))
		return !wait_for_ledger(o, v);
	if (apply(o, d, v))
		o->reached++;
	else
		o->busy++;
	return true;
}

/* ---- the end of an order ----------------------------------------------- */

static void on_order_closed(uv_handle_t *h)
{
	struct order *o = CONTAINER_OF((uv_timer_t *)h, struct order, timer);
	struct scheduler *s = o->s;

	mem_free(o);
	s->pending--;
	sched_settled(s);
}

static void end(struct order *o, enum err e)
{
	ledger_view_close(o->view);
	list_remove(&o->node);
	if (e == ERR_OK && o->reached == 0 && !o->whole)
		e = o->busy > 0 ? ERR_BUSY : ERR_NOTFOUND;
	for (size_t i = 0; i < o->s->n_dests; i++)
		run_dest(&o->s->dests[i]);
	o->done(o->arg, e, o->reached);
	uv_close((uv_handle_t *)&o->timer, on_order_closed);
}

void orders_cancel(struct scheduler *s)
{
	while (!list_empty(&s->orders))
		end(CONTAINER_OF(s->orders.next, struct order, node),
		    ERR_CANCELED);
}

/* ---- pages ------------------------------------------------------------- */

static bool on_row(void *arg, const struct view_delivery *v)
{
	struct order *o = arg;

	if (!consider(o, v)) {
		o->again = true;
		return false;
	}
	o->page++;
	o->after = v->delivery;
	return true;
}

static void on_transfer(uv_timer_t *t);

static bool on_found(void *arg, const struct view_delivery *v)
{
	struct order *o = arg;

	if (v->delivery <= o->after ||
	    (o->destination[0] != '\0' &&
	     strcmp(o->destination, v->destination) != 0))
		return true;
	if (!consider(o, v)) {
		o->again = true;
		return false;
	}
	o->after = v->delivery;
	return true;
}

static void one_transfer(struct order *o)
{
	char text[TRANSFER_TEXT_LEN];
	enum err e;

	o->again = false;
	e = ledger_view_find(o->view, transfer_id_text(&o->transfer, text),
			     on_found, o);
	if (o->again)
		(void)uv_timer_start(&o->timer, on_transfer, BUSY_WAIT_MS, 0);
	else
		end(o, e);
}

static void on_transfer(uv_timer_t *t)
{
	one_transfer(CONTAINER_OF(t, struct order, timer));
}

static void on_page(uv_timer_t *t)
{
	struct order *o = CONTAINER_OF(t, struct order, timer);
	struct view_filter f = {.destination = o->destination,
				.state = (enum delivery_state)o->state,
				.after = o->after,
				.limit = PAGE};
	struct dest *d = sched_dest(o->s, o->destination);
	enum err e;

	sched_flush_outcomes(d);
	if (!list_empty(&d->unposted)) {
		(void)uv_timer_start(&o->timer, on_page, BUSY_WAIT_MS, 0);
		return;
	}
	o->page = 0;
	o->again = false;
	e = ledger_view_deliveries(o->view, &f, on_row, o);
	if (e != ERR_OK) {
		end(o, e);
		return;
	}
	if (o->again) {
		(void)uv_timer_start(&o->timer, on_page, BUSY_WAIT_MS, 0);
		return;
	}
	if (o->page < PAGE) { /* on to the next state that fits */
		o->after = 0;
		do
			o->state++;
		while (o->state < DELIVERY_N_STATES &&
		       !rows[o->kind].fits[o->state]);
	}
	if (o->state >= DELIVERY_N_STATES)
		end(o, ERR_OK);
	else
		(void)uv_timer_start(&o->timer, on_page, 0, 0);
}

/* ---- beginning --------------------------------------------------------- */

/* Orders to a destination as a whole. */
static enum err change_whole(struct order *o, struct dest *d)
{
	bool hold = o->kind == ORDER_HOLD;
	enum err e;

	if (o->kind == ORDER_RETRY || o->kind == ORDER_RELEASE) {
		run_all_now(d);
		o->whole = true;
	}
	if (o->kind != ORDER_HOLD && o->kind != ORDER_RELEASE)
		return ERR_OK;
	if (d->held_by_operator == hold)
		return ERR_OK;
	e = keep_set_held(d->s->opt.config, d->config->name, hold);
	if (e == ERR_OK)
		d->held_by_operator = hold;
	o->whole = e == ERR_OK;
	return e;
}

static enum err check(struct scheduler *s, struct scheduler_scope what,
		      const char *to)
{
	if (what.destination == NULL && what.transfer == NULL)
		return ERR_INVAL;
	if (what.destination != NULL && sched_dest(s, what.destination) == NULL)
		return ERR_NOTFOUND;
	if (to == NULL)
		return ERR_OK;
	if (sched_dest(s, to) == NULL ||
	    (what.destination != NULL && strcmp(what.destination, to) == 0))
		return ERR_INVAL;
	return ERR_OK;
}

static enum err make(struct scheduler *s, enum order_kind kind,
		     struct scheduler_scope what, const char *to,
		     struct order **out)
{
	struct order *o = mem_zalloc(sizeof(*o));
	char why[LEDGER_WHY_LEN];
	enum err e;

	if (o == NULL)
		return ERR_NOMEM;
	o->s = s;
	o->kind = kind;
	if (what.destination != NULL)
		(void)snprintf(o->destination, sizeof(o->destination), "%s",
			       what.destination);
	if (to != NULL)
		(void)snprintf(o->to, sizeof(o->to), "%s", to);
	o->has_transfer = what.transfer != NULL;
	if (o->has_transfer)
		o->transfer = *what.transfer;
	e = ledger_view_open(s->opt.config->records.path, &o->view, why);
	if (e != ERR_OK) {
		mem_free(o);
		return e;
	}
	*out = o;
	return ERR_OK;
}

static void first_page(struct order *o)
{
	while (!rows[o->kind].fits[o->state])
		o->state++;
	(void)uv_timer_start(&o->timer, on_page, 0, 0);
}

static void order(struct scheduler *s, enum order_kind kind,
		  struct scheduler_scope what, const char *to,
		  scheduler_done_fn *done, void *arg)
{
	enum err e = s->stopping ? ERR_CANCELED : check(s, what, to);
	struct order *o = NULL;

	if (e == ERR_OK)
		e = make(s, kind, what, to, &o);
	if (e != ERR_OK) {
		done(arg, e, 0);
		return;
	}
	o->done = done;
	o->arg = arg;
	(void)uv_timer_init(s->opt.loop, &o->timer);
	list_push_back(&s->orders, &o->node);
	s->pending++;
	if (o->has_transfer) {
		one_transfer(o);
		return;
	}
	e = change_whole(o, sched_dest(s, o->destination));
	if (e != ERR_OK || kind == ORDER_HOLD)
		end(o, e);
	else
		first_page(o);
}

void scheduler_retry(struct scheduler *s, struct scheduler_scope what,
		     scheduler_done_fn *done, void *arg)
{
	order(s, ORDER_RETRY, what, NULL, done, arg);
}

void scheduler_hold(struct scheduler *s, struct scheduler_scope what,
		    scheduler_done_fn *done, void *arg)
{
	order(s, ORDER_HOLD, what, NULL, done, arg);
}

void scheduler_release(struct scheduler *s, struct scheduler_scope what,
		       scheduler_done_fn *done, void *arg)
{
	order(s, ORDER_RELEASE, what, NULL, done, arg);
}

void scheduler_discard(struct scheduler *s, struct scheduler_scope what,
		       scheduler_done_fn *done, void *arg)
{
	order(s, ORDER_DISCARD, what, NULL, done, arg);
}

void scheduler_redirect(struct scheduler *s, struct scheduler_scope what,
			const char *to, scheduler_done_fn *done, void *arg)
{
	order(s, ORDER_REDIRECT, what, to != NULL ? to : "", done, arg);
}
