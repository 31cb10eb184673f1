#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* One turn of the writer:
 *
 *   take everything queued -> place, seal heads, pwritev -> again, until the
 *   queue is empty -> one fdatasync -> complete what waited for it
 *
 * so all that waits when a flush begins is in that flush. Chunks that are not
 * final wait for nobody: they are flushed with the next final record of any
 * instance, or when much of them or for long is unflushed. A turn ends with the
 * segment: one flush is always of one file.
 *
 * A write or flush that fails is not repeated on that file. Everything since
 * the last good flush fails with it, the segment is retired, and a new epoch
 * begins as after a restart: no flush mark will vouch for what may have reached
 * the disk after all. */

enum {
	RUN_RECORDS = 30, /* written by one pwritev */
	RUN_VECTORS = RUN_RECORDS * (RECORD_SLABS + 2),
	TURN_BYTES = 16 * 1024 * 1024,     /* written before a flush */
	UNFLUSHED_BYTES = 8 * 1024 * 1024, /* of chunks nobody waits for */
	UNFLUSHED_MS = 50,
};

_Static_assert(RUN_VECTORS <= IOV_MAX, "one pwritev takes a whole run");

struct run {
	struct record *records[RUN_RECORDS];
	unsigned n;
	struct iovec vectors[RUN_VECTORS];
	unsigned n_vectors;
	uint32_t bytes;
};

static const uint8_t zeros[RECORD_PAGE];

/* ---- completing -------------------------------------------------------- */

/* The end of a record: everything that is its own is given back. */
static void finish_record(struct spool *s, struct record *r, enum err e)
{
	struct spool_put *put = r->put;
	bool last = false;

	if (put != NULL && e != ERR_OK)
		put_fail(put, e);
	if (put != NULL && r->final)
		put->events.on_done(put->events.arg, e, &put->instance);
	pthread_mutex_lock(&s->lock);
	if (r->n_slabs > 0) { /* it was not written */
		record_give_slabs(s, r);
		if (put != NULL)
			put->inflight -= r->filled;
	}
	s->n_queue--;
	if (put != NULL && e == ERR_OK && r->final) {
		s->stored++;
		s->stored_bytes += put->instance.length;
	}
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

	while ((n = list_pop_front(&s->writer.written)) != NULL)
		finish_record(s, CONTAINER_OF(n, struct record, link), e);
}

/* ---- failing ------------------------------------------------------------ */

/* Puts whose newest record was not flushed have lost it. Under lock. */
static void fail_unflushed_puts(struct spool *s, enum err e)
{
	LIST_EACH(n, tmp, &s->puts)
	{
		struct spool_put *put = CONTAINER_OF(n, struct spool_put, link);

		if (put->last > s->durable)
			put_fail(put, e);
	}
}

static void note_failure(struct spool *s, const char *what, int number,
			 enum err e)
{
	uint32_t segment = s->writer.segment->number;

	log_event(LOG_ERROR, "spool-write-failed",
		  "call=%s segment=%08x error=\"%s\" the segment is retired, "
		  "nothing since the last flush was acknowledged",
		  what, segment, strerror(number));
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

static void fail_turn(struct spool *s, const char *what, int number)
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
	pthread_mutex_unlock(&s->lock);
	finish_written(s, e);
	if (s->on_durable != NULL)
		s->on_durable(s->on_durable_arg);
}

/* ---- flushing ----------------------------------------------------------- */

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
	s->failed_ns = 0;
	w->unflushed = 0;
	w->unflushed_ns = 0;
	pthread_cond_broadcast(&s->durable_cond);
	pthread_mutex_unlock(&s->lock);
}

static void flush(struct spool *s)
{
	struct writer *w = &s->writer;

	if (w->unflushed == 0)
		return;
	if (fdatasync(w->segment->fd) != 0) {
		fail_turn(s, "flush", errno);
		return;
	}
	note_durable(s);
	finish_written(s, ERR_OK);
	if (s->on_durable != NULL)
		s->on_durable(s->on_durable_arg);
}

static bool flush_due(const struct spool *s, uint64_t now_ns)
{
	const struct writer *w = &s->writer;

	return w->unflushed > 0 &&
	       (!list_empty(&w->written) || w->unflushed >= UNFLUSHED_BYTES ||
		now_ns - w->unflushed_ns >= UNFLUSHED_MS * 1000000ull);
}

/* ---- segments ----------------------------------------------------------- */

static enum err begin_segment(struct spool *s, const struct ready_segment *rd)
{
	struct writer *w = &s->writer;
	struct segment *g = mem_zalloc(sizeof(*g));
	enum err e = g != NULL ? ERR_OK : ERR_NOMEM;

