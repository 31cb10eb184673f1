/* Users, passwords, sessions, and delays for those who guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/roles.h"
#include "proxy/lib/mem.h"
#include "web-status/lockout.h"
#include "web-status/password.h"
#include "web-status/session.h"
#include "web-status/users.h"

#define HASH                                                                   \
	"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$"                   \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PRINT "5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde5bde"

/* ---- users ------------------------------------------------------------- */

static struct users *good(const char *text)
{
	struct users *u = NULL;
	char why[USERS_WHY_LEN];

	if (users_parse(text, strlen(text), &u, why) != ERR_OK)
		fail_msg("%s", why);
	return u;
}

static void bad(const char *text, const char *says)
{
	struct users *u = NULL;
	char why[USERS_WHY_LEN];

	assert_int_equal(users_parse(text, strlen(text), &u, why), ERR_INVAL);
	assert_null(u);
	if (strstr(why, says) == NULL)
		fail_msg("'%s' lacks '%s'", why, says);
}

static void users_are_found_by_name_and_certificate(void **state)
{
	struct users *u = good("# who\n\nanna operator password " HASH "\r\n"
			       "\tben  operator,auditor\tfingerprint " PRINT
			       "\nwall operator subject CN=wall 1, O=Clinic ");
	struct user who;

	(void)state;
	assert_string_equal(users_by_name(u, "anna", &who), HASH);
	assert_int_equal(who.roles, ROLE_OPERATOR);
	assert_null(users_by_name(u, "ben", &who));
	assert_null(users_by_name(u, "Anna", &who));
	assert_true(users_by_certificate(u, PRINT, "CN=x", &who));
	assert_string_equal(who.name, "ben");
	assert_int_equal(who.roles, ROLE_OPERATOR | ROLE_AUDITOR);
	assert_true(users_by_certificate(u, "", "CN=wall 1, O=Clinic", &who));
	assert_string_equal(who.name, "wall");
	assert_false(users_by_certificate(u, "", "", &who));
	assert_false(users_by_certificate(u, HASH, HASH, &who));
	assert_true(users_have_passwords(u));
	users_free(u);
}

static void what_is_wrong_in_a_users_file_is_named(void **state)
{
	(void)state;
	bad("anna operator password " HASH "\nben\n", "line 2 has no roles");
	bad("an/na operator password " HASH, "a name that is not");
	bad("anna king password " HASH, "an unknown role");
	bad("anna operator magic x", "no way to log in");
	bad("anna operator password secret", "not an argon2id hash");
	bad("anna operator password "
	    "$argon2id$v=19$m=9999999,t=1,p=1$AAAA$AAAA",
	    "not an argon2id hash");
	bad("anna operator fingerprint 12:34", "not SHA-256");
	bad("anna operator subject", "no value");
}

static void a_users_file_is_edited_line_by_line(void **state)
{
	static const char before[] = "# kept\nanna operator password old\n"
				     "anna operator subject CN=anna\n"
				     "ben auditor password b";
	char *text = users_edit(before, "anna", "auditor", HASH);

	(void)state;
	assert_string_equal(text, "# kept\nanna operator subject CN=anna\n"
				  "ben auditor password b\n"
				  "anna auditor password " HASH "\n");
	mem_free(text);
	text = users_edit(before, "anna", NULL, NULL);
	assert_string_equal(text, "# kept\nben auditor password b\n");
	mem_free(text);
}

/* ---- passwords --------------------------------------------------------- */

static void a_password_is_checked_against_its_hash(void **state)
{
	char encoded[PASSWORD_ENCODED_LEN], again[PASSWORD_ENCODED_LEN];

	(void)state;
	assert_int_equal(password_encode("short", encoded), ERR_LIMIT);
	assert_int_equal(password_encode("correct horse", encoded), ERR_OK);
	assert_int_equal(password_encode("correct horse", again), ERR_OK);
	assert_string_not_equal(encoded, again); /* another salt */
	assert_true(password_is_encoded(encoded));
	assert_true(password_check(encoded, "correct horse"));
	assert_false(password_check(encoded, "correct horsf"));
	assert_false(password_check(encoded, ""));
	assert_false(password_check(NULL, "correct horse"));
}

/* ---- sessions ---------------------------------------------------------- */

static const struct user anna = {"anna", ROLE_OPERATOR};

static void a_session_is_found_by_its_token_only(void **state)
{
	struct sessions *s = sessions_new(1000, 5000);
	char token[WEB_TOKEN_LEN], other[WEB_TOKEN_LEN];
	struct session out;

	(void)state;
	assert_int_equal(sessions_begin(s, 10, &anna, 7, token), ERR_OK);
	assert_int_equal(strlen(token), WEB_TOKEN_LEN - 1);
	assert_true(sessions_find(s, 20, token, &out));
	assert_string_equal(out.user.name, "anna");
	assert_int_equal(out.stamp, 7);
	memcpy(other, token, sizeof(other));
	other[5] = other[5] == '0' ? '1' : '0';
	assert_false(sessions_find(s, 20, other, NULL));
	assert_false(sessions_find(s, 20, "", NULL));
	sessions_end(s, out.id);
	assert_false(sessions_find(s, 20, token, NULL));
	assert_false(sessions_alive(s, 20, out.id));
	sessions_free(s);
}

