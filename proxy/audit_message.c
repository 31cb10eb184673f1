/* audit_message.c - see audit_message.h.
 *
 * Two tables say nearly all: what each kind of row is in DICOM's terms (rows),
 * and who takes part in each form of message (shape). */
#include "proxy/audit_message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/audit_message_int.h"
#include "proxy/audit_xml.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit.h"

/* Of those that DICOM has (PS3.16 CID 400, 401, 402). */
static const struct {
	const char *value, *meaning;
} codes[] = {
    {"110100", "Application Activity"},
    {"110101", "Audit Log Used"},
    {"110102", "Begin Transferring DICOM Instances"},
    {"110104", "DICOM Instances Transferred"},
    {"110106", "Export"},
    {"110111", "Procedure Record"},
    {"110112", "Query"},
    {"110113", "Security Alert"},
    {"110114", "User Authentication"},
    {"110120", "Application Start"},
    {"110121", "Application Stop"},
    {"110122", "Login"},
    {"110123", "Logout"},
    {"110126", "Node Authentication"},
    {"110129", "Security Configuration"},
    {"110132", "Use of Restricted Function"},
    {"110133", "Audit Recording Stopped"},
    {"110150", "Application"},
    {"110151", "Application Launcher"},
    {"110152", "Destination Role ID"},
    {"110153", "Source Role ID"},
    {"110154", "Destination Media"},
};

void audit_message_code(struct audit_message *m, const char *name,
			const char *code)
{
	const char *meaning = code;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (strcmp(codes[i].value, code) == 0)
			meaning = codes[i].meaning;
	xml_code(&m->w, name, code, "DCM", meaning);
}

#define APPLICATION_ACTIVITY "110100"
#define AUDIT_LOG_USED       "110101"
#define BEGIN_TRANSFERRING   "110102"
#define TRANSFERRED          "110104"
#define EXPORTED             "110106"
#define PROCEDURE_RECORD     "110111"
#define QUERY                "110112"
#define SECURITY_ALERT       "110113"
#define USER_AUTHENTICATION  "110114"
#define LOGIN                "110122"
#define LOGOUT               "110123"
#define NODE_AUTHENTICATION  "110126"
#define SECURITY_CONFIG      "110129"
#define RESTRICTED_FUNCTION  "110132"
#define RECORDING_STOPPED    "110133"
#define OWN                  NULL
#define NONE                 ""

