/* The engine over a real spool and ledger; the test plays device, senders and
 * archive. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/commitment.h"
#include "proxy/dicom/command.h"
#include "proxy/dicom/commit.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "tests/unit/ledger_fixture.h"

static const char yaml[] =
    "listeners: {in: {address: 0.0.0.0:104, protocol: dicom, "
    "ae_titles: ARCHIVE}}\n"
    "devices:\n"
    "  ct-1: {ae_title: CT1, address: 10.0.0.1, port: 104, "
    "services: [storage, commitment]}\n"
    "  ct-2: {ae_title: CT2, address: 10.0.0.2, port: 104, "
    "services: [storage, commitment]}\n"
    "  archive: {ae_title: PACS, address: 10.0.0.9, services: [commitment]}\n"
    "destinations:\n"
    "  cloud: {protocol: dicom, endpoints: [127.0.0.1:11112], "
    "plaintext: {allowed: test}}\n"
    "  other: {protocol: dicom, endpoints: [127.0.0.1:11113], "
    "plaintext: {allowed: test}}\n"
    "routes:\n"
    "  - {service: storage, forward: [cloud], commit: cloud}\n"
    "  - {service: commitment, device: [ct-1, ct-2], hold: cloud}\n"
    "spool: {path: spool}\n"
    "records: {path: records}\n";

struct world {
	struct fixture f;
	struct config *cfg;
	struct commitment *c;
	struct ledger_view *v;
};

#define T1 "1.2.3.100"
#define T2 "1.2.3.200"

/* ---- life --------------------------------------------------------------- */

static void nap(void)
{
	struct timespec t = {.tv_nsec = 5000000};

	(void)nanosleep(&t, NULL);
}

static void load_config(struct world *w)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));

	assert_non_null(errors);
	if (config_load_from_memory(yaml, sizeof(yaml) - 1, "test.yaml",
				    &w->cfg, errors) != ERR_OK) {
		config_errors_print(errors, stderr);
		fail();
	}
	mem_free(errors);
	snprintf(w->cfg->records.path, sizeof(w->cfg->records.path), "%s",
		 w->f.dir);
	w->cfg->commitment.unknown = 300;
}

static void start(struct world *w)
{
	char why[COMMITMENT_WHY_LEN], text[LEDGER_WHY_LEN];
	struct commitment_options o = {
	    .config = w->cfg, .spool = w->f.spool, .ledger = w->f.l};

	assert_int_equal(commitment_start(&o, &w->c, why), ERR_OK);
	assert_int_equal(ledger_view_open(w->f.dir, &w->v, text), ERR_OK);
}

static void stop(struct world *w)
{
	ledger_view_close(w->v);
	commitment_stop(w->c);
	commitment_free(w->c);
	w->c = NULL;
}

/* As a kill and a start do. */
static void restart(struct world *w)
{
	stop(w);
	fixture_close(&w->f);
	fixture_open(&w->f);
	start(w);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_set_level(getenv("LOUD") != NULL ? LOG_DEBUG : LOG_ERROR);
	fixture_init(&w->f);
	load_config(w);
	fixture_open(&w->f);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	fixture_free(&w->f);
	config_free(w->cfg);
	free(w);
	return 0;
}

/* ---- the device --------------------------------------------------------- */

static struct transfer_id put_instance(struct world *w, unsigned uid)
{
	struct instance in = fixture_instance(uid);

	return fixture_put(&w->f, &in, 100);
}

static void delivered(struct world *w, const struct transfer_id *id)
{
	fixture_outcome(&w->f, id, OUTCOME_DELIVERED, "cloud");
}

static struct transfer_id put_delivered(struct world *w, unsigned uid)
{
	struct transfer_id id = put_instance(w, uid);

	delivered(w, &id);
	return id;
}

static void uid_of(unsigned n, char out[UID_SIZE])
{
	snprintf(out, UID_SIZE, "1.2.3.4.%u", n);
}

