/* The driver (two peers send, break off, go on after a restart, give up; the
 * real ledger tails, delivers and recycles) and the check of an image. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/ledger.h"
#include "tests/fault/powerloss_partial.h"

enum { THREADS = 2, ROUNDS = 3, ALL = (1 << PARTIAL_CHUNKS) - 1 };

/* What becomes of a transfer in its first round. */
enum way { STRAIGHT, BROKEN, LATER, DROPPED };

struct drive {
	struct spool *spool;
	uint32_t count, base; /* of this round: base..count */
	atomic_uint next;
	atomic_uint running;
	bool *delivered; /* by transfer */
	void (*mark)(const void *p, size_t n);
};

static void note(struct drive *d, enum powerloss_event event, uint32_t subject)
{
	struct powerloss_note n = {(uint32_t)event, subject};

	if (d->mark != NULL)
		d->mark(&n, sizeof(n));
}

static void told(void *arg, uint32_t subject)
{
	note(arg, POWERLOSS_ACKED, subject);
}

static void give_up(struct drive *d, uint32_t n)
{
	for (uint32_t k = 0; k < PARTIAL_SLOTS; k++)
		note(d, POWERLOSS_GIVEN_UP, n * PARTIAL_SLOTS + k);
}

static enum way way_of(uint32_t n)
{
	static const enum way ways[] = {STRAIGHT, LATER,  STRAIGHT, BROKEN,
					DROPPED,  BROKEN, LATER};

	return ways[n % ARRAY_LEN(ways)];
}

static void check_ok(enum err e, const char *what, uint32_t n)
{
	if (e != ERR_OK)
		powerloss_fail("%s of transfer %u: %s", what, n, err_text(e));
}

static void drop(struct drive *d, uint32_t n)
{
	struct instance in;
	enum err e;

	powerloss_partial_describe(n, &in);
	give_up(d, n);
	e = spool_partial_abandon(d->spool, &in.origin);
	/* One of no chunks, or of one that failed, is not there. */
	if (e != ERR_OK && e != ERR_NOTFOUND)
		powerloss_fail("abandoning %u: %s", n, err_text(e));
}

static void send_one(struct drive *d, uint32_t n, bool again)
{
	enum way way = again ? STRAIGHT : way_of(n);
	struct powerloss_sender *t = powerloss_sender_new(d->spool, n, told, d);

	if (way != STRAIGHT) {
		check_ok(powerloss_sender_put(t, n % 2 == 0 ? 2 : 5, false),
			 "chunks", n);
		powerloss_sender_close(t);
		if (way == DROPPED)
			drop(d, n);
		if (way != BROKEN)
			return;
		t = powerloss_sender_new(d->spool, n, told, d);
	}
	check_ok(powerloss_sender_put(t, ALL, false), "chunks", n);
	check_ok(powerloss_sender_finish(t), "finish", n);
	powerloss_sender_close(t);
}

/* What the round before left for later comes first. */
static void *send_many(void *arg)
{
	struct drive *d = arg;
	uint32_t n;

	while ((n = atomic_fetch_add(&d->next, 1)) < d->count) {
		bool again = n < d->base;

		if (!again || way_of(n) == LATER)
			send_one(d, n, again);
	}
	atomic_fetch_sub(&d->running, 1);
	return NULL;
}

/* ---- the ledger's side --------------------------------------------------- */

static void deliver(void *arg, uint32_t n, const struct transfer_id *id)
{
	struct drive *d = arg;
	struct outcome o = {.kind = OUTCOME_DELIVERED, .id = *id};

	if (n >= d->count || d->delivered[n] || n % 5 == 2)
		return; /* some wait for a later round */
	give_up(d, n);
	d->delivered[n] = true;
	(void)INSTANCE_SET(o.destination, "cloud");
	if (spool_outcome(d->spool, &o) != ERR_OK)
		d->delivered[n] = false;
}

static void round_of(struct drive *d, const char *dir)
{
	pthread_t threads[THREADS];
	struct ledger *l;

	d->spool = powerloss_partial_open(dir);
	l = powerloss_ledger_open(dir, d->spool);
	atomic_store(&d->running, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, send_many, d) != 0)
			powerloss_fail("no thread");
	while (atomic_load(&d->running) > 0) {
		powerloss_ledger_each(l, deliver, d);
		usleep(3000);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	powerloss_ledger_barrier(l);
	ledger_close(l);
	spool_close(d->spool);
}

void powerloss_partial_drive(const char *dir, uint32_t count)
{
	struct drive d = {.delivered = mem_zarray(count, sizeof(*d.delivered))};

	/* POSIX's way around a cast that ISO C does not have. */
	*(void **)&d.mark = dlsym(RTLD_DEFAULT, "powerloss_mark");
	if (d.delivered == NULL)
		powerloss_fail("out of memory");
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		uint32_t before = i > 1 ? count * (i - 2) / ROUNDS : 0;

		d.base = count * (i - 1) / ROUNDS;
		d.count = count * i / ROUNDS;
		atomic_store(&d.next, before);
		round_of(&d, dir);
	}
	mem_free(d.delivered);
}

/* ---- an image --------------------------------------------------------------
 */

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

static const struct transfer_id *final_of(const struct found *f, uint32_t n)
{
	for (size_t i = f->n; i > 0; i--)
		if (f->at[i - 1].final &&
		    f->at[i - 1].instance.association == n)
			return &f->at[i - 1].id;
	return NULL;
}

static bool place_in_tail(const struct found *f, const struct transfer_id *id,
			  uint32_t k, struct place *place)
{
	for (size_t i = f->n; i > 0; i--)
		if (f->at[i - 1].index == k &&
		    transfer_id_equal(&f->at[i - 1].id, id)) {
			*place = f->at[i - 1].place;
			return true;
		}
	return false;
}

