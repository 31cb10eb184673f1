#include "proxy/feed.h"

#include <assert.h>
#include <string.h>

#include "proxy/lib/mem.h"

/* A question to the ledger: places of a task's chunks from first on. */
struct answer {
	struct msg msg;
	struct list node; /* in feed.answers */
	struct feed *feed;
	struct task *task; /* NULL: dropped meanwhile */
	uint32_t first;
	bool early; /* asked by its transfer id */
	enum err e;
	uint32_t n;
	struct place places[LEDGER_PLACES_MAX];
};

void feed_init(struct feed *f, struct worker *worker, struct reader *reader,
	       struct spool *spool, struct ledger *ledger,
	       const struct list *queue, void (*ready)(void *arg), void *arg)
{
	*f = (struct feed){.worker = worker,
			   .reader = reader,
			   .spool = spool,
			   .ledger = ledger,
			   .queue = queue,
			   .ready = ready,
			   .arg = arg};
	list_init(&f->answers);
	for (unsigned i = 0; i < FEED_SLOTS; i++)
		f->slots[i].feed = f;
}

static struct feed_slot *slot_of(struct feed *f, const struct task *t,
				 uint32_t index)
{
	for (unsigned i = 0; i < FEED_SLOTS; i++) {
		struct feed_slot *s = &f->slots[i];

		if (s->state != FEED_EMPTY && s->task == t && s->index == index)
			return s;
	}
	return NULL;
}

static struct feed_slot *free_slot(struct feed *f)
{
	for (unsigned i = 0; i < FEED_SLOTS; i++) {
		if (f->slots[i].state == FEED_EMPTY)
			return &f->slots[i];
	}
	return NULL;
}

/* ---- places ------------------------------------------------------------ */

/* Of one that came in meanwhile it tells the truth, too. */
static void take_early(struct task *t, const struct answer *a)
{
	if (a->n == 0)
		return;
	t->places_first = a->first;
	t->n_places = a->n;
	memcpy(t->places, a->places, a->n * sizeof(a->places[0]));
	if (t->early)
		t->item.chunks = a->first + a->n - 1;
}

static void take_places(struct task *t, const struct answer *a)
{
	t->n_places = a->n;
	t->places_first = a->first;
	if (a->n > 0)
		memcpy(t->places, a->places, a->n * sizeof(a->places[0]));
	else
		t->failed_index = UINT32_MAX; /* cannot be had */
}

static void on_places_posted(struct msg *m)
{
	struct answer *a = CONTAINER_OF(m, struct answer, msg);
	struct feed *f = a->feed;
	struct task *t = a->task;

	list_remove(&a->node);
	f->in_flight--;
	if (t != NULL) {
		t->places_asked = false;
		if (a->early)
			take_early(t, a);
		else
			take_places(t, a);
	}
	mem_free(a);
	if (t != NULL)
		feed_fill(f);
	f->ready(f->arg);
}

/* On the ledger's thread. */
static void on_places(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	struct answer *a = arg;

	a->e = e;
	if (e == ERR_OK && n <= LEDGER_PLACES_MAX) {
		a->n = (uint32_t)n;
		memcpy(a->places, places, n * sizeof(a->places[0]));
	}
	(void)worker_post(a->feed->worker, &a->msg);
}

/* On the ledger's thread. */
static void on_transfer(void *arg, const struct ledger_transfer *t)
{
	on_places(arg, t->e, t->places, t->n);
}

/* NULL: no memory. */
static struct answer *question(struct feed *f, struct task *t, uint32_t first)
{
	struct answer *a;

	if (t->places == NULL)
		t->places = mem_zarray(LEDGER_PLACES_MAX, sizeof(*t->places));
	a = mem_zalloc(sizeof(*a));
	if (t->places == NULL || a == NULL) {
		mem_free(a);
		return NULL;
	}
	a->msg.run = on_places_posted;
	a->feed = f;
	a->task = t;
	a->first = first;
	list_push_back(&f->answers, &a->node);
	f->in_flight++;
	t->places_asked = true;
	return a;
}

static void not_asked(struct answer *a)
{
	list_remove(&a->node);
	a->feed->in_flight--;
	a->task->places_asked = false;
	mem_free(a);
}

static enum err ask_places(struct feed *f, struct task *t, uint32_t first)
{
	uint32_t left = t->item.chunks - first;
	unsigned n = left < LEDGER_PLACES_MAX ? left : LEDGER_PLACES_MAX;
	struct answer *a = question(f, t, first);
	enum err e;

	if (a == NULL)
		return ERR_NOMEM;
	e = ledger_places(f->ledger, t->item.seq, first, n, on_places, a);
	if (e != ERR_OK)
		not_asked(a);
	return e;
}

enum err feed_ask_early(struct feed *f, struct task *t)
{
	struct answer *a = question(f, t, t->next);
	enum err e;

	if (a == NULL)
		return ERR_NOMEM;
	a->early = true;
	e = ledger_transfer(f->ledger, &t->item.transfer, t->next,
			    LEDGER_PLACES_MAX, on_transfer, a);
	if (e != ERR_OK)
		not_asked(a);
	return e;
}

/* ERR_AGAIN: asked for. */
static enum err place_of(struct feed *f, struct task *t, uint32_t index,
			 struct place *out)
{
	if (index >= t->places_first && index - t->places_first < t->n_places) {
		*out = t->places[index - t->places_first];
		return ERR_OK;
	}
	if (t->early) /* moved, which is rare: it goes when it is whole */
		return ERR_NOTFOUND;
	if (index == 0 && !t->places_stale) {
		*out = t->item.first;
		return ERR_OK;
	}
	if (!t->places_asked) {
		enum err e = ask_places(f, t, index);

		if (e != ERR_OK)
			return e;
	}
	return ERR_AGAIN;
}

