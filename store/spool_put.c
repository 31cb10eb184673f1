#include <assert.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

struct record *record_new(void)
{
	struct record *r = mem_realloc(NULL, sizeof(*r));

	if (r == NULL)
		return NULL;
	/* All but the page, which the writer fills. */
	memset(r, 0, offsetof(struct record, meta));
	list_init(&r->link);
	return r;
}

void record_free(struct record *r)
{
	if (r == NULL)
		return;
	assert(r->n_slabs == 0);
	mem_wipe(r->meta, r->head.meta_len);
	mem_free(r);
}

void record_give_slabs(struct spool *s, struct record *r)
{
	while (r->n_slabs > 0)
		spool_slab_give(s, r->slabs[--r->n_slabs]);
}

void spool_enqueue(struct spool *s, struct record *r)
{
	list_push_back(&s->queue, &r->link);
	s->n_queue++;
	pthread_cond_signal(&s->work);
}

void put_fail(struct spool_put *put, enum err e)
{
	int none = ERR_OK;

	atomic_compare_exchange_strong(&put->err, &none, (int)e);
}

static enum err put_err(struct spool_put *put)
{
	return (enum err)atomic_load(&put->err);
}

/* The chunks that were written are of no use: say so. */
static void note_abandoned(struct spool_put *put)
{
	struct outcome o = {.id = put->instance.id,
			    .kind = OUTCOME_ABANDONED,
			    .at_ms = clock_wall_ms()};

	if (put->last > 0 && spool_outcome_add(put->spool, &o) != ERR_OK)
		return; /* the next start says it for all of them */
}

bool put_unref(struct spool_put *put)
{
	if (--put->refs > 0)
		return false;
	list_remove(&put->link);
	put->spool->n_puts--;
	if (put->partial != NULL)
		partial_unref(put->spool, put->partial);
	else if (put_err(put) != ERR_OK)
		note_abandoned(put);
	return true;
}

void put_free(struct spool_put *put)
{
	seal_free(put->seal);
	tree_free(put->tree);
	mem_wipe(&put->instance, sizeof(put->instance));
	mem_free(put);
}

enum err spool_admission(const struct spool *s, enum spool_room room)
{
	if (s->closing)
		return ERR_CANCELED;
	if (s->failed_ns != 0 &&
	    clock_mono_ns() - s->failed_ns < RETRY_MS * 1000000ull)
		return s->failed_err;
	if (room != SPOOL_ROOM_MARK)
		return ERR_OK; /* the writer sees whether there is some */
	if (s->full)
		return ERR_NOSPACE;
	if (s->n_ready == 0 && s->prepare_err != ERR_OK)
		return s->prepare_err;
	return ERR_OK;
}

static enum err put_new(struct spool *s, const struct instance *known,
			const struct spool_put_events *events,
			struct spool_put **out)
{
	struct spool_put *put = mem_zalloc(sizeof(*put));
	uint8_t salt[RECORD_PAYLOAD_SALT + TRANSFER_ID_LEN];
	enum err e;

	if (put == NULL)
		return ERR_NOMEM;
	put->spool = s;
	put->events = *events;
	put->instance = *known;
	put->refs = 1;
	put->owned = true;
	list_init(&put->waiting);
	put->tree = tree_new();
	e = put->tree != NULL ? seal_random(salt, sizeof(salt)) : ERR_NOMEM;
	if (e == ERR_OK)
		e = seal_new(s->key, salt, sizeof(salt), record_payload_info,
			     &put->seal);
	if (e != ERR_OK) {
		put_free(put);
		return e;
	}
	memcpy(put->payload_salt, salt, RECORD_PAYLOAD_SALT);
	memcpy(put->instance.id.b, salt + RECORD_PAYLOAD_SALT, TRANSFER_ID_LEN);
	*out = put;
	return ERR_OK;
}

enum err spool_put_begin(struct spool *s, const struct instance *known,
			 const struct spool_put_events *events,
			 struct spool_put **out)
{
	struct spool_put *put = NULL;
	enum err e;

	pthread_mutex_lock(&s->lock);
	e = spool_admission(s, events->room);
	pthread_mutex_unlock(&s->lock);
	if (e == ERR_OK)
		e = put_new(s, known, events, &put);
	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&s->lock);
	list_push_back(&s->puts, &put->link);
	s->n_puts++;
	pthread_mutex_unlock(&s->lock);
	*out = put;
	return ERR_OK;
}

