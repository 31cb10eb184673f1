/* The driver: four threads put instances; one stands for the ledger: it tails,
 * gives instances up, writes outcomes, moves what holds a segment back, and
 * recycles. It restarts the spool a few times; in the last round one
 * thread puts alone, so that payload is written ahead. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"
#include "tests/fault/powerloss.h"

enum { THREADS = 4, ROUNDS = 3, CHUNKS = 3, SEGMENTS = 64 };

/* An instance as the ledger would know it. */
struct known {
	struct transfer_id id;
	bool used, final, given_up, arrived;
	unsigned chunks;
	struct place places[CHUNKS];
};

struct drive {
	struct spool *spool;
	uint32_t count;
	bool with_ledger;
	atomic_uint next;    /* instance to be put next */
	atomic_uint running; /* put threads */
	atomic_bool stuck;   /* a put found the spool full */
	uint64_t position;   /* of the tail, over restarts */
	struct known *known; /* by instance number */
	void (*mark)(const void *p, size_t n);
};

static void note(struct drive *d, enum powerloss_event event, uint32_t n)
{
	struct powerloss_note note = {(uint32_t)event, n};

	if (d->mark != NULL)
		d->mark(&note, sizeof(note));
}

/* ---- putting
 * ------------------------------------------------------------------ */

struct waiter {
	struct drive *drive;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	enum err e;
	uint32_t instance;
};

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	struct waiter *w = arg;

	(void)stored;
	if (e == ERR_OK)
		note(w->drive, POWERLOSS_ACKED, w->instance);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->e = e;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static enum err give_data(struct spool_put *put, const uint8_t *p, size_t n)
{
	enum err e = ERR_OK;

	while (n > 0 && e == ERR_OK) {
		size_t now = n < 30000 ? n : 30000;

		e = spool_put_data(put, p, now);
		p += now;
		n -= now;
		while (e == ERR_OK && spool_put_full(put))
			usleep(500);
	}
	return e;
}

static void describe(uint32_t n, struct instance *in)
{
	(void)INSTANCE_SET(in->destinations[0], "cloud");
	(void)INSTANCE_SET(in->sop_class, "1.2.840.10008.5.1.4.1.1.2");
	(void)INSTANCE_SET(in->transfer_syntax, "1.2.840.10008.1.2.1");
	(void)snprintf(in->sop_instance, sizeof(in->sop_instance), "1.2.3.%u",
		       n);
}

static enum err put_one(struct drive *d, uint32_t n, uint8_t *data)
{
	struct waiter w = {.drive = d,
			   .lock = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER,
			   .instance = n};
	struct spool_put_events events = {.on_done = on_done, .arg = &w};
	struct instance in = {.association = n, .n_destinations = 1};
	size_t size = powerloss_size(n);
	struct spool_put *put;
	enum err e;

	describe(n, &in);
	e = spool_put_begin(d->spool, &in, &events, &put);

	if (e != ERR_OK)
		return e;
	powerloss_fill(n, data, size);
	e = give_data(put, data, size);
	if (e != ERR_OK || n % 17 == 16) {
		spool_put_abort(put); /* some peers break off */
		return e;
	}
	e = spool_put_finish(put, &in);
	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.e;
}

static void *put_many(void *arg)
{
	struct drive *d = arg;
	uint8_t *data = mem_zalloc(2 * CHUNK_LEN);
	uint32_t n;

	if (data == NULL)
		powerloss_fail("out of memory");
	while ((n = atomic_fetch_add(&d->next, 1)) < d->count) {
		enum err e = put_one(d, n, data);

		while (e == ERR_NOSPACE) { /* full: more must be delivered */
			atomic_store(&d->stuck, true);
			usleep(2000);
			e = put_one(d, n, data);
		}
		if (e != ERR_OK)
			powerloss_fail("put: %s", err_text(e));
	}
	mem_free(data);
	atomic_fetch_sub(&d->running, 1);
	return NULL;
}

/* Busy or full: it comes round again. */
static void may_fail(enum err e)
{
	(void)e;
}

/* ---- the ledger's part
 * ----------------------------------------------------------- */

static struct known *find(struct drive *d, const struct transfer_id *id)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->known[i].used && transfer_id_equal(&d->known[i].id, id))
			return &d->known[i];
	return NULL;
}

static void learn(struct drive *d, const struct tail_record *r)
{
	struct known *k = find(d, &r->id);

	if (k == NULL && r->has_instance && !r->moved) {
		k = &d->known[r->instance.association];
		memset(k, 0, sizeof(*k)); /* of an attempt that failed */
		k->used = true;
		k->id = r->id;
	}
	if (k == NULL || r->index >= CHUNKS)
		return;
	k->places[r->index] = r->place;
	if (r->index >= k->chunks)
		k->chunks = r->index + 1;
	if (r->final)
		k->final = true;
}

static void take_outcome(struct drive *d, const struct outcome *o)
{
	for (uint32_t i = 0; i < d->count; i++) {
		struct known *k = &d->known[i];

		if (k->final)
			continue;
		if (o->kind == OUTCOME_RESTART ||
		    (o->kind == OUTCOME_ABANDONED &&
		     transfer_id_equal(&k->id, &o->id)))
			k->used = false;
	}
}

