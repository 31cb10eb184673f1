/* negotiate.h - what an association gets: one answer a presentation context
 * (PS3.8 9.3.3.2).
 *
 * Each context goes its own way, by service, device and called AE title:
 *
 *   taken here  on our own authority. For storage, from what is known of every
 *               destination on its route: the first transfer syntax, in the
 *               device's order, that all of them accept; where nothing is
 *               known yet the destination's configured list stands in, and the
 *               prober is told what to ask
 *   live        on a leg, an association with the route's destination: the
 *               device gets the destination's own answer
 *   both        a storage context that is also proposed in the SCP role, for
 *               C-GET: what the device stores is spooled, what is retrieved
 *               comes over the leg that queries go to
 *
 * Three steps, as legs are opened in between:
 *
 *   negotiate_begin --> negotiate_leg_rq(leg)       for each leg
 *                   --> negotiate_leg_answer(leg)   once each, in any order
 *                   --> negotiate_end
 *
 * No I/O. Called on a worker; the capability table has its own lock. */
#ifndef PROXY_NEGOTIATE_H
#define PROXY_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/capability.h"
#include "proxy/dicom/assoc.h"

enum { NEGOTIATE_LEGS = 8 }; /* as many as there are services */

enum context_way {
	WAY_ECHO,    /* C-ECHO, answered here */
	WAY_STORE,   /* C-STORE, into the spool */
	WAY_MESSAGE, /* N-ACTION, N-CREATE, N-SET, into the spool */
	WAY_REPORT,  /* N-EVENT-REPORT of storage commitment, taken here */
	WAY_RELAY,   /* live */
};

struct agreed_context {
	uint8_t id;
	enum config_service service;
	enum context_way way;
	int leg;  /* what is live in it goes there; -1: nothing is */
	bool scp; /* what is stored from there is for the device (C-GET) */
	const struct config_route *route; /* of the config; NULL: none needed */
	char abstract[UID_SIZE];
	char transfer_syntax[UID_SIZE];
};

/* A context on its way to an answer. Private. */
struct planned_context {
	struct agreed_context agreed;
	uint8_t result;       /* ours, when it is not live */
	bool here;            /* taken here, perhaps live too */
	bool scu, scp;        /* the roles that the device proposes */
	uint64_t syntaxes;    /* of those proposed: bits that may go up */
	uint64_t forward;     /* bits that the storage route takes */
	uint8_t up_result;    /* the leg's answer */
	bool up_scu, up_scp;  /* the roles that it grants */
	bool up_role;         /* it said so */
	char up_ts[UID_SIZE]; /* the transfer syntax that it chose */
};

/* About 60 KiB: allocate it. The first fields are the caller's, borrowed until
 * negotiate_end(). */
struct negotiation {
	const struct config *config;
	struct capabilities *capabilities;
	size_t listener, device; /* indexes */
	const struct assoc *rq;

	size_t n_legs;                       /* after negotiate_begin() */
	size_t destinations[NEGOTIATE_LEGS]; /* by leg: index in the config */

	bool all_live;   /* nothing is taken here: private, as all below */
	bool identified; /* a leg has answered the user identity */
	struct planned_context planned[ASSOC_MAX_CONTEXTS];
};

void negotiate_begin(struct negotiation *n);

/* The request for a leg, into rq: the contexts that go there under the
 * device's own ids, with its roles, extended negotiation, user identity and
 * maximum length, and its window when all is live. ERR_LIMIT: cannot be, as
 * it is part of what was decoded. */
enum err negotiate_leg_rq(const struct negotiation *n, size_t leg,
			  struct assoc *rq) MUST_CHECK;

/* Take in what a leg's destination answered; NULL: there is no leg. ac is the
 * answer to the device in the making, by assoc_init_answer() with our own
 * max_pdu: lengths and windows shrink to the smallest, opaque items add up. */
void negotiate_leg_answer(struct negotiation *n, size_t leg,
			  const struct assoc *leg_ac, struct assoc *ac);

/* Set result and role of every context of ac and list the accepted ones in
 * out. Returns how many those are. */
size_t negotiate_end(struct negotiation *n, struct assoc *ac,
		     struct agreed_context out[ASSOC_MAX_CONTEXTS]);

/* A leg was opened once more: does its answer carry every context of those
 * agreed that was live on it, alike? max_pdu: what the device was told. */
bool negotiate_leg_fits(const struct agreed_context *agreed, size_t n_agreed,
			size_t leg, const struct assoc *leg_ac,
			uint32_t max_pdu);

#endif
