/* spool_int.h - what the spool's own files share. Nobody else includes it.
 *
 *   spool.c          open, close, figures
 *   spool_load.c     the directory as it is found: key, segments, sequences
 *   spool_segments.c the table of segments: find, hold, recycle
 *   spool_prepare.c  the helper thread: segments ready before they are needed
 *   spool_pool.c     record buffers, bounded
 *   spool_put.c      instances coming in: hash, seal, cut into records
 *   spool_partial.c  partial transfers: chunks put, finish, close
 *   spool_partial_settle.c  what the writer tells of them
 *   spool_partial_table.c  what is known of them, while it runs
 *   spool_partial_load.c   and what a start finds of them
 *   spool_outcome.c  outcomes waiting, and the records they become
 *   spool_writer.c   the writer thread: place and write
 *   spool_early.c    payload on its way to the disk before its record is
 *   spool_flush.c    its flushes, what they complete, and when they fail
 *   spool_wake.c     its care for puts that wait for buffers
 *   spool_read.c     reading a chunk; copying a record for compaction
 *   spool_tail.c     records in order
 *   spool_check.c    reading and opening everything
 *
 * The way of a record: put thread (seals the payload) -> queue -> writer
 * (place, sequence, head) -> pwritev -> fdatasync -> on_done. The writer's own
 * state (struct writer) needs no lock. Everything else that two threads touch
 * is guarded by spool.lock; waiting for a disk never happens under it.
 * callback_lock is held around on_writable and on_chunks only, and taken before
 * lock. */
#ifndef STORE_SPOOL_INT_H
#define STORE_SPOOL_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/lib/list.h"
#include "store/record.h"
#include "store/segment.h"
#include "store/spool.h"
#include "store/spool_partial.h"
#include "store/tree.h"

enum {
	SLAB_LEN = 32 * 1024,  /* record buffers come in this size */
	SLICE_LEN = 16 * 1024, /* hashed and sealed at once, while in cache */
	RECORD_SLABS = RECORD_PAYLOAD_MAX / SLAB_LEN,
	PUT_INFLIGHT_MAX = 4 * 1024 * 1024, /* bytes of one put in the queue */
	GRANT_SLABS = 4,        /* given to a waiting put when all are taken */
	TICK_MS = 50,           /* between such grants */
	OUTCOMES_MAX = 65536,   /* waiting in memory */
	OUTCOME_BATCH = 320,    /* of one record; fits one slab */
	READY_TARGET = 2,       /* segments prepared ahead */
	AHEAD_MAX = 8,          /* free segments made while nobody waits */
	FREE_MAX = 16,          /* free segments kept on disk */
	OPEN_FILES_MAX = 128,   /* segments kept open for reading */
	RETRY_MS = 1000,        /* after the disk refused */
	SEQUENCE_SLACK = 65536, /* skipped at each start */
	UNFLUSHED_MS = 50,      /* longest, for chunks nobody waits for */
	RUN_RECORDS = 30,       /* written by one pwritev */
	EARLY_SLABS = 4,        /* written ahead at once */
	SEGMENTS_MIN = 4,       /* in the quota */
};

struct slab {
	struct list link;
	uint8_t bytes[SLAB_LEN];
};

/* One record on its way to the disk. */
struct record {
	struct list link;
	struct spool_put *put; /* NULL: outcomes or a move */
	struct record_head head;
	bool reserve;  /* may use the segments kept back */
	bool final;    /* someone waits for its flush */
	bool closed;   /* its payload is complete: tag and leaf stand */
	bool settled;  /* a chunk of a partial transfer: its end was told */
	size_t filled; /* payload bytes held */
	size_t sealed; /* of these, hashed and sealed */
	unsigned n_slabs;
	struct slab *slabs[RECORD_SLABS];
	/* Written before its place is sure (spool_early.c). Under lock: */
	unsigned early_ready; /* slabs that are sealed */
	bool early_busy;      /* the writer is writing some of them */
	bool early_dropped;   /* its owner gave it up meanwhile */
	/* The writer's own: */
	unsigned early_slabs; /* written ahead, if the mark is the writer's */
	uint64_t early_mark;  /* 0: nothing is ahead */
	uint64_t outcomes;    /* number of the last one in it; 0: none */
	uint8_t meta[INSTANCE_ENCODED_MAX]; /* plain; wiped when freed */
	uint8_t page[RECORD_PAGE];
};

