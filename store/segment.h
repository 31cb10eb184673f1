/* segment.h - segment files: making, naming, reading, walking.
 *
 * A file is one of
 *   new-N.spool      being made; worthless after a restart
 *   free-N.spool     zero-written or recycled; its content is worthless
 *   segment-N.spool  number N, begun or ready to be begun
 * with N in eight hexadecimal digits. N of a segment is never used again. All
 * functions take the directory's descriptor; any thread, one a file. */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/record.h"

enum segment_state { SEGMENT_NEW, SEGMENT_FREE, SEGMENT_NAMED };
enum { SEGMENT_NAME_LEN = 32 };

/* "segment-0000002a.spool" and the like. Returns out. */
char *segment_name(enum segment_state state, uint32_t number,
		   char out[SEGMENT_NAME_LEN]);
/* False: no name of ours. */
bool segment_parse(const char *name, enum segment_state *state,
		   uint32_t *number);

/* The err for an errno of a write: ENOSPC, EDQUOT, EFBIG are ERR_NOSPACE. */
enum err segment_errno(int number) MUST_CHECK;

/* How fast a file is made; others change it meanwhile. */
struct segment_pace {
	atomic_bool stop;  /* give up: ERR_CANCELED */
	atomic_bool hurry; /* someone waits: no pauses */
	atomic_bool spare; /* not needed any more: ERR_CANCELED */
	atomic_uint work;  /* counts flushes of others: let them pass */
};

/* Make new-N of size bytes, really written with zeros and flushed, then name
 * it free-N. On an error
 * nothing stays behind. ERR_NOSPACE, ERR_IO. */
enum err segment_create(int dir, uint32_t number, size_t size,
			const struct segment_pace *pace) MUST_CHECK;

/* Begin a new life of free-N: write and flush its head (h->number is the new
 * number), name it segment-<h->number>, flush the directory. *fd is open for
 * reading and writing. ERR_IO, ERR_NOSPACE: the file is left as it is. */
enum err segment_begin(int dir, uint32_t free_number,
		       const struct segment_head *h, int *fd) MUST_CHECK;

/* What may stand in a file. */
struct segment_place {
	uint8_t spool_id[RECORD_ID_LEN];
	uint32_t number;
	uint32_t size; /* bytes of the file */
};

/* Read the head page at offset.
 *   ERR_OK        page, *out, *copy are filled; the record belongs here
 *   ERR_NOTFOUND  no record of this place
 *   ERR_IO        the disk does not read there */
enum err segment_read_head(int fd, const struct segment_place *at,
			   uint32_t offset, uint8_t page[RECORD_PAGE],
			   struct record_head *out, size_t *copy) MUST_CHECK;

/* The next offset >= from, below limit, where a record of this place begins;
 * limit when there is none. Pages that do not read are passed over. */
uint32_t segment_resync(int fd, const struct segment_place *at, uint32_t from,
			uint32_t limit);

/* What a walk over all heads finds. */
struct segment_extent {
	bool any;                /* a record was found; else the rest is 0 */
	struct record_head head; /* of the first one */
	uint64_t last;           /* highest sequence */
	uint64_t flushed;        /* highest flushed mark */
	uint32_t end;            /* after the last record */
	uint32_t repaired;       /* heads that only their second copy gave */
	uint32_t partial_from;   /* as the last record says */
	bool partial;            /* a record is of a partial transfer */
};

/* Walk everything below limit. */
void segment_walk(int fd, const struct segment_place *at, uint32_t limit,
		  struct segment_extent *out);

#endif
