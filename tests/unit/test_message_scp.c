#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/commitment.h"
#include "proxy/dicom/commit.h"
#include "proxy/lib/mem.h"
#include "proxy/message_scp.h"
#include "proxy/negotiate.h"
#include "proxy/store_scp.h"
#include "tests/unit/delivery_kit.h"

#define STEP        "1.2.3.4.5"
#define TRANSACTION "1.2.3.999"

/* ---- no engine, but a count -------------------------------------------- */

struct commitment {
	_Atomic unsigned wakes;
};

static struct commitment engine;

enum err commitment_report(struct commitment *c,
			   const struct commitment_report *r,
			   commitment_done_fn *done, void *arg)
{
	(void)c;
	(void)r;
	(void)done;
	(void)arg;
	return ERR_BUSY;
}

void commitment_wake(struct commitment *c)
{
	c->wakes++;
}

/* ---- fixture ----------------------------------------------------------- */

static struct config_ref refs[] = {{.name = "a"}, {.name = "b"}};
static struct config_device device = {.name = "ct", .priority = 1};
static struct config_listener listener = {.name = "in"};
static struct config config = {.n_devices = 1,
			       .devices = &device,
			       .n_listeners = 1,
			       .listeners = &listener};
static struct config_route forward = {.action = CONFIG_FORWARD,
				      .forward = {2, refs}};
static struct config_route hold = {.action = CONFIG_HOLD, .hold = {1, refs}};

static const struct agreed_context mpps = {.id = 1,
					   .service = CONFIG_MPPS,
					   .way = WAY_MESSAGE,
					   .route = &forward,
					   .abstract = UID_MPPS,
					   .transfer_syntax = UID_IMPLICIT_LE};
static const struct agreed_context commitment = {.id = 3,
						 .service = CONFIG_COMMITMENT,
						 .way = WAY_MESSAGE,
						 .route = &hold,
						 .abstract = UID_COMMITMENT,
						 .transfer_syntax =
						     UID_EXPLICIT_LE};

struct end {
	unsigned n;
	uint16_t status;
	char comment[128];
};

struct fixture {
	struct kit k;
	struct worker *worker;
	struct message_env env;
	struct end end;
	struct ledger_item items[32];
	_Atomic size_t n_items;
	_Atomic bool fetched;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	kit_open(&f->k);
	assert_int_equal(worker_new(9, &f->worker), ERR_OK);
	engine.wakes = 0;
	f->env = (struct message_env){
	    .spool = f->k.spool, .commitment = &engine, .worker = f->worker};
	*state = f;
	return 0;
}

static void turn(struct fixture *f)
{
	uv_run(worker_loop(f->worker), UV_RUN_NOWAIT);
	kit_turn(&f->k);
}

#define UNTIL(f, cond)                                                         \
	do {                                                                   \
		for (int n_ = 0; !(cond); n_++) {                              \
			assert_true(n_ < 10000);                               \
			turn(f);                                               \
		}                                                              \
	} while (0)

static int teardown(void **state)
{
	struct fixture *f = *state;

	UNTIL(f, message_pending() == 0);
	worker_stop(f->worker);
	kit_close(&f->k);
	free(f);
	return 0;
}

/* ---- helpers ----------------------------------------------------------- */

static void on_done(void *arg, uint16_t status, const char *comment)
{
	struct end *e = arg;

	e->n++;
	e->status = status;
	(void)snprintf(e->comment, sizeof(e->comment), "%s", comment);
}

static const struct message_events events = {.on_done = on_done};

static struct command request(uint16_t field)
{
	struct command c;

	if (field == N_ACTION_RQ)
		command_message_rq(&c, field, 1, UID_COMMITMENT,
				   UID_COMMITMENT_INSTANCE, 1, true);
	else
		command_message_rq(&c, field, 1, UID_MPPS, STEP, 0, true);
	return c;
}

static struct message_op *begin(struct fixture *f, const struct command *rq)
{
	struct store_origin origin = {.config = &config,
				      .association = 7,
				      .peer = "10.0.0.1",
				      .calling_ae = "CT",
				      .called_ae = "RIS"};
	struct message_op *op;

