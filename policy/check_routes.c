/* Routes: what each action can do, what is never taken, what is missing on
 * the way back. */
#include <string.h>

#include "policy/check.h"
#include "policy/match.h"
#include "policy/problem.h"
#include "policy/routes.h"
#include "policy/value.h"

static const char *name_of(unsigned service)
{
	return config_service_name((enum config_service)service);
}

static void no_action(const struct config_route *r, size_t number,
		      struct config_errors *e)
{
	if (r->services == CONFIG_VERIFICATION)
		problem_error(e, r->at,
			      "route %zu needs 'relay', or is not needed: "
			      "C-ECHO is answered here",
			      number);
	else
		problem_error(e, r->at,
			      "route %zu needs one of 'forward', 'relay' and "
			      "'hold'; example: forward: [cloud]",
			      number);
}

void check_actions(struct config *cfg, struct config_errors *e)
{
	for (size_t i = 0; i < cfg->n_routes; i++) {
		struct config_route *r = &cfg->routes[i];
		int given =
		    (r->forward.n > 0) + (r->relay.n > 0) + (r->hold.n > 0);

		r->action = r->relay.n > 0  ? CONFIG_RELAY
			    : r->hold.n > 0 ? CONFIG_HOLD
					    : CONFIG_FORWARD;
		if (given == 0)
			no_action(r, i + 1, e);
		else if (given > 1)
			problem_error(e, r->at,
				      "route %zu has more than one of "
				      "'forward', 'relay' and 'hold'; keep "
				      "one, and give other services a route "
				      "of their own",
				      i + 1);
		else if (r->commit.n > 0 && r->forward.n == 0)
			problem_error(e, r->commit.v[0].at,
				      "'commit' stands beside 'forward' only; "
				      "example: {service: storage, forward: "
				      "[cloud], commit: cloud}");
	}
}

/* What each action can do. */

static const struct config_destination *peer(const struct config *cfg,
					     const struct config_ref *ref)
{
	return &cfg->destinations[ref->index];
}

/* Only storage, and procedure steps, can be answered before anyone else has
 * seen them. */
static bool check_forward_services(const struct config_route *r,
				   struct config_errors *e)
{
	unsigned wrong =
	    r->services & ~(unsigned)(CONFIG_STORAGE | CONFIG_MPPS);
	unsigned bit = 1;

	if (wrong == 0)
		return true;
	while ((wrong & bit) == 0)
		bit <<= 1;
	if (bit == CONFIG_COMMITMENT)
		problem_error(e, r->at,
			      "commitment cannot be forwarded; use 'hold', so "
			      "that it waits for the instances it names; "
			      "example: {service: commitment, hold: %s}",
			      r->forward.v[0].name);
	else
		problem_error(e, r->at,
			      "%s cannot be forwarded: its answer comes from "
			      "the other side, at once; example: {service: "
			      "%s, relay: %s}",
			      name_of(bit), name_of(bit), r->forward.v[0].name);
	return false;
}

static bool check_dicom(const struct config *cfg, const struct config_ref *ref,
			const char *what, struct config_errors *e)
{
	switch (peer(cfg, ref)->protocol) {
	case CONFIG_DICOM:
	case CONFIG_DICOM_TLS:
		return true;
	case CONFIG_DIRECTORY:
	case CONFIG_LINK:
		break;
	}
	problem_error(e, ref->at,
		      "destination '%s' is a %s, which carries instances only: "
		      "%s needs one with protocol dicom-tls or dicom",
		      ref->name, config_protocol_name(peer(cfg, ref)->protocol),
		      what);
	return false;
}

static bool check_commit(const struct config *cfg, const struct config_route *r,
			 struct config_errors *e)
{
	const struct config_ref *ref = r->commit.v;

	if (r->commit.n == 0)
		return true;
	if ((r->services & CONFIG_STORAGE) == 0) {
		problem_error(e, ref->at,
			      "'commit' is for service storage; leave it out");
		return false;
	}
	if (!match_ref(&r->forward, ref->index)) {
		problem_error(e, ref->at,
			      "'commit' must be one of the destinations of "
			      "'forward', and '%s' is not; example: {service: "
			      "storage, forward: [%s], commit: %s}",
			      ref->name, ref->name, ref->name);
		return false;
	}
	return check_dicom(cfg, ref, "'commit'", e);
}

static bool check_forward(const struct config *cfg,
			  const struct config_route *r, struct config_errors *e)
{
	if (r->forward.n > CONFIG_FORWARD_MAX) {
		problem_error(e, r->at,
			      "a route forwards to at most %d destinations",
			      CONFIG_FORWARD_MAX);
		return false;
	}
	if (!check_forward_services(r, e))
		return false;
	for (size_t i = 0; (r->services & CONFIG_MPPS) != 0 && i < r->forward.n;
	     i++)
		if (!check_dicom(cfg, &r->forward.v[i], "service mpps", e))
			return false;
	return check_commit(cfg, r, e);
}

static bool check_hold(const struct config *cfg, const struct config_route *r,
		       struct config_errors *e)
{
	if (r->services != CONFIG_COMMITMENT) {
		problem_error(e, r->at,
			      "'hold' is for service commitment and nothing "
			      "else; example: {service: commitment, hold: %s}",
			      r->hold.v[0].name);
		return false;
	}
	return check_dicom(cfg, &r->hold.v[0], "'hold'", e);
}

