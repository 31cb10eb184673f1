/* wr.h - bounds-checked writer into a caller's array; the mirror of rd.h.
 *
 * The first write that does not fit makes the writer fail for good: an encoder
 * writes everything and tests wr_ok() once. Big-endian unless named le. */
#ifndef PROXY_LIB_WR_H
#define PROXY_LIB_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wr {
	uint8_t *base; /* borrowed from the caller */
	size_t len;    /* bytes written */
	size_t cap;    /* bytes that fit */
	bool failed;
};

static inline struct wr wr_init(void *base, size_t cap)
{
	return (struct wr){.base = base, .cap = cap};
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->failed;
}

/* Room for n bytes, which the caller fills; NULL (and fail) if short. */
static inline uint8_t *wr_room(struct wr *w, size_t n)
{
	uint8_t *at;

	if (w->failed || n > w->cap - w->len) {
		w->failed = true;
		return NULL;
	}
	at = w->base + w->len;
	w->len += n;
	return at;
}

static inline void wr_bytes(struct wr *w, const void *p, size_t n)
{
	uint8_t *at = wr_room(w, n);

	if (at != NULL && n > 0)
		memcpy(at, p, n);
}

static inline void wr_fill(struct wr *w, uint8_t v, size_t n)
{
	uint8_t *at = wr_room(w, n);

	if (at != NULL && n > 0)
		memset(at, v, n);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
			(uint8_t)(v >> 8), (uint8_t)v};

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_u32(w, (uint32_t)(v >> 32));
	wr_u32(w, (uint32_t)v);
}

static inline void wr_u16le(struct wr *w, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_u32le(struct wr *w, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			(uint8_t)(v >> 24)};

	wr_bytes(w, b, sizeof(b));
}

/* Overwrite a big-endian length field written earlier at byte offset at. */
static inline void wr_patch_u16(struct wr *w, size_t at, uint16_t v)
{
	if (w->failed || at + 2 > w->len)
		return;
	w->base[at] = (uint8_t)(v >> 8);
	w->base[at + 1] = (uint8_t)v;
}

static inline void wr_patch_u32(struct wr *w, size_t at, uint32_t v)
{
	wr_patch_u16(w, at, (uint16_t)(v >> 16));
	wr_patch_u16(w, at + 2, (uint16_t)v);
}

#endif
