/* The far end of links: transfers whose chunks come in any order, some twice,
 * some broken; they are left, gone on with, given up and finished, in this
 * round or in a later one. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/tree.h"
#include "tests/fault/integrity.h"

enum { ORIGIN_OF_ALL = 7 };

static uint32_t chunks_of(const struct integrity *w, uint32_t n)
{
	return (uint32_t)((integrity_length(w, n) + CHUNK_LEN - 1) / CHUNK_LEN);
}

static uint64_t all_of(const struct integrity *w, uint32_t n)
{
	return (1ull << chunks_of(w, n)) - 1;
}

static void describe(uint32_t n, struct instance *in)
{
	integrity_describe(n, in);
	in->has_origin = true;
	memset(in->origin.peer, ORIGIN_OF_ALL, sizeof(in->origin.peer));
	memcpy(in->origin.id.b, &n, sizeof(n));
}

/* ---- callbacks -------------------------------------------------------------
 */

static void on_chunks(void *arg, enum err e, uint32_t first, uint32_t n)
{
	struct slot *s = arg;
	uint64_t bits = ((1ull << n) - 1) << first;

	pthread_mutex_lock(&s->lock);
	if (e == ERR_OK)
		s->told |= bits;
	else
		s->sent &= ~bits;
	pthread_mutex_unlock(&s->lock);
	if (e == ERR_NOSPACE)
		atomic_store(&s->w->stuck, true);
	else
		integrity_need(e, "chunks", s->n);
}

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct slot *s = arg;

	if (e == ERR_OK)
		integrity_object_stored(s->w, s->n, stored);
	else if (e != ERR_NOSPACE)
		integrity_need(e, "finishing", s->n);
	pthread_mutex_lock(&s->lock);
	s->done = true;
	s->e = e;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

/* ---- what may happen to a slot ----------------------------------------------
 */

static void open_it(struct integrity *w, struct slot *s)
{
	struct spool_partial_events events = {
	    .on_chunks = on_chunks, .on_done = on_done, .arg = s};
	struct instance in;
	bool resumed = false;
	enum err e;

	describe(s->n, &in);
	s->done = false;
	e = spool_partial_open(w->spool, &in, &events, &s->put, &resumed);
	if (e == ERR_NOSPACE) {
		atomic_store(&w->stuck, true);
		return;
	}
	integrity_need(e, "opening partial", s->n);
	if (!resumed && s->told != 0)
		integrity_fail("partial object %u is not known any more", s->n);
	if (resumed)
		atomic_fetch_add(&w->resumed, 1);
	/* What was under way when it was closed is told or sent again. */
	pthread_mutex_lock(&s->lock);
	s->sent = s->told;
	pthread_mutex_unlock(&s->lock);
}

static void begin(struct integrity *w, struct slot *s, struct dice *d)
{
	s->n = integrity_object_new(w);
	if (s->n == 0)
		return;
	if (integrity_length(w, s->n) < CHUNK_LEN && !dice_one_in(d, 8)) {
		integrity_object_drop(w, s->n); /* mostly large ones */
		s->n = 0;
		return;
	}
	s->sent = s->ever = s->told = 0;
	open_it(w, s);
}

static void free_slot(struct slot *s)
{
	s->n = 0;
	s->put = NULL;
}

static void close_it(struct slot *s)
{
	spool_partial_close(s->put);
	s->put = NULL;
}

static void abandon(struct integrity *w, struct slot *s)
{
	struct instance in;
	enum err e;

	describe(s->n, &in);
	close_it(s);
	e = spool_partial_abandon(w->spool, &in.origin);
	if (e == ERR_BUSY)
		return; /* outcomes are full */
	if (e != ERR_OK && e != ERR_NOTFOUND)
		integrity_need(e, "abandoning", s->n);
	if (e == ERR_NOTFOUND && s->told != 0)
		integrity_fail("partial object %u cannot be abandoned", s->n);
	integrity_object_drop(w, s->n);
	atomic_fetch_add(&w->abandoned, 1);
	free_slot(s);
}

static uint8_t *chunk_data(struct integrity *w, uint32_t n, uint32_t index,
			   struct spool_partial_chunk *c)
{
	uint64_t at = (uint64_t)index * CHUNK_LEN;
	uint64_t left = integrity_length(w, n) - at;
	uint8_t *p = mem_zalloc(CHUNK_LEN + 8);

	if (p == NULL)
		integrity_fail("out of memory");
	*c = (struct spool_partial_chunk){
	    .index = index,
	    .length = (uint32_t)(left < CHUNK_LEN ? left : CHUNK_LEN),
	    .data = p};
	integrity_fill(n, at, p, c->length);
	if (tree_leaf_of(p, c->length, c->leaf) != ERR_OK)
		integrity_fail("out of memory");
	return p;
}

static void put_chunk(struct integrity *w, struct slot *s, uint32_t index,
		      bool broken)
{
	struct spool_partial_chunk c;
	uint8_t *p = chunk_data(w, s->n, index, &c);
	enum err e;

	p[c.length / 2] ^= broken ? 1 : 0;
	pthread_mutex_lock(&s->lock);
	s->sent |= 1ull << index; /* before it is told */
	pthread_mutex_unlock(&s->lock);
	e = spool_partial_put(s->put, &c);
	mem_free(p);
	pthread_mutex_lock(&s->lock);
	if (e == ERR_OK && c.durable)
		s->told |= 1ull << index;
	else if (e != ERR_OK)
		s->sent &= ~(1ull << index) | s->told;
	pthread_mutex_unlock(&s->lock);
	if (broken && e == ERR_OK && (s->ever >> index & 1) == 0)
		integrity_fail("a broken chunk of %u was taken", s->n);
	if (e == ERR_OK)
		s->ever |= 1ull << index;
	if (e != ERR_OK && e != ERR_AGAIN && !(broken && e == ERR_CORRUPT))
		integrity_need(e, "putting a chunk", s->n);
}

