/* session.h - the dialler's end of a chunk link: one session over 1 to 16
 * connections (PROTOCOL.md, "Opening a link", "Silence", "Errors").
 *
 * It chooses the endpoint, says HELLO, opens further connections by JOIN,
 * opens probe connections when one falls silent, and begins anew when none is
 * left, at once or later as the reason wants. What is sent is the owner's.
 *
 *   on_up --> on_conn(0) --> on_conn(n)* on_lost(n)* on_frame* on_room*
 *     ^                                   |
 *     `-- later, by itself -- on_down <---'        on_stopped, last
 *
 * Lives on one worker, used on its thread only. Events run later than the call
 * that caused them, but for those of link_session_want(false) and
 * link_session_stop(), whose on_lost and on_down run inside. Writes no log. */
#ifndef PROXY_LINK_SESSION_H
#define PROXY_LINK_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/link/conn.h"
#include "proxy/link/frame.h"
#include "proxy/net/worker.h"

struct destination;
struct link_session;

enum {
	LINK_SESSION_FIRST_MS = 1000, /* back-off, doubled, with jitter */
	LINK_SESSION_MAX_MS = 60 * 1000,
	LINK_SESSION_HELD_MS = 5 * 60 * 1000, /* when a person must act */
};

/* What kind of end it was: the last column of "Errors". */
enum link_session_fault {
	LINK_FAULT_NONE,  /* we did not want it any more */
	LINK_FAULT_LOST,  /* the line, or the peer for a while: back-off */
	LINK_FAULT_ALERT, /* back-off too, but somebody should look */
	LINK_FAULT_HELD,  /* configuration: tried each 5 minutes */
};

struct link_session_down {
	enum link_session_fault fault;
	enum err why;      /* as link_conn_end */
	uint16_t bye;      /* reason that the peer gave (enum link_bye), or
			    * that we gave; 0: none */
	bool was_up;       /* on_up had run; false: it could not be opened */
	unsigned failures; /* in a row, without any progress between */
	uint64_t retry_ms; /* it tries again in; 0: at once, or not at all */
	const char *text;  /* cause; remedy. Printable, valid in the call */
};

/* NULL for what is not wanted; on_stopped is required. Numbers of connections
 * are 0..LINK_CONNECTIONS_MAX - 1. */
struct link_session_events {
	/* HELLO is about to be said: fill in what has changed (position). */
	void (*on_hello)(void *arg, struct link_hello *ours);
	/* HELLO was answered. 0: yes; else a reason to say BYE with. Nothing
	 * may be sent before on_conn. */
	uint16_t (*on_up)(void *arg, const struct link_hello *theirs,
			  const struct link_terms *terms,
			  char text[LINK_TEXT_MAX + 1]);
	/* Connection number may be used: link_session_conn(). */
	void (*on_conn)(void *arg, unsigned number);
	/* It is gone, with what was under way on it: transfers that were on it
	 * are to be offered again on another one. text as in down. on_conn of
	 * the same number may follow at once (a probe took its place). */
	void (*on_lost)(void *arg, unsigned number, const char *text);
	/* As link_conn_events. */
	void (*on_frame)(void *arg, unsigned number,
			 const struct link_frame *f);
	void (*on_room)(void *arg, unsigned number);
	/* A connection is silent, and a probe connection is being made. For
	 * the log, once for each silence. */
	void (*on_silent)(void *arg, unsigned number);
	/* No connection is left, or none could be made at any endpoint. It
	 * tries again by itself, unless it is not wanted. */
	void (*on_down)(void *arg, const struct link_session_down *down);
	/* After link_session_stop(), or when the worker stops: all connections
	 * are closed and the session is freed. */
	void (*on_stopped)(void *arg);
};

struct link_session_options {
	struct worker *worker;
	/* Endpoints, TLS context, timeouts, congestion control and the number
	 * of connections. Borrowed; outlives the session. */
	struct destination *destination;
	/* Ours, copied: node, spool, epoch, window, transfers, keepalive;
	 * versions, chunk_log2, connections and LINK_JOINS are filled in. */
	const struct link_hello *hello;
	/* Tests: 0: LINK_SESSION_FIRST_MS, _MAX_MS. */
	uint64_t first_ms, max_ms;
};

/* It does nothing until it is wanted. ERR_NOMEM. */
enum err link_session_new(const struct link_session_options *o,
			  const struct link_session_events *ev, void *arg,
			  struct link_session **out) MUST_CHECK;

/* true: there is something to send or to hear: open the link, and keep it open.
 * During a back-off it waits for its end. false: BYE SHUTDOWN, on_lost for each
 * connection and on_down (LINK_FAULT_NONE) at once if it was up. Idempotent. */
void link_session_want(struct link_session *s, bool on);
/* Somebody wants to see it tried now: ends a back-off. */
void link_session_hurry(struct link_session *s);

/* BYE with reason on every connection; on_stopped follows, when all of them are
 * closed (5 s at most). */
void link_session_stop(struct link_session *s, uint16_t reason);

/* ---- its connections ----------------------------------------------------- */

bool link_session_up(const struct link_session *s);
/* NULL: not open now. Valid until on_lost of number, or the turn's end. */
struct link_conn *link_session_conn(const struct link_session *s,
				    unsigned number);
/* The open connection that has room and the least waiting, if any has room; its
 * number, or -1. It asks all others for on_room. */
int link_session_roomy(struct link_session *s);
/* Open connections. */
unsigned link_session_connections(const struct link_session *s);
/* link_conn_asking() for all, those that open later too. */
void link_session_asking(struct link_session *s, bool on);

/* Of the link that is up, or of the last one. */
const struct link_hello *link_session_theirs(const struct link_session *s);
const struct link_terms *link_session_terms(const struct link_session *s);
/* "host:port" in use or last tried. */
const char *link_session_endpoint(const struct link_session *s);
/* Time until the next attempt, ms; 0: none is due. */
uint64_t link_session_retry_ms(const struct link_session *s);

#endif
