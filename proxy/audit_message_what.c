/* audit_message_what.c - in what they took part. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/audit_message_int.h"
#include "proxy/audit_xml.h"

/* Decimal digits, else nothing. */
static bool number_member(const char *json, const char *key, char out[24])
{
	const char *v = audit_member(json, key);
	size_t n = v != NULL ? strspn(v, "0123456789") : 0;

	if (n == 0 || n >= 20)
		return false;
	memcpy(out, v, n);
	out[n] = '\0';
	return true;
}

static bool uid_member(const char *json, const char *key, char out[65])
{
	const char *v = audit_member(json, key);
	size_t n = v != NULL && *v == '"' ? strspn(v + 1, "0123456789.") : 0;

	if (n == 0 || n > 64 || v[n + 1] != '"')
		return false;
	memcpy(out, v + 1, n);
	out[n] = '\0';
	return true;
}

/* Opens the object's element and its type code; the name follows. */
static void open_object(struct audit_message *m, const char *id,
			const char *type, const char *role, const char *code,
			const char *system, const char *meaning)
{
	xml_raw(&m->w, "<ParticipantObjectIdentification");
	xml_attribute(&m->w, "ParticipantObjectID", id);
	xml_attribute(&m->w, "ParticipantObjectTypeCode", type);
	xml_optional(&m->w, "ParticipantObjectTypeCodeRole", role);
	xml_raw(&m->w, ">");
	xml_code(&m->w, "ParticipantObjectIDTypeCode", code, system, meaning);
}

static void put_name(struct audit_message *m, const char *name)
{
	xml_raw(&m->w, "<ParticipantObjectName>");
	xml_text(&m->w, name, AUDIT_MESSAGE_TEXT_MAX);
	xml_raw(&m->w, "</ParticipantObjectName>");
}

static void close_object(struct audit_message *m)
{
	xml_raw(&m->w, "</ParticipantObjectIdentification>");
}

static void put_detail_bytes(struct audit_message *m, const char *type,
			     const void *p, size_t n)
{
	xml_raw(&m->w, "<ParticipantObjectDetail");
	xml_attribute(&m->w, "type", type);
	xml_raw(&m->w, " value=\"");
	xml_base64(&m->w, p, n);
	xml_raw(&m->w, "\"/>");
}

static void put_detail(struct audit_message *m, const char *type,
		       const char *text)
{
	if (audit_is_set(text))
		put_detail_bytes(m, type, text,
				 strnlen(text, AUDIT_MESSAGE_DETAIL_MAX));
}

static void put_study_description(struct audit_message *m)
{
	const struct audit_message_identity *who = m->row->identity;
	char count[24], uid[65];

	xml_raw(&m->w, "<ParticipantObjectDescription>");
	if (who != NULL && audit_is_set(who->accession)) {
		xml_raw(&m->w, "<Accession");
		xml_attribute(&m->w, "Number", who->accession);
		xml_raw(&m->w, "/>");
	}
	if (number_member(m->row->detail, "instances", count)) {
		xml_raw(&m->w, "<SOPClass");
		if (uid_member(m->row->detail, "sop_class", uid))
			xml_attribute(&m->w, "UID", uid);
		xml_attribute(&m->w, "NumberOfInstances", count);
		xml_raw(&m->w, "/>");
	}
	xml_raw(&m->w, "</ParticipantObjectDescription>");
}

static void put_study(struct audit_message *m)
{
	const char *uid = audit_first(m->row->study, NULL, "unknown");

	open_object(m, uid, "2", "3", "110180", "DCM", "Study Instance UID");
	put_name(m, uid);
	put_study_description(m);
	close_object(m);
}

/* The standard wants one of every transfer: when it may not be told, the
 * object says so. */
