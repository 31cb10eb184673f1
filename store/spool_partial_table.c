#include <assert.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

enum { CHUNKS_START = 4, STALE_MS = 10 * 60 * 1000 };

/* ---- the mark -----------------------------------------------------------
 */

/* What every record's head says from now on: where a restart must begin to
 * look. It rises only when a transfer has gone, or lost a chunk. */
static void update_mark(struct spool *s)
{
	uint32_t from = 0;

	LIST_EACH(n, tmp, &s->partials)
	{
		const struct partial *p = CONTAINER_OF(n, struct partial, link);

		if (p->from != 0 && (from == 0 || p->from < from))
			from = p->from;
	}
	atomic_store(&s->partial_from, from);
}

static void find_from(struct partial *p)
{
	p->from = 0;
	for (size_t i = 0; i < p->n; i++) {
		const struct partial_chunk *c = &p->chunks[i];

		if (c->sequence != 0 &&
		    (p->from == 0 || c->place.segment < p->from))
			p->from = c->place.segment;
	}
}

/* ---- transfers ------------------------------------------------------------
 */

struct partial *partial_find(struct spool *s,
			     const struct instance_origin *origin)
{
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		if (instance_origin_equal(&p->origin, origin))
			return p;
	}
	return NULL;
}

struct partial *partial_find_id(struct spool *s, const struct transfer_id *id)
{
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		if (transfer_id_equal(&p->id, id))
			return p;
	}
	return NULL;
}

struct partial *partial_add(struct spool *s, const struct transfer_id *id,
			    const struct instance_origin *origin)
{
	struct partial *p = mem_zalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->refs = 1;
	p->id = *id;
	p->origin = *origin;
	p->touched_ms = clock_wall_ms();
	list_push_back(&s->partials, &p->link);
	s->n_partials++;
	return p;
}

static void partial_free(struct partial *p)
{
	mem_free(p->chunks);
	mem_free(p);
}

void partial_unref(struct spool *s, struct partial *p)
{
	struct outcome o = {.id = p->id, .kind = OUTCOME_ABANDONED};

	if (--p->refs > 0)
		return;
	o.at_ms = clock_wall_ms();
	if (p->abandoned && p->written && spool_outcome_add(s, &o) != ERR_OK)
		log_event(LOG_INFO, "partial-abandon-untold",
			  "why=\"too many outcomes wait: the next start says "
			  "it\"");
	partial_free(p);
}

void partial_remove(struct spool *s, struct partial *p)
{
	list_remove(&p->link);
	s->n_partials--;
	if (p->from != 0)
		update_mark(s);
	partial_unref(s, p);
}

void partials_free(struct spool *s)
{
	struct list *n;

	while ((n = list_pop_front(&s->partials)) != NULL) {
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		assert(p->refs == 1);
		partial_free(p);
	}
	s->n_partials = 0;
}

/* ---- chunks -----------------------------------------------------------------
 */

