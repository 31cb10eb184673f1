/* association_dimse.c - messages (PS3.7): each is read as far as its command,
 * then it is served here, passes to a leg, or is refused. */
#include "proxy/association_int.h"

#include "policy/services.h"
#include "proxy/relay_ops.h"

const struct agreed_context *association_context(const struct association *a,
						 uint8_t id)
{
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].id == id)
			return &a->contexts[i];
	}
	return NULL;
}

/* ---- refusals ---------------------------------------------------------- */

static void drop(struct association *a, int32_t answer, const char *comment)
{
	a->way = MESSAGE_DROP;
	a->answer = answer;
	a->comment = comment;
}

void association_fail_message(struct association *a, uint16_t status)
{
	drop(a, status != STATUS_SUCCESS ? status : -1,
	     "the destination was lost");
	relay_run_drop(&a->run);
}

static void forbid(struct association *a)
{
	association_note_forbidden(&a->facts, a->env->ledger, &a->rq,
				   a->facts.row.device);
	if (a->rq.field == C_CANCEL_RQ)
		drop(a, -1, NULL);
	else
		drop(a, STATUS_NOT_AUTHORIZED, "not allowed in this context");
}

/* ---- where it goes ----------------------------------------------------- */

static void serve(struct association *a, const struct agreed_context *c)
{
	if (a->rq.field == C_CANCEL_RQ) {
		drop(a, -1, NULL); /* nothing served here takes that long */
	} else if (association_serving(a)) {
		association_protocol_error(
		    a, "aborted: a message before the answer to the last one",
		    ABORT_UNEXPECTED_PDU);
	} else if (association_serve(a, c)) {
		a->way = MESSAGE_HERE;
	} else {
		a->way = MESSAGE_DROP;
	}
}

static void take_answer(struct association *a, enum relay_answer answer)
{
	switch (answer) {
	case RELAY_PASS:
		a->way = MESSAGE_LEG;
		relay_run_safe(&a->run);
		break;
	case RELAY_WAIT:
		a->stalled = true;
		association_pause(a, PAUSE_STALL);
		break;
	case RELAY_FAIL:
		drop(a, relay_failure_status(a->rq.field),
		     "the destination cannot be reached");
		break;
	case RELAY_DROP:
		drop(a, -1, NULL);
		break;
	}
}

static void count_relayed(struct association *a)
{
	if (a->rq.field == C_STORE_RQ)
		a->facts.end.stores++;
	else if (a->rq.field == C_ECHO_RQ)
		a->facts.end.echos++;
	else
		a->facts.end.others++;
}

/* Contexts that are there to retrieve with are not for storing; and a device
 * that only queries has them, too. */
static bool may_send(const struct association *a,
		     const struct agreed_context *c)
{
	const struct config_device *d = &a->env->config->devices[a->device];

	if ((d->services & c->service) == 0 ||
	    !service_allows(c->service, c->abstract, a->rq.field))
		return false;
	return c->way != WAY_RELAY || c->service != CONFIG_STORAGE ||
	       (c->route->action == CONFIG_RELAY &&
		(c->route->services & CONFIG_STORAGE) != 0);
}

/* What is stored in a context that is taken here stays here, whatever comes
 * back through it (C-GET). */
static void on_request(struct association *a, const struct agreed_context *c)
{
	if (!may_send(a, c)) {
		forbid(a);
	} else if (c->way != WAY_RELAY) {
		serve(a, c);
	} else {
		count_relayed(a);
		take_answer(a, relay_request(a->relay, c, &a->rq));
	}
}

static void on_response(struct association *a, const struct agreed_context *c)
{
	if (c->leg < 0)
		association_protocol_error(a,
					   "aborted: unexpected DIMSE message",
					   ABORT_UNEXPECTED_PDU);
	else
		take_answer(a, relay_response(a->relay, c, &a->rq));
}

/* ---- its end ----------------------------------------------------------- */

static void answer_dropped(struct association *a)
{
	int32_t status = a->answer;

	a->answer = -1;
	if (status >= 0)
		association_respond(a, &a->rq, a->context_id, (uint16_t)status,
				    a->comment);
}

static void message_ends(struct association *a)
{
	a->message = MESSAGE_NONE;
	a->last_pdu = a->pdus.pdus;
	if (a->way == MESSAGE_LEG)
		relay_flush(a->relay);
	if (a->way == MESSAGE_LEG) { /* still */
		relay_message_end(a->relay);
	} else if (a->way == MESSAGE_HERE) {
		association_serve_end(a);
	} else {
		answer_dropped(a);
		association_settled(a);
	}
	a->way = MESSAGE_UNDECIDED;
}

