/* seal_mac.h - HMAC-SHA256 under a key derived from the data key.
 *
 * For values that must be found again without being readable: the same input
 * has the same code, and only who has the data key can compute it. */
#ifndef STORE_SEAL_MAC_H
#define STORE_SEAL_MAC_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/seal.h"

struct seal_mac; /* opaque; read-only once made: any thread */

/* Key = HKDF-SHA256(data key, salt, info), as seal_new(). ERR_NOMEM, ERR_IO
 * (library failure). */
enum err seal_mac_new(const struct seal_key *key, const void *salt,
		      size_t salt_len, const char *info,
		      struct seal_mac **out) MUST_CHECK;
/* Wipes the key. NULL is fine. */
void seal_mac_free(struct seal_mac *m);

/* The code of n bytes, fewer than 2^30. ERR_IO: library failure. */
enum err seal_mac(const struct seal_mac *m, const void *p, size_t n,
		  uint8_t out[SEAL_HASH_LEN]) MUST_CHECK;

#endif
