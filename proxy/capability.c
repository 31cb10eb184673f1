#include "proxy/capability.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

enum {
	BUCKETS = 8192,
	PERSIST_MS = 60 * 1000, /* a confirmed entry is not written sooner */
};

struct entry {
	struct entry *next; /* in the bucket */
	struct entry *all;  /* in the table */
	char destination[33];
	char calling_ae[17], called_ae[17];
	struct capability_pair pair;
	enum capability known;
	bool wanted;
	uint64_t learnt_ms;  /* monotonic; when known */
	uint64_t age_before; /* ms it was old when loaded */
};

struct always {
	struct always *next;
	char destination[33];
};

struct capabilities {
	pthread_mutex_t lock;
	struct ledger *ledger;
	struct entry *buckets[BUCKETS];
	struct entry *all;
	size_t n;
	struct always *always; /* set before the threads begin */
	capability_wanted_fn *on_want;
	void *arg;
};

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

enum err capability_new(struct ledger *ledger, struct capabilities **out)
{
	struct capabilities *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return ERR_NOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->ledger = ledger;
	*out = c;
	return ERR_OK;
}

void capability_free(struct capabilities *c)
{
	if (c == NULL)
		return;
	while (c->all != NULL) {
		struct entry *e = c->all;

		c->all = e->all;
		mem_free(e);
	}
	while (c->always != NULL) {
		struct always *a = c->always;

		c->always = a->next;
		mem_free(a);
	}
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

/* ---- the table; all under the lock ------------------------------------- */

static uint32_t hash_text(uint32_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 16777619u; /* FNV-1a */
	return (h ^ 0xFF) * 16777619u;
}

static size_t bucket_of(const struct capability_key *key)
{
	uint32_t h = 2166136261u;

	h = hash_text(h, key->destination);
	h = hash_text(h, key->calling_ae);
	h = hash_text(h, key->called_ae);
	h = hash_text(h, key->abstract);
	h = hash_text(h, key->transfer_syntax);
	return h % BUCKETS;
}

static bool is_pair(const struct entry *e, const char *destination,
		    const char *calling_ae, const char *called_ae)
{
	return strcmp(e->destination, destination) == 0 &&
	       strcmp(e->calling_ae, calling_ae) == 0 &&
	       strcmp(e->called_ae, called_ae) == 0;
}

static struct entry *find(const struct capabilities *c,
			  const struct capability_key *key)
{
	struct entry *e = c->buckets[bucket_of(key)];

	while (e != NULL &&
	       (strcmp(e->pair.abstract, key->abstract) != 0 ||
		strcmp(e->pair.transfer_syntax, key->transfer_syntax) != 0 ||
		!is_pair(e, key->destination, key->calling_ae, key->called_ae)))
		e = e->next;
	return e;
}

#define COPY(to, from) (void)snprintf((to), sizeof(to), "%s", (from))

/* NULL: out of memory, or full. */
static struct entry *find_or_add(struct capabilities *c,
				 const struct capability_key *key)
{
	struct entry *e = find(c, key);
	size_t b;

	if (e != NULL || c->n == CAPABILITY_MAX)
		return e;
	e = mem_zalloc(sizeof(*e));
	if (e == NULL)
		return NULL;
	COPY(e->destination, key->destination);
	COPY(e->calling_ae, key->calling_ae);
	COPY(e->called_ae, key->called_ae);
	COPY(e->pair.abstract, key->abstract);
	COPY(e->pair.transfer_syntax, key->transfer_syntax);
	b = bucket_of(key);
	e->next = c->buckets[b];
	c->buckets[b] = e;
	e->all = c->all;
	c->all = e;
	c->n++;
	return e;
}

static uint64_t age_of(const struct entry *e)
{
	if (e->known == CAPABILITY_UNKNOWN)
		return UINT64_MAX;
	return now_ms() - e->learnt_ms + e->age_before;
}

static bool is_always(const struct capabilities *c, const char *destination)
{
	for (const struct always *a = c->always; a != NULL; a = a->next) {
		if (strcmp(a->destination, destination) == 0)
			return true;
	}
	return false;
}

/* ---- in and out -------------------------------------------------------- */

void capability_load(struct capabilities *c, const struct capability_key *key,
		     bool accepted, int64_t at_wall_ms)
{
	int64_t age = clock_wall_ms() - at_wall_ms;
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	e = find_or_add(c, key);
	if (e != NULL) {
		e->known = accepted ? CAPABILITY_ACCEPTED : CAPABILITY_REFUSED;
		e->wanted = true;
		e->learnt_ms = now_ms();
		e->age_before = age > 0 ? (uint64_t)age : 0;
	}
	pthread_mutex_unlock(&c->lock);
}

void capability_always(struct capabilities *c, const char *destination)
{
	struct always *a = mem_zalloc(sizeof(*a));

	if (a == NULL)
		return; /* then it is asked, and refused: safe */
	COPY(a->destination, destination);
	pthread_mutex_lock(&c->lock);
	a->next = c->always;
	c->always = a;
	pthread_mutex_unlock(&c->lock);
}

enum capability capability_lookup(struct capabilities *c,
				  const struct capability_key *key,
				  uint64_t *age_ms)
{
	enum capability known = CAPABILITY_UNKNOWN;
	uint64_t age = UINT64_MAX;
	const struct entry *e;

	pthread_mutex_lock(&c->lock);
	e = find(c, key);
	if (is_always(c, key->destination)) {
		known = CAPABILITY_ACCEPTED;
		age = 0;
	} else if (e != NULL) {
		known = e->known;
		age = age_of(e);
	}
	pthread_mutex_unlock(&c->lock);
	if (age_ms != NULL)
		*age_ms = age;
	return known;
}

void capability_each(struct capabilities *c, const char *destination,
		     capability_each_fn *fn, void *arg)
{
	pthread_mutex_lock(&c->lock);
	for (const struct entry *e = c->all; e != NULL; e = e->all) {
		struct capability_key key = {.destination = e->destination,
					     .calling_ae = e->calling_ae,
					     .called_ae = e->called_ae,
					     .abstract = e->pair.abstract,
					     .transfer_syntax =
						 e->pair.transfer_syntax};

		if (e->known != CAPABILITY_UNKNOWN &&
		    strcmp(e->destination, destination) == 0)
			fn(arg, &key, e->known == CAPABILITY_ACCEPTED,
			   age_of(e));
	}
	pthread_mutex_unlock(&c->lock);
}

void capability_want(struct capabilities *c, const struct capability_key *key)
{
	bool fresh = false;
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	if (!is_always(c, key->destination)) {
		e = find_or_add(c, key);
		fresh = e != NULL && !e->wanted;
		if (fresh)
			e->wanted = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (fresh && c->on_want != NULL)
		c->on_want(c->arg);
}

static void persist(struct capabilities *c, const struct capability_key *key,
		    bool accepted)
{
	struct ledger_capability row = {.accepted = accepted,
					.checked_ms = clock_wall_ms()};

	if (c->ledger == NULL)
		return;
	COPY(row.destination, key->destination);
	COPY(row.calling_ae, key->calling_ae);
	COPY(row.called_ae, key->called_ae);
	COPY(row.abstract, key->abstract);
	COPY(row.transfer_syntax, key->transfer_syntax);
	ledger_capability(c->ledger, &row);
}

void capability_learn(struct capabilities *c, const struct capability_key *key,
		      bool accepted)
{
	enum capability now =
	    accepted ? CAPABILITY_ACCEPTED : CAPABILITY_REFUSED;
	bool tell = false;
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	e = find_or_add(c, key);
	if (e != NULL) {
		tell = e->known != now || age_of(e) >= PERSIST_MS;
		e->known = now;
		e->wanted = true;
		e->learnt_ms = now_ms();
		e->age_before = 0;
	}
	pthread_mutex_unlock(&c->lock);
	if (tell)
		persist(c, key, accepted);
}

size_t capability_due(struct capabilities *c, const char *destination,
		      const char *calling_ae, const char *called_ae,
		      uint64_t max_age_ms, struct capability_pair *out,
		      size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	for (unsigned round = 0; round < 2; round++) {
		for (const struct entry *e = c->all; e != NULL && n < max;
		     e = e->all) {
			bool unknown = e->known == CAPABILITY_UNKNOWN;

			if (e->wanted && unknown == (round == 0) &&
			    age_of(e) > max_age_ms &&
			    is_pair(e, destination, calling_ae, called_ae))
				out[n++] = e->pair;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

struct aes {
	char calling_ae[17], called_ae[17];
};

enum { AES_MAX = 1024 }; /* AE pairs of a destination */

static bool has_aes(const struct aes *list, size_t n, const struct entry *e)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].calling_ae, e->calling_ae) == 0 &&
		    strcmp(list[i].called_ae, e->called_ae) == 0)
			return true;
	}
	return false;
}

