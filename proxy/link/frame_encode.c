#include <assert.h>
#include <string.h>

#include "proxy/lib/wr.h"
#include "proxy/link/frame_int.h"

static void put_text(struct wr *w, struct link_bytes text)
{
	size_t n = text.len < LINK_TEXT_MAX ? text.len : LINK_TEXT_MAX;

	wr_u8(w, (uint8_t)n);
	for (size_t i = 0; i < n; i++)
		wr_u8(w, link_printable(text.p + i, 1) ? text.p[i] : '?');
}

static void put_hello(struct wr *w, const struct link_hello *h)
{
	size_t node = strnlen(h->node, sizeof(h->node) - 1);

	wr_u32(w, LINK_MAGIC);
	wr_u16(w, h->version_min);
	wr_u16(w, h->version_max);
	if (h->version_min > LINK_VERSION || h->version_max < LINK_VERSION)
		return;
	wr_u32(w, h->features);
	wr_bytes(w, h->spool, sizeof(h->spool));
	wr_bytes(w, h->epoch, sizeof(h->epoch));
	wr_bytes(w, h->session, sizeof(h->session));
	wr_u64(w, h->position);
	wr_u64(w, h->window);
	wr_u32(w, h->transfers);
	wr_u32(w, h->keepalive_ms);
	wr_u8(w, h->connections);
	wr_u8(w, h->chunk_log2);
	wr_u8(w, (uint8_t)node);
	wr_bytes(w, h->node, node);
}

static void put_join(struct wr *w, const struct link_join *j)
{
	wr_u32(w, LINK_MAGIC);
	wr_bytes(w, j->session, sizeof(j->session));
	wr_u8(w, j->number);
	wr_u8(w, 0);
}

static void put_content(struct wr *w, const struct link_content *c)
{
	wr_u64(w, c->length);
	wr_u32(w, c->chunks);
	wr_bytes(w, c->root, sizeof(c->root));
	wr_u16(w, (uint16_t)c->meta.len);
	wr_bytes(w, c->meta.p, c->meta.len);
}

static void put_data(struct wr *w, const struct link_data *d)
{
	wr_u32(w, d->index);
	wr_u32(w, d->offset);
	wr_bytes(w, d->data.p, d->data.len);
}

static void put_chunk_end(struct wr *w, const struct link_chunk_end *e)
{
	wr_u32(w, e->index);
	wr_u32(w, e->length);
	wr_bytes(w, e->leaf, sizeof(e->leaf));
}

static void put_list(struct wr *w, const uint8_t *p, uint32_t n, size_t size)
{
	wr_u16(w, (uint16_t)n);
	wr_bytes(w, p, n * size);
}

static void put_bad(struct wr *w, const struct link_bad_chunk *b)
{
	wr_u32(w, b->index);
	wr_u8(w, b->reason);
	wr_u8(w, 0);
	wr_bytes(w, b->said, sizeof(b->said));
	wr_bytes(w, b->found, sizeof(b->found));
}

static void put_delivered(struct wr *w, const struct link_delivered *d)
{
	wr_u8(w, d->outcome);
	wr_u8(w, 0);
	wr_u16(w, d->status);
	wr_u64(w, d->at_ms);
}

static void put_undelivered(struct wr *w, const struct link_reason *why)
{
	wr_u8(w, (uint8_t)why->code);
	wr_u8(w, 0);
	wr_u16(w, why->status);
	put_text(w, why->text);
}

static void put_refused(struct wr *w, const struct link_reason *why)
{
	wr_u16(w, why->code);
	wr_u32(w, why->retry_s);
	put_text(w, why->text);
}

static void put_accepts(struct wr *w, const struct link_accepts *a)
{
	wr_u32(w, a->serial);
	wr_u32(w, a->age_s);
	wr_u8(w, (uint8_t)a->called_ae.len);
	wr_bytes(w, a->called_ae.p, a->called_ae.len);
	wr_u16(w, (uint16_t)a->pairs);
	wr_bytes(w, a->list.p, a->list.len);
}

