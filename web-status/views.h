/* views.h - the views that routes.c lists. */
#ifndef WEB_STATUS_VIEWS_H
#define WEB_STATUS_VIEWS_H

#include "web-status/routes.h"

web_view_fn view_now;     /* "/": how things stand */
web_view_fn view_metrics; /* "/metrics" */
web_view_fn view_login;   /* "/login": see page.h */
web_view_fn view_error;   /* in place of what went wrong */

#endif
