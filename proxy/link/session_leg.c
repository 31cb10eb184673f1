/* session_leg.c - the connections of a session, and what happens to them. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/session_int.h"

/* ---- opening ---------------------------------------------------------- */

static uint16_t on_hello(void *arg, const struct link_hello *theirs,
			 const struct link_terms *terms,
			 struct link_hello *ours, char text[LINK_TEXT_MAX + 1])
{
	struct leg *leg = arg;
	struct link_session *s = leg->s;

	(void)ours;
	destination_mark(s->destination, leg->endpoint, NULL);
	s->theirs = *theirs;
	s->terms = *terms;
	return s->ev->on_up != NULL ? s->ev->on_up(s->arg, theirs, terms, text)
				    : 0;
}

/* Legs that have not said JOIN yet need not any more. Those that have may
 * replace this one at the far end: they are let come. */
static void call_off_probes(struct link_session *s, unsigned number)
{
	LIST_EACH(n, tmp, &s->legs)
	{
		struct leg *leg = CONTAINER_OF(n, struct leg, node);

		if (leg->number == number && !leg->open && !leg->let_go &&
		    link_conn_state(leg->conn) == LINK_CONN_START)
			leg_let_go(leg, 0);
	}
}

static void take_place(struct leg *leg)
{
	struct place *p = &leg->s->places[leg->number];

	if (!leg->hello)
		p->coming--;
	p->leg = leg;
	p->silent = false;
	leg->open = true;
	leg->opened_ms = session_now_ms();
	link_conn_asking(leg->conn, leg->s->asking);
}

static void begin_session(struct link_session *s)
{
	s->up = true;
	s->calling = s->progress = false;
	s->up_ms = session_now_ms();
	memset(s->places, 0, sizeof(s->places));
}

static void replace(struct link_session *s, struct leg *old)
{
	leg_let_go(old, 0);
	if (s->ev->on_lost != NULL)
		s->ev->on_lost(s->arg, old->number,
			       "it was silent; another connection took its "
			       "place");
}

static void on_open(void *arg)
{
	struct leg *leg = arg;
	struct link_session *s = leg->s;
	struct leg *old;

	if (leg->hello)
		begin_session(s);
	old = s->places[leg->number].leg;
	if (old != NULL)
		replace(s, old);
	if (leg->let_go)
		return; /* the owner stopped it inside */
	take_place(leg);
	call_off_probes(s, leg->number);
	if (s->ev->on_conn != NULL)
		s->ev->on_conn(s->arg, leg->number);
	session_pump(s);
}

/* ---- open ------------------------------------------------------------- */

static bool shows_progress(enum link_type t)
{
	return t == LINK_ACK || t == LINK_ARRIVED || t == LINK_DELIVERED;
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct leg *leg = arg;
	struct link_session *s = leg->s;

	s->places[leg->number].silent = false;
	s->progress = s->progress || shows_progress(f->type);
	if (s->ev->on_frame != NULL)
		s->ev->on_frame(s->arg, leg->number, f);
}

static void on_room(void *arg)
{
	struct leg *leg = arg;

	if (leg->s->ev->on_room != NULL)
		leg->s->ev->on_room(leg->s->arg, leg->number);
}

static void on_silent(void *arg)
{
	struct leg *leg = arg;
	struct link_session *s = leg->s;
	struct place *p = &s->places[leg->number];
	bool first = !p->silent;

	if ((s->terms.features & LINK_JOINS) == 0)
		return;
	p->silent = true;
	if (p->coming < SESSION_PROBES_MAX &&
	    leg_dial(s, leg->number, false) != ERR_OK)
		return; /* again in a second */
	if (first && s->ev->on_silent != NULL)
		s->ev->on_silent(s->arg, leg->number);
}

/* ---- ends ------------------------------------------------------------- */

static bool any_left(const struct link_session *s)
{
	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->places[i].leg != NULL || s->places[i].coming > 0)
			return true;
	return false;
}

/* HELLO was not answered as we wished. A BYE says more than what other
 * endpoints failed by. */
static void hello_failed(struct link_session *s, struct leg *leg,
			 const struct session_end *end)
{
	bool answered = end->heard != 0 || end->said != 0;

	destination_mark(s->destination, leg->endpoint,
			 answered ? NULL : end->text);
	if (answered || (s->last.heard == 0 && s->last.said == 0))
		s->last = *end;
	s->endpoint = DESTINATION_NONE;
	session_pump(s);
}