static void fill(struct commit_set *set, const char *transaction, unsigned from,
		 unsigned n)
{
	char uid[UID_SIZE];

	memset(set, 0, sizeof(*set));
	snprintf(set->transaction, UID_SIZE, "%s", transaction);
	for (unsigned i = 0; i < n; i++) {
		uid_of(from + i, uid);
		assert_int_equal(commit_add(set, UID_CT_STORAGE, uid, 0),
				 ERR_OK);
	}
}

static atomic_int putting;

static void on_put(void *arg, enum err e, const struct instance *stored)
{
	struct transfer_id *id = arg;

	assert_int_equal(e, ERR_OK);
	*id = stored->id;
	putting = 0;
}

static struct transfer_id put_bytes(struct world *w, const struct instance *in,
				    const void *p, size_t n)
{
	struct transfer_id id;
	struct spool_put_events events = {.on_done = on_put, .arg = &id};
	struct spool_put *put;

	putting = 1;
	assert_int_equal(spool_put_begin(w->f.spool, in, &events, &put),
			 ERR_OK);
	assert_int_equal(spool_put_data(put, p, n), ERR_OK);
	assert_int_equal(spool_put_finish(put, in), ERR_OK);
	while (putting)
		nap();
	return id;
}

static void held_action(struct instance *in, const char *device, const char *ae,
			const char *transaction)
{
	*in = fixture_instance(0);
	in->command = N_ACTION_RQ;
	in->type = COMMIT_ACTION_TYPE;
	in->held = true;
	in->received_ms = clock_wall_ms();
	INSTANCE_SET(in->device, device);
	INSTANCE_SET(in->calling_ae, ae);
	INSTANCE_SET(in->transfer_syntax, UID_EXPLICIT_LE);
	INSTANCE_SET(in->sop_class, UID_COMMITMENT);
	INSTANCE_SET(in->sop_instance, UID_COMMITMENT_INSTANCE);
	INSTANCE_SET(in->transaction, transaction);
}

/* ct-1's or ct-2's request for instances from..from+n-1. */
static struct transfer_id request_of(struct world *w, unsigned device,
				     const char *transaction, unsigned from,
				     unsigned n)
{
	struct instance in;
	struct commit_set set;
	struct transfer_id id;
	struct buf b;

	held_action(&in, device == 1 ? "ct-1" : "ct-2",
		    device == 1 ? "CT1" : "CT2", transaction);
	fill(&set, transaction, from, n);
	buf_init(&b, COMMIT_DATA_MAX);
	assert_int_equal(commit_encode_action(&set, TS_EXPLICIT_LE, &b),
			 ERR_OK);
	id = put_bytes(w, &in, buf_data(&b), buf_len(&b));
	buf_free(&b);
	commit_free(&set);
	return id;
}

static struct transfer_id request(struct world *w, const char *transaction,
				  unsigned from, unsigned n)
{
	return request_of(w, 1, transaction, from, n);
}

/* ---- what the ledger shows ---------------------------------------------- */

struct search {
	uint16_t command;
	bool ours;
	const char *device; /* NULL: any */
	const struct transfer_id *id;
	unsigned n;
	struct view_message last;
};

static bool on_message(void *arg, const struct view_message *m)
{
	struct search *s = arg;
	bool ours = strcmp(m->listener, COMMITMENT_LISTENER) == 0;

	if (m->command == s->command && ours == s->ours &&
	    (s->device == NULL || strcmp(s->device, m->device) == 0) &&
	    (s->id == NULL || transfer_id_equal(s->id, &m->transfer))) {
		s->n++;
		s->last = *m;
	}
	return true;
}

static void search(struct world *w, const char *transaction, struct search *s)
{
	struct view_message_filter f = {.transaction = transaction,
					.limit = 1000};
	char why[LEDGER_WHY_LEN];

	/* not while it is being rebuilt */
	while (ledger_view_messages(w->v, &f, on_message, s) != ERR_OK) {
		s->n = 0;
		ledger_view_close(w->v);
		do
			nap();
		while (ledger_view_open(w->f.dir, &w->v, why) != ERR_OK);
	}
}

