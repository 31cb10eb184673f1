/* session.c - when a session is opened, how it ends, and its facts. See
 * session.h. */
#include "proxy/link/session.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/session_int.h"

uint64_t session_now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- time ------------------------------------------------------------- */

/* Three quarters of ms to five: xorshift, only to spread. */
static uint64_t spread(struct link_session *s, uint64_t ms)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return ms - ms / 4 + s->random % (ms / 2 + 1);
}

uint64_t session_backoff(struct link_session *s, unsigned failures)
{
	uint64_t ms = s->first_ms;

	while (failures-- > 0 && ms < s->max_ms)
		ms *= 2;
	return spread(s, ms < s->max_ms ? ms : s->max_ms);
}

static void on_timer(uv_timer_t *timer)
{
	session_pump(timer->data);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool place_is_free(const struct place *p)
{
	return p->leg == NULL && p->coming == 0 && !p->barred;
}

static void arm(struct link_session *s)
{
	uint64_t at = UINT64_MAX, now = session_now_ms();

	if (s->closing_timer)
		return;
	if (s->wanted && !s->up && !s->calling)
		at = s->again_ms;
	for (unsigned i = 0; s->up && i < s->terms.connections; i++)
		if (place_is_free(&s->places[i]))
			at = sooner(at, s->places[i].again_ms);
	if (at == UINT64_MAX)
		uv_timer_stop(&s->timer);
	else
		uv_timer_start(&s->timer, on_timer, at > now ? at - now : 0, 0);
}

/* ---- HELLO ------------------------------------------------------------ */

/* Every endpoint was tried. */
static void round_over(struct link_session *s)
{
	struct session_end end = s->last;

	s->calling = false;
	session_over(s, &end);
}

/* False: the round is over. */
static bool call_next(struct link_session *s)
{
	size_t i = destination_pick(s->destination, &s->round);
	enum err e;

	if (i == DESTINATION_NONE)
		return false;
	s->endpoint = i;
	(void)destination_endpoint(s->destination->config, i, s->endpoint_text);
	if (s->ev->on_hello != NULL)
		s->ev->on_hello(s->arg, &s->hello);
	e = leg_dial(s, 0, true);
	if (e == ERR_OK)
		return true;
	s->endpoint = DESTINATION_NONE;
	s->last.why = e;
	snprintf(s->last.text, sizeof(s->last.text), "cannot connect to %s: %s",
		 s->endpoint_text, err_text(e));
	return e == ERR_CANCELED ? false : call_next(s);
}

static void begin_round(struct link_session *s)
{
	memset(&s->round, 0, sizeof(s->round));
	s->round.insist = true;
	s->last = (struct session_end){.why = ERR_NOTFOUND};
	snprintf(s->last.text, sizeof(s->last.text), "no endpoint to try");
	s->calling = true;
	s->endpoint = DESTINATION_NONE;
}

/* ---- what is due ------------------------------------------------------ */

static void join_missing(struct link_session *s, uint64_t now)
{
	for (unsigned i = 0; i < s->terms.connections; i++) {
		struct place *p = &s->places[i];

		if (!place_is_free(p) || now < p->again_ms)
			continue;
		if (leg_dial(s, i, false) != ERR_OK)
			p->again_ms = now + session_backoff(s, p->failures++);
	}
}

void session_pump(struct link_session *s)
{
	uint64_t now = session_now_ms();

	if (s->stopping || !s->wanted)
		return;
	if (s->up)
		join_missing(s, now);
	else if (!s->calling && now >= s->again_ms)
		begin_round(s);
	if (s->calling && s->endpoint == DESTINATION_NONE && !call_next(s)) {
		round_over(s);
		return;
	}
	arm(s);
}

/* ---- the end of a session --------------------------------------------- */

static void let_all_go(struct link_session *s, uint16_t reason,
		       const char *text)
{
	LIST_EACH(n, tmp, &s->legs)
	{
		struct leg *leg = CONTAINER_OF(n, struct leg, node);
		bool was_open = leg->open;

		if (leg->let_go)
			continue;
		leg_let_go(leg, reason);
		if (was_open && s->ev->on_lost != NULL)
			s->ev->on_lost(s->arg, leg->number, text);
	}
}

static uint64_t retry_in(struct link_session *s, const struct session_end *end,
			 bool was_up)
{
	if (s->progress ||
	    (was_up && session_now_ms() - s->up_ms >= SESSION_GOOD_MS))
		s->failures = s->pauses = 0;
	s->progress = false;
	s->failures++;
	if (session_fault(end) == LINK_FAULT_HELD)
		return spread(s, LINK_SESSION_HELD_MS);
	if (s->failures == 1 && session_at_once(end, was_up))
		return 0;
	return session_backoff(s, s->pauses++);
}

void session_over(struct link_session *s, const struct session_end *end)
{
	struct link_session_down down = {
	    .fault = session_fault(end),
	    .why = end->why,
	    .bye = end->heard != 0 ? end->heard : end->said,
	    .was_up = s->up,
	    .retry_ms = retry_in(s, end, s->up),
	    .text = end->text,
	};

	down.failures = s->failures;
	s->up = s->calling = false;
	s->again_ms = session_now_ms() + down.retry_ms;
	let_all_go(s, 0, end->text);
	arm(s);
	if (s->ev->on_down != NULL)
		s->ev->on_down(s->arg, &down);
}

/* Because we want it so. */
static void leave(struct link_session *s, uint16_t reason)
{
	static const char text[] = "the link is not needed any more";
	struct link_session_down down = {
	    .why = ERR_OK, .was_up = s->up, .text = text};

	s->up = s->calling = false;
	let_all_go(s, reason, text);
	arm(s);
	if (down.was_up && s->ev->on_down != NULL)
		s->ev->on_down(s->arg, &down);
}

/* ---- wanted ----------------------------------------------------------- */

void link_session_want(struct link_session *s, bool on)
{
	if (s->stopping || s->wanted == on)
		return;
	s->wanted = on;
	if (on)
		arm(s); /* not inside of this call */
	else
		leave(s, LINK_BYE_SHUTDOWN);
}

void link_session_hurry(struct link_session *s)
{
	s->again_ms = 0;
	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++)
		s->places[i].again_ms = 0;
	if (!s->stopping)
		arm(s);
}

