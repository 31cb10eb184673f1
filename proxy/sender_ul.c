/* sender_ul.c - the association of a sender: PS3.8 table 9-10 acted out.
 *
 * sender_event() asks the table (ul_fsm.h) what an event means in the state
 * that we are in, and acts. Data leaves in Sta6 only, without asking again. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/sender_int.h"

/* ---- writing ----------------------------------------------------------- */

bool sender_write(struct sender *s, const struct iovec *iov, unsigned n)
{
	enum err e = stream_write(s->stream, iov, n);

	s->bytes_out = stream_bytes_out(s->stream);
	if (e != ERR_OK)
		stream_close(s->stream, e);
	return e == ERR_OK;
}

static void send_control(struct sender *s, const uint8_t *pdu, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)pdu, .iov_len = n};

	(void)sender_write(s, &iov, 1);
}

static void send_abort(struct sender *s, uint8_t source, uint8_t reason)
{
	struct pdu_abort a = {.source = source, .reason = reason};
	uint8_t pdu[PDU_CONTROL_LEN];

	send_control(s, pdu, pdu_abort_encode(pdu, a));
	stream_finish(s->stream);
}

static void send_release(struct sender *s, bool request)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	send_control(s, pdu,
		     request ? pdu_release_rq_encode(pdu)
			     : pdu_release_rp_encode(pdu));
	stream_eof_ok(s->stream, true);
	sender_timer(s, SENDER_ARTIM_MS);
}

static void send_request(struct sender *s)
{
	enum { ROOM = 64 * 1024 }; /* 128 contexts take under 20 KiB */
	uint8_t *bytes = mem_zalloc(ROOM);
	struct wr w = wr_init(bytes, bytes != NULL ? ROOM : 0);
	enum err e = sender_request(s, &w);
	struct verdict v;

	if (e == ERR_OK) {
		send_control(s, bytes, w.len);
		sender_timer(s, s->config->timeouts.associate);
	} else if (e == ERR_NOMEM) {
		v = outcome_of_failure(FAIL_NO_MEMORY);
		sender_fail(s, &v, NULL, false);
		stream_close(s->stream, e);
	} else { /* only the first task's own names can be at fault */
		v = outcome_of_failure(FAIL_UNSENDABLE);
		if (sender_first(s) != NULL)
			sender_finish(s, sender_first(s), TASK_ANSWERED, &v,
				      NULL);
		stream_close(s->stream, e);
	}
	mem_free(bytes);
}

/* ---- actions ----------------------------------------------------------- */

/* The endpoint failed before it gave an answer to the request. */
static void unanswered(struct sender *s, const struct verdict *v,
		       const char *detail)
{
	char text[LEDGER_TEXT_LEN];

	destination_mark(s->env.destination, s->endpoint,
			 verdict_text(v, detail, text, sizeof(text)));
}

static void lost(struct sender *s, const char *detail)
{
	struct task *t = sender_outstanding(s);
	/* A peer that drops every association is not to be asked at once. */
	bool opened = t != NULL || s->stores + s->messages > 0;
	struct verdict v;

	if (t == NULL) {
		v = outcome_of_failure(FAIL_LOST_IDLE);
	} else {
		/* A line that cuts large transfers must not condemn them. */
		bool line = s->phase == PHASE_SENDING &&
			    t->item.length > 16 * 1024 * 1024;

		v = outcome_of_failure(line ? FAIL_LINE : FAIL_LOST);
	}
	sender_fail(s, &v, detail, opened);
	sender_row_end(s, "connection lost");
}

static void broken(struct sender *s, const char *what)
{
	struct verdict v = outcome_of_failure(
	    s->ul == UL_STA5 || sender_outstanding(s) == NULL ? FAIL_NOT_DICOM
							      : FAIL_PROTOCOL);
	bool opened = s->id != 0;

	if (s->ul == UL_STA5)
		unanswered(s, &v, what);
	sender_fail(s, &v, what, opened);
	sender_row_end(s, "aborted: protocol");
}

static void established(struct sender *s)
{
	atomic_store(&s->open, true);
	s->message_id = 0;
	log_event(LOG_INFO, "association-out",
		  "assoc=%llu destination=%s peer=%s contexts=%zu",
		  (unsigned long long)s->id, s->config->name,
		  stream_peer(s->stream), s->n_contexts);
	sender_pump(s);
}

/* The peer wants to release while we are established: it may. */
static void released_by_peer(struct sender *s)
{
	if (sender_outstanding(s) != NULL)
		lost(s, "released by the archive");
	sender_event(s, UL_EVT14);
}

static void finish(struct sender *s, const char *why)
{
	sender_row_end(s, why);
	stream_finish(s->stream);
}

