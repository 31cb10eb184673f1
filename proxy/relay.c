/* relay.c - the life of legs; see relay.h. */
#include "proxy/relay_int.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

static void relay_try_free(struct relay *r)
{
	for (size_t i = 0; i < r->n_legs; i++) {
		if (r->legs[i].n_legs > 0)
			return;
	}
	mem_free(r->legs);
	mem_free(r);
}

static const char *name_of(const struct relay_leg *l)
{
	return l->destination->config->name;
}

/* ---- writing ----------------------------------------------------------- */

bool relay_leg_write(struct relay_leg *l, const struct iovec *iov, unsigned n)
{
	enum err e = leg_write(l->leg, iov, n);

	if (e == ERR_OK)
		return true;
	leg_abort(l->leg);
	relay_leg_lost(l, e == ERR_LIMIT
			      ? "the destination does not read what it is sent"
			      : "the connection was lost");
	return false;
}

void relay_leg_watch(struct relay_leg *l)
{
	const struct config_destination *d = l->destination->config;
	uint64_t ms = relay_ops_patience(&l->ops, d);

	/* whoever has begun a message may not take as long as to prepare it */
	if (l->message != MESSAGE_NONE &&
	    (ms == 0 || ms > d->timeouts.response))
		ms = d->timeouts.response;
	if (l->leg != NULL)
		leg_watch(l->leg, ms);
}

/* Whoever answers before all of the request has come goes on without it. */
static void forget(struct relay_leg *l, const struct relay_op *op)
{
	if (l->relay->op == op)
		l->relay->op = NULL;
	if (l->op == op)
		l->op = NULL;
}

/* For the leg's own row. */
static void count(struct relay_leg *l, const struct relay_op *op, bool failed)
{
	uint16_t field = op->rq.field;

	if (l->leg != NULL)
		leg_count(l->leg, field == C_STORE_RQ, field == C_ECHO_RQ,
			  field != C_STORE_RQ && field != C_ECHO_RQ, failed);
}

void relay_leg_answered(struct relay_leg *l, struct relay_op *op,
			int32_t status)
{
	bool failed = status < 0 || command_status_class((uint16_t)status) ==
					STATUS_IS_FAILURE;

	count(l, op, failed);
	if (failed && !op->from_leg)
		l->relay->a->facts.end.failures++;
	forget(l, op);
	relay_op_end(&l->ops, op, status);
	relay_leg_watch(l);
	association_settled(l->relay->a);
}

/* ---- lost -------------------------------------------------------------- */

/* The message of the device that passes to this leg cannot: its rest is
 * swallowed. A request is answered then; an answer, a C-CANCEL, and a request
 * that has its answer already are not. */
static void stop_message(struct relay_leg *l)
{
	struct relay *r = l->relay;
	struct relay_op *op = r->op;
	uint16_t status = STATUS_SUCCESS;

	if (r->to != l)
		return;
	r->to = NULL;
	r->op = NULL;
	r->final = -1;
	if (op != NULL && !op->from_leg)
		status = relay_failure_status(op->rq.field);
	association_fail_message(r->a, status);
	if (op != NULL)
		relay_op_end(&l->ops, op, -1);
}

static void fail_ops(struct relay_leg *l)
{
	LIST_EACH(it, tmp, &l->ops.list)
	{
		struct relay_op *op = CONTAINER_OF(it, struct relay_op, node);

		if (!op->from_leg)
			association_respond(l->relay->a, &op->rq,
					    op->context_id,
					    relay_failure_status(op->rq.field),
					    "the destination was lost");
		relay_op_end(&l->ops, op, -1);
	}
}

static void unchoke(struct relay_leg *l)
{
	struct relay *r = l->relay;

	if (!l->choked)
		return;
	l->choked = false;
	for (size_t i = 0; i < r->n_legs; i++) {
		if (r->legs[i].choked)
			return;
	}
	association_resume(r->a, PAUSE_LEG);
}

