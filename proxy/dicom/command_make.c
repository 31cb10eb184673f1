#include "proxy/dicom/command.h"

#include <string.h>

/* Copy text, cut to fit: out has size bytes. */
static void copy(char *out, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);

	memcpy(out, text, n);
	out[n] = '\0';
}

static void begin(struct command *out, uint16_t field)
{
	memset(out, 0, sizeof(*out));
	out->has = CMD_FIELD | CMD_DATA_SET_TYPE;
	out->field = field;
	out->data_set_type = COMMAND_NO_DATA_SET;
}

void command_echo_rq(struct command *out, uint16_t message_id)
{
	begin(out, C_ECHO_RQ);
	out->has |= CMD_AFFECTED_CLASS | CMD_MESSAGE_ID;
	out->message_id = message_id;
	copy(out->affected_class, UID_SIZE, UID_VERIFICATION);
}

void command_store_rq(struct command *out, uint16_t message_id,
		      const char *sop_class, const char *sop_instance,
		      uint16_t priority)
{
	begin(out, C_STORE_RQ);
	out->has |= CMD_AFFECTED_CLASS | CMD_MESSAGE_ID | CMD_PRIORITY |
		    CMD_AFFECTED_INSTANCE;
	out->message_id = message_id;
	out->priority = priority;
	out->data_set_type = 0x0001; /* present, as DCMTK says it */
	copy(out->affected_class, UID_SIZE, sop_class);
	copy(out->affected_instance, UID_SIZE, sop_instance);
}

void command_set_originator(struct command *c, const char *ae, uint16_t id)
{
	c->has |= CMD_ORIGINATOR_AE | CMD_ORIGINATOR_ID;
	copy(c->originator_ae, sizeof(c->originator_ae), ae);
	c->originator_id = id;
}

static bool names_affected(uint16_t field)
{
	return field == N_EVENT_REPORT_RQ || field == N_CREATE_RQ;
}

static void name(struct command *out, const char *sop_class,
		 const char *sop_instance)
{
	bool affected = names_affected(out->field);

	out->has |= affected ? CMD_AFFECTED_CLASS : CMD_REQUESTED_CLASS;
	copy(affected ? out->affected_class : out->requested_class, UID_SIZE,
	     sop_class);
	if (sop_instance[0] == '\0')
		return;
	out->has |= affected ? CMD_AFFECTED_INSTANCE : CMD_REQUESTED_INSTANCE;
	copy(affected ? out->affected_instance : out->requested_instance,
	     UID_SIZE, sop_instance);
}

void command_message_rq(struct command *out, uint16_t field,
			uint16_t message_id, const char *sop_class,
			const char *sop_instance, uint16_t type, bool data_set)
{
	begin(out, field);
	out->has |= CMD_MESSAGE_ID;
	out->message_id = message_id;
	name(out, sop_class, sop_instance);
	if (field == N_EVENT_REPORT_RQ) {
		out->has |= CMD_EVENT_TYPE;
		out->event_type = type;
	} else if (field == N_ACTION_RQ) {
		out->has |= CMD_ACTION_TYPE;
		out->action_type = type;
	}
	if (data_set)
		out->data_set_type = 0x0001;
}

void command_response(struct command *out, const struct command *rq,
		      uint16_t status, const char *comment)
{
	bool requested = (rq->has & CMD_REQUESTED_CLASS) != 0;
	bool instance = (rq->has & CMD_REQUESTED_INSTANCE) != 0;

	begin(out, rq->field | COMMAND_RESPONSE);
	out->has |= CMD_RESPONDED_ID | CMD_STATUS;
	out->responded_id = rq->message_id;
	out->status = status;
	if (rq->has & (CMD_AFFECTED_CLASS | CMD_REQUESTED_CLASS)) {
		out->has |= CMD_AFFECTED_CLASS;
		copy(out->affected_class, UID_SIZE,
		     requested ? rq->requested_class : rq->affected_class);
	}
	if (rq->has & (CMD_AFFECTED_INSTANCE | CMD_REQUESTED_INSTANCE)) {
		out->has |= CMD_AFFECTED_INSTANCE;
		copy(out->affected_instance, UID_SIZE,
		     instance ? rq->requested_instance : rq->affected_instance);
	}
	out->has |= rq->has & (CMD_EVENT_TYPE | CMD_ACTION_TYPE);
	out->event_type = rq->event_type;
	out->action_type = rq->action_type;
	if (comment != NULL) {
		out->has |= CMD_COMMENT;
		copy(out->comment, sizeof(out->comment), comment);
	}
}