static void act(struct sender *s, enum ul_action action, enum ul_event ev)
{
	switch (action) {
	case UL_AE2:
		send_request(s);
		break;
	case UL_AE3:
		established(s);
		break;
	case UL_AE4:
		stream_finish(s->stream);
		break;
	case UL_AR1:
		send_release(s, true);
		break;
	case UL_AR2:
		released_by_peer(s);
		break;
	case UL_AR3:
		finish(s, "released");
		break;
	case UL_AR4:
		send_release(s, false);
		finish(s, "released by the archive");
		break;
	case UL_AR8: /* both released at once: answer, and wait for ours */
		sender_event(s, UL_EVT14);
		break;
	case UL_AR9:
		send_release(s, false);
		break;
	case UL_AA1:
		send_abort(s, ABORT_USER, ABORT_NO_REASON);
		sender_row_end(s, "aborted");
		break;
	case UL_AA2:
		stream_close(s->stream, ERR_TIMEOUT);
		break;
	case UL_AA3:
		stream_close(s->stream, ERR_CLOSED);
		break;
	case UL_AA7:
	case UL_AA8:
		broken(s, ev == UL_EVT19 ? "unrecognised or invalid PDU"
					 : "unexpected PDU");
		send_abort(s, ABORT_PROVIDER,
			   ev == UL_EVT19 ? s->in.abort_reason
					  : ABORT_UNEXPECTED_PDU);
		break;
	case UL_AE1: /* the stream connects already */
	case UL_DT1:
	case UL_DT2: /* data is handed on where it is read */
	case UL_AR6:
	case UL_AR7:
	case UL_AA4: /* the stream has closed: sender_after_close() follows */
	case UL_AA5:
	case UL_AA6:
	case UL_NONE:
	case UL_AE5: /* the acceptor's */
	case UL_AE6:
	case UL_AE7:
	case UL_AE8:
	case UL_AR5:
	case UL_AR10:
	case UL_N_ACTIONS:
		break;
	}
}

void sender_event(struct sender *s, enum ul_event ev)
{
	struct ul_step step = ul_fsm(s->ul, ev);

	if (step.action == UL_NONE)
		return;
	if (step.action == UL_AA7 || step.action == UL_AA8 ||
	    step.action == UL_AA1)
		atomic_store(&s->open, false);
	if (step.action == UL_AA8 || step.action == UL_AA7) {
		act(s, step.action, ev); /* words depend on the old state */
		s->ul = step.next;
		return;
	}
	s->ul = step.next;
	if (s->ul != UL_STA6)
		atomic_store(&s->open, false);
	act(s, step.action, ev);
}

/* ---- what comes -------------------------------------------------------- */

static void on_accept(struct sender *s, const struct pdu_event *ev)
{
	if (s->ul == UL_STA5 && !sender_accepted(s, ev->data, ev->len)) {
		sender_event(s, UL_EVT19);
		return;
	}
	if (s->ul == UL_STA5)
		destination_mark(s->env.destination, s->endpoint, NULL);
	sender_event(s, UL_EVT3);
}

static void on_reject(struct sender *s, const struct pdu_event *ev)
{
	struct pdu_reject r = pdu_reject_decode(ev->data, ev->len);
	struct verdict v = outcome_of_reject(r.result, r.source, r.reason);
	char text[LEDGER_TEXT_LEN], result[64];

	if (s->ul == UL_STA5) {
		destination_mark(s->env.destination, s->endpoint, NULL);
		(void)snprintf(result, sizeof(result), "rejected %u/%u/%u",
			       r.result, r.source, r.reason);
		(void)snprintf(text, sizeof(text), "%s: %s, as %s to %s",
			       result, pdu_reject_text(r), s->calling_ae,
			       s->called_ae);
		sender_row_begin(s, NULL, result);
		sender_row_end(s, result);
		sender_fail(s, &v, text, false);
	}
	sender_event(s, UL_EVT4);
}

static void on_abort(struct sender *s, const struct pdu_event *ev)
{
	struct pdu_abort a = pdu_abort_decode(ev->data, ev->len);
	struct verdict v =
	    outcome_of_abort(a.source, a.reason, sender_outstanding(s) != NULL);

	if (s->ul == UL_STA5)
		unanswered(s, &v, pdu_abort_text(a));
	if (s->ul == UL_STA5 || s->ul == UL_STA6) {
		sender_fail(s, &v, pdu_abort_text(a), s->ul == UL_STA6);
		sender_row_end(s, "aborted by the archive");
	}
	sender_event(s, UL_EVT16);
}

static void on_pdu(struct sender *s, const struct pdu_event *ev)
{
	switch (ev->type) {
	case PDU_ASSOCIATE_RQ:
		sender_event(s, UL_EVT6);
		break;
	case PDU_ASSOCIATE_AC:
		on_accept(s, ev);
		break;
	case PDU_ASSOCIATE_RJ:
		on_reject(s, ev);
		break;
	case PDU_RELEASE_RQ:
		sender_event(s, UL_EVT12);
		break;
	case PDU_RELEASE_RP:
		sender_event(s, UL_EVT13);
		break;
	case PDU_ABORT:
		on_abort(s, ev);
		break;
	case PDU_DATA_TF: /* comes as PDVs */
		break;
	}
}

static void on_pdv(struct sender *s, const struct pdu_event *ev)
{
	if (ev->kind == PDU_EV_PDV_BEGIN)
		sender_event(s, UL_EVT10);
	if (s->ul == UL_STA6 && !sender_pdv(s, ev))
		sender_event(s, UL_EVT19);
}

