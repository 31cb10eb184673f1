#include "proxy/negotiate.h"

#include <stdbool.h>
#include <string.h>

#include "policy/devices.h"
#include "policy/routes.h"
#include "proxy/destination.h"
#include "proxy/lib/mem.h"

/* How long an answer of a destination is good before it is asked again. */
enum { FRESH_MS = 10 * 60 * 1000 };

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Services with a known family of classes that is not storage: worklist,
 * query/retrieve, print, MPPS, UPS, availability, hanging protocols. */
static bool is_other_service(const char *abstract)
{
	static const char *const families[] = {
	    UID_PREFIX "1.",         UID_PREFIX "3.1.2.",
	    UID_PREFIX "4.",         UID_PREFIX "5.1.1.",
	    UID_PREFIX "5.1.4.1.2.", UID_PREFIX "5.1.4.31",
	    UID_PREFIX "5.1.4.32.",  UID_PREFIX "5.1.4.33",
	    UID_PREFIX "5.1.4.34.",  UID_PREFIX "5.1.4.37.",
	    UID_PREFIX "5.1.4.38.",  UID_PREFIX "5.1.4.39.",
	    UID_PREFIX "5.1.4.41",   UID_PREFIX "5.1.4.42",
	    UID_PREFIX "5.1.4.43.",  UID_PREFIX "5.1.4.44.",
	    UID_PREFIX "5.1.4.45.",
	};

	/* the media directory is carried like any other data set */
	if (strcmp(abstract, UID_PREFIX "1.3.10") == 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (begins(abstract, families[i]))
			return true;
	}
	return false;
}

unsigned negotiate_service(const char *abstract)
{
	if (strcmp(abstract, UID_VERIFICATION) == 0)
		return CONFIG_VERIFICATION;
	if (uid_is_storage(abstract))
		return CONFIG_STORAGE;
	if (!uid_valid(abstract) || is_other_service(abstract))
		return 0;
	return CONFIG_STORAGE;
}

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

static uint8_t answer_storage(const struct negotiation *n,
			      const struct assoc_context *c,
			      struct agreed_context *out)
{
	struct route_query q = {.listener = n->listener,
				.device = n->device,
				.called_ae = n->rq->called_ae,
				.service = CONFIG_STORAGE};
	const char *chosen = NULL;

	out->route = route_resolve(n->config, &q);
	if (out->route == NULL)
		return CONTEXT_USER_REJECTED;
	for (size_t i = 0; i < c->n_ts; i++) {
		const char *ts = assoc_ts(n->rq, c, i);

		if (all_take(n, out->route, c->abstract, ts) && chosen == NULL)
			chosen = ts;
	}
	if (chosen == NULL)
		return CONTEXT_TRANSFER_SYNTAXES;
	memcpy(out->transfer_syntax, chosen, strlen(chosen) + 1);
	return CONTEXT_ACCEPTED;
}

/* A C-ECHO has no data set: any of its transfer syntaxes will do. */
static uint8_t answer_verification(const struct negotiation *n,
				   const struct assoc_context *c,
				   struct agreed_context *out)
{
	const char *ts;

	if (c->n_ts == 0)
		return CONTEXT_TRANSFER_SYNTAXES;
	ts = assoc_ts(n->rq, c, 0);
	memcpy(out->transfer_syntax, ts, strlen(ts) + 1);
	return CONTEXT_ACCEPTED;
}

static uint8_t answer(const struct negotiation *n,
		      const struct assoc_context *c, struct agreed_context *out)
{
	const struct config_device *d = &n->config->devices[n->device];
	unsigned service = negotiate_service(c->abstract);

	if (service == 0)
		return CONTEXT_ABSTRACT_SYNTAX;
	if ((d->services & service) == 0)
		return CONTEXT_USER_REJECTED;
	*out = (struct agreed_context){.id = c->id};
	memcpy(out->abstract, c->abstract, sizeof(out->abstract));
	if (service == CONFIG_VERIFICATION) {
		out->service = CONFIG_VERIFICATION;
		return answer_verification(n, c, out);
	}
	out->service = CONFIG_STORAGE;
	return answer_storage(n, c, out);
}

size_t negotiate(const struct negotiation *n, struct assoc *ac,
		 struct agreed_context out[ASSOC_MAX_CONTEXTS])
{
	size_t n_out = 0;

	for (size_t i = 0; i < n->rq->n_contexts; i++) {
		const struct assoc_context *c = &n->rq->contexts[i];
		struct agreed_context agreed = {0};
		uint8_t result = answer(n, c, &agreed);

		if (result == CONTEXT_ACCEPTED)
			out[n_out] = agreed;
		/* neither can fail: id and syntax are those of the request */
		if (assoc_answer(ac, c->id, result, agreed.transfer_syntax) ==
			ERR_OK &&
		    result == CONTEXT_ACCEPTED)
			n_out++;
	}
	return n_out;
}
