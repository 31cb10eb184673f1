/* leg.h - one association to a destination for a live relay: we request, the
 * device's association owns it.
 *
 * Lives on the owner's worker and is used on its thread only. Events never run
 * inside the call that caused them, with one exception: on_read and what
 * follows it may run several times in one turn.
 *
 *   leg_open --> on_accepted --> on_read* on_drain* --> on_released | on_lost
 *        \-----> on_refused                                     |
 *                    \______________ on_gone ___________________/
 *
 * on_gone runs exactly once, last; the leg is freed when it returns. After
 * leg_release() and leg_abort() the leg is detached: no event but on_gone
 * comes. on_refused, on_released and on_lost are each followed by on_gone only.
 *
 * The leg acts out PS3.8 table 9-10 and frames the PDUs that come: control
 * PDUs (release, abort, what is unexpected) are its own business, the owner
 * sees P-DATA-TF alone, as bytes. */
#ifndef PROXY_LEG_H
#define PROXY_LEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proxy/destination.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/pdu.h"
#include "proxy/lib/err.h"
#include "proxy/net/worker.h"

struct ledger;
struct leg; /* opaque */

/* Strings and rq are copied; the rest is borrowed and outlives the leg. */
struct leg_request {
	struct worker *worker;
	struct destination *destination;    /* dicom or dicom-tls */
	struct ledger *ledger;              /* NULL: no rows (tests) */
	const char *calling_ae, *called_ae; /* as in rq, for row and texts */
	const uint8_t *rq;    /* the whole A-ASSOCIATE-RQ PDU, encoded */
	size_t rq_len;        /* bytes; kept until accepted or refused */
	uint64_t deadline_ms; /* from now, over all endpoints; 0: 3 s */
	size_t out_cap;       /* most bytes queued for the peer; 0: 4 MiB */
	const char *device;   /* whose association this is for */
	size_t device_number; /* its index in the configuration plus 1, for its
				 limit; 0: none */
	uint64_t inbound;     /* its id in the ledger, for the log */
};

/* Why a leg was never opened. Valid in the call. */
struct leg_refusal {
	bool rejected;            /* by the peer's A-ASSOCIATE-RJ: */
	struct pdu_reject reject; /* then its result, source, reason */
	/* In any case. Static, never NULL; remedy may be "". code is a stable
	 * word for logs: "circuit-open", "connect", "rj-1-1-7", ... */
	const char *code, *cause, *remedy;
	const char *detail; /* escaped; never NULL, may be "" */
};

/* NULL for what is not wanted; on_gone is required. */
struct leg_events {
	/* The A-ASSOCIATE-AC, decoded; valid in the call. Writing may begin.
	 * Data that came with it follows by on_read, after a leg_pause() in
	 * here only after leg_resume(). */
	void (*on_accepted)(void *arg, const struct assoc *ac);
	void (*on_refused)(void *arg, const struct leg_refusal *r);
	/* n > 0 bytes of P-DATA-TF PDUs, headers included, cut anywhere: all of
	 * them, in order, nothing else. The owner parses; of a fault inside it
	 * tells leg_bad_pdu(). The bytes are valid in the call. */
	void (*on_read)(void *arg, const uint8_t *p, size_t n);
	/* The queue is down to a quarter of out_cap after it was above. */
	void (*on_drain)(void *arg);
	/* The peer asked for release and has its A-RELEASE-RP. */
	void (*on_released)(void *arg);
	/* Aborted by the peer, connection lost, silence (leg_watch), protocol
	 * broken. why: for a person, escaped, never NULL. */
	void (*on_lost)(void *arg, const char *why);
	/* Connection closed, row written. No function may be called any more.
	 */
	void (*on_gone)(void *arg);
};

/* Open one: endpoints in the order of destination_pick(), each with its part
 * of the time that is left, until one accepts, one rejects for good (RJ result
 * 1), or none is left; when every circuit is open on_refused comes at once. ev
 * is borrowed for the leg's life.
 *
 *   ERR_NOMEM
 *   ERR_INVAL  rq is no A-ASSOCIATE-RQ, or the destination has no endpoints
 *
 * No event comes then. Counts as 1 of the worker's load. */
enum err leg_open(const struct leg_request *r, const struct leg_events *ev,
		  void *arg, struct leg **out) MUST_CHECK;

/* Between on_accepted and the end; nothing has to be asked before. */
bool leg_is_open(const struct leg *l);

/* Queue all bytes of n buffers: whole or partial P-DATA-TF PDUs; copied or
 * sealed before it returns. The end, if this is it, comes by on_lost.
 *
 *   ERR_LIMIT   they do not fit under out_cap; nothing was taken
 *   ERR_CLOSED  not open
 *   ERR_NOMEM   nothing was taken; the leg may be lost by it */
enum err leg_write(struct leg *l, const struct iovec *iov,
		   unsigned n) MUST_CHECK;
/* Bytes taken and not yet in the kernel's hands. */
size_t leg_queued(const struct leg *l);

/* While paused no on_read comes and the socket is not read. Idempotent, at any
 * time. */
void leg_pause(struct leg *l);
void leg_resume(struct leg *l);

/* Answers are owed: silence for idle_ms (nothing came, nothing left, while not
 * paused) aborts the leg, on_lost follows. 0: none are. */
void leg_watch(struct leg *l, uint64_t idle_ms);

/* The next bytes are acknowledged without delay: stream_ack_at_once(). For
 * peers that send an answer in two pieces, the second when the first has been
 * acknowledged. */
void leg_ack_at_once(struct leg *l);

/* The owner found a fault in what on_read gave: A-ABORT (provider, reason: one
 * of ABORT_*), then on_lost. */
void leg_bad_pdu(struct leg *l, uint8_t reason);

/* Only between PDUs. A-RELEASE-RQ after what is queued, A-RELEASE-RP awaited
 * for 10 s at most (else A-ABORT), close. What still comes is dropped.
 * Detaches. Before on_accepted as leg_abort(). */
void leg_release(struct leg *l);
/* A-ABORT (user) where there is an association, close. Detaches; cancels the
 * opening. Idempotent, at any time. */
void leg_abort(struct leg *l);

/* Id of the leg's row in the ledger; 0 before on_accepted. */
uint64_t leg_id(const struct leg *l);
/* "10.1.4.20:104"; "" before on_accepted. Valid until on_gone returns. */
const char *leg_peer(const struct leg *l);
/* What goes into its row at the end: adds to the counts of DIMSE requests. */
void leg_count(struct leg *l, uint32_t stores, uint32_t echos, uint32_t others,
	       uint32_t failures);

#endif
