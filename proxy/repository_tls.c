/* repository_tls.c - RFC 5425: a connection, and what of it has arrived.
 *
 *   WAITING --time--> CONNECTING --on_open--> CONNECTED
 *      ^                    |                     |
 *      +----- on_closed ----+---------------------+
 *
 * A batch of messages is sealed at once and marked: its last row arrives with
 * that many bytes of the connection. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/repository_int.h"

enum {
	QUEUE_MAX = 256 * 1024, /* bytes handed over before the kernel's */
	BATCHES = 64,           /* in one turn of the loop */
	ANNOUNCE_MS = 1000,
};

/* ---- what has arrived ------------------------------------------------------
 */

/* Rows that were acknowledged are kept in mind with the time. They have arrived
 * when the connection has lived on for replay.time: a peer that drops it, since
 * it does not like us or died, has often acknowledged what it never read. */
static void trail_add(struct repository *r)
{
	uint64_t now = repository_now(r);
	uint64_t gap = r->config->replay.time / (REPOSITORY_TRAIL / 2);

	if (r->n_trail > 0 &&
	    now - r->trail[r->trail_at].ms < (gap > 0 ? gap : 1))
		return;
	r->trail_at = (r->trail_at + 1) % REPOSITORY_TRAIL;
	r->trail[r->trail_at].ms = now;
	r->trail[r->trail_at].seq = r->acked_seq;
	if (r->n_trail < REPOSITORY_TRAIL)
		r->n_trail++;
}

static void settle(struct repository *r)
{
	uint64_t now = repository_now(r);

	for (size_t i = 0; i < r->n_trail; i++) {
		size_t at =
		    (r->trail_at + REPOSITORY_TRAIL - i) % REPOSITORY_TRAIL;

		if (now - r->trail[at].ms < r->config->replay.time)
			continue;
		repository_arrived(r, r->trail[at].seq);
		return;
	}
}

static void marks_acked(struct repository *r)
{
	while (r->n_marks > 0 && r->marks[r->mark].at <= r->acked) {
		if (r->marks[r->mark].seq > r->acked_seq)
			r->acked_seq = r->marks[r->mark].seq;
		r->mark = (r->mark + 1) % REPOSITORY_MARKS;
		r->n_marks--;
	}
}

/* False: the connection was given up, since it takes nothing. */
static bool look_at_acked(struct repository *r)
{
	uint64_t acked, now = repository_now(r);

	if (!stream_bytes_acked(r->stream, &acked))
		return true;
	if (acked > r->acked || r->n_marks == 0)
		r->acked_at_ms = now;
	r->acked = acked > r->acked ? acked : r->acked;
	marks_acked(r);
	trail_add(r);
	settle(r);
	if (now - r->acked_at_ms < r->config->timeouts.stall)
		return true;
	stream_close(r->stream, ERR_TIMEOUT);
	return false;
}

/* ---- what goes out ---------------------------------------------------------
 */

/* Messages with their counts (RFC 5425 4.3) until there are no more, or the
 * batch is full. */
static enum err fill_batch(struct repository *r, size_t *len, int64_t *seq,
			   uint64_t *count)
{
	*len = 0;
	*count = 0;
	while (REPOSITORY_BATCH - *len >= REPOSITORY_MESSAGE_MAX) {
		char *at = r->batch + *len, text[SYSLOG_COUNT_MAX];
		size_t n, head;
		int64_t one;
		enum err e = repository_queue_next(
		    &r->queue, 0, at + SYSLOG_COUNT_MAX,
		    REPOSITORY_MESSAGE_MAX - SYSLOG_COUNT_MAX, &n, &one);

		if (e != ERR_OK)
			return e;
		head = syslog_count(n, text);
		memcpy(at, text, head);
		memmove(at + head, at + SYSLOG_COUNT_MAX, n);
		*len += head + n;
		(*count)++;
		*seq = r->queue.next - 1;
	}
	return ERR_OK;
}

static bool send_batch(struct repository *r, size_t len, int64_t seq,
		       uint64_t count)
{
	struct iovec iov = {.iov_base = r->batch, .iov_len = len};
	struct mark *m;

	if (stream_write_records(r->stream, &iov, 1) != ERR_OK)
		return false; /* it is closing, and on_closed tells why */
	repository_count(r, count, len);
	if (r->n_marks == 0)
		r->acked_at_ms = repository_now(r);
	m = &r->marks[(r->mark + r->n_marks++) % REPOSITORY_MARKS];
	m->seq = seq;
	m->at = stream_bytes_out(r->stream) + stream_queued(r->stream);
	return true;
}

static bool has_room(const struct repository *r)
{
	return stream_queued(r->stream) < QUEUE_MAX &&
	       r->n_marks < REPOSITORY_MARKS;
}

