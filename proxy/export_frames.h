/* export_frames.h - how an export travels over the control socket.
 *
 * Requests (policy/roles.h says who may):
 *
 *   {"op":"audit-export", "format":"csv"|"jsonl"|"dicom"}
 *   {"op":"transfers-export", "format":...}
 *
 * and, all of them optional:
 *
 *   "bom":true         CSV: a byte order mark in front
 *   "reveal":true      opens what is sealed; auditors only
 *   "zip":true         the bytes are a ZIP archive: the file and its manifest
 *   "from", "to"       Unix milliseconds: since, and before
 *   "device", "destination", "study"
 *   audit:     "from_seq", "to_seq", "event" ("a,b,c"), "user"
 *   transfers: "state"
 *
 * Reports and receipts ({"op":"report"}, {"op":"receipt"}) come the same way.
 * The answer {"ok":true, "name":N, "media":M} names the file; behind it come
 * frames: a byte of kind, the length as u32 big-endian, so many bytes:
 *
 *   d  bytes of the file, 1 to EXPORT_FRAME_MAX
 *   p  progress: done and total, u64 each
 *   m  the manifest (or, of a receipt, nothing): the export is whole
 *   e  an error in words, the export is not
 *
 * An m or e is the last. A connection that ends without is an error. */
#ifndef PROXY_EXPORT_FRAMES_H
#define PROXY_EXPORT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	EXPORT_FRAME_MAX = 64 * 1024,
	EXPORT_FRAME_TEXT = 8192, /* manifest or error, with a NUL */
	EXPORT_NAME_LEN = 128
};

/* Put one frame. ERR_IO: the other side is gone or does not read. */
enum err export_frame_send(int fd, char kind, const void *p,
			   size_t n) MUST_CHECK;

/* The receiving side. Zero it and set fd. */
struct export_frames {
	int fd;               /* borrowed; blocking, with a deadline */
	size_t left;          /* of the data frame that is being read */
	uint64_t done, total; /* progress; 0: none yet */
	bool whole;           /* the end came */
	char manifest[EXPORT_FRAME_TEXT];
	size_t manifest_len;
	char error[EXPORT_FRAME_TEXT]; /* "" or what went wrong */
};

/* The next bytes of the file, at most cap, which is not 0. 0: it is whole, the
 * manifest is there. -1: it is not, error says why. Waits for the daemon. */
ptrdiff_t export_frames_read(struct export_frames *f, uint8_t *p, size_t cap);

#endif
