/* stream.h - a byte stream over TCP, plain or TLS behind one interface.
 *
 * Lives on one worker and is used on its thread only; all events run there,
 * never inside the call that caused them, except on_read/on_eof, which may run
 * several times in one turn.
 *
 *   accept/connect --> on_open --> on_read* on_drain* --> on_eof? --> on_closed
 *        \______________________ any failure ______________________/
 *
 * on_closed runs exactly once, last, after the handles are closed and the
 * stream is freed. After stream_close() no event but on_closed comes. Every
 * function but the two births may be called inside any event but on_closed.
 *
 * Writing: small writes are gathered and leave at the end of the loop's turn,
 * in full TLS records and few system calls; large ones leave at once. */
#ifndef PROXY_NET_STREAM_H
#define PROXY_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proxy/lib/err.h"
#include "proxy/net/address.h"
#include "proxy/net/tcp_facts.h"
#include "proxy/net/tls.h"
#include "proxy/net/worker.h"

struct stream;

/* NULL for what is not wanted; on_closed is required. */
struct stream_events {
	/* Connected, and with TLS the peer verified: writing may begin. */
	void (*on_open)(void *arg);
	/* n > 0 bytes, valid during the call. */
	void (*on_read)(void *arg, const uint8_t *p, size_t n);
	/* The output queue is down to low_water, after a stream_write() had
	 * left it above. */
	void (*on_drain)(void *arg);
	/* The peer will send no more (FIN, or close_notify). Writing still
	 * works. NULL: the stream closes with ERR_CLOSED. */
	void (*on_eof)(void *arg);
	/* The end: the stream is already freed. why:
	 *   ERR_OK       after stream_finish(), all was handed over
	 *   ERR_TIMEOUT  a deadline passed; detail says which
	 *   ERR_CLOSED   the peer reset the connection, or ended it without
	 *                close_notify where that is not allowed
	 *   ERR_TLS      handshake or record failure; detail is the sentence
	 *   ERR_NOTFOUND name look-up, ERR_IO: connect and the rest
	 *   ERR_CANCELED the worker stops
	 *   or what stream_close() was given.
	 * detail: text for a person, never NULL, escaped; valid in the call. */
	void (*on_closed)(void *arg, enum err why, const char *detail);
};

/* All 0 is a good default. Strings are borrowed for the call. */
struct stream_options {
	struct tls_context *tls; /* NULL: plain. The stream takes its own
				  * reference */
	const char *server_name; /* client: name or address the certificate
				  * must carry; NULL: the endpoint's host */
	uint64_t connect_ms;     /* look-up and TCP connect; 0: 10 s */
	uint64_t handshake_ms;   /* TLS; 0: 30 s */
	uint64_t finish_ms;      /* stream_finish() and last alerts; 0: 5 s */
	size_t out_cap;          /* hard limit of the output queue, bytes;
				  * 0: 4 MiB */
	size_t low_water;        /* see on_drain; 0: 256 KiB */
	const char *congestion;  /* congestion control, e.g. "bbr"; NULL, "":
				  * the kernel's. See stream_note() */
	uint32_t notsent_max;    /* bytes that the kernel takes before they can
				  * be sent (TCP_NOTSENT_LOWAT); 0: as many as
				  * it likes. Its buffers tune themselves */
};

/* Take over the connected socket fd. on_open follows. On error (ERR_NOMEM, or
 * ERR_CANCELED: the worker stops) fd is closed and no event comes. o may be
 * NULL. Sockets get TCP_NODELAY, keepalive, and are given up when the peer
 * acknowledges nothing, or keeps its window closed, for 3 minutes. */
enum err stream_accept(struct worker *w, int fd, const struct stream_options *o,
		       const struct stream_events *ev, void *arg,
		       struct stream **out) MUST_CHECK;

/* Connect to "host:port" (address.h). Names are looked up off the loop; their
 * addresses are tried in turn. ERR_INVAL: endpoint does not parse; ERR_NOMEM;
 * ERR_CANCELED: the worker stops. Every later failure comes by on_closed. */
