#include "policy/devices.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "policy/match.h"
#include "policy/value.h"
#include "proxy/lib/log.h"

enum { ESC_LEN = 80, LIST_LEN = 120 };

/* One decision being made. */
struct inquiry {
	const struct config *cfg;
	const struct device_query *q;
	const struct config_listener *listener;
	bool is_ip;
	uint8_t address[16];
	char calling[CONFIG_AE_LEN], called[CONFIG_AE_LEN];
	struct device_verdict *out;
};

const char *device_reason_name(enum device_reason r)
{
	switch (r) {
	case DEVICE_ADMITTED:
		return "admitted";
	case DEVICE_CALLED_AE_UNKNOWN:
		return "called-ae-unknown";
	case DEVICE_CALLING_AE_BLANK:
		return "calling-ae-blank";
	case DEVICE_ADDRESS_UNKNOWN:
		return "address-unknown";
	case DEVICE_AE_UNKNOWN:
		return "calling-ae-unknown";
	case DEVICE_AE_ELSEWHERE:
		return "calling-ae-elsewhere";
	case DEVICE_LISTENER_DENIED:
		return "listener-denied";
	case DEVICE_CALLED_AE_DENIED:
		return "called-ae-denied";
	case DEVICE_CERTIFICATE_MISSING:
		return "certificate-missing";
	case DEVICE_CERTIFICATE_DIFFERENT:
		return "certificate-different";
	case DEVICE_REASONS:
		break;
	}
	return "?";
}

/* Through memcpy: the caller's struct may be any sockaddr. */
static bool address_of(const struct sockaddr *sa, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + 12, &v4.sin_addr, 4);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&v6, sa, sizeof(v6));
	memcpy(out, &v6.sin6_addr, 16);
	return true;
}

bool device_network_covers(const struct config_network *net,
			   const struct sockaddr *peer)
{
	uint8_t address[16];

	return address_of(peer, address) && match_address(net, address);
}

static bool has_address(const struct config_device *d,
			const uint8_t address[16])
{
	for (size_t i = 0; i < d->addresses.n; i++)
		if (match_address(&d->addresses.v[i], address))
			return true;
	return false;
}

bool device_address_declared(const struct config *cfg, size_t listener,
			     const struct sockaddr *peer)
{
	uint8_t address[16];

	if (!address_of(peer, address))
		return false;
	for (size_t i = 0; i < cfg->n_devices; i++)
		if (match_ref_or_any(&cfg->devices[i].listeners, listener) &&
		    has_address(&cfg->devices[i], address))
			return true;
	return false;
}

static bool text_in(const struct config_texts *list, const char *text,
		    int (*compare)(const char *, const char *))
{
	for (size_t i = 0; text != NULL && i < list->n; i++)
		if (compare(list->v[i], text) == 0)
			return true;
	return false;
}

static bool fingerprint_fits(const struct config_device *d,
			     const struct device_certificate *c)
{
	char hex[CONFIG_FINGERPRINT_LEN];

	if (d->certificate.fingerprints.n == 0)
		return true;
	if (c->fingerprint == NULL || !value_fingerprint(c->fingerprint, hex))
		return false;
	for (size_t i = 0; i < d->certificate.fingerprints.n; i++)
		if (strcmp(d->certificate.fingerprints.v[i], hex) == 0)
			return true;
	return false;
}

static bool san_fits(const struct config_device *d,
		     const struct device_certificate *c)
{
	if (d->certificate.sans.n == 0)
		return true;
	for (size_t i = 0; i < c->n_sans; i++)
		if (text_in(&d->certificate.sans, c->sans[i], strcasecmp))
			return true;
	return false;
}

bool device_certificate_fits(const struct config_device *d,
			     const struct device_certificate *c)
{
	if (!match_needs_certificate(d))
		return true;
	if (c == NULL)
		return false;
	return fingerprint_fits(d, c) && san_fits(d, c) &&
	       (d->certificate.subjects.n == 0 ||
		text_in(&d->certificate.subjects, c->subject, strcmp));
}

/* How much of a device fits, in the order of the questions asked. */
enum fit {
	FIT_NOTHING,
	FIT_ADDRESS,
	FIT_CALLING_AE, /* and the address */
	FIT_LISTENER,
	FIT_CALLED_AE,
	FIT_ALL
};

static enum fit fit_of(const struct inquiry *in, const struct config_device *d)
{
	if (!in->is_ip || !has_address(d, in->address))
		return FIT_NOTHING;
	if (!match_ae(&d->ae_titles, in->calling) &&
	    !match_ae(&d->ae_titles, "*"))
		return FIT_ADDRESS;
	if (!match_ref_or_any(&d->listeners, in->q->listener))
		return FIT_CALLING_AE;
	if (!match_ae_or_any(&d->called, in->called))
		return FIT_LISTENER;
	if (!device_certificate_fits(d, in->q->certificate))
		return FIT_CALLED_AE;
	return FIT_ALL;
}

