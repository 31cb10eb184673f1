/* spool.h - the durable store of what was received: append, flush, read, tail.
 *
 * An instance is written as one record for each chunk of 1 MiB (CHUNK_LEN)
 * into segment files; every record is sealed and names its own place. What was
 * decided about an instance later (outcomes) is written as records too, so the
 * spool alone is enough to rebuild the ledger. Transfers that a peer goes on
 * with after a restart: spool_partial.h.
 *
 * Threads: the spool has two of its own, the writer (writes, flushes, calls
 * back) and the helper (prepares segments). Every function may be called from
 * any thread unless said otherwise; one put, one tail belong to one thread at
 * a time. Callbacks run on the writer thread, must be quick (post and return)
 * and must not call into the spool. No libuv.
 *
 * Promise: on_done(ERR_OK) is called only after every byte of the instance and
 * its final record were flushed to the disk by a flush that did not fail. */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/instance.h"
#include "store/seal.h"

struct spool; /* opaque */

enum {
	SPOOL_WHY_LEN = 256,
	SPOOL_ID_LEN = 16,
	SPOOL_SEGMENT_MIN = 2 * 1024 * 1024, /* bytes */
	SPOOL_TAIL_OUTCOMES = 1024, /* most outcomes in one tail record */
};

/* ---- opening and closing ------------------------------------------- */

struct spool_options {
	const char *path;     /* existing directory; copied */
	const char *key_path; /* data key file; NULL = <path>/data.key */
	uint64_t quota;       /* bytes of segment files; 0 = 8 GiB */
	unsigned high_water;  /* per cent of quota; 0 = 90 */
	unsigned low_water;   /* per cent of quota; 0 = 80 */
	size_t segment;       /* bytes of a segment; 0 = 64 MiB */
	size_t buffers;       /* bytes of record buffers; 0 = 64 MiB */
	unsigned outcome_ms;  /* longest wait of an outcome; 0 = 200 */
	/* Something has become durable or an alert has changed; may be NULL.
	 * Runs on the writer thread. */
	void (*on_durable)(void *arg);
	void *arg;
};

/* Lock the directory, load or make the data key, look at every segment, start
 * the threads. A segment begun before is never appended to.
 *
 *   ERR_BUSY   another process has this spool open
 *   ERR_NOKEY  the key is missing, unusable, or not the one that sealed what
 *              is here; nothing was written
 *   ERR_INVAL  an option is out of range
 *   ERR_IO     the directory cannot be used
 *   ERR_NOMEM
 *
 * why holds a sentence with cause and remedy unless ERR_OK. */
enum err spool_open(const struct spool_options *options, struct spool **out,
		    char why[SPOOL_WHY_LEN]) MUST_CHECK;

/* Write and flush what waits (finished instances, outcomes), join the threads,
 * free. No put may be open and no tail in use: finish, abort, close them
 * first. A finished put still waiting gets its on_done in here. NULL is fine.
 */
void spool_close(struct spool *spool);

/* The random identity of this spool, and the data key it uses (borrowed until
 * spool_close; the ledger seals its columns with keys derived from it). */
const uint8_t *spool_id(const struct spool *spool); /* SPOOL_ID_LEN bytes */
const struct seal_key *spool_key(const struct spool *spool);

/* ---- putting an instance in ---------------------------------------- */

struct spool_put; /* opaque */

/* How far a put may go when space is scarce. */
enum spool_room {
	SPOOL_ROOM_MARK,    /* begins below the high-water mark only */
	SPOOL_ROOM_QUOTA,   /* above it, too: small, and it frees space */
	SPOOL_ROOM_RESERVE, /* even the reserve: no space is freed without */
};

struct spool_put_events {
	enum spool_room room;
	/* After spool_put_full() said true: room again. May be NULL. */
	void (*on_writable)(void *arg);
	/* The end of a finished put; exactly once, from the writer thread.
	 *   ERR_OK       durable; stored is complete (length, chunks, root)
	 *   ERR_NOSPACE  no room in the quota or on the disk
	 *   ERR_IO       writing or flushing failed
	 * stored is valid during the call only. */
	void (*on_done)(void *arg, enum err e, const struct instance *stored);
	void *arg;
};