#define UNTIL(w, cond)                                                         \
	do {                                                                   \
		for (int n_ = 0; !(cond); n_++) {                              \
			assert_true(n_ < 4000);                                \
			nap();                                                 \
		}                                                              \
	} while (0)

static unsigned count_of(struct world *w, const char *transaction,
			 uint16_t command)
{
	struct search s = {.command = command, .ours = true};

	search(w, transaction, &s);
	return s.n;
}

/* Wait for the nth message of ours with that command. */
static struct view_message await_nth(struct world *w, const char *transaction,
				     uint16_t command, unsigned nth)
{
	struct search s;

	UNTIL(w, (s = (struct search){.command = command, .ours = true},
		  search(w, transaction, &s), s.n >= nth));
	assert_int_equal(s.n, nth);
	return s.last;
}

static struct view_message await_asked(struct world *w, const char *transaction)
{
	return await_nth(w, transaction, N_ACTION_RQ, 1);
}

static struct view_message await_reported(struct world *w,
					  const char *transaction)
{
	return await_nth(w, transaction, N_EVENT_REPORT_RQ, 1);
}

static void await_state(struct world *w, const char *transaction,
			const struct transfer_id *id, enum delivery_state state)
{
	struct search s;

	UNTIL(w,
	      (s = (struct search){.command = N_ACTION_RQ, .id = id},
	       search(w, transaction, &s), s.n == 1 && s.last.state == state));
}

/* Long enough for the engine to have done something wrong. */
static void quiet(void)
{
	for (int i = 0; i < 80; i++)
		nap();
}

static void read_set(struct world *w, const struct view_message *m,
		     struct commit_set *out)
{
	uint8_t *chunk = malloc(CHUNK_LEN);
	struct place places[16];
	struct buf b;
	unsigned got;
	size_t n;

	assert_non_null(chunk);
	buf_init(&b, COMMIT_DATA_MAX);
	assert_int_equal(ledger_view_places(w->v, m->seq, 0, 16, places, &got),
			 ERR_OK);
	assert_int_equal(got, m->chunks);
	for (unsigned i = 0; i < got; i++) {
		assert_int_equal(spool_read_chunk(w->f.spool, places[i],
						  &m->transfer, i, chunk, &n),
				 ERR_OK);
		assert_int_equal(buf_append(&b, chunk, n), ERR_OK);
	}
	assert_string_equal(m->transfer_syntax, UID_IMPLICIT_LE);
	assert_int_equal(
	    commit_decode(buf_data(&b), buf_len(&b), TS_IMPLICIT_LE, out),
	    ERR_OK);
	assert_string_equal(out->transaction, m->transaction);
	buf_free(&b);
	free(chunk);
}

/* m names exactly these instances, in order; those in failed ("" or one
 * character each: '.' safe, 'x' 0110, '2' 0112) failed ones first. */
static void names(struct world *w, const struct view_message *m, unsigned from,
		  const char *pattern)
{
	struct commit_set set;
	struct commit_index x;
	size_t failed = 0;

	read_set(w, m, &set);
	assert_int_equal(set.n, strlen(pattern));
	assert_int_equal(commit_index(&set, &x), ERR_OK);
	for (unsigned i = 0; pattern[i] != '\0'; i++) {
		const struct commit_ref *r;
		char uid[UID_SIZE];
		uint16_t want = pattern[i] == 'x'   ? 0x110
				: pattern[i] == '2' ? 0x112
						    : 0;

		uid_of(from + i, uid);
		r = commit_index_find(&x, uid);
		assert_non_null(r);
		assert_string_equal(r->sop_class, UID_CT_STORAGE);
		assert_int_equal(r->reason, want);
		failed += want != 0;
	}
	if (m->command == N_EVENT_REPORT_RQ)
		assert_int_equal(m->type, failed > 0 ? 2 : 1);
	commit_index_free(&x);
	commit_free(&set);
}

/* ---- the archive -------------------------------------------------------- */

static atomic_int answered; /* -1: not yet */

static void on_answered(void *arg, uint16_t status)
{
	(void)arg;
	answered = status;
}

