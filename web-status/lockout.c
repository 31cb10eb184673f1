#include "web-status/lockout.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

enum { KEY_LEN = 160 }; /* an address, a name and what parts them */

struct entry {
	char key[KEY_LEN]; /* "": free */
	unsigned failures;
	uint64_t until_ms; /* of the delay */
	uint64_t seen_ms;
};

struct table {
	struct entry v[LOCKOUT_ENTRIES];
};

struct lockout {
	pthread_mutex_t lock;
	struct table pairs, addresses, names;
	struct table known; /* pairs that have logged in */
};

struct lockout *lockout_new(void)
{
	struct lockout *l = mem_zalloc(sizeof(*l));

	if (l != NULL)
		pthread_mutex_init(&l->lock, NULL);
	return l;
}

void lockout_free(struct lockout *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void pair_key(const char *address, const char *name, char out[KEY_LEN])
{
	snprintf(out, KEY_LEN, "%s %s", address, name);
}

static struct entry *find(struct table *t, const char *key)
{
	for (size_t i = 0; i < LOCKOUT_ENTRIES; i++)
		if (t->v[i].key[0] != '\0' && strcmp(t->v[i].key, key) == 0)
			return &t->v[i];
	return NULL;
}

static bool stale(const struct entry *e, uint64_t now)
{
	return e->key[0] == '\0' ||
	       (now - e->seen_ms > LOCKOUT_FORGET_MS && now >= e->until_ms);
}

/* Whether a gives way before b. */
static bool before(const struct entry *a, const struct entry *b, uint64_t now)
{
	bool waits_a = now < a->until_ms, waits_b = now < b->until_ms;

	if (waits_a != waits_b)
		return waits_b;
	return a->seen_ms < b->seen_ms;
}

static struct entry *find_or_add(struct table *t, uint64_t now, const char *key)
{
	struct entry *e = find(t, key), *way = &t->v[0];

	if (e != NULL)
		return e;
	for (size_t i = 0; i < LOCKOUT_ENTRIES; i++) {
		if (stale(&t->v[i], now)) {
			way = &t->v[i];
			break;
		}
		if (before(&t->v[i], way, now))
			way = &t->v[i];
	}
	memset(way, 0, sizeof(*way));
	snprintf(way->key, sizeof(way->key), "%s", key);
	return way;
}

static uint64_t left(struct table *t, uint64_t now, const char *key)
{
	const struct entry *e = find(t, key);

	return e != NULL && now < e->until_ms ? e->until_ms - now : 0;
}

static uint64_t longest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t lockout_wait(struct lockout *l, uint64_t now_ms, const char *address,
		      const char *name)
{
	char pair[KEY_LEN];
	uint64_t ms;

	pair_key(address, name, pair);
	pthread_mutex_lock(&l->lock);
	ms = left(&l->pairs, now_ms, pair);
	if (find(&l->known, pair) == NULL) {
		ms = longest(ms, left(&l->addresses, now_ms, address));
		ms = longest(ms, left(&l->names, now_ms, name));
	}
	pthread_mutex_unlock(&l->lock);
	return ms;
}

static void count(struct table *t, uint64_t now, const char *key,
		  unsigned spared, uint64_t max)
{
	struct entry *e = find_or_add(t, now, key);
	uint64_t ms = LOCKOUT_FIRST_MS;

	if (stale(e, now))
		e->failures = 0;
	e->seen_ms = now;
	e->failures++;
	if (e->failures < spared)
		return;
	for (unsigned i = spared; i < e->failures && ms < max; i++)
		ms *= 2;
	e->until_ms = now + (ms < max ? ms : max);
}

void lockout_failed(struct lockout *l, uint64_t now_ms, const char *address,
		    const char *name)
{
	char pair[KEY_LEN];
	bool known;

	pair_key(address, name, pair);
	pthread_mutex_lock(&l->lock);
	known = find(&l->known, pair) != NULL;
	count(&l->pairs, now_ms, pair, LOCKOUT_FREE, LOCKOUT_MAX_MS);
	if (!known) {
		count(&l->addresses, now_ms, address, LOCKOUT_FREE,
		      LOCKOUT_MAX_MS);
		count(&l->names, now_ms, name, LOCKOUT_FREE_NAME,
		      LOCKOUT_NAME_MAX_MS);
	}
	pthread_mutex_unlock(&l->lock);
}

void lockout_passed(struct lockout *l, uint64_t now_ms, const char *address,
		    const char *name)
{
	struct entry *e;
	char pair[KEY_LEN];

	pair_key(address, name, pair);
	pthread_mutex_lock(&l->lock);
	e = find(&l->pairs, pair);
	if (e != NULL)
		memset(e, 0, sizeof(*e));
	find_or_add(&l->known, now_ms, pair)->seen_ms = now_ms;
	pthread_mutex_unlock(&l->lock);
}
