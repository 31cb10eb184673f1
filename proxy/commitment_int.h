/* commitment_int.h - inside the commitment engine. Everything here but what
 * says otherwise belongs to the engine's thread.
 *
 *   commitment.c         thread, reports that come in, figures
 *   commitment_plan.c    what a request needs next (pure)
 *   commitment_read.c    what the ledger and the spool show of a request
 *   commitment_act.c     ask, report, finish
 *   commitment_answer.c  a report from an archive
 *   commitment_own.c     commitment asked for by ourselves
 *   commitment_io.c      waiting for spool and ledger */
#ifndef PROXY_COMMITMENT_INT_H
#define PROXY_COMMITMENT_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/commitment.h"
#include "proxy/commitment_plan.h"
#include "proxy/dicom/commit.h"
#include "proxy/lib/list.h"
#include "store/ledger_view.h"
#include "store/spool.h"

/* A request of a device whose delivery is held. */
struct request {
	struct list node;       /* of commitment.requests, by arrival */
	struct view_message m;  /* as the ledger has it */
	char link[65];          /* peer of our messages that belong to it */
	bool seen;              /* in the reading of the ledger going on */
	uint64_t round;         /* in which it had its turn */
	bool looked;            /* at least once */
	bool gone;              /* finished; the ledger does not show it yet */
	bool asked, reported;   /* by us; the ledger may not show it yet */
	bool complained;        /* of what fails again and again */
	struct commit_set refs; /* named instances; n 0: not read */
	struct view_uid *uids;  /* refs.n of them, owned */
	uint64_t newest;        /* of the instances looked through */
	int64_t age_ms;         /* when it was first seen by this process, */
	uint64_t seen_ns;       /* monotonic: then */
	int64_t accepted_ms;    /* our newest request was seen accepted */
	unsigned repeats;       /* requests after the first, of this process */
	uint64_t applied;       /* state of the ledger at the last look */
	uint64_t next_ns;       /* monotonic: not looked at before */
	int64_t again_ms;       /* looked at then in any case */
};

/* Now, for r: when it was received and its age. A clock that is set moves it at
 * a restart only. Its times are all of this kind. */
int64_t request_now_ms(const struct request *r);

struct own; /* commitment_own.c */

struct report_job {
	struct list node;
	uint8_t *data; /* owned */
	size_t len;
	enum ts_kind kind;
	uint16_t event_type;
	char from[33];
	commitment_done_fn *done;
	void *arg;
};

struct commitment {
	const struct config *config;
	struct spool *spool;
	struct ledger *ledger;
	pthread_t thread;
	atomic_bool stopping;

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t wake;
	bool woken;
	struct list jobs; /* struct report_job */
	size_t n_jobs, job_bytes;
	struct commitment_stats stats;

	/* The engine's thread. */
	struct ledger_view *view; /* NULL: to be opened again */
	struct ledger_stats *ledger_stats;
	uint64_t round;        /* in which every request has one turn */
	uint64_t applied;      /* state of the ledger at the last reading */
	uint64_t next_read_ns; /* monotonic */
	struct list requests;
	size_t n_requests;
	size_t n_kept;  /* references kept in memory, of all requests */
	uint8_t *chunk; /* CHUNK_LEN bytes */
	struct own *own;
	bool view_failed; /* said so */
};

/* ---- commitment_io.c --------------------------------------------------- */

/* One whose timed waits are by the monotonic clock: whoever sets the other one
 * does not stop the engine. */
void io_cond_init(pthread_cond_t *cond);
/* Everything durable is in the ledger. ERR_CANCELED: stopping. */
enum err io_barrier(struct commitment *c) MUST_CHECK;
/* Make a message durable. in: all but what the spool fills. Errors as
 * spool_put_begin(). */
enum err io_put(struct commitment *c, const struct instance *in,
		enum spool_room room, const uint8_t *data, size_t n) MUST_CHECK;
enum err io_outcome(struct commitment *c, const struct transfer_id *id,
		    enum outcome_kind kind, const char *destination) MUST_CHECK;
/* The whole data set of a message into out. ERR_NOTFOUND (now or for good),
 * ERR_LIMIT, ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
enum err io_read(struct commitment *c, const struct view_message *m,
		 struct buf *out) MUST_CHECK;

/* ---- commitment_read.c ------------------------------------------------- */

/* The view, opened when there is none. Logs the first failure. */
enum err read_open(struct commitment *c) MUST_CHECK;
/* A call on the view failed: open it again later. Passes e on. */
enum err read_failed(struct commitment *c, enum err e);
/* Bring c->requests up to date. */
enum err read_requests(struct commitment *c) MUST_CHECK;
/* Every message with this transaction, oldest first; *rows by mem_free(). */
enum err read_transaction(struct commitment *c, const char *transaction,
			  struct view_message **rows, size_t *n) MUST_CHECK;
bool read_is_ours(const struct view_message *m);
/* The text that links our messages to a device's request. */
void read_link(const struct transfer_id *id, char out[65]);
/* Fill f->reported, covered, blocked, asked, accepted_ms, repeats. */
enum err read_standing(struct commitment *c, struct request *r,
		       struct commitment_facts *f) MUST_CHECK;
/* r->refs, if it is not there. As io_read(), and ERR_PROTO or ERR_INVAL: no
 * request. */
enum err read_refs(struct commitment *c, struct request *r) MUST_CHECK;
/* Fill f->waiting, unknown, arrived, lost, and mark those lost in r->refs. */
enum err read_named(struct commitment *c, struct request *r,
		    struct commitment_facts *f) MUST_CHECK;
void read_forget_refs(struct commitment *c, struct request *r);
void read_forget(struct commitment *c, struct request *r);

/* ---- commitment_act.c --------------------------------------------------- */

/* Take the step that r needs. */
void act_look(struct commitment *c, struct request *r);
/* The report for the device that sent m, durable when it returns. Logs,
 * audits. cause: words, for the log. */
enum err act_report(struct commitment *c, const struct view_message *m,
		    const struct commit_set *answer,
		    const char *cause) MUST_CHECK;
/* End r, and every request that is the same again. */
void act_finish(struct commitment *c, struct request *r);
struct act_counts {
	size_t instances, asked, safe, failed, unknown;
};
/* For the audit: COMMITMENT_REQUESTED or COMMITMENT_REPORTED. */
void act_audit(struct commitment *c, enum audit_kind kind,
	       const struct view_message *m, const struct act_counts *n,
	       const char *cause);
/* A transaction UID that nobody had before. ERR_IO. */
enum err act_transaction(char out[UID_SIZE]) MUST_CHECK;
/* A message of ours, to be filled further. */
void act_message(struct instance *in, uint16_t command, uint16_t type,
		 const char *transaction, const char *destination);

/* ---- commitment_answer.c ------------------------------------------------ */

/* The status for a report. */
uint16_t answer_report(struct commitment *c, const struct report_job *job);

/* ---- commitment_own.c --------------------------------------------------- */

enum err own_new(const struct config *config, struct own **out) MUST_CHECK;
void own_free(struct own *own);
/* Look for uncommitted deliveries, ask where it is time. */
void own_look(struct commitment *c);
/* An archive's answer to m, a request of ours. The status for it. */
uint16_t own_answer(struct commitment *c, const struct view_message *m,
		    const struct commit_set *answer);

#endif
