/* stream_in.c - from the socket to on_read. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/net/stream_int.h"

/* ---- end of input ----------------------------------------------------- */

static void input_ended(struct stream *s)
{
	s->eof = true;
	stream_read_update(s);
	if (s->ev->on_eof != NULL)
		s->ev->on_eof(s->arg);
	else
		stream_end(s, ERR_CLOSED, "%s closed the connection", s->peer);
}

static void tls_failed(struct stream *s, enum err e)
{
	if (e == ERR_TLS || e == ERR_CLOSED)
		stream_end_politely(s, e, "%s", tls_failure(s->tls));
	else
		stream_end(s, e, "%s: %s", s->peer, err_text(e));
}

/* The transport is gone: reset, or FIN without close_notify. */
static void tls_cut(struct stream *s, const char *how)
{
	bool handshake = s->state == STREAM_HANDSHAKE;

	(void)tls_transport_ended(s->tls);
	stream_end(s, handshake ? ERR_TLS : ERR_CLOSED, "%s (%s)",
		   tls_failure(s->tls), how);
}

static void on_fin(struct stream *s)
{
	switch (s->state) {
	case STREAM_OPEN:
		if (s->tls == NULL || s->eof_ok)
			input_ended(s);
		else
			tls_cut(s, "FIN");
		return;
	case STREAM_HANDSHAKE:
		tls_cut(s, "FIN");
		return;
	case STREAM_FINISH:
		s->eof = true;
		stream_read_update(s);
		return;
	case STREAM_LINGER:
		stream_end(s, s->why, "%s", err_text(s->why));
		return;
	case STREAM_BROKEN:
		stream_end(s, ERR_CLOSED,
			   "%s closed the connection while "
			   "data was on its way to it",
			   s->peer);
		return;
	case STREAM_DIAL:
	case STREAM_CLOSING:
	case STREAM_NSTATES:
		return;
	}
}

static void on_read_error(struct stream *s, int status)
{
	bool reset = status == UV_ECONNRESET || status == UV_EPIPE;

	if (s->state == STREAM_LINGER)
		stream_end(s, s->why, "%s", err_text(s->why));
	else if (s->state == STREAM_HANDSHAKE)
		tls_cut(s, uv_strerror(status));
	else
		stream_end(s, reset ? ERR_CLOSED : ERR_IO,
			   "connection with %s lost: %s", s->peer,
			   uv_strerror(status));
}

/* ---- TLS -------------------------------------------------------------- */

static bool wants_input(const struct stream *s)
{
	return (s->state == STREAM_OPEN || s->state == STREAM_BROKEN) &&
	       s->announced && !s->paused && !s->eof;
}

static void handshake_step(struct stream *s)
{
	enum err e = tls_handshake(s->tls);

	if (e == ERR_AGAIN)
		return;
	if (e == ERR_OK)
		stream_opened(s);
	else
		tls_failed(s, e);
}

/* Decipher as many records as fit, so that on_read gets large pieces. */
static enum err fill_plain(struct stream *s, size_t *have)
{
	uint8_t *buf = s->worker->plain_buf;
	enum err e = ERR_OK;

	*have = 0;
	while (e == ERR_OK && WORKER_PLAIN_SIZE - *have >= TLS_RECORD_MAX) {
		size_t n = 0;

		e = tls_read(s->tls, buf + *have, WORKER_PLAIN_SIZE - *have,
			     &n);
		*have += n;
	}
	return e;
}

static void deliver_plain(struct stream *s)
{
	while (wants_input(s)) {
		size_t n;
		enum err e = fill_plain(s, &n);

		if (n > 0 && s->ev->on_read != NULL)
			s->ev->on_read(s->arg, s->worker->plain_buf, n);
		if (e == ERR_OK)
			continue;
		if (e == ERR_AGAIN || s->state == STREAM_CLOSING)
			return;
		if (e == ERR_CLOSED) {
			/* the pause must hold back the end, too */
			if (wants_input(s))
				input_ended(s);
			return;
		}
		if (s->state == STREAM_OPEN)
			tls_failed(s, e);
		else
			stream_end(s, ERR_TLS, "%s", tls_failure(s->tls));
		return;
	}
}

