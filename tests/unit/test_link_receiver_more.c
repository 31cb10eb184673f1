/* The receiving end of a link: what the archives accept, many at once, the end
 * in the middle of things. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/ledger_origin.h"
#include "tests/unit/receiver_kit.h"

static void learn(const char *calling, const char *ts, bool accepted)
{
	struct capability_key key = {.destination = "picky",
				     .calling_ae = calling,
				     .called_ae = "PICKY",
				     .abstract = "1.2.840.10008.5.1.4.1.1.2",
				     .transfer_syntax = ts};

	capability_learn(rk.capabilities, &key, accepted);
}

static void the_edge_is_told_what_the_archive_accepts(void **state)
{
	struct edge e;

	(void)state;
	learn("CT1", "1.2.840.10008.1.2.1", true);
	learn("CT2", "1.2.840.10008.1.2.1", true);
	learn("CT1", "1.2.840.10008.1.2", true);
	learn("CT2", "1.2.840.10008.1.2", false); /* not whoever calls */
	learn("CT1", "1.2.840.10008.1.2.4.50", false);
	edge_open(&e);
	edge_silent(&e, 300);
	assert_int_equal(e.n_accepts, 1); /* a directory says nothing */
	assert_int_equal(e.n_pairs, 1);
	assert_string_equal(e.accepts_ae, "PICKY");
	assert_string_equal(e.pair.abstract, "1.2.840.10008.5.1.4.1.1.2");
	assert_string_equal(e.pair.transfer, "1.2.840.10008.1.2.1");
	edge_close(&e);
}

static void a_long_list_takes_several_frames(void **state)
{
	struct edge e;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		char ts[64];

		snprintf(ts, sizeof(ts), "1.2.840.113619.5.2.%u", i);
		learn("CT1", ts, true);
	}
	edge_open(&e);
	edge_silent(&e, 300);
	assert_true(e.n_accepts > 1);
	assert_int_equal(e.n_pairs, 1000);
	edge_close(&e);
}

static void many_instances_arrive_and_are_delivered(void **state)
{
	enum { MANY = 300, AT_ONCE = 6 };
	struct edge e;
	unsigned offered = 0, arrived = 0, delivered = 0;

	(void)state;
	edge_open(&e);
	while (arrived < MANY) {
		const struct link_frame *f;

		while (offered < MANY && offered - arrived < AT_ONCE) {
			struct thing t = rk_thing(offered, 2000 + offered);

			t.in.id.b[1] = (uint8_t)(offered >> 8);
			edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
			edge_data(&e, &t, 0);
			offered++;
		}
		f = edge_next(&e);
		assert_true(f->type == LINK_HAVE || f->type == LINK_ARRIVED);
		arrived += f->type == LINK_ARRIVED;
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct thing t = rk_thing(i, 2000 + i);

		t.in.id.b[1] = (uint8_t)(i >> 8);
		rk_outcome(&t, OUTCOME_DELIVERED);
	}
	while (delivered < MANY) {
		(void)edge_expect(&e, LINK_DELIVERED);
		delivered++;
	}
	edge_close(&e);
	fixture_settle(&rk.f);
	edge_open(&e); /* none was noted: page by page */
	for (delivered = 0; delivered < MANY; delivered++)
		(void)edge_expect(&e, LINK_DELIVERED);
	edge_silent(&e, 200);
	edge_close(&e);
}

/* The link ends at once behind the last byte: whatever happens there, the next
 * link finds it, and it is stored once. */
static void what_is_finished_without_its_link_is_found(void **state)
{
	struct edge e;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct thing t =
		    rk_thing(100 + i, i % 2 == 0 ? 90000 : 2 * CHUNK_LEN);
		const struct link_frame *f;

		edge_open(&e);
		edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
		for (uint32_t c = 0; c < t.chunks; c++)
			edge_data(&e, &t, c);
		if (i % 3 == 0)
			edge_has(&e, &t, 0);
		edge_close(&e);
		edge_open(&e);
		for (;;) {
			edge_offer(&e, &t, LINK_F_COMPLETE);
			f = edge_next(&e);
			if (f->type != LINK_REFUSED)
				break;
			assert_int_equal(f->why.code, LINK_REFUSED_BUSY);
			(void)usleep(1000);
		}
		if (f->type == LINK_HAVE) {
			for (uint32_t c = 0; c < t.chunks; c++)
				edge_data(&e, &t, c);
			edge_arrived(&e, &t);
		} else {
			assert_int_equal(f->type, LINK_ARRIVED);
		}
		edge_close(&e);
		fixture_barrier(&rk.f);
		assert_int_equal(
		    fixture_sql(&rk.f, "SELECT count(*) FROM instances"),
		    i + 1);
	}
}

