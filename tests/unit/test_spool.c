#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "tests/unit/spool_kit.h"

enum { MOST = 5 * CHUNK_LEN };

static char dir[KIT_PATH_LEN];
static struct spool_options options;
static struct spool *spool;
static uint8_t *data; /* kit_fill(1) */

static int open_spool(void **state)
{
	(void)state;
	options = kit_options(kit_dir(dir));
	spool = kit_open(&options);
	return 0;
}

static int close_spool(void **state)
{
	(void)state;
	spool_close(spool);
	kit_remove(dir);
	return 0;
}

static void reopen(void)
{
	spool_close(spool);
	spool = kit_open(&options);
}

static enum err put(unsigned n, size_t size, struct instance *stored)
{
	struct instance in;

	kit_instance(n, &in);
	return kit_put(spool, &in, data, size, stored);
}

/* Everything put with sizes[] is there, with its metadata, bit for bit. */
static void expect_all(const size_t *sizes, unsigned count)
{
	struct kit_records r;

	kit_tail(spool, 0, &r);
	for (unsigned i = 0; i < count; i++) {
		const struct tail_record *f = kit_final(&r, i);

		assert_non_null(f);
		assert_int_equal(f->instance.length, sizes[i]);
		assert_int_equal(f->instance.n_destinations, 1);
		assert_string_equal(f->instance.destinations[0], "cloud");
		assert_int_equal(kit_verify(spool, &r, &f->instance, 1),
				 ERR_OK);
	}
	kit_records_free(&r);
}

static const size_t sizes[] = {0,
			       1,
			       4096,
			       16384,
			       20000,
			       65536,
			       CHUNK_LEN - 1,
			       CHUNK_LEN,
			       CHUNK_LEN + 1,
			       2 * CHUNK_LEN,
			       MOST - 3};
enum { N_SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void instances_of_every_size_read_back_now_and_later(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N_SIZES; i++)
		assert_int_equal(put(i, sizes[i], NULL), ERR_OK);
	expect_all(sizes, N_SIZES);
	reopen();
	expect_all(sizes, N_SIZES);
	reopen();
	expect_all(sizes, N_SIZES);
}

static void the_stored_instance_is_complete(void **state)
{
	struct instance stored;

	(void)state;
	assert_int_equal(put(3, CHUNK_LEN + 5, &stored), ERR_OK);
	assert_int_equal(stored.length, CHUNK_LEN + 5);
	assert_int_equal(stored.chunks, 2);
	assert_string_equal(stored.sop_instance,
			    "1.2.826.0.1.3680043.10.1599.3");
	assert_int_equal(put(4, 0, &stored), ERR_OK);
	assert_int_equal(stored.chunks, 0);
}

static void each_put_gets_an_id_of_its_own(void **state)
{
	struct instance a, b;

	(void)state;
	assert_int_equal(put(1, 100, &a), ERR_OK);
	assert_int_equal(put(1, 100, &b), ERR_OK);
	assert_false(transfer_id_equal(&a.id, &b.id));
	assert_memory_equal(a.root, b.root, sizeof(a.root));
}

static void the_identity_of_the_spool_stays(void **state)
{
	uint8_t id[SPOOL_ID_LEN];

	(void)state;
	memcpy(id, spool_id(spool), sizeof(id));
	assert_int_equal(put(1, 100, NULL), ERR_OK);
	reopen();
	assert_memory_equal(id, spool_id(spool), sizeof(id));
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
	assert_int_equal(kit_put(spool, &in,
				 (const uint8_t *)"Geheim^Nobody in pixels", 24,
				 NULL),
			 ERR_OK);
	f = fopen(kit_segment_path(dir, 0, path), "r");
	assert_non_null(f);
	assert_int_equal(fread(block, 1, sizeof(block), f), sizeof(block));
	(void)fclose(f);
	assert_null(memmem(block, sizeof(block), "Geheim", 6));
	assert_null(memmem(block, sizeof(block), "10.1599", 7));
}

/* ---- aborting ---------------------------------------------------------------
 */

