/* conn.c - birth, states and end of a link's connection. See conn.h. */
#include "proxy/link/conn.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/link/conn_int.h"

enum { NOTSENT_START = 128 * 1024 };

/* ---- the end ---------------------------------------------------------- */

void conn_text(struct link_conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->text[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

void conn_close(struct link_conn *c, enum err why)
{
	if (c->end.why == ERR_OK)
		c->end.why = why;
	c->state = LINK_CONN_CLOSED;
	conn_timer_arm(c);
	if (c->stream != NULL)
		stream_close(c->stream, why == ERR_OK ? ERR_CLOSED : why);
}

/* BYE, then what is left to send, then the end within closing_ms. */
static void say_bye(struct link_conn *c, uint16_t reason, bool whole_link,
		    const char *text)
{
	struct link_frame f = {
	    .type = LINK_BYE,
	    .flags = whole_link ? LINK_F_LINK : 0,
	    .why.code = reason,
	};

	if (text == NULL || text[0] == '\0')
		text = link_bye_text(reason);
	f.why.text.p = (const uint8_t *)text;
	f.why.text.len = strlen(text);
	conn_text(c, "this end closed the connection with %s: %s", c->peer,
		  text);
	c->end.said = reason;
	c->end.whole_link = whole_link;
	if (conn_put(c, &f) != ERR_OK && c->state == LINK_CONN_CLOSED)
		return; /* the queue was full: it is closed already */
	c->state = LINK_CONN_CLOSING;
	conn_timer_arm(c);
	stream_set_deadline(c->stream, c->closing_ms);
	stream_finish(c->stream);
}

static void break_off(struct link_conn *c)
{
	const char *why = c->broken != NULL ? c->broken : "not expected here";

	conn_text(c, "%s broke the protocol: %s frame: %s", c->peer,
		  link_type_name(c->broken_type), why);
	c->end.why = ERR_PROTO;
	say_bye(c, LINK_BYE_PROTOCOL, false, why);
}

static void expire(struct link_conn *c)
{
	unsigned long long s = c->first_ms / 1000;

	c->end.why = ERR_TIMEOUT;
	if (c->opened_us != 0)
		conn_text(c, "nothing came from %s for %u s", c->peer,
			  3 * c->terms.keepalive_ms / 1000);
	else if (c->dialled)
		conn_text(c, "%s did not answer within %llu s", c->peer, s);
	else
		conn_text(c, "%s said nothing within %llu s", c->peer, s);
	say_bye(c, LINK_BYE_TIMEOUT, false, NULL);
}

static void hear_bye(struct link_conn *c, const struct link_frame *f)
{
	c->end.heard = f->why.code;
	c->end.whole_link = (f->flags & LINK_F_LINK) != 0;
	conn_text(c, "%s closed the connection: %s%s%.*s", c->peer,
		  link_bye_text(f->why.code), f->why.text.len > 0 ? ": " : "",
		  (int)f->why.text.len, (const char *)f->why.text.p);
	conn_close(c, ERR_OK);
}

/* ---- opening ---------------------------------------------------------- */

static uint16_t send_hello(struct link_conn *c)
{
	struct link_frame f = {.type = LINK_HELLO, .hello = c->hello};

	return conn_put(c, &f) == ERR_OK ? 0 : LINK_BYE_LIMITS;
}

static void send_join(struct link_conn *c, enum link_type type)
{
	struct link_frame f = {.type = type, .join = c->join};

	(void)conn_put(c, &f);
}

static uint16_t agree(struct link_conn *c, const struct link_hello *theirs,
		      char *text)
{
	uint16_t no = link_agree(&c->hello, theirs, &c->terms);

	if (no == LINK_BYE_VERSION)
		snprintf(text, LINK_TEXT_MAX + 1,
			 "this end speaks versions %u to %u, the peer %u to %u",
			 c->hello.version_min, c->hello.version_max,
			 theirs->version_min, theirs->version_max);
	if (no != 0)
		return no;
	return c->ev->on_hello(c->arg, theirs, &c->terms, &c->hello, text);
}

static uint16_t take_join(struct link_conn *c, const struct link_join *join,
			  char *text)
{
	c->join = *join;
	if (c->ev->on_join == NULL)
		return LINK_BYE_SESSION;
	return c->ev->on_join(c->arg, join, &c->terms, text);
}

static uint16_t take_joined(struct link_conn *c, const struct link_join *join,
			    char *text)
{
	if (join->number != c->join.number) {
		snprintf(text, LINK_TEXT_MAX + 1,
			 "JOINED has number %u instead of %u", join->number,
			 c->join.number);
		return LINK_BYE_PROTOCOL;
	}
	return c->ev->on_joined != NULL ? c->ev->on_joined(c->arg, text) : 0;
}

/* Frames pass. The owner may close it in on_open. */
static void opened(struct link_conn *c)
{
	c->end.opened = true;
	c->opened_us = conn_now_us();
	conn_timer_arm(c);
	if (c->ev->on_open != NULL)
		c->ev->on_open(c->arg);
}

/* ---- states ----------------------------------------------------------- */

/* The questions: 0 is yes. */
static uint16_t ask(struct link_conn *c, enum link_conn_action action,
		    const struct link_frame *f, char *text)
{
	uint16_t no;

	if (action == LINK_CONN_DO_JOINED)
		return take_joined(c, &f->join, text);
	if (action == LINK_CONN_DO_ANSWER_JOIN)
		no = take_join(c, &f->join, text);
	else
		no = agree(c, &f->hello, text);
	if (no != 0 || conn_ended(c))
		return no;
	if (action == LINK_CONN_DO_ANSWER_JOIN)
		send_join(c, LINK_JOINED);
	else if (action == LINK_CONN_DO_ANSWER_HELLO)
		no = send_hello(c);
	return no;
}

static void answer(struct link_conn *c, struct link_conn_step step,
		   const struct link_frame *f)
{
	char text[LINK_TEXT_MAX + 1] = "";
	uint16_t no = ask(c, step.action, f, text);

	if (conn_ended(c))
		return; /* the owner closed it meanwhile */
	if (no != 0) {
		assert(step.refused == LINK_CONN_CLOSING);
		say_bye(c, no, false, text);
		return;
	}
	c->state = step.next;
	opened(c);
}

/* What is done when nothing can be refused. The state is the next already. */
static void act(struct link_conn *c, enum link_conn_action action,
		const struct link_frame *f)
{
	switch (action) {
	case LINK_CONN_DO_SAY_HELLO:
		if (send_hello(c) != 0)
			conn_close(c, ERR_INVAL);
		return;
	case LINK_CONN_DO_SAY_JOIN:
		send_join(c, LINK_JOIN);
		return;
	case LINK_CONN_DO_PONG:
		conn_put_stamp(c, LINK_PONG, f->stamp);
		return;
	case LINK_CONN_DO_MEASURE:
		link_silence_pong(&c->silence, conn_now_us(), f->stamp);
		return;
	case LINK_CONN_DO_PASS:
		if (c->ev->on_frame != NULL)
			c->ev->on_frame(c->arg, f);
		return;
	case LINK_CONN_DO_BREAK:
		break_off(c);
		return;
	case LINK_CONN_DO_EXPIRE:
		expire(c);
		return;
	case LINK_CONN_DO_HEAR_BYE:
		hear_bye(c, f);
		return;
	case LINK_CONN_DO_DROP:
		conn_close(c, ERR_CANCELED);
		return;
	case LINK_CONN_DO_LISTEN:
	case LINK_CONN_DO_IGNORE:
	case LINK_CONN_DO_LEAVE: /* link_conn_bye() says it */
	case LINK_CONN_DO_NONE:
	case LINK_CONN_DO_AGREE:
	case LINK_CONN_DO_ANSWER_HELLO:
	case LINK_CONN_DO_ANSWER_JOIN:
	case LINK_CONN_DO_JOINED:
	case LINK_CONN_N_ACTIONS:
		return;
	}
}

static bool may_refuse(enum link_conn_action action)
{
	return action == LINK_CONN_DO_AGREE ||
	       action == LINK_CONN_DO_ANSWER_HELLO ||
	       action == LINK_CONN_DO_ANSWER_JOIN ||
	       action == LINK_CONN_DO_JOINED;
}

void conn_take(struct link_conn *c, enum link_conn_event event,
	       const struct link_frame *f)
{
	struct link_conn_step step = link_conn_step(c->state, event);

	if (step.action == LINK_CONN_DO_NONE)
		return; /* CLOSED: nothing more happens */
	if (may_refuse(step.action)) {
		answer(c, step, f);
		return;
	}
	if (step.next != LINK_CONN_CLOSING) /* say_bye() goes there */
		c->state = step.next;
	act(c, step.action, f);
}

void conn_event(struct link_conn *c, enum link_conn_event event)
{
	static const struct link_frame none;

	conn_take(c, event, &none);
}

/* ---- up --------------------------------------------------------------- */

static enum link_conn_event up_event(const struct link_conn *c)
{
	if (!c->dialled)
		return LINK_CONN_EV_UP_ACCEPT;
	return c->joins ? LINK_CONN_EV_UP_JOIN : LINK_CONN_EV_UP_HELLO;
}

static void on_up(void *arg)
{
	char text[LINK_TEXT_MAX + 1] = "";
	struct link_conn *c = arg;
	uint16_t no;

	snprintf(c->peer, sizeof(c->peer), "%s", stream_peer(c->stream));
	snprintf(c->local, sizeof(c->local), "%s", stream_local(c->stream));
	link_silence_init(&c->silence, conn_now_us());
	no = c->ev->on_up != NULL ? c->ev->on_up(c->arg, text) : 0;
	if (conn_ended(c))
		return;
	if (no != 0 && c->dialled) {
		conn_text(c, "%s: %s", c->peer,
			  text[0] != '\0' ? text : link_bye_text(no));
		conn_close(c, ERR_DENIED);
		return;
	}
	conn_event(c, up_event(c));
	if (no != 0)
		link_conn_bye(c, no, true, text);
	conn_timer_arm(c);
}

/* ---- gone ------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct link_conn *c = handle->data;

	buf_free(&c->hold);
	mem_free(c);
}

static void on_stream_closed(void *arg, enum err why, const char *detail)
{
	struct link_conn *c = arg;

	c->stream = NULL;
	c->state = LINK_CONN_CLOSED;
	/* a BYE says more than how TCP ended; so does what we found first */
	if (c->end.why == ERR_OK && c->end.said == 0 && c->end.heard == 0)
		c->end.why = why != ERR_OK ? why : ERR_CLOSED;
	conn_text(c, "%s", detail);
	c->end.text = c->text;
	uv_timer_stop(&c->timer);
	c->ev->on_closed(c->arg, &c->end);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static const struct stream_events stream_events = {
    .on_open = on_up,
    .on_read = conn_on_read,
    .on_drain = conn_on_drain,
    .on_closed = on_stream_closed,
};

/* ---- birth ------------------------------------------------------------ */

static uint64_t or_default(uint64_t v, uint64_t dflt)
{
	return v != 0 ? v : dflt;
}

static struct link_conn *conn_new(const struct link_conn_options *o,
				  const struct link_conn_events *ev, void *arg,
				  bool dialled)
{
	struct link_conn *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ev = ev;
	c->arg = arg;
	c->dialled = dialled;
	c->joins = o->join != NULL;
	if (o->hello != NULL)
		c->hello = *o->hello;
	if (c->joins) {
		c->join = *o->join;
		c->terms = *o->terms;
	}
	c->first_ms = or_default(o->first_ms, LINK_CONN_FIRST_MS);
	c->closing_ms = or_default(o->closing_ms, LINK_CONN_CLOSING_MS);
	buf_init(&c->hold, LINK_FRAME_MAX);
	link_stream_init(&c->in, &c->hold);
	return c;
}

static struct stream_options stream_options(const struct link_conn_options *o,
					    const struct link_conn *c)
{
	return (struct stream_options){
	    .tls = o->tls,
	    .server_name = o->server_name,
	    .connect_ms = o->connect_ms,
	    .handshake_ms = o->handshake_ms,
	    .finish_ms = c->closing_ms,
	    .out_cap = LINK_CONN_OUT_MAX,
	    .low_water = CONN_LOW_WATER,
	    .congestion = o->congestion,
	    .notsent_max = NOTSENT_START,
	};
}

static enum err born(struct link_conn *c, struct worker *w, enum err e,
		     struct link_conn **out)
{
	if (e != ERR_OK) {
		mem_free(c);
		return e;
	}
	conn_timer_init(c, w);
	*out = c;
	return ERR_OK;
}

enum err link_conn_accept(struct worker *w, int fd,
			  const struct link_conn_options *o,
			  const struct link_conn_events *ev, void *arg,
			  struct link_conn **out)
{
	struct link_conn *c = conn_new(o, ev, arg, false);
	struct stream_options so;

	assert(o->hello != NULL && o->join == NULL);
	if (c == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	so = stream_options(o, c);
	return born(c, w,
		    stream_accept(w, fd, &so, &stream_events, c, &c->stream),
		    out);
}

enum err link_conn_dial(struct worker *w, const char *endpoint,
			const struct link_conn_options *o,
			const struct link_conn_events *ev, void *arg,
			struct link_conn **out)
{
	struct link_conn *c = conn_new(o, ev, arg, true);
	struct stream_options so;

	assert(o->join != NULL ? o->terms != NULL : o->hello != NULL);
	if (c == NULL)
		return ERR_NOMEM;
	so = stream_options(o, c);
	return born(
	    c, w,
	    stream_connect(w, endpoint, &so, &stream_events, c, &c->stream),
	    out);
}

void link_conn_give(struct link_conn *c, const struct link_conn_events *ev,
		    void *arg)
{
	c->ev = ev;
	c->arg = arg;
}

/* ---- stopping --------------------------------------------------------- */

void link_conn_bye(struct link_conn *c, uint16_t reason, bool whole_link,
		   const char *text)
{
	enum link_conn_action action =
	    link_conn_step(c->state, LINK_CONN_EV_STOP).action;

	if (action == LINK_CONN_DO_LEAVE)
		say_bye(c, reason, whole_link, text);
	else
		conn_event(c, LINK_CONN_EV_STOP);
}

void link_conn_drop(struct link_conn *c)
{
	if (c->state == LINK_CONN_CLOSED)
		return;
	conn_text(c, "this end dropped the connection with %s", c->peer);
	conn_close(c, ERR_CANCELED);
}
