/* series.h - figures over time, from the ledger's rollups. */
#ifndef WEB_STATUS_SERIES_H
#define WEB_STATUS_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/ledger_rollup.h"
#include "web-status/page.h"

/* name, milliseconds, word */
#define SERIES_RANGE_MAP(X)                                                    \
	X("1h", 3600000LL, W_RANGE_1H)                                         \
	X("6h", 6 * 3600000LL, W_RANGE_6H)                                     \
	X("24h", 24 * 3600000LL, W_RANGE_24H)                                  \
	X("7d", 7 * 86400000LL, W_RANGE_7D)                                    \
	X("30d", 30 * 86400000LL, W_RANGE_30D)                                 \
	X("90d", 90 * 86400000LL, W_RANGE_90D)

enum { SERIES_RANGES = 6, SERIES_POINTS_MAX = 2400, SERIES_ROWS_MAX = 72 };

/* The index of ?range=, 0 when it is none of them. */
size_t series_range(const struct web_request *r);
const char *series_range_name(size_t range);
int64_t series_range_ms(size_t range);

struct series_point {
	int64_t seconds; /* the daemon ran, of the step; 0: a gap */
	int64_t in_bytes, out_bytes;
	int64_t queue; /* instances, the highest in the step */
	uint64_t acks[ROLLUP_BOUNDS];
};

struct series {
	int64_t from_ms, step_ms;
	size_t n;
	struct series_point *at; /* series_free() */
};

/* The last range_ms, in at most max_points steps. Errors as ledger_rollup(),
 * ERR_NOMEM. */
enum err series_read(struct ledger_view *v, int64_t range_ms, int64_t now_ms,
		     unsigned max_points, struct series *out) MUST_CHECK;
void series_free(struct series *s);

/* Bits a second over the step. */
uint64_t series_rate(int64_t bytes, int64_t seconds);
/* Upper bound, in microseconds, of the time within which that part (percent)
 * was acknowledged. False: nothing was acknowledged in the step. */
bool series_latency(const struct series_point *s, unsigned percent,
		    uint64_t *us);

/* ---- sums by name ------------------------------------------------------- */

enum { FIGURE_METRICS = 4 };

struct figure {
	char name[33];
	int64_t value[FIGURE_METRICS]; /* in the order asked for; -1: none */
};

struct figures {
	size_t n;
	struct figure *at; /* figures_free() */
};

/* For each name: sums over the time of what is summed, the last of all else.
 * n at most FIGURE_METRICS. Errors as above. */
enum err figures_read(struct ledger_view *v, const enum rollup_metric *metrics,
		      size_t n, int64_t from_ms, int64_t to_ms,
		      struct figures *out) MUST_CHECK;
/* NULL: no such name. */
const struct figure *figure_of(const struct figures *f, const char *name);
void figures_free(struct figures *f);

#endif
