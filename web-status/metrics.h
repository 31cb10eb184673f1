/* metrics.h - the daemon's status as metrics: one text for Prometheus and what
 * reads like it.
 *
 * Two formats of the same: OpenMetrics 1.0, for whoever accepts
 * application/openmetrics-text, and the plain text of Prometheus (version
 * 0.0.4), for node_exporter's textfile collector and promtool. Names are
 * culvert_*, in base units: seconds, bytes. Labels are names of the
 * configuration only (destination, device, certificate's use): how many series
 * there are is bounded by it. No patient data, no UID, no address.
 *
 * Pure; any thread. */
#ifndef WEB_STATUS_METRICS_H
#define WEB_STATUS_METRICS_H

#include "proxy/lib/buf.h"
#include "proxy/lib/err.h"

struct json_t;

enum metrics_format { METRICS_TEXT, METRICS_OPEN };

/* For Content-Type. */
#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPEN_TYPE                                                      \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"

enum { METRICS_MAX = 8 * 1024 * 1024 };

/* The format for an Accept header; NULL: none came. */
enum metrics_format metrics_format_for(const char *accept);

/* status: the answer to {"op":"status"}, or NULL: the daemon does not answer,
 * and only culvert_up 0 is said. What is missing in it is left out. Appends to
 * out. ERR_LIMIT: out is full; ERR_NOMEM. */
enum err metrics_render(const struct json_t *status, enum metrics_format format,
			struct buf *out) MUST_CHECK;

#endif
