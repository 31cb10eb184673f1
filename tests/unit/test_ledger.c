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
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/db.h"
#include "tests/unit/ledger_fixture.h"

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

/* ---- from the spool to the queue ------------------------------------------
 */

static void an_instance_in_the_spool_is_queued_as_it_came(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1);
	struct transfer_id id;

	fixture_open(f);
	in.priority = 1;
	in.has_move = true;
	in.move_originator_id = 99;
	INSTANCE_SET(in.move_originator, "MOVER");
	id = fixture_put(f, &in, 5000);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_true(got.end);
	assert_true(transfer_id_equal(&got.items[0].transfer, &id));
	assert_int_equal(got.items[0].length, 5000);
	assert_int_equal(got.items[0].chunks, 1);
	assert_int_equal(got.items[0].priority, 2);
	assert_int_equal(got.items[0].dicom_priority, 1);
	assert_int_equal(got.items[0].association, 7);
	assert_true(got.items[0].has_move);
	assert_int_equal(got.items[0].move_originator_id, 99);
	assert_string_equal(got.items[0].move_originator, "MOVER");
	assert_string_equal(got.items[0].sop_instance, in.sop_instance);
	assert_string_equal(got.items[0].sop_class, in.sop_class);
	assert_string_equal(got.items[0].transfer_syntax, in.transfer_syntax);
	assert_string_equal(got.items[0].study, in.study);
	assert_string_equal(got.items[0].calling_ae, "CT2");
	assert_string_equal(got.items[0].called_ae, "ARCHIVE");
	assert_string_equal(got.items[0].device, "ct-room-2");
	assert_false(got.items[0].earlier_open);
	assert_int_equal(f->hints, 1);
}

static void the_first_place_and_the_others_can_be_read(void **state)
{
	static uint8_t chunk[CHUNK_LEN];
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1);
	struct place places[8];
	size_t len = 0, n;

	fixture_open(f);
	fixture_put(f, &in, 2 * CHUNK_LEN + 77);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	n = fixture_places(f, got.items[0].seq, places, 8);
	assert_int_equal(n, 3);
	assert_memory_equal(&places[0], &got.items[0].first, sizeof(places[0]));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(spool_read_chunk(f->spool, places[i],
						  &got.items[0].transfer, i,
						  chunk, &len),
				 ERR_OK);
	assert_int_equal(len, 77);
}

static void an_empty_instance_is_queued_too(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1);

	fixture_open(f);
	fixture_put(f, &in, 0);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.items[0].chunks, 0);
}

static void an_instance_without_destination_is_quarantined(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);

	fixture_open(f);
	in.n_destinations = 0;
	fixture_put(f, &in, 10);
	fixture_barrier(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM v_queue"
					" WHERE state='quarantined'"
					" AND last_error LIKE '%redirect%'"),
			 1);
}

static void the_queue_is_in_order_of_priority_then_arrival(void **state)
{
	static const int8_t device[] = {0, 5, 0, 5, -3};
	static const unsigned want[] = {2, 4, 1, 3, 5};
	struct fixture *f = *state;
	struct fixture_items got;
	struct ledger_query q = {
	    .destination = "cloud", .after = LEDGER_CURSOR_START, .max = 2};
	unsigned seen = 0;

	fixture_open(f);
	for (unsigned i = 0; i < 5; i++) {
		struct instance in = fixture_instance(i + 1);

		in.device_priority = device[i];
		fixture_put(f, &in, 100);
	}
	fixture_barrier(f);
	do {
		fixture_fetch(f, &q, &got);
		for (size_t i = 0; i < got.n; i++) {
			char uid[65];

			snprintf(uid, sizeof(uid), "1.2.3.4.%u", want[seen++]);
			assert_string_equal(got.items[i].sop_instance, uid);
		}
		q.after = got.next;
	} while (!got.end);
	assert_int_equal(seen, 5);
}

static void what_is_due_later_is_left_out_and_named(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct ledger_attempt a = {.attempts = 2,
				   .remote_status = 0xa700,
				   .next_attempt_ms = clock_wall_ms() + 60000,
				   .error = "out of resources"};
	struct ledger_query q = {
	    .destination = "cloud", .after = LEDGER_CURSOR_START, .max = 10};

	fixture_open(f);
	fixture_put_many(f, 1, 2);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	a.delivery = got.items[0].delivery;
	ledger_attempt(f->l, &a);
	fixture_await(f, "SELECT max(attempts) FROM deliveries", 2);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.items[0].sop_instance, "1.2.3.4.2");
	assert_int_equal(got.next_due_ms, a.next_attempt_ms);
	q.now_ms = a.next_attempt_ms;
	fixture_fetch(f, &q, &got);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.items[0].attempts, 2);
}

