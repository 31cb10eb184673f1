/* association.c - see association.h.
 *
 *   bytes --> pdu_stream --> on_pdu / on_pdv --> step(event) --> act_*()
 *
 * The table of PS3.8 (ul_fsm.h) decides; step() is the one place that changes
 * state. on_*  stream events. A message is a command and the data set that
 * may follow; one at a time, as no asynchronous window is ever agreed. */
#include "proxy/association.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/devices.h"
#include "proxy/admission.h"
#include "proxy/association_record.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/pdu.h"
#include "proxy/dicom/ul_fsm.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/negotiate.h"
#include "proxy/net/stream.h"
#include "proxy/store_scp.h"

enum { SUMMARY_LEN = 200, FIRST_BYTES = 4 };

/* Where in a message the peer is. */
enum message { MESSAGE_NONE, MESSAGE_COMMAND, MESSAGE_DATA };

struct association {
	struct list node; /* of env->open */
	struct association_env *env;
	struct stream *stream; /* NULL once the end is certain */
	enum ul_state state;
	size_t listener; /* index */
	int device;      /* index; -1 until admitted */
	uint64_t begun_ns;
	struct association_facts facts; /* for the ledger */
	char why[SUMMARY_LEN];          /* how it ended, first word wins */

	uint8_t first[FIRST_BYTES];
	uint8_t n_first;
	bool speaks_dicom;
	struct buf hold; /* A-ASSOCIATE-RQ in parts */
	struct pdu_stream pdus;

	struct agreed_context *contexts;
	size_t n_contexts;

	enum message message;
	uint8_t context_id; /* of the message */
	struct buf command;
	struct command rq;
	struct store_op *op;     /* a C-STORE, until it is answered */
	uint16_t refused_status; /* answer after a data set nobody wants */
	const char *refused_comment;
	bool data_wanted; /* the data set goes to op */
};

static const struct config_listener *listener_of(const struct association *a)
{
	return &a->env->config->listeners[a->listener];
}

static void because(struct association *a, const char *why)
{
	if (a->why[0] == '\0')
		snprintf(a->why, sizeof(a->why), "%s", why);
}

/* ---- the end ----------------------------------------------------------- */

static void drop_op(struct association *a)
{
	if (a->op == NULL)
		return;
	store_abort(a->op);
	a->op = NULL;
}

static void association_free(struct association *a)
{
	list_remove(&a->node);
	admission_leave(a->env->admission, a->listener, a->device);
	worker_load_add(a->env->worker, -1);
	atomic_fetch_sub(a->env->n_open, 1);
	buf_free(&a->hold);
	buf_free(&a->command);
	mem_free(a->contexts);
	mem_free(a);
}

static void close_now(struct association *a, enum err why)
{
	drop_op(a);
	a->state = UL_STA1;
	stream_close(a->stream, why);
}

static void refuse(struct association *a, const char *reason, const char *cause,
		   const char *remedy, bool tls)
{
	admission_refuse(
	    a->env->admission,
	    &(struct refusal_facts){.listener = a->listener,
				    .peer = a->facts.row.peer,
				    .calling_ae = a->facts.row.calling_ae,
				    .called_ae = a->facts.row.called_ae,
				    .reason = reason,
				    .cause = cause,
				    .remedy = remedy,
				    .tls = tls});
}

static void ended_before_association(struct association *a, enum err why,
				     const char *detail)
{
	if (a->why[0] != '\0')
		return; /* refused, and said so */
	if (why == ERR_TLS)
		refuse(a, "tls-handshake", detail, "see the cause", true);
	else if (why == ERR_TIMEOUT)
		refuse(a, "artim-expired",
		       "no A-ASSOCIATE-RQ came within the time allowed",
		       "a port scan or a stalled device; listeners.NAME."
		       "timeouts.artim sets the time",
		       false);
	else
		log_event(LOG_INFO, "connection-ended",
			  "listener=%s peer=%s why=\"%s\"",
			  listener_of(a)->name, a->facts.row.peer,
			  why == ERR_OK ? "closed by the peer" : detail);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct association *a = arg;

	drop_op(a);
	if (a->device >= 0) {
		because(a, why == ERR_OK ? "released" : detail);
		association_record_end(&a->facts, a->env->ledger, a->why,
				       clock_mono_ns() - a->begun_ns);
	} else {
		ended_before_association(a, why, detail);
	}
	association_free(a);
}