void relay_leg_lost(struct relay_leg *l, const char *why)
{
	struct relay *r = l->relay;

	/* an archive that releases what is idle does nothing wrong */
	log_event(l->ops.n_device > 0 ? LOG_WARN : LOG_INFO, "leg-lost",
		  "assoc=%llu destination=%s outstanding=%u detail=\"%s\"",
		  (unsigned long long)r->a->facts.row.id, name_of(l),
		  l->ops.n_device, why);
	LIST_EACH(it, tmp, &l->ops.list)
	{
		count(l, CONTAINER_OF(it, struct relay_op, node), true);
	}
	l->state = RELAY_LEG_DOWN;
	l->leg = NULL;
	if (l->begun) {
		/* no truthful end to half an instance */
		association_abort(r->a, "aborted: the destination was lost in "
					"the middle of an instance");
		return;
	}
	relay_down_reset(l);
	unchoke(l);
	stop_message(l);
	fail_ops(l);
	if (r->turn == NULL)
		association_turn_over(r->a);
	relay_next_turn(r);
	if (r->a == NULL)
		return;
	association_watch(r->a);
	association_settled(r->a);
}

void relay_leg_bad(struct relay_leg *l, uint8_t reason)
{
	/* on_lost() does the rest */
	leg_bad_pdu(l->leg, reason);
}

/* ---- events ------------------------------------------------------------ */

static void leg_ready(struct relay *r)
{
	if (--r->n_opening == 0)
		association_legs_ready(r->a);
}

static void reopened(struct relay_leg *l, bool ok)
{
	association_relay_decided(l->relay->a, ok);
}

static void on_accepted(void *arg, const struct assoc *ac)
{
	struct relay_leg *l = arg;
	struct association *a = l->relay->a;
	bool first = l->state == RELAY_LEG_OPENING;

	l->state = RELAY_LEG_OPEN;
	/* until the device has its answer, or takes more */
	if (first || l->relay->full)
		leg_pause(l->leg);
	if (first) {
		negotiate_leg_answer(&a->pending->n, (size_t)l->index, ac,
				     &a->pending->ac);
		leg_ready(l->relay);
		return;
	}
	if (negotiate_leg_fits(a->contexts, a->n_contexts, (size_t)l->index, ac,
			       a->told_max_pdu)) {
		reopened(l, true);
		return;
	}
	log_event(LOG_WARN, "leg-differs", "assoc=%llu destination=%s",
		  (unsigned long long)a->facts.row.id, name_of(l));
	leg_release(l->leg);
	l->leg = NULL;
	l->state = RELAY_LEG_DOWN;
	reopened(l, false);
}

static void refused(struct relay_leg *l)
{
	bool first = l->state == RELAY_LEG_OPENING;

	l->state = RELAY_LEG_DOWN;
	l->leg = NULL;
	if (first)
		leg_ready(l->relay);
	else
		reopened(l, false);
}

static void on_refused(void *arg, const struct leg_refusal *r)
{
	struct relay_leg *l = arg;
	struct relay *relay = l->relay;

	log_event(LOG_WARN, "leg-refused",
		  "assoc=%llu device=%s destination=%s code=%s outcome=%s "
		  "cause=\"%s%s%s%s\" remedy=\"%s\"",
		  (unsigned long long)relay->a->facts.row.id,
		  relay->a->env->config->devices[relay->a->device].name,
		  name_of(l), condition_code(r->code), r->code, r->cause,
		  r->detail[0] != '\0' ? " (" : "", r->detail,
		  r->detail[0] != '\0' ? ")" : "", r->remedy);
	if (r->rejected && !relay->was_rejected) {
		relay->was_rejected = true;
		relay->reject = r->reject;
	}
	refused(l);
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	relay_down_read(arg, p, n);
}

static void on_drain(void *arg)
{
	unchoke(arg);
}

