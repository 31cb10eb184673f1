/* web_child.h - the process of the status page, as the daemon keeps it.
 *
 * `culvert web` is started by fork and exec of this very program, started again
 * when it ends (after a pause that grows while it ends soon), and ended with
 * the daemon. Nothing here waits. The main loop's thread. */
#ifndef PROXY_WEB_CHILD_H
#define PROXY_WEB_CHILD_H

#include <uv.h>

#include "proxy/lib/err.h"

struct config;
struct web_child; /* opaque */

/* Start it, if config has a status page; *out is NULL when it has none. A
 * start that fails is tried again later, and is no error. ERR_NOMEM. */
enum err web_child_start(uv_loop_t *loop, const struct config *config,
			 struct web_child **out) MUST_CHECK;
/* It reads its certificates and users again. NULL is fine. */
void web_child_reload(struct web_child *c);
/* End it: asked at first, killed after a few seconds. Its handles close and it
 * is freed by the loop, later. NULL is fine. */
void web_child_stop(struct web_child *c);

#endif
