/* commitment_act.c - the steps of a request: see commitment_int.h. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/commitment_int.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/seal.h"

enum {
	KEPT_MAX = 300000,    /* references in memory, about 80 MB */
	LOOK_MS = 100,        /* between looks at one request, at least */
	LOOK_MAX_MS = 5000,   /* and at most */
	ASKED_MAX_MS = 30000, /* at most, once the archive was asked */
	LOOK_SHARE = 10,      /* looking takes a tenth of the time at most */
	RETRY_MS = 5000,      /* after a failure */
	AGE_SHARE = 100, /* the longer it waits, the rarer it is looked at */
	AGAIN_MAX = 16, /* compared with one that ends; others for themselves */
};

/* ---- messages of ours --------------------------------------------------- */

void act_message(struct instance *in, uint16_t command, uint16_t type,
		 const char *transaction, const char *destination)
{
	memset(in, 0, sizeof(*in));
	in->command = command;
	in->type = type;
	in->received_ms = clock_wall_ms();
	in->n_destinations = 1;
	INSTANCE_SET(in->listener, COMMITMENT_LISTENER);
	INSTANCE_SET(in->sop_class, UID_COMMITMENT);
	INSTANCE_SET(in->sop_instance, UID_COMMITMENT_INSTANCE);
	INSTANCE_SET(in->transfer_syntax, UID_IMPLICIT_LE);
	INSTANCE_SET(in->transaction, transaction);
	INSTANCE_SET(in->destinations[0], destination);
}

static int8_t priority_of(const struct commitment *c, const char *device)
{
	int i = config_device_find(c->config, device);

	return i < 0 ? 0 : (int8_t)c->config->devices[i].priority;
}

/* One that belongs to the request m of a device. */
static void message_for(struct commitment *c, const struct view_message *m,
			struct instance *in)
{
	char link[65];

	read_link(&m->transfer, link);
	INSTANCE_SET(in->peer, link);
	INSTANCE_SET(in->device, m->device);
	in->device_priority = priority_of(c, m->device);
}

/* ---- on record ---------------------------------------------------------- */

void act_audit(struct commitment *c, enum audit_kind kind,
	       const struct view_message *m, const struct act_counts *n,
	       const char *cause)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = kind;
	e->outcome = n->failed == 0 ? AUDIT_SUCCESS : AUDIT_MINOR;
	e->association = m->association;
	INSTANCE_SET(e->listener, m->listener);
	INSTANCE_SET(e->device, m->device);
	INSTANCE_SET(e->destination, m->destination);
	INSTANCE_SET(e->peer, m->peer);
	INSTANCE_SET(e->calling_ae, m->calling_ae);
	INSTANCE_SET(e->called_ae, m->called_ae);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "transaction", m->transaction);
	audit_json_number(&j, "instances", (int64_t)n->instances);
	if (kind == AUDIT_COMMITMENT_REQUESTED) {
		audit_json_number(&j, "asked", (int64_t)n->asked);
		audit_json_number(&j, "unknown", (int64_t)n->unknown);
	} else {
		audit_json_number(&j, "safe", (int64_t)n->safe);
		audit_json_text(&j, "cause", cause);
	}
	audit_json_number(&j, "failed", (int64_t)n->failed);
	audit_json_end(&j);
	ledger_audit(c->ledger, e);
	mem_free(e);
}

static void record_asked(struct commitment *c, const struct request *r,
			 const struct act_counts *n)
{
	log_event(LOG_INFO, "commitment-asked",
		  "device=%s destination=%s transaction=%s instances=%zu "
		  "asked=%zu unknown=%zu failed=%zu",
		  r->m.device, r->m.destination, r->m.transaction, n->instances,
		  n->asked, n->unknown, n->failed);
	act_audit(c, AUDIT_COMMITMENT_REQUESTED, &r->m, n, "");
}

static void record_reported(struct commitment *c, const struct view_message *m,
			    const struct act_counts *n, const char *cause)
{
	if (n->failed == 0)
		log_event(LOG_INFO, "commitment-reported",
			  "device=%s destination=%s transaction=%s "
			  "instances=%zu safe=%zu failed=0",
			  m->device, m->destination, m->transaction,
			  n->instances, n->safe);
	else
		log_event(LOG_WARN, "commitment-reported",
			  "device=%s destination=%s transaction=%s "
			  "instances=%zu safe=%zu failed=%zu detail=\"%s\"",
			  m->device, m->destination, m->transaction,
			  n->instances, n->safe, n->failed, cause);
	act_audit(c, AUDIT_COMMITMENT_REPORTED, m, n, cause);
}

