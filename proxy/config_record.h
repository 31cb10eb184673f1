/* config_record.h - the start, and every changed option, before and after, on
 * record.
 *
 * The configuration in force at each start is kept beside the ledger
 * (records.path/configuration.last), so that what was changed while the daemon
 * did not run is noticed, too. It holds no secret: keys are files, and only
 * their paths stand there. Main thread. */
#ifndef PROXY_CONFIG_RECORD_H
#define PROXY_CONFIG_RECORD_H

#include "policy/change.h"
#include "policy/config.h"

struct ledger;

/* A start row, and a config-changed row for each option that differs from the
 * start before. */
void config_record_start(struct ledger *ledger, const struct config *cfg);

/* A config-changed row. by: "SIGHUP", "uid 1000 alice", "start". */
void config_record_change(struct ledger *ledger, const char *by,
			  const struct config_change *c);

#endif
