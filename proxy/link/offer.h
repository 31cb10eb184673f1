/* offer.h - what travels of an instance as metadata of OFFER and ROOT, and what
 * is taken of it at the other end (PROTOCOL.md, "Metadata").
 *
 * Pure: no I/O, no allocation. Input is hostile.
 *
 * Left out at both ends is what is local to a store: listener, device, peer,
 * association, destinations, holds, commitment, length, count and root. */
#ifndef PROXY_LINK_OFFER_H
#define PROXY_LINK_OFFER_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/link/frame.h"
#include "store/instance.h"

/* Encode in for the wire. Returns the length; always fits. */
size_t link_offer_meta(const struct instance *in,
		       uint8_t out[INSTANCE_ENCODED_MAX]);

/* Take metadata of the transfer id. The receiver then fills in its own fields.
 *
 *   ERR_OK     *out is filled; local fields are empty
 *   ERR_PROTO  not an encoding of an instance; of another transfer; no SOP
 * class or, save for a message, no SOP instance or transfer syntax; a UID that
 * is none; text with control characters. *out is zeroed; answer
 * LINK_REFUSED_META */
enum err link_offer_take(const struct transfer_id *id, struct link_bytes meta,
			 struct instance *out) MUST_CHECK;

#endif
