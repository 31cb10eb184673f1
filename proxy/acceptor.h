/* acceptor.h - every listener on the main loop, and the hand-over of accepted
 * sockets: of links to the worker of the peer's address (receiver.h), of all
 * others to the least loaded worker. */
#ifndef PROXY_ACCEPTOR_H
#define PROXY_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "proxy/lib/err.h"

struct acceptor; /* opaque; lives on the main loop's thread */
struct admission;
struct capabilities;
struct commitment;
struct config;
struct destination;
struct ledger;
struct early_desk;
struct handshakes;
struct link_receiver;
struct shaper;
struct spool;
struct worker;

/* All borrowed; must outlive it. */
struct acceptor_options {
	uv_loop_t *loop;
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct destination *const *destinations; /* by index in config */
	struct commitment *commitment; /* takes reports; NULL: none do */
	struct shaper *shaper;         /* NULL: nothing is limited */
	struct early_desk *early;      /* hears of long instances; or NULL */
	struct link_receiver *links;   /* takes the sockets of link listeners */
	struct admission *admission;
	struct handshakes *handshakes; /* or NULL */
	struct worker *const *workers;
	size_t n_workers;
};

/* Load the TLS material of every listener and listen on all of them, or on
 * fail. why: a sentence with cause and remedy. Errors as tls_server_new() and
 * listener_open(). *out is set on every error but ERR_NOMEM without it (NULL):
 * then it is drained and freed as after a success. */
enum err acceptor_start(const struct acceptor_options *opt,
			struct acceptor **out, char why[768]) MUST_CHECK;

/* Inbound associations open now, of all workers. Any thread. */
unsigned acceptor_open(const struct acceptor *a);

/* Close the listeners and let the associations end: idle ones now, busy ones
 * when their message is answered; with force all of them at once. May be
 * called again, to force. */
void acceptor_drain(struct acceptor *a, bool force);

/* After acceptor_drain(), when acceptor_open() is 0 and the workers have
 * stopped. */
void acceptor_free(struct acceptor *a);

#endif
