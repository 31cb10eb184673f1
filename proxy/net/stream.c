/* stream.c - birth, states, deadlines and end; see stream_int.h. */
#include "proxy/net/stream.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "proxy/net/stream_int.h"

enum {
	CONNECT_MS = 10 * 1000,
	HANDSHAKE_MS = 30 * 1000,
	FINISH_MS = 5 * 1000,
	OUT_CAP = 4 * 1024 * 1024,
	LOW_WATER = 256 * 1024,
};

#define TO(s) (1u << STREAM_##s)
static const unsigned next_states[STREAM_NSTATES] = {
    [STREAM_DIAL] = TO(HANDSHAKE) | TO(OPEN),
    [STREAM_HANDSHAKE] = TO(OPEN) | TO(FINISH),
    [STREAM_OPEN] = TO(BROKEN) | TO(FINISH),
    [STREAM_BROKEN] = 0,
    [STREAM_FINISH] = TO(LINGER),
    [STREAM_LINGER] = 0,
    [STREAM_CLOSING] = 0,
};

void stream_must0(int rc) /* for calls that fail only by our own mistake */
{
	if (rc != 0)
		abort();
}

uint64_t stream_now(const struct stream *s)
{
	return uv_now(&s->worker->loop);
}

void stream_move(struct stream *s, enum stream_state next)
{
	assert(next_states[s->state] & (1u << next));
	s->state = next;
}

/* ---- the end ---------------------------------------------------------- */

static void stream_free(struct stream *s)
{
	list_remove(&s->node);
	list_remove(&s->wake.node);
	list_remove(&s->flush.node);
	stream_out_free(s);
	buf_free(&s->stash);
	tls_free(s->tls);
	tls_context_unref(s->tls_ctx);
	mem_free(s->dial);
	mem_free(s->endpoint);
	mem_free(s->congestion);
	mem_free(s->server_name);
	mem_free(s);
}

void stream_handle_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;
	const struct stream_events *ev = s->ev;
	char *detail = s->detail;
	void *arg = s->arg;
	enum err why = s->why;

	assert(s->n_handles > 0);
	if (--s->n_handles > 0)
		return;
	stream_free(s);
	/* last: the owner may do anything */
	ev->on_closed(arg, why, detail != NULL ? detail : err_text(why));
	mem_free(detail);
}

/* Without memory for it err_text() has to do. */
static void set_detail(struct stream *s, const char *fmt, va_list ap)
{
	char text[STREAM_DETAIL_LEN];

	if (s->detail != NULL)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	s->detail = mem_strdup(text);
}

/* Our own stop is no verdict about the peer. */
static void handshake_failed(struct stream *s, enum err why)
{
	struct tls_handshake h = {.peer = s->peer,
				  .local = s->local,
				  .endpoint = s->endpoint,
				  .failure = s->detail};

	if (s->state != STREAM_HANDSHAKE || why == ERR_OK ||
	    why == ERR_CANCELED)
		return;
	if (h.failure == NULL)
		h.failure = err_text(why);
	tls_seen(s->tls, &h.info);
	tls_tell(s->tls, &h);
}

static void handshake_done(struct stream *s)
{
	struct tls_handshake h = {
	    .peer = s->peer, .local = s->local, .endpoint = s->endpoint};

	tls_info(s->tls, &h.info);
	tls_tell(s->tls, &h);
}

static void end_now(struct stream *s, enum err why)
{
	handshake_failed(s, why);
	if (s->state < STREAM_FINISH ||
	    (s->state == STREAM_FINISH && s->why == ERR_OK))
		s->why = why;
	s->state = STREAM_CLOSING;
	if (s->dial != NULL)
		stream_dial_drop(s);
	uv_close((uv_handle_t *)&s->timer, stream_handle_closed);
	if (!uv_is_closing((uv_handle_t *)&s->tcp))
		uv_close((uv_handle_t *)&s->tcp, stream_handle_closed);
}

