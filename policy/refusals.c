/* Refusals that repeat become counts. */
#include <pthread.h>
#include <string.h>

#include "policy/limits.h"
#include "proxy/lib/mem.h"

struct entry {
	bool used;
	struct refusal refusal;
	uint64_t window_ms; /* when its window began */
};

struct refusals {
	pthread_mutex_t lock;
	struct entry entries[REFUSAL_TABLE];
};

enum err refusals_new(struct refusals **out)
{
	struct refusals *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	if (pthread_mutex_init(&r->lock, NULL) != 0) {
		mem_free(r);
		return ERR_NOMEM;
	}
	*out = r;
	return ERR_OK;
}

void refusals_free(struct refusals *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

static bool same(const struct refusal_key *a, const struct refusal_key *b)
{
	return strcmp(a->listener, b->listener) == 0 &&
	       strcmp(a->address, b->address) == 0 &&
	       strcmp(a->calling_ae, b->calling_ae) == 0 &&
	       strcmp(a->called_ae, b->called_ae) == 0 &&
	       strcmp(a->reason, b->reason) == 0;
}

static struct entry *find(struct refusals *r, const struct refusal_key *key)
{
	for (size_t i = 0; i < REFUSAL_TABLE; i++)
		if (r->entries[i].used && same(&r->entries[i].refusal.key, key))
			return &r->entries[i];
	return NULL;
}

/* A free entry, or the one unused longest. */
static struct entry *oldest(struct refusals *r)
{
	struct entry *best = &r->entries[0];

	for (size_t i = 0; i < REFUSAL_TABLE; i++) {
		struct entry *e = &r->entries[i];

		if (!e->used)
			return e;
		if (e->refusal.last_ms < best->refusal.last_ms)
			best = e;
	}
	return best;
}

static void drop(struct entry *e, refusal_fn *report, void *arg)
{
	if (e->used && e->refusal.count > 0)
		report(arg, &e->refusal);
	e->used = false;
}

static bool ended(const struct entry *e, uint64_t now_ms)
{
	return now_ms > e->window_ms &&
	       now_ms - e->window_ms >= REFUSAL_WINDOW_MS;
}

static void begin(struct entry *e, const struct refusal_key *key,
		  uint64_t now_ms)
{
	*e = (struct entry){.used = true, .window_ms = now_ms};
	e->refusal.key = *key;
	e->refusal.last_ms = now_ms;
}

static void count(struct entry *e, uint64_t now_ms)
{
	if (e->refusal.count++ == 0)
		e->refusal.first_ms = now_ms;
	e->refusal.last_ms = now_ms;
}

bool refusals_note(struct refusals *r, const struct refusal_key *key,
		   uint64_t now_ms, refusal_fn *report, void *arg)
{
	struct entry *e;
	bool fresh = true;

	pthread_mutex_lock(&r->lock);
	e = find(r, key);
	if (e != NULL && !ended(e, now_ms)) {
		count(e, now_ms);
		fresh = false;
	} else {
		if (e == NULL)
			e = oldest(r);
		drop(e, report, arg);
		begin(e, key, now_ms);
	}
	pthread_mutex_unlock(&r->lock);
	return fresh;
}

/* Kinds that differ from key in their AE titles only. */
static unsigned others_like(const struct refusals *r,
			    const struct refusal_key *key)
{
	unsigned n = 0;

	for (size_t i = 0; i < REFUSAL_TABLE; i++) {
		const struct refusal_key *k = &r->entries[i].refusal.key;

		if (r->entries[i].used &&
		    strcmp(k->listener, key->listener) == 0 &&
		    strcmp(k->address, key->address) == 0 &&
		    strcmp(k->reason, key->reason) == 0)
			n++;
	}
	return n;
}

static void any_names(struct refusal_key *key)
{
	memcpy(key->calling_ae, "*", 2);
	memcpy(key->called_ae, "*", 2);
}

void refusals_merge(struct refusals *r, struct refusal_key *key)
{
	pthread_mutex_lock(&r->lock);
	if (find(r, key) == NULL && others_like(r, key) >= REFUSAL_NAMES)
		any_names(key);
	if (find(r, key) == NULL && oldest(r)->used) {
		any_names(key);
		memcpy(key->address, "*", 2);
	}
	pthread_mutex_unlock(&r->lock);
}

void refusals_flush(struct refusals *r, uint64_t now_ms, bool all,
		    refusal_fn *report, void *arg)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < REFUSAL_TABLE; i++) {
		struct entry *e = &r->entries[i];

		if (e->used && (all || ended(e, now_ms)))
			drop(e, report, arg);
	}
	pthread_mutex_unlock(&r->lock);
}