/* ---- reads ------------------------------------------------------------- */

/* The record may have been moved: ask for places anew, once a chunk. */
static bool try_again(struct task *t, uint32_t index)
{
	if (t->failed_index == index + 1 || t->failed_index == UINT32_MAX)
		return false;
	t->failed_index = index + 1;
	t->places_stale = true;
	t->n_places = 0;
	return true;
}

static void on_read_posted(struct msg *m)
{
	struct feed_slot *s = CONTAINER_OF(m, struct feed_slot, msg);
	struct feed *f = s->feed;

	f->in_flight--;
	s->state = FEED_READY;
	if (s->task == NULL || (s->e != ERR_OK && try_again(s->task, s->index)))
		s->state = FEED_EMPTY;
	if (s->state == FEED_EMPTY)
		feed_fill(f);
	f->ready(f->arg);
}

/* On a reader's thread. */
static void read_run(struct job *j)
{
	struct feed_slot *s = CONTAINER_OF(j, struct feed_slot, job);

	s->e = spool_read_chunk(s->feed->spool, s->place, &s->id, s->index,
				s->data, &s->len);
	(void)worker_post(s->feed->worker, &s->msg);
}

static void slot_fail(struct feed_slot *s, enum err e)
{
	s->state = FEED_READY;
	s->e = e;
}

/* Bytes of an instance that is opened at once, though its turn is later. */
enum { SMALL = 64 * 1024 };

/* On this thread, without waiting for a disk. */
static bool read_now(struct feed_slot *s)
{
	if (spool_read_now(s->feed->spool, s->place, &s->id, s->index, s->data,
			   &s->len) != ERR_OK)
		return false;
	s->e = ERR_OK;
	s->state = FEED_READY;
	return true;
}

/* first: it is the next one to be sent. Others are read beside it. */
static void read_begin(struct feed *f, struct task *t, uint32_t index,
		       bool first)
{
	struct feed_slot *s = free_slot(f);
	enum err e;

	if (s == NULL)
		return;
	s->task = t;
	s->index = index;
	s->id = t->item.transfer;
	if (t->failed_index == UINT32_MAX) {
		slot_fail(s, ERR_NOTFOUND);
		return;
	}
	e = place_of(f, t, index, &s->place);
	if (e == ERR_AGAIN)
		return; /* comes again with the answer */
	first = first || t->item.length <= SMALL;
	if (e == ERR_OK && s->data == NULL)
		s->data = mem_zalloc(CHUNK_LEN);
	if (e == ERR_OK && s->data == NULL)
		e = ERR_NOMEM;
	s->job.run = read_run;
	s->msg.run = on_read_posted;
	if (e == ERR_OK && first && read_now(s))
		return;
	if (e == ERR_OK) {
		s->state = FEED_READING;
		e = reader_submit(f->reader, &s->job);
	}
	if (e != ERR_OK)
		slot_fail(s, e);
	else
		f->in_flight++;
}

void feed_fill(struct feed *f)
{
	unsigned wanted = 0;

	for (const struct list *n = f->queue->next; n != f->queue;
	     n = n->next) {
		struct task *t = CONTAINER_OF(n, struct task, node);

		for (uint32_t i = t->next; i < t->item.chunks; i++) {
			if (wanted++ == FEED_SLOTS)
				return;
			if (slot_of(f, t, i) == NULL)
				read_begin(f, t, i, wanted == 1);
		}
	}
}

enum err feed_get(struct feed *f, struct task *t, const uint8_t **data,
		  size_t *len)
{
	struct feed_slot *s = slot_of(f, t, t->next);

	if (s == NULL) { /* nobody asked yet */
		read_begin(f, t, t->next, true);
		s = slot_of(f, t, t->next);
	}
	if (s == NULL || s->state != FEED_READY)
		return ERR_AGAIN;
	if (s->e != ERR_OK)
		return s->e;
	*data = s->data;
	*len = s->len;
	return ERR_OK;
}

void feed_release(struct feed *f, struct task *t)
{
	struct feed_slot *s = slot_of(f, t, t->next);

	assert(s != NULL && s->state == FEED_READY);
	s->state = FEED_EMPTY;
	s->task = NULL;
	t->next++;
}

void feed_drop(struct feed *f, struct task *t)
{
	for (unsigned i = 0; i < FEED_SLOTS; i++) {
		struct feed_slot *s = &f->slots[i];

		if (s->task != t)
			continue;
		s->task = NULL;
		if (s->state == FEED_READY)
			s->state = FEED_EMPTY;
	}
	LIST_EACH(it, tmp, &f->answers)
	{
		struct answer *a = CONTAINER_OF(it, struct answer, node);

		if (a->task == t)
			a->task = NULL;
	}
	mem_free(t->places);
	t->places = NULL;
	t->n_places = 0;
	t->places_asked = false;
}

bool feed_quiet(const struct feed *f)
{
	return f->in_flight == 0;
}

void feed_trim(struct feed *f)
{
	for (unsigned i = 0; i < FEED_SLOTS; i++) {
		if (f->slots[i].state != FEED_EMPTY)
			continue;
		mem_free(f->slots[i].data);
		f->slots[i].data = NULL;
	}
}