/* ---- sending ----------------------------------------------------------- */

static void send_bytes(struct association *a, const void *p, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	enum err e = stream_write(a->stream, &iov, 1);

	a->facts.end.bytes_out += n;
	if (e == ERR_OK)
		return;
	/* a peer that never reads its responses fills the queue */
	because(a, "the peer does not read what it is sent");
	close_now(a, e);
}

/* Sta13: wait for the peer to close, at most ARTIM. */
static void await_close(struct association *a)
{
	drop_op(a);
	stream_eof_ok(a->stream, true);
	stream_set_idle(a->stream, 0);
	stream_set_deadline(a->stream, listener_of(a)->timeouts.artim);
	stream_read_resume(a->stream);
}

static void send_abort(struct association *a, uint8_t source, uint8_t reason)
{
	uint8_t pdu[PDU_CONTROL_LEN];
	size_t n = pdu_abort_encode(
	    pdu, (struct pdu_abort){.source = source, .reason = reason});

	send_bytes(a, pdu, n);
	if (a->state != UL_STA1)
		await_close(a);
}

/* ---- the state machine ------------------------------------------------- */

/* Take the table's step for an event and do what needs no argument. Returns
 * the action, for the caller to do the rest. */
static enum ul_action step(struct association *a, enum ul_event event,
			   uint8_t abort_reason)
{
	struct ul_step s = ul_fsm(a->state, event);
	enum ul_state before = a->state;

	if (s.action == UL_NONE)
		return UL_NONE;
	a->state = s.next;
	switch (s.action) {
	case UL_AA1:
		because(a, "aborted: not an A-ASSOCIATE-RQ");
		send_abort(a, ABORT_USER, ABORT_NO_REASON);
		break;
	case UL_AA7:
		send_abort(a, ABORT_PROVIDER, abort_reason);
		break;
	case UL_AA8:
		because(a, before == UL_STA6 && event == UL_EVT19
			       ? "aborted: the peer sent an invalid PDU"
			       : "aborted: the peer sent an unexpected PDU");
		send_abort(a, ABORT_PROVIDER, abort_reason);
		break;
	case UL_AA2:
	case UL_AR3:
		close_now(a, ERR_OK);
		break;
	case UL_AA3:
		because(a, "aborted by the peer");
		close_now(a, ERR_CLOSED);
		break;
	case UL_AA4:
		because(a, "the connection was lost");
		close_now(a, ERR_CLOSED);
		break;
	case UL_AA5:
	case UL_AR5:
		/* the peer closed, as it should */
		stream_finish(a->stream);
		break;
	case UL_NONE:
	case UL_AE1:
	case UL_AE2:
	case UL_AE3:
	case UL_AE4:
	case UL_AE5:
	case UL_AE6:
	case UL_AE7:
	case UL_AE8:
	case UL_DT1:
	case UL_DT2:
	case UL_AR1:
	case UL_AR2:
	case UL_AR4:
	case UL_AR6:
	case UL_AR7:
	case UL_AR8:
	case UL_AR9:
	case UL_AR10:
	case UL_AA6:
	case UL_N_ACTIONS:
		break;
	}
	return s.action;
}

static void protocol_error(struct association *a, const char *why,
			   uint8_t reason)
{
	because(a, why);
	(void)step(a, UL_EVT19, reason);
}

/* The deadline that fits what is awaited now. */
static void watch(struct association *a)
{
	const struct config_listener *l = listener_of(a);

	if (a->state != UL_STA6 && a->state != UL_STA8)
		return;
	if (a->op != NULL && a->message == MESSAGE_NONE)
		stream_set_idle(a->stream, 0); /* our turn: the disk's */
	else
		stream_set_idle(a->stream, a->message == MESSAGE_NONE
					       ? l->timeouts.idle
					       : l->timeouts.message);
}

