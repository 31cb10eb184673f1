#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "tests/unit/spool_one_kit.h"

static enum err fill_up(unsigned *n)
{
	enum err e = ERR_OK;

	for (*n = 0; *n < 1000 && e == ERR_OK; *n += 1)
		e = one_put(*n, 700000, NULL);
	return e;
}

static void at_high_water_new_instances_are_refused_until_low(void **state)
{
	struct spool_stats st;
	unsigned n;

	(void)state;
	assert_int_equal(fill_up(&n), ERR_NOSPACE);
	spool_stats(one.spool, &st);
	assert_true(st.full);
	assert_non_null(strstr(st.alert, "high-water"));
	assert_in_range(st.used, st.high, st.quota);
	one_reopen(); /* and after a restart too */
	assert_int_equal(one_put(0, 10, NULL), ERR_NOSPACE);
	assert_true(one_recycle() > 10);
	spool_stats(one.spool, &st);
	assert_false(st.full);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(one_put(5000 + i, 700000, NULL), ERR_OK);
}

static void outcomes_find_room_in_a_full_spool(void **state)
{
	struct outcome o = {.kind = OUTCOME_DELIVERED, .id = {{1, 2, 3}}};
	unsigned n;

	(void)state;
	assert_int_equal(fill_up(&n), ERR_NOSPACE);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(spool_outcome(one.spool, &o), ERR_OK);
	o.id.b[0] = 9;
	assert_int_equal(spool_outcome(one.spool, &o), ERR_OK);
	assert_true(one_wait_outcome(OUTCOME_DELIVERED, &o.id));
}

static void an_instance_larger_than_the_rest_fails_midway(void **state)
{
	struct spool_put_events events = {.on_done = one_never_done};
	struct instance in;
	struct spool_put *p;
	enum err e = ERR_OK;

	(void)state;
	kit_instance(1, &in);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	for (unsigned i = 0; i < 4000 && e == ERR_OK; i++) {
		e = spool_put_data(p, one.data, 65536);
		while (e == ERR_OK && spool_put_full(p))
			usleep(1000);
	}
	assert_int_equal(e, ERR_NOSPACE);
	assert_int_equal(spool_put_data(p, one.data, 1), ERR_NOSPACE);
	assert_int_equal(spool_put_finish(p, &in), ERR_NOSPACE);
	assert_true(one_recycle() > 10);
	assert_int_equal(one_put(2, 100000, NULL), ERR_OK);
}

static void a_segment_is_not_recycled_before_it_is_covered(void **state)
{
	struct spool_segment_info at[64];
	struct spool_tail *t;
	struct tail_record *r = mem_zalloc(sizeof(*r));
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(one_put(i, 700000, NULL), ERR_OK);
	n = spool_segments(one.spool, at, 64);
	assert_true(n >= 3);
	assert_true(at[n - 1].current);
	assert_int_equal(spool_recycle(one.spool, at[n - 1].number, UINT64_MAX),
			 ERR_BUSY);
	assert_int_equal(spool_recycle(one.spool, at[0].number, at[0].last - 1),
			 ERR_BUSY);
	assert_int_equal(spool_tail_open(one.spool, 0, &t), ERR_OK);
	assert_int_equal(spool_tail_next(t, r, 0), ERR_OK);
	assert_int_equal(spool_recycle(one.spool, at[0].number, at[0].last),
			 ERR_BUSY); /* the tail is in it */
	spool_tail_close(t);
	assert_int_equal(spool_recycle(one.spool, at[0].number, at[0].last),
			 ERR_OK);
	assert_int_equal(spool_recycle(one.spool, at[0].number, at[0].last),
			 ERR_NOTFOUND);
	assert_int_equal(spool_segments(one.spool, at, 64), n - 1);
	mem_free(r);
}

static void recycled_segments_never_show_their_old_records(void **state)
{
	struct kit_records r;

	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 12; i++)
			assert_int_equal(one_put(round * 100 + i, 700000, NULL),
					 ERR_OK);
		(void)one_recycle();
		if (round % 2 == 1)
			one_reopen();
		kit_tail(one.spool, 0, &r);
		for (size_t i = 0; i < r.n; i++)
			assert_int_equal(r.at[i].kind != TAIL_DAMAGE, true);
		for (unsigned i = 0; i < round * 100; i++)
			assert_null(kit_final(&r, i));
		kit_records_free(&r);
	}
}

