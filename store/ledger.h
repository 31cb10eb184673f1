/* ledger.h - the record of what came, where it goes and what became of it.
 *
 * One ledger thread is the only SQLite writer. It tails the spool: instances
 * and outcomes enter the ledger only from there, so a stalled or lost database
 * never stops acknowledgements and can always be rebuilt. All other writes
 * (associations, refusals, capabilities, attempt notes, audit) are posted
 * through a bounded queue and never block the caller.
 *
 * Files, all in options.path: ledger.db (rebuilt from the spool when it is
 * missing, damaged or of another spool; the old one is kept as
 * ledger.db.corrupt-<time>), audit-YYYY-MM.db (audit.h; never rebuilt).
 *
 * Threads: every function here may be called from any thread. Callbacks run on
 * the ledger thread, must be quick, and may call the posting functions and
 * ledger_fetch(), but not ledger_close(). No libuv: the proxy posts onward.
 *
 * Times named _ms are wall milliseconds since the epoch, UTC. */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit.h"
#include "store/instance.h"
#include "store/seal.h"
#include "store/spool.h"

struct ledger;        /* opaque */
struct ledger_origin; /* ledger_origin.h */

enum {
	LEDGER_WHY_LEN = 256,    /* text of a failure, for a person */
	LEDGER_TEXT_LEN = 256,   /* last error in words, with NUL */
	LEDGER_ADDR_LEN = 128,   /* endpoint as configured, with NUL */
	LEDGER_FETCH_MAX = 256,  /* items in one answer */
	LEDGER_PLACES_MAX = 256, /* places in one answer */
	LEDGER_N_DESTINATIONS = 64
};

/* A delivery is one instance or message on its way to one destination. The
 * numbers stand in the database: never renumber. Open = queued or held.
 *
 * uncommitted: the destination has it, but has not yet committed to keep it,
 * and the instance was to wait for that (instance.commit). Its bytes stay; it
 * is not sent again unless it is released. OUTCOME_COMMITTED leads from there
 * to committed, OUTCOME_DISCARDED to delivered: the commitment is given up.
 *
 * arrived: it is whole in the store at the far end of a link, which delivers
 * it. Its bytes stay here, and it is not sent again unless it is released.
 * OUTCOME_DELIVERED, with the far archive's status, ends it. */
#define DELIVERY_STATE_MAP(X)                                                  \
	X(0, QUEUED, "queued")                                                 \
	X(1, HELD, "held")                                                     \
	X(2, QUARANTINED, "quarantined")                                       \
	X(3, DELIVERED, "delivered")                                           \
	X(4, WITHDRAWN, "withdrawn")                                           \
	X(5, DISCARDED, "discarded")                                           \
	X(6, UNCOMMITTED, "uncommitted")                                       \
	X(7, COMMITTED, "committed")                                           \
	X(8, ARRIVED, "arrived")

enum delivery_state {
#define X(number, name, text) DELIVERY_##name = (number),
	DELIVERY_STATE_MAP(X)
#undef X
};
enum { DELIVERY_N_STATES = 9 };

const char *delivery_state_text(enum delivery_state s);
/* The bytes are still needed: queued, held, quarantined, uncommitted or
 * arrived. */
bool delivery_state_keeps(enum delivery_state s);
/* False: no such state; *out is untouched. */
bool delivery_state_parse(const char *text, enum delivery_state *out);

/* last_error of what begins held (instance.held). */
#define LEDGER_HELD_REASON "waiting for the instances it names"

/* ---- opening and closing ------------------------------------------- */

