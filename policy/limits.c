#include "policy/limits.h"

#include <assert.h>
#include <pthread.h>

#include "policy/change.h"
#include "proxy/lib/mem.h"

/* Credit is kept in tokens * per_ms, so that nothing is rounded: a
 * millisecond adds n, a token costs per_ms. value_rate() bounds per_ms to a
 * day and n to 32 bits, so a full bucket fits easily. */

void limit_bucket_init(struct limit_bucket *b, struct config_rate rate,
		       uint64_t now_ms)
{
	*b = (struct limit_bucket){
	    .rate = rate, .credit = rate.n * rate.per_ms, .last_ms = now_ms};
}

static void refill(struct limit_bucket *b, uint64_t now_ms)
{
	uint64_t full = b->rate.n * b->rate.per_ms;
	uint64_t passed = now_ms > b->last_ms ? now_ms - b->last_ms : 0;

	/* After per_ms it is full in any case. */
	if (passed > b->rate.per_ms)
		passed = b->rate.per_ms;
	b->credit += passed * b->rate.n;
	if (b->credit > full)
		b->credit = full;
	b->last_ms = now_ms;
}

void limit_bucket_change(struct limit_bucket *b, struct config_rate rate,
			 uint64_t now_ms)
{
	struct config_rate old = b->rate;
	double share;

	if (old.n == rate.n && old.per_ms == rate.per_ms)
		return;
	if (old.n > 0)
		refill(b, now_ms);
	share = old.n > 0
		    ? (double)b->credit / ((double)old.n * (double)old.per_ms)
		    : 1;
	limit_bucket_init(b, rate, now_ms);
	b->credit = (uint64_t)((double)b->credit * share);
}

bool limit_bucket_take(struct limit_bucket *b, uint64_t now_ms)
{
	if (b->rate.n == 0)
		return true;
	refill(b, now_ms);
	if (b->credit < b->rate.per_ms)
		return false;
	b->credit -= b->rate.per_ms;
	return true;
}

uint64_t limit_bucket_wait(struct limit_bucket *b, uint64_t now_ms)
{
	uint64_t missing;

	if (b->rate.n == 0)
		return 0;
	refill(b, now_ms);
	if (b->credit >= b->rate.per_ms)
		return 0;
	missing = b->rate.per_ms - b->credit;
	return (missing + b->rate.n - 1) / b->rate.n;
}

const char *limit_verdict_name(enum limit_verdict v)
{
	switch (v) {
	case LIMIT_PASS:
		return "pass";
	case LIMIT_LISTENER_FULL:
		return "listener-full";
	case LIMIT_DEVICE_FULL:
		return "device-full";
	case LIMIT_DEVICE_TOO_FAST:
		return "device-too-fast";
	}
	return "?";
}

struct listener_count {
	uint32_t now;
	uint32_t associations, per_device; /* at most */
	struct config_rate rate;
	struct limit_bucket handshakes;
};

struct device_count {
	uint32_t now;          /* over all listeners */
	uint32_t associations; /* at most; 0: the listener's per_device */
	struct config_rate rate;
	struct limit_bucket *buckets; /* one for each listener */
};

struct limits {
	pthread_mutex_t lock;
	const struct config *cfg; /* borrowed */
	struct listener_count *listeners;
	struct device_count *devices;
	struct limit_bucket *buckets; /* all of them */
};

static void take_listeners(struct limits *l, const struct config *from,
			   uint64_t now_ms)
{
	for (size_t i = 0; i < l->cfg->n_listeners; i++) {
		struct listener_count *c = &l->listeners[i];
		int at = change_listener(from, l->cfg, i);
		const struct config_listener *v;

		if (at < 0)
			continue;
		v = &from->listeners[at];
		c->associations = v->limits.associations;
		c->per_device = v->limits.per_device;
		c->rate = v->limits.rate;
		limit_bucket_change(&c->handshakes, v->limits.handshakes,
				    now_ms);
	}
}

static void take_devices(struct limits *l, const struct config *from,
			 uint64_t now_ms)
{
	for (size_t i = 0; i < l->cfg->n_devices; i++) {
		struct device_count *d = &l->devices[i];
		int at = change_device(from, l->cfg, i);

		if (at >= 0) {
			d->associations = from->devices[at].limits.associations;
			d->rate = from->devices[at].limits.rate;
		}
		for (size_t j = 0; j < l->cfg->n_listeners; j++)
			limit_bucket_change(
			    &d->buckets[j],
			    d->rate.n > 0 ? d->rate : l->listeners[j].rate,
			    now_ms);
	}
}

