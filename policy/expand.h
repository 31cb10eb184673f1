/* expand.h - what the file implies: a destination for every device that
 * listens itself, and the routes that one to "@called" stands for. Internal
 * to policy. */
#ifndef POLICY_EXPAND_H
#define POLICY_EXPAND_H

#include "policy/build.h"

/* Append an implicit destination, "@NAME", for every device with a port and
 * one single address. A device with a port and no such address is warned of,
 * one whose name leaves no room for the '@' is an error. ERR_NOMEM. */
enum err expand_devices(struct build *b) MUST_CHECK;

/* Put one route for each device that has an implicit destination in the place
 * of every route to CHECK_CALLED: for those AE titles of the device that a
 * listener of the route answers to and no earlier route takes. A route that
 * stands for none is an error. All refs are resolved. ERR_NOMEM. */
enum err expand_called(struct build *b) MUST_CHECK;

#endif
