/* link_sender_offer.c - which transfer is offered next.
 *
 * An object of one chunk is read first and goes out behind its OFFER. Of a
 * larger one only the metadata is read: the answer says what is missing. A
 * transfer that is not ready yet does not keep those behind it. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"
#include "proxy/link/offer.h"

static bool is_eager(const struct link_tx *tx)
{
	return tx->chunks == 1 && !tx->work->offered && !link_ahead_is(tx);
}

/* ---- metadata ---------------------------------------------------------- */

/* What the ledger's row says, of an instance without a record to read. */
static void from_item(const struct ledger_item *li, struct instance *in)
{
	INSTANCE_SET(in->calling_ae, li->calling_ae);
	INSTANCE_SET(in->called_ae, li->called_ae);
	INSTANCE_SET(in->sop_class, li->sop_class);
	INSTANCE_SET(in->sop_instance, li->sop_instance);
	INSTANCE_SET(in->transfer_syntax, li->transfer_syntax);
	INSTANCE_SET(in->study, li->study);
	in->received_ms = li->received_ms;
	in->priority = li->dicom_priority;
	in->has_move = li->has_move;
	INSTANCE_SET(in->move_originator, li->move_originator);
	in->move_originator_id = li->move_originator_id;
}

static enum err keep_meta(struct link_tx *tx, const struct instance *from)
{
	uint8_t bytes[INSTANCE_ENCODED_MAX];
	struct instance in = *from;

	in.id = tx->id;
	tx->work->meta_len = link_offer_meta(&in, bytes);
	tx->work->meta = mem_zalloc(tx->work->meta_len);
	if (tx->work->meta != NULL)
		memcpy(tx->work->meta, bytes, tx->work->meta_len);
	mem_wipe(bytes, sizeof(bytes));
	mem_wipe(&in, sizeof(in));
	if (tx->work->meta == NULL)
		return ERR_NOMEM;
	tx->work->prepared = TX_READY;
	return ERR_OK;
}

void link_offer_prepared(struct link_tx *tx, const struct tx_read *r)
{
	struct instance plain;
	enum err e;

	if (r != NULL && r->chunk.has_instance) {
		e = keep_meta(tx, &r->instance);
	} else {
		memset(&plain, 0, sizeof(plain));
		from_item(&tx->work->task->item, &plain);
		e = keep_meta(tx, &plain);
	}
	if (e != ERR_OK)
		tx->work->prepared = TX_RAW;
}

/* ---- preparing --------------------------------------------------------- */

static struct tx_read *free_meta(struct link_sender *s)
{
	for (unsigned i = 0; i < TX_METAS; i++) {
		if (s->metas[i].state == READ_NONE)
			return &s->metas[i];
	}
	return NULL;
}

/* The last chunk's record has all that is known of the instance. */
static enum err read_meta(struct link_tx *tx)
{
	struct tx_read *r = free_meta(tx->s);
	struct place place;
	enum err e;

	if (r == NULL)
		return ERR_AGAIN;
	e = link_read_place(tx, tx->chunks - 1, &place);
	if (e != ERR_OK)
		return e;
	r->tx = tx;
	r->index = tx->chunks - 1;
	r->data = NULL;
	r->chunk.instance = &r->instance;
	tx->work->prepared = TX_READING;
	link_read_begin(r, &place);
	return ERR_OK;
}

static enum err read_small(struct link_tx *tx)
{
	struct tx_slot *slot = link_slot_free(tx->s, tx->urgent);
	struct place place;
	enum err e;

	if (slot == NULL)
		return ERR_AGAIN;
	e = link_read_place(tx, 0, &place);
	if (e != ERR_OK)
		return e;
	tx->work->prepared = TX_READING;
	link_slot_take(slot, tx, 0, &place);
	return ERR_OK;
}

/* False: it has ended. */
static bool prepare(struct link_tx *tx)
{
	enum err e = ERR_OK;

	if (tx->chunks == 0 || link_ahead_is(tx))
		link_offer_prepared(tx, NULL);
	else if (is_eager(tx))
		e = read_small(tx);
	else
		e = read_meta(tx);
	if (e == ERR_OK || e == ERR_AGAIN)
		return true;
	link_tx_unreadable(tx, e);
	return false;
}

/* Metadata that has come. */
static void take_metas(struct link_sender *s)
{
	for (unsigned i = 0; i < TX_METAS; i++) {
		struct tx_read *r = &s->metas[i];
		struct link_tx *tx = r->tx;

		if (r->state != READ_DONE)
			continue;
		r->state = READ_NONE;
		r->tx = NULL;
		if (tx == NULL)
			continue;
		tx->work->prepared = TX_RAW;
		if (r->e == ERR_OK)
			link_offer_prepared(tx, r);
		else if (!link_read_again(tx, r->index))
			link_tx_unreadable(tx, r->e);
		mem_wipe(&r->instance, sizeof(r->instance));
	}
}

/* ---- offering ---------------------------------------------------------- */

static void say_whole(const struct link_tx *tx, struct link_frame *f)
{
	f->flags |= LINK_F_COMPLETE;
	f->content.length = tx->length;
	f->content.chunks = tx->chunks;
	memcpy(f->content.root, tx->root, sizeof(f->content.root));
}

static bool offer(struct link_tx *tx)
{
	struct tx_work *w = tx->work;
	int c = link_session_roomy(tx->s->session);
	struct link_frame f = {.type = LINK_OFFER,
			       .id = tx->id,
			       .content = {.meta = {w->meta, w->meta_len}}};

	if (c < 0)
		return false;
	if (is_eager(tx))
		f.flags |= LINK_F_EAGER;
	if (!link_ahead_is(tx))
		say_whole(tx, &f);
	if (!link_line_send(tx->s, (unsigned)c, &f))
		return false;
	w->conn = (unsigned)c;
	w->offered = true;
	w->open = true;
	tx->s->n_open++;
	link_tx_event(tx, LINK_TX_EV_GO, NULL);
	return true;
}

static bool may_open(const struct link_sender *s)
{
	return s->n_open < s->terms.transfers &&
	       s->n_open < s->config->link.transfers;
}

/* Of one class. True: one was offered. */
static bool offer_of(struct link_sender *s, bool urgent)
{
	unsigned looked = 0;

	LIST_EACH(n, tmp, &s->waiting[urgent])
	{
		struct link_tx *tx = CONTAINER_OF(n, struct link_tx, node);

		if (looked++ == TX_LOOK)
			return false;
		if (tx->work->prepared == TX_RAW && !prepare(tx))
			continue;
		if (tx->work->prepared == TX_READY)
			return offer(tx);
	}
	return false;
}

void link_offer_next(struct link_sender *s)
{
	bool more = true;

	take_metas(s);
	while (more && may_open(s)) {
		bool starved = s->urgent_offers >= TX_STARVE;
		bool first = !starved;

		more = offer_of(s, first);
		if (more) {
			s->urgent_offers = first ? s->urgent_offers + 1 : 0;
			continue;
		}
		more = offer_of(s, !first);
		s->urgent_offers = 0;
	}
}