/* What goes wrong is tried again; it is said once a request. */
static void complain(struct request *r, const char *what, enum err e)
{
	if (e == ERR_CANCELED || r->complained)
		return;
	r->complained = true;
	log_event(LOG_WARN, "commitment-waits",
		  "device=%s transaction=%s part=\"%s\" detail=\"%s\"",
		  r->m.device, r->m.transaction, what, err_text(e));
}

/* 2.25 and a random 128-bit number: PS3.5 annex B.2. */
enum err act_transaction(char out[UID_SIZE])
{
	unsigned __int128 v;
	char digits[40];
	size_t at = sizeof(digits);
	enum err e = seal_random(&v, sizeof(v));

	if (e != ERR_OK)
		return e;
	digits[--at] = '\0';
	do {
		digits[--at] = (char)('0' + (int)(v % 10));
		v /= 10;
	} while (v > 0);
	snprintf(out, UID_SIZE, "2.25.%s", digits + at);
	return ERR_OK;
}

/* ---- asking ------------------------------------------------------------- */

static enum err put_request(struct commitment *c, const struct request *r,
			    const char *transaction)
{
	struct commit_set asked = r->refs; /* its references borrowed */
	struct instance *in = mem_zalloc(sizeof(*in));
	struct buf b;
	enum err e;

	if (in == NULL)
		return ERR_NOMEM;
	act_message(in, N_ACTION_RQ, COMMIT_ACTION_TYPE, transaction,
		    r->m.destination);
	message_for(c, &r->m, in);
	INSTANCE_SET(in->calling_ae, r->m.calling_ae);
	INSTANCE_SET(in->called_ae, r->m.called_ae);
	buf_init(&b, (size_t)2 * COMMIT_DATA_MAX);
	INSTANCE_SET(asked.transaction, transaction);
	e = commit_encode_action(&asked, TS_IMPLICIT_LE, &b);
	if (e == ERR_OK)
		e = io_put(c, in, SPOOL_ROOM_QUOTA, buf_data(&b), buf_len(&b));
	buf_free(&b);
	mem_free(in);
	return e;
}

static enum err act_ask(struct commitment *c, struct request *r,
			const struct commitment_facts *f)
{
	struct act_counts n = {.instances = r->refs.n,
			       .asked = f->arrived + f->unknown,
			       .failed = f->lost,
			       .unknown = f->unknown};
	enum err e = put_request(c, r, r->m.transaction);

	if (e != ERR_OK) {
		complain(r, "request to the archive", e);
		return e;
	}
	r->asked = true;
	record_asked(c, r, &n);
	return ERR_OK;
}

static enum err act_deny(struct commitment *c, struct request *r,
			 const char *cause);

/* Under another transaction UID: an archive may refuse one that it had (0131).
 */
static enum err act_repeat(struct commitment *c, struct request *r)
{
	struct commitment_facts f = {0};
	char transaction[UID_SIZE];
	enum err e = act_transaction(transaction);

	if (e == ERR_OK)
		e = read_refs(c, r);
	if (e == ERR_OK)
		e = read_named(c, r, &f);
	if (e == ERR_OK && f.waiting > 0)
		return ERR_OK; /* what was lost is on its way again */
	if (e == ERR_OK && f.unknown + f.arrived == 0)
		return act_deny(c, r, "all instances were lost meanwhile");
	if (e == ERR_OK)
		e = put_request(c, r, transaction);
	if (e != ERR_OK) {
		complain(r, "request to the archive", e);
		return e;
	}
	r->accepted_ms = request_now_ms(r);
	r->repeats++;
	log_event(LOG_WARN, "commitment-repeated",
		  "device=%s destination=%s transaction=%s as=%s calling=%s",
		  r->m.device, r->m.destination, r->m.transaction, transaction,
		  r->m.calling_ae);
	return ERR_OK;
}

