/* ledger_in.h - what the files of the ledger share. Private to store/ledger*.c.
 *
 *   ledger.c        opening, the thread, batches
 *   ledger_connect.c opening ledger.db, failure, loss, the write-ahead log
 *   ledger_audit.c  audit rows, in their own database
 *   ledger_post.c   the queue of posted writes and requests; any thread
 *   ledger_write.c  posted writes become rows
 *   ledger_load.c   the mirror: what the thread keeps in memory, read at start
 *   ledger_tail.c   spool records: transfers that are not finished, damage
 *   ledger_unfinished.c  such transfers: a list, and a map of their ids
 *   ledger_insert.c a finished transfer becomes rows
 *   ledger_outcome.c outcomes change deliveries
 *   ledger_repeat.c and are written again
 *   ledger_block.c  what is in each block of sequences, for the search
 *   ledger_blind.c  values to find sealed identifiers by
 *   ledger_rollup.c figures over time
 *   ledger_owed*.c  instances of which the audit has no row yet
 *   ledger_subject.c rows of an instance and its deliveries
 *   ledger_space.c  which segments are dead; recycling and emptying them
 *   ledger_fetch.c  answers to the scheduler
 *   ledger_transfer.c  answers about transfers that still come in
 *   ledger_origin.c    what came over links: answers, and who is told
 *
 * Everything but ledger_post.c runs on the ledger thread. Any failure of the
 * database ends the same way: roll back, close, forget the mirror, and after a
 * pause open, load, and go on from what was committed. */
#ifndef STORE_LEDGER_IN_H
#define STORE_LEDGER_IN_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/lib/list.h"
#include "store/audit.h"
#include "store/audit_head.h"
#include "store/db.h"
#include "store/ledger.h"
#include "store/ledger_blind.h"
#include "store/ledger_block.h"
#include "store/ledger_identity.h"
#include "store/ledger_map.h"
#include "store/ledger_origin.h"
#include "store/ledger_owed.h"
#include "store/ledger_rollup.h"
#include "store/ledger_sql.h"

enum {
	LEDGER_BATCH_RECORDS = 500,
	LEDGER_BATCH_MS = 50,
	LEDGER_COMMIT_GAP_MS = 20, /* a lone record waits at most this */
	LEDGER_POLL_MS = 20,
	LEDGER_TICK_MS = 1000,
	LEDGER_SPACE_MS = 200,
	LEDGER_DELIVERY_BITS = 5, /* deliveries of one instance: 32 */
	LEDGER_DELIVERIES = 1 << LEDGER_DELIVERY_BITS,
	LEDGER_CACHED = 256 /* series and origins remembered */
};

/* ---- posts and requests (ledger_post.c) ------------------------------ */

enum post_kind {
	POST_ASSOCIATION,
	POST_ASSOCIATION_END,
	POST_REFUSAL,
	POST_CAPABILITY,
	POST_ATTEMPT,
	POST_OPERATION,
	POST_NOTED,
	POST_SAMPLE,
	POST_AUDIT
};

/* ledger_sure.c: one who waits for an audit row to be durable. */
struct ledger_sure; /* opaque; the waiter's and the post's */
struct ledger_sure *ledger_sure_new(void); /* NULL: out of memory */
/* The post's side, once: how it went. NULL is fine. */
void ledger_sure_settle(struct ledger_sure *s, enum err e);
/* The waiter's side, once: wait, and give it up. ERR_TIMEOUT or as settled. */
enum err ledger_sure_wait(struct ledger_sure *s, unsigned ms) MUST_CHECK;

struct post {
	struct list node;
	enum post_kind kind;
	size_t bytes;             /* of this block */
	struct ledger_sure *sure; /* somebody waits for it; or NULL */
	uint64_t upto; /* of an audit row: durable in the spool before it */
	union {
		struct ledger_association association;
		struct ledger_association_end end;
		struct ledger_refusal refusal;
		struct ledger_capability capability;
		struct ledger_attempt attempt;
		struct ledger_operation operation;
		struct {
			size_t n;
			const struct instance_origin *v; /* behind the post */
		} noted;
		struct ledger_sample sample; /* values behind the post */
		struct audit_event audit;    /* sealed stands behind the post */
	} as; /* allocated only as far as kind needs */
};

enum request_kind {
	REQUEST_FETCH,
	REQUEST_PLACES,
	REQUEST_TRANSFER,
	REQUEST_ORIGINS,
	REQUEST_ORIGINS_TOLD,
	REQUEST_BARRIER
};

