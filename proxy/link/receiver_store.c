/* receiver_store.c - chunks into the spool, and what the spool says.
 *
 * The writer thread's callbacks only note what happened, under the worker's
 * lock; rx_store_said() does the rest on the worker. */
#include <assert.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"
#include "store/tree.h"

static struct spool *spool_of(const struct rx_transfer *t)
{
	return t->home->receiver->opt.spool;
}

/* ---- from the writer thread -------------------------------------------- */

/* Under lock. */
static void mark(struct rx_transfer *t)
{
	struct rx_home *h = t->home;

	if (list_empty(&t->dirty))
		list_push_back(&h->dirty, &t->dirty);
	if (h->posted || h->closed)
		return;
	h->posted = worker_post(h->worker, &h->said);
}

static void on_writable(void *arg)
{
	struct rx_transfer *t = arg;

	pthread_mutex_lock(&t->home->lock);
	t->writable = true;
	mark(t);
	pthread_mutex_unlock(&t->home->lock);
}

/* Each put made room for what is said of it. What an earlier link left in the
 * queue may find none: it comes again, and is found to be here. */
static void on_chunks(void *arg, enum err e, uint32_t first, uint32_t n)
{
	struct rx_transfer *t = arg;

	pthread_mutex_lock(&t->home->lock);
	if (t->n_runs < t->cap_runs)
		t->runs[t->n_runs++] =
		    (struct rx_run){.e = e, .first = first, .n = n};
	mark(t);
	pthread_mutex_unlock(&t->home->lock);
}

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct rx_transfer *t = arg;

	pthread_mutex_lock(&t->home->lock);
	t->done = true;
	t->done_e = e;
	if (e == ERR_OK) {
		t->done_length = stored->length;
		memcpy(t->done_root, stored->root, sizeof(t->done_root));
	}
	mark(t);
	pthread_mutex_unlock(&t->home->lock);
}

/* ---- of several chunks ------------------------------------------------- */

bool rx_store_has(const struct rx_transfer *t)
{
	struct spool_partial_info info;

	return spool_partial_find(spool_of(t), &t->origin, &info) == ERR_OK;
}

enum err rx_store_open(struct rx_transfer *t)
{
	struct spool_partial_events ev = {.on_writable = on_writable,
					  .on_chunks = on_chunks,
					  .on_done = on_done,
					  .arg = t};
	struct spool_partial_info info;
	bool resumed;
	enum err e;

	e = spool_partial_open(spool_of(t), t->in, &ev, &t->put, &resumed);
	if (e != ERR_OK) {
		t->put = NULL;
		return e;
	}
	if (resumed &&
	    spool_partial_find(spool_of(t), &t->origin, &info) == ERR_OK)
		t->n_put = info.chunks;
	return ERR_OK;
}

/* It does not wait for room any more, so the others go on: with the next thing
 * that the spool says, or tick. */
static void waits_no_more(struct rx_transfer *t)
{
	if (t->session != NULL && t->session->full == t)
		t->session->full = NULL;
}

void rx_store_close(struct rx_transfer *t)
{
	waits_no_more(t);
	spool_partial_close(t->put);
	t->put = NULL;
	if (t->one == NULL)
		return;
	spool_put_abort(t->one);
	t->one = NULL;
	atomic_fetch_sub(&t->home->receiver->counts.finishing, 1);
}

void rx_store_abandon(const struct rx_transfer *t)
{
	/* not there, or outcomes are full: then it expires */
	if (spool_partial_abandon(spool_of(t), &t->origin) != ERR_OK)
		return;
}

enum err rx_store_finish(struct rx_transfer *t)
{
	enum err e;

	atomic_fetch_add(&t->home->receiver->counts.finishing, 1);
	e = spool_partial_finish(t->put, t->in, &t->whole, NULL);
	if (e != ERR_OK) {
		atomic_fetch_sub(&t->home->receiver->counts.finishing, 1);
		return e;
	}
	t->put = NULL;
	waits_no_more(t); /* for a chunk that is here twice */
	return ERR_OK;
}