struct ledger_options {
	const char *path;          /* existing directory, copied */
	size_t cache_bytes;        /* page cache; 0 = 32 MiB */
	unsigned queue_max;        /* posted writes waiting; 0 = 16384 */
	unsigned audit_patience_s; /* audit_ok stays true for; 0 = 60 */
	const char *node;          /* named in heads, copied; NULL: "culvert" */
	struct seal_signer *signer;      /* of heads, borrowed; NULL: none */
	uint64_t retention_audit_ms;     /* of a month's end; 0: for ever */
	uint64_t retention_transfers_ms; /* 0: for ever */
	/* After the commit that made count more deliveries to destination
	 * queued (new, released, retried, redirected). NULL is fine. */
	void (*on_queued)(void *arg, const char *destination, uint64_t count);
	/* After the commit in which an instance that came over a link became
	 * delivered everywhere, or stuck: ledger_origin.h. NULL is fine. */
	void (*on_origin)(void *arg, const struct ledger_origin *o);
	void *arg;
};

/* Open or create the databases, migrate them, start the thread, and begin to
 * catch up with the spool (not awaited: see ledger_barrier()). spool is
 * borrowed until close. A damaged ledger.db is moved aside and rebuilt; that
 * is no error.
 *
 *   ERR_UNSUPPORTED  written by a newer program; nothing was touched
 *   ERR_IO           directory or file cannot be used
 *   ERR_NOSPACE      disk full
 *   ERR_NOMEM
 *
 * why (NULL is fine) gets a sentence for a person unless ERR_OK. */
enum err ledger_open(const struct ledger_options *options, struct spool *spool,
		     struct ledger **out, char why[LEDGER_WHY_LEN]) MUST_CHECK;

/* Write what was posted, commit, stop the thread, free. Waiting fetches,
 * places and barriers are answered with ERR_CANCELED first. NULL is fine. */
void ledger_close(struct ledger *l);

/* The spool has something new: call it from spool_options.on_durable. Cheap,
 * never blocks. Without it the ledger looks every 20 ms. NULL is fine. */
void ledger_wake(struct ledger *l);

/* `culvert spool rebuild`: move ledger.db aside and write a new one from
 * everything the spool holds; returns when done. No other ledger may be open
 * on that path. *instances counts the rows made. Errors as ledger_open(). */
enum err ledger_rebuild(const struct ledger_options *options,
			struct spool *spool, uint64_t *instances,
			char why[LEDGER_WHY_LEN]) MUST_CHECK;

/* done runs when everything that was durable in the spool before this call is
 * committed in the ledger. ERR_CANCELED: closing. ERR_NOMEM is returned and
 * done never runs. */
typedef void ledger_done_fn(void *arg, enum err e);
enum err ledger_barrier(struct ledger *l, ledger_done_fn *done,
			void *arg) MUST_CHECK;

/* ---- the scheduler's side ------------------------------------------ */

/* A place in a destination's order: priority descending, then arrival. */
struct ledger_cursor {
	int32_t priority;
	uint64_t delivery;
};
#define LEDGER_CURSOR_START ((struct ledger_cursor){.priority = INT32_MAX})

struct ledger_item {
	uint64_t delivery; /* id of this delivery; a rebuild finds it again
			    * unless compaction moved the instance */
	uint64_t seq;      /* arrival order of the instance */
	struct transfer_id transfer;
	int32_t priority;        /* device priority * 4 + 0 low, 1 medium, 2
				  * high (DICOM), 3 messages */
	uint16_t dicom_priority; /* (0000,0700) as it came: 0, 1 high, 2 low */
	uint32_t attempts;
	int64_t received_ms;
	int64_t next_attempt_ms; /* 0: at once */
	uint64_t length;         /* bytes of the data set */
	uint32_t chunks;
	struct place first; /* of chunk 0; the rest: ledger_places() */
	uint8_t root[32];
	uint64_t association; /* the inbound one */
	/* Of what keeps its order: the SOP instance UID; of a message with a
	 * transaction: that; of one that began held: of itself alone. This
	 * database only. */
	uint64_t uid_hash;
	uint16_t command; /* as in struct instance; 0: an instance */
	uint16_t type;
	char transaction[65];
	/* An earlier delivery of the same UID to this destination is open:
	 * this one must wait. Fetch again after that one's outcome. */
	bool earlier_open;
	bool has_move;
	uint16_t move_originator_id;
	char move_originator[17];
	char calling_ae[17];
	char called_ae[17];
	char device[33];
	char listener[33];
	char sop_class[65];
	char sop_instance[65];
	char transfer_syntax[65];
	char study[65];
};

