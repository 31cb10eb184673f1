/* leg_ul.c - the association of a leg: PS3.8 table 9-10 acted out.
 *
 * leg_event() asks the table (ul_fsm.h) what an event means in the state that
 * we are in, and acts. Data passes in Sta6 without asking again. */
#include "proxy/leg_int.h"
#include "proxy/lib/mem.h"

/* ---- writing ----------------------------------------------------------- */

static void send_pdu(struct leg *l, const uint8_t *pdu, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)pdu, .iov_len = n};
	enum err e = stream_write(l->stream, &iov, 1);

	leg_note_bytes(l);
	if (e != ERR_OK) /* nothing more can be said to this peer */
		stream_close(l->stream, e);
}

static void artim(struct leg *l)
{
	l->artim_at = leg_now(l) + LEG_ARTIM_MS;
	leg_arm(l);
}

static void send_abort(struct leg *l, uint8_t source, uint8_t reason)
{
	struct pdu_abort a = {.source = source, .reason = reason};
	uint8_t pdu[PDU_CONTROL_LEN];

	send_pdu(l, pdu, pdu_abort_encode(pdu, a));
	stream_finish(l->stream);
	artim(l);
}

static void send_release_rq(struct leg *l)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	stream_eof_ok(l->stream, true);
	send_pdu(l, pdu, pdu_release_rq_encode(pdu));
	artim(l);
}

static void send_release_rp(struct leg *l)
{
	uint8_t pdu[PDU_CONTROL_LEN];

	send_pdu(l, pdu, pdu_release_rp_encode(pdu));
}

/* ---- actions ----------------------------------------------------------- */

static void send_request(struct leg *l)
{
	struct leg_opening *o = l->opening;

	buf_clear(&o->hold);
	pdu_stream_init(&o->in, &o->hold, 0);
	send_pdu(l, o->rq, o->rq_len);
}

static void established(struct leg *l)
{
	struct assoc *ac = l->opening->ac;

	destination_mark(l->destination, l->opening->endpoint, NULL);
	leg_record_accepted(l, ac);
	leg_opening_free(l);
	l->active_at = leg_now(l);
	if (l->paused)
		stream_read_pause(l->stream);
	if (l->ev->on_accepted != NULL)
		l->ev->on_accepted(l->arg, ac);
}

/* The peer asks for release; whatever it is still owed, it does not want. */
static void released_by_peer(struct leg *l)
{
	leg_because(l, "released by the peer");
	leg_tell_soon(l, NEWS_RELEASED);
	leg_event(l, UL_EVT14);
}

/* Ours (AA-8): it sent what cannot be taken here. */
static void broken(struct leg *l, bool opening)
{
	struct verdict v = outcome_of_failure(FAIL_NOT_DICOM);

	send_abort(l, ABORT_PROVIDER, l->abort_reason);
	if (opening) {
		leg_attempt_failed(l, &v, "", true);
		return;
	}
	leg_because(l, "it sent an unexpected PDU");
	leg_tell_soon(l, NEWS_LOST);
}

static void act(struct leg *l, enum ul_action action)
{
	switch (action) {
	case UL_AE2:
		send_request(l);
		break;
	case UL_AE3:
		established(l);
		break;
	case UL_AR1:
		send_release_rq(l);
		break;
	case UL_AR2:
		released_by_peer(l);
		break;
	case UL_AR3: /* both are done: nothing to wait for */
		leg_note_bytes(l);
		stream_close(l->stream, ERR_OK);
		break;
	case UL_AR4:
		stream_eof_ok(l->stream, true);
		send_release_rp(l);
		stream_finish(l->stream);
		artim(l);
		break;
	case UL_AR8: /* both asked at once: answer, and wait for ours */
		leg_event(l, UL_EVT14);
		break;
	case UL_AR9:
		send_release_rp(l);
		break;
	case UL_AA1:
		send_abort(l, ABORT_USER, ABORT_NO_REASON);
		break;
	case UL_AA2:
		stream_close(l->stream, ERR_CANCELED);
		break;
	case UL_AA3:
		stream_close(l->stream, ERR_CLOSED);
		break;
	case UL_AE1: /* the stream connects already */
	case UL_AE4: /* the rejection was taken before: the next attempt */
	case UL_DT1: /* data passes where it is written and read */
	case UL_DT2:
	case UL_AR5: /* the stream has closed */
	case UL_AR6: /* nobody wants data after a release of ours */
	case UL_AR7:
	case UL_AA4:
	case UL_AA5:
	case UL_AA6:
	case UL_AA7: /* leg_event() */
	case UL_AA8:
	case UL_NONE:
	case UL_AE5: /* the acceptor's */
	case UL_AE6:
	case UL_AE7:
	case UL_AE8:
	case UL_AR10:
	case UL_N_ACTIONS:
		break;
	}
}

