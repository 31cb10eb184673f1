#include "store/audit_row.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"
#include "store/seal.h"

enum { HASH_ROW = 2, HASH_COMMITMENT = 3, HASH_GENESIS = 4 };

static void put_number(struct wr *w, uint64_t v)
{
	wr_u32(w, 8);
	wr_u64(w, v);
}

static void put_text(struct wr *w, const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	wr_u32(w, (uint32_t)n);
	wr_bytes(w, text, n);
}

#define PUT_TEXT(w, field) put_text((w), (field), sizeof(field))

static void put_row(struct wr *w, const struct audit_row *r)
{
	put_number(w, (uint64_t)r->seq);
	put_number(w, (uint64_t)r->wall_ms);
	put_number(w, r->mono_ns);
	PUT_TEXT(w, r->boot);
	put_number(w, (uint64_t)(int64_t)r->kind);
	put_number(w, (uint64_t)(int64_t)r->outcome);
	if (r->association != 0)
		put_number(w, r->association);
	else
		wr_u32(w, 0);
	PUT_TEXT(w, r->listener);
	PUT_TEXT(w, r->device);
	PUT_TEXT(w, r->destination);
	PUT_TEXT(w, r->peer);
	PUT_TEXT(w, r->local);
	PUT_TEXT(w, r->calling_ae);
	PUT_TEXT(w, r->called_ae);
	PUT_TEXT(w, r->fingerprint);
	PUT_TEXT(w, r->study);
	PUT_TEXT(w, r->user);
	PUT_TEXT(w, r->detail);
	wr_bytes(w, r->commitment, sizeof(r->commitment));
	wr_bytes(w, r->sealed_hash, sizeof(r->sealed_hash));
}

size_t audit_row_canonical(const struct audit_row *r,
			   uint8_t out[AUDIT_CANONICAL_MAX])
{
	struct wr w = wr_init(out, AUDIT_CANONICAL_MAX);

	put_row(&w, r);
	assert(wr_ok(&w));
	return w.len;
}

void audit_row_hash(const struct audit_row *r,
		    const uint8_t prev[AUDIT_CHAIN_LEN],
		    uint8_t out[AUDIT_CHAIN_LEN])
{
	uint8_t bytes[1 + AUDIT_CHAIN_LEN + AUDIT_CANONICAL_MAX];
	struct wr w = wr_init(bytes, sizeof(bytes));

	wr_u8(&w, HASH_ROW);
	wr_bytes(&w, prev, AUDIT_CHAIN_LEN);
	put_row(&w, r);
	assert(wr_ok(&w));
	seal_digest(bytes, w.len, out);
}

void audit_row_genesis(const uint8_t log[AUDIT_LOG_LEN], int64_t first,
		       uint8_t out[AUDIT_CHAIN_LEN])
{
	uint8_t bytes[1 + AUDIT_LOG_LEN + 8];
	struct wr w = wr_init(bytes, sizeof(bytes));

	wr_u8(&w, HASH_GENESIS);
	wr_bytes(&w, log, AUDIT_LOG_LEN);
	wr_u64(&w, (uint64_t)first);
	seal_digest(bytes, w.len, out);
}

void audit_commitment(const uint8_t *salted, size_t len,
		      uint8_t out[AUDIT_CHAIN_LEN])
{
	uint8_t bytes[1 + AUDIT_SALT_LEN + AUDIT_SEALED_LEN];
	struct wr w = wr_init(bytes, sizeof(bytes));

	wr_u8(&w, HASH_COMMITMENT);
	wr_bytes(&w, salted, len);
	assert(wr_ok(&w));
	seal_digest(bytes, w.len, out);
	mem_wipe(bytes, w.len);
}

#define COPY(to, from) memcpy((to), (from), sizeof(to))

void audit_row_from(const struct audit_event *e, struct audit_row *r)
{
	r->wall_ms = e->wall_ms;
	r->mono_ns = e->mono_ns;
	r->kind = (int32_t)e->kind;
	r->outcome = (int32_t)e->outcome;
	r->association = e->association;
	COPY(r->listener, e->listener);
	COPY(r->device, e->device);
	COPY(r->destination, e->destination);
	COPY(r->peer, e->peer);
	COPY(r->local, e->local);
	COPY(r->calling_ae, e->calling_ae);
	COPY(r->called_ae, e->called_ae);
	COPY(r->fingerprint, e->fingerprint);
	COPY(r->study, e->study);
	COPY(r->user, e->user);
	COPY(r->detail, e->detail);
	r->seq = 0;
	r->boot[0] = '\0';
	r->has_chain = false;
	r->malformed = NULL;
	r->erased_by = 0;
	r->sealed = e->sealed;
	r->sealed_len = e->sealed_len;
	r->sealed_is =
	    e->sealed_len > 0 ? AUDIT_SEALED_HERE : AUDIT_SEALED_NONE;
	memset(r->commitment, 0, sizeof(r->commitment));
	memset(r->sealed_hash, 0, sizeof(r->sealed_hash));
	if (e->sealed_len > 0) {
		COPY(r->commitment, e->commitment);
		seal_digest(e->sealed, e->sealed_len, r->sealed_hash);
	}
}
