/* link_sender_transfer.c - the transfers, and link_tx_step() acted out. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

/* Ids are random and ours: half of one is as good a key as all of it. */
static uint64_t key_of(const struct transfer_id *id)
{
	uint64_t k;

	memcpy(&k, id->b, sizeof(k));
	return k;
}

struct link_tx *link_tx_find(struct link_sender *s,
			     const struct transfer_id *id)
{
	struct link_tx *tx = idmap_get(&s->txs, key_of(id));

	return tx != NULL && transfer_id_equal(&tx->id, id) ? tx : NULL;
}

struct link_tx *link_tx_new(struct link_sender *s, const struct transfer_id *id,
			    enum link_tx_state state)
{
	struct link_tx *tx = mem_zalloc(sizeof(*tx));

	if (tx == NULL)
		return NULL;
	list_init(&tx->node);
	tx->s = s;
	tx->id = *id;
	tx->state = state;
	if (idmap_get(&s->txs, key_of(id)) != NULL ||
	    idmap_put(&s->txs, key_of(id), tx) != ERR_OK) {
		mem_free(tx);
		return NULL;
	}
	return tx;
}

static void leave_list(struct link_tx *tx)
{
	if (tx->state == LINK_TX_ARRIVED && !list_empty(&tx->node))
		tx->s->n_arrived--;
	list_remove(&tx->node);
}

void link_tx_free(struct link_tx *tx)
{
	assert(tx->work == NULL);
	list_remove(&tx->node);
	idmap_remove(&tx->s->txs, key_of(&tx->id));
	mem_free(tx);
}

/* ---- work -------------------------------------------------------------- */

static enum err make_maps(struct tx_work *w, uint32_t chunks)
{
	size_t n = chunks / 8 + 1;

	if (chunks < 8) {
		w->have = &w->small[0];
		w->sent = &w->small[1];
		return ERR_OK;
	}
	w->have = mem_zalloc(2 * n);
	if (w->have == NULL)
		return ERR_NOMEM;
	w->sent = w->have + n;
	return ERR_OK;
}

static struct tx_work *make_work(struct task *t)
{
	struct tx_work *w = mem_zalloc(sizeof(*w));

	if (w == NULL)
		return NULL;
	list_init(&w->flights);
	list_init(&w->bads);
	list_init(&w->ahead);
	if (make_maps(w, t->item.chunks) != ERR_OK) {
		mem_free(w);
		return NULL;
	}
	w->task = t;
	return w;
}

static void not_open(struct link_tx *tx)
{
	if (tx->work != NULL && tx->work->open) {
		tx->work->open = false;
		tx->s->n_open--;
	}
}

void link_tx_end_work(struct link_tx *tx)
{
	struct tx_work *w = tx->work;
	struct list *n;

	link_chunk_forget(tx);
	link_read_forget(tx);
	not_open(tx);
	list_remove(&w->ahead);
	while ((n = list_pop_front(&w->bads)) != NULL)
		mem_free(CONTAINER_OF(n, struct tx_bad, node));
	if (w->have != &w->small[0])
		mem_free(w->have);
	if (w->meta != NULL) {
		mem_wipe(w->meta, w->meta_len);
		mem_free(w->meta);
	}
	mem_free(w);
	tx->work = NULL;
	tx->s->n_tasks--;
}

/* ---- lists ------------------------------------------------------------- */

/* The oldest of those that only wait is forgotten: the ledger knows it. */
static void bound_arrived(struct link_sender *s)
{
	struct link_tx *tx;

	if (s->n_arrived <= TX_ARRIVED_MAX)
		return;
	tx = CONTAINER_OF(s->arrived.next, struct link_tx, node);
	s->n_arrived--;
	link_tx_free(tx);
}

static bool has_unsent(const struct link_tx *tx)
{
	return tx->work->n_sent < tx->chunks && !tx->work->more;
}

static struct list *list_for(struct link_tx *tx)
{
	struct link_sender *s = tx->s;

