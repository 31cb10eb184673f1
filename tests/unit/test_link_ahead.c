#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/delivery_kit.h"
#include "tests/unit/fake_far.h"
#include "tests/unit/net_fixture.h"

#define MIB ((size_t)1 << 20)

struct fixture {
	struct kit k;
	struct fake_far far;
};

static const char config[] =
    "destinations:\n"
    "  a: {protocol: link, endpoints: [\"127.0.0.1:%u\"],\n"
    "      tls: {ca: %s, certificate: %s, key: %s}, cut_through: 2MiB,\n"
    "      link: {connections: 2}, retry: {first: 100ms, max: 200ms},\n"
    "      timeouts: {connect: 2s, idle: 1s, response: 500ms}}\n"
    "routes: [{service: storage, forward: [a]}]\n";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char text[2048];

	kit_open(&f->k);
	far_start(&f->far);
	(void)snprintf(text, sizeof(text), config, f->far.port,
		       net_file("ca.pem"), net_file("client.pem"),
		       net_file("client.key"));
	kit_config(&f->k, text);
	kit_schedule(&f->k);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->k.scheduler != NULL)
		kit_unschedule(&f->k);
	assert_int_equal(f->far.wrong, 0);
	far_stop(&f->far);
	kit_close(&f->k);
	free(f);
	return 0;
}

/* ---- helpers ----------------------------------------------------------- */

#define UNTIL_DELIVERED(f, n)                                                  \
	KIT_UNTIL(&(f)->k, kit_count(&(f)->k, "a", DELIVERY_DELIVERED) == (n))

static struct destination_status status(struct fixture *f)
{
	struct destination_status st;

	assert_true(scheduler_status(f->k.scheduler, 0, &st));
	return st;
}

/* Begun, n MiB of it here, and all of that there that may be: the spool keeps
 * a full chunk until another follows, and the sender the last durable one. */
static struct kit_slow *flying(struct fixture *f, size_t n,
			       struct transfer_id *id)
{
	struct kit_slow *s = kit_begin(&f->k, &(struct kit_instance){0});

	*id = kit_slow_id(s);
	kit_come(s, n * MIB);
	KIT_UNTIL(&f->k, far_chunks(&f->far, id) == n - 2);
	return s;
}

static void is_there(struct fixture *f, const struct transfer_id *id,
		     unsigned n, size_t length)
{
	struct far_tx t;

	assert_true(far_find(&f->far, id, &t));
	assert_int_equal(t.length, length);
	for (size_t i = 0; i < length; i++) {
		if (t.bytes[i] != kit_byte(n, i))
			fail_msg("byte %zu of %zu differs", i, length);
	}
}

static unsigned chunks_twice(struct fixture *f, const struct transfer_id *id)
{
	struct far_tx t;
	unsigned n = 0;

	assert_true(far_find(&f->far, id, &t));
	for (uint32_t i = 0; i < t.chunks; i++)
		n += t.twice[i];
	return n;
}

/* ---- tests --------------------------------------------------------------- */

static void chunks_go_ahead_but_for_the_last_one(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct kit_slow *s = flying(f, 4, &id);
	struct far_tx t;
	unsigned n;

	for (size_t mib = 5; mib <= 20; mib++) { /* the maps grow */
		kit_come(s, MIB);
		KIT_UNTIL(&f->k, far_chunks(&f->far, &id) == mib - 2);
	}
	kit_for(&f->k, 200);
	assert_int_equal(far_chunks(&f->far, &id), 18);
	assert_int_equal(f->far.arrived, 0);
	assert_int_equal(kit_count(&f->k, "a", DELIVERY_QUEUED), 0);
	n = kit_whole(s);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 20 * MIB);
	assert_int_equal(chunks_twice(f, &id), 0);
	assert_true(far_find(&f->far, &id, &t));
	assert_int_equal(t.offers, 2);
	KIT_UNTIL(&f->k, status(f).in_flight == 0);
	assert_int_equal(status(f).failures, 0);
}

static void what_breaks_off_is_withdrawn(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct far_tx t;
	unsigned n;

	kit_broken(flying(f, 4, &id));
	KIT_UNTIL(&f->k, f->far.withdraws == 1);
	assert_true(far_find(&f->far, &id, &t));
	assert_int_equal(t.state, FAR_WITHDRAWN);
	assert_int_equal(t.withdrawn, LINK_WITHDRAW_ABORTED);
	KIT_UNTIL(&f->k, status(f).in_flight == 0);
	n = kit_put(&f->k, &(struct kit_instance){.length = 1000}, &id);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 1000);
}

