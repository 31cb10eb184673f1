/* spool_partial.h - transfers that survive a restart unfinished.
 *
 * A put (spool.h) that is open when the program ends is abandoned: its peer
 * sends the instance again. A partial transfer is one that a peer goes on with
 * at the first missing chunk. It is known by its origin: who sends it (the
 * fingerprint of its certificate) and what the sender calls it. Its chunks come
 * in any order, over any number of connections, more than once; each is checked
 * against its leaf hash before it is kept.
 *
 * On the disk every chunk record of it carries the flag RECORD_PARTIAL and the
 * metadata with the origin, so any one of them says whose it is. It ends with a
 * record of its own: no payload, index = number of chunks, final, and the
 * metadata complete with root hash and length. From then on it is an instance
 * like any other. An instance of one chunk gains nothing here: take it by
 * spool_put_begin(), which writes one record instead of two.
 *
 * A restart: every record's head names the oldest segment that a partial
 * transfer needs (nothing is read when there is none); from there on the spool
 * looks at all heads when it opens, and first of all writes down which
 * transfers it keeps (OUTCOME_KEPT), then OUTCOME_RESTART, which ends all
 * others. A chunk counts only if a flush mark vouches for it or its seal opens.
 *
 * What a peer may rely on: a chunk told by on_chunks(ERR_OK) or listed by
 * spool_partial_chunks() is on the disk, flushed by a flush that did not fail.
 * It stays until the transfer is finished, or abandoned by
 * spool_partial_abandon(), spool_partial_expire() or spool_partial_make_room();
 * nothing else removes it.
 * (Damage of the disk found at a start is not listed any more; damage of a
 * payload that was flushed is found by whoever reads it.) An unfinished
 * transfer is never an instance: nothing of it is ever delivered, and no
 * outcome of it may be written.
 *
 * Room: partial transfers hold their segments. When the spool is full and
 * nothing but they fill it, somebody must abandon one.
 *
 * Threads: as spool.h says, and spool_partial_put() may run in several threads
 * at once for one put. */
#ifndef STORE_SPOOL_PARTIAL_H
#define STORE_SPOOL_PARTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/instance.h"
#include "store/spool.h"

enum {
	SPOOL_PARTIALS_MAX = 4096,      /* at once */
	SPOOL_PARTIAL_CHUNKS = 1 << 20, /* of one: 1 TiB */
};

/* ---- putting --------------------------------------------------------- */

/* Callbacks run on the writer thread, never after spool_partial_close(). */
struct spool_partial_events {
	/* After ERR_AGAIN of spool_partial_put(): there may be room. May be
	 * NULL. */
	void (*on_writable)(void *arg);
	/* Chunks first..first+n-1 are durable (ERR_OK), or were not stored
	 * (ERR_NOSPACE, ERR_IO, ERR_NOMEM): put them again later. Once for each
	 * run of chunks of one flush. Chunks that an earlier put of this
	 * transfer left behind in the queue are told here, too (so one that was
	 * found durable meanwhile may be told as well). */
	void (*on_chunks)(void *arg, enum err e, uint32_t first, uint32_t n);
	/* The end of spool_partial_finish(), as spool_put_events.on_done.
	 * Unless ERR_OK the transfer stays as it was, unfinished, and may be
	 * opened again. */
	void (*on_done)(void *arg, enum err e, const struct instance *stored);
	void *arg;
};

struct spool_partial_put; /* opaque */

/* Begin a transfer, or go on with it. known: its metadata as far as known; the
 * transfer id in it is ignored (a fresh one is made, or the one from before
 * kept), its origin must be set (has_origin). *resumed: it was there before;
 * what it holds is told by spool_partial_chunks(). events and known are copied.
 *
 *   ERR_BUSY     it is open already: close that put first
 *   ERR_LIMIT    SPOOL_PARTIALS_MAX are there
 *   ERR_INVAL    known has no origin
 *   ERR_NOSPACE, ERR_IO, ERR_CANCELED, ERR_NOMEM  as spool_put_begin(); to go
 *                on with one is allowed above the high-water mark */
enum err spool_partial_open(struct spool *spool, const struct instance *known,
			    const struct spool_partial_events *events,
			    struct spool_partial_put **out,
			    bool *resumed) MUST_CHECK;

/* The id by which the spool knows it; valid as long as the put is. */
const struct transfer_id *spool_partial_id(const struct spool_partial_put *put);

struct spool_partial_chunk {
	uint32_t index;
	uint32_t length;     /* 1..CHUNK_LEN; less only for the last one */
	const uint8_t *data; /* length bytes, borrowed for the call */
	uint8_t leaf[SEAL_HASH_LEN]; /* as its sender says */
	/* Filled: */
	bool durable; /* it stood here already, told or to be told */
	uint8_t got[SEAL_HASH_LEN]; /* ERR_CORRUPT: the leaf of data */
};