static const struct audit_message_event events[] = {
    {AUDIT_START, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, "110120"},
    {AUDIT_STOP, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, "110121"},
    {AUDIT_CONFIG_LOADED, SHAPE_ALERT, 'E', SECURITY_ALERT, SECURITY_CONFIG},
    {AUDIT_CONFIG_REFUSED, SHAPE_ALERT, 'E', SECURITY_ALERT, SECURITY_CONFIG},
    {AUDIT_ASSOCIATION_ACCEPTED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY,
     OWN},
    {AUDIT_ASSOCIATION_REFUSED, SHAPE_ALERT, 'E', SECURITY_ALERT,
     NODE_AUTHENTICATION},
    {AUDIT_ASSOCIATION_ENDED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY,
     OWN},
    {AUDIT_TLS_FAILED, SHAPE_ALERT, 'E', SECURITY_ALERT, NODE_AUTHENTICATION},
    {AUDIT_INSTANCES_BEGIN, SHAPE_SENT, 'E', BEGIN_TRANSFERRING, NONE},
    {AUDIT_INSTANCES_RECEIVED, SHAPE_RECEIVED, 'C', TRANSFERRED, NONE},
    {AUDIT_INSTANCES_TRANSFERRED, SHAPE_SENT, 'R', TRANSFERRED, NONE},
    {AUDIT_QUARANTINE, SHAPE_ALERT, 'E', SECURITY_ALERT, OWN},
    {AUDIT_HELD, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_RELEASED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_MANUAL_ACTION, SHAPE_ALERT, 'E', SECURITY_ALERT,
     RESTRICTED_FUNCTION},
    {AUDIT_EXPORT, SHAPE_EXPORT, 'R', EXPORTED, NONE},
    {AUDIT_SPOOL_ALERT, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_LEDGER_REBUILT, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_CLOCK_STEP, SHAPE_ALERT, 'E', SECURITY_ALERT, OWN},
    {AUDIT_AUDIT_GAP, SHAPE_ALERT, 'E', SECURITY_ALERT, RECORDING_STOPPED},
    {AUDIT_QUERY, SHAPE_QUERY, 'E', QUERY, NONE},
    {AUDIT_RETRIEVE, SHAPE_QUERY, 'E', QUERY, OWN},
    {AUDIT_PROCEDURE_STEP, SHAPE_PROCEDURE, 'U', PROCEDURE_RECORD, NONE},
    {AUDIT_COMMITMENT_REQUESTED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY,
     OWN},
    {AUDIT_COMMITMENT_REPORTED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY,
     OWN},
    {AUDIT_MESSAGE_REFUSED, SHAPE_ALERT, 'E', SECURITY_ALERT,
     RESTRICTED_FUNCTION},
    {AUDIT_RELAYED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_PRUNED, SHAPE_ALERT, 'E', SECURITY_ALERT, OWN},
    {AUDIT_ERASED, SHAPE_ALERT, 'E', SECURITY_ALERT, OWN},
    {AUDIT_TRANSFERS_PRUNED, SHAPE_ALERT, 'E', SECURITY_ALERT, OWN},
    {AUDIT_HEAD_RECEIVED, SHAPE_APPLICATION, 'E', APPLICATION_ACTIVITY, OWN},
    {AUDIT_SIGNING_KEY_MADE, SHAPE_ALERT, 'E', SECURITY_ALERT, SECURITY_CONFIG},
    {AUDIT_LOGIN, SHAPE_USER, 'E', USER_AUTHENTICATION, LOGIN},
    {AUDIT_LOGIN_FAILED, SHAPE_USER, 'E', USER_AUTHENTICATION, LOGIN},
    {AUDIT_LOGOUT, SHAPE_USER, 'E', USER_AUTHENTICATION, LOGOUT},
};

static const struct audit_message_event other = {0, SHAPE_APPLICATION, 'E',
						 APPLICATION_ACTIVITY, OWN};

static const struct audit_message_event *event_of(const struct audit_facts *row)
{
	/* A log that is handed out is no image. */
	static const struct audit_message_event log_used = {
	    0, SHAPE_LOG, 'R', AUDIT_LOG_USED, NONE};

	if (row->kind == AUDIT_EXPORT && !audit_is_set(row->study))
		return &log_used;
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (events[i].kind == row->kind)
			return &events[i];
	return &other;
}

unsigned audit_message_severity(int outcome)
{
	return outcome == AUDIT_SUCCESS ? 5 : 4;
}

/* ---- the event --------------------------------------------------------- */

const char *audit_member(const char *json, const char *key)
{
	char quoted[48];
	const char *at = json;
	int n = snprintf(quoted, sizeof(quoted), "\"%.40s\":", key);

	if (json == NULL)
		return NULL;
	while ((at = strstr(at, quoted)) != NULL) {
		if (at > json && (at[-1] == '{' || at[-1] == ','))
			return at + n;
		at++;
	}
	return NULL;
}

/* C, R, U of a procedure step, by its message. */
static char action_of(const struct audit_message *m)
{
	const char *v = audit_member(m->row->detail, "message");

	if (m->event->shape != SHAPE_PROCEDURE || v == NULL)
		return m->event->action;
	if (strncmp(v, "\"N-CREATE", 9) == 0)
		return 'C';
	return strncmp(v, "\"N-GET", 6) == 0 ? 'R' : 'U';
}