/* A random one of those that are missing, or now and then of all. */
static void put_some(struct integrity *w, struct slot *s, struct dice *d)
{
	uint32_t n = chunks_of(w, s->n);
	uint32_t index = n > 0 ? dice_below(d, n) : 0;
	uint64_t sent;

	if (n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	sent = s->sent;
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < n && (sent >> index & 1) != 0; i++)
		if (!dice_one_in(d, 20))
			index = (index + 1) % n;
	put_chunk(w, s, index, (sent >> index & 1) == 0 && dice_one_in(d, 15));
}

static void root_of(struct integrity *w, uint32_t n,
		    struct spool_partial_whole *whole)
{
	struct tree *tree = tree_new();
	struct spool_partial_chunk c;

	whole->length = integrity_length(w, n);
	whole->chunks = chunks_of(w, n);
	if (tree == NULL)
		integrity_fail("out of memory");
	for (uint32_t i = 0; i < whole->chunks; i++) {
		uint8_t *p = chunk_data(w, n, i, &c);

		if (tree_update(tree, p, c.length) != ERR_OK)
			integrity_fail("out of memory");
		mem_free(p);
	}
	if (tree_root(tree, whole->root) != ERR_OK)
		integrity_fail("out of memory");
	tree_free(tree);
}

static void wait_done(struct slot *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->done)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void finish(struct integrity *w, struct slot *s)
{
	struct spool_partial_whole whole;
	struct instance in;
	enum err e;

	describe(s->n, &in);
	root_of(w, s->n, &whole);
	e = spool_partial_finish(s->put, &in, &whole, NULL);
	if (e == ERR_AGAIN) { /* some were not stored */
		pthread_mutex_lock(&s->lock);
		s->sent = s->told;
		pthread_mutex_unlock(&s->lock);
		return;
	}
	integrity_need(e, "finishing partial", s->n);
	s->put = NULL;
	wait_done(s);
	if (s->e == ERR_OK) {
		atomic_fetch_add(&w->partials, 1);
		free_slot(s);
	}
}

static void step(struct integrity *w, struct slot *s, struct dice *d)
{
	bool whole;

	if (s->n == 0) {
		begin(w, s, d);
		return;
	}
	if (s->put == NULL) {
		if (dice_one_in(d, 3))
			open_it(w, s);
		return;
	}
	pthread_mutex_lock(&s->lock);
	whole = s->sent == all_of(w, s->n);
	pthread_mutex_unlock(&s->lock);
	if (dice_one_in(d, 12))
		close_it(s);
	else if (dice_one_in(d, 60))
		abandon(w, s);
	else if (whole)
		finish(w, s);
	else
		put_some(w, s, d);
}

void *integrity_partial_many(void *arg)
{
	struct integrity *w = arg;
	struct dice d = dice_new(w, 200);

	while (!atomic_load(&w->stop)) {
		step(w, &w->slots[dice_below(&d, INTEGRITY_SLOTS)], &d);
		if (dice_one_in(&d, 3))
			dice_pause(&d, 4000);
	}
	for (size_t i = 0; i < INTEGRITY_SLOTS; i++)
		close_it(&w->slots[i]);
	return NULL;
}

/* ---- between rounds ---------------------------------------------------------
 */

static void check_slot(struct integrity *w, struct slot *s, uint8_t *block)
{
	struct spool_partial_have have[64];
	struct spool_partial_info info;
	struct instance in;
	uint64_t bits = 0;
	size_t n = 0, len;

	describe(s->n, &in);
	if (spool_partial_find(w->spool, &in.origin, &info) != ERR_OK ||
	    spool_partial_chunks(w->spool, &in.origin, 0, have, 64, &n) !=
		ERR_OK)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		bits |= 1ull << have[i].index;
		integrity_need(spool_read_chunk(w->spool, have[i].place,
						&info.id, have[i].index, block,
						&len),
			       "a chunk of partial", s->n);
		integrity_compare(w, s->n, have[i].index, block, len);
	}
	if ((s->told & ~bits) != 0)
		integrity_fail("partial object %u has chunks %llx, and not all "
			       "of %llx",
			       s->n, (unsigned long long)bits,
			       (unsigned long long)s->told);
}

void integrity_partial_check(struct integrity *w)
{
	uint8_t *block = mem_zalloc(CHUNK_LEN);

	if (block == NULL)
		integrity_fail("out of memory");
	for (size_t i = 0; i < INTEGRITY_SLOTS; i++)
		if (w->slots[i].n != 0)
			check_slot(w, &w->slots[i], block);
	mem_free(block);
}

void integrity_partial_expire(struct integrity *w)
{
	struct spool_partial_info none;

	(void)spool_partial_expire(w->spool, INT64_MAX);
	if (spool_partial_list(w->spool, &none, 1) != 0)
		integrity_fail("not all partial transfers expired");
	for (size_t i = 0; i < INTEGRITY_SLOTS; i++) {
		struct slot *s = &w->slots[i];

		if (s->n == 0)
			continue;
		integrity_object_drop(w, s->n);
		atomic_fetch_add(&w->abandoned, 1);
		free_slot(s);
	}
}