static void read_tail(struct drive *d, struct spool_tail *t,
		      struct tail_record *r)
{
	while (spool_tail_next(t, r, 1) == ERR_OK) {
		if (r->kind == TAIL_DAMAGE)
			powerloss_fail("damage while driving: %s",
				       r->damage.text);
		if (r->kind == TAIL_CHUNK)
			learn(d, r);
		for (size_t i = 0; i < r->n_outcomes; i++)
			take_outcome(d, &r->outcomes[i]);
	}
	d->position = spool_tail_position(t);
}

/* Nine of ten are delivered soon, the tenth is held for long; everything when
 * there is no room left. */
static uint32_t patience(uint32_t n, bool stuck)
{
	if (stuck)
		return 0;
	return n % 10 == 3 ? 60 : 12;
}

static void give_up_some(struct drive *d)
{
	bool stuck = atomic_exchange(&d->stuck, false);
	uint32_t next = atomic_load(&d->next);

	for (uint32_t i = 0; i < d->count; i++) {
		struct known *k = &d->known[i];
		uint32_t age = patience(i, stuck);
		struct outcome o = {.kind = OUTCOME_DELIVERED, .id = k->id};

		if (!k->used || !k->final || k->given_up || i + age > next)
			continue;
		note(d, POWERLOSS_GIVEN_UP, i);
		k->given_up = true;
		may_fail(spool_outcome(d->spool, &o));
	}
}

/* Chunks in a segment that are still needed; with move, each is copied on. */
static unsigned live_in(struct drive *d, uint32_t segment, bool move)
{
	unsigned live = 0;

	for (uint32_t i = 0; i < d->count; i++) {
		struct known *k = &d->known[i];

		for (unsigned c = 0; k->used && !k->given_up && c < k->chunks;
		     c++) {
			if (k->places[c].segment != segment)
				continue;
			live++;
			if (move && k->final)
				may_fail(spool_move(d->spool, k->places[c],
						    &k->id, c));
		}
	}
	return live;
}

static void free_segments(struct drive *d)
{
	struct spool_segment_info at[SEGMENTS];
	size_t n = spool_segments(d->spool, at, SEGMENTS);

	for (size_t i = 0; i < n && i < SEGMENTS; i++) {
		unsigned live;

		if (at[i].current)
			continue;
		live = live_in(d, at[i].number, false);
		if (live == 0)
			may_fail(
			    spool_recycle(d->spool, at[i].number, d->position));
		else if (live <= 3 && i == 0)
			(void)live_in(d, at[i].number, true);
	}
}

static void be_ledger(struct drive *d)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	struct spool_tail *t;

	if (r == NULL || spool_tail_open(d->spool, d->position, &t) != ERR_OK)
		powerloss_fail("out of memory");
	while (atomic_load(&d->running) > 0) {
		read_tail(d, t, r);
		give_up_some(d);
		/* Not under the tail's own feet, else it is just busy. */
		free_segments(d);
	}
	read_tail(d, t, r);
	spool_tail_close(t);
	mem_free(r);
}

/* ---- with the real one
 * -------------------------------------------------------------- */

static void deliver(void *arg, uint32_t n, const struct transfer_id *id)
{
	struct drive *d = arg;
	struct outcome o = {.kind = OUTCOME_DELIVERED, .id = *id};
	uint32_t age = patience(n, atomic_load(&d->stuck));

	if (n >= d->count || d->known[n].given_up ||
	    n + age > atomic_load(&d->next))
		return;
	(void)INSTANCE_SET(o.destination, "cloud");
	if (n % 3 != 0 && !d->known[n].arrived) { /* it goes over a link */
		d->known[n].arrived = true;
		o.kind = OUTCOME_ARRIVED;
	} else {
		note(d, POWERLOSS_GIVEN_UP, n);
		d->known[n].given_up = true;
	}
	may_fail(spool_outcome(d->spool, &o));
}

static void use_ledger(struct drive *d, const char *dir)
{
	struct ledger *l = powerloss_ledger_open(dir, d->spool);

	while (atomic_load(&d->running) > 0) {
		powerloss_ledger_each(l, deliver, d);
		atomic_store(&d->stuck, false);
		usleep(3000);
	}
	powerloss_ledger_barrier(l);
	ledger_close(l);
}

static void round_of(struct drive *d, const char *dir, unsigned n)
{
	pthread_t threads[THREADS];

	d->spool = powerloss_open(dir);
	atomic_store(&d->running, n);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, put_many, d) != 0)
			powerloss_fail("no thread");
	if (d->with_ledger)
		use_ledger(d, dir);
	else
		be_ledger(d);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	spool_close(d->spool);
}

void powerloss_drive(const char *dir, uint32_t count, bool with_ledger)
{
	struct drive d = {.with_ledger = with_ledger,
			  .known = mem_zarray(count, sizeof(*d.known))};

	/* POSIX's way around a cast that ISO C does not have. */
	*(void **)&d.mark = dlsym(RTLD_DEFAULT, "powerloss_mark");
	if (d.known == NULL)
		powerloss_fail("out of memory");
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		d.count = count * i / ROUNDS;
		atomic_store(&d.next, count * (i - 1) / ROUNDS);
		round_of(&d, dir, i == ROUNDS ? 1 : THREADS);
	}
	mem_free(d.known);
}