	assert_int_equal(
	    message_begin(&f->env, &origin,
			  rq->field == N_ACTION_RQ ? &commitment : &mpps, rq,
			  &events, &f->end, &op),
	    ERR_OK);
	return op;
}

static uint16_t finish(struct fixture *f, struct message_op *op)
{
	unsigned before = f->end.n;

	message_end(op);
	assert_int_equal(f->end.n, before); /* never from inside */
	UNTIL(f, f->end.n == before + 1);
	assert_true(strlen(f->end.comment) <= 64);
	assert_int_equal(f->end.comment[0] == '\0', f->end.status == 0);
	return f->end.status;
}

static void fill(struct message_op *op, size_t n)
{
	static uint8_t piece[16384];

	for (size_t at = 0; at < n; at += sizeof(piece))
		message_data(op, piece,
			     n - at < sizeof(piece) ? n - at : sizeof(piece));
}

static void on_fetched(void *arg, const struct ledger_fetched *got)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < got->n; i++)
		f->items[i] = got->items[i];
	f->n_items = got->n;
	atomic_store(&f->fetched, true);
}

/* How many there are, read into f->items. */
static size_t fetch(struct fixture *f, const char *destination,
		    enum delivery_state state)
{
	struct ledger_query q = {
	    .state = state, .after = LEDGER_CURSOR_START, .max = 32};

	(void)snprintf(q.destination, sizeof(q.destination), "%s", destination);
	kit_barrier(&f->k);
	atomic_store(&f->fetched, false);
	assert_int_equal(ledger_fetch(f->k.ledger, &q, on_fetched, f), ERR_OK);
	UNTIL(f, atomic_load(&f->fetched));
	return f->n_items;
}

/* The data set of a request for commitment. */
static void action_data(struct message_op *op, const char *transaction)
{
	struct commit_set set = {0};
	struct buf b;

	buf_init(&b, 4096);
	strcpy(set.transaction, transaction);
	assert_int_equal(commit_add(&set, UID_CT_STORAGE, "1.2.3", COMMIT_OK),
			 ERR_OK);
	assert_int_equal(commit_encode_action(&set, TS_EXPLICIT_LE, &b),
			 ERR_OK);
	for (size_t i = 0; i < buf_len(&b); i++)
		message_data(op, buf_data(&b) + i, 1);
	buf_free(&b);
	commit_free(&set);
}

/* ---- what is taken ----------------------------------------------------- */

static void a_step_is_durable_before_it_is_answered(void **state)
{
	static const uint16_t fields[] = {N_CREATE_RQ, N_SET_RQ};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		struct command rq = request(fields[i]);
		struct message_op *op = begin(f, &rq);

		fill(op, 5000 + i);
		assert_int_equal(message_length(op), 5000 + i);
		assert_int_equal(finish(f, op), STATUS_SUCCESS);
	}
	for (size_t d = 0; d < 2; d++) {
		assert_int_equal(fetch(f, d == 0 ? "a" : "b", DELIVERY_QUEUED),
				 2);
		for (size_t i = 0; i < 2; i++) {
			const struct ledger_item *li = &f->items[i];

			assert_int_equal(li->command, fields[i]);
			assert_string_equal(li->sop_class, UID_MPPS);
			assert_string_equal(li->sop_instance, STEP);
			assert_string_equal(li->transfer_syntax,
					    UID_IMPLICIT_LE);
			assert_int_equal(li->length, 5000 + i);
			assert_string_equal(li->calling_ae, "CT");
			assert_string_equal(li->called_ae, "RIS");
		}
		/* one follows the other */
		assert_true(f->items[0].uid_hash == f->items[1].uid_hash);
		assert_true(f->items[0].seq < f->items[1].seq);
	}
	assert_int_equal(engine.wakes, 0);
}

