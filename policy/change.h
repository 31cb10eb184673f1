/* change.h - what differs between two configurations, option by option. */
#ifndef POLICY_CHANGE_H
#define POLICY_CHANGE_H

#include <stdbool.h>

#include "policy/config.h"

enum { CHANGE_TEXT_LEN = 128, CHANGE_PATH_LEN = 128 };

/* One option that is not the same. Listeners, devices and destinations are
 * matched by name; one that was added or removed is one change of its own
 * ("devices.ct2"), and routes are one all together. Texts as in the file, cut
 * to fit, "" where nothing stands. */
struct config_change {
	char path[CHANGE_PATH_LEN]; /* "destinations.cloud.rate.limit" */
	bool live;                  /* a reload takes it up */
	char before[CHANGE_TEXT_LEN];
	char after[CHANGE_TEXT_LEN];
};

typedef void config_change_fn(void *arg, const struct config_change *c);

/* Call fn for each, in the order of the reference. ERR_NOMEM: not all were
 * found. Pure; any thread. */
enum err config_changes(const struct config *before, const struct config *after,
			config_change_fn *fn, void *arg) MUST_CHECK;

/* Index in `in` of what is number i in `of`, by name; -1: not there. Quick
 * where it stands at the same place. */
int change_listener(const struct config *in, const struct config *of, size_t i);
int change_device(const struct config *in, const struct config *of, size_t i);
int change_destination(const struct config *in, const struct config *of,
		       size_t i);

#endif