void stream_end(struct stream *s, enum err why, const char *fmt, ...)
{
	va_list ap;

	if (s->state == STREAM_CLOSING)
		return;
	va_start(ap, fmt);
	set_detail(s, fmt, ap);
	va_end(ap);
	end_now(s, why);
}

/* FINISH: from here on only the flush, the FIN and the wait for the peer's. */
static void begin_finish(struct stream *s, enum err why)
{
	s->why = why;
	stream_move(s, STREAM_FINISH);
	if (why != ERR_OK)
		stream_out_unstage(s);
	s->paused = false;
	if (s->idle_ms == 0 || s->idle_ms > s->finish_ms)
		s->idle_ms = s->finish_ms;
	s->active_at = stream_now(s);
	stream_timer_arm(s);
	stream_read_update(s);
	if (s->state == STREAM_FINISH)
		worker_job_flush(s->worker, &s->flush);
}

void stream_end_politely(struct stream *s, enum err why, const char *fmt, ...)
{
	va_list ap;

	if (s->state >= STREAM_FINISH)
		return;
	va_start(ap, fmt);
	set_detail(s, fmt, ap);
	va_end(ap);
	handshake_failed(s, why);
	if (s->state == STREAM_HANDSHAKE || s->state == STREAM_OPEN)
		begin_finish(s, why);
	else
		end_now(s, why);
}

void stream_finish(struct stream *s)
{
	if (s->state >= STREAM_FINISH)
		return;
	if (s->state == STREAM_OPEN && s->announced)
		begin_finish(s, ERR_OK);
	else if (s->state == STREAM_BROKEN)
		stream_end(s, ERR_CLOSED, "%s closed the connection", s->peer);
	else
		stream_close(s, ERR_CANCELED);
}

void stream_close(struct stream *s, enum err why)
{
	if (s->state == STREAM_CLOSING)
		return;
	/* Polite where it costs nothing: the alert fits an empty queue. */
	if (s->state == STREAM_OPEN && s->tls != NULL && stream_out_empty(s)) {
		s->above_low = false; /* no on_drain any more */
		tls_close_notify(s->tls);
		stream_out_flush(s);
	}
	stream_end(s, why, "%s", err_text(why));
}

void stream_close_all(struct worker *w)
{
	LIST_EACH(n, tmp, &w->streams)
	stream_end(CONTAINER_OF(n, struct stream, node), ERR_CANCELED,
		   "the worker stops");
}

/* ---- deadlines -------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void stream_timer_arm(struct stream *s)
{
	uint64_t at, now = stream_now(s);

	if (s->state == STREAM_CLOSING)
		return;
	at = sooner(s->phase_at, s->caller_at);
	if (s->idle_ms != 0)
		at = sooner(at, s->active_at + s->idle_ms);
	if (at == 0)
		uv_timer_stop(&s->timer);
	else
		stream_must0(uv_timer_start(&s->timer, on_timer,
					    at > now ? at - now : 0, 0));
}

static void phase_passed(struct stream *s)
{
	switch (s->state) {
	case STREAM_DIAL:
		if (stream_dial_another(s))
			return;
		stream_end(s, ERR_TIMEOUT,
			   "no answer from %s within %llu s: is the address "
			   "right, the machine up, and no firewall between?",
			   s->endpoint,
			   (unsigned long long)s->connect_ms / 1000);
		return;
	case STREAM_HANDSHAKE:
		stream_end(s, ERR_TIMEOUT,
			   "%s did not finish the TLS handshake within %llu s: "
			   "does it speak TLS on this port?",
			   s->peer, (unsigned long long)s->handshake_ms / 1000);
		return;
	case STREAM_LINGER: /* all was sent; the peer just stays */
	case STREAM_OPEN:
	case STREAM_BROKEN:
	case STREAM_FINISH:
	case STREAM_CLOSING:
	case STREAM_NSTATES:
		break;
	}
	stream_end(s, s->why, "%s did not close the connection", s->peer);
}

/* The peer is not to blame while we neither read nor have anything to send. */
static bool idle_counts(const struct stream *s)
{
	return s->state >= STREAM_FINISH || !s->paused || !stream_out_empty(s);
}