	if (e == ERR_OK && w->life == NULL)
		e = seal_new(s->key, rd->salt, sizeof(rd->salt),
			     record_meta_info, &w->life);
	else if (e == ERR_OK)
		e = seal_rekey(w->life, s->key, rd->salt, sizeof(rd->salt),
			       record_meta_info);
	if (e != ERR_OK) {
		mem_free(g);
		return e;
	}
	g->number = rd->number;
	g->size = (uint32_t)s->segment_size;
	g->fd = rd->fd;
	g->refs = 1;
	g->current = true;
	g->end = RECORD_PAGE;
	g->epoch = w->epoch;
	g->previous = w->previous;
	pthread_mutex_lock(&s->lock);
	e = spool_segment_insert(s, g);
	if (e == ERR_OK)
		s->open_files++;
	w->reserved = s->n_segments > s->segments_max - s->reserve;
	pthread_mutex_unlock(&s->lock);
	if (e != ERR_OK) {
		mem_free(g);
		return e;
	}
	w->segment = g;
	w->offset = RECORD_PAGE;
	w->first = w->sequence;
	memcpy(w->salt, rd->salt, sizeof(w->salt));
	return ERR_OK;
}

/* Everything in the current one is flushed. */
static void end_segment(struct spool *s)
{
	struct writer *w = &s->writer;

	if (w->segment == NULL)
		return;
	assert(w->unflushed == 0);
	w->previous = w->segment->number;
	pthread_mutex_lock(&s->lock);
	w->segment->current = false;
	spool_segment_drop(s, w->segment);
	pthread_mutex_unlock(&s->lock);
	w->segment = NULL;
}

static enum err next_segment(struct spool *s, bool reserve)
{
	struct ready_segment rd;
	enum err e = spool_take_ready(s, reserve, &rd);

	if (e != ERR_OK)
		return e;
	end_segment(s);
	e = begin_segment(s, &rd);
	if (e != ERR_OK)
		(void)close(rd.fd); /* taken up again at the next start */
	return e;
}

/* The reserve is over when space was freed meanwhile. */
static bool may_use(struct spool *s, const struct record *r)
{
	struct writer *w = &s->writer;

	if (!w->reserved || r->reserve)
		return true;
	pthread_mutex_lock(&s->lock);
	w->reserved = s->n_segments > s->segments_max - s->reserve;
	pthread_mutex_unlock(&s->lock);
	return !w->reserved;
}

static bool fits(const struct spool *s, const struct record *r, uint32_t bytes)
{
	const struct writer *w = &s->writer;

	return w->segment != NULL && record_span(r->head.payload_len) <=
					 w->segment->size - w->offset - bytes;
}

/* ---- writing ------------------------------------------------------------ */

static enum err place_record(struct spool *s, struct run *run, struct record *r)
{
	struct writer *w = &s->writer;
	struct record_head *h = &r->head;

	memcpy(h->key_id, seal_key_id(s->key), sizeof(h->key_id));
	memcpy(h->salt, w->salt, sizeof(h->salt));
	h->segment = w->segment->number;
	h->offset = w->offset + run->bytes;
	h->previous = w->previous;
	h->epoch = w->epoch;
	h->sequence = w->sequence + run->n;
	h->flushed = s->durable;
	return record_page_seal(h, r->meta, w->life, r->page);
}

static void add_vector(struct run *run, const void *p, size_t n)
{
	if (n == 0)
		return;
	run->vectors[run->n_vectors].iov_base = (void *)(uintptr_t)p;
	run->vectors[run->n_vectors].iov_len = n;
	run->n_vectors++;
}

static void add_vectors(struct run *run, struct record *r)
{
	uint32_t span = record_span(r->head.payload_len);
	size_t left = r->filled;

	add_vector(run, r->page, RECORD_PAGE);
	for (unsigned i = 0; left > 0; i++) {
		size_t n = left < SLAB_LEN ? left : SLAB_LEN;

		add_vector(run, r->slabs[i]->bytes, n);
		left -= n;
	}
	add_vector(run, zeros, span - RECORD_PAGE - r->filled);
	run->records[run->n++] = r;
	run->bytes += span;
}

