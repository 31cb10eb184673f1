#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/spool_int.h"

/* A segment held open for one reading. */
static enum err hold(struct spool *s, uint32_t number, struct segment **out)
{
	enum err e = ERR_NOTFOUND;

	pthread_mutex_lock(&s->lock);
	*out = spool_segment_find(s, number);
	if (*out != NULL)
		e = spool_segment_hold(s, *out);
	pthread_mutex_unlock(&s->lock);
	return e;
}

static void drop(struct spool *s, struct segment *g)
{
	pthread_mutex_lock(&s->lock);
	spool_segment_drop(s, g);
	pthread_mutex_unlock(&s->lock);
}

static enum err read_exact(int fd, uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? ERR_IO : ERR_CORRUPT;
		p += got;
		n -= (size_t)got;
		at += got;
	}
	return ERR_OK;
}

struct reading {
	struct segment *segment;
	struct segment_place at;
	uint8_t page[RECORD_PAGE];
	struct record_head head;
	size_t copy;
};

static enum err read_head(struct spool *s, struct reading *r,
			  struct place place, const struct transfer_id *id,
			  uint32_t index)
{
	enum err e;

	r->at = spool_segment_place(s, r->segment);
	if (place.offset % RECORD_PAGE != 0)
		return ERR_NOTFOUND;
	e = segment_read_head(r->segment->fd, &r->at, place.offset, r->page,
			      &r->head, &r->copy);
	if (e == ERR_NOTFOUND)
		return ERR_CORRUPT;
	if (e != ERR_OK)
		return e;
	if (r->head.kind != RECORD_CHUNK || r->head.index != index ||
	    !transfer_id_equal(&r->head.id, id))
		return ERR_NOTFOUND;
	return ERR_OK;
}

static enum err open_payload(struct spool *s, const struct reading *r,
			     const uint8_t *in, uint8_t *out)
{
	struct seal *seal;
	enum err e = seal_new(s->key, "", 0, record_payload_info, &seal);

	if (e != ERR_OK)
		return e;
	e = record_payload_open(&r->head, s->key, seal, in, out);
	seal_free(seal);
	return e;
}

static void log_unreadable(struct place place, const struct transfer_id *id,
			   uint32_t index, enum err e)
{
	char text[TRANSFER_TEXT_LEN];

	log_event(LOG_ERROR, "chunk-unreadable",
		  "transfer=%s chunk=%u segment=%08x offset=%u detail=\"%s\"",
		  transfer_id_text(id, text), index, place.segment,
		  place.offset, err_text(e));
}

/* From the page cache or not at all. */
static bool read_cached(int fd, uint8_t *p, size_t n, off_t at)
{
	struct iovec v = {p, n};

	return preadv2(fd, &v, 1, at, RWF_NOWAIT) == (ssize_t)n;
}

/* Only of a segment that is open already. */
static enum err hold_open(struct spool *s, uint32_t number,
			  struct segment **out)
{
	enum err e = ERR_AGAIN;

	pthread_mutex_lock(&s->lock);
	*out = spool_segment_find(s, number);
	if (*out != NULL && (*out)->fd >= 0)
		e = spool_segment_hold(s, *out);
	pthread_mutex_unlock(&s->lock);
	return e;
}

static enum err hold_for(struct spool *s, uint32_t number, bool now,
			 struct segment **out)
{
	return now ? hold_open(s, number, out) : hold(s, number, out);
}

static enum err read_payload(const struct reading *r, uint32_t offset, bool now,
			     uint8_t *out)
{
	off_t at = (off_t)offset + RECORD_PAGE;

	if (!now)
		return read_exact(r->segment->fd, out, r->head.payload_len, at);
	return read_cached(r->segment->fd, out, r->head.payload_len, at)
		   ? ERR_OK
		   : ERR_AGAIN;
}

static enum err open_instance(struct spool *s, const struct reading *r,
			      struct spool_chunk *c)
{
	uint8_t meta[INSTANCE_ENCODED_MAX];
	struct seal *life;
	enum err e = seal_new(s->key, r->head.salt, sizeof(r->head.salt),
			      record_meta_info, &life);

	if (e != ERR_OK)
		return e;
	e = record_page_meta(r->page, r->copy, &r->head, life, meta);
	seal_free(life);
	c->has_instance = e == ERR_OK && r->head.meta_len > 0;
	if (c->has_instance)
		e = instance_decode(meta, r->head.meta_len, c->instance);
	mem_wipe(meta, sizeof(meta));
	return e;
}

static enum err read_record(struct spool *s, struct place place, bool now,
			    struct reading *r, uint8_t *data,
			    struct spool_chunk *c)
{
	enum err e = ERR_OK;

	if (data != NULL)
		e = read_payload(r, place.offset, now, data);
	if (e == ERR_OK && data != NULL)
		e = open_payload(s, r, data, data);
	if (e == ERR_OK && c->instance != NULL)
		e = open_instance(s, r, c);
	if (e == ERR_OK) {
		c->len = r->head.payload_len;
		memcpy(c->leaf, r->head.leaf, sizeof(c->leaf));
	}
	return e;
}

