/* Partial transfers: chunks in any order, over restarts, to an instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/partial_kit.h"
#include "tests/unit/partial_one_kit.h"
#include "tests/unit/spool_one_kit.h"

/* ---- whole ------------------------------------------------------------- */

static void chunks_in_any_order_become_an_instance(void **state)
{
	struct spool_stats st;
	struct instance plain;

	(void)state;
	partial_open_peer(false);
	partial_put(ALL);
	partial_expect_no_instance();
	assert_int_equal(peer_have(&peer, one.spool), ALL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	assert_int_equal(peer.stored.length, LENGTH);
	assert_int_equal(one_put(2, LENGTH, &plain), ERR_OK);
	assert_memory_equal(plain.root, peer.stored.root, sizeof(plain.root));
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
	spool_stats(one.spool, &st);
	assert_int_equal(st.stored, 2);
	assert_int_equal(st.partials, 0);
	partial_expect_instance();
	one_reopen();
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
	partial_expect_instance();
}

static void finishing_does_not_wait_for_the_flush(void **state)
{
	(void)state;
	partial_open_peer(false);
	for (uint32_t i = 0; i < CHUNKS; i++)
		assert_int_equal(peer_put(&peer, i), ERR_OK);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	assert_int_equal(peer_wait(&peer, 0, CHUNKS), ERR_OK);
	partial_expect_instance();
}

static void an_empty_instance_has_no_chunks(void **state)
{
	(void)state;
	peer.length = 0;
	partial_open_peer(false);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	assert_int_equal(peer.stored.chunks, 0);
	assert_int_equal(peer.stored.length, 0);
}

/* ---- over restarts ------------------------------------------------------- */

static void what_was_told_is_there_after_a_restart(void **state)
{
	struct spool_partial_info info;
	struct transfer_id id;

	(void)state;
	partial_open_peer(false);
	id = *spool_partial_id(peer.put);
	partial_put(0x15);
	partial_restart();
	assert_int_equal(spool_partial_list(one.spool, &info, 1), 1);
	assert_true(transfer_id_equal(&info.id, &id));
	assert_int_equal(info.chunks, 3);
	assert_int_equal(info.bytes, 2 * CHUNK_LEN + 12345);
	assert_false(info.open);
	assert_string_equal(info.sop_instance, peer.in.sop_instance);
	assert_true(clock_wall_ms() - info.touched_ms < 600000);
	assert_int_equal(peer_have(&peer, one.spool), 0x15);
	partial_expect_no_instance();

	partial_open_peer(true);
	assert_true(transfer_id_equal(spool_partial_id(peer.put), &id));
	partial_put(0x02);
	partial_restart();
	assert_int_equal(peer_have(&peer, one.spool), 0x17);
	partial_restart();
	assert_int_equal(peer_have(&peer, one.spool), 0x17);
	partial_open_peer(true);
	partial_put(0x08);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
	partial_restart();
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
	partial_expect_instance();
}

/* Its first chunk stands many segments before the last record. */
static void the_oldest_segment_is_found_again(void **state)
{
	(void)state;
	partial_open_peer(false);
	partial_put(0x01);
	for (unsigned i = 10; i < 16; i++)
		assert_int_equal(one_put(i, CHUNK_LEN + 5000, NULL), ERR_OK);
	partial_put(0x10);
	partial_restart();
	assert_int_equal(peer_have(&peer, one.spool), 0x11);
	for (unsigned i = 20; i < 23; i++)
		assert_int_equal(one_put(i, CHUNK_LEN + 5000, NULL), ERR_OK);
	partial_restart();
	assert_int_equal(peer_have(&peer, one.spool), 0x11);
}

static void many_live_through_a_restart_together(void **state)
{
	enum { N = 700 };
	static struct peer many[N];
	struct spool_stats st;
	unsigned found = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		peer_init(&many[i], i + 100, one.data + i, 3000);
		assert_int_equal(peer_open(&many[i], one.spool, NULL), ERR_OK);
		assert_int_equal(peer_put(&many[i], 0), ERR_OK);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(peer_wait(&many[i], 0, 1), ERR_OK);
		peer_free(&many[i]);
	}
	one_reopen();
	assert_int_equal(one_put(1, 100, NULL), ERR_OK);
	one_reopen();
	for (unsigned i = 0; i < N; i++)
		found += peer_have(&many[i], one.spool) == 1;
	assert_int_equal(found, N);
	spool_stats(one.spool, &st);
	assert_int_equal(st.partials, N);
	assert_int_equal(st.partial_bytes, N * 3000);
}

