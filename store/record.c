#include "store/record.h"

#include <assert.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"
#include "store/crc32c.h"

enum {
	RECORD_MAGIC = 0x43565243,  /* "CVRC" */
	SEGMENT_MAGIC = 0x43565347, /* "CVSG" */
	SEGMENT_CLEAR = 96,         /* its CRC included */
};

const char record_payload_info[] = "culvert spool payload 1";
const char record_meta_info[] = "culvert spool head 1";

_Static_assert(RECORD_CLEAR + INSTANCE_ENCODED_MAX + SEAL_TAG_LEN <=
		   RECORD_COPY,
	       "a head must fit half a page");

void record_head_encode(const struct record_head *h, uint8_t out[RECORD_CLEAR])
{
	struct wr w = wr_init(out, RECORD_CLEAR);

	wr_u32(&w, RECORD_MAGIC);
	wr_u16(&w, RECORD_FORMAT);
	wr_u8(&w, (uint8_t)h->kind);
	wr_u8(&w, h->flags);
	wr_bytes(&w, h->key_id, sizeof(h->key_id));
	wr_bytes(&w, h->spool_id, sizeof(h->spool_id));
	wr_bytes(&w, h->salt, sizeof(h->salt));
	wr_u32(&w, h->segment);
	wr_u32(&w, h->offset);
	wr_u32(&w, h->previous);
	wr_u32(&w, h->epoch);
	wr_u32(&w, h->index);
	wr_u64(&w, h->sequence);
	wr_u64(&w, h->flushed);
	wr_bytes(&w, h->id.b, sizeof(h->id.b));
	wr_bytes(&w, h->payload_salt, sizeof(h->payload_salt));
	wr_u32(&w, h->payload_len);
	wr_u16(&w, h->meta_len);
	wr_bytes(&w, h->leaf, sizeof(h->leaf));
	wr_bytes(&w, h->payload_tag, sizeof(h->payload_tag));
	wr_u32(&w, h->partial_from);
	wr_fill(&w, 0, RECORD_CLEAR - 4 - w.len);
	wr_u32(&w, crc32c(out, RECORD_CLEAR - 4));
	assert(wr_ok(&w));
}

