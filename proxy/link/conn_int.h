/* conn_int.h - inside of a link's connection, shared by conn*.c. */
#ifndef PROXY_LINK_CONN_INT_H
#define PROXY_LINK_CONN_INT_H

#include <uv.h>

#include "proxy/lib/buf.h"
#include "proxy/link/conn.h"
#include "proxy/link/window.h"
#include "proxy/net/address.h"

enum {
	/* What may wait here when the kernel takes no more: two frames, in
	 * TLS records. */
	CONN_QUEUE = 2 * (LINK_FRAME_MAX + 64),
	CONN_LOW_WATER = CONN_QUEUE - LINK_FRAME_MAX,
};

struct link_conn {
	struct stream *stream; /* NULL once it is gone */
	const struct link_conn_events *ev;
	void *arg;
	enum link_conn_state state;
	bool dialled, joins; /* joins: opened by JOIN, not HELLO */
	bool asking, wants_room;

	/* input */
	struct buf hold; /* a frame that came in pieces */
	struct link_stream in;
	const char *broken; /* why a frame was not allowed; static */
	uint8_t broken_type;

	/* terms */
	struct link_hello hello; /* ours */
	struct link_join join;   /* ours, or the dialler's */
	struct link_terms terms;

	/* output */
	size_t given; /* bytes of DATA since the loop went on */
	uint64_t frames_out;

	/* time: microseconds of the monotonic clock, 0: not yet */
	uv_timer_t timer;
	uint64_t period_ms; /* of timer as it runs now */
	uint64_t first_ms, closing_ms;
	uint64_t opened_us, sent_us, ticked_us, tuned_us;
	struct link_silence silence;

	/* the end, as far as it is known */
	struct link_conn_end end;
	char text[LINK_CONN_TEXT_LEN];
	char peer[ADDRESS_TEXT_LEN], local[ADDRESS_TEXT_LEN];
};

static inline bool conn_ended(const struct link_conn *c)
{
	return c->state == LINK_CONN_CLOSING || c->state == LINK_CONN_CLOSED;
}

/* conn.c */

/* What the table says. f: the frame that is the event, else NULL. */
void conn_take(struct link_conn *c, enum link_conn_event event,
	       const struct link_frame *f);
/* An event without a frame: TIMEOUT, STOP. */
void conn_event(struct link_conn *c, enum link_conn_event event);
/* The sentence of the end; the first one counts. */
void conn_text(struct link_conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* CLOSED, without a word to the peer; why unless one is known. */
void conn_close(struct link_conn *c, enum err why);

/* conn_in.c */
void conn_on_read(void *arg, const uint8_t *p, size_t n);

/* conn_out.c */

/* Any frame, in any state. Errors as link_conn_send(). */
enum err conn_put(struct link_conn *c, const struct link_frame *f);
void conn_put_stamp(struct link_conn *c, enum link_type type, uint64_t stamp);
void conn_on_drain(void *arg);

/* conn_time.c */
uint64_t conn_now_us(void);
void conn_timer_init(struct link_conn *c, struct worker *w);
/* The state, or what is waited for, has changed. */
void conn_timer_arm(struct link_conn *c);

#endif
