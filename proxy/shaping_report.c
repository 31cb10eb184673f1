/* shaping_report.c - the limits as a person wants to see them. */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "policy/timetable.h"
#include "proxy/shaping_int.h"

const char *shaping_level_name(enum shaper_level level)
{
	switch (level) {
	case SHAPER_TOTAL:
		return "total";
	case SHAPER_DESTINATION:
		return "destination";
	case SHAPER_DEVICE:
		return "device";
	}
	return "?";
}

static bool is_configured(const struct config_shape *shape)
{
	return shape->limit > 0 || shape->timetable.n > 0;
}

/* Make room in front. */
static void shift(uint64_t v[SHAPING_SAMPLES])
{
	memmove(v + 1, v, (SHAPING_SAMPLES - 1) * sizeof(*v));
}

void shaping_sample(struct shaping *s, uint64_t mono_ns)
{
	shift(s->sampled_ns);
	s->sampled_ns[0] = mono_ns;
	for (size_t i = 0; i < s->n; i++) {
		struct shaping_place p = shaping_place(s, i);

		for (int way = 0; way < SHAPER_WAYS; way++) {
			shift(s->uses[i].passed[way]);
			s->uses[i].passed[way][0] = shaper_passed(
			    s->shaper, (enum shaper_way)way, p.level, p.index);
		}
	}
}

/* Bits per second, from the oldest sample to the latest. */
static uint64_t use_of(const struct shaping *s, size_t i, enum shaper_way way)
{
	const uint64_t *passed = s->uses[i].passed[way];
	size_t oldest = SHAPING_SAMPLES - 1;
	uint64_t ns, n;

	while (oldest > 0 && s->sampled_ns[oldest] == 0)
		oldest--;
	ns = s->sampled_ns[0] - s->sampled_ns[oldest];
	n = passed[0] > passed[oldest] ? passed[0] - passed[oldest] : 0;
	return ns > 0 ? (uint64_t)((double)n * 8e9 / (double)ns) : 0;
}

static void look_ahead(const struct shaping *s, const struct config_shape *sh,
		       int64_t t, struct shaping_report *out)
{
	int64_t next = timetable_next(sh, s->zone, t);
	time_t local;
	struct tm tm;

	if (next == INT64_MAX)
		return;
	out->next_s = next;
	out->next_limit = timetable_limit(sh, s->zone, next);
	local = (time_t)(next + zone_offset(s->zone, next));
	if (gmtime_r(&local, &tm) != NULL)
		(void)strftime(out->next, sizeof(out->next), "%Y-%m-%d %H:%M",
			       &tm);
}

/* Midnight by an offset that holds at t. */
static int64_t midnight(int64_t t, int64_t offset)
{
	int64_t local = t + offset, into = local % 86400;

	return local - (into < 0 ? into + 86400 : into) - offset;
}

int64_t shaping_day(const struct shaping *s, int64_t wall_ms)
{
	int64_t t = wall_ms / 1000, offset = zone_offset(s->zone, t);
	int64_t day = midnight(t, offset);

	/* the clocks may have been changed since */
	return (day + offset - zone_offset(s->zone, day)) * 1000;
}

bool shaping_report(const struct shaping *s, size_t *at, int64_t wall_ms,
		    struct shaping_report *out)
{
	int64_t t = wall_ms / 1000;
	const struct config_shape *shape;
	struct shaping_place p;

	while (*at < s->n && !is_configured(&s->shapes[*at]))
		++*at;
	if (*at >= s->n)
		return false;
	shape = &s->shapes[*at];
	p = shaping_place(s, *at);
	*out =
	    (struct shaping_report){.level = p.level,
				    .name = p.name,
				    .limit = timetable_limit(shape, s->zone, t),
				    .entry = timetable_entry(shape, s->zone, t),
				    .out = use_of(s, *at, SHAPER_OUT),
				    .in = use_of(s, *at, SHAPER_IN)};
	if (out->limit > 0)
		out->burst = shaping_burst(shape, out->limit);
	look_ahead(s, shape, t, out);
	++*at;
	return true;
}