static void a_session_ends_unused_and_in_any_case(void **state)
{
	struct sessions *s = sessions_new(1000, 3000);
	char token[WEB_TOKEN_LEN];
	struct session out;

	(void)state;
	assert_int_equal(sessions_begin(s, 0, &anna, 0, token), ERR_OK);
	assert_true(sessions_find(s, 999, token, &out));
	assert_true(sessions_alive(s, 1900, out.id)); /* does not count */
	assert_false(sessions_find(s, 1999, token, NULL));
	assert_int_equal(sessions_begin(s, 0, &anna, 0, token), ERR_OK);
	for (uint64_t now = 500; now < 3000; now += 500)
		assert_true(sessions_find(s, now, token, NULL));
	assert_false(sessions_find(s, 3000, token, NULL));
	assert_int_equal(sessions_count(s, 3000), 0);
	sessions_free(s);
}

static void one_user_cannot_push_out_the_others(void **state)
{
	struct sessions *s = sessions_new(100000, 100000);
	struct user ben = {"ben", ROLE_AUDITOR};
	char first[WEB_TOKEN_LEN], token[WEB_TOKEN_LEN];

	(void)state;
	assert_int_equal(sessions_begin(s, 0, &ben, 0, first), ERR_OK);
	for (unsigned i = 0; i < 3 * SESSIONS_MAX; i++)
		assert_int_equal(sessions_begin(s, i, &anna, 0, token), ERR_OK);
	assert_true(sessions_find(s, 3 * SESSIONS_MAX, first, NULL));
	assert_int_equal(sessions_count(s, 3 * SESSIONS_MAX),
			 SESSIONS_PER_USER + 1);
	sessions_free(s);
}

/* ---- delays ------------------------------------------------------------ */

static void fail_times(struct lockout *l, uint64_t now, const char *address,
		       const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		lockout_failed(l, now, address, name);
}

static void the_delay_doubles_up_to_its_limit(void **state)
{
	struct lockout *l = lockout_new();

	(void)state;
	fail_times(l, 0, "a", "anna", LOCKOUT_FREE - 1);
	assert_int_equal(lockout_wait(l, 0, "a", "anna"), 0);
	lockout_failed(l, 0, "a", "anna");
	assert_int_equal(lockout_wait(l, 0, "a", "anna"), LOCKOUT_FIRST_MS);
	assert_int_equal(lockout_wait(l, LOCKOUT_FIRST_MS, "a", "anna"), 0);
	lockout_failed(l, 1000, "a", "anna");
	assert_int_equal(lockout_wait(l, 1000, "a", "anna"),
			 2 * LOCKOUT_FIRST_MS);
	fail_times(l, 1000, "a", "anna", 40);
	assert_int_equal(lockout_wait(l, 1000, "a", "anna"), LOCKOUT_MAX_MS);
	lockout_free(l);
}

static void other_names_do_not_help_an_address(void **state)
{
	struct lockout *l = lockout_new();
	char name[16];

	(void)state;
	for (unsigned i = 0; i < LOCKOUT_FREE; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		lockout_failed(l, 0, "a", name);
	}
	assert_true(lockout_wait(l, 0, "a", "fresh") > 0);
	assert_int_equal(lockout_wait(l, 0, "b", "fresh"), 0);
	lockout_free(l);
}

static void nobody_can_lock_out_who_has_been_here(void **state)
{
	struct lockout *l = lockout_new();
	char address[16];

	(void)state;
	lockout_passed(l, 0, "home", "anna");
	for (unsigned i = 0; i < 200; i++) { /* from everywhere */
		snprintf(address, sizeof(address), "evil%u", i);
		lockout_failed(l, 1, address, "anna");
	}
	fail_times(l, 1, "home", "ben", 100); /* and from behind her address */
	assert_int_equal(lockout_wait(l, 1, "home", "anna"), 0);
	assert_true(lockout_wait(l, 1, "new", "anna") <= LOCKOUT_NAME_MAX_MS);
	assert_true(lockout_wait(l, 1, "new", "anna") > 0);
	/* but there is no guessing from there without end */
	fail_times(l, 1, "home", "anna", LOCKOUT_FREE);
	assert_true(lockout_wait(l, 1, "home", "anna") > 0);
	lockout_free(l);
}

static void failures_are_forgotten(void **state)
{
	struct lockout *l = lockout_new();

	(void)state;
	fail_times(l, 0, "a", "anna", LOCKOUT_FREE);
	lockout_failed(l, 2 * LOCKOUT_FORGET_MS, "a", "anna");
	assert_int_equal(lockout_wait(l, 2 * LOCKOUT_FORGET_MS, "a", "anna"),
			 0);
	lockout_free(l);
}

static void the_tables_are_bounded_and_keep_who_waits(void **state)
{
	struct lockout *l = lockout_new();
	char address[16];

	(void)state;
	fail_times(l, 0, "bad", "anna", 30);
	for (unsigned i = 0; i < 4 * LOCKOUT_ENTRIES; i++) {
		snprintf(address, sizeof(address), "n%u", i);
		lockout_failed(l, 1, address, "x");
	}
	assert_true(lockout_wait(l, 2, "bad", "anna") > LOCKOUT_FIRST_MS);
	lockout_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(users_are_found_by_name_and_certificate),
	    cmocka_unit_test(what_is_wrong_in_a_users_file_is_named),
	    cmocka_unit_test(a_users_file_is_edited_line_by_line),
	    cmocka_unit_test(a_password_is_checked_against_its_hash),
	    cmocka_unit_test(a_session_is_found_by_its_token_only),
	    cmocka_unit_test(a_session_ends_unused_and_in_any_case),
	    cmocka_unit_test(one_user_cannot_push_out_the_others),
	    cmocka_unit_test(the_delay_doubles_up_to_its_limit),
	    cmocka_unit_test(other_names_do_not_help_an_address),
	    cmocka_unit_test(nobody_can_lock_out_who_has_been_here),
	    cmocka_unit_test(failures_are_forgotten),
	    cmocka_unit_test(the_tables_are_bounded_and_keep_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
