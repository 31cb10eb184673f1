#include "proxy/relay_ops.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

/* ---- kinds ------------------------------------------------------------- */

static bool is_query(uint16_t field)
{
	return field == C_FIND_RQ || field == C_MOVE_RQ || field == C_GET_RQ;
}

static bool is_summed(uint16_t field)
{
	return field == C_ECHO_RQ || field == C_STORE_RQ;
}

static const char *class_of(const struct command *rq)
{
	return (rq->has & CMD_AFFECTED_CLASS) != 0 ? rq->affected_class
						   : rq->requested_class;
}

static const char *instance_of(const struct command *rq)
{
	return (rq->has & CMD_AFFECTED_INSTANCE) != 0 ? rq->affected_instance
						      : rq->requested_instance;
}

static enum audit_kind audit_kind_of(const struct command *rq)
{
	switch (rq->field) {
	case C_FIND_RQ:
		return AUDIT_QUERY;
	case C_MOVE_RQ:
	case C_GET_RQ:
		return AUDIT_RETRIEVE;
	default: /* by class, not by message */
		break;
	}
	if (strcmp(class_of(rq), UID_MPPS) == 0)
		return AUDIT_PROCEDURE_STEP;
	if (strcmp(class_of(rq), UID_COMMITMENT) == 0)
		return rq->field == N_ACTION_RQ ? AUDIT_COMMITMENT_REQUESTED
						: AUDIT_COMMITMENT_REPORTED;
	return AUDIT_RELAYED;
}

uint16_t relay_failure_status(uint16_t field)
{
	switch (field) {
	case C_STORE_RQ:
		return STATUS_OUT_OF_RESOURCES;
	case C_FIND_RQ:
		return STATUS_UNABLE_TO_PROCESS;
	case C_MOVE_RQ:
	case C_GET_RQ:
		return STATUS_UNABLE_TO_RETRIEVE;
	default: /* C-ECHO and all of DIMSE-N */
		return STATUS_PROCESSING_FAILURE;
	}
}

/* ---- the record -------------------------------------------------------- */

static void plain(char *out, size_t size, const char *text)
{
	size_t i = 0;

	for (; text[i] != '\0' && i + 1 < size; i++)
		out[i] = text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i];
	out[i] = '\0';
}

static void write_row(const struct relay_ops *o, struct ledger_operation *row)
{
	row->association = o->facts->row.id;
	SET(row->destination, o->destination);
	SET(row->device, o->facts->row.device);
	ledger_operation(o->ledger, row);
}

static void describe(struct audit_event *e, const struct command *rq,
		     uint32_t count, int32_t status, uint64_t bytes)
{
	struct audit_json j = audit_json_begin(e->detail, sizeof(e->detail));

	audit_json_text(&j, "message", command_name(rq->field));
	audit_json_text(&j, "sop_class", class_of(rq));
	if (!is_query(rq->field) && instance_of(rq)[0] != '\0')
		audit_json_text(&j, "sop_instance", instance_of(rq));
	if (rq->field == C_MOVE_RQ)
		audit_json_text(&j, "move_destination", rq->move_destination);
	audit_json_number(&j, "status", status);
	audit_json_number(&j, is_query(rq->field) ? "responses" : "count",
			  count);
	audit_json_number(&j, "bytes", (int64_t)bytes);
	audit_json_end(&j);
}

static enum audit_outcome outcome_of(int32_t status)
{
	if (status < 0)
		return AUDIT_SERIOUS;
	return command_status_class((uint16_t)status) == STATUS_IS_FAILURE
		   ? AUDIT_MINOR
		   : AUDIT_SUCCESS;
}

/* Strings of the association; the rest is the caller's. */
static struct audit_event *new_event(const struct relay_ops *o)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));

	if (e == NULL)
		return NULL; /* the ledger's row stands */
	e->association = o->facts->row.id;
	SET(e->listener, o->facts->row.party);
	SET(e->device, o->facts->row.device);
	SET(e->destination, o->destination);
	SET(e->peer, o->facts->row.peer);
	SET(e->local, o->facts->row.local);
	SET(e->calling_ae, o->facts->row.calling_ae);
	SET(e->called_ae, o->facts->row.called_ae);
	return e;
}

