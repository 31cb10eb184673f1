/* What storage commitment and the command line read: messages, instances by
 * UID, what is not committed, relayed operations. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "tests/unit/ledger_fixture.h"

enum { N_EVENT_REPORT = 0x0100, N_SET = 0x0120, N_ACTION = 0x0130 };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	free(*state);
	return 0;
}

static struct ledger_view *view(struct fixture *f)
{
	struct ledger_view *v;
	char why[LEDGER_WHY_LEN];

	if (ledger_view_open(f->dir, &v, why) != ERR_OK)
		fail_msg("%s", why);
	return v;
}

/* ---- messages ------------------------------------------------------------ */

struct messages {
	size_t n, stop_at;
	struct view_message m[32];
};

static bool on_message(void *arg, const struct view_message *m)
{
	struct messages *r = arg;

	assert_true(r->n < ARRAY_LEN(r->m));
	r->m[r->n++] = *m;
	return r->n != r->stop_at;
}

static void list(struct ledger_view *v, struct messages *out,
		 struct view_message_filter f)
{
	if (f.limit == 0)
		f.limit = 10;
	*out = (struct messages){0};
	assert_int_equal(ledger_view_messages(v, &f, on_message, out), ERR_OK);
}
#define LIST(v, out, ...)                                                      \
	list((v), (out), (struct view_message_filter){__VA_ARGS__})

static struct transfer_id put_message(struct fixture *f, uint16_t command,
				      const char *transaction, bool held)
{
	struct instance in = fixture_instance(1);

	in.command = command;
	in.type = 1;
	in.held = held;
	INSTANCE_SET(in.transaction, transaction);
	return fixture_put(f, &in, 300);
}

static void a_message_row_says_all_of_it(void **state)
{
	static uint8_t chunk[CHUNK_LEN];
	struct fixture *f = *state;
	struct messages r;
	struct ledger_view *v;
	struct transfer_id id;
	struct place places[4];
	unsigned got;
	size_t len;

	fixture_open(f);
	id = put_message(f, N_ACTION, "1.2.9", true);
	fixture_barrier(f);
	v = view(f);
	LIST(v, &r, .transaction = NULL);
	assert_int_equal(r.n, 1);
	assert_true(transfer_id_equal(&r.m[0].transfer, &id));
	assert_int_equal(r.m[0].seq, r.m[0].delivery >> 5);
	assert_int_equal(r.m[0].command, N_ACTION);
	assert_int_equal(r.m[0].type, 1);
	assert_string_equal(r.m[0].transaction, "1.2.9");
	assert_string_equal(r.m[0].sop_class, "1.2.840.10008.5.1.4.1.1.2");
	assert_string_equal(r.m[0].sop_instance, "1.2.3.4.1");
	assert_string_equal(r.m[0].transfer_syntax, "1.2.840.10008.1.2.1");
	assert_string_equal(r.m[0].listener, "modalities");
	assert_string_equal(r.m[0].device, "ct-room-2");
	assert_string_equal(r.m[0].peer, "10.1.4.20");
	assert_string_equal(r.m[0].calling_ae, "CT2");
	assert_string_equal(r.m[0].called_ae, "ARCHIVE");
	assert_int_equal(r.m[0].association, 7);
	assert_true(r.m[0].received_ms > 0);
	assert_int_equal(r.m[0].length, 300);
	assert_int_equal(r.m[0].chunks, 1);
	assert_string_equal(r.m[0].destination, "cloud");
	assert_int_equal(r.m[0].state, DELIVERY_HELD);
	assert_int_equal(
	    spool_read_chunk(f->spool, r.m[0].first, &id, 0, chunk, &len),
	    ERR_OK);
	assert_int_equal(len, 300);
	assert_int_equal(ledger_view_places(v, r.m[0].seq, 0, 4, places, &got),
			 ERR_OK);
	assert_int_equal(got, 1);
	assert_memory_equal(&places[0], &r.m[0].first, sizeof(places[0]));
	assert_int_equal(ledger_view_places(v, r.m[0].seq, 1, 4, places, &got),
			 ERR_NOTFOUND);
	ledger_view_close(v);
}

