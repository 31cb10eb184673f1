/* sender_in.c - messages in: the answers to ours, and what the peer asks.
 *
 * An archive may send its N-EVENT-REPORT on the association that the request
 * came on (PS3.4 J.3.3): it goes to the commitment engine, and the answer
 * leaves when that has spoken. No other request is served here. One request of
 * the peer at a time (PS3.7 annex D.3.3.3). */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/sender_int.h"

/* ---- what the peer asks ------------------------------------------------ */

static void answer_with(struct sender *s, uint16_t status, const char *comment)
{
	s->asked.state = ASKED_ANSWER;
	s->asked.status = status;
	s->asked.comment = comment;
}

static void on_report_done(void *arg, uint16_t status, const char *comment)
{
	struct sender *s = arg;

	s->asked.report = NULL;
	answer_with(s, status, comment);
	if (s->ul == UL_STA6)
		sender_pump(s);
}

static const struct message_events report_events = {.on_done = on_report_done};

static const struct sender_context *context_by_id(const struct sender *s,
						  uint8_t id)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		if (s->contexts[i].id == id &&
		    s->contexts[i].result == CONTEXT_ACCEPTED)
			return &s->contexts[i];
	}
	return NULL;
}

static void begin_report(struct sender *s)
{
	struct message_env env = {.commitment = s->env.commitment,
				  .worker = s->env.worker};
	struct message_reporter from = {.name = s->config->name,
					.abstract = s->asked.context->abstract,
					.transfer_syntax =
					    s->asked.context->transfer_syntax};

	if (message_report_begin(&env, &from, &s->asked.rq, &report_events, s,
				 &s->asked.report) != ERR_OK) {
		s->asked.report = NULL;
		s->asked.status = STATUS_RESOURCE_LIMIT;
		s->asked.comment = "out of memory: send again";
	}
}

/* The request is complete. */
static void asked_all(struct sender *s)
{
	if (s->asked.report != NULL) {
		s->asked.state = ASKED_WAITING;
		message_end(s->asked.report);
		return;
	}
	answer_with(s, s->asked.status, s->asked.comment);
	sender_pump(s);
}

/* False: not one that may come now. */
static bool request(struct sender *s, const struct command *rq, uint8_t id)
{
	if (rq->field == C_CANCEL_RQ)
		return true; /* of nothing; it has no answer */
	s->asked.context = context_by_id(s, id);
	if (s->asked.state != ASKED_NOTHING || s->asked.context == NULL)
		return false;
	s->asked.rq = *rq;
	s->asked.status = STATUS_UNRECOGNIZED_OPERATION;
	s->asked.comment = "not served here";
	s->asked.state = ASKED_DATA;
	if (s->phase == PHASE_NONE)
		sender_timer(s, s->config->timeouts.response);
	if (rq->field == N_EVENT_REPORT_RQ)
		begin_report(s);
	if (!command_has_data_set(rq))
		asked_all(s);
	return true;
}

bool sender_send_answer(struct sender *s)
{
	struct command rsp;
	const char *comment = s->asked.comment;

	s->asked.state = ASKED_NOTHING;
	command_response(&rsp, &s->asked.rq, s->asked.status,
			 comment[0] != '\0' ? comment : NULL);
	return sender_send_command(s, s->asked.context->id, &rsp);
}

void sender_forget_asked(struct sender *s)
{
	if (s->asked.report != NULL)
		message_abort(s->asked.report);
	s->asked.report = NULL;
	s->asked.state = ASKED_NOTHING;
}

/* ---- the answers to ours ----------------------------------------------- */

/* Was it perhaps sent before, and its answer lost? */
static bool is_repeated(const struct sender *s, const struct task *t)
{
	return t->item.attempts > 0 || t->item.received_ms < s->env.since_ms;
}

static struct verdict verdict_of(const struct sender *s, const struct task *t)
{
	enum { MPPS_FINAL = 0xA710 }; /* error ID, PS3.4 F.7.2.2 */

	if (!instance_is_message(t->item.command))
		return outcome_of_status(s->status);
	if (t->item.command == N_SET_RQ && s->error_id == MPPS_FINAL &&
	    s->status == STATUS_PROCESSING_FAILURE)
		return outcome_of_closed_step(is_repeated(s, t));
	return outcome_of_message_status(t->item.command, s->status);
}

void sender_answered(struct sender *s)
{
	struct task *t = sender_first(s);
	struct verdict v = verdict_of(s, t);

	s->phase = PHASE_NONE;
	if (v.fate != FATE_DELIVERED && v.fate != FATE_FLAGGED)
		s->failures++;
	sender_finish(s, t, TASK_ANSWERED, &v, s->comment);
	sender_pump(s);
}

static bool is_expected(struct sender *s, const struct command *rsp)
{
	struct task *t = sender_outstanding(s);
	uint16_t field;

	if (t == NULL || s->have_status || (rsp->has & CMD_STATUS) == 0)
		return false;
	field = instance_is_message(t->item.command) ? t->item.command
						     : (uint16_t)C_STORE_RQ;
	return rsp->field == (field | COMMAND_RESPONSE);
}

static bool response(struct sender *s, const struct command *rsp)
{
	if (!is_expected(s, rsp))
		return false;
	/* Some archives answer with a wrong id; only one can be meant. */
	if ((rsp->has & CMD_RESPONDED_ID) != 0 &&
	    rsp->responded_id != s->message_id)
		log_event(LOG_DEBUG, "wrong-message-id",
			  "assoc=%llu got=%u want=%u",
			  (unsigned long long)s->id, rsp->responded_id,
			  s->message_id);
	s->have_status = true;
	s->status = rsp->status;
	s->error_id = rsp->error_id;
	if (rsp->comment[0] != '\0')
		(void)log_esc(rsp->comment, s->comment, sizeof(s->comment));
	if (s->phase == PHASE_AWAITING)
		sender_answered(s);
	return true;
}

/* ---- fragments --------------------------------------------------------- */

static bool command_end(struct sender *s, uint8_t context_id)
{
	struct command c;
	enum err e =
	    command_decode(buf_data(&s->command), buf_len(&s->command), &c);

	buf_clear(&s->command);
	if (e != ERR_OK)
		return false;
	if ((c.field & COMMAND_RESPONSE) != 0)
		return response(s, &c);
	return request(s, &c, context_id);
}

static bool is_data_of_request(const struct sender *s, const struct pdv *pdv)
{
	return s->asked.state == ASKED_DATA &&
	       s->asked.context->id == pdv->context_id;
}

/* The data set of a response (attributes of an N-CREATE, say) is skipped. */
static void data(struct sender *s, const struct pdu_event *ev)
{
	if (!is_data_of_request(s, &ev->pdv))
		return;
	if (s->phase == PHASE_NONE)
		sender_timer(s, s->config->timeouts.response);
	if (ev->kind == PDU_EV_PDV_DATA && s->asked.report != NULL)
		message_data(s->asked.report, ev->data, ev->len);
	if (ev->kind == PDU_EV_PDV_END && ev->pdv.last)
		asked_all(s);
}

bool sender_pdv(struct sender *s, const struct pdu_event *ev)
{
	if (!ev->pdv.command) {
		data(s, ev);
		return true;
	}
	if (ev->kind == PDU_EV_PDV_DATA)
		return buf_append(&s->command, ev->data, ev->len) == ERR_OK;
	if (ev->kind == PDU_EV_PDV_END && ev->pdv.last)
		return command_end(s, ev->pdv.context_id);
	return true;
}