static void a_later_delivery_of_one_uid_waits_for_the_earlier(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1);
	struct transfer_id first, second;

	fixture_open(f);
	first = fixture_put(f, &in, 10);
	second = fixture_put(f, &in, 10);
	fixture_put(f, &in, 10);
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 3);
	assert_false(got.items[0].earlier_open);
	assert_true(got.items[1].earlier_open);
	assert_true(got.items[2].earlier_open);
	assert_true(got.items[0].uid_hash == got.items[2].uid_hash);
	fixture_outcome(f, &first, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_false(got.items[0].earlier_open);
	assert_true(got.items[1].earlier_open);
	/* The same after what is in memory was read again. */
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	fixture_queued(f, "cloud", &got);
	assert_false(got.items[0].earlier_open);
	assert_true(got.items[1].earlier_open);
	fixture_outcome(f, &second, OUTCOME_QUARANTINED, "cloud");
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_false(got.items[0].earlier_open);
}

/* ---- outcomes
 * ----------------------------------------------------------------- */

static void
a_delivered_instance_keeps_its_rows_and_frees_its_chunks(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct transfer_id id;

	fixture_open(f);
	in.n_destinations = 2;
	INSTANCE_SET(in.destinations[1], "second");
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 1);
	fixture_outcome(f, &id, OUTCOME_DELIVERED_FLAGGED, "second");
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM deliveries"
					" WHERE state=3 AND attempts=1"),
			 2);
	assert_int_equal(fixture_sql(f, "SELECT sum(count) FROM totals"
					" WHERE state=3"),
			 2);
	assert_int_equal(fixture_sql(f, "SELECT sum(count) FROM totals"
					" WHERE state=0"),
			 0);
}

static int64_t state_of(struct fixture *f, const char *destination)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT d.state FROM deliveries d JOIN destinations t"
		 " ON t.id=d.destination WHERE t.name='%s'",
		 destination);
	return fixture_sql(f, sql);
}

static void held_and_quarantined_ones_come_back_when_released(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_HELD, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_HELD);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 0);
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_outcome(f, &id, OUTCOME_QUARANTINED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_QUARANTINED);
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_QUEUED);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 1);
	assert_int_equal(f->hints, 3);
}

static void a_redirected_delivery_is_queued_at_the_target(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct fixture_items got;
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 10);
	fixture_redirect(f, &id, "cloud", "second");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_WITHDRAWN);
	fixture_queued(f, "second", &got);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.items[0].sop_instance, in.sop_instance);
	/* And back again. */
	fixture_redirect(f, &id, "second", "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_QUEUED);
	assert_int_equal(state_of(f, "second"), DELIVERY_WITHDRAWN);
}

static void a_discarded_one_frees_its_space_and_stays_discarded(void **state)
{
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct transfer_id id;

	fixture_open(f);
	id = fixture_put(f, &in, 10);
	fixture_outcome(f, &id, OUTCOME_DISCARDED, "");
	fixture_outcome(f, &id, OUTCOME_RELEASED, "cloud");
	fixture_settle(f);
	assert_int_equal(state_of(f, "cloud"), DELIVERY_DISCARDED);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 0);
}

/* ---- restart, loss, damage
 * ------------------------------------------------------- */

static void a_restart_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(2);
	struct transfer_id id;

	fixture_open(f);
	fixture_put_many(f, 1, 1);
	fixture_barrier(f);
	fixture_close_ledger(f);
	id = fixture_put(f, &in, 10); /* while no ledger is there */
	fixture_outcome(f, &id, OUTCOME_HELD, "cloud");
	fixture_put_many(f, 3, 1);
	fixture_close(f);
	fixture_open(f);
	fixture_settle(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.items[0].sop_instance, "1.2.3.4.1");
	assert_string_equal(got.items[1].sop_instance, "1.2.3.4.3");
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 3);
	assert_true(ledger_association_id(f->l) >= 8);
}

static void ignore_done(void *arg, enum err e, const struct instance *stored)
{
	(void)arg;
	(void)e;
	(void)stored;
}

