/* stream_out.c - from stream_write() to the socket.
 *
 *   plain: caller's buffers --try_write--> kernel; the rest is copied to out
 *   TLS:   caller's buffers --(stage)--> sealed records in out --> kernel
 *
 * The stage gathers what is less than a record, so that a 12-byte header and
 * the payload after it share one; whole records are sealed from where they
 * stand. While uv_write() holds chunks nothing else is written. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/net/stream_int.h"

size_t stream_queued(const struct stream *s)
{
	return s->out_bytes + (s->stage != NULL ? s->stage->len : 0);
}

bool stream_out_empty(const struct stream *s)
{
	return stream_queued(s) == 0;
}

/* ---- the queue -------------------------------------------------------- */

static struct chunk *first_chunk(struct stream *s)
{
	return CONTAINER_OF(s->out.next, struct chunk, node);
}

static struct chunk *next_chunk(struct chunk *c)
{
	return CONTAINER_OF(c->node.next, struct chunk, node);
}

/* The chunk to append to. Those in flight are not touched: uv_write() has
 * their lengths. */
static struct chunk *tail_chunk(struct stream *s)
{
	struct list *last = s->out.prev;
	unsigned held = 0;

	LIST_EACH(n, tmp, &s->out)
	if (++held > s->n_inflight)
		break;
	if (held <= s->n_inflight)
		return NULL;
	return CONTAINER_OF(last, struct chunk, node);
}

enum err stream_out_append(struct stream *s, const uint8_t *p, size_t n)
{
	struct chunk *c = tail_chunk(s);

	while (n > 0) {
		size_t part;

		if (c == NULL || chunk_room(c) == 0) {
			c = chunk_get(&s->worker->chunks,
				      s->bulk ? CHUNK_LARGE : CHUNK_SMALL);
			if (c == NULL)
				return ERR_NOMEM;
			list_push_back(&s->out, &c->node);
		}
		part = chunk_room(c) < n ? chunk_room(c) : n;
		memcpy(c->data + c->len, p, part);
		c->len += part;
		s->out_bytes += part;
		p += part;
		n -= part;
	}
	return ERR_OK;
}

static void drop_first(struct stream *s)
{
	struct chunk *c = first_chunk(s);

	list_remove(&c->node);
	chunk_put(&s->worker->chunks, c);
}

/* The kernel took n bytes from the front. */
static void consumed(struct stream *s, size_t n)
{
	s->out_bytes -= n;
	s->bytes_out += n;
	s->active_at = stream_now(s);
	while (n > 0) {
		struct chunk *c = first_chunk(s);
		size_t part = chunk_held(c) < n ? chunk_held(c) : n;

		c->off += part;
		n -= part;
		if (chunk_held(c) == 0)
			drop_first(s);
	}
}

void stream_out_unstage(struct stream *s)
{
	if (s->stage != NULL)
		chunk_put(&s->worker->chunks, s->stage);
	s->stage = NULL;
}

void stream_out_free(struct stream *s)
{
	while (!list_empty(&s->out))
		drop_first(s);
	stream_out_unstage(s);
	s->out_bytes = 0;
}

/* Up to max buffers from the front of the queue. */
static unsigned gather(struct stream *s, uv_buf_t *bufs, unsigned max)
{
	struct chunk *c = first_chunk(s);
	unsigned n = 0;

	for (; &c->node != &s->out && n < max; c = next_chunk(c))
		bufs[n++] = uv_buf_init((char *)c->data + c->off,
					(unsigned)chunk_held(c));
	return n;
}

/* ---- to the kernel ---------------------------------------------------- */

/* The peer takes no more. What it sent before may say why, so go on reading
 * for a moment, unless the caller does not want to. */
static void write_failed(struct stream *s, int status)
{
	if (s->state == STREAM_HANDSHAKE)
		return; /* reading, and the deadline, will tell */
	if (s->state == STREAM_OPEN && !s->paused && !s->eof) {
		stream_move(s, STREAM_BROKEN);
		s->phase_at = stream_now(s) + s->finish_ms;
		stream_timer_arm(s);
	} else if (s->state != STREAM_BROKEN) {
		stream_end(s, ERR_CLOSED, "connection with %s lost: %s",
			   s->peer, uv_strerror(status));
	}
}

static void on_written(uv_write_t *req, int status);

/* The socket is full: let libuv wait for it. */
static void write_async(struct stream *s)
{
	uv_buf_t bufs[STREAM_INFLIGHT];
	unsigned n = gather(s, bufs, STREAM_INFLIGHT);
	int rc =
	    uv_write(&s->write, (uv_stream_t *)&s->tcp, bufs, n, on_written);

	if (rc != 0) {
		write_failed(s, rc);
		return;
	}
	s->n_inflight = n;
	s->inflight_left =
	    uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp);
}