static void audit_op(const struct relay_ops *o, const struct relay_op *op,
		     int32_t status)
{
	struct audit_event *e = new_event(o);
	uint8_t *sealed = NULL;
	size_t len = 0;

	if (e == NULL)
		return;
	e->kind = audit_kind_of(&op->rq);
	e->outcome = outcome_of(status);
	describe(e, &op->rq, op->responses, status, op->bytes);
	if (buf_len(&op->identifier) > 0)
		sealed = mem_zalloc(LEDGER_IDENTIFIER_SEALED);
	if (sealed != NULL &&
	    ledger_seal_identifier(o->ledger, buf_data(&op->identifier),
				   buf_len(&op->identifier), sealed,
				   LEDGER_IDENTIFIER_SEALED, &len,
				   e->commitment) == ERR_OK) {
		e->sealed = sealed;
		e->sealed_len = (uint16_t)len;
	}
	ledger_audit(o->ledger, e);
	mem_free(sealed);
	mem_free(e);
}

static void record(const struct relay_ops *o, const struct relay_op *op,
		   int32_t status)
{
	struct ledger_operation row = {.command = op->rq.field,
				       .status = status,
				       .responses = op->responses,
				       .bytes = op->bytes,
				       .begun_ms = op->begun_ms,
				       .duration_ns =
					   clock_mono_ns() - op->begun_ns,
				       .count = 1,
				       .from_destination = op->from_leg};

	plain(row.sop_class, sizeof(row.sop_class), class_of(&op->rq));
	if (!is_query(op->rq.field))
		plain(row.sop_instance, sizeof(row.sop_instance),
		      instance_of(&op->rq));
	write_row(o, &row);
	audit_op(o, op, status);
}

/* ---- sums -------------------------------------------------------------- */

static void audit_sum(const struct relay_ops *o, const struct relay_sum *s)
{
	struct command rq = {.field = s->field, .has = CMD_AFFECTED_CLASS};
	struct audit_event *e;

	if (s->field != C_STORE_RQ)
		return; /* an echo concerns nobody */
	e = new_event(o);
	if (e == NULL)
		return;
	memcpy(rq.affected_class, s->sop_class, sizeof(rq.affected_class));
	e->kind = AUDIT_RELAYED;
	e->outcome = outcome_of(s->status);
	describe(e, &rq, s->n, s->status, s->bytes);
	ledger_audit(o->ledger, e);
	mem_free(e);
}

static void write_sum(const struct relay_ops *o, struct relay_sum *s)
{
	struct ledger_operation row = {.command = s->field,
				       .status = s->status,
				       .bytes = s->bytes,
				       .begun_ms = s->begun_ms,
				       .duration_ns = s->duration_ns,
				       .count = s->n};

	if (s->n == 0)
		return;
	plain(row.sop_class, sizeof(row.sop_class), s->sop_class);
	row.from_destination = s->from_leg;
	write_row(o, &row);
	audit_sum(o, s);
	s->n = 0;
}

static struct relay_sum *sum_for(struct relay_ops *o, const struct relay_op *op,
				 int32_t status)
{
	struct relay_sum *s = NULL;

	for (size_t i = 0; i < RELAY_SUMS; i++) {
		struct relay_sum *t = &o->sums[i];

		if (t->n > 0 && t->field == op->rq.field &&
		    t->context_id == op->context_id && t->status == status &&
		    t->from_leg == op->from_leg)
			return t;
		if (s == NULL || t->n < s->n)
			s = t; /* the smallest makes room */
	}
	write_sum(o, s);
	*s = (struct relay_sum){.field = op->rq.field,
				.context_id = op->context_id,
				.from_leg = op->from_leg,
				.status = status,
				.begun_ms = op->begun_ms};
	memcpy(s->sop_class, class_of(&op->rq), sizeof(s->sop_class));
	return s;
}

