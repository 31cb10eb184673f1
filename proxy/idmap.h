/* idmap.h - a map from 64-bit numbers to pointers. One thread at a time. */
#ifndef PROXY_IDMAP_H
#define PROXY_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

/* All zero is an empty map. */
struct idmap {
	struct idmap_slot *slots;
	size_t n;
	size_t cap; /* a power of two, or 0 */
};

void idmap_free(struct idmap *m); /* not what it points to */
/* NULL: not there. */
void *idmap_get(const struct idmap *m, uint64_t id);
/* Replaces what was there. value is not NULL. ERR_NOMEM: nothing changed. */
enum err idmap_put(struct idmap *m, uint64_t id, void *value) MUST_CHECK;
/* Fine when it is not there. */
void idmap_remove(struct idmap *m, uint64_t id);

#endif