static bool may_write(const struct stream *s)
{
	return s->state == STREAM_HANDSHAKE || s->state == STREAM_OPEN ||
	       s->state == STREAM_FINISH;
}

/* Bytes the kernel took at once; fewer than offered: it is full. */
static size_t try_write(struct stream *s, const uv_buf_t *bufs, unsigned n)
{
	int rc = uv_try_write((uv_stream_t *)&s->tcp, bufs, n);

	if (rc < 0 && rc != UV_EAGAIN)
		write_failed(s, rc);
	return rc > 0 ? (size_t)rc : 0;
}

static void to_kernel(struct stream *s)
{
	while (!list_empty(&s->out) && s->n_inflight == 0 && may_write(s)) {
		uv_buf_t bufs[STREAM_TRY_BUFS];
		unsigned n = gather(s, bufs, STREAM_TRY_BUFS);
		size_t offered = 0, took;

		for (unsigned i = 0; i < n; i++)
			offered += bufs[i].len;
		took = try_write(s, bufs, n);
		consumed(s, took);
		if (took < offered && may_write(s))
			write_async(s);
	}
}

/* ---- sealing ---------------------------------------------------------- */

static enum err seal_stage(struct stream *s)
{
	struct chunk *c = s->stage;
	enum err e;

	if (c == NULL)
		return ERR_OK;
	s->stage = NULL;
	e = tls_write(s->tls, c->data, c->len);
	chunk_put(&s->worker->chunks, c);
	return e;
}

static enum err stage_bytes(struct stream *s, const uint8_t **p, size_t *left)
{
	size_t part;

	if (s->stage == NULL)
		s->stage = chunk_get(&s->worker->chunks, CHUNK_SMALL);
	if (s->stage == NULL)
		return ERR_NOMEM;
	part = TLS_RECORD_MAX - s->stage->len;
	part = part < *left ? part : *left;
	memcpy(s->stage->data + s->stage->len, *p, part);
	s->stage->len += part;
	*p += part;
	*left -= part;
	return s->stage->len == TLS_RECORD_MAX ? seal_stage(s) : ERR_OK;
}

static enum err seal_buffer(struct stream *s, const uint8_t *p, size_t left)
{
	enum err e = ERR_OK;

	while (e == ERR_OK && left > 0) {
		if (s->stage == NULL && left >= TLS_RECORD_MAX) {
			e = tls_write(s->tls, p, TLS_RECORD_MAX);
			p += TLS_RECORD_MAX;
			left -= TLS_RECORD_MAX;
		} else {
			e = stage_bytes(s, &p, &left);
		}
		if (s->out_bytes >= STREAM_FLUSH_AT && s->n_inflight == 0)
			to_kernel(s);
	}
	return e;
}

static enum err write_tls(struct stream *s, const struct iovec *iov, unsigned n)
{
	enum err e = ERR_OK;

	for (unsigned i = 0; e == ERR_OK && i < n; i++)
		e = seal_buffer(s, iov[i].iov_base, iov[i].iov_len);
	return e;
}

static enum err write_records(struct stream *s, const struct iovec *iov,
			      unsigned n)
{
	enum err e = seal_stage(s);

	if (e == ERR_OK)
		e = write_tls(s, iov, n);
	return e == ERR_OK ? seal_stage(s) : e;
}

/* ---- plain ------------------------------------------------------------ */

/* Queue and buffers in one system call, without a copy. Returns how many of
 * the caller's bytes went. */
static size_t write_through(struct stream *s, const struct iovec *iov,
			    unsigned n)
{
	uv_buf_t bufs[STREAM_TRY_BUFS];
	unsigned queued = gather(s, bufs, STREAM_TRY_BUFS / 2), k = queued;
	size_t before = 0, took;

	for (unsigned i = 0; i < queued; i++)
		before += bufs[i].len;
	if (before < s->out_bytes)
		return 0; /* too many chunks wait: keep the order */
	for (unsigned i = 0; i < n && k < STREAM_TRY_BUFS; i++)
		bufs[k++] =
		    uv_buf_init(iov[i].iov_base, (unsigned)iov[i].iov_len);
	took = try_write(s, bufs, k);
	if (took <= before) {
		consumed(s, took);
		return 0;
	}
	consumed(s, before);
	s->bytes_out += took - before;
	s->active_at = stream_now(s);
	return took - before;
}

static enum err write_plain(struct stream *s, const struct iovec *iov,
			    unsigned n, size_t total)
{
	size_t skip = 0;
	enum err e = ERR_OK;

	if (total >= STREAM_FLUSH_AT && s->n_inflight == 0)
		skip = write_through(s, iov, n);
	for (unsigned i = 0; e == ERR_OK && i < n; i++) {
		size_t part = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		skip -= part;
		e = stream_out_append(s, (uint8_t *)iov[i].iov_base + part,
				      iov[i].iov_len - part);
	}
	return e;
}

