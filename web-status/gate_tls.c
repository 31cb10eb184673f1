/* gate_tls.c - TLS in front of HTTP: a stream, and a pair of sockets whose
 * other end is HTTP's.
 *
 *   viewer <--TLS--> stream --in--> ours | HTTP's
 *                           <------ ours | HTTP's
 *
 * Each way stops reading while the other side does not take: what is held here
 * is bounded by IN_MAX and OUT_HIGH for each connection. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/stream.h"
#include "proxy/net/worker.h"
#include "web-status/gate_int.h"

enum {
	HANDSHAKE_MS = 10 * 1000,
	IN_MAX = 256 * 1024,  /* one on_read, at least */
	OUT_CAP = 512 * 1024, /* of the stream */
	OUT_LOW = 32 * 1024,  /* on_drain comes here */
	OUT_HIGH = 96 * 1024, /* HTTP is not read above */
	TELL_MS = 1000,       /* between two lines about failures */
};

struct bridge {
	struct web_peer *peer;
	struct stream *stream;
	int fd; /* our end; -1: not yet, or closed */
	uv_poll_t poll;
	bool polling;  /* poll is a live handle */
	bool finished; /* HTTP has closed its end */
	bool eof;      /* the viewer sends no more */
	struct buf in; /* from the viewer, for HTTP */
};

static void on_poll(uv_poll_t *handle, int status, int events);

/* ---- HTTP's end -------------------------------------------------------- */

static void watch(struct bridge *b)
{
	int events = 0;

	if (!b->polling)
		return;
	if (!b->finished && stream_queued(b->stream) < OUT_HIGH)
		events |= UV_READABLE;
	if (buf_len(&b->in) > 0)
		events |= UV_WRITABLE;
	if (events == 0)
		uv_poll_stop(&b->poll);
	else
		uv_poll_start(&b->poll, events, on_poll);
}

/* HTTP has nothing more to say: what it said still leaves. */
static void finish(struct bridge *b)
{
	b->finished = true;
	stream_finish(b->stream);
}

static void flush_in(struct bridge *b)
{
	while (buf_len(&b->in) > 0) {
		ssize_t n = send(b->fd, buf_data(&b->in), buf_len(&b->in),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			buf_clear(&b->in); /* it has closed; reading says so */
			return;
		}
		buf_consume(&b->in, (size_t)n);
	}
	if (b->eof)
		shutdown(b->fd, SHUT_WR);
	else
		stream_read_resume(b->stream);
}

static void take_out(struct bridge *b)
{
	uint8_t room[16 * 1024];

	while (!b->finished && stream_queued(b->stream) < OUT_HIGH) {
		ssize_t n = recv(b->fd, room, sizeof(room), MSG_DONTWAIT);
		struct iovec iov = {.iov_base = room, .iov_len = (size_t)n};

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			finish(b);
			return;
		}
		if (stream_write(b->stream, &iov, 1) != ERR_OK) {
			b->finished = true;
			stream_close(b->stream, ERR_IO);
			return;
		}
	}
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct bridge *b = handle->data;

	if (status < 0) {
		finish(b);
	} else {
		if ((events & UV_WRITABLE) != 0)
			flush_in(b);
		if ((events & UV_READABLE) != 0)
			take_out(b);
	}
	watch(b);
}

/* ---- the viewer's end -------------------------------------------------- */

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	struct bridge *b = arg;

	if (b->finished)
		return;
	if (buf_append(&b->in, p, n) != ERR_OK) {
		stream_close(b->stream, ERR_LIMIT);
		return;
	}
	stream_read_pause(b->stream);
	flush_in(b);
	watch(b);
}

static void on_drain(void *arg)
{
	watch(arg);
}

static void on_eof(void *arg)
{
	struct bridge *b = arg;

	b->eof = true;
	flush_in(b);
	watch(b);
}

static void name_peer(struct bridge *b)
{
	struct tls_info info;

	if (!stream_tls_info(b->stream, &info))
		return;
	memcpy(b->peer->fingerprint, info.fingerprint,
	       sizeof(b->peer->fingerprint));
	snprintf(b->peer->subject, sizeof(b->peer->subject), "%s",
		 info.subject);
}

static bool make_pair(struct bridge *b, int *theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair) != 0)
		return false;
	if (uv_poll_init(worker_loop(b->peer->gate->server->worker), &b->poll,
			 pair[0]) != 0) {
		close(pair[0]);
		close(pair[1]);
		return false;
	}
	b->poll.data = b;
	b->polling = true;
	b->fd = pair[0];
	*theirs = pair[1];
	return true;
}

static void on_open(void *arg)
{
	struct bridge *b = arg;
	int theirs = -1;

	name_peer(b);
	if (!make_pair(b, &theirs)) {
		stream_close(b->stream, ERR_IO);
		return;
	}
	watch(b);
	gate_hand_over(b->peer, theirs);
}

static void bridge_free(struct bridge *b)
{
	struct web_peer *p = b->peer;

	if (b->fd >= 0)
		close(b->fd); /* HTTP sees an end */
	buf_free(&b->in);
	mem_free(b);
	gate_stream_done(p);
}

static void on_poll_closed(uv_handle_t *handle)
{
	bridge_free(handle->data);
}

/* A flood is one line a second. */
static void tell(const struct bridge *b, enum err why, const char *detail)
{
	static uint64_t told_ms; /* loop's thread */
	uint64_t now = web_now_ms();

	if (why != ERR_TLS || now - told_ms < TELL_MS)
		return;
	told_ms = now;
	log_event(LOG_INFO, "web-tls-failed", "peer=%s cause=\"%s\"",
		  b->peer->address, detail);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct bridge *b = arg;

	tell(b, why, detail);
	b->stream = NULL;
	if (!b->polling) {
		bridge_free(b);
		return;
	}
	b->polling = false;
	uv_close((uv_handle_t *)&b->poll, on_poll_closed);
}

/* ---- birth ------------------------------------------------------------- */

enum err bridge_open(struct web_peer *p, int fd)
{
	static const struct stream_events events = {.on_open = on_open,
						    .on_read = on_read,
						    .on_drain = on_drain,
						    .on_eof = on_eof,
						    .on_closed = on_closed};
	struct stream_options o = {.tls = p->gate->tls,
				   .handshake_ms = HANDSHAKE_MS,
				   .out_cap = OUT_CAP,
				   .low_water = OUT_LOW};
	struct bridge *b = mem_zalloc(sizeof(*b));
	enum err e;

	if (b == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	b->peer = p;
	b->fd = -1;
	buf_init(&b->in, IN_MAX);
	e = stream_accept(p->gate->server->worker, fd, &o, &events, b,
			  &b->stream);
	if (e != ERR_OK) {
		mem_free(b);
		return e;
	}
	stream_eof_ok(b->stream, true);
	return ERR_OK;
}

enum err bridge_context(const struct config *config, struct tls_context **out)
{
	bool ask = config->status.tls.client_ca[0] != '\0';
	struct tls_options o = {
	    .profile = TLS_PROFILE_BCP195,
	    .ca = ask ? config->status.tls.client_ca : NULL,
	    .certificate = config->status.tls.certificate,
	    .key = config->status.tls.key,
	    .no_client_cert = !ask,
	    .optional_client_cert = ask,
	};
	char why[TLS_WHY_LEN];
	enum err e = tls_server_new(&o, out, why);

	if (e != ERR_OK)
		log_event(LOG_ERROR, "web-tls", "detail=\"%s\"", why);
	return e;
}
