/* Devices and routes: who overlaps with whom, and what nobody can reach. */
#include <string.h>

#include "policy/check.h"
#include "policy/match.h"
#include "policy/problem.h"
#include "policy/routes.h"

static bool common_ae(const struct config_aes *a, const struct config_aes *b,
		      const char **out)
{
	for (size_t i = 0; i < a->n; i++) {
		if (!match_ae(b, a->v[i]))
			continue;
		*out = a->v[i];
		return true;
	}
	return false;
}

static bool common_network(const struct config_device *a,
			   const struct config_device *b,
			   char out[CONFIG_NETWORK_TEXT_LEN])
{
	for (size_t i = 0; i < a->addresses.n; i++) {
		for (size_t j = 0; j < b->addresses.n; j++) {
			const struct config_network *x = &a->addresses.v[i];
			const struct config_network *y = &b->addresses.v[j];

			if (!match_overlap(x, y))
				continue;
			config_network_text(x->prefix > y->prefix ? x : y, out);
			return true;
		}
	}
	return false;
}

static bool common_listener(const struct config_device *a,
			    const struct config_device *b)
{
	if (a->listeners.n == 0 || b->listeners.n == 0)
		return true;
	for (size_t i = 0; i < a->listeners.n; i++)
		if (match_ref(&b->listeners, a->listeners.v[i].index))
			return true;
	return false;
}

static void check_overlap(const struct config_device *a,
			  const struct config_device *b,
			  struct config_errors *e)
{
	char net[CONFIG_NETWORK_TEXT_LEN];
	const char *ae, *called;

	if (!common_ae(&a->ae_titles, &b->ae_titles, &ae) ||
	    !common_network(a, b, net) || !common_listener(a, b))
		return;
	if (a->called.n > 0 && b->called.n > 0 &&
	    !common_ae(&a->called, &b->called, &called))
		return;
	problem_error(e, b->at,
		      "devices '%s' (line %d) and '%s' both have AE title "
		      "'%s' and address %s: nobody could tell them apart; "
		      "change one of them",
		      a->name, a->at.line, b->name, ae, net);
}

static bool can_call(const struct config_device *d,
		     const struct config_listener *l)
{
	const char *ae;

	return d->called.n == 0 || common_ae(&d->called, &l->ae_titles, &ae);
}

static void check_reach(const struct config *cfg, const struct config_device *d,
			struct config_errors *e)
{
	bool reaches = false, calls = false;

	for (size_t i = 0; i < cfg->n_listeners; i++) {
		if (!match_reaches(cfg, d, i))
			continue;
		reaches = true;
		calls = calls || can_call(d, &cfg->listeners[i]);
	}
	if (cfg->n_listeners > 0 && !reaches)
		problem_error(e, d->at,
			      "device '%s' cannot arrive at any listener: "
			      "compare its address, its listeners and, if it "
			      "has a certificate, whether a listener has "
			      "protocol dicom-tls",
			      d->name);
	else if (reaches && !calls)
		problem_error(
		    e, check_at(cfg, "devices", d->name, "called", d->at),
		    "no listener that device '%s' reaches answers "
		    "to these called AE titles; add one to "
		    "'ae_titles' there",
		    d->name);
}

static void check_identity(const struct config *cfg,
			   const struct config_device *d,
			   struct config_errors *e)
{
	struct config_mark at;

	if (match_needs_certificate(d))
		return;
	if (match_ae(&d->ae_titles, "*")) {
		at = check_at(cfg, "devices", d->name, "ae_title", d->at);
		problem_error(e, at,
			      "device '%s' takes any AE title, so it needs a "
			      "certificate to be known by; example: "
			      "certificate: {san: ct2.clinic.example}",
			      d->name);
	}
	for (size_t i = 0; i < d->addresses.n; i++) {
		at = check_at(cfg, "devices", d->name, "address", d->at);
		if (d->addresses.v[i].prefix == 0 ||
		    (d->addresses.v[i].prefix == 96 &&
		     d->addresses.v[i].address[10] == 0xff))
			problem_warning(e, at,
					"device '%s' may call from any "
					"address; name its own",
					d->name);
	}
}

const char *config_service_name(enum config_service service)
{
	switch (service) {
	case CONFIG_STORAGE:
		return "storage";
	case CONFIG_VERIFICATION:
		return "verification";
	case CONFIG_WORKLIST:
		return "worklist";
	case CONFIG_QUERY:
		return "query";
	case CONFIG_MPPS:
		return "mpps";
	case CONFIG_COMMITMENT:
		return "commitment";
	case CONFIG_PRINT:
		return "print";
	case CONFIG_OTHER:
		return "other";
	}
	return "?";
}

const char *config_action_name(enum config_action action)
{
	switch (action) {
	case CONFIG_FORWARD:
		return "forward";
	case CONFIG_RELAY:
		return "relay";
	case CONFIG_HOLD:
		return "hold";
	}
	return "?";
}

