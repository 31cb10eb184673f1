/* ledger_rollup_code.h - one step's values as bytes: pairs of a number (of a
 * metric and a name) and a value, seven bits a byte, the lowest first. Private
 * to store/ledger_rollup*.c. */
#ifndef STORE_LEDGER_ROLLUP_CODE_H
#define STORE_LEDGER_ROLLUP_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"
#include "store/ledger_rollup.h"

enum { ROLLUP_PAIR_MAX = 20 }; /* bytes */

static inline void rollup_put(struct wr *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		wr_u8(w, (uint8_t)(v | 0x80));
	wr_u8(w, (uint8_t)v);
}

static inline uint64_t rollup_get(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = rd_u8(r);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return v;
	}
	r->failed = true;
	return 0;
}

/* The next pair; false at the end and where the bytes make no sense. */
static inline bool rollup_pair(struct rd *r, uint64_t *number, uint64_t *value)
{
	if (r->left == 0)
		return false;
	*number = rollup_get(r);
	*value = rollup_get(r);
	return rd_ok(r);
}

/* Where a step stands: by level, then by time. */
static inline int64_t rollup_slot(enum rollup_level level, int64_t at_ms)
{
	return ((int64_t)level << 40) + at_ms / SAMPLE_STEP_MS;
}

static inline int64_t rollup_slot_ms(int64_t slot)
{
	return (slot & ((1LL << 40) - 1)) * SAMPLE_STEP_MS;
}

static inline int64_t rollup_floor(enum rollup_level level, int64_t at_ms)
{
	return at_ms - at_ms % rollup_step_ms(level);
}

#endif
