/* Names, listeners, spool. */
#include "policy/check.h"

#include <string.h>

#include "policy/problem.h"
#include "policy/value.h"

struct config_mark check_at(const struct config *cfg, const char *collection,
			    const char *name, const char *option,
			    struct config_mark fallback)
{
	char path[160];
	struct config_mark at;

	snprintf(path, sizeof(path), "%s.%s.%s", collection, name, option);
	at = config_where(cfg, path);
	return at.line > 0 ? at : fallback;
}

/* The three kinds of things that names point at. */
struct names {
	const char *kind;
	const char *(*at)(const struct config *, size_t);
	size_t n;
};

static const char *listener_name(const struct config *cfg, size_t i)
{
	return cfg->listeners[i].name;
}

static const char *device_name(const struct config *cfg, size_t i)
{
	return cfg->devices[i].name;
}

static const char *destination_name(const struct config *cfg, size_t i)
{
	return cfg->destinations[i].name;
}

static int find(const struct config *cfg, const struct names *names,
		const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at(cfg, i), name) == 0)
			return (int)i;
	return -1;
}

int config_listener_find(const struct config *cfg, const char *name)
{
	struct names n = {"listener", listener_name, cfg->n_listeners};

	return find(cfg, &n, name);
}

int config_device_find(const struct config *cfg, const char *name)
{
	struct names n = {"device", device_name, cfg->n_devices};

	return find(cfg, &n, name);
}

int config_destination_find(const struct config *cfg, const char *name)
{
	struct names n = {"destination", destination_name, cfg->n_destinations};

	return find(cfg, &n, name);
}

static const char *repository_name(const struct config *cfg, size_t i)
{
	return cfg->repositories[i].name;
}

int config_repository_find(const struct config *cfg, const char *name)
{
	struct names n = {"repository", repository_name, cfg->n_repositories};

	return find(cfg, &n, name);
}

int config_device_destination(const struct config *cfg, size_t device)
{
	const char *name = cfg->devices[device].name;

	for (size_t i = cfg->n_destinations; i > 0; i--) {
		const struct config_destination *t = &cfg->destinations[i - 1];

		if (!t->implicit)
			return -1;
		if (strcmp(t->name + 1, name) == 0)
			return (int)(i - 1);
	}
	return -1;
}

int config_destination_device(const struct config *cfg, size_t destination)
{
	const struct config_destination *t = &cfg->destinations[destination];

	return t->implicit ? config_device_find(cfg, t->name + 1) : -1;
}

static void unknown_name(const struct config *cfg, const struct names *names,
			 const struct config_ref *ref, struct config_errors *e)
{
	struct nearest near = {.text = ref->name};

	if (ref->name[0] == '@') {
		problem_error(e, ref->at,
			      "there is no device '%s' with a port and one "
			      "single address; example: port: 104",
			      ref->name + 1);
		return;
	}
	for (size_t i = 0; i < names->n; i++)
		nearest_offer(&near, names->at(cfg, i));
	problem_error(
	    e, ref->at, "there is no %s '%s'%s%s%s; declare it under '%ss'",
	    names->kind, ref->name, near.best != NULL ? "; did you mean '" : "",
	    near.best != NULL ? near.best : "", near.best != NULL ? "'?" : "",
	    names->kind);
}

static void resolve(const struct config *cfg, const struct names *names,
		    struct config_refs *refs, struct config_errors *e)
{
	for (size_t i = 0; i < refs->n; i++) {
		struct config_ref *ref = &refs->v[i];
		int index = find(cfg, names, ref->name);

		if (e->n_errors > CONFIG_PROBLEMS_MAX)
			return;
		if (strcmp(ref->name, CHECK_CALLED) == 0)
			ref->index = SIZE_MAX;
		else if (index < 0)
			unknown_name(cfg, names, ref, e);
		else
			ref->index = (size_t)index;
		for (size_t j = 0; j < i; j++)
			if (strcmp(refs->v[j].name, ref->name) == 0)
				problem_error(e, ref->at,
					      "'%s' stands here twice; keep "
					      "one",
					      ref->name);
	}
}

/* None that depends on who was called. */
static void resolve_one(const struct config *cfg, const struct names *names,
			struct config_refs *refs, struct config_errors *e)
{
	if (refs->n > 0 && strcmp(refs->v[0].name, CHECK_CALLED) == 0)
		problem_error(e, refs->v[0].at,
			      "\"@called\" is for 'relay' and 'forward' only; "
			      "name a destination");
	else
		resolve(cfg, names, refs, e);
}

void check_refs(struct config *cfg, struct config_errors *e)
{
	struct names listeners = {"listener", listener_name, cfg->n_listeners};
	struct names devices = {"device", device_name, cfg->n_devices};
	struct names destinations = {"destination", destination_name,
				     cfg->n_destinations};

	for (size_t i = 0; i < cfg->n_devices; i++)
		resolve(cfg, &listeners, &cfg->devices[i].listeners, e);
	for (size_t i = 0; i < cfg->n_routes; i++) {
		struct config_route *r = &cfg->routes[i];

		resolve(cfg, &listeners, &r->listeners, e);
		resolve(cfg, &devices, &r->devices, e);
		resolve(cfg, &destinations, &r->forward, e);
		resolve(cfg, &destinations, &r->relay, e);
		resolve_one(cfg, &destinations, &r->hold, e);
		resolve_one(cfg, &destinations, &r->commit, e);
	}
}

static void check_listener_tls(const struct config *cfg,
			       const struct config_listener *l,
			       struct config_errors *e)
{
	static const char *const keys[] = {"tls.ca", "tls.certificate",
					   "tls.key"};
	const char *values[] = {l->tls.ca, l->tls.certificate, l->tls.key};
	static const char *const examples[] = {"ca: devices-ca.pem",
					       "certificate: gateway.pem",
					       "key: gateway.key"};
	struct config_mark none = {0, 0};

