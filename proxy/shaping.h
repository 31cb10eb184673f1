/* shaping.h - the limits of the configuration, hour by hour, in a shaper.
 *
 * One thread at a time, the main loop's; the shaper itself is for all. The
 * limits are copies, so that a reload can replace them. */
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
	SHAPING_SAMPLES = 3,
};

struct shaping_use; /* bytes that have passed at a limit, now and then */

struct shaping {
	const struct config *config;   /* borrowed: names */
	struct zone *zone;             /* NULL: UTC */
	char zone_name[ZONE_NAME_LEN]; /* as configured; "": this machine's */
	struct shaper *shaper;
	/* Of the total, the destinations and the devices, in that order. */
	size_t n;
	struct config_shape *shapes;
	struct shaping_use *uses;
	uint64_t sampled_ns[SHAPING_SAMPLES]; /* the latest first; 0: none */
};

/* Load the time zone and make a shaper, in which no limit stands yet.
 *
 *   ERR_NOMEM
 *   ERR_INVAL  time_zone cannot be used; why says so, with the remedy */
enum err shaping_begin(const struct config *config, struct shaping *out,
		       char why[SHAPING_WHY_LEN]) MUST_CHECK;
/* Fine for a zeroed one. */
void shaping_end(struct shaping *s);

/* Take up limits, hours and time zone of another configuration, by the names of
 * destinations and devices: those that it does not have keep what they have,
 * those that are not in s->config are passed over. shaping_apply() puts them in
 * force. fresh is not needed any more after the call. On an error nothing has
 * changed. Errors as shaping_begin(). */
enum err shaping_take(struct shaping *s, const struct config *fresh,
		      char why[SHAPING_WHY_LEN]) MUST_CHECK;

/* Set every limit as the wall clock has it now (ms since the epoch), if it
 * differs from the one that stands; log what changes. Returns in how many ms
 * to do so again, 1 to SHAPING_LOOK_MS. */
uint64_t shaping_apply(struct shaping *s, int64_t wall_ms, uint64_t mono_ns);

/* The burst for a limit that is in force: the configured one, or else one that
 * follows from it. */
uint64_t shaping_burst(const struct config_shape *shape, uint64_t limit);

/* ---- what it looks like -------------------------------------------------- */

/* Note what has passed: every few seconds. */
void shaping_sample(struct shaping *s, uint64_t mono_ns);

struct shaping_report {
	enum shaper_level level;
	const char *name; /* borrowed; "" for the total */
	uint64_t limit;   /* bits per second now; 0: none at this hour */
	uint64_t burst;   /* bytes; 0 with limit 0 */
	/* The entry of the timetable that counts; NULL: none. Borrowed, until
	 * the next shaping_take(). */
	const struct config_hours *entry;
	int64_t next_s;      /* when the limit changes, since the epoch; 0:
				not in the year ahead */
	uint64_t next_limit; /* to what; 0: none */
	char next[24];       /* as the site's clock shows it, "2026-05-04
				19:00"; "" with next_s 0 */
	uint64_t out, in;    /* bits per second over the last samples */
};

/* When the day began where the hours count, both ms since the epoch. */
int64_t shaping_day(const struct shaping *s, int64_t wall_ms);

/* "total", "destination", "device". */
const char *shaping_level_name(enum shaper_level level);

/* The first place from *at on (0 to begin with) where a limit is configured,
 * for some hour at least. Moves *at behind it. False: there is none. */
bool shaping_report(const struct shaping *s, size_t *at, int64_t wall_ms,
		    struct shaping_report *out);

#endif
