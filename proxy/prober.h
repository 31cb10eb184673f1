/* prober.h - asks a destination what it accepts, so that listeners can answer
 * devices from memory.
 *
 * At start, when a device proposes what is not known, and when what is known
 * grows old: one association an AE pair, up to 127 pairs of syntaxes each,
 * one after another. What it learns goes to the capability table.
 *
 * Main loop's thread. */
#ifndef PROXY_PROBER_H
#define PROXY_PROBER_H

#include <stddef.h>

#include "proxy/lib/err.h"

struct destination;
struct mailbox;
struct prober; /* opaque */
struct uv_loop_s;
struct worker;

/* Borrowed; must outlive it. */
struct prober_env {
	struct uv_loop_s *loop;
	struct mailbox *main;
	struct worker *const *workers;
	size_t n_workers;
	struct destination *destination; /* with its capabilities */
};

/* ERR_NOMEM. Asks for the first time soon. */
enum err prober_new(const struct prober_env *env,
		    struct prober **out) MUST_CHECK;
/* Something new is wanted: ask soon. */
void prober_kick(struct prober *p);
/* End; closed runs once, last. */
void prober_close(struct prober *p, void (*closed)(void *arg), void *arg);

#endif