static void fill(struct repository *r)
{
	uint64_t count;
	int64_t seq = 0;
	enum err e = ERR_OK;
	size_t len;

	for (int i = 0; i < BATCHES && e == ERR_OK && has_room(r); i++) {
		e = fill_batch(r, &len, &seq, &count);
		if (len > 0 && !send_batch(r, len, seq, count))
			break;
	}
	repository_queue_pause(&r->queue);
	if (r->config->identity != 0)
		mem_wipe(r->batch, REPOSITORY_BATCH);
	if (e == ERR_OK)
		stream_want_drain(r->stream);
	else if (e != ERR_AGAIN)
		stream_close(r->stream, e);
}

/* ---- the connection ---------------------------------------------------------
 */

static void on_open(void *arg)
{
	struct repository *r = arg;
	r->state = REPOSITORY_CONNECTED;
	r->opened_ms = repository_now(r);
	r->announced = false;
	r->acked = 0;
	r->acked_seq = r->arrived;
	r->acked_at_ms = r->opened_ms;
	r->mark = r->n_marks = r->n_trail = 0;
	repository_queue_seek(&r->queue,
			      r->arrived - (int64_t)r->config->replay.rows + 1);
	repository_queue_head_again(&r->queue);
	fill(r);
}

/* Repositories look at our certificate after the handshake, and hang up. */
static void announce(struct repository *r)
{
	struct tls_info info;
	char how[160] = "";

	if (r->announced || repository_now(r) - r->opened_ms < ANNOUNCE_MS)
		return;
	r->announced = true;
	if (stream_tls_info(r->stream, &info))
		(void)snprintf(how, sizeof(how), "version=%s suite=%s group=%s",
			       info.version, info.suite, info.group);
	repository_up(r, how);
}

/* Nothing is expected from there. */
static void on_read(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
}

static void on_drain(void *arg)
{
	struct repository *r = arg;

	if (look_at_acked(r))
		fill(r);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct repository *r = arg;
	bool stalled = why == ERR_TIMEOUT && r->state == REPOSITORY_CONNECTED;
	char text[REPOSITORY_WHY_LEN];

	r->stream = NULL;
	if (r->closing)
		return;
	if (r->queue.why[0] != '\0') {
		repository_unreadable(r);
		return;
	}
	if (stalled)
		(void)snprintf(text, sizeof(text),
			       "%s acknowledges nothing any more: its program "
			       "has stopped reading, or the line is cut; look "
			       "after it there",
			       r->endpoint);
	else if (r->state == REPOSITORY_CONNECTED && !r->announced)
		(void)snprintf(
		    text, sizeof(text),
		    "%.300s; it hung up as soon as the TLS handshake was "
		    "done: it may not permit this certificate (%.250s); "
		    "see its own log, and whom it permits",
		    detail, r->config->tls.certificate);
	else
		(void)snprintf(text, sizeof(text), "%s", detail);
	repository_down(r, text);
}

static const struct stream_events events = {.on_open = on_open,
					    .on_read = on_read,
					    .on_drain = on_drain,
					    .on_closed = on_closed};

static void dial(struct repository *r)
{
	const struct config_repository *c = r->config;
	struct stream_options o = {.tls = r->tls,
				   .server_name = c->tls.server_name[0] != '\0'
						      ? c->tls.server_name
						      : NULL,
				   .connect_ms = c->timeouts.connect,
				   .handshake_ms = c->timeouts.connect,
				   .out_cap = QUEUE_MAX + 2 * REPOSITORY_BATCH,
				   .low_water = QUEUE_MAX / 4};
	enum err e = stream_connect(r->all->worker, r->endpoint, &o, &events, r,
				    &r->stream);

	if (e == ERR_OK)
		r->state = REPOSITORY_CONNECTING;
	else
		repository_down(r, err_text(e));
}

void repository_tls_tick(struct repository *r)
{
	switch (r->state) {
	case REPOSITORY_WAITING:
		if (repository_now(r) >= r->retry_at_ms)
			dial(r);
		else
			repository_queue_look(&r->queue);
		return;
	case REPOSITORY_CONNECTING:
		return;
	case REPOSITORY_CONNECTED:
		announce(r);
		if (look_at_acked(r) && has_room(r))
			fill(r);
		return;
	}
}

enum err repository_tls_open(struct repository *r, char why[TLS_WHY_LEN])
{
	repository_endpoint(r->config, r->endpoint);
	return repository_tls_context(r->config, &r->tls, why);
}

void repository_tls_close(struct repository *r)
{
	if (r->stream != NULL)
		stream_close(r->stream, ERR_CANCELED);
}
