#include "proxy/dicom/identify_inflate.h"

#include <zlib.h>

#include "proxy/lib/mem.h"

enum { INFLATE_STEP = 4096 }; /* bytes given to the sink at once */

struct inflater {
	z_stream z;
	bool running; /* z is initialised */
	uint8_t first[2];
	uint8_t n_first;
	uint64_t given;
};

static voidpf z_alloc(voidpf opaque, uInt n, uInt size)
{
	(void)opaque;
	return mem_zarray(n, size);
}

static void z_free(voidpf opaque, voidpf p)
{
	(void)opaque;
	mem_free(p);
}

struct inflater *inflater_new(void)
{
	struct inflater *in = mem_zalloc(sizeof(*in));

	if (in == NULL)
		return NULL;
	in->z.zalloc = z_alloc;
	in->z.zfree = z_free;
	return in;
}

void inflater_free(struct inflater *in)
{
	if (in != NULL && in->running)
		(void)inflateEnd(&in->z);
	mem_free(in);
}

/* RFC 1950 header: method 8, and a multiple of 31. Raw deflate can hardly
 * begin so: it would be a stored block with a padding that nobody writes. */
static bool is_zlib(const uint8_t b[2])
{
	return (b[0] & 0x0F) == 8 && (b[0] << 8 | b[1]) % 31 == 0;
}

static enum err run(struct inflater *in, const uint8_t *bytes, size_t n,
		    uint64_t max, inflater_sink_fn *sink, void *arg)
{
	uint8_t out[INFLATE_STEP];
	size_t got;
	int z;

	in->z.next_in = (Bytef *)(uintptr_t)bytes; /* zlib does not write it */
	in->z.avail_in = (uInt)n;
	do {
		in->z.next_out = out;
		in->z.avail_out = sizeof(out);
		z = inflate(&in->z, Z_NO_FLUSH);
		got = sizeof(out) - in->z.avail_out;
		in->given += got;
		if (got > 0 && !sink(arg, out, got))
			return ERR_OK;
		if (z == Z_STREAM_END)
			return ERR_CLOSED;
		if (z == Z_MEM_ERROR)
			return ERR_NOMEM;
		if (z != Z_OK && z != Z_BUF_ERROR)
			return ERR_PROTO;
		if (in->given >= max)
			return ERR_LIMIT;
	} while (in->z.avail_in > 0 || got == sizeof(out));
	return ERR_OK;
}

static enum err start(struct inflater *in)
{
	int bits = is_zlib(in->first) ? MAX_WBITS : -MAX_WBITS;

	if (inflateInit2(&in->z, bits) != Z_OK)
		return ERR_NOMEM;
	in->running = true;
	return ERR_OK;
}

enum err inflater_feed(struct inflater *in, const uint8_t *bytes, size_t n,
		       uint64_t max, inflater_sink_fn *sink, void *arg)
{
	enum { PIECE = 1 << 20 }; /* far below what zlib's uInt can count */
	enum err e = ERR_OK;

	while (!in->running && n > 0) {
		in->first[in->n_first++] = *bytes++;
		n--;
		if (in->n_first < 2)
			continue;
		e = start(in);
		if (e == ERR_OK)
			e = run(in, in->first, 2, max, sink, arg);
		if (e != ERR_OK)
			return e;
	}
	for (size_t piece; n > 0 && e == ERR_OK; bytes += piece, n -= piece) {
		piece = n < PIECE ? n : PIECE;
		e = run(in, bytes, piece, max, sink, arg);
	}
	return e;
}
