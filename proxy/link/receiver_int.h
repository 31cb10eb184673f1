/* receiver_int.h - the receiving end of links, for the files that make it up:
 *
 *   receiver.c           the process's part: workers, expiry, outcomes
 *   receiver_wire.c      one connection: who is it, HELLO, JOIN, frames
 *   receiver_session.c   one link: its connections, its end
 *   receiver_directory.c all links of the process, by owner and store
 *   receiver_record.c    what goes on record of it
 *   receiver_pace.c      how fast it is read
 *   receiver_transfer.c  one transfer: the rx machine
 *   receiver_lookup.c    what is known of an id: ledger and spool
 *   receiver_decide.c    whether an offer is taken, and where it goes
 *   receiver_chunk.c     DATA and CHUNK_END into whole chunks
 *   receiver_store.c     chunks into the spool, and what the spool says
 *   receiver_tell.c      frames to the sender
 *   receiver_told.c      DELIVERED and UNDELIVERED out of the ledger
 *   receiver_accepts.c   what the archives accept
 *   receiver_mend.c      what had arrived and is damaged
 *
 * All of it runs on one worker's thread, but for what is marked. A wire, a
 * session, a transfer live on the worker where they began (struct rx_home).
 *
 * rx_transfer_event() is the one place that changes a transfer's state. */
#ifndef PROXY_LINK_RECEIVER_INT_H
#define PROXY_LINK_RECEIVER_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/association_record.h"
#include "proxy/lib/list.h"
#include "proxy/link/conn.h"
#include "proxy/link/link_fsm.h"
#include "proxy/link/receiver.h"
#include "proxy/net/worker.h"
#include "proxy/shaper.h"
#include "store/ledger.h"
#include "store/ledger_origin.h"
#include "store/spool_partial.h"

enum {
	RX_OWNER_LEN = LEDGER_OWNER_LEN,
	RX_SESSIONS_OF_OWNER = 16,
	RX_BUCKETS = 256,        /* of a session's table; a power of two */
	RX_LOOKUPS_MAX = 4096,   /* ids waiting for the ledger; beyond: pause */
	RX_LOOKUPS_AT_ONCE = 64, /* in one question */
	RX_PAGE = 64,            /* outcomes of one question */
	RX_MENDS_MAX = 256,      /* damaged instances that wait, of a link */
	RX_TICK_MS = 1000,
	RX_RETRY_S = 5,        /* REFUSED of class retry: our own troubles */
	RX_RETRY_SPACE_S = 30, /* and no space */
};

/* ---- a worker's part --------------------------------------------------- */

struct rx_home {
	struct link_receiver *receiver;
	struct worker *worker;
	struct worker_hook hook;
	bool begun; /* hook and timer are there */
	bool draining;
	struct list wires;    /* struct rx_wire.node */
	struct list sessions; /* struct rx_session.node */
	uv_timer_t tick;

	/* Any thread, under lock. */
	pthread_mutex_t lock;
	bool closed;       /* the worker is going: nothing is posted any more */
	struct list dirty; /* transfers of which the spool has said something */
	bool posted;
	struct msg said;
};

/* Any thread. False: the worker is gone, m stays the caller's. */
bool rx_home_post(struct rx_home *h, struct msg *m);

struct rx_counts {
	atomic_uint sessions, connections, transfers, finishing;
	atomic_ullong arrived, arrived_bytes, chunks, chunks_again, chunks_bad,
	    refused, told_delivered;
};

struct link_receiver {
	struct link_receiver_options opt;
	struct rx_home *homes; /* by worker */
	atomic_bool stopping;
	struct rx_counts counts;
	uint64_t keep_ms;
	uint64_t expired_ms;   /* monotonic, of the last time */
	pthread_mutex_t lock;  /* of what follows; any thread */
	struct list directory; /* struct rx_session.entry */
	struct list finishing; /* struct rx_transfer.node: their link ended */
	uint64_t serial;
	uint64_t *heads_ns; /* by device: its last HEAD; 0: none yet */
	uint8_t epoch[LINK_ID_LEN];
};

/* ---- a connection ------------------------------------------------------ */

