/* audit_message_int.h - what the files of the encoder share.
 *
 * audit_message.c has the table of events, audit_message_who.c the active
 * participants, audit_message_what.c the participant objects. */
#ifndef PROXY_AUDIT_MESSAGE_INT_H
#define PROXY_AUDIT_MESSAGE_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/audit_message.h"
#include "proxy/lib/wr.h"

#define OWN_CODES "99CULVERT"

/* Who takes part, and in what. */
enum audit_shape {
	SHAPE_APPLICATION, /* A.5.3.1: us, and who started it */
	SHAPE_ALERT,       /* A.5.3.11: us as reporter, who did it */
	SHAPE_RECEIVED,    /* A.5.3.3, A.5.3.7: from a device to us */
	SHAPE_SENT,        /* the same, from us to a destination */
	SHAPE_QUERY,       /* A.5.3.10: a device asks a destination by us */
	SHAPE_PROCEDURE,   /* A.5.3.9 */
	SHAPE_EXPORT,      /* A.5.3.5: to a person, as a file */
	SHAPE_LOG,         /* A.5.3.2: a person reads the audit */
	SHAPE_USER         /* A.5.3.12: a person logs in, or out, here */
};

struct audit_message_event {
	int kind;
	enum audit_shape shape;
	char action;
	const char *id;   /* a code of DICOM's */
	const char *type; /* the same; NULL: the kind itself, as a code of
			   * ours; "": none, the event says it all */
};

/* How much of what may be left out is. */
enum audit_brevity { SAY_ALL, SAY_LESS, SAY_LEAST };

struct audit_message {
	struct wr w;
	const struct audit_message_source *source;
	const struct audit_facts *row;
	const struct audit_message_event *event;
	enum audit_brevity brevity;
	char what[32]; /* the kind's word */
	char id[96];   /* of the record: "NODE#SEQ" */
};

static inline bool audit_is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* The first of them that is set; c must be. */
static inline const char *audit_first(const char *a, const char *b,
				      const char *c)
{
	return audit_is_set(a) ? a : audit_is_set(b) ? b : c;
}

/* The element name with a code of DICOM's, whose meaning it looks up. */
void audit_message_code(struct audit_message *m, const char *name,
			const char *code);

/* What follows "key": in JSON of audit_json_*(), whose texts hold no bare
 * quote; NULL if there is no such member, or no JSON. */
const char *audit_member(const char *json, const char *key);

/* Every ActiveParticipant of the message. */
void audit_message_who(struct audit_message *m);
/* Every ParticipantObjectIdentification. */
void audit_message_what(struct audit_message *m);
/* The record, with a signed head in it. */
void audit_message_head_record(struct audit_message *m, const char *statement,
			       const uint8_t *signature, size_t signature_len);

#endif