	switch (tx->state) {
	case LINK_TX_NEW:
	case LINK_TX_WAITING:
		return &s->waiting[tx->urgent];
	case LINK_TX_SENDING:
		return has_unsent(tx) ? &s->sending[tx->urgent] : &s->quiet;
	case LINK_TX_OFFERED:
	case LINK_TX_FINISHING:
	case LINK_TX_REFUSED:
	case LINK_TX_WITHDRAWING:
	case LINK_TX_DONE:
		return &s->quiet;
	case LINK_TX_ARRIVED:
		return &s->arrived;
	case LINK_TX_ASKED:
		return &s->asked;
	case LINK_TX_SETTLING:
		return &s->settling;
	case LINK_TX_N_STATES:
		break;
	}
	return &s->quiet;
}

void link_tx_place(struct link_tx *tx)
{
	list_remove(&tx->node);
	list_push_back(list_for(tx), &tx->node);
}

/* ---- tasks ------------------------------------------------------------- */

static void know(struct link_tx *tx, const struct ledger_item *li)
{
	tx->known = true;
	tx->delivery = li->delivery;
	tx->length = li->length;
	tx->chunks = li->chunks;
	tx->attempts = li->attempts;
	memcpy(tx->root, li->root, sizeof(tx->root));
}

static void refuse_task(struct link_sender *s, struct task *t, enum err e)
{
	t->end = e == ERR_NOMEM ? TASK_NOT_OPENED : TASK_RETURNED;
	t->verdict =
	    outcome_of_failure(e == ERR_NOMEM ? FAIL_NO_MEMORY : FAIL_STOPPED);
	t->msg.run = t->done;
	(void)mailbox_post(s->env.main, &t->msg);
}

/* It was sent before, and is to be sent again: what was known is over. */
static void revive(struct link_tx *tx)
{
	leave_list(tx);
	if (tx->state == LINK_TX_ASKED)
		link_ask_answered(tx->s);
	tx->state = LINK_TX_WAITING;
	tx->afresh = 0;
}

void link_tx_give(struct link_sender *s, struct task *t)
{
	struct link_tx *tx = link_tx_find(s, &t->item.transfer);
	bool fresh = tx == NULL;

	if (tx != NULL && (tx->work != NULL || tx->state == LINK_TX_SETTLING)) {
		refuse_task(s, t, ERR_BUSY);
		return;
	}
	if (fresh)
		tx = link_tx_new(s, &t->item.transfer, LINK_TX_WAITING);
	else
		revive(tx);
	if (tx != NULL)
		tx->work = make_work(t);
	if (tx == NULL || tx->work == NULL) {
		if (tx != NULL)
			link_tx_free(tx);
		refuse_task(s, t, ERR_NOMEM);
		return;
	}
	s->n_tasks++;
	know(tx, &t->item);
	tx->urgent = task_is_urgent(&t->item);
	tx->work->offered = !fresh;
	tx->work->tx = tx;
	if (t->early)
		link_ahead_give(tx);
	link_tx_place(tx);
}

/* ---- what is done ------------------------------------------------------ */

static const struct verdict no_verdict = {
    .code = "", .cause = "", .remedy = ""};

static void requeue(struct link_tx *tx, enum link_tx_event ev,
		    const struct link_frame *f)
{
	struct verdict v = link_verdict_of_refusal(LINK_REFUSED_BUSY);
	struct tx_work *w = tx->work;

	if (ev == LINK_TX_EV_RX_BAD)
		link_report_bad(tx, f, 0);
	if (w == NULL) {
		link_report_outcome(tx, OUTCOME_RELEASED);
		link_report_news(
		    tx->s, tx, (struct link_news){.kind = LINK_NEWS_RELEASED});
		list_remove(&tx->node);
		link_tx_free(tx);
		return;
	}
	link_chunk_forget(tx);
	not_open(tx);
	memset(w->sent, 0, tx->chunks / 8 + 1);
	memset(w->have, 0, tx->chunks / 8 + 1);
	w->n_sent = w->n_have = w->next = 0;
	w->more = false;
	if (ev != LINK_TX_EV_LOST && ++tx->afresh > TX_AFRESH_MAX) {
		link_report_task(tx, TASK_ANSWERED, &v,
				 "the far end does not keep what it is "
				 "offered");
		link_tx_free(tx);
		return;
	}
	list_push_front(list_for(tx), &tx->node); /* it was before others */
}