/* Room for what will be said of one more chunk. */
static bool expect_one(struct rx_transfer *t)
{
	uint32_t cap = t->cap_runs > 0 ? 2 * t->cap_runs : 8;
	struct rx_run *more;
	bool ok = true;

	pthread_mutex_lock(&t->home->lock);
	if (t->unsaid + t->n_runs >= t->cap_runs) {
		more = mem_realloc(t->runs, cap * sizeof(*more));
		ok = more != NULL;
		if (ok) {
			t->runs = more;
			t->cap_runs = cap;
		}
	}
	pthread_mutex_unlock(&t->home->lock);
	return ok;
}

static void count_chunk(struct rx_transfer *t, bool again)
{
	struct rx_counts *n = &t->home->receiver->counts;

	if (again) {
		t->session->n.again++;
		atomic_fetch_add(&n->chunks_again, 1);
	} else {
		t->session->n.chunks++;
		atomic_fetch_add(&n->chunks, 1);
	}
}

/* Another one stands there. */
static void conflict(struct rx_chunk *c)
{
	struct rx_transfer *t = c->transfer;
	struct spool_partial_have have;
	uint8_t found[LINK_HASH_LEN];
	size_t n = 0;

	if (tree_leaf_of(c->data, c->length, found) != ERR_OK)
		rx_chunk_free(c);
	else if (memcmp(found, c->leaf, sizeof(found)) != 0)
		rx_chunk_bad(c, LINK_BAD_HASH, c->leaf, found);
	else if (spool_partial_chunks(spool_of(t), &t->origin, c->index, &have,
				      1, &n) == ERR_OK &&
		 n == 1 && have.index == c->index)
		rx_chunk_bad(c, LINK_BAD_CONFLICT, have.leaf, found);
	else
		rx_chunk_free(c); /* it is not durable yet, or failed */
}

static void is_here(struct rx_chunk *c, const struct spool_partial_chunk *p)
{
	struct rx_transfer *t = c->transfer;
	struct rx_run run = {.first = c->index, .n = 1};
	bool queued = memcmp(p->got, c->leaf, sizeof(p->got)) == 0;

	count_chunk(t, !queued);
	if (queued) {
		t->unsaid++;
		t->n_put++;
	} else if (p->durable) {
		rx_tell_ack(t->wire, &t->origin.id, &run, 1);
	}
	rx_chunk_free(c);
	(void)rx_transfer_look(t);
}

static void failed(struct rx_transfer *t, enum err e)
{
	struct rx_no no = {.code = LINK_REFUSED_STORE, .retry_s = RX_RETRY_S};
	struct spool *spool = spool_of(t);

	if (e == ERR_NOSPACE) {
		no.code = LINK_REFUSED_NO_SPACE;
		no.retry_s = RX_RETRY_SPACE_S;
	}
	(void)rx_transfer_event(t, LINK_RX_EV_STORE_FAILED, &no);
	if (e == ERR_NOSPACE)
		(void)spool_partial_make_room(spool);
}

/* False: no room, c still waits. */
static bool put_chunk(struct rx_chunk *c)
{
	struct rx_transfer *t = c->transfer;
	struct spool_partial_chunk p = {
	    .index = c->index, .length = c->length, .data = c->data};
	enum err e = ERR_NOMEM;

	memcpy(p.leaf, c->leaf, sizeof(p.leaf));
	if (expect_one(t))
		e = spool_partial_put(t->put, &p);
	if (e == ERR_AGAIN)
		return false;
	if (e == ERR_OK)
		is_here(c, &p);
	else if (e == ERR_CORRUPT)
		rx_chunk_bad(c, LINK_BAD_HASH, c->leaf, p.got);
	else if (e == ERR_EXISTS)
		conflict(c);
	else if (e == ERR_INVAL)
		rx_chunk_bad(c, LINK_BAD_LENGTH, c->leaf, c->leaf);
	else
		failed(t, e);
	return true;
}

