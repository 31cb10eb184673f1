/* relay_down.c - what comes from a leg: answers, and requests to the device.
 *
 *   bytes --> pdu_stream --> PDVs --> decide (command) --> complete (message)
 *                                          \                    |
 *                                           stream --> turn <--/  */
#include "proxy/relay_int.h"

#include <string.h>

#include "policy/services.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum { HOLD_ROOM = 64 }; /* of the parser, for PDUs that never come here */

void relay_down_init(struct relay_leg *l)
{
	buf_init(&l->hold, HOLD_ROOM);
	buf_init(&l->command, COMMAND_MAX);
	buf_init(&l->backlog, RELAY_KEPT_MAX);
	buf_init(&l->late, RELAY_LATE_MAX);
	relay_run_init(&l->run, RELAY_KEPT_MAX);
	pdu_stream_init(&l->in, &l->hold, 0);
	l->final = -1;
}

static void message_over(struct relay_leg *l)
{
	l->message = MESSAGE_NONE;
	l->way = RELAY_WAY_UNKNOWN;
	l->op = NULL;
	l->final = -1;
	l->complete = l->begun = false;
	l->due_ns = 0;
}

void relay_down_reset(struct relay_leg *l)
{
	message_over(l);
	l->stalled = false;
	list_remove(&l->node);
	if (l->relay->turn == l)
		l->relay->turn = NULL;
	relay_run_drop(&l->run);
	buf_free(&l->command);
	buf_free(&l->backlog);
	buf_free(&l->late);
	pdu_stream_init(&l->in, &l->hold, 0);
}

/* ---- to the device ----------------------------------------------------- */

static void stall(struct relay_leg *l)
{
	l->stalled = true;
	leg_pause(l->leg);
	list_push_back(&l->relay->waiting, &l->node);
}

static bool take_turn(struct relay_leg *l)
{
	struct relay *r = l->relay;

	if (r->turn != NULL && r->turn != l) {
		stall(l);
		return false;
	}
	r->turn = l;
	return true;
}

static void pause_all(struct relay *r)
{
	r->full = true;
	for (size_t i = 0; i < r->n_legs; i++) {
		if (r->legs[i].leg != NULL)
			leg_pause(r->legs[i].leg);
	}
}

/* False: the device is gone. */
static bool write_run(struct relay_leg *l)
{
	struct relay *r = l->relay;
	struct iovec iov[2];
	unsigned n = relay_run_out(&l->run, iov);
	size_t queued;

	if (n == 0)
		return true;
	if (!association_pass(r->a, iov, n, &queued))
		return false;
	relay_run_passed(&l->run);
	l->begun = true;
	if (queued >= RELAY_QUEUE_HIGH && !r->full)
		pause_all(r);
	return true;
}

/* The whole message is here, and it is our turn. */
static void pass_message(struct relay_leg *l)
{
	struct relay *r = l->relay;
	struct relay_op *op = l->op;
	int32_t final = l->final;

	if (!write_run(l))
		return;
	message_over(l);
	r->turn = NULL;
	association_turn_over(r->a);
	if (final >= 0 && op != NULL && !op->from_leg && l->leg != NULL) {
		relay_leg_answered(l, op, final);
		return;
	}
	relay_leg_watch(l); /* what is pending has moved on */
	association_settled(r->a);
}

static void on_complete(struct relay_leg *l)
{
	if (!pdu_stream_idle(&l->in)) {
		/* a PDU is of one message: only so it can pass whole */
		relay_leg_bad(l, ABORT_UNEXPECTED_PARAMETER);
		return;
	}
	if (l->way == RELAY_WAY_DROP) {
		relay_run_drop(&l->run);
		message_over(l);
		relay_leg_watch(l);
		return;
	}
	l->complete = true;
	if (take_turn(l))
		pass_message(l);
}

/* ---- commands ---------------------------------------------------------- */

static const struct agreed_context *context_of(const struct relay_leg *l,
					       uint8_t id)
{
	const struct agreed_context *c = association_context(l->relay->a, id);

	return c != NULL && c->leg == l->index ? c : NULL;
}

