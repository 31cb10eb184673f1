/* migrations.h - the schemas, and how an older database becomes a newer one.
 *
 * Scripts are only ever added at the end. user_version is the number of
 * scripts run; each runs in a transaction of its own together with it. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/db.h"

struct migrations {
	const char *what;           /* "ledger": for messages */
	int32_t application_id;     /* tells our files from others */
	const char *const *scripts; /* scripts[v] leads from v to v + 1 */
	int n;
};

extern const struct migrations migrations_ledger;
extern const struct migrations migrations_audit;
extern const struct migrations migrations_pruned; /* audit-pruned.db */

/* Bring db to version m->n.
 *
 *   ERR_UNSUPPORTED  it is newer than this program; untouched
 *   ERR_CORRUPT      not a database of this kind
 *   else             as db_err(): the step that failed was undone
 *
 * why (NULL is fine) in words unless ERR_OK. */
enum err migrations_run(sqlite3 *db, const struct migrations *m,
			char why[DB_WHY_LEN]) MUST_CHECK;

/* For readers: ERR_OK only if db has exactly the version and kind of m;
 * ERR_UNSUPPORTED otherwise, with why. */
enum err migrations_check(sqlite3 *db, const struct migrations *m,
			  char why[DB_WHY_LEN]) MUST_CHECK;

#endif