/* Begin an instance. known: what is known by now; the transfer id in it is
 * ignored, a fresh one is made. events and known are copied.
 *
 *   ERR_NOSPACE  the high-water mark was reached, or the disk is full; for
 *                other room than SPOOL_ROOM_MARK on_done says so
 *   ERR_IO       the disk refuses to be written
 *   ERR_CANCELED the spool is closing
 *   ERR_NOMEM */
enum err spool_put_begin(struct spool *spool, const struct instance *known,
			 const struct spool_put_events *events,
			 struct spool_put **out) MUST_CHECK;

/* The id made for this transfer; valid as long as the put is. */
const struct transfer_id *spool_put_id(const struct spool_put *put);

/* Take n bytes of the data set: hashed, sealed and buffered before it returns;
 * a chunk that is full goes to the disk by itself. All n are taken. An error is
 * sticky: abort (or finish, which fails alike).
 *
 *   ERR_NOSPACE, ERR_IO  an earlier chunk could not be written
 *   ERR_NOMEM            no memory, or spool_put_full() was ignored for long */
enum err spool_put_data(struct spool_put *put, const void *p,
			size_t n) MUST_CHECK;

/* Ask after each spool_put_data(). True: stop reading from the peer until
 * on_writable runs (once). Cheap. */
bool spool_put_full(struct spool_put *put);

/* An instance of one chunk has come whole: its leaf (tree.h), as it will be
 * written down. Only spool_put_finish() or spool_put_abort() may follow.
 *
 *   ERR_INVAL  it is empty, or has more than one chunk
 *   else       as spool_put_data() */
enum err spool_put_leaf(struct spool_put *put,
			uint8_t leaf[SEAL_HASH_LEN]) MUST_CHECK;

/* Everything has come. complete: the instance as it is known now (identifiers,
 * destinations decided); id, length, chunks and root in it are ignored.
 * Consumes the put in any case.
 *
 *   ERR_OK  on_done will run exactly once (perhaps before this returns)
 *   else    the put was aborted; on_done never runs. Errors as put_data. */
enum err spool_put_finish(struct spool_put *put,
			  const struct instance *complete) MUST_CHECK;

/* Forget an unfinished put. Afterwards no callback of it runs or will run.
 * NULL is fine. */
void spool_put_abort(struct spool_put *put);

/* ---- outcomes ------------------------------------------------------- */

/* Write down what became of an instance. Copied and queued; written with the
 * next flush or after outcome_ms. Losing it in a power cut only repeats an
 * idempotent send.
 *
 *   ERR_BUSY      65,536 wait already (the disk does not take them): again
 * later ERR_CANCELED  the spool is closing ERR_INVAL     a kind only the spool
 * writes */
enum err spool_outcome(struct spool *spool, const struct outcome *o) MUST_CHECK;

/* The same, for whoever wants to know when it is on the disk: its number, from
 * 1. It is as soon as durable has reached it, unless lost has changed since:
 * then it may never be, and is to be written again. */
enum err spool_outcome_number(struct spool *spool, const struct outcome *o,
			      uint64_t *number) MUST_CHECK;
struct spool_outcomes {
	uint64_t durable; /* highest number */
	uint64_t lost;    /* counts records of them that were not written */
};
struct spool_outcomes spool_outcomes(struct spool *spool);

/* ---- places and reading --------------------------------------------- */

/* Where a record is. Segment numbers are never used twice in the life of a
 * spool, so a stale place never names another record. */
struct place {
	uint32_t segment;
	uint32_t offset; /* bytes, a multiple of 4096 */
};

/* Read chunk index of transfer id at place, open its seal, and return the data
 * set's bytes. out has CHUNK_LEN bytes; *len is set.
 *
 *   ERR_NOTFOUND  no such segment (recycled, moved), or another record there
 *   ERR_CORRUPT   the record or its seal does not hold; out is wiped
 *   ERR_IO        the disk does not read
 *   ERR_NOMEM */
enum err spool_read_chunk(struct spool *spool, struct place place,
			  const struct transfer_id *id, uint32_t index,
			  uint8_t *out, size_t *len) MUST_CHECK;
/* The same, if it takes no waiting for a disk; else ERR_AGAIN. After any error
 * spool_read_chunk() has the say. */
enum err spool_read_now(struct spool *spool, struct place place,
			const struct transfer_id *id, uint32_t index,
			uint8_t *out, size_t *len) MUST_CHECK;

