#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/spool_one_kit.h"

struct one one;

const size_t one_sizes[ONE_SIZES] = {
    0,
    1,
    4096,
    16384,
    20000,
    65536,
    CHUNK_LEN - 1,
    CHUNK_LEN,
    CHUNK_LEN + 1,
    2 * CHUNK_LEN,
    ONE_MOST - 3,
};

int one_make_data(void **state)
{
	(void)state;
	one.data = mem_zalloc(ONE_MOST);
	kit_fill(one.data, ONE_MOST, 1);
	return 0;
}

int one_free_data(void **state)
{
	(void)state;
	mem_free(one.data);
	return 0;
}

int one_open(void **state)
{
	(void)state;
	one.options = kit_options(kit_dir(one.dir));
	one.spool = kit_open(&one.options);
	return 0;
}

int one_close(void **state)
{
	(void)state;
	spool_close(one.spool);
	kit_remove(one.dir);
	return 0;
}

void one_reopen(void)
{
	spool_close(one.spool);
	one.spool = kit_open(&one.options);
}

enum err one_put(unsigned n, size_t size, struct instance *stored)
{
	struct instance in;

	kit_instance(n, &in);
	return kit_put(one.spool, &in, one.data, size, stored);
}

void one_never_done(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
	fail();
}

void one_expect(const size_t *sizes, unsigned count)
{
	struct kit_records r;

	kit_tail(one.spool, 0, &r);
	for (unsigned i = 0; i < count; i++) {
		const struct tail_record *f = kit_final(&r, i);

		assert_non_null(f);
		assert_int_equal(f->instance.length, sizes[i]);
		assert_int_equal(f->instance.n_destinations, 1);
		assert_string_equal(f->instance.destinations[0], "cloud");
		assert_int_equal(kit_verify(one.spool, &r, &f->instance, 1),
				 ERR_OK);
	}
	kit_records_free(&r);
}

bool one_has_outcome(const struct kit_records *r, enum outcome_kind kind,
		     const struct transfer_id *id)
{
	for (size_t i = 0; i < r->n_outcomes; i++)
		if (r->outcomes[i].kind == kind &&
		    transfer_id_equal(&r->outcomes[i].id, id))
			return true;
	return false;
}

bool one_wait_outcome(enum outcome_kind kind, const struct transfer_id *id)
{
	uint64_t end = clock_mono_ns() + 60ull * 1000 * 1000 * 1000;
	bool found = false;

	while (!found && clock_mono_ns() < end) {
		struct kit_records r;

		usleep(2000);
		kit_tail(one.spool, 0, &r);
		found = one_has_outcome(&r, kind, id);
		kit_records_free(&r);
	}
	return found;
}

unsigned one_recycle(void)
{
	struct spool_segment_info at[64];
	size_t n = spool_segments(one.spool, at, 64);
	unsigned done = 0;

	for (size_t i = 0; i < n; i++)
		done += spool_recycle(one.spool, at[i].number,
				      spool_durable(one.spool)) == ERR_OK;
	return done;
}