/* 0 or an errno. */
static int write_vectors(int fd, struct iovec *v, unsigned n, off_t at)
{
	while (n > 0) {
		ssize_t done = pwritev(fd, v, (int)n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : ENOSPC;
		at += done;
		while (n > 0 && (size_t)done >= v->iov_len) {
			done -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n > 0) {
			v->iov_base = (uint8_t *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

/* Buffers go back as soon as the kernel has the bytes. */
static void give_back(struct spool *s, struct run *run)
{
	struct writer *w = &s->writer;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < run->n; i++) {
		struct record *r = run->records[i];

		record_give_slabs(s, r);
		s->records++;
		if (r->put == NULL)
			continue;
		r->put->inflight -= r->filled;
		r->put->last = w->sequence + i;
	}
	pthread_mutex_unlock(&s->lock);
	w->offset += run->bytes;
	w->sequence += run->n;
	if (w->unflushed == 0)
		w->unflushed_ns = clock_mono_ns();
	w->unflushed += run->bytes;
}

static void write_run(struct spool *s, struct run *run)
{
	struct writer *w = &s->writer;
	bool waited = false;
	int number;

	for (unsigned i = 0; i < run->n; i++)
		waited = waited || run->records[i]->final;
	number = write_vectors(w->segment->fd, run->vectors, run->n_vectors,
			       (off_t)w->offset);
	if (number != 0) {
		for (unsigned i = 0; i < run->n; i++)
			list_push_back(&w->written, &run->records[i]->link);
		fail_turn(s, "write", number);
		return;
	}
	if (!waited) /* let the disk begin */
		(void)sync_file_range(w->segment->fd, (off_t)w->offset,
				      (off_t)run->bytes, SYNC_FILE_RANGE_WRITE);
	give_back(s, run);
	for (unsigned i = 0; i < run->n; i++) {
		if (run->records[i]->final)
			list_push_back(&w->written, &run->records[i]->link);
		else
			finish_record(s, run->records[i], ERR_OK);
	}
}

static struct record *first_pending(struct spool *s)
{
	struct list *n = s->writer.pending.next;

	return n == &s->writer.pending ? NULL
				       : CONTAINER_OF(n, struct record, link);
}

static void drop_pending(struct spool *s, struct record *r, enum err e)
{
	list_remove(&r->link);
	finish_record(s, r, e);
}

static enum err record_err(const struct record *r)
{
	return r->put != NULL ? (enum err)atomic_load(&r->put->err) : ERR_OK;
}

/* As many of the pending records as one write takes. */
static void gather(struct spool *s, struct run *run)
{
	struct record *r;

	memset(run, 0, offsetof(struct run, vectors));
	run->n_vectors = 0;
	run->bytes = 0;
	while (run->n < RUN_RECORDS && (r = first_pending(s)) != NULL) {
		enum err e = record_err(r);

		if (e == ERR_OK && !may_use(s, r))
			e = ERR_NOSPACE;
		if (e == ERR_OK && !fits(s, r, run->bytes))
			return;
		if (e == ERR_OK)
			e = place_record(s, run, r);
		if (e != ERR_OK) {
			drop_pending(s, r, e);
			continue;
		}
		list_remove(&r->link);
		add_vectors(run, r);
	}
}

/* Room for the first pending record, in a new segment if need be. A record
 * without room fails, and the next one is tried. */
static void make_room(struct spool *s)
{
	struct record *r = first_pending(s);
	enum err e;

	flush(s);
	e = next_segment(s, r->reserve);
	if (e != ERR_OK)
		drop_pending(s, r, e);
}

/* ---- the turn ----------------------------------------------------------- */

static void take_outcomes(struct spool *s)
{
	struct outcome batch[OUTCOME_BATCH];
	struct record *r;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = spool_outcomes_take(s, batch);
	if (n > 0)
		s->n_queue++;
	pthread_mutex_unlock(&s->lock);
	if (n == 0)
		return;
	if (spool_outcomes_record(s, batch, n, &r) == ERR_OK) {
		list_push_back(&s->writer.pending, &r->link);
		return;
	}
	log_event(LOG_ERROR, "outcomes-lost", "n=%zu", n);
	pthread_mutex_lock(&s->lock);
	s->n_queue--;
	pthread_mutex_unlock(&s->lock);
}

static void take_queue(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	list_splice_back(&s->writer.pending, &s->queue);
	pthread_mutex_unlock(&s->lock);
}

static void turn(struct spool *s)
{
	struct run run;

	/* outcomes first: RESTART must stand before all of this epoch's chunks,
	 * and ABANDONED is only queued when all of its chunks were written */
	take_outcomes(s);
	take_queue(s);
	while (first_pending(s) != NULL && s->writer.unflushed < TURN_BYTES) {
		gather(s, &run);
		if (run.n > 0)
			write_run(s, &run);
		else if (first_pending(s) != NULL)
			make_room(s);
		take_queue(s);
	}
	if (flush_due(s, clock_mono_ns()))
		flush(s);
}

/* ---- waking puts ----------------------------------------------------------
 */

/* With every buffer in half-filled records of slow peers, nothing would ever
 * come back: so the one who waits longest may take a few beyond the bound. */
static void grant(struct spool *s)
{
	struct spool_put *put;

	if (list_empty(&s->waiters) || !spool_pool_full(s) ||
	    s->slabs_used + GRANT_SLABS > s->slabs_hard)
		return;
	put = CONTAINER_OF(s->waiters.next, struct spool_put, waiting);
	put->grant = GRANT_SLABS;
}

static struct spool_put *wakeable(struct spool *s)
{
	LIST_EACH(n, tmp, &s->waiters)
	{
		struct spool_put *put =
		    CONTAINER_OF(n, struct spool_put, waiting);

		if (!put_full_now(put))
			return put;
	}
	return NULL;
}

static void wake_puts(struct spool *s)
{
	struct spool_put *put;

	pthread_mutex_lock(&s->callback_lock);
	pthread_mutex_lock(&s->lock);
	while ((put = wakeable(s)) != NULL) {
		struct spool_put_events events = put->events;

		list_remove(&put->waiting);
		pthread_mutex_unlock(&s->lock);
		if (events.on_writable != NULL)
			events.on_writable(events.arg);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->callback_lock);
}

/* ---- the thread ------------------------------------------------------------
 */

enum work { WORK_TURN, WORK_TICK, WORK_FLUSH, WORK_END };

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 || b < a ? b : a;
}

/* Monotonic time of the next thing to do by the clock; 0: none. */
static uint64_t next_time(struct spool *s)
{
	struct writer *w = &s->writer;
	uint64_t at = 0;

	if (s->outcomes.n > 0)
		at = s->outcomes.since_ns + s->outcome_ms * 1000000ull;
	if (w->unflushed > 0)
		at = earlier(at, w->unflushed_ns + UNFLUSHED_MS * 1000000ull);
	if (w->tick_ns != 0)
		at = earlier(at, w->tick_ns);
	return at;
}

/* Is it time to help a put that waits? */
static bool tick_due(struct spool *s, uint64_t now)
{
	struct writer *w = &s->writer;

	if (list_empty(&s->waiters))
		w->tick_ns = 0;
	else if (w->tick_ns == 0)
		w->tick_ns = now + TICK_MS * 1000000ull;
	return w->tick_ns != 0 && now >= w->tick_ns;
}

static void wait_until(struct spool *s, uint64_t at)
{
	struct timespec t = {.tv_sec = (time_t)(at / 1000000000u),
			     .tv_nsec = (long)(at % 1000000000u)};

	if (at == 0)
		(void)pthread_cond_wait(&s->work, &s->lock);
	else
		(void)pthread_cond_clockwait(&s->work, &s->lock,
					     CLOCK_MONOTONIC, &t);
}

static bool turn_due(const struct spool *s, uint64_t now)
{
	return !list_empty(&s->queue) || !list_empty(&s->writer.pending) ||
	       spool_outcomes_due(s, now) || flush_due(s, now);
}

static enum work wait_for_work(struct spool *s)
{
	enum work work;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		uint64_t now = clock_mono_ns();

		work = WORK_TURN;
		if (turn_due(s, now))
			break;
		work = s->writer.unflushed > 0 ? WORK_FLUSH : WORK_END;
		if (s->closing)
			break;
		work = WORK_TICK;
		if (tick_due(s, now)) {
			s->writer.tick_ns = 0;
			grant(s);
			break;
		}
		wait_until(s, next_time(s));
	}
	pthread_mutex_unlock(&s->lock);
	return work;
}

/* The last record of a clean end says that all before it was flushed. */
static void write_end_mark(struct spool *s)
{
	struct record *r;
	struct run run;

	if (s->writer.segment == NULL ||
	    spool_outcomes_record(s, NULL, 0, &r) != ERR_OK)
		return;
	pthread_mutex_lock(&s->lock);
	s->n_queue++;
	pthread_mutex_unlock(&s->lock);
	list_push_back(&s->writer.pending, &r->link);
	gather(s, &run);
	if (run.n > 0)
		write_run(s, &run);
	else if (first_pending(s) != NULL)
		drop_pending(s, first_pending(s), ERR_NOSPACE);
	flush(s);
}

void *spool_writer_main(void *arg)
{
	struct spool *s = arg;
	enum work work;

	while ((work = wait_for_work(s)) != WORK_END) {
		if (work == WORK_TURN)
			turn(s);
		else if (work == WORK_FLUSH)
			flush(s);
		wake_puts(s);
	}
	write_end_mark(s);
	end_segment(s);
	return NULL;
}