/* ---- reporting ---------------------------------------------------------- */

static enum err put_report(struct commitment *c, const struct view_message *m,
			   const struct commit_set *set)
{
	struct instance *in = mem_zalloc(sizeof(*in));
	char to[INSTANCE_NAME_LEN + 1];
	struct buf b;
	enum err e;

	if (in == NULL)
		return ERR_NOMEM;
	snprintf(to, sizeof(to), "@%s", m->device);
	if (config_destination_find(c->config, to) < 0)
		log_event(LOG_ERROR, "commitment-stranded",
			  "device=%s transaction=%s", m->device,
			  m->transaction);
	act_message(in, N_EVENT_REPORT_RQ, commit_event_type(set),
		    m->transaction, to);
	message_for(c, m, in);
	INSTANCE_SET(in->calling_ae, m->called_ae); /* swapped: PS3.4 J.3.3 */
	INSTANCE_SET(in->called_ae, m->calling_ae);
	buf_init(&b, (size_t)2 * COMMIT_DATA_MAX);
	e = commit_encode_report(set, TS_IMPLICIT_LE, &b);
	if (e == ERR_OK)
		e = io_put(c, in, SPOOL_ROOM_QUOTA, buf_data(&b), buf_len(&b));
	buf_free(&b);
	mem_free(in);
	return e;
}

enum err act_report(struct commitment *c, const struct view_message *m,
		    const struct commit_set *set, const char *cause)
{
	struct act_counts n = {.instances = set->n,
			       .safe = set->n - set->n_failed,
			       .failed = set->n_failed};
	enum err e = put_report(c, m, set);

	if (e != ERR_OK)
		return e;
	record_reported(c, m, &n, cause);
	pthread_mutex_lock(&c->mutex);
	c->stats.reported++;
	pthread_mutex_unlock(&c->mutex);
	return ERR_OK;
}

/* None of it is safe, as far as anyone has said. */
static enum err act_deny(struct commitment *c, struct request *r,
			 const char *cause)
{
	struct commit_set set;
	enum err e = read_refs(c, r);

	if (e == ERR_OK)
		e = commit_merge(&r->refs, NULL, &set);
	if (e != ERR_OK)
		return e;
	e = act_report(c, &r->m, &set, cause);
	commit_free(&set);
	if (e != ERR_OK) {
		complain(r, "report to the device", e);
		return e;
	}
	r->reported = true;
	act_finish(c, r);
	return r->gone ? ERR_OK : ERR_BUSY;
}

/* ---- the end ------------------------------------------------------------ */

static bool may_be_again(const struct request *r, const struct request *other)
{
	return other != r && !other->gone &&
	       strcmp(other->m.transaction, r->m.transaction) == 0 &&
	       strcmp(other->m.device, r->m.device) == 0 &&
	       strcmp(other->m.destination, r->m.destination) == 0 &&
	       other->m.length == r->m.length;
}

static bool names_the_same(struct commitment *c, struct request *r,
			   struct request *other)
{
	if (read_refs(c, r) != ERR_OK || read_refs(c, other) != ERR_OK ||
	    r->refs.n != other->refs.n)
		return false;
	for (size_t i = 0; i < r->refs.n; i++) {
		if (strcmp(r->refs.refs[i].sop_instance,
			   other->refs.refs[i].sop_instance) != 0)
			return false;
	}
	return true;
}

static void end(struct commitment *c, struct request *r, enum outcome_kind how)
{
	enum err e = io_outcome(c, &r->m.transfer, how, r->m.destination);

	if (e == ERR_OK)
		r->gone = true; /* else the next look does it */
	read_forget_refs(c, r);
}

/* One that another's report answers is withdrawn: delivered ones without a
 * report of their own went to the archive by hand. */
static void end_again(struct commitment *c, struct request *r)
{
	log_event(LOG_INFO, "commitment-again",
		  "device=%s transaction=%s cause=\"the same request came more "
		  "than once: one report answers them\"",
		  r->m.device, r->m.transaction);
	end(c, r, OUTCOME_WITHDRAWN);
}

