/* What the ledger of the receiving end knows of instances by their origin. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "store/ledger_origin.h"
#include "tests/unit/ledger_fixture.h"

enum { TOLD_MAX = 64 };

struct world {
	struct fixture f;
	/* Under f.mutex: what on_origin said. */
	size_t n_told;
	struct ledger_origin told[TOLD_MAX];
};

static void on_origin(void *arg, const struct ledger_origin *o)
{
	struct world *w = CONTAINER_OF((struct fixture *)arg, struct world, f);

	pthread_mutex_lock(&w->f.mutex);
	if (w->n_told < TOLD_MAX)
		w->told[w->n_told] = *o;
	w->n_told++;
	pthread_mutex_unlock(&w->f.mutex);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	fixture_init(&w->f);
	w->f.ledger_options.on_origin = on_origin;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fixture_free(&w->f);
	free(w);
	return 0;
}

/* ---- putting ---------------------------------------------------------------
 */

/* The n-th one of an owner. */
static struct instance_origin name_of(uint8_t owner, unsigned n)
{
	struct instance_origin v = {0};

	memset(v.peer, owner, sizeof(v.peer));
	v.id.b[0] = owner;
	v.id.b[14] = (uint8_t)(n >> 8);
	v.id.b[15] = (uint8_t)n;
	return v;
}

static struct instance of_link(uint8_t owner, unsigned n)
{
	struct instance in = fixture_instance(n);

	in.has_origin = true;
	in.origin = name_of(owner, n);
	return in;
}

static struct transfer_id put(struct world *w, uint8_t owner, unsigned n)
{
	struct instance in = of_link(owner, n);

	return fixture_put(&w->f, &in, 500);
}

static struct transfer_id put_for_two(struct world *w)
{
	struct instance in = of_link(1, 1);

	INSTANCE_SET(in.destinations[1], "second");
	in.n_destinations = 2;
	return fixture_put(&w->f, &in, 500);
}

static void then(struct world *w, const struct transfer_id *id,
		 enum outcome_kind kind, const char *destination)
{
	fixture_outcome(&w->f, id, kind, destination);
	fixture_settle(&w->f);
}

/* With the status of the archive. */
static void answered(struct world *w, const struct transfer_id *id,
		     enum outcome_kind kind, const char *destination,
		     uint16_t status)
{
	struct outcome o = {
	    .id = *id, .kind = kind, .status = status, .at_ms = 4711};

	INSTANCE_SET(o.destination, destination);
	assert_int_equal(spool_outcome(w->f.spool, &o), ERR_OK);
	fixture_settle(&w->f);
}

/* ---- asking ----------------------------------------------------------------
 */

struct answer {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool done;
	enum err e;
	size_t n;
	struct ledger_origin v[TOLD_MAX];
};

static void on_answer(void *arg, enum err e, const struct ledger_origin *v,
		      size_t n)
{
	struct answer *a = arg;

	assert_true(n <= TOLD_MAX);
	pthread_mutex_lock(&a->mutex);
	a->e = e;
	a->n = n;
	if (n > 0)
		memcpy(a->v, v, n * sizeof(*v));
	a->done = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->mutex);
}

static void begin(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->cond, NULL);
}

static void wait_for(struct answer *a)
{
	pthread_mutex_lock(&a->mutex);
	while (!a->done)
		pthread_cond_wait(&a->cond, &a->mutex);
	pthread_mutex_unlock(&a->mutex);
}

static void ask(struct world *w, const struct instance_origin *v, size_t n,
		struct answer *a)
{
	begin(a);
	assert_int_equal(ledger_origins(w->f.l, v, n, on_answer, a), ERR_OK);
	wait_for(a);
	assert_int_equal(a->e, ERR_OK);
	assert_int_equal(a->n, n);
}

static struct ledger_origin ask_one(struct world *w)
{
	const struct instance_origin name = name_of(1, 1);
	struct answer a;

	ask(w, &name, 1, &a);
	assert_true(instance_origin_equal(&a.v[0].origin, &name));
	return a.v[0];
}

