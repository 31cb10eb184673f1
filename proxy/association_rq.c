/* association_rq.c - who asks for an association, and what it gets. */
#include <string.h>

#include "policy/devices.h"
#include "proxy/admission.h"
#include "proxy/association_int.h"
#include "proxy/dicom/assoc.h"
#include "proxy/lib/mem.h"

static void reject(struct association *a, struct pdu_reject r)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	association_because(a, "rejected");
	(void)association_step(a, UL_EVT8, 0);
	association_send(a, pdu, pdu_reject_encode(pdu, r));
	if (a->state != UL_STA1)
		association_await_close(a);
}

/* The facts of the protocol itself: version and application context. */
static bool speaks_our_dicom(struct association *a, const struct assoc *rq)
{
	if ((rq->version & 1) == 0) {
		association_refuse(
		    a, "protocol-version",
		    "the peer does not offer version 1 of the DICOM upper "
		    "layer protocol",
		    NULL, false);
		reject(a, (struct pdu_reject){REJECT_PERMANENT, REJECT_ACSE,
					      REJECT_ACSE_VERSION});
		return false;
	}
	if (strcmp(rq->app_context, UID_APPLICATION_CONTEXT) != 0) {
		association_refuse(
		    a, "application-context",
		    "the peer asks for an application context other than "
		    "DICOM's",
		    NULL, false);
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
		association_refuse(a, device_reason_name(v->reason), v->cause,
				   v->remedy, false);
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
		association_refuse(
		    a, "not-ready",
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
		association_refuse(a, limit_verdict_name(v), NULL, NULL, false);
		reject(a, (struct pdu_reject){REJECT_TRANSIENT,
					      REJECT_PRESENTATION,
					      REJECT_PRESENTATION_LIMIT});
		return false;
	}
	a->device = (int)device;
	association_pace_begin(a);
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

void association_drop_pending(struct association *a)
{
	if (a->pending == NULL)
		return;
	assoc_wipe(a->pending->rq);
	assoc_wipe(&a->pending->ac);
	mem_free(a->pending->rq);
	mem_free(a->pending);
	a->pending = NULL;
}

/* Nothing is left of what was asked for, and a destination is the reason. */
static void reject_for_legs(struct association *a)
{
	struct pdu_reject r = relay_reject(a->relay);

	association_refuse(a, "destination-refused", NULL, NULL, false);
	association_drop_pending(a);
	stream_set_deadline(a->stream, 0);
	reject(a, r);
}

static void establish(struct association *a, size_t n_agreed)
{
	struct acceptance *t = a->pending;
	struct wr w = wr_init(t->pdu, sizeof(t->pdu));

	if (!remember_contexts(a, t->agreed, n_agreed) ||
	    assoc_encode_ac(&t->ac, &w) != ERR_OK) {
		association_close(a, ERR_NOMEM);
		return;
	}
	a->told_max_pdu = t->ac.max_pdu;
	a->recorded = true;
	association_record_begin(&a->facts, a->env->ledger,
				 a->env->config->devices[a->device].name, t->rq,
				 &t->ac, a->stream);
	(void)association_step(a, UL_EVT7, 0);
	stream_set_deadline(a->stream, 0);
	association_send(a, t->pdu, w.len);
	association_drop_pending(a);
	if (a->relay != NULL && a->state == UL_STA6)
		relay_established(a->relay);
	association_watch(a);
}

void association_legs_ready(struct association *a)
{
	struct acceptance *t = a->pending;
	size_t n;

	if (a->state != UL_STA3)
		return; /* it is closing already */
	n = negotiate_end(&t->n, &t->ac, t->agreed);
	if (n == 0 && a->relay != NULL && t->n.n_legs > 0 &&
	    relay_has_failed(a->relay))
		reject_for_legs(a);
	else
		establish(a, n);
}

static void accept_association(struct association *a, struct assoc *rq)
{
	/* not cleared: it is large, and each part is set before it is read */
	struct acceptance *t = mem_realloc(NULL, sizeof(*t));

	if (t == NULL) {
		mem_free(rq);
		association_close(a, ERR_NOMEM);
		return;
	}
	a->pending = t;
	t->rq = rq;
	assoc_init_answer(&t->ac, rq);
	t->ac.max_pdu = association_listener(a)->max_pdu;
	t->n.config = a->env->config;
	t->n.capabilities = a->env->capabilities;
	t->n.listener = a->listener;
	t->n.device = (size_t)a->device;
	t->n.rq = rq;
	negotiate_begin(&t->n);
	if (t->n.n_legs == 0) {
		association_legs_ready(a);
		return;
	}
	/* legs have deadlines of their own */
	stream_set_deadline(a->stream, 0);
	a->facts.row.id = ledger_association_id(a->env->ledger);
	if (relay_begin(a, &a->relay) != ERR_OK)
		association_close(a, ERR_NOMEM);
}

void association_on_rq(struct association *a, const uint8_t *body, size_t len)
{
	struct assoc *rq;

	if (association_step(a, UL_EVT6, ABORT_UNEXPECTED_PDU) != UL_AE6)
		return;
	rq = mem_realloc(NULL, sizeof(*rq)); /* decoding clears what it must */
	if (rq == NULL) {
		association_close(a, ERR_NOMEM);
		return;
	}
	if (assoc_decode(body, len, PDU_ASSOCIATE_RQ, rq) != ERR_OK) {
		association_protocol_error(a,
					   "aborted: malformed A-ASSOCIATE-RQ",
					   ABORT_INVALID_PARAMETER);
	} else {
		association_facts_names(&a->facts, rq);
		if (speaks_our_dicom(a, rq) && is_declared(a) && has_room(a)) {
			accept_association(a, rq); /* which keeps it */
			return;
		}
	}
	assoc_wipe(rq);
	mem_free(rq);
}
