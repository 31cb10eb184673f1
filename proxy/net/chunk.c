#include "proxy/net/chunk.h"

#include "proxy/lib/mem.h"

enum { KEEP_SMALL = 64, KEEP_LARGE = 16 }; /* 5 MiB a worker */

void chunk_pool_init(struct chunk_pool *p)
{
	*p = (struct chunk_pool){0};
	list_init(&p->small);
	list_init(&p->large);
}

static void free_all(struct list *l)
{
	struct list *n;

	while ((n = list_pop_front(l)) != NULL)
		mem_free(CONTAINER_OF(n, struct chunk, node));
}

void chunk_pool_free(struct chunk_pool *p)
{
	free_all(&p->small);
	free_all(&p->large);
	p->n_small = p->n_large = 0;
}

struct chunk *chunk_get(struct chunk_pool *p, size_t want)
{
	bool small = want <= CHUNK_SMALL;
	size_t cap = small ? CHUNK_SMALL : CHUNK_LARGE;
	struct list *n = list_pop_front(small ? &p->small : &p->large);
	struct chunk *c;

	if (n != NULL) {
		small ? p->n_small-- : p->n_large--;
		c = CONTAINER_OF(n, struct chunk, node);
	} else {
		/* not mem_zalloc(): the zeros would cost more than the copy */
		c = mem_realloc(NULL, sizeof(*c) + cap);
		if (c == NULL)
			return NULL;
		list_init(&c->node);
	}
	c->off = c->len = 0;
	c->cap = cap;
	return c;
}

void chunk_put(struct chunk_pool *p, struct chunk *c)
{
	bool small = c->cap == CHUNK_SMALL;

	if (small && p->n_small < KEEP_SMALL) {
		list_push_front(&p->small, &c->node);
		p->n_small++;
	} else if (!small && p->n_large < KEEP_LARGE) {
		list_push_front(&p->large, &c->node);
		p->n_large++;
	} else {
		mem_free(c);
	}
}
