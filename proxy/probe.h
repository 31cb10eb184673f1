/* probe.h - one association that asks: what is accepted, does C-ECHO answer.
 *
 * Lives on one worker and is used on its thread; every step is told, and done
 * comes last. */
#ifndef PROXY_PROBE_H
#define PROXY_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/dicom/assoc.h"
#include "proxy/net/worker.h"

struct probe; /* opaque */

struct probe_events {
	/* A step ended. NULL: not wanted. As destination_step_fn. */
	void (*step)(void *arg, bool ok, const char *step, const char *text);
	/* A proposed pair was answered. NULL: not wanted. */
	void (*pair)(void *arg, const struct capability_pair *p, bool accepted);
	/* The end; the probe is freed. answered: there was an A-ASSOCIATE-AC;
	 * echoed: and a C-ECHO-RSP with success. */
	void (*done)(void *arg, bool answered, bool echoed);
};

/* Strings and pairs are copied. n_pairs at most PROBE_PAIRS. */
enum { PROBE_PAIRS = ASSOC_MAX_CONTEXTS - 1 }; /* one is for verification */
struct probe_request {
	struct destination *destination; /* borrowed until done */
	struct worker *worker;
	size_t endpoint;
	const char *calling_ae, *called_ae;
	const struct capability_pair *pairs;
	size_t n_pairs;
};

/* ERR_NOMEM, ERR_INVAL (an AE title or UID may not be sent): done never runs.
 */
enum err probe_start(const struct probe_request *r,
		     const struct probe_events *ev, void *arg,
		     struct probe **out) MUST_CHECK;
/* End it soon; done still comes. Idempotent. */
void probe_cancel(struct probe *p);

#endif
