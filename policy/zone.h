/* zone.h - a time zone: how far local time is from UTC at a moment.
 *
 * From the files of the time zone database (TZif, RFC 9636), without the
 * process's own idea of a zone (TZ, tzset), so that any number may be in use.
 * Read-only once made: any thread. */
#ifndef POLICY_ZONE_H
#define POLICY_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum {
	ZONE_NAME_LEN = 64, /* "America/Argentina/Buenos_Aires" and a NUL */
	ZONE_FILE_MAX = 64 * 1024,
};

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

struct zone; /* opaque */

/* Whether name looks like one of the database: components of letters, digits,
 * "_", "-" and "+", joined by "/". It may still not exist. */
bool zone_name_ok(const char *name);

/* Read the zone of that name, "": this machine's (/etc/localtime, or UTC when
 * there is none).
 *
 *   ERR_NOTFOUND  no such zone here, or no name of one
 *   ERR_INVAL     its file is no TZif file that we understand
 *   ERR_IO, ERR_NOMEM */
enum err zone_load(const char *name, struct zone **out) MUST_CHECK;

/* The same from the bytes of a TZif file, version 1 to 4. Pure. ERR_INVAL,
 * ERR_NOMEM. */
enum err zone_parse(const uint8_t *bytes, size_t len,
		    struct zone **out) MUST_CHECK;

void zone_free(struct zone *z); /* NULL is fine */

/* Seconds to add to UTC for local time at t, seconds since the epoch. NULL is
 * UTC. */
int32_t zone_offset(const struct zone *z, int64_t t);

/* The first moment after t when the offset may be another; INT64_MAX: never
 * any more. */
int64_t zone_next(const struct zone *z, int64_t t);

#endif
