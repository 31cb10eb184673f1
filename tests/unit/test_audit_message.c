/* Rows of the audit as DICOM audit messages, and syslog around them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/audit_message.h"
#include "proxy/lib/mem.h"
#include "proxy/syslog.h"
#include "store/audit.h"

static const struct audit_message_source source = {.node = "edge-01",
						   .site = "Clinic North"};

static const struct audit_facts full = {
    .seq = 4711,
    .wall_ms = 1778000000123,
    .kind = AUDIT_INSTANCES_RECEIVED,
    .association = 17,
    .listener = "modalities",
    .device = "ct-room-2",
    .destination = "cloud",
    .peer = "10.1.4.20:51234",
    .local = "[2001:db8::1]:104",
    .calling_ae = "CT2",
    .called_ae = "ARCHIVE",
    .fingerprint = "00ff",
    .study = "1.2.3.4",
    .user = "uid 1000 alice",
    .detail = "{\"instances\":312,\"sop_class\":\"1.2.840\"}",
    .chain = (const uint8_t *)"01234567890123456789012345678901",
};

static char out[AUDIT_MESSAGE_MAX + 1];
static size_t out_len;

static const char *encoded(const struct audit_facts *f)
{
	assert_int_equal(
	    audit_message_row(&source, f, 0, out, AUDIT_MESSAGE_MAX, &out_len),
	    ERR_OK);
	out[out_len] = '\0';
	return out;
}

static void has(const char *text)
{
	if (strstr(out, text) == NULL)
		fail_msg("no %s in %s", text, out);
}

static void has_not(const char *text)
{
	if (strstr(out, text) != NULL)
		fail_msg("%s in %s", text, out);
}

static void received_instances_come_from_the_device_to_us(void **state)
{
	(void)state;
	encoded(&full);
	has("<EventIdentification EventActionCode=\"C\" EventDateTime=\"2026-"
	    "05-05T16:53:20.123Z\" EventOutcomeIndicator=\"0\"><EventID "
	    "csd-code=\"110104\" codeSystemName=\"DCM\" originalText=\"DICOM "
	    "Instances Transferred\"/></EventIdentification>");
	has("<ActiveParticipant UserID=\"ct-room-2\" AlternativeUserID="
	    "\"AETITLES=CT2\" UserIsRequestor=\"true\" NetworkAccessPointID="
	    "\"10.1.4.20\" NetworkAccessPointTypeCode=\"2\"><RoleIDCode "
	    "csd-code=\"110153\"");
	has("<ActiveParticipant UserID=\"edge-01\" AlternativeUserID="
	    "\"AETITLES=ARCHIVE\" UserIsRequestor=\"false\" "
	    "NetworkAccessPointID=\"2001:db8::1\" "
	    "NetworkAccessPointTypeCode=\"2\"><RoleIDCode "
	    "csd-code=\"110152\"");
	has("<AuditSourceIdentification AuditEnterpriseSiteID=\"Clinic "
	    "North\" AuditSourceID=\"edge-01\"><AuditSourceTypeCode "
	    "csd-code=\"4\"/>");
	has("<SOPClass UID=\"1.2.840\" NumberOfInstances=\"312\"/>");
	has("ParticipantObjectID=\"edge-01#4711\"");
}

static void patients_are_named_only_when_they_are_given(void **state)
{
	struct audit_message_identity who = {.patient_id = "P42",
					     .patient_name = "\xe7\x8e\x8b^X",
					     .accession = "A1"};
	struct audit_facts f = full;

	(void)state;
	encoded(&f);
	has("ParticipantObjectID=\"withheld\"");
	has_not("<Accession");
	f.identity = &who;
	encoded(&f);
	has("ParticipantObjectID=\"P42\"");
	has("<ParticipantObjectName>\xe7\x8e\x8b^X</ParticipantObjectName>");
	has("<Accession Number=\"A1\"/>");
}

static void a_query_is_told_only_with_the_identity(void **state)
{
	struct audit_message_identity who = {.patient_id = ""};
	struct audit_facts f = full;

	(void)state;
	f.kind = AUDIT_QUERY;
	f.query = (const uint8_t *)"abcd";
	f.query_len = 4;
	encoded(&f);
	has("<ParticipantObjectQuery></ParticipantObjectQuery>");
	f.identity = &who;
	encoded(&f);
	has("<ParticipantObjectQuery>YWJjZA==</ParticipantObjectQuery>");
}

static void an_alert_is_reported_by_us_and_asked_by_nobody_else(void **state)
{
	struct audit_facts f = full;
	const char *at;
	int n = 0;

	(void)state;
	f.kind = AUDIT_TLS_FAILED;
	f.outcome = AUDIT_MINOR;
	encoded(&f);
	has("csd-code=\"110113\"");
	has("<EventTypeCode csd-code=\"110126\"");
	has("EventOutcomeIndicator=\"4\"");
	for (at = out; (at = strstr(at, "UserIsRequestor=\"true\"")) != NULL;
	     at++)
		n++;
	assert_int_equal(n, 1);
}

static void a_login_is_asked_by_the_person_from_their_address(void **state)
{
	struct audit_facts f = {.seq = 1,
				.user = "anna",
				.peer = "10.1.9.7:50112",
				.kind = AUDIT_LOGIN_FAILED,
				.outcome = AUDIT_MINOR};

	(void)state;
	encoded(&f);
	has("EventActionCode=\"E\"");
	has("EventOutcomeIndicator=\"4\"");
	has("<EventID csd-code=\"110114\" codeSystemName=\"DCM\" "
	    "originalText=\"User Authentication\"/><EventTypeCode "
	    "csd-code=\"110122\" codeSystemName=\"DCM\" "
	    "originalText=\"Login\"/>");
	has("<ActiveParticipant UserID=\"anna\" UserIsRequestor=\"true\" "
	    "NetworkAccessPointID=\"10.1.9.7\" "
	    "NetworkAccessPointTypeCode=\"2\"/><ActiveParticipant "
	    "UserID=\"edge-01\" UserIsRequestor=\"false\"/>");
	f.kind = AUDIT_LOGOUT;
	f.user = "";
	encoded(&f);
	has("<EventTypeCode csd-code=\"110123\"");
	has("UserID=\"unknown\" UserIsRequestor=\"true\"");
}

static void a_procedure_step_says_what_was_done(void **state)
{
	struct audit_facts f = full;

	(void)state;
	f.kind = AUDIT_PROCEDURE_STEP;
	f.detail = "{\"x\":\"\\\"message\\\":\",\"message\":\"N-CREATE-RQ\"}";
	encoded(&f);
	has("EventActionCode=\"C\"");
	f.detail = "{\"message\":\"N-SET-RQ\"}";
	encoded(&f);
	has("EventActionCode=\"U\"");
}

static void what_is_not_text_becomes_a_replacement_character(void **state)
{
	struct audit_facts f = full;

	(void)state;
	f.device = "a<b>&\"'\x01\xff\xed\xa0\x80\xef\xbf\xbf\xf0\x9f\x98\x80\n";
	encoded(&f);
	has("UserID=\"a&lt;b&gt;&amp;&quot;'\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80 \"");
}

static void long_text_is_cut_between_characters(void **state)
{
	char text[AUDIT_MESSAGE_TEXT_MAX + 8];
	struct audit_facts f = full;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + AUDIT_MESSAGE_TEXT_MAX - 2, "\xf0\x9f\x98\x80", 5);
	f.device = text;
	encoded(&f);
	text[AUDIT_MESSAGE_TEXT_MAX - 2] = '\0';
	strcat(text, "\"");
	has(text);
	has_not("\xef\xbf\xbd");
}

static void a_short_message_leaves_out_details_and_keeps_its_id(void **state)
{
	size_t whole, less, least;

	(void)state;
	encoded(&full);
	whole = out_len;
	assert_int_equal(audit_message_row(&source, &full, whole - 1, out,
					   AUDIT_MESSAGE_MAX, &less),
			 ERR_OK);
	assert_int_equal(audit_message_row(&source, &full, 1, out,
					   AUDIT_MESSAGE_MAX, &least),
			 ERR_OK);
	out[least] = '\0';
	assert_true(whole > less && less > least);
	has("edge-01#4711");
	has_not("AlternativeUserID");
	assert_int_equal(
	    audit_message_row(&source, &full, 0, out, least - 1, &less),
	    ERR_LIMIT);
}

static void a_signed_head_goes_out_with_its_statement(void **state)
{
	(void)state;
	assert_int_equal(audit_message_head(&source, 0, 12, "ab", (void *)"cd",
					    2, out, AUDIT_MESSAGE_MAX,
					    &out_len),
			 ERR_OK);
	out[out_len] = '\0';
	has("ParticipantObjectID=\"edge-01#head-12\"");
	has("type=\"head\" value=\"YWI=\"");
	has("type=\"signature\" value=\"Y2Q=\"");
}

/* ---- against the schema ----------------------------------------------------
 */

