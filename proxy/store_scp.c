#include "proxy/store_scp.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "proxy/ack_meter.h"
#include "proxy/dicom/identify.h"
#include "proxy/early.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/worker.h"
#include "store/spool.h"
#include "store/spool_partial.h"

struct store_op {
	struct worker *worker;
	const struct store_events *events;
	void *arg;
	struct spool_put *put; /* NULL: refused, or handed to the spool */
	bool refused;          /* swallow the rest, answer status */
	bool ended;            /* store_end() was called */
	bool orphan;           /* store_abort() was called */
	bool finished;         /* only a message in the mailbox keeps it */
	uint16_t status;
	const char *comment; /* static */
	uint64_t ended_ns;   /* store_end() was called */

	bool identifying;
	struct identify identify;
	struct instance instance;

	/* Cut-through: told of at told bytes, the next time at tell_at. */
	const struct config *config;
	struct early_desk *desk;
	struct early *early;
	uint64_t came, told, tell_at; /* bytes; UINT64_MAX: never */

	/* From the writer thread: each is in the mailbox at most once. */
	struct msg done, writable;
	atomic_bool writable_posted;
	enum err result;
};

static atomic_uint pending;

unsigned store_pending(void)
{
	return atomic_load(&pending);
}

/* ---- statuses ---------------------------------------------------------- */

/* What a failure of the spool means to the device: try again later. */
static void refuse_with(struct store_op *op, enum err e)
{
	op->refused = true;
	op->status = STATUS_OUT_OF_RESOURCES;
	if (e == ERR_NOSPACE)
		op->comment = "spool full: nothing was stored, send again";
	else if (e == ERR_NOMEM)
		op->comment = "out of memory: nothing was stored, send again";
	else
		op->comment = "disk failure: nothing was stored, send again";
}

static void drop_put(struct store_op *op)
{
	early_end(&op->early, false);
	spool_put_abort(op->put);
	op->put = NULL;
}

/* ---- the end ----------------------------------------------------------- */

static void op_free(struct store_op *op)
{
	op->finished = true;
	if (!atomic_load(&op->writable_posted))
		mem_free(op);
}

static void on_done_msg(struct msg *m)
{
	struct store_op *op = CONTAINER_OF(m, struct store_op, done);

	atomic_fetch_sub(&pending, 1);
	if (!op->refused && op->result != ERR_OK)
		refuse_with(op, op->result);
	early_end(&op->early, op->result == ERR_OK && !op->refused);
	if (!op->orphan)
		op->events->on_done(op->arg, op->status, op->comment);
	if (!op->orphan && op->status == STATUS_SUCCESS)
		ack_meter_note(worker_index(op->worker),
			       clock_mono_ns() - op->ended_ns);
	op_free(op);
}

static void post_done(struct store_op *op)
{
	op->done.run = on_done_msg;
	if (!worker_post(op->worker, &op->done))
		atomic_fetch_sub(&pending, 1); /* the worker is gone */
}

/* ---- from the writer thread -------------------------------------------- */

static void on_stored(void *arg, enum err e, const struct instance *stored)
{
	struct store_op *op = arg;

	op->result = e;
	if (e == ERR_OK)
		op->instance.length = stored->length;
	post_done(op);
}

static void on_writable_msg(struct msg *m)
{
	struct store_op *op = CONTAINER_OF(m, struct store_op, writable);

	atomic_store(&op->writable_posted, false);
	if (op->finished)
		mem_free(op);
	else if (!op->orphan)
		op->events->on_writable(op->arg);
}

static void on_put_writable(void *arg)
{
	struct store_op *op = arg;

	if (atomic_exchange(&op->writable_posted, true))
		return;
	op->writable.run = on_writable_msg;
	if (!worker_post(op->worker, &op->writable))
		atomic_store(&op->writable_posted, false);
}

/* ---- the life of one --------------------------------------------------- */

void store_fill(struct instance *in, const struct store_origin *o,
		const struct agreed_context *c)
{
	const struct config_device *d = &o->config->devices[o->device];

	INSTANCE_SET(in->listener, o->config->listeners[o->listener].name);
	INSTANCE_SET(in->device, d->name);
	INSTANCE_SET(in->peer, o->peer);
	INSTANCE_SET(in->calling_ae, o->calling_ae);
	INSTANCE_SET(in->called_ae, o->called_ae);
	INSTANCE_SET(in->transfer_syntax, c->transfer_syntax);
	in->association = o->association;
	in->received_ms = clock_wall_ms();
	in->device_priority = (int8_t)d->priority;
}

static void fill_destinations(struct instance *in, const struct config_route *r)
{
	for (size_t i = 0; i < r->forward.n; i++) {
		INSTANCE_SET(in->destinations[i], r->forward.v[i].name);
		in->n_destinations++;
		if (r->commit.n > 0 &&
		    r->commit.v[0].index == r->forward.v[i].index)
			in->commit = in->n_destinations;
	}
}

static void fill_instance(struct instance *in, const struct store_origin *o,
			  const struct agreed_context *c,
			  const struct command *rq)
{
	store_fill(in, o, c);
	INSTANCE_SET(in->sop_class, rq->affected_class);
	INSTANCE_SET(in->sop_instance, rq->affected_instance);
	in->priority = rq->priority;
	in->has_move = (rq->has & CMD_ORIGINATOR_AE) != 0;
	if (in->has_move) {
		INSTANCE_SET(in->move_originator, rq->originator_ae);
		in->move_originator_id = rq->originator_id;
	}
	fill_destinations(in, c->route);
}

