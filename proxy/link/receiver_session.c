/* receiver_session.c - one link: its connections, its end. */
#include <stdio.h>
#include <string.h>

#include "policy/limits.h"
#include "proxy/admission.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"
#include "store/seal.h"

/* ---- finding ----------------------------------------------------------- */

struct rx_session *rx_session_find(struct rx_home *h,
				   const uint8_t id[LINK_ID_LEN])
{
	LIST_EACH(it, tmp, &h->sessions)
	{
		struct rx_session *s =
		    CONTAINER_OF(it, struct rx_session, node);

		if (memcmp(s->id, id, LINK_ID_LEN) == 0)
			return s;
	}
	return NULL;
}

struct rx_session *rx_session_by_serial(struct rx_home *h, uint64_t serial)
{
	LIST_EACH(it, tmp, &h->sessions)
	{
		struct rx_session *s =
		    CONTAINER_OF(it, struct rx_session, node);

		if (s->serial == serial)
			return s;
	}
	return NULL;
}

struct rx_wire *rx_session_wire(const struct rx_session *s)
{
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->wires[i] != NULL && link_conn_open(s->wires[i]->conn))
			return s->wires[i];
	return NULL;
}

void rx_session_because(struct rx_session *s, const char *why)
{
	if (s->why[0] == '\0')
		snprintf(s->why, sizeof(s->why), "%s", why);
}

/* ---- birth ------------------------------------------------------------- */

static struct rx_session *session_new(struct rx_wire *w,
				      const struct link_hello *theirs,
				      const struct link_terms *terms)
{
	const struct config *c = w->home->receiver->opt.config;
	const struct config_listener *l = &c->listeners[w->listener];
	const struct config_device *d = &c->devices[w->device];
	struct rx_session *s = mem_zalloc(sizeof(*s));

	if (s == NULL || seal_random(s->id, sizeof(s->id)) != ERR_OK) {
		mem_free(s);
		return NULL;
	}
	s->home = w->home;
	s->listener = w->listener;
	s->device = (size_t)w->device;
	rx_owner(d->name, theirs->spool, s->owner);
	memcpy(s->spool, theirs->spool, sizeof(s->spool));
	snprintf(s->node_name, sizeof(s->node_name), "%s", theirs->node);
	s->terms = *terms;
	s->follow = (terms->features & LINK_FOLLOW) != 0;
	s->window = l->link.window;
	s->transfers_max = l->link.transfers;
	s->begun_ns = clock_mono_ns();
	s->facts = w->facts;
	snprintf(s->facts.row.device, sizeof(s->facts.row.device), "%s",
		 d->name);
	list_init(&s->entry);
	list_init(&s->lookups);
	list_init(&s->arrived);
	list_init(&s->parting);
	list_init(&s->waiting);
	list_init(&s->mends);
	for (size_t i = 0; i < RX_BUCKETS; i++)
		list_init(&s->table[i]);
	return s;
}

/* 0: there is room for one more link of the device. */
static uint16_t admit(struct rx_wire *w, char text[LINK_TEXT_MAX + 1])
{
	struct link_receiver *r = w->home->receiver;
	enum limit_verdict v;

	if (!ledger_accepting(r->opt.ledger)) {
		rx_record_refusal(w, "not-ready", NULL, NULL, false);
		return LINK_BYE_STORE;
	}
	v = admission_associate(r->opt.admission, w->listener,
				(size_t)w->device);
	if (v == LIMIT_PASS) {
		w->has_place = true;
		return 0;
	}
	rx_record_refusal(w, limit_verdict_name(v), NULL, NULL, false);
	snprintf(text, LINK_TEXT_MAX + 1, "%s", limit_verdict_name(v));
	return LINK_BYE_BUSY;
}

uint16_t rx_session_begin(struct rx_wire *w, const struct link_hello *theirs,
			  const struct link_terms *terms,
			  char text[LINK_TEXT_MAX + 1])
{
	struct rx_session *s;
	uint16_t no = admit(w, text);

	if (no != 0)
		return no;
	s = session_new(w, theirs, terms);
	if (s == NULL)
		return LINK_BYE_STORE;
	if (!rx_directory_enter(s)) {
		mem_free(s);
		rx_record_refusal(w, "too-many-links", NULL, NULL, false);
		return LINK_BYE_BUSY;
	}
	list_push_back(&s->home->sessions, &s->node);
	atomic_fetch_add(&s->home->receiver->counts.sessions, 1);
	rx_session_attach(s, w, 0);
	return 0;
}