struct ledger_fetched {
	enum err e; /* OK; CANCELED (closing); IO (database: try again) */
	const struct ledger_item *items; /* valid during the call */
	size_t n;
	struct ledger_cursor next; /* where to go on */
	bool end;                  /* nothing after next at the moment */
	int64_t next_due_ms;       /* earliest next_attempt left out; 0: none */
};
typedef void ledger_fetched_fn(void *arg, const struct ledger_fetched *f);

struct ledger_query {
	char destination[33];
	/* QUEUED, HELD, QUARANTINED; UNCOMMITTED, ARRIVED (in order of arrival,
	 * whatever their next_attempt) */
	enum delivery_state state;
	struct ledger_cursor after;
	unsigned max;   /* items, 1..LEDGER_FETCH_MAX */
	int64_t now_ms; /* later next_attempts are left out */
};

/* Read open deliveries of one destination in order. The answer is a snapshot:
 * a delivery in flight whose outcome is not yet in the ledger comes again, so
 * the caller keeps a set of ids in flight. One answer looks at a bounded number
 * of rows: n may be 0 while end is false. ERR_NOMEM, ERR_BUSY (queue full),
 * ERR_INVAL: fn never runs; else it runs exactly once. */
enum err ledger_fetch(struct ledger *l, const struct ledger_query *q,
		      ledger_fetched_fn *fn, void *arg) MUST_CHECK;

/* The places of chunks first..first+n-1 of an instance, n at most
 * LEDGER_PLACES_MAX, fewer at its end. e: OK, NOTFOUND (no such open
 * instance), CANCELED, IO. Compaction may move a record between this answer
 * and the read: a read that fails is repeated with fresh places before it
 * counts as damage. */
typedef void ledger_places_fn(void *arg, enum err e, const struct place *places,
			      size_t n);
enum err ledger_places(struct ledger *l, uint64_t seq, uint32_t first,
		       unsigned n, ledger_places_fn *fn, void *arg) MUST_CHECK;

/* Cut-through: what is durable of a transfer, whole or still coming in. */
struct ledger_transfer {
	/* OK; CANCELED (closing); IO; NOTFOUND: nothing of it is durable yet,
	 * or it was abandoned, or it is done everywhere */
	enum err e;
	uint64_t seq;    /* of the instance once it is whole, else 0 */
	uint64_t length; /* whole: bytes of the data set */
	uint32_t chunks; /* whole: all; else how many are durable */
	bool partial;    /* not whole: its peer may go on with it after a
			  * restart (spool_partial.h); else a restart ends it */
	/* Not whole: what was known when it began; NULL: not known. */
	const struct instance *instance;
	const struct place *places; /* of chunks first, first+1, ...: n */
	size_t n;                   /* 0: chunk first is not durable yet */
};
/* t is valid during the call. */
typedef void ledger_transfer_fn(void *arg, const struct ledger_transfer *t);
/* Ask for chunks first..first+n-1 (n at most LEDGER_PLACES_MAX) by the id that
 * spool_put_id() or spool_partial_id() says. Ask again after ledger_wake() for
 * what comes later. Nothing says that the chunk before the end of places is not
 * the last one: only a whole transfer has a length, and a sender keeps its last
 * fragment until then. Errors as ledger_fetch(). */
enum err ledger_transfer(struct ledger *l, const struct transfer_id *id,
			 uint32_t first, unsigned n, ledger_transfer_fn *fn,
			 void *arg) MUST_CHECK;

/* ---- figures ------------------------------------------------------- */

struct ledger_destination_stats {
	char name[33];
	uint64_t count[DELIVERY_N_STATES];
	uint64_t bytes[DELIVERY_N_STATES];
	int64_t oldest_queued_ms; /* received; 0: none. Up to 1 s old */
};