static void put_event(struct audit_message *m)
{
	const struct audit_facts *r = m->row;
	const int64_t last = 253402300799999; /* of the year 9999 */
	char time[CLOCK_TEXT_LEN], action[2] = {action_of(m), '\0'};
	const char *outcome = r->outcome == 0    ? "0"
			      : r->outcome == 4  ? "4"
			      : r->outcome == 12 ? "12"
						 : "8";
	int64_t ms = r->wall_ms < 0 ? 0 : r->wall_ms > last ? last : r->wall_ms;

	xml_raw(&m->w, "<EventIdentification");
	xml_attribute(&m->w, "EventActionCode", action);
	xml_attribute(&m->w, "EventDateTime", clock_text(ms, time));
	xml_attribute(&m->w, "EventOutcomeIndicator", outcome);
	xml_raw(&m->w, ">");
	audit_message_code(m, "EventID", m->event->id);
	if (m->event->type == NULL)
		xml_code(&m->w, "EventTypeCode", m->what, OWN_CODES, m->what);
	else if (m->event->type[0] != '\0')
		audit_message_code(m, "EventTypeCode", m->event->type);
	xml_raw(&m->w, "</EventIdentification>");
}

static void put_source(struct audit_message *m)
{
	xml_raw(&m->w, "<AuditSourceIdentification");
	xml_optional(&m->w, "AuditEnterpriseSiteID", m->source->site);
	xml_attribute(&m->w, "AuditSourceID", m->source->node);
	/* an application server */
	xml_raw(&m->w, "><AuditSourceTypeCode csd-code=\"4\"/>"
		       "</AuditSourceIdentification>");
}

/* ---- the whole ----------------------------------------------------------- */

static void put_message(struct audit_message *m)
{
	xml_raw(&m->w, "<AuditMessage>");
	put_event(m);
	audit_message_who(m);
	put_source(m);
	audit_message_what(m);
	xml_raw(&m->w, "</AuditMessage>");
}

enum err audit_message_row(const struct audit_message_source *source,
			   const struct audit_facts *row, size_t want,
			   char *out, size_t cap, size_t *len)
{
	struct audit_message m = {
	    .source = source, .row = row, .event = event_of(row)};

	if (want == 0 || want > cap)
		want = cap;
	(void)snprintf(m.what, sizeof(m.what), "%s",
		       audit_kind_text((enum audit_kind)row->kind));
	(void)snprintf(m.id, sizeof(m.id), "%.64s#%" PRIu64, source->node,
		       row->seq);
	for (int b = SAY_ALL; b <= SAY_LEAST; b++) {
		m.brevity = (enum audit_brevity)b;
		m.w = wr_init(out, cap);
		put_message(&m);
		if (wr_ok(&m.w) && (m.w.len <= want || b == SAY_LEAST)) {
			*len = m.w.len;
			return ERR_OK;
		}
	}
	return ERR_LIMIT;
}

enum err audit_message_head(const struct audit_message_source *source,
			    int64_t wall_ms, uint64_t seq,
			    const char *statement, const uint8_t *signature,
			    size_t signature_len, char *out, size_t cap,
			    size_t *len)
{
	struct audit_facts row = {.wall_ms = wall_ms, .seq = seq};
	struct audit_message m = {.source = source,
				  .row = &row,
				  .event = &other,
				  .w = wr_init(out, cap),
				  .what = "audit-head"};

	(void)snprintf(m.id, sizeof(m.id), "%.64s#head-%" PRIu64, source->node,
		       seq);
	xml_raw(&m.w, "<AuditMessage>");
	put_event(&m);
	audit_message_who(&m);
	put_source(&m);
	audit_message_head_record(&m, statement, signature, signature_len);
	xml_raw(&m.w, "</AuditMessage>");
	if (!wr_ok(&m.w))
		return ERR_LIMIT;
	*len = m.w.len;
	return ERR_OK;
}