struct request {
	struct list node;
	enum request_kind kind;
	void *arg;
	union {
		struct {
			struct ledger_query q;
			ledger_fetched_fn *fn;
		} fetch;
		struct {
			uint64_t seq;
			uint32_t first;
			unsigned n;
			ledger_places_fn *fn;
		} places;
		struct {
			struct transfer_id id;
			uint32_t first;
			unsigned n;
			ledger_transfer_fn *fn;
		} transfer;
		struct {
			size_t n; /* origins behind the request */
			ledger_origins_fn *fn;
		} origins;
		struct {
			uint8_t owner[LEDGER_OWNER_LEN];
			uint64_t after;
			size_t max;
			ledger_origins_fn *fn;
		} told;
		struct {
			uint64_t upto;
			ledger_done_fn *fn;
		} barrier;
	} as;
};

struct posts {
	pthread_mutex_t mutex;
	pthread_cond_t cond; /* monotonic clock */
	struct list rows;    /* struct post, for ledger.db */
	struct list audit;   /* struct post, for the audit database */
	struct list requests;
	unsigned n;   /* posts alive: waiting or not yet committed */
	size_t bytes; /* of them */
	unsigned n_requests;
	unsigned max;     /* of n */
	uint64_t dropped; /* since start */
	uint64_t untold;  /* of them, not yet in an audit-gap event */
	bool woken;       /* the spool has something new */
	bool stopping;
};

enum err ledger_posts_init(struct posts *p, unsigned max) MUST_CHECK;
void ledger_posts_free(struct posts *p);
/* Hundredths of the bound that are used. Under the mutex. */
unsigned ledger_posts_fill(const struct posts *p);
/* Give back a post that was written or given up. */
void ledger_post_free(struct posts *p, struct post *post);

/* ---- the mirror ------------------------------------------------------ */

struct mirror_destination {
	int64_t id;
	char name[INSTANCE_NAME_LEN];
	uint64_t count[DELIVERY_N_STATES];
	uint64_t bytes[DELIVERY_N_STATES];
	int64_t last_ms[DELIVERY_N_STATES];
	unsigned dirty; /* bit per state */
	uint64_t newly_queued;
	int64_t oldest_queued_ms;
};

struct mirror_device {
	char name[INSTANCE_NAME_LEN];
	int64_t last_ms;
	uint64_t instances, bytes, associations;
	bool dirty;
};

struct mirror_kind {
	int64_t id;
	char sop_class[INSTANCE_UID_LEN];
	char transfer_syntax[INSTANCE_UID_LEN];
};

struct mirror_origin {
	int64_t id; /* 0: free */
	uint64_t association;
	char listener[INSTANCE_NAME_LEN], device[INSTANCE_NAME_LEN];
	char peer[65], calling_ae[17], called_ae[17];
	uint64_t uncounted; /* instances not yet added to the row */
};

/* Whose instances come over links. */
struct mirror_owner {
	int64_t id;
	uint8_t owner[LEDGER_OWNER_LEN];
};

struct mirror_series {
	int64_t id; /* 0: free */
	char study[INSTANCE_UID_LEN], series[INSTANCE_UID_LEN];
	char modality[17];
	struct ledger_identity identity;
	uint64_t used;      /* when, in instances */
	uint64_t uncounted; /* instances not yet added to the row */
	uint64_t bytes;     /* of them */
	int64_t first_ms, last_ms;
};

/* The numbers of pairs of metric and name, from 1 on. */
struct mirror_rollup {
	struct ledger_map ids;
	size_t n;        /* highest number */
	uint8_t *metric; /* of number i + 1 */
};

/* A row of refusals that repeats are added to. */
struct mirror_refusal {
	uint64_t key;
	int64_t id; /* 0: free */
	int64_t first_ms;
};

/* What a segment is still needed for. */
struct mirror_segment {
	uint32_t number;
	uint32_t chunks;   /* records of live or unfinished instances */
	uint32_t outcomes; /* deliveries whose last outcome is in here */
	uint64_t bytes;    /* of those chunks, as records */
	uint64_t asked_ns; /* when its records were last asked to move */
	bool stuck;        /* something in it cannot be moved */
};

struct unfinished_chunk {
	uint32_t index;
	uint32_t length;
	uint64_t sequence;
	struct place place;
	bool damaged;
};