/* A transfer that began before the last commit and ended after it. */
static void a_transfer_that_spans_a_restart_of_the_ledger_is_whole(void **state)
{
	static const uint8_t bytes[CHUNK_LEN];
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1), other = fixture_instance(4);
	struct spool_put_events events = {.on_done = ignore_done};
	struct transfer_id id;
	struct spool_put *put;
	struct place places[4];

	fixture_open(f);
	assert_int_equal(spool_put_begin(f->spool, &in, &events, &put), ERR_OK);
	assert_int_equal(spool_put_data(put, bytes, sizeof(bytes)), ERR_OK);
	assert_int_equal(spool_put_data(put, bytes, 10), ERR_OK);
	fixture_put_many(f, 2, 2);
	id = fixture_put(f, &other, 10);
	fixture_outcome(f, &id, OUTCOME_DELIVERED, "cloud");
	fixture_settle(f);
	fixture_close_ledger(f);
	fixture_open_ledger(f);
	fixture_barrier(f);
	assert_int_equal(spool_put_data(put, bytes, sizeof(bytes)), ERR_OK);
	assert_int_equal(spool_put_finish(put, &in), ERR_OK);
	fixture_await(f, "SELECT count(*) FROM instances", 4);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 3);
	assert_string_equal(got.items[2].sop_instance, "1.2.3.4.1");
	assert_int_equal(fixture_places(f, got.items[2].seq, places, 4), 3);
	assert_false(fixture_has(f, "ledger.db.")); /* never moved aside */
}

static void an_aborted_transfer_leaves_nothing(void **state)
{
	static const uint8_t bytes[CHUNK_LEN];
	struct fixture *f = *state;
	struct instance in = fixture_instance(1);
	struct spool_put_events events = {.on_done = ignore_done};
	struct spool_put *put;

	fixture_open(f);
	assert_int_equal(spool_put_begin(f->spool, &in, &events, &put), ERR_OK);
	assert_int_equal(spool_put_data(put, bytes, sizeof(bytes)), ERR_OK);
	assert_int_equal(spool_put_data(put, bytes, 10), ERR_OK);
	spool_put_abort(put);
	fixture_put_many(f, 2, 1);
	fixture_settle(f);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 1);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM chunks"), 1);
}

/* Flip a bit at every stride of the first segment, one after the other. */
static void no_bit_flipped_in_the_spool_loses_an_instance(void **state)
{
	struct fixture *f = *state;
	char path[160], cmd[512];
	struct fixture_items got;
	long offset;
	FILE *file;

	fixture_open(f);
	fixture_put_many(f, 1, 3);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(got.n, 3);
	offset = (long)got.items[1].first.offset;
	snprintf(path, sizeof(path), "%s/segment-%08x.spool", f->dir,
		 got.items[1].first.segment);
	fixture_close(f);
	assert_int_equal(access(path, F_OK), 0);
	for (long at = offset; at < offset + 4096 + 100; at += 241) {
		int byte;

		snprintf(cmd, sizeof(cmd), "rm -f %s/ledger.db*", f->dir);
		assert_int_equal(system(cmd), 0);
		file = fopen(path, "r+b");
		assert_non_null(file);
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		byte = fgetc(file);
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		assert_int_not_equal(fputc(byte ^ 4, file), EOF);
		assert_int_equal(fclose(file), 0);
		fixture_open(f);
		fixture_settle(f);
		/* The others are queued; this one is, too, if a second copy
		 * helped, or else it is quarantined, or its loss named. */
		assert_int_equal(
		    fixture_sql(f, "SELECT count(*) FROM v_deliveries WHERE"
				   " state='queued' AND sop_instance IN"
				   " ('1.2.3.4.1','1.2.3.4.3')"),
		    2);
		assert_true(fixture_sql(f, "SELECT count(*)>2 FROM instances") +
				fixture_sql(f, "SELECT count(*) FROM damage") >=
			    1);
		fixture_close(f);
		file = fopen(path, "r+b");
		assert_non_null(file);
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		assert_int_not_equal(fputc(byte, file), EOF);
		assert_int_equal(fclose(file), 0);
	}
}

static void a_segment_that_is_gone_quarantines_what_it_held(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	char path[160];

	fixture_open(f);
	fixture_put_many(f, 1, 2);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	snprintf(path, sizeof(path), "%s/segment-%08x.spool", f->dir,
		 got.items[0].first.segment);
	fixture_close(f);
	assert_int_equal(unlink(path), 0);
	fixture_open(f);
	fixture_await(f,
		      "SELECT count(*) FROM v_queue WHERE state='quarantined'"
		      " AND last_error LIKE '%missing%'",
		      2);
}

