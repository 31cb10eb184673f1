/* recent.h - the presentation contexts lately queued for a destination.
 *
 * A sender opens its association with the contexts that its first instance
 * needs, and with these, so that a mixed queue does not open an association
 * for each kind. Any thread; a short lock. */
#ifndef PROXY_RECENT_H
#define PROXY_RECENT_H

#include <stddef.h>

#include "proxy/capability.h"
#include "proxy/lib/err.h"

struct recent; /* opaque */

enum { RECENT_MAX = 512 }; /* contexts of all AE pairs; the oldest go */

enum err recent_new(struct recent **out) MUST_CHECK; /* ERR_NOMEM */
void recent_free(struct recent *r);                  /* NULL is fine */

/* Needed now. The key's destination is not looked at. */
void recent_use(struct recent *r, const struct capability_key *key);

/* The latest first, of this AE pair, at most max. Returns how many. */
size_t recent_list(struct recent *r, const char *calling_ae,
		   const char *called_ae, struct capability_pair *out,
		   size_t max) MUST_CHECK;

#endif