/* ---- cut-through ------------------------------------------------------- */

static void watch_length(struct store_op *op, const struct store_origin *o)
{
	op->config = o->config;
	op->desk = o->early;
	op->tell_at = o->early != NULL ? early_next(o->config, &op->instance, 0)
				       : UINT64_MAX;
}

static void tell_length(struct store_op *op)
{
	early_tell(op->desk, &op->early, &op->instance, spool_put_id(op->put),
		   op->told, op->came);
	op->told = op->came;
	op->tell_at = early_next(op->config, &op->instance, op->came);
}

/* ---- in ---------------------------------------------------------------- */

enum err store_begin(struct spool *spool, struct worker *w,
		     const struct store_origin *origin,
		     const struct agreed_context *context,
		     const struct command *rq,
		     const struct store_events *events, void *arg,
		     struct store_op **out)
{
	struct store_op *op = mem_zalloc(sizeof(*op));
	struct spool_put_events put_events = {.on_writable = on_put_writable,
					      .on_done = on_stored};
	enum err e;

	if (op == NULL)
		return ERR_NOMEM;
	op->worker = w;
	op->events = events;
	op->arg = arg;
	op->comment = "";
	put_events.arg = op;
	fill_instance(&op->instance, origin, context, rq);
	watch_length(op, origin);
	e = spool_put_begin(spool, &op->instance, &put_events, &op->put);
	if (e != ERR_OK) {
		op->put = NULL;
		refuse_with(op, e);
		/* for when it is sent again */
		if (e == ERR_NOSPACE)
			(void)spool_partial_make_room(spool);
	} else {
		identify_init(&op->identify,
			      uid_ts_kind(context->transfer_syntax));
		op->identifying = true;
	}
	*out = op;
	return ERR_OK;
}

void store_data(struct store_op *op, const uint8_t *bytes, size_t n)
{
	enum err e;

	if (op->put == NULL)
		return;
	if (op->identifying)
		(void)identify_feed(&op->identify, bytes, n);
	e = spool_put_data(op->put, bytes, n);
	if (e != ERR_OK) {
		drop_put(op);
		refuse_with(op, e);
		return;
	}
	op->came += n;
	if (op->came >= op->tell_at)
		tell_length(op);
}

bool store_full(const struct store_op *op)
{
	return op->put != NULL && spool_put_full(op->put);
}

/* A900 when the data set plainly is another object than the command says
 * (PS3.4 table B.2-1); what cannot be read is no reason to refuse. */
static bool differs(const struct identity *id, uint32_t bit, const char *in_set,
		    const char *in_command)
{
	return (id->has & bit) != 0 && in_set[0] != '\0' &&
	       strcmp(in_set, in_command) != 0;
}

static void check_identity(struct store_op *op, const struct identity *id)
{
	struct instance *in = &op->instance;

	if (differs(id, IDENTITY_SOP_CLASS, id->sop_class, in->sop_class))
		op->comment = "SOP class differs between command and data set";
	else if (differs(id, IDENTITY_SOP_INSTANCE, id->sop_instance,
			 in->sop_instance))
		op->comment = "SOP instance differs, command and data set";
	else
		return;
	op->refused = true;
	op->status = STATUS_CLASS_MISMATCH;
}

static void take_identity(struct store_op *op)
{
	struct instance *in = &op->instance;
	struct identity *id;

	op->identifying = false;
	id = mem_zalloc(sizeof(*id));
	identify_end(&op->identify, id);
	if (id == NULL)
		return; /* carried without identifiers */
	INSTANCE_SET(in->study, id->study);
	INSTANCE_SET(in->series, id->series);
	INSTANCE_SET(in->modality, id->modality);
	INSTANCE_SET(in->accession, id->accession);
	INSTANCE_SET(in->patient_id, id->patient_id);
	INSTANCE_SET(in->patient_name, id->patient_name);
	check_identity(op, id);
	mem_wipe(id, sizeof(*id));
	mem_free(id);
}

void store_end(struct store_op *op)
{
	struct spool_put *put;
	enum err e;

	op->ended = true;
	op->ended_ns = clock_mono_ns();
	atomic_fetch_add(&pending, 1);
	if (op->identifying)
		take_identity(op);
	if (op->refused && op->put != NULL)
		drop_put(op);
	if (op->put == NULL) {
		post_done(op);
		return;
	}
	put = op->put;
	op->put = NULL;
	e = spool_put_finish(put, &op->instance);
	if (e == ERR_OK)
		return; /* on_stored() has or will come */
	refuse_with(op, e);
	post_done(op);
}

void store_abort(struct store_op *op)
{
	op->orphan = true;
	if (op->ended)
		return; /* on_done_msg() frees it */
	if (op->identifying)
		identify_end(&op->identify, NULL);
	if (op->put != NULL)
		drop_put(op);
	op_free(op);
}

const char *store_study(const struct store_op *op)
{
	return op->instance.study;
}

uint64_t store_length(const struct store_op *op)
{
	return op->instance.length;
}
