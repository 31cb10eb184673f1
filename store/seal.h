/* seal.h - the data key, AES-256-GCM, HKDF-SHA256, SHA-256, random bytes.
 *
 * The only face of the cryptographic library inside the store: no type of it
 * leaks from here. Keys and derived keys are wiped when freed. Contexts are
 * used by one thread at a time; a struct seal_key is read-only after it was
 * opened and may be shared. */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	SEAL_KEY_LEN = 32,
	SEAL_KEY_ID_LEN = 8,
	SEAL_KEY_ID_TEXT = 17, /* hexadecimal, with the NUL */
	SEAL_TAG_LEN = 16,
	SEAL_NONCE_LEN = 12,
	SEAL_HASH_LEN = 32,
	SEAL_WHY_LEN = 256,
	SEAL_BLOB_EXTRA = SEAL_NONCE_LEN + SEAL_TAG_LEN,
};

struct seal_key; /* the data key */

/* Open the data key file: 32 raw bytes, mode 0600 or 0400.
 *
 * create: when the file does not exist, make it with fresh random bytes, mode
 * 0600, flushed together with its directory, before it is used. Pass false
 * whenever something sealed exists already.
 *
 *   ERR_OK     *out is valid; free with seal_key_close()
 *   ERR_NOKEY  missing (and !create), wrong length, or readable by others
 *   ERR_IO     the file cannot be read or made
 *   ERR_NOMEM
 *
 * On an error why holds one sentence with the cause and the remedy; nothing
 * existing was changed. */
enum err seal_key_open(const char *path, bool create, struct seal_key **out,
		       char why[SEAL_WHY_LEN]) MUST_CHECK;
/* NULL is fine. */
void seal_key_close(struct seal_key *key);

/* First 8 bytes of SHA-256("culvert key id" || key). Public. */
const uint8_t *seal_key_id(const struct seal_key *key);
/* Hexadecimal text of a key id. Returns out. */
char *seal_key_id_text(const uint8_t id[SEAL_KEY_ID_LEN],
		       char out[SEAL_KEY_ID_TEXT]);

/* n cryptographically random bytes. ERR_IO: no randomness to be had. */
enum err seal_random(void *p, size_t n) MUST_CHECK;

/* AES-256-GCM under a key derived from the data key. */
struct seal; /* opaque; one thread at a time */

/* Key = HKDF-SHA256(data key, salt, info). info names the purpose: keys of
 * different purposes are unrelated. ERR_NOMEM, ERR_IO (library failure). */
enum err seal_new(const struct seal_key *key, const void *salt, size_t salt_len,
		  const char *info, struct seal **out) MUST_CHECK;
/* As seal_new() into an existing context, which keeps no trace of the key it
 * had. On an error the context can only be rekeyed or freed. */
enum err seal_rekey(struct seal *s, const struct seal_key *key,
		    const void *salt, size_t salt_len,
		    const char *info) MUST_CHECK;
void seal_free(struct seal *s);

/* The nonce of number n: four zero bytes, then n, big-endian. */
void seal_nonce(uint64_t n, uint8_t out[SEAL_NONCE_LEN]);

struct seal_text { /* borrowed for the call */
	const void *aad;
	size_t aad_len;
	const uint8_t *in;
	size_t len;
};

/* Seal t->in into out (len bytes; may be the same memory) and tag. The caller
 * never uses a nonce twice with one key. ERR_IO: library failure. */
enum err seal_lock(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		   const struct seal_text *t, uint8_t *out,
		   uint8_t tag[SEAL_TAG_LEN]) MUST_CHECK;
/* Open. ERR_CORRUPT: the tag does not match; out then holds no plaintext. */
enum err seal_unlock(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		     const struct seal_text *t, uint8_t *out,
		     const uint8_t tag[SEAL_TAG_LEN]) MUST_CHECK;

/* The same in pieces: start, any number of updates, end. Pieces whose length
 * is a multiple of 16 are fastest. out may be in. ERR_IO: library failure. */
enum err seal_start(struct seal *s, const uint8_t nonce[SEAL_NONCE_LEN],
		    const void *aad, size_t aad_len) MUST_CHECK;
enum err seal_update(struct seal *s, const uint8_t *in, size_t len,
		     uint8_t *out) MUST_CHECK;
enum err seal_end(struct seal *s, uint8_t tag[SEAL_TAG_LEN]) MUST_CHECK;

/* A self-contained sealed value for a database column: nonce (random),
 * ciphertext, tag: len + SEAL_BLOB_EXTRA bytes at out. The context's key must
 * seal fewer than 2^32 blobs. */
enum err seal_blob_lock(struct seal *s, const struct seal_text *t,
			uint8_t *out) MUST_CHECK;
/* t->in is the blob, t->len its length; out gets len - SEAL_BLOB_EXTRA bytes.
 * ERR_CORRUPT: too short or does not open. */
enum err seal_blob_unlock(struct seal *s, const struct seal_text *t,
			  uint8_t *out) MUST_CHECK;

/* SHA-256. Cannot fail after seal_hash_new(). */
struct seal_hash;

struct seal_hash *seal_hash_new(void); /* NULL: out of memory */
void seal_hash_free(struct seal_hash *h);
void seal_hash_update(struct seal_hash *h, const void *p, size_t n);
/* The digest; h then starts afresh. */
void seal_hash_end(struct seal_hash *h, uint8_t out[SEAL_HASH_LEN]);
/* SHA-256 of p[0..n) in one go, without allocation. Cannot fail. */
void seal_digest(const void *p, size_t n, uint8_t out[SEAL_HASH_LEN]);

/* Version text of the linked library, static. */
const char *seal_library(void);

#endif