static void a_cut_does_not_end_it(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct kit_slow *s = flying(f, 6, &id);
	unsigned n;

	far_cut(&f->far);
	kit_come(s, 2 * MIB);
	KIT_UNTIL(&f->k, far_chunks(&f->far, &id) == 6);
	n = kit_whole(s);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 8 * MIB);
	assert_int_equal(status(f).failures, 0);
}

static void a_far_store_that_forgets_gets_it_again(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct kit_slow *s = flying(f, 6, &id);
	unsigned n;

	far_restart(&f->far, true);
	KIT_UNTIL(&f->k, far_chunks(&f->far, &id) == 4);
	n = kit_whole(s);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 6 * MIB);
}

static void a_bad_chunk_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct kit_slow *s;
	unsigned n;

	f->far.bad_index = 1;
	f->far.bad_n = 1;
	s = flying(f, 6, &id);
	assert_int_equal(f->far.bads, 1);
	n = kit_whole(s);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 6 * MIB);
}

static void a_refusal_counts_when_it_is_whole(void **state)
{
	struct fixture *f = *state;
	struct kit_slow *s = kit_begin(&f->k, &(struct kit_instance){0});
	struct transfer_id id = kit_slow_id(s);
	unsigned n;

	f->far.refuse = LINK_REFUSED_NO_SPACE;
	f->far.refuse_n = 1;
	kit_come(s, 4 * MIB);
	KIT_UNTIL(&f->k, f->far.offers == 1 && status(f).in_flight == 0);
	assert_int_equal(status(f).failures, 0);
	n = kit_whole(s);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 4 * MIB);
}

static void a_pause_of_the_device_holds_nobody(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id, other;
	struct kit_slow *s = flying(f, 4, &id);
	unsigned n;

	kit_for(&f->k, 1200); /* more than a response may take */
	n = kit_put(&f->k, &(struct kit_instance){.length = 3 * MIB}, &other);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &other, n, 3 * MIB);
	kit_come(s, MIB);
	KIT_UNTIL(&f->k, far_chunks(&f->far, &id) == 3);
	(void)kit_whole(s);
	UNTIL_DELIVERED(f, 2);
	assert_int_equal(f->far.withdraws, 0);
	assert_int_equal(chunks_twice(f, &id), 0);
}

static void several_fly_at_once(void **state)
{
	enum { N = 12 }; /* more than may: the others go as ever */
	struct fixture *f = *state;
	struct kit_slow *s[N];
	struct transfer_id id[N];
	unsigned n[N], there = 0;

	for (unsigned i = 0; i < N; i++) {
		s[i] = kit_begin(&f->k, &(struct kit_instance){0});
		id[i] = kit_slow_id(s[i]);
		kit_come(s[i], 4 * MIB);
	}
	for (; there < 8; kit_turn(&f->k)) {
		there = 0;
		for (unsigned i = 0; i < N; i++)
			there += far_chunks(&f->far, &id[i]) == 2;
	}
	for (unsigned i = 0; i < N; i++)
		n[i] = kit_whole(s[i]);
	UNTIL_DELIVERED(f, N);
	for (unsigned i = 0; i < N; i++)
		is_there(f, &id[i], n[i], 4 * MIB);
}

static void a_stop_leaves_it_to_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct transfer_id id;
	struct kit_slow *s = flying(f, 4, &id);
	unsigned n;

	kit_unschedule(&f->k);
	n = kit_whole(s);
	kit_schedule(&f->k);
	UNTIL_DELIVERED(f, 1);
	is_there(f, &id, n, 4 * MIB);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(chunks_go_ahead_but_for_the_last_one),
	    T(what_breaks_off_is_withdrawn),
	    T(a_cut_does_not_end_it),
	    T(a_far_store_that_forgets_gets_it_again),
	    T(a_bad_chunk_is_sent_again),
	    T(a_refusal_counts_when_it_is_whole),
	    T(a_pause_of_the_device_holds_nobody),
	    T(several_fly_at_once),
	    T(a_stop_leaves_it_to_the_next_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
