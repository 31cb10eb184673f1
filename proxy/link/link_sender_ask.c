/* link_sender_ask.c - what has arrived: QUERY, page by page of the ledger; and
 * NOTED, once an outcome cannot be lost any more. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

enum { ASKED_LOW = 64 }; /* the next page is read from here on */

/* ---- NOTED -------------------------------------------------------------- */

void link_ask_say_noted(struct link_sender *s)
{
	uint8_t ids[LINK_IDS_MAX * LINK_ID_LEN];
	struct link_frame f = {.type = LINK_NOTED,
			       .ids = {.p = ids, .n = (uint32_t)s->n_noted}};
	int c = link_line_any(s);

	if (s->n_noted == 0)
		return;
	for (size_t i = 0; i < s->n_noted; i++)
		memcpy(ids + i * LINK_ID_LEN, s->noted[i].b, LINK_ID_LEN);
	s->n_noted = 0; /* without a link it is said again on the next one */
	if (c >= 0)
		(void)link_line_send(s, (unsigned)c, &f);
}

void link_ask_noted(struct link_sender *s, const struct transfer_id *id)
{
	s->noted[s->n_noted++] = *id;
	if (s->n_noted == LINK_IDS_MAX)
		link_ask_say_noted(s);
}

/* What was lost is written once more. */
static void write_again(struct link_sender *s)
{
	LIST_EACH(n, tmp, &s->settling)
	{
		struct link_tx *tx = CONTAINER_OF(n, struct link_tx, node);

		if (tx->number == 0)
			continue;
		tx->number = 0;
		link_report_outcome(tx, tx->flagged ? OUTCOME_DELIVERED_FLAGGED
						    : OUTCOME_DELIVERED);
	}
}

void link_ask_settle(struct link_sender *s)
{
	struct spool_outcomes o = spool_outcomes(s->env.spool);

	if (o.lost != s->lost) {
		s->lost = o.lost;
		write_again(s);
	}
	LIST_EACH(n, tmp, &s->settling)
	{
		struct link_tx *tx = CONTAINER_OF(n, struct link_tx, node);

		if (tx->number == 0 || tx->number > o.durable)
			break; /* they are in order */
		link_tx_event(tx, LINK_TX_EV_WRITTEN, NULL);
	}
	link_ask_say_noted(s);
}

/* ---- QUERY -------------------------------------------------------------- */

struct page {
	struct msg msg;
	struct link_sender *s;
	enum err e;
	struct ledger_cursor next;
	bool end;
	size_t n;
	struct ledger_item *items;
};

void link_ask_one(struct link_tx *tx)
{
	tx->s->survey.asked++;
	tx->asked = tx->s->survey.number;
	tx->s->query[tx->s->n_query++] = tx->id;
	if (tx->s->n_query == LINK_IDS_MAX)
		link_ask_say(tx->s);
}

void link_ask_say(struct link_sender *s)
{
	uint8_t ids[LINK_IDS_MAX * LINK_ID_LEN];
	struct link_frame f = {.type = LINK_QUERY,
			       .ids = {.p = ids, .n = (uint32_t)s->n_query}};
	int c = link_line_any(s);

	if (s->n_query == 0)
		return;
	for (size_t i = 0; i < s->n_query; i++)
		memcpy(ids + i * LINK_ID_LEN, s->query[i].b, LINK_ID_LEN);
	s->n_query = 0; /* without a link: asked again when one opens */
	if (c >= 0)
		(void)link_line_send(s, (unsigned)c, &f);
}

void link_ask_answered(struct link_sender *s)
{
	if (s->survey.asked > 0)
		s->survey.asked--;
}

static void ask_item(struct link_sender *s, const struct ledger_item *li)
{
	struct link_tx *tx = link_tx_find(s, &li->transfer);

	if (tx == NULL)
		tx = link_tx_new(s, &li->transfer, LINK_TX_ARRIVED);
	if (tx == NULL || tx->state != LINK_TX_ARRIVED ||
	    tx->asked == s->survey.number)
		return; /* asked already, or known better */
	if (!tx->known) {
		tx->known = true;
		tx->delivery = li->delivery;
		tx->length = li->length;
		tx->chunks = li->chunks;
		tx->attempts = li->attempts;
		memcpy(tx->root, li->root, sizeof(tx->root));
	}
	link_tx_event(tx, LINK_TX_EV_VOID, NULL);
}

static void on_page_posted(struct msg *m)
{
	struct page *p = CONTAINER_OF(m, struct page, msg);
	struct link_sender *s = p->s;
	struct tx_survey *v = &s->survey;

	s->in_flight--;
	v->asking = false;
	if (p->e == ERR_OK && v->running && !v->wanted) {
		for (size_t i = 0; i < p->n; i++)
			ask_item(s, &p->items[i]);
		v->after = p->next;
		v->running = !p->end;
		link_ask_say(s);
	}
	mem_free(p->items);
	mem_free(p);
	if (!s->closing)
		link_ask_next(s);
	link_sender_settled(s);
}

/* On the ledger's thread. */
static void on_page(void *arg, const struct ledger_fetched *f)
{
	struct page *p = arg;

	p->e = f->e;
	p->next = f->next;
	p->end = f->end;
	if (f->e == ERR_OK && f->n > 0) {
		p->items = mem_zarray(f->n, sizeof(*p->items));
		if (p->items == NULL) {
			p->e = ERR_NOMEM;
		} else {
			memcpy(p->items, f->items, f->n * sizeof(p->items[0]));
			p->n = f->n;
		}
	}
	(void)worker_post(p->s->env.worker, &p->msg);
}

static void ask_page(struct link_sender *s)
{
	struct ledger_query q = {.state = DELIVERY_ARRIVED,
				 .after = s->survey.after,
				 .max = LEDGER_FETCH_MAX,
				 .now_ms = INT64_MAX};
	struct page *p = mem_zalloc(sizeof(*p));

	if (p == NULL)
		return; /* the tick comes back to it */
	(void)snprintf(q.destination, sizeof(q.destination), "%s",
		       s->config->name);
	p->msg.run = on_page_posted;
	p->s = s;
	if (ledger_fetch(s->env.ledger, &q, on_page, p) != ERR_OK) {
		mem_free(p);
		return;
	}
	s->survey.asking = true;
	s->in_flight++;
}

void link_ask_next(struct link_sender *s)
{
	struct tx_survey *v = &s->survey;

	if (!s->up || v->asking)
		return;
	if (v->wanted) {
		v->wanted = false;
		v->running = true;
		v->after = LEDGER_CURSOR_START;
	}
	if (v->running && v->asked < ASKED_LOW)
		ask_page(s);
}

void link_ask_begin(struct link_sender *s)
{
	s->survey.wanted = true;
	link_ask_next(s);
}
