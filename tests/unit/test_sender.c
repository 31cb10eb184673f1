#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/destination.h"
#include "proxy/lib/mem.h"
#include "proxy/recent.h"
#include "proxy/sender.h"
#include "tests/unit/delivery_kit.h"

#define OTHER_CLASS "1.2.840.10008.5.1.4.1.1.2"

static const char config[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: ARCHIVE, max_pdu: 16384,\n"
    "      timeouts: {connect: 1s, associate: 1s, response: 1500ms,\n"
    "                 idle: 100ms}}\n"
    "routes: [{service: storage, forward: [a]}]\n";

struct fixture {
	struct kit k;
	struct destination *destination;
	struct recent *recent;
	struct reader *reader;
	struct sender *sender;
	bool closed;
	struct task *tasks[32]; /* as they came back */
	size_t n_back;
	struct ledger_item items[32];
	_Atomic size_t n_items;
};

static struct fixture *now; /* for task.done, which has no argument */

static void on_task(struct msg *m)
{
	now->tasks[now->n_back++] = CONTAINER_OF(m, struct task, msg);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sender_env env;
	char why[768];

	now = f;
	kit_open(&f->k);
	kit_config(&f->k, config);
	assert_int_equal(destination_open(&f->k.config->destinations[0],
					  &f->destination, why),
			 ERR_OK);
	f->destination->capabilities = f->k.capabilities;
	f->destination->ledger = f->k.ledger;
	assert_int_equal(recent_new(&f->recent), ERR_OK);
	assert_int_equal(reader_new(2, 64, "t", &f->reader), ERR_OK);
	env = (struct sender_env){.destination = f->destination,
				  .worker = f->k.workers[0],
				  .main = &f->k.mailbox,
				  .reader = f->reader,
				  .spool = f->k.spool,
				  .ledger = f->k.ledger,
				  .recent = f->recent};
	assert_int_equal(sender_new(&env, &f->sender), ERR_OK);
	*state = f;
	return 0;
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static void close_sender(struct fixture *f)
{
	sender_close(f->sender, on_closed, f);
	KIT_UNTIL(&f->k, f->closed);
	f->sender = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->sender != NULL)
		close_sender(f);
	for (size_t i = 0; i < f->n_back; i++)
		mem_free(f->tasks[i]);
	reader_free(f->reader);
	recent_free(f->recent);
	destination_close(f->destination);
	kit_close(&f->k);
	free(f);
	return 0;
}

/* ---- helpers ----------------------------------------------------------- */

static void on_fetched(void *arg, const struct ledger_fetched *got)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < got->n; i++)
		f->items[i] = got->items[i];
	atomic_store(&f->n_items, got->n);
}

/* Read all that is queued into f->items. */
static void fetch(struct fixture *f, size_t n)
{
	struct ledger_query q = {.destination = "a",
				 .state = DELIVERY_QUEUED,
				 .after = LEDGER_CURSOR_START,
				 .max = 32};

	kit_barrier(&f->k);
	assert_int_equal(ledger_fetch(f->k.ledger, &q, on_fetched, f), ERR_OK);
	KIT_UNTIL(&f->k, atomic_load(&f->n_items) == n);
}

static void give(struct fixture *f, size_t i)
{
	struct task *t = mem_zalloc(sizeof(*t));

	t->item = f->items[i];
	destination_aes(f->destination->config, t->item.calling_ae,
			t->item.called_ae, t->calling_ae, t->called_ae);
	t->done = on_task;
	sender_give(f->sender, t);
}

/* Put one in, give it, wait for it. */
static const struct task *send_one(struct fixture *f,
				   const struct kit_instance *i)
{
	kit_put(&f->k, i, NULL);
	fetch(f, 1);
	give(f, 0);
	KIT_UNTIL(&f->k, f->n_back == 1);
	return f->tasks[0];
}

static void assert_stored(const struct fixture *f, size_t store, unsigned n,
			  size_t length)
{
	const struct fake_store *s = &f->k.scp[0].stores[store];

	assert_int_equal(s->length, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(s->bytes[i], kit_byte(n, i));
}

/* ---- what arrives ------------------------------------------------------ */

static void bytes_arrive_as_they_came(void **state)
{
	struct fixture *f = *state;
	static const size_t lengths[] = {1, 2, 999, 16372, 1048576, 2621440};

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		kit_put(&f->k, &(struct kit_instance){.length = lengths[i]},
			NULL);
	fetch(f, ARRAY_LEN(lengths));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		give(f, i);
	KIT_UNTIL(&f->k, f->n_back == ARRAY_LEN(lengths));
	assert_int_equal(f->k.scp[0].associations, 1);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		assert_int_equal(f->tasks[i]->end, TASK_ANSWERED);
		assert_int_equal(f->tasks[i]->verdict.fate, FATE_DELIVERED);
		assert_stored(f, i, (unsigned)i, lengths[i]);
		assert_true(f->k.scp[0].stores[i].largest <= 16384);
		assert_false(f->k.scp[0].stores[i].odd);
	}
}

