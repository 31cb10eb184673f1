#include "proxy/dicom/assoc.h"

#include <string.h>

#include "proxy/dicom/assoc_parts.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

/* ---- read ---- */

const struct assoc_context *assoc_context(const struct assoc *a, uint8_t id)
{
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].id == id)
			return &a->contexts[i];
	}
	return NULL;
}

const char *assoc_ts(const struct assoc *a, const struct assoc_context *c,
		     size_t i)
{
	return a->ts[c->first_ts + i];
}

bool assoc_has_ts(const struct assoc *a, const struct assoc_context *c,
		  const char *ts)
{
	for (size_t i = 0; i < c->n_ts; i++) {
		if (strcmp(assoc_ts(a, c, i), ts) == 0)
			return true;
	}
	return false;
}

const char *assoc_accepted(const struct assoc *rq, const struct assoc *ac,
			   uint8_t id)
{
	const struct assoc_context *asked = assoc_context(rq, id);
	const struct assoc_context *got = assoc_context(ac, id);
	const char *ts;

	if (asked == NULL || got == NULL || got->result != CONTEXT_ACCEPTED ||
	    got->n_ts == 0)
		return NULL;
	ts = assoc_ts(ac, got, 0);
	return assoc_has_ts(rq, asked, ts) ? ts : NULL;
}

const struct assoc_role *assoc_role(const struct assoc *a,
				    const char *sop_class)
{
	for (size_t i = 0; i < a->n_roles; i++) {
		if (strcmp(a->roles[i].sop_class, sop_class) == 0)
			return &a->roles[i];
	}
	return NULL;
}

bool assoc_ae_valid(const char *ae)
{
	bool solid = false;
	size_t n = 0;

	for (; ae[n] != '\0'; n++) {
		if (n == AE_MAX || ae[n] < ' ' || ae[n] > '~' || ae[n] == '\\')
			return false;
		if (ae[n] != ' ')
			solid = true;
	}
	return solid;
}

/* ---- build ---- */

/* Everything but the arrays, so that their pages stay untouched. */
void assoc_clear(struct assoc *a)
{
	memset(a, 0, offsetof(struct assoc, contexts));
	a->max_pdu = PDU_DEFAULT_MAX;
	a->async_invoked = a->async_performed = 1;
}

void assoc_init(struct assoc *a)
{
	assoc_clear(a);
	a->version = 1;
	memcpy(a->app_context, UID_APPLICATION_CONTEXT,
	       sizeof(UID_APPLICATION_CONTEXT));
	memcpy(a->impl_class, UID_OUR_CLASS, sizeof(UID_OUR_CLASS));
	memcpy(a->impl_version, UID_OUR_VERSION, sizeof(UID_OUR_VERSION));
}

void assoc_init_answer(struct assoc *ac, const struct assoc *rq)
{
	assoc_init(ac);
	memcpy(ac->called_ae, rq->called_ae, sizeof(ac->called_ae));
	memcpy(ac->calling_ae, rq->calling_ae, sizeof(ac->calling_ae));
	memcpy(ac->reserved, rq->reserved, sizeof(ac->reserved));
	for (size_t i = 0; i < rq->n_contexts; i++)
		ac->contexts[i] = (struct assoc_context){
		    .id = rq->contexts[i].id, .result = CONTEXT_NO_REASON};
	ac->n_contexts = rq->n_contexts;
}

enum err assoc_answer(struct assoc *ac, uint8_t id, uint8_t result,
		      const char *ts)
{
	struct assoc_context *c = NULL;

	for (size_t i = 0; i < ac->n_contexts; i++) {
		if (ac->contexts[i].id == id)
			c = &ac->contexts[i];
	}
	if (c == NULL)
		return ERR_NOTFOUND;
	if (result == CONTEXT_ACCEPTED) {
		if (!uid_valid(ts))
			return ERR_INVAL;
		if (c->n_ts == 0) {
			c->first_ts = ac->n_ts++;
			c->n_ts = 1;
		}
		memcpy(ac->ts[c->first_ts], ts, strlen(ts) + 1);
	}
	c->result = result;
	return ERR_OK;
}