struct ledger_stats {
	uint64_t applied;   /* spool sequence the ledger has committed */
	uint64_t instances; /* rows made since the ledger began */
	uint32_t partials;  /* transfers of a link, unfinished: no rows yet */
	unsigned queued_posts;
	uint64_t dropped_posts; /* since start */
	bool writable;          /* false: SQLite fails now; it keeps trying */
	bool rebuilding;        /* a lost ledger is being filled again */
	bool audit_ok;          /* false: not written for audit_patience_s */
	char alert[LEDGER_WHY_LEN]; /* "" or why writable is false */
	size_t n_destinations;
	struct ledger_destination_stats destinations[LEDGER_N_DESTINATIONS];
};

struct ledger_device_stats {
	char name[33];
	int64_t last_ms; /* last instance or association */
	uint64_t instances, bytes, associations; /* since the ledger began */
};
/* The devices that ever sent anything, up to cap of them; up to 1 s old. Copies
 * under a short lock. */
size_t ledger_devices(struct ledger *l, struct ledger_device_stats *out,
		      size_t cap);

/* Copies under a short lock; no database access. */
void ledger_stats(struct ledger *l, struct ledger_stats *out);

/* May a new association begin? False when audit has not been written for
 * audit_patience_s, or when more than half of the queue is full. One atomic
 * load. */
bool ledger_accepting(struct ledger *l);

/* ---- posted writes -------------------------------------------------- */

/* None of these blocks or fails visibly. What waits is bounded by queue_max and
 * by 16 MiB. Queue policy: refusals are dropped when a quarter of it waits,
 * attempts and capabilities at a half (the next one says the same), operations
 * at three quarters, associations and audit only when all of it is used: by
 * then ledger_accepting() has been false since a half. Dropped rows are counted
 * and written as an audit-gap event ("N rows") as soon as possible. */

enum ledger_direction { LEDGER_IN, LEDGER_OUT };

struct ledger_context {
	uint8_t id;
	uint8_t result; /* PS3.8 table 9-18: 0 acceptance, 1..4 */
	char abstract[65];
	char accepted[65];    /* transfer syntax, "" when not accepted */
	const char *proposed; /* transfer syntaxes joined by ' '; borrowed */
};

struct ledger_association {
	uint64_t id; /* ledger_association_id() */
	enum ledger_direction direction;
	char party[33];  /* listener (in) or destination (out) */
	char device[33]; /* in: the device; out: "" */
	char peer[64];
	char local[64];
	char calling_ae[17];
	char called_ae[17];
	char impl_class[65];
	char impl_version[17];
	uint32_t max_pdu;     /* the peer's */
	char tls_version[16]; /* "" for plaintext, as are the next */
	char tls_suite[64];
	char tls_group[32];
	char fingerprint[65];
	char subject[LEDGER_TEXT_LEN];
	int64_t begun_ms;
	char result[64];   /* "accepted", "rejected 1/1/7", ... */
	size_t n_contexts; /* at most 128 */
	const struct ledger_context *contexts; /* copied */
};

struct ledger_association_end {
	uint64_t id;
	int64_t ended_ms;
	uint64_t duration_ns; /* monotonic */
	uint64_t bytes_in, bytes_out;
	uint32_t stores, echos, others, failures; /* DIMSE requests */
	char why[LEDGER_TEXT_LEN];                /* "released", ... */
};

struct ledger_refusal {
	char listener[33];
	char peer[64]; /* address without port, so that repeats meet */
	char calling_ae[17];
	char called_ae[17];
	char reason[48];              /* fixed word, e.g. "unknown-ae" */
	char remedy[LEDGER_TEXT_LEN]; /* what to do */
	int64_t at_ms;
};

struct ledger_capability {
	char destination[33];
	char endpoint[LEDGER_ADDR_LEN];
	char calling_ae[17];
	char called_ae[17];
	char abstract[65];
	char transfer_syntax[65];
	bool accepted;
	int64_t checked_ms;
};