/* Chunk k of transfer n, of its instance or listed as partial. */
static bool find_chunk(struct spool *s, const struct found *f, uint32_t n,
		       uint32_t k, struct transfer_id *id, struct place *place)
{
	const struct transfer_id *whole = final_of(f, n);
	struct spool_partial_info info;
	struct spool_partial_have have;
	struct instance in;
	size_t got;

	if (whole != NULL) {
		*id = *whole;
		return place_in_tail(f, id, k, place);
	}
	powerloss_partial_describe(n, &in);
	if (spool_partial_find(s, &in.origin, &info) != ERR_OK ||
	    spool_partial_chunks(s, &in.origin, k, &have, 1, &got) != ERR_OK ||
	    got == 0 || have.index != k)
		return false;
	*id = info.id;
	*place = have.place;
	return true;
}

static void check_chunk(struct spool *s, const struct found *f, uint32_t n,
			uint32_t k, uint8_t *block)
{
	struct transfer_id id;
	struct place place;
	size_t len;

	if (!find_chunk(s, f, n, k, &id, &place))
		powerloss_fail("acknowledged chunk %u of transfer %u is "
			       "missing",
			       k, n);
	if (spool_read_chunk(s, place, &id, k, block, &len) != ERR_OK)
		powerloss_fail("acknowledged chunk %u of transfer %u does not "
			       "open",
			       k, n);
	if (!powerloss_same(n, (uint64_t)k * CHUNK_LEN, block, len))
		powerloss_fail("acknowledged chunk %u of transfer %u has "
			       "other bytes",
			       k, n);
}

static void check_subject(struct spool *s, const struct found *f,
			  uint32_t subject, uint8_t *block)
{
	uint32_t n = subject / PARTIAL_SLOTS, k = subject % PARTIAL_SLOTS;

	if (k != PARTIAL_WHOLE) {
		check_chunk(s, f, n, k, block);
		return;
	}
	if (final_of(f, n) == NULL)
		powerloss_fail("acknowledged transfer %u is missing", n);
	for (k = 0; k < powerloss_partial_chunks(n); k++)
		check_chunk(s, f, n, k, block);
}

struct seen {
	bool at[4096];
};

static void see(void *arg, uint32_t n, const struct transfer_id *id)
{
	struct seen *seen = arg;

	(void)id;
	if (n < ARRAY_LEN(seen->at))
		seen->at[n] = true;
}

/* Its peer goes on with one: spool and ledger must agree on what there is. A
 * full spool may refuse. */
static bool go_on(struct spool *s, const struct spool_partial_info *info)
{
	struct powerloss_sender *t;
	uint32_t n;
	enum err e = ERR_NOSPACE;

	memcpy(&n, info->origin.id.b, sizeof(n));
	t = powerloss_sender_new(s, n, NULL, NULL);
	if (t == NULL)
		return false;
	e = powerloss_sender_put(t, ALL, true);
	if (e == ERR_OK)
		e = powerloss_sender_finish(t);
	powerloss_sender_close(t);
	if (e != ERR_OK && e != ERR_NOSPACE)
		powerloss_fail("going on with %u: %s", n, err_text(e));
	return e == ERR_OK;
}

static void check_origin(struct ledger *l, uint32_t n)
{
	struct instance in;

	powerloss_partial_describe(n, &in);
	if (!powerloss_ledger_knows(l, &in.origin))
		powerloss_fail("acknowledged transfer %u is not known by its "
			       "origin",
			       n);
}

static void check_ledger(struct spool *s, const char *dir,
			 struct powerloss_acked acked)
{
	struct ledger *l = powerloss_ledger_open(dir, s);
	struct spool_partial_info info[64];
	size_t n;
	struct seen *seen = mem_zalloc(sizeof(*seen));
	uint32_t number;

	if (seen == NULL)
		powerloss_fail("out of memory");
	powerloss_ledger_barrier(l);
	n = spool_partial_list(s, info, ARRAY_LEN(info));
	for (size_t i = 0; i < n && i < ARRAY_LEN(info); i++)
		if (!go_on(s, &info[i]))
			n = i;
	powerloss_ledger_barrier(l);
	powerloss_ledger_each(l, see, seen);
	for (size_t i = 0; i < acked.n; i++)
		if (acked.at[i] % PARTIAL_SLOTS == PARTIAL_WHOLE &&
		    !seen->at[acked.at[i] / PARTIAL_SLOTS])
			powerloss_fail("acknowledged transfer %u is not in "
				       "the ledger's queue",
				       acked.at[i] / PARTIAL_SLOTS);
	for (size_t i = 0; i < acked.n; i++)
		if (acked.at[i] % PARTIAL_SLOTS == PARTIAL_WHOLE)
			check_origin(l, acked.at[i] / PARTIAL_SLOTS);
	for (size_t i = 0; i < n; i++) {
		memcpy(&number, info[i].origin.id.b, sizeof(number));
		if (!seen->at[number])
			powerloss_fail("transfer %u was gone on with, but is "
				       "not in the ledger's queue",
				       number);
	}
	mem_free(seen);
	ledger_close(l);
}

void powerloss_partial_check(const char *dir, struct powerloss_acked acked)
{
	struct spool *s = powerloss_partial_open(dir);
	uint8_t *block = mem_zalloc(CHUNK_LEN);
	struct found f = {NULL, 0, 0};

	if (block == NULL)
		powerloss_fail("out of memory");
	read_all(s, &f);
	for (size_t i = 0; i < acked.n; i++)
		check_subject(s, &f, acked.at[i], block);
	check_ledger(s, dir, acked);
	spool_close(s);
	mem_free(f.at);
	mem_free(block);
}