static void a_request_for_commitment_is_held(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_ACTION_RQ);
	struct message_op *op = begin(f, &rq);

	action_data(op, TRANSACTION);
	assert_int_equal(finish(f, op), STATUS_SUCCESS);
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 0);
	assert_int_equal(fetch(f, "a", DELIVERY_HELD), 1);
	assert_int_equal(f->items[0].command, N_ACTION_RQ);
	assert_int_equal(f->items[0].type, 1);
	assert_string_equal(f->items[0].transaction, TRANSACTION);
	assert_string_equal(f->items[0].sop_instance, UID_COMMITMENT_INSTANCE);
	assert_int_equal(engine.wakes, 1);
}

static void a_long_message_waits_for_the_spool(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);
	struct message_op *op = begin(f, &rq);

	fill(op, MESSAGE_MAX);
	assert_int_equal(finish(f, op), STATUS_SUCCESS);
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 1);
	assert_int_equal(f->items[0].length, MESSAGE_MAX);
}

static void what_cannot_be_read_of_a_step_is_carried(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_CREATE_RQ);
	struct message_op *op = begin(f, &rq);

	message_data(op, (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff", 7);
	assert_int_equal(finish(f, op), STATUS_SUCCESS);
}

/* ---- what is refused --------------------------------------------------- */

static void each_fault_of_a_command_has_its_status(void **state)
{
	static const struct {
		uint16_t field;
		const char *sop_class, *sop_instance;
		uint16_t type;
		bool data;
		uint16_t status;
	} rows[] = {
	    {N_CREATE_RQ, UID_MPPS, "", 0, true, STATUS_INVALID_INSTANCE},
	    {N_CREATE_RQ, UID_MPPS, "1.2\n3", 0, true, STATUS_INVALID_INSTANCE},
	    {N_SET_RQ, UID_MPPS, "", 0, true, STATUS_INVALID_INSTANCE},
	    {N_SET_RQ, UID_MPPS, "1.\"2", 0, true, STATUS_INVALID_INSTANCE},
	    {N_SET_RQ, UID_COMMITMENT, STEP, 0, true,
	     STATUS_CLASS_NOT_SUPPORTED},
	    {N_SET_RQ, UID_MPPS, STEP, 0, false, STATUS_MISTYPED_ARGUMENT},
	    {N_CREATE_RQ, "", STEP, 0, true, STATUS_CLASS_NOT_SUPPORTED},
	    {N_ACTION_RQ, UID_MPPS, UID_COMMITMENT_INSTANCE, 1, true,
	     STATUS_CLASS_NOT_SUPPORTED},
	    {N_ACTION_RQ, UID_COMMITMENT, STEP, 1, true,
	     STATUS_NO_SUCH_INSTANCE},
	    {N_ACTION_RQ, UID_COMMITMENT, UID_COMMITMENT_INSTANCE, 2, true,
	     STATUS_NO_SUCH_ACTION},
	    {N_ACTION_RQ, UID_COMMITMENT, UID_COMMITMENT_INSTANCE, 1, false,
	     STATUS_MISTYPED_ARGUMENT},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct message_op *op;
		struct command rq;

		command_message_rq(&rq, rows[i].field, 1, rows[i].sop_class,
				   rows[i].sop_instance, rows[i].type,
				   rows[i].data);
		op = begin(f, &rq);
		if (rows[i].data && rows[i].field == N_ACTION_RQ)
			action_data(op, TRANSACTION);
		else if (rows[i].data)
			fill(op, 100);
		assert_int_equal(finish(f, op), rows[i].status);
	}
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 0);
	assert_int_equal(fetch(f, "a", DELIVERY_HELD), 0);
}

static void a_request_for_commitment_must_say_of_what(void **state)
{
	/* (0008,1199) with nothing in it, and no transaction */
	static const uint8_t nothing[] = {8, 0, 0x99, 0x11, 'S', 'Q',
					  0, 0, 0,    0,    0,   0};
	static const uint8_t damaged[] = {8, 0, 0x95, 0x11, 'U', 'I', 99, 0};
	struct fixture *f = *state;
	struct command rq = request(N_ACTION_RQ);
	struct message_op *op = begin(f, &rq);

	message_data(op, nothing, sizeof(nothing));
	assert_int_equal(finish(f, op), STATUS_MISSING_ATTRIBUTE);
	op = begin(f, &rq);
	message_data(op, damaged, sizeof(damaged));
	assert_int_equal(finish(f, op), STATUS_INVALID_ARGUMENT);
	assert_int_equal(fetch(f, "a", DELIVERY_HELD), 0);
	assert_int_equal(engine.wakes, 0);
}