/* A chunk as a sender wants it. */
struct spool_chunk {
	size_t len;
	uint8_t leaf[SEAL_HASH_LEN]; /* tree.h */
	/* Of a record that carries metadata (spool_tail's has_instance); NULL
	 * on the way in: not wanted. Zeroed when there is none. */
	struct instance *instance;
	bool has_instance;
};

/* As spool_read_chunk(), or, with now, as spool_read_now(). data NULL: the
 * bytes are not wanted, only what the head says (ERR_CORRUPT, if that does not
 * open). */
enum err spool_read_whole(struct spool *spool, struct place place,
			  const struct transfer_id *id, uint32_t index,
			  bool now, uint8_t *data,
			  struct spool_chunk *chunk) MUST_CHECK;

/* ---- tailing --------------------------------------------------------- */

enum tail_kind {
	TAIL_CHUNK,    /* a chunk of an instance, perhaps its final one */
	TAIL_OUTCOMES, /* n outcomes; n may be 0 */
	TAIL_DAMAGE,   /* something is lost or does not open */
};

struct tail_damage {
	/* The record's head is intact: id, index and, for a first or final
	 * record whose metadata opens, instance are filled. */
	bool named;
	/* It was certainly flushed, so it may have been acknowledged. False: it
	 * may as well be a write that a power cut stopped half-way. */
	bool certain;
	uint64_t bytes; /* of the segment that do not read */
	char text[128]; /* what is wrong, for a person; no patient data */
};

/* One record. Sequences rise strictly within a tail; they have gaps.
 *
 * The first record of a transfer and its final one carry an instance
 * (has_instance): the first what was known then, the final all of it. A
 * transfer counts only once its final record is here; its other chunks have
 * come before (unless moved). moved: a copy made by spool_move(), which
 * replaces the place of that chunk and says nothing else; it may be final.
 * After the loss of the ledger both copies may be seen, and copies may come
 * before or without the original: the highest sequence is the place that
 * counts.
 *
 * partial: of a transfer of spool_partial.h. All its records carry an instance;
 * its chunks come in any order, some perhaps twice (the highest sequence
 * counts); its final record has no bytes and the index behind the last one. */
struct tail_record {
	enum tail_kind kind;
	uint64_t sequence;
	struct place place;
	struct transfer_id id;
	uint32_t index;  /* chunk index */
	uint32_t length; /* bytes of the chunk */
	uint8_t leaf[SEAL_HASH_LEN];
	bool first, final, moved, partial;
	/* Certainly flushed before a power cut, if there was one. When false,
	 * the record is whole, but others of its transfer may not have arrived.
	 * A final record that is not flushed and misses chunks was never
	 * acknowledged. */
	bool flushed;
	bool has_instance;
	struct instance instance;
	/* Valid until the next call on this tail. */
	const struct outcome *outcomes;
	size_t n_outcomes;
	struct tail_damage damage;
};

struct spool_tail; /* opaque */

/* Read records from the first one whose sequence is > after (0: from the
 * oldest). ERR_NOMEM. */
enum err spool_tail_open(struct spool *spool, uint64_t after,
			 struct spool_tail **out) MUST_CHECK;
/* The next durable record in order of sequence, waiting up to wait_ms for one
 * (0: do not wait). *out is the caller's memory.
 *
 *   ERR_AGAIN     none for now
 *   ERR_CANCELED  the spool is closing and everything was returned
 *   ERR_IO        a segment cannot be read at the moment; calling again tries
 *                 again
 *   ERR_NOMEM */
enum err spool_tail_next(struct spool_tail *tail, struct tail_record *out,
			 unsigned wait_ms) MUST_CHECK;
/* Every durable record up to this sequence was returned (or passed over as torn
 * or failed). After ERR_AGAIN it is at least what spool_durable() said before
 * that call. */
uint64_t spool_tail_position(const struct spool_tail *tail);
void spool_tail_close(struct spool_tail *tail); /* NULL is fine */

/* Highest sequence that is durable. A tail that has returned everything up to
 * it has seen whatever was acknowledged before this call. */
uint64_t spool_durable(struct spool *spool);

/* ---- space ----------------------------------------------------------- */

