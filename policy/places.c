/* Where options were set. */
#include <stdlib.h>
#include <string.h>

#include "policy/build.h"
#include "proxy/lib/mem.h"

enum err places_add(struct config_places *p, const char *path,
		    struct config_mark at)
{
	char *copy;

	if (p->n == p->cap) {
		size_t cap = p->cap > 0 ? p->cap * 2 : 64;
		void *v = mem_realloc(p->v, cap * sizeof(*p->v));

		if (v == NULL)
			return ERR_NOMEM;
		p->v = v;
		p->cap = cap;
	}
	copy = mem_strdup(path);
	if (copy == NULL)
		return ERR_NOMEM;
	p->v[p->n++] = (struct config_place){copy, at};
	return ERR_OK;
}

static int by_path(const void *a, const void *b)
{
	const struct config_place *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void places_sort(struct config_places *p)
{
	if (p->n > 0)
		qsort(p->v, p->n, sizeof(*p->v), by_path);
}

void places_free(struct config_places *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->v[i].path);
	mem_free(p->v);
	mem_free(p);
}

struct config_mark config_where(const struct config *cfg, const char *path)
{
	size_t low = 0, high = cfg->places->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(path, cfg->places->v[mid].path);

		if (order == 0)
			return cfg->places->v[mid].at;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return (struct config_mark){0, 0};
}
