/* commitment.h - truthful storage commitment (PS3.4 annex J): nobody is told
 * that an instance is safe but by the archive that has it.
 *
 * A device's request (N-ACTION) on a `hold` route is a message in the spool,
 * held at its destination. For each such request, called M1 here, the engine
 *
 *   waits   until every instance that it names is acknowledged upstream, given
 *           up (quarantined, discarded, withdrawn), or still unknown after
 *           commitment.unknown
 *   asks    M2: a request upstream with the same transaction UID, without the
 *           instances given up
 *   reports M3: one N-EVENT-REPORT to the device, upstream's answer merged
 *           with our own failures (0110); also when nothing is left to ask or
 *           commitment.deadline has passed
 *   ends    M1 (delivered), once M3 is durable.
 *
 * What M1 is waiting for follows from which of M2 and M3 exist and from the
 * states of deliveries in the ledger: nothing is kept elsewhere, so a restart
 * at any moment goes on where it was. At worst a message is sent twice.
 *
 * Requests with one transaction UID are served one at a time, oldest first. One
 * that names the same again is withdrawn: the report on its way answers it. One
 * that a person released goes to the archive as it is, and is answered with the
 * archive's words, unless the archive had been asked before.
 *
 * Own commitment (`commit:` of a route): deliveries that are uncommitted are
 * gathered into requests of our own; each instance is then committed, or sent
 * again when the archive does not have it.
 *
 * Threads: the engine has one of its own, with its own ledger view. Every
 * function may be called from any thread. */
#ifndef PROXY_COMMITMENT_H
#define PROXY_COMMITMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct commitment; /* opaque */
struct config;
struct ledger;
struct spool;

enum { COMMITMENT_WHY_LEN = 256 };

/* What the listener field of the engine's own messages says. */
#define COMMITMENT_LISTENER "@commitment"

struct commitment_options {
	const struct config *config; /* borrowed, as are the next */
	struct spool *spool;
	struct ledger *ledger;
};

/* Start the thread. ERR_NOMEM, ERR_IO; why holds a sentence then. */
enum err commitment_start(const struct commitment_options *options,
			  struct commitment **out,
			  char why[COMMITMENT_WHY_LEN]) MUST_CHECK;

/* End the thread. Reports not yet answered get done(0110) in here: the archive
 * may repeat them; later ones get ERR_CANCELED. Before workers are stopped that
 * done posts to. One thread; again is fine, and NULL. */
void commitment_stop(struct commitment *c);
/* Free what was stopped; before ledger_close() and spool_close(). NULL is
 * fine. */
void commitment_free(struct commitment *c);

/* Look now: something that matters may have happened (a request is durable, a
 * delivery has ended). Cheap; the engine looks by itself now and then. */
void commitment_wake(struct commitment *c);

/* ---- reports ----------------------------------------------------------- */

/* An N-EVENT-REPORT-RQ of the class Storage Commitment Push Model that came
 * from an archive, on an association of ours or of its own. Copied. */
struct commitment_report {
	const uint8_t *data; /* the data set; len at most COMMIT_DATA_MAX */
	size_t len;
	const char *transfer_syntax; /* of the presentation context */
	uint16_t event_type;         /* (0000,1002) */
	const char *from;            /* name of the destination or device */
};

/* status: for the N-EVENT-REPORT-RSP.
 *   0000  durable (or known already): the device will get it
 *   0110  no such transaction here, or not from that peer
 *   0113  no such event type
 *   0115  the data set is no report
 *   0213  cannot be stored now
 * Runs on the engine's thread, exactly once; must be quick (post onward). */
typedef void commitment_done_fn(void *arg, uint16_t status);

/* ERR_BUSY (too many wait), ERR_LIMIT (len), ERR_CANCELED (stopped), ERR_NOMEM:
 * done never runs; answer 0213. */
enum err commitment_report(struct commitment *c,
			   const struct commitment_report *report,
			   commitment_done_fn *done, void *arg) MUST_CHECK;

/* ---- figures ----------------------------------------------------------- */

struct commitment_stats {
	unsigned waiting;   /* requests not yet asked upstream */
	unsigned asked;     /* upstream has still to report */
	uint64_t reported;  /* to devices, since start */
	uint64_t committed; /* instances, own commitment, since start */
	int64_t oldest_ms;  /* receipt of the oldest open one; 0: none */
};

void commitment_stats(struct commitment *c, struct commitment_stats *out);

#endif
