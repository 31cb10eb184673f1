/* negotiate.c - each context on its own: taken here, live, or refused. */
#include "proxy/negotiate.h"

#include <string.h>

#include "policy/routes.h"
#include "policy/services.h"
#include "proxy/destination.h"
#include "proxy/lib/mem.h"

/* How long an answer of a destination is good before it is asked again. */
enum { FRESH_MS = 10 * 60 * 1000 };

/* ---- what a destination takes ------------------------------------------ */

static bool listed(const struct config_destination *d, const char *ts)
{
	for (size_t i = 0; i < d->accept.n; i++) {
		if (strcmp(d->accept.v[i], ts) == 0)
			return true;
	}
	return false;
}

static bool destination_takes(const struct negotiation *n,
			      const struct config_destination *d,
			      const char *abstract, const char *ts)
{
	char calling[AE_SIZE], called[AE_SIZE];
	struct capability_key key = {.destination = d->name,
				     .calling_ae = calling,
				     .called_ae = called,
				     .abstract = abstract,
				     .transfer_syntax = ts};
	uint64_t age_ms;

	if (d->protocol == CONFIG_DIRECTORY)
		return true;
	destination_aes(d, n->rq->calling_ae, n->rq->called_ae, calling,
			called);
	switch (capability_lookup(n->capabilities, &key, &age_ms)) {
	case CAPABILITY_UNKNOWN:
		capability_want(n->capabilities, &key);
		return listed(d, ts);
	case CAPABILITY_ACCEPTED:
		if (age_ms > FRESH_MS)
			capability_want(n->capabilities, &key);
		return true;
	case CAPABILITY_REFUSED:
		if (age_ms > FRESH_MS)
			capability_want(n->capabilities, &key);
		return false;
	}
	return false;
}

static bool all_take(const struct negotiation *n,
		     const struct config_route *route, const char *abstract,
		     const char *ts)
{
	bool all = true;

	/* every destination is asked, so that the prober learns of them all */
	for (size_t i = 0; i < route->forward.n; i++) {
		size_t d = route->forward.v[i].index;

		if (!destination_takes(n, &n->config->destinations[d], abstract,
				       ts))
			all = false;
	}
	return all;
}

/* ---- the ways ---------------------------------------------------------- */

/* One context under decision. */
struct deciding {
	struct negotiation *n;
	const struct assoc_context *c;
	struct planned_context *p;
};

static const struct config_route *route_for(const struct deciding *d,
					    enum config_service service)
{
	struct route_query q = {.listener = d->n->listener,
				.device = d->n->device,
				.called_ae = d->n->rq->called_ae,
				.service = service};

	return route_resolve(d->n->config, &q);
}

static bool is_declared(const struct deciding *d, unsigned service)
{
	return (d->n->config->devices[d->n->device].services & service) != 0;
}

static void refuse(struct deciding *d, uint8_t result)
{
	d->p->result = result;
}

static void take_here(struct deciding *d, enum context_way way, const char *ts)
{
	d->p->here = true;
	d->p->result = CONTEXT_ACCEPTED;
	d->p->agreed.way = way;
	memcpy(d->p->agreed.transfer_syntax, ts, strlen(ts) + 1);
}

/* The leg to a destination, a new one if need be. -1: too many. */
static int leg_to(struct negotiation *n, size_t destination)
{
	size_t i = 0;

	while (i < n->n_legs && n->destinations[i] != destination)
		i++;
	if (i == NEGOTIATE_LEGS)
		return -1;
	if (i == n->n_legs)
		n->destinations[n->n_legs++] = destination;
	return (int)i;
}

static void send_up(struct deciding *d, const struct config_route *route,
		    uint64_t syntaxes)
{
	d->p->agreed.leg = leg_to(d->n, config_route_peer(route));
	d->p->syntaxes = syntaxes;
	d->p->up_result = CONTEXT_NO_REASON;
	if (!d->p->here)
		d->p->agreed.way = WAY_RELAY;
}

/* Bits of the transfer syntaxes that all destinations of the route accept. */
static uint64_t forward_syntaxes(const struct deciding *d,
				 const struct config_route *route)
{
	uint64_t taken = 0;

	for (size_t i = 0; i < d->c->n_ts; i++) {
		const char *ts = assoc_ts(d->n->rq, d->c, i);

		if (all_take(d->n, route, d->c->abstract, ts))
			taken |= UINT64_C(1) << i;
	}
	return taken;
}

/* Take it here with the first that all accept. */
static void take_forward(struct deciding *d, enum context_way way,
			 const struct config_route *route)
{
	d->p->agreed.route = route;
	d->p->forward = forward_syntaxes(d, route);
	refuse(d, CONTEXT_TRANSFER_SYNTAXES);
	for (size_t i = 0; i < d->c->n_ts && !d->p->here; i++) {
		if ((d->p->forward >> i & 1) != 0)
			take_here(d, way, assoc_ts(d->n->rq, d->c, i));
	}
}

/* What comes in the SCP role comes from where queries go. */
static void decide_retrieve(struct deciding *d, uint64_t syntaxes)
{
	const struct config_route *query = route_for(d, CONFIG_QUERY);

	if (query == NULL || query->action != CONFIG_RELAY)
		return;
	if (d->p->agreed.route == NULL)
		d->p->agreed.route = query;
	send_up(d, query, syntaxes);
}