static void join_failed(struct link_session *s, struct leg *leg,
			const struct session_end *end)
{
	struct place *p = &s->places[leg->number];

	p->coming--;
	if (end->heard == LINK_BYE_SESSION) {
		session_over(s, end);
		return;
	}
	p->barred = p->barred || end->heard == LINK_BYE_LIMITS;
	if (p->leg == NULL)
		p->again_ms =
		    session_now_ms() + session_backoff(s, p->failures++);
	if (any_left(s))
		session_pump(s);
	else
		session_over(s, end);
}

static void open_ended(struct link_session *s, struct leg *leg,
		       const struct session_end *end, bool whole_link)
{
	struct place *p = &s->places[leg->number];
	uint64_t now = session_now_ms();

	p->leg = NULL;
	if (now - leg->opened_ms >= SESSION_GOOD_MS)
		p->failures = 0;
	p->again_ms =
	    now + (p->failures > 0 ? session_backoff(s, p->failures) : 0);
	p->failures++;
	if (s->ev->on_lost != NULL)
		s->ev->on_lost(s->arg, leg->number, end->text);
	if (!s->up || p->leg != NULL)
		return; /* the owner was faster */
	if (whole_link || end->heard == LINK_BYE_SESSION || !any_left(s))
		session_over(s, end);
	else
		session_pump(s);
}

static void on_closed(void *arg, const struct link_conn_end *e)
{
	struct leg *leg = arg, copy = *leg;
	struct link_session *s = leg->s;
	struct session_end end = {
	    .why = e->why, .heard = e->heard, .said = e->said};

	snprintf(end.text, sizeof(end.text), "%s", e->text);
	list_remove(&leg->node);
	mem_free(leg);
	if (s->stopping || copy.let_go)
		session_settle(s);
	else if (copy.open)
		open_ended(s, &copy, &end, e->whole_link);
	else if (copy.hello)
		hello_failed(s, &copy, &end);
	else
		join_failed(s, &copy, &end);
}

static const struct link_conn_events leg_events = {
    .on_hello = on_hello,
    .on_open = on_open,
    .on_frame = on_frame,
    .on_room = on_room,
    .on_silent = on_silent,
    .on_closed = on_closed,
};

/* ---- made and let go -------------------------------------------------- */

static struct leg *leg_new(struct link_session *s, unsigned number, bool hello)
{
	struct leg *leg = mem_zalloc(sizeof(*leg));

	if (leg == NULL)
		return NULL;
	leg->s = s;
	leg->number = number;
	leg->hello = hello;
	leg->endpoint = s->endpoint;
	return leg;
}

/* Probes come one a second: none needs to wait for long. */
static uint64_t patience(const struct link_session *s, unsigned number)
{
	uint64_t ms = s->destination->config->timeouts.connect;
	bool probe = s->places[number].leg != NULL;

	return probe && ms > SESSION_PROBE_MS ? SESSION_PROBE_MS : ms;
}

enum err leg_dial(struct link_session *s, unsigned number, bool hello)
{
	const struct config_destination *d = s->destination->config;
	struct leg *leg = leg_new(s, number, hello);
	struct link_join join = {.number = (uint8_t)number};
	struct link_conn_options o = {
	    .tls = s->destination->tls,
	    .server_name =
		d->tls.server_name[0] != '\0' ? d->tls.server_name : NULL,
	    .connect_ms = patience(s, number),
	    .handshake_ms = patience(s, number),
	    .congestion = d->congestion,
	    .hello = &s->hello,
	    .join = hello ? NULL : &join,
	    .terms = &s->terms,
	};
	enum err e;

	if (leg == NULL)
		return ERR_NOMEM;
	memcpy(join.session, s->theirs.session, LINK_ID_LEN);
	e = link_conn_dial(s->worker, s->endpoint_text, &o, &leg_events, leg,
			   &leg->conn);
	if (e != ERR_OK) {
		mem_free(leg);
		return e;
	}
	list_push_back(&s->legs, &leg->node);
	if (!hello)
		s->places[number].coming++;
	return ERR_OK;
}

void leg_let_go(struct leg *leg, uint16_t reason)
{
	struct place *p = &leg->s->places[leg->number];

	if (leg->let_go)
		return;
	leg->let_go = true;
	if (leg->open)
		p->leg = p->leg == leg ? NULL : p->leg;
	else if (!leg->hello)
		p->coming--;
	leg->open = false;
	if (reason != 0)
		link_conn_bye(leg->conn, reason, true, NULL);
	else
		link_conn_drop(leg->conn);
}
