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
	RUN_VECTORS = RUN_RECORDS * (RECORD_SLABS + 2),
	TURN_BYTES = 16 * 1024 * 1024, /* written before a flush */
};

_Static_assert(RUN_VECTORS <= IOV_MAX, "one pwritev takes a whole run");

struct run {
	struct record *records[RUN_RECORDS];
	unsigned n;
	struct iovec vectors[RUN_VECTORS];
	unsigned n_vectors;
	uint32_t bytes;
	size_t ahead; /* of the first record: payload that stands already */
};

static const uint8_t zeros[RECORD_PAGE];

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
	writer_early_taken(w);
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
	h->partial_from = atomic_load(&s->partial_from);
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

/* What was written ahead is left out; the head page then goes by itself. */
static void add_vectors(const struct writer *w, struct run *run,
			struct record *r)
{
	uint32_t span = record_span(r->head.payload_len);
	size_t ahead = run->n == 0 ? writer_early_bytes(w, r) : 0;
	size_t left = r->filled - ahead;

	run->ahead += ahead;
	if (ahead == 0)
		add_vector(run, r->page, RECORD_PAGE);
	for (size_t i = ahead / SLAB_LEN; left > 0; i++) {
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

static int write_all(const struct writer *w, struct run *run)
{
	struct iovec page = {run->records[0]->page, RECORD_PAGE};
	off_t at = (off_t)w->offset;
	int number = 0;

	if (run->ahead > 0) {
		number = write_vectors(w->segment->fd, &page, 1, at);
		at += RECORD_PAGE + (off_t)run->ahead;
	}
	if (number == 0)
		number = write_vectors(w->segment->fd, run->vectors,
				       run->n_vectors, at);
	return number;
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
	writer_early_taken(w);
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
	number = write_all(w, run);
	if (number != 0) {
		for (unsigned i = 0; i < run->n; i++)
			list_push_back(&w->written, &run->records[i]->link);
		writer_fail(s, "write", number);
		return;
	}
	if (!waited) /* let the disk begin */
		(void)sync_file_range(w->segment->fd, (off_t)w->offset,
				      (off_t)run->bytes, SYNC_FILE_RANGE_WRITE);
	give_back(s, run);
	for (unsigned i = 0; i < run->n; i++) {
		struct record *r = run->records[i];

		if (r->final || record_is_partial_chunk(r))
			list_push_back(&w->written, &r->link);
		else
			writer_finish(s, r, ERR_OK);
	}
	w->hurry = w->hurry || waited;
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
	writer_finish(s, r, e);
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
	run->ahead = 0;
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
		add_vectors(&s->writer, run, r);
	}
}

/* Room for the first pending record, in a new segment if need be. A record
 * without room fails, and the next one is tried. */
static void make_room(struct spool *s)
{
	struct record *r = first_pending(s);
	enum err e;

	writer_flush(s);
	e = next_segment(s, r->reserve);
	if (e != ERR_OK)
		drop_pending(s, r, e);
}

/* ---- the turn ----------------------------------------------------------- */

static size_t take_batch(struct spool *s)
{
	struct outcome batch[OUTCOME_BATCH];
	struct record *r;
	uint64_t last;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = spool_outcomes_take(s, batch);
	last = s->outcomes.taken;
	if (n > 0)
		s->n_queue++;
	pthread_mutex_unlock(&s->lock);
	if (n == 0)
		return 0;
	if (spool_outcomes_record(s, batch, n, &r) == ERR_OK) {
		r->outcomes = last;
		list_push_back(&s->writer.pending, &r->link);
		return n;
	}
	log_event(LOG_ERROR, "outcomes-lost", "n=%zu", n);
	pthread_mutex_lock(&s->lock);
	spool_outcomes_settle(s, last, ERR_NOMEM);
	s->n_queue--;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* The first time, all of them: what a start has to say stands before anything
 * of this epoch. */
static void take_outcomes(struct spool *s)
{
	bool all = !s->writer.begun;

	s->writer.begun = true;
	while (take_batch(s) > 0 && all)
		;
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
	if (writer_flush_due(s, clock_mono_ns()))
		writer_flush(s);
}

/* ---- the thread ------------------------------------------------------------
 */

enum work { WORK_TURN, WORK_EARLY, WORK_TICK, WORK_FLUSH, WORK_END };

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
	       spool_outcomes_due(s, now) || writer_flush_due(s, now);
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
		work = WORK_EARLY;
		if (spool_early_pending(s))
			break;
		work = s->writer.unflushed > 0 ? WORK_FLUSH : WORK_END;
		if (s->closing)
			break;
		work = WORK_TICK;
		if (tick_due(s, now)) {
			s->writer.tick_ns = 0;
			writer_grant(s);
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
	writer_flush(s);
}

void *spool_writer_main(void *arg)
{
	struct spool *s = arg;
	enum work work;

	(void)pthread_setname_np(pthread_self(), "culvert-writer");
	while ((work = wait_for_work(s)) != WORK_END) {
		if (work == WORK_TURN)
			turn(s);
		else if (work == WORK_FLUSH)
			writer_flush(s);
		else if (work == WORK_EARLY)
			writer_early(s);
		writer_wake_puts(s);
	}
	write_end_mark(s);
	end_segment(s);
	return NULL;
}
