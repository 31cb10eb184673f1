#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/tree.h"
#include "tests/unit/spool_one_kit.h"

static void instances_of_every_size_read_back_now_and_later(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ONE_SIZES; i++)
		assert_int_equal(one_put(i, one_sizes[i], NULL), ERR_OK);
	one_expect(one_sizes, ONE_SIZES);
	one_reopen();
	one_expect(one_sizes, ONE_SIZES);
	one_reopen();
	one_expect(one_sizes, ONE_SIZES);
}

static void the_stored_instance_is_complete(void **state)
{
	struct instance stored;

	(void)state;
	assert_int_equal(one_put(3, CHUNK_LEN + 5, &stored), ERR_OK);
	assert_int_equal(stored.length, CHUNK_LEN + 5);
	assert_int_equal(stored.chunks, 2);
	assert_string_equal(stored.sop_instance,
			    "1.2.826.0.1.3680043.10.1599.3");
	assert_int_equal(one_put(4, 0, &stored), ERR_OK);
	assert_int_equal(stored.chunks, 0);
}

static void each_put_gets_an_id_of_its_own(void **state)
{
	struct instance a, b;

	(void)state;
	assert_int_equal(one_put(1, 100, &a), ERR_OK);
	assert_int_equal(one_put(1, 100, &b), ERR_OK);
	assert_false(transfer_id_equal(&a.id, &b.id));
	assert_memory_equal(a.root, b.root, sizeof(a.root));
}

static void the_identity_of_the_spool_stays(void **state)
{
	uint8_t id[SPOOL_ID_LEN];

	(void)state;
	memcpy(id, spool_id(one.spool), sizeof(id));
	assert_int_equal(one_put(1, 100, NULL), ERR_OK);
	one_reopen();
	assert_memory_equal(id, spool_id(one.spool), sizeof(id));
}

static void no_clear_text_reaches_the_disk(void **state)
{
	static char block[KIT_SEGMENT];
	char path[KIT_PATH_LEN];
	struct instance in;
	FILE *f;

	(void)state;
	kit_instance(1, &in);
	(void)INSTANCE_SET(in.patient_name, "Geheim^Nobody");
	assert_int_equal(kit_put(one.spool, &in,
				 (const uint8_t *)"Geheim^Nobody in pixels", 24,
				 NULL),
			 ERR_OK);
	f = fopen(kit_segment_path(one.dir, 0, path), "r");
	assert_non_null(f);
	assert_int_equal(fread(block, 1, sizeof(block), f), sizeof(block));
	(void)fclose(f);
	assert_null(memmem(block, sizeof(block), "Geheim", 6));
	assert_null(memmem(block, sizeof(block), "10.1599", 7));
}

static void the_leaf_of_one_chunk_is_known_before_the_end(void **state)
{
	struct spool_put_events events = {.on_done = one_never_done};
	uint8_t leaf[SEAL_HASH_LEN], want[SEAL_HASH_LEN];
	struct instance in;
	struct spool_put *p;

	(void)state;
	kit_instance(6, &in);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	assert_int_equal(spool_put_leaf(p, leaf), ERR_INVAL);
	assert_int_equal(spool_put_data(p, one.data, CHUNK_LEN), ERR_OK);
	assert_int_equal(spool_put_leaf(p, leaf), ERR_OK);
	assert_int_equal(tree_leaf_of(one.data, CHUNK_LEN, want), ERR_OK);
	assert_memory_equal(leaf, want, sizeof(leaf));
	spool_put_abort(p);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	assert_int_equal(spool_put_data(p, one.data, CHUNK_LEN + 1), ERR_OK);
	assert_int_equal(spool_put_leaf(p, leaf), ERR_INVAL);
	spool_put_abort(p);
}

