/* A peer that sends partial transfers, for the driver and for the check. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/tree.h"
#include "tests/fault/powerloss_partial.h"

enum { RETRY_US = 2000 };

struct powerloss_sender {
	struct spool *spool;
	struct spool_partial_put *put;
	void (*told)(void *arg, uint32_t subject);
	void *arg;
	uint32_t n;
	uint8_t *data;
	struct instance in;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned durable, failed; /* bits */
	bool done;
	enum err e;
};

struct spool *powerloss_partial_open(const char *dir)
{
	struct spool_options o = {.path = dir,
				  .segment = POWERLOSS_SEGMENT,
				  .quota = 18ull * POWERLOSS_SEGMENT,
				  .buffers = 8 * 1024 * 1024,
				  .outcome_ms = 3};
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	if (spool_open(&o, &s, why) != ERR_OK)
		powerloss_fail("the spool does not open: %s", why);
	return s;
}

uint64_t powerloss_partial_length(uint32_t n)
{
	static const uint64_t lengths[] = {
	    CHUNK_LEN + 5,
	    20000,
	    2 * CHUNK_LEN,
	    CHUNK_LEN,
	    0,
	    500000,
	    CHUNK_LEN - 1,
	    2 * CHUNK_LEN + 70000,
	    4096,
	    1300000,
	};

	return lengths[n * 3 % ARRAY_LEN(lengths)];
}

uint32_t powerloss_partial_chunks(uint32_t n)
{
	return (uint32_t)((powerloss_partial_length(n) + CHUNK_LEN - 1) /
			  CHUNK_LEN);
}

void powerloss_partial_describe(uint32_t n, struct instance *in)
{
	memset(in, 0, sizeof(*in));
	in->association = n;
	in->has_origin = true;
	memset(in->origin.peer, 7, sizeof(in->origin.peer));
	memcpy(in->origin.id.b, &n, sizeof(n));
	in->n_destinations = 1;
	(void)INSTANCE_SET(in->destinations[0], "cloud");
	(void)INSTANCE_SET(in->sop_class, "1.2.840.10008.5.1.4.1.1.2");
	(void)INSTANCE_SET(in->transfer_syntax, "1.2.840.10008.1.2.1");
	(void)snprintf(in->sop_instance, sizeof(in->sop_instance), "1.2.4.%u",
		       n);
}

/* ---- callbacks --------------------------------------------------------- */

static void on_chunks(void *arg, enum err e, uint32_t first, uint32_t n)
{
	struct powerloss_sender *t = arg;

	for (uint32_t k = first; k < first + n; k++) {
		if (e == ERR_OK && t->told != NULL)
			t->told(t->arg, t->n * PARTIAL_SLOTS + k);
		pthread_mutex_lock(&t->lock);
		if (e == ERR_OK)
			t->durable |= 1u << k;
		else
			t->failed |= 1u << k;
		pthread_cond_signal(&t->cond);
		pthread_mutex_unlock(&t->lock);
	}
}

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct powerloss_sender *t = arg;

	(void)stored;
	if (e == ERR_OK && t->told != NULL)
		t->told(t->arg, t->n * PARTIAL_SLOTS + PARTIAL_WHOLE);
	pthread_mutex_lock(&t->lock);
	t->done = true;
	t->e = e;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

/* ---- its way ------------------------------------------------------------- */

static enum err open_it(struct powerloss_sender *t)
{
	struct spool_partial_events events = {NULL, on_chunks, on_done, t};
	bool resumed;

	t->done = false;
	return spool_partial_open(t->spool, &t->in, &events, &t->put, &resumed);
}

static struct powerloss_sender *sender_alloc(struct spool *s, uint32_t n)
{
	struct powerloss_sender *t = mem_zalloc(sizeof(*t));
	size_t length = (size_t)powerloss_partial_length(n);

	if (t != NULL)
		t->data = mem_zalloc(length + 1);
	if (t == NULL || t->data == NULL)
		powerloss_fail("out of memory");
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	t->spool = s;
	t->n = n;
	powerloss_fill(n, t->data, length);
	powerloss_partial_describe(n, &t->in);
	return t;
}

