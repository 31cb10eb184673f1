/* health.h - asks endpoints for an echo: those that failed, until they are
 * back, and those that nobody has heard of for health.interval. The outcomes
 * are marks (destination_mark()), so traffic needs not find out by itself.
 *
 * Main loop's thread; the probes live on workers. */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include <stddef.h>

#include "proxy/lib/err.h"

struct destination;
struct health; /* opaque */
struct mailbox;
struct uv_loop_s;
struct worker;

/* Borrowed; must outlive it. */
struct health_env {
	struct uv_loop_s *loop;
	struct mailbox *main;
	struct worker *const *workers;
	size_t n_workers;
	struct destination *const *destinations;
	size_t n_destinations;
	/* An endpoint of destinations[i] had an open circuit and answers
	 * again. */
	void (*back)(void *arg, size_t i);
	void *arg;
};

/* ERR_NOMEM. */
enum err health_new(const struct health_env *env,
		    struct health **out) MUST_CHECK;
/* End; closed runs once, last. */
void health_close(struct health *h, void (*closed)(void *arg), void *arg);

#endif
