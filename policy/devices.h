/* devices.h - who may come in: default deny.
 *
 * A peer is admitted when its address, calling AE title, the called AE title,
 * the listener and, where one is declared, its certificate all fit one
 * declared device. Everything else is refused with a reason that names the
 * cause and the line of configuration that would admit it.
 *
 * Pure: no I/O, no allocation, no clock, no state. Any thread. AE titles here
 * come from peers: they are escaped in the texts. */
#ifndef POLICY_DEVICES_H
#define POLICY_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

struct sockaddr;

enum device_reason {
	DEVICE_ADMITTED,
	DEVICE_CALLED_AE_UNKNOWN,     /* listener does not answer to it */
	DEVICE_CALLING_AE_BLANK,      /* empty or all spaces */
	DEVICE_ADDRESS_UNKNOWN,       /* no device has this address */
	DEVICE_AE_UNKNOWN,            /* no device has this AE title, and the
					 address is declared for others */
	DEVICE_AE_ELSEWHERE,          /* that AE title is declared, for other
					 addresses */
	DEVICE_LISTENER_DENIED,       /* declared, but not for this listener */
	DEVICE_CALLED_AE_DENIED,      /* declared, may not call this title */
	DEVICE_CERTIFICATE_MISSING,   /* one is declared, none was shown */
	DEVICE_CERTIFICATE_DIFFERENT, /* another one was shown */
	DEVICE_REASONS
};

/* "called-ae-unknown", ...: stable, for records. */
const char *device_reason_name(enum device_reason r);

/* What TLS proved about the peer. All borrowed. */
struct device_certificate {
	const char *fingerprint; /* SHA-256 in hex, any case, colons or not */
	const char *subject;     /* as the log prints it; may be NULL */
	const char *const *sans; /* DNS names, IP addresses, URIs */
	size_t n_sans;
};

/* All borrowed for the call. AE titles may be padded with spaces or NULs
 * up to their terminating NUL. */
struct device_query {
	size_t listener;             /* index into cfg->listeners */
	const struct sockaddr *peer; /* AF_INET or AF_INET6, mapped too */
	const char *calling_ae;
	const char *called_ae;
	const struct device_certificate *certificate; /* NULL: plaintext */
};

enum { DEVICE_TEXT_LEN = 512 };

struct device_verdict {
	enum device_reason reason;
	int device; /* index into cfg->devices; -1 unless admitted, or denied
		       for what comes after its identity (listener, called
		       AE title, certificate) */
	/* The A-ASSOCIATE-RJ that goes with it, PS3.8 table 9-21; 0 when
	 * admitted. */
	uint8_t rj_result, rj_source, rj_reason;
	char cause[DEVICE_TEXT_LEN / 2]; /* what is wrong; "" if admitted */
	char remedy[DEVICE_TEXT_LEN];    /* what to write, and where */
};

/* Decide, and fill *out whatever the outcome. Returns whether admitted. */
bool device_match(const struct config *cfg, const struct device_query *q,
		  struct device_verdict *out);

/* The same for a chunk link, which has no AE titles: the device is the first
 * with service link whose listener, address and certificate fit. q->calling_ae
 * and q->called_ae are not looked at. */
bool device_match_link(const struct config *cfg, const struct device_query *q,
		       struct device_verdict *out);

/* Whether a certificate is what was declared of d; c NULL: none was shown. */
bool device_certificate_fits(const struct config_device *d,
			     const struct device_certificate *c);

/* Whether any device at all is declared for peer on that listener: a cheap
 * test at accept time, before a byte was read. */
bool device_address_declared(const struct config *cfg, size_t listener,
			     const struct sockaddr *peer);

/* Whether net covers the address; false for families other than IP. */
bool device_network_covers(const struct config_network *net,
			   const struct sockaddr *peer);

static inline bool device_may(const struct config_device *d,
			      enum config_service service)
{
	return (d->services & (unsigned)service) != 0;
}

#endif