const struct transfer_id *spool_put_id(const struct spool_put *put)
{
	return &put->instance.id;
}

/* Start the record of the next chunk. */
static enum err record_start(struct spool_put *put)
{
	struct record *r = record_new();
	uint8_t aad[RECORD_AAD], nonce[SEAL_NONCE_LEN];
	enum err e;

	if (r == NULL)
		return ERR_NOMEM;
	r->put = put;
	r->reserve = put->events.room == SPOOL_ROOM_RESERVE;
	r->head.kind = RECORD_CHUNK;
	memcpy(r->head.spool_id, put->spool->id, sizeof(r->head.spool_id));
	r->head.id = put->instance.id;
	r->head.index = put->index;
	memcpy(r->head.payload_salt, put->payload_salt,
	       sizeof(r->head.payload_salt));
	record_payload_aad(&r->head, aad);
	seal_nonce(put->index, nonce);
	e = seal_start(put->seal, nonce, aad, sizeof(aad));
	if (e != ERR_OK) {
		record_free(r);
		return e;
	}
	put->record = r;
	return ERR_OK;
}

/* The slab for the byte at r->filled. */
static enum err record_room(struct spool_put *put, struct record *r)
{
	struct spool *s = put->spool;
	struct slab *slab;

	if (r->filled < (size_t)r->n_slabs * SLAB_LEN)
		return ERR_OK;
	pthread_mutex_lock(&s->lock);
	if (r->n_slabs > 0)
		spool_early_offer(s, r);
	slab = spool_slab_take(s, put->grant > 0 ? s->slabs_hard
						 : s->slabs_middle);
	if (put->grant > 0)
		put->grant--;
	pthread_mutex_unlock(&s->lock);
	if (slab == NULL)
		return ERR_NOMEM;
	r->slabs[r->n_slabs++] = slab;
	return ERR_OK;
}

static uint8_t *record_at(struct record *r, size_t at)
{
	return r->slabs[at / SLAB_LEN]->bytes + at % SLAB_LEN;
}

/* Hash and seal n bytes at in (the plain text, wherever it is) into the
 * record. */
static enum err seal_slice(struct spool_put *put, const uint8_t *in, size_t n)
{
	struct record *r = put->record;
	enum err e = tree_update(put->tree, in, n);

	if (e == ERR_OK)
		e = seal_update(put->seal, in, n, record_at(r, r->sealed));
	r->sealed += n;
	return e;
}

/* Take up to one slice of the input; *n says how much was taken. Whole slices
 * go straight from the caller's memory; lesser pieces collect in the record and
 * are sealed in place. */
static enum err take_slice(struct spool_put *put, const uint8_t *p, size_t *n)
{
	struct record *r = put->record;
	size_t held = r->filled - r->sealed;
	size_t room = SLICE_LEN - held;
	enum err e = record_room(put, r);

	if (e != ERR_OK)
		return e;
	if (*n > room)
		*n = room;
	r->filled += *n;
	if (held == 0 && *n == SLICE_LEN)
		return seal_slice(put, p, SLICE_LEN);
	memcpy(record_at(r, r->sealed) + held, p, *n);
	if (held + *n == SLICE_LEN)
		return seal_slice(put, record_at(r, r->sealed), SLICE_LEN);
	return ERR_OK;
}

/* Seal what is left, finish tag and leaf. */
static enum err record_close(struct spool_put *put)
{
	struct record *r = put->record;
	size_t rest = r->filled - r->sealed;
	enum err e = ERR_OK;

	if (r->closed)
		return ERR_OK;
	r->closed = true;
	if (rest > 0)
		e = seal_slice(put, record_at(r, r->sealed), rest);
	if (e == ERR_OK)
		e = seal_end(put->seal, r->head.payload_tag);
	if (e == ERR_OK && r->filled > 0)
		e = tree_leaf(put->tree, r->head.leaf);
	r->head.payload_len = (uint32_t)r->filled;
	if (put->index == 0)
		r->head.flags |= RECORD_FIRST;
	return e;
}

/* The final record takes over the owner's reference: put is not the caller's
 * any more. */
static void record_submit(struct spool_put *put)
{
	struct spool *s = put->spool;
	struct record *r = put->record;

	if ((r->head.flags & (RECORD_FIRST | RECORD_FINAL)) != 0)
		r->head.meta_len =
		    (uint16_t)instance_encode(&put->instance, r->meta);
	put->record = NULL;
	put->index++;
	pthread_mutex_lock(&s->lock);
	(void)spool_early_drop(s, r, false);
	if (r->final)
		put->owned = false;
	else
		put->refs++;
	put->inflight += r->filled;
	spool_enqueue(s, r);
	pthread_mutex_unlock(&s->lock);
}

