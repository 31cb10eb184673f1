/* commit_make.c - encode, look up and merge sets: see commit.h. */
#include <stdlib.h>
#include <string.h>

#include "proxy/dicom/commit.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"

enum {
	CLASS_UID = 0x1150,
	INSTANCE_UID = 0x1155,
	TRANSACTION_UID = 0x1195,
	REASON = 0x1197,
	FAILED_SEQUENCE = 0x1198,
	REFERENCED_SEQUENCE = 0x1199,

	HEADER = 8,           /* of an item, and of an element but SQ */
	SEQUENCE_HEADER = 12, /* at most */
};

/* ---- encoding ---- */

struct sink {
	struct wr w;
	bool explicit_vr;
};

static size_t even(size_t n)
{
	return n + (n & 1);
}

/* An element of group 0008. */
static void put_head(struct sink *s, uint16_t element, const char *vr,
		     size_t len)
{
	wr_u16le(&s->w, 0x0008);
	wr_u16le(&s->w, element);
	if (s->explicit_vr) {
		wr_bytes(&s->w, vr, 2);
		wr_u16le(&s->w, (uint16_t)len);
	} else {
		wr_u32le(&s->w, (uint32_t)len);
	}
}

static void put_uid(struct sink *s, uint16_t element, const char *uid)
{
	size_t n = strlen(uid);

	put_head(s, element, "UI", even(n));
	wr_bytes(&s->w, uid, n);
	wr_fill(&s->w, 0, even(n) - n);
}

static void put_sequence(struct sink *s, uint16_t element, size_t len)
{
	if (!s->explicit_vr) {
		put_head(s, element, "", len);
		return;
	}
	put_head(s, element, "SQ", 0);
	wr_u32le(&s->w, (uint32_t)len);
}

static size_t ref_len(const struct commit_ref *ref, bool failed)
{
	return 2 * HEADER + even(strlen(ref->sop_class)) +
	       even(strlen(ref->sop_instance)) + (failed ? HEADER + 2 : 0);
}

static void put_ref(struct sink *s, const struct commit_ref *ref, bool failed)
{
	wr_u16le(&s->w, 0xFFFE);
	wr_u16le(&s->w, 0xE000);
	wr_u32le(&s->w, (uint32_t)ref_len(ref, failed));
	put_uid(s, CLASS_UID, ref->sop_class);
	put_uid(s, INSTANCE_UID, ref->sop_instance);
	if (failed) {
		put_head(s, REASON, "US", 2);
		wr_u16le(&s->w, ref->reason);
	}
}

static bool is_failed(const struct commit_ref *ref)
{
	return ref->reason != COMMIT_OK;
}

static size_t refs_len(const struct commit_set *set, bool failed)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		if (is_failed(&set->refs[i]) == failed)
			n += HEADER + ref_len(&set->refs[i], failed);
	}
	return n;
}

static void put_refs(struct sink *s, const struct commit_set *set, bool failed)
{
	put_sequence(s, failed ? FAILED_SEQUENCE : REFERENCED_SEQUENCE,
		     refs_len(set, failed));
	for (size_t i = 0; i < set->n; i++) {
		if (is_failed(&set->refs[i]) == failed)
			put_ref(s, &set->refs[i], failed);
	}
}

static enum err encode(const struct commit_set *set, enum ts_kind kind,
		       bool with_safe, bool with_failed, struct buf *out)
{
	size_t max = HEADER + UID_SIZE + 2 * SEQUENCE_HEADER +
		     refs_len(set, false) + refs_len(set, true);
	struct sink s = {.explicit_vr = kind == TS_EXPLICIT_LE};
	uint8_t *at;
	enum err e;

	if (kind != TS_EXPLICIT_LE && kind != TS_IMPLICIT_LE)
		return ERR_UNSUPPORTED;
	e = buf_reserve(out, max, &at);
	if (e != ERR_OK)
		return e;
	s.w = wr_init(at, max);
	put_uid(&s, TRANSACTION_UID, set->transaction);
	if (with_failed)
		put_refs(&s, set, true);
	if (with_safe)
		put_refs(&s, set, false);
	if (!wr_ok(&s.w))
		return ERR_LIMIT;
	buf_commit(out, s.w.len);
	return ERR_OK;
}

enum err commit_encode_action(const struct commit_set *set, enum ts_kind kind,
			      struct buf *out)
{
	return encode(set, kind, true, false, out);
}

enum err commit_encode_report(const struct commit_set *set, enum ts_kind kind,
			      struct buf *out)
{
	return encode(set, kind, set->n > set->n_failed, set->n_failed > 0,
		      out);
}

/* ---- index ---- */

/* By instance UID, then failed ones first. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct commit_set *set = arg;
	const struct commit_ref *x = &set->refs[*(const uint32_t *)a];
	const struct commit_ref *y = &set->refs[*(const uint32_t *)b];
	int order = strcmp(x->sop_instance, y->sop_instance);

	if (order != 0)
		return order;
	return (int)is_failed(y) - (int)is_failed(x);
}

enum err commit_index(const struct commit_set *set, struct commit_index *out)
{
	memset(out, 0, sizeof(*out));
	out->set = set;
	if (set->n == 0)
		return ERR_OK;
	out->order = mem_zarray(set->n, sizeof(*out->order));
	if (out->order == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < set->n; i++)
		out->order[i] = (uint32_t)i;
	qsort_r(out->order, set->n, sizeof(*out->order), compare,
		(void *)(uintptr_t)set);
	return ERR_OK;
}

const struct commit_ref *commit_index_find(const struct commit_index *x,
					   const char *sop_instance)
{
	size_t lo = 0, hi = x->set->n;

	/* the first that is not less */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct commit_ref *r = &x->set->refs[x->order[mid]];

		if (strcmp(r->sop_instance, sop_instance) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == x->set->n ||
	    strcmp(x->set->refs[x->order[lo]].sop_instance, sop_instance) != 0)
		return NULL;
	return &x->set->refs[x->order[lo]];
}

void commit_index_free(struct commit_index *x)
{
	mem_free(x->order);
	memset(x, 0, sizeof(*x));
}

/* ---- merging ---- */

static uint16_t answered(const struct commit_index *x,
			 const struct commit_ref *ref)
{
	const struct commit_ref *found =
	    commit_index_find(x, ref->sop_instance);

	return found != NULL ? found->reason : COMMIT_PROCESSING_FAILURE;
}

enum err commit_merge(const struct commit_set *asked,
		      const struct commit_set *answer, struct commit_set *out)
{
	static const struct commit_set silence;
	struct commit_index x;
	enum err e = commit_index(answer != NULL ? answer : &silence, &x);

	memset(out, 0, sizeof(*out));
	memcpy(out->transaction, asked->transaction, UID_SIZE);
	for (size_t i = 0; e == ERR_OK && i < asked->n; i++) {
		const struct commit_ref *r = &asked->refs[i];

		e = commit_add(out, r->sop_class, r->sop_instance,
			       answered(&x, r));
	}
	commit_index_free(&x);
	if (e != ERR_OK)
		commit_free(out);
	return e;
}