/* Take a chunk: checked, sealed and queued before it returns. One that is
 * durable or queued already is not written again.
 *
 *   ERR_AGAIN    no room now, nothing was taken: again after on_writable
 *   ERR_CORRUPT  data is not what leaf says; nothing was taken
 *   ERR_EXISTS   another chunk (other leaf or length) stands under this index
 *   ERR_INVAL    index, or length, does not go with what is there: a short
 *                chunk is the last one; or finish was called
 *   ERR_NOTFOUND spool_partial_disown(): close the put, open the transfer anew
 *   ERR_CANCELED the spool is closing
 *   ERR_IO, ERR_NOMEM  nothing was taken */
enum err spool_partial_put(struct spool_partial_put *put,
			   struct spool_partial_chunk *chunk) MUST_CHECK;

/* What the sender says of the whole. */
struct spool_partial_whole {
	uint64_t length; /* bytes */
	uint32_t chunks;
	uint8_t root[SEAL_HASH_LEN]; /* tree.h */
};

/* Everything has come (every chunk was put; it need not be durable yet).
 * complete: the instance as it is known now; id, origin, length, chunks and
 * root in it are ignored.
 *
 *   ERR_OK       the put is consumed; on_done will run exactly once
 *   ERR_AGAIN    chunks are missing: *missing is the first one (may be NULL)
 *   ERR_CORRUPT  the root is another one
 *   ERR_INVAL    count and length do not go with each other or with the chunks
 *   ERR_NOTFOUND, ERR_CANCELED, ERR_IO, ERR_NOMEM  as spool_partial_put()
 * After any error the put is as before. */
enum err spool_partial_finish(struct spool_partial_put *put,
			      const struct instance *complete,
			      const struct spool_partial_whole *whole,
			      uint32_t *missing) MUST_CHECK;

/* Leave it for later: the line was cut. What is queued is still written.
 * Afterwards no callback of this put runs or will run. NULL is fine. */
void spool_partial_close(struct spool_partial_put *put);

/* ---- what there is ----------------------------------------------------- */

struct spool_partial_info {
	struct transfer_id id;
	struct instance_origin origin;
	uint32_t chunks;    /* durable */
	uint64_t bytes;     /* of them */
	int64_t touched_ms; /* the last chunk came, or it was opened; wall */
	bool open;          /* a put has it */
	char sop_instance[INSTANCE_UID_LEN];
};

/* Up to max are filled. Returns how many there are. */
size_t spool_partial_list(struct spool *spool, struct spool_partial_info *out,
			  size_t max);
/* One of them. ERR_NOTFOUND. */
enum err spool_partial_find(struct spool *spool,
			    const struct instance_origin *origin,
			    struct spool_partial_info *out) MUST_CHECK;

/* A durable chunk; the place is for spool_read_chunk(). */
struct spool_partial_have {
	uint32_t index;
	uint32_t length;
	uint8_t leaf[SEAL_HASH_LEN];
	struct place place;
};

/* The durable chunks from index from on, in order, up to max of them; *n is how
 * many. ERR_NOTFOUND: no such transfer. */
enum err spool_partial_chunks(struct spool *spool,
			      const struct instance_origin *origin,
			      uint32_t from, struct spool_partial_have *out,
			      size_t max, size_t *n) MUST_CHECK;

/* ---- the end without a finish ------------------------------------------ */

/* It is not wanted any more: its room is free.
 *
 *   ERR_NOTFOUND  no such transfer
 *   ERR_BUSY      a put has it open, or outcomes are full: later */
enum err spool_partial_abandon(struct spool *spool,
			       const struct instance_origin *origin) MUST_CHECK;

/* Abandon every one that is not open and was last touched before a wall time
 * (Unix ms). Returns how many. Whoever receives calls it now and then. */
size_t spool_partial_expire(struct spool *spool, int64_t before_ms);

/* Nothing more of a transfer can be stored for want of room. If unfinished
 * transfers have a quarter of the spool or more, one of those that are not open
 * is abandoned: one that nobody has touched for ten minutes, else that of which
 * the least is here, and never that of which the most is, so that one gets
 * done. (They keep whole segments, with all that is done in them.) True: one
 * was. Call it each time that room was missing. */
bool spool_partial_make_room(struct spool *spool);

/* For the ledger: it does not know a transfer that was KEPT, for it was whole
 * and done long ago; a power cut brought back a recycled segment with a chunk
 * of it. It is abandoned, open or not. So whoever receives lets
 * ledger_barrier() pass before it opens the first one. */
void spool_partial_disown(struct spool *spool, const struct transfer_id *id);

#endif
