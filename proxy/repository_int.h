/* repository_int.h - what the files of the repositories share.
 *
 * repository.c      start, stop, status, the worker they live on
 * repository_queue.c  rows out of the audit, messages out of rows
 * repository_tls.c  a connection, and what of it has arrived
 * repository_udp.c  datagrams */
#ifndef PROXY_REPOSITORY_INT_H
#define PROXY_REPOSITORY_INT_H

#include <pthread.h>
#include <sys/stat.h>
#include <uv.h>

#include "proxy/net/stream.h"
#include "proxy/net/worker.h"
#include "proxy/repository.h"
#include "proxy/syslog.h"
#include "store/audit_cursor.h"
#include "store/audit_read.h"

enum {
	REPOSITORY_TICK_MS = 100,
	REPOSITORY_WHY_LEN = TLS_WHY_LEN + 64,
	REPOSITORY_TRAIL = 16,
	REPOSITORY_MARKS = 256,
	/* A message with its header and count. */
	REPOSITORY_MESSAGE_MAX =
	    AUDIT_MESSAGE_MAX + SYSLOG_HEADER_MAX + SYSLOG_COUNT_MAX,
	REPOSITORY_BATCH = 3 * REPOSITORY_MESSAGE_MAX
};

/* ---- the queue ----------------------------------------------------------- */

/* The rows from next on. */
struct repository_queue {
	const struct config_repository *config;
	const char *dir, *node;
	const struct repositories_options *o;
	struct audit_reader *reader; /* NULL: nothing is being read */
	struct stat seen;            /* of the month's log, when last read */
	uint64_t look_at_ms;         /* read anyway; 0: now */
	uint64_t rest_until_ms;      /* do not look before */
	int64_t next;
	int64_t newest;
	int64_t head_number, head_seq; /* of the last head given out */
	uint64_t head_at_ms;
	uint64_t damage_told_ms;
	uint32_t pid;
	char why[AUDIT_WHY_LEN]; /* of the last failure */
};

/* The next row's syslog message into out[0..cap), cap at least
 * REPOSITORY_MESSAGE_MAX; without a frame. want: as audit_message_row().
 * *seq 0: it is a head.
 *
 *   ERR_AGAIN  there is nothing for now
 *   else       q->why; the next call tries again */
enum err repository_queue_next(struct repository_queue *q, size_t want,
			       char *out, size_t cap, size_t *len,
			       int64_t *seq) MUST_CHECK;
/* Go on, or back, to the row next. */
void repository_queue_seek(struct repository_queue *q, int64_t next);
/* No more for this tick: hold no transaction meanwhile, or the audit's log
 * could not be cut for as long as the repository is slow. */
void repository_queue_pause(struct repository_queue *q);
/* Look at the audit with the next call, whatever its file's times say. */
void repository_queue_hurry(struct repository_queue *q);
/* Bring newest up to date while nothing is sent. */
void repository_queue_look(struct repository_queue *q);
/* Send the newest head with the next call. */
void repository_queue_head_again(struct repository_queue *q);
void repository_queue_close(struct repository_queue *q);

/* ---- one repository ------------------------------------------------------ */

struct repository {
	struct repositories *all;
	const struct config_repository *config;
	struct repository_queue queue;
	char *batch; /* REPOSITORY_BATCH bytes */
	uv_timer_t timer;
	enum repository_state state;
	uint64_t retry_at_ms, pause_ms; /* of the loop's time */
	uint64_t down_ms;               /* since when; 0: it works */
	int64_t arrived;                /* seq */
	int64_t saved;                  /* in the cursor's file */
	uint64_t saved_at_ms;
	bool draining, drained;
	bool closing;

	/* syslog-tls */
	struct tls_context *tls;
	struct stream *stream;
	char endpoint[CONFIG_HOST_LEN + 16];
	struct mark {
		int64_t seq;       /* arrives with */
		uint64_t at;       /* this many bytes */
	} marks[REPOSITORY_MARKS]; /* a ring, oldest at mark */
	size_t mark, n_marks;
	uint64_t acked, acked_at_ms; /* bytes, and when that last grew */
	int64_t acked_seq;
	/* acked_seq at some times; a ring, newest at trail_at. */
	struct {
		uint64_t ms;
		int64_t seq;
	} trail[REPOSITORY_TRAIL];
	size_t trail_at, n_trail;
	uint64_t opened_ms;
	bool announced;

	/* syslog-udp */
	int fd; /* -1: none */
	uv_getaddrinfo_t lookup;
	bool looking_up;
	int64_t back; /* the row to go back to when the last are refused */
	bool probed;

	struct repository_status status; /* under all->lock */
};

struct repositories {
	struct repositories_options o;
	struct worker *worker;
	struct audit_cursors *cursors; /* the worker's */
	struct msg begin, drain;
	struct worker_hook hook;
	pthread_mutex_t lock;
	pthread_cond_t progress; /* n_drained */
	size_t n, n_drained;
	struct repository v[CONFIG_REPOSITORIES_MAX];
};

uint64_t repository_now(const struct repository *r);
/* It works: log it, forget what failed. */
void repository_up(struct repository *r, const char *how);
/* It failed, in words; the next attempt is set. Logs the first of a row. */
void repository_down(struct repository *r, const char *why);
/* The same, since the queue failed: why is there. */
void repository_unreadable(struct repository *r);
/* Rows up to seq have arrived. */
void repository_arrived(struct repository *r, int64_t seq);
/* The audit has begun anew, with the row first: nothing of it has arrived. */
void repository_restart(struct repository *r, int64_t first);
/* Messages that were handed over. */
void repository_count(struct repository *r, uint64_t messages, uint64_t bytes);

/* Once each tick, and when it is time to begin. */
void repository_tls_tick(struct repository *r);
void repository_tls_close(struct repository *r);
enum err repository_tls_open(struct repository *r,
			     char why[TLS_WHY_LEN]) MUST_CHECK;
void repository_udp_tick(struct repository *r);
void repository_udp_close(struct repository *r);

/* "host:port", brackets around IPv6. */
void repository_endpoint(const struct config_repository *c,
			 char out[CONFIG_HOST_LEN + 16]);
enum err repository_tls_context(const struct config_repository *c,
				struct tls_context **out,
				char why[TLS_WHY_LEN]) MUST_CHECK;

#endif
