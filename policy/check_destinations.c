/* Destinations: what each protocol needs and what has no meaning with it. */
#include <string.h>

#include "policy/check.h"
#include "policy/match.h"
#include "policy/problem.h"
#include "policy/value.h"

enum need { NEEDED, ALLOWED, MEANINGLESS };

struct rule {
	const char *option;
	enum need tls, plain, link, directory; /* by protocol */
	const char *example;
};

static const struct rule rules[] = {
    {"endpoints", NEEDED, NEEDED, NEEDED, MEANINGLESS,
     "endpoints: [pacs.example.org:2762]"},
    {"path", MEANINGLESS, MEANINGLESS, MEANINGLESS, NEEDED,
     "path: /srv/images"},
    {"tls.ca", NEEDED, MEANINGLESS, NEEDED, MEANINGLESS,
     "tls: {ca: cloud-ca.pem}"},
    {"tls.certificate", NEEDED, MEANINGLESS, NEEDED, MEANINGLESS,
     "tls: {certificate: edge-01.pem}"},
    {"tls.key", NEEDED, MEANINGLESS, NEEDED, MEANINGLESS,
     "tls: {key: edge-01.key}"},
    {"tls.server_name", ALLOWED, MEANINGLESS, ALLOWED, MEANINGLESS, ""},
    {"plaintext.allowed", MEANINGLESS, NEEDED, MEANINGLESS, MEANINGLESS,
     "plaintext: {allowed: \"same rack, separate VLAN\"}"},
    {"ae_title", ALLOWED, ALLOWED, MEANINGLESS, MEANINGLESS, ""},
    {"calling_ae_title", ALLOWED, ALLOWED, MEANINGLESS, MEANINGLESS, ""},
    {"rate.limit", ALLOWED, ALLOWED, ALLOWED, MEANINGLESS, ""},
    {"rate.timetable", ALLOWED, ALLOWED, ALLOWED, MEANINGLESS, ""},
    {"congestion", ALLOWED, ALLOWED, ALLOWED, MEANINGLESS, ""},
};

static enum need need_of(const struct rule *r, enum config_protocol p)
{
	switch (p) {
	case CONFIG_DICOM:
		return r->plain;
	case CONFIG_DICOM_TLS:
		return r->tls;
	case CONFIG_LINK:
		return r->link;
	case CONFIG_DIRECTORY:
		return r->directory;
	}
	return ALLOWED;
}

const char *config_protocol_name(enum config_protocol p)
{
	switch (p) {
	case CONFIG_DICOM:
		return "dicom";
	case CONFIG_DICOM_TLS:
		return "dicom-tls";
	case CONFIG_LINK:
		return "link";
	case CONFIG_DIRECTORY:
		return "directory";
	}
	return "?";
}

static void check_rule(const struct config *cfg,
		       const struct config_destination *d, const struct rule *r,
		       struct config_errors *e)
{
	struct config_mark none = {0, 0};
	struct config_mark at =
	    check_at(cfg, "destinations", d->name, r->option, none);
	enum need need = need_of(r, d->protocol);

	if (need == NEEDED && at.line == 0)
		problem_error(e, d->at,
			      "destination '%s' has protocol %s and needs "
			      "'%s'%s; example: %s",
			      d->name, config_protocol_name(d->protocol),
			      r->option,
			      d->protocol == CONFIG_DICOM &&
				      strcmp(r->option, "endpoints") != 0
				  ? " with the reason why images may travel "
				    "in clear"
				  : "",
			      r->example);
	if (need == MEANINGLESS && at.line > 0)
		problem_error(e, at,
			      "'%s' has no meaning for destination '%s' with "
			      "protocol %s; leave it out",
			      r->option, d->name,
			      config_protocol_name(d->protocol));
}

static bool is_loopback(const char *host)
{
	uint8_t address[16];

	if (strcasecmp(host, "localhost") == 0)
		return true;
	return value_address(host, address) && match_loopback(address);
}