static uint16_t give(struct world *w, const void *p, size_t n,
		     uint16_t event_type, const char *from)
{
	struct commitment_report r = {.data = p,
				      .len = n,
				      .transfer_syntax = UID_EXPLICIT_LE,
				      .event_type = event_type,
				      .from = from};

	answered = -1;
	assert_int_equal(commitment_report(w->c, &r, on_answered, NULL),
			 ERR_OK);
	UNTIL(w, answered >= 0);
	return (uint16_t)answered;
}

static uint16_t report_set(struct world *w, const struct commit_set *set,
			   const char *from)
{
	uint16_t status;
	struct buf b;

	buf_init(&b, COMMIT_DATA_MAX);
	assert_int_equal(commit_encode_report(set, TS_EXPLICIT_LE, &b), ERR_OK);
	status =
	    give(w, buf_data(&b), buf_len(&b), commit_event_type(set), from);
	buf_free(&b);
	return status;
}

/* pattern as for names(); '-' leaves one out. */
static uint16_t report(struct world *w, const char *transaction, unsigned from,
		       const char *pattern)
{
	struct commit_set set = {0};
	uint16_t status;
	char uid[UID_SIZE];

	snprintf(set.transaction, UID_SIZE, "%s", transaction);
	for (unsigned i = 0; pattern[i] != '\0'; i++) {
		uid_of(from + i, uid);
		if (pattern[i] != '-')
			assert_int_equal(commit_add(&set, UID_CT_STORAGE, uid,
						    pattern[i] == 'x'   ? 0x110
						    : pattern[i] == '2' ? 0x112
									: 0),
					 ERR_OK);
	}
	status = report_set(w, &set, "cloud");
	commit_free(&set);
	return status;
}

/* ---- the usual way ------------------------------------------------------ */

static void what_has_arrived_is_asked_for_and_reported(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	put_delivered(w, 1);
	put_delivered(w, 2);
	m1 = request(w, T1, 1, 2);
	m = await_asked(w, T1);
	assert_string_equal(m.destination, "cloud");
	assert_string_equal(m.device, "ct-1");
	assert_string_equal(m.calling_ae, "CT1");
	assert_string_equal(m.called_ae, "ARCHIVE");
	assert_string_equal(m.sop_class, UID_COMMITMENT);
	assert_string_equal(m.sop_instance, UID_COMMITMENT_INSTANCE);
	assert_int_equal(m.type, COMMIT_ACTION_TYPE);
	assert_int_equal(m.state, DELIVERY_QUEUED);
	names(w, &m, 1, "..");
	delivered(w, &m.transfer);
	quiet();
	await_state(w, T1, &m1, DELIVERY_HELD);
	assert_int_equal(report(w, T1, 1, ".."), 0);
	m = await_reported(w, T1);
	assert_string_equal(m.destination, "@ct-1");
	assert_string_equal(m.calling_ae, "ARCHIVE"); /* swapped */
	assert_string_equal(m.called_ae, "CT1");
	assert_int_equal(m.state, DELIVERY_QUEUED);
	names(w, &m, 1, "..");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
}

static void one_in_the_queue_holds_the_request_back(void **state)
{
	struct world *w = *state;
	struct commitment_stats st;
	struct transfer_id late;
	struct view_message m;

	put_delivered(w, 1);
	late = put_instance(w, 2);
	request(w, T1, 1, 2);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	commitment_stats(w->c, &st);
	assert_int_equal(st.waiting, 1);
	assert_true(st.oldest_ms > 0);
	delivered(w, &late);
	m = await_asked(w, T1);
	names(w, &m, 1, "..");
	UNTIL(w, (commitment_stats(w->c, &st), st.asked == 1));
	assert_int_equal(st.waiting, 0);
}

