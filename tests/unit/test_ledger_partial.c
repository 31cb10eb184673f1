/* What the ledger makes of transfers that come in over a link, or are read
 * while they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "tests/unit/ledger_fixture.h"
#include "tests/unit/partial_kit.h"

enum { LENGTH = 2 * CHUNK_LEN + 777 };

static struct fixture f;
static struct peer peer;
static uint8_t *data;

static int open_all(void **state)
{
	(void)state;
	data = mem_zalloc(LENGTH);
	kit_fill(data, LENGTH, 1);
	fixture_init(&f);
	fixture_open(&f);
	peer_init(&peer, 1, data, LENGTH);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	peer_free(&peer);
	fixture_free(&f);
	mem_free(data);
	return 0;
}

static void restart(void)
{
	spool_partial_close(peer.put);
	peer.put = NULL;
	fixture_close(&f);
	fixture_open(&f);
	fixture_barrier(&f);
}

static void put_some(uint32_t from, uint32_t n)
{
	if (peer.put == NULL)
		assert_int_equal(peer_open(&peer, f.spool, NULL), ERR_OK);
	for (uint32_t i = from; i < from + n; i++)
		assert_int_equal(peer_put(&peer, i), ERR_OK);
	assert_int_equal(peer_wait(&peer, from, n), ERR_OK);
	fixture_barrier(&f);
}

static uint32_t partials(void)
{
	struct ledger_stats st;

	fixture_barrier(&f);
	usleep(50000); /* figures are published after the answers */
	ledger_stats(f.l, &st);
	return st.partials;
}

static void expect_partial(void)
{
	assert_int_equal(fixture_sql(&f, "SELECT count(*) FROM instances"), 0);
	assert_int_equal(fixture_sql(&f, "SELECT count(*) FROM deliveries"), 0);
	assert_int_equal(partials(), 1);
}

static void expect_queued(void)
{
	static struct fixture_items items;

	fixture_barrier(&f);
	fixture_queued(&f, "cloud", &items);
	assert_int_equal(items.n, 1);
	assert_int_equal(items.items[0].length, LENGTH);
	assert_int_equal(items.items[0].chunks, 3);
	assert_true(
	    transfer_id_equal(&items.items[0].transfer, &peer.stored.id));
	assert_int_equal(partials(), 0);
}

static void nothing_is_a_row_before_it_is_whole(void **state)
{
	(void)state;
	put_some(0, 2);
	expect_partial();
	put_some(2, 1);
	expect_partial();
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
}

static void it_is_finished_after_restarts(void **state)
{
	(void)state;
	put_some(2, 1);
	restart();
	expect_partial();
	put_some(0, 1);
	restart();
	restart();
	expect_partial();
	put_some(1, 1);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
	restart();
	expect_queued();
}

static void a_lost_ledger_finds_it_again(void **state)
{
	(void)state;
	put_some(0, 2);
	spool_partial_close(peer.put);
	peer.put = NULL;
	fixture_close(&f);
	assert_int_equal(unlink(f.ledger), 0);
	fixture_open(&f);
	fixture_barrier(&f);
	expect_partial();
	put_some(2, 1);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
	fixture_close(&f);
	assert_int_equal(unlink(f.ledger), 0);
	fixture_open(&f);
	expect_queued();
}

static void the_abandoned_is_not_counted(void **state)
{
	(void)state;
	put_some(0, 2);
	expect_partial();
	spool_partial_close(peer.put);
	peer.put = NULL;
	assert_int_equal(spool_partial_abandon(f.spool, &peer.in.origin),
			 ERR_OK);
	fixture_settle(&f);
	assert_int_equal(partials(), 0);
	restart();
	assert_int_equal(partials(), 0);
}

static void forget_in_ledger(void)
{
	struct db_options o = {.path = f.ledger, .busy_ms = 5000};
	sqlite3 *db;

	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	assert_int_equal(db_exec(db, "UPDATE spool_state SET resume=applied"),
			 ERR_OK);
	(void)sqlite3_close(db);
}

