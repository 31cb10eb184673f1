/* commitment_kit.h - the commitment engine over a real spool and ledger; the
 * test plays device, senders and archive. */
#ifndef TESTS_UNIT_COMMITMENT_KIT_H
#define TESTS_UNIT_COMMITMENT_KIT_H

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

static inline void nap(void)
{
	struct timespec t = {.tv_nsec = 5000000};

	(void)nanosleep(&t, NULL);
}

static inline void load_text(struct world *w, const char *text)
{
	struct config_errors *errors = mem_zalloc(sizeof(*errors));

	assert_non_null(errors);
	if (config_load_from_memory(text, strlen(text), "test.yaml", &w->cfg,
				    errors) != ERR_OK) {
		config_errors_print(errors, stderr);
		fail();
	}
	mem_free(errors);
	snprintf(w->cfg->records.path, sizeof(w->cfg->records.path), "%s",
		 w->f.dir);
	w->cfg->commitment.unknown = 300;
}

static inline void load_config(struct world *w)
{
	load_text(w, yaml);
}

static inline void start(struct world *w)
{
	char why[COMMITMENT_WHY_LEN], text[LEDGER_WHY_LEN];
	struct commitment_options o = {
	    .config = w->cfg, .spool = w->f.spool, .ledger = w->f.l};

	assert_int_equal(commitment_start(&o, &w->c, why), ERR_OK);
	assert_int_equal(ledger_view_open(w->f.dir, &w->v, text), ERR_OK);
}

static inline void stop(struct world *w)
{
	ledger_view_close(w->v);
	commitment_stop(w->c);
	commitment_free(w->c);
	w->c = NULL;
}

/* As a kill and a start do. */
static inline void restart(struct world *w)
{
	stop(w);
	fixture_close(&w->f);
	fixture_open(&w->f);
	start(w);
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_set_level(getenv("LOUD") != NULL ? LOG_DEBUG : LOG_WARN);
	fixture_init(&w->f);
	load_config(w);
	fixture_open(&w->f);
	start(w);
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	fixture_free(&w->f);
	config_free(w->cfg);
	free(w);
	return 0;
}

/* ---- the device --------------------------------------------------------- */

static inline struct transfer_id put_instance(struct world *w, unsigned uid)
{
	struct instance in = fixture_instance(uid);

	return fixture_put(&w->f, &in, 100);
}

static inline void delivered(struct world *w, const struct transfer_id *id)
{
	fixture_outcome(&w->f, id, OUTCOME_DELIVERED, "cloud");
}

static inline struct transfer_id put_delivered(struct world *w, unsigned uid)
{
	struct transfer_id id = put_instance(w, uid);

	delivered(w, &id);
	return id;
}

static inline void uid_of(unsigned n, char out[UID_SIZE])
{
	snprintf(out, UID_SIZE, "1.2.3.4.%u", n);
}

static inline void fill(struct commit_set *set, const char *transaction,
			unsigned from, unsigned n)
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

static inline void on_put(void *arg, enum err e, const struct instance *stored)
{
	struct transfer_id *id = arg;

	assert_int_equal(e, ERR_OK);
	*id = stored->id;
	putting = 0;
}

static inline struct transfer_id
put_bytes(struct world *w, const struct instance *in, const void *p, size_t n)
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

static inline void held_action(struct instance *in, const char *device,
			       const char *ae, const char *transaction)
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
static inline struct transfer_id request_of(struct world *w, unsigned device,
					    const char *transaction,
					    unsigned from, unsigned n)
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

static inline struct transfer_id
request(struct world *w, const char *transaction, unsigned from, unsigned n)
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

static inline bool on_message(void *arg, const struct view_message *m)
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

static inline void search(struct world *w, const char *transaction,
			  struct search *s)
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

static inline unsigned count_of(struct world *w, const char *transaction,
				uint16_t command)
{
	struct search s = {.command = command, .ours = true};

	search(w, transaction, &s);
	return s.n;
}

/* Wait for the nth message of ours with that command. */
static inline struct view_message await_nth(struct world *w,
					    const char *transaction,
					    uint16_t command, unsigned nth)
{
	struct search s;

	UNTIL(w, (s = (struct search){.command = command, .ours = true},
		  search(w, transaction, &s), s.n >= nth));
	assert_int_equal(s.n, nth);
	return s.last;
}

static inline struct view_message await_asked(struct world *w,
					      const char *transaction)
{
	return await_nth(w, transaction, N_ACTION_RQ, 1);
}

static inline struct view_message await_reported(struct world *w,
						 const char *transaction)
{
	return await_nth(w, transaction, N_EVENT_REPORT_RQ, 1);
}

static inline void await_state(struct world *w, const char *transaction,
			       const struct transfer_id *id,
			       enum delivery_state state)
{
	struct search s;

	UNTIL(w,
	      (s = (struct search){.command = N_ACTION_RQ, .id = id},
	       search(w, transaction, &s), s.n == 1 && s.last.state == state));
}

/* Long enough for the engine to have done something wrong. */
static inline void quiet(void)
{
	for (int i = 0; i < 80; i++)
		nap();
}

static inline void read_set(struct world *w, const struct view_message *m,
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
static inline void names(struct world *w, const struct view_message *m,
			 unsigned from, const char *pattern)
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

static inline void on_answered(void *arg, uint16_t status)
{
	(void)arg;
	answered = status;
}

static inline uint16_t give(struct world *w, const void *p, size_t n,
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

static inline uint16_t report_set(struct world *w, const struct commit_set *set,
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
static inline uint16_t report(struct world *w, const char *transaction,
			      unsigned from, const char *pattern)
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

#endif
