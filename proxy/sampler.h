/* sampler.h - what the charts are made of: every ten seconds the figures of
 * the scheduler, the spool, the limits and the devices become a sample
 * (store/ledger_rollup.h).
 *
 * One object; main loop's thread. It keeps no timer of its own: it is told the
 * time every second or two, and takes a sample once a step. */
#ifndef PROXY_SAMPLER_H
#define PROXY_SAMPLER_H

#include <stdint.h>

#include "proxy/lib/err.h"

struct admission;
struct config;
struct destination;
struct ledger;
struct sampler; /* opaque */
struct scheduler;
struct shaping;
struct spool;

/* All borrowed; must outlive it. */
struct sampler_options {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	struct destination *const *destinations; /* by index in config */
	const struct shaping *shaping;
	const struct admission *admission;
	int (*associations)(void *arg); /* inbound ones open now */
	void *arg;
};

/* What counts from here on is in the first sample. ERR_NOMEM. */
enum err sampler_new(const struct sampler_options *o,
		     struct sampler **out) MUST_CHECK;
void sampler_free(struct sampler *s); /* NULL is fine */

/* scheduler may be NULL: before and after it runs. */
void sampler_tick(struct sampler *s, struct scheduler *scheduler,
		  int64_t wall_ms, uint64_t mono_ns);

#endif
