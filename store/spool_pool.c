#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Slabs are kept in last-in-first-out order, for the cache, and handed back to
 * the allocator when more are free than in use. */
enum { KEEP_FREE = 32 };

struct slab *spool_slab_take(struct spool *s, size_t limit)
{
	struct list *n;
	struct slab *slab;

	if (s->slabs_used >= limit)
		return NULL;
	n = list_pop_front(&s->slabs);
	if (n != NULL) {
		s->slabs_free--;
		slab = CONTAINER_OF(n, struct slab, link);
	} else {
		slab = mem_realloc(NULL, sizeof(*slab));
	}
	if (slab != NULL)
		s->slabs_used++;
	return slab;
}

void spool_slab_give(struct spool *s, struct slab *slab)
{
	s->slabs_used--;
	if (s->slabs_free >= KEEP_FREE && s->slabs_free >= s->slabs_used) {
		mem_free(slab);
		return;
	}
	list_push_front(&s->slabs, &slab->link);
	s->slabs_free++;
}

bool spool_pool_full(const struct spool *s)
{
	return s->slabs_used >= s->slabs_soft;
}