struct spool_put {
	struct list link;    /* in spool.puts */
	struct list waiting; /* in spool.waiters, or alone */
	struct spool *spool;
	struct spool_put_events events;
	struct instance instance;
	uint8_t payload_salt[RECORD_PAYLOAD_SALT];
	struct seal *seal;
	struct tree *tree;
	struct record *record; /* being filled; owner only */
	uint32_t index;        /* of that record */
	atomic_int err;        /* enum err, sticky */
	/* Under spool.lock: */
	unsigned refs;   /* the owner, and each record queued */
	size_t inflight; /* bytes queued */
	unsigned grant;  /* slabs it may take although all are taken */
	uint64_t last;   /* sequence of its newest record, 0: none */
	bool owned;      /* neither finished nor aborted */
	/* Not NULL: the put member of a struct spool_partial_put. */
	struct partial *partial;
};

/* Under spool.lock but for what put->instance and on_chunks are. */
struct spool_partial_put {
	struct spool_put put; /* its first member: put_free() frees both */
	void (*on_chunks)(void *arg, enum err e, uint32_t first, uint32_t n);
	bool finishing; /* the final record is on its way */
	bool lost;      /* the transfer was disowned */
};

struct partial_chunk {
	uint32_t index, length;
	uint64_t sequence; /* 0: queued */
	struct place place;
	uint8_t leaf[SEAL_HASH_LEN];
};

/* A partial transfer. Under spool.lock. */
struct partial {
	struct list link; /* in spool.partials, or alone */
	unsigned refs;    /* the table, and each put of it */
	struct transfer_id id;
	struct instance_origin origin;
	char sop_instance[INSTANCE_UID_LEN];
	int64_t touched_ms;
	struct partial_chunk *chunks; /* in order of index */
	size_t n, room;
	uint32_t durable; /* of them */
	uint64_t bytes;   /* of the durable ones */
	uint32_t from;    /* their oldest segment; 0: none */
	bool written;     /* some record of it may stand on the disk */
	bool abandoned;   /* to be said when its last put has gone */
	bool kept;        /* while loading */
	struct spool_partial_put *open; /* NULL: nobody has it */
};

struct segment {
	uint32_t number;
	uint32_t size; /* bytes of the file */
	int fd;        /* -1: not open */
	unsigned refs; /* readers, tails, the writer */
	bool current, retired;
	bool old;     /* begun before this start: its end is not known */
	uint32_t end; /* not old: after the last durable record */
	uint32_t epoch;
	uint32_t previous;   /* segment before it in its epoch */
	uint64_t first;      /* sequences; 0: not known */
	bool first_is_whole; /* no record before it was lost */
	uint64_t last;
};

struct outcomes { /* a ring */
	struct outcome *at;
	size_t room, first, n;
	uint64_t since_ns; /* monotonic time of the oldest */
	uint64_t taken;    /* by the writer so far; numbers go on from there */
	uint64_t durable;  /* highest number that is */
	uint64_t lost;     /* records that were not written */
};

/* The writer thread's own. */
struct writer {
	struct segment *segment; /* held; NULL: none */
	uint8_t salt[RECORD_SALT];
	struct seal *life;
	uint32_t offset;       /* where the next record goes */
	uint32_t previous;     /* segment before the current one */
	uint64_t sequence;     /* of the next record */
	uint64_t first;        /* of the first record in this segment */
	uint32_t epoch;        /* of what is written now */
	uint64_t tick_ns;      /* when to help a waiting put; 0: none waits */
	uint64_t unflushed_ns; /* since when */
	size_t unflushed;      /* bytes */
	bool hurry;            /* of these, some are waited for */
	bool begun;            /* the first turn was taken */
	bool reserved;         /* the segment is of the reserve */
	uint64_t early_mark;   /* whose bytes stand ahead; from 1 */
	struct list pending;   /* records taken from the queue */
	struct list written;   /* records that wait for the flush */
};

struct ready_segment {
	uint32_t number;
	int fd;
	uint8_t salt[RECORD_SALT];
};

struct spool {
	char *path;
	int dir;     /* descriptor of the directory */
	int lock_fd; /* holds the flock */
	uint8_t id[SPOOL_ID_LEN];
	struct seal_key *key;
	size_t segment_size;
	uint32_t segments_max, segments_high, segments_low, reserve;
	unsigned outcome_ms;
	void (*on_durable)(void *arg);
	void *on_durable_arg;

	pthread_t writer_thread, helper_thread;
	struct segment_pace pace; /* of the helper; stop ends it */
	struct writer writer;

