/* What a process that was killed had counted for the audit. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/audit_read.h"
#include "tests/unit/ledger_fixture.h"

static int setup(void **state)
{
	static struct fixture f;

	fixture_init(&f);
	fixture_open(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static void row(struct fixture *f, enum audit_kind kind)
{
	struct audit_event e = {.kind = kind};

	ledger_audit(f->l, &e);
}

/* A row that counts, with what it is known by. */
static void counted(struct fixture *f, enum audit_kind kind, const char *study,
		    unsigned n)
{
	struct audit_event e = {.kind = kind, .association = 7};

	snprintf(e.study, sizeof(e.study), "%s", study);
	snprintf(e.destination, sizeof(e.destination), "cloud");
	e.covers.instances = n;
	e.covers.bytes = n * 100;
	ledger_audit(f->l, &e);
}

static unsigned owed(struct fixture *f)
{
	return (unsigned)fixture_sql(
	    f, "SELECT coalesce(sum(instances),0) FROM owed");
}

/* The ledger's thread takes them off each second. */
static void await_owed(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 500 && owed(f) != n; i++)
		(void)usleep(10000);
	assert_int_equal(owed(f), n);
}

static const char *study(void)
{
	static struct instance in;

	in = fixture_instance(1);
	return in.study;
}

/* The next process; rows of a kind that it recovered, and the newest. */
static void next_start(struct fixture *f)
{
	fixture_close(f);
	fixture_open(f);
	row(f, AUDIT_START);
	fixture_settle(f);
	await_owed(f, 0);
}

static unsigned recovered(struct fixture *f, enum audit_kind kind,
			  struct audit_row *last)
{
	const int32_t kinds[] = {(int32_t)kind};
	struct audit_filter filter = {.kinds = kinds, .n_kinds = 1};
	struct audit_reader *r;
	const struct audit_row *at;
	unsigned n = 0;

	assert_int_equal(audit_read_open(f->dir, &filter, &r, NULL), ERR_OK);
	while (audit_read_next(r, &at) == ERR_OK && at != NULL) {
		if (strstr(at->detail, "\"recovered\":true") == NULL)
			continue;
		*last = *at;
		n++;
	}
	audit_read_close(r);
	return n;
}

static void what_had_no_row_is_written_by_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct transfer_id id;
	static struct audit_row r;

	row(f, AUDIT_START);
	id = fixture_put(f, &in, 100);
	fixture_put_many(f, 2, 2);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	assert_int_equal(owed(f), 4);
	next_start(f);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 1);
	assert_non_null(strstr(r.detail,
			       "{\"instances\":3,\"bytes\":300,\"recovered\":"
			       "true,\"first\":\"2"));
	assert_int_equal(r.association, 7);
	assert_string_equal(r.study, in.study);
	assert_string_equal(r.device, in.device);
	assert_string_equal(r.listener, in.listener);
	assert_string_equal(r.peer, in.peer);
	assert_string_equal(r.calling_ae, in.calling_ae);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_TRANSFERRED, &r), 1);
	assert_non_null(strstr(r.detail, "{\"instances\":1,\"bytes\":100,"));
	assert_string_equal(r.destination, "cloud");
	assert_string_equal(r.study, in.study);
	next_start(f);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 1);
}

static void what_has_a_row_is_not_owed(void **state)
{
	struct fixture *f = *state;
	static struct audit_row r;

	row(f, AUDIT_START);
	fixture_put_many(f, 1, 5);
	fixture_settle(f);
	counted(f, AUDIT_INSTANCES_RECEIVED, "9.9", 2); /* another study */
	counted(f, AUDIT_INSTANCES_RECEIVED, study(), 2);
	await_owed(f, 3);
	next_start(f);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 1);
	assert_non_null(strstr(r.detail, "{\"instances\":3,\"bytes\":300,"));
}

static void an_association_that_ended_owes_nothing(void **state)
{
	struct fixture *f = *state;
	static struct audit_row r;

	row(f, AUDIT_START);
	fixture_put_many(f, 1, 5);
	fixture_settle(f);
	counted(f, AUDIT_ASSOCIATION_ENDED, "", 0);
	await_owed(f, 0);
	next_start(f);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 0);
}

static void a_study_that_went_again_is_counted_again(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct transfer_id id = fixture_put(f, &in, 100);

	fixture_settle(f);
	counted(f, AUDIT_ASSOCIATION_ENDED, "", 0);
	await_owed(f, 0);
	fixture_outcome(f, &id, OUTCOME_ARRIVED, "cloud");
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud"); /* the same one */
	fixture_settle(f);
	assert_int_equal(owed(f), 1);
	counted(f, AUDIT_INSTANCES_TRANSFERRED, study(), 1);
	await_owed(f, 0);
}

static void an_end_that_was_a_stop_leaves_nothing_to_write(void **state)
{
	struct fixture *f = *state;
	static struct audit_row r;

	row(f, AUDIT_START);
	fixture_put_many(f, 1, 3);
	fixture_settle(f);
	row(f, AUDIT_STOP);
	next_start(f);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 0);
}

static void a_ledger_lost_with_the_power_is_no_loss(void **state)
{
	struct fixture *f = *state;
	static struct audit_row r;

	row(f, AUDIT_START);
	fixture_settle(f);
	fixture_put_many(f, 1, 3);
	fixture_settle(f);
	fixture_close(f);
	assert_int_equal(unlink(f->ledger), 0);
	fixture_open(f);
	row(f, AUDIT_START);
	fixture_settle(f);
	await_owed(f, 0);
	assert_int_equal(recovered(f, AUDIT_INSTANCES_RECEIVED, &r), 1);
	assert_non_null(strstr(r.detail, "{\"instances\":3,"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_had_no_row_is_written_by_the_next_start),
	    T(what_has_a_row_is_not_owed),
	    T(an_association_that_ended_owes_nothing),
	    T(a_study_that_went_again_is_counted_again),
	    T(an_end_that_was_a_stop_leaves_nothing_to_write),
	    T(a_ledger_lost_with_the_power_is_no_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
