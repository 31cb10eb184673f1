/* ledger_map.h - u64 -> u64 in memory: 16 bytes an entry, at most 3/4 full.
 *
 * For what would need an index on random values in the database. One thread. */
#ifndef STORE_LEDGER_MAP_H
#define STORE_LEDGER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct ledger_map_slot {
	uint64_t key; /* 0: free */
	uint64_t value;
};

struct ledger_map {
	struct ledger_map_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t n;
};

/* All-zero is an empty map. */
void ledger_map_free(struct ledger_map *m);
/* NULL: absent. Valid until the next set or delete. */
uint64_t *ledger_map_get(const struct ledger_map *m, uint64_t key);
/* Add or replace. ERR_NOMEM: unchanged. */
enum err ledger_map_set(struct ledger_map *m, uint64_t key,
			uint64_t value) MUST_CHECK;
/* Absent is fine. */
void ledger_map_delete(struct ledger_map *m, uint64_t key);

/* A 64-bit hash of text; the same in every build. */
uint64_t ledger_hash(const char *text);
/* A well mixed 64-bit value of v. */
uint64_t ledger_mix(uint64_t v);

#endif