/* A full chunk stays until more comes: it may be the final one. */
static enum err next_record(struct spool_put *put)
{
	enum err e = ERR_OK;

	if (put->record != NULL && put->record->filled == CHUNK_LEN) {
		e = record_close(put);
		if (e == ERR_OK)
			record_submit(put);
	}
	if (e == ERR_OK && put->record == NULL)
		e = record_start(put);
	return e;
}

enum err spool_put_data(struct spool_put *put, const void *p, size_t n)
{
	const uint8_t *at = p;
	enum err e = put_err(put);

	assert(put->record == NULL || !put->record->closed);
	while (n > 0 && e == ERR_OK) {
		size_t now = n;

		e = next_record(put);
		if (e == ERR_OK)
			e = take_slice(put, at, &now);
		at += now;
		n -= now;
	}
	if (e != ERR_OK)
		put_fail(put, e);
	return e;
}

bool put_full_now(struct spool_put *put)
{
	if (put_err(put) != ERR_OK)
		return false; /* its owner is to see the error */
	if (put->inflight >= PUT_INFLIGHT_MAX)
		return true;
	if (put->partial != NULL) /* it takes a chunk or nothing */
		return put->grant == 0 &&
		       put->spool->slabs_used + RECORD_SLABS >
			   put->spool->slabs_soft;
	return spool_pool_full(put->spool) && put->grant == 0;
}

bool spool_put_full(struct spool_put *put)
{
	struct spool *s = put->spool;
	bool full;

	pthread_mutex_lock(&s->lock);
	full = put_full_now(put);
	if (full && list_empty(&put->waiting)) {
		list_push_back(&s->waiters, &put->waiting);
		pthread_cond_signal(&s->work); /* it keeps the time */
	}
	pthread_mutex_unlock(&s->lock);
	return full;
}

/* The writer holds callback_lock around callbacks. */
void put_stop_waiting(struct spool_put *put)
{
	struct spool *s = put->spool;

	pthread_mutex_lock(&s->callback_lock);
	pthread_mutex_lock(&s->lock);
	list_remove(&put->waiting);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->callback_lock);
}

void spool_put_abort(struct spool_put *put)
{
	struct spool *s;
	struct record *r;
	bool last;

	if (put == NULL)
		return;
	s = put->spool;
	r = put->record;
	put_stop_waiting(put);
	put_fail(put, ERR_CANCELED);
	pthread_mutex_lock(&s->lock);
	put->owned = false;
	if (r != NULL && !spool_early_drop(s, r, true))
		r = NULL; /* the writer's now */
	if (r != NULL)
		record_give_slabs(s, r);
	last = put_unref(put);
	pthread_mutex_unlock(&s->lock);
	record_free(r);
	if (last)
		put_free(put);
}

enum err spool_put_leaf(struct spool_put *put, uint8_t leaf[SEAL_HASH_LEN])
{
	enum err e = put_err(put);

	if (e != ERR_OK)
		return e;
	if (put->index > 0 || put->record == NULL)
		return ERR_INVAL;
	e = record_close(put);
	if (e == ERR_OK)
		memcpy(leaf, put->record->head.leaf, SEAL_HASH_LEN);
	else
		put_fail(put, e);
	return e;
}

/* Fill in what only the spool knows. */
static enum err complete_instance(struct spool_put *put,
				  const struct instance *complete)
{
	struct transfer_id id = put->instance.id;
	uint64_t length = tree_length(put->tree);
	uint32_t chunks = tree_leaves(put->tree);
	enum err e;

	put->instance = *complete;
	put->instance.id = id;
	put->instance.length = length;
	put->instance.chunks = chunks;
	e = tree_root(put->tree, put->instance.root);
	put->record->head.flags |= RECORD_FINAL;
	put->record->final = true;
	return e;
}

enum err spool_put_finish(struct spool_put *put,
			  const struct instance *complete)
{
	enum err e = put_err(put);

	put_stop_waiting(put);
	if (e == ERR_OK && put->record == NULL)
		e = record_start(put);
	if (e == ERR_OK)
		e = record_close(put);
	if (e == ERR_OK)
		e = complete_instance(put, complete);
	if (e != ERR_OK) {
		spool_put_abort(put);
		return e;
	}
	record_submit(put);
	return ERR_OK;
}
