/* Devices: objects one after the other, in pieces of any size, some fast, some
 * slow, some broken off. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/fault/integrity.h"

enum { FLYING_MAX = 24, PIECE_MAX = 90000 };

/* One object on its way; the writer's thread frees it. */
struct flight {
	struct integrity *w;
	uint32_t n;
	struct event *event; /* somebody waits; NULL: nobody */
};

/* How this object comes. */
struct manner {
	uint32_t piece;    /* at most */
	uint32_t pause_us; /* at most, between pieces */
	uint32_t pause_in; /* after one of so many */
	uint64_t stop_at;  /* broken off there */
};

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct flight *f = arg;
	struct integrity *w = f->w;

	if (e == ERR_OK)
		integrity_object_stored(w, f->n, stored);
	else if (e == ERR_NOSPACE)
		integrity_object_drop(w, f->n);
	else
		integrity_fail("object %u was not stored: %s", f->n,
			       err_text(e));
	if (e == ERR_NOSPACE)
		atomic_store(&w->stuck, true);
	if (f->event != NULL)
		event_set(f->event, e);
	mem_free(f);
	atomic_fetch_sub(&w->flying, 1);
}

static struct manner manner_of(struct integrity *w, struct dice *d, uint32_t n)
{
	static const uint32_t pieces[] = {1000,  16384, 16384,
					  32768, 65536, PIECE_MAX};
	struct manner m = {.piece = pieces[dice_below(d, ARRAY_LEN(pieces))],
			   .stop_at = UINT64_MAX,
			   .pause_in = 1 + dice_below(d, 40)};

	if (dice_one_in(d, w->alone ? 8 : 3))
		m.pause_us = 1 + dice_below(d, 1500);
	if (dice_one_in(d, w->alone ? 30 : 12))
		m.stop_at = dice_below(d, (uint32_t)integrity_length(w, n) + 1);
	return m;
}

/* Wait for room as a connection does that stops reading. */
static enum err give(struct integrity *w, struct spool_put *put, uint8_t *p,
		     size_t n, struct dice *d)
{
	enum err e = spool_put_data(put, p, n);

	while (e == ERR_OK && spool_put_full(put)) {
		if (atomic_load(&w->stop))
			return ERR_CANCELED;
		dice_pause(d, 300);
	}
	return e;
}

static enum err give_all(struct integrity *w, struct spool_put *put, uint32_t n,
			 const struct manner *m, struct dice *d)
{
	uint64_t length = integrity_length(w, n), at = 0;
	uint8_t *piece = mem_zalloc(PIECE_MAX + 8);
	enum err e = piece != NULL ? ERR_OK : ERR_NOMEM;

	while (e == ERR_OK && at < length) {
		uint32_t len = 1 + dice_below(d, m->piece);
		uint32_t skip = (uint32_t)(at % 8);

		if (len > length - at)
			len = (uint32_t)(length - at);
		if (at + len > m->stop_at) {
			e = ERR_CANCELED;
			break;
		}
		integrity_fill(n, at - skip, piece, len + skip);
		e = give(w, put, piece + skip, len, d);
		at += len;
		if (dice_one_in(d, m->pause_in))
			dice_pause(d, m->pause_us);
	}
	mem_free(piece);
	return e;
}

/* The flight is on_done's from here on, or never was. */
static void end_put(struct integrity *w, struct flight *f,
		    struct spool_put *put, struct dice *d, enum err e)
{
	struct instance in;
	struct event event;
	bool wait = w->alone || dice_one_in(d, 3);
	uint32_t n = f->n;

	integrity_describe(n, &in);
	if (e != ERR_OK) {
		spool_put_abort(put);
	} else {
		if (wait) {
			event_init(&event);
			f->event = &event;
		}
		atomic_fetch_add(&w->flying, 1);
		e = spool_put_finish(put, &in);
		if (e == ERR_OK && wait)
			(void)event_wait(&event);
		if (e == ERR_OK)
			return;
		atomic_fetch_sub(&w->flying, 1);
	}
	mem_free(f);
	integrity_object_drop(w, n);
	atomic_fetch_add(&w->aborted, 1);
	if (e == ERR_NOSPACE)
		atomic_store(&w->stuck, true);
	else if (e != ERR_CANCELED)
		integrity_need(e, "putting", n);
}

static void put_one(struct integrity *w, uint32_t n, struct dice *d)
{
	struct flight *f = mem_zalloc(sizeof(*f));
	struct spool_put_events events = {.on_done = on_done, .arg = f};
	struct manner m = manner_of(w, d, n);
	struct instance in;
	struct spool_put *put;
	enum err e;

	if (f == NULL)
		integrity_fail("out of memory");
	f->w = w;
	f->n = n;
	integrity_describe(n, &in);
	e = spool_put_begin(w->spool, &in, &events, &put);
	if (e == ERR_NOSPACE) {
		atomic_store(&w->stuck, true);
		atomic_fetch_add(&w->full, 1);
		integrity_object_drop(w, n);
		mem_free(f);
		dice_pause(d, 20000);
		return;
	}
	integrity_need(e, "beginning", n);
	e = give_all(w, put, n, &m, d);
	end_put(w, f, put, d, e);
}

void *integrity_put_many(void *arg)
{
	struct integrity *w = arg;
	struct dice d = dice_new(w, atomic_fetch_add(&w->put_threads, 1));

	while (!atomic_load(&w->stop)) {
		uint32_t n = integrity_object_new(w);

		if (n == 0)
			break;
		if (w->alone && integrity_length(w, n) < CHUNK_LEN &&
		    !dice_one_in(&d, 4)) {
			integrity_object_drop(w, n);
			continue;
		}
		put_one(w, n, &d);
		while (atomic_load(&w->flying) > FLYING_MAX)
			dice_pause(&d, 500);
		if (dice_one_in(&d, w->alone ? 40 : 10))
			dice_pause(&d, 10000);
	}
	while (atomic_load(&w->flying) > 0)
		dice_pause(&d, 500);
	return NULL;
}
