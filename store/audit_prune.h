/* audit_prune.h - taking away a month that is older than its retention.
 *
 * Its rows are read and checked once more, a row of its own says that it goes
 * (AUDIT_PRUNED), what stands for its rows from then on is signed and kept in
 * audit-pruned.db, and the file is removed. A month that does not check is not
 * pruned: a signature would wash clean what was done to it. Ledger thread. */
#ifndef STORE_AUDIT_PRUNE_H
#define STORE_AUDIT_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit.h"
#include "store/audit_pruned.h"

enum { AUDIT_PRUNE_ROWS = 10000 }; /* read in one step */

struct audit_prune; /* one month on its way out; opaque */

/* The oldest month that ended before cutoff_ms: *out, or NULL when there is
 * none. Never the one that is written, nor the one with the last row; nor one
 * with a row of a study that is held, nor any when all is held. Errors as
 * audit_append(). */
enum err audit_prune_begin(struct audit *a, int64_t cutoff_ms,
			   struct audit_prune **out) MUST_CHECK;
/* Read on. *done: all is read. ERR_CORRUPT: a row does not check, why says
 * which; the month stays. */
enum err audit_prune_read(struct audit_prune *p, bool *done) MUST_CHECK;
/* Once all is read: the row that says it. */
void audit_prune_event(const struct audit_prune *p, const char *user,
		       struct audit_event *out);
/* Once that row is durable. */
enum err audit_prune_end(struct audit_prune *p) MUST_CHECK;
const char *audit_prune_why(const struct audit_prune *p);
const char *audit_prune_month(const struct audit_prune *p); /* "2026-05" */
uint64_t audit_prune_rows(const struct audit_prune *p);
void audit_prune_free(struct audit_prune *p); /* NULL is fine */

/* The clock and the holds, of the writer's audit-pruned.db; NULL: it cannot be
 * opened just now. */
struct audit_pruned *audit_beside(struct audit *a);

#endif
