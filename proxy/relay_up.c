/* relay_up.c - what the device sends: requests, answers, their bytes. */
#include "proxy/relay_int.h"

#include "proxy/lib/log.h"

static struct relay_leg *leg_of(struct relay *r, const struct agreed_context *c)
{
	return &r->legs[c->leg];
}

static void pass_to(struct relay *r, struct relay_leg *l, struct relay_op *op,
		    int32_t final)
{
	r->to = l;
	r->op = op;
	r->final = final;
}

/* One more than a peer may have outstanding is a peer without a window. */
static enum relay_answer begin(struct relay *r, struct relay_leg *l,
			       const struct agreed_context *c,
			       const struct command *rq)
{
	struct relay_op *op;

	if (relay_op_begin(&l->ops, rq, c->id, false, &op) != ERR_OK)
		return RELAY_FAIL;
	pass_to(r, l, op, -1);
	return RELAY_PASS;
}

static enum relay_answer cancel(struct relay *r, struct relay_leg *l)
{
	if (l->state != RELAY_LEG_OPEN)
		return RELAY_DROP; /* what it cancels has failed already */
	pass_to(r, l, NULL, -1);
	return RELAY_PASS;
}

enum relay_answer relay_request(struct relay *r, const struct agreed_context *c,
				const struct command *rq)
{
	struct relay_leg *l = leg_of(r, c);

	if (rq->field == C_CANCEL_RQ)
		return cancel(r, l);
	if (l->state == RELAY_LEG_OPEN)
		return begin(r, l, c, rq);
	return relay_reopen(l) ? RELAY_WAIT : RELAY_FAIL;
}

enum relay_answer relay_response(struct relay *r,
				 const struct agreed_context *c,
				 const struct command *rsp)
{
	struct relay_leg *l = leg_of(r, c);
	struct relay_op *op =
	    relay_op_find(&l->ops, c->id, true, rsp->responded_id);

	if (l->state != RELAY_LEG_OPEN || op == NULL) {
		log_event(LOG_DEBUG, "response-to-nothing",
			  "assoc=%llu context=%u message_id=%u",
			  (unsigned long long)r->a->facts.row.id, c->id,
			  rsp->responded_id);
		return RELAY_DROP;
	}
	if (command_status_class(rsp->status) == STATUS_IS_PENDING) {
		op->responses++;
		pass_to(r, l, op, -1);
	} else {
		pass_to(r, l, op, rsp->status);
	}
	return RELAY_PASS;
}

void relay_data(struct relay *r, const uint8_t *p, size_t n)
{
	if (r->op != NULL)
		relay_op_data(r->op, p, n);
}

void relay_flush(struct relay *r)
{
	struct relay_leg *l = r->to;
	struct iovec iov[2];
	unsigned n = relay_run_out(&r->a->run, iov);

	if (n == 0 || l->leg == NULL)
		return;
	if (!relay_leg_write(l, iov, n))
		return;
	relay_run_passed(&r->a->run);
	if (leg_queued(l->leg) >= RELAY_QUEUE_HIGH && !l->choked) {
		l->choked = true;
		association_pause(r->a, PAUSE_LEG);
	}
}

static void send_late(struct relay_leg *l)
{
	struct buf late = l->late;
	struct iovec iov = {.iov_len = buf_len(&late)};

	if (iov.iov_len == 0 || l->leg == NULL)
		return;
	iov.iov_base = buf_data(&late);
	buf_init(&l->late, RELAY_LATE_MAX);
	(void)relay_leg_write(l, &iov, 1);
	buf_free(&late);
}

void relay_message_end(struct relay *r)
{
	struct relay_leg *l = r->to;
	struct relay_op *op = r->op;
	int32_t final = r->final;

	pass_to(r, NULL, NULL, -1);
	if (l == NULL)
		return;
	if (op != NULL && op->from_leg && final >= 0)
		relay_leg_answered(l, op, final);
	else
		relay_leg_watch(l); /* from here on it owes an answer */
	send_late(l);
}