/* After a close or abort of ours the rest of the input means nothing. */
static bool listening(const struct sender *s)
{
	return s->stream != NULL && s->ul != UL_STA1 && s->ul != UL_STA13;
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	struct sender *s = arg;
	struct pdu_event ev;
	size_t used;

	s->bytes_in = stream_bytes_in(s->stream);
	do {
		if (pdu_stream_next(&s->in, p, n, &used, &ev) != ERR_OK) {
			sender_event(s, UL_EVT19);
			return;
		}
		p += used;
		n -= used;
		if (ev.kind == PDU_EV_PDU)
			on_pdu(s, &ev);
		else if (ev.kind != PDU_EV_MORE)
			on_pdv(s, &ev);
	} while (ev.kind != PDU_EV_MORE && listening(s));
}

static void on_open(void *arg)
{
	struct sender *s = arg;

	buf_clear(&s->hold);
	buf_clear(&s->command);
	sender_forget_asked(s);
	pdu_stream_init(&s->in, &s->hold, s->config->max_pdu);
	sender_event(s, UL_EVT2);
}

static void on_drain(void *arg)
{
	struct sender *s = arg;

	s->bytes_out = stream_bytes_out(s->stream);
	if (s->ul == UL_STA6)
		sender_pump(s);
}

/* ---- the end of the stream --------------------------------------------- */

static enum failure not_connected(const struct sender *s, enum err why)
{
	if (why == ERR_NOTFOUND)
		return FAIL_RESOLVE;
	if (why == ERR_TIMEOUT)
		return FAIL_CONNECT_TIMEOUT;
	if (why == ERR_CLOSED && s->env.destination->tls != NULL)
		return FAIL_TLS;
	return FAIL_CONNECT;
}

static enum failure not_opened(const struct sender *s, enum err why)
{
	if (why == ERR_TLS)
		return FAIL_TLS;
	if (why == ERR_NOMEM)
		return FAIL_NO_MEMORY;
	if (why == ERR_CANCELED)
		return FAIL_STOPPED;
	if (s->ul == UL_STA4)
		return not_connected(s, why);
	return why == ERR_TIMEOUT ? FAIL_ASSOCIATE_TIMEOUT
				  : FAIL_ASSOCIATE_LOST;
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct sender *s = arg;
	struct verdict v;
	bool retry = false;

	s->stream = NULL;
	atomic_store(&s->open, false);
	if (s->ul == UL_STA4 || s->ul == UL_STA5) {
		v = outcome_of_failure(not_opened(s, why));
		if (why != ERR_CANCELED && why != ERR_NOMEM)
			unanswered(s, &v, detail);
		s->attempt++;
		retry = !s->closing && s->attempt < s->config->endpoints.n;
		if (!retry)
			sender_fail(s, &v, detail, false);
	} else if (s->ul == UL_STA6) {
		lost(s, detail);
	}
	sender_row_end(s, "connection lost");
	sender_event(s, UL_EVT17);
	s->ul = UL_STA1;
	if (!retry)
		s->attempt = 0;
	sender_after_close(s);
}

const struct stream_events sender_events = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

/* ---- deadlines --------------------------------------------------------- */

static void time_up(struct sender *s)
{
	enum failure f = s->phase == PHASE_AWAITING ? FAIL_RESPONSE_TIMEOUT
						    : FAIL_SEND_TIMEOUT;
	struct verdict v = outcome_of_failure(f);

	sender_fail(s, &v,
		    s->starved ? "the device does not send the rest" : NULL,
		    true);
	sender_event(s, UL_EVT15);
}

void sender_on_timer(struct sender *s)
{
	struct verdict v = outcome_of_failure(FAIL_ASSOCIATE_TIMEOUT);
	uint64_t out;

	if (s->stream == NULL)
		return;
	if (s->ul == UL_STA5) {
		unanswered(s, &v, NULL);
		sender_fail(s, &v, NULL, false);
		sender_event(s, UL_EVT15);
	} else if (s->ul == UL_STA6 && s->phase == PHASE_NONE &&
		   s->asked.state == ASKED_DATA) {
		sender_event(s, UL_EVT15); /* it never came to its end */
	} else if (s->ul == UL_STA6 && s->phase == PHASE_NONE) {
		sender_event(s, UL_EVT11); /* idle */
	} else if (s->ul == UL_STA6 && s->phase == PHASE_SENDING &&
		   s->starved) {
		time_up(s);
	} else if (s->ul == UL_STA6) {
		out = stream_bytes_out(s->stream);
		if (s->pacing && s->phase == PHASE_SENDING) {
			s->progress = out;
			sender_timer(s, s->config->timeouts.response);
			return;
		}
		if (out == s->progress && stream_queued(s->stream) > 0)
			s->phase = PHASE_SENDING; /* it does not read */
		else if (out != s->progress) {
			s->progress = out;
			sender_timer(s, s->config->timeouts.response);
			return;
		}
		time_up(s);
	} else if (s->ul == UL_STA13 || s->ul == UL_STA1) {
		stream_close(s->stream, ERR_TIMEOUT);
	} else {
		sender_event(s, UL_EVT15);
	}
}