static void never_done(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
	fail();
}

static bool has_outcome(const struct kit_records *r, enum outcome_kind kind,
			const struct transfer_id *id)
{
	for (size_t i = 0; i < r->n_outcomes; i++)
		if (r->outcomes[i].kind == kind &&
		    transfer_id_equal(&r->outcomes[i].id, id))
			return true;
	return false;
}

/* Wait until an outcome of id is durable. */
static bool wait_outcome(enum outcome_kind kind, const struct transfer_id *id)
{
	uint64_t end = clock_mono_ns() + 10ull * 1000 * 1000 * 1000;
	bool found = false;

	while (!found && clock_mono_ns() < end) {
		struct kit_records r;

		usleep(2000);
		kit_tail(spool, 0, &r);
		found = has_outcome(&r, kind, id);
		kit_records_free(&r);
	}
	return found;
}

static void an_aborted_put_leaves_no_instance(void **state)
{
	struct spool_put_events events = {NULL, never_done, NULL};
	struct instance in;
	struct transfer_id id;
	struct kit_records r;
	struct spool_stats st;
	struct spool_put *p;

	(void)state;
	kit_instance(5, &in);
	assert_int_equal(spool_put_begin(spool, &in, &events, &p), ERR_OK);
	spool_put_abort(p);
	assert_int_equal(spool_put_begin(spool, &in, &events, &p), ERR_OK);
	assert_int_equal(spool_put_data(p, data, 1000), ERR_OK);
	spool_put_abort(p);
	assert_int_equal(spool_put_begin(spool, &in, &events, &p), ERR_OK);
	id = *spool_put_id(p);
	assert_int_equal(spool_put_data(p, data, 2 * CHUNK_LEN + 1), ERR_OK);
	do { /* until both chunks are written */
		usleep(1000);
		spool_stats(spool, &st);
	} while (st.queued > 0);
	spool_put_abort(p);
	spool_put_abort(NULL);
	assert_true(wait_outcome(OUTCOME_ABANDONED, &id));
	kit_tail(spool, 0, &r);
	assert_null(kit_final(&r, 5));
	kit_records_free(&r);
}

/* ---- outcomes
 * ---------------------------------------------------------------- */

static void outcomes_come_back_in_order(void **state)
{
	struct outcome o = {.kind = OUTCOME_DELIVERED, .status = 0xb007};
	struct kit_records r;
	size_t n = 0;

	(void)state;
	(void)INSTANCE_SET(o.destination, "cloud");
	for (unsigned i = 0; i < 2000; i++) {
		o.id.b[0] = (uint8_t)i;
		o.id.b[1] = (uint8_t)(i >> 8);
		o.at_ms = i;
		assert_int_equal(spool_outcome(spool, &o), ERR_OK);
	}
	assert_true(wait_outcome(OUTCOME_DELIVERED, &o.id));
	reopen();
	kit_tail(spool, 0, &r);
	for (size_t i = 0; i < r.n_outcomes; i++) {
		if (r.outcomes[i].kind == OUTCOME_RESTART)
			continue;
		assert_int_equal(r.outcomes[i].at_ms, n++);
		assert_int_equal(r.outcomes[i].status, 0xb007);
		assert_string_equal(r.outcomes[i].destination, "cloud");
	}
	assert_int_equal(n, 2000);
	kit_records_free(&r);
	o.kind = OUTCOME_RESTART;
	assert_int_equal(spool_outcome(spool, &o), ERR_INVAL);
}

static void closing_writes_what_waits(void **state)
{
	struct outcome o = {.kind = OUTCOME_HELD, .id = {{9}}};
	struct kit_records r;

	(void)state;
	assert_int_equal(spool_outcome(spool, &o), ERR_OK);
	reopen();
	kit_tail(spool, 0, &r);
	assert_true(has_outcome(&r, OUTCOME_HELD, &o.id));
	kit_records_free(&r);
}

