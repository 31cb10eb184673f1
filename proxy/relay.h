/* relay.h - the live part of an association: its legs, and what passes.
 *
 * A leg (leg.h) is an association with one destination. PDUs pass as they are,
 * both ways; commands are read in passing, for policy and for the record.
 *
 *   device --> association --> leg      a message goes on once its command was
 *                                       read and found allowed
 *   leg --> association --> device      messages of several legs, and our own,
 *                                       never mix (PS3.8 annex E): each takes
 *                                       its turn. An answer goes on when it is
 *                                       complete, so that a leg which is lost
 *                                       leaves none in half; a C-STORE streams
 *
 * A leg that is lost does not end the device's association: what it owed is
 * answered with a failure, and the next message opens it again.
 *
 * relay.c      life: legs opened, lost, opened again, ended
 * relay_up.c   what the device sends
 * relay_down.c what comes for it
 *
 * Lives on the association's worker. */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dicom/command.h"
#include "proxy/dicom/pdu.h"
#include "proxy/lib/err.h"
#include "proxy/negotiate.h"

struct association;
struct relay; /* opaque */

/* ---- life ---- */

/* Open the legs that a->pending asks for. When each was accepted or refused
 * association_legs_ready() runs: from inside, when none could even be begun,
 * and it may end the relay. ERR_NOMEM. */
enum err relay_begin(struct association *a, struct relay **out) MUST_CHECK;
/* The association was answered: legs without a context are released, the
 * others begin to read. */
void relay_established(struct relay *r);
/* Was any leg refused or not reached? */
bool relay_has_failed(const struct relay *r);
/* No leg gave a context: what the device is told, the destination's own
 * A-ASSOCIATE-RJ where there was one. */
struct pdu_reject relay_reject(const struct relay *r);
/* The association ends: orderly (released) or not. r must not be used any
 * more; it frees itself when its legs are gone. */
void relay_end(struct relay *r, bool orderly);

/* ---- what the device sends (relay_up.c) ---- */

enum relay_answer {
	RELAY_PASS, /* the message goes to its leg */
	RELAY_WAIT, /* the leg is opened again: association_relay_decided() */
	RELAY_FAIL, /* answer with relay_failure_status() */
	RELAY_DROP, /* nobody waits for it */
};

/* A request, or a response, came whole in a context that has a leg. */
enum relay_answer relay_request(struct relay *r, const struct agreed_context *c,
				const struct command *rq);
enum relay_answer relay_response(struct relay *r,
				 const struct agreed_context *c,
				 const struct command *rsp);
/* Bytes of the data set of the message that passes; for the record. */
void relay_data(struct relay *r, const uint8_t *p, size_t n);
/* Write what a->run has ready to the leg of the message that passes. */
void relay_flush(struct relay *r);
/* All of that message was written. */
void relay_message_end(struct relay *r);

/* ---- states ---- */

/* Requests of the device that are not answered yet. */
unsigned relay_owed(const struct relay *r);
/* Requests to the device that it has not answered yet. */
unsigned relay_asked(const struct relay *r);
/* A message to the device is under way: nothing else may be sent. */
bool relay_has_turn(const struct relay *r);
/* The queue to the device is low again. */
void relay_drained(struct relay *r);

#endif
