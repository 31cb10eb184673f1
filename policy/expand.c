#include "policy/expand.h"

#include <string.h>

#include "policy/check.h"
#include "policy/match.h"
#include "policy/problem.h"
#include "policy/routes.h"
#include "proxy/lib/mem.h"

/* More are not looked at: each is compared with every other route. */
enum { CANDIDATES_MAX = 16384 };

static const char scope[] = "destinations.NAME.";

/* Destinations. */

static bool is_single(const struct config_device *d)
{
	return d->addresses.n == 1 && d->addresses.v[0].prefix == 128;
}

/* Whether the device gets one; if not, and it has a port, say why. */
static bool wants_destination(const struct build *b,
			      const struct config_device *d)
{
	struct config_mark at =
	    check_at(b->cfg, "devices", d->name, "port", d->at);

	if (d->port == 0)
		return false;
	if (!is_single(d)) {
		problem_warning(b->errors, at,
				"device '%s' has a port but no single "
				"address: nothing can be sent to it; give it "
				"one address, or no port",
				d->name);
		return false;
	}
	if (strcmp(d->name, &CHECK_CALLED[1]) == 0) {
		problem_error(b->errors, d->at,
			      "a device with a port cannot have the name "
			      "'called': \"" CHECK_CALLED "\" is whichever "
			      "device was called; give it another name");
		return false;
	}
	if (strlen(d->name) + 1 < CONFIG_NAME_LEN)
		return true;
	problem_error(b->errors, d->at,
		      "device '%s' has a port, so its name has 31 characters "
		      "at most: as a destination it is \"@NAME\"",
		      d->name);
	return false;
}

static enum err fill(struct build *b, struct config_destination *t,
		     const struct config_device *d)
{
	struct config_endpoint *ep;
	char host[CONFIG_NETWORK_TEXT_LEN];
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++)
		if (strcmp(option_scope(o->path), scope) == 0 &&
		    set_default(b, o, t) != ERR_OK)
			return ERR_NOMEM;
	snprintf(t->name, sizeof(t->name), "@%.31s", d->name);
	snprintf(t->plaintext_reason, sizeof(t->plaintext_reason),
		 "the device's own protocol");
	t->at = d->at;
	t->implicit = true;
	t->protocol = CONFIG_DICOM;
	/* Devices take one association as a rule, and are switched off at
	 * night: nobody asks them how they are. */
	t->associations = 1;
	t->health.interval = 0;
	ep = mem_zalloc(sizeof(*ep));
	if (ep == NULL)
		return ERR_NOMEM;
	snprintf(ep->host, sizeof(ep->host), "%s",
		 config_network_text(&d->addresses.v[0], host));
	ep->port = d->port;
	t->endpoints = (struct config_endpoints){1, ep};
	return ERR_OK;
}