static void every_start_is_told_to_the_tail(void **state)
{
	const struct transfer_id none = {{0}};

	(void)state;
	assert_true(wait_outcome(OUTCOME_RESTART, &none));
}

/* ---- tailing
 * ------------------------------------------------------------------ */

static void a_tail_goes_on_where_another_stopped(void **state)
{
	struct kit_records all, some;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(put(i, 150000, NULL), ERR_OK);
	kit_tail(spool, 0, &all);
	assert_true(all.n >= 40);
	for (size_t i = 0; i < all.n; i += 7) {
		kit_tail(spool, all.at[i].sequence, &some);
		assert_true(some.n >= all.n - i - 1);
		assert_int_equal(some.at[0].sequence, all.at[i + 1].sequence);
		kit_records_free(&some);
	}
	reopen();
	kit_tail(spool, all.at[20].sequence, &some);
	assert_int_equal(some.at[0].sequence, all.at[21].sequence);
	kit_records_free(&some);
	kit_records_free(&all);
}

static void *put_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	return put(77, 1000, NULL) == ERR_OK ? NULL : spool;
}

static void a_waiting_tail_wakes_for_a_record(void **state)
{
	struct tail_record *r = mem_zalloc(sizeof(*r));
	const struct transfer_id none = {{0}};
	struct spool_tail *t;
	pthread_t thread;
	void *failed;

	(void)state;
	assert_true(wait_outcome(OUTCOME_RESTART, &none));
	assert_int_equal(spool_tail_open(spool, 0, &t), ERR_OK);
	while (spool_tail_next(t, r, 0) == ERR_OK)
		;
	assert_int_equal(spool_tail_next(t, r, 5), ERR_AGAIN);
	assert_true(spool_tail_position(t) >= spool_durable(spool));
	pthread_create(&thread, NULL, put_soon, NULL);
	assert_int_equal(spool_tail_next(t, r, 10000), ERR_OK);
	assert_true(r->final);
	assert_int_equal(r->instance.association, 77);
	pthread_join(thread, &failed);
	assert_null(failed);
	spool_tail_close(t);
	mem_free(r);
}

static void the_first_record_carries_what_was_known(void **state)
{
	struct instance stored;
	struct kit_records r;
	const struct tail_record *first;

	(void)state;
	assert_int_equal(put(8, 3 * CHUNK_LEN, &stored), ERR_OK);
	kit_tail(spool, 0, &r);
	first = kit_chunk(&r, &stored.id, 0);
	assert_non_null(first);
	assert_true(first->first && !first->final && first->has_instance);
	assert_int_equal(first->instance.association, 8);
	assert_false(kit_chunk(&r, &stored.id, 1)->has_instance);
	assert_true(kit_chunk(&r, &stored.id, 2)->final);
	kit_records_free(&r);
}

/* ---- reading
 * -------------------------------------------------------------------- */

