/* association.c - see association.h, association_int.h.
 *
 *   bytes --> pdu_stream --> on_pdu / association_on_pdv_* --> step
 *
 * on_*  stream events and PDUs. */
#include "proxy/association_int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/admission.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/worker.h"

enum {
	BACKLOG_MAX = 1024 * 1024, /* bytes of input that wait */
	PIECE_MAX = 4096,          /* a shorter read is of a short message */
	/* Bytes of output that wait: what a relay lets gather before it reads
	 * no more, and what it may keep and pass on in one piece. */
	OUT_CAP = 2560 * 1024,
};

const struct config_listener *association_listener(const struct association *a)
{
	return &a->env->config->listeners[a->listener];
}

void association_because(struct association *a, const char *why)
{
	if (a->why[0] == '\0')
		snprintf(a->why, sizeof(a->why), "%s", why);
}

/* ---- the end ----------------------------------------------------------- */

static void end_relay(struct association *a, bool orderly)
{
	struct relay *r = a->relay;

	a->relay = NULL;
	if (r != NULL)
		relay_end(r, orderly);
}

static void association_free(struct association *a)
{
	list_remove(&a->node);
	association_pace_end(a);
	admission_leave(a->env->admission, a->listener, a->device);
	worker_load_add(a->env->worker, -1);
	atomic_fetch_sub(a->env->n_open, 1);
	buf_free(&a->hold);
	buf_free(&a->command);
	buf_free(&a->backlog);
	buf_free(&a->late);
	relay_run_free(&a->run);
	association_drop_pending(a);
	mem_free(a->contexts);
	mem_free(a);
}

void association_close(struct association *a, enum err why)
{
	association_serve_abort(a);
	a->state = UL_STA1;
	stream_close(a->stream, why);
}

void association_refuse(struct association *a, const char *reason,
			const char *cause, const char *remedy, bool tls)
{
	a->refused = true;
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
	if (a->refused || why == ERR_CANCELED)
		return; /* on record, or our own stop */
	if (a->device >= 0)
		association_refuse(a, "left-early", NULL, NULL, false);
	else if (a->why[0] != '\0')
		association_refuse(a, "bad-association-request", a->why, NULL,
				   false);
	else if (why == ERR_TLS)
		association_refuse(a, REFUSAL_TLS, detail, NULL, true);
	else if (why == ERR_TIMEOUT)
		association_refuse(a, "artim-expired", NULL, NULL, false);
	else
		/* whoever looks whether the port is open could fill the log */
		log_event(LOG_DEBUG, "connection-ended",
			  "listener=%s peer=%s why=\"%s\"",
			  association_listener(a)->name, a->facts.row.peer,
			  why == ERR_OK ? "closed by the peer" : detail);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct association *a = arg;

	association_serve_abort(a);
	end_relay(a, false);
	if (a->recorded) {
		association_because(a, why == ERR_OK ? "released" : detail);
		association_record_end(&a->facts, a->env->ledger, a->why,
				       clock_mono_ns() - a->begun_ns);
	} else {
		ended_before_association(a, why, detail);
	}
	association_free(a);
}

/* ---- sending ----------------------------------------------------------- */

/* A peer that never reads what it is sent fills the queue. */
static void lost(struct association *a, enum err e)
{
	association_because(a, e == ERR_LIMIT
				   ? "the peer does not read what it is sent"
				   : "the connection was lost");
	association_close(a, e);
}

void association_send(struct association *a, const void *p, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	enum err e = stream_write(a->stream, &iov, 1);

	a->facts.end.bytes_out += n;
	if (e != ERR_OK)
		lost(a, e);
}

bool association_pass(struct association *a, const struct iovec *iov,
		      unsigned n, size_t *queued)
{
	enum err e;

	if (!association_is_open(a))
		return false;
	e = stream_write(a->stream, iov, n);
	if (e != ERR_OK) {
		lost(a, e);
		return false;
	}
	for (unsigned i = 0; i < n; i++)
		a->facts.end.bytes_out += iov[i].iov_len;
	*queued = stream_queued(a->stream);
	return true;
}

