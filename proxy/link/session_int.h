/* session_int.h - inside of the dialler's session, shared by session*.c.
 *
 * A leg is a connection of ours in any state. A place is a number of the
 * session: at most one open leg holds it, others may be on their way to it
 * (JOIN: the first one, or probes while it is silent). */
#ifndef PROXY_LINK_SESSION_INT_H
#define PROXY_LINK_SESSION_INT_H

#include <uv.h>

#include "proxy/destination.h"
#include "proxy/lib/list.h"
#include "proxy/link/session.h"

enum {
	SESSION_PROBES_MAX = 8,      /* on their way to one place */
	SESSION_PROBE_MS = 4 * 1000, /* for TCP, and again for TLS */
	/* A session, or connection, that lived so long was no failure. */
	SESSION_GOOD_MS = 10 * 1000,
};

struct leg {
	struct list node; /* in session.legs */
	struct link_session *s;
	struct link_conn *conn;
	unsigned number;
	size_t endpoint; /* by HELLO: index in the destination */
	bool hello;      /* opened by HELLO, else by JOIN */
	bool open;       /* it holds its place */
	bool let_go;     /* its end is nobody's business any more */
	uint64_t opened_ms;
};

struct place {
	struct leg *leg; /* NULL: none open */
	unsigned coming; /* legs on their way to it */
	unsigned failures;
	uint64_t again_ms; /* no JOIN before */
	bool barred;       /* the acceptor does not want this number */
	bool silent;       /* on_silent was told */
};

/* Why something ended, kept for on_down. */
struct session_end {
	enum err why;
	uint16_t heard, said;
	char text[LINK_CONN_TEXT_LEN];
};

struct link_session {
	struct worker_hook hook;
	struct worker *worker;
	struct destination *destination;
	const struct link_session_events *ev;
	void *arg;
	uv_timer_t timer;
	struct list legs;
	bool wanted, up, asking, stopping, closing_timer;
	bool progress; /* something became durable there in this session */

	struct link_hello hello, theirs;
	struct link_terms terms;
	struct place places[LINK_CONNECTIONS_MAX];
	uint64_t up_ms;

	/* HELLO */
	bool calling; /* a leg says HELLO, or is to */
	struct destination_round round;
	size_t endpoint;
	char endpoint_text[DESTINATION_ENDPOINT_LEN];
	unsigned failures; /* in a row */
	unsigned pauses;   /* among them, for the back-off */
	uint64_t again_ms; /* no HELLO before */
	uint64_t first_ms, max_ms;
	uint64_t random;
	struct session_end last;
};

/* session.c */

uint64_t session_now_ms(void);
/* Begin what is due, and look again when more will be. */
void session_pump(struct link_session *s);
/* No leg is left and it is to stop: then it ends. */
void session_settle(struct link_session *s);
/* The session is over: on_lost, on_down; then by itself again. The last thing
 * to do: the owner may do anything inside. */
void session_over(struct link_session *s, const struct session_end *end);
/* d, doubled failures times, spread. */
uint64_t session_backoff(struct link_session *s, unsigned failures);

/* session_leg.c */

/* Go to the endpoint at s->endpoint with HELLO, or with JOIN for number.
 * ERR_NOMEM, ERR_INVAL, ERR_CANCELED: no leg was made. */
enum err leg_dial(struct link_session *s, unsigned number,
		  bool hello) MUST_CHECK;
/* Its place is free and nothing more is heard of it. reason 0: without a word.
 */
void leg_let_go(struct leg *leg, uint16_t reason);

/* session_fault.c */
enum link_session_fault session_fault(const struct session_end *end);
/* Whether it is tried again without a pause, the first time. */
bool session_at_once(const struct session_end *end, bool was_up);

#endif