static void a_place_that_is_not_its_own_is_not_read(void **state)
{
	struct instance a, b;
	struct kit_records r;
	struct place place;
	uint8_t *out = mem_zalloc(CHUNK_LEN);
	size_t len;

	(void)state;
	assert_int_equal(put(1, 100, &a), ERR_OK);
	assert_int_equal(put(2, 100, &b), ERR_OK);
	kit_tail(spool, 0, &r);
	place = kit_chunk(&r, &a.id, 0)->place;
	assert_int_equal(spool_read_chunk(spool, place, &a.id, 0, out, &len),
			 ERR_OK);
	assert_int_equal(spool_read_chunk(spool, place, &b.id, 0, out, &len),
			 ERR_NOTFOUND);
	assert_int_equal(spool_read_chunk(spool, place, &a.id, 1, out, &len),
			 ERR_NOTFOUND);
	place.offset += 4;
	assert_int_equal(spool_read_chunk(spool, place, &a.id, 0, out, &len),
			 ERR_NOTFOUND);
	place.offset = KIT_SEGMENT;
	assert_int_not_equal(
	    spool_read_chunk(spool, place, &a.id, 0, out, &len), ERR_OK);
	place.segment = 9999;
	assert_int_equal(spool_read_chunk(spool, place, &a.id, 0, out, &len),
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
	assert_int_equal(put(1, 300000, &a), ERR_OK);
	assert_int_equal(put(2, 100, &b), ERR_OK);
	kit_tail(spool, 0, &r);
	place = kit_chunk(&r, &a.id, 0)->place;
	assert_int_equal(
	    spool_read_chunk(spool, place, &a.id, 0, later, &later_len),
	    ERR_OK);
	e = spool_read_now(spool, place, &a.id, 0, now, &now_len);
	assert_true(e == ERR_OK || e == ERR_AGAIN);
	if (e == ERR_OK) {
		assert_int_equal(now_len, later_len);
		assert_memory_equal(now, later, now_len);
		assert_int_equal(
		    spool_read_now(spool, place, &b.id, 0, now, &now_len),
		    ERR_NOTFOUND);
	}
	place.segment = 9999;
	assert_int_equal(spool_read_now(spool, place, &a.id, 0, now, &now_len),
			 ERR_AGAIN);
	kit_records_free(&r);
	mem_free(now);
	mem_free(later);
}

/* ---- space
 * ---------------------------------------------------------------------- */

static uint64_t durable_now(void)
{
	return spool_durable(spool);
}

static enum err fill_up(unsigned *n)
{
	enum err e = ERR_OK;

	for (*n = 0; *n < 1000 && e == ERR_OK; *n += 1)
		e = put(*n, 700000, NULL);
	return e;
}

/* Recycle all but the current segment. */
static unsigned recycle_all(void)
{
	struct spool_segment_info at[64];
	size_t n = spool_segments(spool, at, 64);
	unsigned done = 0;

	for (size_t i = 0; i < n; i++)
		done +=
		    spool_recycle(spool, at[i].number, durable_now()) == ERR_OK;
	return done;
}

static void at_high_water_new_instances_are_refused_until_low(void **state)
{
	struct spool_stats st;
	unsigned n;

	(void)state;
	assert_int_equal(fill_up(&n), ERR_NOSPACE);
	spool_stats(spool, &st);
	assert_true(st.full);
	assert_non_null(strstr(st.alert, "high-water"));
	assert_in_range(st.used, st.high, st.quota);
	reopen(); /* and after a restart too */
	assert_int_equal(put(0, 10, NULL), ERR_NOSPACE);
	assert_true(recycle_all() > 10);
	spool_stats(spool, &st);
	assert_false(st.full);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(put(5000 + i, 700000, NULL), ERR_OK);
}

static void outcomes_find_room_in_a_full_spool(void **state)
{
	struct outcome o = {.kind = OUTCOME_DELIVERED, .id = {{1, 2, 3}}};
	unsigned n;

	(void)state;
	assert_int_equal(fill_up(&n), ERR_NOSPACE);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(spool_outcome(spool, &o), ERR_OK);
	o.id.b[0] = 9;
	assert_int_equal(spool_outcome(spool, &o), ERR_OK);
	assert_true(wait_outcome(OUTCOME_DELIVERED, &o.id));
}

static void an_instance_larger_than_the_rest_fails_midway(void **state)
{
	struct spool_put_events events = {NULL, never_done, NULL};
	struct instance in;
	struct spool_put *p;
	enum err e = ERR_OK;

	(void)state;
	kit_instance(1, &in);
	assert_int_equal(spool_put_begin(spool, &in, &events, &p), ERR_OK);
	for (unsigned i = 0; i < 4000 && e == ERR_OK; i++) {
		e = spool_put_data(p, data, 65536);
		while (e == ERR_OK && spool_put_full(p))
			usleep(1000);
	}
	assert_int_equal(e, ERR_NOSPACE);
	assert_int_equal(spool_put_data(p, data, 1), ERR_NOSPACE);
	assert_int_equal(spool_put_finish(p, &in), ERR_NOSPACE);
	assert_true(recycle_all() > 10);
	assert_int_equal(put(2, 100000, NULL), ERR_OK);
}

static void a_segment_is_not_recycled_before_it_is_covered(void **state)
{
	struct spool_segment_info at[64];
	struct spool_tail *t;
	struct tail_record *r = mem_zalloc(sizeof(*r));
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(put(i, 700000, NULL), ERR_OK);
	n = spool_segments(spool, at, 64);
	assert_true(n >= 3);
	assert_true(at[n - 1].current);
	assert_int_equal(spool_recycle(spool, at[n - 1].number, UINT64_MAX),
			 ERR_BUSY);
	assert_int_equal(spool_recycle(spool, at[0].number, at[0].last - 1),
			 ERR_BUSY);
	assert_int_equal(spool_tail_open(spool, 0, &t), ERR_OK);
	assert_int_equal(spool_tail_next(t, r, 0), ERR_OK);
	assert_int_equal(spool_recycle(spool, at[0].number, at[0].last),
			 ERR_BUSY); /* the tail is in it */
	spool_tail_close(t);
	assert_int_equal(spool_recycle(spool, at[0].number, at[0].last),
			 ERR_OK);
	assert_int_equal(spool_recycle(spool, at[0].number, at[0].last),
			 ERR_NOTFOUND);
	assert_int_equal(spool_segments(spool, at, 64), n - 1);
	mem_free(r);
}

static void recycled_segments_never_show_their_old_records(void **state)
{
	struct kit_records r;

	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 12; i++)
			assert_int_equal(put(round * 100 + i, 700000, NULL),
					 ERR_OK);
		(void)recycle_all();
		if (round % 2 == 1)
			reopen();
		kit_tail(spool, 0, &r);
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
	assert_int_equal(put(1, CHUNK_LEN + 77, &stored), ERR_OK);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(put(10 + i, 700000, NULL), ERR_OK);
	kit_tail(spool, 0, &r);
	old = kit_chunk(&r, &stored.id, 0)->place.segment;
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(spool_move(spool,
					    kit_chunk(&r, &stored.id, i)->place,
					    &stored.id, i),
				 ERR_OK);
	assert_int_equal(spool_move(spool, kit_chunk(&r, &stored.id, 0)->place,
				    &stored.id, 1),
			 ERR_NOTFOUND);
	kit_records_free(&r);
	assert_int_equal(put(99, 10, NULL), ERR_OK); /* flushes the moves */
	assert_int_equal(spool_recycle(spool, old, durable_now()), ERR_OK);
	reopen();
	kit_tail(spool, 0, &r);
	c = kit_chunk(&r, &stored.id, 1);
	assert_true(c->moved && c->final && c->has_instance);
	assert_int_equal(c->instance.length, CHUNK_LEN + 77);
	assert_int_equal(kit_verify(spool, &r, &c->instance, 1), ERR_OK);
	kit_records_free(&r);
}

