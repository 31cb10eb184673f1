/* The receiving end of a link: who waits for room in the spool, and who ends
 * meanwhile. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <semaphore.h>

#include "store/tree.h"
#include "tests/unit/receiver_kit.h"

/* The spool's writer stands still between hold() and let_go(). */
static sem_t standing, go_on;

static void on_done(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
	(void)sem_post(&standing);
	(void)sem_wait(&go_on);
}

static void hold(void)
{
	struct spool_put_events ev = {.on_done = on_done};
	struct instance in = fixture_instance(200);
	struct spool_put *put;

	(void)sem_init(&standing, 0, 0);
	(void)sem_init(&go_on, 0, 0);
	assert_int_equal(spool_put_begin(rk.f.spool, &in, &ev, &put), ERR_OK);
	assert_int_equal(spool_put_data(put, rk.data, 100), ERR_OK);
	assert_int_equal(spool_put_finish(put, &in), ERR_OK);
	(void)sem_wait(&standing);
}

static void let_go(void)
{
	(void)sem_post(&go_on);
}

static void withdraw(struct edge *e, const struct thing *t)
{
	struct link_frame f = {.type = LINK_WITHDRAW, .id = t->in.id};

	f.withdraw = LINK_WITHDRAW_ABORTED;
	edge_send(e, &f);
	edge_refused(e, t, LINK_REFUSED_WITHDRAWN);
}

/* Room for three chunks; the fourth waits, and its transfer ends. */
static void
whoever_waits_for_room_and_ends_does_not_keep_the_others(void **state)
{
	struct thing t = rk_thing(1, 5 * CHUNK_LEN);
	struct thing next = rk_thing(2, 2 * CHUNK_LEN);
	struct edge e;

	(void)state;
	rk_stop();
	rk.f.spool_options.buffers = 4 << 20;
	rk_start();
	edge_open(&e);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	edge_has(&e, &t, 0);
	hold();
	for (uint32_t i = 0; i < 4; i++)
		edge_data(&e, &t, i);
	withdraw(&e, &t);
	let_go();
	edge_offer(&e, &next, LINK_F_COMPLETE);
	edge_has(&e, &next, 0);
	edge_data(&e, &next, 0);
	edge_data(&e, &next, 1);
	edge_arrived(&e, &next);
	edge_close(&e);
}

/* Refused before anybody has looked at it. */
static void an_eager_chunk_under_a_wrong_root_is_refused(void **state)
{
	struct thing t = rk_thing(1, 5000), good = rk_thing(2, 5000);
	struct edge e;

	(void)state;
	edge_open(&e);
	t.root[0] ^= 1;
	edge_offer(&e, &t, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &t, 0);
	edge_has(&e, &t, 0);
	edge_refused(&e, &t, LINK_REFUSED_ROOT);
	edge_offer(&e, &good, LINK_F_COMPLETE | LINK_F_EAGER);
	edge_data(&e, &good, 0);
	edge_has(&e, &good, 0);
	edge_arrived(&e, &good);
	edge_close(&e);
}

/* The root fits to the leaf and to the length, but these do not fit to each
 * other; the length is told when the chunk has come already. */
static void a_chunk_that_is_longer_than_its_instance_is_refused(void **state)
{
	struct thing t = rk_thing(1, 5000), longer = rk_thing(1, 6000);
	uint8_t leaf[1][SEAL_HASH_LEN];
	const struct link_frame *f;
	struct edge e;

	(void)state;
	assert_int_equal(tree_leaf_of(longer.data, 6000, leaf[0]), ERR_OK);
	assert_int_equal(
	    tree_root_of(5000, (const uint8_t(*)[32])leaf, 1, t.root), ERR_OK);
	edge_open(&e);
	edge_offer(&e, &longer, LINK_F_EAGER);
	edge_data(&e, &longer, 0);
	edge_offer(&e, &t, LINK_F_COMPLETE);
	do {
		f = edge_next(&e);
		assert_int_not_equal(f->type, LINK_ARRIVED);
	} while (f->type != LINK_BAD && f->type != LINK_REFUSED);
	edge_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RK_TEST(whoever_waits_for_room_and_ends_does_not_keep_the_others),
	    RK_TEST(an_eager_chunk_under_a_wrong_root_is_refused),
	    RK_TEST(a_chunk_that_is_longer_than_its_instance_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
