/* repository_open.h - what is sealed in the audit's rows, for repositories that
 * may know it.
 *
 * The patient of a study comes from the ledger, a query's identifier from the
 * row itself. */
#ifndef PROXY_REPOSITORY_OPEN_H
#define PROXY_REPOSITORY_OPEN_H

#include <stdbool.h>

#include "proxy/lib/err.h"
#include "proxy/repository.h"

struct repository_opener; /* opaque */
struct spool;

/* records: records.path; spool: borrowed, has the key. ERR_NOMEM, ERR_IO. */
enum err repository_opener_new(const char *records, struct spool *spool,
			       struct repository_opener **out) MUST_CHECK;
/* Wipes what it knows. NULL is fine. */
void repository_opener_free(struct repository_opener *o);

/* For repositories_options.open; arg is the opener. */
bool repository_open(void *arg, const struct audit_row *row,
		     struct repository_opened *out);

#endif
