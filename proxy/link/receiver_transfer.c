/* receiver_transfer.c - one transfer: the rx machine. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/offer.h"
#include "proxy/link/receiver_int.h"

/* ---- the table --------------------------------------------------------- */

static struct list *bucket_of(const struct rx_session *s,
			      const struct transfer_id *id)
{
	/* ids are random, whatever their sender: and if not, only it is slow */
	size_t i = (id->b[0] | (size_t)id->b[15] << 8) % RX_BUCKETS;

	return (struct list *)(uintptr_t)&s->table[i];
}

struct rx_transfer *rx_transfer_find(const struct rx_session *s,
				     const struct transfer_id *id)
{
	struct list *bucket = bucket_of(s, id);

	LIST_EACH(it, tmp, bucket)
	{
		struct rx_transfer *t =
		    CONTAINER_OF(it, struct rx_transfer, node);

		if (transfer_id_equal(&t->origin.id, id))
			return t;
	}
	return NULL;
}

static struct rx_transfer *transfer_new(struct rx_session *s,
					const struct transfer_id *id)
{
	struct rx_transfer *t = mem_zalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->in = mem_zalloc(sizeof(*t->in));
	if (t->in == NULL) {
		mem_free(t);
		return NULL;
	}
	t->home = s->home;
	t->session = s;
	memcpy(t->origin.peer, s->owner, sizeof(t->origin.peer));
	t->origin.id = *id;
	t->state = LINK_RX_UNKNOWN;
	list_init(&t->stage);
	list_init(&t->chunks);
	list_init(&t->dirty);
	list_push_back(bucket_of(s, id), &t->node);
	t->open = true;
	s->n_transfers++;
	atomic_fetch_add(&s->home->receiver->counts.transfers, 1);
	return t;
}

/* It counts no more against the sender's allowance. */
static void settle(struct rx_transfer *t)
{
	if (!t->open)
		return;
	t->open = false;
	atomic_fetch_sub(&t->home->receiver->counts.transfers, 1);
	if (t->session != NULL)
		t->session->n_transfers--;
}

static void forget_instance(struct rx_transfer *t)
{
	if (t->in != NULL)
		mem_wipe(t->in, sizeof(*t->in));
	mem_free(t->in);
	t->in = NULL;
}

static void forget_chunks(struct rx_transfer *t)
{
	LIST_EACH(it, tmp, &t->chunks)
	{
		rx_chunk_free(CONTAINER_OF(it, struct rx_chunk, by_transfer));
	}
}

void rx_transfer_free(struct rx_transfer *t)
{
	rx_store_close(t);
	forget_chunks(t);
	settle(t);
	pthread_mutex_lock(&t->home->lock);
	list_remove(&t->dirty);
	pthread_mutex_unlock(&t->home->lock);
	if (t->session != NULL)
		rx_chunks_weigh(t->session);
	list_remove(&t->node);
	list_remove(&t->stage);
	forget_instance(t);
	mem_free(t->runs);
	mem_free(t);
}

/* ---- actions ----------------------------------------------------------- */

static void refuse(struct rx_transfer *t, const struct rx_no *no)
{
	if (t->session != NULL) {
		t->session->n.refused++;
		atomic_fetch_add(&t->home->receiver->counts.refused, 1);
	}
	rx_tell_refused(t->wire, &t->origin.id, no);
}

/* HAVE, once nothing of it is on its way to the disk. */
static void tell_map(struct rx_transfer *t)
{
	t->owes_map = t->unsaid > 0 || t->n_waiting > 0;
	if (!t->owes_map)
		rx_tell_map(t->wire, &t->origin);
}

static void arrived(struct rx_transfer *t)
{
	struct spool *spool = t->home->receiver->opt.spool;

	if (t->position == 0)
		t->position = spool_durable(spool);
	rx_tell_arrived(t->wire, &t->origin.id, t->position, t->done_root);
	if (!t->open)
		return; /* told once more */
	settle(t);
	rx_record_arrived(t->session, t);
	forget_instance(t);
	list_push_back(&t->session->arrived, &t->stage);
	rx_barrier_pump(t->session);
}

static void ask_about(struct rx_transfer *t)
{
	static const struct rx_no no = {.code = LINK_REFUSED_STORE,
					.retry_s = RX_RETRY_S};

	if (t->asked)
		return;
	t->asked =
	    rx_lookup_add(t->session, &t->origin.id, RX_ASKED_OFFER, t->wire);
	if (!t->asked)
		rx_tell_refused(t->wire, &t->origin.id, &no);
}