/* Part of the error of an attempt that the far end of a link made: it stays
 * when the delivery becomes one that has arrived there, whichever of the two
 * comes first. */
#define LEDGER_FAR_END "at the far end"

struct ledger_attempt {
	uint64_t delivery;
	uint32_t attempts;           /* so far, this one included */
	int32_t remote_status;       /* DIMSE status, -1: none */
	int64_t next_attempt_ms;     /* 0: at once */
	char error[LEDGER_TEXT_LEN]; /* for holds: reason and scope */
};

/* Relayed DIMSE requests: one and its final response, or count of them that are
 * alike (C-ECHO, C-STORE): bytes and duration are then sums. */
struct ledger_operation {
	uint64_t association; /* the inbound one */
	char destination[33];
	char device[33];
	uint16_t command;      /* of the request */
	char sop_class[65];    /* affected or requested */
	char sop_instance[65]; /* "" for queries */
	int32_t status;        /* of the final response; -1: none came */
	uint32_t responses;    /* pending ones before it */
	uint32_t count;        /* requests of this row; 0 is 1 */
	uint64_t bytes;        /* of data sets, both directions */
	int64_t begun_ms;
	uint64_t duration_ns;  /* monotonic, request to final response */
	bool from_destination; /* the destination asked, the device answered */
};

/* A number no association had before. Never 0. */
uint64_t ledger_association_id(struct ledger *l);

void ledger_association_begin(struct ledger *l,
			      const struct ledger_association *a);
void ledger_association_end(struct ledger *l,
			    const struct ledger_association_end *a);
/* The same listener, peer, AE titles and reason within an hour of the first
 * one only adds to that row's count. */
void ledger_refusal(struct ledger *l, const struct ledger_refusal *r);
void ledger_capability(struct ledger *l, const struct ledger_capability *c);
void ledger_attempt(struct ledger *l, const struct ledger_attempt *a);
void ledger_operation(struct ledger *l, const struct ledger_operation *o);
/* e->sealed is copied, too. */
void ledger_audit(struct ledger *l, const struct audit_event *e);
/* Likewise, and wait at most ms until the row is safe from power loss. Not on
 * a loop's thread nor on the ledger's own.
 *
 *   ERR_OK       it is
 *   ERR_TIMEOUT  not yet; it may still be written
 *   ERR_BUSY     no room in the queue;  ERR_NOMEM
 *   ERR_INVAL, ERR_IO  it was refused; the ledger closes */
enum err ledger_audit_sure(struct ledger *l, const struct audit_event *e,
			   unsigned ms) MUST_CHECK;

/* The newest signed head of the audit, if its number is another than known.
 * False: it is not, or there is none. Any thread, quick. */
struct audit_head;
bool ledger_head(struct ledger *l, int64_t known, struct audit_head *out);

/* ---- sealing for the audit ------------------------------------------- */

enum {
	LEDGER_IDENTIFIER_MAX = 4096, /* bytes of a clear one */
	LEDGER_IDENTIFIER_EXTRA = 16 + SEAL_BLOB_EXTRA, /* salt, seal */
	LEDGER_IDENTIFIER_SEALED =
	    LEDGER_IDENTIFIER_MAX + LEDGER_IDENTIFIER_EXTRA
};

/* Seal a query's identifier (n bytes as encoded, at most
 * LEDGER_IDENTIFIER_MAX) for audit_event.sealed, with the key of
 * ledger_identity.h; ledger_identifier_open() there opens it. *len is
 * n + LEDGER_IDENTIFIER_EXTRA. commitment is for audit_event.commitment: it
 * binds the audit's chain to the value without giving it away. Any thread,
 * quick.
 *
 *   ERR_LIMIT  n is too large, or cap too small; nothing is written
 *   ERR_IO     library failure */
enum err ledger_seal_identifier(struct ledger *l, const uint8_t *p, size_t n,
				uint8_t *out, size_t cap, size_t *len,
				uint8_t commitment[32]) MUST_CHECK;

#endif
