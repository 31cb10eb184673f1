/* chunk.h - buffers of two sizes from a small pool, for output queues. */
#ifndef PROXY_NET_CHUNK_H
#define PROXY_NET_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/list.h"

enum {
	CHUNK_SMALL = 17 * 1024, /* bytes; a full TLS record and its frame */
	CHUNK_LARGE = 256 * 1024,
};

struct chunk {
	struct list node;
	size_t off, len, cap; /* bytes held: data[off..len) */
	uint8_t data[];
};

/* Keeps returned chunks for reuse, up to a fixed number. One thread. */
struct chunk_pool {
	struct list small, large;
	unsigned n_small, n_large;
};

void chunk_pool_init(struct chunk_pool *p);
void chunk_pool_free(struct chunk_pool *p);
/* An empty chunk that holds at least CHUNK_SMALL, or CHUNK_LARGE when want is
 * above that. NULL: no memory. Content is not zeroed. */
struct chunk *chunk_get(struct chunk_pool *p, size_t want);
/* c is in no list. */
void chunk_put(struct chunk_pool *p, struct chunk *c);

static inline size_t chunk_held(const struct chunk *c)
{
	return c->len - c->off;
}

static inline size_t chunk_room(const struct chunk *c)
{
	return c->cap - c->len;
}

#endif
