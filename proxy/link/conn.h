/* conn.h - one TCP connection of a chunk link, at either end: frames in and
 * out, its deadlines, PING and silence, BYE (PROTOCOL.md, "conn").
 *
 * Lives on one worker and is used on its thread only. Owns its stream. Writes
 * no log: every text goes to the owner, without patient data.
 *
 *   accept/dial --> on_up --> on_hello or on_join --> on_open (acceptor)
 *                        \--> on_hello or on_joined --> on_open (dialler)
 *       on_open --> on_frame* on_room* on_silent* --> on_closed
 *
 * Events run later than the call that caused them. on_closed runs exactly once,
 * last, whatever happened; the connection is then gone and must not be named
 * any more. Every function but the two births may be called inside any event
 * but on_closed.
 *
 * What this end has to say waits in two places, both short: here (two frames
 * when the kernel takes no more) and in the kernel (40 ms of the line).
 * So a frame given now is soon on the line, whatever was to follow. */
#ifndef PROXY_LINK_CONN_H
#define PROXY_LINK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/link/frame.h"
#include "proxy/link/link_fsm.h"
#include "proxy/net/stream.h"
#include "proxy/net/tls.h"
#include "proxy/net/worker.h"

struct link_conn;

enum {
	LINK_CONN_TEXT_LEN = TLS_WHY_LEN + 128,
	LINK_CONN_FIRST_MS = 10 * 1000, /* to the first frame, "Limits" */
	LINK_CONN_CLOSING_MS = 5 * 1000,
	LINK_CONN_OUT_MAX = 2 << 20, /* bytes waiting here; beyond them a peer
				      * does not read, and is given up */
};

/* How it ended. */
struct link_conn_end {
	/* ERR_OK: by a BYE of either end. ERR_PROTO: the peer broke the
	 * protocol, BYE PROTOCOL was said. ERR_TIMEOUT: nothing came in time,
	 * or it could not be reached in time. ERR_LIMIT: it reads nothing of
	 * what it is told. Else as stream.h: ERR_CLOSED, ERR_TLS, ERR_IO,
	 * ERR_NOTFOUND, ERR_NOMEM, ERR_CANCELED (the worker stops, or
	 * link_conn_drop()). */
	enum err why;
	uint16_t heard;  /* reason of the peer's BYE, 0: none came */
	uint16_t said;   /* reason of ours, 0: none was sent */
	bool whole_link; /* one of them was said of the whole link */
	bool opened;     /* on_open has run */
	/* A sentence for a person, cause and where possible remedy; never
	 * NULL; printable; valid in the call. */
	const char *text;
};

/* NULL for what is not wanted; on_closed is required.
 *
 * Those that return a number are questions: 0 is yes; a reason (enum link_bye)
 * is no: it is sent as BYE with text, which is empty at first and may stay so
 * (link_bye_text() is used then). */
struct link_conn_events {
	/* TCP and TLS are up. The acceptor looks at the certificate
	 * (link_conn_tls()) and refuses with LINK_BYE_UNDECLARED. NULL: yes. */
	uint16_t (*on_up)(void *arg, char text[LINK_TEXT_MAX + 1]);
	/* HELLO came and terms were agreed on from it and ours. Acceptor: ours
	 * is what will be answered: fill in session and position, leave the
	 * rest. Dialler: ours is what was sent. Required where HELLO may come.
	 */
	uint16_t (*on_hello)(void *arg, const struct link_hello *theirs,
			     const struct link_terms *terms,
			     struct link_hello *ours,
			     char text[LINK_TEXT_MAX + 1]);
	/* Acceptor: JOIN came. Fill *terms with those of the session. NULL:
	 * LINK_BYE_SESSION. */
	uint16_t (*on_join)(void *arg, const struct link_join *join,
			    struct link_terms *terms,
			    char text[LINK_TEXT_MAX + 1]);
	/* Dialler: JOINED came, with our number. NULL: yes. */
	uint16_t (*on_joined)(void *arg, char text[LINK_TEXT_MAX + 1]);
	/* Frames pass from here on. */
	void (*on_open)(void *arg);
	/* A frame of a type from 0x10, which this peer may send. f and what it
	 * points to are valid in the call. */
	void (*on_frame)(void *arg, const struct link_frame *f);
	/* link_conn_room() had said 0, and there is room again. */
	void (*on_room)(void *arg);
	/* Nothing came for two round trips and a second while something is
	 * unanswered (link_conn_asking()): once a second, as long as it lasts.
	 * Time for a probe connection. */
	void (*on_silent)(void *arg);
	void (*on_closed)(void *arg, const struct link_conn_end *end);
};

/* Everything is copied, save ev (static) and tls (counted by reference). */
struct link_conn_options {
	/* Made with alpn LINK_ALPN and tls13_only. NULL: plain TCP, for tests.
	 */
	struct tls_context *tls;
	const char *server_name; /* dialler, as in stream.h */
	uint64_t connect_ms;     /* 0: stream.h's; likewise handshake_ms */
	uint64_t handshake_ms;
	const char *congestion; /* NULL, "": the kernel's */
	/* Ours: sent by the dialler; what the acceptor answers, save session
	 * and position. May be NULL only with join. */
	const struct link_hello *hello;
	/* Dialler: not NULL: a further connection, which is opened by JOIN,
	 * and the terms of its link. */
	const struct link_join *join;
	const struct link_terms *terms;
	uint64_t first_ms;   /* 0: LINK_CONN_FIRST_MS */
	uint64_t closing_ms; /* 0: LINK_CONN_CLOSING_MS */
};