/* The device that fits best; of equals the one that names the AE title. */
static const struct config_device *best_fit(const struct inquiry *in,
					    enum fit *fit)
{
	const struct config_device *best = NULL;

	*fit = FIT_NOTHING;
	for (size_t i = 0; i < in->cfg->n_devices; i++) {
		const struct config_device *d = &in->cfg->devices[i];
		enum fit f = fit_of(in, d);

		if (f > *fit || (f == *fit && best != NULL &&
				 match_ae(&d->ae_titles, in->calling) &&
				 !match_ae(&best->ae_titles, in->calling))) {
			*fit = f;
			best = d;
		}
	}
	return best;
}

static void refuse(const struct inquiry *in, enum device_reason reason,
		   const struct config_device *d)
{
	struct device_verdict *v = in->out;
	bool called = reason == DEVICE_CALLED_AE_UNKNOWN ||
		      reason == DEVICE_CALLED_AE_DENIED;

	v->reason = reason;
	v->device = d != NULL ? (int)(d - in->cfg->devices) : -1;
	v->rj_result = 1; /* rejected permanently */
	v->rj_source = 1; /* UL service user */
	v->rj_reason = called ? 7 : 3;
}

static void cause(const struct inquiry *in, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void remedy(const struct inquiry *in, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void cause(const struct inquiry *in, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(in->out->cause, sizeof(in->out->cause), fmt, args);
	va_end(args);
}

static void remedy(const struct inquiry *in, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(in->out->remedy, sizeof(in->out->remedy), fmt, args);
	va_end(args);
}

static const char *address_text(const struct inquiry *in,
				char out[CONFIG_NETWORK_TEXT_LEN])
{
	struct config_network net = {.prefix = 128};

	memcpy(net.address, in->address, sizeof(net.address));
	return config_network_text(&net, out);
}

/* "A, B, ..." */
static const char *aes_text(const struct config_aes *list, char out[LIST_LEN])
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < list->n; i++) {
		if (n + CONFIG_AE_LEN + 6 > LIST_LEN) {
			snprintf(out + n, LIST_LEN - n, ", ...");
			break;
		}
		n += (size_t)snprintf(out + n, LIST_LEN - n, "%s%s",
				      i > 0 ? ", " : "", list->v[i]);
	}
	return out;
}

static const struct config_device *owner_of_ae(const struct inquiry *in)
{
	for (size_t i = 0; i < in->cfg->n_devices; i++)
		if (match_ae(&in->cfg->devices[i].ae_titles, in->calling))
			return &in->cfg->devices[i];
	return NULL;
}

static void refuse_blank(const struct inquiry *in)
{
	char address[CONFIG_NETWORK_TEXT_LEN];

	refuse(in, DEVICE_CALLING_AE_BLANK, NULL);
	cause(in, "%s sent a blank calling AE title",
	      address_text(in, address));
	remedy(in, "give the device an AE title of its own, in its own "
		   "settings, and declare it under 'devices'");
}

/* The AE title is known, the address is not his. */
static void refuse_elsewhere(const struct inquiry *in,
			     const struct config_device *owner)
{
	char address[CONFIG_NETWORK_TEXT_LEN], net[CONFIG_NETWORK_TEXT_LEN];

	address_text(in, address);
	refuse(in, DEVICE_AE_ELSEWHERE, NULL);
	cause(in,
	      "AE title %s is declared as device '%s', but not for address %s "
	      "(it has %s%s)",
	      in->calling, owner->name, address,
	      config_network_text(&owner->addresses.v[0], net),
	      owner->addresses.n > 1 ? ", ..." : "");
	remedy(in,
	       "if this is the same device, add %s to "
	       "devices.%s.address (%s:%d); if not, give one of the two "
	       "another AE title",
	       address, owner->name, in->cfg->file, owner->at.line);
}

static void refuse_address(const struct inquiry *in)
{
	char address[CONFIG_NETWORK_TEXT_LEN], ae[ESC_LEN];

	address_text(in, address);
	log_esc(in->calling, ae, sizeof(ae));
	refuse(in, DEVICE_ADDRESS_UNKNOWN, NULL);
	cause(in, "no device has address %s (it calls itself %s)", address, ae);
	remedy(in,
	       "if it may come in, declare it in %s: devices: {NAME: "
	       "{ae_title: %s, address: \"%s\", services: [storage, "
	       "verification]}}",
	       in->cfg->file, ae, address);
}

static void refuse_called(const struct inquiry *in)
{
	char ae[ESC_LEN], known[LIST_LEN];

	log_esc(in->called, ae, sizeof(ae));
	refuse(in, DEVICE_CALLED_AE_UNKNOWN, NULL);
	cause(in, "called AE title %s, but listener '%s' answers to %s", ae,
	      in->listener->name, aes_text(&in->listener->ae_titles, known));
	remedy(in,
	       "set one of these on the device, or add %s to "
	       "listeners.%s.ae_titles (%s:%d)",
	       ae, in->listener->name, in->cfg->file, in->listener->at.line);
}