static void act(struct rx_transfer *t, enum link_rx_action action,
		const struct rx_no *no)
{
	switch (action) {
	case LINK_RX_DO_DECIDE:
		ask_about(t);
		break;
	case LINK_RX_DO_TELL_HAVE:
		tell_map(t);
		break;
	case LINK_RX_DO_REFUSE:
	case LINK_RX_DO_EXPIRE:
		refuse(t, no);
		break;
	case LINK_RX_DO_CANCEL:
		rx_record_withdrawn(t->session, &t->origin.id);
		refuse(t, &RX_NO(WITHDRAWN));
		break;
	case LINK_RX_DO_TELL_UNKNOWN:
		refuse(t, &RX_NO(UNKNOWN));
		break;
	case LINK_RX_DO_TELL_ARRIVED:
		arrived(t);
		break;
	case LINK_RX_DO_COMPLETE:
		forget_chunks(t);
		break;
	case LINK_RX_DO_TAKE:
	case LINK_RX_DO_TAKE_ROOT:
	case LINK_RX_DO_TELL_ACK:
	case LINK_RX_DO_TELL_BAD:
		break; /* done by whoever brought the event, with its data */
	case LINK_RX_DO_TELL_STUCK:
	case LINK_RX_DO_TELL_DELIVERED:
	case LINK_RX_DO_TAKE_BACK:
		break; /* out of the ledger: receiver_told.c */
	case LINK_RX_DO_KEEP:
	case LINK_RX_DO_FORGET:
	case LINK_RX_DO_IGNORE:
	case LINK_RX_DO_NONE:
	case LINK_RX_N_ACTIONS:
		break;
	}
}

/* What is left of it is in the spool or in the ledger, or nowhere. */
static bool is_over(enum link_rx_state state)
{
	return state == LINK_RX_UNKNOWN || state == LINK_RX_KEPT ||
	       state == LINK_RX_DELIVERED;
}

bool rx_transfer_event(struct rx_transfer *t, enum link_rx_event event,
		       const struct rx_no *no)
{
	struct link_rx_step step = link_rx_step(t->state, event);

	t->state = step.next;
	act(t, step.action, no);
	if (!is_over(t->state))
		return true;
	rx_store_close(t);
	if (t->state == LINK_RX_UNKNOWN)
		rx_store_abandon(t);
	rx_transfer_free(t);
	return false;
}

/* ---- is it whole? ------------------------------------------------------ */

static bool is_stored(struct rx_transfer *t, enum err e)
{
	static const struct rx_no root = {.code = LINK_REFUSED_ROOT};
	static const struct rx_no store = {.code = LINK_REFUSED_STORE,
					   .retry_s = RX_RETRY_S};

	if (e == ERR_OK)
		return rx_transfer_event(t, LINK_RX_EV_WHOLE, NULL);
	if (e == ERR_AGAIN)
		return true;
	if (e == ERR_CORRUPT || e == ERR_INVAL)
		return rx_transfer_event(t, LINK_RX_EV_WRONG_ROOT, &root);
	return rx_transfer_event(t, LINK_RX_EV_STORE_FAILED, &store);
}

bool rx_transfer_look(struct rx_transfer *t)
{
	if (t->state != LINK_RX_RECEIVING || !t->complete)
		return true;
	if (t->put == NULL)
		return t->whole.chunks > 0
			   ? true /* receiver_store.c takes its chunk */
			   : is_stored(t, rx_store_one(t, NULL, NULL));
	if (t->n_put < t->whole.chunks &&
	    (t->unsaid > 0 || t->n_waiting > 0 || !list_empty(&t->chunks)))
		return true;
	return is_stored(t, rx_store_finish(t));
}

void rx_transfer_lost(struct rx_transfer *t)
{
	t->wire = NULL;
	if (t->state == LINK_RX_COMPLETING) {
		settle(t);
		forget_chunks(t);
		list_remove(&t->node);
		t->session = NULL;
		rx_finishing_add(t);
		rx_store_hasten(t);
	} else {
		rx_transfer_free(t);
	}
}

/* ---- frames ------------------------------------------------------------ */

static void take_content(struct rx_transfer *t, const struct link_content *c)
{
	t->complete = true;
	t->whole.length = c->length;
	t->whole.chunks = c->chunks;
	memcpy(t->whole.root, c->root, sizeof(t->whole.root));
}

static bool same_content(const struct rx_transfer *t,
			 const struct link_content *c)
{
	return t->whole.length == c->length &&
	       memcmp(t->whole.root, c->root, sizeof(t->whole.root)) == 0;
}

static void refuse_now(struct rx_wire *w, const struct transfer_id *id,
		       struct rx_no no)
{
	w->session->n.refused++;
	atomic_fetch_add(&w->home->receiver->counts.refused, 1);
	rx_tell_refused(w, id, &no);
}

/* It is not what it was: nothing of it is kept open. */
static void refuse_known(struct rx_transfer *t, struct rx_no no)
{
	refuse(t, &no);
	rx_transfer_free(t);
}

