#include "proxy/ack_meter.h"

#include <stdatomic.h>

enum { SHARDS = 64 };

/* Alone in its cache lines. */
struct shard {
	_Alignas(64) atomic_uint_least64_t bucket[ROLLUP_BOUNDS];
	atomic_uint_least64_t sum_us;
};

static struct shard shards[SHARDS];

static void add(atomic_uint_least64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(atomic_uint_least64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void ack_meter_note(unsigned worker, uint64_t ns)
{
	struct shard *s = &shards[worker % SHARDS];

	/* A bound holds what is not above it: a part of a microsecond is. */
	add(&s->bucket[rollup_bucket((ns + 999) / 1000)], 1);
	add(&s->sum_us, ns / 1000);
}

void ack_meter_read(struct ack_figures *out)
{
	*out = (struct ack_figures){0};
	for (unsigned i = 0; i < SHARDS; i++) {
		for (unsigned k = 0; k < ROLLUP_BOUNDS; k++)
			out->bucket[k] += get(&shards[i].bucket[k]);
		out->sum_us += get(&shards[i].sum_us);
	}
	for (unsigned k = 0; k < ROLLUP_BOUNDS; k++)
		out->count += out->bucket[k];
}