static void an_empty_data_set_is_none(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);

	assert_int_equal(finish(f, begin(f, &rq)), STATUS_MISTYPED_ARGUMENT);
}

/* Twenty times: what was gathered is given back. */
static void a_message_without_end_is_refused_and_forgotten(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);

	for (unsigned i = 0; i < 20; i++) {
		struct message_op *op = begin(f, &rq);

		fill(op, MESSAGE_MAX + 1);
		fill(op, 1024 * 1024);
		assert_int_equal(finish(f, op), STATUS_RESOURCE_LIMIT);
	}
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 0);
}

static void all_messages_together_are_bounded(void **state)
{
	enum { MANY = MESSAGES_MAX / MESSAGE_MAX };
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);
	struct message_op *ops[MANY + 1];

	for (unsigned i = 0; i <= MANY; i++) {
		ops[i] = begin(f, &rq);
		fill(ops[i], MESSAGE_MAX);
	}
	assert_int_equal(finish(f, ops[MANY]), STATUS_RESOURCE_LIMIT);
	for (unsigned i = 1; i < MANY; i++)
		message_abort(ops[i]);
	assert_int_equal(finish(f, ops[0]), STATUS_SUCCESS);
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 1);
}

/* ---- the association ends ---------------------------------------------- */

static void an_aborted_message_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);
	struct message_op *op = begin(f, &rq);

	fill(op, 1000);
	message_abort(op);
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 0);
	assert_int_equal(f->end.n, 0);
}

static void a_complete_message_is_kept_though_nobody_waits(void **state)
{
	struct fixture *f = *state;
	struct command rq = request(N_SET_RQ);
	struct message_op *op = begin(f, &rq);

	fill(op, MESSAGE_MAX); /* in more than one go */
	message_end(op);
	message_abort(op);
	UNTIL(f, message_pending() == 0);
	assert_int_equal(fetch(f, "a", DELIVERY_QUEUED), 1);
	assert_int_equal(f->end.n, 0);
}

static void only_declared_messages_go_to_the_spool(void **state)
{
	struct agreed_context live = mpps;

	(void)state;
	live.way = WAY_RELAY;
	assert_true(message_is_spooled(&mpps, N_CREATE_RQ));
	assert_true(message_is_spooled(&mpps, N_SET_RQ));
	assert_false(message_is_spooled(&mpps, N_GET_RQ));
	assert_false(message_is_spooled(&mpps, N_ACTION_RQ));
	assert_false(message_is_spooled(&mpps, C_STORE_RQ));
	assert_false(message_is_spooled(&live, N_CREATE_RQ));
	assert_true(message_is_spooled(&commitment, N_ACTION_RQ));
	assert_false(message_is_spooled(&commitment, N_CREATE_RQ));
	assert_false(message_is_spooled(&commitment, N_EVENT_REPORT_RQ));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_step_is_durable_before_it_is_answered),
	    T(a_request_for_commitment_is_held),
	    T(a_long_message_waits_for_the_spool),
	    T(what_cannot_be_read_of_a_step_is_carried),
	    T(each_fault_of_a_command_has_its_status),
	    T(a_request_for_commitment_must_say_of_what),
	    T(an_empty_data_set_is_none),
	    T(a_message_without_end_is_refused_and_forgotten),
	    T(all_messages_together_are_bounded),
	    T(an_aborted_message_is_not_kept),
	    T(a_complete_message_is_kept_though_nobody_waits),
	    cmocka_unit_test(only_declared_messages_go_to_the_spool),
	};

	return cmocka_run_group_tests_name("message_scp", tests, NULL, NULL);
}
