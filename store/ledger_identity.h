/* ledger_identity.h - the identifying values of a series, sealed for a column.
 *
 * Key: HKDF of the data key with the spool's id, a purpose of its own. */
#ifndef STORE_LEDGER_IDENTITY_H
#define STORE_LEDGER_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/seal.h"

struct ledger_identity {
	char accession[65];
	char patient_id[97];
	char patient_name[193];
};

enum { LEDGER_IDENTITY_MAX = 512 }; /* bytes of a sealed one, at most */

/* The sealing context for the functions below; free with seal_free(). */
enum err ledger_identity_key(const struct seal_key *key, const uint8_t *spool,
			     struct seal **out) MUST_CHECK;

/* ERR_IO: library failure. */
enum err ledger_identity_lock(struct seal *s, const struct ledger_identity *in,
			      uint8_t out[LEDGER_IDENTITY_MAX],
			      size_t *len) MUST_CHECK;

/* ERR_CORRUPT: does not open, or is not an identity. */
enum err ledger_identity_open(struct seal *s, const uint8_t *sealed, size_t len,
			      struct ledger_identity *out) MUST_CHECK;

/* ---- identifiers of queries ------------------------------------------ */

/* The same key, another purpose. Sealed is a random salt of 16 bytes and the
 * identifier, at most 4,096 bytes; out gets n + 16 + SEAL_BLOB_EXTRA bytes,
 * commitment the hash of audit_row.h over both. ERR_IO; ERR_LIMIT. */
enum err ledger_identifier_lock(struct seal *s, const uint8_t *p, size_t n,
				uint8_t *out,
				uint8_t commitment[32]) MUST_CHECK;

/* out has room for len bytes; *n of them are the identifier as it was encoded.
 * ERR_CORRUPT: does not open. */
enum err ledger_identifier_open(struct seal *s, const uint8_t *sealed,
				size_t len, uint8_t *out, size_t *n) MUST_CHECK;
/* The same, and the salt: what an export gives away so that others can check
 * the commitment. All zero: sealed before there were commitments. */
enum err ledger_identifier_reveal(struct seal *s, const uint8_t *sealed,
				  size_t len, uint8_t *out, size_t *n,
				  uint8_t salt[16]) MUST_CHECK;

#endif
