/* stream_int.h - inside of a stream, shared by stream*.c and worker.c.
 *
 *   DIAL --connected--> HANDSHAKE --> OPEN --> FINISH --FIN sent--> LINGER
 *     \  accept, plain: OPEN at once   | \                            |
 *      \                        write failed \--> BROKEN              |
 *       \_________________ any failure, stream_close ________________/
 *                                    |
 *                                 CLOSING --handles closed--> freed
 *
 * FINISH   queue, close_notify and FIN go out; what comes in is dropped
 * LINGER   FIN is out; waiting for the peer's
 * BROKEN   the peer takes no more, but what it sent before is still read: an
 *          A-ABORT or a TLS alert says why
 *
 * Only stream_move() and stream_end() write the state, only on_handle_closed()
 * frees. Callbacks of libuv look at the state first: on 1.44.2 a write callback
 * may report success after uv_close(). */
#ifndef PROXY_NET_STREAM_INT_H
#define PROXY_NET_STREAM_INT_H

#include <uv.h>

#include "proxy/lib/buf.h"
#include "proxy/net/chunk.h"
#include "proxy/net/stream.h"
#include "proxy/net/worker_int.h"

enum stream_state {
	STREAM_DIAL,
	STREAM_HANDSHAKE,
	STREAM_OPEN,
	STREAM_BROKEN,
	STREAM_FINISH,
	STREAM_LINGER,
	STREAM_CLOSING,
	STREAM_NSTATES
};

enum {
	STREAM_INFLIGHT = 2,         /* chunks given to one uv_write() */
	STREAM_TRY_BUFS = 16,        /* buffers given to one uv_try_write() */
	STREAM_FLUSH_AT = 64 * 1024, /* bytes that do not wait for the turn's
				      * end */
	STREAM_DETAIL_LEN = TLS_WHY_LEN,
	STREAM_NOTE_LEN = 200,
};

struct dial; /* stream_dial.c */

struct stream {
	struct list node; /* in worker->streams */
	struct worker *worker;
	const struct stream_events *ev;
	void *arg;
	enum stream_state state;
	enum err why;       /* of the end; valid from FINISH on */
	unsigned n_handles; /* close callbacks owed */
	uv_tcp_t tcp;
	uv_timer_t timer;

	/* deadlines, loop time in ms; 0: none */
	uint64_t phase_at;   /* connect attempt, handshake, linger */
	uint64_t connect_at; /* all attempts */
	uint64_t caller_at;  /* stream_set_deadline() */
	uint64_t idle_ms, active_at;
	uint64_t connect_ms, handshake_ms, finish_ms;

	/* input */
	struct worker_job wake; /* on_open, or reading on after a pause */
	bool paused, eof, eof_ok, reading;
	bool announced;   /* on_open has run */
	struct buf stash; /* TLS: ciphertext left over by a pause */

	/* output */
	struct worker_job flush;
	struct list out;      /* chunks, oldest first */
	size_t out_bytes;     /* in them */
	struct chunk *stage;  /* TLS: plaintext not yet sealed, or NULL */
	unsigned n_inflight;  /* chunks of out that uv_write() has */
	size_t inflight_left; /* as last seen, for progress */
	size_t out_cap, low_water;
	bool above_low, fin_asked;
	bool bulk; /* expect much: use large chunks */
	uv_write_t write;
	uv_shutdown_t shutdown;

	struct tls_context *tls_ctx; /* own reference, or NULL */
	struct tls *tls;
	struct dial *dial; /* while DIAL */
	uint64_t bytes_in, bytes_out;
	char *congestion; /* asked for; NULL: the kernel's */
	uint32_t notsent_max;
	char note[STREAM_NOTE_LEN];
	char *endpoint;    /* as asked for; NULL: accepted */
	char *server_name; /* likewise */
	char *detail;      /* of the end; NULL: none yet */
	char peer[ADDRESS_TEXT_LEN], local[ADDRESS_TEXT_LEN];
};

/* stream.c */
void stream_must0(int rc);
uint64_t stream_now(const struct stream *s);
void stream_move(struct stream *s, enum stream_state next);
/* Begin CLOSING; fmt: the detail, first one wins. */
void stream_end(struct stream *s, enum err why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* End after what is queued (a TLS alert) has gone out: FINISH with why. */
void stream_end_politely(struct stream *s, enum err why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void stream_timer_arm(struct stream *s);
/* The socket is connected: options, names, TLS engine, next state. */
void stream_connected(struct stream *s);
/* TLS done or not needed: OPEN and on_open. */
void stream_opened(struct stream *s);
/* worker.c calls it: everything ends with ERR_CANCELED. */
void stream_close_all(struct worker *w);
void stream_handle_closed(uv_handle_t *handle);

/* stream_tcp.c */
/* False: no memory. */
bool stream_tcp_take(struct stream *s, const struct stream_options *o);
/* The socket is connected: tell the kernel. */
void stream_tcp_options(struct stream *s);

/* stream_in.c */
void stream_read_update(struct stream *s); /* read or not, as state says */
void stream_in_wake(struct stream *s);

/* stream_out.c */
void stream_out_free(struct stream *s);
/* Drop plaintext that must not be sealed any more. */
void stream_out_unstage(struct stream *s);
enum err stream_out_append(struct stream *s, const uint8_t *p, size_t n);
/* Seal what is staged; then give the kernel all it takes. */
void stream_out_flush(struct stream *s);
bool stream_out_empty(const struct stream *s);
/* Seen from the timer: has the kernel taken something since last time? */
bool stream_out_progress(struct stream *s);

/* stream_dial.c */
enum err stream_dial_begin(struct stream *s, const char *host, uint16_t port);
/* The time of this attempt is up. True: another address is tried. */
bool stream_dial_another(struct stream *s);
/* The stream closes: forget it. */
void stream_dial_drop(struct stream *s);

#endif
