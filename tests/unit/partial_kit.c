#include "tests/unit/partial_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/tree.h"

#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,     \
				#x);                                           \
			abort();                                               \
		}                                                              \
	} while (0)

void peer_init(struct peer *p, unsigned n, const uint8_t *data, uint64_t length)
{
	memset(p, 0, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	kit_instance(n, &p->in);
	p->in.has_origin = true;
	memset(p->in.origin.peer, 0x77, sizeof(p->in.origin.peer));
	(void)snprintf((char *)p->in.origin.id.b, sizeof(p->in.origin.id.b),
		       "sender-%u", n);
	p->data = data;
	p->length = length;
}

void peer_free(struct peer *p)
{
	spool_partial_close(p->put);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
}

static void on_writable(void *arg)
{
	struct peer *p = arg;

	pthread_mutex_lock(&p->lock);
	p->writable = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

static void on_chunks(void *arg, enum err e, uint32_t first, uint32_t n)
{
	struct peer *p = arg;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = first; i < first + n; i++) {
		CHECK(i < PEER_CHUNKS);
		p->durable[i] = e == ERR_OK;
	}
	if (e != ERR_OK) {
		p->failed += n;
		p->failed_e = e;
	}
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct peer *p = arg;

	pthread_mutex_lock(&p->lock);
	p->done = true;
	p->e = e;
	p->stored = *stored;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

enum err peer_open(struct peer *p, struct spool *s, bool *resumed)
{
	struct spool_partial_events events = {on_writable, on_chunks, on_done,
					      p};
	bool was;

	memset(p->durable, 0, sizeof(p->durable));
	p->failed = 0;
	p->done = false;
	return spool_partial_open(s, &p->in, &events, &p->put,
				  resumed != NULL ? resumed : &was);
}

uint32_t peer_chunks(const struct peer *p)
{
	return (uint32_t)((p->length + CHUNK_LEN - 1) / CHUNK_LEN);
}

void peer_chunk(const struct peer *p, uint32_t index,
		struct spool_partial_chunk *c)
{
	uint64_t at = (uint64_t)index * CHUNK_LEN;
	uint64_t left = p->length - at;

	memset(c, 0, sizeof(*c));
	c->index = index;
	c->length = left < CHUNK_LEN ? (uint32_t)left : CHUNK_LEN;
	c->data = p->data + at;
	CHECK(tree_leaf_of(c->data, c->length, c->leaf) == ERR_OK);
}

static void wait_writable(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->writable)
		pthread_cond_wait(&p->cond, &p->lock);
	p->writable = false;
	pthread_mutex_unlock(&p->lock);
}

enum err peer_put(struct peer *p, uint32_t index)
{
	struct spool_partial_chunk c;
	enum err e;

	peer_chunk(p, index, &c);
	while ((e = spool_partial_put(p->put, &c)) == ERR_AGAIN)
		wait_writable(p);
	if (e == ERR_OK && c.durable) {
		pthread_mutex_lock(&p->lock);
		p->durable[index] = true;
		pthread_mutex_unlock(&p->lock);
	}
	return e;
}

static bool all_durable(const struct peer *p, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		if (!p->durable[i])
			return false;
	return true;
}

enum err peer_wait(struct peer *p, uint32_t first, uint32_t n)
{
	enum err e = ERR_OK;

	pthread_mutex_lock(&p->lock);
	while (p->failed == 0 && !all_durable(p, first, n))
		pthread_cond_wait(&p->cond, &p->lock);
	if (p->failed > 0)
		e = p->failed_e;
	pthread_mutex_unlock(&p->lock);
	return e;
}

void peer_whole(const struct peer *p, struct spool_partial_whole *w)
{
	struct tree *t = tree_new();

	CHECK(t != NULL);
	CHECK(tree_update(t, p->data, (size_t)p->length) == ERR_OK);
	w->length = p->length;
	w->chunks = peer_chunks(p);
	CHECK(tree_root(t, w->root) == ERR_OK);
	tree_free(t);
}

enum err peer_finish(struct peer *p)
{
	struct spool_partial_whole w;
	enum err e;

	peer_whole(p, &w);
	e = spool_partial_finish(p->put, &p->in, &w, NULL);
	if (e != ERR_OK)
		return e;
	p->put = NULL;
	pthread_mutex_lock(&p->lock);
	while (!p->done)
		pthread_cond_wait(&p->cond, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return p->e;
}

uint64_t peer_have(const struct peer *p, struct spool *s)
{
	struct spool_partial_have have[PEER_CHUNKS];
	struct spool_partial_chunk c;
	uint64_t bits = 0;
	size_t n;

	if (spool_partial_chunks(s, &p->in.origin, 0, have, PEER_CHUNKS, &n) !=
	    ERR_OK)
		return 0;
	for (size_t i = 0; i < n; i++) {
		CHECK(i == 0 || have[i].index > have[i - 1].index);
		peer_chunk(p, have[i].index, &c);
		CHECK(have[i].length == c.length);
		CHECK(memcmp(have[i].leaf, c.leaf, sizeof(c.leaf)) == 0);
		bits |= 1ull << have[i].index;
	}
	return bits;
}
