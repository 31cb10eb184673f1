/* ledger_rollup.h - figures over time: a sample each ten seconds, summed up for
 * minutes, ten minutes and hours, each level kept as long as it is useful.
 *
 * A sample is one row, however many values it has: a page write each ten
 * seconds. Nothing is kept in memory: the coarser rows are made from the finer
 * ones, so that a restart loses nothing. */
#ifndef STORE_LEDGER_ROLLUP_H
#define STORE_LEDGER_ROLLUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/ledger_view.h"

/* How values of one step become the value of a longer one. A sum that is left
 * out is 0; any other value that is left out was not known. */
enum rollup_kind {
	ROLLUP_SUM,  /* of the step: bytes, counts */
	ROLLUP_MAX,  /* the highest */
	ROLLUP_MEAN, /* of those known */
	ROLLUP_LAST, /* at the end of the step */
};

/* number, name, how, of what (its name in the sample). The numbers stand in the
 * database: never renumber, below 64. */
#define ROLLUP_MAP(X)                                                          \
	X(0, SECONDS, SUM, "")              /* the daemon ran */               \
	X(1, SPOOL_USED, MAX, "")           /* bytes */                        \
	X(2, SPOOL_QUOTA, LAST, "")         /* bytes */                        \
	X(3, ASSOCIATIONS, MAX, "")         /* inbound ones open */            \
	X(4, REFUSALS, SUM, "")             /* associations and connections */ \
	X(5, ACK_BUCKET, SUM, "bound")      /* acknowledgements; see below */  \
	X(6, ACK_US, SUM, "")               /* microseconds, of all of them */ \
	X(8, OUT_BYTES, SUM, "destination") /* delivered */                    \
	X(9, OUT_INSTANCES, SUM, "destination") /* delivered */                \
	X(10, FAILURES, SUM, "destination")     /* attempts */                 \
	X(11, QUEUE_COUNT, MAX, "destination")                                 \
	X(12, QUEUE_BYTES, MAX, "destination")                                 \
	X(13, QUEUE_AGE_MS, MAX, "destination") /* of the oldest */            \
	X(14, LIMIT, LAST, "destination")       /* bits a second; 0: none */   \
	X(15, RTT_US, MEAN, "destination")                                     \
	X(16, RETRANSMITS, SUM, "destination") /* TCP segments */              \
	X(17, LINE, MEAN, "destination")       /* bits a second on the line */ \
	X(24, IN_BYTES, SUM, "device")                                         \
	X(25, IN_INSTANCES, SUM, "device")                                     \
	X(26, IN_ASSOCIATIONS, SUM, "device")                                  \
	X(27, IN_REFUSALS, SUM, "device")

enum rollup_metric {
#define X(number, name, how, of) ROLLUP_##name = (number),
	ROLLUP_MAP(X)
#undef X
};
#define ROLLUP_BIT(metric) (1ULL << (metric))

enum rollup_kind rollup_kind_of(enum rollup_metric m);

/* Time from the last byte of an instance to its acknowledgement: upper bounds
 * of the buckets in microseconds, and as text in seconds (the name of a value
 * of ROLLUP_ACK_BUCKET, as OpenMetrics' le). Not cumulative. */
#define ROLLUP_BOUND_MAP(X)                                                    \
	X(1000, "0.001")                                                       \
	X(2500, "0.0025")                                                      \
	X(5000, "0.005")                                                       \
	X(10000, "0.01")                                                       \
	X(25000, "0.025")                                                      \
	X(50000, "0.05")                                                       \
	X(100000, "0.1")                                                       \
	X(250000, "0.25")                                                      \
	X(500000, "0.5")                                                       \
	X(1000000, "1.0")                                                      \
	X(2500000, "2.5")                                                      \
	X(5000000, "5.0")                                                      \
	X(10000000, "10.0")                                                    \
	X(UINT64_MAX, "+Inf")
enum { ROLLUP_BOUNDS = 14 };
extern const uint64_t rollup_bound_us[ROLLUP_BOUNDS];
extern const char *const rollup_bound_text[ROLLUP_BOUNDS];
/* The first bucket that holds us. */
unsigned rollup_bucket(uint64_t us);

/* ---- posting ------------------------------------------------------------ */

enum { SAMPLE_MAX = 8192, SAMPLE_STEP_MS = 10000 };

struct sample_value {
	enum rollup_metric metric;
	char name[33]; /* of the destination, device or bound; else "" */
	int64_t value; /* never negative */
};

/* What was since the sample before (sums) or is now. */
struct ledger_sample {
	int64_t at_ms; /* the end of the step */
	size_t n;      /* at most SAMPLE_MAX */
	const struct sample_value *values;
};

/* Copies; any thread; never blocks. Each pair of metric and name once. Dropped
 * when a quarter of the queue of posts waits. */
void ledger_sample(struct ledger *l, const struct ledger_sample *s);

/* ---- reading ------------------------------------------------------------ */

/* number, name, step in ms, kept for so long in ms */
#define ROLLUP_LEVEL_MAP(X)                                                    \
	X(0, SECONDS_10, 10000LL, 3 * 3600000LL)                               \
	X(1, MINUTE, 60000LL, 3 * 86400000LL)                                  \
	X(2, MINUTES_10, 600000LL, 14 * 86400000LL)                            \
	X(3, HOUR, 3600000LL, 400 * 86400000LL)

enum rollup_level {
#define X(number, name, step, kept) ROLLUP_##name = (number),
	ROLLUP_LEVEL_MAP(X)
#undef X
};
enum { ROLLUP_LEVELS = 4 };

int64_t rollup_step_ms(enum rollup_level level);
int64_t rollup_kept_ms(enum rollup_level level);
/* The finest level that is still kept at from_ms, and has at most max_points
 * steps from there to to_ms. */
enum rollup_level rollup_level_for(int64_t from_ms, int64_t to_ms,
				   int64_t now_ms, unsigned max_points);

struct rollup_point {
	int64_t at_ms; /* the step begins; a multiple of its length */
	enum rollup_metric metric;
	const char *name; /* "" where the metric has none */
	int64_t value;
};
typedef bool rollup_point_fn(void *arg, const struct rollup_point *p);

/* Every point of the metrics (ROLLUP_BIT() of each) and of name (NULL: of any)
 * whose step begins in [from_ms, to_ms), by time. The last step may not be over
 * yet. A step that has no ROLLUP_SECONDS point is a gap: the daemon was down.
 * A step whose seconds are fewer than its length was sampled in part. The
 * images of a day are the sum of ROLLUP_IN_INSTANCES since its midnight, in
 * whose zone ever. */
enum err ledger_rollup(struct ledger_view *v, uint64_t metrics,
		       const char *name, enum rollup_level level,
		       int64_t from_ms, int64_t to_ms, rollup_point_fn *fn,
		       void *arg) MUST_CHECK;

#endif