static bool differs_in_case(const struct config_device *d, const char *ae)
{
	for (size_t i = 0; i < d->ae_titles.n; i++)
		if (strcasecmp(d->ae_titles.v[i], ae) == 0)
			return true;
	return false;
}

/* The address is d's, the AE title is nobody's. */
static void refuse_ae(const struct inquiry *in, const struct config_device *d)
{
	char address[CONFIG_NETWORK_TEXT_LEN], ae[ESC_LEN], known[LIST_LEN];

	log_esc(in->calling, ae, sizeof(ae));
	refuse(in, DEVICE_AE_UNKNOWN, NULL);
	cause(in,
	      "calling AE title %s is not declared; at address %s device '%s' "
	      "has %s%s",
	      ae, address_text(in, address), d->name,
	      aes_text(&d->ae_titles, known),
	      differs_in_case(d, in->calling) ? " (upper and lower case differ)"
					      : "");
	remedy(in,
	       "correct the AE title on the device, or add %s to "
	       "devices.%s.ae_title (%s:%d)",
	       ae, d->name, in->cfg->file, d->at.line);
}

static void refuse_listener(const struct inquiry *in,
			    const struct config_device *d)
{
	refuse(in, DEVICE_LISTENER_DENIED, d);
	cause(in, "device '%s' may not use listener '%s'", d->name,
	      in->listener->name);
	remedy(in,
	       "send to another port, or add %s to devices.%s.listeners "
	       "(%s:%d)",
	       in->listener->name, d->name, in->cfg->file, d->at.line);
}

static void refuse_call(const struct inquiry *in, const struct config_device *d)
{
	char ae[ESC_LEN], known[LIST_LEN];

	log_esc(in->called, ae, sizeof(ae));
	refuse(in, DEVICE_CALLED_AE_DENIED, d);
	cause(in, "device '%s' called AE title %s and may call %s only",
	      d->name, ae, aes_text(&d->called, known));
	remedy(in,
	       "set one of these on the device, or add %s to "
	       "devices.%s.called (%s:%d)",
	       ae, d->name, in->cfg->file, d->at.line);
}

static void refuse_certificate(const struct inquiry *in,
			       const struct config_device *d)
{
	const struct device_certificate *c = in->q->certificate;
	char subject[ESC_LEN];

	if (c == NULL) {
		refuse(in, DEVICE_CERTIFICATE_MISSING, d);
		cause(in,
		      "device '%s' is declared with a certificate and showed "
		      "none",
		      d->name);
		remedy(in,
		       "let it use TLS with its certificate, at a listener "
		       "with protocol dicom-tls; or remove "
		       "devices.%s.certificate (%s:%d)",
		       d->name, in->cfg->file, d->at.line);
		return;
	}
	refuse(in, DEVICE_CERTIFICATE_DIFFERENT, d);
	log_esc(c->subject != NULL ? c->subject : "", subject, sizeof(subject));
	cause(in,
	      "device '%s' showed another certificate than declared: subject "
	      "%s, SHA-256 %.64s",
	      d->name, subject, c->fingerprint != NULL ? c->fingerprint : "?");
	remedy(in,
	       "if the certificate was renewed, put its fingerprint, subject "
	       "or SAN into devices.%s.certificate (%s:%d); if not, find out "
	       "who this is",
	       d->name, in->cfg->file, d->at.line);
}

static void refuse_stranger(const struct inquiry *in,
			    const struct config_device *at_address)
{
	const struct config_device *owner = owner_of_ae(in);

	if (owner != NULL)
		refuse_elsewhere(in, owner);
	else if (at_address == NULL)
		refuse_address(in);
	else
		refuse_ae(in, at_address);
}

static void decide(const struct inquiry *in)
{
	enum fit fit;
	const struct config_device *d = best_fit(in, &fit);

	if (in->calling[0] == '\0')
		refuse_blank(in);
	else if (fit == FIT_NOTHING)
		refuse_stranger(in, NULL);
	else if (!match_ae(&in->listener->ae_titles, in->called))
		refuse_called(in);
	else if (fit == FIT_ADDRESS)
		refuse_stranger(in, d);
	else if (fit == FIT_CALLING_AE)
		refuse_listener(in, d);
	else if (fit == FIT_LISTENER)
		refuse_call(in, d);
	else if (fit == FIT_CALLED_AE)
		refuse_certificate(in, d);
	else
		in->out->device = (int)(d - in->cfg->devices);
}

bool device_match(const struct config *cfg, const struct device_query *q,
		  struct device_verdict *out)
{
	struct inquiry in = {.cfg = cfg,
			     .q = q,
			     .listener = &cfg->listeners[q->listener],
			     .out = out};

	memset(out, 0, sizeof(*out));
	out->device = -1;
	match_trim_ae(q->calling_ae, in.calling);
	match_trim_ae(q->called_ae, in.called);
	in.is_ip = address_of(q->peer, in.address);
	decide(&in);
	return out->reason == DEVICE_ADMITTED;
}