static void answer_release(struct association *a)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)step(a, UL_EVT14, 0);
	because(a, "released");
	stream_eof_ok(a->stream, true);
	send_bytes(a, pdu, pdu_release_rp_encode(pdu));
	if (a->state != UL_STA1)
		await_close(a);
}

/* ---- A-ASSOCIATE ------------------------------------------------------- */

static void reject(struct association *a, struct pdu_reject r)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	because(a, "rejected");
	(void)step(a, UL_EVT8, 0);
	send_bytes(a, pdu, pdu_reject_encode(pdu, r));
	if (a->state != UL_STA1)
		await_close(a);
}

/* The facts of the protocol itself: version and application context. */
static bool speaks_our_dicom(struct association *a, const struct assoc *rq)
{
	if ((rq->version & 1) == 0) {
		refuse(a, "protocol-version",
		       "the peer does not offer version 1 of the DICOM upper "
		       "layer protocol",
		       "this is not a DICOM device, or it is misconfigured",
		       false);
		reject(a, (struct pdu_reject){REJECT_PERMANENT, REJECT_ACSE,
					      REJECT_ACSE_VERSION});
		return false;
	}
	if (strcmp(rq->app_context, UID_APPLICATION_CONTEXT) != 0) {
		refuse(a, "application-context",
		       "the peer asks for an application context other than "
		       "DICOM's",
		       "this is not a DICOM device, or it is misconfigured",
		       false);
		reject(a, (struct pdu_reject){REJECT_PERMANENT, REJECT_USER,
					      REJECT_USER_CONTEXT_NAME});
		return false;
	}
	return true;
}

static bool is_declared(struct association *a)
{
	struct device_verdict *v = mem_zalloc(sizeof(*v));
	struct peer_certificate shown;
	struct device_query q = {
	    .listener = a->listener,
	    .peer = (struct sockaddr *)&a->facts.peer,
	    .calling_ae = a->facts.row.calling_ae,
	    .called_ae = a->facts.row.called_ae,
	    .certificate = association_certificate(a->stream, &shown)};
	bool in = false;

	if (v == NULL)
		return false;
	if (device_match(a->env->config, &q, v)) {
		a->device = v->device;
		in = true;
	} else {
		refuse(a, device_reason_name(v->reason), v->cause, v->remedy,
		       false);
		reject(a, (struct pdu_reject){v->rj_result, v->rj_source,
					      v->rj_reason});
	}
	mem_free(v);
	return in;
}

static bool has_room(struct association *a)
{
	size_t device = (size_t)a->device;
	enum limit_verdict v;

	a->device = -1; /* not ours to give back until it has passed */
	if (a->env->draining || !ledger_accepting(a->env->ledger)) {
		refuse(a, "not-ready",
		       a->env->draining ? "the daemon is stopping"
					: "audit records cannot be written, so "
					  "no new association is taken",
		       a->env->draining
			   ? "try again shortly"
			   : "look at the disk of records.path and at the "
			     "log; it goes on by itself",
		       false);
		reject(a, (struct pdu_reject){REJECT_TRANSIENT,
					      REJECT_PRESENTATION,
					      REJECT_PRESENTATION_CONGESTION});
		return false;
	}
	v = admission_associate(a->env->admission, a->listener, device);
	if (v != LIMIT_PASS) {
		refuse(a, limit_verdict_name(v), limit_verdict_text(v),
		       "raise the limit if this is wanted", false);
		reject(a, (struct pdu_reject){REJECT_TRANSIENT,
					      REJECT_PRESENTATION,
					      REJECT_PRESENTATION_LIMIT});
		return false;
	}
	a->device = (int)device;
	return true;
}