static void refused(struct link_tx *tx, const struct link_frame *f)
{
	uint16_t code = LINK_REFUSED_CONFLICT;
	char text[LEDGER_TEXT_LEN] = "its root there is another";
	struct verdict v;

	if (f->type == LINK_REFUSED) {
		code = f->why.code;
		link_text(f->why.text, text, sizeof(text));
	}
	v = link_verdict_of_refusal(code);
	link_report_refused(tx, f);
	if (tx->work == NULL) { /* of one that had arrived */
		link_tx_free(tx);
		return;
	}
	if (code == LINK_REFUSED_NOT_ACCEPTED)
		link_accepts_refused(tx->s, tx->work->task);
	if (f->type == LINK_REFUSED)
		tx->work->task->wait_ms = (uint64_t)f->why.retry_s * 1000;
	link_report_task(tx, TASK_ANSWERED, &v, text);
	link_tx_free(tx);
}

static void arrived(struct link_tx *tx)
{
	if (tx->work != NULL) {
		link_chunk_answered(tx, 0, UINT32_MAX, true);
		link_report_outcome(tx, OUTCOME_ARRIVED);
		link_report_task(tx, TASK_ARRIVED, &no_verdict, NULL);
		tx->s->now.arrived++;
	}
	tx->afresh = 0;
	link_tx_place(tx);
	tx->s->n_arrived++;
	bound_arrived(tx->s);
}

static void show(struct link_tx *tx, const struct link_frame *f)
{
	struct link_news news = {.kind = LINK_NEWS_UNDELIVERED,
				 .stuck = (uint8_t)f->why.code,
				 .status = f->why.status};

	arrived(tx);
	link_text(f->why.text, news.text, sizeof(news.text));
	link_report_news(tx->s, tx, news);
}

static void settle(struct link_tx *tx, const struct link_frame *f)
{
	struct link_news news = {.kind = LINK_NEWS_DELIVERED};

	tx->status = f->delivered.status;
	tx->flagged = f->delivered.outcome == LINK_OUT_FLAGGED;
	if (tx->work != NULL) {
		link_chunk_answered(tx, 0, UINT32_MAX, true);
		link_report_task(tx, TASK_ARRIVED, &no_verdict, NULL);
	}
	link_report_outcome(tx, tx->flagged ? OUTCOME_DELIVERED_FLAGGED
					    : OUTCOME_DELIVERED);
	news.status = tx->status;
	news.flagged = tx->flagged;
	link_report_news(tx->s, tx, news);
	tx->s->now.delivered++;
	link_tx_place(tx);
}

static void take_map(struct link_tx *tx, const struct link_frame *f)
{
	bool first = !tx->work->more;

	if (first)
		link_chunk_begin_map(tx);
	tx->work->more = (f->flags & LINK_F_MORE) != 0;
	for (uint32_t i = 0; i < f->runs.n; i++) {
		struct link_run r = link_run_at(f->runs, i);

		link_chunk_set_have(tx, r.first, r.count);
	}
	if (tx->work->more) {
		link_tx_place(tx);
		return;
	}
	link_chunk_end_map(tx);
	if (tx->work->n_have > 0 || tx->work->n_lost > 0)
		link_report_resumed(tx);
	link_tx_place(tx);
	link_tx_check_sent(tx);
}

static void acked(struct link_tx *tx, const struct link_frame *f)
{
	for (uint32_t i = 0; i < f->runs.n; i++) {
		struct link_run r = link_run_at(f->runs, i);

		link_chunk_answered(tx, r.first, r.count, true);
		link_chunk_set_have(tx, r.first, r.count);
	}
}

static void ask(struct link_tx *tx)
{
	link_tx_place(tx);
	link_ask_one(tx);
}

