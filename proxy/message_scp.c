#include "proxy/message_scp.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "proxy/commitment.h"
#include "proxy/dicom/commit.h"
#include "proxy/dicom/identify.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "proxy/negotiate.h"
#include "proxy/net/worker.h"
#include "proxy/store_scp.h"
#include "store/spool.h"

enum { PIECE = 256 * 1024 }; /* bytes put into the spool at one go */

struct message_op {
	struct message_env env;
	const struct message_events *events;
	void *arg;
	struct buf data;
	bool refused; /* swallow the rest, answer status */
	bool ended;   /* message_end() was called */
	bool orphan;  /* message_abort() was called */
	uint16_t status;
	const char *comment; /* static */
	uint64_t length;

	/* A message for the spool: transfer syntax and class for reports,
	 * too. */
	struct instance instance;
	struct spool_put *put; /* while its data is being put */
	bool finished;         /* only a message in the mailbox keeps it */

	/* A report. */
	bool is_report;
	char from[INSTANCE_NAME_LEN];

	/* From other threads: each is in the mailbox at most once. */
	struct msg done, writable;
	atomic_bool writable_posted;
	enum err result;
};

static atomic_uint pending;
static atomic_size_t gathered; /* bytes, of all ops */

unsigned message_pending(void)
{
	return atomic_load(&pending);
}

/* ---- statuses ---------------------------------------------------------- */

static void refuse(struct message_op *op, uint16_t status, const char *comment)
{
	if (op->refused)
		return; /* the first reason counts */
	op->refused = true;
	op->status = status;
	op->comment = comment;
}

/* What a failure of the spool means to the device: try again later. */
static void refuse_with(struct message_op *op, enum err e)
{
	if (e == ERR_NOSPACE)
		refuse(op, STATUS_RESOURCE_LIMIT, "spool full: send again");
	else if (e == ERR_NOMEM)
		refuse(op, STATUS_RESOURCE_LIMIT, "out of memory: send again");
	else
		refuse(op, STATUS_RESOURCE_LIMIT, "disk failure: send again");
}

/* ---- the data set ------------------------------------------------------ */

static void drop_data(struct message_op *op)
{
	atomic_fetch_sub(&gathered, buf_len(&op->data));
	buf_free(&op->data);
}

void message_data(struct message_op *op, const uint8_t *bytes, size_t n)
{
	enum err e;

	op->length += n;
	if (op->refused)
		return;
	if (atomic_fetch_add(&gathered, n) + n > MESSAGES_MAX) {
		atomic_fetch_sub(&gathered, n);
		refuse(op, STATUS_RESOURCE_LIMIT,
		       "too many messages at once: send again");
		drop_data(op);
		return;
	}
	e = buf_append(&op->data, bytes, n);
	if (e == ERR_OK)
		return;
	atomic_fetch_sub(&gathered, n);
	if (e == ERR_LIMIT)
		refuse(op, STATUS_RESOURCE_LIMIT,
		       "the data set is longer than is taken here");
	else
		refuse_with(op, e);
	drop_data(op);
}

/* ---- the end ----------------------------------------------------------- */

static void op_free(struct message_op *op)
{
	op->finished = true;
	drop_data(op);
	if (!atomic_load(&op->writable_posted))
		mem_free(op);
}

static void on_done_msg(struct msg *m)
{
	struct message_op *op = CONTAINER_OF(m, struct message_op, done);

	atomic_fetch_sub(&pending, 1);
	if (op->result != ERR_OK)
		refuse_with(op, op->result);
	if (!op->orphan)
		op->events->on_done(op->arg, op->status, op->comment);
	op_free(op);
}

static void post_done(struct message_op *op)
{
	op->done.run = on_done_msg;
	if (!worker_post(op->env.worker, &op->done))
		atomic_fetch_sub(&pending, 1); /* the worker is gone */
}

/* ---- into the spool ---------------------------------------------------- */

static void on_stored(void *arg, enum err e, const struct instance *stored)
{
	struct message_op *op = arg;

	(void)stored;
	op->result = e;
	if (e == ERR_OK && op->instance.held && op->env.commitment != NULL)
		commitment_wake(op->env.commitment);
	post_done(op);
}

static void failed(struct message_op *op, enum err e)
{
	op->result = e;
	post_done(op);
}

/* Put what there is room for; the rest when the spool is writable. */
static void put_more(struct message_op *op)
{
	struct spool_put *put = op->put;
	enum err e = ERR_OK;

	while (e == ERR_OK && buf_len(&op->data) > 0) {
		size_t left = buf_len(&op->data);
		size_t n = left < PIECE ? left : PIECE;

		e = spool_put_data(put, buf_data(&op->data), n);
		buf_consume(&op->data, n);
		atomic_fetch_sub(&gathered, n);
		if (e == ERR_OK && spool_put_full(put))
			return;
	}
	op->put = NULL;
	drop_data(op);
	if (e != ERR_OK) {
		spool_put_abort(put);
		failed(op, e);
		return;
	}
	e = spool_put_finish(put, &op->instance);
	if (e != ERR_OK)
		failed(op, e); /* else on_stored() has or will come */
}