static void what_is_waited_for_is_bounded_by_the_window(void **state)
{
	struct edge e;
	struct link_receiver_stats st;

	(void)state;
	edge_open(&e);
	for (unsigned i = 0; i < 8; i++) { /* window: 2 MiB */
		struct thing t = rk_thing(200 + i, CHUNK_LEN);

		edge_offer(&e, &t, LINK_F_COMPLETE);
		edge_has(&e, &t, 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		struct thing t = rk_thing(200 + i, CHUNK_LEN);

		edge_data(&e, &t, 0);
	}
	for (unsigned i = 0; i < 8; i++)
		(void)edge_expect(&e, LINK_ARRIVED);
	link_receiver_stats(rk.r, &st);
	assert_int_equal(st.arrived, 8);
	assert_int_equal(st.arrived_bytes, 8 * CHUNK_LEN);
	assert_int_equal(st.transfers, 0);
	assert_int_equal(st.sessions, 1);
	edge_close(&e);
}

static void a_link_that_drains_says_so(void **state)
{
	struct edge e;
	struct thing t = rk_thing(210, CHUNK_LEN);

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	rk_drain();
	edge_ends(&e, LINK_BYE_SHUTDOWN);
}

static void damage(uint64_t seq, uint32_t index)
{
	struct place places[8];
	char path[160];
	uint8_t byte;
	int fd;

	assert_true(fixture_places(&rk.f, seq, places, 8) > index);
	snprintf(path, sizeof(path), "%s/segment-%08x.spool", rk.f.dir,
		 places[index].segment);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, places[index].offset + 4096 + 100),
			 1);
	byte ^= 1;
	assert_int_equal(
	    pwrite(fd, &byte, 1, places[index].offset + 4096 + 100), 1);
	(void)close(fd);
}

static void arrive(struct edge *e, const struct thing *t)
{
	edge_offer(e, t, LINK_F_COMPLETE);
	edge_has(e, t, 0);
	for (uint32_t c = 0; c < t->chunks; c++)
		edge_data(e, t, c);
	edge_arrived(e, t);
}

static void lost(struct edge *e, const struct thing *t, uint32_t index)
{
	const struct link_frame *f;

	f = edge_expect(e, LINK_UNDELIVERED);
	assert_int_equal(f->why.code, LINK_STUCK_QUARANTINED);
	f = edge_expect(e, LINK_BAD);
	assert_true(transfer_id_equal(&f->id, &t->in.id));
	assert_int_equal(f->bad.reason, LINK_BAD_LOST);
	assert_int_equal(f->bad.index, index);
}

static void a_chunk_that_was_lost_is_sent_again(void **state)
{
	struct edge e;
	struct thing t = rk_thing(220, 4 * CHUNK_LEN);
	const struct link_frame *f;
	struct link_hello before;

	(void)state;
	edge_open(&e);
	before = e.theirs;
	arrive(&e, &t);
	damage(rk_origin("edge-1", &t).seq, 2);
	rk_outcome(&t, OUTCOME_QUARANTINED);
	lost(&e, &t, 2);
	assert_int_equal(rk_origin("edge-1", &t).state, ORIGIN_NONE);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	f = edge_expect(&e, LINK_HAVE);
	assert_int_equal(f->runs.n, 2);
	assert_int_equal(link_run_at(f->runs, 0).count, 2);
	assert_int_equal(link_run_at(f->runs, 1).first, 3);
	edge_data(&e, &t, 2);
	edge_arrived(&e, &t);
	assert_int_equal(rk_origin("edge-1", &t).state, ORIGIN_ARRIVED);
	edge_close(&e);
	edge_open(&e);
	assert_memory_not_equal(before.epoch, e.theirs.epoch, LINK_ID_LEN);
	edge_close(&e);
}