static void drop(struct link_tx *tx)
{
	if (tx->work != NULL)
		link_report_task(tx, TASK_WITHDRAWN, &no_verdict, NULL);
	link_tx_free(tx);
}

/* ---- the table --------------------------------------------------------- */

static void act(struct link_tx *tx, enum link_tx_action a,
		enum link_tx_event ev, const struct link_frame *f)
{
	struct link_sender *s = tx->s;
	struct transfer_id id = tx->id;

	switch (a) {
	case LINK_TX_DO_OFFER: /* whoever raised GO sends it */
	case LINK_TX_DO_FINISH:
		link_tx_place(tx);
		break;
	case LINK_TX_DO_TAKE_MAP:
		take_map(tx, f);
		break;
	case LINK_TX_DO_ACKED:
		acked(tx, f);
		break;
	case LINK_TX_DO_RESEND:
		link_bad_resend(tx, f);
		break;
	case LINK_TX_DO_ARRIVE:
		arrived(tx);
		break;
	case LINK_TX_DO_SHOW:
		show(tx, f);
		break;
	case LINK_TX_DO_ASK:
		ask(tx);
		break;
	case LINK_TX_DO_SETTLE:
		settle(tx, f);
		break;
	case LINK_TX_DO_NOTED:
		link_tx_free(tx);
		link_ask_noted(s, &id);
		break;
	case LINK_TX_DO_AGAIN_NOTED:
		link_ask_noted(s, &id);
		break;
	case LINK_TX_DO_REQUEUE:
		requeue(tx, ev, f);
		break;
	case LINK_TX_DO_REFUSE:
		refused(tx, f);
		break;
	case LINK_TX_DO_WITHDRAW:
		link_bad_withdrawn(tx);
		break;
	case LINK_TX_DO_QUARANTINE:
		link_bad_quarantine(tx, f);
		break;
	case LINK_TX_DO_TOO_LATE:
		if (tx->state == LINK_TX_ARRIVED)
			arrived(tx);
		else
			link_tx_place(tx);
		break;
	case LINK_TX_DO_DROP:
		drop(tx);
		break;
	case LINK_TX_DO_IGNORE:
	case LINK_TX_DO_NONE:
	case LINK_TX_N_ACTIONS:
		break;
	}
}

/* Out of the list of arrived ones, unless nothing is done at all. */
void link_tx_event(struct link_tx *tx, enum link_tx_event ev,
		   const struct link_frame *f)
{
	static const struct link_frame none;
	struct link_tx_step step = link_tx_step(tx->state, ev);

	if (step.action == LINK_TX_DO_NONE ||
	    (step.action == LINK_TX_DO_IGNORE && step.next == tx->state))
		return;
	if (tx->state == LINK_TX_ASKED && step.next != LINK_TX_ASKED)
		link_ask_answered(tx->s);
	if (step.action != LINK_TX_DO_ACKED) /* that keeps its place */
		leave_list(tx);
	tx->state = step.next;
	act(tx, step.action, ev, f != NULL ? f : &none);
}

void link_tx_check_sent(struct link_tx *tx)
{
	struct tx_work *w = tx->work;

	if (w != NULL && !w->more && w->n_sent == tx->chunks && w->slots == 0 &&
	    tx->state == LINK_TX_SENDING && !link_ahead_is(tx))
		link_tx_event(tx, LINK_TX_EV_ALL_SENT, NULL);
}

void link_tx_unreadable(struct link_tx *tx, enum err e)
{
	struct verdict v = outcome_of_failure(
	    e == ERR_CORRUPT ? FAIL_CORRUPT
			     : (e == ERR_NOMEM ? FAIL_NO_MEMORY : FAIL_READ));
	bool open = tx->work->open;

	if (open && e == ERR_CORRUPT)
		link_bad_withdraw(tx, LINK_WITHDRAW_QUARANTINED);
	link_report_task(tx, TASK_ANSWERED, &v, err_text(e));
	if (!open || e != ERR_CORRUPT) {
		link_tx_free(tx);
		return;
	}
	leave_list(tx);
	tx->state = LINK_TX_WITHDRAWING;
	link_tx_place(tx);
}
