#include "proxy/dicom/assoc_parts.h"

#include <string.h>

#include "proxy/lib/rd.h"

struct item {
	uint8_t type;
	uint8_t second; /* reserved byte */
	uint16_t len;
	struct rd body;
};

/* The next item of parent. False at its end, or when it is cut off: then
 * parent has failed. */
static bool next_item(struct rd *parent, struct item *out)
{
	if (parent->left == 0 || !rd_ok(parent))
		return false;
	out->type = rd_u8(parent);
	out->second = rd_u8(parent);
	out->len = rd_u16(parent);
	out->body = rd_sub(parent, out->len);
	return rd_ok(parent);
}

static void count(uint16_t *n)
{
	if (*n < UINT16_MAX)
		++*n;
}

/* The UID in the next n bytes, or "" (and false) if it is not one. */
static bool read_uid(struct rd *r, size_t n, char out[UID_SIZE])
{
	const uint8_t *bytes = rd_bytes(r, n);

	out[0] = '\0';
	if (bytes == NULL)
		return false;
	if (uid_text(bytes, n, out, UID_SIZE) && uid_valid(out))
		return true;
	out[0] = '\0';
	return false;
}

static void read_ts(struct assoc *a, struct item *it, bool accept)
{
	char uid[UID_SIZE];

	if (!read_uid(&it->body, it->len, uid) || !accept ||
	    assoc_add_ts(a, uid) != ERR_OK)
		count(&a->dropped_ts);
}

/* Sub-items of the newest context. An AC has one transfer syntax, which means
 * something only when it accepts (PS3.8 9.3.3.2). */
static enum err context_items(struct assoc *a, struct rd *body, bool rq)
{
	struct assoc_context *c = &a->contexts[a->n_contexts - 1];
	struct item it;

	while (next_item(body, &it)) {
		if (it.type == ITEM_TRANSFER && rq)
			read_ts(a, &it, true);
		else if (it.type == ITEM_TRANSFER &&
			 c->result == CONTEXT_ACCEPTED)
			read_ts(a, &it, c->n_ts == 0);
		else if (it.type == ITEM_ABSTRACT && c->abstract[0] == '\0')
			(void)read_uid(&it.body, it.len, c->abstract);
		else if (it.type != ITEM_TRANSFER && it.type != ITEM_ABSTRACT)
			count(&a->unknown_items);
	}
	if (!rq)
		c->abstract[0] = '\0';
	return rd_ok(body) ? ERR_OK : ERR_PROTO;
}

static enum err on_context(struct assoc *a, struct rd *body, bool rq)
{
	uint8_t id = rd_u8(body), result;

	(void)rd_u8(body);
	result = rd_u8(body); /* in an RQ reserved: DCMTK sends FF */
	(void)rd_u8(body);
	if (!rd_ok(body))
		return ERR_PROTO;
	if (id % 2 == 0 || assoc_context(a, id) != NULL) {
		count(&a->dropped_contexts);
		return ERR_OK;
	}
	/* Odd and not there yet: fewer than ASSOC_MAX_CONTEXTS are. */
	a->contexts[a->n_contexts++] = (struct assoc_context){
	    .id = id, .result = rq ? 0 : result, .first_ts = a->n_ts};
	return context_items(a, body, rq);
}

static enum err on_role(struct assoc *a, struct rd *body)
{
	uint16_t n = rd_u16(body);
	char uid[UID_SIZE];
	bool good = read_uid(body, n, uid), scu, scp;

	scu = rd_u8(body) != 0;
	scp = rd_u8(body) != 0;
	if (!rd_ok(body))
		return ERR_PROTO;
	if (!good || assoc_add_role(a, uid, scu, scp) != ERR_OK)
		count(&a->dropped_items);
	return ERR_OK;
}

/* Whether the lengths inside an opaque sub-item fit it. */
static bool opaque_sound(const struct item *it)
{
	struct rd r = it->body;

	if (it->type == ITEM_USER_IDENTITY_RQ)
		(void)rd_u16(&r); /* type, response wanted */
	(void)rd_bytes(&r, rd_u16(&r));
	if (it->type == ITEM_COMMON_EXTENDED) {
		(void)rd_bytes(&r, rd_u16(&r));
		(void)rd_bytes(&r, rd_u16(&r));
	}
	if (it->type == ITEM_USER_IDENTITY_RQ)
		(void)rd_bytes(&r, rd_u16(&r));
	return rd_ok(&r);
}