void leg_event(struct leg *l, enum ul_event ev)
{
	struct ul_step step = ul_fsm(l->ul, ev);
	bool opening = l->ul == UL_STA5;

	if (step.action == UL_NONE)
		return;
	l->ul = step.next;
	if (step.action == UL_AA7 || step.action == UL_AA8)
		broken(l, opening);
	else
		act(l, step.action);
}

void leg_artim_passed(struct leg *l)
{
	l->artim_at = 0;
	if (l->stream == NULL)
		return;
	if (l->ul == UL_STA13 || l->ul == UL_STA1)
		stream_close(l->stream, ERR_TIMEOUT);
	else
		leg_event(l, UL_EVT15);
}

/* ---- the answer to our request ----------------------------------------- */

static void unexpected(struct leg *l, enum ul_event ev)
{
	l->abort_reason = ABORT_UNEXPECTED_PDU;
	leg_event(l, ev);
}

static void on_accept(struct leg *l, const struct pdu_event *ev)
{
	struct assoc *ac = mem_realloc(NULL, sizeof(*ac));

	if (ac == NULL ||
	    assoc_decode(ev->data, ev->len, PDU_ASSOCIATE_AC, ac) != ERR_OK) {
		l->abort_reason = ABORT_INVALID_PARAMETER;
		leg_event(l, UL_EVT19);
	} else {
		l->opening->ac = ac;
		leg_event(l, UL_EVT3);
	}
	mem_free(ac);
}

static void on_reject(struct leg *l, const struct pdu_event *ev)
{
	leg_event(l, UL_EVT4);
	leg_attempt_rejected(l, pdu_reject_decode(ev->data, ev->len));
}

static void on_abort_opening(struct leg *l, const struct pdu_event *ev)
{
	struct pdu_abort a = pdu_abort_decode(ev->data, ev->len);
	struct verdict v = outcome_of_abort(a.source, a.reason, false);

	leg_event(l, UL_EVT16);
	leg_attempt_failed(l, &v, pdu_abort_text(a), false);
}

static void on_answer(struct leg *l, const struct pdu_event *ev)
{
	switch (ev->type) {
	case PDU_ASSOCIATE_AC:
		on_accept(l, ev);
		break;
	case PDU_ASSOCIATE_RJ:
		on_reject(l, ev);
		break;
	case PDU_ABORT:
		on_abort_opening(l, ev);
		break;
	case PDU_ASSOCIATE_RQ:
		unexpected(l, UL_EVT6);
		break;
	case PDU_DATA_TF:
		unexpected(l, UL_EVT10);
		break;
	case PDU_RELEASE_RQ:
		unexpected(l, UL_EVT12);
		break;
	case PDU_RELEASE_RP:
		unexpected(l, UL_EVT13);
		break;
	}
}

/* Returns how many bytes the answer took. */
static size_t read_answer(struct leg *l, const uint8_t *p, size_t n)
{
	struct pdu_event ev;
	size_t used;

	if (pdu_stream_next(&l->opening->in, p, n, &used, &ev) != ERR_OK) {
		l->abort_reason = l->opening->in.abort_reason;
		leg_event(l, UL_EVT19);
		return n;
	}
	if (ev.kind != PDU_EV_MORE)
		on_answer(l, &ev);
	return used;
}

/* ---- what comes when it is open ---------------------------------------- */

static void on_abort(struct leg *l)
{
	struct pdu_abort a =
	    pdu_abort_decode(l->frame.body, sizeof(l->frame.body));

	leg_because(l, "aborted by the peer: %s", pdu_abort_text(a));
	leg_tell_soon(l, NEWS_LOST);
	leg_event(l, UL_EVT16);
}