static void what_is_in_quarantine_is_not_asked_for_and_fails(void **state)
{
	struct world *w = *state;
	struct transfer_id bad;
	struct view_message m;

	put_delivered(w, 1);
	bad = put_instance(w, 2);
	put_delivered(w, 3);
	fixture_outcome(&w->f, &bad, OUTCOME_QUARANTINED, "cloud");
	request(w, T1, 1, 3);
	m = await_asked(w, T1);
	{
		struct commit_set set;

		read_set(w, &m, &set);
		assert_int_equal(set.n, 2);
		assert_string_equal(set.refs[1].sop_instance, "1.2.3.4.3");
		commit_free(&set);
	}
	assert_int_equal(report(w, T1, 1, ".-."), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x.");
}

static void nothing_left_to_ask_is_reported_at_once(void **state)
{
	struct world *w = *state;
	struct transfer_id a = put_instance(w, 1), b = put_instance(w, 2), m1;
	struct view_message m;

	fixture_outcome(&w->f, &a, OUTCOME_QUARANTINED, "cloud");
	fixture_outcome(&w->f, &b, OUTCOME_WITHDRAWN, "cloud");
	m1 = request(w, T1, 1, 2);
	m = await_reported(w, T1);
	names(w, &m, 1, "xx");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
}

static void unknown_ones_wait_and_then_pass(void **state)
{
	struct world *w = *state;
	int64_t begun = clock_wall_ms();
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 2);
	m = await_asked(w, T1);
	assert_true(clock_wall_ms() - begun >= 300);
	names(w, &m, 1, "..");
	assert_int_equal(report(w, T1, 1, ".2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".2");
}

static void one_that_comes_after_the_request_is_waited_for(void **state)
{
	struct world *w = *state;
	struct transfer_id late;

	request(w, T1, 1, 1);
	late = put_instance(w, 1);
	quiet(); /* longer than unknown ones wait */
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	delivered(w, &late);
	(void)await_asked(w, T1);
}

static void the_newest_of_two_with_one_uid_counts(void **state)
{
	struct world *w = *state;
	struct transfer_id again;

	put_delivered(w, 1);
	again = put_instance(w, 1);
	request(w, T1, 1, 1);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 0);
	delivered(w, &again);
	(void)await_asked(w, T1);
}

/* ---- reports ------------------------------------------------------------ */

static void what_the_archive_leaves_out_is_not_safe(void **state)
{
	struct world *w = *state;
	struct view_message m;

	for (unsigned i = 1; i <= 4; i++)
		put_delivered(w, i);
	request(w, T1, 1, 4);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, ".-2x"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, ".x2x");
}

static void a_report_that_comes_again_changes_nothing(void **state)
{
	struct world *w = *state;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	assert_int_equal(report(w, T1, 1, "x"), 0);
	(void)await_reported(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	restart(w);
	assert_int_equal(report(w, T1, 1, "."), 0);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void reports_that_answer_nothing_are_refused(void **state)
{
	struct world *w = *state;
	struct commit_set set;
	struct transfer_id m1;

	assert_int_equal(report(w, T2, 1, "."), 0x110);
	put_delivered(w, 1);
	m1 = request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T2, 1, "."), 0x110);
	assert_int_equal(report(w, T1, 7, "."), 0x110); /* never asked for */
	fill(&set, T1, 1, 1);
	assert_int_equal(report_set(w, &set, "other"), 0x110);
	assert_int_equal(report_set(w, &set, "ct-1"), 0x110); /* itself */
	assert_int_equal(give(w, "garbage!", 8, 1, "cloud"), 0x115);
	assert_int_equal(give(w, "", 0, 1, "cloud"), 0x115);
	assert_int_equal(give(w, "", 0, 3, "cloud"), 0x113);
	quiet();
	await_state(w, T1, &m1, DELIVERY_HELD);
	/* the archive may also come as a device */
	assert_int_equal(report_set(w, &set, "archive"), 0);
	(void)await_reported(w, T1);
	commit_free(&set);
}

/* Before the engine has asked, nobody can answer. */
static void a_report_that_comes_too_early_is_refused(void **state)
{
	struct world *w = *state;
	struct transfer_id late = put_instance(w, 1);

	request(w, T1, 1, 1);
	assert_int_equal(report(w, T1, 1, "."), 0x110);
	delivered(w, &late);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
}

/* ---- failures ----------------------------------------------------------- */

