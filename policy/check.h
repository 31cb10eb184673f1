/* check.h - what only the whole configuration shows: names that lead
 * nowhere, what shadows or overlaps what. Internal to policy. */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy/config.h"

/* Set every route's action from what it has; it must be one. */
void check_actions(struct config *cfg, struct config_errors *e);

/* Resolve every config_ref of cfg but those named CHECK_CALLED; unknown names
 * become errors. Implicit destinations are there already. */
#define CHECK_CALLED "@called"
void check_refs(struct config *cfg, struct config_errors *e);

/* All else; the refs are resolved. */
void check_meaning(const struct config *cfg, struct config_errors *e);

/* Its parts. */
void check_listeners(const struct config *cfg, struct config_errors *e);
void check_destinations(const struct config *cfg, struct config_errors *e);
void check_repositories(const struct config *cfg, struct config_errors *e);
void check_devices(const struct config *cfg, struct config_errors *e);
void check_routes(const struct config *cfg, struct config_errors *e);
void check_spool(const struct config *cfg, struct config_errors *e);
void check_rates(const struct config *cfg, struct config_errors *e);
void check_status(const struct config *cfg, struct config_errors *e);
void check_commitment(const struct config *cfg, struct config_errors *e);

/* Where an option of a named thing was set: check_at(cfg, "listeners", name,
 * "tls.ca", fallback). fallback if it was not set. */
struct config_mark check_at(const struct config *cfg, const char *collection,
			    const char *name, const char *option,
			    struct config_mark fallback);

#endif
