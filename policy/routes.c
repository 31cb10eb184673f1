#include "policy/routes.h"

#include "policy/devices.h"
#include "policy/match.h"

static bool takes(const struct config_route *r, const struct route_query *q,
		  const char *called)
{
	return (r->services & (unsigned)q->service) != 0 &&
	       match_ref_or_any(&r->listeners, q->listener) &&
	       match_ref_or_any(&r->devices, q->device) &&
	       match_ae_or_any(&r->called, called);
}

/* What comes over a link is storage. */
static bool may(const struct config *cfg, const struct route_query *q)
{
	const struct config_device *d = &cfg->devices[q->device];

	if (cfg->listeners[q->listener].protocol == CONFIG_LINK)
		return q->service == CONFIG_STORAGE &&
		       device_may(d, CONFIG_LINK_SERVICE);
	return device_may(d, q->service);
}

const struct config_route *route_resolve(const struct config *cfg,
					 const struct route_query *q)
{
	char called[CONFIG_AE_LEN];

	if (!may(cfg, q))
		return NULL;
	match_trim_ae(q->called_ae, called);
	for (size_t i = 0; i < cfg->n_routes; i++)
		if (takes(&cfg->routes[i], q, called))
			return &cfg->routes[i];
	return NULL;
}

static bool covers_refs(const struct config_refs *wide,
			const struct config_refs *narrow)
{
	if (wide->n == 0)
		return true;
	for (size_t i = 0; i < narrow->n; i++)
		if (!match_ref(wide, narrow->v[i].index))
			return false;
	return narrow->n > 0;
}

static bool covers_aes(const struct config_aes *wide,
		       const struct config_aes *narrow)
{
	if (wide->n == 0)
		return true;
	for (size_t i = 0; i < narrow->n; i++)
		if (!match_ae(wide, narrow->v[i]))
			return false;
	return narrow->n > 0;
}

unsigned route_shadowed(const struct config_route *earlier,
			const struct config_route *later)
{
	if (!covers_refs(&earlier->listeners, &later->listeners) ||
	    !covers_refs(&earlier->devices, &later->devices) ||
	    !covers_aes(&earlier->called, &later->called))
		return 0;
	return earlier->services & later->services;
}

bool route_shadows(const struct config_route *earlier,
		   const struct config_route *later)
{
	return route_shadowed(earlier, later) == later->services;
}
