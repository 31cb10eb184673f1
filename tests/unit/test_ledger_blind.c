/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/ledger_blind.h"
#include "store/spool.h"
#include "tests/unit/ledger_fixture.h"

static char path[64];
static struct seal_key *key;
static const uint8_t spool[SPOOL_ID_LEN] = "spool";
static struct seal_mac *mac;

static int setup(void **state)
{
	uint8_t bytes[SEAL_KEY_LEN];
	char why[SEAL_WHY_LEN];
	int fd;

	(void)state;
	strcpy(path, "/tmp/culvert-blind-XXXXXX");
	fd = mkstemp(path);
	memset(bytes, 0x0b, sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	assert_int_equal(seal_key_open(path, false, &key, why), ERR_OK);
	assert_int_equal(ledger_blind_key(key, spool, &mac), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	seal_mac_free(mac);
	seal_key_close(key);
	return unlink(path);
}

static int64_t value(enum search_identifier kind, const char *text)
{
	int64_t v = -1;

	assert_int_equal(ledger_blind(mac, kind, text, &v), ERR_OK);
	return v;
}

/* HKDF and HMAC as any other program computes them, so that a later release,
 * or a rebuild, finds the same:
 * prk = HMAC(salt "spool" in 16 bytes, key), okm = HMAC(prk, info || 1). */
static void the_value_is_hmac_of_the_normalized_text(void **state)
{
	(void)state;
	assert_int_equal((uint64_t)value(SEARCH_ACCESSION, "acc-1 "),
			 0x5795fb86c6b1e357ULL);
	assert_int_equal((uint64_t)value(SEARCH_PATIENT, "ACC-1"),
			 0x847ae4143a09f460ULL);
}

static void spaces_and_case_do_not_count(void **state)
{
	int64_t v = value(SEARCH_PATIENT, "AB 12");

	(void)state;
	assert_int_equal(value(SEARCH_PATIENT, "  ab 12 "), v);
	assert_int_not_equal(value(SEARCH_PATIENT, "AB12"), v);
	assert_int_not_equal(value(SEARCH_PATIENT, "AB 13"), v);
	assert_int_not_equal(value(SEARCH_ACCESSION, "AB 12"), v);
	assert_int_not_equal(value(SEARCH_PATIENT, "\xc3\xa4"),
			     value(SEARCH_PATIENT, "\xc3\x84"));
}

static void nothing_has_no_value(void **state)
{
	(void)state;
	assert_int_equal(value(SEARCH_PATIENT, ""), 0);
	assert_int_equal(value(SEARCH_PATIENT, "   "), 0);
}

static void what_is_too_long_is_refused(void **state)
{
	char text[BLIND_TEXT_MAX + 2];
	int64_t v;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[BLIND_TEXT_MAX + 1] = '\0';
	assert_int_equal(ledger_blind(mac, SEARCH_PATIENT, text, &v),
			 ERR_LIMIT);
	text[BLIND_TEXT_MAX] = '\0';
	assert_int_equal(ledger_blind(mac, SEARCH_PATIENT, text, &v), ERR_OK);
}

static void another_spool_has_other_values(void **state)
{
	const uint8_t other[SPOOL_ID_LEN] = "other";
	struct seal_mac *m;
	int64_t v;

	(void)state;
	assert_int_equal(ledger_blind_key(key, other, &m), ERR_OK);
	assert_int_equal(ledger_blind(m, SEARCH_PATIENT, "1", &v), ERR_OK);
	assert_int_not_equal(v, value(SEARCH_PATIENT, "1"));
	seal_mac_free(m);
}

static void a_series_has_both(void **state)
{
	struct ledger_identity id = {.accession = "A", .patient_id = ""};
	struct blind b;

	(void)state;
	assert_int_equal(ledger_blind_series(mac, &id, &b), ERR_OK);
	assert_int_equal(b.accession, value(SEARCH_ACCESSION, "A"));
	assert_int_equal(b.patient, 0);
}

/* No clear value in any file, and no NULL where there is one. */
static void the_ledger_holds_values_and_no_identifier(void **state)
{
	struct fixture f;
	struct instance in = fixture_instance(1);
	char sql[128];
	int64_t accession;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fixture_put(&f, &in, 10);
	in = fixture_instance(2);
	INSTANCE_SET(in.series, "1.9");
	INSTANCE_SET(in.accession, "");
	INSTANCE_SET(in.patient_id, "");
	fixture_put(&f, &in, 10);
	fixture_settle(&f);
	assert_int_equal(ledger_search_key(f.l, SEARCH_ACCESSION,
					   "acc-verysecret", &accession),
			 ERR_OK);
	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM series WHERE accession=%lld",
		 (long long)accession);
	assert_int_equal(fixture_sql(&f, sql), 1);
	assert_int_equal(fixture_sql(&f, "SELECT count(*) FROM series WHERE "
					 "patient IS NULL AND accession IS "
					 "NULL"),
			 1);
	assert_false(fixture_grep(&f, "VERYSECRET"));
	assert_false(fixture_grep(&f, "verysecret"));
	fixture_free(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_value_is_hmac_of_the_normalized_text),
	    cmocka_unit_test(spaces_and_case_do_not_count),
	    cmocka_unit_test(nothing_has_no_value),
	    cmocka_unit_test(what_is_too_long_is_refused),
	    cmocka_unit_test(another_spool_has_other_values),
	    cmocka_unit_test(a_series_has_both),
	    cmocka_unit_test(the_ledger_holds_values_and_no_identifier),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
