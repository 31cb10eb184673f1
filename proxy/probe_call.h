/* probe_call.h - a probe (probe.h) for owners on the main loop: it lives on a
 * worker, and its end is told on the main loop. One at a time, again and
 * again. Main loop's thread, but for pair. */
#ifndef PROXY_PROBE_CALL_H
#define PROXY_PROBE_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/net/mailbox.h"
#include "proxy/probe.h"

/* Embedded in its owner, which sets the first part and keeps it still while
 * asking; the rest begins as zeros. */
struct probe_call {
	struct mailbox *main;
	struct worker *const *workers; /* the least loaded one is taken */
	size_t n_workers;
	/* As probe_events.pair, on the worker's thread. NULL: not wanted. */
	void (*pair)(struct probe_call *c, const struct capability_pair *p,
		     bool accepted);
	/* The end, once for each start that returned true. */
	void (*done)(struct probe_call *c);

	/* The result, from done on. */
	bool answered, echoed;
	char error[512]; /* the last step that failed: cause and remedy */

	/* Its own. */
	bool asking;
	struct worker *worker;
	struct probe_request request;
	struct probe *probe; /* worker's thread only */
	bool canceled;       /* worker's thread only */
	struct msg msg, cancel_msg;
	bool canceling; /* cancel_msg is on its way */
};

/* Ask. What r points to is borrowed until done; its worker is not looked at.
 * False: the workers stop, nothing was begun. */
bool probe_call_start(struct probe_call *c, const struct probe_request *r);

/* End it soon, for good; done still comes if it is asking. */
void probe_call_cancel(struct probe_call *c);

#endif