enum err assoc_add_context(struct assoc *a, uint8_t id, const char *abstract)
{
	struct assoc_context *c;

	if (id % 2 == 0 || assoc_context(a, id) != NULL || !uid_valid(abstract))
		return ERR_INVAL;
	if (a->n_contexts == ASSOC_MAX_CONTEXTS)
		return ERR_LIMIT;
	c = &a->contexts[a->n_contexts++];
	*c = (struct assoc_context){.id = id, .first_ts = a->n_ts};
	memcpy(c->abstract, abstract, strlen(abstract) + 1);
	return ERR_OK;
}

enum err assoc_add_ts(struct assoc *a, const char *ts)
{
	struct assoc_context *c;

	if (a->n_contexts == 0 || !uid_valid(ts))
		return ERR_INVAL;
	c = &a->contexts[a->n_contexts - 1];
	if (c->n_ts == ASSOC_MAX_CONTEXT_TS || a->n_ts == ASSOC_MAX_TS)
		return ERR_LIMIT;
	memcpy(a->ts[a->n_ts++], ts, strlen(ts) + 1);
	c->n_ts++;
	return ERR_OK;
}

enum err assoc_add_role(struct assoc *a, const char *sop_class, bool scu,
			bool scp)
{
	struct assoc_role *role;

	if (!uid_valid(sop_class))
		return ERR_INVAL;
	if (a->n_roles == ASSOC_MAX_ROLES)
		return ERR_LIMIT;
	role = &a->roles[a->n_roles++];
	role->scu = scu;
	role->scp = scp;
	memcpy(role->sop_class, sop_class, strlen(sop_class) + 1);
	return ERR_OK;
}

enum err assoc_add_item(struct assoc *a, uint8_t type, uint8_t second,
			const uint8_t *bytes, uint16_t len)
{
	if (a->n_items == ASSOC_MAX_ITEMS ||
	    len > ASSOC_MAX_ITEM_BYTES - a->n_item_bytes)
		return ERR_LIMIT;
	a->items[a->n_items++] = (struct assoc_item){
	    .type = type, .second = second, .len = len, .off = a->n_item_bytes};
	if (len > 0)
		memcpy(a->item_bytes + a->n_item_bytes, bytes, len);
	a->n_item_bytes += len;
	return ERR_OK;
}

typedef bool wanted_fn(const struct assoc *to, const uint8_t *bytes, size_t n);

static bool any_item(const struct assoc *to, const uint8_t *bytes, size_t n)
{
	(void)to;
	(void)bytes;
	(void)n;
	return true;
}

/* u16 length, class, whatever. */
static bool is_of_context(const struct assoc *to, const uint8_t *bytes,
			  size_t n)
{
	struct rd r = rd_init(bytes, n);
	size_t len = rd_u16(&r);
	const uint8_t *class = rd_bytes(&r, len);

	if (!rd_ok(&r))
		return false;
	while (len > 0 && (class[len - 1] == '\0' || class[len - 1] == ' '))
		len--;
	for (size_t i = 0; i < to->n_contexts; i++) {
		const char *abstract = to->contexts[i].abstract;

		if (strlen(abstract) == len &&
		    memcmp(abstract, class, len) == 0)
			return true;
	}
	return false;
}

static enum err copy_items(struct assoc *to, const struct assoc *from,
			   uint8_t type, wanted_fn *wanted)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < from->n_items && e == ERR_OK; i++) {
		const struct assoc_item *it = &from->items[i];
		const uint8_t *bytes = from->item_bytes + it->off;

		if (it->type == type && wanted(to, bytes, it->len))
			e = assoc_add_item(to, type, it->second, bytes,
					   it->len);
	}
	return e;
}

enum err assoc_copy_items(struct assoc *to, const struct assoc *from,
			  uint8_t type)
{
	return copy_items(to, from, type, any_item);
}

enum err assoc_copy_class_items(struct assoc *to, const struct assoc *from,
				uint8_t type)
{
	return copy_items(to, from, type, is_of_context);
}

void assoc_wipe(struct assoc *a)
{
	mem_wipe(a->item_bytes, a->n_item_bytes);
	a->n_item_bytes = a->n_items = 0;
}