static void idle_passed(struct stream *s, uint64_t now)
{
	if (!idle_counts(s) || stream_out_progress(s)) {
		s->active_at = now;
		return;
	}
	stream_end(s, ERR_TIMEOUT,
		   "nothing came from or went to %s for %llu ms", s->peer,
		   (unsigned long long)s->idle_ms);
}

/* For texts: the peer, or who was to be it. */
static const char *whom(const struct stream *s)
{
	return s->peer[0] != '\0' || s->endpoint == NULL ? s->peer
							 : s->endpoint;
}

static void on_timer(uv_timer_t *timer)
{
	struct stream *s = CONTAINER_OF(timer, struct stream, timer);
	uint64_t now = stream_now(s);

	if (s->state == STREAM_CLOSING)
		return;
	if (s->phase_at != 0 && now >= s->phase_at)
		phase_passed(s);
	else if (s->caller_at != 0 && now >= s->caller_at)
		stream_end(s, ERR_TIMEOUT, "the deadline for %s passed",
			   whom(s));
	else if (s->idle_ms != 0 && now >= s->active_at + s->idle_ms)
		idle_passed(s, now);
	stream_timer_arm(s);
}

void stream_set_deadline(struct stream *s, uint64_t ms)
{
	if (s->state >= STREAM_FINISH)
		return;
	s->caller_at = ms != 0 ? stream_now(s) + ms : 0;
	stream_timer_arm(s);
}

void stream_set_idle(struct stream *s, uint64_t ms)
{
	if (s->state >= STREAM_FINISH)
		return;
	s->idle_ms = ms;
	s->active_at = stream_now(s);
	stream_timer_arm(s);
}

/* ---- opening ---------------------------------------------------------- */

static void remember_names(struct stream *s)
{
	struct sockaddr_storage ss = {0};
	int len = sizeof(ss);

	if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&ss, &len) == 0)
		address_text((struct sockaddr *)&ss, s->peer);
	len = sizeof(ss);
	if (uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&ss, &len) == 0)
		address_text((struct sockaddr *)&ss, s->local);
}

static enum err emit(void *arg, const uint8_t *p, size_t n)
{
	struct stream *s = arg;

	worker_job_flush(s->worker, &s->flush);
	return stream_out_append(s, p, n);
}

static enum err engine_new(struct stream *s)
{
	return tls_new(s->tls_ctx, s->server_name, s->endpoint, emit, s,
		       &s->tls);
}

void stream_connected(struct stream *s)
{
	stream_tcp_options(s);
	remember_names(s);
	s->phase_at = 0;
	if (s->tls_ctx == NULL) {
		stream_move(s, STREAM_OPEN);
	} else {
		if (engine_new(s) != ERR_OK) {
			stream_end(s, ERR_NOMEM, "out of memory for TLS");
			return;
		}
		stream_move(s, STREAM_HANDSHAKE);
		s->phase_at = stream_now(s) + s->handshake_ms;
	}
	stream_timer_arm(s);
	worker_job_soon(s->worker, &s->wake);
}

void stream_opened(struct stream *s)
{
	if (s->state == STREAM_HANDSHAKE) {
		stream_move(s, STREAM_OPEN);
		s->phase_at = 0;
		handshake_done(s);
	}
	s->announced = true;
	s->active_at = stream_now(s);
	stream_timer_arm(s);
	if (s->ev->on_open != NULL)
		s->ev->on_open(s->arg);
}

static void on_wake(struct worker_job *j)
{
	stream_in_wake(CONTAINER_OF(j, struct stream, wake));
}

static void on_flush(struct worker_job *j)
{
	stream_out_flush(CONTAINER_OF(j, struct stream, flush));
}

static uint64_t or_default(uint64_t v, uint64_t dflt)
{
	return v != 0 ? v : dflt;
}