/* ---- opening
 * ---------------------------------------------------------------------- */

static void two_processes_cannot_share_a_spool(void **state)
{
	char why[SPOOL_WHY_LEN];
	struct spool *second;

	(void)state;
	assert_int_equal(spool_open(&options, &second, why), ERR_BUSY);
	assert_non_null(strstr(why, "another process"));
}

static void expect_no_key(const char *word)
{
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	assert_int_equal(spool_open(&options, &s, why), ERR_NOKEY);
	if (strstr(why, word) == NULL)
		fail_msg("%s", why);
}

static void another_key_is_refused_and_nothing_is_lost(void **state)
{
	char key[KIT_PATH_LEN + 16], kept[KIT_PATH_LEN + 16];
	char why[SEAL_WHY_LEN], id[SEAL_KEY_ID_TEXT];
	struct seal_key *other;
	const size_t size = 5000;

	(void)state;
	(void)snprintf(key, sizeof(key), "%s/data.key", dir);
	(void)snprintf(kept, sizeof(kept), "%s/kept.key", dir);
	assert_int_equal(put(0, size, NULL), ERR_OK);
	seal_key_id_text(seal_key_id(spool_key(spool)), id);
	spool_close(spool);
	assert_int_equal(rename(key, kept), 0);
	expect_no_key(id);
	expect_no_key("missing");
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(seal_key_open(key, true, &other, why), ERR_OK);
	seal_key_close(other);
	expect_no_key(id);
	expect_no_key("restore");
	assert_int_equal(rename(kept, key), 0);
	assert_int_equal(chmod(key, 0644), 0);
	expect_no_key("chmod 600");
	assert_int_equal(chmod(key, 0600), 0);
	spool = kit_open(&options);
	expect_all(&size, 1);
}