/* A copy of the directory is what kill -9 leaves behind. */
static void a_copy_at_any_moment_has_every_chunk_that_was_told(void **state)
{
	char copy[KIT_PATH_LEN];
	struct spool_options o;
	struct spool *s;

	(void)state;
	kit_dir(copy);
	o = one.options;
	o.path = copy;
	partial_open_peer(false);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		assert_int_equal(peer_put(&peer, i), ERR_OK);
		assert_int_equal(peer_wait(&peer, i, 1), ERR_OK);
		kit_remove(copy);
		assert_int_equal(mkdir(copy, 0700), 0);
		kit_copy(one.dir, copy);
		s = kit_open(&o);
		assert_int_equal(peer_have(&peer, s), (2u << i) - 1);
		spool_close(s);
	}
	kit_remove(copy);
}

/* ---- ending ------------------------------------------------------------- */

static void what_was_never_put_leaves_nothing(void **state)
{
	(void)state;
	partial_open_peer(false);
	spool_partial_close(peer.put);
	peer.put = NULL;
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
	spool_partial_close(NULL);
}

static void the_abandoned_is_gone_for_good(void **state)
{
	struct transfer_id id;

	(void)state;
	partial_open_peer(false);
	id = *spool_partial_id(peer.put);
	partial_put(0x03);
	spool_partial_close(peer.put);
	peer.put = NULL;
	assert_int_equal(spool_partial_abandon(one.spool, &peer.in.origin),
			 ERR_OK);
	assert_int_equal(spool_partial_abandon(one.spool, &peer.in.origin),
			 ERR_NOTFOUND);
	assert_true(one_wait_outcome(OUTCOME_ABANDONED, &id));
	partial_restart();
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
	partial_open_peer(false);
	assert_false(transfer_id_equal(spool_partial_id(peer.put), &id));
}

static void what_nobody_touches_expires(void **state)
{
	int64_t now = clock_wall_ms();

	(void)state;
	partial_open_peer(false);
	partial_put(0x01);
	assert_int_equal(spool_partial_expire(one.spool, now + 60000), 0);
	partial_restart();
	assert_int_equal(spool_partial_expire(one.spool, now - 60000), 0);
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 1);
	assert_int_equal(spool_partial_expire(one.spool, now + 60000), 1);
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
}

static void a_new_put_is_told_of_what_the_old_one_left(void **state)
{
	(void)state;
	partial_open_peer(false);
	for (uint32_t i = 0; i < CHUNKS - 1; i++)
		assert_int_equal(peer_put(&peer, i), ERR_OK);
	spool_partial_close(peer.put); /* some are in the queue */
	partial_open_peer(true);
	partial_put(ALL); /* told either as durable or by on_chunks */
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

static void the_abandoned_ends_after_its_queue(void **state)
{
	struct transfer_id id;
	struct kit_records r;
	bool over = false;

	(void)state;
	partial_open_peer(false);
	id = *spool_partial_id(peer.put);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(peer_put(&peer, i), ERR_OK);
	spool_partial_close(peer.put);
	peer.put = NULL;
	assert_int_equal(spool_partial_abandon(one.spool, &peer.in.origin),
			 ERR_OK);
	assert_true(one_wait_outcome(OUTCOME_ABANDONED, &id));
	kit_tail(one.spool, 0, &r);
	for (size_t i = 0; i < r.n; i++) {
		if (r.at[i].kind == TAIL_CHUNK)
			assert_false(over);
		for (size_t k = 0;
		     r.at[i].kind == TAIL_OUTCOMES && k < r.at[i].n_outcomes;
		     k++)
			over = true;
		if (i == 0)
			over = false; /* that was the RESTART */
	}
	kit_records_free(&r);
	partial_restart();
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 0);
}

