/* association_here.c - messages that end here (PS3.7): C-ECHO, C-STORE into
 * the spool, the requests of DIMSE-N that are spooled or taken as reports. */
#include <string.h>

#include "proxy/association_int.h"

/* ---- answers ----------------------------------------------------------- */

size_t association_encode_response(const struct command *rq, uint8_t context_id,
				   uint16_t status, const char *comment,
				   uint8_t *out, size_t size)
{
	struct wr w =
	    wr_init(out + PDU_PDATA_HEADER_LEN, size - PDU_PDATA_HEADER_LEN);
	struct command rsp;

	command_response(&rsp, rq, status,
			 comment != NULL && comment[0] != '\0' ? comment
							       : NULL);
	if (command_encode(&rsp, &w) != ERR_OK)
		return 0;
	(void)pdu_pdata_header(out, (uint32_t)w.len, context_id,
			       PDV_COMMAND | PDV_LAST);
	return PDU_PDATA_HEADER_LEN + w.len;
}

void association_respond(struct association *a, const struct command *rq,
			 uint8_t context_id, uint16_t status,
			 const char *comment)
{
	uint8_t out[PDU_PDATA_HEADER_LEN + 1024];
	size_t n;

	if (command_status_class(status) == STATUS_IS_FAILURE) {
		a->facts.end.failures++;
		association_note_refusal(&a->facts, rq->field, status, comment);
	}
	if (!association_is_open(a))
		return;
	/* the room fits any response */
	n = association_encode_response(rq, context_id, status, comment, out,
					sizeof(out));
	if (a->relay == NULL || !relay_has_turn(a->relay)) {
		association_send(a, out, n);
	} else if (buf_append(&a->late, out, n) != ERR_OK) {
		association_because(a, "too many answers wait");
		association_close(a, ERR_LIMIT);
	}
}

static void answer(struct association *a, uint16_t status, const char *comment)
{
	association_respond(a, &a->served, a->served_context, status, comment);
	association_settled(a);
}

/* False, for the callers' sake. */
static bool refuse(struct association *a, uint16_t status, const char *comment)
{
	a->answer = status;
	a->comment = comment;
	return false;
}

bool association_serving(const struct association *a)
{
	return a->store != NULL || a->request != NULL;
}

/* ---- C-STORE ----------------------------------------------------------- */

static void on_store_writable(void *arg)
{
	association_resume(arg, PAUSE_STORE);
}

static void on_store_done(void *arg, uint16_t status, const char *comment)
{
	struct association *a = arg;

	association_note_store(&a->facts, store_study(a->store),
			       store_length(a->store),
			       status == STATUS_SUCCESS);
	a->store = NULL;
	answer(a, status, comment);
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

static struct store_origin origin_of(const struct association *a)
{
	return (struct store_origin){.config = a->env->config,
				     .listener = a->listener,
				     .device = (size_t)a->device,
				     .association = a->facts.row.id,
				     .peer = a->facts.row.peer,
				     .calling_ae = a->facts.row.calling_ae,
				     .called_ae = a->facts.row.called_ae,
				     .early = a->env->early};
}

static bool serve_store(struct association *a, const struct agreed_context *c)
{
	struct store_origin origin = origin_of(a);

	a->facts.end.stores++;
	if (!command_has_data_set(&a->rq))
		return refuse(a, STATUS_MISTYPED_ARGUMENT,
			      "C-STORE without a data set");
	if (strcmp(a->rq.affected_class, c->abstract) != 0)
		return refuse(a, STATUS_CLASS_NOT_SUPPORTED,
			      "SOP class is not that of the context");
	if (!is_plain(a->rq.affected_instance))
		return refuse(a, STATUS_INVALID_INSTANCE,
			      "SOP instance UID missing or unreadable");
	if (store_begin(a->env->spool, a->env->worker, &origin, c, &a->rq,
			&store_events, a, &a->store) != ERR_OK)
		return refuse(a, STATUS_OUT_OF_RESOURCES, "out of memory");
	return true;
}

/* ---- DIMSE-N ----------------------------------------------------------- */

static void on_request_done(void *arg, uint16_t status, const char *comment)
{
	struct association *a = arg;

	a->request = NULL;
	answer(a, status, comment);
}

static const struct message_events request_events = {.on_done =
							 on_request_done};

static bool serve_request(struct association *a, const struct agreed_context *c)
{
	struct message_env env = {.spool = a->env->spool,
				  .commitment = a->env->commitment,
				  .worker = a->env->worker};
	struct store_origin origin = origin_of(a);
	struct message_reporter from = {.name = a->facts.row.device,
					.abstract = c->abstract,
					.transfer_syntax = c->transfer_syntax};
	enum err e;

	a->facts.end.others++;
	if (message_is_spooled(c, a->rq.field))
		e = message_begin(&env, &origin, c, &a->rq, &request_events, a,
				  &a->request);
	else if (a->rq.field == N_EVENT_REPORT_RQ)
		e = message_report_begin(&env, &from, &a->rq, &request_events,
					 a, &a->request);
	else
		return refuse(a, STATUS_NOT_AUTHORIZED,
			      "not allowed in this context");
	return e == ERR_OK || refuse(a, STATUS_RESOURCE_LIMIT, "out of memory");
}

/* ---- both -------------------------------------------------------------- */

bool association_serve(struct association *a, const struct agreed_context *c)
{
	a->served = a->rq;
	a->served_context = c->id;
	switch (c->way) {
	case WAY_ECHO:
		a->facts.end.echos++;
		return true;
	case WAY_STORE:
		return serve_store(a, c);
	case WAY_MESSAGE:
	case WAY_REPORT:
		return serve_request(a, c);
	case WAY_RELAY:
		break;
	}
	return refuse(a, STATUS_NOT_AUTHORIZED, "not allowed in this context");
}

void association_serve_data(struct association *a, const uint8_t *p, size_t n)
{
	if (a->request != NULL)
		message_data(a->request, p, n);
	if (a->store == NULL)
		return;
	store_data(a->store, p, n);
	if (store_full(a->store))
		association_pause(a, PAUSE_STORE);
	else /* also when it has just failed: nobody else would resume */
		association_resume(a, PAUSE_STORE);
}

void association_serve_end(struct association *a)
{
	/* no on_writable comes after the end, and there is more to read */
	association_resume(a, PAUSE_STORE);
	if (a->store != NULL)
		store_end(a->store);
	else if (a->request != NULL)
		message_end(a->request);
	else
		answer(a, STATUS_SUCCESS, NULL); /* C-ECHO */
}

void association_serve_abort(struct association *a)
{
	if (a->store != NULL)
		store_abort(a->store);
	if (a->request != NULL)
		message_abort(a->request);
	a->store = NULL;
	a->request = NULL;
}