static void on_released(void *arg)
{
	relay_leg_lost(arg, "released by the destination");
}

static void on_lost(void *arg, const char *why)
{
	relay_leg_lost(arg, why);
}

static void on_gone(void *arg)
{
	struct relay_leg *l = arg;

	l->n_legs--;
	if (l->relay->a == NULL)
		relay_try_free(l->relay);
}

static const struct leg_events leg_events = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_released = on_released,
    .on_lost = on_lost,
    .on_gone = on_gone,
};

/* ---- opening ----------------------------------------------------------- */

static enum err open_leg(struct relay_leg *l)
{
	struct association *a = l->relay->a;
	struct leg_request rq = {
	    .worker = a->env->worker,
	    .destination = l->destination,
	    .ledger = a->env->ledger,
	    .calling_ae = l->calling_ae,
	    .called_ae = l->called_ae,
	    .rq = l->rq,
	    .rq_len = l->rq_len,
	    .deadline_ms = l->destination->config->timeouts.relay,
	    .out_cap = RELAY_LEG_CAP,
	    .device = a->env->config->devices[a->device].name,
	    .device_number = (size_t)a->device + 1,
	    .inbound = a->facts.row.id};
	enum err e = leg_open(&rq, &leg_events, l, &l->leg);

	if (e == ERR_OK)
		l->n_legs++;
	else
		l->leg = NULL;
	return e;
}

bool relay_reopen(struct relay_leg *l)
{
	if (open_leg(l) != ERR_OK)
		return false;
	l->state = RELAY_LEG_REOPENING;
	return true;
}

enum { RQ_ROOM = 256 * 1024 }; /* an RQ with all that was decoded */

static enum err encode_rq(struct relay_leg *l, const struct assoc *rq)
{
	uint8_t *room = mem_realloc(NULL, RQ_ROOM); /* written before read */
	struct wr w = wr_init(room, room != NULL ? RQ_ROOM : 0);
	enum err e = room != NULL ? assoc_encode_rq(rq, &w) : ERR_NOMEM;

	if (e == ERR_OK) {
		l->rq = mem_zalloc(w.len);
		l->rq_len = w.len;
		e = l->rq != NULL ? ERR_OK : ERR_NOMEM;
	}
	if (e == ERR_OK)
		memcpy(l->rq, room, w.len);
	if (room != NULL)
		mem_wipe(room, w.len); /* passcodes may be in it */
	mem_free(room);
	return e;
}

static enum err prepare_leg(struct relay_leg *l)
{
	struct association *a = l->relay->a;
	struct assoc *rq = mem_realloc(NULL, sizeof(*rq));
	enum err e = ERR_NOMEM;

	if (rq != NULL)
		e = negotiate_leg_rq(&a->pending->n, (size_t)l->index, rq);
	if (e == ERR_OK)
		e = encode_rq(l, rq);
	if (e == ERR_OK) {
		memcpy(l->calling_ae, rq->calling_ae, AE_SIZE);
		memcpy(l->called_ae, rq->called_ae, AE_SIZE);
	}
	if (rq != NULL)
		assoc_wipe(rq);
	mem_free(rq);
	return e;
}

static void init_leg(struct relay *r, size_t i)
{
	struct relay_leg *l = &r->legs[i];
	size_t d = r->a->pending->n.destinations[i];

	l->relay = r;
	l->index = (int)i;
	l->destination = r->a->env->destinations[d];
	l->state = RELAY_LEG_OPENING;
	list_init(&l->node);
	relay_ops_init(&l->ops, &r->a->facts, r->a->env->ledger, name_of(l));
	relay_down_init(l);
}

