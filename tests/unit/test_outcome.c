#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/lib/mem.h"
#include "proxy/outcome.h"

static void every_status_has_a_verdict_with_words(void **state)
{
	(void)state;
	for (unsigned s = 0; s <= 0xFFFF; s++) {
		struct verdict v = outcome_of_status((uint16_t)s);

		assert_true(v.fate < FATE_N);
		assert_int_equal(v.status, s);
		assert_non_null(v.code);
		assert_true(strlen(v.cause) > 0);
		assert_non_null(v.remedy);
	}
}

static void statuses_meet_the_fate_of_their_class(void **state)
{
	static const struct {
		uint16_t status;
		enum fate fate;
		bool of_destination;
	} rows[] = {
	    {0x0000, FATE_DELIVERED, false},
	    {0x0001, FATE_FLAGGED, false},
	    {0x0107, FATE_FLAGGED, false},
	    {0x0116, FATE_FLAGGED, false},
	    {0xB000, FATE_FLAGGED, false},
	    {0xB006, FATE_FLAGGED, false},
	    {0xB007, FATE_FLAGGED, false},
	    {0xBFFF, FATE_FLAGGED, false},
	    {0x0111, FATE_FLAGGED, false},
	    {0x0110, FATE_SUSPECT, false},
	    {0x0117, FATE_SUSPECT, false},
	    {0x0122, FATE_HOLD_CONTEXT, false},
	    {0x0124, FATE_HOLD_CONTEXT, false},
	    {0x0211, FATE_HOLD_CONTEXT, false},
	    {0x0213, FATE_RETRY, true},
	    {0xA700, FATE_RETRY, true},
	    {0xA702, FATE_RETRY, true},
	    {0xA7FF, FATE_RETRY, true},
	    {0xA800, FATE_SUSPECT, false},
	    {0xA900, FATE_SUSPECT, false},
	    {0xC000, FATE_SUSPECT, false},
	    {0xCFFF, FATE_SUSPECT, false},
	    {0xFE00, FATE_RETRY, false},
	    {0xFF00, FATE_SUSPECT, false},
	    {0x1234, FATE_SUSPECT, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct verdict v = outcome_of_status(rows[i].status);

		assert_int_equal(v.fate, rows[i].fate);
		assert_int_equal(v.of_destination, rows[i].of_destination);
	}
}

static void only_success_and_warnings_count_as_stored(void **state)
{
	(void)state;
	for (unsigned s = 0; s <= 0xFFFF; s++) {
		enum fate f = outcome_of_status((uint16_t)s).fate;
		bool stored = f == FATE_DELIVERED || f == FATE_FLAGGED;
		bool may = s == 0 || s == 1 || s == 0x0107 || s == 0x0111 ||
			   s == 0x0116 || s >> 12 == 0xB;

		assert_int_equal(stored, may);
	}
}

static const uint16_t messages[] = {N_EVENT_REPORT_RQ, N_SET_RQ, N_ACTION_RQ,
				    N_CREATE_RQ};

static void every_answer_to_a_message_has_a_verdict_with_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(messages) * 0x10000; i++) {
		uint16_t status = (uint16_t)i;
		struct verdict v =
		    outcome_of_message_status(messages[i >> 16], status);

		assert_true(v.fate < FATE_N);
		assert_int_equal(v.status, status);
		assert_non_null(v.code);
		assert_true(strlen(v.cause) > 0);
		if (v.fate != FATE_DELIVERED && v.fate != FATE_FLAGGED)
			assert_true(strlen(v.remedy) > 0);
	}
}

static void a_message_is_delivered_by_success_and_warnings_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(messages) * 0x10000; i++) {
		uint16_t command = messages[i >> 16], s = (uint16_t)i;
		enum fate f = outcome_of_message_status(command, s).fate;
		bool done = f == FATE_DELIVERED || f == FATE_FLAGGED;
		bool may = s == 0 || s == 1 || s == 0x0107 || s == 0x0116 ||
			   s >> 12 == 0xB ||
			   (s == 0x0111 && command == N_CREATE_RQ);

		assert_int_equal(done, may);
	}
}

static void answers_to_messages_meet_their_fate(void **state)
{
	static const struct {
		uint16_t command, status;
		enum fate fate;
	} rows[] = {
	    {N_CREATE_RQ, 0x0111, FATE_FLAGGED},
	    {N_SET_RQ, 0x0111, FATE_SUSPECT},
	    {N_SET_RQ, 0x0112, FATE_SUSPECT},
	    {N_SET_RQ, 0x0110, FATE_SUSPECT},
	    {N_ACTION_RQ, 0x0110, FATE_SUSPECT},
	    {N_ACTION_RQ, 0x0122, FATE_HOLD_CONTEXT},
	    {N_ACTION_RQ, 0x0123, FATE_HOLD_CONTEXT},
	    {N_ACTION_RQ, 0x0124, FATE_HOLD_CONTEXT},
	    {N_EVENT_REPORT_RQ, 0x0113, FATE_HOLD_CONTEXT},
	    {N_EVENT_REPORT_RQ, 0x0211, FATE_HOLD_CONTEXT},
	    {N_CREATE_RQ, 0x0213, FATE_RETRY},
	    {N_CREATE_RQ, 0xA700, FATE_RETRY},
	    {N_CREATE_RQ, 0xC123, FATE_SUSPECT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    outcome_of_message_status(rows[i].command, rows[i].status)
			.fate,
		    rows[i].fate);
}

/* Nothing is thrown away because it failed; but what arrived by an earlier
 * try is no failure. */
static void a_closed_step_is_shown_unless_a_try_of_ours_closed_it(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_closed_step(false).fate, FATE_QUARANTINE);
	assert_int_equal(outcome_of_closed_step(true).fate, FATE_FLAGGED);
	assert_int_equal(outcome_of_role().fate, FATE_HOLD_CONTEXT);
}

