#include "web-status/password.h"

#include <argon2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	COST_PASSES = 3,
	COST_KIB = 32 * 1024,
	COST_LANES = 1,
	COST_KIB_MAX = 256 * 1024, /* of a file made elsewhere */
	COST_PASSES_MAX = 16,
	SALT_LEN = 16,
	HASH_LEN = 32
};

enum err password_encode(const char *password, char out[PASSWORD_ENCODED_LEN])
{
	uint8_t salt[SALT_LEN];
	size_t n = strlen(password);
	int rc;

	if (n < PASSWORD_MIN || n > PASSWORD_MAX)
		return ERR_LIMIT;
	if (getrandom(salt, sizeof(salt), 0) != sizeof(salt))
		return ERR_IO;
	rc = argon2id_hash_encoded(COST_PASSES, COST_KIB, COST_LANES, password,
				   n, salt, sizeof(salt), HASH_LEN, out,
				   PASSWORD_ENCODED_LEN);
	return rc == ARGON2_OK ? ERR_OK : ERR_NOMEM;
}

bool password_is_encoded(const char *text)
{
	unsigned m, t, p;
	int at = 0;

	if (strlen(text) >= PASSWORD_ENCODED_LEN ||
	    sscanf(text, "$argon2id$v=19$m=%7u,t=%3u,p=%2u$%n", &m, &t, &p,
		   &at) != 3 ||
	    at == 0)
		return false;
	return m >= 8 && m <= COST_KIB_MAX && t >= 1 && t <= COST_PASSES_MAX &&
	       p >= 1 && p <= 8;
}

/* Of no password; made with the costs above. */
static const char nobody[] =
    "$argon2id$v=19$m=32768,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

bool password_check(const char *encoded, const char *password)
{
	size_t n = strlen(password);
	bool same =
	    argon2id_verify(encoded != NULL ? encoded : nobody, password,
			    n > PASSWORD_MAX ? 0 : n) == ARGON2_OK;

	return same && encoded != NULL && n <= PASSWORD_MAX;
}
