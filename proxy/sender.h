/* sender.h - one line to a destination: an association opened when there is
 * something to send, kept while there is more, released when idle.
 *
 * A sender belongs to one worker and outlives its associations. It takes
 * tasks in order, one request outstanding at a time (PS3.7 annex D.3.3.3: no
 * asynchronous operations without item 53), and reads the next task's bytes
 * meanwhile. Every task given comes back exactly once, by its done.
 *
 * A storage commitment report that the peer sends on the association goes to
 * the commitment engine; any other request of the peer is refused.
 *
 * The functions run on the main loop's thread. */
#ifndef PROXY_SENDER_H
#define PROXY_SENDER_H

#include <stdbool.h>

#include "proxy/lib/err.h"
#include "proxy/net/worker.h"
#include "proxy/reader.h"
#include "proxy/task.h"

struct commitment;
struct destination;
struct lane_note;
struct recent;
struct sender; /* opaque */

/* Borrowed; must outlive the sender. */
struct sender_env {
	struct destination *destination;
	struct worker *worker;
	struct mailbox *main;
	struct reader *reader;
	struct spool *spool;
	struct ledger *ledger;
	struct recent *recent;
	const struct config *site; /* whose devices have limits; NULL: none */
	struct commitment *commitment; /* takes reports; NULL: none do */
	/* Wall clock: what was received before may have been sent before, by a
	 * process that ended without a record of it. */
	int64_t since_ms;
};

/* ERR_NOMEM. No connection is made before the first task. */
enum err sender_new(const struct sender_env *env,
		    struct sender **out) MUST_CHECK;

/* t is the sender's until done. */
void sender_give(struct sender *s, struct task *t);

/* About a task with early set (lane.h); note is the sender's. */
void sender_tell(struct sender *s, struct lane_note *note);

/* End: release the association, or abort it when an instance is outstanding;
 * tasks come back (TASK_RETURNED, the outstanding one FAIL_STOPPED). closed
 * runs once, last, on the main loop; s is freed by then. No sender_give() any
 * more. */
void sender_close(struct sender *s, void (*closed)(void *arg), void *arg);

/* An association is established now. Any thread. */
bool sender_is_open(const struct sender *s);

#endif
