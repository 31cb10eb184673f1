#include "web-status/routes.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/views.h"

const struct web_route web_routes[] = {
    {"/", NULL, view_now, NULL},
    {"/wall", NULL, view_wall, NULL},
    {"/events", "text/event-stream", NULL, event_now},
    {"/series", "application/json", view_series, NULL},
    {"/transfers", NULL, view_transfers, NULL},
    {"/transfers/export", NULL, view_transfers_export, NULL},
    {"/transfers/receipt", NULL, view_receipt, NULL},
    {"/transfers/", NULL, view_study, NULL},
    {"/refused", NULL, view_refused, NULL},
    {"/audit", NULL, view_audit, NULL},
    {"/audit/export", NULL, view_audit_export, NULL},
    {"/configuration", NULL, view_configuration, NULL},
    {"/metrics", NULL, view_metrics, NULL},
};

const size_t web_n_routes = ARRAY_LEN(web_routes);

static bool matches(const char *route, const char *path, const char **tail)
{
	size_t n = strlen(route);

	*tail = "";
	if (strcmp(route, path) == 0)
		return n == 1 || route[n - 1] != '/';
	if (n < 2 || route[n - 1] != '/' || strncmp(route, path, n) != 0)
		return false;
	*tail = path + n;
	return strchr(*tail, '/') == NULL;
}

const struct web_route *web_route_find(const char *path, const char **tail)
{
	for (size_t i = 0; i < web_n_routes; i++)
		if (matches(web_routes[i].path, path, tail))
			return &web_routes[i];
	return NULL;
}
