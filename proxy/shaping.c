#include "proxy/shaping.h"

#include "policy/timetable.h"
#include "proxy/bucket.h"
#include "proxy/lib/log.h"
#include "proxy/shaping_int.h"

uint64_t shaping_burst(const struct config_shape *shape, uint64_t limit)
{
	uint64_t burst = limit / 8 * SHAPING_BURST_MS / 1000;

	if (shape->burst > 0)
		return shape->burst;
	if (burst > BUCKET_BURST_MAX)
		return BUCKET_BURST_MAX;
	return burst > SHAPING_BURST_LEAST ? burst : SHAPING_BURST_LEAST;
}

/* Returns the second at which to look again. */
static int64_t apply(struct shaping *s, size_t i, int64_t t, uint64_t mono_ns)
{
	const struct config_shape *shape = &s->shapes[i];
	struct shaping_place p = shaping_place(s, i);
	struct shaper_limit limit = {.rate = timetable_limit(shape, s->zone, t),
				     .reserve = shape->reserve};

	limit.burst = shaping_burst(shape, limit.rate);
	if (shaper_set(s->shaper, p.level, p.index, limit, mono_ns))
		log_event(LOG_INFO, "rate-limit",
			  "at=%s%s%s bits_per_second=%llu burst=%llu",
			  shaping_level_name(p.level),
			  p.name[0] != '\0' ? ":" : "", p.name,
			  (unsigned long long)limit.rate,
			  (unsigned long long)limit.burst);
	return timetable_next(shape, s->zone, t);
}

uint64_t shaping_apply(struct shaping *s, int64_t wall_ms, uint64_t mono_ns)
{
	int64_t t = wall_ms / 1000, next = INT64_MAX;

	for (size_t i = 0; i < s->n; i++) {
		int64_t at = apply(s, i, t, mono_ns);

		next = at < next ? at : next;
	}
	if (next > (wall_ms + SHAPING_LOOK_MS) / 1000)
		return SHAPING_LOOK_MS;
	return next * 1000 > wall_ms ? (uint64_t)(next * 1000 - wall_ms) : 1;
}
