/* partial_kit.h - a peer that sends partial transfers, for tests. */
#ifndef TESTS_UNIT_PARTIAL_KIT_H
#define TESTS_UNIT_PARTIAL_KIT_H

#include <pthread.h>
#include <stdbool.h>

#include "store/spool_partial.h"
#include "tests/unit/spool_kit.h"

enum { PEER_CHUNKS = 64 };

struct peer {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool durable[PEER_CHUNKS]; /* told by on_chunks */
	unsigned failed;           /* chunks told not to be stored */
	enum err failed_e;
	bool writable, done;
	enum err e;
	struct instance stored;
	struct instance in;
	const uint8_t *data; /* borrowed */
	uint64_t length;
	struct spool_partial_put *put;
};

/* The n-th instance, of origin n; data has length bytes. */
void peer_init(struct peer *p, unsigned n, const uint8_t *data,
	       uint64_t length);
void peer_free(struct peer *p);
/* Open it; what was told before is forgotten. */
enum err peer_open(struct peer *p, struct spool *s, bool *resumed);
uint32_t peer_chunks(const struct peer *p);
/* Fill *c for chunk index, its leaf included. */
void peer_chunk(const struct peer *p, uint32_t index,
		struct spool_partial_chunk *c);
/* Put a chunk, waiting for room. */
enum err peer_put(struct peer *p, uint32_t index);
/* Wait until every chunk of these was told or fails; the error then. */
enum err peer_wait(struct peer *p, uint32_t first, uint32_t n);
/* spool_partial_finish() with the right root, and the end of it. */
enum err peer_finish(struct peer *p);
void peer_whole(const struct peer *p, struct spool_partial_whole *w);
/* The chunks that the spool lists, as bits of one number. */
uint64_t peer_have(const struct peer *p, struct spool *s);

#endif