static void the_deadline_is_reported_as_failure(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	w->cfg->commitment.deadline = 1500;
	put_delivered(w, 1);
	put_instance(w, 2);
	m1 = request(w, T1, 1, 1); /* asked, never answered */
	request(w, T2, 1, 2);      /* never asked */
	(void)await_asked(w, T1);
	m = await_reported(w, T1);
	names(w, &m, 1, "x");
	m = await_reported(w, T2);
	names(w, &m, 1, "xx");
	assert_int_equal(count_of(w, T2, N_ACTION_RQ), 0);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, T1, 1, "."), 0); /* too late */
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

/* The report was lost: the archive had nobody to give it to. */
static void a_silent_archive_is_asked_again_by_another_name(void **state)
{
	struct world *w = *state;
	struct view_message m, again;
	struct transfer_id m1;

	w->cfg->commitment.deadline = 8000;
	put_delivered(w, 1);
	m1 = request(w, T1, 1, 1);
	m = await_asked(w, T1);
	delivered(w, &m.transfer);
	fixture_settle(&w->f);
	again = await_nth(w, NULL, N_ACTION_RQ, 2);
	assert_memory_equal(again.transaction, "2.25.", 5);
	assert_string_equal(again.peer, m.peer);
	names(w, &again, 1, ".");
	assert_int_equal(report(w, again.transaction, 1, "2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, "2");
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, again.transaction, 1, "."), 0);
	assert_int_equal(report(w, T1, 1, "."), 0);
	quiet();
	assert_int_equal(count_of(w, NULL, N_EVENT_REPORT_RQ), 1);
}

static void a_request_that_the_archive_refuses_is_reported(void **state)
{
	struct world *w = *state;
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	m = await_asked(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_QUARANTINED, "cloud");
	m = await_reported(w, T1);
	names(w, &m, 1, "x");
}

static void a_request_that_cannot_be_read_is_put_aside(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct instance in;

	held_action(&in, "ct-1", "CT1", T1);
	m1 = put_bytes(w, &in, "garbage!", 8);
	await_state(w, T1, &m1, DELIVERY_QUARANTINED);
	/* and others go on */
	put_delivered(w, 1);
	request(w, T2, 1, 1);
	(void)await_asked(w, T2);
}

/* ---- one transaction UID, several requests ------------------------------ */

static void the_same_request_again_is_answered_once(void **state)
{
	struct world *w = *state;
	struct transfer_id late = put_instance(w, 1), a, b;
	struct view_message m;

	a = request(w, T1, 1, 1);
	b = request(w, T1, 1, 1);
	delivered(w, &late);
	(void)await_asked(w, T1);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_reported(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_DELIVERED, "@ct-1");
	await_state(w, T1, &a, DELIVERY_DELIVERED);
	await_state(w, T1, &b, DELIVERY_DELIVERED);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void one_whose_report_is_on_its_way_is_not_asked_for_again(void **state)
{
	struct world *w = *state;
	struct transfer_id again;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "."), 0);
	(void)await_reported(w, T1);
	again = request(w, T1, 1, 1);
	await_state(w, T1, &again, DELIVERY_DELIVERED);
	restart(w);
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

static void after_its_report_was_delivered_it_is_a_new_request(void **state)
{
	struct world *w = *state;
	struct view_message m;

	put_delivered(w, 1);
	request(w, T1, 1, 1);
	(void)await_asked(w, T1);
	assert_int_equal(report(w, T1, 1, "x"), 0);
	m = await_reported(w, T1);
	fixture_outcome(&w->f, &m.transfer, OUTCOME_DELIVERED, "@ct-1");
	fixture_settle(&w->f);
	request(w, T1, 1, 1);
	(void)await_nth(w, T1, N_ACTION_RQ, 2);
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_nth(w, T1, N_EVENT_REPORT_RQ, 2);
	names(w, &m, 1, ".");
}