void association_turn_over(struct association *a)
{
	if (buf_len(&a->late) == 0)
		return;
	association_send(a, buf_data(&a->late), buf_len(&a->late));
	buf_free(&a->late);
}

/* ---- reading ----------------------------------------------------------- */

void association_pause(struct association *a, unsigned reason)
{
	a->pauses |= reason;
	stream_read_pause(a->stream);
}

void association_resume(struct association *a, unsigned reason)
{
	a->pauses &= ~reason;
	if (a->pauses == 0)
		stream_read_resume(a->stream);
}

/* ---- leaving ----------------------------------------------------------- */

/* Sta13: wait for the peer to close, at most ARTIM. */
void association_await_close(struct association *a)
{
	association_serve_abort(a);
	/* a leg that has half a message cannot be released */
	end_relay(a, a->released && a->message == MESSAGE_NONE);
	a->stalled = false;
	if (a->leaving)
		return; /* ARTIM runs once: AA-7 does not renew it */
	a->leaving = true;
	stream_eof_ok(a->stream, true);
	stream_set_idle(a->stream, 0);
	stream_set_deadline(a->stream, association_listener(a)->timeouts.artim);
	stream_read_resume(a->stream);
}

/* A message to the device is under way, perhaps in the middle of a PDU. */
static bool is_telling(const struct association *a)
{
	return a->relay != NULL && relay_has_turn(a->relay);
}

static void send_abort(struct association *a, uint8_t source, uint8_t reason)
{
	uint8_t pdu[PDU_CONTROL_LEN];
	size_t n = pdu_abort_encode(
	    pdu, (struct pdu_abort){.source = source, .reason = reason});
	bool torn = is_telling(a);

	association_send(a, pdu, n);
	if (a->state == UL_STA1)
		return;
	association_await_close(a);
	if (torn) /* the peer may take it for the rest of a PDU */
		stream_finish(a->stream);
}

/* ---- the state machine ------------------------------------------------- */

/* Take the table's step for an event and do what needs no argument. Returns
 * the action, for the caller to do the rest. */
