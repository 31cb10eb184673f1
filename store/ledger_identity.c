#include "store/ledger_identity.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"
#include "store/audit_row.h"
#include "store/spool.h"

static const char purpose[] = "culvert ledger identity 1";

enum err ledger_identity_key(const struct seal_key *key, const uint8_t *spool,
			     struct seal **out)
{
	return seal_new(key, spool, SPOOL_ID_LEN, purpose, out);
}

static void put_text(struct wr *w, const char *text)
{
	size_t n = strlen(text);

	wr_u8(w, (uint8_t)n);
	wr_bytes(w, text, n);
}

enum err ledger_identity_lock(struct seal *s, const struct ledger_identity *in,
			      uint8_t out[LEDGER_IDENTITY_MAX], size_t *len)
{
	uint8_t clear[LEDGER_IDENTITY_MAX - SEAL_BLOB_EXTRA];
	struct wr w = wr_init(clear, sizeof(clear));
	struct seal_text t = {.aad = purpose, .aad_len = sizeof(purpose)};
	enum err e;

	put_text(&w, in->accession);
	put_text(&w, in->patient_id);
	put_text(&w, in->patient_name);
	if (!wr_ok(&w))
		return ERR_INVAL;
	t.in = clear;
	t.len = w.len;
	e = seal_blob_lock(s, &t, out);
	*len = w.len + SEAL_BLOB_EXTRA;
	mem_wipe(clear, sizeof(clear));
	return e;
}

static void get_text(struct rd *r, char *out, size_t size)
{
	size_t n = rd_u8(r);
	const uint8_t *p = rd_bytes(r, n);

	if (p == NULL || n >= size) {
		r->failed = true;
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

enum err ledger_identity_open(struct seal *s, const uint8_t *sealed, size_t len,
			      struct ledger_identity *out)
{
	uint8_t clear[LEDGER_IDENTITY_MAX];
	struct seal_text t = {.aad = purpose, .aad_len = sizeof(purpose)};
	struct ledger_identity id = {0};
	struct rd r;
	enum err e;

	if (len < SEAL_BLOB_EXTRA || len > LEDGER_IDENTITY_MAX)
		return ERR_CORRUPT;
	t.in = sealed;
	t.len = len;
	e = seal_blob_unlock(s, &t, clear);
	if (e != ERR_OK)
		return e;
	r = rd_init(clear, len - SEAL_BLOB_EXTRA);
	get_text(&r, id.accession, sizeof(id.accession));
	get_text(&r, id.patient_id, sizeof(id.patient_id));
	get_text(&r, id.patient_name, sizeof(id.patient_name));
	mem_wipe(clear, sizeof(clear));
	if (!rd_ok(&r))
		return ERR_CORRUPT;
	*out = id;
	mem_wipe(&id, sizeof(id));
	return ERR_OK;
}

/* ---- identifiers of queries -------------------------------------------- */

/* The first one knew no salt. */
static const char query_purpose_1[] = "culvert query identifier 1";
static const char query_purpose[] = "culvert query identifier 2";

enum err ledger_identifier_lock(struct seal *s, const uint8_t *p, size_t n,
				uint8_t *out, uint8_t commitment[32])
{
	uint8_t clear[AUDIT_SEALED_LEN];
	struct seal_text t = {.aad = query_purpose,
			      .aad_len = sizeof(query_purpose),
			      .in = clear,
			      .len = AUDIT_SALT_LEN + n};
	enum err e;

	if (n > sizeof(clear) - AUDIT_SALT_LEN)
		return ERR_LIMIT;
	e = seal_random(clear, AUDIT_SALT_LEN);
	if (e != ERR_OK)
		return e;
	if (n > 0)
		memcpy(clear + AUDIT_SALT_LEN, p, n);
	audit_commitment(clear, t.len, commitment);
	e = seal_blob_lock(s, &t, out);
	mem_wipe(clear, t.len);
	return e;
}

static enum err open_unsalted(struct seal *s, const uint8_t *sealed, size_t len,
			      uint8_t *out, size_t *n)
{
	struct seal_text t = {.aad = query_purpose_1,
			      .aad_len = sizeof(query_purpose_1),
			      .in = sealed,
			      .len = len};
	enum err e = seal_blob_unlock(s, &t, out);

	*n = e == ERR_OK ? len - SEAL_BLOB_EXTRA : 0;
	return e;
}

enum err ledger_identifier_reveal(struct seal *s, const uint8_t *sealed,
				  size_t len, uint8_t *out, size_t *n,
				  uint8_t salt[16])
{
	struct seal_text t = {.aad = query_purpose,
			      .aad_len = sizeof(query_purpose),
			      .in = sealed,
			      .len = len};

	*n = 0;
	memset(salt, 0, AUDIT_SALT_LEN);
	if (len < SEAL_BLOB_EXTRA)
		return ERR_CORRUPT;
	if (len < AUDIT_SALT_LEN + SEAL_BLOB_EXTRA ||
	    seal_blob_unlock(s, &t, out) != ERR_OK)
		return open_unsalted(s, sealed, len, out, n);
	memcpy(salt, out, AUDIT_SALT_LEN);
	*n = len - SEAL_BLOB_EXTRA - AUDIT_SALT_LEN;
	memmove(out, out + AUDIT_SALT_LEN, *n);
	return ERR_OK;
}

enum err ledger_identifier_open(struct seal *s, const uint8_t *sealed,
				size_t len, uint8_t *out, size_t *n)
{
	uint8_t salt[AUDIT_SALT_LEN];

	return ledger_identifier_reveal(s, sealed, len, out, n, salt);
}
