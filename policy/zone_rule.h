/* zone_rule.h - the rule at the end of a time zone's file: what holds after
 * its last transition (POSIX TZ, as in RFC 9636 section 3.3.1). Internal to
 * policy; pure. */
#ifndef POLICY_ZONE_RULE_H
#define POLICY_ZONE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A day of the year, and the local time on it. */
struct zone_day {
	char kind;           /* 'J': 1..365, 29 February left out; 'n': 0..365;
				'M': month, week, weekday */
	uint16_t day;        /* J and n */
	uint8_t month, week; /* M: 1..12, 1..5 (5 is the last) */
	uint8_t weekday;     /* M: 0 is Sunday */
	int32_t time;        /* seconds after midnight; may be negative or pass
				the next midnight */
};

struct zone_rule {
	int32_t standard; /* seconds to add to UTC */
	int32_t daylight; /* the same when has_daylight */
	bool has_daylight;
	struct zone_day begin; /* of daylight saving, in standard time */
	struct zone_day end;   /* in daylight time */
};

/* False: text[0..len) is no such rule. */
bool zone_rule_parse(const char *text, size_t len, struct zone_rule *out);

/* As zone_offset() and zone_next(). t is bounded: years 1 to 9999, beyond
 * which nothing changes. */
int32_t zone_rule_offset(const struct zone_rule *r, int64_t t);
int64_t zone_rule_next(const struct zone_rule *r, int64_t t);

#endif
