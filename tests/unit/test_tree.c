#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/lib/mem.h"
#include "store/instance.h"
#include "store/tree.h"
#include "tests/unit/spool_kit.h"

enum { MOST = 3 * CHUNK_LEN + 5 };

static uint8_t *data;

static int make_data(void **state)
{
	(void)state;
	data = mem_zalloc(MOST);
	kit_fill(data, MOST, 9);
	return 0;
}

static int free_data(void **state)
{
	(void)state;
	mem_free(data);
	return 0;
}

/* The definition, spelled out. */
static void root_by_hand(size_t n, uint8_t root[SEAL_HASH_LEN])
{
	uint8_t leaves[4][SEAL_HASH_LEN], length[8];
	struct seal_hash *h = seal_hash_new();
	size_t count = 0;

	for (size_t at = 0; at < n; at += CHUNK_LEN) {
		seal_hash_update(h, "\0", 1);
		seal_hash_update(h, data + at,
				 n - at < CHUNK_LEN ? n - at : CHUNK_LEN);
		seal_hash_end(h, leaves[count++]);
	}
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
	seal_hash_update(h, "\1", 1);
	seal_hash_update(h, length, 8);
	seal_hash_update(h, leaves, count * SEAL_HASH_LEN);
	seal_hash_end(h, root);
	seal_hash_free(h);
}

static const size_t sizes[] = {
    0, 1, 20000, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN, MOST};

static void the_root_is_as_defined_at_every_boundary(void **state)
{
	struct tree *t = tree_new();
	uint8_t want[SEAL_HASH_LEN], got[SEAL_HASH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		root_by_hand(sizes[i], want);
		assert_int_equal(tree_update(t, data, sizes[i]), ERR_OK);
		assert_int_equal(tree_length(t), sizes[i]);
		assert_int_equal(tree_root(t, got), ERR_OK);
		assert_memory_equal(want, got, sizeof(want));
	}
	tree_free(t);
}

static void pieces_of_any_size_give_the_same_root(void **state)
{
	const size_t cuts[] = {1000, 16384, 65537, 1000003};
	struct tree *t = tree_new();
	uint8_t want[SEAL_HASH_LEN], got[SEAL_HASH_LEN];

	(void)state;
	root_by_hand(MOST, want);
	for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
		for (size_t at = 0; at < MOST; at += cuts[c])
			assert_int_equal(tree_update(t, data + at,
						     MOST - at < cuts[c]
							 ? MOST - at
							 : cuts[c]),
					 ERR_OK);
		assert_int_equal(tree_root(t, got), ERR_OK);
		assert_memory_equal(want, got, sizeof(want));
	}
	tree_free(t);
}

static void leaves_taken_by_the_caller_count_alike(void **state)
{
	struct tree *t = tree_new();
	uint8_t want[SEAL_HASH_LEN], got[SEAL_HASH_LEN], leaf[SEAL_HASH_LEN];

	(void)state;
	root_by_hand(CHUNK_LEN + 7, want);
	assert_int_equal(tree_update(t, data, CHUNK_LEN), ERR_OK);
	assert_int_equal(tree_leaf(t, leaf), ERR_OK);
	assert_int_equal(tree_update(t, data + CHUNK_LEN, 7), ERR_OK);
	assert_int_equal(tree_leaf(t, leaf), ERR_OK);
	assert_int_equal(tree_leaves(t), 2);
	assert_int_equal(tree_root(t, got), ERR_OK);
	assert_memory_equal(want, got, sizeof(want));
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_root_is_as_defined_at_every_boundary),
	    cmocka_unit_test(pieces_of_any_size_give_the_same_root),
	    cmocka_unit_test(leaves_taken_by_the_caller_count_alike),
	};

	return cmocka_run_group_tests(tests, make_data, free_data);
}
