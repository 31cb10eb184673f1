/* users.h - the file of those who may see the page.
 *
 *   # name   roles             how
 *   anna     operator          password $argon2id$v=19$m=32768,t=3,p=1$...$...
 *   ben      operator,auditor  fingerprint 5b:1f:... (SHA-256)
 *   wall     operator          subject CN=wall-1, O=Clinic
 *
 * One line each way to log in; a name may have several lines. Read-only once
 * parsed: any thread. */
#ifndef WEB_STATUS_USERS_H
#define WEB_STATUS_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/lib/err.h"
#include "web-status/page.h"

enum {
	USERS_MAX = 1024,
	USERS_FILE_MAX = 256 * 1024, /* bytes */
	USERS_VALUE_LEN = 256,
	USERS_WHY_LEN = 320
};

struct users; /* opaque */

struct user {
	char name[WEB_USER_LEN];
	unsigned roles; /* of policy/roles.h, never 0 */
};

/* ERR_INVAL: why names the line, the cause and the remedy; ERR_LIMIT;
 * ERR_NOMEM. Pure. */
enum err users_parse(const char *text, size_t n, struct users **out,
		     char why[USERS_WHY_LEN]) MUST_CHECK;
/* The file, which only its owner may write and not everybody may read. As
 * above, or ERR_NOTFOUND, ERR_IO, ERR_DENIED. */
enum err users_load(const char *path, struct users **out,
		    char why[USERS_WHY_LEN]) MUST_CHECK;
void users_free(struct users *u); /* NULL is fine */

/* Whom a verified client certificate stands for: fingerprint (lower-case hex)
 * first, then subject. False: nobody. */
bool users_by_certificate(const struct users *u, const char *fingerprint,
			  const char *subject, struct user *out);
/* The encoded password of name, and who that is; NULL: none. */
const char *users_by_name(const struct users *u, const char *name,
			  struct user *out);
bool users_have_passwords(const struct users *u);

/* [a-z0-9._-]{1,64}, in any case. */
bool users_name_ok(const char *name);

/* The file's text with name's password line replaced by one with these roles
 * (as in the file) and this encoded password, or with it added: for culvert
 * web passwd. encoded NULL: removed, and every other line of that name with
 * it. The caller frees it with mem_free(); NULL: no memory. */
char *users_edit(const char *text, const char *name, const char *roles,
		 const char *encoded);

#endif
