/* timetable.h - how much of the line the hour allows.
 *
 * A plain limit, and entries of a week that replace it: the first entry that
 * covers the day and the time wins. Days and times are those that a wall clock
 * of the site shows: where a clock jumps from 02:00 to 03:00 an entry from
 * 02:30 begins at 03:00, and where it goes back an hour, what stands in that
 * hour holds twice. Hours that end before they begin pass midnight and belong
 * to the day on which they begin.
 *
 * Pure: no clock. Any thread. */
#ifndef POLICY_TIMETABLE_H
#define POLICY_TIMETABLE_H

#include <stdint.h>

#include "policy/config.h"
#include "policy/zone.h"

/* The entry that counts at t, NULL: none, the plain limit does. */
const struct config_hours *timetable_entry(const struct config_shape *shape,
					   const struct zone *zone, int64_t t);

/* "mon-fri 07:00-19:00", "mon,wed 22:00-06:00". Returns out. */
enum { TIMETABLE_TEXT_LEN = 64 };
char *timetable_text(const struct config_hours *h,
		     char out[TIMETABLE_TEXT_LEN]);

/* The limit at t (seconds since the epoch, UTC) in that zone (NULL: UTC), in
 * bits per second; 0: none. */
uint64_t timetable_limit(const struct config_shape *shape,
			 const struct zone *zone, int64_t t);

/* The first moment after t when timetable_limit() is another than at t;
 * INT64_MAX: it stays for good (a year was looked at). */
int64_t timetable_next(const struct config_shape *shape,
		       const struct zone *zone, int64_t t);

/* The greatest limit that the week has, 0: none at some hour. */
uint64_t timetable_most(const struct config_shape *shape);

#endif
