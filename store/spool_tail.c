#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* A tail stands at one place of one segment, which it holds, so that it is not
 * recycled underneath. A segment of this start ("live") ends where the writer
 * says, and all before that is flushed. An old one is walked first, to find its
 * end and its flush mark:
 *
 *   flushed   sequence <= highest mark in the segment, or the next segment was
 *             begun in the same epoch (the writer flushes before it moves on)
 *   else      the record counts only if its payload opens */

enum { IO_RETRIES = 5 };

struct spool_tail {
	struct spool *spool;
	uint64_t after;  /* everything up to here was returned or passed over */
	uint64_t looked; /* durable sequence at the last look */
	bool verify;
	struct segment *segment; /* held, or NULL */
	uint32_t number;         /* of the segment last entered; 0: none */
	struct segment_place at;
	uint32_t offset;
	unsigned io_errors; /* in a row, at this offset */
	/* Of an old segment: */
	struct segment_extent extent;
	bool chained;       /* the next one is its successor */
	uint64_t limit;     /* its first sequence */
	uint64_t seen;      /* last sequence found in this segment */
	uint64_t live_last; /* of a live one: its last durable sequence */

	struct seal *life;
	uint8_t salt[RECORD_SALT];
	struct seal *seal; /* for payloads */
	uint8_t *payload;  /* CHUNK_LEN bytes, when first needed */
	struct outcome *outcomes;
	uint8_t page[RECORD_PAGE];
	struct tail_counts counts;
};

static enum err tail_new(struct spool *s, uint64_t after, bool verify,
			 struct spool_tail **out)
{
	struct spool_tail *t = mem_zalloc(sizeof(*t));
	enum err e;

	if (t == NULL)
		return ERR_NOMEM;
	t->spool = s;
	t->after = after;
	t->verify = verify;
	t->outcomes = mem_zarray(SPOOL_TAIL_OUTCOMES, sizeof(*t->outcomes));
	e = t->outcomes != NULL ? ERR_OK : ERR_NOMEM;
	if (e == ERR_OK)
		e = seal_new(s->key, t->salt, sizeof(t->salt), record_meta_info,
			     &t->life);
	if (e == ERR_OK)
		e = seal_new(s->key, "", 0, record_payload_info, &t->seal);
	if (e != ERR_OK) {
		spool_tail_close(t);
		return e;
	}
	*out = t;
	return ERR_OK;
}

enum err spool_tail_open(struct spool *s, uint64_t after,
			 struct spool_tail **out)
{
	return tail_new(s, after, false, out);
}

enum err spool_tail_open_verify(struct spool *s, struct spool_tail **out)
{
	return tail_new(s, 0, true, out);
}

struct tail_counts spool_tail_counts(const struct spool_tail *t)
{
	return t->counts;
}