static enum err on_opaque(struct assoc *a, struct item *it)
{
	if (!opaque_sound(it))
		return ERR_PROTO;
	if (it->type == ITEM_USER_IDENTITY_RQ) {
		a->user_identity_type = it->body.p[0];
		a->user_identity_response_wanted = it->body.p[1] != 0;
	}
	if (assoc_add_item(a, it->type, it->second, it->body.p, it->len) !=
	    ERR_OK)
		count(&a->dropped_items);
	return ERR_OK;
}

static void on_async(struct assoc *a, struct rd *body)
{
	uint16_t invoked = rd_u16(body), performed = rd_u16(body);

	if (!rd_ok(body))
		return;
	a->has_async = true;
	a->async_invoked = invoked;
	a->async_performed = performed;
}

static enum err on_user_item(struct assoc *a, struct item *it)
{
	struct rd *body = &it->body;

	switch (it->type) {
	case ITEM_MAX_LENGTH:
		if (it->len > 0)
			a->max_pdu = rd_u32(body);
		break;
	case ITEM_IMPL_CLASS:
		(void)read_uid(body, it->len, a->impl_class);
		break;
	case ITEM_ASYNC:
		on_async(a, body);
		break;
	case ITEM_ROLE:
		return on_role(a, body);
	case ITEM_IMPL_VERSION:
		(void)uid_text(body->p, it->len, a->impl_version,
			       sizeof(a->impl_version));
		break;
	case ITEM_EXTENDED:
	case ITEM_COMMON_EXTENDED:
	case ITEM_USER_IDENTITY_RQ:
	case ITEM_USER_IDENTITY_AC:
		return on_opaque(a, it);
	default: /* a byte of the peer's, not an enum of ours */
		count(&a->unknown_items);
	}
	return rd_ok(body) ? ERR_OK : ERR_PROTO;
}

static enum err on_user_information(struct assoc *a, struct rd *body)
{
	enum err e = ERR_OK;
	struct item it;

	while (e == ERR_OK && next_item(body, &it))
		e = on_user_item(a, &it);
	return e == ERR_OK && !rd_ok(body) ? ERR_PROTO : e;
}

static enum err on_item(struct assoc *a, struct item *it, bool rq)
{
	if (it->type == (rq ? ITEM_CONTEXT_RQ : ITEM_CONTEXT_AC))
		return on_context(a, &it->body, rq);
	if (it->type == ITEM_USER_INFORMATION)
		return on_user_information(a, &it->body);
	if (it->type == ITEM_APPLICATION_CONTEXT)
		(void)read_uid(&it->body, it->len, a->app_context);
	else
		count(&a->unknown_items);
	return ERR_OK;
}

static void read_ae(struct rd *r, char out[AE_SIZE])
{
	const uint8_t *bytes = rd_bytes(r, AE_MAX);

	if (bytes != NULL)
		(void)uid_text(bytes, AE_MAX, out, AE_SIZE); /* always fits */
}

enum err assoc_decode(const uint8_t *body, size_t len, enum pdu_type type,
		      struct assoc *out)
{
	struct rd r = rd_init(body, len);
	enum err e = ERR_OK;
	const uint8_t *reserved;
	struct item it;

	assoc_clear(out);
	out->version = rd_u16(&r);
	(void)rd_u16(&r);
	read_ae(&r, out->called_ae);
	read_ae(&r, out->calling_ae);
	reserved = rd_bytes(&r, sizeof(out->reserved));
	if (reserved == NULL)
		return ERR_PROTO;
	memcpy(out->reserved, reserved, sizeof(out->reserved));
	while (e == ERR_OK && next_item(&r, &it))
		e = on_item(out, &it, type == PDU_ASSOCIATE_RQ);
	return e == ERR_OK && !rd_ok(&r) ? ERR_PROTO : e;
}
