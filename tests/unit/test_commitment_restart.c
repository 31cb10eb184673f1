/* Commitments across restarts, and many or large ones. */
#include "tests/unit/commitment_kit.h"

/* ---- restarts ----------------------------------------------------------- */

/* One commitment from end to end, everything closed and opened again after
 * each step whose bit is set. */
static void walk(struct world *w, unsigned restarts, const char *transaction,
		 unsigned uid, bool lose_ledger)
{
	struct transfer_id a, b, m1;
	struct view_message m;
	unsigned step = 0;

#define STEP()                                                                 \
	do {                                                                   \
		if (restarts & 1u << step++) {                                 \
			stop(w);                                               \
			fixture_close(&w->f);                                  \
			if (lose_ledger)                                       \
				assert_int_equal(unlink(w->f.ledger), 0);      \
			fixture_open(&w->f);                                   \
			start(w);                                              \
		}                                                              \
	} while (0)

	a = put_instance(w, uid);
	b = put_instance(w, uid + 1);
	STEP();
	m1 = request(w, transaction, uid, 2);
	STEP();
	fixture_outcome(&w->f, &b, OUTCOME_QUARANTINED, "cloud");
	STEP();
	delivered(w, &a);
	STEP();
	m = await_asked(w, transaction);
	STEP();
	delivered(w, &m.transfer);
	STEP();
	assert_int_equal(report(w, transaction, uid, "."), 0);
	STEP();
	m = await_reported(w, transaction);
	names(w, &m, uid, ".x");
	STEP();
	await_state(w, transaction, &m1, DELIVERY_DELIVERED);
	STEP();
	fixture_outcome(&w->f, &m.transfer, OUTCOME_DELIVERED, "@ct-1");
	fixture_settle(&w->f);
	assert_int_equal(count_of(w, transaction, N_ACTION_RQ), 1);
	assert_int_equal(count_of(w, transaction, N_EVENT_REPORT_RQ), 1);
#undef STEP
}

static void a_restart_at_any_step_changes_nothing(void **state)
{
	struct world *w = *state;
	char transaction[UID_SIZE];

	for (unsigned i = 0; i < 9; i++) {
		snprintf(transaction, sizeof(transaction), "1.9.%u", i);
		walk(w, 1u << i, transaction, 10 * i + 1, false);
	}
	walk(w, 0x1FF, "1.9.99", 100, false);
}

static void the_loss_of_the_ledger_at_any_step_changes_nothing(void **state)
{
	struct world *w = *state;
	char transaction[UID_SIZE];

	for (unsigned i = 0; i < 9; i += 2) {
		snprintf(transaction, sizeof(transaction), "1.9.%u", i);
		walk(w, 1u << i, transaction, 10 * i + 1, true);
	}
}

/* The report is durable, the end of the request is not. */
static void a_request_with_its_report_is_only_ended(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct instance in;
	struct commit_set set;
	struct buf b;
	char text[TRANSFER_TEXT_LEN];

	stop(w);
	m1 = request(w, T1, 1, 1);
	held_action(&in, "ct-1", "ARCHIVE", T1);
	in.command = N_EVENT_REPORT_RQ;
	in.held = false;
	INSTANCE_SET(in.listener, COMMITMENT_LISTENER);
	snprintf(in.peer, sizeof(in.peer), "commitment:%s",
		 transfer_id_text(&m1, text));
	INSTANCE_SET(in.destinations[0], "@ct-1");
	fill(&set, T1, 1, 1);
	buf_init(&b, COMMIT_DATA_MAX);
	assert_int_equal(commit_encode_report(&set, TS_IMPLICIT_LE, &b),
			 ERR_OK);
	put_bytes(w, &in, buf_data(&b), buf_len(&b));
	buf_free(&b);
	commit_free(&set);
	start(w);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
}

static void what_waits_for_an_answer_at_the_end_gets_one(void **state)
{
	struct world *w = *state;
	struct commitment_report r = {.data = (const uint8_t *)"x",
				      .len = 1,
				      .transfer_syntax = UID_EXPLICIT_LE,
				      .event_type = 1,
				      .from = "cloud"};
	struct commitment_report huge = r;

	huge.len = (size_t)COMMIT_DATA_MAX + 1;
	assert_int_equal(commitment_report(w->c, &huge, on_answered, NULL),
			 ERR_LIMIT);
	answered = -1;
	assert_int_equal(commitment_report(w->c, &r, on_answered, NULL),
			 ERR_OK);
	commitment_stop(w->c);
	assert_true(answered == 0x110 || answered == 0x115);
	assert_int_equal(commitment_report(w->c, &r, on_answered, NULL),
			 ERR_CANCELED);
}

/* ---- size --------------------------------------------------------------- */

static void ten_thousand_references_are_no_trouble(void **state)
{
	struct world *w = *state;
	struct commit_set set, out;
	struct view_message m;
	uint64_t begun = clock_mono_ns();

	for (unsigned i = 0; i < 50; i++)
		put_delivered(w, i);
	request(w, T1, 0, 10000);
	m = await_asked(w, T1);
	read_set(w, &m, &out);
	assert_int_equal(out.n, 10000);
	commit_free(&out);
	fill(&set, T1, 0, 10000);
	for (size_t i = 50; i < set.n; i++)
		set.refs[i].reason = 0x112;
	set.n_failed = set.n - 50;
	assert_int_equal(report_set(w, &set, "cloud"), 0);
	m = await_reported(w, T1);
	read_set(w, &m, &out);
	assert_int_equal(out.n, 10000);
	assert_int_equal(out.n_failed, 9950);
	commit_free(&out);
	commit_free(&set);
	assert_true(clock_mono_ns() - begun < 30000000000ULL);
}

static void many_requests_at_once_are_all_answered(void **state)
{
	enum { N = 150 };
	struct world *w = *state;
	char transaction[UID_SIZE];
	struct transfer_id id = put_instance(w, 1);

	for (unsigned i = 0; i < N; i++) {
		snprintf(transaction, sizeof(transaction), "1.7.%u", i);
		request(w, transaction, 1, 1);
	}
	delivered(w, &id);
	for (unsigned i = 0; i < N; i++) {
		snprintf(transaction, sizeof(transaction), "1.7.%u", i);
		(void)await_asked(w, transaction);
		assert_int_equal(report(w, transaction, 1, "."), 0);
	}
	for (unsigned i = 0; i < N; i++) {
		snprintf(transaction, sizeof(transaction), "1.7.%u", i);
		(void)await_reported(w, transaction);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_restart_at_any_step_changes_nothing),
	    TEST(the_loss_of_the_ledger_at_any_step_changes_nothing),
	    TEST(a_request_with_its_report_is_only_ended),
	    TEST(what_waits_for_an_answer_at_the_end_gets_one),
	    TEST(ten_thousand_references_are_no_trouble),
	    TEST(many_requests_at_once_are_all_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
