#include "store/ledger_map.h"

#include "proxy/lib/mem.h"

enum { MAP_FIRST = 256 };

uint64_t ledger_mix(uint64_t v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdULL;
	v ^= v >> 33;
	v *= 0xc4ceb9fe1a85ec53ULL;
	return v ^ v >> 33;
}

uint64_t ledger_hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL;
	return ledger_mix(h);
}

/* Key 0 marks a free slot; it shares the place of 1. */
static uint64_t key_of(uint64_t key)
{
	return key != 0 ? key : 1;
}

static size_t slot_of(const struct ledger_map *m, uint64_t key)
{
	size_t at = (size_t)ledger_mix(key) & (m->cap - 1);

	while (m->slots[at].key != 0 && m->slots[at].key != key)
		at = (at + 1) & (m->cap - 1);
	return at;
}

void ledger_map_free(struct ledger_map *m)
{
	mem_free(m->slots);
	*m = (struct ledger_map){0};
}

uint64_t *ledger_map_get(const struct ledger_map *m, uint64_t key)
{
	size_t at;

	if (m->n == 0)
		return NULL;
	at = slot_of(m, key_of(key));
	return m->slots[at].key != 0 ? &m->slots[at].value : NULL;
}

static enum err grow(struct ledger_map *m)
{
	struct ledger_map big = {.n = m->n};

	big.cap = m->cap != 0 ? m->cap * 2 : MAP_FIRST;
	big.slots = mem_zarray(big.cap, sizeof(*big.slots));
	if (big.slots == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key != 0)
			big.slots[slot_of(&big, m->slots[i].key)] = m->slots[i];
	mem_free(m->slots);
	*m = big;
	return ERR_OK;
}

enum err ledger_map_set(struct ledger_map *m, uint64_t key, uint64_t value)
{
	size_t at;

	key = key_of(key);
	if (m->n + 1 > m->cap / 4 * 3) {
		enum err e = grow(m);

		if (e != ERR_OK)
			return e;
	}
	at = slot_of(m, key);
	if (m->slots[at].key == 0)
		m->n++;
	m->slots[at] = (struct ledger_map_slot){key, value};
	return ERR_OK;
}

void ledger_map_delete(struct ledger_map *m, uint64_t key)
{
	size_t hole, at, mask = m->cap - 1;

	if (m->n == 0)
		return;
	hole = slot_of(m, key_of(key));
	if (m->slots[hole].key == 0)
		return;
	/* Pull back what was pushed past the hole. */
	for (at = (hole + 1) & mask; m->slots[at].key != 0;
	     at = (at + 1) & mask) {
		size_t home = (size_t)ledger_mix(m->slots[at].key) & mask;

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		m->slots[hole] = m->slots[at];
		hole = at;
	}
	m->slots[hole] = (struct ledger_map_slot){0};
	m->n--;
}
