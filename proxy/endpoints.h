/* endpoints.h - which endpoint of a destination comes next: order or weights,
 * and a circuit breaker for each.
 *
 *            breaker.failures back to back
 *   CLOSED ---------------------------------> OPEN <---------.
 *      ^                                        | pause      | the attempt
 *      |          the attempt answers           v            | fails
 *      '-------------------------------- HALF-OPEN ----------'
 *
 * Pure: the caller brings the time (monotonic ms) and the lock. */
#ifndef PROXY_ENDPOINTS_H
#define PROXY_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/destination.h"
#include "proxy/lib/err.h"

struct endpoint {
	uint32_t weight;
	int64_t credit;     /* of the weighted turn */
	uint32_t failures;  /* back to back */
	bool open, trial;   /* trial: open, and one attempt is under way */
	uint64_t until_ms;  /* after a failure: comes last, or not at all */
	uint64_t opened_ms; /* open: since when */
	uint64_t echo_ms;   /* when to ask it for an echo */
	uint64_t picked;
	/* For people. */
	int64_t answered_wall_ms, failed_wall_ms, echoed_wall_ms;
	char why[512];
};

struct endpoints {
	size_t n;
	bool weighted;
	uint32_t failures;    /* that open a circuit */
	uint64_t pause_ms;    /* open that long */
	uint64_t trial_ms;    /* an attempt may take that long */
	uint64_t interval_ms; /* of echoes; 0: never */
	struct endpoint *v;
};

/* ERR_NOMEM. As c says; c is not kept. */
enum err endpoints_new(const struct config_destination *c, uint64_t now_ms,
		       struct endpoints **out) MUST_CHECK;
void endpoints_free(struct endpoints *e); /* NULL is fine */

/* As destination_available(), destination_pick(). */
bool endpoints_available(const struct endpoints *e, uint64_t now_ms);
size_t endpoints_pick(struct endpoints *e, struct destination_round *round,
		      uint64_t now_ms);

/* What a mark has changed. */
enum endpoint_change { ENDPOINT_SAME, ENDPOINT_DOWN, ENDPOINT_UP };
enum endpoint_change endpoints_mark(struct endpoints *e, size_t i, bool failed,
				    uint64_t now_ms);

enum circuit endpoints_circuit(const struct endpoints *e, size_t i,
			       uint64_t now_ms);

/* How long until endpoint i should be asked for an echo, ms; UINT64_MAX:
 * never. After silence of the interval; sooner when it failed, first after
 * two seconds. */
uint64_t endpoints_echo_in(const struct endpoints *e, size_t i,
			   uint64_t now_ms);

#endif
