#include "policy/timetable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	MINUTE_S = 60,
	DAY_MIN = 24 * 60,
	WEEK_MIN = 7 * DAY_MIN,
	MONDAY_MIN = 3 * DAY_MIN, /* 1970-01-01 was a Thursday */
	LOOKS_MAX = 8192,
};

#define YEAR_S (366ll * 24 * 3600)

/* Times are of years that people configure; arithmetic must survive others. */
#define FAR_S (1ll << 40)

static int64_t bounded(int64_t t)
{
	if (t > FAR_S)
		return FAR_S;
	return t < -FAR_S ? -FAR_S : t;
}

/* What the wall clock shows: minute of a week that begins on Monday. */
static int minute_of_week(const struct zone *zone, int64_t t)
{
	int64_t local = t + zone_offset(zone, t);
	int64_t week = (int64_t)WEEK_MIN * MINUTE_S;
	int64_t in = (local + MONDAY_MIN * (int64_t)MINUTE_S) % week;

	return (int)((in + week) % week / MINUTE_S);
}

static int length_of(const struct config_hours *h)
{
	return h->to > h->from ? h->to - h->from : h->to + DAY_MIN - h->from;
}

static bool covers(const struct config_hours *h, int minute)
{
	for (int day = 0; day < 7; day++) {
		int since =
		    (minute - day * DAY_MIN - h->from + WEEK_MIN) % WEEK_MIN;

		if ((h->days & 1u << day) != 0 && since < length_of(h))
			return true;
	}
	return false;
}

const struct config_hours *timetable_entry(const struct config_shape *shape,
					   const struct zone *zone, int64_t t)
{
	int minute;

	if (shape->timetable.n == 0)
		return NULL;
	minute = minute_of_week(zone, bounded(t));
	for (size_t i = 0; i < shape->timetable.n; i++)
		if (covers(&shape->timetable.v[i], minute))
			return &shape->timetable.v[i];
	return NULL;
}

uint64_t timetable_limit(const struct config_shape *shape,
			 const struct zone *zone, int64_t t)
{
	const struct config_hours *h = timetable_entry(shape, zone, t);

	return h != NULL ? h->limit : shape->limit;
}

/* Minutes from one in the week to the next edge of an entry, 1 to a week. */
static int to_edge(const struct config_shape *shape, int minute)
{
	int best = WEEK_MIN;

	for (size_t i = 0; i < shape->timetable.n; i++) {
		const struct config_hours *h = &shape->timetable.v[i];

		for (int day = 0; day < 7; day++) {
			int from = day * DAY_MIN + h->from;
			int to = from + length_of(h);
			int a = (from - minute + 2 * WEEK_MIN - 1) % WEEK_MIN;
			int b = (to - minute + 2 * WEEK_MIN - 1) % WEEK_MIN;

			if ((h->days & 1u << day) == 0)
				continue;
			best = a + 1 < best ? a + 1 : best;
			best = b + 1 < best ? b + 1 : best;
		}
	}
	return best;
}

/* The next moment at which the wall clock comes to an edge, or jumps. */
static int64_t next_look(const struct config_shape *shape,
			 const struct zone *zone, int64_t t)
{
	int64_t local = t + zone_offset(zone, t);
	int64_t into = (local % MINUTE_S + MINUTE_S) % MINUTE_S;
	int64_t edge =
	    t - into +
	    (int64_t)to_edge(shape, minute_of_week(zone, t)) * MINUTE_S;
	int64_t jump = zone_next(zone, t);

	return jump < edge ? jump : edge;
}

int64_t timetable_next(const struct config_shape *shape,
		       const struct zone *zone, int64_t t)
{
	uint64_t now = timetable_limit(shape, zone, t);
	int64_t begin = bounded(t), at = begin;

	if (shape->timetable.n == 0)
		return INT64_MAX;
	for (int i = 0; i < LOOKS_MAX && at - begin < YEAR_S; i++) {
		at = next_look(shape, zone, at);
		if (timetable_limit(shape, zone, at) != now)
			return at;
	}
	return INT64_MAX;
}

static const char *const day_names[] = {"mon", "tue", "wed", "thu",
					"fri", "sat", "sun"};

char *timetable_text(const struct config_hours *h, char out[TIMETABLE_TEXT_LEN])
{
	const char *before = "";
	size_t n = 0;
	int last;

	for (int day = 0; day < 7; day = last + 1) {
		last = day;
		if ((h->days & 1u << day) == 0)
			continue;
		while (last < 6 && (h->days & 1u << (last + 1)) != 0)
			last++;
		n += (size_t)snprintf(out + n, TIMETABLE_TEXT_LEN - n,
				      "%s%s%s%s", before, day_names[day],
				      last > day ? "-" : "",
				      last > day ? day_names[last] : "");
		before = ",";
	}
	(void)snprintf(out + n, TIMETABLE_TEXT_LEN - n, " %02d:%02d-%02d:%02d",
		       h->from / 60, h->from % 60, h->to / 60, h->to % 60);
	return out;
}

uint64_t timetable_most(const struct config_shape *shape)
{
	uint64_t most = shape->limit;

	for (size_t i = 0; i < shape->timetable.n; i++) {
		uint64_t limit = shape->timetable.v[i].limit;

		if (limit == 0)
			return 0;
		most = limit > most && most > 0 ? limit : most;
	}
	return most;
}
