/* Which class is of which service, and which requests it takes (PS3.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/services.h"
#include "proxy/dicom/command.h"
#include "proxy/dicom/uid.h"
#include "proxy/lib/mem.h"

/* Requests by a letter each, so that a set of them is a word. */
static const struct {
	char letter;
	uint16_t field;
} letters[] = {
    {'s', C_STORE_RQ},  {'f', C_FIND_RQ},         {'m', C_MOVE_RQ},
    {'g', C_GET_RQ},    {'e', C_ECHO_RQ},         {'x', C_CANCEL_RQ},
    {'R', N_GET_RQ},    {'E', N_EVENT_REPORT_RQ}, {'S', N_SET_RQ},
    {'A', N_ACTION_RQ}, {'C', N_CREATE_RQ},       {'D', N_DELETE_RQ},
};

#define ANY   "sfmgexRESACD"
#define ALL_N "RESACD"

struct row {
	const char *tail; /* below UID_PREFIX; with a root if it is longer */
	unsigned service;
	const char *takes;
};

static void check_messages(const char *uid, unsigned service, const char *takes)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
		bool want = strchr(takes, letters[i].letter) != NULL;
		uint16_t field = letters[i].field;

		if (service_allows(service, uid, field) != want)
			fail_msg("%s, command %04x: not %d", uid, field, want);
		assert_false(service_allows(
		    service, uid, (uint16_t)(field | COMMAND_RESPONSE)));
	}
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char uid[UID_SIZE];

		snprintf(uid, sizeof(uid), "%s%s", UID_PREFIX, rows[i].tail);
		if (service_of(uid) != rows[i].service)
			fail_msg("%s is of service %u", uid, service_of(uid));
		check_messages(uid, rows[i].service, rows[i].takes);
	}
}