static bool take_options(struct stream *s, const struct stream_options *o)
{
	static const struct stream_options none;

	if (o == NULL)
		o = &none;
	if (!stream_tcp_take(s, o))
		return false;
	s->connect_ms = or_default(o->connect_ms, CONNECT_MS);
	s->handshake_ms = or_default(o->handshake_ms, HANDSHAKE_MS);
	s->finish_ms = or_default(o->finish_ms, FINISH_MS);
	s->out_cap = or_default(o->out_cap, OUT_CAP);
	s->low_water = or_default(o->low_water, LOW_WATER);
	if (o->tls != NULL)
		s->tls_ctx = tls_context_ref(o->tls);
	return true;
}

/* A stream in DIAL with its handles initialised: from here on only their close
 * callbacks free it. */
static struct stream *stream_new(struct worker *w,
				 const struct stream_options *o,
				 const struct stream_events *ev, void *arg)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	if (s == NULL || !take_options(s, o)) {
		mem_free(s);
		return NULL;
	}
	s->worker = w;
	s->ev = ev;
	s->arg = arg;
	s->state = STREAM_DIAL;
	buf_init(&s->stash, WORKER_READ_SIZE);
	list_init(&s->out);
	list_init(&s->wake.node);
	list_init(&s->flush.node);
	s->wake.run = on_wake;
	s->flush.run = on_flush;
	stream_must0(uv_tcp_init(&w->loop, &s->tcp));
	stream_must0(uv_timer_init(&w->loop, &s->timer));
	s->tcp.data = s->timer.data = s;
	s->n_handles = 2;
	list_push_back(&w->streams, &s->node);
	return s;
}

enum err stream_accept(struct worker *w, int fd, const struct stream_options *o,
		       const struct stream_events *ev, void *arg,
		       struct stream **out)
{
	struct stream *s;

	assert(worker_is_current(w));
	assert(o == NULL || o->tls == NULL || tls_context_is_server(o->tls));
	s = w->stopping ? NULL : stream_new(w, o, ev, arg);
	if (s == NULL) {
		close(fd);
		return w->stopping ? ERR_CANCELED : ERR_NOMEM;
	}
	*out = s;
	if (uv_tcp_open(&s->tcp, fd) != 0) {
		close(fd);
		stream_end(s, ERR_IO, "the accepted socket is unusable");
		return ERR_OK;
	}
	stream_connected(s);
	return ERR_OK;
}

enum err stream_connect(struct worker *w, const char *endpoint,
			const struct stream_options *o,
			const struct stream_events *ev, void *arg,
			struct stream **out)
{
	char host[ADDRESS_HOST_LEN];
	struct stream *s;
	uint16_t port;

	assert(worker_is_current(w));
	assert(o == NULL || o->tls == NULL || !tls_context_is_server(o->tls));
	if (w->stopping)
		return ERR_CANCELED;
	if (address_split(endpoint, host, &port) != ERR_OK || port == 0)
		return ERR_INVAL;
	s = stream_new(w, o, ev, arg);
	if (s == NULL)
		return ERR_NOMEM;
	*out = s;
	s->endpoint = mem_strdup(endpoint);
	s->server_name = mem_strdup(
	    o != NULL && o->server_name != NULL ? o->server_name : host);
	s->phase_at = s->connect_at = stream_now(s) + s->connect_ms;
	stream_timer_arm(s);
	if (s->endpoint == NULL || s->server_name == NULL ||
	    stream_dial_begin(s, host, port) != ERR_OK)
		stream_end(s, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

/* ---- small ------------------------------------------------------------ */

void stream_eof_ok(struct stream *s, bool ok)
{
	s->eof_ok = ok;
}

const char *stream_peer(const struct stream *s)
{
	return s->peer;
}

const char *stream_local(const struct stream *s)
{
	return s->local;
}

bool stream_tls_info(const struct stream *s, struct tls_info *out)
{
	if (s->tls == NULL || !s->announced)
		return false;
	tls_info(s->tls, out);
	return true;
}

uint64_t stream_bytes_in(const struct stream *s)
{
	return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
	return s->bytes_out;
}