void capability_each_aes(struct capabilities *c, const char *destination,
			 capability_aes_fn *fn, void *arg)
{
	struct aes *list = mem_zarray(AES_MAX, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	for (const struct entry *e = c->all; e != NULL && n < AES_MAX;
	     e = e->all) {
		if (!e->wanted || strcmp(e->destination, destination) != 0 ||
		    has_aes(list, n, e))
			continue;
		COPY(list[n].calling_ae, e->calling_ae);
		COPY(list[n].called_ae, e->called_ae);
		n++;
	}
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < n; i++)
		fn(arg, list[i].calling_ae, list[i].called_ae);
	mem_free(list);
}

bool capability_contacted(struct capabilities *c, const char *destination,
			  const char *calling_ae, const char *called_ae)
{
	bool yes;

	pthread_mutex_lock(&c->lock);
	yes = is_always(c, destination);
	for (const struct entry *e = c->all; e != NULL && !yes; e = e->all)
		yes = e->known != CAPABILITY_UNKNOWN &&
		      is_pair(e, destination, calling_ae, called_ae);
	pthread_mutex_unlock(&c->lock);
	return yes;
}

void capability_on_want(struct capabilities *c, capability_wanted_fn *fn,
			void *arg)
{
	c->on_want = fn;
	c->arg = arg;
}
