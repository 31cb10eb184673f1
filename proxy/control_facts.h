/* control_facts.h - parts of the status that are not of the scheduler:
 * certificates and how long they last, disks, and what a person must look at.
 *
 * Main loop's thread, but for control_certificates_read(). jansson's values are
 * new references; NULL when memory is out. */
#ifndef PROXY_CONTROL_FACTS_H
#define PROXY_CONTROL_FACTS_H

#include <jansson.h>

#include "proxy/control.h"

/* [{"used_by":"listener secure","file":path,"subject":...,"not_after_ms":n,
 * "days_left":n}], or with "error" instead of the last three. Read again at
 * most once a minute: a few small files. */
json_t *control_certificates(const struct config *cfg);

/* [{"path":"/var/lib/culvert/spool","of":"spool","free":n,"total":n}] */
json_t *control_disks(const struct config *cfg);

/* Everything in the status so far that needs a person:
 * [{"code":"CV7001","of":"spool","text":...,"severity":"error"}], those that
 * are worse first. code "" where the text names none. */
json_t *control_alerts(const json_t *status);

/* Adds to each destination what its queue is: "queued_bytes", "quarantined",
 * "oldest_ms" (when the oldest came; 0 none), "rate": bytes a second delivered
 * of late, and "drain_s": when the queue will be empty at that rate, -1 when at
 * that it never will. The rate is what was delivered since it was last asked
 * for, at least RATE_MS ago. */
enum { CONTROL_RATE_MS = 5000 };
void control_queue_facts(json_t *destinations, struct ledger *ledger);

#endif
