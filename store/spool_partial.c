#include "store/spool_partial.h"

#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* Each chunk is sealed with a salt of its own: it may come again after a
 * restart, or after it was lost, and no key ever sees a nonce twice. */

/* ---- opening ---------------------------------------------------------- */

/* Under lock: the transfer, found or made. */
static enum err find_or_make(struct spool *s, const struct instance *known,
			     const struct transfer_id *fresh,
			     struct partial **out, bool *resumed)
{
	struct partial *p = partial_find(s, &known->origin);
	enum err e;

	*out = p;
	*resumed = p != NULL;
	if (s->closing)
		return ERR_CANCELED;
	if (p != NULL)
		return p->open != NULL ? ERR_BUSY : ERR_OK;
	if (s->n_partials >= SPOOL_PARTIALS_MAX)
		return ERR_LIMIT;
	e = spool_admission(s, SPOOL_ROOM_MARK);
	if (e != ERR_OK)
		return e;
	*out = partial_add(s, fresh, &known->origin);
	return *out != NULL ? ERR_OK : ERR_NOMEM;
}

/* Under lock. */
static void attach(struct spool_partial_put *pp, struct partial *p)
{
	struct spool *s = pp->put.spool;

	pp->put.partial = p;
	pp->put.instance.id = p->id;
	p->refs++;
	p->open = pp;
	p->touched_ms = clock_wall_ms();
	(void)INSTANCE_SET(p->sop_instance, pp->put.instance.sop_instance);
	list_push_back(&s->puts, &pp->put.link);
	s->n_puts++;
}

static struct spool_partial_put *
put_new(struct spool *s, const struct instance *known,
	const struct spool_partial_events *events)
{
	struct spool_partial_put *pp = mem_zalloc(sizeof(*pp));

	if (pp == NULL)
		return NULL;
	pp->put.spool = s;
	pp->put.events.on_writable = events->on_writable;
	pp->put.events.on_done = events->on_done;
	pp->put.events.arg = events->arg;
	pp->on_chunks = events->on_chunks;
	pp->put.instance = *known;
	pp->put.refs = 1;
	pp->put.owned = true;
	list_init(&pp->put.waiting);
	list_init(&pp->put.link);
	return pp;
}

enum err spool_partial_open(struct spool *s, const struct instance *known,
			    const struct spool_partial_events *events,
			    struct spool_partial_put **out, bool *resumed)
{
	struct spool_partial_put *pp;
	struct transfer_id fresh;
	struct partial *p;
	enum err e;

	if (!known->has_origin)
		return ERR_INVAL;
	e = seal_random(&fresh, sizeof(fresh));
	if (e != ERR_OK)
		return e;
	pp = put_new(s, known, events);
	if (pp == NULL)
		return ERR_NOMEM;
	pthread_mutex_lock(&s->lock);
	e = find_or_make(s, known, &fresh, &p, resumed);
	if (e == ERR_OK)
		attach(pp, p);
	pthread_mutex_unlock(&s->lock);
	if (e != ERR_OK) {
		put_free(&pp->put);
		return e;
	}
	*out = pp;
	return ERR_OK;
}

const struct transfer_id *spool_partial_id(const struct spool_partial_put *pp)
{
	return &pp->put.instance.id;
}

/* ---- a chunk ------------------------------------------------------------ */

/* Only the last chunk may be short. */
static bool shape_fits(const struct partial *p, uint32_t index, uint32_t length)
{
	const struct partial_chunk *last;

	if (length == 0 || length > CHUNK_LEN || index >= SPOOL_PARTIAL_CHUNKS)
		return false;
	if (p->n == 0)
		return true;
	last = &p->chunks[p->n - 1];
	if (length < CHUNK_LEN)
		return last->length == CHUNK_LEN && last->index < index;
	return last->length == CHUNK_LEN || index < last->index;
}

/* ERR_EXISTS with *same: there is nothing to do. */
static enum err look_up(const struct partial *p, struct spool_partial_chunk *in,
			bool *same)
{
	const struct partial_chunk *c = partial_chunk_find(p, in->index);

	*same = false;
	if (c == NULL)
		return shape_fits(p, in->index, in->length) ? ERR_OK
							    : ERR_INVAL;
	*same = c->length == in->length &&
		memcmp(c->leaf, in->leaf, sizeof(c->leaf)) == 0;
	in->durable = *same && c->sequence != 0;
	return ERR_EXISTS;
}