static void a_moved_record_reads_at_its_new_place(void **state)
{
	struct instance stored;
	struct kit_records r;
	const struct tail_record *c;
	uint32_t old;

	(void)state;
	assert_int_equal(one_put(1, CHUNK_LEN + 77, &stored), ERR_OK);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(one_put(10 + i, 700000, NULL), ERR_OK);
	kit_tail(one.spool, 0, &r);
	old = kit_chunk(&r, &stored.id, 0)->place.segment;
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(spool_move(one.spool,
					    kit_chunk(&r, &stored.id, i)->place,
					    &stored.id, i),
				 ERR_OK);
	assert_int_equal(spool_move(one.spool,
				    kit_chunk(&r, &stored.id, 0)->place,
				    &stored.id, 1),
			 ERR_NOTFOUND);
	kit_records_free(&r);
	assert_int_equal(one_put(99, 10, NULL), ERR_OK); /* flushes the moves */
	assert_int_equal(
	    spool_recycle(one.spool, old, spool_durable(one.spool)), ERR_OK);
	one_reopen();
	kit_tail(one.spool, 0, &r);
	c = kit_chunk(&r, &stored.id, 1);
	assert_true(c->moved && c->final && c->has_instance);
	assert_int_equal(c->instance.length, CHUNK_LEN + 77);
	assert_int_equal(kit_verify(one.spool, &r, &c->instance, 1), ERR_OK);
	kit_records_free(&r);
}

/* ---- failing writes -------------------------------------------------- */

static void a_failed_write_costs_its_batch_only(void **state)
{
	struct rlimit old, small;
	struct spool_stats st;
	const size_t before[] = {300000, 300000};
	struct kit_records r;
	enum err e;

	(void)state;
	assert_int_equal(one_put(0, before[0], NULL), ERR_OK);
	assert_int_equal(one_put(1, before[1], NULL), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 700000; /* the next record goes beyond */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(one_put(2, 300000, NULL), ERR_NOSPACE);
	spool_stats(one.spool, &st);
	assert_true(st.failed);
	assert_int_equal(st.retired, 1);
	assert_non_null(strstr(st.alert, "failed"));
	assert_int_equal(one_put(3, 300000, NULL), ERR_NOSPACE); /* at once */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	/* The spool tries the disk again after a second. */
	for (unsigned i = 0; (e = one_put(4, 300000, NULL)) != ERR_OK; i++) {
		assert_int_equal(e, ERR_NOSPACE);
		assert_true(i < 600);
		usleep(100000);
	}
	spool_stats(one.spool, &st);
	assert_false(st.failed);
	one_expect(before, 2);
	one_reopen();
	one_expect(before, 2);
	kit_tail(one.spool, 0, &r);
	assert_null(kit_final(&r, 2));
	assert_non_null(kit_final(&r, 4));
	for (size_t i = 0; i < r.n; i++)
		assert_true(r.at[i].kind != TAIL_DAMAGE);
	kit_records_free(&r);
}

/* A disk of 7 MiB takes three segments; then it grows. */
static void a_full_disk_refuses_and_goes_on_when_there_is_room(void **state)
{
	struct spool_stats st;
	char full[KIT_PATH_LEN];
	enum err e = ERR_OK;
	unsigned n = 0;

	(void)state;
	kit_dir(full);
	if (mount("none", full, "tmpfs", 0, "size=7m") != 0) {
		assert_int_equal(rmdir(full), 0);
		skip(); /* only root may mount */
	}
	spool_close(one.spool);
	one.options.path = full;
	one.spool = kit_open(&one.options);
	while (n < 100 && (e = one_put(n, 300000, NULL)) == ERR_OK)
		n++;
	assert_int_equal(e, ERR_NOSPACE);
	assert_in_range(n, 10, 21);
	spool_stats(one.spool, &st);
	assert_true(st.full);
	assert_non_null(strstr(st.alert, "make room"));
	assert_int_equal(mount("none", full, "tmpfs", MS_REMOUNT, "size=40m"),
			 0);
	for (unsigned i = 0; e == ERR_NOSPACE && i < 600; i++) {
		usleep(100000);
		e = one_put(n, 300000, NULL);
	}
	assert_int_equal(e, ERR_OK);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(one_put(200 + i, 300000, NULL), ERR_OK);
	spool_stats(one.spool, &st);
	assert_false(st.full);
	spool_close(one.spool);
	assert_int_equal(umount(full), 0);
	assert_int_equal(rmdir(full), 0);
	one.options.path = one.dir;
	one.spool = kit_open(&one.options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ONE_TEST(at_high_water_new_instances_are_refused_until_low),
	    ONE_TEST(outcomes_find_room_in_a_full_spool),
	    ONE_TEST(an_instance_larger_than_the_rest_fails_midway),
	    ONE_TEST(a_segment_is_not_recycled_before_it_is_covered),
	    ONE_TEST(recycled_segments_never_show_their_old_records),
	    ONE_TEST(a_moved_record_reads_at_its_new_place),
	    ONE_TEST(a_failed_write_costs_its_batch_only),
	    ONE_TEST(a_full_disk_refuses_and_goes_on_when_there_is_room),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