/* ---- of one chunk ------------------------------------------------------ */

static enum err finish_one(struct rx_transfer *t)
{
	struct spool_put *put = t->one;
	enum err e;

	t->one = NULL;
	e = spool_put_finish(put, t->in);
	if (e != ERR_OK)
		atomic_fetch_sub(&t->home->receiver->counts.finishing, 1);
	return e;
}

static enum err check_root(const struct rx_transfer *t, const uint8_t *leaf)
{
	uint8_t root[LINK_HASH_LEN], leaves[1][SEAL_HASH_LEN];
	enum err e;

	if (leaf != NULL)
		memcpy(leaves[0], leaf, sizeof(leaves[0]));
	e = tree_root_of(t->whole.length,
			 (const uint8_t(*)[SEAL_HASH_LEN])leaves,
			 t->whole.chunks, root);
	if (e == ERR_OK && memcmp(root, t->whole.root, sizeof(root)) != 0)
		e = ERR_CORRUPT;
	return e;
}

/* The leaf is the spool's, which hashes what it takes anyway. */
static enum err fill_one(struct rx_transfer *t, const struct rx_chunk *c,
			 uint8_t found[LINK_HASH_LEN])
{
	enum err e =
	    c != NULL ? spool_put_data(t->one, c->data, c->length) : ERR_OK;

	if (e == ERR_OK && c != NULL)
		e = spool_put_leaf(t->one, found);
	if (e == ERR_OK && c != NULL &&
	    memcmp(found, c->leaf, LINK_HASH_LEN) != 0)
		return ERR_INVAL;
	return e == ERR_OK ? check_root(t, c != NULL ? found : NULL) : e;
}

enum err rx_store_one(struct rx_transfer *t, const struct rx_chunk *c,
		      uint8_t found[LINK_HASH_LEN])
{
	struct spool_put_events ev = {
	    .on_writable = on_writable, .on_done = on_done, .arg = t};
	enum err e = spool_put_begin(spool_of(t), t->in, &ev, &t->one);

	if (e != ERR_OK) {
		t->one = NULL;
		return e;
	}
	e = fill_one(t, c, found);
	if (e != ERR_OK) {
		spool_put_abort(t->one);
		t->one = NULL;
		return e;
	}
	atomic_fetch_add(&t->home->receiver->counts.finishing, 1);
	if (c != NULL && spool_put_full(t->one)) {
		t->session->full = t;
		return ERR_OK; /* on_writable finishes it */
	}
	return finish_one(t);
}

void rx_store_hasten(struct rx_transfer *t)
{
	if (t->one != NULL && finish_one(t) != ERR_OK) {
		rx_finishing_remove(t);
		rx_transfer_free(t);
	}
}

static void put_one(struct rx_chunk *c)
{
	static const struct rx_no root = {.code = LINK_REFUSED_ROOT};
	struct rx_transfer *t = c->transfer;
	uint8_t found[LINK_HASH_LEN];
	enum err e;

	/* The length may have been told after the chunk had come. */
	if (c->index != 0 || c->length != t->whole.length) {
		rx_chunk_bad(c, LINK_BAD_LENGTH, c->leaf, c->leaf);
		return;
	}
	e = rx_store_one(t, c, found);
	if (e == ERR_INVAL) {
		rx_chunk_bad(c, LINK_BAD_HASH, c->leaf, found);
		return;
	}
	count_chunk(t, false);
	if (e == ERR_OK)
		(void)rx_transfer_event(t, LINK_RX_EV_WHOLE, NULL);
	else if (e == ERR_CORRUPT)
		(void)rx_transfer_event(t, LINK_RX_EV_WRONG_ROOT, &root);
	else
		failed(t, e);
}

/* ---- in turn ----------------------------------------------------------- */

void rx_store_line_up(struct rx_chunk *c)
{
	list_push_back(&c->transfer->session->waiting, &c->by_store);
	c->transfer->n_waiting++;
}