struct unfinished_outcome {
	struct outcome o;
	uint32_t segment; /* where it stands */
};

/* A transfer whose chunks or final record have not all been seen. */
struct unfinished {
	struct list node;
	struct transfer_id id;
	uint64_t first; /* its lowest sequence */
	uint64_t final; /* sequence of the final record, 0: not seen */
	bool damaged;   /* a record of it is certainly damaged */
	bool suspect;   /* an unnamed damage may have been its record */
	bool partial;   /* spool_partial.h: it may live through a restart */
	bool kept;      /* through the next one it does */
	bool has_instance;
	uint32_t expected; /* chunk records in all; 0: not known */
	uint32_t done;     /* bits: destinations that need it no more */
	size_t n_noted;    /* the outcomes that said so */
	struct unfinished_outcome *noted;
	size_t n, cap;
	struct unfinished_chunk *chunks; /* in order of index */
	struct instance instance;
};

struct mirror {
	uint64_t applied;  /* committed */
	uint64_t position; /* last record taken from the tail */
	uint64_t at;       /* the record that is being taken */
	uint64_t rebuilt;  /* up to here originals may be missing */
	uint64_t instances;
	bool caught_up; /* the tail has once said that it has no more */

	struct mirror_destination *destinations;
	size_t n_destinations;
	struct mirror_device *devices;
	size_t n_devices, last_device;
	struct mirror_kind *kinds;
	size_t n_kinds, last_kind;
	struct mirror_owner *owners;
	size_t n_owners;
	struct mirror_origin origins[LEDGER_CACHED];
	struct mirror_series series[LEDGER_CACHED];
	int64_t next_origin, next_series;
	int64_t unready; /* series up to here have no blind values; 0: none */
	struct mirror_blocks blocks;
	struct mirror_rollup rollup;
	struct mirror_refusal refusals[LEDGER_CACHED];
	struct mirror_owed owed[OWED_SLOTS];
	size_t n_owed;

	struct ledger_map transfers; /* first half of the id -> seq, if live */
	struct ledger_map finished;  /* ids done while rebuilding */
	struct ledger_map uids;      /* destination and UID -> open ones */
	struct ledger_map unfinished_at; /* first half of the id -> pointer */
	struct list unfinished;
	uint32_t partials; /* of them */

	struct mirror_segment *segments;
	size_t n_segments, cap_segments;
	bool space_dirty; /* a segment may have died */
};

/* ---- the ledger ------------------------------------------------------ */

struct ledger {
	struct ledger_options o; /* path points at dir */
	char dir[512];
	char path[544];
	struct spool *spool;
	struct posts posts;
	pthread_t thread;
	atomic_bool accepting;
	atomic_uint_least64_t next_association;

	pthread_mutex_t stats_mutex;
	struct ledger_stats stats;           /* under stats_mutex */
	struct ledger_device_stats *devices; /* likewise */
	size_t n_devices;
	struct audit_head head; /* under stats_mutex; number 0: none */
	pthread_mutex_t seal_mutex;
	struct seal *query_seal; /* under seal_mutex */
	struct seal_mac *mac;    /* any thread */

	/* Ledger thread only from here. */
	sqlite3 *db; /* NULL while it cannot be used */
	sqlite3_stmt *st[ST_N];
	struct db_identity identity;
	struct seal *seal;
	struct spool_tail *tail;
	struct tail_record *record; /* scratch */
	struct mirror m;

	bool stopping;
	/* Instances of links that changed: on_origin is called after the
	 * commit. They stay through a failure. */
	uint64_t *changed;
	size_t n_changed, cap_changed;

	bool in_transaction;
	unsigned batch;        /* records and posts in it */
	uint64_t began_ns;     /* the transaction */
	uint64_t committed_ns; /* the last commit */
	int wal_frames;        /* in the log after the last commit */
	bool tail_empty;
	uint64_t tail_retry_ns; /* the spool could not be read: not before */
	struct list todo;       /* posts for ledger.db not written */
	struct list written;    /* in the open transaction */
	struct list barriers;   /* struct request, until it is caught up */
	struct list requests;   /* to be answered in this round */

	struct audit *audit;
	struct ledger_keeper *keeper;
	struct ledger_owed owed;
	struct list audit_todo;
	struct list audit_written;
	uint64_t audit_committed_ns;
	uint64_t audit_failed_ns; /* since when; 0: fine */
	uint64_t audit_retry_ns;

