#include "proxy/heap.h"

#include <stdbool.h>

#include "proxy/lib/mem.h"

void heap_free(struct heap *h)
{
	mem_free(h->nodes);
	*h = (struct heap){0};
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void place(struct heap *h, size_t i, struct heap_node *n)
{
	h->nodes[i] = n;
	n->at = i + 1;
}

static void rise(struct heap *h, size_t i)
{
	struct heap_node *n = h->nodes[i];

	while (i > 0 && before(n, h->nodes[(i - 1) / 2])) {
		place(h, i, h->nodes[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(h, i, n);
}

static void sink(struct heap *h, size_t i)
{
	struct heap_node *n = h->nodes[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->n &&
		    before(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (child >= h->n || !before(h->nodes[child], n))
			break;
		place(h, i, h->nodes[child]);
		i = child;
	}
	place(h, i, n);
}

enum err heap_push(struct heap *h, struct heap_node *n)
{
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 64 : h->cap * 2;
		void *nodes = mem_realloc(h->nodes, cap * sizeof(h->nodes[0]));

		if (nodes == NULL)
			return ERR_NOMEM;
		h->nodes = nodes;
		h->cap = cap;
	}
	h->nodes[h->n++] = n;
	rise(h, h->n - 1);
	return ERR_OK;
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->n > 0 ? h->nodes[0] : NULL;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	size_t i;

	if (n->at == 0)
		return;
	i = n->at - 1;
	n->at = 0;
	h->n--;
	if (i == h->n)
		return;
	h->nodes[i] = h->nodes[h->n];
	rise(h, i);
	sink(h, h->nodes[i]->at - 1);
}