static void begin_leg(struct relay_leg *l)
{
	enum err e = prepare_leg(l);

	if (e == ERR_OK)
		e = open_leg(l);
	if (e == ERR_OK) {
		l->relay->n_opening++;
		return;
	}
	l->state = RELAY_LEG_DOWN;
	log_event(LOG_WARN, "leg-refused",
		  "assoc=%llu device=%s destination=%s code=%s detail=\"%s\"",
		  (unsigned long long)l->relay->a->facts.row.id,
		  l->relay->a->env->config->devices[l->relay->a->device].name,
		  name_of(l), condition_get(CONDITION_LEG_LOCAL)->code,
		  err_text(e));
}

enum err relay_begin(struct association *a, struct relay **out)
{
	struct relay *r = mem_zalloc(sizeof(*r));
	size_t n = a->pending->n.n_legs;

	if (r == NULL)
		return ERR_NOMEM;
	r->legs = mem_zarray(n, sizeof(*r->legs));
	if (r->legs == NULL) {
		mem_free(r);
		return ERR_NOMEM;
	}
	r->a = a;
	r->n_legs = n;
	r->final = -1;
	list_init(&r->waiting);
	*out = r;
	r->n_opening = 1; /* so that none finishes from inside */
	for (size_t i = 0; i < n; i++) {
		init_leg(r, i);
		begin_leg(&r->legs[i]);
	}
	leg_ready(r);
	return ERR_OK;
}

static bool is_used(const struct association *a, int leg)
{
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].leg == leg)
			return true;
	}
	return false;
}

void relay_established(struct relay *r)
{
	for (size_t i = 0; i < r->n_legs; i++) {
		struct relay_leg *l = &r->legs[i];

		if (l->leg == NULL)
			continue;
		if (is_used(r->a, l->index)) {
			leg_resume(l->leg);
			continue;
		}
		leg_release(l->leg);
		l->leg = NULL;
		l->state = RELAY_LEG_DOWN;
	}
}

bool relay_has_failed(const struct relay *r)
{
	for (size_t i = 0; i < r->n_legs; i++) {
		if (r->legs[i].state == RELAY_LEG_DOWN)
			return true;
	}
	return false;
}

struct pdu_reject relay_reject(const struct relay *r)
{
	if (r->was_rejected)
		return r->reject;
	return (struct pdu_reject){REJECT_TRANSIENT, REJECT_PRESENTATION,
				   REJECT_PRESENTATION_CONGESTION};
}

/* ---- the end ----------------------------------------------------------- */

static void end_leg(struct relay_leg *l, bool orderly)
{
	if (l->leg != NULL) {
		if (orderly && l->state == RELAY_LEG_OPEN)
			leg_release(l->leg);
		else
			leg_abort(l->leg);
		l->leg = NULL;
	}
	relay_ops_end(&l->ops);
	relay_down_reset(l);
	relay_run_free(&l->run);
	buf_free(&l->command);
	buf_free(&l->hold);
	if (l->rq != NULL)
		mem_wipe(l->rq, l->rq_len);
	mem_free(l->rq);
	l->rq = NULL;
}

void relay_end(struct relay *r, bool orderly)
{
	for (size_t i = 0; i < r->n_legs; i++)
		end_leg(&r->legs[i], orderly);
	r->a = NULL;
	relay_try_free(r);
}

/* ---- states ------------------------------------------------------------ */

unsigned relay_owed(const struct relay *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->n_legs; i++)
		n += r->legs[i].ops.n_device;
	return n;
}

unsigned relay_asked(const struct relay *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->n_legs; i++)
		n += r->legs[i].ops.n_leg;
	return n;
}

bool relay_has_turn(const struct relay *r)
{
	return r->turn != NULL;
}

void relay_drained(struct relay *r)
{
	if (!r->full)
		return;
	r->full = false;
	for (size_t i = 0; i < r->n_legs; i++) {
		r->legs[i].due_ns = 0; /* it was not read */
		if (r->legs[i].leg != NULL && !r->legs[i].stalled)
			leg_resume(r->legs[i].leg);
	}
	relay_next_turn(r);
}
