/* control_page.h - the process of the status page at the control socket.
 *
 * It runs as the daemon's own user, but is the one that strangers speak to. So
 * it marks itself before it begins, and the daemon serves a process that bears
 * the mark no more than pages need: a page that somebody has taken over steers
 * no queue, erases nothing, opens no patient's value and reads no image.
 *
 * The mark is a hard limit of no bytes for POSIX message queues, which nothing
 * here uses: the kernel hands it on to all children, and without
 * CAP_SYS_RESOURCE nobody takes it off. */
#ifndef PROXY_CONTROL_PAGE_H
#define PROXY_CONTROL_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "proxy/lib/err.h"

struct config;
struct control_peer;

/* This process, and all that it begins, is the page's. Any time; before there
 * are threads is best. ERR_IO: the kernel does not take it. */
enum err control_page_mark(void) MUST_CHECK;

/* Whether process pid of our own user bears the mark; true too when it is gone
 * or cannot be asked. */
bool control_page_is(pid_t pid);

/* What a page's process may not ask in words, or NULL. "as" has been taken
 * into account. Where the page has no log-in its viewers are operators. */
const char *control_page_refuses(const struct config *config,
				 const struct control_peer *peer,
				 const char *op,
				 const json_t *request) MUST_CHECK;

#endif
