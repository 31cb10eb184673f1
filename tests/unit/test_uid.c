#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dicom/uid.h"
#include "proxy/dicom/uid_names.h"
#include "proxy/lib/mem.h"

static const char sixty_four[] =
    "1234567890123456789012345678901234567890123456789012345678901234";

static void only_digits_and_dots_up_to_64_are_valid(void **state)
{
	char too_long[66];

	(void)state;
	assert_true(uid_valid("1"));
	assert_true(uid_valid("1.2.840.10008.1.1"));
	assert_true(uid_valid("1.02..3.")); /* devices send such */
	assert_int_equal(strlen(sixty_four), 64);
	assert_true(uid_valid(sixty_four));
	memcpy(too_long, sixty_four, 64);
	memcpy(too_long + 64, "1", 2);
	assert_false(uid_valid(too_long));
	assert_false(uid_valid(NULL));
	assert_false(uid_valid(""));
	assert_false(uid_valid("."));
	assert_false(uid_valid(".."));
	assert_false(uid_valid("1.2 "));
	assert_false(uid_valid("../1.2"));
	assert_false(uid_valid("1.2/3"));
	assert_false(uid_valid("1.2.a"));
}

static void storage_classes_are_told_from_the_others(void **state)
{
	static const char *const yes[] = {
	    UID_CT_STORAGE,
	    UID_MR_STORAGE,
	    UID_SC_STORAGE,
	    UID_PREFIX "5.1.4.1.1.3",
	    UID_PREFIX "5.1.4.1.1.6.1",
	    UID_PREFIX "5.1.4.1.1.88.11",
	    UID_PREFIX "5.1.4.1.1.200.1",
	    UID_PREFIX "5.1.4.1.1.200.7",
	    UID_PREFIX "5.1.4.1.1.201.1",
	    UID_PREFIX "5.1.4.1.1.200.40",
	    UID_PREFIX "5.1.4.34.7",
	    UID_PREFIX "5.1.4.34.10",
	    UID_PREFIX "5.1.4.38.1",
	    UID_PREFIX "5.1.4.39.1",
	    UID_PREFIX "5.1.4.43.1",
	    UID_PREFIX "5.1.4.44.1",
	    UID_PREFIX "5.1.4.45.1",
	    "1.2.840.113619.4.30",
	    "1.3.46.670589.11.0.0.12.1",
	};
	static const char *const no[] = {
	    UID_VERIFICATION,
	    UID_COMMITMENT,
	    UID_MPPS,
	    UID_WORKLIST,
	    UID_PREFIX "5.1.4.1.2.1.1",
	    UID_PREFIX "5.1.4.1.1.",
	    UID_PREFIX "5.1.4.1.1",
	    UID_PREFIX "5.1.4.1.1.200.4",
	    UID_PREFIX "5.1.4.1.1.200.6",
	    UID_PREFIX "5.1.4.1.1.201.2",
	    UID_PREFIX "5.1.4.1.1.201.6",
	    UID_PREFIX "1.3.10",
	    UID_PREFIX "5.1.4.34.6.1",
	    UID_PREFIX "5.1.4.34.70",
	    UID_PREFIX "5.1.1.9",
	    "",
	    "1.2.840.113619.5.2",
	    "1.2.840.113619.40",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		print_message("storage: %s\n", yes[i]);
		assert_true(uid_is_storage(yes[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		print_message("not storage: %s\n", no[i]);
		assert_false(uid_is_storage(no[i]));
	}
}

static void names_are_known_or_the_uid_itself(void **state)
{
	const char *unknown = "1.2.3.4", *odd = "1.2.840.10008.";

	(void)state;
	assert_string_equal(uid_name(UID_CT_STORAGE), "CT Image Storage");
	assert_string_equal(uid_name(UID_VERIFICATION), "Verification");
	assert_string_equal(uid_name(UID_IMPLICIT_LE),
			    "Implicit VR Little Endian");
	assert_string_equal(uid_name(UID_GE_PRIVATE),
			    "GE Private Implicit VR Little Endian");
	assert_ptr_equal(uid_name(unknown), unknown);
	assert_ptr_equal(uid_name(odd), odd);
}

static void every_name_stands_once_and_is_a_uid(void **state)
{
	char uid[128];

	(void)state;
	assert_true(uid_n_names > 200);
	for (size_t i = 0; i < uid_n_names; i++) {
		strcpy(uid, UID_PREFIX);
		strcat(uid, uid_names[i].tail);
		assert_true(uid_valid(uid));
		assert_ptr_equal(uid_name(uid), uid_names[i].name);
	}
}

static void transfer_syntaxes_have_a_kind(void **state)
{
	(void)state;
	assert_int_equal(uid_ts_kind(UID_IMPLICIT_LE), TS_IMPLICIT_LE);
	assert_int_equal(uid_ts_kind(UID_GE_PRIVATE), TS_IMPLICIT_LE);
	assert_int_equal(uid_ts_kind(UID_EXPLICIT_LE), TS_EXPLICIT_LE);
	assert_int_equal(uid_ts_kind(UID_EXPLICIT_BE), TS_EXPLICIT_BE);
	assert_int_equal(uid_ts_kind(UID_DEFLATED_LE), TS_DEFLATED_LE);
	assert_int_equal(uid_ts_kind(UID_PREFIX "1.2.4.95"), TS_DEFLATED_LE);
	assert_int_equal(uid_ts_kind(UID_PREFIX "1.2.8.1"), TS_EXPLICIT_LE);
	assert_int_equal(uid_ts_kind(UID_J2K), TS_EXPLICIT_LE);
	assert_int_equal(uid_ts_kind("1.2.3"), TS_EXPLICIT_LE);
	assert_int_equal(uid_ts_kind(""), TS_EXPLICIT_LE);
}

static void wire_text_is_trimmed_or_refused(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *want;
		bool fits;
	} rows[] = {
	    {"1.2\0", 4, "1.2", true},  {"  CT2 \0x", 8, "CT2", true},
	    {"", 0, "", true},          {"\0\0", 2, "", true},
	    {"    ", 4, "", true},      {"1234567", 7, "1234567", true},
	    {"12345678", 8, "", false}, {" 1234567 ", 9, "1234567", true},
	};
	char out[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(out, 'x', sizeof(out));
		assert_int_equal(uid_text((const uint8_t *)rows[i].in,
					  rows[i].n, out, sizeof(out)),
				 rows[i].fits);
		assert_string_equal(out, rows[i].want);
	}
	assert_true(uid_text(NULL, 0, out, sizeof(out)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_digits_and_dots_up_to_64_are_valid),
	    cmocka_unit_test(storage_classes_are_told_from_the_others),
	    cmocka_unit_test(names_are_known_or_the_uid_itself),
	    cmocka_unit_test(every_name_stands_once_and_is_a_uid),
	    cmocka_unit_test(transfer_syntaxes_have_a_kind),
	    cmocka_unit_test(wire_text_is_trimmed_or_refused),
	};

	return cmocka_run_group_tests_name("uid", tests, NULL, NULL);
}