/* Take over an accepted socket, whatever comes of it. ERR_NOMEM, ERR_CANCELED
 * (the worker stops): fd is closed, no event comes. */
enum err link_conn_accept(struct worker *w, int fd,
			  const struct link_conn_options *o,
			  const struct link_conn_events *ev, void *arg,
			  struct link_conn **out) MUST_CHECK;
/* Connect to "host:port". ERR_INVAL: endpoint does not parse; ERR_NOMEM;
 * ERR_CANCELED. Later failures come by on_closed. */
enum err link_conn_dial(struct worker *w, const char *endpoint,
			const struct link_conn_options *o,
			const struct link_conn_events *ev, void *arg,
			struct link_conn **out) MUST_CHECK;

/* The events go to another owner from here on: a connection that JOIN made
 * part of a session. */
void link_conn_give(struct link_conn *c, const struct link_conn_events *ev,
		    void *arg);

/* ---- sending ------------------------------------------------------------ */

/* Queue a frame of a type from 0x10. It goes before all DATA that is queued
 * later, in order with other frames; frames of one turn share TLS records. The
 * caller may ignore the result: when the connection is not open, on_closed says
 * the rest.
 *
 *   ERR_CLOSED  not open, or not any more
 *   ERR_LIMIT   the peer does not read: the connection closes
 *   ERR_INVAL   link_frame_encode() refused it: our mistake
 *   ERR_NOMEM   the connection closes */
enum err link_conn_send(struct link_conn *c, const struct link_frame *f);

/* Queue a DATA frame in a TLS record of its own. 0 < n <= LINK_DATA_MAX,
 * offset + n <= CHUNK_LEN; p is not kept. Send only while link_conn_room() is
 * not 0. Errors as link_conn_send(). */
enum err link_conn_send_data(struct link_conn *c, const struct transfer_id *id,
			     uint32_t index, uint32_t offset, const uint8_t *p,
			     uint32_t n);

/* Bytes that may be queued now, a full frame at least, or 0: wait for on_room.
 * Small on purpose. Not more than LINK_CONN_TURN are given in one turn of the
 * loop, so that other connections of the worker have theirs. Long lists of
 * other frames (DELIVERED after a link opened) should keep to it as well;
 * single answers need not. 0 when not open. */
enum { LINK_CONN_TURN = 256 * 1024 };
size_t link_conn_room(struct link_conn *c);
/* Bytes that wait here, TLS included. */
size_t link_conn_queued(const struct link_conn *c);

/* Bytes of TCP so far, with TLS and frames, those that are queued included. */
uint64_t link_conn_written(const struct link_conn *c);

/* ---- reading ------------------------------------------------------------ */

/* Read no more for a while; frames that were read already (64 KiB) still come.
 * The peer gets PINGs meanwhile, so that it does not take us for dead, and is
 * not called silent or dead itself. Idempotent. */
void link_conn_pause(struct link_conn *c);
void link_conn_resume(struct link_conn *c);

/* ---- silence -------------------------------------------------------------
 */

/* Whether something is unanswered: then PING goes out each round trip, and
 * on_silent comes. Off at first. Idempotent and cheap. */
void link_conn_asking(struct link_conn *c, bool on);

/* ---- the end ------------------------------------------------------------ */

/* Say BYE with a reason (enum link_bye) and close, once what is queued is out
 * or LINK_CONN_CLOSING_MS have passed. whole_link: flag LINK. text may be NULL:
 * link_bye_text(). No event but on_closed comes any more. While TCP and TLS are
 * being made: as link_conn_drop(). Idempotent: the first one counts. */
void link_conn_bye(struct link_conn *c, uint16_t reason, bool whole_link,
		   const char *text);
/* Close without a word: a connection that another one has replaced. Only
 * on_closed comes any more. */
void link_conn_drop(struct link_conn *c);

/* ---- facts --------------------------------------------------------------- */

enum link_conn_state link_conn_state(const struct link_conn *c);
bool link_conn_open(const struct link_conn *c); /* frames pass */
/* Valid from on_hello, on_join or on_joined on. */
const struct link_terms *link_conn_terms(const struct link_conn *c);
/* "10.1.4.20:51234"; "" before connecting. */
const char *link_conn_peer(const struct link_conn *c);
const char *link_conn_local(const struct link_conn *c);
/* From on_up on. False: plain. */
bool link_conn_tls(const struct link_conn *c, struct tls_info *out);
/* A sentence about an option that the kernel did not take (the congestion
 * control is not there), or "": for the log, at on_open. */
const char *link_conn_note(const struct link_conn *c);
/* Smoothed, of PING and PONG; microseconds, 0: not known yet. */
uint64_t link_conn_rtt_us(const struct link_conn *c);

struct link_conn_figures {
	uint64_t rtt_us;              /* link_conn_rtt_us() */
	uint64_t bytes_in, bytes_out; /* of TCP: with TLS and frames */
	uint64_t frames_in, frames_out;
	uint64_t skipped;  /* frames of types we do not know */
	uint64_t open_ms;  /* since on_open, 0: not open yet */
	uint64_t heard_ms; /* since something came */
	bool have_tcp;
	struct stream_tcp tcp; /* what the kernel says, if have_tcp */
};
/* One system call. */
void link_conn_figures(const struct link_conn *c,
		       struct link_conn_figures *out);

#endif