	const char *aside; /* why ledger.db must be, or was, moved aside */
	bool rebuild;      /* it must */
	bool rebuilding;
	bool failing;      /* and told */
	bool told_queue;   /* on_queued may be called */
	uint64_t retry_ns; /* not before */
	unsigned backoff_ms;
	char why[DB_WHY_LEN];
	uint64_t tick_ns, space_ns, truncate_ns;
};

/* The first half of a transfer id, for maps. */
uint64_t ledger_transfer_key(const struct transfer_id *id);
uint64_t ledger_uid_key(uint64_t uid_hash, int64_t destination);

/* ledger.c */
void ledger_publish(struct ledger *l);

/* ledger_connect.c: open, migrate, load, begin to tail; all or nothing. */
enum err ledger_connect(struct ledger *l) MUST_CHECK;
/* Forget the connection and the mirror; what was written but not committed
 * waits again. */
void ledger_disconnect(struct ledger *l);
/* The database said e: disconnect, tell, and try again after a while. */
void ledger_failed(struct ledger *l, enum err e);
/* Somebody deleted or replaced ledger.db. */
bool ledger_is_lost(struct ledger *l);
void ledger_lost(struct ledger *l);
/* Keep the log short. */
enum err ledger_checkpoint(struct ledger *l) MUST_CHECK;
/* All of the log into the file, and the log cut, without waiting. ERR_BUSY:
 * somebody reads. Outside a transaction. */
enum err ledger_cut_log(struct ledger *l) MUST_CHECK;

/* ledger_keep.c: retention, holds, erasing */
enum err ledger_keeper_new(struct ledger *l) MUST_CHECK;
void ledger_keeper_free(struct ledger *l);
void ledger_keep_work(struct ledger *l); /* one piece, each round */
void ledger_keep_tick(struct ledger *l); /* each second */
/* There is another piece: do not wait for others' work. */
bool ledger_keep_busy(const struct ledger *l);
void ledger_keep_close(struct ledger *l); /* nobody waits any more */

/* ledger_audit.c: write what waits, unless it was tried just now. */
void ledger_audit_work(struct ledger *l);
void ledger_audit_tick(struct ledger *l);
/* What is signed, for ledger_head(). */
void ledger_audit_show_head(struct ledger *l);
bool ledger_audit_ok(const struct ledger *l);

/* ledger.c */
/* Begin the transaction unless it is open. */
enum err ledger_begin(struct ledger *l) MUST_CHECK;
/* An audit row of the ledger's own. */
void ledger_audit_text(struct ledger *l, enum audit_kind kind,
		       enum audit_outcome outcome, const char *key,
		       const char *text);

/* ledger_load.c: fill l->m from the open database. ERR_NOTFOUND: the database
 * does not belong to this spool (l->aside says how): rebuild. */
enum err ledger_load(struct ledger *l) MUST_CHECK;
void mirror_free(struct mirror *m);
enum err mirror_destination_get(struct ledger *l, const char *name,
				struct mirror_destination **out) MUST_CHECK;
struct mirror_destination *mirror_destination_by_id(struct mirror *m,
						    int64_t id);
enum err mirror_device_get(struct mirror *m, const char *name,
			   struct mirror_device **out) MUST_CHECK;
/* Never NULL but for memory. */
struct mirror_segment *mirror_segment_get(struct mirror *m, uint32_t number);
/* n more (or fewer) deliveries of a state. */
void mirror_count(struct mirror_destination *d, enum delivery_state s,
		  uint64_t bytes, bool more);
enum err mirror_flush(struct ledger *l) MUST_CHECK;

/* ledger_tail.c */
enum err ledger_apply(struct ledger *l, const struct tail_record *r) MUST_CHECK;
/* The tail has no more for now: what is still incomplete stays so. */
enum err ledger_settle(struct ledger *l) MUST_CHECK;

/* ledger_unfinished.c */
void unfinished_free(struct unfinished *u);
/* Rows were made of it: what it pins stays. */
void unfinished_forget(struct mirror *m, struct unfinished *u);
/* It is garbage: its places are free. */
void unfinished_drop(struct mirror *m, struct unfinished *u);
/* The one that a record belongs to, made if need be. */
enum err unfinished_get(struct mirror *m, const struct tail_record *r,
			struct unfinished **out) MUST_CHECK;