static bool remember_contexts(struct association *a,
			      const struct agreed_context *agreed, size_t n)
{
	a->contexts = mem_zarray(n > 0 ? n : 1, sizeof(*a->contexts));
	if (a->contexts == NULL)
		return false;
	memcpy(a->contexts, agreed, n * sizeof(*agreed));
	a->n_contexts = n;
	return true;
}

/* PDU length of an AC: fixed part, one item of at most 80 bytes a context,
 * user information. */
enum { AC_ROOM = 256 + ASSOC_MAX_CONTEXTS * 80 };

struct acceptance {
	struct assoc ac;
	struct agreed_context agreed[ASSOC_MAX_CONTEXTS];
	uint8_t pdu[AC_ROOM];
};

static void accept_association(struct association *a, const struct assoc *rq)
{
	struct acceptance *t = mem_zalloc(sizeof(*t));
	struct negotiation n = {.config = a->env->config,
				.capabilities = a->env->capabilities,
				.listener = a->listener,
				.device = (size_t)a->device,
				.rq = rq};
	struct wr w;

	if (t == NULL) {
		close_now(a, ERR_NOMEM);
		return;
	}
	assoc_init_answer(&t->ac, rq);
	t->ac.max_pdu = listener_of(a)->max_pdu;
	if (!remember_contexts(a, t->agreed, negotiate(&n, &t->ac, t->agreed)))
		goto fail;
	w = wr_init(t->pdu, sizeof(t->pdu));
	if (assoc_encode_ac(&t->ac, &w) != ERR_OK)
		goto fail;
	association_record_begin(&a->facts, a->env->ledger,
				 a->env->config->devices[a->device].name, rq,
				 &t->ac, a->stream);
	(void)step(a, UL_EVT7, 0);
	stream_set_deadline(a->stream, 0);
	send_bytes(a, t->pdu, w.len);
	watch(a);
	mem_free(t);
	return;
fail:
	mem_free(t);
	close_now(a, ERR_NOMEM);
}

static void on_associate_rq(struct association *a, const uint8_t *body,
			    size_t len)
{
	struct assoc *rq;

	if (step(a, UL_EVT6, ABORT_UNEXPECTED_PDU) != UL_AE6)
		return;
	rq = mem_zalloc(sizeof(*rq));
	if (rq == NULL) {
		close_now(a, ERR_NOMEM);
		return;
	}
	if (assoc_decode(body, len, PDU_ASSOCIATE_RQ, rq) != ERR_OK) {
		protocol_error(a, "aborted: malformed A-ASSOCIATE-RQ",
			       ABORT_INVALID_PARAMETER);
	} else {
		association_facts_names(&a->facts, rq);
		if (speaks_our_dicom(a, rq) && is_declared(a) && has_room(a))
			accept_association(a, rq);
	}
	assoc_wipe(rq);
	mem_free(rq);
}

/* ---- DIMSE ------------------------------------------------------------- */

static const struct agreed_context *context_find(const struct association *a,
						 uint8_t id)
{
	for (size_t i = 0; i < a->n_contexts; i++) {
		if (a->contexts[i].id == id)
			return &a->contexts[i];
	}
	return NULL;
}

static void respond(struct association *a, uint16_t status, const char *comment)
{
	uint8_t out[PDU_PDATA_HEADER_LEN + 1024];
	struct wr w = wr_init(out + PDU_PDATA_HEADER_LEN,
			      sizeof(out) - PDU_PDATA_HEADER_LEN);
	struct command rsp;

	command_response(&rsp, &a->rq, status,
			 comment != NULL && comment[0] != '\0' ? comment
							       : NULL);
	if (command_status_class(status) == STATUS_IS_FAILURE) {
		a->facts.end.failures++;
		association_note_refusal(&a->facts, status, comment);
	}
	if (command_encode(&rsp, &w) != ERR_OK)
		return; /* cannot be: the room fits any response */
	(void)pdu_pdata_header(out, (uint32_t)w.len, a->context_id,
			       PDV_COMMAND | PDV_LAST);
	send_bytes(a, out, PDU_PDATA_HEADER_LEN + w.len);
}

