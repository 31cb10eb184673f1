#include <assert.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

enum { RING_START = 64 };

_Static_assert(OUTCOME_BATCH *RECORD_OUTCOME_MAX <= SLAB_LEN,
	       "a batch of outcomes must fit one slab");

static enum err grow(struct outcomes *o)
{
	size_t room = o->room > 0 ? 2 * o->room : RING_START;
	struct outcome *at;

	if (o->n < o->room)
		return ERR_OK;
	if (o->n >= OUTCOMES_MAX)
		return ERR_BUSY;
	at = mem_zarray(room, sizeof(*at));
	if (at == NULL)
		return ERR_NOMEM;
	assert(o->n == 0 || o->room > 0);
	for (size_t i = 0; i < o->n; i++)
		at[i] = o->at[(o->first + i) % o->room];
	mem_free(o->at);
	o->at = at;
	o->room = room;
	o->first = 0;
	return ERR_OK;
}

enum err spool_outcome_add(struct spool *s, const struct outcome *o)
{
	struct outcomes *ring = &s->outcomes;
	enum err e = grow(ring);

	if (e != ERR_OK)
		return e;
	ring->at[(ring->first + ring->n) % ring->room] = *o;
	if (ring->n++ == 0)
		ring->since_ns = clock_mono_ns();
	if (ring->n == 1 || ring->n == OUTCOME_BATCH)
		pthread_cond_signal(&s->work);
	return ERR_OK;
}

enum err spool_outcome(struct spool *s, const struct outcome *o)
{
	uint64_t number;

	return spool_outcome_number(s, o, &number);
}

struct spool_outcomes spool_outcomes(struct spool *s)
{
	struct spool_outcomes out;

	pthread_mutex_lock(&s->lock);
	out.durable = s->outcomes.durable;
	out.lost = s->outcomes.lost;
	pthread_mutex_unlock(&s->lock);
	return out;
}

void spool_outcomes_settle(struct spool *s, uint64_t last, enum err e)
{
	if (e == ERR_OK)
		s->outcomes.durable = last;
	else
		s->outcomes.lost++;
}

enum err spool_outcome_number(struct spool *s, const struct outcome *o,
			      uint64_t *number)
{
	enum err e;

	if (o->kind == OUTCOME_ABANDONED || o->kind == OUTCOME_RESTART ||
	    o->kind == OUTCOME_KEPT)
		return ERR_INVAL;
	pthread_mutex_lock(&s->lock);
	e = s->closing ? ERR_CANCELED : spool_outcome_add(s, o);
	*number = s->outcomes.taken + s->outcomes.n;
	pthread_mutex_unlock(&s->lock);
	return e == ERR_NOMEM ? ERR_BUSY : e;
}

bool spool_outcomes_due(const struct spool *s, uint64_t now_ns)
{
	const struct outcomes *o = &s->outcomes;

	if (o->n == 0)
		return false;
	if (!s->writer.begun && s->n_partials > 0)
		return true; /* spool_open() waits for it */
	return s->closing || o->n >= OUTCOME_BATCH ||
	       now_ns - o->since_ns >= s->outcome_ms * 1000000ull;
}

size_t spool_outcomes_take(struct spool *s, struct outcome *out)
{
	struct outcomes *o = &s->outcomes;
	size_t n = o->n < OUTCOME_BATCH ? o->n : OUTCOME_BATCH;

	for (size_t i = 0; i < n; i++)
		out[i] = o->at[(o->first + i) % o->room];
	if (n > 0)
		o->first = (o->first + n) % o->room;
	o->n -= n;
	o->taken += n;
	return n;
}

static enum err seal_outcomes(struct spool *s, struct record *r, uint8_t *p)
{
	uint8_t salt[32], aad[RECORD_AAD], nonce[SEAL_NONCE_LEN];
	struct seal_text t = {
	    .aad = aad, .aad_len = sizeof(aad), .in = p, .len = r->filled};
	struct seal *seal;
	enum err e =
	    seal_random(r->head.payload_salt, sizeof(r->head.payload_salt));

	if (e != ERR_OK)
		return e;
	record_payload_salt(&r->head, salt);
	record_payload_aad(&r->head, aad);
	seal_nonce(0, nonce);
	e = seal_new(s->key, salt, sizeof(salt), record_payload_info, &seal);
	if (e != ERR_OK)
		return e;
	e = seal_lock(seal, nonce, &t, p, r->head.payload_tag);
	seal_free(seal);
	r->sealed = r->filled;
	r->head.payload_len = (uint32_t)r->filled;
	return e;
}

/* Outcomes free space, so they never wait for a buffer: the slab is taken
 * whatever the bound says. */
static struct slab *slab_beyond_bound(struct spool *s)
{
	struct slab *slab;

	pthread_mutex_lock(&s->lock);
	slab = spool_slab_take(s, SIZE_MAX);
	pthread_mutex_unlock(&s->lock);
	return slab;
}

enum err spool_outcomes_record(struct spool *s, const struct outcome *o,
			       size_t n, struct record **out)
{
	struct record *r = record_new();
	enum err e;

	assert(n <= OUTCOME_BATCH);
	if (r == NULL)
		return ERR_NOMEM;
	r->slabs[0] = slab_beyond_bound(s);
	if (r->slabs[0] == NULL) {
		record_free(r);
		return ERR_NOMEM;
	}
	r->n_slabs = 1;
	r->reserve = true;
	r->final = true;
	r->head.kind = RECORD_OUTCOMES;
	memcpy(r->head.spool_id, s->id, sizeof(r->head.spool_id));
	for (size_t i = 0; i < n; i++) {
		bool fits = record_outcome_encode(&o[i], r->slabs[0]->bytes,
						  SLAB_LEN, &r->filled);

		assert(fits);
		(void)fits;
	}
	e = seal_outcomes(s, r, r->slabs[0]->bytes);
	if (e != ERR_OK) {
		pthread_mutex_lock(&s->lock);
		record_give_slabs(s, r);
		pthread_mutex_unlock(&s->lock);
		record_free(r);
		return e;
	}
	*out = r;
	return ERR_OK;
}