/* NULL: not known, or not unfinished. */
struct unfinished *unfinished_find(struct mirror *m,
				   const struct transfer_id *id);
/* An outcome of it came although records are missing: they are gone, or it is
 * not whole yet. */
enum err unfinished_note(struct unfinished *u, const struct outcome *o,
			 uint32_t segment) MUST_CHECK;
/* No destination needs what is missing. */
bool unfinished_is_done(const struct unfinished *u);
/* Where a restart must begin to read. */
uint64_t ledger_resume(const struct mirror *m);

/* ledger_insert.c: rows of a transfer. reason NULL: queued; else quarantined
 * for that reason. */
enum err ledger_insert(struct ledger *l, const struct unfinished *u,
		       const char *reason) MUST_CHECK;
/* A delivery becomes open, or ends to be. */
enum err ledger_uid_open(struct ledger *l, uint64_t key,
			 uint64_t delivery) MUST_CHECK;
enum err ledger_uid_shut(struct ledger *l, uint64_t key,
			 uint64_t delivery) MUST_CHECK;

/* ledger_outcome.c */
enum err ledger_outcome(struct ledger *l, const struct outcome *o,
			uint32_t segment) MUST_CHECK;
/* Quarantine what is open of an instance, because its bytes are damaged. */
enum err ledger_quarantine(struct ledger *l, uint64_t seq,
			   const char *reason) MUST_CHECK;

/* ledger_repeat.c: have every decided delivery of a live instance written to
 * the spool again. */
enum err ledger_repeat_outcomes(struct ledger *l, uint64_t seq) MUST_CHECK;

/* ledger_space.c */
void space_pin(struct mirror *m, const struct place *p, uint32_t length);
void space_unpin(struct mirror *m, const struct place *p, uint32_t length);
void space_pin_outcome(struct mirror *m, uint32_t segment);
void space_unpin_outcome(struct mirror *m, uint32_t segment);
enum err ledger_space(struct ledger *l) MUST_CHECK;
/* Deliveries whose segment is gone are quarantined. */
enum err ledger_space_check(struct ledger *l) MUST_CHECK;

/* ledger_write.c */
enum err ledger_write(struct ledger *l, const struct post *p) MUST_CHECK;

/* ledger_insert.c: what series have gained, into their rows. */
enum err ledger_series_flush(struct ledger *l) MUST_CHECK;

/* ledger_blind.c: bind both at i and i + 1. */
void ledger_bind_blind(sqlite3_stmt *st, int i, const struct blind *b);
/* Some more series of an older release. */
enum err ledger_blind_fill(struct ledger *l) MUST_CHECK;

/* ledger_rollup.c */
enum err ledger_rollup_load(struct ledger *l) MUST_CHECK;
enum err ledger_rollup_write(struct ledger *l,
			     const struct ledger_sample *s) MUST_CHECK;

/* ledger_transfer.c */
enum err ledger_answer_transfer(struct ledger *l, const struct request *r,
				enum err why);

/* ledger_origin.c */
/* The number of an owner; 0: unknown. */
int64_t ledger_owner_find(const struct mirror *m,
			  const uint8_t owner[LEDGER_OWNER_LEN]);
enum err ledger_owner_get(struct ledger *l,
			  const uint8_t owner[LEDGER_OWNER_LEN],
			  int64_t *id) MUST_CHECK;
/* A delivery of an instance that came over a link changed. */
enum err ledger_origin_changed(struct ledger *l, uint64_t seq) MUST_CHECK;
/* After a commit: call on_origin. */
enum err ledger_origins_tell(struct ledger *l) MUST_CHECK;
enum err ledger_origins_write_noted(struct ledger *l,
				    const struct post *p) MUST_CHECK;
/* As ledger_answer(), without freeing. */
enum err ledger_answer_origins(struct ledger *l, const struct request *r,
			       enum err why);
enum err ledger_answer_told(struct ledger *l, const struct request *r,
			    enum err why);

/* ledger_fetch.c: places of an instance's chunks, without a gap. */
enum err ledger_read_places(struct ledger *l, uint64_t seq, uint32_t first,
			    unsigned max, struct place *out,
			    size_t *n) MUST_CHECK;
/* ledger_fetch.c: answer the request and free it. why: ERR_OK to look, else
 * what to answer instead of looking. Returns what the database said. */
enum err ledger_answer(struct ledger *l, struct request *r, enum err why);

#endif