static void decide_storage(struct deciding *d)
{
	const struct config_route *route = NULL;

	refuse(d, CONTEXT_USER_REJECTED);
	if (is_declared(d, CONFIG_STORAGE))
		route = route_for(d, CONFIG_STORAGE);
	else
		d->p->scu = false; /* it may retrieve only */
	if (route != NULL && route->action == CONFIG_RELAY && d->p->scu) {
		d->p->agreed.route = route;
		send_up(d, route, UINT64_MAX);
	} else if (route != NULL && d->p->scu) {
		take_forward(d, WAY_STORE, route);
		if (d->p->scp && d->p->here)
			decide_retrieve(d, d->p->forward);
	} else if (d->p->scp) {
		/* some store all the same: taken where that is possible */
		if (route != NULL && route->action == CONFIG_FORWARD) {
			d->p->agreed.route = route;
			d->p->forward = forward_syntaxes(d, route);
		}
		decide_retrieve(d, UINT64_MAX);
	}
}

/* A C-ECHO has no data set: any of its transfer syntaxes will do. */
static void decide_verification(struct deciding *d)
{
	const struct config_route *route = route_for(d, CONFIG_VERIFICATION);

	if (route != NULL && route->action == CONFIG_RELAY) {
		d->p->agreed.route = route;
		send_up(d, route, UINT64_MAX);
	} else if (d->c->n_ts == 0) {
		refuse(d, CONTEXT_TRANSFER_SYNTAXES);
	} else {
		take_here(d, WAY_ECHO, assoc_ts(d->n->rq, d->c, 0));
	}
}

/* A data set that is read here: one of the encodings that we read. */
static void take_readable(struct deciding *d, enum context_way way)
{
	refuse(d, CONTEXT_TRANSFER_SYNTAXES);
	for (size_t i = 0; i < d->c->n_ts && !d->p->here; i++) {
		const char *ts = assoc_ts(d->n->rq, d->c, i);

		if (strcmp(ts, UID_IMPLICIT_LE) == 0 ||
		    strcmp(ts, UID_EXPLICIT_LE) == 0)
			take_here(d, way, ts);
	}
}

/* Requests of a device are held for their destination; reports of an archive,
 * which calls back in the SCP role (PS3.4 J.3.3), end here. Some leave the
 * role out. */
static void decide_commitment(struct deciding *d)
{
	const struct config_route *route = route_for(d, CONFIG_COMMITMENT);

	d->p->agreed.route = route;
	if (route != NULL && route->action == CONFIG_RELAY)
		send_up(d, route, UINT64_MAX);
	else if (d->p->scp || route == NULL)
		take_readable(d, WAY_REPORT);
	else
		take_readable(d, WAY_MESSAGE);
}

static void decide_procedure_step(struct deciding *d)
{
	const struct config_route *route = route_for(d, CONFIG_MPPS);

	refuse(d, CONTEXT_ABSTRACT_SYNTAX);
	if (route == NULL)
		return;
	d->p->agreed.route = route;
	if (route->action == CONFIG_RELAY)
		send_up(d, route, UINT64_MAX);
	else if (strcmp(d->c->abstract, UID_MPPS) == 0)
		take_forward(d, WAY_MESSAGE, route);
}

static void decide_live(struct deciding *d, enum config_service service)
{
	const struct config_route *route = route_for(d, service);

	refuse(d, CONTEXT_ABSTRACT_SYNTAX);
	if (route == NULL || route->action != CONFIG_RELAY)
		return;
	d->p->agreed.route = route;
	send_up(d, route, UINT64_MAX);
}

static void decide_service(struct deciding *d, enum config_service service)
{
	switch (service) {
	case CONFIG_STORAGE:
		decide_storage(d);
		break;
	case CONFIG_VERIFICATION:
		decide_verification(d);
		break;
	case CONFIG_COMMITMENT:
		decide_commitment(d);
		break;
	case CONFIG_MPPS:
		decide_procedure_step(d);
		break;
	case CONFIG_WORKLIST:
	case CONFIG_QUERY:
	case CONFIG_PRINT:
	case CONFIG_OTHER:
	case CONFIG_LINK_SERVICE: /* never of a class */
		decide_live(d, service);
		break;
	}
}

static void propose_roles(struct deciding *d)
{
	const struct assoc_role *r = assoc_role(d->n->rq, d->c->abstract);

	/* absent: the requestor is SCU (PS3.7 D.3.3.4) */
	d->p->scu = r == NULL || r->scu;
	d->p->scp = r != NULL && r->scp;
}

/* Whoever may query may retrieve, and for C-GET that takes storage contexts. */
static bool may_use(const struct deciding *d, unsigned service)
{
	return is_declared(d, service) ||
	       (service == CONFIG_STORAGE && d->p->scp &&
		is_declared(d, CONFIG_QUERY));
}

static void decide(struct deciding *d)
{
	unsigned service = service_of(d->c->abstract);

	d->p->agreed = (struct agreed_context){.id = d->c->id, .leg = -1};
	memcpy(d->p->agreed.abstract, d->c->abstract, UID_SIZE);
	propose_roles(d);
	refuse(d, CONTEXT_USER_REJECTED);
	if (service == 0 || !uid_valid(d->c->abstract)) {
		refuse(d, CONTEXT_ABSTRACT_SYNTAX);
	} else if (may_use(d, service)) {
		d->p->agreed.service = (enum config_service)service;
		decide_service(d, (enum config_service)service);
	}
}

void negotiate_begin(struct negotiation *n)
{
	n->n_legs = 0;
	n->all_live = true;
	n->identified = false;
	for (size_t i = 0; i < n->rq->n_contexts; i++) {
		struct deciding d = {n, &n->rq->contexts[i], &n->planned[i]};

		*d.p = (struct planned_context){.result = CONTEXT_NO_REASON};
		decide(&d);
		if (d.p->here)
			n->all_live = false;
	}
}