enum err spool_read_whole(struct spool *s, struct place place,
			  const struct transfer_id *id, uint32_t index,
			  bool now, uint8_t *data, struct spool_chunk *c)
{
	struct reading r = {0};
	enum err e = hold_for(s, place.segment, now, &r.segment);

	c->has_instance = false;
	if (c->instance != NULL)
		memset(c->instance, 0, sizeof(*c->instance));
	if (e != ERR_OK)
		return e;
	if (now && !read_cached(r.segment->fd, r.page, RECORD_PAGE,
				(off_t)place.offset))
		e = ERR_AGAIN;
	if (e == ERR_OK)
		e = read_head(s, &r, place, id, index);
	if (e == ERR_OK)
		e = read_record(s, place, now, &r, data, c);
	drop(s, r.segment);
	if (!now && (e == ERR_CORRUPT || e == ERR_IO))
		log_unreadable(place, id, index, e);
	return e;
}

static enum err read_bytes(struct spool *s, struct place place,
			   const struct transfer_id *id, uint32_t index,
			   bool now, uint8_t *out, size_t *len)
{
	struct spool_chunk c = {.instance = NULL};
	enum err e = spool_read_whole(s, place, id, index, now, out, &c);

	if (e == ERR_OK)
		*len = c.len;
	return e;
}

enum err spool_read_chunk(struct spool *s, struct place place,
			  const struct transfer_id *id, uint32_t index,
			  uint8_t *out, size_t *len)
{
	return read_bytes(s, place, id, index, false, out, len);
}

enum err spool_read_now(struct spool *s, struct place place,
			const struct transfer_id *id, uint32_t index,
			uint8_t *out, size_t *len)
{
	return read_bytes(s, place, id, index, true, out, len);
}

/* ---- moving ---------------------------------------------------------------
 */

static enum err take_slabs(struct spool *s, struct record *r)
{
	size_t n = (r->filled + SLAB_LEN - 1) / SLAB_LEN;
	enum err e = ERR_OK;

	pthread_mutex_lock(&s->lock);
	if (s->closing)
		e = ERR_CANCELED;
	else if (s->slabs_used + n > s->slabs_soft)
		e = ERR_BUSY;
	else if (s->n_segments >= s->segments_max && s->n_ready == 0)
		e = ERR_NOSPACE;
	while (e == ERR_OK && r->n_slabs < n) {
		r->slabs[r->n_slabs] = spool_slab_take(s, s->slabs_middle);
		if (r->slabs[r->n_slabs] == NULL)
			e = ERR_NOMEM;
		else
			r->n_slabs++;
	}
	if (e != ERR_OK)
		record_give_slabs(s, r);
	pthread_mutex_unlock(&s->lock);
	return e;
}

static enum err open_meta(struct spool *s, const struct reading *from,
			  struct record *r)
{
	struct seal *life;
	enum err e = seal_new(s->key, from->head.salt, sizeof(from->head.salt),
			      record_meta_info, &life);

	if (e != ERR_OK)
		return e;
	e = record_page_meta(from->page, from->copy, &from->head, life,
			     r->meta);
	seal_free(life);
	return e;
}

/* The payload as it stands, in and out of one block: sealed, then opened to
 * see that it is whole. */
static enum err copy_payload(struct spool *s, const struct reading *from,
			     struct record *r)
{
	size_t n = r->filled;
	uint8_t *sealed = mem_zalloc(2 * n + 1);
	enum err e;

	if (sealed == NULL)
		return ERR_NOMEM;
	e = read_exact(from->segment->fd, sealed, n,
		       (off_t)from->head.offset + RECORD_PAGE);
	if (e == ERR_OK)
		e = open_payload(s, from, sealed, sealed + n);
	if (e == ERR_OK)
		e = take_slabs(s, r);
	for (size_t i = 0; e == ERR_OK && i < r->n_slabs; i++) {
		size_t left = n - i * SLAB_LEN;

		memcpy(r->slabs[i]->bytes, sealed + i * SLAB_LEN,
		       left < SLAB_LEN ? left : SLAB_LEN);
	}
	mem_wipe(sealed + n, n);
	mem_free(sealed);
	return e;
}

static enum err make_move(struct spool *s, const struct reading *from,
			  struct record *r)
{
	enum err e;

	r->head = from->head;
	r->head.flags |= RECORD_MOVED;
	r->filled = from->head.payload_len;
	r->sealed = r->filled;
	r->reserve = true;
	r->final = true;
	e = open_meta(s, from, r);
	return e == ERR_OK ? copy_payload(s, from, r) : e;
}

enum err spool_move(struct spool *s, struct place place,
		    const struct transfer_id *id, uint32_t index)
{
	struct reading from = {0};
	struct record *r = record_new();
	enum err e;

	if (r == NULL)
		return ERR_NOMEM;
	e = hold(s, place.segment, &from.segment);
	if (e == ERR_OK) {
		e = read_head(s, &from, place, id, index);
		if (e == ERR_OK)
			e = make_move(s, &from, r);
		drop(s, from.segment);
	}
	if (e != ERR_OK) {
		record_free(r);
		return e;
	}
	pthread_mutex_lock(&s->lock);
	spool_enqueue(s, r);
	pthread_mutex_unlock(&s->lock);
	return ERR_OK;
}
