#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

enum {
	UNFLUSHED_BYTES = 8 * 1024 * 1024, /* of chunks nobody waits for */
};

/* ---- completing -------------------------------------------------------- */

/* The end of a record: everything that is its own is given back. */
void writer_finish(struct spool *s, struct record *r, enum err e)
{
	struct spool_put *put = r->put;
	bool last = false;

	if (record_is_partial_chunk(r))
		spool_partial_settle_one(s, r, e);
	else if (put != NULL && e != ERR_OK)
		put_fail(put, e);
	if (put != NULL && put->partial != NULL && r->final)
		spool_partial_done(s, put, e);
	if (put != NULL && r->final)
		put->events.on_done(put->events.arg, e, &put->instance);
	pthread_mutex_lock(&s->lock);
	if (r->n_slabs > 0) { /* it was not written */
		record_give_slabs(s, r);
		if (put != NULL)
			put->inflight -= r->filled;
	}
	s->n_queue--;
	if (r->outcomes > 0)
		spool_outcomes_settle(s, r->outcomes, e);
	if (put != NULL)
		last = put_unref(put);
	pthread_mutex_unlock(&s->lock);
	record_free(r);
	if (last)
		put_free(put);
}

static void finish_written(struct spool *s, enum err e)
{
	struct list *n;

	spool_partial_settle(s, &s->writer.written, e);
	while ((n = list_pop_front(&s->writer.written)) != NULL)
		writer_finish(s, CONTAINER_OF(n, struct record, link), e);
}

/* ---- failing ------------------------------------------------------------ */

/* Puts whose newest record was not flushed have lost it; a partial transfer
 * only lacks these chunks. Under lock. */
static void fail_unflushed_puts(struct spool *s, enum err e)
{
	LIST_EACH(n, tmp, &s->puts)
	{
		struct spool_put *put = CONTAINER_OF(n, struct spool_put, link);

		if (put->partial == NULL && put->last > s->durable)
			put_fail(put, e);
	}
}

static void note_failure(struct spool *s, const char *what, int number,
			 enum err e)
{
	uint32_t segment = s->writer.segment->number;

	log_event(LOG_ERROR, "spool-write-failed",
		  "call=%s segment=%08x detail=\"%s\"", what, segment,
		  strerror(number));
	(void)snprintf(s->failed_text, sizeof(s->failed_text),
		       "%s of spool segment %08x failed: %s; look after the "
		       "disk under %.100s",
		       what, segment, strerror(number), s->path);
	s->failed_ns = clock_mono_ns();
	s->failed_err = e;
	s->retired++;
}

static void retire_segment(struct spool *s)
{
	struct segment *g = s->writer.segment;

	g->current = false;
	g->retired = true;
	spool_segment_drop(s, g);
	if (g->first == 0 && g->refs == 0 &&
	    spool_segment_unlink(s, g) != ERR_OK)
		log_event(LOG_WARN, "segment-remove-failed", "segment=%08x",
			  s->writer.segment->number);
	s->writer.segment = NULL;
}

void writer_fail(struct spool *s, const char *what, int number)
{
	enum err e = segment_errno(number);

	pthread_mutex_lock(&s->lock);
	note_failure(s, what, number, e);
	fail_unflushed_puts(s, e);
	retire_segment(s);
	s->writer.epoch = ++s->epoch;
	s->writer.previous = 0;
	s->writer.sequence += RUN_RECORDS; /* given out, perhaps on the disk */
	s->writer.unflushed = 0;
	s->writer.unflushed_ns = 0;
	s->writer.hurry = false;
	pthread_mutex_unlock(&s->lock);
	finish_written(s, e);
	if (s->on_durable != NULL)
		s->on_durable(s->on_durable_arg);
}

/* ---- flushing ----------------------------------------------------------- */

/* Before on_done(), so that whoever was called finds itself counted. */
static void count_stored(struct spool *s)
{
	LIST_EACH(n, tmp, &s->writer.written)
	{
		const struct record *r = CONTAINER_OF(n, struct record, link);

		if (r->put == NULL || !r->final)
			continue;
		s->stored++;
		s->stored_bytes += r->put->instance.length;
	}
}

static void note_durable(struct spool *s)
{
	struct writer *w = &s->writer;
	struct segment *g = w->segment;

	pthread_mutex_lock(&s->lock);
	if (g->first == 0)
		g->first = w->first;
	g->first_is_whole = true;
	s->durable = w->sequence - 1;
	g->last = s->durable;
	g->end = w->offset;
	s->flushes++;
	atomic_fetch_add(&s->pace.work, 1);
	count_stored(s);
	s->failed_ns = 0;
	w->unflushed = 0;
	w->unflushed_ns = 0;
	w->hurry = false;
	pthread_cond_broadcast(&s->durable_cond);
	pthread_mutex_unlock(&s->lock);
}

void writer_flush(struct spool *s)
{
	struct writer *w = &s->writer;

	if (w->unflushed == 0)
		return;
	if (fdatasync(w->segment->fd) != 0) {
		writer_fail(s, "flush", errno);
		return;
	}
	note_durable(s);
	finish_written(s, ERR_OK);
	if (s->on_durable != NULL)
		s->on_durable(s->on_durable_arg);
}

bool writer_flush_due(const struct spool *s, uint64_t now_ns)
{
	const struct writer *w = &s->writer;

	return w->unflushed > 0 &&
	       (w->hurry || w->unflushed >= UNFLUSHED_BYTES ||
		now_ns - w->unflushed_ns >= UNFLUSHED_MS * 1000000ull);
}