static void what_cannot_work_is_refused_in_words(void **state)
{
	struct spool_options o = options;
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	(void)state;
	o.path = "/nonexistent/spool";
	assert_int_equal(spool_open(&o, &s, why), ERR_IO);
	assert_non_null(strstr(why, "/nonexistent/spool"));
	o = options;
	o.segment = 4096;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
	o = options;
	o.quota = 3 * KIT_SEGMENT;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
	assert_non_null(strstr(why, "quota"));
	o = options;
	o.high_water = 50;
	o.low_water = 60;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
}

/* ---- failing writes
 * ------------------------------------------------------------------ */

static void a_failed_write_costs_its_batch_only(void **state)
{
	struct rlimit old, small;
	struct spool_stats st;
	const size_t before[] = {300000, 300000};
	struct kit_records r;

	(void)state;
	assert_int_equal(put(0, before[0], NULL), ERR_OK);
	assert_int_equal(put(1, before[1], NULL), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 700000; /* the next record goes beyond */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(put(2, 300000, NULL), ERR_NOSPACE);
	spool_stats(spool, &st);
	assert_true(st.failed);
	assert_int_equal(st.retired, 1);
	assert_non_null(strstr(st.alert, "failed"));
	assert_int_equal(put(3, 300000, NULL), ERR_NOSPACE); /* at once */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	usleep(1100000);
	assert_int_equal(put(4, 300000, NULL), ERR_OK);
	spool_stats(spool, &st);
	assert_false(st.failed);
	expect_all(before, 2);
	reopen();
	expect_all(before, 2);
	kit_tail(spool, 0, &r);
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
	spool_close(spool);
	options.path = full;
	spool = kit_open(&options);
	while (n < 100 && (e = put(n, 300000, NULL)) == ERR_OK)
		n++;
	assert_int_equal(e, ERR_NOSPACE);
	assert_in_range(n, 10, 21);
	spool_stats(spool, &st);
	assert_true(st.full);
	assert_non_null(strstr(st.alert, "make room"));
	assert_int_equal(mount("none", full, "tmpfs", MS_REMOUNT, "size=40m"),
			 0);
	for (unsigned i = 0; e == ERR_NOSPACE && i < 100; i++) {
		usleep(100000);
		e = put(n, 300000, NULL);
	}
	assert_int_equal(e, ERR_OK);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(put(200 + i, 300000, NULL), ERR_OK);
	spool_stats(spool, &st);
	assert_false(st.full);
	spool_close(spool);
	assert_int_equal(umount(full), 0);
	assert_int_equal(rmdir(full), 0);
	options.path = dir;
	spool = kit_open(&options);
}

/* ---- buffers and threads
 * -------------------------------------------------------------- */

static void many_slow_puts_together_come_to_an_end(void **state)
{
	enum { N = 300 };
	static struct spool_put *puts[N];
	struct spool_put_events events = {NULL, never_done, NULL};
	struct instance in;
	struct spool_stats st;
	unsigned given = 0;

	(void)state;
	kit_instance(1, &in);
	/* 300 half chunks are 150 MiB; the buffers hold 8. */
	for (unsigned i = 0; i < N; i++) {
		if (spool_put_begin(spool, &in, &events, &puts[i]) != ERR_OK)
			break;
		if (spool_put_data(puts[i], data, 30000) == ERR_OK &&
		    !spool_put_full(puts[i]))
			given++;
	}
	spool_stats(spool, &st);
	assert_true(st.buffers_used <= st.buffers_limit);
	assert_true(given >= 190);
	/* The one that waits longest may go on although all are taken. */
	for (unsigned i = 0; spool_put_full(puts[200]) && i < 400; i++)
		usleep(50000);
	assert_false(spool_put_full(puts[200]));
	for (unsigned i = 0; i < N; i++)
		spool_put_abort(puts[i]);
	spool_stats(spool, &st);
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
		w->e = put(w->first + i, sizes[(w->first + i) % N_SIZES] / 8,
			   NULL);
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
	spool_stats(spool, &st);
	assert_int_equal(st.stored, 160);
	assert_true(st.flushes < 160);
	kit_tail(spool, 0, &r);
	for (unsigned i = 0; i < 160; i++) {
		const struct tail_record *f = kit_final(&r, i);

		assert_non_null(f);
		assert_int_equal(kit_verify(spool, &r, &f->instance, 1),
				 ERR_OK);
	}
	kit_records_free(&r);
}

static void one_at_a_time_is_one_flush_each(void **state)
{
	struct spool_stats a, b;
	const struct transfer_id none = {{0}};

	(void)state;
	assert_true(wait_outcome(OUTCOME_RESTART, &none));
	spool_stats(spool, &a);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(put(i, 20000, NULL), ERR_OK);
	spool_stats(spool, &b);
	assert_int_equal(b.flushes - a.flushes, 50);
}

static void a_check_finds_everything_whole(void **state)
{
	struct spool_check_report report;

	(void)state;
	for (unsigned i = 0; i < N_SIZES; i++)
		assert_int_equal(put(i, sizes[i], NULL), ERR_OK);
	reopen();
	assert_int_equal(spool_check(spool, NULL, NULL, &report), ERR_OK);
	assert_int_equal(report.instances, N_SIZES);
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.torn, 0);
	assert_int_equal(report.heads_repaired, 0);
}

