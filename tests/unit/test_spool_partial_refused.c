/* Partial transfers: what is refused, and what may come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "tests/unit/partial_kit.h"
#include "tests/unit/partial_one_kit.h"
#include "tests/unit/spool_one_kit.h"

static void a_chunk_that_is_not_its_leaf_is_refused(void **state)
{
	struct spool_partial_chunk c;
	uint8_t right[SEAL_HASH_LEN];

	(void)state;
	partial_open_peer(false);
	peer_chunk(&peer, 1, &c);
	memcpy(right, c.leaf, sizeof(right));
	c.leaf[5] ^= 1;
	assert_int_equal(spool_partial_put(peer.put, &c), ERR_CORRUPT);
	assert_memory_equal(c.got, right, sizeof(right));
	assert_int_equal(peer_have(&peer, one.spool), 0);
	partial_put(ALL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

static void a_chunk_may_come_again_but_not_another(void **state)
{
	struct spool_partial_chunk c;
	struct spool_stats a, b;

	(void)state;
	partial_open_peer(false);
	partial_put(0x02);
	spool_stats(one.spool, &a);
	peer_chunk(&peer, 1, &c);
	assert_int_equal(spool_partial_put(peer.put, &c), ERR_OK);
	assert_true(c.durable);
	c.leaf[0] ^= 1;
	assert_int_equal(spool_partial_put(peer.put, &c), ERR_EXISTS);
	c.leaf[0] ^= 1;
	c.length--;
	assert_int_equal(spool_partial_put(peer.put, &c), ERR_EXISTS);
	spool_stats(one.spool, &b);
	assert_int_equal(a.records, b.records);
}

static enum err put_shape(uint32_t index, uint32_t length)
{
	struct spool_partial_chunk c;

	peer_chunk(&peer, 0, &c);
	c.index = index;
	c.length = length; /* the leaf is wrong: ERR_CORRUPT if it fits */
	return spool_partial_put(peer.put, &c);
}

static void only_the_last_chunk_is_short(void **state)
{
	(void)state;
	partial_open_peer(false);
	assert_int_equal(put_shape(0, 0), ERR_INVAL);
	assert_int_equal(put_shape(0, CHUNK_LEN + 1), ERR_INVAL);
	assert_int_equal(put_shape(SPOOL_PARTIAL_CHUNKS, 1), ERR_INVAL);
	assert_int_equal(put_shape(UINT32_MAX, CHUNK_LEN), ERR_INVAL);
	partial_put(0x04);
	assert_int_equal(put_shape(1, 5), ERR_INVAL);
	assert_int_equal(put_shape(3, 5), ERR_CORRUPT);
	partial_put(0x10); /* the short one */
	assert_int_equal(put_shape(5, 5), ERR_INVAL);
	assert_int_equal(put_shape(6, CHUNK_LEN - 1), ERR_INVAL);
}

static void the_whole_must_agree(void **state)
{
	struct spool_partial_whole w, right;
	uint32_t missing = 99;

	(void)state;
	partial_open_peer(false);
	partial_put(ALL & ~4u);
	peer_whole(&peer, &right);
	assert_int_equal(
	    spool_partial_finish(peer.put, &peer.in, &right, &missing),
	    ERR_AGAIN);
	assert_int_equal(missing, 2);
	partial_put(0x04);
	w = right;
	w.root[31] ^= 1;
	assert_int_equal(spool_partial_finish(peer.put, &peer.in, &w, NULL),
			 ERR_CORRUPT);
	w = right;
	w.length++;
	assert_int_equal(spool_partial_finish(peer.put, &peer.in, &w, NULL),
			 ERR_INVAL);
	w = right;
	w.chunks--;
	assert_int_equal(spool_partial_finish(peer.put, &peer.in, &w, NULL),
			 ERR_INVAL);
	w.length = (uint64_t)w.chunks * CHUNK_LEN;
	assert_int_equal(spool_partial_finish(peer.put, &peer.in, &w, NULL),
			 ERR_INVAL);
	w.length = UINT64_MAX;
	w.chunks = UINT32_MAX;
	assert_int_equal(spool_partial_finish(peer.put, &peer.in, &w, NULL),
			 ERR_INVAL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

static void one_put_at_a_time_has_a_transfer(void **state)
{
	struct peer other;

	(void)state;
	peer_init(&other, 1, one.data, LENGTH);
	partial_open_peer(false);
	assert_int_equal(peer_open(&other, one.spool, NULL), ERR_BUSY);
	assert_int_equal(spool_partial_abandon(one.spool, &peer.in.origin),
			 ERR_BUSY);
	other.in.origin.peer[0] ^= 1; /* another peer's of the same name */
	assert_int_equal(peer_open(&other, one.spool, NULL), ERR_OK);
	assert_int_equal(peer_put(&other, 0), ERR_OK);
	assert_int_equal(peer_wait(&other, 0, 1), ERR_OK);
	assert_int_equal(peer_have(&peer, one.spool), 0);
	peer_free(&other);
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 2);
	other.in.has_origin = false;
	assert_int_equal(peer_open(&other, one.spool, NULL), ERR_INVAL);
}

#define BOTH(f) cmocka_unit_test_setup_teardown(f, partial_begin, partial_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(a_chunk_that_is_not_its_leaf_is_refused),
	    BOTH(a_chunk_may_come_again_but_not_another),
	    BOTH(only_the_last_chunk_is_short),
	    BOTH(the_whole_must_agree),
	    BOTH(one_put_at_a_time_has_a_transfer),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