static void wait_for_room(struct spool_put *put)
{
	struct spool *s = put->spool;

	put->grant = 0;
	if (list_empty(&put->waiting))
		list_push_back(&s->waiters, &put->waiting);
	pthread_cond_signal(&s->work); /* it keeps the time */
}

static enum err take_slabs(struct spool_put *put, struct record *r,
			   uint32_t length)
{
	struct spool *s = put->spool;
	size_t n = (length + SLAB_LEN - 1) / SLAB_LEN;
	size_t limit = put->grant > 0 ? s->slabs_middle : s->slabs_soft;

	if (put->inflight >= PUT_INFLIGHT_MAX || s->slabs_used + n > limit) {
		wait_for_room(put);
		return ERR_AGAIN;
	}
	put->grant = 0;
	while (r->n_slabs < n) {
		struct slab *slab = spool_slab_take(s, limit);

		if (slab == NULL) {
			record_give_slabs(s, r);
			return ERR_NOMEM;
		}
		r->slabs[r->n_slabs++] = slab;
	}
	return ERR_OK;
}

/* Its place in the table and its buffers, before the work is done, so that no
 * other thread does it, too. */
static enum err claim(struct spool_put *put, struct record *r,
		      const struct spool_partial_chunk *in)
{
	struct partial_chunk *c;
	enum err e = take_slabs(put, r, in->length);

	if (e != ERR_OK)
		return e;
	c = partial_chunk_add(put->partial, in->index);
	if (c == NULL) {
		record_give_slabs(put->spool, r);
		return ERR_NOMEM;
	}
	c->length = in->length;
	memcpy(c->leaf, in->leaf, sizeof(c->leaf));
	return ERR_OK;
}

static void unclaim(struct spool_put *put, struct record *r, uint32_t index)
{
	struct spool *s = put->spool;

	pthread_mutex_lock(&s->lock);
	record_give_slabs(s, r);
	partial_chunk_remove(s, put->partial, index);
	pthread_mutex_unlock(&s->lock);
}

static void fill_head(const struct spool_put *put, struct record *r,
		      uint32_t index)
{
	r->head.kind = RECORD_CHUNK;
	r->head.flags = RECORD_PARTIAL;
	if (index == 0)
		r->head.flags |= RECORD_FIRST;
	memcpy(r->head.spool_id, put->spool->id, sizeof(r->head.spool_id));
	r->head.id = put->instance.id;
	r->head.index = index;
}

static enum err seal_begin(const struct spool_put *put, struct record *r,
			   struct seal **seal)
{
	uint8_t salt[RECORD_PAYLOAD_SALT + TRANSFER_ID_LEN];
	uint8_t aad[RECORD_AAD], nonce[SEAL_NONCE_LEN];
	enum err e =
	    seal_random(r->head.payload_salt, sizeof(r->head.payload_salt));

	if (e != ERR_OK)
		return e;
	record_payload_salt(&r->head, salt);
	record_payload_aad(&r->head, aad);
	seal_nonce(r->head.index, nonce);
	e = seal_new(put->spool->key, salt, sizeof(salt), record_payload_info,
		     seal);
	if (e == ERR_OK)
		e = seal_start(*seal, nonce, aad, sizeof(aad));
	return e;
}

/* Hash and seal, slice by slice, while each is in the cache. */
static enum err seal_slices(struct seal *seal, struct seal_hash *hash,
			    struct record *r, const uint8_t *p, size_t n)
{
	static const uint8_t leaf_prefix = 0x00;
	enum err e = ERR_OK;

	seal_hash_update(hash, &leaf_prefix, 1);
	while (r->filled < n && e == ERR_OK) {
		size_t at = r->filled;
		size_t now = n - at < SLICE_LEN ? n - at : SLICE_LEN;

		seal_hash_update(hash, p + at, now);
		e = seal_update(seal, p + at, now,
				r->slabs[at / SLAB_LEN]->bytes + at % SLAB_LEN);
		r->filled += now;
	}
	seal_hash_end(hash, r->head.leaf);
	return e;
}

