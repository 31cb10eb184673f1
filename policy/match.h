/* match.h - what fits what: the small predicates that devices, routes and
 * checks share. Pure. Internal to policy. */
#ifndef POLICY_MATCH_H
#define POLICY_MATCH_H

#include <stdbool.h>

#include "policy/config.h"

/* ae: trimmed. "*" in the list is nothing special here. */
bool match_ae(const struct config_aes *list, const char *ae);
bool match_ref(const struct config_refs *list, size_t index);
/* As these two, but an empty list fits everything. */
bool match_ae_or_any(const struct config_aes *list, const char *ae);
bool match_ref_or_any(const struct config_refs *list, size_t index);

/* net covers the 16 bytes of an address, as in struct config_network; ranges
 * of IPv6 cover no IPv4 address. */
bool match_address(const struct config_network *net, const uint8_t address[16]);
/* Some address is in both. */
bool match_overlap(const struct config_network *a,
		   const struct config_network *b);

/* "127.0.0.0/8" and "::1/128". */
bool match_loopback(const uint8_t address[16]);

/* Whether a certificate is asked of the device. */
bool match_needs_certificate(const struct config_device *d);

/* Whether d can arrive at that listener at all: it may use it, a certificate
 * can be shown there if one is asked, and the addresses meet. */
bool match_reaches(const struct config *cfg, const struct config_device *d,
		   size_t listener);

/* The first AE title of a that is in b too, or NULL. */
const char *match_common_ae(const struct config_aes *a,
			    const struct config_aes *b);

/* Which services r takes from that device (an index), at some listener and
 * for some called AE title: bits of enum config_service, 0 for none. The refs
 * of r are resolved. */
unsigned match_taken(const struct config *cfg, const struct config_route *r,
		     size_t device);

/* Copy an AE title without leading and trailing spaces; at most 16
 * characters are looked at. Returns out. */
char *match_trim_ae(const char *ae, char out[CONFIG_AE_LEN]);

#endif