static void on_writable_msg(struct msg *m)
{
	struct message_op *op = CONTAINER_OF(m, struct message_op, writable);

	atomic_store(&op->writable_posted, false);
	if (op->finished)
		mem_free(op);
	else if (op->put != NULL)
		put_more(op);
}

static void on_put_writable(void *arg)
{
	struct message_op *op = arg;

	if (atomic_exchange(&op->writable_posted, true))
		return;
	op->writable.run = on_writable_msg;
	if (!worker_post(op->env.worker, &op->writable))
		atomic_store(&op->writable_posted, false);
}

static void put_begin(struct message_op *op)
{
	struct spool_put_events events = {
	    .on_writable = on_put_writable, .on_done = on_stored, .arg = op};
	enum err e =
	    spool_put_begin(op->env.spool, &op->instance, &events, &op->put);

	if (e != ERR_OK) {
		op->put = NULL;
		failed(op, e);
		return;
	}
	put_more(op);
}

/* ---- what a data set must hold ----------------------------------------- */

static void check_action(struct message_op *op)
{
	struct commit_set set;
	enum err e =
	    commit_decode(buf_data(&op->data), buf_len(&op->data),
			  uid_ts_kind(op->instance.transfer_syntax), &set);

	switch (e) {
	case ERR_OK:
		INSTANCE_SET(op->instance.transaction, set.transaction);
		commit_free(&set);
		break;
	case ERR_INVAL:
		refuse(op, STATUS_MISSING_ATTRIBUTE,
		       "no transaction UID, or no instance is named");
		break;
	case ERR_LIMIT:
		refuse(op, STATUS_RESOURCE_LIMIT,
		       "too many instances in one request");
		break;
	case ERR_NOMEM:
		refuse_with(op, e);
		break;
	default:
		refuse(op, STATUS_INVALID_ARGUMENT,
		       "the data set cannot be read");
		break;
	}
}

/* For whoever looks at the queue; what cannot be read is no reason to
 * refuse. */
static void take_identity(struct message_op *op)
{
	struct instance *in = &op->instance;
	struct identify *scan = mem_zalloc(sizeof(*scan));
	struct identity *id = mem_zalloc(sizeof(*id));

	if (scan != NULL) {
		identify_init(scan, uid_ts_kind(in->transfer_syntax));
		(void)identify_feed(scan, buf_data(&op->data),
				    buf_len(&op->data));
		identify_end(scan, id);
	}
	if (scan != NULL && id != NULL) {
		INSTANCE_SET(in->study, id->study);
		INSTANCE_SET(in->modality, id->modality);
		INSTANCE_SET(in->accession, id->accession);
		INSTANCE_SET(in->patient_id, id->patient_id);
		INSTANCE_SET(in->patient_name, id->patient_name);
		mem_wipe(id, sizeof(*id));
	}
	if (scan != NULL)
		mem_wipe(scan, sizeof(*scan));
	mem_free(scan);
	mem_free(id);
}

/* ---- reports ----------------------------------------------------------- */

static const char *report_comment(uint16_t status)
{
	switch (status) {
	case STATUS_SUCCESS:
		return "";
	case STATUS_PROCESSING_FAILURE:
		return "no such transaction here";
	case STATUS_INVALID_ARGUMENT:
		return "the data set cannot be read";
	case STATUS_RESOURCE_LIMIT:
		return "cannot be stored now: send again";
	default:
		return command_status_text(status);
	}
}

/* On the engine's thread. */
static void on_reported(void *arg, uint16_t status)
{
	struct message_op *op = arg;

	op->status = status;
	op->comment = report_comment(status);
	post_done(op);
}

static void report(struct message_op *op)
{
	struct commitment_report r = {.data = buf_data(&op->data),
				      .len = buf_len(&op->data),
				      .transfer_syntax =
					  op->instance.transfer_syntax,
				      .event_type = op->instance.type,
				      .from = op->from};
	enum err e = commitment_report(op->env.commitment, &r, on_reported, op);

	if (e == ERR_OK)
		return; /* on_reported() has or will come */
	refuse(op, STATUS_RESOURCE_LIMIT, "too many reports: send again");
	post_done(op);
}

/* ---- the life of one --------------------------------------------------- */

void message_end(struct message_op *op)
{
	op->ended = true;
	atomic_fetch_add(&pending, 1);
	if (!op->refused && buf_len(&op->data) == 0)
		refuse(op, STATUS_MISTYPED_ARGUMENT, "no data set");
	if (!op->refused && !op->is_report && op->instance.held)
		check_action(op);
	if (op->refused) {
		post_done(op);
	} else if (op->is_report) {
		report(op);
	} else {
		take_identity(op);
		put_begin(op);
	}
}

void message_abort(struct message_op *op)
{
	op->orphan = true;
	if (!op->ended)
		op_free(op); /* else on_done_msg() does */
}

uint64_t message_length(const struct message_op *op)
{
	return op->length;
}

