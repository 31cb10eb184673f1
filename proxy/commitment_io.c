/* commitment_io.c - what the engine waits for: see commitment_int.h. */
#include <string.h>
#include <time.h>

#include "proxy/commitment_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/spool.h"

enum {
	PIECE = 256 * 1024, /* bytes put at one go */
	LOOK_MS = 50,       /* between looks whether the engine stops */
	STOP_LOOKS = 40,    /* then, for the disk */
	N_PLACES = 16,      /* COMMIT_DATA_MAX / CHUNK_LEN */
};

_Static_assert((size_t)N_PLACES *CHUNK_LEN >= COMMIT_DATA_MAX,
	       "a data set's chunks have room");

/* ---- waiting ------------------------------------------------------------ */

/* Shared by the engine and one callback; the last of them frees it. */
struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool done, left;
	enum err e;
};

void io_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &a);
	pthread_condattr_destroy(&a);
}

static struct waiter *waiter_new(void)
{
	struct waiter *w = mem_zalloc(sizeof(*w));

	if (w == NULL)
		return NULL;
	pthread_mutex_init(&w->mutex, NULL);
	io_cond_init(&w->cond);
	return w;
}

static void waiter_free(struct waiter *w)
{
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->mutex);
	mem_free(w);
}

static void waiter_done(struct waiter *w, enum err e)
{
	bool left;

	pthread_mutex_lock(&w->mutex);
	w->e = e;
	w->done = true;
	left = w->left;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
	if (left)
		waiter_free(w);
}

static void nap_on(struct waiter *w)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += LOOK_MS * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	pthread_cond_timedwait(&w->cond, &w->mutex, &t);
}

/* Until it is done, or the engine has been stopping for looks looks: then it
 * may still come to pass. */
static enum err waiter_wait(struct waiter *w, struct commitment *c, int looks)
{
	bool done;
	enum err e;

	pthread_mutex_lock(&w->mutex);
	while (!w->done && (!atomic_load(&c->stopping) || looks-- > 0))
		nap_on(w);
	done = w->done;
	w->left = !done;
	e = done ? w->e : ERR_CANCELED;
	pthread_mutex_unlock(&w->mutex);
	if (done)
		waiter_free(w);
	return e;
}

static void on_barrier(void *arg, enum err e)
{
	waiter_done(arg, e);
}

enum err io_barrier(struct commitment *c)
{
	struct waiter *w = waiter_new();
	enum err e;

	if (w == NULL)
		return ERR_NOMEM;
	e = ledger_barrier(c->ledger, on_barrier, w);
	if (e != ERR_OK) {
		waiter_free(w);
		return e;
	}
	return waiter_wait(w, c, 0);
}

/* ---- putting ------------------------------------------------------------ */

static void on_stored(void *arg, enum err e, const struct instance *stored)
{
	(void)stored;
	waiter_done(arg, e);
}

static void nap(void)
{
	struct timespec t = {.tv_nsec = 1000000};

	(void)nanosleep(&t, NULL);
}

static enum err put_data(struct commitment *c, struct spool_put *put,
			 const uint8_t *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t piece = n - at < PIECE ? n - at : PIECE;
		enum err e = spool_put_data(put, data + at, piece);

		if (e != ERR_OK)
			return e;
		at += piece;
		while (spool_put_full(put)) {
			if (atomic_load(&c->stopping))
				return ERR_CANCELED;
			nap();
		}
	}
	return ERR_OK;
}

static enum err put_all(struct commitment *c, const struct instance *in,
			enum spool_room room, const uint8_t *data, size_t n,
			struct waiter *w)
{
	struct spool_put_events events = {
	    .room = room, .on_done = on_stored, .arg = w};
	struct spool_put *put;
	enum err e = spool_put_begin(c->spool, in, &events, &put);

	if (e != ERR_OK)
		return e;
	e = put_data(c, put, data, n);
	if (e != ERR_OK) {
		spool_put_abort(put);
		return e;
	}
	return spool_put_finish(put, in);
}

enum err io_put(struct commitment *c, const struct instance *in,
		enum spool_room room, const uint8_t *data, size_t n)
{
	struct waiter *w = waiter_new();
	enum err e;

	if (w == NULL)
		return ERR_NOMEM;
	e = put_all(c, in, room, data, n, w);
	if (e != ERR_OK) {
		waiter_free(w);
		return e;
	}
	return waiter_wait(w, c, STOP_LOOKS);
}

enum err io_outcome(struct commitment *c, const struct transfer_id *id,
		    enum outcome_kind kind, const char *destination)
{
	struct outcome o = {.id = *id, .kind = kind, .at_ms = clock_wall_ms()};

	INSTANCE_SET(o.destination, destination);
	return spool_outcome(c->spool, &o);
}

/* ---- reading ------------------------------------------------------------ */

static enum err read_chunk(struct commitment *c, const struct view_message *m,
			   struct place place, uint32_t index, struct buf *out)
{
	size_t n;
	enum err e = spool_read_chunk(c->spool, place, &m->transfer, index,
				      c->chunk, &n);

	return e != ERR_OK ? e : buf_append(out, c->chunk, n);
}

static enum err read_chunks(struct commitment *c, const struct view_message *m,
			    struct buf *out)
{
	struct place places[N_PLACES];
	unsigned got = 0;
	enum err e =
	    ledger_view_places(c->view, m->seq, 0, m->chunks, places, &got);

	if (e == ERR_OK && got < m->chunks)
		e = ERR_NOTFOUND;
	for (uint32_t i = 0; e == ERR_OK && i < m->chunks; i++)
		e = read_chunk(c, m, places[i], i, out);
	return e;
}

enum err io_read(struct commitment *c, const struct view_message *m,
		 struct buf *out)
{
	enum err e;

	if (m->length > COMMIT_DATA_MAX || m->chunks > N_PLACES)
		return ERR_LIMIT;
	if (m->chunks == 0)
		return ERR_OK;
	e = read_chunks(c, m, out);
	if (e == ERR_NOTFOUND) { /* moved meanwhile: the ledger knows soon */
		buf_clear(out);
		e = io_barrier(c);
		if (e == ERR_OK)
			e = read_chunks(c, m, out);
	}
	return e;
}
