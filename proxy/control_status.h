/* control_status.h - what the daemon says of itself, as JSON. */
#ifndef PROXY_CONTROL_STATUS_H
#define PROXY_CONTROL_STATUS_H

#include <jansson.h>
#include <stdint.h>

#include "proxy/control.h"

/* The answer to {"op":"status"}; a new reference, NULL when memory is out. Main
 * loop's thread. */
json_t *control_status(const struct control_options *o, int64_t started_ms);

/* The answer to {"op":"reload"}, likewise: what was taken up ("changed") and
 * what takes a restart ("restart"), each with option, before and after. */
json_t *control_reloaded(const struct reload_result *result);

#endif