static void on_store_writable(void *arg)
{
	struct association *a = arg;

	stream_read_resume(a->stream);
}

static void on_store_done(void *arg, uint16_t status, const char *comment)
{
	struct association *a = arg;

	association_note_store(&a->facts, store_study(a->op),
			       store_length(a->op), status == STATUS_SUCCESS);
	a->op = NULL;
	respond(a, status, comment);
	if (a->state == UL_STA8)
		answer_release(a);
	else if (a->env->draining && a->state == UL_STA6)
		association_drain(a->env, false);
	else
		watch(a);
}

static const struct store_events store_events = {
    .on_writable = on_store_writable, .on_done = on_store_done};

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

static void refuse_message(struct association *a, uint16_t status,
			   const char *comment)
{
	a->refused_status = status;
	a->refused_comment = comment;
}

static void begin_store(struct association *a, const struct agreed_context *c)
{
	struct store_origin origin = {.config = a->env->config,
				      .listener = a->listener,
				      .device = (size_t)a->device,
				      .association = a->facts.row.id,
				      .peer = a->facts.row.peer,
				      .calling_ae = a->facts.row.calling_ae,
				      .called_ae = a->facts.row.called_ae};

	a->facts.end.stores++;
	if (!command_has_data_set(&a->rq))
		refuse_message(a, STATUS_MISTYPED_ARGUMENT,
			       "C-STORE without a data set");
	else if (c->service != CONFIG_STORAGE)
		refuse_message(a, STATUS_CLASS_NOT_SUPPORTED,
			       "not a storage context");
	else if (strcmp(a->rq.affected_class, c->abstract) != 0)
		refuse_message(a, STATUS_CLASS_NOT_SUPPORTED,
			       "SOP class is not that of the context");
	else if (!is_plain(a->rq.affected_instance))
		refuse_message(a, STATUS_INVALID_INSTANCE,
			       "SOP instance UID missing or unreadable");
	else if (store_begin(a->env->spool, a->env->worker, &origin, c, &a->rq,
			     &store_events, a, &a->op) != ERR_OK)
		refuse_message(a, STATUS_OUT_OF_RESOURCES, "out of memory");
	a->data_wanted = a->op != NULL;
}

static void on_command(struct association *a, const struct agreed_context *c)
{
	a->refused_status = STATUS_SUCCESS;
	a->refused_comment = NULL;
	a->data_wanted = false;
	if (command_decode(buf_data(&a->command), buf_len(&a->command),
			   &a->rq) != ERR_OK) {
		protocol_error(a, "aborted: malformed DIMSE command set",
			       ABORT_INVALID_PARAMETER);
		return;
	}
	buf_clear(&a->command);
	if ((a->rq.field & COMMAND_RESPONSE) != 0 || a->op != NULL) {
		protocol_error(a, "aborted: unexpected DIMSE message",
			       ABORT_UNEXPECTED_PDU);
		return;
	}
	if (a->rq.field == C_STORE_RQ) {
		begin_store(a, c);
	} else if (a->rq.field == C_ECHO_RQ) {
		a->facts.end.echos++;
	} else {
		a->facts.end.others++;
		refuse_message(a, STATUS_UNRECOGNIZED_OPERATION,
			       "not served here");
	}
	if (command_has_data_set(&a->rq)) {
		a->message = MESSAGE_DATA;
	} else {
		a->message = MESSAGE_NONE;
		if (a->rq.field != C_CANCEL_RQ)
			respond(a, a->refused_status, a->refused_comment);
	}
}

static void on_data_end(struct association *a)
{
	a->message = MESSAGE_NONE;
	if (a->data_wanted)
		store_end(a->op);
	else
		respond(a, a->refused_status, a->refused_comment);
}

