#include "proxy/dicom/assoc_parts.h"

#include <string.h>

#include "proxy/lib/wr.h"

/* Start an item; the result goes to end_item(). */
static size_t begin_item(struct wr *w, uint8_t type, uint8_t second)
{
	wr_u8(w, type);
	wr_u8(w, second);
	wr_u16(w, 0);
	return w->len;
}

static void end_item(struct wr *w, size_t body_at)
{
	size_t len = w->len - body_at;

	if (w->failed)
		return;
	if (len > UINT16_MAX)
		w->failed = true;
	else
		wr_patch_u16(w, body_at - 2, (uint16_t)len);
}

static void put_bytes_item(struct wr *w, uint8_t type, uint8_t second,
			   const void *bytes, size_t n)
{
	size_t at = begin_item(w, type, second);

	wr_bytes(w, bytes, n);
	end_item(w, at);
}

static void put_text_item(struct wr *w, uint8_t type, const char *text)
{
	put_bytes_item(w, type, 0, text, strlen(text));
}

static void put_ae(struct wr *w, const char *ae)
{
	size_t n = strnlen(ae, AE_MAX);

	wr_bytes(w, ae, n);
	wr_fill(w, ' ', AE_MAX - n);
}

static void put_context_rq(struct wr *w, const struct assoc *a,
			   const struct assoc_context *c)
{
	size_t at = begin_item(w, ITEM_CONTEXT_RQ, 0);

	wr_u8(w, c->id);
	wr_fill(w, 0, 3);
	put_text_item(w, ITEM_ABSTRACT, c->abstract);
	for (size_t i = 0; i < c->n_ts; i++)
		put_text_item(w, ITEM_TRANSFER, assoc_ts(a, c, i));
	end_item(w, at);
}

static void put_context_ac(struct wr *w, const struct assoc *a,
			   const struct assoc_context *c)
{
	size_t at = begin_item(w, ITEM_CONTEXT_AC, 0);
	bool yes = c->result == CONTEXT_ACCEPTED;

	wr_u8(w, c->id);
	wr_u8(w, 0);
	wr_u8(w, c->result);
	wr_u8(w, 0);
	put_text_item(w, ITEM_TRANSFER,
		      yes ? assoc_ts(a, c, 0) : UID_IMPLICIT_LE);
	end_item(w, at);
}

static void put_role(struct wr *w, const struct assoc_role *role)
{
	size_t at = begin_item(w, ITEM_ROLE, 0);
	size_t n = strlen(role->sop_class);

	wr_u16(w, (uint16_t)n);
	wr_bytes(w, role->sop_class, n);
	wr_u8(w, role->scu);
	wr_u8(w, role->scp);
	end_item(w, at);
}

static void put_opaque(struct wr *w, const struct assoc *a, uint8_t type)
{
	for (size_t i = 0; i < a->n_items; i++) {
		const struct assoc_item *it = &a->items[i];

		if (it->type == type)
			put_bytes_item(w, type, it->second,
				       a->item_bytes + it->off, it->len);
	}
}

static void put_async(struct wr *w, const struct assoc *a)
{
	size_t at = begin_item(w, ITEM_ASYNC, 0);

	wr_u16(w, a->async_invoked);
	wr_u16(w, a->async_performed);
	end_item(w, at);
}

static void put_user_information(struct wr *w, const struct assoc *a)
{
	size_t all = begin_item(w, ITEM_USER_INFORMATION, 0);
	size_t at = begin_item(w, ITEM_MAX_LENGTH, 0);

	wr_u32(w, a->max_pdu);
	end_item(w, at);
	put_text_item(w, ITEM_IMPL_CLASS, a->impl_class);
	if (a->has_async)
		put_async(w, a);
	for (size_t i = 0; i < a->n_roles; i++)
		put_role(w, &a->roles[i]);
	if (a->impl_version[0] != '\0')
		put_text_item(w, ITEM_IMPL_VERSION, a->impl_version);
	for (int t = ITEM_EXTENDED; t <= ITEM_USER_IDENTITY_AC; t++)
		put_opaque(w, a, (uint8_t)t);
	end_item(w, all);
}

static enum err encode(const struct assoc *a, struct wr *w, bool rq)
{
	size_t start = w->len;

	wr_u8(w, rq ? PDU_ASSOCIATE_RQ : PDU_ASSOCIATE_AC);
	wr_u8(w, 0);
	wr_u32(w, 0);
	wr_u16(w, 1); /* protocol version */
	wr_u16(w, 0);
	put_ae(w, a->called_ae);
	put_ae(w, a->calling_ae);
	if (rq)
		wr_fill(w, 0, sizeof(a->reserved));
	else
		wr_bytes(w, a->reserved, sizeof(a->reserved));
	put_text_item(w, ITEM_APPLICATION_CONTEXT, a->app_context);
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (rq)
			put_context_rq(w, a, &a->contexts[i]);
		else
			put_context_ac(w, a, &a->contexts[i]);
	}
	put_user_information(w, a);
	if (!wr_ok(w))
		return ERR_LIMIT;
	wr_patch_u32(w, start + 2, (uint32_t)(w->len - start - PDU_HEADER_LEN));
	return ERR_OK;
}

static bool uids_sound(const struct assoc *a)
{
	return uid_valid(a->app_context) && uid_valid(a->impl_class);
}

enum err assoc_encode_rq(const struct assoc *a, struct wr *w)
{
	if (!uids_sound(a) || a->n_contexts == 0 ||
	    !assoc_ae_valid(a->called_ae) || !assoc_ae_valid(a->calling_ae))
		return ERR_INVAL;
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].abstract[0] == '\0' ||
		    a->contexts[i].n_ts == 0)
			return ERR_INVAL;
	}
	return encode(a, w, true);
}

enum err assoc_encode_ac(const struct assoc *a, struct wr *w)
{
	if (!uids_sound(a))
		return ERR_INVAL;
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].result == CONTEXT_ACCEPTED &&
		    a->contexts[i].n_ts == 0)
			return ERR_INVAL;
	}
	return encode(a, w, false);
}