static void messages_are_found_by_transaction_command_and_openness(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(9);
	struct messages r;
	struct ledger_view *v;
	struct transfer_id done;

	fixture_open(f);
	put_message(f, N_ACTION, "1.2.1", true);
	fixture_put(f, &in, 10);
	put_message(f, N_ACTION, "1.2.2", true);
	done = put_message(f, N_ACTION, "1.2.1", false);
	put_message(f, N_SET, "", false);
	put_message(f, N_EVENT_REPORT, "1.2.1", false);
	fixture_outcome(f, &done, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	v = view(f);
	LIST(v, &r, .transaction = NULL);
	assert_int_equal(r.n, 5);
	for (size_t i = 1; i < r.n; i++)
		assert_true(r.m[i].seq > r.m[i - 1].seq);
	LIST(v, &r, .transaction = "1.2.1");
	assert_int_equal(r.n, 3);
	assert_int_equal(r.m[1].state, DELIVERY_DELIVERED);
	LIST(v, &r, .transaction = "1.2.1", .open_only = true);
	assert_int_equal(r.n, 2);
	LIST(v, &r, .transaction = "1.2.1", .command = N_EVENT_REPORT);
	assert_int_equal(r.n, 1);
	LIST(v, &r, .command = N_ACTION, .open_only = true);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.m[0].transaction, "1.2.1");
	assert_string_equal(r.m[1].transaction, "1.2.2");
	LIST(v, &r, .command = N_ACTION, .open_only = true,
	     .after_seq = r.m[0].seq);
	assert_int_equal(r.n, 1);
	LIST(v, &r, .open_only = true, .limit = 3);
	assert_int_equal(r.n, 3);
	LIST(v, &r, .transaction = "1.2.77");
	assert_int_equal(r.n, 0);
	r = (struct messages){.stop_at = 2};
	assert_int_equal(
	    ledger_view_messages(v, &(struct view_message_filter){.limit = 10},
				 on_message, &r),
	    ERR_OK);
	assert_int_equal(r.n, 2);
	ledger_view_close(v);
}

static void a_page_has_all_rows_of_its_messages(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(9);
	struct messages r;
	struct ledger_view *v;

	fixture_open(f);
	in.command = N_SET;
	in.n_destinations = 2;
	INSTANCE_SET(in.destinations[1], "second");
	for (int i = 0; i < 3; i++)
		fixture_put(f, &in, 10);
	fixture_barrier(f);
	v = view(f);
	LIST(v, &r, .limit = 2);
	assert_int_equal(r.n, 4);
	assert_string_equal(r.m[3].destination, "second");
	LIST(v, &r, .limit = 2, .after_seq = r.m[3].seq);
	assert_int_equal(r.n, 2);
	ledger_view_close(v);
}

/* ---- deliveries ------------------------------------------------------------
 */

struct rows {
	size_t n;
	struct view_delivery d[32];
};

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	struct rows *r = arg;

	assert_true(r->n < ARRAY_LEN(r->d));
	r->d[r->n++] = *d;
	return true;
}

static void deliver(struct fixture *f, unsigned uid, const char *destination,
		    bool committed)
{
	struct instance in = fixture_instance(uid);
	struct transfer_id id;

	INSTANCE_SET(in.destinations[0], destination);
	in.commit = 1;
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, destination);
	if (committed)
		fixture_outcome(f, &id, OUTCOME_COMMITTED, destination);
}

static void what_waits_for_commitment_is_listed(void **state)
{
	struct fixture *f = *state;
	struct rows r = {0};
	struct ledger_view *v;

	fixture_open(f);
	deliver(f, 1, "cloud", false);
	deliver(f, 2, "second", false);
	deliver(f, 3, "cloud", true);
	deliver(f, 4, "cloud", false);
	fixture_settle(f);
	v = view(f);
	assert_int_equal(
	    ledger_view_uncommitted(v, "cloud", 0, 10, on_delivery, &r),
	    ERR_OK);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.d[0].sop_instance, "1.2.3.4.1");
	assert_string_equal(r.d[1].sop_instance, "1.2.3.4.4");
	assert_int_equal(r.d[0].state, DELIVERY_UNCOMMITTED);
	r.n = 0;
	assert_int_equal(ledger_view_uncommitted(v, "cloud", r.d[0].delivery,
						 10, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 1);
	r.n = 0;
	assert_int_equal(
	    ledger_view_uncommitted(v, NULL, 0, 2, on_delivery, &r), ERR_OK);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.d[1].destination, "second");
	r.n = 0;
	assert_int_equal(ledger_view_receipts(v, NULL, 0, 10, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.d[0].state, DELIVERY_COMMITTED);
	ledger_view_close(v);
}