enum ul_action association_step(struct association *a, enum ul_event event,
				uint8_t abort_reason)
{
	struct ul_step s = ul_fsm(a->state, event);
	enum ul_state before = a->state;

	if (s.action == UL_NONE)
		return UL_NONE;
	a->state = s.next;
	switch (s.action) {
	case UL_AA1:
		association_because(a, "aborted: not an A-ASSOCIATE-RQ");
		send_abort(a, ABORT_USER, ABORT_NO_REASON);
		break;
	case UL_AA7:
		send_abort(a, ABORT_PROVIDER, abort_reason);
		break;
	case UL_AA8:
		association_because(
		    a, before == UL_STA6 && event == UL_EVT19
			   ? "aborted: the peer sent an invalid PDU"
			   : "aborted: the peer sent an unexpected PDU");
		send_abort(a, ABORT_PROVIDER, abort_reason);
		break;
	case UL_AA2:
	case UL_AR3:
		association_close(a, ERR_OK);
		break;
	case UL_AA3:
		association_because(a, "aborted by the peer");
		association_close(a, ERR_CLOSED);
		break;
	case UL_AA4:
		association_because(a, "the connection was lost");
		association_close(a, ERR_CLOSED);
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

void association_protocol_error(struct association *a, const char *why,
				uint8_t reason)
{
	association_because(a, why);
	(void)association_step(a, UL_EVT19, reason);
}

/* Is the device waiting for an answer, or for the rest of a message? */
static bool owes(const struct association *a)
{
	return association_serving(a) || is_telling(a) ||
	       (a->relay != NULL && relay_owed(a->relay) > 0);
}

/* Has it been asked something? */
static bool is_asked(const struct association *a)
{
	return a->relay != NULL && relay_asked(a->relay) > 0;
}

/* The deadline that fits what is awaited now. */
void association_watch(struct association *a)
{
	const struct config_listener *l = association_listener(a);

	if (!association_is_open(a))
		return;
	if (a->message != MESSAGE_NONE)
		stream_set_idle(a->stream, l->timeouts.message);
	else if (owes(a) && !is_asked(a))
		stream_set_idle(a->stream, 0); /* our turn, or the leg's */
	else
		stream_set_idle(a->stream, l->timeouts.idle);
}

void association_answer_release(struct association *a)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	(void)association_step(a, UL_EVT14, 0);
	association_because(a, "released");
	a->released = true;
	stream_eof_ok(a->stream, true);
	association_send(a, pdu, pdu_release_rp_encode(pdu));
	if (a->state != UL_STA1)
		association_await_close(a);
}

void association_settled(struct association *a)
{
	if (owes(a) || (a->state != UL_STA6 && a->state != UL_STA8))
		return;
	if (a->state == UL_STA8)
		association_answer_release(a);
	else if (a->env->draining)
		association_drain(a->env, false);
	else
		association_watch(a);
}

bool association_is_open(const struct association *a)
{
	return a->state == UL_STA6 || a->state == UL_STA8;
}

void association_abort(struct association *a, const char *why)
{
	if (!association_is_open(a))
		return;
	association_because(a, why);
	a->state = UL_STA13; /* A-ABORT request, AA-1 */
	send_abort(a, ABORT_USER, ABORT_NO_REASON);
}

/* ---- PDUs -------------------------------------------------------------- */

static void on_release_rq(struct association *a)
{
	enum ul_action act =
	    association_step(a, UL_EVT12, ABORT_UNEXPECTED_PDU);

	if (act != UL_AR2)
		return;
	/* a response is owed first: Sta8 may still send it (AR-7) */
	if (a->message == MESSAGE_NONE && owes(a))
		return;
	if (is_telling(a))
		association_abort(a, "aborted: release inside a message");
	else
		association_answer_release(a);
}

static void on_pdu(struct association *a, const struct pdu_event *ev)
{
	switch (ev->type) {
	case PDU_ASSOCIATE_RQ:
		association_on_rq(a, ev->data, ev->len);
		break;
	case PDU_ASSOCIATE_AC:
		(void)association_step(a, UL_EVT3, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_ASSOCIATE_RJ:
		(void)association_step(a, UL_EVT4, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_RELEASE_RQ:
		on_release_rq(a);
		break;
	case PDU_RELEASE_RP:
		(void)association_step(a, UL_EVT13, ABORT_UNEXPECTED_PDU);
		break;
	case PDU_ABORT:
		(void)association_step(a, UL_EVT16, 0);
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
		association_on_pdv_begin(a, &ev->pdv);
		break;
	case PDU_EV_PDV_DATA:
		association_on_pdv_data(a, &ev->pdv, ev->data, ev->len);
		break;
	case PDU_EV_PDV_END:
		association_on_pdv_end(a, &ev->pdv);
		break;
	}
}

/* Nothing more is parsed for now: what is not, stays. */
static void keep_input(struct association *a, const uint8_t *p, size_t n)
{
	if (relay_run_keep(&a->run) != ERR_OK ||
	    (n > 0 && buf_append(&a->backlog, p, n) != ERR_OK))
		association_protocol_error(
		    a, "aborted: more sent than can be kept", ABORT_NO_REASON);
}

static void input_ends(struct association *a)
{
	if (a->relay == NULL)
		return;
	if (a->state == UL_STA1) {
		relay_run_drop(&a->run);
		return;
	}
	if (a->way == MESSAGE_LEG)
		relay_flush(a->relay);
	keep_input(a, NULL, 0);
}

/* A PDU that is not P-DATA came behind what passes. */
static void leave_run(struct association *a)
{
	if (a->relay == NULL)
		return;
	if (a->way == MESSAGE_LEG)
		relay_flush(a->relay);
	relay_run_drop(&a->run);
}

static void framing_lost(struct association *a)
{
	(void)association_step(a, UL_EVT19, a->pdus.abort_reason);
	/* what follows cannot be read */
	if (a->state != UL_STA1)
		stream_finish(a->stream);
}

void association_parse(struct association *a, const uint8_t *p, size_t n)
{
	struct pdu_event ev = {.kind = PDU_EV_PDU};
	size_t used;

	while (a->state != UL_STA1 && ev.kind != PDU_EV_MORE && !a->stalled) {
		if (pdu_stream_next(&a->pdus, p, n, &used, &ev) != ERR_OK) {
			framing_lost(a);
			return;
		}
		if (a->relay != NULL)
			relay_run_take(&a->run, p, used);
		p += used;
		n -= used;
		if (ev.kind == PDU_EV_PDU)
			leave_run(a);
		on_event(a, &ev);
	}
	if (a->stalled)
		keep_input(a, p, n);
	else
		input_ends(a); /* in any state: nothing may point into it */
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
		association_refuse(
		    a, "tls-on-plaintext-port",
		    "the peer speaks TLS to a listener without TLS",
		    "turn TLS off at the device, or point it at a listener "
		    "with protocol: dicom-tls",
		    false);
		break;
	case PDU_FIRST_HTTP:
		association_refuse(
		    a, "http-on-dicom-port",
		    "the peer speaks HTTP to a DICOM port",
		    "a browser, a monitor or a DICOMweb client: point it "
		    "elsewhere",
		    false);
		break;
	case PDU_FIRST_OTHER:
		association_refuse(
		    a, "not-dicom", "the peer's first bytes are not DICOM",
		    "a port scan, or a device that speaks something else",
		    false);
		break;
	}
	association_because(a, "not DICOM");
	association_close(a, ERR_PROTO);
	return false;
}

/* A device with Nagle's algorithm (DCMTK) keeps the second piece of a short
 * message until the first is acknowledged. */
static void hurry(struct association *a, size_t n)
{
	if (n < PIECE_MAX && a->state == UL_STA6 && !a->stalled &&
	    (a->message != MESSAGE_NONE || !pdu_stream_idle(&a->pdus)))
		stream_ack_at_once(a->stream);
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	struct association *a = arg;

	a->facts.end.bytes_in += n;
	if (!a->speaks_dicom && !first_bytes(a, p, n))
		return;
	association_pace(a, n);
	if (a->stalled) /* it was read before it was paused */
		keep_input(a, p, n);
	else
		association_parse(a, p, n);
	hurry(a, n);
}

static void on_eof(void *arg)
{
	struct association *a = arg;

	(void)association_step(a, UL_EVT17, 0);
}

static void on_drain(void *arg)
{
	struct association *a = arg;

	if (a->relay != NULL)
		relay_drained(a->relay);
}

static const struct stream_events stream_events = {.on_read = on_read,
						   .on_drain = on_drain,
						   .on_eof = on_eof,
						   .on_closed = on_closed};

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
				     .handshake_ms = l->timeouts.artim,
				     .out_cap = OUT_CAP};
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
	buf_init(&a->backlog, BACKLOG_MAX);
	buf_init(&a->late, LATE_MAX);
	relay_run_init(&a->run, BACKLOG_MAX);
	a->answer = -1;
	pdu_stream_init(&a->pdus, &a->hold, l->max_pdu);
	list_push_back(&env->open, &a->node);
	worker_load_add(env->worker, 1);
	atomic_fetch_add(env->n_open, 1);
	e = stream_accept(env->worker, fd, &opt, &stream_events, a, &a->stream);
	if (e != ERR_OK) {
		association_free(a);
		return e;
	}
	(void)association_step(a, UL_EVT5, 0);
	/* ARTIM covers the TLS handshake too */
	stream_set_deadline(a->stream, l->timeouts.artim);
	return ERR_OK;
}

static bool is_busy(const struct association *a)
{
	return owes(a) || a->message != MESSAGE_NONE;
}

void association_drain(struct association_env *env, bool force)
{
	env->draining = true;
	LIST_EACH(it, tmp, &env->open)
	{
		struct association *a =
		    CONTAINER_OF(it, struct association, node);

		if (a->state == UL_STA1 || a->state == UL_STA13) {
			if (force) /* its A-ABORT has left by now */
				association_close(a, ERR_CANCELED);
			continue;
		}
		if (is_busy(a) && !force)
			continue;
		association_because(a, "ended: the daemon stops");
		if (association_is_open(a))
			association_abort(a, "ended: the daemon stops");
		else
			association_close(a, ERR_CANCELED);
	}
}