/* ---- entry ------------------------------------------------------------ */

static bool fits(const struct stream *s, const struct iovec *iov, unsigned n,
		 size_t *total)
{
	size_t queued = stream_queued(s);
	size_t left = queued < s->out_cap ? s->out_cap - queued : 0;

	*total = 0;
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len > left)
			return false;
		left -= iov[i].iov_len;
		*total += iov[i].iov_len;
	}
	return true;
}

static enum err write_gave_up(struct stream *s, enum err e)
{
	if (e == ERR_TLS)
		stream_end(s, e, "%s", tls_failure(s->tls));
	else
		stream_end(s, e, "cannot write to %s: %s", s->peer,
			   err_text(e));
	return e;
}

static enum err write_any(struct stream *s, const struct iovec *iov, unsigned n,
			  bool records)
{
	size_t total;
	enum err e;

	if (s->state != STREAM_OPEN || !s->announced)
		return ERR_CLOSED;
	if (!fits(s, iov, n, &total))
		return ERR_LIMIT;
	s->bulk = total > CHUNK_SMALL;
	if (s->tls == NULL)
		e = write_plain(s, iov, n, total);
	else
		e = records ? write_records(s, iov, n) : write_tls(s, iov, n);
	if (e != ERR_OK)
		return write_gave_up(s, e);
	if (s->n_inflight == 0 && s->out_bytes >= STREAM_FLUSH_AT)
		to_kernel(s);
	if (stream_queued(s) > s->low_water)
		s->above_low = true;
	if (s->n_inflight == 0) /* else on_written() goes on */
		worker_job_flush(s->worker, &s->flush);
	return ERR_OK;
}

enum err stream_write(struct stream *s, const struct iovec *iov, unsigned n)
{
	return write_any(s, iov, n, false);
}

enum err stream_write_records(struct stream *s, const struct iovec *iov,
			      unsigned n)
{
	return write_any(s, iov, n, true);
}

/* ---- FIN and drain ---------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct stream *s = CONTAINER_OF(req, struct stream, shutdown);

	(void)status; /* a peer already gone is no failure here */
	if (s->state != STREAM_FINISH)
		return;
	stream_move(s, STREAM_LINGER);
	if (s->eof) {
		stream_end(s, s->why, "%s", err_text(s->why));
		return;
	}
	s->idle_ms = s->caller_at = 0;
	s->phase_at = stream_now(s) + s->finish_ms;
	stream_timer_arm(s);
}

/* All that was queued has gone: close_notify, then FIN. */
static void finish_step(struct stream *s)
{
	if (s->fin_asked)
		return;
	if (s->tls != NULL && s->why == ERR_OK) {
		tls_close_notify(s->tls);
		to_kernel(s);
		if (!list_empty(&s->out) || s->state != STREAM_FINISH)
			return;
	}
	s->fin_asked = true;
	if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown) != 0)
		stream_end(s, ERR_CLOSED, "%s closed the connection", s->peer);
}

static void after_flush(struct stream *s)
{
	if (s->state == STREAM_FINISH && stream_out_empty(s))
		finish_step(s);
	if (s->state != STREAM_OPEN || !s->above_low ||
	    stream_queued(s) > s->low_water)
		return;
	s->above_low = false;
	if (s->ev->on_drain != NULL)
		s->ev->on_drain(s->arg);
}

void stream_push(struct stream *s)
{
	enum err e;

	if (!may_write(s) || s->n_inflight > 0)
		return;
	e = seal_stage(s);
	if (e == ERR_OK)
		to_kernel(s);
	else
		(void)write_gave_up(s, e);
}

void stream_out_flush(struct stream *s)
{
	if (!may_write(s) || s->n_inflight > 0)
		return;
	stream_push(s);
	after_flush(s);
}

bool stream_blocked(const struct stream *s)
{
	return s->n_inflight > 0;
}

void stream_want_drain(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	s->above_low = true;
	if (s->n_inflight == 0)
		worker_job_flush(s->worker, &s->flush);
}

static void on_written(uv_write_t *req, int status)
{
	struct stream *s = CONTAINER_OF(req, struct stream, write);
	unsigned n = s->n_inflight;
	size_t total = 0;

	s->n_inflight = 0;
	if (s->state == STREAM_CLOSING)
		return;
	if (status < 0) {
		write_failed(s, status);
		return;
	}
	for (struct chunk *c = first_chunk(s); n-- > 0; c = next_chunk(c))
		total += chunk_held(c);
	consumed(s, total);
	stream_out_flush(s);
}

bool stream_out_progress(struct stream *s)
{
	size_t left;

	if (s->n_inflight == 0)
		return false;
	left = uv_stream_get_write_queue_size((uv_stream_t *)&s->tcp);
	if (left == s->inflight_left)
		return false;
	s->inflight_left = left;
	return true;
}