static enum err add_destination(struct build *b, const struct config_device *d)
{
	struct config *cfg = b->cfg;
	struct config_destination *v = mem_realloc(
	    cfg->destinations, (cfg->n_destinations + 1) * sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM;
	cfg->destinations = v;
	memset(&v[cfg->n_destinations], 0, sizeof(*v));
	/* Counted before it is filled: it is freed in any case. */
	return fill(b, &v[cfg->n_destinations++], d);
}

enum err expand_devices(struct build *b)
{
	for (size_t i = 0; i < b->cfg->n_devices; i++) {
		const struct config_device *d = &b->cfg->devices[i];
		enum err e = ERR_OK;

		if (wants_destination(b, d))
			e = add_destination(b, d);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* Routes. */

struct routes {
	struct build *b;
	struct config_route *v; /* room for CONFIG_ROUTES_MAX */
	size_t n;
};

static const struct config_ref *find_called(const struct config_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++)
		if (strcmp(refs->v[i].name, CHECK_CALLED) == 0)
			return &refs->v[i];
	return NULL;
}

static bool is_called(const struct config_route *r)
{
	return find_called(&r->forward) != NULL ||
	       find_called(&r->relay) != NULL;
}

static enum err copy_refs(struct config_refs *to,
			  const struct config_refs *from)
{
	*to = (struct config_refs){0, NULL};
	if (from->n == 0)
		return ERR_OK;
	to->v = mem_zarray(from->n, sizeof(*to->v));
	if (to->v == NULL)
		return ERR_NOMEM;
	memcpy(to->v, from->v, from->n * sizeof(*to->v));
	to->n = from->n;
	return ERR_OK;
}

/* Put destination index in the place of CHECK_CALLED; keep it once. */
static void put_called(struct config_refs *refs, const struct config *cfg,
		       size_t index)
{
	size_t n = 0;

	for (size_t i = 0; i < refs->n; i++) {
		struct config_ref ref = refs->v[i];

		if (strcmp(ref.name, CHECK_CALLED) == 0) {
			memcpy(ref.name, cfg->destinations[index].name,
			       sizeof(ref.name));
			ref.index = index;
		} else if (ref.index == index) {
			continue;
		}
		refs->v[n++] = ref;
	}
	refs->n = n;
}

static bool answered_to(const struct config *cfg, const struct config_route *r,
			const char *ae)
{
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (match_ref_or_any(&r->listeners, i) &&
		    match_ae(&cfg->listeners[i].ae_titles, ae))
			return true;
	return false;
}

/* The device's AE titles that can be called on the route; none is fine. */
static enum err copy_titles(const struct config *cfg,
			    const struct config_route *r,
			    const struct config_device *d,
			    struct config_aes *out)
{
	out->n = 0;
	out->v = mem_zarray(d->ae_titles.n, sizeof(*out->v));
	if (out->v == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < d->ae_titles.n; i++) {
		const char *ae = d->ae_titles.v[i];

		if (strcmp(ae, "*") != 0 && match_ae_or_any(&r->called, ae) &&
		    answered_to(cfg, r, ae) && !match_ae(out, ae))
			memcpy(out->v[out->n++], ae, sizeof(*out->v));
	}
	return ERR_OK;
}

/* A copy of r that leads to destination index, which is implicit. */
static enum err derive(const struct config *cfg, const struct config_route *r,
		       size_t index, struct config_route *out)
{
	int device = config_destination_device(cfg, index);

	*out = (struct config_route){.at = r->at,
				     .services = r->services,
				     .action = r->action,
				     .implied = true};
	if (copy_titles(cfg, r, &cfg->devices[device], &out->called) !=
		ERR_OK ||
	    copy_refs(&out->listeners, &r->listeners) != ERR_OK ||
	    copy_refs(&out->devices, &r->devices) != ERR_OK ||
	    copy_refs(&out->forward, &r->forward) != ERR_OK ||
	    copy_refs(&out->relay, &r->relay) != ERR_OK ||
	    copy_refs(&out->commit, &r->commit) != ERR_OK)
		return ERR_NOMEM;
	put_called(&out->forward, cfg, index);
	put_called(&out->relay, cfg, index);
	return ERR_OK;
}

static void warn_same_title(const struct routes *to,
			    const struct config_route *before,
			    const struct config_route *r, const char *ae)
{
	const struct config_refs *a =
	    before->action == CONFIG_RELAY ? &before->relay : &before->forward;
	const struct config_refs *b =
	    r->action == CONFIG_RELAY ? &r->relay : &r->forward;

	problem_warning(to->b->errors, r->at,
			"\"" CHECK_CALLED "\" goes to '%s' for called AE title "
			"'%s', which '%s' has too; put a route for one of "
			"them before this one",
			a->v[0].name, ae, b->v[0].name);
}

/* Whether r, derived from a route to CHECK_CALLED, can be taken at all. */
static bool is_live(const struct routes *to, const struct config_route *r)
{
	const struct config *cfg = to->b->cfg;

	if (r->called.n == 0)
		return false;
	for (size_t i = 0; i < to->n; i++) {
		const struct config_route *before = &to->v[i];
		const char *ae = match_common_ae(&before->called, &r->called);

		if (before->implied && ae != NULL &&
		    before->at.line == r->at.line &&
		    before->at.column == r->at.column)
			warn_same_title(to, before, r, ae);
		if (route_shadows(before, r))
			return false;
	}
	for (size_t i = 0; i < cfg->n_devices; i++)
		if (match_taken(cfg, r, i) != 0)
			return true;
	return false;
}

/* False, and the error is added, when there is no room. */
static bool has_room(const struct routes *to, const struct config_route *r)
{
	if (to->n < CONFIG_ROUTES_MAX)
		return true;
	problem_error(to->b->errors, r->at,
		      "more than %d routes, with one for each device that "
		      "\"" CHECK_CALLED "\" stands for",
		      CONFIG_ROUTES_MAX);
	return false;
}

static enum err derive_all(struct routes *to, const struct config_route *r)
{
	const struct config *cfg = to->b->cfg;
	size_t before = to->n;

	for (size_t i = 0; i < cfg->n_destinations; i++) {
		enum err e;

		if (!cfg->destinations[i].implicit)
			continue;
		if (!has_room(to, r))
			return ERR_OK;
		e = derive(cfg, r, i, &to->v[to->n]);
		if (e == ERR_OK && !is_live(to, &to->v[to->n])) {
			set_free_members(&to->v[to->n], "routes.N.");
			continue;
		}
		to->n++; /* in any case, since it is to be freed */
		if (e != ERR_OK)
			return e;
	}
	if (to->n == before)
		problem_error(to->b->errors, r->at,
			      "\"" CHECK_CALLED "\" stands for no device here: "
			      "one needs 'port', one single address and an AE "
			      "title that stands in a listener's 'ae_titles'");
	return ERR_OK;
}

static enum err expand_all(struct routes *to)
{
	struct config *cfg = to->b->cfg;

	for (size_t i = 0; i < cfg->n_routes; i++) {
		struct config_route *r = &cfg->routes[i];
		enum err e = ERR_OK;

		if (is_called(r)) {
			e = derive_all(to, r);
		} else if (has_room(to, r)) {
			to->v[to->n++] = *r;
			memset(r, 0, sizeof(*r));
		}
		if (e != ERR_OK || to->b->errors->n_errors > 0)
			return e;
	}
	return ERR_OK;
}

static size_t count_called(const struct config *cfg)
{
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_routes; i++)
		n += is_called(&cfg->routes[i]);
	return n;
}

static size_t count_implicit(const struct config *cfg)
{
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_destinations; i++)
		n += cfg->destinations[i].implicit;
	return n;
}

enum err expand_called(struct build *b)
{
	struct config *cfg = b->cfg;
	struct routes to = {.b = b};
	size_t n = count_called(cfg);
	enum err e;

	if (n == 0)
		return ERR_OK;
	if (n * count_implicit(cfg) > CANDIDATES_MAX) {
		problem_error(b->errors, (struct config_mark){0, 0},
			      "%zu routes to \"" CHECK_CALLED "\" are too many "
			      "for that many devices with a port; use fewer",
			      n);
		return ERR_OK;
	}
	to.v = mem_zarray(CONFIG_ROUTES_MAX, sizeof(*to.v));
	if (to.v == NULL)
		return ERR_NOMEM;
	e = expand_all(&to);
	/* What was moved is zeroed, so both can be freed. */
	set_free_all(cfg->routes, cfg->n_routes, sizeof(*cfg->routes),
		     "routes.N.");
	cfg->routes = to.v;
	cfg->n_routes = to.n;
	return e;
}