static void add_up(struct relay_ops *o, const struct relay_op *op,
		   int32_t status)
{
	struct relay_sum *s = sum_for(o, op, status);

	s->n++;
	s->bytes += op->bytes;
	s->duration_ns += clock_mono_ns() - op->begun_ns;
}

/* ---- life -------------------------------------------------------------- */

void relay_ops_init(struct relay_ops *o, const struct association_facts *f,
		    struct ledger *ledger, const char *destination)
{
	*o = (struct relay_ops){
	    .facts = f, .ledger = ledger, .destination = destination};
	list_init(&o->list);
}

void relay_ops_end(struct relay_ops *o)
{
	LIST_EACH(it, tmp, &o->list)
	{
		relay_op_end(o, CONTAINER_OF(it, struct relay_op, node), -1);
	}
	for (size_t i = 0; i < RELAY_SUMS; i++)
		write_sum(o, &o->sums[i]);
}

enum err relay_op_begin(struct relay_ops *o, const struct command *rq,
			uint8_t context_id, bool from_leg,
			struct relay_op **out)
{
	unsigned *n = from_leg ? &o->n_leg : &o->n_device;
	struct relay_op *op;

	if (*n == RELAY_OPS_MAX)
		return ERR_LIMIT;
	op = mem_zalloc(sizeof(*op));
	if (op == NULL)
		return ERR_NOMEM;
	op->rq = *rq;
	op->context_id = context_id;
	op->from_leg = from_leg;
	op->begun_ns = clock_mono_ns();
	op->begun_ms = clock_wall_ms();
	buf_init(&op->identifier, LEDGER_IDENTIFIER_MAX);
	list_push_back(&o->list, &op->node);
	(*n)++;
	*out = op;
	return ERR_OK;
}

struct relay_op *relay_op_find(struct relay_ops *o, uint8_t context_id,
			       bool from_leg, uint16_t responded_id)
{
	struct relay_op *only = NULL;
	unsigned n = 0;

	LIST_EACH(it, tmp, &o->list)
	{
		struct relay_op *op = CONTAINER_OF(it, struct relay_op, node);

		if (op->from_leg != from_leg || op->context_id != context_id)
			continue;
		if (op->rq.message_id == responded_id)
			return op;
		only = op;
		n++;
	}
	return n == 1 ? only : NULL;
}

static void wipe(struct buf *b)
{
	if (b->base != NULL)
		mem_wipe(b->base, b->cap);
	buf_free(b);
}

void relay_op_data(struct relay_op *op, const uint8_t *p, size_t n)
{
	op->bytes += n;
	if (!is_query(op->rq.field) || op->from_leg || op->too_long)
		return;
	/* one that is too long for the audit is left out of it whole */
	op->too_long = buf_append(&op->identifier, p, n) != ERR_OK;
	if (op->too_long)
		wipe(&op->identifier);
}

void relay_op_answer_data(struct relay_op *op, size_t n)
{
	op->bytes += n;
}

void relay_op_end(struct relay_ops *o, struct relay_op *op, int32_t status)
{
	list_remove(&op->node);
	*(op->from_leg ? &o->n_leg : &o->n_device) -= 1;
	if (is_summed(op->rq.field))
		add_up(o, op, status);
	else
		record(o, op, status);
	wipe(&op->identifier);
	mem_free(op);
}

uint64_t relay_ops_patience(const struct relay_ops *o,
			    const struct config_destination *d)
{
	uint64_t ms = 0;

	LIST_EACH(it, tmp, &o->list)
	{
		const struct relay_op *op =
		    CONTAINER_OF(it, struct relay_op, node);
		bool retrieve =
		    op->rq.field == C_MOVE_RQ || op->rq.field == C_GET_RQ;
		uint64_t t =
		    retrieve ? d->timeouts.retrieve : d->timeouts.response;

		if (!op->from_leg && t > ms)
			ms = t;
	}
	return ms;
}
