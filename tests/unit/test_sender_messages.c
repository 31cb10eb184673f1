#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/commitment.h"
#include "proxy/destination.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/mem.h"
#include "proxy/message_scp.h"
#include "proxy/recent.h"
#include "proxy/sender.h"
#include "tests/unit/delivery_kit.h"
#include "tests/unit/fake_commitment.h"

#define MPPS_INSTANCE "1.2.3.4.5"
#define TRANSACTION   "1.2.3.999"

static const char config[] =
    "destinations:\n"
    "  a: {protocol: dicom, endpoints: [\"127.0.0.1:%u\"],\n"
    "      plaintext: {allowed: test}, ae_title: ARCHIVE, max_pdu: 16384,\n"
    "      timeouts: {connect: 1s, associate: 1s, response: 1500ms,\n"
    "                 idle: 150ms}}\n"
    "routes: [{service: storage, forward: [a]}]\n";

/* ---- fixture ----------------------------------------------------------- */

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
	struct fake_scp *scp;
};

static struct fixture *now; /* for task.done, which has no argument */

static void on_task(struct msg *m)
{
	now->tasks[now->n_back++] = CONTAINER_OF(m, struct task, msg);
}

static void new_sender(struct fixture *f, struct commitment *c)
{
	struct sender_env env = {.destination = f->destination,
				 .worker = f->k.workers[0],
				 .main = &f->k.mailbox,
				 .reader = f->reader,
				 .spool = f->k.spool,
				 .ledger = f->k.ledger,
				 .recent = f->recent,
				 .commitment = c,
				 .since_ms = 1000};

	assert_int_equal(sender_new(&env, &f->sender), ERR_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[768];

	now = f;
	engine.e = ERR_OK;
	engine.status = 0;
	engine.keep = false;
	engine.n = 0;
	kit_open(&f->k);
	kit_config(&f->k, config);
	assert_int_equal(destination_open(&f->k.config->destinations[0],
					  &f->destination, why),
			 ERR_OK);
	f->destination->capabilities = f->k.capabilities;
	f->destination->ledger = f->k.ledger;
	assert_int_equal(recent_new(&f->recent), ERR_OK);
	assert_int_equal(reader_new(2, 64, "t", &f->reader), ERR_OK);
	new_sender(f, &engine);
	f->scp = &f->k.scp[0];
	*state = f;
	return 0;
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static void close_sender(struct fixture *f)
{
	f->closed = false;
	sender_close(f->sender, on_closed, f);
	KIT_UNTIL(&f->k, f->closed);
	f->sender = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->sender != NULL)
		close_sender(f);
	KIT_UNTIL(&f->k, message_pending() == 0);
	for (size_t i = 0; i < f->n_back; i++)
		mem_free(f->tasks[i]);
	reader_free(f->reader);
	recent_free(f->recent);
	destination_close(f->destination);
	kit_close(&f->k);
	free(f);
	free(engine.data);
	engine.data = NULL;
	return 0;
}

/* ---- helpers ----------------------------------------------------------- */

static struct kit_instance message(uint16_t command)
{
	struct kit_instance i = {.command = command,
				 .sop_class = UID_MPPS,
				 .sop_instance = MPPS_INSTANCE,
				 .transfer_syntax = UID_IMPLICIT_LE};

	if (command == N_ACTION_RQ || command == N_EVENT_REPORT_RQ) {
		i.sop_class = UID_COMMITMENT;
		i.sop_instance = UID_COMMITMENT_INSTANCE;
		i.transaction = TRANSACTION;
		i.type = 1;
	}
	return i;
}

static void on_fetched(void *arg, const struct ledger_fetched *got)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < got->n; i++)
		f->items[i] = got->items[i];
	atomic_store(&f->n_items, got->n);
}

/* Read all that is queued into f->items, by priority and arrival. */
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

static const struct task *back(struct fixture *f, size_t n)
{
	KIT_UNTIL(&f->k, f->n_back == n);
	return f->tasks[n - 1];
}

static const struct task *send_one(struct fixture *f, uint16_t command)
{
	struct kit_instance i = message(command);

	kit_put(&f->k, &i, NULL);
	fetch(f, 1);
	give(f, 0);
	return back(f, 1);
}