struct rx_wire {
	struct list node; /* of home->wires */
	struct rx_home *home;
	struct link_conn *conn;
	struct rx_session *session; /* NULL: none yet, or not any more */
	uint8_t number;
	size_t listener;
	int device;     /* -1: not known */
	bool has_place; /* of the device: given back when it ends */
	bool refused;   /* that is on record */
	atomic_uint *n_open;
	/* Of TCP; exact at each tick, from frames in between. */
	uint64_t bytes_in, bytes_out;
	struct association_facts facts;
	struct list chunks; /* struct rx_chunk.by_wire: that come on it */
};

/* ---- a link -------------------------------------------------------------- */

struct rx_session {
	struct list node;  /* of home->sessions */
	struct list entry; /* of receiver->directory, under its lock */
	struct rx_home *home;
	uint64_t serial; /* names it among threads */
	uint8_t owner[RX_OWNER_LEN];
	uint8_t spool[LINK_ID_LEN]; /* the sender's */
	uint8_t id[LINK_ID_LEN];
	char node_name[LINK_NODE_MAX + 1];
	size_t listener, device;
	struct link_terms terms;
	uint64_t window; /* ours */
	uint32_t transfers_max;
	uint32_t replaced; /* how often it took an older one's place lately */
	uint64_t replaced_ms;
	bool follow; /* offers without length are taken */
	bool opened; /* frames have passed: it is on record */
	bool ending;

	struct rx_wire *wires[LINK_CONNECTIONS_MAX]; /* by number */
	unsigned n_wires;

	struct list table[RX_BUCKETS]; /* struct rx_transfer.node */
	uint32_t n_transfers;          /* open ones */

	/* What is known of ids: asked in order, one question at a time. */
	struct list lookups; /* struct rx_lookup */
	uint32_t n_lookups;
	struct rx_ask *ask; /* under way */
	bool ready;         /* the barrier at the opening has passed */
	bool trouble; /* the ledger did not take a question: wait a tick */

	/* Arrived; known here until the ledger has them. */
	struct list arrived; /* struct rx_transfer.stage */
	struct list parting; /* those that the barrier under way covers */
	struct rx_ask *barrier;

	struct rx_ask *page; /* of outcomes */
	bool paged;          /* all that was there at the opening is told */
	uint64_t paged_to;

	struct list waiting; /* struct rx_chunk.by_store: whole, to the spool */
	struct rx_transfer *full; /* it waits for room in the spool, and all
				   * others behind it; NULL: there is room */
	uint64_t held;            /* bytes of chunks in memory */
	uint32_t n_chunks;
	unsigned pauses;        /* RX_PAUSE_* */
	struct rx_pacer *pacer; /* NULL: no limits */

	struct list mends; /* struct rx_mend: those that wait */
	uint32_t n_mends;
	bool mending; /* one is under way */

	uint32_t accepts_serial;
	uint64_t accepts_hash, accepts_ms;

	struct association_facts facts;
	uint64_t begun_ns, studies_ns;
	char why[LINK_CONN_TEXT_LEN];
	uint64_t bytes_in, bytes_out; /* of connections that have ended */
	struct {
		uint64_t offers, arrived, arrived_bytes, refused, chunks, again,
		    bad, told;
	} n;
};

enum {
	RX_PAUSE_MEMORY = 1 << 0,  /* the window is full */
	RX_PAUSE_LOOKUPS = 1 << 1, /* more questions than can wait */
	RX_PAUSE_RATE = 1 << 2,    /* it has sent as much as it may */
};

/* ---- a transfer -----------------------------------------------------------
 */

/* What the spool has said of chunks. */
struct rx_run {
	enum err e;
	uint32_t first, n;
};

struct rx_transfer {
	struct list node;  /* of session->table, or receiver->finishing */
	struct list stage; /* of session->arrived or parting */
	struct rx_home *home;
	struct rx_session *session; /* NULL: its link ended */
	struct instance_origin origin;
	enum link_rx_state state;
	struct rx_wire *wire; /* of its latest OFFER or QUERY; NULL: ended */
	bool open;            /* counts against the sender's allowance */
	bool asked;           /* what is known of it is being asked */
	bool complete;        /* whole is known */
	bool withdrawn;       /* while it is being decided */
	bool owes_map;        /* HAVE, as soon as no chunk is on its way */
	struct spool_partial_whole whole;
	struct instance *in; /* as its metadata says; NULL: not needed */
	struct list chunks;  /* struct rx_chunk.by_transfer */
	uint32_t n_waiting;  /* of them on session->waiting */
	uint32_t unsaid;     /* given to the spool, which has not answered */
	struct spool_partial_put *put;
	struct spool_put *one; /* of one chunk: waits for room */
	uint32_t n_put;        /* chunks that are there, or thought to be */
	uint64_t position;     /* in the spool, once it arrived */

