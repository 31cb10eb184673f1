/* receiver_lookup.c - what is known of an id: in the ledger, in the spool, or
 * nowhere. Questions are asked in batches, one at a time, so answers come in
 * order. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

/* ---- the queue --------------------------------------------------------- */

bool rx_lookup_add(struct rx_session *s, const struct transfer_id *id,
		   enum rx_asked what, struct rx_wire *w)
{
	struct rx_lookup *l = mem_zalloc(sizeof(*l));

	if (l == NULL)
		return false;
	l->id = *id;
	l->what = what;
	l->wire = w;
	list_push_back(&s->lookups, &l->node);
	if (++s->n_lookups > RX_LOOKUPS_MAX)
		rx_session_pause(s, RX_PAUSE_LOOKUPS);
	rx_lookup_pump(s);
	return true;
}

static struct rx_lookup *take_first(struct rx_session *s)
{
	struct list *first = list_pop_front(&s->lookups);

	if (first == NULL)
		return NULL;
	if (--s->n_lookups <= RX_LOOKUPS_MAX / 2)
		rx_session_resume(s, RX_PAUSE_LOOKUPS);
	return CONTAINER_OF(first, struct rx_lookup, node);
}

void rx_lookup_drop_wire(struct rx_session *s, const struct rx_wire *w)
{
	LIST_EACH(it, tmp, &s->lookups)
	{
		struct rx_lookup *l = CONTAINER_OF(it, struct rx_lookup, node);

		if (l->wire == w)
			l->wire = NULL;
	}
	for (size_t i = 0; s->ask != NULL && i < s->ask->n_lookups; i++)
		if (s->ask->lookups[i]->wire == w)
			s->ask->lookups[i]->wire = NULL;
}

void rx_lookup_drop(struct rx_session *s)
{
	struct rx_lookup *l;

	while ((l = take_first(s)) != NULL)
		mem_free(l);
}

/* ---- answers ----------------------------------------------------------- */

static bool is_kept(const struct rx_session *s,
		    const struct instance_origin *origin)
{
	struct spool_partial_info info;

	return spool_partial_find(s->home->receiver->opt.spool, origin,
				  &info) == ERR_OK;
}

static void not_known(struct rx_session *s, const struct rx_lookup *l,
		      const struct instance_origin *origin)
{
	struct rx_no no = RX_NO(UNKNOWN);

	if (rx_finishing_has(s->home->receiver, origin)) {
		no = (struct rx_no){.code = LINK_REFUSED_BUSY, .retry_s = 1};
	} else if (is_kept(s, origin)) {
		if (l->what == RX_ASKED_QUERY) {
			rx_tell_map(l->wire, origin);
			return;
		}
		if (spool_partial_abandon(s->home->receiver->opt.spool,
					  origin) == ERR_OK) {
			rx_record_withdrawn(s, &l->id);
			no = RX_NO(WITHDRAWN);
		}
	}
	rx_tell_refused(l->wire, &l->id, &no);
}

/* Of an offer. The ledger knows it. */
static void known(struct rx_transfer *t, const struct ledger_origin *o)
{
	static const struct rx_no conflict = {.code = LINK_REFUSED_CONFLICT};

	if (t->complete && !t->withdrawn &&
	    memcmp(o->root, t->whole.root, sizeof(o->root)) != 0)
		rx_tell_refused(t->wire, &o->origin.id, &conflict);
	else
		rx_tell_origin(t->wire, o, true);
	rx_transfer_free(t);
}

static void offered(struct rx_transfer *t, const struct ledger_origin *o)
{
	static const struct rx_no busy = {.code = LINK_REFUSED_BUSY,
					  .retry_s = 1};

	t->asked = false;
	if (o->state != ORIGIN_NONE)
		known(t, o);
	else if (t->withdrawn)
		(void)rx_transfer_event(t, LINK_RX_EV_RX_WITHDRAW, NULL);
	else if (rx_finishing_has(t->home->receiver, &t->origin))
		(void)rx_transfer_event(t, LINK_RX_EV_PUT_OFF, &busy);
	else
		rx_decide(t);
}