static void pump(struct stream *s)
{
	if (s->state == STREAM_HANDSHAKE)
		handshake_step(s);
	deliver_plain(s);
}

/* Ciphertext that a pause left over must survive the shared buffer. */
static void stash_rest(struct stream *s)
{
	const uint8_t *rest;
	size_t n = tls_pending_input(s->tls, &rest);

	if (s->state == STREAM_CLOSING || n == 0)
		return;
	if (buf_append(&s->stash, rest, n) != ERR_OK)
		stream_end(s, ERR_NOMEM, "out of memory");
	tls_feed(s->tls, NULL, 0);
}

static void feed(struct stream *s, const uint8_t *p, size_t n)
{
	tls_feed(s->tls, p, n);
	pump(s);
	stash_rest(s);
}

static void feed_stash(struct stream *s)
{
	const uint8_t *rest;
	size_t held = buf_len(&s->stash);

	tls_feed(s->tls, held > 0 ? buf_data(&s->stash) : NULL, held);
	pump(s);
	buf_consume(&s->stash, held - tls_pending_input(s->tls, &rest));
	tls_feed(s->tls, NULL, 0);
	if (buf_len(&s->stash) == 0)
		buf_free(&s->stash);
}

/* ---- libuv ------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct stream *s = handle->data;

	(void)hint;
	*buf = uv_buf_init((char *)s->worker->read_buf, WORKER_READ_SIZE);
}

static void on_bytes(struct stream *s, const uint8_t *p, size_t n)
{
	s->bytes_in += n;
	s->active_at = stream_now(s);
	if (s->state >= STREAM_FINISH)
		return; /* dropped */
	if (s->tls != NULL)
		feed(s, p, n);
	else if (s->ev->on_read != NULL)
		s->ev->on_read(s->arg, p, n);
}

static void on_read(uv_stream_t *tcp, ssize_t nread, const uv_buf_t *buf)
{
	struct stream *s = tcp->data;

	if (s->state == STREAM_CLOSING)
		return;
	if (nread > 0)
		on_bytes(s, (const uint8_t *)buf->base, (size_t)nread);
	else if (nread == UV_EOF)
		on_fin(s);
	else if (nread < 0)
		on_read_error(s, (int)nread);
}

/* ---- read or not ------------------------------------------------------ */

static bool should_read(const struct stream *s)
{
	switch (s->state) {
	case STREAM_HANDSHAKE:
		return true;
	case STREAM_OPEN:
	case STREAM_BROKEN:
		return wants_input(s) && buf_len(&s->stash) == 0;
	case STREAM_FINISH:
	case STREAM_LINGER:
		return !s->eof;
	case STREAM_DIAL:
	case STREAM_CLOSING:
	case STREAM_NSTATES:
		break;
	}
	return false;
}

void stream_read_update(struct stream *s)
{
	bool want = should_read(s);

	if (s->state == STREAM_CLOSING || want == s->reading)
		return;
	s->reading = want;
	if (!want)
		uv_read_stop((uv_stream_t *)&s->tcp);
	else if (uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read) != 0)
		stream_end(s, ERR_IO, "cannot read from %s", s->peer);
}

/* The job: open a plain stream, start a handshake, or go on after a pause. */
void stream_in_wake(struct stream *s)
{
	if (s->state == STREAM_OPEN && !s->announced)
		stream_opened(s);
	else if (s->state == STREAM_HANDSHAKE &&
		 !tls_context_is_server(s->tls_ctx))
		handshake_step(s);
	if (s->tls != NULL && wants_input(s))
		feed_stash(s);
	if (s->state != STREAM_CLOSING)
		stream_read_update(s);
}

void stream_read_pause(struct stream *s)
{
	if (s->state >= STREAM_FINISH)
		return;
	s->paused = true;
	stream_read_update(s);
}

void stream_read_resume(struct stream *s)
{
	if (s->state >= STREAM_FINISH || !s->paused)
		return;
	s->paused = false;
	s->active_at = stream_now(s);
	/* TLS may hold deciphered bytes: deliver them first, but not inside
	 * this call. */
	if (s->tls != NULL)
		worker_job_soon(s->worker, &s->wake);
	else
		stream_read_update(s);
}

bool stream_read_paused(const struct stream *s)
{
	return s->paused;
}