struct powerloss_sender *
powerloss_sender_new(struct spool *s, uint32_t n,
		     void (*told)(void *arg, uint32_t subject), void *arg)
{
	struct powerloss_sender *t = sender_alloc(s, n);
	enum err e = open_it(t);

	t->told = told;
	t->arg = arg;
	while (e == ERR_NOSPACE && told != NULL) {
		usleep(RETRY_US);
		e = open_it(t);
	}
	if (e == ERR_NOSPACE) {
		powerloss_sender_close(t);
		return NULL;
	}
	if (e != ERR_OK)
		powerloss_fail("transfer %u does not open: %s", n, err_text(e));
	return t;
}

static void put_one(struct powerloss_sender *t, uint32_t k)
{
	size_t at = (size_t)k * CHUNK_LEN;
	size_t left = (size_t)powerloss_partial_length(t->n) - at;
	struct spool_partial_chunk c = {.index = k, .data = t->data + at};
	enum err e;

	c.length = left < CHUNK_LEN ? (uint32_t)left : CHUNK_LEN;
	if (tree_leaf_of(c.data, c.length, c.leaf) != ERR_OK)
		powerloss_fail("out of memory");
	while ((e = spool_partial_put(t->put, &c)) == ERR_AGAIN)
		usleep(RETRY_US);
	if (e != ERR_OK)
		powerloss_fail("chunk %u of %u: %s", k, t->n, err_text(e));
	if (c.durable) {
		pthread_mutex_lock(&t->lock);
		t->durable |= 1u << k;
		pthread_mutex_unlock(&t->lock);
	}
}

/* The bits that are not durable yet, when all have come to an end. */
static unsigned wait_all(struct powerloss_sender *t, unsigned bits)
{
	unsigned left;

	pthread_mutex_lock(&t->lock);
	while (((t->durable | t->failed) & bits) != bits)
		pthread_cond_wait(&t->cond, &t->lock);
	left = bits & ~t->durable;
	t->failed = 0;
	pthread_mutex_unlock(&t->lock);
	return left;
}

enum err powerloss_sender_put(struct powerloss_sender *t, unsigned bits,
			      bool give_up)
{
	bits &= (1u << powerloss_partial_chunks(t->n)) - 1;
	while (bits != 0) {
		for (uint32_t k = PARTIAL_CHUNKS; k > 0; k--)
			if (bits & 1u << (k - 1))
				put_one(t, k - 1);
		bits = wait_all(t, bits);
		if (bits != 0 && give_up)
			return ERR_NOSPACE;
		if (bits != 0)
			usleep(RETRY_US);
	}
	return ERR_OK;
}

static enum err finish_once(struct powerloss_sender *t)
{
	struct spool_partial_whole w = {
	    .length = powerloss_partial_length(t->n),
	    .chunks = powerloss_partial_chunks(t->n)};
	struct tree *tree = tree_new();
	enum err e;

	if (tree == NULL ||
	    tree_update(tree, t->data, (size_t)w.length) != ERR_OK ||
	    tree_root(tree, w.root) != ERR_OK)
		powerloss_fail("out of memory");
	tree_free(tree);
	e = spool_partial_finish(t->put, &t->in, &w, NULL);
	if (e != ERR_OK)
		powerloss_fail("transfer %u does not finish: %s", t->n,
			       err_text(e));
	t->put = NULL;
	pthread_mutex_lock(&t->lock);
	while (!t->done)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return t->e;
}

/* After a failure it is there as before. */
enum err powerloss_sender_finish(struct powerloss_sender *t)
{
	enum err e = finish_once(t);

	while (e == ERR_NOSPACE && t->told != NULL) {
		usleep(RETRY_US);
		e = open_it(t);
		if (e == ERR_OK)
			e = finish_once(t);
	}
	return e;
}

void powerloss_sender_close(struct powerloss_sender *t)
{
	spool_partial_close(t->put);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	mem_free(t->data);
	mem_free(t);
}