static void two_devices_with_one_transaction_take_turns(void **state)
{
	struct world *w = *state;
	struct transfer_id a, b;
	struct view_message m;

	put_delivered(w, 1);
	put_delivered(w, 2);
	a = request_of(w, 1, T1, 1, 1);
	b = request_of(w, 2, T1, 2, 1);
	m = await_asked(w, T1);
	assert_string_equal(m.device, "ct-1");
	quiet();
	assert_int_equal(count_of(w, T1, N_ACTION_RQ), 1);
	assert_int_equal(report(w, T1, 2, "."), 0x110); /* not its turn */
	assert_int_equal(report(w, T1, 1, "."), 0);
	m = await_reported(w, T1);
	assert_string_equal(m.destination, "@ct-1");
	await_state(w, T1, &a, DELIVERY_DELIVERED);
	m = await_nth(w, T1, N_ACTION_RQ, 2);
	assert_string_equal(m.device, "ct-2");
	names(w, &m, 2, ".");
	await_state(w, T1, &b, DELIVERY_HELD);
	assert_int_equal(report(w, T1, 2, "2"), 0);
	m = await_nth(w, T1, N_EVENT_REPORT_RQ, 2);
	assert_string_equal(m.destination, "@ct-2");
	assert_string_equal(m.called_ae, "CT2");
	names(w, &m, 2, "2");
	await_state(w, T1, &b, DELIVERY_DELIVERED);
}

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

/* ---- requests that were released by hand -------------------------------- */

static void one_that_went_by_itself_gets_its_report_too(void **state)
{
	struct world *w = *state;
	struct transfer_id m1;
	struct view_message m;

	put_instance(w, 1);
	m1 = request(w, T1, 1, 1);
	fixture_outcome(&w->f, &m1, OUTCOME_RELEASED, "cloud");
	await_state(w, T1, &m1, DELIVERY_QUEUED);
	delivered(w, &m1);
	await_state(w, T1, &m1, DELIVERY_DELIVERED);
	assert_int_equal(report(w, T1, 1, "2"), 0);
	m = await_reported(w, T1);
	names(w, &m, 1, "2");
	assert_int_equal(report(w, T1, 1, "2"), 0);
	quiet();
	assert_int_equal(count_of(w, T1, N_EVENT_REPORT_RQ), 1);
}

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

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(what_has_arrived_is_asked_for_and_reported),
	    TEST(one_in_the_queue_holds_the_request_back),
	    TEST(what_is_in_quarantine_is_not_asked_for_and_fails),
	    TEST(nothing_left_to_ask_is_reported_at_once),
	    TEST(unknown_ones_wait_and_then_pass),
	    TEST(one_that_comes_after_the_request_is_waited_for),
	    TEST(the_newest_of_two_with_one_uid_counts),
	    TEST(what_the_archive_leaves_out_is_not_safe),
	    TEST(a_report_that_comes_again_changes_nothing),
	    TEST(reports_that_answer_nothing_are_refused),
	    TEST(a_report_that_comes_too_early_is_refused),
	    TEST(the_deadline_is_reported_as_failure),
	    TEST(a_silent_archive_is_asked_again_by_another_name),
	    TEST(a_request_that_the_archive_refuses_is_reported),
	    TEST(a_request_that_cannot_be_read_is_put_aside),
	    TEST(the_same_request_again_is_answered_once),
	    TEST(one_whose_report_is_on_its_way_is_not_asked_for_again),
	    TEST(after_its_report_was_delivered_it_is_a_new_request),
	    TEST(two_devices_with_one_transaction_take_turns),
	    TEST(a_restart_at_any_step_changes_nothing),
	    TEST(the_loss_of_the_ledger_at_any_step_changes_nothing),
	    TEST(a_request_with_its_report_is_only_ended),
	    TEST(what_waits_for_an_answer_at_the_end_gets_one),
	    TEST(ten_thousand_references_are_no_trouble),
	    TEST(many_requests_at_once_are_all_answered),
	    TEST(one_that_went_by_itself_gets_its_report_too),
	    TEST(own_commitment_is_asked_for_and_kept_until_granted),
	    TEST(what_the_archive_does_not_have_is_sent_again),
	    TEST(own_requests_are_answered_across_a_restart),
	    TEST(what_the_archive_cannot_say_yet_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