void rx_session_open(struct rx_session *s, struct rx_wire *w)
{
	if (s->opened || s->ending)
		return;
	s->opened = true;
	rx_record_open(s, w);
	rx_pace_begin(s);
	rx_barrier_pump(s);
	rx_accepts_tell(s);
}

/* ---- connections ------------------------------------------------------- */

/* The place of the device goes to whoever is left. */
static void pass_place(struct rx_session *s, struct rx_wire *from)
{
	if (!from->has_place)
		return;
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++) {
		if (s->wires[i] == NULL || s->wires[i] == from)
			continue;
		s->wires[i]->has_place = true;
		from->has_place = false;
		return;
	}
}

/* What came on it and is not whole is forgotten, and nothing more is said of
 * its transfers until they are offered or asked for again. */
static void take_out(struct rx_session *s, struct rx_wire *w)
{
	pass_place(s, w);
	LIST_EACH(it, tmp, &w->chunks)
	{
		rx_chunk_free(CONTAINER_OF(it, struct rx_chunk, by_wire));
	}
	for (size_t i = 0; i < RX_BUCKETS; i++) {
		LIST_EACH(it, tmp, &s->table[i])
		{
			struct rx_transfer *t =
			    CONTAINER_OF(it, struct rx_transfer, node);

			if (t->wire == w)
				t->wire = NULL;
		}
	}
	rx_lookup_drop_wire(s, w);
	if (s->wires[w->number] == w)
		s->wires[w->number] = NULL;
	w->session = NULL;
	s->n_wires--;
	rx_chunks_weigh(s);
}

void rx_session_attach(struct rx_session *s, struct rx_wire *w, uint8_t number)
{
	struct rx_wire *old = s->wires[number];

	s->wires[number] = w;
	s->n_wires++;
	w->session = s;
	w->number = number;
	if (old == NULL)
		return;
	take_out(s, old);
	link_conn_drop(old->conn);
}

/* ---- the end ----------------------------------------------------------- */

static void lose_transfers(struct rx_session *s)
{
	for (size_t i = 0; i < RX_BUCKETS; i++) {
		LIST_EACH(it, tmp, &s->table[i])
		{
			rx_transfer_lost(
			    CONTAINER_OF(it, struct rx_transfer, node));
		}
	}
}

void rx_session_forget_asks(struct rx_session *s)
{
	struct rx_ask **asks[] = {&s->ask, &s->barrier, &s->page};

	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		if (*asks[i] != NULL)
			(*asks[i])->session = NULL;
		*asks[i] = NULL;
	}
}

/* It takes nothing more; its connections may still be closing. */
static void wind_up(struct rx_session *s)
{
	if (s->ending)
		return;
	s->ending = true;
	rx_directory_leave(s);
	lose_transfers(s);
	rx_lookup_drop(s);
	rx_mend_drop(s);
	rx_pace_end(s);
}

static void session_end(struct rx_session *s)
{
	wind_up(s);
	pthread_mutex_lock(&s->home->lock);
	rx_session_forget_asks(s);
	pthread_mutex_unlock(&s->home->lock);
	if (s->opened)
		rx_record_close(s);
	list_remove(&s->node);
	atomic_fetch_sub(&s->home->receiver->counts.sessions, 1);
	mem_free(s);
}

void rx_session_detach(struct rx_session *s, struct rx_wire *w)
{
	take_out(s, w);
	if (s->n_wires == 0)
		session_end(s);
}

void rx_session_bye(struct rx_session *s, uint16_t reason)
{
	wind_up(s);
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->wires[i] != NULL)
			link_conn_bye(s->wires[i]->conn, reason, true, NULL);
}

/* ---- reading ----------------------------------------------------------- */

void rx_session_pause(struct rx_session *s, unsigned reason)
{
	unsigned before = s->pauses;

	s->pauses |= reason;
	if (before != 0)
		return;
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->wires[i] != NULL)
			link_conn_pause(s->wires[i]->conn);
}

void rx_session_resume(struct rx_session *s, unsigned reason)
{
	unsigned before = s->pauses;

	s->pauses &= ~reason;
	if (before == 0 || s->pauses != 0)
		return;
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->wires[i] != NULL)
			link_conn_resume(s->wires[i]->conn);
}

void rx_session_tick(struct rx_session *s)
{
	if (s->ending || !s->opened)
		return;
	s->trouble = false;
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->wires[i] != NULL)
			rx_wire_tick(s->wires[i]);
	rx_barrier_pump(s);
	rx_lookup_pump(s);
	rx_store_pump(s);
	rx_told_pump(s);
	rx_accepts_tell(s);
	rx_record_tick(s);
}
