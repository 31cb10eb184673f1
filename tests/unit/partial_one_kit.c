#include "tests/unit/partial_one_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct peer peer;

int partial_begin(void **state)
{
	int failed = one_open(state);

	peer_init(&peer, 1, one.data, LENGTH);
	return failed;
}

int partial_end(void **state)
{
	peer_free(&peer);
	return one_close(state);
}

/* Close its put and the spool, as a daemon that ends; open the spool again. */
void partial_restart(void)
{
	spool_partial_close(peer.put);
	peer.put = NULL;
	one_reopen();
}

void partial_open_peer(bool resumed)
{
	bool was;

	assert_int_equal(peer_open(&peer, one.spool, &was), ERR_OK);
	assert_int_equal(was, resumed);
}

void partial_put(uint64_t bits)
{
	for (uint32_t i = CHUNKS; i > 0; i--)
		if (bits & 1u << (i - 1))
			assert_int_equal(peer_put(&peer, i - 1), ERR_OK);
	for (uint32_t i = 0; i < CHUNKS; i++)
		if (bits & 1u << i)
			assert_int_equal(peer_wait(&peer, i, 1), ERR_OK);
}

void partial_expect_instance(void)
{
	struct kit_records r;
	const struct tail_record *f;

	kit_tail(one.spool, 0, &r);
	f = kit_final(&r, 1);
	assert_non_null(f);
	assert_true(f->partial);
	assert_int_equal(f->index, CHUNKS);
	assert_int_equal(f->instance.length, LENGTH);
	assert_int_equal(f->instance.chunks, CHUNKS);
	assert_true(
	    instance_origin_equal(&f->instance.origin, &peer.in.origin));
	assert_int_equal(kit_verify(one.spool, &r, &f->instance, 1), ERR_OK);
	kit_records_free(&r);
}

void partial_expect_no_instance(void)
{
	struct kit_records r;

	kit_tail(one.spool, 0, &r);
	assert_null(kit_final(&r, 1));
	kit_records_free(&r);
}