	/* The writer thread says; under home->lock. */
	struct list dirty;
	struct rx_run *runs;
	uint32_t n_runs, cap_runs;
	bool writable, done;
	enum err done_e;
	uint64_t done_length;
	uint8_t done_root[LINK_HASH_LEN];
};

/* A chunk that comes. */
struct rx_chunk {
	struct list by_transfer, by_wire, by_store;
	struct rx_transfer *transfer;
	struct rx_wire *wire; /* NULL: it is whole */
	uint32_t index, length;
	size_t cap;
	uint8_t *data;
	uint8_t leaf[LINK_HASH_LEN]; /* as its sender says, once whole */
};

/* An id of which is asked what is known. */
enum rx_asked { RX_ASKED_OFFER, RX_ASKED_QUERY, RX_ASKED_WITHDRAW };

struct rx_lookup {
	struct list node;
	struct transfer_id id;
	enum rx_asked what;
	struct rx_wire *wire; /* NULL: it ended */
};

/* A question to the ledger. Belongs to the ledger until it answers; session is
 * NULL when that has ended meanwhile. */
struct rx_ask {
	struct msg msg;
	struct rx_home *home;
	struct rx_session *session;
	enum err e;
	size_t n, max;
	struct ledger_origin *answers; /* n of them; room for max */
	size_t n_lookups;
	struct rx_lookup *lookups[RX_LOOKUPS_AT_ONCE];
};

/* ---- receiver.c ------------------------------------------------------------
 */

/* Whose transfers they are: of that store, behind that device's certificate. */
void rx_owner(const char *device, const uint8_t spool[LINK_ID_LEN],
	      uint8_t out[RX_OWNER_LEN]);
/* Any thread. Renew: something that had arrived is not here any more. */
void rx_epoch(struct link_receiver *r, uint8_t out[LINK_ID_LEN]);
void rx_epoch_renew(struct link_receiver *r);
/* An ask with room for max answers; NULL: out of memory. */
struct rx_ask *rx_ask_new(struct rx_session *s, size_t max,
			  void (*run)(struct msg *m));
void rx_ask_free(struct rx_ask *a);
/* As ledger_origins_fn and ledger_done_fn: hand the answer to the worker.
 * Ledger thread. */
void rx_ask_answered(void *arg, enum err e, const struct ledger_origin *v,
		     size_t n);
void rx_ask_done(void *arg, enum err e);

/* ---- receiver_wire.c --------------------------------------------------------
 */

/* Errors as link_receiver_accept(). */
enum err rx_wire_accept(struct rx_home *h, int fd, size_t listener,
			struct tls_context *tls,
			atomic_uint *n_open) MUST_CHECK;
void rx_wire_tick(struct rx_wire *w);
void rx_wire_refuse(struct rx_home *h, int fd, size_t listener);
/* The peer did what it may not: BYE PROTOCOL, and a line in the log. */
void rx_wire_broken(struct rx_wire *w, const char *why);

/* ---- receiver_directory.c ---------------------------------------------------
 */

/* Enter a session; the older one of its owner and store is told to end, which
 * may be later and elsewhere. False: that owner has too many. */
bool rx_directory_enter(struct rx_session *s) MUST_CHECK;
void rx_directory_leave(struct rx_session *s);
/* Run fn for each session of an owner, under the directory's lock. Any thread.
 */
void rx_directory_each(struct link_receiver *r,
		       const uint8_t owner[RX_OWNER_LEN],
		       void (*fn)(struct rx_session *s, void *arg), void *arg);
/* A transfer whose link ended while its final record is written. */
void rx_finishing_add(struct rx_transfer *t);
void rx_finishing_remove(struct rx_transfer *t);
bool rx_finishing_has(struct link_receiver *r,
		      const struct instance_origin *origin);

/* ---- receiver_session.c -----------------------------------------------------
 */

/* From HELLO. 0, or the reason of a BYE, with text. */
uint16_t rx_session_begin(struct rx_wire *w, const struct link_hello *theirs,
			  const struct link_terms *terms,
			  char text[LINK_TEXT_MAX + 1]);