/* Index of the first one whose index is >= index. */
static size_t position(const struct partial *p, uint32_t index)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->chunks[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct partial_chunk *partial_chunk_find(const struct partial *p,
					 uint32_t index)
{
	size_t i = position(p, index);

	if (i == p->n || p->chunks[i].index != index)
		return NULL;
	return &p->chunks[i];
}

struct partial_chunk *partial_chunk_add(struct partial *p, uint32_t index)
{
	size_t i = position(p, index);

	if (p->n == p->room) {
		size_t room = p->room > 0 ? 2 * p->room : CHUNKS_START;
		void *more = mem_realloc(p->chunks, room * sizeof(*p->chunks));

		if (more == NULL)
			return NULL;
		p->chunks = more;
		p->room = room;
	}
	memmove(p->chunks + i + 1, p->chunks + i,
		(p->n - i) * sizeof(*p->chunks));
	p->n++;
	p->chunks[i] = (struct partial_chunk){.index = index};
	return &p->chunks[i];
}

static void forget_durable(struct partial *p, const struct partial_chunk *c)
{
	if (c->sequence == 0)
		return;
	p->durable--;
	p->bytes -= c->length;
}

void partial_chunk_remove(struct spool *s, struct partial *p, uint32_t index)
{
	size_t i = position(p, index);
	uint32_t from = p->from;

	if (i == p->n || p->chunks[i].index != index)
		return;
	forget_durable(p, &p->chunks[i]);
	p->n--;
	memmove(p->chunks + i, p->chunks + i + 1,
		(p->n - i) * sizeof(*p->chunks));
	find_from(p);
	if (p->from != from)
		update_mark(s);
}

/* The highest sequence is the place that counts. */
void partial_chunk_durable(struct spool *s, struct partial *p,
			   struct partial_chunk *c, uint64_t sequence,
			   struct place place)
{
	uint32_t mark = atomic_load(&s->partial_from);

	forget_durable(p, c);
	c->sequence = sequence;
	c->place = place;
	p->durable++;
	p->bytes += c->length;
	p->written = true;
	if (p->from == 0 || place.segment < p->from)
		p->from = place.segment;
	if (mark == 0 || place.segment < mark)
		atomic_store(&s->partial_from, place.segment);
}

static void forget_in(struct partial *p, uint32_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct partial_chunk *c = &p->chunks[i];

		if (c->sequence != 0 && c->place.segment == number)
			forget_durable(p, c);
		else
			p->chunks[kept++] = *c;
	}
	p->n = kept;
	find_from(p);
}

/* Whoever recycles says that nothing in it is needed. Of a transfer that was
 * delivered long ago, and of which a start found a last stray chunk, this is
 * so. */
void partials_forget_segment(struct spool *s, uint32_t number)
{
	uint32_t mark = atomic_load(&s->partial_from);
	unsigned lost = 0;

	if (mark == 0 || mark > number)
		return;
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);
		uint32_t before = p->durable;

		if (p->from != 0 && p->from <= number)
			forget_in(p, number);
		lost += before - p->durable;
	}
	update_mark(s);
	if (lost > 0)
		log_event(LOG_INFO, "partial-chunks-recycled",
			  "segment=%08x chunks=%u effect=\"they will be asked "
			  "for again\"",
			  number, lost);
}

/* ---- what there is -------------------------------------------------------
 */

static void describe(const struct partial *p, struct spool_partial_info *out)
{
	memset(out, 0, sizeof(*out));
	out->id = p->id;
	out->origin = p->origin;
	out->chunks = p->durable;
	out->bytes = p->bytes;
	out->touched_ms = p->touched_ms;
	out->open = p->open != NULL;
	(void)INSTANCE_SET(out->sop_instance, p->sop_instance);
}

