#include "proxy/link/frame.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

static const struct row {
	const char *name;
	uint32_t min, max; /* bytes of body */
	uint8_t flags;
	uint8_t from; /* enum link_from */
} rows[] = {
#define X(name, number, min, max, flags, from)                                 \
	[LINK_##name] = {#name, (min), (max), (flags), LINK_FROM_##from},
    LINK_TYPE_MAP(X)
#undef X
};

/* NULL: not one of ours. */
static const struct row *row_of(uint8_t type)
{
	if (type >= ARRAY_LEN(rows) || rows[type].name == NULL)
		return NULL;
	return &rows[type];
}

const char *link_type_name(uint8_t type)
{
	const struct row *row = row_of(type);

	return row != NULL ? row->name : "unknown";
}

enum link_from link_type_from(enum link_type type)
{
	return (enum link_from)rows[type].from;
}

static enum err header_check(const struct link_header *h, const char **why)
{
	const struct row *row = row_of(h->type);

	*why = NULL;
	if (h->type >= LINK_SKIPPABLE)
		*why = h->body_len <= LINK_BODY_MAX ? NULL : "too long a frame";
	else if (row == NULL)
		*why = "a frame of an unknown type";
	else if ((h->flags & ~row->flags) != 0)
		*why = "a flag that the type does not have";
	else if (h->body_len < row->min || h->body_len > row->max)
		*why = "a length that the type cannot have";
	return *why == NULL ? ERR_OK : ERR_PROTO;
}

enum err link_header_decode(const uint8_t *buf, size_t len,
			    struct link_header *out, const char **why)
{
	struct rd r = rd_init(buf, len);
	struct link_header h;
	uint16_t zero;

	h.type = rd_u8(&r);
	h.flags = rd_u8(&r);
	zero = rd_u16(&r);
	h.body_len = rd_u32(&r);
	if (!rd_ok(&r))
		return ERR_AGAIN;
	if (zero != 0) {
		*why = "a header with reserved bytes that are not zero";
		return ERR_PROTO;
	}
	if (header_check(&h, why) != ERR_OK)
		return ERR_PROTO;
	*out = h;
	return ERR_OK;
}

/* ---- the stream ---------------------------------------------------------- */

void link_stream_init(struct link_stream *s, struct buf *hold)
{
	memset(s, 0, sizeof(*s));
	s->hold = hold;
}

bool link_stream_idle(const struct link_stream *s)
{
	return s->skip == 0 && (s->given || buf_len(s->hold) == 0);
}

static enum err fail(struct link_stream *s, enum err e, const char *why)
{
	s->failed = e;
	s->why = e == ERR_PROTO ? why : NULL;
	return e;
}

/* Bring hold to want bytes, as far as input goes. ERR_AGAIN: it did not go. */
static enum err gather(struct link_stream *s, size_t want, struct rd *in)
{
	size_t missing = want - buf_len(s->hold);
	size_t n = missing < in->left ? missing : in->left;
	const uint8_t *p = rd_bytes(in, n);

	if (n > 0 && buf_append(s->hold, p, n) != ERR_OK)
		return fail(s, ERR_NOMEM, NULL);
	return n == missing ? ERR_OK : ERR_AGAIN;
}

static void skip(struct link_stream *s, struct rd *in)
{
	size_t n = s->skip < in->left ? s->skip : in->left;

	(void)rd_bytes(in, n);
	s->skip -= (uint32_t)n;
}

/* *body: the body of a whole frame, in the input if all of it is there. */
static enum err whole(struct link_stream *s, struct rd *in,
		      const uint8_t **body)
{
	const char *why = NULL;
	enum err e;

	if (buf_len(s->hold) == 0 &&
	    link_header_decode(in->p, in->left, &s->head, &why) == ERR_OK &&
	    s->head.body_len <= in->left - LINK_HEADER_LEN) {
		*body = in->p + LINK_HEADER_LEN;
		(void)rd_bytes(in, LINK_HEADER_LEN + s->head.body_len);
		return ERR_OK;
	}
	if (buf_len(s->hold) < LINK_HEADER_LEN) {
		e = gather(s, LINK_HEADER_LEN, in);
		if (e != ERR_OK)
			return e;
		e = link_header_decode(buf_data(s->hold), LINK_HEADER_LEN,
				       &s->head, &why);
		if (e != ERR_OK)
			return fail(s, e, why);
	}
	if (s->head.type < LINK_SKIPPABLE) {
		e = gather(s, LINK_HEADER_LEN + s->head.body_len, in);
		if (e != ERR_OK)
			return e;
	} else {
		s->skip = s->head.body_len;
	}
	*body = buf_data(s->hold) + LINK_HEADER_LEN;
	s->given = true;
	return ERR_OK;
}

static enum err next(struct link_stream *s, struct rd *in,
		     struct link_frame *out)
{
	const char *why = NULL;
	const uint8_t *body;

	for (;;) {
		enum err e;

		if (s->given)
			buf_clear(s->hold);
		s->given = false;
		skip(s, in);
		if (s->skip > 0)
			return ERR_AGAIN;
		e = whole(s, in, &body);
		if (e != ERR_OK)
			return e;
		s->frames++;
		if (s->head.type < LINK_SKIPPABLE)
			break;
		s->skipped++;
	}
	if (link_body_decode(&s->head, body, out, &why) != ERR_OK)
		return fail(s, ERR_PROTO, why);
	return ERR_OK;
}

enum err link_stream_next(struct link_stream *s, const uint8_t *bytes, size_t n,
			  size_t *used, struct link_frame *out)
{
	struct rd in = rd_init(bytes, n);
	enum err e = s->failed;

	if (e == ERR_OK)
		e = next(s, &in, out);
	*used = n - in.left;
	return e;
}
