/* ledger_origin.h - what became of the instances that came over a link.
 *
 * The receiving end of a link asks by the name that the sender gave an instance
 * (its origin: whose it was and its id there), and is told when there is
 * something to tell the sender.
 *
 * An instance of that origin is
 *   DELIVERED  when each of its deliveries is delivered or committed, or was
 *              redirected and so is at its target;
 *   STUCK      when one is quarantined, held or discarded;
 *   NONE       when one was withdrawn and not redirected: whoever received the
 *              instance took it back, as if it had never come;
 *   ARRIVED    else: on its way to somebody.
 * Of several instances of one origin the newest counts.
 *
 * The answers come from the ledger, so they are as late as it is: an instance
 * that was finished in the spool is here after the next ledger_barrier().
 *
 * What was noted is not kept in the spool: a ledger that was rebuilt tells of
 * everything again, and knows no more of those whose records were recycled.
 *
 * Threads: as ledger.h. */
#ifndef STORE_LEDGER_ORIGIN_H
#define STORE_LEDGER_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/instance.h"
#include "store/ledger.h"

enum { LEDGER_ORIGINS_MAX = 1000, LEDGER_OWNER_LEN = 32 };

/* The numbers stand in the database: never renumber. */
enum origin_state {
	ORIGIN_NONE = 0, /* nothing is known of it */
	ORIGIN_ARRIVED = 1,
	ORIGIN_DELIVERED = 2,
	ORIGIN_STUCK = 3
};

/* Why it does not go on. The numbers are those of UNDELIVERED in
 * proxy/link/PROTOCOL.md. */
enum origin_stuck {
	ORIGIN_STUCK_NOT = 0,
	ORIGIN_STUCK_RETRYING = 1, /* state ARRIVED: an attempt failed */
	ORIGIN_STUCK_HELD = 2,
	ORIGIN_STUCK_QUARANTINED = 3,
	ORIGIN_STUCK_DISCARDED = 4
};

struct ledger_origin {
	struct instance_origin origin;
	enum origin_state state;
	/* The rest is zero for ORIGIN_NONE. */
	uint64_t seq;                /* spool sequence of its final record */
	struct transfer_id transfer; /* its name here */
	uint64_t length;
	uint32_t chunks;
	uint8_t root[32];
	uint8_t stuck;   /* enum origin_stuck */
	uint16_t status; /* DICOM, of the first destination that answered
			  * (delivered) or that is stuck; 0: none */
	bool flagged;    /* delivered, with a warning */
	int64_t at_ms;   /* the last change of a delivery; wall */
	char text[LEDGER_TEXT_LEN]; /* stuck: why; else "" */
	bool noted;
};

/* e: OK; CANCELED (closing); IO (database: try again); NOMEM. v, n of them, is
 * valid during the call. Runs on the ledger thread. */
typedef void ledger_origins_fn(void *arg, enum err e,
			       const struct ledger_origin *v, size_t n);

/* Ask for n origins (at most LEDGER_ORIGINS_MAX; copied). The answer has one
 * for each, in their order, ORIGIN_NONE for those not known.
 *
 * ERR_INVAL, ERR_BUSY (queue full), ERR_NOMEM: fn never runs; else it runs
 * exactly once. */
enum err ledger_origins(struct ledger *l, const struct instance_origin *v,
			size_t n, ledger_origins_fn *fn, void *arg) MUST_CHECK;

/* Those of an owner that are delivered or stuck and were not noted, in order of
 * seq, above after_seq, up to max (1..LEDGER_ORIGINS_MAX). Fewer than max: that
 * was all; else go on with the seq of the last one. Errors as above. */
enum err ledger_origins_told(struct ledger *l,
			     const uint8_t owner[LEDGER_OWNER_LEN],
			     uint64_t after_seq, size_t max,
			     ledger_origins_fn *fn, void *arg) MUST_CHECK;

/* The sender knows that these (n at most LEDGER_ORIGINS_MAX; copied) are
 * delivered: they are not told again. Posted (see ledger.h): may be dropped
 * when the queue is half full; then the sender is told once more. Those that
 * are not delivered are left as they are. */
void ledger_origin_noted(struct ledger *l, const struct instance_origin *v,
			 size_t n);

#endif