static void a_recycled_segment_takes_its_chunks_along(void **state)
{
	(void)state;
	partial_open_peer(false);
	partial_put(0x03); /* two of them: no segment of 2 MiB holds both */
	for (unsigned i = 10; i < 14; i++)
		assert_int_equal(one_put(i, CHUNK_LEN + 5000, NULL), ERR_OK);
	assert_true(one_recycle() > 0);
	assert_int_equal(peer_have(&peer, one.spool), 0);
	partial_put(ALL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

/* ---- threads and buffers ---------------------------------------------------
 */

static void *put_all_of_them(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < CHUNKS; i++) {
		struct spool_partial_chunk c;
		enum err e;

		peer_chunk(&peer, i, &c);
		while ((e = spool_partial_put(peer.put, &c)) == ERR_AGAIN)
			usleep(1000);
		if (e != ERR_OK)
			return &peer;
	}
	return NULL;
}

static void four_threads_may_put_the_same(void **state)
{
	pthread_t threads[4];
	struct spool_stats st;
	void *failed;

	(void)state;
	partial_open_peer(false);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, put_all_of_them, NULL);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(peer_finish(&peer), ERR_OK);
	spool_stats(one.spool, &st);
	assert_int_equal(st.stored_bytes, LENGTH);
	partial_expect_instance();
}

/* 4 MiB of buffers, half of them in the hands of slow peers. */
static void a_small_pool_makes_it_wait_not_fail(void **state)
{
	enum { N = 60 };
	struct spool_put_events events = {.on_done = one_never_done};
	struct spool_put *slow[N];
	struct instance in;
	struct spool_stats st;

	(void)state;
	one.options.buffers = 4 * 1024 * 1024;
	one_reopen();
	kit_instance(9, &in);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(
		    spool_put_begin(one.spool, &in, &events, &slow[i]), ERR_OK);
		assert_int_equal(spool_put_data(slow[i], one.data, 1000),
				 ERR_OK);
	}
	partial_open_peer(false);
	partial_put(ALL);
	spool_stats(one.spool, &st);
	assert_true(st.buffers_used <= st.buffers_limit);
	for (unsigned i = 0; i < N; i++)
		spool_put_abort(slow[i]);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
	spool_stats(one.spool, &st);
	assert_int_equal(st.buffers_used, 0);
}

static void a_full_spool_refuses_chunks_and_goes_on_later(void **state)
{
	static struct peer big;
	uint8_t *data = mem_zalloc((size_t)48 * CHUNK_LEN);
	uint32_t put = 0;

	(void)state;
	one.options.quota = 6 * KIT_SEGMENT;
	one_reopen();
	kit_fill(data, (size_t)48 * CHUNK_LEN, 3);
	peer_init(&big, 5, data, (uint64_t)48 * CHUNK_LEN);
	assert_int_equal(peer_open(&big, one.spool, NULL), ERR_OK);
	while (put < 48 && peer_put(&big, put) == ERR_OK &&
	       peer_wait(&big, put, 1) == ERR_OK)
		put++;
	assert_in_range(put, 3, 6); /* one chunk a segment */
	assert_int_equal(big.failed_e, ERR_NOSPACE);
	assert_int_equal(peer_open(&peer, one.spool, NULL), ERR_NOSPACE);
	assert_int_equal(peer_have(&big, one.spool), (1u << put) - 1);
	spool_partial_close(big.put);
	big.put = NULL;
	assert_int_equal(spool_partial_abandon(one.spool, &big.in.origin),
			 ERR_OK);
	one_recycle();
	partial_open_peer(false);
	partial_put(0x03);
	peer_free(&big);
	mem_free(data);
}

/* The one that most is here of goes on, whoever else must begin anew. */
static void unfinished_ones_that_fill_the_spool_give_way(void **state)
{
	static struct peer more;

	(void)state;
	one.options.quota = 6 * KIT_SEGMENT;
	one_reopen();
	peer_init(&more, 7, one.data, LENGTH);
	partial_open_peer(false);
	partial_put(0x01);
	assert_int_equal(peer_open(&more, one.spool, NULL), ERR_OK);
	assert_false(spool_partial_make_room(one.spool)); /* both are open */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(peer_put(&more, i), ERR_OK);
		assert_int_equal(peer_wait(&more, i, 1), ERR_OK);
	}
	spool_partial_close(peer.put);
	spool_partial_close(more.put);
	peer.put = more.put = NULL;
	assert_true(spool_partial_make_room(one.spool));
	assert_false(spool_partial_make_room(one.spool));
	assert_int_equal(peer_have(&more, one.spool), 0x03);
	assert_int_equal(spool_partial_list(one.spool, NULL, 0), 1);
	peer_free(&more);
}