static void a_delivery_of_a_message_says_so(void **state)
{
	struct fixture *f = *state;
	struct view_filter q = {.any_state = true};
	struct rows r = {0};
	struct ledger_view *v;

	fixture_open(f);
	put_message(f, N_ACTION, "1.2.9", true);
	deliver(f, 1, "cloud", false);
	fixture_settle(f);
	v = view(f);
	assert_int_equal(ledger_view_deliveries(v, &q, on_delivery, &r),
			 ERR_OK);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.d[0].command, N_ACTION);
	assert_int_equal(r.d[0].type, 1);
	assert_string_equal(r.d[0].transaction, "1.2.9");
	assert_string_equal(r.d[0].last_error, LEDGER_HELD_REASON);
	assert_int_equal(r.d[1].command, 0);
	assert_string_equal(r.d[1].transaction, "");
	ledger_view_close(v);
}

/* ---- by UID
 * ------------------------------------------------------------------
 */

static struct view_uid uid_of(unsigned n)
{
	struct view_uid u = {0};

	snprintf(u.uid, sizeof(u.uid), "1.2.3.4.%u", n);
	return u;
}

static void instances_are_found_by_uid(void **state)
{
	struct fixture *f = *state;
	struct view_uid set[] = {uid_of(5), uid_of(77), uid_of(2), uid_of(5)};
	struct view_uid_scan scan = {.destination = "cloud"};
	struct instance in;
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	for (unsigned i = 0; i < 10; i++) {
		in = fixture_instance(i);
		id = fixture_put(f, &in, 10);
		if (i == 5)
			fixture_outcome(f, &id, OUTCOME_QUARANTINED, "cloud");
	}
	fixture_settle(f);
	v = view(f);
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 4, NULL),
			 ERR_OK);
	assert_true(set[0].found && set[2].found && set[3].found);
	assert_false(set[1].found);
	assert_int_equal(set[0].state, DELIVERY_QUARANTINED);
	assert_int_equal(set[3].state, DELIVERY_QUARANTINED);
	assert_int_equal(set[2].state, DELIVERY_QUEUED);
	assert_string_equal(set[2].device, "ct-room-2");
	assert_true(set[0].seq == set[3].seq && set[0].seq > set[2].seq);
	ledger_view_close(v);
}

static void the_newest_instance_with_a_uid_counts(void **state)
{
	struct fixture *f = *state;
	struct view_uid set[] = {uid_of(1)};
	struct view_uid_scan scan = {.destination = "cloud"};
	struct instance in = fixture_instance(1);
	struct ledger_view *v;
	struct transfer_id id;
	uint64_t newest = 0, before;

	fixture_open(f);
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_QUARANTINED, "cloud");
	fixture_settle(f);
	v = view(f);
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 1, &newest), ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_QUARANTINED);
	assert_int_equal(newest, set[0].seq);

	/* Another destination's does not count, a message neither. */
	INSTANCE_SET(in.destinations[0], "second");
	fixture_put(f, &in, 10);
	put_message(f, N_SET, "", false);
	fixture_barrier(f);
	scan.after_seq = before = newest;
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 1, &newest), ERR_OK);
	assert_int_equal(set[0].seq, before);
	assert_true(newest > before);

	/* Sent again. */
	INSTANCE_SET(in.destinations[0], "cloud");
	fixture_put(f, &in, 10);
	fixture_barrier(f);
	scan.after_seq = newest;
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 1, &newest), ERR_OK);
	assert_int_equal(set[0].seq, newest);
	assert_int_equal(set[0].state, DELIVERY_QUEUED);
	ledger_view_close(v);
}