static void write_message(const char *dir, int n)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%d.xml", dir, n);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(out, 1, out_len, f), out_len);
	assert_int_equal(fclose(f), 0);
}

static void every_kind_is_valid_against_the_schema(void **state)
{
	static const int kinds[] = {
#define X(number, name, text) number,
	    AUDIT_EVENT_MAP(X)
#undef X
		9999};
	static const struct audit_facts empty = {.seq = 1};
	struct audit_message_identity who = {.patient_id = "1"};
	char dir[] = "/tmp/culvert-message-XXXXXX", cmd[160];
	int n = 0;

	(void)state;
	if (system("command -v jing >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (int form = 0; form < 3; form++) {
			struct audit_facts f = form == 0 ? empty : full;

			f.kind = kinds[i];
			f.identity = form == 2 ? &who : NULL;
			encoded(&f);
			write_message(dir, n++);
		}
	}
	assert_int_equal(audit_message_head(&source, 0, 12, "ab", (void *)"cd",
					    2, out, AUDIT_MESSAGE_MAX,
					    &out_len),
			 ERR_OK);
	write_message(dir, n++);
	(void)snprintf(cmd, sizeof(cmd),
		       "jing -c tests/integration/audit_message.rnc %s/*.xml "
		       ">&2; rc=$?; rm -r %s; exit $rc",
		       dir, dir);
	assert_int_equal(system(cmd), 0);
}