/* Writes beyond the first 8 KiB of a file fail, or do not. */
static void let_writes_fail(bool yes)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = yes ? 8192 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_chunk_that_fails_may_come_again(void **state)
{
	const struct transfer_id none = {{0}};

	(void)state;
	assert_true(one_wait_outcome(OUTCOME_RESTART, &none));
	partial_open_peer(false);
	partial_put(0x01);
	let_writes_fail(true);
	assert_int_equal(peer_put(&peer, 1), ERR_OK);
	assert_int_equal(peer_wait(&peer, 1, 1), ERR_NOSPACE);
	let_writes_fail(false);
	assert_int_equal(peer.failed, 1);
	assert_int_equal(peer_have(&peer, one.spool), 0x01);
	peer.failed = 0;
	partial_put(ALL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

/* The final record must not outlive a chunk before it. */
static void a_finish_fails_with_its_last_chunk(void **state)
{
	const struct transfer_id none = {{0}};
	enum err e;

	(void)state;
	assert_true(one_wait_outcome(OUTCOME_RESTART, &none));
	partial_open_peer(false);
	partial_put(ALL & ~4u);
	let_writes_fail(true);
	assert_int_equal(peer_put(&peer, 2), ERR_OK);
	e = peer_finish(&peer); /* perhaps it was told by now */
	let_writes_fail(false);
	assert_true(e == ERR_NOSPACE || e == ERR_AGAIN);
	assert_int_equal(peer_have(&peer, one.spool), ALL & ~4u);
	partial_expect_no_instance();
	partial_restart();
	assert_int_equal(peer_have(&peer, one.spool), ALL & ~4u);
	partial_open_peer(true);
	partial_put(0x04);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	partial_expect_instance();
}

/* ---- checking ----------------------------------------------------------- */

static void a_check_counts_what_is_partial(void **state)
{
	struct spool_check_report report;

	(void)state;
	partial_open_peer(false);
	partial_put(0x07);
	partial_restart();
	partial_open_peer(true);
	partial_put(0x08);
	assert_int_equal(one_put(2, 5000, NULL), ERR_OK);
	assert_int_equal(spool_check(one.spool, NULL, NULL, &report), ERR_OK);
	assert_int_equal(report.partials, 1);
	assert_int_equal(report.partial_chunks, 4);
	assert_int_equal(report.unfinished, 0);
	assert_int_equal(report.damaged, 0);
	partial_put(ALL);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	assert_int_equal(spool_check(one.spool, NULL, NULL, &report), ERR_OK);
	assert_int_equal(report.partials, 0);
	assert_int_equal(report.unfinished, 0);
	assert_int_equal(report.instances, 2);
}

#define BOTH(f) cmocka_unit_test_setup_teardown(f, partial_begin, partial_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(chunks_in_any_order_become_an_instance),
	    BOTH(finishing_does_not_wait_for_the_flush),
	    BOTH(an_empty_instance_has_no_chunks),
	    BOTH(what_was_told_is_there_after_a_restart),
	    BOTH(the_oldest_segment_is_found_again),
	    BOTH(many_live_through_a_restart_together),
	    BOTH(a_copy_at_any_moment_has_every_chunk_that_was_told),
	    BOTH(what_was_never_put_leaves_nothing),
	    BOTH(the_abandoned_is_gone_for_good),
	    BOTH(what_nobody_touches_expires),
	    BOTH(a_new_put_is_told_of_what_the_old_one_left),
	    BOTH(the_abandoned_ends_after_its_queue),
	    BOTH(a_recycled_segment_takes_its_chunks_along),
	    BOTH(four_threads_may_put_the_same),
	    BOTH(a_small_pool_makes_it_wait_not_fail),
	    BOTH(a_full_spool_refuses_chunks_and_goes_on_later),
	    BOTH(unfinished_ones_that_fill_the_spool_give_way),
	    BOTH(a_chunk_that_fails_may_come_again),
	    BOTH(a_finish_fails_with_its_last_chunk),
	    BOTH(a_check_counts_what_is_partial),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
