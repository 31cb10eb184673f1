/* heap.h - a binary heap of embedded nodes: the smallest key first, equal keys
 * by tie. One thread at a time. */
#ifndef PROXY_HEAP_H
#define PROXY_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct heap_node {
	int64_t key;
	uint64_t tie;
	size_t at; /* private: place in the heap, plus 1; 0: in none */
};

/* All zero is an empty heap. */
struct heap {
	struct heap_node **nodes;
	size_t n, cap;
};

void heap_free(struct heap *h); /* not the nodes */
/* ERR_NOMEM: not added. The node is in no heap. */
enum err heap_push(struct heap *h, struct heap_node *n) MUST_CHECK;
/* The first, left in place; NULL: empty. */
struct heap_node *heap_first(const struct heap *h);
/* Fine when it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *n);

#endif