static enum err seal_chunk(const struct spool_put *put, struct record *r,
			   const uint8_t *p, size_t n)
{
	struct seal_hash *hash = NULL;
	struct seal *seal = NULL;
	enum err e = seal_begin(put, r, &seal);

	if (e == ERR_OK && n > 0) {
		hash = seal_hash_new();
		e = hash != NULL ? seal_slices(seal, hash, r, p, n) : ERR_NOMEM;
	}
	if (e == ERR_OK)
		e = seal_end(seal, r->head.payload_tag);
	r->sealed = r->filled;
	r->head.payload_len = (uint32_t)r->filled;
	seal_hash_free(hash);
	seal_free(seal);
	return e;
}

static void write_meta(struct record *r, const struct instance *in)
{
	r->head.meta_len = (uint16_t)instance_encode(in, r->meta);
}

static void write_chunk_meta(const struct spool_put *put, struct record *r,
			     int64_t now_ms)
{
	struct instance in = put->instance;

	in.touched_ms = now_ms;
	write_meta(r, &in);
	mem_wipe(&in, sizeof(in));
}

static void submit_chunk(struct spool_put *put, struct record *r,
			 int64_t now_ms)
{
	struct spool *s = put->spool;

	r->put = put;
	pthread_mutex_lock(&s->lock);
	put->refs++;
	put->inflight += r->filled;
	put->partial->touched_ms = now_ms;
	spool_enqueue(s, r);
	pthread_mutex_unlock(&s->lock);
}

/* r is queued, or an error. */
static enum err put_chunk(struct spool_put *put, struct record *r,
			  struct spool_partial_chunk *in)
{
	int64_t now_ms = clock_wall_ms();
	enum err e;

	fill_head(put, r, in->index);
	e = seal_chunk(put, r, in->data, in->length);
	if (e == ERR_OK) {
		memcpy(in->got, r->head.leaf, sizeof(in->got));
		if (memcmp(in->got, in->leaf, sizeof(in->got)) != 0)
			e = ERR_CORRUPT;
	}
	if (e != ERR_OK) {
		unclaim(put, r, in->index);
		return e;
	}
	write_chunk_meta(put, r, now_ms);
	submit_chunk(put, r, now_ms);
	return ERR_OK;
}

/* Under lock. */
static enum err may_put(const struct spool_partial_put *pp)
{
	if (pp->put.spool->closing)
		return ERR_CANCELED;
	if (pp->lost)
		return ERR_NOTFOUND;
	return pp->finishing ? ERR_INVAL : ERR_OK;
}

enum err spool_partial_put(struct spool_partial_put *pp,
			   struct spool_partial_chunk *in)
{
	struct spool *s = pp->put.spool;
	struct record *r = record_new();
	bool same = false;
	enum err e;

	if (r == NULL)
		return ERR_NOMEM;
	in->durable = false;
	pthread_mutex_lock(&s->lock);
	e = may_put(pp);
	if (e == ERR_OK)
		e = look_up(pp->put.partial, in, &same);
	if (e == ERR_OK)
		e = claim(&pp->put, r, in);
	pthread_mutex_unlock(&s->lock);
	if (e == ERR_OK)
		e = put_chunk(&pp->put, r, in);
	if (e != ERR_OK)
		record_free(r);
	return same ? ERR_OK : e;
}

/* ---- the end ----------------------------------------------------------- */

/* Under lock. The first index that is not there; whole->chunks: none. */
static uint32_t first_missing(const struct partial *p)
{
	uint32_t index = 0;

	for (size_t i = 0; i < p->n && p->chunks[i].index == index; i++)
		index++;
	return index;
}

/* Under lock: are these all its chunks, and as long as they should be? */
static enum err check_chunks(const struct partial *p,
			     const struct spool_partial_whole *w,
			     uint32_t *missing)
{
	uint32_t first = first_missing(p);

	if (w->chunks > SPOOL_PARTIAL_CHUNKS ||
	    (w->length + CHUNK_LEN - 1) / CHUNK_LEN != w->chunks)
		return ERR_INVAL;
	if (first < w->chunks) {
		if (missing != NULL)
			*missing = first;
		return ERR_AGAIN;
	}
	if (p->n > w->chunks)
		return ERR_INVAL;
	if (w->chunks > 0 &&
	    p->chunks[p->n - 1].length !=
		w->length - (w->chunks - 1) * (uint64_t)CHUNK_LEN)
		return ERR_INVAL;
	return ERR_OK;
}

static enum err check_now(struct spool_partial_put *pp,
			  const struct spool_partial_whole *w,
			  uint32_t *missing)
{
	enum err e = may_put(pp);

	return e == ERR_OK ? check_chunks(pp->put.partial, w, missing) : e;
}