static void check_services(const struct config *cfg,
			   const struct config_device *d,
			   struct config_errors *e)
{
	struct config_mark at =
	    check_at(cfg, "devices", d->name, "services", d->at);

	for (unsigned bit = CONFIG_WORKLIST; bit <= CONFIG_COMMITMENT;
	     bit <<= 1)
		if ((d->services & bit) != 0)
			problem_warning(
			    e, at,
			    "service %s is not in this version: it will be "
			    "refused to device '%s'",
			    config_service_name((enum config_service)bit),
			    d->name);
}

static bool route_takes(const struct config *cfg, const struct config_route *r,
			size_t device)
{
	const struct config_device *d = &cfg->devices[device];
	const char *ae;

	if ((r->services & d->services) == 0 ||
	    !match_ref_or_any(&r->devices, device))
		return false;
	if (r->called.n > 0 && d->called.n > 0 &&
	    !common_ae(&r->called, &d->called, &ae))
		return false;
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (match_ref_or_any(&r->listeners, i) &&
		    match_reaches(cfg, d, i) &&
		    (r->called.n == 0 ||
		     common_ae(&r->called, &cfg->listeners[i].ae_titles, &ae)))
			return true;
	return false;
}

static bool is_routed(const struct config *cfg, size_t device)
{
	for (size_t i = 0; i < cfg->n_routes; i++)
		if (route_takes(cfg, &cfg->routes[i], device))
			return true;
	return false;
}

void check_devices(const struct config *cfg, struct config_errors *e)
{
	if (cfg->n_devices == 0)
		problem_warning(e, (struct config_mark){0, 0},
				"no 'devices': every peer will be refused; "
				"example: devices: {ct-room-2: {ae_title: CT2, "
				"address: 10.1.4.20}}");
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct config_device *d = &cfg->devices[i];

		if (e->n_errors > CONFIG_PROBLEMS_MAX)
			return;
		for (size_t j = 0; j < i; j++)
			check_overlap(&cfg->devices[j], d, e);
		check_reach(cfg, d, e);
		check_identity(cfg, d, e);
		check_services(cfg, d, e);
		if ((d->services & CONFIG_STORAGE) != 0 && !is_routed(cfg, i))
			problem_warning(e, d->at,
					"device '%s' may store, but no route "
					"takes what it sends: it will be "
					"refused",
					d->name);
	}
}

static bool route_reachable(const struct config *cfg,
			    const struct config_route *r)
{
	for (size_t i = 0; i < cfg->n_devices; i++)
		if (route_takes(cfg, r, i))
			return true;
	return false;
}

static bool called_somewhere(const struct config *cfg,
			     const struct config_route *r, const char *ae)
{
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (match_ref_or_any(&r->listeners, i) &&
		    match_ae(&cfg->listeners[i].ae_titles, ae))
			return true;
	return false;
}

static bool check_called(const struct config *cfg, const struct config_route *r,
			 struct config_errors *e)
{
	bool ok = true;

	for (size_t i = 0; i < r->called.n; i++) {
		if (called_somewhere(cfg, r, r->called.v[i]))
			continue;
		problem_error(e, r->at,
			      "no listener of this route answers to called AE "
			      "title '%s'; add it to 'ae_titles' there",
			      r->called.v[i]);
		ok = false;
	}
	return ok;
}

static bool check_shadow(const struct config *cfg, size_t index,
			 struct config_errors *e)
{
	for (size_t i = 0; i < index; i++) {
		if (!route_shadows(&cfg->routes[i], &cfg->routes[index]))
			continue;
		problem_error(e, cfg->routes[index].at,
			      "this route is never taken: route %zu (line %d) "
			      "comes first and takes all of the same; put the "
			      "special one first",
			      i + 1, cfg->routes[i].at.line);
		return false;
	}
	return true;
}

static void check_route(const struct config *cfg, size_t index,
			struct config_errors *e)
{
	const struct config_route *r = &cfg->routes[index];

	if (r->forward.n > CONFIG_FORWARD_MAX)
		problem_error(e, r->at,
			      "a route forwards to at most %d destinations",
			      CONFIG_FORWARD_MAX);
	if (!check_called(cfg, r, e) || !check_shadow(cfg, index, e))
		return;
	if (cfg->n_devices > 0 && !route_reachable(cfg, r))
		problem_error(e, r->at,
			      "this route is never taken: no device that it "
			      "is for can arrive at its listeners with that "
			      "service and called AE title");
}

void check_routes(const struct config *cfg, struct config_errors *e)
{
	if (cfg->n_routes == 0)
		problem_warning(e, (struct config_mark){0, 0},
				"no 'routes': nothing is taken for storage; "
				"example: routes: [{service: storage, "
				"forward: [cloud]}]");
	for (size_t i = 0; i < cfg->n_routes; i++) {
		if (e->n_errors > CONFIG_PROBLEMS_MAX)
			return;
		check_route(cfg, i, e);
	}
}
