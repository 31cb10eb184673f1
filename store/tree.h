/* tree.h - the hash of an instance: SHA-256 over 1 MiB chunks.
 *
 *   leaf = SHA-256(0x00 || chunk)
 *   root = SHA-256(0x01 || length as u64, big-endian || leaves)
 *
 * An empty data set has no leaf. One thread at a time; pure but for memory. */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/seal.h"

struct tree; /* opaque */

/* NULL: out of memory. */
struct tree *tree_new(void);
void tree_free(struct tree *t); /* NULL is fine */

/* Hash n more bytes, of any number of chunks. ERR_NOMEM (sticky): no room for
 * another leaf. */
enum err tree_update(struct tree *t, const void *p, size_t n) MUST_CHECK;

/* Close the chunk that is being hashed and give its leaf. For callers that cut
 * chunks themselves; the chunk holds 1..CHUNK_LEN bytes. ERR_NOMEM (sticky). */
enum err tree_leaf(struct tree *t, uint8_t leaf[SEAL_HASH_LEN]) MUST_CHECK;

/* The root over everything; t then starts afresh. ERR_NOMEM: as above. */
enum err tree_root(struct tree *t, uint8_t root[SEAL_HASH_LEN]) MUST_CHECK;

/* The leaf of one chunk, and the root over n leaves of length bytes. ERR_NOMEM.
 */
enum err tree_leaf_of(const void *p, size_t n,
		      uint8_t leaf[SEAL_HASH_LEN]) MUST_CHECK;
enum err tree_root_of(uint64_t length, const uint8_t (*leaves)[SEAL_HASH_LEN],
		      size_t n, uint8_t root[SEAL_HASH_LEN]) MUST_CHECK;

/* Bytes and leaves so far. */
uint64_t tree_length(const struct tree *t);
uint32_t tree_leaves(const struct tree *t);

#endif