static void put_patient(struct audit_message *m)
{
	const struct audit_message_identity *who = m->row->identity;
	const char *id = who == NULL                     ? "withheld"
			 : audit_is_set(who->patient_id) ? who->patient_id
							 : "unknown";

	open_object(m, id, "1", "1", "2", "RFC-3881", "Patient Number");
	put_name(m, who != NULL && audit_is_set(who->patient_name)
			? who->patient_name
			: id);
	close_object(m);
}

static void put_query_object(struct audit_message *m)
{
	const struct audit_facts *r = m->row;
	char uid[65];

	open_object(m,
		    uid_member(r->detail, "sop_class", uid) ? uid : "unknown",
		    "2", "3", "110181", "DCM", "SOP Class UID");
	xml_raw(&m->w, "<ParticipantObjectQuery>");
	if (r->identity != NULL && r->query != NULL && m->brevity == SAY_ALL &&
	    r->query_len <= AUDIT_MESSAGE_QUERY_MAX)
		xml_base64(&m->w, r->query, r->query_len);
	xml_raw(&m->w, "</ParticipantObjectQuery>");
	if (uid_member(r->detail, "transfer_syntax", uid))
		put_detail(m, "TransferSyntax", uid);
	close_object(m);
}

static void put_subject(struct audit_message *m)
{
	const struct audit_facts *r = m->row;
	const char *id = audit_first(r->device, r->peer, m->source->node);

	open_object(m, id, "2", "", "110182", "DCM", "Node ID");
	put_name(m, id);
	put_detail(m, "Alert Description", m->what);
	close_object(m);
}

static void put_log_object(struct audit_message *m)
{
	open_object(m, m->source->node, "2", "13", "12", "RFC-3881", "URI");
	put_name(m, "Security Audit Log");
	close_object(m);
}

static void put_hex(struct audit_message *m, const char *type, const uint8_t *p)
{
	char text[65];

	if (p == NULL)
		return;
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", p[i]);
	put_detail(m, type, text);
}

static void put_record_details(struct audit_message *m)
{
	const struct audit_facts *r = m->row;
	char association[24];

	if (r->association != 0) {
		(void)snprintf(association, sizeof(association), "%" PRIu64,
			       r->association);
		put_detail(m, "association", association);
	}
	put_detail(m, "listener", r->listener);
	put_detail(m, "device", r->device);
	put_detail(m, "destination", r->destination);
	put_detail(m, "peer", r->peer);
	put_detail(m, "local", r->local);
	put_detail(m, "fingerprint", r->fingerprint);
	put_detail(m, "study", r->study);
	put_hex(m, "chain", r->chain);
	put_detail(m, "detail", r->detail);
}

static void open_record(struct audit_message *m)
{
	open_object(m, m->id, "2", "13", "record", OWN_CODES, "Audit record");
	put_name(m, m->what);
}

static void put_record(struct audit_message *m)
{
	open_record(m);
	if (m->brevity == SAY_ALL)
		put_record_details(m);
	close_object(m);
}

void audit_message_what(struct audit_message *m)
{
	switch (m->event->shape) {
	case SHAPE_APPLICATION:
		if (audit_is_set(m->row->study))
			put_study(m);
		break;
	case SHAPE_ALERT:
		put_subject(m);
		if (audit_is_set(m->row->study))
			put_study(m);
		break;
	case SHAPE_RECEIVED:
	case SHAPE_SENT:
	case SHAPE_PROCEDURE:
	case SHAPE_EXPORT:
		put_study(m);
		put_patient(m);
		break;
	case SHAPE_QUERY:
		put_query_object(m);
		break;
	case SHAPE_LOG:
		put_log_object(m);
		break;
	case SHAPE_USER:
		break;
	}
	put_record(m);
}

void audit_message_head_record(struct audit_message *m, const char *statement,
			       const uint8_t *signature, size_t signature_len)
{
	open_record(m);
	put_detail(m, "head", statement);
	put_detail_bytes(m, "signature", signature, signature_len);
	close_object(m);
}