	pthread_mutex_t callback_lock;
	pthread_mutex_t lock;
	pthread_cond_t work;    /* for the writer */
	pthread_cond_t prepare; /* for the helper */
	pthread_cond_t ready;   /* a segment is ready, or cannot be */
	pthread_cond_t durable_cond;

	/* All below: under lock. */
	bool closing;
	struct list queue; /* records for the writer */
	uint32_t n_queue;
	struct record *early; /* of the only open put; NULL: none */
	struct list puts, waiters;
	uint32_t n_puts;
	struct list partials;
	uint32_t n_partials;
	atomic_uint partial_from; /* oldest segment they need; 0: none */
	struct outcomes outcomes;
	uint64_t durable; /* highest durable sequence */
	uint64_t loaded;  /* highest one found at the start */

	struct list slabs; /* free ones */
	size_t slabs_free, slabs_used, slabs_soft, slabs_middle, slabs_hard;

	struct segment **segments; /* in use, by number */
	size_t n_segments, segments_room;
	unsigned open_files;
	uint32_t next_number;
	uint32_t epoch; /* counts starts and failures */
	struct ready_segment readies[READY_TARGET];
	size_t n_ready;
	uint32_t *frees; /* numbers of free files */
	size_t n_free, frees_room;
	bool preparing;       /* the helper is at work */
	bool going_ahead;     /* on a file that nobody waits for */
	enum err prepare_err; /* why none is ready; ERR_OK: wait */
	uint64_t prepare_again_ns, ahead_again_ns;

	bool full;          /* high-water mark */
	uint64_t failed_ns; /* last write or flush error; 0: none since */
	enum err failed_err;
	char failed_text[SPOOL_WHY_LEN];
	uint64_t stored, stored_bytes, records, flushes;
	uint64_t prepare_flushes;
	uint32_t retired;
};

/* spool_load.c */
enum err spool_load(struct spool *s, const struct spool_options *o,
		    char why[SPOOL_WHY_LEN]) MUST_CHECK;

/* spool_segments.c. find, insert: under lock. hold gives an open descriptor. */
struct segment *spool_segment_find(struct spool *s, uint32_t number);
/* The first segment in use with a number above this one, or NULL. */
struct segment *spool_segment_after(struct spool *s, uint32_t number);
enum err spool_segment_insert(struct spool *s,
			      struct segment *segment) MUST_CHECK;
enum err spool_segment_hold(struct spool *s, struct segment *segment)
    MUST_CHECK; /* under lock; ERR_IO */
void spool_segment_drop(struct spool *s, struct segment *segment); /* lock */
/* Under lock: take a segment nobody holds out of the table, remove its file. */
enum err spool_segment_unlink(struct spool *s,
			      struct segment *segment) MUST_CHECK;
struct segment_place spool_segment_place(const struct spool *s,
					 const struct segment *segment);
void spool_update_full(struct spool *s); /* under lock */
enum err spool_free_push(struct spool *s, uint32_t number) MUST_CHECK;

/* spool_prepare.c */
void *spool_helper_main(void *arg);
/* For the writer: a segment with a fresh life, waiting for one if it can be
 * had. reserve: the last ones of the quota may be used. */
enum err spool_take_ready(struct spool *s, bool reserve,
			  struct ready_segment *out) MUST_CHECK;

/* spool_pool.c, under lock */
/* NULL: no memory, or as many as limit are in use. Three limits: from soft on
 * puts are asked to wait; up to middle they may still take what they have in
 * hand; the rest is for those who are granted more. */
struct slab *spool_slab_take(struct spool *s, size_t limit);
void spool_slab_give(struct spool *s, struct slab *slab);
bool spool_pool_full(const struct spool *s);

/* spool_put.c */
/* NULL: out of memory. Not under lock. */
struct record *record_new(void);
void record_free(struct record *r); /* its slabs are gone already */
/* Under lock. */
void spool_enqueue(struct spool *s, struct record *r);
void record_give_slabs(struct spool *s, struct record *r);
bool put_full_now(struct spool_put *put);
/* One reference less; true: it is in no list any more and the caller frees it
 * by put_free() after unlock. One that failed leaves an outcome ABANDONED. */
bool put_unref(struct spool_put *put);
void put_free(struct spool_put *put);
void put_fail(struct spool_put *put, enum err e); /* the first one wins */

/* Take what waits off the waiters; no callback runs after it. Not under lock.
 */
