/* Commitment that Culvert asks for itself. */
#include "tests/unit/commitment_kit.h"

/* ---- commitment of our own ---------------------------------------------- */

/* Delivered long enough ago to be asked for at once. */
static void delivered_before(struct world *w, const struct transfer_id *id)
{
	struct outcome o = {.id = *id,
			    .kind = OUTCOME_DELIVERED,
			    .at_ms = clock_wall_ms() - 60000};

	INSTANCE_SET(o.destination, "cloud");
	assert_int_equal(spool_outcome(w->f.spool, &o), ERR_OK);
}

static struct transfer_id put_committing(struct world *w, unsigned uid)
{
	struct instance in = fixture_instance(uid);
	struct transfer_id id;

	in.commit = 1;
	id = fixture_put(&w->f, &in, 100);
	delivered_before(w, &id);
	return id;
}

struct state_of {
	const struct transfer_id *id;
	bool found;
	enum delivery_state state;
};

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	struct state_of *s = arg;

	if (transfer_id_equal(&d->transfer, s->id)) {
		s->found = true;
		s->state = d->state;
	}
	return true;
}

static bool is_state(struct world *w, const struct transfer_id *id,
		     enum delivery_state state)
{
	struct view_filter f = {.any_state = true, .limit = LEDGER_PAGE_MAX};
	struct state_of s = {.id = id};

	return ledger_view_deliveries(w->v, &f, on_delivery, &s) == ERR_OK &&
	       s.found && s.state == state;
}

static void await_delivery(struct world *w, const struct transfer_id *id,
			   enum delivery_state state)
{
	UNTIL(w, is_state(w, id, state));
}

static unsigned own_requests(struct world *w)
{
	return count_of(w, NULL, N_ACTION_RQ);
}

static struct view_message await_own(struct world *w, unsigned nth)
{
	return await_nth(w, NULL, N_ACTION_RQ, nth);
}

static void own_commitment_is_asked_for_and_kept_until_granted(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_committing(w, 1), b, c;
	struct view_message m;

	b = put_committing(w, 2);
	m = await_own(w, 1);
	assert_memory_equal(m.transaction, "2.25.", 5);
	assert_string_equal(m.destination, "cloud");
	assert_string_equal(m.calling_ae, "CT2");
	assert_true(is_state(w, &a, DELIVERY_UNCOMMITTED));
	quiet();
	if (own_requests(w) == 1) { /* both in one */
		names(w, &m, 1, "..");
	} else {
		assert_int_equal(report(w, m.transaction, 1, "."), 0);
		m = await_own(w, 2);
	}
	delivered(w, &m.transfer);
	assert_int_equal(report(w, m.transaction, 1, ".."), 0);
	await_delivery(w, &a, DELIVERY_COMMITTED);
	await_delivery(w, &b, DELIVERY_COMMITTED);
	assert_int_equal(report(w, m.transaction, 1, ".."), 0); /* again */
	/* fresh ones wait for company */
	{
		struct instance in = fixture_instance(3);

		in.commit = 1;
		c = fixture_put(&w->f, &in, 100);
		delivered(w, &c);
	}
	await_delivery(w, &c, DELIVERY_UNCOMMITTED);
	quiet();
	assert_true(is_state(w, &c, DELIVERY_UNCOMMITTED));
}

static void what_the_archive_does_not_have_is_sent_again(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_committing(w, 1);
	struct view_message m;

	for (unsigned i = 1; i <= 3; i++) {
		m = await_own(w, i);
		assert_int_equal(report(w, m.transaction, 1, "2"), 0);
		await_delivery(w, &a, DELIVERY_QUEUED);
		delivered_before(w, &a);
	}
	m = await_own(w, 4);
	assert_int_equal(report(w, m.transaction, 1, "2"), 0);
	await_delivery(w, &a, DELIVERY_QUARANTINED);
}

static void own_requests_are_answered_across_a_restart(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_committing(w, 1);
	struct view_message m = await_own(w, 1);

	delivered(w, &m.transfer);
	restart(w);
	assert_int_equal(report(w, m.transaction, 1, "."), 0);
	await_delivery(w, &a, DELIVERY_COMMITTED);
}

static void what_the_archive_cannot_say_yet_stays(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_committing(w, 1);
	struct view_message m = await_own(w, 1);

	assert_int_equal(report(w, m.transaction, 1, "x"), 0);
	quiet();
	assert_true(is_state(w, &a, DELIVERY_UNCOMMITTED));
	assert_int_equal(own_requests(w), 1);
}

static bool is_full(struct world *w)
{
	struct spool_stats st;

	spool_stats(w->f.spool, &st);
	return st.full;
}

/* Else nothing could ever be asked for again, and no space be freed. */
static void a_spool_full_of_uncommitted_ones_is_emptied(void **state)
{
	enum { MAX = 400, LEN = 900000 };
	struct world *w = *state;
	struct transfer_id ids[MAX];
	char pattern[MAX + 1] = "";
	struct view_message m;
	unsigned n = 0;

	while (!is_full(w) && n < MAX) {
		struct instance in = fixture_instance(n + 1);

		in.commit = 1;
		pattern[n] = '.';
		ids[n++] = fixture_put(&w->f, &in, LEN);
	}
	assert_true(is_full(w) && n < MAX);
	for (unsigned i = 0; i < n; i++)
		delivered_before(w, &ids[i]);
	for (unsigned nth = 1; is_full(w); nth++) {
		m = await_own(w, nth);
		pattern[n] = '\0';
		assert_int_equal(report(w, m.transaction, 1, pattern), 0);
		quiet();
	}
	await_delivery(w, &ids[0], DELIVERY_COMMITTED);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(own_commitment_is_asked_for_and_kept_until_granted),
	    TEST(what_the_archive_does_not_have_is_sent_again),
	    TEST(own_requests_are_answered_across_a_restart),
	    TEST(what_the_archive_cannot_say_yet_stays),
	    TEST(a_spool_full_of_uncommitted_ones_is_emptied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
