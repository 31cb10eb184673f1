/* routes.h - where a presentation context goes: the first route that matches.
 *
 * Pure: no I/O, no allocation, no clock. Any thread. */
#ifndef POLICY_ROUTES_H
#define POLICY_ROUTES_H

#include "policy/config.h"

struct route_query {
	size_t listener;       /* index into cfg->listeners */
	size_t device;         /* index into cfg->devices */
	const char *called_ae; /* trimmed or padded */
	enum config_service service;
};

/* The route for q, or NULL: no route, or the device may not use the service.
 * Its action says which list of it holds the destinations: the index of each
 * is into cfg->destinations. */
const struct config_route *route_resolve(const struct config *cfg,
					 const struct route_query *q);

/* The services of later for which every query that it matches is already
 * taken by earlier: bits of enum config_service. */
unsigned route_shadowed(const struct config_route *earlier,
			const struct config_route *later);

/* Whether these are all of its services. */
bool route_shadows(const struct config_route *earlier,
		   const struct config_route *later);

#endif
