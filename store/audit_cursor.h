/* audit_cursor.h - how far the audit has gone to each repository.
 *
 * repositories.db beside the audit: one row a repository, the last seq of which
 * it is known that it arrived. Losing it repeats messages and loses none. Not
 * part of the audit: it is overwritten all the time.
 *
 * For one thread. */
#ifndef STORE_AUDIT_CURSOR_H
#define STORE_AUDIT_CURSOR_H

#include <stdint.h>

#include "proxy/lib/err.h"

struct audit_cursors; /* opaque */

enum { AUDIT_CURSOR_WHY_LEN = 256 };

/* dir: records.path. A damaged file is moved aside, and logged, and begun anew.
 * ERR_IO, ERR_NOSPACE, ERR_UNSUPPORTED (newer program), ERR_NOMEM; why (NULL is
 * fine) in words. */
enum err audit_cursors_open(const char *dir, struct audit_cursors **out,
			    char why[AUDIT_CURSOR_WHY_LEN]) MUST_CHECK;
void audit_cursors_close(struct audit_cursors *c); /* NULL is fine */

/* What was set last for that repository, 0 when nothing was. */
enum err audit_cursor_get(struct audit_cursors *c, const char *repository,
			  int64_t *seq) MUST_CHECK;
/* Survives the death of the process at once, power loss a little later. */
enum err audit_cursor_set(struct audit_cursors *c, const char *repository,
			  int64_t seq, int64_t wall_ms) MUST_CHECK;

#endif