static void an_empty_data_set_is_sent(void **state)
{
	struct fixture *f = *state;
	const struct task *t =
	    send_one(f, &(struct kit_instance){.empty = true});

	assert_int_equal(t->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->k.scp[0].stores[0].length, 0);
}

static void small_and_unlimited_lengths_of_the_peer_are_kept(void **state)
{
	static const uint32_t limits[] = {0, 8, 100, 4096, 1 << 20};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		/* two bytes a PDU: not too many of them */
		uint32_t length = limits[i] == 8 ? 6000 : 300000;

		f->k.scp[0].max_pdu = limits[i];
		send_one(f, &(struct kit_instance){.length = length});
		assert_int_equal(f->tasks[0]->verdict.fate, FATE_DELIVERED);
		assert_stored(f, 0, 0, length);
		if (limits[i] != 0)
			assert_true(f->k.scp[0].stores[0].largest <= limits[i]);
		teardown(state);
		setup(state);
		f = *state;
	}
}

static void move_originator_and_priority_are_kept(void **state)
{
	struct fixture *f = *state;
	const struct fake_store *s = f->k.scp[0].stores;

	send_one(f, &(struct kit_instance){.originator = "MOVER",
					   .originator_id = 777,
					   .dicom_priority = 2});
	assert_true(s->has_originator);
	assert_string_equal(s->originator, "MOVER");
	assert_int_equal(s->originator_id, 777);
	assert_int_equal(s->priority, 2);
	assert_string_equal(s->sop_instance, "1.2.3.0");
}

static void ae_titles_are_mapped_and_each_pair_has_its_association(void **state)
{
	struct fixture *f = *state;

	kit_put(&f->k, &(struct kit_instance){.calling_ae = "CT1"}, NULL);
	kit_put(&f->k, &(struct kit_instance){.calling_ae = "CT2"}, NULL);
	fetch(f, 2);
	give(f, 0);
	give(f, 1);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->k.scp[0].associations, 2);
	assert_int_equal(f->k.scp[0].releases, 1);
	assert_string_equal(f->k.scp[0].called, "ARCHIVE");
	assert_string_equal(f->k.scp[0].calling, "CT2");
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
}

static void an_idle_association_is_released(void **state)
{
	struct fixture *f = *state;

	send_one(f, &(struct kit_instance){0});
	assert_true(sender_is_open(f->sender));
	KIT_UNTIL(&f->k, f->k.scp[0].releases == 1);
	KIT_UNTIL(&f->k, !sender_is_open(f->sender));
	assert_int_equal(f->k.scp[0].aborts, 0);
}

static void an_answer_teaches_the_capability_table(void **state)
{
	struct fixture *f = *state;
	struct capability_key key = {.destination = "a",
				     .calling_ae = "DEV",
				     .called_ae = "ARCHIVE",
				     .abstract = "1.2.840.10008.5.1.4.1.1.7",
				     .transfer_syntax = "1.2.840.10008.1.2.1"};

	assert_int_equal(capability_lookup(f->k.capabilities, &key, NULL),
			 CAPABILITY_UNKNOWN);
	send_one(f, &(struct kit_instance){0});
	assert_int_equal(capability_lookup(f->k.capabilities, &key, NULL),
			 CAPABILITY_ACCEPTED);
}

/* ---- what goes wrong --------------------------------------------------- */

static void a_status_becomes_its_verdict_with_the_comment(void **state)
{
	struct fixture *f = *state;
	const struct task *t;

	f->k.scp[0].status = 0xA700;
	t = send_one(f, &(struct kit_instance){0});
	assert_int_equal(t->end, TASK_ANSWERED);
	assert_int_equal(t->verdict.fate, FATE_RETRY);
	assert_int_equal(t->verdict.status, 0xA700);
	assert_non_null(strstr(t->detail, "because"));
}