bool message_is_spooled(const struct agreed_context *context, uint16_t field)
{
	if (context->way != WAY_MESSAGE)
		return false;
	if (context->service == CONFIG_COMMITMENT)
		return field == N_ACTION_RQ;
	return context->service == CONFIG_MPPS &&
	       (field == N_CREATE_RQ || field == N_SET_RQ);
}

static struct message_op *op_new(const struct message_env *env,
				 const struct message_events *events, void *arg,
				 size_t max)
{
	struct message_op *op = mem_zalloc(sizeof(*op));

	if (op == NULL)
		return NULL;
	op->env = *env;
	op->events = events;
	op->arg = arg;
	op->comment = "";
	buf_init(&op->data, max);
	return op;
}

/* Class and instance, affected or requested; "" where there is none. */
static void take_names(struct message_op *op, const struct command *rq)
{
	bool affected =
	    rq->field == N_CREATE_RQ || rq->field == N_EVENT_REPORT_RQ;

	op->instance.command = rq->field;
	op->instance.type =
	    rq->field == N_EVENT_REPORT_RQ ? rq->event_type : rq->action_type;
	INSTANCE_SET(op->instance.sop_class,
		     affected ? rq->affected_class : rq->requested_class);
	INSTANCE_SET(op->instance.sop_instance,
		     affected ? rq->affected_instance : rq->requested_instance);
}

/* Printable ASCII, so that it can be shown and stored as it is. */
static bool is_plain(const char *uid)
{
	if (uid[0] == '\0')
		return false;
	for (const char *p = uid; *p != '\0'; p++) {
		if (*p < 0x21 || *p > 0x7e || *p == '"' || *p == '\\')
			return false;
	}
	return true;
}

static void check_class(struct message_op *op, const struct command *rq,
			const char *abstract)
{
	if (!command_has_data_set(rq))
		refuse(op, STATUS_MISTYPED_ARGUMENT, "no data set");
	else if (strcmp(op->instance.sop_class, abstract) != 0)
		refuse(op, STATUS_CLASS_NOT_SUPPORTED,
		       "SOP class is not that of the context");
}

static void check_commitment(struct message_op *op)
{
	const struct instance *in = &op->instance;
	bool known =
	    in->command == N_ACTION_RQ
		? in->type == COMMIT_ACTION_TYPE
		: in->type == COMMIT_EVENT_ALL || in->type == COMMIT_EVENT_SOME;

	if (strcmp(in->sop_instance, UID_COMMITMENT_INSTANCE) != 0)
		refuse(op, STATUS_NO_SUCH_INSTANCE,
		       "not the well-known SOP instance");
	else if (!known && in->command == N_ACTION_RQ)
		refuse(op, STATUS_NO_SUCH_ACTION, "no such action type");
	else if (!known)
		refuse(op, STATUS_NO_SUCH_EVENT, "no such event type");
}

static void fill_destinations(struct instance *in, const struct config_refs *to)
{
	for (size_t i = 0; i < to->n; i++)
		INSTANCE_SET(in->destinations[i], to->v[i].name);
	in->n_destinations = (uint8_t)to->n;
}

enum err message_begin(const struct message_env *env,
		       const struct store_origin *origin,
		       const struct agreed_context *context,
		       const struct command *rq,
		       const struct message_events *events, void *arg,
		       struct message_op **out)
{
	struct message_op *op = op_new(env, events, arg, MESSAGE_MAX);

	assert(message_is_spooled(context, rq->field));
	if (op == NULL)
		return ERR_NOMEM;
	take_names(op, rq);
	store_fill(&op->instance, origin, context);
	op->instance.held = rq->field == N_ACTION_RQ;
	fill_destinations(&op->instance, op->instance.held
					     ? &context->route->hold
					     : &context->route->forward);
	check_class(op, rq, context->abstract);
	if (op->instance.held)
		check_commitment(op);
	else if (!is_plain(op->instance.sop_instance))
		refuse(op, STATUS_INVALID_INSTANCE,
		       "SOP instance UID missing or unreadable");
	*out = op;
	return ERR_OK;
}

enum err message_report_begin(const struct message_env *env,
			      const struct message_reporter *from,
			      const struct command *rq,
			      const struct message_events *events, void *arg,
			      struct message_op **out)
{
	struct message_op *op = op_new(env, events, arg, MESSAGE_REPORT_MAX);

	assert(rq->field == N_EVENT_REPORT_RQ);
	if (op == NULL)
		return ERR_NOMEM;
	take_names(op, rq);
	op->is_report = true;
	INSTANCE_SET(op->from, from->name);
	INSTANCE_SET(op->instance.transfer_syntax, from->transfer_syntax);
	check_class(op, rq, from->abstract);
	if (env->commitment == NULL ||
	    strcmp(op->instance.sop_class, UID_COMMITMENT) != 0)
		refuse(op, STATUS_PROCESSING_FAILURE,
		       report_comment(STATUS_PROCESSING_FAILURE));
	check_commitment(op);
	*out = op;
	return ERR_OK;
}