static void decide_response(struct relay_leg *l, const struct command *c)
{
	struct relay_op *op =
	    relay_op_find(&l->ops, l->context_id, false, c->responded_id);

	l->way = op != NULL ? RELAY_WAY_WHOLE : RELAY_WAY_DROP;
	l->op = op;
	if (op == NULL)
		log_event(LOG_DEBUG, "response-to-nothing",
			  "assoc=%llu context=%u message_id=%u from=%s",
			  (unsigned long long)l->relay->a->facts.row.id,
			  l->context_id, c->responded_id,
			  l->destination->config->name);
	else if (command_status_class(c->status) == STATUS_IS_PENDING)
		op->responses++;
	else
		l->final = c->status;
}

static void refuse(struct relay_leg *l, const struct command *rq,
		   uint16_t status)
{
	uint8_t out[PDU_PDATA_HEADER_LEN + 1024];
	size_t n = association_encode_response(rq, l->context_id, status, NULL,
					       out, sizeof(out));
	struct iovec iov = {.iov_base = out, .iov_len = n};

	l->way = RELAY_WAY_DROP;
	if (n == 0)
		return;
	if (l->relay->to != l) /* else in the middle of what passes */
		(void)relay_leg_write(l, &iov, 1);
	else if (buf_append(&l->late, out, n) != ERR_OK)
		relay_leg_bad(l, ABORT_NO_REASON);
}

/* What upstream may ask of the device: as much as the device of it. */
static void decide_request(struct relay_leg *l, const struct agreed_context *c,
			   const struct command *rq)
{
	if (rq->field == C_CANCEL_RQ) {
		l->way = RELAY_WAY_DROP;
		return;
	}
	if (!service_allows(c->service, c->abstract, rq->field) ||
	    (rq->field == C_STORE_RQ && !c->scp)) {
		association_note_forbidden(&l->relay->a->facts,
					   l->relay->a->env->ledger, rq,
					   l->destination->config->name);
		refuse(l, rq, STATUS_NOT_AUTHORIZED);
		return;
	}
	if (relay_op_begin(&l->ops, rq, c->id, true, &l->op) != ERR_OK) {
		refuse(l, rq, STATUS_RESOURCE_LIMIT);
		return;
	}
	association_watch(l->relay->a);
	l->way = rq->field == C_STORE_RQ ? RELAY_WAY_STREAM : RELAY_WAY_WHOLE;
}

static void on_command(struct relay_leg *l)
{
	struct command c;
	enum err e =
	    command_decode(buf_data(&l->command), buf_len(&l->command), &c);

	buf_free(&l->command);
	if (e != ERR_OK) {
		relay_leg_bad(l, ABORT_INVALID_PARAMETER);
		l->way = RELAY_WAY_DROP;
		return;
	}
	if ((c.field & COMMAND_RESPONSE) != 0)
		decide_response(l, &c);
	else
		decide_request(l, context_of(l, l->context_id), &c);
	if (l->leg == NULL)
		return;
	if (!command_has_data_set(&c)) {
		on_complete(l);
		return;
	}
	l->message = MESSAGE_DATA;
	if (l->way == RELAY_WAY_STREAM)
		(void)take_turn(l);
}

/* ---- PDVs -------------------------------------------------------------- */

static bool fits(const struct relay_leg *l, const struct pdv *pdv)
{
	if (context_of(l, pdv->context_id) == NULL)
		return false;
	if (l->message == MESSAGE_NONE)
		return pdv->command;
	return pdv->context_id == l->context_id &&
	       pdv->command == (l->message == MESSAGE_COMMAND);
}

/* False: it broke the protocol. */
static bool on_pdv(struct relay_leg *l, const struct pdu_event *ev)
{
	switch (ev->kind) {
	case PDU_EV_PDV_BEGIN:
		if (!fits(l, &ev->pdv))
			return false;
		if (l->message == MESSAGE_NONE) {
			l->message = MESSAGE_COMMAND;
			l->context_id = ev->pdv.context_id;
		}
		break;
	case PDU_EV_PDV_DATA:
		if (ev->pdv.command)
			return buf_append(&l->command, ev->data, ev->len) ==
			       ERR_OK;
		if (l->op != NULL)
			relay_op_answer_data(l->op, ev->len);
		break;
	case PDU_EV_PDV_END:
		if (ev->pdv.last && ev->pdv.command)
			on_command(l);
		else if (ev->pdv.last)
			on_complete(l);
		break;
	case PDU_EV_MORE:
	case PDU_EV_PDU:
		break;
	}
	return true;
}

