#include "proxy/dicom/commit.h"

#include <stdio.h>
#include <string.h>

#include "proxy/dicom/vr.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"

enum { UNDEFINED = 0xFFFFFFFF, FIRST_CAP = 16 };
#define ITEM         0xFFFEE000u
#define ITEM_END     0xFFFEE00Du
#define SEQUENCE_END 0xFFFEE0DDu

enum {
	CLASS_UID = 0x00081150,
	INSTANCE_UID = 0x00081155,
	TRANSACTION_UID = 0x00081195,
	REASON = 0x00081197,
	FAILED_SEQUENCE = 0x00081198,
	REFERENCED_SEQUENCE = 0x00081199,
};

/* ---- sets ---- */

static enum err grow(struct commit_set *set)
{
	size_t cap = set->cap == 0 ? FIRST_CAP : set->cap * 2;
	struct commit_ref *refs;

	if (set->n >= COMMIT_REFS_MAX)
		return ERR_LIMIT;
	refs = mem_realloc(set->refs, cap * sizeof(*refs));
	if (refs == NULL)
		return ERR_NOMEM;
	set->refs = refs;
	set->cap = cap;
	return ERR_OK;
}

enum err commit_add(struct commit_set *set, const char *sop_class,
		    const char *sop_instance, uint16_t reason)
{
	struct commit_ref *ref;

	if (set->n == set->cap) {
		enum err e = grow(set);

		if (e != ERR_OK)
			return e;
	}
	ref = &set->refs[set->n++];
	memset(ref, 0, sizeof(*ref));
	snprintf(ref->sop_class, sizeof(ref->sop_class), "%s", sop_class);
	snprintf(ref->sop_instance, sizeof(ref->sop_instance), "%s",
		 sop_instance);
	ref->reason = reason;
	if (reason != COMMIT_OK)
		set->n_failed++;
	return ERR_OK;
}

void commit_free(struct commit_set *set)
{
	mem_free(set->refs);
	memset(set, 0, sizeof(*set));
}

uint16_t commit_event_type(const struct commit_set *set)
{
	return set->n_failed == 0 ? COMMIT_EVENT_ALL : COMMIT_EVENT_SOME;
}

/* ---- elements ---- */

struct source {
	struct rd r;
	bool explicit_vr, big;
};

struct element {
	uint32_t tag;
	uint32_t len;
	bool has_vr;
	uint8_t vr[2];
};

static uint16_t take16(struct source *s)
{
	return s->big ? rd_u16(&s->r) : rd_u16le(&s->r);
}

static uint32_t take32(struct source *s)
{
	return s->big ? rd_u32(&s->r) : rd_u32le(&s->r);
}

/* A VR that is none of PS3.5's has a long length if it leaves room for one. */
static bool is_long(const uint8_t *vr, uint16_t next)
{
	switch (vr_kind(vr)) {
	case VR_SHORT:
		return false;
	case VR_LONG:
		return true;
	case VR_UNKNOWN:
		break;
	}
	return next == 0;
}

static void take_vr(struct source *s, struct element *e)
{
	const uint8_t *vr = rd_bytes(&s->r, 2);
	uint16_t next = take16(s);

	if (vr == NULL)
		return;
	memcpy(e->vr, vr, 2);
	e->has_vr = true;
	e->len = is_long(vr, next) ? take32(s) : next;
}

/* False: the source has failed. */
static bool take_header(struct source *s, struct element *e)
{
	uint16_t group = take16(s);

	memset(e, 0, sizeof(*e));
	e->tag = (uint32_t)group << 16 | take16(s);
	if (s->explicit_vr && group != 0xFFFE)
		take_vr(s, e);
	else
		e->len = take32(s);
	return rd_ok(&s->r);
}

/* PS3.5 section 6.2.2: what is in a UN of undefined length is implicit. */
static bool hides_vr(const struct element *e)
{
	return e->has_vr && memcmp(e->vr, "UN", 2) == 0;
}

/* The items of a sequence of undefined length, however deep, by a counter. */
static bool skip_items(struct source *s, const struct element *of)
{
	uint32_t depth = 1, implicit_at = hides_vr(of) ? 1 : 0;
	bool explicit_vr = s->explicit_vr;
	struct element e;

	while (depth > 0) {
		s->explicit_vr = explicit_vr && implicit_at == 0;
		if (!take_header(s, &e))
			break;
		if (e.tag == SEQUENCE_END) {
			if (depth-- == implicit_at)
				implicit_at = 0;
		} else if (e.tag == ITEM || e.tag == ITEM_END) {
			if (e.len != UNDEFINED)
				(void)rd_bytes(&s->r, e.len);
		} else if (e.len == UNDEFINED) {
			depth++;
			if (implicit_at == 0 && hides_vr(&e))
				implicit_at = depth;
		} else {
			(void)rd_bytes(&s->r, e.len);
		}
	}
	s->explicit_vr = explicit_vr;
	return rd_ok(&s->r);
}

static bool skip_value(struct source *s, const struct element *e)
{
	if (e->len == UNDEFINED)
		return skip_items(s, e);
	(void)rd_bytes(&s->r, e->len);
	return rd_ok(&s->r);
}