static void leave_segment(struct spool_tail *t)
{
	struct spool *s = t->spool;

	if (t->segment == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	spool_segment_drop(s, t->segment);
	pthread_mutex_unlock(&s->lock);
	t->segment = NULL;
}

void spool_tail_close(struct spool_tail *t)
{
	if (t == NULL)
		return;
	leave_segment(t);
	seal_free(t->life);
	seal_free(t->seal);
	mem_free(t->payload);
	mem_free(t->outcomes);
	mem_free(t);
}

/* ---- entering a segment
 * ------------------------------------------------------ */

/* The newest segment that begins no later than what comes after. */
static struct segment *start_segment(struct spool *s, uint64_t after)
{
	for (size_t i = s->n_segments; i > 0; i--) {
		struct segment *g = s->segments[i - 1];

		if (g->first != 0 && g->first <= after + 1)
			return g;
	}
	return s->n_segments > 0 ? s->segments[0] : NULL;
}

static void note_successor(struct spool_tail *t)
{
	struct segment *next = spool_segment_after(t->spool, t->number);

	t->chained = next != NULL && next->first != 0 &&
		     next->previous == t->number &&
		     next->epoch == t->segment->epoch;
	t->limit =
	    t->chained && next->first_is_whole ? next->first : UINT64_MAX;
}

static enum err enter_segment(struct spool_tail *t)
{
	struct spool *s = t->spool;
	struct segment *g;
	enum err e = ERR_AGAIN;

	pthread_mutex_lock(&s->lock);
	g = t->number == 0 ? start_segment(s, t->after)
			   : spool_segment_after(s, t->number);
	if (g != NULL)
		e = spool_segment_hold(s, g);
	if (e == ERR_OK) {
		t->segment = g;
		t->number = g->number;
		t->at = spool_segment_place(s, g);
		note_successor(t);
	}
	pthread_mutex_unlock(&s->lock);
	if (e != ERR_OK)
		return e;
	t->offset = RECORD_PAGE;
	t->seen = 0;
	t->io_errors = 0;
	if (!g->old)
		return ERR_OK;
	segment_walk(g->fd, &t->at, g->size, &t->extent);
	t->counts.repaired += t->extent.repaired;
	pthread_mutex_lock(&s->lock);
	g->last = t->extent.last;
	pthread_mutex_unlock(&s->lock);
	return ERR_OK;
}

/* Where to stop for now; *last: nothing will come behind it. */
static uint32_t segment_end(struct spool_tail *t, bool *last)
{
	struct spool *s = t->spool;
	uint32_t end;

	if (t->segment->old) {
		*last = true;
		return t->extent.end;
	}
	pthread_mutex_lock(&s->lock);
	end = t->segment->end;
	t->live_last = t->segment->last;
	*last = !t->segment->current;
	pthread_mutex_unlock(&s->lock);
	return end;
}

static bool surely_flushed(const struct spool_tail *t, uint64_t sequence)
{
	return !t->segment->old || t->chained || sequence <= t->extent.flushed;
}

/* ---- damage
 * ------------------------------------------------------------------- */

static void clear(struct spool_tail *t, struct tail_record *out)
{
	memset(out, 0, sizeof(*out));
	out->place.segment = t->number;
	out->place.offset = t->offset;
}

/* A stretch without a readable head; n records are missing, if that is known.
 */
static void gap(struct spool_tail *t, struct tail_record *out, uint32_t bytes,
		uint64_t before)
{
	struct tail_damage *d = &out->damage;

	clear(t, out);
	out->kind = TAIL_DAMAGE;
	out->sequence = before - 1;
	d->bytes = bytes;
	if (t->seen != 0)
		d->certain = surely_flushed(t, t->seen + 1);
	else
		d->certain = surely_flushed(t, before - 1);
	(void)snprintf(d->text, sizeof(d->text),
		       "no readable record in %u bytes from offset %u of "
		       "segment %08x%s",
		       bytes, t->offset, t->number,
		       d->certain ? "" : " (perhaps never finished)");
}

static void name_damage(struct spool_tail *t, struct tail_record *out,
			const struct record_head *h, const char *what)
{
	struct tail_damage *d = &out->damage;

	out->kind = TAIL_DAMAGE;
	d->named = h->kind == RECORD_CHUNK;
	d->certain = surely_flushed(t, h->sequence);
	d->bytes = record_span(h->payload_len);
	(void)snprintf(
	    d->text, sizeof(d->text), "%s of %s at offset %u of segment %08x%s",
	    what, d->named ? "a chunk" : "a batch of outcomes", h->offset,
	    t->number, d->certain ? "" : " (perhaps never finished)");
}

/* ---- one record
 * ---------------------------------------------------------------- */

static enum err use_life(struct spool_tail *t, const uint8_t salt[RECORD_SALT])
{
	enum err e = ERR_OK;

	if (memcmp(t->salt, salt, sizeof(t->salt)) != 0)
		e = seal_rekey(t->life, t->spool->key, salt, sizeof(t->salt),
			       record_meta_info);
	if (e == ERR_OK)
		memcpy(t->salt, salt, sizeof(t->salt));
	return e;
}

/* The metadata, from whichever copy opens. */
static enum err open_meta(struct spool_tail *t, const struct record_head *h,
			  size_t copy, uint8_t meta[INSTANCE_ENCODED_MAX])
{
	struct record_head other;
	enum err e = use_life(t, h->salt);

	if (e != ERR_OK)
		return e;
	e = record_page_meta(t->page, copy, h, t->life, meta);
	if (e != ERR_CORRUPT || copy != 0)
		return e;
	if (record_head_decode(t->page + RECORD_COPY, &other) != ERR_OK ||
	    memcmp(t->page, t->page + RECORD_COPY, RECORD_CLEAR) != 0)
		return e;
	e = record_page_meta(t->page, RECORD_COPY, h, t->life, meta);
	t->counts.repaired += e == ERR_OK;
	return e;
}

static enum err read_payload(struct spool_tail *t, const struct record_head *h)
{
	size_t n = h->payload_len, done = 0;

	if (t->payload == NULL)
		t->payload = mem_zalloc(CHUNK_LEN);
	if (t->payload == NULL)
		return ERR_NOMEM;
	while (done < n) {
		ssize_t got =
		    pread(t->segment->fd, t->payload + done, n - done,
			  (off_t)h->offset + RECORD_PAGE + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ERR_CORRUPT;
		done += (size_t)got;
	}
	return record_payload_open(h, t->spool->key, t->seal, t->payload,
				   t->payload);
}

static enum err open_outcomes(struct spool_tail *t, struct tail_record *out,
			      const struct record_head *h)
{
	enum err e = read_payload(t, h);

	if (e == ERR_OK)
		e = record_outcomes_decode(t->payload, h->payload_len,
					   t->outcomes, SPOOL_TAIL_OUTCOMES,
					   &out->n_outcomes);
	out->kind = TAIL_OUTCOMES;
	out->outcomes = t->outcomes;
	return e == ERR_LIMIT ? ERR_CORRUPT : e;
}

static enum err open_chunk(struct spool_tail *t, struct tail_record *out,
			   const struct record_head *h, size_t copy)
{
	uint8_t meta[INSTANCE_ENCODED_MAX];
	enum err e = open_meta(t, h, copy, meta);

	out->kind = TAIL_CHUNK;
	out->id = h->id;
	out->index = h->index;
	out->length = h->payload_len;
	memcpy(out->leaf, h->leaf, sizeof(out->leaf));
	out->first = (h->flags & RECORD_FIRST) != 0;
	out->final = (h->flags & RECORD_FINAL) != 0;
	out->moved = (h->flags & RECORD_MOVED) != 0;
	out->partial = (h->flags & RECORD_PARTIAL) != 0;
	if (e == ERR_OK && h->meta_len > 0) {
		e = instance_decode(meta, h->meta_len, &out->instance);
		out->has_instance = e == ERR_OK;
	}
	mem_wipe(meta, sizeof(meta));
	return e;
}

static enum err open_record(struct spool_tail *t, struct tail_record *out,
			    const struct record_head *h, size_t copy)
{
	const char *what = "the metadata";
	uint8_t none[INSTANCE_ENCODED_MAX];
	enum err e;

	if (h->kind == RECORD_OUTCOMES) {
		what = "the seal";
		e = open_meta(t, h, copy, none);
		if (e == ERR_OK)
			e = open_outcomes(t, out, h);
	} else {
		e = open_chunk(t, out, h, copy);
		if (e == ERR_OK && (t->verify || !out->flushed)) {
			what = "the seal";
			e = read_payload(t, h);
		}
	}
	if (e != ERR_CORRUPT)
		return e;
	name_damage(t, out, h, what);
	return ERR_OK;
}

/* A write that a power cut stopped, with nothing behind it, is no damage. */
static bool torn_end(const struct spool_tail *t, const struct tail_record *out)
{
	return out->kind == TAIL_DAMAGE && !out->damage.certain &&
	       out->sequence >= t->extent.last;
}

/* ERR_OK: *out is to be returned. ERR_AGAIN: it is passed over. */
static enum err take_record(struct spool_tail *t, struct tail_record *out,
			    const struct record_head *h, size_t copy)
{
	uint32_t next = t->offset + record_span(h->payload_len);
	enum err e = ERR_AGAIN;

	clear(t, out);
	out->sequence = h->sequence;
	out->flushed = surely_flushed(t, h->sequence);
	if (h->sequence > t->after) {
		e = open_record(t, out, h, copy);
		if (e != ERR_OK)
			return e == ERR_AGAIN ? ERR_IO : e;
		if (torn_end(t, out)) {
			t->counts.torn++;
			e = ERR_AGAIN;
		}
		t->after = h->sequence;
	}
	t->seen = h->sequence;
	t->offset = next;
	return e;
}

/* No head here: on to the next one. */
static enum err pass_gap(struct spool_tail *t, struct tail_record *out,
			 uint32_t end)
{
	uint32_t next = segment_resync(t->segment->fd, &t->at,
				       t->offset + RECORD_PAGE, end);
	uint64_t before = t->live_last + 1;
	struct record_head h;
	size_t copy;

	if (next < end && segment_read_head(t->segment->fd, &t->at, next,
					    t->page, &h, &copy) == ERR_OK)
		before = h.sequence;
	gap(t, out, next - t->offset, before);
	t->offset = next;
	t->io_errors = 0;
	if (out->sequence <= t->after)
		return ERR_AGAIN;
	t->after = out->sequence;
	return ERR_OK;
}

/* The successor's first sequence tells that records are missing at the end. */
static enum err check_end(struct spool_tail *t, struct tail_record *out)
{
	bool missing = t->segment->old && t->limit != UINT64_MAX &&
		       t->seen + 1 < t->limit && t->limit - 1 > t->after;

	if (missing) {
		t->offset = t->extent.end;
		gap(t, out, t->at.size - t->extent.end, t->limit);
		t->after = out->sequence;
	}
	leave_segment(t);
	return missing ? ERR_OK : ERR_AGAIN;
}

static enum err next_here(struct spool_tail *t, struct tail_record *out,
			  uint32_t end)
{
	struct record_head h;
	size_t copy;
	enum err e = segment_read_head(t->segment->fd, &t->at, t->offset,
				       t->page, &h, &copy);

	if (e == ERR_IO && ++t->io_errors < IO_RETRIES)
		return ERR_IO;
	if (e != ERR_OK)
		return pass_gap(t, out, end);
	t->io_errors = 0;
	return take_record(t, out, &h, copy);
}

/* ERR_AGAIN: nothing durable is left for now. */
static enum err step(struct spool_tail *t, struct tail_record *out)
{
	enum err e = ERR_AGAIN;

	while (e == ERR_AGAIN) {
		bool last;
		uint32_t end;

		if (t->segment == NULL) {
			enum err entered = enter_segment(t);

			if (entered != ERR_OK)
				return entered;
		}
		end = segment_end(t, &last);
		if (t->offset < end)
			e = next_here(t, out, end);
		else if (last)
			e = check_end(t, out);
		else
			return ERR_AGAIN;
	}
	return e;
}

/* Wait until more is durable than at the last look. ERR_CANCELED: closing. */
static enum err wait_durable(struct spool_tail *t, const struct timespec *until)
{
	struct spool *s = t->spool;
	enum err e = ERR_OK;

	pthread_mutex_lock(&s->lock);
	while (e == ERR_OK && s->durable == t->looked)
		if (s->closing)
			e = ERR_CANCELED;
		else if (pthread_cond_clockwait(&s->durable_cond, &s->lock,
						CLOCK_MONOTONIC, until) != 0)
			e = ERR_AGAIN;
	pthread_mutex_unlock(&s->lock);
	return e;
}

static enum err look(struct spool_tail *t, struct tail_record *out)
{
	uint64_t durable = spool_durable(t->spool);
	enum err e = step(t, out);

	t->looked = durable;
	if (e == ERR_AGAIN && t->after < durable)
		t->after = durable;
	return e;
}

enum err spool_tail_next(struct spool_tail *t, struct tail_record *out,
			 unsigned wait_ms)
{
	uint64_t until = clock_mono_ns() + wait_ms * 1000000ull;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000000u),
			      .tv_nsec = (long)(until % 1000000000u)};
	enum err e = look(t, out);

	while (e == ERR_AGAIN && wait_ms > 0) {
		e = wait_durable(t, &ts);
		if (e != ERR_OK)
			break;
		e = look(t, out);
	}
	return e;
}

uint64_t spool_tail_position(const struct spool_tail *t)
{
	return t->after;
}