static void on_control(struct leg *l)
{
	l->abort_reason = ABORT_UNEXPECTED_PDU;
	switch (l->frame.type) {
	case PDU_ASSOCIATE_RQ:
		leg_event(l, UL_EVT6);
		break;
	case PDU_ASSOCIATE_AC:
		leg_event(l, UL_EVT3);
		break;
	case PDU_ASSOCIATE_RJ:
		leg_event(l, UL_EVT4);
		break;
	case PDU_RELEASE_RQ:
		leg_event(l, UL_EVT12);
		break;
	case PDU_RELEASE_RP:
		leg_event(l, UL_EVT13);
		break;
	case PDU_ABORT:
		on_abort(l);
		break;
	case PDU_DATA_TF: /* is no control PDU */
		break;
	}
}

static void on_data(struct leg *l, const uint8_t *p, size_t n)
{
	if (l->ul != UL_STA6)
		unexpected(l, UL_EVT10);
	else if (!l->detached && l->ev->on_read != NULL)
		l->ev->on_read(l->arg, p, n);
}

static void on_piece(struct leg *l, enum leg_piece piece, const uint8_t *p,
		     size_t n)
{
	switch (piece) {
	case LEG_PIECE_NONE:
		break;
	case LEG_PIECE_DATA:
		on_data(l, p, n);
		break;
	case LEG_PIECE_CONTROL:
		on_control(l);
		break;
	case LEG_PIECE_BAD:
		leg_because(l, "it sent an invalid PDU");
		l->abort_reason = l->frame.abort_reason;
		leg_event(l, UL_EVT19);
		break;
	}
}

/* After a close or abort of ours the rest of the input means nothing. */
static bool listening(const struct leg *l)
{
	return l->stream != NULL && l->ul != UL_STA1 && l->ul != UL_STA13;
}

static void hold(struct leg *l, const uint8_t *p, size_t n)
{
	if (buf_append(&l->held, p, n) != ERR_OK) {
		leg_because(l, "out of memory");
		leg_tell_soon(l, NEWS_LOST);
		leg_event(l, UL_EVT15);
	}
}

void leg_input(struct leg *l, const uint8_t *p, size_t n)
{
	enum leg_piece piece;

	while (n > 0 && listening(l)) {
		size_t used;

		if (l->paused) {
			hold(l, p, n);
			return;
		}
		used = leg_frame_next(&l->frame, p, n, &piece);
		on_piece(l, piece, p, used);
		p += used;
		n -= used;
	}
}

/* ---- the stream -------------------------------------------------------- */

static void on_open(void *arg)
{
	struct leg_line *line = arg;

	if (line->leg == NULL)
		return;
	leg_enter(line->leg);
	leg_event(line->leg, UL_EVT2);
	leg_leave(line->leg);
}

static void on_read(void *arg, const uint8_t *p, size_t n)
{
	struct leg_line *line = arg;
	struct leg *l = line->leg;

	if (l == NULL)
		return;
	leg_enter(l);
	l->bytes_in = stream_bytes_in(l->stream);
	l->active_at = leg_now(l);
	leg_count_bytes(&l->shape_in, n);
	while (n > 0 && line->leg != NULL && l->ul == UL_STA5) {
		size_t used = read_answer(l, p, n);

		p += used;
		n -= used;
	}
	if (line->leg != NULL)
		leg_input(l, p, n);
	leg_leave(l);
}

static void on_drain(void *arg)
{
	struct leg_line *line = arg;
	struct leg *l = line->leg;

	if (l == NULL || l->ul != UL_STA6 || l->ev->on_drain == NULL)
		return;
	leg_enter(l);
	leg_note_bytes(l);
	l->ev->on_drain(l->arg);
	leg_leave(l);
}

static void on_closed(void *arg, enum err why, const char *detail)
{
	struct leg_line *line = arg;
	struct leg *l = line->leg;

	mem_free(line);
	if (l == NULL)
		return;
	leg_enter(l);
	l->stream = NULL;
	l->line = NULL;
	if (l->ul == UL_STA4 || l->ul == UL_STA5) {
		leg_attempt_closed(l, why, detail);
	} else {
		if (l->ul == UL_STA6) {
			leg_because(l, "the connection was lost: %s", detail);
			leg_tell_soon(l, NEWS_LOST);
		}
		leg_event(l, UL_EVT17);
		l->ul = UL_STA1;
	}
	leg_leave(l);
}

const struct stream_events leg_stream_events = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_closed = on_closed,
};