static void untold(struct world *w, uint8_t owner, uint64_t after, size_t max,
		   struct answer *a)
{
	struct instance_origin name = name_of(owner, 0);

	begin(a);
	assert_int_equal(
	    ledger_origins_told(w->f.l, name.peer, after, max, on_answer, a),
	    ERR_OK);
	wait_for(a);
	assert_int_equal(a->e, ERR_OK);
}

static size_t n_untold(struct world *w)
{
	struct answer a;

	untold(w, 1, 0, TOLD_MAX, &a);
	return a.n;
}

static size_t n_told(struct world *w)
{
	size_t n;

	pthread_mutex_lock(&w->f.mutex);
	n = w->n_told;
	pthread_mutex_unlock(&w->f.mutex);
	return n;
}

static struct ledger_origin last_told(struct world *w)
{
	struct ledger_origin o;

	pthread_mutex_lock(&w->f.mutex);
	assert_true(w->n_told > 0 && w->n_told <= TOLD_MAX);
	o = w->told[w->n_told - 1];
	pthread_mutex_unlock(&w->f.mutex);
	return o;
}

static void await_told(struct world *w, size_t n)
{
	for (int i = 0; i < 3000 && n_told(w) < n; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(n_told(w) >= n);
}

/* ---- states ----------------------------------------------------------------
 */

static void it_is_found_by_the_name_its_sender_gave(void **state)
{
	struct world *w = *state;
	const struct instance_origin names[] = {name_of(2, 1), name_of(1, 1),
						name_of(1, 2)};
	struct transfer_id id;
	struct answer a;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	fixture_barrier(&w->f);
	ask(w, names, 3, &a);
	assert_int_equal(a.v[0].state, ORIGIN_NONE);
	assert_int_equal(a.v[1].state, ORIGIN_ARRIVED);
	assert_int_equal(a.v[2].state, ORIGIN_NONE);
	assert_true(instance_origin_equal(&a.v[2].origin, &names[2]));
	assert_true(transfer_id_equal(&a.v[1].transfer, &id));
	assert_int_equal(a.v[1].length, 500);
	assert_int_equal(a.v[1].chunks, 1);
	assert_true(a.v[1].seq > 0);
	assert_false(a.v[1].noted);
	assert_int_equal(n_told(w), 0);
	assert_int_equal(n_untold(w), 0);
}

static void it_is_delivered_when_everybody_has_it(void **state)
{
	struct world *w = *state;
	struct transfer_id id;
	struct ledger_origin o;

	fixture_open(&w->f);
	id = put_for_two(w);
	answered(w, &id, OUTCOME_DELIVERED_FLAGGED, "second", 0xb007);
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	assert_int_equal(n_told(w), 0);
	answered(w, &id, OUTCOME_DELIVERED, "cloud", 0);
	await_told(w, 1);
	o = last_told(w);
	assert_int_equal(o.state, ORIGIN_DELIVERED);
	assert_int_equal(o.stuck, ORIGIN_STUCK_NOT);
	assert_int_equal(o.status, 0); /* of the first destination */
	assert_true(o.flagged);
	assert_int_equal(o.at_ms, 4711);
	assert_string_equal(o.text, "");
	assert_int_equal(n_untold(w), 1);
}

static void what_waits_for_commitment_is_not_delivered(void **state)
{
	struct world *w = *state;
	struct instance in = of_link(1, 1);
	struct transfer_id id;

	fixture_open(&w->f);
	in.commit = 1;
	id = fixture_put(&w->f, &in, 500);
	then(w, &id, OUTCOME_DELIVERED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	then(w, &id, OUTCOME_COMMITTED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
	await_told(w, 1);
}

static void what_went_on_over_another_link_is_not_delivered(void **state)
{
	struct world *w = *state;
	struct transfer_id id;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	then(w, &id, OUTCOME_ARRIVED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	assert_int_equal(n_untold(w), 0);
	then(w, &id, OUTCOME_DELIVERED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
}

static void redirected_it_is_delivered_at_its_target(void **state)
{
	struct world *w = *state;
	struct transfer_id id;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	fixture_redirect(&w->f, &id, "cloud", "other");
	fixture_settle(&w->f);
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	then(w, &id, OUTCOME_DELIVERED, "other");
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
	await_told(w, 1);
}

static void expect_stuck(struct world *w, enum origin_stuck kind)
{
	struct ledger_origin o = ask_one(w);

	assert_int_equal(o.state, ORIGIN_STUCK);
	assert_int_equal(o.stuck, kind);
	assert_int_equal(last_told(w).state, ORIGIN_STUCK);
	assert_int_equal(last_told(w).stuck, kind);
	assert_int_equal(n_untold(w), 1);
}

static void what_is_stuck_is_told_with_its_reason(void **state)
{
	struct world *w = *state;
	struct transfer_id id;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	then(w, &id, OUTCOME_HELD, "cloud");
	await_told(w, 1);
	expect_stuck(w, ORIGIN_STUCK_HELD);
	answered(w, &id, OUTCOME_QUARANTINED, "cloud", 0xc000);
	await_told(w, 2);
	expect_stuck(w, ORIGIN_STUCK_QUARANTINED);
	assert_int_equal(last_told(w).status, 0xc000);
	then(w, &id, OUTCOME_RELEASED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	assert_int_equal(n_untold(w), 0);
	assert_int_equal(n_told(w), 2);
	then(w, &id, OUTCOME_DISCARDED, "cloud");
	await_told(w, 3);
	expect_stuck(w, ORIGIN_STUCK_DISCARDED);
}

static void the_worst_of_several_is_told(void **state)
{
	struct world *w = *state;
	struct transfer_id id;

	fixture_open(&w->f);
	id = put_for_two(w);
	then(w, &id, OUTCOME_DISCARDED, "cloud");
	await_told(w, 1);
	expect_stuck(w, ORIGIN_STUCK_DISCARDED);
	then(w, &id, OUTCOME_QUARANTINED, "second");
	await_told(w, 2);
	expect_stuck(w, ORIGIN_STUCK_QUARANTINED);
	then(w, &id, OUTCOME_DELIVERED, "second");
	await_told(w, 3);
	expect_stuck(w, ORIGIN_STUCK_DISCARDED);
}

static void a_failed_attempt_is_seen_but_not_told(void **state)
{
	struct world *w = *state;
	struct ledger_attempt note = {.attempts = 3,
				      .remote_status = 0xa700,
				      .error = "out of resources"};
	struct ledger_origin o;

	fixture_open(&w->f);
	(void)put(w, 1, 1);
	fixture_barrier(&w->f);
	note.delivery = ask_one(w).seq * 32;
	ledger_attempt(w->f.l, &note);
	fixture_await(&w->f, "SELECT attempts FROM deliveries", 3);
	o = ask_one(w);
	assert_int_equal(o.state, ORIGIN_ARRIVED);
	assert_int_equal(o.stuck, ORIGIN_STUCK_RETRYING);
	assert_int_equal(o.status, 0xa700);
	assert_string_equal(o.text, "out of resources");
	assert_int_equal(n_told(w), 0);
}

static void what_begins_held_is_told_at_once(void **state)
{
	struct world *w = *state;
	struct instance in = of_link(1, 1);

	fixture_open(&w->f);
	in.held = true;
	(void)fixture_put(&w->f, &in, 500);
	await_told(w, 1);
	expect_stuck(w, ORIGIN_STUCK_HELD);
	assert_string_equal(last_told(w).text, LEDGER_HELD_REASON);
}

static void what_was_taken_back_may_come_again(void **state)
{
	struct world *w = *state;
	struct transfer_id id, again;
	struct ledger_origin o;

	fixture_open(&w->f);
	id = put_for_two(w);
	then(w, &id, OUTCOME_DELIVERED, "cloud");
	then(w, &id, OUTCOME_WITHDRAWN, "");
	assert_int_equal(ask_one(w).state, ORIGIN_NONE);
	assert_true(ask_one(w).seq == 0);
	assert_int_equal(n_untold(w), 0);
	assert_int_equal(n_told(w), 0);
	again = put(w, 1, 1);
	fixture_barrier(&w->f);
	o = ask_one(w);
	assert_int_equal(o.state, ORIGIN_ARRIVED);
	assert_true(transfer_id_equal(&o.transfer, &again));
	then(w, &again, OUTCOME_DELIVERED, "cloud");
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
	assert_int_equal(n_untold(w), 1);
}

static void the_newest_of_one_origin_counts(void **state)
{
	struct world *w = *state;
	struct transfer_id id, again;
	struct answer a;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	then(w, &id, OUTCOME_DELIVERED, "cloud");
	again = put(w, 1, 1);
	fixture_barrier(&w->f);
	assert_int_equal(ask_one(w).state, ORIGIN_ARRIVED);
	assert_int_equal(n_untold(w), 0);
	then(w, &again, OUTCOME_QUARANTINED, "cloud");
	untold(w, 1, 0, 10, &a);
	assert_int_equal(a.n, 1);
	assert_true(transfer_id_equal(&a.v[0].transfer, &again));
}

/* ---- what was not told ------------------------------------------------------
 */

static void deliver_many(struct world *w, uint8_t owner, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct transfer_id id = put(w, owner, i);

		fixture_outcome(&w->f, &id, OUTCOME_DELIVERED, "cloud");
	}
	fixture_settle(&w->f);
}

static void what_is_not_noted_is_told_page_by_page(void **state)
{
	struct world *w = *state;
	uint64_t after = 0;
	struct answer a;
	unsigned n = 0;

	fixture_open(&w->f);
	deliver_many(w, 1, 7);
	deliver_many(w, 2, 2);
	(void)put(w, 1, 100);
	fixture_barrier(&w->f);
	do {
		untold(w, 1, after, 3, &a);
		for (size_t i = 0; i < a.n; i++, n++) {
			struct instance_origin want = name_of(1, n);

			assert_true(
			    instance_origin_equal(&a.v[i].origin, &want));
			assert_true(a.v[i].seq > after);
			after = a.v[i].seq;
		}
	} while (a.n == 3);
	assert_int_equal(n, 7);
	untold(w, 2, 0, 3, &a);
	assert_int_equal(a.n, 2);
	untold(w, 3, 0, 3, &a);
	assert_int_equal(a.n, 0);
}

static void what_is_noted_is_not_told_again(void **state)
{
	struct world *w = *state;
	struct instance_origin names[5];

	fixture_open(&w->f);
	deliver_many(w, 1, 3);
	(void)put(w, 1, 3); /* not delivered: the note does not count */
	for (unsigned i = 0; i < 4; i++)
		names[i] = name_of(1, i + 1);
	names[4] = name_of(9, 1);
	ledger_origin_noted(w->f.l, names, 5);
	fixture_await(&w->f,
		      "SELECT count(*) FROM instances WHERE link_noted=1", 2);
	assert_int_equal(n_untold(w), 1);
	assert_true(ask_one(w).noted);
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
	fixture_close(&w->f);
	fixture_open(&w->f);
	fixture_barrier(&w->f);
	assert_int_equal(n_untold(w), 1);
	assert_true(ask_one(w).noted);
}

static void a_rebuilt_ledger_tells_again(void **state)
{
	struct world *w = *state;
	const struct instance_origin name = name_of(1, 0);
	struct answer a;
	struct transfer_id id;

	fixture_open(&w->f);
	deliver_many(w, 1, 2);
	id = put(w, 1, 2);
	then(w, &id, OUTCOME_QUARANTINED, "cloud");
	(void)put(w, 1, 3);
	ledger_origin_noted(w->f.l, &name, 1);
	fixture_await(&w->f,
		      "SELECT count(*) FROM instances WHERE link_noted=1", 1);
	assert_int_equal(n_untold(w), 2);
	fixture_close(&w->f);
	assert_int_equal(unlink(w->f.ledger), 0);
	fixture_open(&w->f);
	fixture_barrier(&w->f);
	untold(w, 1, 0, 10, &a);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.v[0].state, ORIGIN_DELIVERED);
	assert_int_equal(a.v[2].state, ORIGIN_STUCK);
	assert_true(transfer_id_equal(&a.v[2].transfer, &id));
	assert_int_equal(fixture_sql(&w->f,
				     "SELECT count(*) FROM v_links"
				     " WHERE state='arrived' AND noted='no'"),
			 1);
}

/* ---- failure ----------------------------------------------------------------
 */

static void nobody_is_told_before_it_is_committed(void **state)
{
	struct world *w = *state;
	struct db_options o = {.path = w->f.ledger, .busy_ms = 100};
	struct transfer_id id;
	sqlite3 *db;

	fixture_open(&w->f);
	id = put(w, 1, 1);
	fixture_barrier(&w->f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	fixture_lock(db);
	fixture_outcome(&w->f, &id, OUTCOME_DELIVERED, "cloud");
	sleep(3); /* it fails and tries again */
	assert_int_equal(n_told(w), 0);
	assert_int_equal(db_exec(db, "ROLLBACK"), ERR_OK);
	db_close(db);
	await_told(w, 1);
	assert_int_equal(last_told(w).state, ORIGIN_DELIVERED);
	fixture_barrier(&w->f);
	assert_int_equal(ask_one(w).state, ORIGIN_DELIVERED);
	assert_int_equal(n_told(w), 1);
}

static void closing_answers_what_waits(void **state)
{
	struct world *w = *state;
	struct instance_origin names[2] = {name_of(1, 1), name_of(1, 2)};
	struct answer a, b;

	fixture_open(&w->f);
	begin(&a);
	begin(&b);
	assert_int_equal(ledger_origins(w->f.l, names, 2, on_answer, &a),
			 ERR_OK);
	assert_int_equal(
	    ledger_origins_told(w->f.l, names[0].peer, 0, 2, on_answer, &b),
	    ERR_OK);
	fixture_close_ledger(&w->f);
	assert_true(a.done && b.done);
	assert_true(a.e == ERR_OK || a.e == ERR_CANCELED);
	assert_true(b.e == ERR_OK || b.e == ERR_CANCELED);
}

static void foolish_questions_are_refused(void **state)
{
	struct world *w = *state;
	struct instance_origin name = name_of(1, 1);
	struct answer a;

	fixture_open(&w->f);
	begin(&a);
	assert_int_equal(ledger_origins(w->f.l, &name, 0, on_answer, &a),
			 ERR_INVAL);
	assert_int_equal(ledger_origins(w->f.l, &name, LEDGER_ORIGINS_MAX + 1,
					on_answer, &a),
			 ERR_INVAL);
	assert_int_equal(
	    ledger_origins_told(w->f.l, name.peer, 0, 0, on_answer, &a),
	    ERR_INVAL);
	ledger_origin_noted(w->f.l, NULL, 0);
	assert_false(a.done);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(it_is_found_by_the_name_its_sender_gave),
	    T(it_is_delivered_when_everybody_has_it),
	    T(what_waits_for_commitment_is_not_delivered),
	    T(what_went_on_over_another_link_is_not_delivered),
	    T(redirected_it_is_delivered_at_its_target),
	    T(what_is_stuck_is_told_with_its_reason),
	    T(the_worst_of_several_is_told),
	    T(a_failed_attempt_is_seen_but_not_told),
	    T(what_begins_held_is_told_at_once),
	    T(what_was_taken_back_may_come_again),
	    T(the_newest_of_one_origin_counts),
	    T(what_is_not_noted_is_told_page_by_page),
	    T(what_is_noted_is_not_told_again),
	    T(a_rebuilt_ledger_tells_again),
	    T(nobody_is_told_before_it_is_committed),
	    T(closing_answers_what_waits),
	    T(foolish_questions_are_refused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