/* False: the source has failed. A UID that is none becomes "". */
static bool take_uid(struct source *s, const struct element *e,
		     char out[UID_SIZE])
{
	const uint8_t *p;
	char text[UID_SIZE];

	if (e->len == UNDEFINED)
		return skip_value(s, e);
	p = rd_bytes(&s->r, e->len);
	if (p == NULL)
		return false;
	if (out[0] == '\0' && uid_text(p, e->len, text, sizeof(text)) &&
	    uid_valid(text))
		memcpy(out, text, UID_SIZE);
	return true;
}

static bool take_reason(struct source *s, const struct element *e,
			uint16_t *out)
{
	if (e->len != 2)
		return skip_value(s, e);
	*out = take16(s);
	return rd_ok(&s->r);
}

/* ---- references ---- */

static bool take_member(struct source *s, const struct element *e,
			struct commit_ref *ref)
{
	switch (e->tag) {
	case CLASS_UID:
		return take_uid(s, e, ref->sop_class);
	case INSTANCE_UID:
		return take_uid(s, e, ref->sop_instance);
	case REASON:
		return take_reason(s, e, &ref->reason);
	}
	return skip_value(s, e);
}

/* Elements up to the end of in, or to the delimiter of an open item. */
static enum err take_members(struct source *in, bool open,
			     struct commit_ref *ref)
{
	struct element e;

	while (open || in->r.left > 0) {
		if (!take_header(in, &e))
			return ERR_PROTO;
		if (open && e.tag == ITEM_END)
			return ERR_OK;
		if (e.tag == SEQUENCE_END || !take_member(in, &e, ref))
			return ERR_PROTO;
	}
	return ERR_OK;
}

static enum err take_item(struct source *s, uint32_t len, bool failed,
			  struct commit_set *set)
{
	struct commit_ref ref = {.reason = COMMIT_OK};
	bool open = len == UNDEFINED;
	struct source body = *s;
	enum err e;

	if (!open)
		body.r = rd_sub(&s->r, len);
	if (!rd_ok(&body.r))
		return ERR_PROTO;
	e = take_members(open ? s : &body, open, &ref);
	if (e != ERR_OK)
		return e;
	if (ref.sop_instance[0] == '\0')
		return ERR_PROTO;
	if (!failed)
		ref.reason = COMMIT_OK;
	else if (ref.reason == COMMIT_OK)
		ref.reason = COMMIT_PROCESSING_FAILURE;
	return commit_add(set, ref.sop_class, ref.sop_instance, ref.reason);
}

static enum err take_items(struct source *in, bool open, bool failed,
			   struct commit_set *set)
{
	struct element e;
	enum err err;

	while (open || in->r.left > 0) {
		if (!take_header(in, &e))
			return ERR_PROTO;
		if (open && e.tag == SEQUENCE_END)
			return ERR_OK;
		if (e.tag != ITEM)
			return ERR_PROTO;
		err = take_item(in, e.len, failed, set);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err take_sequence(struct source *s, const struct element *e,
			      bool failed, struct commit_set *set)
{
	bool open = e->len == UNDEFINED;
	struct source body = *s;
	enum err err;

	if (hides_vr(e))
		body.explicit_vr = false;
	if (!open)
		body.r = rd_sub(&s->r, e->len);
	if (!rd_ok(&body.r))
		return ERR_PROTO;
	err = take_items(&body, open, failed, set);
	if (open)
		s->r = body.r;
	return err;
}

static enum err take_top(struct source *s, const struct element *e,
			 struct commit_set *set)
{
	switch (e->tag) {
	case TRANSACTION_UID:
		return take_uid(s, e, set->transaction) ? ERR_OK : ERR_PROTO;
	case FAILED_SEQUENCE:
		return take_sequence(s, e, true, set);
	case REFERENCED_SEQUENCE:
		return take_sequence(s, e, false, set);
	}
	return skip_value(s, e) ? ERR_OK : ERR_PROTO;
}

/* Some peers encode otherwise than they agreed: believe the first element. */
static void look_at_first(struct source *s)
{
	struct source t = *s;
	const uint8_t *tag = rd_bytes(&t.r, 4);
	const uint8_t *vr = rd_bytes(&t.r, 2);
	uint32_t len;

	if (tag == NULL || vr == NULL)
		return;
	t = *s;
	t.explicit_vr = false;
	(void)rd_bytes(&t.r, 4);
	len = take32(&t);
	if (vr_kind(vr) == VR_UNKNOWN)
		s->explicit_vr = s->explicit_vr && len > t.r.left;
	else if (len != UNDEFINED && len > t.r.left)
		s->explicit_vr = true;
}

static enum err take_all(struct source *s, struct commit_set *set)
{
	struct element e;
	enum err err;

	look_at_first(s);
	while (s->r.left > 0) {
		if (!take_header(s, &e))
			return ERR_PROTO;
		err = take_top(s, &e, set);
		if (err != ERR_OK)
			return err;
	}
	return set->transaction[0] == '\0' || set->n == 0 ? ERR_INVAL : ERR_OK;
}

enum err commit_decode(const uint8_t *bytes, size_t len, enum ts_kind kind,
		       struct commit_set *out)
{
	struct source s = {.r = rd_init(bytes, len),
			   .explicit_vr = kind != TS_IMPLICIT_LE,
			   .big = kind == TS_EXPLICIT_BE};
	enum err e;

	memset(out, 0, sizeof(*out));
	if (kind == TS_DEFLATED_LE)
		return ERR_UNSUPPORTED;
	e = take_all(&s, out);
	if (e != ERR_OK) {
		mem_free(out->refs);
		out->refs = NULL;
		out->n = out->cap = out->n_failed = 0;
	}
	return e;
}