/* Of this worker; NULL: none. */
struct rx_session *rx_session_find(struct rx_home *h,
				   const uint8_t id[LINK_ID_LEN]);
struct rx_session *rx_session_by_serial(struct rx_home *h, uint64_t serial);
void rx_session_attach(struct rx_session *s, struct rx_wire *w, uint8_t number);
/* w ends, or has ended. The session ends with its last one. */
void rx_session_detach(struct rx_session *s, struct rx_wire *w);
/* Frames may pass. Once for each connection. */
void rx_session_open(struct rx_session *s, struct rx_wire *w);
/* BYE on every connection; it ends when they have. */
void rx_session_bye(struct rx_session *s, uint16_t reason);
/* Why it ends: the first word wins. */
void rx_session_because(struct rx_session *s, const char *why);
void rx_session_pause(struct rx_session *s, unsigned reason);
void rx_session_resume(struct rx_session *s, unsigned reason);
void rx_session_tick(struct rx_session *s);
/* Under home->lock: questions under way have nobody to answer to. */
void rx_session_forget_asks(struct rx_session *s);
/* The connection with the lowest number that is open; NULL: none. */
struct rx_wire *rx_session_wire(const struct rx_session *s);

/* ---- receiver_record.c ------------------------------------------------------
 */

void rx_record_open(struct rx_session *s, struct rx_wire *w);
void rx_record_close(struct rx_session *s);
/* A transfer that its sender took back. s may be NULL: nothing is said. */
void rx_record_withdrawn(const struct rx_session *s,
			 const struct transfer_id *id);
/* Now and then: what has arrived goes on record before the link ends. */
void rx_record_tick(struct rx_session *s);
void rx_record_refusal(struct rx_wire *w, const char *reason, const char *cause,
		       const char *remedy, bool tls);
/* An instance is durable. */
void rx_record_arrived(struct rx_session *s, const struct rx_transfer *t);

/* ---- receiver_pace.c --------------------------------------------------------
 */

void rx_pace_begin(struct rx_session *s);
void rx_pace_end(struct rx_session *s);
void rx_pace(struct rx_session *s, size_t bytes);

/* ---- receiver_transfer.c ----------------------------------------------------
 */

struct rx_transfer *rx_transfer_find(const struct rx_session *s,
				     const struct transfer_id *id);
void rx_on_offer(struct rx_wire *w, const struct link_frame *f);
void rx_on_root(struct rx_wire *w, const struct link_frame *f);
void rx_on_withdraw(struct rx_wire *w, const struct link_frame *f);
void rx_on_query(struct rx_wire *w, const struct link_frame *f);
void rx_on_noted(struct rx_wire *w, const struct link_frame *f);

/* receiver_head.c */

void rx_on_head(struct rx_wire *w, const struct link_frame *f);

/* A refusal. */
struct rx_no {
	enum link_refusal code;
	uint32_t retry_s;
	const char *text; /* NULL: link_refusal_text() */
};
#define RX_NO(c) ((struct rx_no){.code = LINK_REFUSED_##c})

/* Take the table's step and do it. no: for events that end in REFUSED, else
 * NULL. The transfer may be gone afterwards: true, it lives. */
bool rx_transfer_event(struct rx_transfer *t, enum link_rx_event event,
		       const struct rx_no *no);
/* All of it may be here: look, and finish it. True: it lives. */
bool rx_transfer_look(struct rx_transfer *t);
/* The session ends. */
void rx_transfer_lost(struct rx_transfer *t);
/* Out of every list, its chunks forgotten, its put closed. */
void rx_transfer_free(struct rx_transfer *t);

/* ---- receiver_lookup.c ------------------------------------------------------
 */

/* False: out of memory. */
bool rx_lookup_add(struct rx_session *s, const struct transfer_id *id,
		   enum rx_asked what, struct rx_wire *w) MUST_CHECK;
/* Ask what waits, if nothing is asked now. */
void rx_lookup_pump(struct rx_session *s);
void rx_lookup_drop_wire(struct rx_session *s, const struct rx_wire *w);
void rx_lookup_drop(struct rx_session *s);
/* The ledger is to have all that is durable: at the opening, and for those that
 * have arrived. */
void rx_barrier_pump(struct rx_session *s);

/* ---- receiver_decide.c ------------------------------------------------------
 */

