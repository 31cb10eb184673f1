/* receiver.h - the end of chunk links that takes transfers: whoever dials in is
 * known by certificate, what is offered goes into the spool, and the far edge
 * is told what became of it (PROTOCOL.md, "rx").
 *
 *   link_receiver_accept --> conn.h --> session --> transfer --> spool
 *                                          |            ^
 *                                          '-- ledger --'   ledger_origin.h
 *
 * A link may have several connections; all of them live on one worker. So the
 * sockets of link listeners are spread over the workers by the peer's address,
 * not by load: link_receiver_worker(). A peer that comes over another address
 * is answered BYE SESSION to its JOIN, says HELLO there, and the session moves:
 * the older one of the same owner and store gets BYE REPLACED, wherever it
 * lives.
 *
 * Owner = SHA-256("culvert link owner" || name of the device).
 *
 * Nothing is remembered here that must not be lost: unfinished transfers are in
 * the spool (spool_partial.h), finished ones in the ledger. Neither is asked
 * before one ledger_barrier(), at the opening of each session, so what was
 * finished before is known. What is finished later stays known here until the
 * ledger has it.
 *
 * Threads: one object for the process; each function says where it runs. */
#ifndef PROXY_LINK_RECEIVER_H
#define PROXY_LINK_RECEIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct admission;
struct capabilities;
struct config;
struct ledger;
struct ledger_origin;
struct link_receiver; /* opaque */
struct shaper;
struct sockaddr;
struct spool;
struct tls_context;
struct worker;

/* All borrowed; must outlive it. */
struct link_receiver_options {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct shaper *shaper; /* NULL: nothing is limited */
	struct admission *admission;
	struct worker *const *workers;
	size_t n_workers;
	/* Of this start of the process, LINK_ID_LEN random bytes. */
	const uint8_t *epoch;
};

/* Before the workers run anything else of it. ERR_NOMEM, ERR_IO. */
enum err link_receiver_new(const struct link_receiver_options *o,
			   struct link_receiver **out) MUST_CHECK;
/* After the workers have stopped and ledger and spool are closed: they may
 * still call back until then. NULL is fine. */
void link_receiver_free(struct link_receiver *r);

/* Which worker (an index) takes the sockets of that peer. Any thread. */
size_t link_receiver_worker(const struct link_receiver *r,
			    const struct sockaddr *peer);

/* Take over a socket that a link listener (an index) accepted, on the thread of
 * that worker (an index). admission_connect() has passed for it; the place is
 * given back, on errors too. n_open counts it while it lives. tls NULL: plain,
 * and whoever comes is the device without certificate that the address is
 * declared for: for tests.
 *
 * ERR_NOMEM, ERR_CANCELED: fd is closed. */
enum err link_receiver_accept(struct link_receiver *r, size_t worker, int fd,
			      size_t listener, struct tls_context *tls,
			      atomic_uint *n_open) MUST_CHECK;

/* Say BYE SHUTDOWN on every link of a worker (an index) and take no more, on
 * its thread. force: close the connections without waiting. */
void link_receiver_drain(struct link_receiver *r, size_t worker, bool force);

/* From ledger_options.on_origin: tell the edge, if it is here. Ledger thread,
 * quick. */
void link_receiver_origin(struct link_receiver *r,
			  const struct ledger_origin *o);

/* Every few seconds, from any one thread: expire what was left unfinished for
 * longer than listeners.NAME.link.keep. */
void link_receiver_tick(struct link_receiver *r);

/* Transfers whose final record is being written: workers must not stop before
 * this is 0. Any thread. */
unsigned link_receiver_pending(const struct link_receiver *r);

struct link_receiver_stats {
	uint32_t sessions, connections;
	uint32_t transfers;      /* open now */
	uint64_t arrived;        /* since start */
	uint64_t arrived_bytes;  /* their data sets */
	uint64_t chunks;         /* checked and taken */
	uint64_t chunks_again;   /* that were here already */
	uint64_t chunks_bad;     /* wrong leaf or length */
	uint64_t refused;        /* offers */
	uint64_t told_delivered; /* DELIVERED sent, repeats included */
};

/* Any thread. */
void link_receiver_stats(const struct link_receiver *r,
			 struct link_receiver_stats *out);

#endif