static void an_aborted_put_leaves_no_instance(void **state)
{
	struct spool_put_events events = {.on_done = one_never_done};
	struct instance in;
	struct transfer_id id;
	struct kit_records r;
	struct spool_stats st;
	struct spool_put *p;

	(void)state;
	kit_instance(5, &in);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	spool_put_abort(p);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	assert_int_equal(spool_put_data(p, one.data, 1000), ERR_OK);
	spool_put_abort(p);
	assert_int_equal(spool_put_begin(one.spool, &in, &events, &p), ERR_OK);
	id = *spool_put_id(p);
	assert_int_equal(spool_put_data(p, one.data, 2 * CHUNK_LEN + 1),
			 ERR_OK);
	do { /* until both chunks are written */
		usleep(1000);
		spool_stats(one.spool, &st);
	} while (st.queued > 0);
	spool_put_abort(p);
	spool_put_abort(NULL);
	assert_true(one_wait_outcome(OUTCOME_ABANDONED, &id));
	kit_tail(one.spool, 0, &r);
	assert_null(kit_final(&r, 5));
	kit_records_free(&r);
}

/* ---- reading --------------------------------------------------------- */

static void a_place_that_is_not_its_own_is_not_read(void **state)
{
	struct instance a, b;
	struct kit_records r;
	struct place place;
	uint8_t *out = mem_zalloc(CHUNK_LEN);
	size_t len;

	(void)state;
	assert_int_equal(one_put(1, 100, &a), ERR_OK);
	assert_int_equal(one_put(2, 100, &b), ERR_OK);
	kit_tail(one.spool, 0, &r);
	place = kit_chunk(&r, &a.id, 0)->place;
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &a.id, 0, out, &len), ERR_OK);
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &b.id, 0, out, &len),
	    ERR_NOTFOUND);
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &a.id, 1, out, &len),
	    ERR_NOTFOUND);
	place.offset += 4;
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &a.id, 0, out, &len),
	    ERR_NOTFOUND);
	place.offset = KIT_SEGMENT;
	assert_int_not_equal(
	    spool_read_chunk(one.spool, place, &a.id, 0, out, &len), ERR_OK);
	place.segment = 9999;
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &a.id, 0, out, &len),
	    ERR_NOTFOUND);
	kit_records_free(&r);
	mem_free(out);
}

/* Whether it is in the page cache is not ours to say; what comes is right. */
static void what_is_in_memory_is_read_at_once(void **state)
{
	struct instance a, b;
	struct kit_records r;
	struct place place;
	uint8_t *now = mem_zalloc(CHUNK_LEN), *later = mem_zalloc(CHUNK_LEN);
	size_t now_len = 0, later_len = 0;
	enum err e;

	(void)state;
	assert_int_equal(one_put(1, 300000, &a), ERR_OK);
	assert_int_equal(one_put(2, 100, &b), ERR_OK);
	kit_tail(one.spool, 0, &r);
	place = kit_chunk(&r, &a.id, 0)->place;
	assert_int_equal(
	    spool_read_chunk(one.spool, place, &a.id, 0, later, &later_len),
	    ERR_OK);
	e = spool_read_now(one.spool, place, &a.id, 0, now, &now_len);
	assert_true(e == ERR_OK || e == ERR_AGAIN);
	if (e == ERR_OK) {
		assert_int_equal(now_len, later_len);
		assert_memory_equal(now, later, now_len);
		assert_int_equal(
		    spool_read_now(one.spool, place, &b.id, 0, now, &now_len),
		    ERR_NOTFOUND);
	}
	place.segment = 9999;
	assert_int_equal(
	    spool_read_now(one.spool, place, &a.id, 0, now, &now_len),
	    ERR_AGAIN);
	kit_records_free(&r);
	mem_free(now);
	mem_free(later);
}

/* ---- buffers and threads --------------------------------------------- */