static bool check_action(const struct config *cfg, const struct config_route *r,
			 struct config_errors *e)
{
	switch (r->action) {
	case CONFIG_FORWARD:
		return check_forward(cfg, r, e);
	case CONFIG_RELAY:
		return check_dicom(cfg, &r->relay.v[0], "'relay'", e);
	case CONFIG_HOLD:
		return check_hold(cfg, r, e);
	}
	return false;
}

/* What is never taken. */

static bool route_reachable(const struct config *cfg,
			    const struct config_route *r)
{
	for (size_t i = 0; i < cfg->n_devices; i++)
		if (match_taken(cfg, r, i) != 0)
			return true;
	return false;
}

static bool called_somewhere(const struct config *cfg,
			     const struct config_route *r, const char *ae)
{
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (match_ref_or_any(&r->listeners, i) &&
		    (cfg->listeners[i].protocol == CONFIG_LINK ||
		     match_ae(&cfg->listeners[i].ae_titles, ae)))
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

/* A route may be taken for some of its services and never for others. */
static bool check_shadow(const struct config *cfg, size_t index,
			 struct config_errors *e)
{
	const struct config_route *r = &cfg->routes[index];
	unsigned left = r->services;

	for (size_t i = 0; i < index; i++) {
		const struct config_route *first = &cfg->routes[i];
		unsigned gone = left & route_shadowed(first, r);

		left &= ~gone;
		if (left == 0) {
			problem_error(e, r->at,
				      "this route is never taken: the one in "
				      "line %d comes first and takes all of "
				      "the same; put the special one first",
				      first->at.line);
			return false;
		}
		for (unsigned bit = 1; bit <= gone; bit <<= 1)
			if ((gone & bit) != 0 && !r->implied)
				problem_warning(
				    e, r->at,
				    "this route is never taken for %s: the "
				    "one in line %d comes first; put the "
				    "special one first",
				    name_of(bit), first->at.line);
	}
	return true;
}

/* The way back of a held request. */

/* Whether an earlier route takes all of the device's commitment. */
static bool taken_before(const struct config *cfg, size_t index, size_t device)
{
	struct config_ref ref = {.index = device};
	struct config_route narrow = cfg->routes[index];

	narrow.devices = (struct config_refs){1, &ref};
	for (size_t i = 0; i < index; i++)
		if (route_shadows(&cfg->routes[i], &narrow))
			return true;
	return false;
}

static bool has_address(const struct config_device *d, const char *host)
{
	uint8_t address[16];

	if (!value_address(host, address))
		return false;
	for (size_t i = 0; i < d->addresses.n; i++)
		if (match_address(&d->addresses.v[i], address))
			return true;
	return false;
}

static bool has_san(const struct config_device *d, const char *name)
{
	for (size_t i = 0; i < d->certificate.sans.n; i++)
		if (strcasecmp(d->certificate.sans.v[i], name) == 0)
			return true;
	return false;
}

/* Whether d is that destination calling back, with its reports: by AE title,
 * address or the name in its certificate. */
static bool is_destination(const struct config_device *d,
			   const struct config_destination *t)
{
	if (t->ae_title[0] != '\0' && match_ae(&d->ae_titles, t->ae_title))
		return true;
	if (t->tls.server_name[0] != '\0' && has_san(d, t->tls.server_name))
		return true;
	for (size_t i = 0; i < t->endpoints.n; i++)
		if (has_address(d, t->endpoints.v[i].host) ||
		    has_san(d, t->endpoints.v[i].host))
			return true;
	return false;
}

/* Whether what the device stores may reach that destination from here. */
static bool stores_at(const struct config *cfg, size_t device, size_t to)
{
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct config_route *r = &cfg->routes[i];

		if (match_ref(&r->forward, to) &&
		    (match_taken(cfg, r, device) & CONFIG_STORAGE) != 0)
			return true;
	}
	return false;
}

static void check_held(const struct config *cfg, const struct config_route *r,
		       size_t device, struct config_errors *e)
{
	const struct config_device *d = &cfg->devices[device];
	const struct config_destination *to = peer(cfg, &r->hold.v[0]);

	if (is_destination(d, to))
		return;
	if (config_device_destination(cfg, device) < 0)
		problem_error(
		    e, check_at(cfg, "devices", d->name, "port", d->at),
		    "device '%s' may ask for commitment (line %d), so it "
		    "needs 'port' and one single address, for the report; "
		    "example: port: 104. If it is destination '%s' calling "
		    "back, give it the AE title, address or certificate of "
		    "that; if neither, take commitment from its services",
		    d->name, r->at.line, to->name);
	else if ((d->services & CONFIG_STORAGE) != 0 &&
		 !stores_at(cfg, device, r->hold.v[0].index))
		problem_warning(e, r->at,
				"what device '%s' stores is not forwarded to "
				"'%s', so a request held for it knows none of "
				"it; forward it there, or use {service: "
				"commitment, relay: %s}",
				d->name, to->name, to->name);
}

static void check_route(const struct config *cfg, size_t index,
			struct config_errors *e)
{
	const struct config_route *r = &cfg->routes[index];

	if (!check_action(cfg, r, e) || !check_called(cfg, r, e) ||
	    !check_shadow(cfg, index, e))
		return;
	if (cfg->n_devices > 0 && !route_reachable(cfg, r))
		problem_error(e, r->at,
			      "this route is never taken: no device that it "
			      "is for can arrive at its listeners with that "
			      "service and called AE title");
	for (size_t i = 0; r->action == CONFIG_HOLD && i < cfg->n_devices; i++)
		if (match_taken(cfg, r, i) != 0 && !taken_before(cfg, index, i))
			check_held(cfg, r, i, e);
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