static void a_status_before_the_last_fragment_counts(void **state)
{
	struct fixture *f = *state;
	const struct task *t;

	f->k.scp[0].status = 0xA702;
	f->k.scp[0].on_store = FAKE_EARLY;
	t = send_one(f, &(struct kit_instance){.length = 3000000});
	assert_int_equal(t->verdict.status, 0xA702);
	assert_true(sender_is_open(f->sender));
}

static void a_rejection_speaks_of_the_pair(void **state)
{
	struct fixture *f = *state;
	const struct task *t;

	f->k.scp[0].on_rq = FAKE_REJECT;
	memcpy(f->k.scp[0].reject, (uint8_t[3]){1, 1, 3}, 3);
	t = send_one(f, &(struct kit_instance){0});
	assert_int_equal(t->end, TASK_NOT_OPENED);
	assert_int_equal(t->verdict.fate, FATE_HOLD_DESTINATION);
	assert_non_null(strstr(t->detail, "1/1/3"));
	assert_non_null(strstr(t->detail, "DEV"));
}

static void a_refused_context_stops_only_its_own(void **state)
{
	struct fixture *f = *state;

	strcpy(f->k.scp[0].refuse_class, OTHER_CLASS);
	f->k.scp[0].refuse = true;
	kit_put(&f->k, &(struct kit_instance){.sop_class = OTHER_CLASS}, NULL);
	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	fetch(f, 2);
	give(f, 0);
	give(f, 1);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->tasks[0]->end, TASK_ANSWERED);
	assert_int_equal(f->tasks[0]->verdict.fate, FATE_HOLD_CONTEXT);
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
}

static void failing(void **state, int on_rq, int on_store, size_t length,
		    enum task_end end, enum failure want)
{
	struct fixture *f = *state;
	struct verdict v = outcome_of_failure(want);
	const struct task *t;

	f->k.scp[0].on_rq = on_rq;
	f->k.scp[0].on_store = on_store;
	t = send_one(f, &(struct kit_instance){.length = length});
	assert_int_equal(t->end, end);
	assert_string_equal(t->verdict.code, v.code);
	/* and it goes on when the archive is well */
	f->k.scp[0].on_rq = FAKE_ACCEPT;
	f->k.scp[0].on_store = FAKE_ANSWER;
	give(f, 0);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
}

static void silence_instead_of_an_answer_is_a_timeout(void **state)
{
	failing(state, FAKE_SILENT_RQ, 0, 0, TASK_NOT_OPENED,
		FAIL_ASSOCIATE_TIMEOUT);
}

static void a_close_instead_of_an_answer_is_told(void **state)
{
	failing(state, FAKE_CLOSE_RQ, 0, 0, TASK_NOT_OPENED,
		FAIL_ASSOCIATE_LOST);
}

static void garbage_instead_of_an_answer_is_told(void **state)
{
	failing(state, FAKE_GARBAGE_RQ, 0, 0, TASK_NOT_OPENED, FAIL_NOT_DICOM);
}

static void a_close_on_an_instance_is_a_loss(void **state)
{
	failing(state, 0, FAKE_CLOSE, 0, TASK_ANSWERED, FAIL_LOST);
}

static void silence_on_an_instance_is_a_timeout(void **state)
{
	failing(state, 0, FAKE_SILENT, 0, TASK_ANSWERED, FAIL_RESPONSE_TIMEOUT);
}

static void a_peer_that_stops_reading_is_a_timeout(void **state)
{
	failing(state, 0, FAKE_STOP_READING, 30 * 1024 * 1024, TASK_ANSWERED,
		FAIL_SEND_TIMEOUT);
}

static void garbage_on_an_instance_is_a_breach(void **state)
{
	failing(state, 0, FAKE_GARBAGE, 0, TASK_ANSWERED, FAIL_PROTOCOL);
}

static void an_abort_on_an_instance_is_suspect(void **state)
{
	struct fixture *f = *state;
	const struct task *t;

	f->k.scp[0].on_store = FAKE_ABORT;
	t = send_one(f, &(struct kit_instance){0});
	assert_int_equal(t->end, TASK_ANSWERED);
	assert_int_equal(t->verdict.fate, FATE_SUSPECT);
	assert_true(t->verdict.isolate);
}

static void nobody_there_speaks_of_the_destination(void **state)
{
	struct fixture *f = *state;
	const struct task *t;
	uint16_t port = f->k.scp[0].port;

	fake_stop(&f->k.scp[0]);
	t = send_one(f, &(struct kit_instance){0});
	assert_int_equal(t->end, TASK_NOT_OPENED);
	assert_string_equal(t->verdict.code, "connect");
	assert_true(strlen(t->detail) > 0);
	fake_start(&f->k.scp[0], port);
	give(f, 0);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
}

