/* seal_sign.h - signatures over what others must be able to check.
 *
 * ECDSA on P-256 with SHA-256. Signatures are DER as in X9.62, keys PEM, so
 * that anybody can check one without this program:
 *
 *   openssl dgst -sha256 -verify signing.key.pub -signature S FILE
 *
 * A signer may be used by any thread (it locks); a verifier is read-only after
 * it was made and may be shared. No type of the library leaks from here. */
#ifndef STORE_SEAL_SIGN_H
#define STORE_SEAL_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/seal.h"

enum {
	SEAL_SIGNATURE_MAX = 72, /* bytes of a DER signature, at most */
	SEAL_PEM_LEN = 256       /* of a public key, with the NUL */
};

struct seal_signer;   /* a private key; opaque */
struct seal_verifier; /* a public key; opaque */

/* Open the private key file at path: PEM, mode 0600 or 0400.
 *
 * create: when there is none, make it with a fresh key, mode 0600, flushed
 * together with its directory before it is used. The public key is written
 * beside it (path + ".pub", mode 0644) whenever that file says otherwise.
 *
 *   ERR_OK     *out is valid; free with seal_signer_close()
 *   ERR_NOKEY  missing (and !create), no P-256 key, or readable by others
 *   ERR_IO     the file cannot be read or made
 *   ERR_NOMEM
 *
 * On an error why holds one sentence with the cause and the remedy. */
enum err seal_signer_open(const char *path, bool create,
			  struct seal_signer **out,
			  char why[SEAL_WHY_LEN]) MUST_CHECK;
/* NULL is fine. The key is wiped. */
void seal_signer_close(struct seal_signer *s);
/* Whether seal_signer_open() made the key just now. */
bool seal_signer_is_new(const struct seal_signer *s);

/* Sign p[0..n): *len bytes at sig. ERR_IO: library failure; ERR_NOMEM. */
enum err seal_sign(struct seal_signer *s, const void *p, size_t n,
		   uint8_t sig[SEAL_SIGNATURE_MAX], size_t *len) MUST_CHECK;
/* The public key: SubjectPublicKeyInfo, PEM, with the NUL. */
enum err seal_signer_pem(const struct seal_signer *s,
			 char out[SEAL_PEM_LEN]) MUST_CHECK;
/* The first SEAL_KEY_ID_LEN bytes of SHA-256(SubjectPublicKeyInfo DER). */
const uint8_t *seal_signer_id(const struct seal_signer *s);

/* From the PEM text of a public key. ERR_INVAL: it is not one on P-256, why
 * says so; ERR_NOMEM. Free with seal_verifier_free(). */
enum err seal_verifier_new(const char *pem, struct seal_verifier **out,
			   char why[SEAL_WHY_LEN]) MUST_CHECK;
/* From a file. As above, and ERR_IO. */
enum err seal_verifier_open(const char *path, struct seal_verifier **out,
			    char why[SEAL_WHY_LEN]) MUST_CHECK;
void seal_verifier_free(struct seal_verifier *v); /* NULL is fine */
const uint8_t *seal_verifier_id(const struct seal_verifier *v);

/* Whether sig[0..len) is this key's over p[0..n). ERR_CORRUPT: it is not, or
 * no signature at all; ERR_NOMEM. sig is hostile. */
enum err seal_verify(const struct seal_verifier *v, const void *p, size_t n,
		     const uint8_t *sig, size_t len) MUST_CHECK;

/* ---- text ------------------------------------------------------------- */

enum { SEAL_SIGNATURE_TEXT = 100 }; /* base64 of a signature, with the NUL */

/* Base64 without line breaks, with a NUL. ERR_LIMIT: does not fit size. */
enum err seal_base64(const void *p, size_t n, char *out,
		     size_t size) MUST_CHECK;
/* The reverse. ERR_INVAL: not base64, or more than cap bytes. */
enum err seal_unbase64(const char *text, size_t len, uint8_t *out, size_t cap,
		       size_t *n) MUST_CHECK;
/* 2 * n lower-case hexadecimal digits and a NUL. Returns out. */
char *seal_hex(const void *p, size_t n, char *out);
/* Exactly 2 * n digits of text into out; false: not so. */
bool seal_unhex(const char *text, size_t len, uint8_t *out, size_t n);

#endif
