/* A restart on an image: the real spool opens it, everything acknowledged must
 * read back bit for bit, nothing that was flushed may be called damaged, and
 * the spool must take new instances. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "tests/fault/powerloss.h"

struct found {
	struct tail_record *at;
	size_t n, room;
};

static void read_all(struct spool *s, struct found *f)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	struct spool_tail *t;

	if (r == NULL || spool_tail_open(s, 0, &t) != ERR_OK)
		powerloss_fail("out of memory");
	while (spool_tail_next(t, r, 0) == ERR_OK) {
		if (r->kind == TAIL_DAMAGE && r->damage.certain)
			powerloss_fail("called damaged: %s", r->damage.text);
		if (r->kind != TAIL_CHUNK)
			continue;
		if (f->n == f->room) {
			f->room = f->room > 0 ? 2 * f->room : 256;
			f->at = mem_realloc(f->at, f->room * sizeof(*f->at));
			if (f->at == NULL)
				powerloss_fail("out of memory");
		}
		f->at[f->n++] = *r;
	}
	spool_tail_close(t);
	mem_free(r);
}

/* The newest copy of a chunk. */
static const struct tail_record *
find_chunk(const struct found *f, const struct transfer_id *id, uint32_t index)
{
	for (size_t i = f->n; i > 0; i--)
		if (f->at[i - 1].index == index &&
		    transfer_id_equal(&f->at[i - 1].id, id))
			return &f->at[i - 1];
	return NULL;
}

static const char *read_instance(struct spool *s, const struct found *f,
				 const struct instance *in, uint32_t n,
				 uint8_t *block)
{
	size_t size = powerloss_size(n), at = 0;

	if (in->length != size)
		return "has another length";
	for (uint32_t i = 0; i < in->chunks; i++) {
		const struct tail_record *c = find_chunk(f, &in->id, i);
		size_t len;

		if (c == NULL)
			return "misses a chunk";
		if (spool_read_chunk(s, c->place, &in->id, i, block, &len) !=
		    ERR_OK)
			return "has a chunk that does not open";
		if (!powerloss_same(n, at, block, len))
			return "has other bytes";
		at += len;
	}
	return at == size ? NULL : "is short";
}

/* One whole copy under any transfer id is enough: a put that failed was
 * repeated. */
static void find_instance(struct spool *s, const struct found *f, uint32_t n,
			  uint8_t *block)
{
	const char *wrong = "is missing";

	for (size_t i = 0; i < f->n; i++) {
		const struct instance *in = &f->at[i].instance;

		if (!f->at[i].final || in->association != n)
			continue;
		wrong = read_instance(s, f, in, n, block);
		if (wrong == NULL)
			return;
	}
	powerloss_fail("acknowledged instance %u %s", n, wrong);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	enum err e;
};

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct waiter *w = arg;

	(void)stored;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->e = e;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* A full spool may refuse; nothing else may go wrong. */
static void put_another(struct spool *s)
{
	struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER};
	struct spool_put_events events = {.on_done = on_done, .arg = &w};
	struct instance in = {.association = UINT32_MAX};
	struct spool_put *put;
	enum err e = spool_put_begin(s, &in, &events, &put);

	if (e == ERR_NOSPACE)
		return;
	if (e == ERR_OK)
		e = spool_put_data(put, "after", 5);
	if (e == ERR_OK)
		e = spool_put_finish(put, &in);
	if (e != ERR_OK)
		powerloss_fail("the spool takes nothing new: %s", err_text(e));
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	if (w.e != ERR_OK && w.e != ERR_NOSPACE)
		powerloss_fail("the spool stores nothing new: %s",
			       err_text(w.e));
}

void powerloss_check(const char *dir, struct powerloss_acked acked)
{
	struct spool *s = powerloss_open(dir);
	struct found f = {NULL, 0, 0};
	uint8_t *block = mem_zalloc(CHUNK_LEN);

	if (block == NULL)
		powerloss_fail("out of memory");
	read_all(s, &f);
	for (size_t i = 0; i < acked.n; i++)
		find_instance(s, &f, acked.at[i], block);
	put_another(s);
	spool_close(s);
	mem_free(f.at);
	mem_free(block);
}
