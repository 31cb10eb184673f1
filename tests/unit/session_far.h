/* session_far.h - an acceptor of links, made of raw streams, that does as a
 * test says. */
#ifndef TESTS_UNIT_SESSION_FAR_H
#define TESTS_UNIT_SESSION_FAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/lib/buf.h"
#include "proxy/link/frame.h"
#include "proxy/link/session.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"

enum { FARS = 64 };

struct far {
	struct stream *s; /* NULL: closed */
	struct buf hold;
	struct link_stream in;
	int number; /* -1: not opened */
	bool muted; /* hears, and says nothing */
};

struct acceptor {
	struct worker *w;
	struct listener *l;
	struct tls_context *tls;
	struct link_hello hello;
	struct far fars[FARS];
	unsigned n_fars;
	/* what it does */
	uint16_t no_hello, no_join; /* BYE instead of an answer */
	bool deaf;                  /* new ones are muted */
	bool cut;                   /* new ones are closed at once */
	/* what it saw */
	unsigned n_hello, n_join, joins[LINK_CONNECTIONS_MAX];
	unsigned n_bye;
	uint16_t bye;
	bool bye_link;
};
extern struct acceptor far; /* one a test; zero it first */

/* For listener_open(). */
void far_accept(void *arg, int fd, const struct sockaddr *peer);
/* The open connection of that number; fails the test if there is none. */
struct far *far_of(int number);
void far_cut(int number);
void far_bye(struct far *f, uint16_t reason, bool whole);
void far_ack(struct far *f);

#endif