/* ---- birth and end ---------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct link_session *s = handle->data;
	const struct link_session_events *ev = s->ev;
	void *arg = s->arg;

	mem_free(s);
	ev->on_stopped(arg);
}

void session_settle(struct link_session *s)
{
	if (!s->stopping || s->closing_timer || !list_empty(&s->legs))
		return;
	s->closing_timer = true;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void link_session_stop(struct link_session *s, uint16_t reason)
{
	if (s->stopping)
		return;
	s->wanted = false;
	s->stopping = true;
	worker_hook_remove(&s->hook);
	leave(s, reason);
	session_settle(s);
}

/* The worker closes all streams itself, without a word. */
static void on_worker_stop(struct worker_hook *h)
{
	link_session_stop(CONTAINER_OF(h, struct link_session, hook),
			  LINK_BYE_SHUTDOWN);
}

static void fill_hello(struct link_session *s,
		       const struct link_session_options *o)
{
	s->hello = *o->hello;
	s->hello.version_min = s->hello.version_max = LINK_VERSION;
	s->hello.chunk_log2 = LINK_CHUNK_LOG2;
	s->hello.features |= LINK_JOINS;
	s->hello.connections =
	    (uint8_t)s->destination->config->link.connections;
	if (s->hello.connections == 0)
		s->hello.connections = 1;
}

enum err link_session_new(const struct link_session_options *o,
			  const struct link_session_events *ev, void *arg,
			  struct link_session **out)
{
	struct link_session *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->worker = o->worker;
	s->destination = o->destination;
	s->ev = ev;
	s->arg = arg;
	s->endpoint = DESTINATION_NONE;
	s->first_ms = o->first_ms != 0 ? o->first_ms : LINK_SESSION_FIRST_MS;
	s->max_ms = o->max_ms != 0 ? o->max_ms : LINK_SESSION_MAX_MS;
	s->random = clock_mono_ns() | 1;
	list_init(&s->legs);
	fill_hello(s, o);
	uv_timer_init(worker_loop(s->worker), &s->timer);
	s->timer.data = s;
	s->hook.fn = on_worker_stop;
	list_init(&s->hook.node);
	worker_hook_add(s->worker, &s->hook);
	*out = s;
	return ERR_OK;
}

/* ---- facts ------------------------------------------------------------ */

bool link_session_up(const struct link_session *s)
{
	return s->up;
}

struct link_conn *link_session_conn(const struct link_session *s,
				    unsigned number)
{
	const struct leg *leg =
	    number < LINK_CONNECTIONS_MAX ? s->places[number].leg : NULL;

	return leg != NULL && link_conn_open(leg->conn) ? leg->conn : NULL;
}

int link_session_roomy(struct link_session *s)
{
	size_t least = SIZE_MAX;
	int best = -1;

	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++) {
		struct link_conn *c = link_session_conn(s, i);

		if (c == NULL || link_conn_room(c) == 0 ||
		    link_conn_queued(c) >= least)
			continue;
		least = link_conn_queued(c);
		best = (int)i;
	}
	return best;
}

unsigned link_session_connections(const struct link_session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++)
		n += link_session_conn(s, i) != NULL;
	return n;
}

void link_session_asking(struct link_session *s, bool on)
{
	if (s->asking == on)
		return;
	s->asking = on;
	for (unsigned i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (s->places[i].leg != NULL)
			link_conn_asking(s->places[i].leg->conn, on);
}

const struct link_hello *link_session_theirs(const struct link_session *s)
{
	return &s->theirs;
}

const struct link_terms *link_session_terms(const struct link_session *s)
{
	return &s->terms;
}

const char *link_session_endpoint(const struct link_session *s)
{
	return s->endpoint_text;
}

uint64_t link_session_retry_ms(const struct link_session *s)
{
	uint64_t now = session_now_ms();

	if (!s->wanted || s->up || s->calling || s->again_ms <= now)
		return 0;
	return s->again_ms - now;
}
