#include "proxy/lib/buf.h"

#include <assert.h>
#include <string.h>

#include "proxy/lib/mem.h"

enum { BUF_FIRST = 512 }; /* bytes, first allocation */

void buf_init(struct buf *b, size_t max)
{
	assert(max > 0);
	*b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
	mem_free(b->base);
	*b = (struct buf){.max = b->max};
}

static void compact(struct buf *b)
{
	if (b->off == 0)
		return;
	memmove(b->base, b->base + b->off, buf_len(b));
	b->len -= b->off;
	b->off = 0;
}

enum err buf_reserve(struct buf *b, size_t n, uint8_t **out)
{
	size_t held = buf_len(b), want = b->cap > 0 ? b->cap : BUF_FIRST;
	uint8_t *p;

	if (n > b->max || held > b->max - n)
		return ERR_LIMIT;
	if (n > b->cap - b->len && b->off > 0)
		compact(b);
	if (n > b->cap - b->len) {
		while (want < held + n)
			want = want > b->max / 2 ? b->max : want * 2;
		p = mem_realloc(b->base, want);
		if (p == NULL)
			return ERR_NOMEM;
		b->base = p;
		b->cap = want;
	}
	*out = b->base + b->len;
	return ERR_OK;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->len);
	b->len += n;
}

enum err buf_append(struct buf *b, const void *p, size_t n)
{
	uint8_t *at;
	enum err e;

	if (n == 0)
		return ERR_OK;
	e = buf_reserve(b, n, &at);
	if (e != ERR_OK)
		return e;
	memcpy(at, p, n);
	buf_commit(b, n);
	return ERR_OK;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->off += n;
	if (b->off == b->len)
		b->off = b->len = 0;
}

void buf_clear(struct buf *b)
{
	b->off = b->len = 0;
}