/* As when a power cut brings back a chunk of what was delivered long ago. */
static void what_the_ledger_does_not_know_is_not_gone_on_with(void **state)
{
	struct spool_partial_chunk c;
	bool resumed;

	(void)state;
	put_some(0, 2);
	spool_partial_close(peer.put);
	peer.put = NULL;
	fixture_close(&f);
	forget_in_ledger();
	fixture_open_spool(&f);
	assert_int_equal(peer_open(&peer, f.spool, &resumed), ERR_OK);
	assert_true(resumed);
	fixture_open_ledger(&f);
	fixture_barrier(&f);
	assert_int_equal(spool_partial_list(f.spool, NULL, 0), 0);
	peer_chunk(&peer, 2, &c);
	assert_int_equal(spool_partial_put(peer.put, &c), ERR_NOTFOUND);
	assert_int_equal(peer_finish(&peer), ERR_NOTFOUND);
	restart(); /* what was disowned stays so */
	assert_int_equal(spool_partial_list(f.spool, NULL, 0), 0);
	put_some(0, 3);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
}

/* Its segments stay while others come and go. */
static void its_segments_are_not_recycled(void **state)
{
	struct spool_partial_have have[3];
	size_t n;

	(void)state;
	put_some(0, 2);
	for (unsigned i = 0; i < 12; i++) {
		struct instance in = fixture_instance(10 + i);
		struct transfer_id id = fixture_put(&f, &in, CHUNK_LEN);

		fixture_outcome(&f, &id, OUTCOME_DELIVERED, "cloud");
		fixture_settle(&f);
	}
	usleep(2500000); /* longer than the ledger's longest pause */
	assert_int_equal(
	    spool_partial_chunks(f.spool, &peer.in.origin, 0, have, 3, &n),
	    ERR_OK);
	assert_int_equal(n, 2);
	put_some(2, 1);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
}

