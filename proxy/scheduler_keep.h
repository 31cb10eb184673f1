/* scheduler_keep.h - which destinations an operator holds, over restarts: the
 * file "held" beside the ledger, a name a line. */
#ifndef PROXY_SCHEDULER_KEEP_H
#define PROXY_SCHEDULER_KEEP_H

#include <stdbool.h>

#include "policy/config.h"
#include "proxy/lib/err.h"

/* False when it cannot be told. */
bool keep_is_held(const struct config *cfg, const char *destination);
/* Durable when it returns. ERR_IO, ERR_NOSPACE: the file is as it was. */
enum err keep_set_held(const struct config *cfg, const char *destination,
		       bool held) MUST_CHECK;

#endif