/* Types without a transfer's id in front. */
static bool put_plain(struct wr *w, const struct link_frame *f)
{
	if (f->type == LINK_HELLO) {
		put_hello(w, &f->hello);
	} else if (f->type == LINK_JOIN) {
		put_join(w, &f->join);
	} else if (f->type == LINK_JOINED) {
		wr_u8(w, f->join.number);
		wr_u8(w, 0);
	} else if (f->type == LINK_PING || f->type == LINK_PONG) {
		wr_u64(w, f->stamp);
	} else if (f->type == LINK_BYE) {
		wr_u16(w, f->why.code);
		put_text(w, f->why.text);
	} else if (f->type == LINK_QUERY || f->type == LINK_NOTED) {
		put_list(w, f->ids.p, f->ids.n, LINK_ID_LEN);
	} else if (f->type == LINK_HEAD) {
		wr_bytes(w, f->head.p, f->head.len);
	} else if (f->type == LINK_ACCEPTS) {
		put_accepts(w, &f->accepts);
	} else {
		return false;
	}
	return true;
}

static void put_of_transfer(struct wr *w, const struct link_frame *f)
{
	wr_bytes(w, f->id.b, sizeof(f->id.b));
	if (f->type == LINK_OFFER || f->type == LINK_ROOT) {
		put_content(w, &f->content);
	} else if (f->type == LINK_DATA) {
		put_data(w, &f->data);
	} else if (f->type == LINK_CHUNK_END) {
		put_chunk_end(w, &f->end);
	} else if (f->type == LINK_WITHDRAW) {
		wr_u8(w, f->withdraw);
		wr_u8(w, 0);
	} else if (f->type == LINK_HAVE || f->type == LINK_ACK) {
		put_list(w, f->runs.p, f->runs.n, LINK_RUN_LEN);
	} else if (f->type == LINK_BAD) {
		put_bad(w, &f->bad);
	} else if (f->type == LINK_ARRIVED) {
		wr_u64(w, f->arrived.position);
		wr_bytes(w, f->arrived.root, sizeof(f->arrived.root));
	} else if (f->type == LINK_DELIVERED) {
		put_delivered(w, &f->delivered);
	} else if (f->type == LINK_UNDELIVERED) {
		put_undelivered(w, &f->why);
	} else {
		put_refused(w, &f->why);
	}
}

static void put_header(struct wr *w, uint8_t type, uint8_t flags, uint32_t len)
{
	wr_u8(w, type);
	wr_u8(w, flags);
	wr_u16(w, 0);
	wr_u32(w, len);
}

enum err link_frame_encode(const struct link_frame *f, uint8_t *out, size_t cap,
			   size_t *len)
{
	struct wr w = wr_init(out, cap < LINK_FRAME_MAX ? cap : LINK_FRAME_MAX);
	struct link_header h;
	const char *why = link_frame_check(f);

	if (why != NULL)
		return ERR_INVAL;
	put_header(&w, (uint8_t)f->type, f->flags, 0);
	if (!put_plain(&w, f))
		put_of_transfer(&w, f);
	if (!wr_ok(&w))
		return cap < LINK_FRAME_MAX ? ERR_LIMIT : ERR_INVAL;
	wr_patch_u32(&w, 4, (uint32_t)(w.len - LINK_HEADER_LEN));
	/* Flags and length are the type's. */
	if (link_header_decode(out, w.len, &h, &why) != ERR_OK)
		return ERR_INVAL;
	*len = w.len;
	return ERR_OK;
}

size_t link_data_head(uint8_t out[LINK_DATA_HEAD], const struct transfer_id *id,
		      uint32_t index, uint32_t offset, uint32_t payload_len)
{
	struct wr w = wr_init(out, LINK_DATA_HEAD);

	assert(payload_len > 0 && payload_len <= LINK_DATA_MAX);
	assert(offset < CHUNK_LEN && payload_len <= CHUNK_LEN - offset);
	put_header(&w, LINK_DATA, 0,
		   LINK_DATA_HEAD - LINK_HEADER_LEN + payload_len);
	wr_bytes(&w, id->b, sizeof(id->b));
	wr_u32(&w, index);
	wr_u32(&w, offset);
	return w.len;
}