/* As after an old copy of the spool was restored. */
static void a_ledger_that_knows_more_than_its_spool_goes_on(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db;

	fixture_open(f);
	fixture_put_many(f, 1, 2);
	fixture_barrier(f);
	fixture_close(f);
	assert_int_equal(sqlite3_open(f->ledger, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "UPDATE spool_state SET applied=1<<40,"
				      "resume=1<<40",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	fixture_open(f); /* says ledger-ahead-of-spool */
	fixture_put_many(f, 3, 1);
	fixture_await(f, "SELECT count(*) FROM v_queue", 3);
}

static void an_instance_that_lost_a_chunk_is_quarantined(void **state)
{
	struct fixture *f = *state;
	struct fixture_items got;
	struct instance in = fixture_instance(1);
	struct place places[8];
	char cmd[512];

	fixture_open(f);
	fixture_put(f, &in, 4 * CHUNK_LEN);
	fixture_barrier(f);
	fixture_queued(f, "cloud", &got);
	assert_int_equal(fixture_places(f, got.items[0].seq, places, 8), 4);
	assert_true(places[0].segment != places[3].segment);
	fixture_close(f);
	snprintf(cmd, sizeof(cmd), "rm -f %s/ledger.db* %s/segment-%08x.spool",
		 f->dir, f->dir, places[0].segment);
	assert_int_equal(system(cmd), 0);
	fixture_open(f);
	fixture_await(f,
		      "SELECT count(*) FROM v_queue WHERE state='quarantined'"
		      " AND sop_instance='1.2.3.4.1'"
		      " AND last_error IS NOT NULL",
		      1);
}

static void while_the_database_is_locked_instances_are_still_taken(void **state)
{
	struct fixture *f = *state;
	struct db_options o = {.path = f->ledger, .cache_bytes = 1 << 20};
	struct ledger_stats st;
	sqlite3 *db;

	fixture_open(f);
	fixture_put_many(f, 1, 1);
	fixture_barrier(f);
	assert_int_equal(db_open(&o, &db, NULL), ERR_OK);
	fixture_lock(db);
	fixture_put_many(f, 2, 20);
	do {
		usleep(5000);
		ledger_stats(f->l, &st);
	} while (st.writable);
	assert_true(st.alert[0] != '\0');
	fixture_put_many(f, 22, 20);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM instances"), 1);
	assert_int_equal(db_exec(db, "ROLLBACK"), ERR_OK);
	db_close(db);
	fixture_await(f, "SELECT count(*) FROM instances", 41);
	ledger_stats(f->l, &st);
	assert_true(st.writable);
}

/* ---- secrecy ---------------------------------------------------------------
 */

static void identity_is_in_no_file_in_clear(void **state)
{
	struct fixture *f = *state;

	fixture_open(f);
	fixture_put_many(f, 1, 5);
	fixture_settle(f);
	assert_true(fixture_grep(f, "ct-room-2")); /* the test can find */
	assert_false(fixture_grep(f, "VERYSECRET"));
	fixture_close(f);
	assert_false(fixture_grep(f, "VERYSECRET"));
	assert_true(fixture_sql(f, "SELECT length(identity) FROM series") > 40);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(an_instance_in_the_spool_is_queued_as_it_came),
	    T(the_first_place_and_the_others_can_be_read),
	    T(an_empty_instance_is_queued_too),
	    T(an_instance_without_destination_is_quarantined),
	    T(the_queue_is_in_order_of_priority_then_arrival),
	    T(what_is_due_later_is_left_out_and_named),
	    T(a_later_delivery_of_one_uid_waits_for_the_earlier),
	    T(a_delivered_instance_keeps_its_rows_and_frees_its_chunks),
	    T(held_and_quarantined_ones_come_back_when_released),
	    T(a_redirected_delivery_is_queued_at_the_target),
	    T(a_discarded_one_frees_its_space_and_stays_discarded),
	    T(a_restart_goes_on_where_it_was),
	    T(a_transfer_that_spans_a_restart_of_the_ledger_is_whole),
	    T(an_aborted_transfer_leaves_nothing),
	    T(no_bit_flipped_in_the_spool_loses_an_instance),
	    T(a_segment_that_is_gone_quarantines_what_it_held),
	    T(a_ledger_that_knows_more_than_its_spool_goes_on),
	    T(an_instance_that_lost_a_chunk_is_quarantined),
	    T(while_the_database_is_locked_instances_are_still_taken),
	    T(identity_is_in_no_file_in_clear),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
