#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/lib/mem.h"
#include "store/spool_int.h"
#include "tests/unit/spool_kit.h"

/* What is written ahead, without the writer's thread: the order of events is
 * the tests'. */

enum { SIZE = 4 * CHUNK_LEN };

struct early {
	struct spool s;
	struct segment segment;
	struct record *a, *b;
	struct slab slabs[2][2 * EARLY_SLABS];
};

static int setup(void **state)
{
	char path[] = "/tmp/culvert-early-XXXXXX";
	struct early *f = mem_zalloc(sizeof(*f));

	if (f == NULL)
		return -1;
	(void)pthread_mutex_init(&f->s.lock, NULL);
	(void)pthread_cond_init(&f->s.work, NULL);
	f->segment.fd = mkstemp(path);
	f->segment.number = 1;
	f->segment.size = SIZE;
	f->s.writer.segment = &f->segment;
	f->s.writer.offset = RECORD_PAGE;
	writer_early_taken(&f->s.writer);
	f->s.n_puts = 1;
	f->a = record_new();
	f->b = record_new();
	*state = f;
	return f->segment.fd >= 0 && unlink(path) == 0 && f->a != NULL &&
		       f->b != NULL
		   ? 0
		   : -1;
}

static int teardown(void **state)
{
	struct early *f = *state;

	(void)close(f->segment.fd);
	f->a->n_slabs = f->b->n_slabs = 0; /* they are the fixture's */
	record_free(f->a);
	record_free(f->b);
	(void)pthread_cond_destroy(&f->s.work);
	(void)pthread_mutex_destroy(&f->s.lock);
	mem_free(f);
	return 0;
}

/* The record has n sealed slabs, all of the byte. */
static void offer(struct early *f, struct record *r, unsigned n, int byte)
{
	struct slab *slabs = f->slabs[r == f->a ? 0 : 1];

	while (r->n_slabs < n) {
		memset(slabs[r->n_slabs].bytes, byte, SLAB_LEN);
		r->slabs[r->n_slabs] = &slabs[r->n_slabs];
		r->n_slabs++;
	}
	pthread_mutex_lock(&f->s.lock);
	spool_early_offer(&f->s, r);
	pthread_mutex_unlock(&f->s.lock);
	writer_early(&f->s);
}

/* The byte of slab i behind a head at the writer's place. */
static int byte_ahead(const struct early *f, unsigned i)
{
	uint8_t got = 0;

	assert_int_equal(pread(f->segment.fd, &got, 1,
			       (off_t)f->s.writer.offset + RECORD_PAGE +
				   (off_t)i * SLAB_LEN),
			 1);
	return got;
}

static void what_is_ahead_counts_for_its_record(void **state)
{
	struct early *f = *state;

	assert_int_equal(writer_early_bytes(&f->s.writer, f->a), 0);
	offer(f, f->a, EARLY_SLABS, 'a');
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a),
			 EARLY_SLABS * SLAB_LEN);
	offer(f, f->a, 2 * EARLY_SLABS, 'a');
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a),
			 2 * EARLY_SLABS * SLAB_LEN);
	for (unsigned i = 0; i < 2 * EARLY_SLABS; i++)
		assert_int_equal(byte_ahead(f, i), 'a');
}

/* The first waits in the queue while the next one of its put comes in. */
static void another_record_ahead_takes_the_place(void **state)
{
	struct early *f = *state;

	offer(f, f->a, 2 * EARLY_SLABS, 'a');
	pthread_mutex_lock(&f->s.lock);
	(void)spool_early_drop(&f->s, f->a, false);
	pthread_mutex_unlock(&f->s.lock);
	offer(f, f->b, EARLY_SLABS, 'b');
	assert_int_equal(byte_ahead(f, 0), 'b');
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a), 0);
	assert_int_equal(writer_early_bytes(&f->s.writer, f->b),
			 EARLY_SLABS * SLAB_LEN);
	/* and back: all of it again */
	f->a->early_slabs = EARLY_SLABS;
	offer(f, f->a, 2 * EARLY_SLABS, 'a');
	for (unsigned i = 0; i < 2 * EARLY_SLABS; i++)
		assert_int_equal(byte_ahead(f, i), 'a');
	assert_int_equal(writer_early_bytes(&f->s.writer, f->b), 0);
}

static void a_written_record_takes_the_place(void **state)
{
	struct early *f = *state;

	offer(f, f->a, EARLY_SLABS, 'a');
	f->s.writer.offset += 2 * RECORD_PAGE;
	writer_early_taken(&f->s.writer);
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a), 0);
	offer(f, f->a, 2 * EARLY_SLABS, 'a');
	for (unsigned i = 0; i < 2 * EARLY_SLABS; i++)
		assert_int_equal(byte_ahead(f, i), 'a');
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a),
			 2 * EARLY_SLABS * SLAB_LEN);
}

static void what_is_passed_over_is_not_ahead(void **state)
{
	struct early *f = *state;

	offer(f, f->a, EARLY_SLABS, 'a');
	f->s.writer.unflushed = 1;
	offer(f, f->a, 2 * EARLY_SLABS, 'a');
	f->s.writer.unflushed = 0;
	assert_int_equal(writer_early_bytes(&f->s.writer, f->a), 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(what_is_ahead_counts_for_its_record),
	    T(another_record_ahead_takes_the_place),
	    T(a_written_record_takes_the_place),
	    T(what_is_passed_over_is_not_ahead),
	};
#undef T

	(void)argc;
	(void)argv;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