static void what_was_found_before_has_its_state_read_again(void **state)
{
	struct fixture *f = *state;
	struct view_uid set[] = {uid_of(1), uid_of(2)};
	struct view_uid_scan scan = {.destination = "cloud"};
	struct instance in = fixture_instance(1);
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 10);
	fixture_barrier(f);
	v = view(f);
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 2, &scan.after_seq),
	    ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_QUEUED);
	assert_false(set[1].found);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	in = fixture_instance(2);
	fixture_put(f, &in, 10);
	fixture_settle(f);
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 2, &scan.after_seq),
	    ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_DELIVERED);
	assert_true(set[1].found);
	ledger_view_close(v);
}

static void run_sql(const struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->ledger, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

/* Else what is older would be taken for unknown from then on. */
static void a_search_that_fails_is_begun_again(void **state)
{
	struct fixture *f = *state;
	struct view_uid set[] = {uid_of(1)};
	struct view_uid_scan scan = {.destination = "cloud"};
	struct ledger_view *v;

	fixture_open(f);
	fixture_put_many(f, 1, 3);
	fixture_barrier(f);
	v = view(f);
	run_sql(f, "ALTER TABLE deliveries RENAME TO away");
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 1, &scan.after_seq),
	    ERR_IO);
	assert_int_equal(scan.after_seq, 0);
	run_sql(f, "ALTER TABLE away RENAME TO deliveries");
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, 1, &scan.after_seq),
	    ERR_OK);
	assert_true(set[0].found);
	ledger_view_close(v);
}

static void without_a_destination_the_worst_state_counts(void **state)
{
	struct fixture *f = *state;
	struct view_uid set[] = {uid_of(1)};
	struct view_uid_scan scan = {0};
	struct instance in = fixture_instance(1);
	struct ledger_view *v;
	struct transfer_id id;

	fixture_open(f);
	in.n_destinations = 3;
	INSTANCE_SET(in.destinations[1], "second");
	INSTANCE_SET(in.destinations[2], "third");
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_outcome(f, &id, OUTCOME_QUARANTINED, "second");
	fixture_settle(f);
	v = view(f);
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_QUARANTINED);
	fixture_outcome(f, &id, OUTCOME_DISCARDED, "second");
	fixture_settle(f);
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_QUEUED);
	scan.destination = "second";
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_OK);
	assert_int_equal(set[0].state, DELIVERY_DISCARDED);
	ledger_view_close(v);
}

static void looking_for_uids_has_bounds(void **state)
{
	struct fixture *f = *state;
	struct view_uid_scan scan = {.destination = "cloud", .max_rows = 3};
	struct view_uid set[] = {uid_of(0)};
	struct ledger_view *v;
	int64_t now = clock_wall_ms();

	fixture_open(f);
	for (unsigned i = 0; i < 5; i++) {
		struct instance in = fixture_instance(i);

		in.received_ms = now + i;
		fixture_put(f, &in, 10);
	}
	fixture_barrier(f);
	v = view(f);
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_LIMIT);
	assert_false(set[0].found);
	scan.max_rows = 5;
	scan.not_before_ms = now + 1;
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_LIMIT);
	assert_false(set[0].found);
	scan.max_rows = 6;
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_OK);
	assert_false(set[0].found);
	scan.not_before_ms = now;
	assert_int_equal(ledger_view_instances_by_uid(v, &scan, set, 1, NULL),
			 ERR_OK);
	assert_true(set[0].found);
	ledger_view_close(v);
}

static void uids_are_found_over_many_pages(void **state)
{
	enum { N = 2300 };
	struct fixture *f = *state;
	struct view_uid_scan scan = {.destination = "cloud"};
	struct view_uid *set = calloc(N + 1, sizeof(*set));
	struct ledger_view *v;

	assert_non_null(set);
	fixture_open(f);
	for (unsigned i = 0; i < N; i++) {
		struct instance in = fixture_instance(i);

		fixture_put(f, &in, 0);
		set[N - i] = uid_of(i);
	}
	set[0] = uid_of(N);
	fixture_barrier(f);
	v = view(f);
	assert_int_equal(
	    ledger_view_instances_by_uid(v, &scan, set, N + 1, NULL), ERR_OK);
	assert_false(set[0].found);
	for (unsigned i = 1; i <= N; i++)
		assert_true(set[i].found);
	ledger_view_close(v);
	free(set);
}