static void rd_copy(struct rd *r, void *out, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

/* What comes before the fields: magic, format. */
static enum err check_start(struct rd *r, uint32_t magic)
{
	if (rd_u32(r) != magic)
		return ERR_NOTFOUND;
	return rd_u16(r) == RECORD_FORMAT ? ERR_OK : ERR_UNSUPPORTED;
}

static bool check_crc(const uint8_t *in, size_t len)
{
	struct rd r = rd_init(in + len - 4, 4);

	return crc32c(in, len - 4) == rd_u32(&r);
}

static bool head_sane(unsigned kind, const struct record_head *h)
{
	return (kind == RECORD_CHUNK || kind == RECORD_OUTCOMES) &&
	       h->payload_len <= RECORD_PAYLOAD_MAX &&
	       h->meta_len <= INSTANCE_ENCODED_MAX &&
	       h->offset % RECORD_PAGE == 0 && h->offset >= RECORD_PAGE;
}

enum err record_head_decode(const uint8_t in[RECORD_CLEAR],
			    struct record_head *out)
{
	struct rd r = rd_init(in, RECORD_CLEAR);
	struct record_head h;
	enum err e = check_start(&r, RECORD_MAGIC);
	unsigned kind = rd_u8(&r);

	if (e == ERR_NOTFOUND)
		return e;
	if (!check_crc(in, RECORD_CLEAR))
		return ERR_CORRUPT;
	if (e != ERR_OK)
		return e;
	memset(&h, 0, sizeof(h));
	h.flags = rd_u8(&r);
	rd_copy(&r, h.key_id, sizeof(h.key_id));
	rd_copy(&r, h.spool_id, sizeof(h.spool_id));
	rd_copy(&r, h.salt, sizeof(h.salt));
	h.segment = rd_u32(&r);
	h.offset = rd_u32(&r);
	h.previous = rd_u32(&r);
	h.epoch = rd_u32(&r);
	h.index = rd_u32(&r);
	h.sequence = rd_u64(&r);
	h.flushed = rd_u64(&r);
	rd_copy(&r, h.id.b, sizeof(h.id.b));
	rd_copy(&r, h.payload_salt, sizeof(h.payload_salt));
	h.payload_len = rd_u32(&r);
	h.meta_len = rd_u16(&r);
	rd_copy(&r, h.leaf, sizeof(h.leaf));
	rd_copy(&r, h.payload_tag, sizeof(h.payload_tag));
	h.partial_from = rd_u32(&r);
	if (!rd_ok(&r) || !head_sane(kind, &h))
		return ERR_CORRUPT;
	h.kind = kind == RECORD_CHUNK ? RECORD_CHUNK : RECORD_OUTCOMES;
	*out = h;
	return ERR_OK;
}

void record_payload_salt(const struct record_head *h, uint8_t out[32])
{
	memcpy(out, h->payload_salt, sizeof(h->payload_salt));
	memcpy(out + sizeof(h->payload_salt), h->id.b, sizeof(h->id.b));
}

void record_payload_aad(const struct record_head *h, uint8_t out[RECORD_AAD])
{
	struct wr w = wr_init(out, RECORD_AAD);

	wr_u16(&w, RECORD_FORMAT);
	wr_u16(&w, (uint16_t)h->kind);
	wr_bytes(&w, h->spool_id, sizeof(h->spool_id));
	wr_bytes(&w, h->id.b, sizeof(h->id.b));
	wr_u32(&w, h->index);
	assert(wr_ok(&w) && w.len == RECORD_AAD);
}

enum err record_page_seal(const struct record_head *h, const uint8_t *meta,
			  struct seal *life, uint8_t page[RECORD_PAGE])
{
	struct seal_text t = {.aad = page,
			      .aad_len = RECORD_CLEAR - 4,
			      .in = meta,
			      .len = h->meta_len};
	uint8_t *sealed = page + RECORD_CLEAR;
	uint8_t nonce[SEAL_NONCE_LEN];
	size_t used = RECORD_CLEAR + (size_t)h->meta_len + SEAL_TAG_LEN;
	enum err e;

	record_head_encode(h, page);
	seal_nonce(h->sequence, nonce);
	e = seal_lock(life, nonce, &t, sealed, sealed + h->meta_len);
	if (e != ERR_OK)
		return e;
	memset(page + used, 0, RECORD_COPY - used);
	memcpy(page + RECORD_COPY, page, RECORD_COPY);
	return ERR_OK;
}

enum err record_page_head(const uint8_t page[RECORD_PAGE],
			  struct record_head *out, size_t *copy)
{
	enum err e = record_head_decode(page, out);

	*copy = 0;
	if (e == ERR_OK)
		return e;
	if (record_head_decode(page + RECORD_COPY, out) != ERR_OK)
		return e;
	*copy = RECORD_COPY;
	return ERR_OK;
}

enum err record_page_meta(const uint8_t page[RECORD_PAGE], size_t copy,
			  const struct record_head *h, struct seal *life,
			  uint8_t meta[INSTANCE_ENCODED_MAX])
{
	const uint8_t *sealed = page + copy + RECORD_CLEAR;
	struct seal_text t = {.aad = page + copy,
			      .aad_len = RECORD_CLEAR - 4,
			      .in = sealed,
			      .len = h->meta_len};
	uint8_t nonce[SEAL_NONCE_LEN];

	assert(h->meta_len <= INSTANCE_ENCODED_MAX);
	seal_nonce(h->sequence, nonce);
	return seal_unlock(life, nonce, &t, meta, sealed + h->meta_len);
}

enum err record_payload_open(const struct record_head *h,
			     const struct seal_key *key, struct seal *s,
			     const uint8_t *in, uint8_t *out)
{
	uint8_t salt[32], aad[RECORD_AAD], nonce[SEAL_NONCE_LEN];
	struct seal_text t = {.aad = aad,
			      .aad_len = sizeof(aad),
			      .in = in,
			      .len = h->payload_len};
	enum err e;

	record_payload_salt(h, salt);
	record_payload_aad(h, aad);
	seal_nonce(h->index, nonce);
	e = seal_rekey(s, key, salt, sizeof(salt), record_payload_info);
	if (e != ERR_OK)
		return e;
	return seal_unlock(s, nonce, &t, out, h->payload_tag);
}

static void put_name(struct wr *w, const char *name)
{
	size_t n = strnlen(name, INSTANCE_NAME_LEN - 1);

	wr_u8(w, (uint8_t)n);
	wr_bytes(w, name, n);
}

enum { OUTCOME_REPEATED = 0x80 }; /* beside the kind, which is below it */

bool record_outcome_encode(const struct outcome *o, uint8_t *out, size_t cap,
			   size_t *len)
{
	struct wr w = wr_init(out, cap);

	w.len = *len;
	wr_bytes(&w, o->id.b, sizeof(o->id.b));
	wr_u8(&w, (uint8_t)(o->kind | (o->repeated ? OUTCOME_REPEATED : 0)));
	wr_u16(&w, o->status);
	wr_u64(&w, (uint64_t)o->at_ms);
	put_name(&w, o->destination);
	put_name(&w, o->target);
	if (!wr_ok(&w))
		return false;
	*len = w.len;
	return true;
}

static bool get_name(struct rd *r, char out[INSTANCE_NAME_LEN])
{
	size_t n = rd_u8(r);
	const uint8_t *p = rd_bytes(r, n);

	if (p == NULL || n >= INSTANCE_NAME_LEN)
		return false;
	memset(out, 0, INSTANCE_NAME_LEN);
	memcpy(out, p, n);
	return true;
}

static bool get_outcome(struct rd *r, struct outcome *o)
{
	unsigned kind;

	memset(o, 0, sizeof(*o));
	rd_copy(r, o->id.b, sizeof(o->id.b));
	kind = rd_u8(r);
	o->kind = (enum outcome_kind)(kind & 0x7f);
	o->repeated = (kind & OUTCOME_REPEATED) != 0;
	o->status = rd_u16(r);
	o->at_ms = (int64_t)rd_u64(r);
	return rd_ok(r) && get_name(r, o->destination) &&
	       get_name(r, o->target);
}

enum err record_outcomes_decode(const uint8_t *in, size_t len,
				struct outcome *out, size_t max, size_t *n)
{
	struct rd r = rd_init(in, len);

	*n = 0;
	while (r.left > 0) {
		if (*n == max)
			return ERR_LIMIT;
		if (!get_outcome(&r, &out[*n]))
			return ERR_CORRUPT;
		*n += 1;
	}
	return ERR_OK;
}

void segment_head_encode(const struct segment_head *h,
			 uint8_t page[RECORD_PAGE])
{
	struct wr w = wr_init(page, RECORD_COPY);

	wr_u32(&w, SEGMENT_MAGIC);
	wr_u16(&w, RECORD_FORMAT);
	wr_u16(&w, 0);
	wr_bytes(&w, h->key_id, sizeof(h->key_id));
	wr_bytes(&w, h->spool_id, sizeof(h->spool_id));
	wr_bytes(&w, h->salt, sizeof(h->salt));
	wr_u32(&w, h->number);
	wr_u32(&w, h->epoch);
	wr_u64(&w, h->size);
	wr_u64(&w, h->sequence);
	wr_fill(&w, 0, SEGMENT_CLEAR - 4 - w.len);
	wr_u32(&w, crc32c(page, SEGMENT_CLEAR - 4));
	wr_fill(&w, 0, RECORD_COPY - w.len);
	assert(wr_ok(&w));
	memcpy(page + RECORD_COPY, page, RECORD_COPY);
}

static enum err segment_copy_decode(const uint8_t *in, struct segment_head *out)
{
	struct rd r = rd_init(in, SEGMENT_CLEAR);
	struct segment_head h;
	enum err e = check_start(&r, SEGMENT_MAGIC);

	if (e == ERR_NOTFOUND)
		return e;
	if (!check_crc(in, SEGMENT_CLEAR))
		return ERR_CORRUPT;
	if (e != ERR_OK)
		return e;
	(void)rd_u16(&r);
	memset(&h, 0, sizeof(h));
	rd_copy(&r, h.key_id, sizeof(h.key_id));
	rd_copy(&r, h.spool_id, sizeof(h.spool_id));
	rd_copy(&r, h.salt, sizeof(h.salt));
	h.number = rd_u32(&r);
	h.epoch = rd_u32(&r);
	h.size = rd_u64(&r);
	h.sequence = rd_u64(&r);
	if (!rd_ok(&r))
		return ERR_CORRUPT;
	*out = h;
	return ERR_OK;
}

enum err segment_head_decode(const uint8_t page[RECORD_PAGE],
			     struct segment_head *out)
{
	enum err e = segment_copy_decode(page, out);

	if (e != ERR_OK &&
	    segment_copy_decode(page + RECORD_COPY, out) == ERR_OK)
		return ERR_OK;
	return e;
}
