/* idmap.c - open addressing, linear probing, removal by shifting back. */
#include "proxy/idmap.h"

#include "proxy/lib/mem.h"

struct idmap_slot {
	uint64_t id;
	void *value; /* NULL: free */
};

enum { FIRST_CAP = 64 };

void idmap_free(struct idmap *m)
{
	mem_free(m->slots);
	*m = (struct idmap){0};
}

static size_t home(const struct idmap *m, uint64_t id)
{
	id *= UINT64_C(0x9E3779B97F4A7C15);
	return (size_t)(id >> 32) & (m->cap - 1);
}

/* Where id is, or where it would go. cap > n. */
static size_t seek(const struct idmap *m, uint64_t id)
{
	size_t i = home(m, id);

	while (m->slots[i].value != NULL && m->slots[i].id != id)
		i = (i + 1) & (m->cap - 1);
	return i;
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
	return m->cap == 0 ? NULL : m->slots[seek(m, id)].value;
}

static enum err grow(struct idmap *m)
{
	struct idmap big = {.cap = m->cap == 0 ? FIRST_CAP : m->cap * 2};

	big.slots = mem_zarray(big.cap, sizeof(*big.slots));
	if (big.slots == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].value != NULL)
			big.slots[seek(&big, m->slots[i].id)] = m->slots[i];
	}
	big.n = m->n;
	mem_free(m->slots);
	*m = big;
	return ERR_OK;
}

enum err idmap_put(struct idmap *m, uint64_t id, void *value)
{
	size_t i;

	if (m->n + 1 > m->cap / 4 * 3 && grow(m) != ERR_OK)
		return ERR_NOMEM;
	i = seek(m, id);
	if (m->slots[i].value == NULL)
		m->n++;
	m->slots[i] = (struct idmap_slot){.id = id, .value = value};
	return ERR_OK;
}

void idmap_remove(struct idmap *m, uint64_t id)
{
	size_t hole, i;

	if (m->cap == 0)
		return;
	hole = seek(m, id);
	if (m->slots[hole].value == NULL)
		return;
	m->n--;
	for (i = (hole + 1) & (m->cap - 1); m->slots[i].value != NULL;
	     i = (i + 1) & (m->cap - 1)) {
		size_t h = home(m, m->slots[i].id);

		/* may it move back to the hole without passing its home? */
		if (((i - h) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].value = NULL;
}