size_t spool_partial_list(struct spool *s, struct spool_partial_info *out,
			  size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	LIST_EACH(it, tmp, &s->partials)
	{
		if (n < max)
			describe(CONTAINER_OF(it, struct partial, link),
				 &out[n]);
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

enum err spool_partial_find(struct spool *s,
			    const struct instance_origin *origin,
			    struct spool_partial_info *out)
{
	const struct partial *p;

	pthread_mutex_lock(&s->lock);
	p = partial_find(s, origin);
	if (p != NULL)
		describe(p, out);
	pthread_mutex_unlock(&s->lock);
	return p != NULL ? ERR_OK : ERR_NOTFOUND;
}

enum err spool_partial_chunks(struct spool *s,
			      const struct instance_origin *origin,
			      uint32_t from, struct spool_partial_have *out,
			      size_t max, size_t *n)
{
	const struct partial *p;

	*n = 0;
	pthread_mutex_lock(&s->lock);
	p = partial_find(s, origin);
	for (size_t i = p != NULL ? position(p, from) : 0;
	     p != NULL && i < p->n && *n < max; i++) {
		const struct partial_chunk *c = &p->chunks[i];

		if (c->sequence == 0)
			continue;
		out[*n].index = c->index;
		out[*n].length = c->length;
		out[*n].place = c->place;
		memcpy(out[*n].leaf, c->leaf, sizeof(c->leaf));
		(*n)++;
	}
	pthread_mutex_unlock(&s->lock);
	return p != NULL ? ERR_OK : ERR_NOTFOUND;
}

/* ---- the end without a finish ----------------------------------------------
 */

/* Under lock. Records of it still in the queue come to their end first. */
static enum err abandon(struct spool *s, struct partial *p)
{
	if (p->open != NULL || s->outcomes.n >= OUTCOMES_MAX)
		return ERR_BUSY;
	p->abandoned = true;
	partial_remove(s, p);
	return ERR_OK;
}

enum err spool_partial_abandon(struct spool *s,
			       const struct instance_origin *origin)
{
	struct partial *p;
	enum err e = ERR_NOTFOUND;

	pthread_mutex_lock(&s->lock);
	p = partial_find(s, origin);
	if (p != NULL)
		e = abandon(s, p);
	pthread_mutex_unlock(&s->lock);
	return e;
}

size_t spool_partial_expire(struct spool *s, int64_t before_ms)
{
	size_t gone = 0;

	pthread_mutex_lock(&s->lock);
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);
		char text[TRANSFER_TEXT_LEN];

		if (p->touched_ms >= before_ms || p->open != NULL)
			continue;
		transfer_id_text(&p->id, text);
		if (abandon(s, p) != ERR_OK)
			break;
		gone++;
		log_event(LOG_WARN, "partial-expired", "transfer=%s", text);
	}
	pthread_mutex_unlock(&s->lock);
	return gone;
}

/* ---- room ------------------------------------------------------------- */

/* Who is to go. Under lock. NULL: nobody. */
static struct partial *least(struct spool *s, int64_t stale_ms)
{
	struct partial *stale = NULL, *small = NULL, *most = NULL;
	uint64_t bytes = 0;

	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		bytes += p->bytes;
		if (most == NULL || p->bytes > most->bytes)
			most = p;
	}
	LIST_EACH(n, tmp, &s->partials)
	{
		struct partial *p = CONTAINER_OF(n, struct partial, link);

		if (p->open != NULL || p->bytes == 0)
			continue;
		if (p->touched_ms < stale_ms &&
		    (stale == NULL || p->touched_ms < stale->touched_ms))
			stale = p;
		if (p != most && (small == NULL || p->bytes < small->bytes))
			small = p;
	}
	if (bytes < (uint64_t)s->segments_max * s->segment_size / 4)
		return NULL;
	return stale != NULL ? stale : small;
}

bool spool_partial_make_room(struct spool *s)
{
	int64_t stale_ms = clock_wall_ms() - STALE_MS;
	char text[TRANSFER_TEXT_LEN];
	struct partial *p;
	bool gone = false;

	pthread_mutex_lock(&s->lock);
	p = least(s, stale_ms);
	if (p != NULL) {
		transfer_id_text(&p->id, text);
		gone = abandon(s, p) == ERR_OK;
	}
	pthread_mutex_unlock(&s->lock);
	if (gone)
		log_event(LOG_WARN, "partial-gave-way", "transfer=%s", text);
	return gone;
}

/* With its final record on the way it is too late. */
void spool_partial_disown(struct spool *s, const struct transfer_id *id)
{
	char text[TRANSFER_TEXT_LEN];
	struct partial *p;

	pthread_mutex_lock(&s->lock);
	p = partial_find_id(s, id);
	if (p != NULL && (p->open == NULL || !p->open->finishing)) {
		if (p->open != NULL)
			p->open->lost = true;
		p->open = NULL;
		p->abandoned = true;
		partial_remove(s, p);
		log_event(LOG_INFO, "partial-disowned",
			  "transfer=%s why=\"it was whole and done before\"",
			  transfer_id_text(id, text));
	}
	pthread_mutex_unlock(&s->lock);
}
