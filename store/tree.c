#include "store/tree.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/instance.h"

enum { LEAVES_START = 4 };

struct tree {
	struct seal_hash *hash; /* of the open chunk, after its prefix */
	size_t in_chunk;        /* bytes of the open chunk */
	uint64_t length;        /* bytes in all */
	uint8_t (*leaves)[SEAL_HASH_LEN];
	uint32_t n_leaves, room;
	bool failed;
};

struct tree *tree_new(void)
{
	struct tree *t = mem_zalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->hash = seal_hash_new();
	if (t->hash == NULL) {
		mem_free(t);
		return NULL;
	}
	return t;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	seal_hash_free(t->hash);
	mem_free(t->leaves);
	mem_free(t);
}

static enum err room_for_leaf(struct tree *t)
{
	uint32_t room = t->room > 0 ? 2 * t->room : LEAVES_START;
	void *p;

	if (t->failed)
		return ERR_NOMEM;
	if (t->n_leaves < t->room)
		return ERR_OK;
	p = room > t->room ? mem_realloc(t->leaves, room * sizeof(t->leaves[0]))
			   : NULL;
	if (p == NULL) {
		t->failed = true;
		return ERR_NOMEM;
	}
	t->leaves = p;
	t->room = room;
	return ERR_OK;
}

static void update_chunk(struct tree *t, const uint8_t *p, size_t n)
{
	static const uint8_t leaf_prefix = 0x00;

	if (t->in_chunk == 0)
		seal_hash_update(t->hash, &leaf_prefix, 1);
	seal_hash_update(t->hash, p, n);
	t->in_chunk += n;
	t->length += n;
}

enum err tree_update(struct tree *t, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint8_t leaf[SEAL_HASH_LEN];

	while (n > 0) {
		size_t left, now;

		if (t->in_chunk == CHUNK_LEN && tree_leaf(t, leaf) != ERR_OK)
			return ERR_NOMEM;
		left = CHUNK_LEN - t->in_chunk;
		now = n < left ? n : left;
		update_chunk(t, at, now);
		at += now;
		n -= now;
	}
	return ERR_OK;
}

enum err tree_leaf(struct tree *t, uint8_t leaf[SEAL_HASH_LEN])
{
	enum err e = room_for_leaf(t);

	if (e != ERR_OK)
		return e;
	assert(t->in_chunk > 0);
	seal_hash_end(t->hash, leaf);
	memcpy(t->leaves[t->n_leaves++], leaf, SEAL_HASH_LEN);
	t->in_chunk = 0;
	return ERR_OK;
}

static void hash_root(struct seal_hash *hash, uint64_t length,
		      const uint8_t (*leaves)[SEAL_HASH_LEN], size_t n,
		      uint8_t root[SEAL_HASH_LEN])
{
	uint8_t head[9] = {0x01};

	for (int i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(length >> (56 - 8 * i));
	seal_hash_update(hash, head, sizeof(head));
	if (n > 0)
		seal_hash_update(hash, leaves, n * sizeof(leaves[0]));
	seal_hash_end(hash, root);
}

enum err tree_root(struct tree *t, uint8_t root[SEAL_HASH_LEN])
{
	uint8_t leaf[SEAL_HASH_LEN];

	if (t->failed)
		return ERR_NOMEM;
	if (t->in_chunk > 0 && tree_leaf(t, leaf) != ERR_OK)
		return ERR_NOMEM;
	hash_root(t->hash, t->length,
		  (const uint8_t(*)[SEAL_HASH_LEN])t->leaves, t->n_leaves,
		  root);
	t->length = 0;
	t->n_leaves = 0;
	return ERR_OK;
}

enum err tree_leaf_of(const void *p, size_t n, uint8_t leaf[SEAL_HASH_LEN])
{
	static const uint8_t leaf_prefix = 0x00;
	struct seal_hash *hash = seal_hash_new();

	if (hash == NULL)
		return ERR_NOMEM;
	seal_hash_update(hash, &leaf_prefix, 1);
	seal_hash_update(hash, p, n);
	seal_hash_end(hash, leaf);
	seal_hash_free(hash);
	return ERR_OK;
}

enum err tree_root_of(uint64_t length, const uint8_t (*leaves)[SEAL_HASH_LEN],
		      size_t n, uint8_t root[SEAL_HASH_LEN])
{
	struct seal_hash *hash = seal_hash_new();

	if (hash == NULL)
		return ERR_NOMEM;
	hash_root(hash, length, leaves, n, root);
	seal_hash_free(hash);
	return ERR_OK;
}

uint64_t tree_length(const struct tree *t)
{
	return t->length;
}

uint32_t tree_leaves(const struct tree *t)
{
	return t->n_leaves;
}
