/* identify_inflate.h - bounded inflate for identify.c; private to it.
 *
 * Raw deflate (PS3.5 annex A.5), or with the zlib header that some senders
 * add. All memory comes from mem.h. */
#ifndef PROXY_DICOM_IDENTIFY_INFLATE_H
#define PROXY_DICOM_IDENTIFY_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct inflater;

/* Takes the next n inflated bytes; false: no more are wanted. */
typedef bool inflater_sink_fn(void *arg, const uint8_t *bytes, size_t n);

/* NULL: out of memory. */
struct inflater *inflater_new(void);
/* NULL is fine. */
void inflater_free(struct inflater *in);

/* Inflate n more bytes into sink.
 *
 *   ERR_OK      all taken, or sink wants no more
 *   ERR_CLOSED  the deflated stream came to its end
 *   ERR_PROTO   not a deflated stream
 *   ERR_LIMIT   max bytes in all were given to sink
 *   ERR_NOMEM */
enum err inflater_feed(struct inflater *in, const uint8_t *bytes, size_t n,
		       uint64_t max, inflater_sink_fn *sink,
		       void *arg) MUST_CHECK;

#endif
