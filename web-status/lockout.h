/* lockout.h - how long someone who guesses passwords must wait.
 *
 * Failures are counted three ways: of a name from an address, of an address
 * with any name, of a name from anywhere. After a few free ones each has a
 * delay that doubles. Whoever has logged in from an address before is held up
 * there by the first count alone, so that nobody can lock others out: not from
 * elsewhere, and not from behind the same address. What is refused while a
 * delay runs does not count.
 *
 * Bounded tables; what was longest unused gives way. Times are milliseconds of
 * a monotonic clock that the caller reads. Any thread. */
#ifndef WEB_STATUS_LOCKOUT_H
#define WEB_STATUS_LOCKOUT_H

#include <stdint.h>

struct lockout; /* opaque */

enum {
	LOCKOUT_FREE = 5,                   /* failures without a delay */
	LOCKOUT_FREE_NAME = 10,             /* of a name from anywhere */
	LOCKOUT_FIRST_MS = 1000,            /* the first delay */
	LOCKOUT_MAX_MS = 15 * 60 * 1000,    /* the longest */
	LOCKOUT_NAME_MAX_MS = 60 * 1000,    /* of a name from anywhere */
	LOCKOUT_FORGET_MS = 60 * 60 * 1000, /* after the last failure */
	LOCKOUT_ENTRIES = 1024              /* of each table */
};

/* NULL: no memory. */
struct lockout *lockout_new(void);
void lockout_free(struct lockout *l); /* NULL is fine */

/* Milliseconds to wait before trying; 0: go ahead. */
uint64_t lockout_wait(struct lockout *l, uint64_t now_ms, const char *address,
		      const char *name);
void lockout_failed(struct lockout *l, uint64_t now_ms, const char *address,
		    const char *name);
void lockout_passed(struct lockout *l, uint64_t now_ms, const char *address,
		    const char *name);

#endif
