/* rd.h - bounds-checked reader over borrowed bytes.
 *
 * rd_u16/u32/u64 are big-endian (PS3.8, our own formats), rd_u16le/u32le are
 * little-endian (PS3.5, PS3.7). The first short read makes the reader fail for
 * good, so a decoder reads all its fields and tests rd_ok() once, before it
 * uses any of them. */
#ifndef PROXY_LIB_RD_H
#define PROXY_LIB_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *p; /* borrowed from the caller, next byte */
	size_t left;      /* bytes */
	bool failed;
};

static inline struct rd rd_init(const void *p, size_t len)
{
	return (struct rd){.p = p, .left = len};
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->failed;
}

/* Borrow n bytes, or NULL (and fail). Compares against what is left, never
 * adds to a position: n comes from the peer. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->failed || n > r->left) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return at;
}

/* A reader over the next n bytes, which this one skips. Failed if short. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *b = rd_bytes(r, n);

	if (b == NULL)
		return (struct rd){.failed = true};
	return rd_init(b, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 1);

	return b != NULL ? b[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 2);

	return b != NULL ? (uint16_t)((unsigned)b[0] << 8 | b[1]) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 4);

	if (b == NULL)
		return 0;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	       (uint32_t)b[2] << 8 | b[3];
}

static inline uint64_t rd_u64(struct rd *r)
{
	uint64_t hi = rd_u32(r);

	return hi << 32 | rd_u32(r);
}

static inline uint16_t rd_u16le(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 2);

	return b != NULL ? (uint16_t)((unsigned)b[1] << 8 | b[0]) : 0;
}

static inline uint32_t rd_u32le(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 4);

	if (b == NULL)
		return 0;
	return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[1] << 8 | b[0];
}

#endif