/* Length, root and metadata of what is not finished. False: it was refused. */
static bool renew(struct rx_transfer *t, const struct link_frame *f,
		  bool complete)
{
	if (complete && t->complete && !same_content(t, &f->content)) {
		refuse_known(t, RX_NO(CONFLICT));
		return false;
	}
	if (f->content.meta.len > 0 &&
	    link_offer_take(&f->id, f->content.meta, t->in) != ERR_OK) {
		refuse_known(t, RX_NO(META));
		return false;
	}
	if (complete)
		take_content(t, &f->content);
	return true;
}

static bool is_unfinished(const struct rx_transfer *t)
{
	return t->state == LINK_RX_DECIDING || t->state == LINK_RX_RECEIVING;
}

static void offered_again(struct rx_transfer *t, struct rx_wire *w,
			  const struct link_frame *f)
{
	t->wire = w;
	if (is_unfinished(t) && !renew(t, f, (f->flags & LINK_F_COMPLETE) != 0))
		return;
	if (t->state == LINK_RX_RECEIVING && !rx_local_fields(t)) {
		refuse_known(t, RX_NO(NO_ROUTE));
		return;
	}
	if (rx_transfer_event(t, LINK_RX_EV_RX_OFFER, NULL))
		(void)rx_transfer_look(t);
}

static void offered_first(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_session *s = w->session;
	struct rx_transfer *t = transfer_new(s, &f->id);

	if (t == NULL) {
		refuse_now(w, &f->id,
			   (struct rx_no){.code = LINK_REFUSED_STORE,
					  .retry_s = RX_RETRY_S});
		return;
	}
	t->wire = w;
	if (!renew(t, f, (f->flags & LINK_F_COMPLETE) != 0))
		return;
	(void)rx_transfer_event(t, LINK_RX_EV_RX_OFFER, NULL);
	if (!t->asked)
		rx_transfer_free(t);
}

void rx_on_offer(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_session *s = w->session;
	struct rx_transfer *t = rx_transfer_find(s, &f->id);

	s->n.offers++;
	if (t != NULL)
		offered_again(t, w, f);
	else if ((f->flags & LINK_F_COMPLETE) == 0 && !s->follow)
		refuse_now(w, &f->id, RX_NO(NO_FOLLOW));
	else if (s->n_transfers >= s->transfers_max)
		refuse_now(
		    w, &f->id,
		    (struct rx_no){.code = LINK_REFUSED_BUSY, .retry_s = 1});
	else
		offered_first(w, f);
}

void rx_on_root(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_transfer *t = rx_transfer_find(w->session, &f->id);

	if (t == NULL || !is_unfinished(t) || !renew(t, f, true))
		return;
	if (t->state == LINK_RX_RECEIVING && !rx_local_fields(t)) {
		refuse_known(t, RX_NO(NO_ROUTE));
		return;
	}
	if (rx_transfer_event(t, LINK_RX_EV_RX_ROOT, NULL))
		(void)rx_transfer_look(t);
}

static void ask_for(struct rx_wire *w, const struct transfer_id *id,
		    enum rx_asked what)
{
	if (!rx_lookup_add(w->session, id, what, w))
		rx_tell_refused(w, id,
				&(struct rx_no){.code = LINK_REFUSED_STORE,
						.retry_s = RX_RETRY_S});
}

void rx_on_withdraw(struct rx_wire *w, const struct link_frame *f)
{
	struct rx_transfer *t = rx_transfer_find(w->session, &f->id);

	if (t == NULL) {
		ask_for(w, &f->id, RX_ASKED_WITHDRAW);
		return;
	}
	if (t->state == LINK_RX_DECIDING) {
		t->withdrawn = true; /* it may have arrived long ago */
		return;
	}
	(void)rx_transfer_event(t, LINK_RX_EV_RX_WITHDRAW, NULL);
}

void rx_on_query(struct rx_wire *w, const struct link_frame *f)
{
	for (uint32_t i = 0; i < f->ids.n; i++) {
		struct transfer_id id = link_id_at(f->ids, i);
		struct rx_transfer *t = rx_transfer_find(w->session, &id);

		if (t == NULL) {
			ask_for(w, &id, RX_ASKED_QUERY);
			continue;
		}
		t->wire = w;
		(void)rx_transfer_event(t, LINK_RX_EV_RX_QUERY, NULL);
	}
}

void rx_on_noted(struct rx_wire *w, const struct link_frame *f)
{
	struct instance_origin *v = mem_zarray(f->ids.n, sizeof(*v));

	if (v == NULL)
		return; /* it is told once more, and noted once more */
	for (uint32_t i = 0; i < f->ids.n; i++) {
		memcpy(v[i].peer, w->session->owner, sizeof(v[i].peer));
		v[i].id = link_id_at(f->ids, i);
	}
	ledger_origin_noted(w->home->receiver->opt.ledger, v, f->ids.n);
	mem_free(v);
}
