/* task.h - one delivery on its way from the scheduler through a sender and
 * back. The scheduler makes and frees it; a sender has it in between. */
#ifndef PROXY_TASK_H
#define PROXY_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/lib/list.h"
#include "proxy/net/mailbox.h"
#include "proxy/outcome.h"
#include "store/ledger.h"

/* It goes before others on a line that is limited: a message, or an instance of
 * a device with priority high or stat. */
static inline bool task_is_urgent(const struct ledger_item *li)
{
	return instance_is_message(li->command) ||
	       li->priority >= 4 * (int)CONFIG_PRIORITY_HIGH;
}

enum task_end {
	TASK_ANSWERED,   /* verdict speaks of this instance */
	TASK_NOT_OPENED, /* no association: verdict speaks of the destination */
	TASK_RETURNED,   /* not begun, nothing to say: give it out again */
	TASK_ARRIVED,    /* a link: it is in the far spool, and that is written
			  * down; there is nothing more to do here */
	TASK_WITHDRAWN,  /* a link: as an operator said, who wrote it down */
};

struct task {
	struct msg msg;   /* its way between threads */
	struct list node; /* in the sender's queue */
	void *lane;       /* the scheduler's */
	void *owner;      /* the sender, for msg on the way out */
	/* Runs on the main loop when the sender is done with it. */
	void (*done)(struct msg *m);

	struct ledger_item item;
	char calling_ae[17], called_ae[17]; /* as used there */

	/* Cut-through: the instance still comes in, and item.delivery, length
	 * and chunks are not known; item.chunks counts those that may be sent.
	 * Cleared by lane_note.whole: from then on it is like any other.
	 * Coming back with early set it says nothing of the instance. */
	bool early;
	uint64_t flight;    /* the scheduler's; 0: it is an ordinary one */
	uint64_t ask_at_ns; /* the sender's: monotonic, for more of it */

	/* The sender's. */
	uint64_t given_ns; /* monotonic */
	uint32_t next;     /* chunk to be sent next */
	struct place *places;
	uint32_t places_first, n_places;
	bool places_asked;     /* an answer of the ledger is awaited */
	bool places_stale;     /* even chunk 0 is to be asked for */
	uint32_t failed_index; /* chunk whose read failed once, plus 1 */

	/* The result. */
	enum task_end end;
	struct verdict verdict;
	uint64_t wait_ms;             /* not again before; 0: as you like */
	uint64_t association;         /* outbound, of the ledger; 0 none */
	char detail[LEDGER_TEXT_LEN]; /* "" or more than the verdict says */
};

#endif
