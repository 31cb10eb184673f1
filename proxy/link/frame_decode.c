#include <string.h>

#include "proxy/lib/rd.h"
#include "proxy/link/frame_int.h"

/* A decoder returns the rule that is broken, or NULL. Short bodies show in the
 * reader, bytes left over are seen by the caller. */

static const char *short_body = "a body that is too short for its fields";
static const char *reserved = "reserved bytes that are not zero";

static void get_bytes(struct rd *r, void *out, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

static struct link_bytes get_list(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	return (struct link_bytes){.p = p, .len = p != NULL ? n : 0};
}

static struct link_bytes get_rest(struct rd *r)
{
	return get_list(r, r->left);
}

static const char *get_text(struct rd *r, struct link_bytes *out)
{
	uint8_t len = rd_u8(r);

	*out = get_list(r, len);
	if (out->len > LINK_TEXT_MAX || !link_printable(out->p, out->len))
		return "a text that is too long or not printable";
	return NULL;
}

static const char *get_node(struct rd *r, struct link_hello *h)
{
	uint8_t len = rd_u8(r);
	const uint8_t *p = rd_bytes(r, len);

	if (p == NULL)
		return short_body;
	if (len > LINK_NODE_MAX || memchr(p, 0, len) != NULL)
		return "HELLO: the node's name is too long";
	memcpy(h->node, p, len);
	return NULL;
}

/* Of another version nothing but the range is known; what a later edition of
 * this one appends is passed over. */
static const char *get_hello(struct rd *r, struct link_hello *h)
{
	const char *why = NULL;

	if (rd_u32(r) != LINK_MAGIC)
		return "not a HELLO of a chunk link";
	h->version_min = rd_u16(r);
	h->version_max = rd_u16(r);
	if (h->version_min <= LINK_VERSION && h->version_max >= LINK_VERSION) {
		h->features = rd_u32(r);
		get_bytes(r, h->spool, sizeof(h->spool));
		get_bytes(r, h->epoch, sizeof(h->epoch));
		get_bytes(r, h->session, sizeof(h->session));
		h->position = rd_u64(r);
		h->window = rd_u64(r);
		h->transfers = rd_u32(r);
		h->keepalive_ms = rd_u32(r);
		h->connections = rd_u8(r);
		h->chunk_log2 = rd_u8(r);
		why = get_node(r, h);
	}
	(void)rd_bytes(r, r->left);
	return why;
}

static const char *get_join(struct rd *r, struct link_join *j)
{
	if (rd_u32(r) != LINK_MAGIC)
		return "not a JOIN of a chunk link";
	get_bytes(r, j->session, sizeof(j->session));
	j->number = rd_u8(r);
	return rd_u8(r) != 0 ? reserved : NULL;
}

static const char *get_joined(struct rd *r, struct link_join *j)
{
	j->number = rd_u8(r);
	return rd_u8(r) != 0 ? reserved : NULL;
}

static const char *get_bye(struct rd *r, struct link_reason *why)
{
	why->code = rd_u16(r);
	return get_text(r, &why->text);
}

static void get_content(struct rd *r, struct link_content *c)
{
	c->length = rd_u64(r);
	c->chunks = rd_u32(r);
	get_bytes(r, c->root, sizeof(c->root));
	c->meta = get_list(r, rd_u16(r));
}

static void get_data(struct rd *r, struct link_data *d)
{
	d->index = rd_u32(r);
	d->offset = rd_u32(r);
	d->data = get_rest(r);
}

static void get_chunk_end(struct rd *r, struct link_chunk_end *e)
{
	e->index = rd_u32(r);
	e->length = rd_u32(r);
	get_bytes(r, e->leaf, sizeof(e->leaf));
}

static const char *get_withdraw(struct rd *r, uint8_t *reason)
{
	*reason = rd_u8(r);
	return rd_u8(r) != 0 ? reserved : NULL;
}

static void get_ids(struct rd *r, struct link_ids *ids)
{
	ids->n = rd_u16(r);
	ids->p = rd_bytes(r, (size_t)ids->n * LINK_ID_LEN);
}

static void get_runs(struct rd *r, struct link_runs *runs)
{
	runs->n = rd_u16(r);
	runs->p = rd_bytes(r, (size_t)runs->n * LINK_RUN_LEN);
}

static const char *get_bad(struct rd *r, struct link_bad_chunk *b)
{
	b->index = rd_u32(r);
	b->reason = rd_u8(r);
	if (rd_u8(r) != 0)
		return reserved;
	get_bytes(r, b->said, sizeof(b->said));
	get_bytes(r, b->found, sizeof(b->found));
	return NULL;
}

static void get_arrived(struct rd *r, struct link_arrived *a)
{
	a->position = rd_u64(r);
	get_bytes(r, a->root, sizeof(a->root));
}

static const char *get_delivered(struct rd *r, struct link_delivered *d)
{
	d->outcome = rd_u8(r);
	if (rd_u8(r) != 0)
		return reserved;
	d->status = rd_u16(r);
	d->at_ms = rd_u64(r);
	return NULL;
}

static const char *get_undelivered(struct rd *r, struct link_reason *why)
{
	why->code = rd_u8(r);
	if (rd_u8(r) != 0)
		return reserved;
	why->status = rd_u16(r);
	return get_text(r, &why->text);
}

static const char *get_refused(struct rd *r, struct link_reason *why)
{
	why->code = rd_u16(r);
	why->retry_s = rd_u32(r);
	return get_text(r, &why->text);
}

static void get_accepts(struct rd *r, struct link_accepts *a)
{
	a->serial = rd_u32(r);
	a->age_s = rd_u32(r);
	a->called_ae = get_list(r, rd_u8(r));
	a->pairs = rd_u16(r);
	a->list = get_rest(r);
}

/* Types that name one transfer; its id stands first. */
static bool has_id(enum link_type type)
{
	return type >= LINK_OFFER && type != LINK_QUERY && type != LINK_NOTED &&
	       type != LINK_HEAD && type != LINK_ACCEPTS;
}

static const char *get_sent(struct rd *r, struct link_frame *f)
{
	if (f->type == LINK_WITHDRAW)
		return get_withdraw(r, &f->withdraw);
	if (f->type == LINK_DATA)
		get_data(r, &f->data);
	else if (f->type == LINK_CHUNK_END)
		get_chunk_end(r, &f->end);
	else if (f->type == LINK_QUERY || f->type == LINK_NOTED)
		get_ids(r, &f->ids);
	else if (f->type == LINK_HEAD)
		f->head = get_rest(r);
	else
		get_content(r, &f->content);
	return NULL;
}

static const char *get_answer(struct rd *r, struct link_frame *f)
{
	if (f->type == LINK_BAD)
		return get_bad(r, &f->bad);
	if (f->type == LINK_DELIVERED)
		return get_delivered(r, &f->delivered);
	if (f->type == LINK_UNDELIVERED)
		return get_undelivered(r, &f->why);
	if (f->type == LINK_REFUSED)
		return get_refused(r, &f->why);
	if (f->type == LINK_ARRIVED)
		get_arrived(r, &f->arrived);
	else if (f->type == LINK_ACCEPTS)
		get_accepts(r, &f->accepts);
	else
		get_runs(r, &f->runs);
	return NULL;
}

static const char *get_body(struct rd *r, struct link_frame *f)
{
	if (f->type == LINK_HELLO)
		return get_hello(r, &f->hello);
	if (f->type == LINK_JOIN)
		return get_join(r, &f->join);
	if (f->type == LINK_JOINED)
		return get_joined(r, &f->join);
	if (f->type == LINK_BYE)
		return get_bye(r, &f->why);
	if (f->type == LINK_PING || f->type == LINK_PONG) {
		f->stamp = rd_u64(r);
		return NULL;
	}
	return f->type < LINK_HAVE ? get_sent(r, f) : get_answer(r, f);
}

enum err link_body_decode(const struct link_header *h, const uint8_t *body,
			  struct link_frame *out, const char **why)
{
	struct rd r = rd_init(body, h->body_len);
	const char *broken;

	memset(out, 0, sizeof(*out));
	out->type = (enum link_type)h->type;
	out->flags = h->flags;
	if (has_id(out->type))
		get_bytes(&r, out->id.b, sizeof(out->id.b));
	broken = get_body(&r, out);
	if (broken == NULL && !rd_ok(&r))
		broken = short_body;
	if (broken == NULL && r.left > 0)
		broken = "bytes behind the last field";
	if (broken == NULL)
		broken = link_frame_check(out);
	if (broken == NULL)
		return ERR_OK;
	*why = broken;
	return ERR_PROTO;
}
