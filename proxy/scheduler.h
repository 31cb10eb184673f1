/* scheduler.h - what is sent next, where, and when again.
 *
 * One thread, the main loop's, decides for all destinations. Of each it holds
 * a bounded window of queued deliveries, filled from the ledger; N senders a
 * destination work through it. The ledger is the truth: after a restart
 * everything begins again from it.
 *
 * Order: priority (device rule, then DICOM priority), then age, with aging,
 * so that nothing starves. One SOP Instance UID is never sent twice at once
 * to one destination and keeps its arrival order. A study's instances prefer
 * one association.
 *
 * Cut-through (early.h): a long instance that still comes in may begin to
 * travel on a line that has nothing else to do; its end waits until it is whole
 * and its delivery's turn has come.
 *
 * All functions run on the main loop's thread unless they say otherwise. */
#ifndef PROXY_SCHEDULER_H
#define PROXY_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/link/link_sender.h"

struct capabilities;
struct commitment;
struct config;
struct destination;
struct early_desk;
struct ledger;
struct mailbox;
struct scheduler; /* opaque */
struct spool;
struct transfer_id;
struct uv_loop_s;
struct worker;

enum { SCHEDULER_WHY_LEN = 768 };

/* Everything is borrowed and must outlive the scheduler. */
struct scheduler_options {
	struct uv_loop_s *loop;  /* the main loop */
	struct mailbox *mailbox; /* the main loop's */
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct commitment *commitment; /* takes reports; NULL: none do */
	struct early_desk *early; /* long instances that come in; or NULL */
	/* By the index in config, from destinations_open(). */
	struct destination *const *destinations;
	struct worker *const *workers; /* senders live on these */
	size_t n_workers;
	unsigned reader_threads; /* spool readers; 0: 2 */
};

/* Build the senders of every destination of the configuration, ask the ledger
 * for what is queued, start probing. ERR_NOMEM, ERR_IO.
 *
 * why: a line for a person, always set on failure. */
enum err scheduler_start(const struct scheduler_options *opt,
			 struct scheduler **out,
			 char why[SCHEDULER_WHY_LEN]) MUST_CHECK;

/* The ledger has queued something for this destination. Any thread; cheap,
 * hints are merged. */
void scheduler_queued(struct scheduler *s, const char *destination);

/* Every few seconds, on the main loop: what is through goes on record. */
void scheduler_tick(struct scheduler *s);

/* Send no more; wait at most grace_ms for what is being sent, then abort it
 * (it stays queued); free everything. stopped runs once, last, on the main
 * loop; s is freed by then. */
typedef void scheduler_stopped_fn(void *arg);
void scheduler_stop(struct scheduler *s, uint64_t grace_ms,
		    scheduler_stopped_fn *stopped, void *arg);

/* ---- what an operator does ----------------------------------------------
 *
 * Each writes an outcome record and the ledger; the caller writes the audit
 * row. The state shown follows within a second. A delivery that is being
 * sent at that moment is finished first: ERR_BUSY. */

/* What an order speaks of. transfer NULL: every delivery of the destination
 * that the order fits. destination NULL: every destination of transfer. At
 * least one is given. */
struct scheduler_scope {
	const char *destination;
	const struct transfer_id *transfer;
};

/* done runs once, on the main loop, maybe before the call returns: how many
 * deliveries the order reached. */
typedef void scheduler_done_fn(void *arg, enum err e, uint64_t n);

/* Errors, given to done: ERR_NOTFOUND (no such destination or delivery, or
 * none that the order fits), ERR_BUSY, ERR_NOMEM, ERR_IO. */

/* Try quarantined, held and backing-off ones again, now. */
void scheduler_retry(struct scheduler *s, struct scheduler_scope what,
		     scheduler_done_fn *done, void *arg);
/* Keep from being sent until released. A whole destination: it stops
 * sending and says so in its status. */
void scheduler_hold(struct scheduler *s, struct scheduler_scope what,
		    scheduler_done_fn *done, void *arg);
void scheduler_release(struct scheduler *s, struct scheduler_scope what,
		       scheduler_done_fn *done, void *arg);
/* Give up, by order of an operator: the bytes go when no other destination
 * needs them. */
void scheduler_discard(struct scheduler *s, struct scheduler_scope what,
		       scheduler_done_fn *done, void *arg);
/* Send to another destination instead. ERR_INVAL: unknown or the same. */
void scheduler_redirect(struct scheduler *s, struct scheduler_scope what,
			const char *to, scheduler_done_fn *done, void *arg);

/* ---- what is going on ----------------------------------------------------
 */

enum destination_state {
	DESTINATION_IDLE,     /* nothing to send */
	DESTINATION_SENDING,  /* at least one instance on its way */
	DESTINATION_WAITING,  /* queued, an association is being opened */
	DESTINATION_BACKOFF,  /* not before until_ms */
	DESTINATION_HELD,     /* every queued one is held: see held_why */
	DESTINATION_OPERATOR, /* held by an operator */
	DESTINATION_STOPPED,  /* shutting down */
	DESTINATION_NSTATES
};

struct destination_status {
	char name[33];
	char protocol[16]; /* "dicom-tls", "dicom", "directory" */
	char endpoint[280];
	enum destination_state state;
	uint64_t queued;         /* as the ledger counts; includes in flight */
	uint64_t held;           /* of them, waiting for a context or pair */
	uint32_t in_flight;      /* given to senders */
	uint32_t associations;   /* open now */
	uint32_t retrying;       /* of the window, backing off on their own */
	int64_t until_wall_ms;   /* DESTINATION_BACKOFF; else 0 */
	int64_t success_wall_ms; /* last delivery, 0 never */
	int64_t error_wall_ms;   /* last failure, 0 never */
	uint64_t delivered, delivered_bytes; /* since start */
	uint64_t failures;                   /* attempts since start */
	char error[512]; /* the last failure: cause and remedy; "" none */
	char held_why[512];
	bool is_link;
	struct link_sender_status link; /* is_link */
	uint64_t arrived; /* is_link: in the far spool, not delivered */
	bool alert;       /* needs a person: error or held_why says what */
};

/* Copy the status of destination i (0..n-1, in the configuration's order).
 * false: no such i. */
bool scheduler_status(struct scheduler *s, size_t i,
		      struct destination_status *out) MUST_CHECK;

const char *destination_state_name(enum destination_state st);

#endif
