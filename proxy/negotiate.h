/* negotiate.h - what an association gets: one answer a presentation context.
 *
 * A storage context is accepted on our own authority, from what is known of
 * every destination on its route: the first transfer syntax, in the device's
 * order, that all of them accept. Where nothing is known yet the destination's
 * configured list stands in, and the prober is told what to ask (PS3.8
 * 9.3.3.2: an A-ASSOCIATE-AC names only the one chosen).
 *
 * No I/O. Called on a worker; the capability table has its own lock. */
#ifndef PROXY_NEGOTIATE_H
#define PROXY_NEGOTIATE_H

#include <stddef.h>

#include "policy/config.h"
#include "proxy/capability.h"
#include "proxy/dicom/assoc.h"

/* All borrowed for the call. */
struct negotiation {
	const struct config *config;
	struct capabilities *capabilities;
	size_t listener, device; /* indexes */
	const struct assoc *rq;
};

struct agreed_context {
	uint8_t id;
	enum config_service service;      /* storage or verification */
	const struct config_route *route; /* of the config; storage only */
	char abstract[UID_SIZE];
	char transfer_syntax[UID_SIZE];
};

/* Set the result of every context of ac, which assoc_init_answer() prepared,
 * and list the accepted ones in out. Returns how many those are. */
size_t negotiate(const struct negotiation *n, struct assoc *ac,
		 struct agreed_context out[ASSOC_MAX_CONTEXTS]);

/* The service that an abstract syntax belongs to, 0 for one that this program
 * does not serve. Classes of no service known here count as storage: vendors
 * have private ones. */
unsigned negotiate_service(const char *abstract);

#endif
