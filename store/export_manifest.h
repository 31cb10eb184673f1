/* export_manifest.h - the signed statement that goes with an export.
 *
 * A JSON object, one member a line, in a fixed order. The signature covers the
 * file without its own line, which is the second; so anybody can check it:
 *
 *   grep -v '^  "signature": ' F.manifest.json > signed
 *   sed -n 's/^  "signature": "\(.*\)",$/\1/p' F.manifest.json |
 *       base64 -d > signature
 *   openssl dgst -sha256 -verify signing.key.pub -signature signature signed
 *
 * Pure but for the signing. Parsed text is hostile. */
#ifndef STORE_EXPORT_MANIFEST_H
#define STORE_EXPORT_MANIFEST_H

#include "store/export.h"
#include "store/seal_sign.h"

enum {
	EXPORT_MANIFEST_MAX = 8192, /* bytes of its text, with the NUL */
	EXPORT_FILTER_LEN = 1024
};

struct export_manifest {
	char table[16]; /* "audit", "transfers", "report" */
	char format[8];
	bool bom;
	bool reveal;
	char node[65];
	char program[65];               /* version */
	char user[65];                  /* who asked */
	char filter[EXPORT_FILTER_LEN]; /* JSON object text: what was asked for
					 */
	/* Every row between the first and the last is there: nothing but a
	 * range of time or of numbers was asked for. Audit only. */
	bool contiguous;
	int64_t made_ms;
	struct export_totals totals;
	uint64_t first, last; /* seq or delivery; 0: no rows */
	int64_t first_ms, last_ms;
	/* Audit: prev_chain of the first row and chain of the last (zero: there
	 * is none). Transfers: zero, and row_chain of the last. Report: zero,
	 * and so are the four above. */
	uint8_t prev_chain[32], chain[32];
	uint8_t key_id[SEAL_KEY_ID_LEN];
	char key[SEAL_PEM_LEN]; /* public, PEM */
	uint8_t sig[SEAL_SIGNATURE_MAX];
	size_t sig_len;
};

/* What is signed, with a NUL. Returns the length; 0: does not fit. */
size_t export_manifest_signed(const struct export_manifest *m,
			      char out[EXPORT_MANIFEST_MAX]);
/* The whole file. Returns the length; 0: does not fit. */
size_t export_manifest_text(const struct export_manifest *m,
			    char out[EXPORT_MANIFEST_MAX]);
/* Sets key, key_id and the signature. ERR_LIMIT: does not fit; as
 * seal_sign(). */
enum err export_manifest_sign(struct seal_signer *s,
			      struct export_manifest *m) MUST_CHECK;

/* ERR_INVAL: not byte for byte what export_manifest_text() makes. The
 * signature is not checked. */
enum err export_manifest_parse(const char *text, size_t len,
			       struct export_manifest *out) MUST_CHECK;
/* ERR_CORRUPT: the signature is not that of this key over the statement. */
enum err export_manifest_check(const struct seal_verifier *key,
			       const struct export_manifest *m) MUST_CHECK;

/* ---- small texts that others need, too ----------------------------------- */

/* Base64 (RFC 4648) with a NUL; out has 4 * ((n + 2) / 3) + 1 bytes. Returns
 * the length. */
size_t export_base64(const uint8_t *p, size_t n, char *out);
/* The exact reverse into out[0..cap); *len bytes. ERR_INVAL, ERR_LIMIT. */
enum err export_base64_parse(const char *p, size_t n, uint8_t *out, size_t cap,
			     size_t *len) MUST_CHECK;
/* n bytes as 2n lower-case digits and a NUL. Returns out. */
char *export_hex(const uint8_t *p, size_t n, char *out);

#endif