static void every_rejection_has_a_verdict(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256 * 8 * 16; i++) {
		struct verdict v =
		    outcome_of_reject((uint8_t)(i >> 7), (uint8_t)(i >> 4 & 7),
				      (uint8_t)(i & 15));

		assert_true(v.fate == FATE_RETRY ||
			    v.fate == FATE_HOLD_DESTINATION);
		assert_true(strlen(v.remedy) > 0);
	}
}

static void unknown_ae_titles_hold_and_congestion_retries(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_reject(1, 1, 3).fate,
			 FATE_HOLD_DESTINATION);
	assert_non_null(strstr(outcome_of_reject(1, 1, 3).cause, "calling"));
	assert_int_equal(outcome_of_reject(1, 1, 7).fate,
			 FATE_HOLD_DESTINATION);
	assert_non_null(strstr(outcome_of_reject(1, 1, 7).cause, "called"));
	assert_int_equal(outcome_of_reject(2, 3, 1).fate, FATE_RETRY);
	assert_int_equal(outcome_of_reject(2, 3, 2).fate, FATE_RETRY);
	assert_true(outcome_of_reject(2, 3, 2).of_destination);
}

static void
an_abort_blames_the_instance_only_when_one_is_outstanding(void **state)
{
	(void)state;
	for (uint8_t source = 0; source < 3; source++) {
		struct verdict v = outcome_of_abort(source, 0, true);

		assert_int_equal(v.fate, FATE_SUSPECT);
		assert_true(v.isolate);
		v = outcome_of_abort(source, 0, false);
		assert_int_equal(v.fate, FATE_RETRY);
		assert_true(v.of_destination);
	}
}

static void a_refused_context_holds_only_that_context(void **state)
{
	(void)state;
	for (uint8_t result = 1; result < 10; result++)
		assert_int_equal(outcome_of_context(result).fate,
				 FATE_HOLD_CONTEXT);
	assert_non_null(strstr(outcome_of_context(4).remedy, "codec"));
}

static void the_line_never_condemns_an_instance(void **state)
{
	static const enum failure line[] = {FAIL_RESOLVE,
					    FAIL_CONNECT,
					    FAIL_CONNECT_TIMEOUT,
					    FAIL_TLS,
					    FAIL_ASSOCIATE_TIMEOUT,
					    FAIL_LOST_IDLE,
					    FAIL_LINE,
					    FAIL_READ,
					    FAIL_NO_MEMORY,
					    FAIL_STOPPED,
					    FAIL_DIRECTORY_FULL,
					    FAIL_DIRECTORY_DENIED,
					    FAIL_DIRECTORY_IO};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(line); i++)
		assert_int_equal(outcome_of_failure(line[i]).fate, FATE_RETRY);
}

static void every_failure_has_a_row(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FAIL_N; f++) {
		struct verdict v = outcome_of_failure((enum failure)f);

		assert_non_null(v.code);
		assert_non_null(v.cause);
		assert_non_null(v.remedy);
		assert_true(v.fate != FATE_DELIVERED && v.fate != FATE_FLAGGED);
	}
	assert_int_equal(outcome_of_failure(FAIL_CORRUPT).fate,
			 FATE_QUARANTINE);
	assert_true(outcome_of_failure(FAIL_LOST).isolate);
}

static void text_names_cause_status_detail_and_remedy(void **state)
{
	struct verdict v = outcome_of_status(0xA700);
	char text[256], little[20];

	(void)state;
	verdict_text(&v, "disk \\x01", text, sizeof(text));
	assert_string_equal(text, "the destination is out of resources [A700] "
				  "(disk \\x01): check its disk, its quota and "
				  "its load; it is tried again by itself "
				  "[CV4017]");
	verdict_text(&v, NULL, little, sizeof(little));
	assert_string_equal(little, "the destin [CV4017]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_status_has_a_verdict_with_words),
	    cmocka_unit_test(statuses_meet_the_fate_of_their_class),
	    cmocka_unit_test(only_success_and_warnings_count_as_stored),
	    cmocka_unit_test(
		every_answer_to_a_message_has_a_verdict_with_words),
	    cmocka_unit_test(
		a_message_is_delivered_by_success_and_warnings_only),
	    cmocka_unit_test(answers_to_messages_meet_their_fate),
	    cmocka_unit_test(
		a_closed_step_is_shown_unless_a_try_of_ours_closed_it),
	    cmocka_unit_test(every_rejection_has_a_verdict),
	    cmocka_unit_test(unknown_ae_titles_hold_and_congestion_retries),
	    cmocka_unit_test(
		an_abort_blames_the_instance_only_when_one_is_outstanding),
	    cmocka_unit_test(a_refused_context_holds_only_that_context),
	    cmocka_unit_test(the_line_never_condemns_an_instance),
	    cmocka_unit_test(every_failure_has_a_row),
	    cmocka_unit_test(text_names_cause_status_detail_and_remedy),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