/* ---- input ------------------------------------------------------------- */

static bool is_listening(const struct relay_leg *l)
{
	return l->relay->a != NULL && l->leg != NULL && leg_is_open(l->leg) &&
	       association_is_open(l->relay->a);
}

/* What was read and cannot go out yet stays. */
static void keep(struct relay_leg *l, const uint8_t *p, size_t n)
{
	if (relay_run_keep(&l->run) != ERR_OK ||
	    (n > 0 && buf_append(&l->backlog, p, n) != ERR_OK))
		relay_leg_bad(l, ABORT_NO_REASON);
}

static bool is_too_slow(struct relay_leg *l)
{
	uint64_t now = clock_mono_ns(), ms;

	if (l->due_ns != 0 && l->came < RELAY_TRICKLE)
		return now > l->due_ns;
	ms = l->destination->config->timeouts.response;
	l->due_ns = now + ms * 1000000;
	l->came = 0;
	return false;
}

/* A part of a message is here. */
static void await_rest(struct relay_leg *l)
{
	if (!is_too_slow(l)) {
		relay_leg_watch(l);
		return;
	}
	leg_abort(l->leg);
	relay_leg_lost(l, "its message comes too slowly");
}

static void input_ends(struct relay_leg *l)
{
	if (l->way == RELAY_WAY_WHOLE &&
	    relay_run_held(&l->run) > RELAY_HOLD_MAX) {
		l->way = RELAY_WAY_STREAM;
		(void)take_turn(l);
	}
	if (l->way == RELAY_WAY_STREAM && l->relay->turn == l && !write_run(l))
		return;
	keep(l, NULL, 0);
	if (l->message != MESSAGE_NONE && !l->stalled && is_listening(l))
		await_rest(l);
}

static void walk(struct relay_leg *l, const uint8_t *p, size_t n)
{
	struct pdu_event ev;
	size_t used;

	while (!l->stalled) {
		if (pdu_stream_next(&l->in, p, n, &used, &ev) != ERR_OK) {
			relay_leg_bad(l, l->in.abort_reason);
			return;
		}
		relay_run_take(&l->run, p, used);
		relay_run_safe(&l->run);
		p += used;
		n -= used;
		if (!on_pdv(l, &ev)) {
			relay_leg_bad(l, ABORT_UNEXPECTED_PARAMETER);
			return;
		}
		if (!is_listening(l))
			return;
		if (l->way == RELAY_WAY_DROP)
			relay_run_drop(&l->run);
		if (ev.kind == PDU_EV_MORE) {
			input_ends(l);
			return;
		}
	}
	keep(l, p, n);
}

void relay_down_read(struct relay_leg *l, const uint8_t *p, size_t n)
{
	if (!is_listening(l))
		return;
	l->came += n;
	walk(l, p, n);
	if (!is_listening(l))
		return;
	if (l->ops.n_device > 0) /* more is to come: an answer's other half */
		leg_ack_at_once(l->leg);
	relay_next_turn(l->relay);
}

/* ---- turns ------------------------------------------------------------- */

/* It has waited long enough: its message, then what came behind it. */
static void serve(struct relay_leg *l)
{
	struct buf waited = l->backlog;

	buf_init(&l->backlog, RELAY_KEPT_MAX);
	l->stalled = false;
	l->due_ns = 0;
	l->relay->turn = l;
	if (l->complete)
		pass_message(l);
	else
		(void)write_run(l);
	if (is_listening(l) && buf_len(&waited) > 0)
		walk(l, buf_data(&waited), buf_len(&waited));
	buf_free(&waited);
	if (is_listening(l) && !l->stalled && !l->relay->full)
		leg_resume(l->leg);
}

void relay_next_turn(struct relay *r)
{
	struct list *node;

	if (r->serving)
		return;
	r->serving = true;
	/* when the device takes no more: relay_drained() */
	while (r->turn == NULL && r->a != NULL && !r->full &&
	       (node = list_pop_front(&r->waiting)) != NULL)
		serve(CONTAINER_OF(node, struct relay_leg, node));
	r->serving = false;
}
