/* What each answer and each failure of a destination is called, and what a
 * person reads of it: in status, in the queue, in the log. */
#include "tests/unit/condition_seen.h"

#include "policy/limits.h"
#include "proxy/dicom/command.h"
#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"
#include "proxy/link/link_sender_int.h"
#include "proxy/outcome.h"

static void says(struct verdict v, const char *code, const char *phrase)
{
	char text[512], named[16];

	verdict_text(&v, "detail", text, sizeof(text));
	condition_seen(v.condition, code, phrase, text);
	assert_string_equal(v.code, v.condition->name);
	snprintf(named, sizeof(named), " [%s]", code);
	assert_non_null(strstr(text, named));
	assert_non_null(strstr(text, " (detail)"));
	assert_non_null(strstr(text, v.condition->remedy[CONDITION_EN]));
	assert_ptr_equal(condition_in_text(text), v.condition);
}

static void every_status_has_its_condition(void **state)
{
	static const struct {
		uint16_t status;
		const char *code, *phrase;
	} rows[] = {
	    {0x0001, "CV4001", "with a warning"},
	    {0x0107, "CV4001", "with a warning"},
	    {0xB007, "CV4001", "with a warning"},
	    {0x0111, "CV4002", "has this SOP Instance UID already"},
	    {0xB000, "CV4003", "changed or discarded attributes"},
	    {0xB006, "CV4003", "changed or discarded attributes"},
	    {0x0105, "CV4010", "attribute missing or invalid"},
	    {0x0110, "CV4011", "failed while processing"},
	    {0x0117, "CV4012", "UID invalid"},
	    {0x0119, "CV4013", "with another SOP class"},
	    {0x0122, "CV4014", "does not support this SOP class"},
	    {0x0124, "CV4015", "does not authorise"},
	    {0x0211, "CV4016", "does not take this kind"},
	    {0x0213, "CV4017", "out of resources"},
	    {0xA700, "CV4017", "out of resources"},
	    {0xA900, "CV4018", "does not match its SOP class"},
	    {0xC000, "CV4019", "cannot understand"},
	    {0xFE00, "CV4020", "cancelled"},
	    {0xFF00, "CV4021", "pending status"},
	    {0x1234, "CV4022", "refused the request"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		says(outcome_of_status(rows[i].status), rows[i].code,
		     rows[i].phrase);
}

static void every_answer_to_a_message_has_its_condition(void **state)
{
	static const struct {
		uint16_t command, status;
		const char *code, *phrase;
	} rows[] = {
	    {N_SET_RQ, 0x0112, "CV4023", "does not know the SOP instance"},
	    {N_ACTION_RQ, 0x0112, "CV4023", "does not know the SOP instance"},
	    {N_ACTION_RQ, 0x0115, "CV4024", "argument of the request invalid"},
	    {N_ACTION_RQ, 0x0210, "CV4025", "message ID for one in use"},
	    {N_ACTION_RQ, 0x0123, "CV4016", "does not take this kind"},
	    {N_CREATE_RQ, 0x0111, "CV4002", "already"},
	    {N_CREATE_RQ, 0x0120, "CV4010", "attribute missing"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		says(outcome_of_message_status(rows[i].command, rows[i].status),
		     rows[i].code, rows[i].phrase);
	says(outcome_of_closed_step(true), "CV4004", "final there");
	says(outcome_of_closed_step(false), "CV4026", "takes no change");
	says(outcome_of_role(), "CV3111", "refused the role");
}

static void every_rejection_has_its_condition(void **state)
{
	(void)state;
	says(outcome_of_reject(2, 3, 1), "CV3101", "for the moment");
	says(outcome_of_reject(1, 3, 2), "CV3101", "at its limit");
	says(outcome_of_reject(1, 1, 2), "CV3102", "application context");
	says(outcome_of_reject(1, 2, 2), "CV3102", "version of the protocol");
	says(outcome_of_reject(1, 1, 3), "CV3103", "calling AE title");
	says(outcome_of_reject(1, 1, 7), "CV3104", "called AE title");
	says(outcome_of_reject(1, 1, 1), "CV3105", "rejects the association");
	says(outcome_of_abort(0, 0, true), "CV3106", "during this instance");
	says(outcome_of_abort(2, 0, false), "CV3107",
	     "aborted the association");
	says(outcome_of_context(1), "CV3108", "in this transfer syntax");
	says(outcome_of_context(3), "CV3109", "not support this SOP class");
	says(outcome_of_context(4), "CV3110",
	     "not support this transfer syntax");
}

static void every_failure_has_its_condition(void **state)
{
	static const struct {
		const char *code, *phrase;
	} rows[FAIL_N] = {
	    [FAIL_RESOLVE] = {"CV3001", "cannot be resolved"},
	    [FAIL_CONNECT] = {"CV3002", "no connection"},
	    [FAIL_CONNECT_TIMEOUT] = {"CV3003", "does not answer to a"},
	    [FAIL_TLS] = {"CV3004", "TLS handshake"},
	    [FAIL_ASSOCIATE_TIMEOUT] = {"CV3005", "did not answer the assoc"},
	    [FAIL_ASSOCIATE_LOST] = {"CV3006", "closed the connection instead"},
	    [FAIL_NOT_DICOM] = {"CV3007", "no DICOM"},
	    [FAIL_UNSENDABLE] = {"CV3008", "not valid DICOM"},
	    [FAIL_LOST_IDLE] = {"CV3009", "connection to the destination"},
	    [FAIL_LOST] = {"CV3010", "lost during this instance"},
	    [FAIL_LINE] = {"CV3011", "in the midst"},
	    [FAIL_SEND_TIMEOUT] = {"CV3012", "stopped reading"},
	    [FAIL_RESPONSE_TIMEOUT] = {"CV3013", "in time"},
	    [FAIL_PROTOCOL] = {"CV3014", "broke the protocol"},
	    [FAIL_CORRUPT] = {"CV3015", "our own copy is damaged"},
	    [FAIL_READ] = {"CV3016", "our own copy cannot be read"},
	    [FAIL_NO_MEMORY] = {"CV1012", "out of memory"},
	    [FAIL_DIRECTORY_FULL] = {"CV3017", "no space left"},
	    [FAIL_DIRECTORY_DENIED] = {"CV3018", "cannot be written"},
	    [FAIL_DIRECTORY_IO] = {"CV3019", "failed"},
	    [FAIL_DIRECTORY_MESSAGE] = {"CV3020", "instances only"},
	    [FAIL_STOPPED] = {"CV1013", "was stopped"},
	};

	(void)state;
	for (size_t i = 0; i < FAIL_N; i++)
		says(outcome_of_failure((enum failure)i), rows[i].code,
		     rows[i].phrase);
}

static void every_refusal_of_a_link_has_its_condition(void **state)
{
	(void)state;
	says(link_verdict_of_refusal(LINK_REFUSED_NO_SPACE), "CV5001",
	     "no space in the spool of the far end");
	says(link_verdict_of_refusal(LINK_REFUSED_STORE), "CV5002",
	     "cannot write");
	says(link_verdict_of_refusal(LINK_REFUSED_BUSY), "CV5003", "too many");
	says(link_verdict_of_refusal(LINK_REFUSED_NO_ROUTE), "CV5004",
	     "no route");
	says(link_verdict_of_refusal(LINK_REFUSED_NOT_ACCEPTED), "CV5005",
	     "does not accept");
	says(link_verdict_of_refusal(LINK_REFUSED_TOO_LARGE), "CV5006",
	     "larger");
	says(link_verdict_of_refusal(LINK_REFUSED_META), "CV5007", "metadata");
	says(link_verdict_of_refusal(LINK_REFUSED_ROOT), "CV5008",
	     "hash that was announced");
	says(link_verdict_of_refusal(LINK_REFUSED_CONFLICT), "CV5009",
	     "other content");
	says(link_verdict_of_refusal(LINK_REFUSED_EXPIRED), "CV5010",
	     "does not go on");
	says(link_verdict_of_refusal(999), "CV5010", "does not go on");
	says(link_verdict_of_bye(LINK_BYE_VERSION), "CV5021", "version");
	says(link_verdict_of_bye(LINK_BYE_LIMITS), "CV5022", "limits");
	says(link_verdict_of_bye(LINK_BYE_UNDECLARED), "CV5023",
	     "not of a device");
	says(link_verdict_of_bye(LINK_BYE_SELF), "CV5024", "same store");
	says(link_verdict_of_bye(LINK_BYE_SHUTDOWN), "CV5025", "ended");
	says(link_verdict_of_bye(999), "CV5025", "ended");
	says(link_verdict_of_bad(), "CV5030", "three times");
}

static void limits_have_the_names_of_their_conditions(void **state)
{
	static const char *const codes[] = {NULL, "CV2010", "CV2011", "CV2012"};

	(void)state;
	for (int v = LIMIT_LISTENER_FULL; v <= LIMIT_DEVICE_TOO_FAST; v++) {
		const struct condition *c = condition_of_event(
		    limit_verdict_name((enum limit_verdict)v));

		assert_non_null(c);
		assert_string_equal(c->code, codes[v]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_status_has_its_condition),
	    cmocka_unit_test(every_answer_to_a_message_has_its_condition),
	    cmocka_unit_test(every_rejection_has_its_condition),
	    cmocka_unit_test(every_failure_has_its_condition),
	    cmocka_unit_test(every_refusal_of_a_link_has_its_condition),
	    cmocka_unit_test(limits_have_the_names_of_their_conditions),
	};

	return cmocka_run_group_tests_name("condition outcome", tests, NULL,
					   NULL);
}