/* The final record is pinned with the chunks, and goes with them. */
static void the_delivered_frees_everything(void **state)
{
	uint64_t end;
	size_t before;

	(void)state;
	put_some(0, 3);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	expect_queued();
	assert_int_equal(fixture_sql(&f, "SELECT count(*) FROM chunks"), 4);
	for (unsigned i = 0; i < 2; i++) { /* so that it is not the current */
		struct instance in = fixture_instance(10 + i);

		(void)fixture_put(&f, &in, CHUNK_LEN);
	}
	before = spool_segments(f.spool, NULL, 0);
	fixture_outcome(&f, &peer.stored.id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(&f);
	assert_int_equal(fixture_sql(&f, "SELECT count(*) FROM chunks"), 2);
	end = clock_mono_ns() + 20ull * 1000 * 1000 * 1000;
	while (spool_segments(f.spool, NULL, 0) >= before &&
	       clock_mono_ns() < end)
		usleep(20000);
	assert_true(spool_segments(f.spool, NULL, 0) < before);
}

/* ---- cut-through --------------------------------------------------------- */

struct asked {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	struct ledger_transfer t;
	struct place places[8];
	char sop_instance[INSTANCE_UID_LEN];
};

static void on_transfer(void *arg, const struct ledger_transfer *t)
{
	struct asked *a = arg;

	pthread_mutex_lock(&a->lock);
	a->t = *t;
	if (t->n > 0)
		memcpy(a->places, t->places, t->n * sizeof(a->places[0]));
	if (t->instance != NULL)
		(void)INSTANCE_SET(a->sop_instance, t->instance->sop_instance);
	a->done = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static void ask(const struct transfer_id *id, uint32_t first, struct asked *a)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	assert_int_equal(ledger_transfer(f.l, id, first, 8, on_transfer, a),
			 ERR_OK);
	pthread_mutex_lock(&a->lock);
	while (!a->done)
		pthread_cond_wait(&a->cond, &a->lock);
	pthread_mutex_unlock(&a->lock);
}

static void expect_chunk(const struct transfer_id *id, struct place place,
			 uint32_t index)
{
	uint8_t *out = mem_zalloc(CHUNK_LEN);
	size_t len;

	assert_int_equal(spool_read_chunk(f.spool, place, id, index, out, &len),
			 ERR_OK);
	assert_memory_equal(out, data + (size_t)index * CHUNK_LEN, len);
	mem_free(out);
}

static void a_partial_one_is_read_while_it_comes(void **state)
{
	struct transfer_id id;
	struct asked a;

	(void)state;
	put_some(0, 1);
	put_some(2, 1);
	id = *spool_partial_id(peer.put);
	ask(&id, 0, &a);
	assert_int_equal(a.t.e, ERR_OK);
	assert_true(a.t.partial);
	assert_int_equal(a.t.seq, 0);
	assert_int_equal(a.t.chunks, 2);
	assert_int_equal(a.t.n, 1); /* up to the gap */
	assert_string_equal(a.sop_instance, peer.in.sop_instance);
	expect_chunk(&id, a.places[0], 0);
	ask(&id, 1, &a);
	assert_int_equal(a.t.n, 0);
	ask(&id, 2, &a);
	assert_int_equal(a.t.n, 1);
	expect_chunk(&id, a.places[0], 2);
	put_some(1, 1);
	assert_int_equal(peer_finish(&peer), ERR_OK);
	fixture_barrier(&f);
	ask(&id, 1, &a);
	assert_int_equal(a.t.e, ERR_OK);
	assert_true(a.t.seq > 0);
	assert_int_equal(a.t.length, LENGTH);
	assert_int_equal(a.t.chunks, 3);
	assert_int_equal(a.t.n, 2); /* not its final record */
	expect_chunk(&id, a.places[1], 2);
	ask(&id, 3, &a);
	assert_int_equal(a.t.n, 0);
}

static void never(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
	fail();
}

/* A device's put: durable chunk by durable chunk, gone when it is aborted. */
static void a_plain_put_is_read_while_it_comes(void **state)
{
	struct spool_put_events events = {.on_done = never};
	struct instance in = fixture_instance(5);
	struct spool_put *put;
	struct transfer_id id;
	struct asked a;
	uint64_t end = clock_mono_ns() + 20ull * 1000 * 1000 * 1000;

	(void)state;
	assert_int_equal(spool_put_begin(f.spool, &in, &events, &put), ERR_OK);
	id = *spool_put_id(put);
	ask(&id, 0, &a);
	assert_int_equal(a.t.e, ERR_NOTFOUND);
	assert_int_equal(spool_put_data(put, data, CHUNK_LEN + 5), ERR_OK);
	do {
		usleep(5000);
		ask(&id, 0, &a);
	} while (a.t.e == ERR_NOTFOUND && clock_mono_ns() < end);
	assert_int_equal(a.t.e, ERR_OK);
	assert_false(a.t.partial);
	assert_int_equal(a.t.n, 1);
	assert_string_equal(a.sop_instance, in.sop_instance);
	expect_chunk(&id, a.places[0], 0);
	spool_put_abort(put);
	do {
		usleep(5000);
		ask(&id, 0, &a);
	} while (a.t.e == ERR_OK && clock_mono_ns() < end);
	assert_int_equal(a.t.e, ERR_NOTFOUND);
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nothing_is_a_row_before_it_is_whole),
	    TEST(it_is_finished_after_restarts),
	    TEST(a_lost_ledger_finds_it_again),
	    TEST(the_abandoned_is_not_counted),
	    TEST(what_the_ledger_does_not_know_is_not_gone_on_with),
	    TEST(its_segments_are_not_recycled),
	    TEST(the_delivered_frees_everything),
	    TEST(a_partial_one_is_read_while_it_comes),
	    TEST(a_plain_put_is_read_while_it_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