void limits_take(struct limits *l, const struct config *fresh, uint64_t now_ms)
{
	pthread_mutex_lock(&l->lock);
	take_listeners(l, fresh, now_ms);
	take_devices(l, fresh, now_ms);
	pthread_mutex_unlock(&l->lock);
}

enum err limits_new(const struct config *cfg, uint64_t now_ms,
		    struct limits **out)
{
	struct limits *l = mem_zalloc(sizeof(*l));
	size_t places = cfg->n_listeners * cfg->n_devices;

	if (l == NULL)
		return ERR_NOMEM;
	l->cfg = cfg;
	l->listeners = mem_zarray(cfg->n_listeners + 1, sizeof(*l->listeners));
	l->devices = mem_zarray(cfg->n_devices + 1, sizeof(*l->devices));
	l->buckets = mem_zarray(places + 1, sizeof(*l->buckets));
	if (l->listeners == NULL || l->devices == NULL || l->buckets == NULL ||
	    pthread_mutex_init(&l->lock, NULL) != 0) {
		mem_free(l->listeners);
		mem_free(l->devices);
		mem_free(l->buckets);
		mem_free(l);
		return ERR_NOMEM;
	}
	for (size_t d = 0; d < cfg->n_devices; d++)
		l->devices[d].buckets = l->buckets + d * cfg->n_listeners;
	limits_take(l, cfg, now_ms);
	*out = l;
	return ERR_OK;
}

void limits_free(struct limits *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	mem_free(l->listeners);
	mem_free(l->devices);
	mem_free(l->buckets);
	mem_free(l);
}

uint64_t limits_handshake(struct limits *l, size_t listener, uint64_t now_ms)
{
	struct limit_bucket *b = &l->listeners[listener].handshakes;
	uint64_t wait;

	pthread_mutex_lock(&l->lock);
	(void)limit_bucket_take(b,
				now_ms); /* none: it has begun all the same */
	wait = limit_bucket_wait(b, now_ms);
	pthread_mutex_unlock(&l->lock);
	return wait;
}

enum limit_verdict limits_connect(struct limits *l, size_t listener)
{
	enum limit_verdict v = LIMIT_PASS;

	pthread_mutex_lock(&l->lock);
	if (l->listeners[listener].now >= l->listeners[listener].associations)
		v = LIMIT_LISTENER_FULL;
	else
		l->listeners[listener].now++;
	pthread_mutex_unlock(&l->lock);
	return v;
}

static uint32_t most_of(const struct limits *l, size_t listener, size_t device)
{
	uint32_t own = l->devices[device].associations;

	return own > 0 ? own : l->listeners[listener].per_device;
}

enum limit_verdict limits_associate(struct limits *l, size_t listener,
				    size_t device, uint64_t now_ms)
{
	struct device_count *d = &l->devices[device];
	enum limit_verdict v = LIMIT_PASS;

	pthread_mutex_lock(&l->lock);
	if (d->now >= most_of(l, listener, device))
		v = LIMIT_DEVICE_FULL;
	else if (!limit_bucket_take(&d->buckets[listener], now_ms))
		v = LIMIT_DEVICE_TOO_FAST;
	else
		d->now++;
	pthread_mutex_unlock(&l->lock);
	return v;
}

void limits_disconnect(struct limits *l, size_t listener, int device)
{
	pthread_mutex_lock(&l->lock);
	assert(l->listeners[listener].now > 0);
	l->listeners[listener].now--;
	if (device >= 0) {
		assert(l->devices[device].now > 0);
		l->devices[device].now--;
	}
	pthread_mutex_unlock(&l->lock);
}

uint32_t limits_listener_count(struct limits *l, size_t listener)
{
	uint32_t n;

	pthread_mutex_lock(&l->lock);
	n = l->listeners[listener].now;
	pthread_mutex_unlock(&l->lock);
	return n;
}

uint32_t limits_device_count(struct limits *l, size_t device)
{
	uint32_t n;

	pthread_mutex_lock(&l->lock);
	n = l->devices[device].now;
	pthread_mutex_unlock(&l->lock);
	return n;
}
