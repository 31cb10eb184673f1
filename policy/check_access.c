/* Devices: who overlaps with whom, who cannot arrive, what leads nowhere. */
#include <string.h>
#include <strings.h>

#include "policy/check.h"
#include "policy/match.h"
#include "policy/problem.h"

enum { SERVICES_LEN = 96 };

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

static bool common_text(const struct config_texts *a,
			const struct config_texts *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (strcasecmp(a->v[i], b->v[j]) == 0)
				return true;
	return false;
}

static bool common_fingerprint(const struct config_fingerprints *a,
			       const struct config_fingerprints *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (strcmp(a->v[i], b->v[j]) == 0)
				return true;
	return false;
}

/* Both are known by something of their certificates that the other has not. */
static bool certificates_differ(const struct config_device *x,
				const struct config_device *y)
{
#define DIFFER(kind, common)                                                   \
	(x->certificate.kind.n > 0 && y->certificate.kind.n > 0 &&             \
	 !common(&x->certificate.kind, &y->certificate.kind))
	return DIFFER(fingerprints, common_fingerprint) ||
	       DIFFER(subjects, common_text) || DIFFER(sans, common_text);
#undef DIFFER
}

static void check_overlap(const struct config_device *a,
			  const struct config_device *b,
			  struct config_errors *e)
{
	char net[CONFIG_NETWORK_TEXT_LEN];
	const char *ae = match_common_ae(&a->ae_titles, &b->ae_titles);

	if (ae == NULL || !common_network(a, b, net) || !common_listener(a, b))
		return;
	if (a->called.n > 0 && b->called.n > 0 &&
	    match_common_ae(&a->called, &b->called) == NULL)
		return;
	if (certificates_differ(a, b))
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
	return l->protocol == CONFIG_LINK || d->called.n == 0 ||
	       match_common_ae(&d->called, &l->ae_titles) != NULL;
}

/* False: it cannot arrive, so no route matters to it. */
static bool check_reach(const struct config *cfg, const struct config_device *d,
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
			      "protocol dicom-tls; with service link, "
			      "protocol link",
			      d->name);
	else if (reaches && !calls)
		problem_error(
		    e, check_at(cfg, "devices", d->name, "called", d->at),
		    "no listener that device '%s' reaches answers "
		    "to these called AE titles; add one to "
		    "'ae_titles' there",
		    d->name);
	return calls;
}

static void check_identity(const struct config *cfg,
			   const struct config_device *d,
			   struct config_errors *e)
{
	struct config_mark at;

	if (match_needs_certificate(d))
		return;
	if ((d->services & CONFIG_LINK_SERVICE) != 0)
		problem_error(e, d->at,
			      "device '%s' has service link, so it needs a "
			      "certificate to be known by; example: "
			      "certificate: {san: edge-01.clinic.example}",
			      d->name);
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
	case CONFIG_LINK_SERVICE:
		return "link";
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

/* "worklist, query" */
static const char *services_text(unsigned services, char out[SERVICES_LEN])
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned bit = 1; bit <= CONFIG_OTHER; bit <<= 1)
		if ((services & bit) != 0)
			n += (size_t)snprintf(
			    out + n, SERVICES_LEN - n, "%s%s",
			    n > 0 ? ", " : "",
			    config_service_name((enum config_service)bit));
	return out;
}

/* C-ECHO is answered here, whether a route takes it or not; so are an archive's
 * reports of storage commitment, and only devices with a port ask for it. */
static void check_services(const struct config *cfg, size_t device,
			   struct config_errors *e)
{
	const struct config_device *d = &cfg->devices[device];
	unsigned missing = d->services & ~(unsigned)CONFIG_VERIFICATION;
	bool forwards;
	char text[SERVICES_LEN];

	/* What comes over a link is routed as storage. */
	if ((missing & CONFIG_LINK_SERVICE) != 0)
		missing =
		    (missing & ~(unsigned)CONFIG_LINK_SERVICE) | CONFIG_STORAGE;
	if (d->port == 0)
		missing &= ~(unsigned)CONFIG_COMMITMENT;
	for (size_t i = 0; i < cfg->n_routes; i++)
		missing &= ~match_taken(cfg, &cfg->routes[i], device);
	if (missing == 0)
		return;
	services_text(missing, text);
	forwards = missing == CONFIG_STORAGE;
	problem_warning(
	    e, check_at(cfg, "devices", d->name, "services", d->at),
	    "device '%s' may use %s, but no route takes that: it will be "
	    "refused; add one, example: {service: [%s], %s}",
	    d->name, text, text,
	    forwards                       ? "forward: [cloud]"
	    : missing == CONFIG_COMMITMENT ? "hold: cloud"
					   : "relay: cloud");
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
		bool calls;

		if (e->n_errors > CONFIG_PROBLEMS_MAX)
			return;
		for (size_t j = 0; j < i; j++)
			check_overlap(&cfg->devices[j], d, e);
		calls = check_reach(cfg, d, e);
		check_identity(cfg, d, e);
		if (calls)
			check_services(cfg, i, e);
	}
}