static void many_slow_puts_together_come_to_an_end(void **state)
{
	enum { N = 300 };
	static struct spool_put *puts[N];
	struct spool_put_events events = {.on_done = one_never_done};
	struct instance in;
	struct spool_stats st;
	unsigned given = 0;

	(void)state;
	kit_instance(1, &in);
	/* 300 half chunks are 150 MiB; the buffers hold 8. */
	for (unsigned i = 0; i < N; i++) {
		if (spool_put_begin(one.spool, &in, &events, &puts[i]) !=
		    ERR_OK)
			break;
		if (spool_put_data(puts[i], one.data, 30000) == ERR_OK &&
		    !spool_put_full(puts[i]))
			given++;
	}
	spool_stats(one.spool, &st);
	assert_true(st.buffers_used <= st.buffers_limit);
	assert_true(given >= 190);
	/* The one that waits longest may go on although all are taken. */
	for (unsigned i = 0; spool_put_full(puts[200]) && i < 400; i++)
		usleep(50000);
	assert_false(spool_put_full(puts[200]));
	for (unsigned i = 0; i < N; i++)
		spool_put_abort(puts[i]);
	spool_stats(one.spool, &st);
	assert_int_equal(st.buffers_used, 0);
	assert_int_equal(st.puts, 0);
}

struct worker {
	pthread_t thread;
	unsigned first, n;
	enum err e;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->n && w->e == ERR_OK; i++)
		w->e = one_put(w->first + i,
			       one_sizes[(w->first + i) % ONE_SIZES] / 8, NULL);
	return NULL;
}

static void eight_threads_share_flushes(void **state)
{
	struct worker w[8];
	struct spool_stats st;
	struct kit_records r;

	(void)state;
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < 8; i++) {
		w[i].first = i * 20;
		w[i].n = 20;
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].e, ERR_OK);
	}
	spool_stats(one.spool, &st);
	assert_int_equal(st.stored, 160);
	assert_true(st.flushes < 160);
	kit_tail(one.spool, 0, &r);
	for (unsigned i = 0; i < 160; i++) {
		const struct tail_record *f = kit_final(&r, i);

		assert_non_null(f);
		assert_int_equal(kit_verify(one.spool, &r, &f->instance, 1),
				 ERR_OK);
	}
	kit_records_free(&r);
}

static void one_at_a_time_is_one_flush_each(void **state)
{
	struct spool_stats a, b;
	const struct transfer_id none = {{0}};

	(void)state;
	assert_true(one_wait_outcome(OUTCOME_RESTART, &none));
	spool_stats(one.spool, &a);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(one_put(i, 20000, NULL), ERR_OK);
	spool_stats(one.spool, &b);
	assert_int_equal(b.flushes - a.flushes, 50);
}

static void a_check_finds_everything_whole(void **state)
{
	struct spool_check_report report;

	(void)state;
	for (unsigned i = 0; i < ONE_SIZES; i++)
		assert_int_equal(one_put(i, one_sizes[i], NULL), ERR_OK);
	one_reopen();
	assert_int_equal(spool_check(one.spool, NULL, NULL, &report), ERR_OK);
	assert_int_equal(report.instances, ONE_SIZES);
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.torn, 0);
	assert_int_equal(report.heads_repaired, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ONE_TEST(instances_of_every_size_read_back_now_and_later),
	    ONE_TEST(the_stored_instance_is_complete),
	    ONE_TEST(each_put_gets_an_id_of_its_own),
	    ONE_TEST(the_identity_of_the_spool_stays),
	    ONE_TEST(no_clear_text_reaches_the_disk),
	    ONE_TEST(the_leaf_of_one_chunk_is_known_before_the_end),
	    ONE_TEST(an_aborted_put_leaves_no_instance),
	    ONE_TEST(a_place_that_is_not_its_own_is_not_read),
	    ONE_TEST(what_is_in_memory_is_read_at_once),
	    ONE_TEST(many_slow_puts_together_come_to_an_end),
	    ONE_TEST(eight_threads_share_flushes),
	    ONE_TEST(one_at_a_time_is_one_flush_each),
	    ONE_TEST(a_check_finds_everything_whole),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
