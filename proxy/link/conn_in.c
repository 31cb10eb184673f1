/* conn_in.c - from bytes to frames to events of a link's connection. */
#include "proxy/link/conn_int.h"

static enum link_conn_event event_of(struct link_conn *c,
				     const struct link_frame *f)
{
	switch ((unsigned)f->type) {
	case LINK_HELLO:
		return LINK_CONN_EV_RX_HELLO;
	case LINK_JOIN:
		return LINK_CONN_EV_RX_JOIN;
	case LINK_JOINED:
		return LINK_CONN_EV_RX_JOINED;
	case LINK_PING:
		return LINK_CONN_EV_RX_PING;
	case LINK_PONG:
		return LINK_CONN_EV_RX_PONG;
	case LINK_BYE:
		return LINK_CONN_EV_RX_BYE;
	}
	if (c->state != LINK_CONN_OPEN ||
	    link_may_send(f->type, !c->dialled, &c->terms))
		return LINK_CONN_EV_RX_TRANSFER;
	c->broken = "not this end's to send";
	return LINK_CONN_EV_RX_BROKEN;
}

static void input_failed(struct link_conn *c, enum err e)
{
	if (e == ERR_NOMEM) {
		conn_text(c, "out of memory");
		conn_close(c, e);
		return;
	}
	c->broken = c->in.why;
	/* a header that is none stays in hold */
	c->broken_type =
	    buf_len(&c->hold) > 0 ? *buf_data(&c->hold) : c->in.head.type;
	conn_event(c, LINK_CONN_EV_RX_BROKEN);
}

void conn_on_read(void *arg, const uint8_t *p, size_t n)
{
	struct link_conn *c = arg;
	struct link_frame f;

	link_silence_heard(&c->silence, conn_now_us());
	c->given = 0;
	while (n > 0 && !conn_ended(c)) {
		size_t used;
		enum err e = link_stream_next(&c->in, p, n, &used, &f);

		p += used;
		n -= used;
		if (e == ERR_AGAIN)
			return;
		if (e != ERR_OK) {
			input_failed(c, e);
			return;
		}
		c->broken_type = (uint8_t)f.type;
		conn_take(c, event_of(c, &f), &f);
	}
}
