/* association_dimse.c - the messages of an association (PS3.7). */
#include <string.h>

#include "proxy/association_int.h"

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
	association_send(a, out, PDU_PDATA_HEADER_LEN + w.len);
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
		association_answer_release(a);
	else if (a->env->draining && a->state == UL_STA6)
		association_drain(a->env, false);
	else
		association_watch(a);
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
		association_protocol_error(
		    a, "aborted: malformed DIMSE command set",
		    ABORT_INVALID_PARAMETER);
		return;
	}
	buf_clear(&a->command);
	if ((a->rq.field & COMMAND_RESPONSE) != 0) {
		association_protocol_error(a,
					   "aborted: unexpected DIMSE message",
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
	/* no on_writable comes after the end, and there is more to read */
	stream_read_resume(a->stream);
	if (a->data_wanted)
		store_end(a->op);
	else if (a->rq.field != C_CANCEL_RQ)
		respond(a, a->refused_status, a->refused_comment);
}

/* A new PDV: does it fit the message that is under way? */
void association_on_pdv_begin(struct association *a, const struct pdv *pdv)
{
	bool begins = a->message == MESSAGE_NONE;

	if (association_step(a, UL_EVT10, ABORT_UNEXPECTED_PDU) != UL_DT2)
		return;
	/* also because its first fragment would change what is answered */
	if (begins && a->op != NULL) {
		association_protocol_error(
		    a, "aborted: a message before the answer to the last one",
		    ABORT_UNEXPECTED_PDU);
		return;
	}
	if (context_find(a, pdv->context_id) == NULL) {
		association_protocol_error(
		    a, "aborted: P-DATA in a context not accepted",
		    ABORT_INVALID_PARAMETER);
		return;
	}
	if (pdv->command == (a->message == MESSAGE_DATA) ||
	    (!begins && pdv->context_id != a->context_id)) {
		association_protocol_error(
		    a, "aborted: fragments of messages are mixed",
		    ABORT_UNEXPECTED_PARAMETER);
		return;
	}
	if (begins) {
		a->message = MESSAGE_COMMAND;
		a->context_id = pdv->context_id;
		association_watch(a);
	}
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
	if (!a->data_wanted)
		return;
	store_data(a->op, p, n);
	if (store_full(a->op))
		stream_read_pause(a->stream);
	else /* also when it has just failed: nobody else would resume */
		stream_read_resume(a->stream);
}

void association_on_pdv_end(struct association *a, const struct pdv *pdv)
{
	const struct agreed_context *c = context_find(a, pdv->context_id);

	if (a->state != UL_STA6 || !pdv->last || c == NULL)
		return;
	if (pdv->command)
		on_command(a, c);
	else
		on_data_end(a);
	association_watch(a);
}
