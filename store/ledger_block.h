/* ledger_block.h - what is in each block of sequence numbers.
 *
 * An index entry for each instance by device, AE title or state would cost more
 * than it is worth. Which blocks an answer can be in is enough: a block is
 * looked through in a millisecond. So a row stands for each device, calling AE
 * title, destination and final state that is in a block at all, and one for
 * when the block came. Nothing is ever taken out: a mark may be there for what
 * has changed since, never the other way round. Ledger thread. */
#ifndef STORE_LEDGER_BLOCK_H
#define STORE_LEDGER_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct instance;
struct ledger;

enum { LEDGER_BLOCK_BITS = 10, LEDGER_MARKS_CACHED = 512 };

/* The numbers stand in the database. */
enum ledger_mark {
	MARK_DEVICE = 1,
	MARK_CALLING_AE = 2,
	MARK_DESTINATION = 3,
	MARK_STATE = 4 /* its number, as text; only states that end it */
};

/* Part of the mirror: what was written of late, and the block that fills. */
struct mirror_blocks {
	struct {
		enum ledger_mark kind; /* 0: free */
		uint64_t block;
		char name[33];
	} cache[LEDGER_MARKS_CACHED];
	uint64_t block;
	int64_t first_ms, last_ms;
	bool dirty;
};

static inline uint64_t ledger_block_of(uint64_t seq)
{
	return seq >> LEDGER_BLOCK_BITS;
}

/* name is in the block of seq; "" is not noted. */
enum err ledger_mark(struct ledger *l, enum ledger_mark kind, uint64_t seq,
		     const char *name) MUST_CHECK;
/* A new instance. Its destinations and states are marked on their own. */
enum err ledger_block_add(struct ledger *l, const struct instance *in,
			  uint64_t seq) MUST_CHECK;
/* Before a commit. */
enum err ledger_block_flush(struct ledger *l) MUST_CHECK;

#endif
