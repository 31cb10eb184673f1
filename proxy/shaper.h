/* shaper.h - who may send, and how much, so that no limit is exceeded.
 *
 * A limit stands at each of: the total, every destination, every device, and
 * at each for both ways, out and in. What passes for a device to a destination
 * passes all three. Whoever sends asks for a slice, of at most SHAPER_SLICE_MS
 * of the slowest limit on its way and not less than a frame; when there is
 * none it is told how long to sleep, and asks again.
 *
 *   live    is counted and never waits: others make room for it
 *   urgent  goes before bulk
 *   bulk    leaves the reserve, a share of each burst, to the two above
 *
 * Within a class the one that has waited longest is next. Nobody starves:
 * where no bulk has passed for SHAPER_STARVE frame times, one frame of it goes
 * next, whatever waits, so that it has about a sixteenth of the limit.
 *
 * Without live traffic, in any stretch of time, no more passes than the limit
 * allows for it and one burst.
 *
 * Pure but for one mutex, held for moments: the caller has the clock, which is
 * monotonic nanoseconds. Any thread, unless a client is named: its owner's.
 * Where no limit stands asking costs a look at three numbers. */
#ifndef PROXY_SHAPER_H
#define PROXY_SHAPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"

enum {
	SHAPER_FRAME = 16 * 1024,     /* bytes: least that a burst must hold */
	SHAPER_SLICE_MS = 10,         /* most that is granted at once */
	SHAPER_SLEEP_MS = 25,         /* longest sleep: limits may change */
	SHAPER_ABSENT_MS = 20,        /* late by that: others need not wait */
	SHAPER_STARVE = 16,           /* frame times */
	SHAPER_BURST_MIN = 32 * 1024, /* bytes */
};

enum shaper_way { SHAPER_OUT, SHAPER_IN, SHAPER_WAYS };

enum shaper_class { SHAPER_LIVE, SHAPER_URGENT, SHAPER_BULK };

enum shaper_level { SHAPER_TOTAL, SHAPER_DESTINATION, SHAPER_DEVICE };

struct shaper; /* opaque */

/* No limit stands anywhere. ERR_NOMEM. */
enum err shaper_new(size_t n_destinations, size_t n_devices,
		    struct shaper **out) MUST_CHECK;
/* No client may use it any more. NULL is fine. */
void shaper_free(struct shaper *s);

struct shaper_limit {
	uint64_t rate;    /* bits per second; 0: none */
	uint64_t burst;   /* bytes; SHAPER_BURST_MIN at least */
	unsigned reserve; /* percent of burst; cut so that a frame fits */
};

/* Set the limit of both ways at a level, index as in the configuration (0 for
 * the total). It holds for the next byte. False: that one stood already. */
bool shaper_set(struct shaper *s, enum shaper_level level, size_t index,
		struct shaper_limit limit, uint64_t now_ns);
/* Bytes that have passed there, counted where a limit stood. */
uint64_t shaper_passed(struct shaper *s, enum shaper_way way,
		       enum shaper_level level, size_t index);

/* Whether a limit stands on the way to a destination now. s NULL: none. */
bool shaper_limits(struct shaper *s, size_t destination);

/* Whoever sends or receives: a sender, a leg, an association. */
struct shaper_client {
	struct shaper *shaper;        /* NULL: nothing is limited */
	struct shaper_node *path[3];  /* NULL: not on its way */
	struct shaper_node *waits_at; /* NULL: it does not wait */
	struct list node;             /* in its queue */
	enum shaper_class class_;
	uint64_t ticket;   /* order of arrival */
	uint64_t since_ns; /* waits since */
	uint64_t due_ns;   /* will ask again */
	uint64_t need;     /* bytes it waits for */
	uint64_t owed;     /* bytes that came and are not counted yet */
};

#define SHAPER_NONE SIZE_MAX

/* From or to destination, for device; SHAPER_NONE: for none. Only what belongs
 * to a destination belongs to the total. s NULL: never limited. */
void shaper_join(struct shaper_client *c, struct shaper *s, enum shaper_way way,
		 size_t destination, size_t device);
/* It goes, or turns to another device (shaper_join() follows). Idempotent;
 * fine for a zeroed one. */
void shaper_leave(struct shaper_client *c);

/* Whether any limit stands in its way now. No lock. */
bool shaper_is_limited(const struct shaper_client *c);

/* Ask to send want > 0 bytes of that class. Returns how many of them may be
 * sent now, which are then spent. 0: *wait_ns is how long to sleep before it
 * asks again; until then it keeps its place. All of want when no limit stands,
 * and for live. Less than a frame only if want is. */
size_t shaper_take(struct shaper_client *c, enum shaper_class class_,
		   size_t want, uint64_t now_ns, uint64_t *wait_ns);
/* n bytes of the last grant were not sent. */
void shaper_return(struct shaper_client *c, size_t n);

/* For bytes that are here already (read from a socket): n of them are owed, and
 * paid as the limit allows. Returns for how many ns nothing more should be read
 * so that it holds, SHAPER_SLEEP_MS at most; ask again then, with n 0. */
uint64_t shaper_count(struct shaper_client *c, size_t n, uint64_t now_ns);

#endif
