/* session.h - who is logged in, in memory only: a restart ends all.
 *
 * Tokens are 256 random bits in hex; what is kept of one is compared in
 * constant time. Times are milliseconds of a monotonic clock that the caller
 * reads. Any thread. */
#ifndef WEB_STATUS_SESSION_H
#define WEB_STATUS_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "web-status/users.h"

enum {
	SESSIONS_MAX = 256,     /* at once; the one longest unused gives way */
	SESSIONS_PER_USER = 16, /* likewise */
};

struct sessions; /* opaque */

struct session {
	uint64_t id; /* never 0, never twice */
	struct user user;
	uint64_t stamp; /* as given to sessions_begin() */
	char csrf[WEB_TOKEN_LEN];
};

/* NULL: no memory. */
struct sessions *sessions_new(uint64_t idle_ms, uint64_t lifetime_ms);
void sessions_free(struct sessions *s); /* NULL is fine */

/* stamp: of the credentials; a session whose stamp no longer fits is the
 * caller's to end. ERR_IO: no random bytes. */
enum err sessions_begin(struct sessions *s, uint64_t now_ms,
			const struct user *who, uint64_t stamp,
			char token[WEB_TOKEN_LEN]) MUST_CHECK;
/* Still valid; counts as use. out may be NULL. */
bool sessions_find(struct sessions *s, uint64_t now_ms, const char *token,
		   struct session *out);
/* Still valid, without counting as use. */
bool sessions_alive(struct sessions *s, uint64_t now_ms, uint64_t id);
void sessions_end(struct sessions *s, uint64_t id);
unsigned sessions_count(struct sessions *s, uint64_t now_ms);

/* 256 random bits in hex. ERR_IO. */
enum err token_make(char out[WEB_TOKEN_LEN]) MUST_CHECK;
/* In constant time for two of the same length. */
bool token_same(const char *a, const char *b);

#endif
