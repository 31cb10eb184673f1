/* shaping.h - the limits of the configuration, hour by hour, in a shaper.
 *
 * One thread at a time, the main loop's; the shaper itself is for all. */
#ifndef PROXY_SHAPING_H
#define PROXY_SHAPING_H

#include <stdint.h>

#include "policy/config.h"
#include "policy/zone.h"
#include "proxy/shaper.h"

enum {
	SHAPING_WHY_LEN = 256,
	SHAPING_BURST_MS = 20,           /* of the limit, unless configured */
	SHAPING_BURST_LEAST = 64 * 1024, /* bytes; likewise */
	SHAPING_LOOK_MS = 60 * 1000,     /* longest: the clock may be set */
};

struct shaping {
	const struct config *config; /* borrowed */
	struct zone *zone;           /* NULL: UTC; no hours are configured */
	struct shaper *shaper;
};

/* Load the time zone and make a shaper, in which no limit stands yet.
 *
 *   ERR_NOMEM
 *   ERR_INVAL  time_zone cannot be used; why says so, with the remedy */
enum err shaping_begin(const struct config *config, struct shaping *out,
		       char why[SHAPING_WHY_LEN]) MUST_CHECK;
/* Fine for a zeroed one. */
void shaping_end(struct shaping *s);

/* Set every limit as the wall clock has it now (ms since the epoch), if it
 * differs from the one that stands; log what changes. Returns in how many ms
 * to do so again, 1 to SHAPING_LOOK_MS. */
uint64_t shaping_apply(struct shaping *s, int64_t wall_ms, uint64_t mono_ns);

/* The burst for a limit that is in force: the configured one, or else one that
 * follows from it. */
uint64_t shaping_burst(const struct config_shape *shape, uint64_t limit);

#endif