static enum err check_root(struct spool_partial_put *pp,
			   const struct spool_partial_whole *w,
			   uint32_t *missing)
{
	struct spool *s = pp->put.spool;
	const struct partial *p = pp->put.partial;
	uint8_t(*leaves)[SEAL_HASH_LEN] =
	    mem_zarray((size_t)w->chunks + 1, sizeof(*leaves));
	uint8_t root[SEAL_HASH_LEN];
	enum err e;

	if (leaves == NULL)
		return ERR_NOMEM;
	pthread_mutex_lock(&s->lock);
	e = check_now(pp, w, missing);
	for (size_t i = 0; e == ERR_OK && i < p->n; i++)
		memcpy(leaves[i], p->chunks[i].leaf, sizeof(leaves[i]));
	pthread_mutex_unlock(&s->lock);
	if (e == ERR_OK)
		e = tree_root_of(w->length,
				 (const uint8_t(*)[SEAL_HASH_LEN])leaves,
				 w->chunks, root);
	if (e == ERR_OK && memcmp(root, w->root, sizeof(root)) != 0)
		e = ERR_CORRUPT;
	mem_free(leaves);
	return e;
}

static void complete_instance(const struct spool_partial_put *pp,
			      const struct instance *complete,
			      const struct spool_partial_whole *w,
			      struct instance *out)
{
	*out = *complete;
	out->id = pp->put.instance.id;
	out->has_origin = true;
	out->origin = pp->put.instance.origin;
	out->touched_ms = 0;
	out->length = w->length;
	out->chunks = w->chunks;
	memcpy(out->root, w->root, sizeof(out->root));
}

/* The final record takes over the owner's reference. A chunk may have failed
 * while the root was made. */
static enum err submit_final(struct spool_partial_put *pp, struct record *r,
			     const struct spool_partial_whole *w,
			     const struct instance *in, uint32_t *missing)
{
	struct spool *s = pp->put.spool;
	enum err e;

	pthread_mutex_lock(&s->lock);
	e = check_now(pp, w, missing);
	if (e == ERR_OK) {
		list_remove(&pp->put.waiting);
		pp->put.instance = *in;
		pp->put.owned = false;
		pp->finishing = true;
		r->put = &pp->put;
		spool_enqueue(s, r);
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}

static enum err make_final(const struct spool_partial_put *pp,
			   const struct instance *in, struct record **out)
{
	struct record *r = record_new();
	enum err e;

	if (r == NULL)
		return ERR_NOMEM;
	fill_head(&pp->put, r, in->chunks);
	r->head.flags |= RECORD_FINAL;
	r->final = true;
	e = seal_chunk(&pp->put, r, NULL, 0);
	if (e != ERR_OK) {
		record_free(r);
		return e;
	}
	write_meta(r, in);
	*out = r;
	return ERR_OK;
}

enum err spool_partial_finish(struct spool_partial_put *pp,
			      const struct instance *complete,
			      const struct spool_partial_whole *whole,
			      uint32_t *missing)
{
	struct record *r = NULL;
	struct instance in;
	enum err e = ERR_INVAL;

	if (whole->chunks <= SPOOL_PARTIAL_CHUNKS)
		e = check_root(pp, whole, missing);
	if (e != ERR_OK)
		return e;
	complete_instance(pp, complete, whole, &in);
	e = make_final(pp, &in, &r);
	if (e == ERR_OK) {
		e = submit_final(pp, r, whole, &in, missing);
		if (e != ERR_OK)
			record_free(r);
	}
	mem_wipe(&in, sizeof(in));
	return e;
}

/* With nothing put there is nothing to go on with. */
void spool_partial_close(struct spool_partial_put *pp)
{
	struct spool *s;
	struct partial *p;
	bool last;

	if (pp == NULL)
		return;
	s = pp->put.spool;
	p = pp->put.partial;
	pthread_mutex_lock(&s->callback_lock);
	pthread_mutex_lock(&s->lock);
	list_remove(&pp->put.waiting);
	pp->put.owned = false;
	if (!pp->lost) {
		p->open = NULL;
		if (p->n == 0)
			partial_remove(s, p);
	}
	last = put_unref(&pp->put);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->callback_lock);
	if (last)
		put_free(&pp->put);
}