/* Free a segment: nothing in it is needed any more. synced: the highest
 * sequence that the caller's own durable (synced) record covers.
 *
 * The caller knows a segment is dead when each chunk in it, as far as tailed,
 * belongs to a transfer that is done everywhere, was abandoned (outcomes
 * ABANDONED, RESTART), or has a moved copy elsewhere; a transfer still without
 * its final record is alive. Outcomes in it whose instance still has records in
 * other segments are to be queued again first, or a later rebuild of the ledger
 * repeats these deliveries.
 *
 *   ERR_BUSY      the segment is still written to, or holds records beyond
 *                 synced, or a tail or reader is in it: again later
 *   ERR_NOTFOUND  no such segment */
enum err spool_recycle(struct spool *spool, uint32_t segment,
		       uint64_t synced) MUST_CHECK;

/* Copy a record into the current segment, so that its old one can be recycled:
 * the sealed payload verbatim, the head sealed anew. Returns once it is queued;
 * the tail reports the copy (moved). Uses the reserve that puts cannot use. Its
 * seal is checked first.
 *
 *   ERR_BUSY      buffers or queue are full: again later
 *   ERR_NOSPACE   even the reserve is used up
 *   ERR_CORRUPT, ERR_NOTFOUND, ERR_IO, ERR_NOMEM  as spool_read_chunk() */
enum err spool_move(struct spool *spool, struct place place,
		    const struct transfer_id *id, uint32_t index) MUST_CHECK;

struct spool_segment_info {
	uint32_t number;
	bool current;  /* still written to */
	bool retired;  /* a write or flush failed on it */
	uint64_t used; /* bytes that hold records */
	/* First and last sequence; 0 when not known (a segment of an earlier
	 * start: the last is then not known until it was tailed). */
	uint64_t first, last;
};

/* The segments in use, oldest first; up to max are filled. Returns how many
 * there are. */
size_t spool_segments(struct spool *spool, struct spool_segment_info *out,
		      size_t max);

/* ---- figures --------------------------------------------------------- */

struct spool_stats {
	uint64_t quota;           /* bytes */
	uint64_t used;            /* bytes of segments in use */
	uint64_t high, low;       /* marks, bytes */
	uint64_t reserve;         /* bytes kept for outcomes and moves */
	uint32_t segments;        /* in use */
	uint32_t spare;           /* free or prepared */
	uint32_t retired;         /* withdrawn after an error, since start */
	uint32_t puts;            /* open now */
	uint32_t queued;          /* records waiting for the writer */
	uint32_t outcomes;        /* outcomes waiting */
	uint32_t partials;        /* unfinished transfers, spool_partial.h */
	uint64_t partial_bytes;   /* of their durable chunks */
	uint64_t buffers_used;    /* bytes */
	uint64_t buffers_limit;   /* bytes */
	uint64_t stored;          /* instances made durable since start */
	uint64_t stored_bytes;    /* their data sets */
	uint64_t records;         /* records written since start */
	uint64_t flushes;         /* group flushes since start */
	uint64_t prepare_flushes; /* flushes for preparing segments */
	uint64_t sequence;        /* highest durable */
	bool full;   /* new instances are refused with ERR_NOSPACE */
	bool failed; /* the disk refuses writes */
	char alert[SPOOL_WHY_LEN]; /* cause and remedy, or empty */
};

void spool_stats(struct spool *spool, struct spool_stats *out);

/* ---- checking --------------------------------------------------------- */

struct spool_check_report {
	uint64_t segments, records, instances, chunks, outcomes, bytes;
	uint64_t heads_repaired; /* read from their second copy */
	uint64_t unfinished; /* chunks of transfers without a final record */
	uint64_t partials;   /* transfers that may still be gone on with */
	uint64_t partial_chunks;
	uint64_t torn;    /* writes that a power cut stopped; never certain */
	uint64_t damaged; /* everything else that does not read or open */
};

/* Read and open everything, payloads included. damage runs for each finding, on
 * the calling thread, with a line for a person: segment, offset, transfer id,
 * SOP instance UID where known; no patient data. May run beside everything else
 * and takes its time. ERR_NOMEM, ERR_IO: not all could be looked at. */
/* The same; told, when not NULL, runs often with the bytes read so far. */
enum err spool_check_told(struct spool *spool,
			  void (*damage)(void *arg, const char *line),
			  void (*told)(void *arg, uint64_t bytes), void *arg,
			  struct spool_check_report *out) MUST_CHECK;
enum err spool_check(struct spool *spool,
		     void (*damage)(void *arg, const char *line), void *arg,
		     struct spool_check_report *out) MUST_CHECK;

#endif