static int make_data(void **state)
{
	(void)state;
	data = mem_zalloc(MOST);
	kit_fill(data, MOST, 1);
	return 0;
}

static int free_data(void **state)
{
	(void)state;
	mem_free(data);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_spool, close_spool)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(instances_of_every_size_read_back_now_and_later),
	    TEST(the_stored_instance_is_complete),
	    TEST(each_put_gets_an_id_of_its_own),
	    TEST(the_identity_of_the_spool_stays),
	    TEST(no_clear_text_reaches_the_disk),
	    TEST(an_aborted_put_leaves_no_instance),
	    TEST(outcomes_come_back_in_order),
	    TEST(closing_writes_what_waits),
	    TEST(every_start_is_told_to_the_tail),
	    TEST(a_tail_goes_on_where_another_stopped),
	    TEST(a_waiting_tail_wakes_for_a_record),
	    TEST(the_first_record_carries_what_was_known),
	    TEST(a_place_that_is_not_its_own_is_not_read),
	    TEST(what_is_in_memory_is_read_at_once),
	    TEST(at_high_water_new_instances_are_refused_until_low),
	    TEST(outcomes_find_room_in_a_full_spool),
	    TEST(an_instance_larger_than_the_rest_fails_midway),
	    TEST(a_segment_is_not_recycled_before_it_is_covered),
	    TEST(recycled_segments_never_show_their_old_records),
	    TEST(a_moved_record_reads_at_its_new_place),
	    TEST(two_processes_cannot_share_a_spool),
	    TEST(another_key_is_refused_and_nothing_is_lost),
	    TEST(what_cannot_work_is_refused_in_words),
	    TEST(a_failed_write_costs_its_batch_only),
	    TEST(a_full_disk_refuses_and_goes_on_when_there_is_room),
	    TEST(many_slow_puts_together_come_to_an_end),
	    TEST(eight_threads_share_flushes),
	    TEST(one_at_a_time_is_one_flush_each),
	    TEST(a_check_finds_everything_whole),
	};

	return cmocka_run_group_tests(tests, make_data, free_data);
}