static void an_instance_of_one_chunk_that_was_lost_is_sent_again(void **state)
{
	struct edge e;
	struct thing t = rk_thing(221, 70000), sound = rk_thing(222, 70000);

	(void)state;
	edge_open(&e);
	arrive(&e, &t);
	arrive(&e, &sound);
	rk_outcome(&sound, OUTCOME_QUARANTINED); /* for another reason */
	(void)edge_expect(&e, LINK_UNDELIVERED);
	damage(rk_origin("edge-1", &t).seq, 0);
	rk_outcome(&t, OUTCOME_QUARANTINED);
	lost(&e, &t, 0);
	arrive(&e, &t);
	assert_int_equal(rk_origin("edge-1", &sound).state, ORIGIN_STUCK);
	edge_close(&e);
}

/* REFUSED, or NULL: it arrived. */
static const struct link_frame *try_one(struct edge *e, const struct thing *t)
{
	const struct link_frame *f;

	edge_offer(e, t, LINK_F_COMPLETE);
	f = edge_next(e);
	if (f->type == LINK_REFUSED)
		return f;
	for (uint32_t c = 0; c < t->chunks; c++)
		edge_data(e, t, c);
	do
		f = edge_next(e);
	while (f->type == LINK_ACK);
	return f->type == LINK_REFUSED ? f : NULL;
}

static void a_full_spool_puts_off(void **state)
{
	const uint64_t lengths[] = {2 * CHUNK_LEN, 900000};
	struct edge e;

	(void)state;
	rk_stop();
	rk.f.spool_options.quota = 16 << 20;
	rk_start();
	edge_open(&e);
	for (unsigned n = 0; n < 2; n++) {
		const struct link_frame *f = NULL;

		for (unsigned i = 0; f == NULL && i < 40; i++) {
			struct thing t = rk_thing(50 * n + i, lengths[n]);

			f = try_one(&e, &t);
		}
		assert_non_null(f);
		assert_int_equal(f->why.code, LINK_REFUSED_NO_SPACE);
		assert_true(f->why.retry_s > 0);
	}
	edge_close(&e);
}

static void a_link_moves_to_another_worker(void **state)
{
	struct edge e, f;
	struct thing t = rk_thing(230, 3 * CHUNK_LEN);
	struct link_frame j = {.type = LINK_JOIN, .join = {.number = 1}};
	const struct link_frame *a;

	(void)state;
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	edge_data(&e, &t, 0);
	edge_acked(&e, &t, 0, 1);
	rk.next = 1; /* as over another address */
	edge_connect(&f, "127.0.0.1");
	memcpy(j.join.session, e.theirs.session, LINK_ID_LEN);
	edge_send(&f, &j);
	edge_ends(&f, LINK_BYE_SESSION);
	edge_open(&f);
	edge_ends(&e, LINK_BYE_REPLACED);
	do { /* the older one may not have let go of it */
		edge_offer(&f, &t, LINK_F_COMPLETE);
		a = edge_next(&f);
	} while (a->type == LINK_REFUSED && a->why.code == LINK_REFUSED_BUSY);
	assert_int_equal(a->type, LINK_HAVE);
	assert_int_equal(a->runs.n, 1);
	edge_data(&f, &t, 1);
	edge_data(&f, &t, 2);
	edge_arrived(&f, &t);
	rk_outcome(&t, OUTCOME_DELIVERED);
	(void)edge_expect(&f, LINK_DELIVERED);
	edge_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RK_TEST(the_edge_is_told_what_the_archive_accepts),
	    RK_TEST(a_long_list_takes_several_frames),
	    RK_TEST(many_instances_arrive_and_are_delivered),
	    RK_TEST(what_is_finished_without_its_link_is_found),
	    RK_TEST(what_is_waited_for_is_bounded_by_the_window),
	    RK_TEST(a_link_that_drains_says_so),
	    RK_TEST(a_full_spool_puts_off),
	    RK_TEST(a_link_moves_to_another_worker),
	    RK_TEST(a_chunk_that_was_lost_is_sent_again),
	    RK_TEST(an_instance_of_one_chunk_that_was_lost_is_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
