/* lane.h - one of the parallel ways to a destination, as the scheduler sees
 * it: a sender (dicom, dicom-tls), a writer of files (directory), or a link.
 *
 * Main loop's thread. */
#ifndef PROXY_LANE_H
#define PROXY_LANE_H

#include <stdbool.h>

#include "proxy/lib/err.h"
#include "proxy/task.h"

/* About a task with early set (task.h): its instance is whole, or it is to be
 * given back. Made with mem_zalloc(); the lane frees it. It may come when the
 * task has gone back already: then it means nothing. */
struct lane_note {
	struct msg msg;  /* the lane's */
	void *owner;     /* the lane's */
	uint64_t flight; /* task.flight of the one meant */
	bool whole;      /* item is all that is known now; else: back with it */
	struct ledger_item item;
};

struct lane_ops {
	/* t is the lane's until its done. */
	void (*give)(void *lane, struct task *t);
	/* Tasks come back soon; then closed runs, once, and the lane is gone.
	 */
	void (*close)(void *lane, void (*closed)(void *arg), void *arg);
	/* Connected to the destination now. */
	bool (*is_open)(const void *lane);
	/* NULL: no early tasks are taken. */
	void (*tell)(void *lane, struct lane_note *note);
};

#endif