/* ---- operations
 * --------------------------------------------------------------
 */

struct operations {
	size_t n;
	struct view_operation o[16];
};

static bool on_operation(void *arg, const struct view_operation *o)
{
	struct operations *r = arg;

	assert_true(r->n < ARRAY_LEN(r->o));
	r->o[r->n++] = *o;
	return true;
}

static void relayed_operations_are_listed_newest_first(void **state)
{
	struct fixture *f = *state;
	struct ledger_operation o = {.association = 17,
				     .destination = "ris",
				     .device = "ct-room-2",
				     .command = 0x0020,
				     .sop_class = "1.2.840.10008.5.1.4.31",
				     .responses = 12,
				     .bytes = 3456,
				     .begun_ms = 1000,
				     .duration_ns = 5000000};
	struct operations r = {0};
	struct ledger_view *v;

	fixture_open(f);
	ledger_operation(f->l, &o);
	o.association = 18;
	ledger_operation(f->l, &o);
	o.association = 17;
	o.status = 0xa700;
	o.from_destination = true;
	o.command = 0x0001;
	INSTANCE_SET(o.sop_instance, "1.2.3");
	ledger_operation(f->l, &o);
	o.status = -1;
	o.count = 70;
	ledger_operation(f->l, &o);
	fixture_await(f, "SELECT count(*) FROM operations", 4);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_operations"
					" WHERE operation='C-STORE'"
					" AND status='A700'"
					" AND asked_by='destination'"),
			 1);
	v = view(f);
	assert_int_equal(ledger_view_operations(v, 17, 0, 10, on_operation, &r),
			 ERR_OK);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.o[0].o.status, -1);
	assert_int_equal(r.o[0].o.count, 70);
	assert_int_equal(r.o[1].o.count, 1);
	assert_int_equal(r.o[1].o.status, 0xa700);
	assert_string_equal(r.o[1].o.sop_instance, "1.2.3");
	assert_true(r.o[1].o.from_destination);
	assert_int_equal(r.o[2].o.association, 17);
	assert_string_equal(r.o[2].o.destination, "ris");
	assert_string_equal(r.o[2].o.device, "ct-room-2");
	assert_int_equal(r.o[2].o.command, 0x0020);
	assert_string_equal(r.o[2].o.sop_class, "1.2.840.10008.5.1.4.31");
	assert_string_equal(r.o[2].o.sop_instance, "");
	assert_int_equal(r.o[2].o.status, 0);
	assert_int_equal(r.o[2].o.responses, 12);
	assert_int_equal(r.o[2].o.bytes, 3456);
	assert_int_equal(r.o[2].o.begun_ms, 1000);
	assert_int_equal(r.o[2].o.duration_ns, 5000000);
	assert_false(r.o[2].o.from_destination);
	r.n = 0;
	assert_int_equal(
	    ledger_view_operations(v, 0, r.o[0].id, 2, on_operation, &r),
	    ERR_OK);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.o[1].o.association, 18);
	ledger_view_close(v);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_message_row_says_all_of_it),
	    T(messages_are_found_by_transaction_command_and_openness),
	    T(a_page_has_all_rows_of_its_messages),
	    T(what_waits_for_commitment_is_listed),
	    T(a_delivery_of_a_message_says_so),
	    T(instances_are_found_by_uid),
	    T(the_newest_instance_with_a_uid_counts),
	    T(what_was_found_before_has_its_state_read_again),
	    T(a_search_that_fails_is_begun_again),
	    T(without_a_destination_the_worst_state_counts),
	    T(looking_for_uids_has_bounds),
	    T(uids_are_found_over_many_pages),
	    T(relayed_operations_are_listed_newest_first),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
