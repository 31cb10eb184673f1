/* routes.h - which path shows what.
 *
 * The table is in routes.c; the first route that matches wins. A path that
 * ends in '/' (but "/" itself) takes one more segment, see web_tail(). Who may
 * see it is not said here but in policy/roles.c: a path without a row there is
 * nobody's. */
#ifndef WEB_STATUS_ROUTES_H
#define WEB_STATUS_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "web-status/page.h"

typedef enum web_code web_view_fn(struct web_request *r, struct web_out *o);

/* A source of server-sent events. Writes the data of one event (any text; the
 * server frames its lines) for all viewers of a language: so nothing that only
 * some roles may see. Called once a second while anyone listens, on a thread
 * of its own; r is a request without query, tail, user or roles. False:
 * nothing to say this time. */
typedef bool web_event_fn(struct web_request *r, struct web_out *o);

struct web_route {
	const char *path;
	const char *type;    /* Content-Type; NULL: HTML in UTF-8 */
	web_view_fn *view;   /* exactly one of view and event */
	web_event_fn *event; /* text/event-stream */
};

extern const struct web_route web_routes[];
extern const size_t web_n_routes;

/* The route of a decoded path and where its tail begins; NULL: none. */
const struct web_route *web_route_find(const char *path, const char **tail);

#endif