/* Neither ledger nor anybody knows it: take the offer, or refuse it. */
void rx_decide(struct rx_transfer *t);
/* Fill in what is not its sender's to say: listener, device, where it goes.
 * False: no route takes it. */
bool rx_local_fields(struct rx_transfer *t) MUST_CHECK;

/* ---- receiver_chunk.c -------------------------------------------------------
 */

void rx_on_data(struct rx_wire *w, const struct link_frame *f);
void rx_on_chunk_end(struct rx_wire *w, const struct link_frame *f);
void rx_chunk_free(struct rx_chunk *c);
/* Say BAD, forget it. */
void rx_chunk_bad(struct rx_chunk *c, enum link_bad reason,
		  const uint8_t said[LINK_HASH_LEN],
		  const uint8_t found[LINK_HASH_LEN]);
/* The offer is taken: chunks that have come already go on. t may be gone
 * afterwards. */
void rx_chunks_release(struct rx_transfer *t);
/* More memory is held than may be, or not any more. */
void rx_chunks_weigh(struct rx_session *s);

/* ---- receiver_store.c -------------------------------------------------------
 */

/* Open what the spool has of it, or begin. */
enum err rx_store_open(struct rx_transfer *t) MUST_CHECK;
/* Something of it is kept. */
bool rx_store_has(const struct rx_transfer *t) MUST_CHECK;
/* Leave it for later. */
void rx_store_close(struct rx_transfer *t);
/* What was kept of it is not wanted any more. */
void rx_store_abandon(const struct rx_transfer *t);
/* A whole chunk, its leaf verified, is next when its turn comes. */
void rx_store_line_up(struct rx_chunk *c);
/* Whole chunks of the session that wait go to the spool as far as it takes
 * them. */
void rx_store_pump(struct rx_session *s);
/* ERR_OK: on its way, FINAL_DURABLE or STORE_FAILED follows. ERR_AGAIN: chunks
 * are missing. ERR_CORRUPT: the root is another. */
enum err rx_store_finish(struct rx_transfer *t) MUST_CHECK;
/* An instance without chunks (c NULL), or of one whole chunk: as
 * rx_store_finish(). ERR_INVAL: its leaf is another one, which is found. */
enum err rx_store_one(struct rx_transfer *t, const struct rx_chunk *c,
		      uint8_t found[LINK_HASH_LEN]) MUST_CHECK;
/* Its link ended: it does not wait for room. */
void rx_store_hasten(struct rx_transfer *t);
/* receiver_part.c. Its link ended; t goes when the ledger knows what it is to.
 */
void rx_part(struct rx_transfer *t);
/* Runs on the worker when home->dirty is not empty. */
void rx_store_said(struct msg *m);

/* ---- receiver_tell.c --------------------------------------------------------
 */

/* Each does nothing when there is no connection to say it on. */
void rx_tell_refused(struct rx_wire *w, const struct transfer_id *id,
		     const struct rx_no *no);
void rx_tell_map(struct rx_wire *w, const struct instance_origin *origin);
/* runs: sorted or not, of chunks that are durable. */
void rx_tell_ack(struct rx_wire *w, const struct transfer_id *id,
		 struct rx_run *runs, size_t n);
void rx_tell_bad(struct rx_wire *w, const struct transfer_id *id,
		 const struct link_bad_chunk *bad);
void rx_tell_arrived(struct rx_wire *w, const struct transfer_id *id,
		     uint64_t position, const uint8_t root[LINK_HASH_LEN]);
/* ARRIVED, DELIVERED, UNDELIVERED, as o says; answer: of a question, so that
 * something is said in any case (o->state is not NONE). */
void rx_tell_origin(struct rx_wire *w, const struct ledger_origin *o,
		    bool answer);

/* ---- receiver_told.c --------------------------------------------------------
 */

void rx_told_pump(struct rx_session *s);
/* Ledger thread. */
void rx_told_post(struct link_receiver *r, const struct ledger_origin *o);

/* ---- receiver_mend.c --------------------------------------------------------
 */

/* If o is quarantined because it is damaged here, have it sent again. */
void rx_mend(struct rx_session *s, const struct ledger_origin *o);
/* Forget those that wait. */
void rx_mend_drop(struct rx_session *s);

/* ---- receiver_accepts.c -----------------------------------------------------
 */

/* Send what the archives accept, if it is other than was sent last. */
void rx_accepts_tell(struct rx_session *s);

#endif