void put_stop_waiting(struct spool_put *put);
/* May a new instance begin? Under lock. */
enum err spool_admission(const struct spool *s,
			 enum spool_room room) MUST_CHECK;

/* spool_partial_table.c, under lock */
struct partial *partial_find(struct spool *s,
			     const struct instance_origin *origin);
struct partial *partial_find_id(struct spool *s, const struct transfer_id *id);
/* NULL: out of memory. It holds the table's reference. */
struct partial *partial_add(struct spool *s, const struct transfer_id *id,
			    const struct instance_origin *origin);
/* Out of the table; freed with its last put. */
void partial_remove(struct spool *s, struct partial *p);
/* A put of it has gone. */
void partial_unref(struct spool *s, struct partial *p);
struct partial_chunk *partial_chunk_find(const struct partial *p,
					 uint32_t index);
/* NULL: out of memory. Not there yet. */
struct partial_chunk *partial_chunk_add(struct partial *p, uint32_t index);
void partial_chunk_remove(struct spool *s, struct partial *p, uint32_t index);
void partial_chunk_durable(struct spool *s, struct partial *p,
			   struct partial_chunk *c, uint64_t sequence,
			   struct place place);
/* A segment goes: what stood in it is not there any more. */
void partials_forget_segment(struct spool *s, uint32_t number);
/* Everything; no put is left. */
void partials_free(struct spool *s);

/* spool_partial_load.c. walked: the newest segment. Before the threads run. */
enum err spool_partial_load(struct spool *s, const struct segment *newest,
			    const struct segment_extent *walked) MUST_CHECK;

/* spool_partial_settle.c, for the writer, not under lock. */
/* Chunks of partial transfers among these records came to their end. */
void spool_partial_settle(struct spool *s, struct list *records, enum err e);
void spool_partial_settle_one(struct spool *s, struct record *r, enum err e);
/* So did a final record: before its on_done(). */
void spool_partial_done(struct spool *s, struct spool_put *put, enum err e);
static inline bool record_is_partial_chunk(const struct record *r)
{
	return r->put != NULL && r->put->partial != NULL && !r->final;
}

/* spool_outcome.c, under lock except make_record */
enum err spool_outcome_add(struct spool *s, const struct outcome *o) MUST_CHECK;
bool spool_outcomes_due(const struct spool *s, uint64_t now_ns);
/* Take up to OUTCOME_BATCH waiting ones. */
size_t spool_outcomes_take(struct spool *s, struct outcome *out);
/* The end of a record of them, or of what was to be one. */
void spool_outcomes_settle(struct spool *s, uint64_t last, enum err e);
/* A sealed record of n outcomes; it needs no slab of the pool's bound. */
enum err spool_outcomes_record(struct spool *s, const struct outcome *o,
			       size_t n, struct record **out) MUST_CHECK;

/* spool_writer.c */
void *spool_writer_main(void *arg);

/* spool_flush.c; the writer's own */
/* The end of a record: everything that is its own is given back, and whoever
 * waits for it is called. */
void writer_finish(struct spool *s, struct record *r, enum err e);
/* A write or flush failed with this errno. */
void writer_fail(struct spool *s, const char *what, int number);
bool writer_flush_due(const struct spool *s, uint64_t now_ns);
void writer_flush(struct spool *s);

/* spool_early.c. offer, pending and drop: under lock. */
/* All slabs the record has are sealed: the writer may take them ahead. */
void spool_early_offer(struct spool *s, struct record *r);
bool spool_early_pending(const struct spool *s);
/* The record is finished or given up. False: the writer has it in hand, and
 * frees it (given_up) or waits for nothing. */
bool spool_early_drop(struct spool *s, struct record *r, bool given_up);
void writer_early(struct spool *s);
/* The writer's offset has moved: what stood ahead of it is nobody's. */
void writer_early_taken(struct writer *w);
/* Bytes of the payload that stand already behind a head at the writer's offset.
 */
size_t writer_early_bytes(const struct writer *w, const struct record *r);

/* spool_wake.c; the writer's own */
void writer_wake_puts(struct spool *s);
void writer_grant(struct spool *s); /* under lock */

/* spool_tail.c: as spool_tail_open(), and every payload is opened too. */
enum err spool_tail_open_verify(struct spool *s,
				struct spool_tail **out) MUST_CHECK;
struct tail_counts {
	uint64_t repaired, torn;
};
struct tail_counts spool_tail_counts(const struct spool_tail *t);

#endif
