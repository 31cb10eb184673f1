/* How far the audit has gone to each repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/audit_cursor.h"

static int setup(void **state)
{
	static char dir[64];

	strcpy(dir, "/tmp/culvert-cursor-XXXXXX");
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", (char *)*state);
	return system(cmd);
}

static struct audit_cursors *opened(void **state)
{
	struct audit_cursors *c;
	char why[AUDIT_CURSOR_WHY_LEN];

	if (audit_cursors_open(*state, &c, why) != ERR_OK)
		fail_msg("%s", why);
	return c;
}

static int64_t get(struct audit_cursors *c, const char *name)
{
	int64_t seq = -1;

	assert_int_equal(audit_cursor_get(c, name, &seq), ERR_OK);
	return seq;
}

static void a_cursor_is_where_it_was_left(void **state)
{
	struct audit_cursors *c = opened(state);

	assert_int_equal(get(c, "site"), 0);
	assert_int_equal(audit_cursor_set(c, "site", 17, 1), ERR_OK);
	assert_int_equal(audit_cursor_set(c, "old", 3, 1), ERR_OK);
	assert_int_equal(audit_cursor_set(c, "site", 18, 2), ERR_OK);
	assert_int_equal(get(c, "site"), 18);
	audit_cursors_close(c);
	c = opened(state);
	assert_int_equal(get(c, "site"), 18);
	assert_int_equal(get(c, "old"), 3);
	audit_cursors_close(c);
}

static void a_damaged_file_is_begun_anew(void **state)
{
	struct audit_cursors *c = opened(state);
	char path[100];
	FILE *f;

	assert_int_equal(audit_cursor_set(c, "site", 17, 1), ERR_OK);
	audit_cursors_close(c);
	snprintf(path, sizeof(path), "%s/repositories.db", (char *)*state);
	f = fopen(path, "wb");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("rubbish", f);
	fclose(f);
	c = opened(state);
	assert_int_equal(get(c, "site"), 0);
	audit_cursors_close(c);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
	struct audit_cursors *c = NULL;
	char why[AUDIT_CURSOR_WHY_LEN] = "";

	(void)state;
	assert_int_not_equal(audit_cursors_open("/nowhere/at/all", &c, why),
			     ERR_OK);
	assert_null(c);
	assert_non_null(strstr(why, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_cursor_is_where_it_was_left,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(a_damaged_file_is_begun_anew, setup,
					    teardown),
	    cmocka_unit_test(a_directory_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