void rx_store_pump(struct rx_session *s)
{
	while (s->full == NULL && !list_empty(&s->waiting)) {
		struct rx_chunk *c =
		    CONTAINER_OF(s->waiting.next, struct rx_chunk, by_store);
		struct rx_transfer *t = c->transfer;

		assert(t != NULL);
		if (t->put == NULL)
			put_one(c); /* which ends all its chunks */
		else if (!put_chunk(c))
			s->full = t;
	}
	rx_chunks_weigh(s);
}

/* ---- what the spool has said ------------------------------------------- */

static bool was_stored(struct rx_transfer *t, struct rx_run *runs, size_t n)
{
	size_t good = 0;
	enum err e = ERR_OK;

	for (size_t i = 0; i < n; i++) {
		t->unsaid -= runs[i].n < t->unsaid ? runs[i].n : t->unsaid;
		if (runs[i].e == ERR_OK)
			runs[good++] = runs[i];
		else
			e = runs[i].e;
	}
	if (t->state != LINK_RX_RECEIVING)
		return true;
	if (good > 0) {
		(void)rx_transfer_event(t, LINK_RX_EV_CHUNK_DURABLE, NULL);
		rx_tell_ack(t->wire, &t->origin.id, runs, good);
	}
	if (e != ERR_OK) {
		failed(t, e);
		return false;
	}
	if (t->owes_map && t->unsaid == 0 && t->n_waiting == 0) {
		t->owes_map = false;
		rx_tell_map(t->wire, &t->origin);
	}
	return rx_transfer_look(t);
}

static void finished(struct rx_transfer *t)
{
	atomic_fetch_sub(&t->home->receiver->counts.finishing, 1);
	if (t->session == NULL)
		rx_part(t);
	else if (t->done_e == ERR_OK)
		(void)rx_transfer_event(t, LINK_RX_EV_FINAL_DURABLE, NULL);
	else
		failed(t, t->done_e);
}

static void has_room(struct rx_transfer *t)
{
	waits_no_more(t);
	if (t->one != NULL && finish_one(t) != ERR_OK)
		failed(t, ERR_IO);
}

/* Take the first of those of which something was said. */
static struct rx_transfer *take_dirty(struct rx_home *h, struct rx_run *runs,
				      size_t max, size_t *n, bool *writable,
				      bool *done)
{
	struct rx_transfer *t;

	if (list_empty(&h->dirty))
		return NULL;
	t = CONTAINER_OF(h->dirty.next, struct rx_transfer, dirty);
	*n = t->n_runs < max ? t->n_runs : max;
	if (*n > 0)
		memcpy(runs, t->runs, *n * sizeof(*runs));
	t->n_runs -= (uint32_t)*n;
	if (t->n_runs > 0) {
		memmove(t->runs, t->runs + *n, t->n_runs * sizeof(*runs));
		*writable = *done = false;
		return t; /* the rest comes next */
	}
	list_remove(&t->dirty);
	*writable = t->writable;
	*done = t->done;
	t->writable = t->done = false;
	return t;
}

static bool say_one(struct rx_home *h)
{
	struct rx_run runs[64];
	bool writable, done;
	struct rx_transfer *t;
	struct rx_session *s;
	size_t n;

	pthread_mutex_lock(&h->lock);
	t = take_dirty(h, runs, ARRAY_LEN(runs), &n, &writable, &done);
	pthread_mutex_unlock(&h->lock);
	if (t == NULL)
		return false;
	s = t->session;
	if (n > 0 && !was_stored(t, runs, n))
		; /* gone: nothing else of it matters */
	else if (done)
		finished(t);
	else if (writable)
		has_room(t);
	if (s != NULL)
		rx_store_pump(s);
	return true;
}

void rx_store_said(struct msg *m)
{
	struct rx_home *h = CONTAINER_OF(m, struct rx_home, said);

	pthread_mutex_lock(&h->lock);
	h->posted = false;
	pthread_mutex_unlock(&h->lock);
	while (say_one(h))
		;
}