/* A new PDV: does it fit the message that is under way? */
static void on_pdv_begin(struct association *a, const struct pdv *pdv)
{
	bool begins = a->message == MESSAGE_NONE;

	if (step(a, UL_EVT10, ABORT_UNEXPECTED_PDU) != UL_DT2)
		return;
	if (context_find(a, pdv->context_id) == NULL) {
		protocol_error(a, "aborted: P-DATA in a context not accepted",
			       ABORT_INVALID_PARAMETER);
		return;
	}
	if (pdv->command == (a->message == MESSAGE_DATA) ||
	    (!begins && pdv->context_id != a->context_id)) {
		protocol_error(a, "aborted: fragments of messages are mixed",
			       ABORT_UNEXPECTED_PARAMETER);
		return;
	}
	if (begins) {
		a->message = MESSAGE_COMMAND;
		a->context_id = pdv->context_id;
		watch(a);
	}
}

static void on_pdv_data(struct association *a, const struct pdv *pdv,
			const uint8_t *p, size_t n)
{
	if (a->state != UL_STA6)
		return;
	if (pdv->command) {
		if (buf_append(&a->command, p, n) != ERR_OK)
			protocol_error(a, "aborted: DIMSE command set too long",
				       ABORT_INVALID_PARAMETER);
		return;
	}
	if (!a->data_wanted)
		return;
	store_data(a->op, p, n);
	if (store_full(a->op))
		stream_read_pause(a->stream);
}

static void on_pdv_end(struct association *a, const struct pdv *pdv)
{
	const struct agreed_context *c = context_find(a, pdv->context_id);

	if (a->state != UL_STA6 || !pdv->last || c == NULL)
		return;
	if (pdv->command)
		on_command(a, c);
	else
		on_data_end(a);
	watch(a);
}

/* ---- PDUs -------------------------------------------------------------- */

static void on_release_rq(struct association *a)
{
	enum ul_action act = step(a, UL_EVT12, ABORT_UNEXPECTED_PDU);

	if (act != UL_AR2)
		return;
	/* a response is owed first: Sta8 may still send it (AR-7) */
	if (a->op != NULL && a->message == MESSAGE_NONE)
		return;
	answer_release(a);
}

