/* password.h - passwords by argon2id (RFC 9106); the owner of libargon2.
 *
 * A check takes about a tenth of a second and 32 MiB on purpose: callers see to
 * it that few run at once. Any thread. */
#ifndef WEB_STATUS_PASSWORD_H
#define WEB_STATUS_PASSWORD_H

#include <stdbool.h>

#include "proxy/lib/err.h"

enum {
	PASSWORD_ENCODED_LEN = 128, /* NUL included */
	PASSWORD_MIN = 10,          /* characters of a new one */
	PASSWORD_MAX = 128          /* bytes */
};

/* "$argon2id$v=19$m=...": salt from the kernel. ERR_LIMIT: too long or too
 * short; ERR_NOMEM; ERR_IO: no random bytes. */
enum err password_encode(const char *password,
			 char out[PASSWORD_ENCODED_LEN]) MUST_CHECK;

/* Whether text could be such a one, with costs that are not beyond reason. */
bool password_is_encoded(const char *text);

/* encoded NULL: takes as long, and is false: for names that do not exist. */
bool password_check(const char *encoded, const char *password);

#endif
