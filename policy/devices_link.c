/* devices_link.c - who may open a chunk link: known by certificate. */
#include "policy/devices.h"

#include <stdio.h>
#include <string.h>

#include "policy/match.h"
#include "proxy/lib/log.h"

enum { ESC_LEN = 80 };

/* How much of a device fits. */
enum fit { FIT_NOTHING, FIT_CERTIFICATE, FIT_ADDRESS, FIT_ALL };

static bool has_address(const struct config_device *d,
			const struct sockaddr *peer)
{
	for (size_t i = 0; i < d->addresses.n; i++)
		if (device_network_covers(&d->addresses.v[i], peer))
			return true;
	return false;
}

static enum fit fit_of(const struct config_device *d,
		       const struct device_query *q)
{
	if (!device_may(d, CONFIG_LINK_SERVICE) || !match_needs_certificate(d))
		return FIT_NOTHING;
	if (!device_certificate_fits(d, q->certificate))
		return FIT_NOTHING;
	if (!has_address(d, q->peer))
		return FIT_CERTIFICATE;
	return match_ref_or_any(&d->listeners, q->listener) ? FIT_ALL
							    : FIT_ADDRESS;
}

static const struct config_device *
best_fit(const struct config *cfg, const struct device_query *q, enum fit *fit)
{
	const struct config_device *best = NULL;

	*fit = FIT_NOTHING;
	for (size_t i = 0; i < cfg->n_devices; i++) {
		enum fit f = fit_of(&cfg->devices[i], q);

		if (f > *fit) {
			*fit = f;
			best = &cfg->devices[i];
		}
	}
	return best;
}

static void refuse_certificate(const struct config *cfg,
			       const struct device_query *q,
			       struct device_verdict *out)
{
	const struct device_certificate *c = q->certificate;
	char subject[ESC_LEN];

	if (c == NULL) {
		out->reason = DEVICE_CERTIFICATE_MISSING;
		snprintf(out->cause, sizeof(out->cause),
			 "no certificate was shown");
		snprintf(out->remedy, sizeof(out->remedy),
			 "let it dial with the certificate of a device with "
			 "services: [link] in %.200s",
			 cfg->file);
		return;
	}
	out->reason = DEVICE_CERTIFICATE_DIFFERENT;
	log_esc(c->subject != NULL ? c->subject : "", subject, sizeof(subject));
	snprintf(out->cause, sizeof(out->cause),
		 "no device with service link has this certificate: subject "
		 "%s, SHA-256 %.64s",
		 subject, c->fingerprint != NULL ? c->fingerprint : "?");
	snprintf(out->remedy, sizeof(out->remedy),
		 "if %s may come in, declare it in %.200s: a device with "
		 "services: [link] and certificate: {fingerprint: %.64s}",
		 subject, cfg->file,
		 c->fingerprint != NULL ? c->fingerprint : "?");
}

static void refuse_address(const struct config *cfg,
			   const struct config_device *d,
			   struct device_verdict *out)
{
	out->reason = DEVICE_ADDRESS_UNKNOWN;
	snprintf(out->cause, sizeof(out->cause),
		 "the certificate is that of device '%s', but not the address",
		 d->name);
	snprintf(out->remedy, sizeof(out->remedy),
		 "if this is the same machine on another line, add the address "
		 "to devices.%s.address (%.200s:%d)",
		 d->name, cfg->file, d->at.line);
}

static void refuse_listener(const struct config *cfg,
			    const struct config_device *d,
			    const struct device_query *q,
			    struct device_verdict *out)
{
	const char *name = cfg->listeners[q->listener].name;

	out->reason = DEVICE_LISTENER_DENIED;
	snprintf(out->cause, sizeof(out->cause),
		 "device '%s' may not use listener '%s'", d->name, name);
	snprintf(
	    out->remedy, sizeof(out->remedy),
	    "dial another port, or add %s to devices.%s.listeners (%.200s:%d)",
	    name, d->name, cfg->file, d->at.line);
}

bool device_match_link(const struct config *cfg, const struct device_query *q,
		       struct device_verdict *out)
{
	enum fit fit;
	const struct config_device *d = best_fit(cfg, q, &fit);

	memset(out, 0, sizeof(*out));
	out->device = -1;
	if (d == NULL) {
		refuse_certificate(cfg, q, out);
		return false;
	}
	out->device = (int)(d - cfg->devices);
	if (fit == FIT_CERTIFICATE) {
		refuse_address(cfg, d, out);
		return false;
	}
	if (fit == FIT_ADDRESS) {
		refuse_listener(cfg, d, q, out);
		return false;
	}
	out->reason = DEVICE_ADMITTED;
	return true;
}