	for (size_t i = 0; i < 3; i++) {
		struct config_mark at =
		    check_at(cfg, "listeners", l->name, keys[i], none);

		if (l->protocol != CONFIG_DICOM && values[i][0] == '\0')
			problem_error(e, l->at,
				      "listener '%s' has protocol %s and needs "
				      "'%s'; example: tls: {%s}",
				      l->name,
				      config_protocol_name(l->protocol),
				      keys[i], examples[i]);
		if (l->protocol == CONFIG_DICOM && at.line > 0)
			problem_error(e, at,
				      "'%s' has no meaning on the plaintext "
				      "listener '%s'; did you mean protocol: "
				      "dicom-tls?",
				      keys[i], l->name);
	}
}

static void check_listener_aes(const struct config *cfg,
			       const struct config_listener *l,
			       struct config_errors *e)
{
	if (l->protocol != CONFIG_LINK && l->ae_titles.n == 0)
		problem_error(e, l->at,
			      "listener '%s' needs 'ae_titles'; example: "
			      "ae_titles: [ARCHIVE]",
			      l->name);
	if (l->protocol == CONFIG_LINK && l->ae_titles.n > 0)
		problem_error(
		    e, check_at(cfg, "listeners", l->name, "ae_titles", l->at),
		    "'ae_titles' has no meaning for listener '%s' "
		    "with protocol link; leave it out",
		    l->name);
}

static bool same_socket(const struct config_endpoint *a,
			const struct config_endpoint *b)
{
	static const uint8_t any[16];
	static const uint8_t any_v4[16] = {0, 0, 0, 0, 0,    0,
					   0, 0, 0, 0, 0xff, 0xff};
	uint8_t x[16] = {0}, y[16] = {0};

	if (a->port != b->port || !value_address(a->host, x) ||
	    !value_address(b->host, y))
		return false;
	if (memcmp(x, y, 16) == 0 || memcmp(x, any, 16) == 0 ||
	    memcmp(y, any, 16) == 0)
		return true;
	return value_is_v4(x) && value_is_v4(y) &&
	       (memcmp(x, any_v4, 16) == 0 || memcmp(y, any_v4, 16) == 0);
}

static void check_duplicates(const struct config *cfg,
			     const struct config_listener *l,
			     struct config_errors *e)
{
	for (size_t i = 0; i < l->ae_titles.n; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(l->ae_titles.v[i], l->ae_titles.v[j]) == 0)
				problem_warning(e,
						check_at(cfg, "listeners",
							 l->name, "ae_titles",
							 l->at),
						"AE title '%s' stands twice",
						l->ae_titles.v[i]);
}

void check_listeners(const struct config *cfg, struct config_errors *e)
{
	if (cfg->n_listeners == 0)
		problem_error(e, (struct config_mark){1, 1},
			      "no 'listeners': nothing could arrive; example: "
			      "listeners: {modalities: {address: 0.0.0.0:104, "
			      "protocol: dicom, ae_titles: [ARCHIVE]}}");
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];

		check_listener_tls(cfg, l, e);
		check_listener_aes(cfg, l, e);
		check_duplicates(cfg, l, e);
		for (size_t j = 0; j < i; j++) {
			const struct config_listener *o = &cfg->listeners[j];

			if (!same_socket(&l->address, &o->address))
				continue;
			problem_error(e,
				      check_at(cfg, "listeners", l->name,
					       "address", l->at),
				      "listeners '%s' and '%s' cannot both "
				      "have port %u here; give one of them "
				      "another port or address",
				      o->name, l->name, l->address.port);
		}
	}
}

void check_spool(const struct config *cfg, struct config_errors *e)
{
	struct config_mark high = config_where(cfg, "spool.high_water");
	struct config_mark low = config_where(cfg, "spool.low_water");
	struct config_mark quota = config_where(cfg, "spool.quota");
	struct config_mark segment = config_where(cfg, "spool.segment");

	if (cfg->spool.low_water >= cfg->spool.high_water)
		problem_error(e, low.line > 0 ? low : high,
			      "spool.low_water (%u%%) must be below "
			      "spool.high_water (%u%%); example: low_water: "
			      "90%%",
			      cfg->spool.low_water, cfg->spool.high_water);
	if (cfg->spool.quota / 4 < cfg->spool.segment) {
		char q[VALUE_TEXT_LEN], s[VALUE_TEXT_LEN];

		problem_error(e, quota.line > 0 ? quota : segment,
			      "spool.quota (%s) must hold at least four "
			      "segments of %s; example: segment: 4MiB",
			      value_size_text(cfg->spool.quota, q),
			      value_size_text(cfg->spool.segment, s));
	}
}

void check_commitment(const struct config *cfg, struct config_errors *e)
{
	struct config_mark unknown = config_where(cfg, "commitment.unknown");
	struct config_mark deadline = config_where(cfg, "commitment.deadline");

	if (cfg->commitment.unknown >= cfg->commitment.deadline)
		problem_error(e, deadline.line > 0 ? deadline : unknown,
			      "commitment.unknown must be shorter than "
			      "commitment.deadline; example: commitment: "
			      "{unknown: 60s, deadline: 3d}");
}

void check_meaning(const struct config *cfg, struct config_errors *e)
{
	check_listeners(cfg, e);
	check_destinations(cfg, e);
	check_repositories(cfg, e);
	check_spool(cfg, e);
	check_commitment(cfg, e);
	check_status(cfg, e);
	check_rates(cfg, e);
	check_devices(cfg, e);
	/* A device that cannot arrive makes its routes wrong as well. */
	if (e->n_errors == 0)
		check_routes(cfg, e);
}