static void answered(struct fixture *f)
{
	KIT_UNTIL(&f->k, f->scp->n_answers == 1);
}

/* ---- what leaves ------------------------------------------------------- */

static void each_request_leaves_as_the_standard_says(void **state)
{
	static const struct {
		uint16_t field;
		bool requested;
		uint16_t type;
	} rows[] = {
	    {N_CREATE_RQ, false, 0},
	    {N_SET_RQ, true, 0},
	    {N_ACTION_RQ, true, 1},
	    {N_EVENT_REPORT_RQ, false, 1},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kit_instance in = message(rows[i].field);

		in.length = 40000;
		kit_put(&f->k, &in, NULL);
	}
	fetch(f, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		give(f, i);
	back(f, ARRAY_LEN(rows));
	assert_int_equal(f->scp->n_stores, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fake_store *s = &f->scp->stores[i];
		struct kit_instance in = message(rows[i].field);

		assert_int_equal(f->tasks[i]->verdict.fate, FATE_DELIVERED);
		assert_int_equal(s->field, rows[i].field);
		assert_int_equal(s->requested, rows[i].requested);
		assert_int_equal(s->type, rows[i].type);
		assert_string_equal(s->sop_class, in.sop_class);
		assert_string_equal(s->sop_instance, in.sop_instance);
		assert_int_equal(s->length, 40000);
		for (size_t b = 0; b < 40000; b++)
			assert_int_equal(s->bytes[b], kit_byte((unsigned)i, b));
	}
}

static void an_empty_message_has_no_data_set(void **state)
{
	struct fixture *f = *state;
	struct kit_instance i = message(N_CREATE_RQ);

	i.empty = true;
	kit_put(&f->k, &i, NULL);
	fetch(f, 1);
	give(f, 0);
	assert_int_equal(back(f, 1)->verdict.fate, FATE_DELIVERED);
	assert_true(f->scp->stores[0].no_data);
	assert_int_equal(f->scp->stores[0].length, 0);
}

static void messages_and_instances_share_an_association(void **state)
{
	struct fixture *f = *state;
	struct kit_instance i = message(N_CREATE_RQ);

	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	kit_put(&f->k, &i, NULL);
	kit_put(&f->k, &(struct kit_instance){0}, NULL);
	fetch(f, 3);
	for (size_t n = 0; n < 3; n++)
		give(f, n);
	back(f, 3);
	assert_int_equal(f->scp->associations, 1);
	/* the message goes first: nothing waits longer for it */
	assert_int_equal(f->scp->stores[0].field, N_CREATE_RQ);
	assert_int_equal(f->scp->stores[1].field, C_STORE_RQ);
}

/* ---- roles ------------------------------------------------------------- */

static void requests_need_no_role(void **state)
{
	struct fixture *f = *state;

	send_one(f, N_ACTION_RQ);
	assert_int_equal(f->scp->n_roles, 0);
}

static void a_report_is_sent_in_the_role_of_the_scp(void **state)
{
	struct fixture *f = *state;

	f->scp->on_role = FAKE_ROLE_GRANT;
	assert_int_equal(send_one(f, N_EVENT_REPORT_RQ)->verdict.fate,
			 FATE_DELIVERED);
	assert_int_equal(f->scp->n_roles, 1);
	assert_int_equal(f->scp->role_scu, 0);
	assert_int_equal(f->scp->role_scp, 1);
}

static void who_says_nothing_of_roles_gets_its_report(void **state)
{
	struct fixture *f = *state;

	f->scp->on_role = FAKE_ROLE_OMIT;
	assert_int_equal(send_one(f, N_EVENT_REPORT_RQ)->verdict.fate,
			 FATE_DELIVERED);
}

static void a_refused_role_holds_the_report_with_a_remedy(void **state)
{
	struct fixture *f = *state;
	const struct task *t;

	f->scp->on_role = FAKE_ROLE_REFUSE;
	t = send_one(f, N_EVENT_REPORT_RQ);
	assert_int_equal(t->verdict.fate, FATE_HOLD_CONTEXT);
	assert_string_equal(t->verdict.code, "role-refused");
	assert_int_equal(f->scp->n_stores, 0);
}

static void both_roles_are_asked_for_when_both_are_needed(void **state)
{
	struct fixture *f = *state;
	struct kit_instance action = message(N_ACTION_RQ);
	struct kit_instance event = message(N_EVENT_REPORT_RQ);

	f->scp->on_role = FAKE_ROLE_GRANT;
	kit_put(&f->k, &action, NULL);
	kit_put(&f->k, &event, NULL);
	/* given at once: both are known when the association is opened */
	f->scp->delay_ms = 20;
	kit_put(&f->k, &(struct kit_instance){.calling_ae = "CT1"}, NULL);
	fetch(f, 3);
	give(f, 2);
	give(f, 0);
	give(f, 1);
	back(f, 3);
	assert_int_equal(f->scp->associations, 2);
	assert_int_equal(f->scp->role_scu, 1);
	assert_int_equal(f->scp->role_scp, 1);
}

static void a_report_waits_for_an_association_with_its_role(void **state)
{
	struct fixture *f = *state;
	struct kit_instance action = message(N_ACTION_RQ);
	struct kit_instance event = message(N_EVENT_REPORT_RQ);

	f->scp->on_role = FAKE_ROLE_GRANT;
	kit_put(&f->k, &action, NULL);
	kit_put(&f->k, &event, NULL);
	fetch(f, 2);
	give(f, 0);
	back(f, 1);
	give(f, 1);
	assert_int_equal(back(f, 2)->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->scp->associations, 2);
	assert_int_equal(f->scp->aborts, 0);
}

/* ---- what is answered -------------------------------------------------- */

static void what_is_there_already_is_delivered(void **state)
{
	struct fixture *f = *state;

	f->scp->status = 0x0111;
	assert_int_equal(send_one(f, N_CREATE_RQ)->verdict.fate, FATE_FLAGGED);
}

static void a_change_of_what_is_not_there_is_suspect(void **state)
{
	struct fixture *f = *state;

	f->scp->status = 0x0112;
	assert_int_equal(send_one(f, N_SET_RQ)->verdict.fate, FATE_SUSPECT);
}

static void a_closed_step_tells_a_lost_answer_from_a_refusal(void **state)
{
	struct fixture *f = *state;

	f->scp->status = 0x0110;
	f->scp->error_id = 0xA710;
	assert_string_equal(send_one(f, N_SET_RQ)->verdict.code, "step-closed");
	f->items[0].attempts = 1;
	give(f, 0);
	assert_int_equal(back(f, 2)->verdict.fate, FATE_FLAGGED);
	f->items[0].attempts = 0;
	f->items[0].received_ms = 999; /* by a process before this one */
	give(f, 0);
	assert_int_equal(back(f, 3)->verdict.fate, FATE_FLAGGED);
}

/* ---- what the archive asks --------------------------------------------- */

static uint8_t report_data[9 * 1024 * 1024];

static void will_report(struct fixture *f, enum fake_when when, size_t length)
{
	struct fake_ask *a = &f->scp->ask;

	for (size_t i = 0; i < length; i++)
		report_data[i] = (uint8_t)(i * 3 + i / 253);
	a->field = N_EVENT_REPORT_RQ;
	a->type = 2;
	strcpy(a->sop_class, UID_COMMITMENT);
	strcpy(a->sop_instance, UID_COMMITMENT_INSTANCE);
	a->data = report_data;
	a->length = length;
	atomic_store(&a->when, when);
}

static void assert_reported(struct fixture *f, size_t length)
{
	answered(f);
	assert_int_equal(engine.n, 1);
	assert_int_equal(engine.len, length);
	assert_memory_equal(engine.data, report_data, length);
	assert_int_equal(engine.event_type, 2);
	assert_string_equal(engine.from, "a");
	assert_string_equal(engine.transfer_syntax, UID_IMPLICIT_LE);
	assert_int_equal(f->scp->answer.field, N_EVENT_REPORT_RSP);
	assert_int_equal(f->scp->answer.responded_id, 4711);
	assert_int_equal(f->scp->answer.type, 2);
	assert_string_equal(f->scp->answer.sop_class, UID_COMMITMENT);
	assert_string_equal(f->scp->answer.sop_instance,
			    UID_COMMITMENT_INSTANCE);
}

static void a_report_after_the_response_reaches_the_engine(void **state)
{
	struct fixture *f = *state;

	will_report(f, FAKE_AFTER, 100000);
	assert_int_equal(send_one(f, N_ACTION_RQ)->verdict.fate,
			 FATE_DELIVERED);
	assert_reported(f, 100000);
	assert_int_equal(f->scp->answer.status, 0);
	KIT_UNTIL(&f->k, f->scp->releases == 1);
	assert_int_equal(f->scp->aborts, 0);
}

static void a_report_before_the_response_reaches_the_engine(void **state)
{
	struct fixture *f = *state;

	will_report(f, FAKE_BEFORE, 500);
	assert_int_equal(send_one(f, N_ACTION_RQ)->verdict.fate,
			 FATE_DELIVERED);
	assert_reported(f, 500);
}

/* Our own message is finished before the answer: fragments of two are never
 * mixed. */
static void a_report_in_the_midst_of_ours_is_answered_after_it(void **state)
{
	struct fixture *f = *state;
	struct kit_instance i = message(N_ACTION_RQ);

	will_report(f, FAKE_DURING, 500);
	i.length = 8 * 1024 * 1024;
	kit_put(&f->k, &i, NULL);
	fetch(f, 1);
	give(f, 0);
	assert_int_equal(back(f, 1)->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->scp->stores[0].length, i.length);
	assert_reported(f, 500);
	assert_false(f->scp->answer.mixed);
}

static void the_engines_status_is_the_answer(void **state)
{
	struct fixture *f = *state;

	engine.status = STATUS_PROCESSING_FAILURE;
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	assert_reported(f, 500);
	assert_int_equal(f->scp->answer.status, STATUS_PROCESSING_FAILURE);
	assert_non_null(strstr(f->scp->answer.comment, "transaction"));
}

/* Longer than the association would be kept without it. */
static void the_association_waits_for_the_engine(void **state)
{
	struct fixture *f = *state;

	engine.keep = true;
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	KIT_UNTIL(&f->k, engine.n == 1);
	kit_for(&f->k, 250);
	assert_int_equal(f->scp->n_answers, 0);
	assert_int_equal(f->scp->releases, 0);
	engine.done(engine.arg, 0);
	assert_reported(f, 500);
}

static void messages_go_on_while_the_engine_thinks(void **state)
{
	struct fixture *f = *state;

	engine.keep = true;
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	KIT_UNTIL(&f->k, engine.n == 1);
	give(f, 0);
	assert_int_equal(back(f, 2)->verdict.fate, FATE_DELIVERED);
	assert_int_equal(f->scp->associations, 1);
	engine.done(engine.arg, 0);
	assert_reported(f, 500);
}

static void an_engine_that_is_full_asks_for_a_repetition(void **state)
{
	struct fixture *f = *state;

	engine.e = ERR_BUSY;
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	answered(f);
	assert_int_equal(f->scp->answer.status, STATUS_RESOURCE_LIMIT);
}

static void a_report_without_end_is_refused(void **state)
{
	struct fixture *f = *state;

	will_report(f, FAKE_AFTER, sizeof(report_data));
	send_one(f, N_ACTION_RQ);
	answered(f);
	assert_int_equal(engine.n, 0);
	assert_int_equal(f->scp->answer.status, STATUS_RESOURCE_LIMIT);
}

static void without_an_engine_no_transaction_is_known(void **state)
{
	struct fixture *f = *state;

	close_sender(f);
	new_sender(f, NULL);
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	answered(f);
	assert_int_equal(f->scp->answer.status, STATUS_PROCESSING_FAILURE);
}

static void what_is_no_report_of_commitment_is_refused(void **state)
{
	static const struct {
		const char *sop_instance;
		uint16_t type;
		bool data;
		uint16_t status;
	} rows[] = {
	    {"1.2.3", 1, true, STATUS_NO_SUCH_INSTANCE},
	    {UID_COMMITMENT_INSTANCE, 3, true, STATUS_NO_SUCH_EVENT},
	    {UID_COMMITMENT_INSTANCE, 1, false, STATUS_MISTYPED_ARGUMENT},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture *f = *state;

		will_report(f, FAKE_AFTER, 500);
		strcpy(f->scp->ask.sop_instance, rows[i].sop_instance);
		f->scp->ask.type = rows[i].type;
		if (!rows[i].data)
			f->scp->ask.data = NULL;
		send_one(f, N_ACTION_RQ);
		answered(f);
		assert_int_equal(f->scp->answer.status, rows[i].status);
		assert_int_equal(engine.n, 0);
		teardown(state);
		setup(state);
	}
}

static void no_other_request_is_served(void **state)
{
	static const uint16_t fields[] = {C_STORE_RQ, C_ECHO_RQ, C_FIND_RQ,
					  N_GET_RQ,   N_SET_RQ,  0x0777};

	for (size_t i = 0; i < ARRAY_LEN(fields) * 2; i++) {
		struct fixture *f = *state;

		will_report(f, FAKE_AFTER, 20000);
		f->scp->ask.field = fields[i / 2];
		if (i % 2 == 1)
			f->scp->ask.data = NULL;
		send_one(f, N_CREATE_RQ);
		answered(f);
		assert_int_equal(f->scp->answer.status,
				 STATUS_UNRECOGNIZED_OPERATION);
		assert_int_equal(f->scp->answer.field,
				 fields[i / 2] | COMMAND_RESPONSE);
		assert_int_equal(f->scp->aborts, 0);
		teardown(state);
		setup(state);
	}
}

static void a_report_that_never_ends_is_given_up(void **state)
{
	struct fixture *f = *state;

	will_report(f, FAKE_HALF, 500);
	send_one(f, N_ACTION_RQ);
	KIT_UNTIL(&f->k, f->scp->aborts == 1);
	assert_int_equal(engine.n, 0);
	atomic_store(&f->scp->ask.when, FAKE_NEVER);
	give(f, 0);
	assert_int_equal(back(f, 2)->verdict.fate, FATE_DELIVERED);
}

static void closing_does_not_wait_for_the_engine(void **state)
{
	struct fixture *f = *state;

	engine.keep = true;
	will_report(f, FAKE_AFTER, 500);
	send_one(f, N_ACTION_RQ);
	KIT_UNTIL(&f->k, engine.n == 1);
	close_sender(f);
	assert_int_equal(message_pending(), 1);
	engine.done(engine.arg, 0); /* teardown sees that it is over */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(each_request_leaves_as_the_standard_says),
	    T(an_empty_message_has_no_data_set),
	    T(messages_and_instances_share_an_association),
	    T(requests_need_no_role),
	    T(a_report_is_sent_in_the_role_of_the_scp),
	    T(who_says_nothing_of_roles_gets_its_report),
	    T(a_refused_role_holds_the_report_with_a_remedy),
	    T(both_roles_are_asked_for_when_both_are_needed),
	    T(a_report_waits_for_an_association_with_its_role),
	    T(what_is_there_already_is_delivered),
	    T(a_change_of_what_is_not_there_is_suspect),
	    T(a_closed_step_tells_a_lost_answer_from_a_refusal),
	    T(a_report_after_the_response_reaches_the_engine),
	    T(a_report_before_the_response_reaches_the_engine),
	    T(a_report_in_the_midst_of_ours_is_answered_after_it),
	    T(the_engines_status_is_the_answer),
	    T(the_association_waits_for_the_engine),
	    T(messages_go_on_while_the_engine_thinks),
	    T(an_engine_that_is_full_asks_for_a_repetition),
	    T(a_report_without_end_is_refused),
	    T(without_an_engine_no_transaction_is_known),
	    T(what_is_no_report_of_commitment_is_refused),
	    T(no_other_request_is_served),
	    T(a_report_that_never_ends_is_given_up),
	    T(closing_does_not_wait_for_the_engine),
	};

	return cmocka_run_group_tests_name("sender messages", tests, NULL,
					   NULL);
}