static void verification_takes_echo(void **state)
{
	static const struct row rows[] = {{"1.1", CONFIG_VERIFICATION, "e"}};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void commitment_takes_requests_and_reports(void **state)
{
	static const struct row rows[] = {
	    {"1.20.1", CONFIG_COMMITMENT, "AE"},
	    {"1.20.2", CONFIG_OTHER, ANY}, /* the pull model, retired */
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void procedure_steps_are_made_read_and_told_of(void **state)
{
	static const struct row rows[] = {
	    {"3.1.2.3.3", CONFIG_MPPS, "CS"},
	    {"3.1.2.3.4", CONFIG_MPPS, "R"},
	    {"3.1.2.3.5", CONFIG_MPPS, "E"},
	    /* retired neighbours */
	    {"3.1.2.3.1", CONFIG_OTHER, ANY},
	    {"3.1.2.3.2", CONFIG_OTHER, ANY},
	    {"3.1.2.1.1", CONFIG_OTHER, ANY},
	    {"3.1.2.5.4", CONFIG_OTHER, ANY},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void a_worklist_is_found(void **state)
{
	static const struct row rows[] = {{"5.1.4.31", CONFIG_WORKLIST, "fx"}};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void queries_find_move_and_get(void **state)
{
	static const struct row rows[] = {
	    {"5.1.4.1.2.1.1", CONFIG_QUERY, "fx"},
	    {"5.1.4.1.2.1.2", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.2.1.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.2.2.1", CONFIG_QUERY, "fx"},
	    {"5.1.4.1.2.2.2", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.2.2.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.2.3.1", CONFIG_QUERY, "fx"},
	    {"5.1.4.1.2.3.2", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.2.3.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.2.4.2", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.2.4.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.2.5.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.2.6.1", CONFIG_QUERY, "fmgx"}, /* none yet */
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void queries_for_what_is_no_patients_too(void **state)
{
	static const struct row rows[] = {
	    {"5.1.4.20.1", CONFIG_QUERY, "fx"},
	    {"5.1.4.20.2", CONFIG_QUERY, "mx"},
	    {"5.1.4.20.3", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.1.200.4", CONFIG_QUERY, "fx"},
	    {"5.1.4.1.1.200.5", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.1.200.6", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.1.201.2", CONFIG_QUERY, "fx"},
	    {"5.1.4.1.1.201.3", CONFIG_QUERY, "mx"},
	    {"5.1.4.1.1.201.4", CONFIG_QUERY, "gx"},
	    {"5.1.4.1.1.201.5", CONFIG_OTHER, ANY},
	    {"5.1.4.1.1.201.6", CONFIG_QUERY, "fx"},
	    {"5.1.4.37.1", CONFIG_QUERY, "fx"},
	    {"5.1.4.37.3", CONFIG_QUERY, "fx"},
	    {"5.1.4.38.2", CONFIG_QUERY, "fx"},
	    {"5.1.4.38.3", CONFIG_QUERY, "mx"},
	    {"5.1.4.38.4", CONFIG_QUERY, "gx"},
	    {"5.1.4.39.2", CONFIG_QUERY, "fx"},
	    {"5.1.4.41", CONFIG_QUERY, "fx"},
	    {"5.1.4.42", CONFIG_QUERY, "fx"},
	    {"5.1.4.43.2", CONFIG_QUERY, "fx"},
	    {"5.1.4.44.3", CONFIG_QUERY, "mx"},
	    {"5.1.4.45.4", CONFIG_QUERY, "gx"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void printing_takes_what_its_classes_take(void **state)
{
	static const struct row rows[] = {
	    {"5.1.1.9", CONFIG_PRINT, ALL_N},
	    {"5.1.1.18", CONFIG_PRINT, ALL_N},
	    {"5.1.1.9.1", CONFIG_PRINT, ALL_N},
	    {"5.1.1.18.1", CONFIG_PRINT, ALL_N},
	    {"5.1.1.1", CONFIG_PRINT, "CSDA"},
	    {"5.1.1.2", CONFIG_PRINT, "CSDA"},
	    {"5.1.1.4", CONFIG_PRINT, "S"},
	    {"5.1.1.4.1", CONFIG_PRINT, "S"},
	    {"5.1.1.14", CONFIG_PRINT, "ER"},
	    {"5.1.1.15", CONFIG_PRINT, "S"},
	    {"5.1.1.16", CONFIG_PRINT, "ER"},
	    {"5.1.1.16.376", CONFIG_PRINT, "R"},
	    {"5.1.1.22", CONFIG_PRINT, "CSD"},
	    {"5.1.1.23", CONFIG_PRINT, "CD"},
	    {"5.1.1.26", CONFIG_PRINT, ALL_N},
	    {"5.1.1.29", CONFIG_STORAGE, "s"},
	    {"5.1.1.33", CONFIG_OTHER, ANY},
	    {"5.1.1.40.1", CONFIG_OTHER, ANY},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void storage_takes_store_only(void **state)
{
	static const struct row rows[] = {
	    {"5.1.4.1.1.2", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.1.1.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.3", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.6.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.88.59", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.104.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.200.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.201.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.481.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.1.1.999", CONFIG_STORAGE, "s"}, /* of a later year */
	    {"5.1.4.34.7", CONFIG_STORAGE, "s"},
	    {"5.1.4.34.10", CONFIG_STORAGE, "s"},
	    {"5.1.4.38.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.39.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.43.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.44.1", CONFIG_STORAGE, "s"},
	    {"5.1.4.45.1", CONFIG_STORAGE, "s"},
	    {"1.3.10", CONFIG_STORAGE, "s"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void private_classes_are_storage(void **state)
{
	static const char *const uids[] = {
	    "1.2.840.113619.4.26", "1.3.46.670589.11.0.0.12.1",
	    "1.3.12.2.1107.5.9.1", "1.2.40.0.13.1.5.1.4.1.1.1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
		assert_int_equal(service_of(uids[i]), CONFIG_STORAGE);
		check_messages(uids[i], CONFIG_STORAGE, "s");
	}
}

static void other_services_take_any_request(void **state)
{
	static const struct row rows[] = {
	    {"5.1.4.32", CONFIG_OTHER, ANY},
	    {"5.1.4.32.1", CONFIG_OTHER, ANY},
	    {"5.1.4.33", CONFIG_OTHER, ANY},
	    {"5.1.4.34.6.1", CONFIG_OTHER, ANY},
	    {"5.1.4.34.6.2", CONFIG_OTHER, ANY},
	    {"5.1.4.34.6.3", CONFIG_OTHER, ANY},
	    {"5.1.4.34.6.4", CONFIG_OTHER, ANY},
	    {"5.1.4.34.6.5", CONFIG_OTHER, ANY},
	    {"5.1.4.34.8", CONFIG_OTHER, ANY},
	    {"1.40", CONFIG_OTHER, ANY},
	    {"1.42", CONFIG_OTHER, ANY},
	    {"1.9", CONFIG_OTHER, ANY},
	    {"4.2", CONFIG_OTHER, ANY},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void what_is_no_class_is_other(void **state)
{
	static const char *const uids[] = {"", "not a uid", UID_IMPLICIT_LE,
					   UID_PREFIX "1.10",
					   "1.2.840.10008.5.1.4.1.1.2 "};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uids); i++)
		assert_int_equal(service_of(uids[i]), CONFIG_OTHER);
}

static void unknown_commands_are_allowed_to_nobody(void **state)
{
	static const uint16_t fields[] = {0,      0x0002, 0x0011, 0x0031,
					  0x0160, 0x0FFE, 0x7FFF, 0xFFFF};

	(void)state;
	for (unsigned bit = 1; bit <= CONFIG_OTHER; bit <<= 1)
		for (size_t i = 0; i < ARRAY_LEN(fields); i++)
			assert_false(service_allows(
			    bit, UID_PREFIX "5.1.4.34.6.1", fields[i]));
}

/* A caller may hold a context for what the class is not: a route decides. */
static void a_class_of_another_service_takes_what_the_service_does(void **state)
{
	(void)state;
	check_messages(UID_MPPS, CONFIG_COMMITMENT, "AE");
	check_messages(UID_CT_STORAGE, CONFIG_QUERY, "fmgx");
	check_messages(UID_WORKLIST, CONFIG_STORAGE, "s");
}

static void services_have_names(void **state)
{
	static const char *const names[] = {
	    "storage", "verification", "worklist", "query",
	    "mpps",    "commitment",   "print",    "other"};

	(void)state;
	assert_int_equal(1u << ARRAY_LEN(names), CONFIG_SERVICES_ALL + 1);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(
		    config_service_name((enum config_service)(1u << i)),
		    names[i]);
	assert_string_equal(config_action_name(CONFIG_FORWARD), "forward");
	assert_string_equal(config_action_name(CONFIG_RELAY), "relay");
	assert_string_equal(config_action_name(CONFIG_HOLD), "hold");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verification_takes_echo),
	    cmocka_unit_test(commitment_takes_requests_and_reports),
	    cmocka_unit_test(procedure_steps_are_made_read_and_told_of),
	    cmocka_unit_test(a_worklist_is_found),
	    cmocka_unit_test(queries_find_move_and_get),
	    cmocka_unit_test(queries_for_what_is_no_patients_too),
	    cmocka_unit_test(printing_takes_what_its_classes_take),
	    cmocka_unit_test(storage_takes_store_only),
	    cmocka_unit_test(private_classes_are_storage),
	    cmocka_unit_test(other_services_take_any_request),
	    cmocka_unit_test(what_is_no_class_is_other),
	    cmocka_unit_test(unknown_commands_are_allowed_to_nobody),
	    cmocka_unit_test(
		a_class_of_another_service_takes_what_the_service_does),
	    cmocka_unit_test(services_have_names),
	};

	return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
