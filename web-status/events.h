/* events.h - server-sent events (WHATWG HTML, section 9.2): many viewers, one
 * snapshot a second for all of them in a language. */
#ifndef WEB_STATUS_EVENTS_H
#define WEB_STATUS_EVENTS_H

#include "web-status/server_int.h"

enum { EVENTS_VIEWERS_MAX = 64 };

struct web_events;

enum err events_start(struct web_server *s, struct web_events **out) MUST_CHECK;
/* Let every viewer go; the HTTP threads still run. */
void events_stop(struct web_events *e);
/* After HTTP has ended. NULL is fine. */
void events_free(struct web_events *e);

/* A viewer of r's route. NULL: too many, or no memory. */
struct MHD_Response *events_response(struct web_request *r);

#endif
