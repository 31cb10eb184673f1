/* scheduler_link.c - a destination that is a link: its one lane, and what is
 * heard of instances that have left the window.
 *
 * What has arrived in the far spool is in the ledger only. Its outcome is
 * written by the lane; what is left to do here is to count, to show, and to let
 * the queue find again what the far end has lost. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"
#include "store/ledger_view.h"

enum {
	URGENT_MORE = 64,         /* urgent ones beyond the lane's depth */
	BYTES_OF_WINDOW = 4,      /* given to the lane, in windows */
	OLD_HINTS_MS = 30 * 1000, /* for the ledger to hear of a release */
};

bool link_is(const struct dest *d)
{
	return d->config->protocol == CONFIG_LINK;
}

unsigned link_depth(const struct dest *d, const struct item *it)
{
	const struct lane *l = &d->lanes[0];
	bool urgent = task_is_urgent(&it->li);
	uint64_t most = BYTES_OF_WINDOW * d->config->link.window;

	if (!urgent && l->n > 0 && l->bytes >= most)
		return 0;
	return d->config->link.transfers + (urgent ? URGENT_MORE : 0);
}

/* ---- the link ------------------------------------------------------------ */

static void on_open(struct dest *d)
{
	if (d->trying)
		log_event(LOG_INFO, "destination-well", "destination=%s",
			  d->config->name);
	d->open_failures = 0;
	d->trying = false;
	d->not_before_ms = 0;
	if (d->success_ms < d->error_ms)
		d->success_ms = clock_wall_ms();
	run_dest(d);
}

static void on_down(struct dest *d, const struct link_news *n)
{
	d->failures++;
	result_error(d, &n->verdict, n->text);
	log_event(LOG_WARN, "destination-unreachable",
		  "destination=%s outcome=%s text=\"%s\"", d->config->name,
		  n->verdict.code, d->error);
}

/* ---- instances ------------------------------------------------------------
 */

static void on_delivered(struct dest *d, const struct link_news *n)
{
	char id[TRANSFER_TEXT_LEN];

	d->delivered++;
	d->delivered_bytes += n->length;
	d->success_ms = clock_wall_ms();
	log_event(n->flagged ? LOG_INFO : LOG_DEBUG,
		  n->flagged ? "delivered-flagged" : "delivered",
		  "destination=%s transfer=%s status=%04X text=\"said by the "
		  "far end\"",
		  d->config->name, transfer_id_text(&n->id, id), n->status);
}

struct found {
	struct dest *d;
	uint64_t delivery; /* 0: none */
	enum delivery_state state;
	uint32_t attempts;
};

static bool on_row(void *arg, const struct view_delivery *v)
{
	struct found *f = arg;

	if (strcmp(v->destination, f->d->config->name) != 0)
		return true;
	f->delivery = v->delivery;
	f->state = v->state;
	f->attempts = v->attempts;
	return false;
}

/* What the lane does not remember, the ledger does. */
static struct found look_up(struct dest *d, const struct transfer_id *id)
{
	struct found f = {.d = d};
	char text[TRANSFER_TEXT_LEN], why[LEDGER_WHY_LEN];
	struct ledger_view *view;

	if (ledger_view_open(d->s->opt.config->records.path, &view, why) !=
	    ERR_OK)
		return f;
	if (ledger_view_find(view, transfer_id_text(id, text), on_row, &f) !=
	    ERR_OK)
		f.delivery = 0;
	ledger_view_close(view);
	return f;
}

static void on_undelivered(struct dest *d, const struct link_news *n)
{
	bool lost = n->stuck == LINK_STUCK_QUARANTINED ||
		    n->stuck == LINK_STUCK_DISCARDED;
	struct ledger_attempt a = {.delivery = n->delivery,
				   .attempts = n->attempts,
				   .remote_status =
				       n->status != 0 ? n->status : -1};
	char id[TRANSFER_TEXT_LEN];
	struct found f;

	if (a.delivery == 0) {
		f = look_up(d, &n->id);
		a.delivery = f.delivery;
		a.attempts = f.attempts;
	}
	(void)snprintf(a.error, sizeof(a.error), "%s: %.180s",
		       link_stuck_text(n->stuck), n->text);
	log_event(lost ? LOG_ERROR : LOG_WARN,
		  lost ? "far-end-gave-up" : "far-end-waits",
		  "destination=%s transfer=%s status=%04X text=\"%s\"",
		  d->config->name, transfer_id_text(&n->id, id), n->status,
		  a.error);
	d->error_ms = clock_wall_ms();
	(void)snprintf(d->error, sizeof(d->error), "%s", a.error);
	if (a.delivery != 0)
		ledger_attempt(d->s->opt.ledger, &a);
}

static void write_released(struct dest *d, const struct transfer_id *id)
{
	struct outcome o = {
	    .id = *id, .kind = OUTCOME_RELEASED, .at_ms = clock_wall_ms()};

	(void)snprintf(o.destination, sizeof(o.destination), "%s",
		       d->config->name);
	sched_outcome(d, &o);
}

/* The far end has it no more: it is in the queue again. */
static void on_released(struct dest *d, const struct link_news *n)
{
	uint64_t delivery = n->delivery;
	char id[TRANSFER_TEXT_LEN];
	struct found f;

	if (delivery == 0) {
		f = look_up(d, &n->id);
		if (f.delivery == 0 || f.state != DELIVERY_ARRIVED)
			return;
		delivery = f.delivery;
		write_released(d, &n->id);
	}
	log_event(LOG_WARN, "transfer-released", "destination=%s transfer=%s",
		  d->config->name, transfer_id_text(&n->id, id));
	window_forget_done(d, delivery);
	d->old_hints_until_ms = sched_now() + OLD_HINTS_MS;
	fetch_rescan(d, RESCAN_MS);
	run_dest(d);
}

static void on_news(void *arg, const struct link_news *n)
{
	struct dest *d = arg;

	if (d->stopped)
		return;
	switch (n->kind) {
	case LINK_NEWS_OPEN:
		on_open(d);
		break;
	case LINK_NEWS_DOWN:
		on_down(d, n);
		break;
	case LINK_NEWS_DELIVERED:
		on_delivered(d, n);
		break;
	case LINK_NEWS_UNDELIVERED:
		on_undelivered(d, n);
		break;
	case LINK_NEWS_RELEASED:
		on_released(d, n);
		break;
	}
}

/* ---- the lane -------------------------------------------------------------
 */

enum err link_lane(struct lane *l, struct worker *worker)
{
	struct dest *d = l->dest;
	struct link_sender_env env = {.destination = d->destination,
				      .worker = worker,
				      .main = d->s->opt.mailbox,
				      .reader = d->s->reader,
				      .spool = d->s->opt.spool,
				      .ledger = d->s->opt.ledger,
				      .site = d->s->opt.config,
				      .news = on_news,
				      .arg = d};
	struct link_sender *s = NULL;
	enum err e = link_sender_new(&env, &s);

	l->ops = &link_sender_ops;
	l->impl = e == ERR_OK ? s : NULL;
	return e;
}

void link_withdraw(const struct dest *d, const struct transfer_id *id,
		   enum link_withdraw why)
{
	if (link_is(d) && d->lanes[0].impl != NULL)
		link_sender_withdraw(d->lanes[0].impl, id, why);
}

void link_status(const struct dest *d, struct destination_status *out)
{
	out->is_link = link_is(d) && d->lanes[0].impl != NULL;
	if (!out->is_link)
		return;
	link_sender_status(d->lanes[0].impl, &out->link);
	out->associations = out->link.connections;
}
