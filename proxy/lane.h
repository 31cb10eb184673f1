/* lane.h - one of the parallel ways to a destination, as the scheduler sees
 * it: a sender (dicom, dicom-tls) or a writer of files (directory).
 *
 * Main loop's thread. */
#ifndef PROXY_LANE_H
#define PROXY_LANE_H

#include <stdbool.h>

#include "proxy/lib/err.h"
#include "proxy/task.h"

struct lane_ops {
	/* t is the lane's until its done. */
	void (*give)(void *lane, struct task *t);
	/* Tasks come back soon; then closed runs, once, and the lane is gone.
	 */
	void (*close)(void *lane, void (*closed)(void *arg), void *arg);
	/* Connected to the destination now. */
	bool (*is_open)(const void *lane);
};

#endif