static void on_pdu(struct association *a, const struct pdu_event *ev)
{
	switch (ev->type) {
	case PDU_ASSOCIATE_RQ:
		on_associate_rq(a, ev->data, ev->len);
		break;
	case PDU_ASSOCIATE_AC:
		(void)step(a, UL_EVT3, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_ASSOCIATE_RJ:
		(void)step(a, UL_EVT4, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_RELEASE_RQ:
		on_release_rq(a);
		break;
	case PDU_RELEASE_RP:
		(void)step(a, UL_EVT13, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_ABORT:
		(void)step(a, UL_EVT16, 0);
		break;
	case PDU_DATA_TF:
		break;
	}
}

static void on_event(struct association *a, const struct pdu_event *ev)
{
	switch (ev->kind) {
	case PDU_EV_MORE:
		break;
	case PDU_EV_PDU:
		on_pdu(a, ev);
		break;
	case PDU_EV_PDV_BEGIN:
		on_pdv_begin(a, &ev->pdv);
		break;
	case PDU_EV_PDV_DATA:
		on_pdv_data(a, &ev->pdv, ev->data, ev->len);
		break;
	case PDU_EV_PDV_END:
		on_pdv_end(a, &ev->pdv);
		break;
	}
}

static void read_pdus(struct association *a, const uint8_t *p, size_t n)
{
	struct pdu_event ev = {.kind = PDU_EV_PDU};
	size_t used;

	while (a->state != UL_STA1 && ev.kind != PDU_EV_MORE) {
		if (pdu_stream_next(&a->pdus, p, n, &used, &ev) != ERR_OK) {
			(void)step(a, UL_EVT19, a->pdus.abort_reason);
			/* framing is lost: what follows cannot be read */
			if (a->state != UL_STA1)
				stream_finish(a->stream);
			return;
		}
		p += used;
		n -= used;
		on_event(a, &ev);
	}
}

/* ---- stream events ----------------------------------------------------- */

/* Name what came instead of DICOM. False: it was refused. */
static bool first_bytes(struct association *a, const uint8_t *p, size_t n)
{
	while (n > 0 && a->n_first < FIRST_BYTES) {
		a->first[a->n_first++] = *p++;
		n--;
	}
	switch (pdu_first_bytes(a->first, a->n_first)) {
	case PDU_FIRST_MORE:
		return true;
	case PDU_FIRST_DICOM:
		a->speaks_dicom = true;
		return true;
	case PDU_FIRST_TLS:
		refuse(a, "tls-on-plaintext-port",
		       "the peer speaks TLS to a listener without TLS",
		       "turn TLS off at the device, or point it at a listener "
		       "with protocol: dicom-tls",
		       false);
		break;
	case PDU_FIRST_HTTP:
		refuse(a, "http-on-dicom-port",
		       "the peer speaks HTTP to a DICOM port",
		       "a browser, a monitor or a DICOMweb client: point it "
		       "elsewhere",
		       false);
		break;
	case PDU_FIRST_OTHER:
		refuse(a, "not-dicom", "the peer's first bytes are not DICOM",
		       "a port scan, or a device that speaks something else",
		       false);
		break;
	}
	because(a, "not DICOM");
	close_now(a, ERR_PROTO);
	return false;
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	struct association *a = arg;

	a->facts.end.bytes_in += n;
	if (!a->speaks_dicom && !first_bytes(a, p, n))
		return;
	read_pdus(a, p, n);
}

static void on_eof(void *arg)
{
	struct association *a = arg;

	(void)step(a, UL_EVT17, 0);
}

static const struct stream_events stream_events = {
    .on_read = on_read, .on_eof = on_eof, .on_closed = on_closed};

/* ---- birth and drain --------------------------------------------------- */

static enum err refuse_socket(struct association_env *env, int fd,
			      size_t listener)
{
	admission_leave(env->admission, listener, -1);
	close(fd);
	return ERR_NOMEM;
}

enum err association_begin(struct association_env *env, int fd, size_t listener)
{
	const struct config_listener *l = &env->config->listeners[listener];
	struct association *a = mem_zalloc(sizeof(*a));
	struct stream_options opt = {.tls = env->tls[listener],
				     .handshake_ms = l->timeouts.artim};
	enum err e;

	if (a == NULL)
		return refuse_socket(env, fd, listener);
	a->env = env;
	a->listener = listener;
	a->device = -1;
	a->begun_ns = clock_mono_ns();
	a->state = UL_STA1;
	association_facts_init(&a->facts, l, fd);
	buf_init(&a->hold, PDU_ASSOCIATE_MAX);
	buf_init(&a->command, COMMAND_MAX);
	pdu_stream_init(&a->pdus, &a->hold, l->max_pdu);
	list_push_back(&env->open, &a->node);
	worker_load_add(env->worker, 1);
	atomic_fetch_add(env->n_open, 1);
	e = stream_accept(env->worker, fd, &opt, &stream_events, a, &a->stream);
	if (e != ERR_OK) {
		association_free(a);
		return e;
	}
	(void)step(a, UL_EVT5, 0);
	/* ARTIM covers the TLS handshake too */
	stream_set_deadline(a->stream, l->timeouts.artim);
	return ERR_OK;
}

static bool is_busy(const struct association *a)
{
	return a->op != NULL || a->message != MESSAGE_NONE;
}

void association_drain(struct association_env *env, bool force)
{
	env->draining = true;
	LIST_EACH(it, tmp, &env->open)
	{
		struct association *a =
		    CONTAINER_OF(it, struct association, node);

		if (a->state == UL_STA1 || a->state == UL_STA13)
			continue;
		if (is_busy(a) && !force)
			continue;
		because(a, "ended: the daemon stops");
		if (a->state == UL_STA6) {
			a->state = UL_STA13; /* A-ABORT request, AA-1 */
			send_abort(a, ABORT_USER, ABORT_NO_REASON);
		}
		if (force || a->state != UL_STA13)
			close_now(a, ERR_CANCELED);
	}
}