static bool is_any(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void check_loop(const struct config *cfg,
		       const struct config_destination *d,
		       struct config_errors *e)
{
	for (size_t i = 0; i < d->endpoints.n; i++) {
		const struct config_endpoint *ep = &d->endpoints.v[i];

		for (size_t j = 0; j < cfg->n_listeners; j++) {
			const struct config_endpoint *own =
			    &cfg->listeners[j].address;

			if (ep->port != own->port ||
			    !(strcmp(ep->host, own->host) == 0 ||
			      (is_any(own->host) && is_loopback(ep->host))))
				continue;
			problem_error(e,
				      check_at(cfg, "destinations", d->name,
					       "endpoints", d->at),
				      "destination '%s' is this Culvert's own "
				      "listener '%s': instances would go in "
				      "circles",
				      d->name, cfg->listeners[j].name);
		}
	}
}

static void check_path(const struct config *cfg, size_t index,
		       struct config_errors *e)
{
	const struct config_destination *d = &cfg->destinations[index];
	struct config_mark at =
	    check_at(cfg, "destinations", d->name, "path", d->at);

	if (d->protocol != CONFIG_DIRECTORY || d->path[0] == '\0')
		return;
	if (strcmp(d->path, cfg->spool.path) == 0)
		problem_error(e, at,
			      "destination '%s' would write into the spool; "
			      "give it a directory of its own",
			      d->name);
	for (size_t i = 0; i < index; i++) {
		const struct config_destination *o = &cfg->destinations[i];

		if (o->protocol == CONFIG_DIRECTORY &&
		    strcmp(d->path, o->path) == 0)
			problem_error(e, at,
				      "destinations '%s' and '%s' have the "
				      "same path; give each its own",
				      o->name, d->name);
	}
}

static bool is_used(const struct config *cfg, size_t index)
{
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct config_route *r = &cfg->routes[i];

		if (match_ref(&r->forward, index) ||
		    match_ref(&r->relay, index) || match_ref(&r->hold, index))
			return true;
	}
	return false;
}

static void check_balance(const struct config *cfg,
			  const struct config_destination *d,
			  struct config_errors *e)
{
	struct config_mark balance =
	    check_at(cfg, "destinations", d->name, "balance", d->at);
	struct config_mark weights =
	    check_at(cfg, "destinations", d->name, "weights", d->at);

	if (d->balance == CONFIG_WEIGHTED && d->protocol == CONFIG_DIRECTORY)
		problem_error(e, balance,
			      "destination '%s' is a directory and has no "
			      "endpoints to balance; leave it out",
			      d->name);
	else if (d->weights.n > 0 && d->balance != CONFIG_WEIGHTED)
		problem_error(e, weights,
			      "'weights' has a meaning only with 'balance: "
			      "weighted'");
	else if (d->weights.n > 0 && d->weights.n != d->endpoints.n)
		problem_error(e, weights,
			      "destination '%s' has %zu endpoints and %zu "
			      "weights; give one weight for each endpoint",
			      d->name, d->endpoints.n, d->weights.n);
}

static void check_destination(const struct config *cfg, size_t index,
			      struct config_errors *e)
{
	const struct config_destination *d = &cfg->destinations[index];

	check_loop(cfg, d, e);
	if (d->implicit)
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		check_rule(cfg, d, &rules[i], e);
	check_balance(cfg, d, e);
	check_path(cfg, index, e);
	if (d->retry.first > d->retry.max)
		problem_error(e,
			      check_at(cfg, "destinations", d->name,
				       "retry.first", d->at),
			      "retry.first must not be longer than retry.max; "
			      "example: retry: {first: 5s, max: 10m}");
	if (!is_used(cfg, index))
		problem_warning(e, d->at,
				"no route leads to destination '%s'; "
				"example: routes: [{service: storage, "
				"forward: [%s]}]",
				d->name, d->name);
}

void check_destinations(const struct config *cfg, struct config_errors *e)
{
	for (size_t i = 0; i < cfg->n_destinations; i++)
		check_destination(cfg, i, e);
}
