#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* With a single put open, the disk would be idle while its chunk comes in and
 * is hashed. So the writer writes sealed slabs ahead, to where the record will
 * stand if nothing else comes first, and lets the disk begin with them.
 *
 * Nothing depends on it: without a head there is no record. If another one
 * takes the place, or is itself written ahead there, what was written ahead is
 * overwritten and written again: the mark says whose bytes stand there. An
 * error here is not looked at; the flush reports it. */

void spool_early_offer(struct spool *s, struct record *r)
{
	if (s->n_puts != 1)
		return;
	r->early_ready = r->n_slabs;
	s->early = r;
	if (spool_early_pending(s))
		pthread_cond_signal(&s->work);
}

bool spool_early_pending(const struct spool *s)
{
	return s->early != NULL &&
	       s->early->early_ready >= s->early->early_slabs + EARLY_SLABS;
}

bool spool_early_drop(struct spool *s, struct record *r, bool given_up)
{
	if (s->early == r)
		s->early = NULL;
	if (!r->early_busy)
		return true;
	r->early_dropped = given_up;
	return false;
}

/* The record to be written ahead, and how many of its slabs; marked busy. */
static struct record *take(struct spool *s, unsigned *ready)
{
	struct record *r = NULL;

	pthread_mutex_lock(&s->lock);
	if (spool_early_pending(s)) {
		r = s->early;
		r->early_busy = true;
		*ready = r->early_ready;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void give_back(struct spool *s, struct record *r, unsigned written)
{
	bool dropped;

	pthread_mutex_lock(&s->lock);
	r->early_busy = false;
	r->early_slabs = written;
	dropped = r->early_dropped;
	if (dropped)
		record_give_slabs(s, r);
	pthread_mutex_unlock(&s->lock);
	if (dropped)
		record_free(r);
}

/* Slabs from..to, at the place where the record would begin now. */
static bool write_ahead(const struct writer *w, const struct record *r,
			unsigned from, unsigned to)
{
	struct iovec v[RECORD_SLABS];
	unsigned n = 0;
	off_t at = (off_t)w->offset + RECORD_PAGE + (off_t)from * SLAB_LEN;
	ssize_t want = (ssize_t)(to - from) * SLAB_LEN;

	for (unsigned i = from; i < to; i++, n++) {
		v[n].iov_base = r->slabs[i]->bytes;
		v[n].iov_len = SLAB_LEN;
	}
	if (pwritev(w->segment->fd, v, (int)n, at) != want)
		return false;
	(void)sync_file_range(w->segment->fd, at, want, SYNC_FILE_RANGE_WRITE);
	return true;
}

static bool room_for_any(const struct writer *w)
{
	return w->segment != NULL && w->unflushed == 0 && !w->reserved &&
	       w->segment->size - w->offset >= record_span(RECORD_PAYLOAD_MAX);
}

void writer_early(struct spool *s)
{
	struct writer *w = &s->writer;
	unsigned ready = 0, from;
	struct record *r = take(s, &ready);

	if (r == NULL)
		return;
	if (!room_for_any(w)) {
		r->early_mark = 0; /* passed over: nothing is ahead */
	} else {
		from = r->early_slabs;
		if (r->early_mark != w->early_mark) {
			from = 0;
			r->early_mark = ++w->early_mark;
		}
		if (!write_ahead(w, r, from, ready))
			r->early_mark = 0;
	}
	give_back(s, r, ready);
}

void writer_early_taken(struct writer *w)
{
	w->early_mark++;
}

size_t writer_early_bytes(const struct writer *w, const struct record *r)
{
	if (r->early_mark == 0 || r->early_mark != w->early_mark)
		return 0;
	return (size_t)r->early_slabs * SLAB_LEN;
}
