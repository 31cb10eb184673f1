#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/spool_one_kit.h"

static void two_processes_cannot_share_a_spool(void **state)
{
	char why[SPOOL_WHY_LEN];
	struct spool *second;

	(void)state;
	assert_int_equal(spool_open(&one.options, &second, why), ERR_BUSY);
	assert_non_null(strstr(why, "another process"));
}

static void expect_no_key(const char *word)
{
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	assert_int_equal(spool_open(&one.options, &s, why), ERR_NOKEY);
	if (strstr(why, word) == NULL)
		fail_msg("%s", why);
}

static void another_key_is_refused_and_nothing_is_lost(void **state)
{
	char key[KIT_PATH_LEN + 16], kept[KIT_PATH_LEN + 16];
	char why[SEAL_WHY_LEN], id[SEAL_KEY_ID_TEXT];
	struct seal_key *other;
	const size_t size = 5000;

	(void)state;
	(void)snprintf(key, sizeof(key), "%s/data.key", one.dir);
	(void)snprintf(kept, sizeof(kept), "%s/kept.key", one.dir);
	assert_int_equal(one_put(0, size, NULL), ERR_OK);
	seal_key_id_text(seal_key_id(spool_key(one.spool)), id);
	spool_close(one.spool);
	assert_int_equal(rename(key, kept), 0);
	expect_no_key(id);
	expect_no_key("missing");
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(seal_key_open(key, true, &other, why), ERR_OK);
	seal_key_close(other);
	expect_no_key(id);
	expect_no_key("restore");
	assert_int_equal(rename(kept, key), 0);
	assert_int_equal(chmod(key, 0644), 0);
	expect_no_key("chmod 600");
	assert_int_equal(chmod(key, 0600), 0);
	one.spool = kit_open(&one.options);
	one_expect(&size, 1);
}

static void what_cannot_work_is_refused_in_words(void **state)
{
	struct spool_options o = one.options;
	char why[SPOOL_WHY_LEN];
	struct spool *s;

	(void)state;
	o.path = "/nonexistent/spool";
	assert_int_equal(spool_open(&o, &s, why), ERR_IO);
	assert_non_null(strstr(why, "/nonexistent/spool"));
	o = one.options;
	o.segment = 4096;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
	o = one.options;
	o.quota = 3 * KIT_SEGMENT;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
	assert_non_null(strstr(why, "quota"));
	o = one.options;
	o.high_water = 50;
	o.low_water = 60;
	assert_int_equal(spool_open(&o, &s, why), ERR_INVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ONE_TEST(two_processes_cannot_share_a_spool),
	    ONE_TEST(another_key_is_refused_and_nothing_is_lost),
	    ONE_TEST(what_cannot_work_is_refused_in_words),
	};

	return cmocka_run_group_tests(tests, one_make_data, one_free_data);
}