static void command_decided(struct association *a)
{
	if (a->way != MESSAGE_LEG)
		relay_run_drop(&a->run);
	if (command_has_data_set(&a->rq))
		a->message = MESSAGE_DATA;
	else
		message_ends(a);
}

static void on_command(struct association *a, const struct agreed_context *c)
{
	enum err e =
	    command_decode(buf_data(&a->command), buf_len(&a->command), &a->rq);

	buf_clear(&a->command);
	a->answer = -1;
	a->comment = NULL;
	if (e != ERR_OK) {
		association_protocol_error(
		    a, "aborted: malformed DIMSE command set",
		    ABORT_INVALID_PARAMETER);
		return;
	}
	if ((a->rq.field & COMMAND_RESPONSE) != 0)
		on_response(a, c);
	else
		on_request(a, c);
	if (a->state == UL_STA6 && !a->stalled)
		command_decided(a);
}

void association_relay_decided(struct association *a, bool ok)
{
	struct buf behind = a->backlog;

	if (!a->stalled || a->state != UL_STA6)
		return;
	buf_init(&a->backlog, behind.max);
	a->stalled = false;
	take_answer(a, ok ? relay_request(a->relay,
					  association_context(a, a->context_id),
					  &a->rq)
			  : RELAY_FAIL);
	if (!a->stalled)
		command_decided(a);
	association_parse(
	    a, buf_len(&behind) > 0 ? buf_data(&behind) : (const uint8_t *)"",
	    buf_len(&behind));
	buf_free(&behind);
	if (!a->stalled)
		association_resume(a, PAUSE_STALL);
}

/* ---- PDVs -------------------------------------------------------------- */

static bool fits(struct association *a, const struct pdv *pdv)
{
	bool begins = a->message == MESSAGE_NONE;

	if (association_context(a, pdv->context_id) == NULL) {
		association_protocol_error(
		    a, "aborted: P-DATA in a context not accepted",
		    ABORT_INVALID_PARAMETER);
		return false;
	}
	/* the last also since a PDU passes whole or not at all */
	if (pdv->command == (a->message == MESSAGE_DATA) ||
	    (!begins && pdv->context_id != a->context_id) ||
	    (begins && a->relay != NULL && a->last_pdu == a->pdus.pdus)) {
		association_protocol_error(
		    a, "aborted: fragments of messages are mixed",
		    ABORT_UNEXPECTED_PARAMETER);
		return false;
	}
	return true;
}

static void settle_run(struct association *a)
{
	if (a->way == MESSAGE_LEG)
		relay_run_safe(&a->run);
	else if (a->way != MESSAGE_UNDECIDED)
		relay_run_drop(&a->run);
}

/* A new PDV: does it fit the message that is under way? */
void association_on_pdv_begin(struct association *a, const struct pdv *pdv)
{
	if (association_step(a, UL_EVT10, ABORT_UNEXPECTED_PDU) != UL_DT2)
		return;
	if (!fits(a, pdv))
		return;
	if (a->message == MESSAGE_NONE) {
		a->message = MESSAGE_COMMAND;
		a->way = MESSAGE_UNDECIDED;
		a->context_id = pdv->context_id;
		association_watch(a);
	}
	settle_run(a);
}

void association_on_pdv_data(struct association *a, const struct pdv *pdv,
			     const uint8_t *p, size_t n)
{
	if (a->state != UL_STA6)
		return;
	if (pdv->command) {
		if (buf_append(&a->command, p, n) != ERR_OK)
			association_protocol_error(
			    a, "aborted: DIMSE command set too long",
			    ABORT_INVALID_PARAMETER);
		return;
	}
	if (a->way == MESSAGE_HERE)
		association_serve_data(a, p, n);
	else if (a->way == MESSAGE_LEG)
		relay_data(a->relay, p, n);
	settle_run(a);
}

void association_on_pdv_end(struct association *a, const struct pdv *pdv)
{
	const struct agreed_context *c =
	    association_context(a, pdv->context_id);

	if (a->state != UL_STA6 || c == NULL)
		return;
	settle_run(a);
	if (!pdv->last)
		return;
	if (pdv->command)
		on_command(a, c);
	else
		message_ends(a);
	association_watch(a);
}