static struct place second_place;
static _Atomic bool have_second;

static void on_second(void *arg, enum err e, const struct place *places,
		      size_t n)
{
	(void)arg;
	assert_int_equal(e, ERR_OK);
	assert_int_equal(n, 1);
	second_place = places[0];
	atomic_store(&have_second, true);
}

/* Nothing of a chunk leaves before its seal was verified; the message in the
 * middle is given up, and the next instance goes on. */
static void damage_in_the_middle_stops_that_instance_only(void **state)
{
	struct fixture *f = *state;

	kit_put(&f->k, &(struct kit_instance){.length = 2500000}, NULL);
	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	fetch(f, 2);
	atomic_store(&have_second, false);
	assert_int_equal(
	    ledger_places(f->k.ledger, f->items[0].seq, 1, 1, on_second, NULL),
	    ERR_OK);
	KIT_UNTIL(&f->k, atomic_load(&have_second));
	kit_damage(&f->k, second_place);
	give(f, 0);
	give(f, 1);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->tasks[0]->verdict.fate, FATE_QUARANTINE);
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->k.scp[0].n_stores, 1);
	assert_int_equal(f->k.scp[0].aborts, 1);
}

static void damage_in_the_first_chunk_keeps_the_association(void **state)
{
	struct fixture *f = *state;

	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	fetch(f, 2);
	kit_damage(&f->k, f->items[0].first);
	give(f, 0);
	give(f, 1);
	KIT_UNTIL(&f->k, f->n_back == 2);
	assert_int_equal(f->tasks[0]->verdict.fate, FATE_QUARANTINE);
	assert_int_equal(f->tasks[1]->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->k.scp[0].associations, 1);
}

/* ---- the end ----------------------------------------------------------- */

static void closing_gives_every_task_back(void **state)
{
	struct fixture *f = *state;

	f->k.scp[0].on_store = FAKE_SILENT;
	for (int i = 0; i < 3; i++)
		kit_put(&f->k, &(struct kit_instance){0}, NULL);
	fetch(f, 3);
	for (size_t i = 0; i < 3; i++)
		give(f, i);
	KIT_UNTIL(&f->k, sender_is_open(f->sender));
	close_sender(f);
	assert_int_equal(f->n_back, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(f->tasks[i]->verdict.code, "stopped");
}

/* Close after 0, 1, 2, ... milliseconds: everything ends every time. */
static void may_be_closed_at_any_moment(void **state)
{
	for (unsigned ms = 0; ms < 12; ms++) {
		struct fixture *f = *state;

		kit_put(&f->k, &(struct kit_instance){.length = 3000000}, NULL);
		fetch(f, 1);
		give(f, 0);
		kit_for(&f->k, ms);
		close_sender(f);
		assert_int_equal(f->n_back, 1);
		teardown(state);
		setup(state);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(bytes_arrive_as_they_came),
	    T(an_empty_data_set_is_sent),
	    T(small_and_unlimited_lengths_of_the_peer_are_kept),
	    T(move_originator_and_priority_are_kept),
	    T(ae_titles_are_mapped_and_each_pair_has_its_association),
	    T(an_idle_association_is_released),
	    T(an_answer_teaches_the_capability_table),
	    T(a_status_becomes_its_verdict_with_the_comment),
	    T(a_status_before_the_last_fragment_counts),
	    T(a_rejection_speaks_of_the_pair),
	    T(a_refused_context_stops_only_its_own),
	    T(silence_instead_of_an_answer_is_a_timeout),
	    T(a_close_instead_of_an_answer_is_told),
	    T(garbage_instead_of_an_answer_is_told),
	    T(a_close_on_an_instance_is_a_loss),
	    T(silence_on_an_instance_is_a_timeout),
	    T(a_peer_that_stops_reading_is_a_timeout),
	    T(garbage_on_an_instance_is_a_breach),
	    T(an_abort_on_an_instance_is_suspect),
	    T(nobody_there_speaks_of_the_destination),
	    T(damage_in_the_middle_stops_that_instance_only),
	    T(damage_in_the_first_chunk_keeps_the_association),
	    T(closing_gives_every_task_back),
	    T(may_be_closed_at_any_moment),
	};

	return cmocka_run_group_tests_name("sender", tests, NULL, NULL);
}
