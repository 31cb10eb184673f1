/* buf.h - growable byte queue: bytes go in at the end and out at the front.
 *
 * Cannot be created without a maximum. Invariant: off <= len <= cap. */
#ifndef PROXY_LIB_BUF_H
#define PROXY_LIB_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct buf {
	uint8_t *base;
	size_t off; /* first byte not yet taken */
	size_t len; /* end of the bytes held */
	size_t cap; /* allocated */
	size_t max; /* hard limit on bytes held */
};

/* No allocation happens before the first append. max > 0, in bytes. */
void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->len - b->off;
}

static inline uint8_t *buf_data(const struct buf *b)
{
	return b->base + b->off;
}

/* Copy n bytes to the end. ERR_LIMIT (max), ERR_NOMEM: nothing was added. */
enum err buf_append(struct buf *b, const void *p, size_t n) MUST_CHECK;
/* Make room for n bytes at the end and point *out at it; buf_commit() then
 * says how many were used. Same errors as buf_append(). */
enum err buf_reserve(struct buf *b, size_t n, uint8_t **out) MUST_CHECK;
void buf_commit(struct buf *b, size_t n);
/* Drop n <= buf_len() bytes from the front. */
void buf_consume(struct buf *b, size_t n);
/* Drop all bytes, keep the memory. */
void buf_clear(struct buf *b);

#endif