static void answer(struct rx_session *s, const struct rx_lookup *l,
		   const struct ledger_origin *o)
{
	struct rx_transfer *t = rx_transfer_find(s, &l->id);

	if (l->what == RX_ASKED_OFFER) {
		if (t != NULL && t->asked)
			offered(t, o);
	} else if (o->state != ORIGIN_NONE) {
		rx_tell_origin(l->wire, o, true);
	} else {
		not_known(s, l, &o->origin);
	}
}

/* The ledger does not answer now. What was asked is asked again. */
static void put_back(struct rx_session *s, struct rx_ask *a)
{
	s->trouble = true;
	while (a->n_lookups > 0) {
		list_push_front(&s->lookups, &a->lookups[--a->n_lookups]->node);
		s->n_lookups++;
	}
}

static void on_answer(struct msg *m)
{
	struct rx_ask *a = CONTAINER_OF(m, struct rx_ask, msg);
	struct rx_session *s = a->session;

	if (s != NULL) {
		/* a stays s->ask meanwhile: connections may end in here */
		if (a->e == ERR_OK && a->n == a->n_lookups) {
			for (size_t i = 0; i < a->n && !s->ending; i++)
				answer(s, a->lookups[i], &a->answers[i]);
		} else {
			put_back(s, a);
		}
		s->ask = NULL;
	}
	rx_ask_free(a);
	if (s != NULL && !s->ending)
		rx_lookup_pump(s);
}

/* ---- asking ------------------------------------------------------------ */

void rx_lookup_pump(struct rx_session *s)
{
	struct instance_origin v[RX_LOOKUPS_AT_ONCE];
	struct rx_ask *a;

	if (!s->ready || s->trouble || s->ending || s->ask != NULL ||
	    list_empty(&s->lookups))
		return;
	a = rx_ask_new(s, RX_LOOKUPS_AT_ONCE, on_answer);
	if (a == NULL) {
		s->trouble = true;
		return;
	}
	while (a->n_lookups < RX_LOOKUPS_AT_ONCE && !list_empty(&s->lookups)) {
		struct rx_lookup *l = take_first(s);

		memcpy(v[a->n_lookups].peer, s->owner, sizeof(v[0].peer));
		v[a->n_lookups].id = l->id;
		a->lookups[a->n_lookups++] = l;
	}
	s->ask = a;
	if (ledger_origins(s->home->receiver->opt.ledger, v, a->n_lookups,
			   rx_ask_answered, a) == ERR_OK)
		return;
	s->ask = NULL;
	put_back(s, a);
	rx_ask_free(a);
}

/* ---- barriers ---------------------------------------------------------- */

static void on_barrier(struct msg *m)
{
	struct rx_ask *a = CONTAINER_OF(m, struct rx_ask, msg);
	struct rx_session *s = a->session;
	bool passed = a->e == ERR_OK;

	rx_ask_free(a);
	if (s == NULL)
		return;
	s->barrier = NULL;
	if (!passed) {
		s->trouble = true;
		list_splice_back(&s->arrived, &s->parting);
		return;
	}
	s->ready = true;
	LIST_EACH(it, tmp, &s->parting)
	{
		rx_transfer_free(CONTAINER_OF(it, struct rx_transfer, stage));
	}
	rx_barrier_pump(s);
	rx_lookup_pump(s);
	rx_told_pump(s);
}

void rx_barrier_pump(struct rx_session *s)
{
	if (s->barrier != NULL || s->trouble || s->ending ||
	    (s->ready && list_empty(&s->arrived)))
		return;
	s->barrier = rx_ask_new(s, 0, on_barrier);
	if (s->barrier != NULL &&
	    ledger_barrier(s->home->receiver->opt.ledger, rx_ask_done,
			   s->barrier) == ERR_OK) {
		list_splice_back(&s->parting, &s->arrived);
		return;
	}
	rx_ask_free(s->barrier);
	s->barrier = NULL;
	s->trouble = true;
}