/* ---- syslog -----------------------------------------------------------------
 */

static void the_header_is_that_of_rfc_5424(void **state)
{
	struct syslog_header h = {.facility = 10,
				  .severity = 5,
				  .wall_ms = 1778000000123,
				  .host = "edge-01",
				  .app = "culvert",
				  .pid = 2114,
				  .msgid = "DICOM+RFC3881"};
	char text[SYSLOG_HEADER_MAX];
	size_t n = syslog_header(&h, text);

	(void)state;
	assert_int_equal(n, strlen(text));
	assert_string_equal(text, "<85>1 2026-05-05T16:53:20.123Z edge-01 "
				  "culvert 2114 DICOM+RFC3881 - ");
	h.host = "";
	h.app = "a b\n";
	(void)syslog_header(&h, text);
	assert_non_null(strstr(text, "Z - a?b? 2114 "));
}

static void a_frame_begins_with_its_length(void **state)
{
	char text[SYSLOG_COUNT_MAX];

	(void)state;
	assert_int_equal(syslog_count(92, text), 3);
	assert_string_equal(text, "92 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(received_instances_come_from_the_device_to_us),
	    cmocka_unit_test(patients_are_named_only_when_they_are_given),
	    cmocka_unit_test(a_query_is_told_only_with_the_identity),
	    cmocka_unit_test(
		an_alert_is_reported_by_us_and_asked_by_nobody_else),
	    cmocka_unit_test(a_login_is_asked_by_the_person_from_their_address),
	    cmocka_unit_test(a_procedure_step_says_what_was_done),
	    cmocka_unit_test(what_is_not_text_becomes_a_replacement_character),
	    cmocka_unit_test(long_text_is_cut_between_characters),
	    cmocka_unit_test(
		a_short_message_leaves_out_details_and_keeps_its_id),
	    cmocka_unit_test(a_signed_head_goes_out_with_its_statement),
	    cmocka_unit_test(every_kind_is_valid_against_the_schema),
	    cmocka_unit_test(the_header_is_that_of_rfc_5424),
	    cmocka_unit_test(a_frame_begins_with_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