enum err stream_connect(struct worker *w, const char *endpoint,
			const struct stream_options *o,
			const struct stream_events *ev, void *arg,
			struct stream **out) MUST_CHECK;

/* Queue all bytes of n buffers, in order; they are copied or sealed before it
 * returns.
 *
 *   ERR_LIMIT   they do not fit under out_cap; nothing was taken
 *   ERR_CLOSED  not open (before on_open, after finish or close)
 *   ERR_NOMEM   nothing was taken; for TLS the stream is closing */
enum err stream_write(struct stream *s, const struct iovec *iov,
		      unsigned n) MUST_CHECK;
/* As stream_write(), all bytes in TLS records of their own: they share none
 * with what was or will be written. For a plain stream the same as
 * stream_write().
 */
enum err stream_write_records(struct stream *s, const struct iovec *iov,
			      unsigned n) MUST_CHECK;
/* Give the kernel now what it takes of what is queued. No event comes inside.
 */
void stream_push(struct stream *s);
/* The kernel takes no more for now. */
bool stream_blocked(const struct stream *s);
/* on_drain comes at the end of this turn or of the next, or when the queue is
 * down to low_water, even if it was never above. */
void stream_want_drain(struct stream *s);
/* Bytes taken and not yet in the kernel's hands. */
size_t stream_queued(const struct stream *s);

/* While paused no on_read or on_eof comes, and the socket is not read: the
 * peer's window fills. Idempotent. */
void stream_read_pause(struct stream *s);
void stream_read_resume(struct stream *s);
bool stream_read_paused(const struct stream *s);

/* ERR_TIMEOUT at ms from now, come what may; 0: none. Replaces the earlier
 * one. (ARTIM.) */
void stream_set_deadline(struct stream *s, uint64_t ms);
/* ERR_TIMEOUT when for ms nothing was received and nothing sent left; 0: none.
 * Does not count while reading is paused and no output waits. */
void stream_set_idle(struct stream *s, uint64_t ms);

/* TLS: true: a FIN without close_notify is an ordinary on_eof (the association
 * is released). Default false: on_closed(ERR_CLOSED). */
void stream_eof_ok(struct stream *s, bool ok);

/* The next answer is acknowledged without delay. For peers with Nagle's
 * algorithm on that answer in two pieces (DCMTK): each answer would take 40 ms
 * more. Lasts for one exchange; cheap. */
void stream_ack_at_once(struct stream *s);

/* Send what is queued, close_notify, FIN; then drop what still comes until the
 * peer closes or finish_ms passes; then on_closed(ERR_OK). No on_read, on_eof
 * or on_drain comes any more. Idempotent. Before on_open: as stream_close()
 * with ERR_CANCELED. */
void stream_finish(struct stream *s);
/* Drop the connection now, queue and all (a TLS close_notify is tried).
 * Idempotent: the first why wins. on_closed runs later. */
void stream_close(struct stream *s, enum err why);

/* "10.1.4.20:51234"; "" before connecting. Valid as long as the stream. */
const char *stream_peer(const struct stream *s);
const char *stream_local(const struct stream *s);
/* False: plain, or not open yet; *out untouched. */
bool stream_tls_info(const struct stream *s, struct tls_info *out);

/* A sentence about an option that the kernel did not take, or "". From on_open
 * on. */
const char *stream_note(const struct stream *s);
/* stream_options.notsent_max anew. */
void stream_set_notsent(struct stream *s, uint32_t bytes);

/* Two system calls. False: not connected. */
bool stream_tcp_info(const struct stream *s, struct stream_tcp *out);

/* Of stream_bytes_out(), those that the peer's TCP has acknowledged; a little
 * fewer while the kernel is taking more. It says nothing of the peer's program.
 * False: not connected. */
bool stream_bytes_acked(const struct stream *s, uint64_t *out);

/* Bytes that came from and went to the kernel so far. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

#endif
