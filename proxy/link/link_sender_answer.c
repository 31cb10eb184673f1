/* link_sender_answer.c - frames of the far end (PROTOCOL.md, "tx"). */
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

/* What it says of one that is not in memory: long arrived, or of a process
 * before this one. */
static struct link_tx *unknown(struct link_sender *s,
			       const struct link_frame *f)
{
	return link_tx_new(s, &f->id, LINK_TX_ARRIVED);
}

static enum link_tx_event refused_as(const struct link_frame *f)
{
	switch (link_refusal_class(f->why.code)) {
	case LINK_AFRESH:
		return LINK_TX_EV_RX_AFRESH;
	case LINK_GONE:
		return LINK_TX_EV_RX_GONE;
	case LINK_RETRY:
	case LINK_HOLD:
	case LINK_QUARANTINE:
		break;
	}
	return LINK_TX_EV_RX_REFUSED;
}

/* ARRIVED with another root is a refusal. */
static enum link_tx_event arrived_as(const struct link_tx *tx,
				     const struct link_frame *f)
{
	if (!tx->known ||
	    memcmp(tx->root, f->arrived.root, sizeof(tx->root)) == 0)
		return LINK_TX_EV_RX_ARRIVED;
	return LINK_TX_EV_RX_REFUSED;
}

static void note_position(struct link_sender *s, const struct link_frame *f)
{
	if (f->arrived.position > s->far_position)
		s->far_position = f->arrived.position;
}

/* HAVE, BAD and a refusal of one that had arrived, as far as the ledger knows:
 * whoever reads the news looks. */
static void take_back(struct link_sender *s, const struct link_frame *f)
{
	struct link_tx tx = {.s = s, .id = f->id};

	if (f->type == LINK_REFUSED && refused_as(f) == LINK_TX_EV_RX_REFUSED)
		return;
	if (f->type == LINK_BAD)
		link_report_bad(&tx, f, 0);
	link_report_news(s, &tx,
			 (struct link_news){.kind = LINK_NEWS_RELEASED});
}

static void on_unknown(struct link_sender *s, const struct link_frame *f)
{
	struct link_news news = {.kind = LINK_NEWS_UNDELIVERED};
	struct link_tx gone = {.s = s, .id = f->id};
	struct link_tx *tx;

	switch (f->type) {
	case LINK_DELIVERED:
		tx = unknown(s, f);
		if (tx != NULL)
			link_tx_event(tx, LINK_TX_EV_RX_DELIVERED, f);
		break;
	case LINK_UNDELIVERED:
		news.stuck = (uint8_t)f->why.code;
		news.status = f->why.status;
		link_text(f->why.text, news.text, sizeof(news.text));
		link_report_news(s, &gone, news);
		break;
	case LINK_HAVE:
	case LINK_BAD:
	case LINK_REFUSED:
		take_back(s, f);
		break;
	case LINK_HELLO:
	case LINK_JOIN:
	case LINK_JOINED:
	case LINK_PING:
	case LINK_PONG:
	case LINK_BYE:
	case LINK_OFFER:
	case LINK_DATA:
	case LINK_CHUNK_END:
	case LINK_ROOT:
	case LINK_WITHDRAW:
	case LINK_QUERY:
	case LINK_NOTED:
	case LINK_HEAD:
	case LINK_ACK:
	case LINK_ARRIVED:
	case LINK_ACCEPTS:
		break;
	}
}

static void on_known(struct link_tx *tx, const struct link_frame *f)
{
	switch (f->type) {
	case LINK_HAVE:
		link_tx_event(tx, LINK_TX_EV_RX_HAVE, f);
		break;
	case LINK_ACK:
		link_tx_event(tx, LINK_TX_EV_RX_ACK, f);
		break;
	case LINK_BAD:
		link_tx_event(tx, LINK_TX_EV_RX_BAD, f);
		break;
	case LINK_ARRIVED:
		link_tx_event(tx, arrived_as(tx, f), f);
		break;
	case LINK_DELIVERED:
		link_tx_event(tx, LINK_TX_EV_RX_DELIVERED, f);
		break;
	case LINK_UNDELIVERED:
		link_tx_event(tx, LINK_TX_EV_RX_UNDELIVERED, f);
		break;
	case LINK_REFUSED:
		link_tx_event(tx, refused_as(f), f);
		break;
	case LINK_HELLO:
	case LINK_JOIN:
	case LINK_JOINED:
	case LINK_PING:
	case LINK_PONG:
	case LINK_BYE:
	case LINK_OFFER:
	case LINK_DATA:
	case LINK_CHUNK_END:
	case LINK_ROOT:
	case LINK_WITHDRAW:
	case LINK_QUERY:
	case LINK_NOTED:
	case LINK_HEAD:
	case LINK_ACCEPTS:
		break;
	}
}

void link_answer(struct link_sender *s, const struct link_frame *f)
{
	struct link_tx *tx;

	if (f->type == LINK_ACCEPTS) {
		link_accepts_take(s, f);
		return;
	}
	if (f->type == LINK_ARRIVED)
		note_position(s, f);
	tx = link_tx_find(s, &f->id);
	if (tx == NULL)
		on_unknown(s, f);
	else
		on_known(tx, f);
	link_sender_pump_soon(s);
}
