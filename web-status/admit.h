/* admit.h - the lines of configuration that would let somebody in. */
#ifndef WEB_STATUS_ADMIT_H
#define WEB_STATUS_ADMIT_H

#include <stdbool.h>

#include "policy/config.h"
#include "store/ledger.h"

enum { ADMIT_LEN = 1024 };

/* YAML for the configuration file, or false where no line of it would help
 * (the remedy in words says what does). Peers' text is quoted. Pure. */
bool admit_yaml(const struct config *cfg, const struct ledger_refusal *r,
		char out[ADMIT_LEN]);

#endif