void act_finish(struct commitment *c, struct request *r)
{
	unsigned compared = 0;

	LIST_EACH(n, tmp, &c->requests)
	{
		struct request *other = CONTAINER_OF(n, struct request, node);

		if (compared == AGAIN_MAX || !may_be_again(r, other))
			continue;
		compared++;
		if (names_the_same(c, r, other))
			end_again(c, other);
		else if (c->n_kept > KEPT_MAX)
			read_forget_refs(c, other);
	}
	end(c, r, OUTCOME_DELIVERED);
}

/* What cannot be read cannot be answered: a person has to look. */
static enum err act_give_up(struct commitment *c, struct request *r, enum err e)
{
	log_event(LOG_ERROR, "commitment-unreadable",
		  "device=%s transaction=%s detail=\"%s\"", r->m.device,
		  r->m.transaction, err_text(e));
	e = io_outcome(c, &r->m.transfer, OUTCOME_QUARANTINED,
		       r->m.destination);
	r->gone = e == ERR_OK;
	return e;
}

/* ---- looking ------------------------------------------------------------ */

static bool is_for_good(enum err e)
{
	return e == ERR_CORRUPT || e == ERR_PROTO || e == ERR_INVAL ||
	       e == ERR_LIMIT || e == ERR_UNSUPPORTED;
}

static enum err read_facts(struct commitment *c, struct request *r,
			   struct commitment_facts *f)
{
	enum err e = ERR_OK;

	f->now_ms = request_now_ms(r);
	f->received_ms = r->m.received_ms;
	f->unknown_ms = c->config->commitment.unknown;
	f->deadline_ms = c->config->commitment.deadline;
	if (!r->looked) /* after the loss of a ledger, order is not arrival */
		e = io_barrier(c);
	if (e == ERR_OK)
		e = read_standing(c, r, f);
	if (e != ERR_OK || f->reported || f->covered || f->blocked ||
	    f->asked != ASKED_NOT)
		return e;
	e = read_refs(c, r);
	return e != ERR_OK ? e : read_named(c, r, f);
}

static enum err take_step(struct commitment *c, struct request *r,
			  enum commitment_step step,
			  const struct commitment_facts *f)
{
	switch (step) {
	case STEP_WAIT:
		return ERR_OK;
	case STEP_ASK:
		return act_ask(c, r, f);
	case STEP_REPEAT:
		return act_repeat(c, r);
	case STEP_DENY:
		return act_deny(c, r,
				"none of the instances has arrived: "
				"all are in quarantine or withdrawn");
	case STEP_REFUSED:
		return act_deny(c, r, "the archive did not take the request");
	case STEP_OVERDUE:
		return act_deny(c, r, "no answer within commitment.deadline");
	case STEP_FINISH:
		if (f->reported)
			act_finish(c, r);
		else
			end_again(c, r);
		return r->gone ? ERR_OK : ERR_BUSY;
	}
	return ERR_OK;
}

static enum err look(struct commitment *c, struct request *r)
{
	struct commitment_facts f = {0};
	struct commitment_plan plan;
	enum err e = read_facts(c, r, &f);

	if (e != ERR_OK)
		return is_for_good(e) ? act_give_up(c, r, e) : e;
	r->looked = true;
	plan = commitment_plan(&f);
	r->again_ms = plan.again_ms;
	if (f.asked != ASKED_NOT)
		r->asked = true;
	e = take_step(c, r, plan.step, &f);
	return is_for_good(e) ? act_give_up(c, r, e) : e;
}

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
	return v < low ? low : v > high ? high : v;
}

void act_look(struct commitment *c, struct request *r)
{
	uint64_t begun = clock_mono_ns(), took;
	int64_t age = request_now_ms(r) - r->m.received_ms;
	uint64_t pause = age > 0 ? (uint64_t)age / AGE_SHARE : 0;
	enum err e;

	r->applied = c->applied;
	e = look(c, r);
	took = (clock_mono_ns() - begun) / 1000000 * LOOK_SHARE;
	pause = clamp(pause, LOOK_MS, r->asked ? ASKED_MAX_MS : LOOK_MAX_MS);
	if (pause < took)
		pause = took;
	if (e != ERR_OK) {
		pause = RETRY_MS;
		r->applied = 0;
	}
	r->next_ns = clock_mono_ns() + pause * 1000000;
	if (r->asked || c->n_kept > KEPT_MAX)
		read_forget_refs(c, r);
}
