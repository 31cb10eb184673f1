#include "proxy/shaping.h"

#include <stdio.h>

#include "policy/timetable.h"
#include "proxy/bucket.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

static bool has_hours(const struct config *config)
{
	if (config->rate.timetable.n > 0)
		return true;
	for (size_t i = 0; i < config->n_destinations; i++)
		if (config->destinations[i].rate.timetable.n > 0)
			return true;
	for (size_t i = 0; i < config->n_devices; i++)
		if (config->devices[i].rate.timetable.n > 0)
			return true;
	return false;
}

enum err shaping_begin(const struct config *config, struct shaping *out,
		       char why[SHAPING_WHY_LEN])
{
	struct shaping s = {.config = config};
	enum err e = ERR_OK;

	/* nobody is stopped by a zone that is not needed */
	if (config->time_zone[0] != '\0' || has_hours(config))
		e = zone_load(config->time_zone, &s.zone);
	if (e == ERR_NOMEM)
		return e;
	if (e != ERR_OK) {
		(void)snprintf(
		    why, SHAPING_WHY_LEN,
		    "time zone '%s' cannot be used (%s): choose one that "
		    "stands in " ZONE_DIRECTORY " (package tzdata); example: "
		    "time_zone: Europe/Berlin",
		    config->time_zone[0] != '\0' ? config->time_zone
						 : "/etc/localtime",
		    err_text(e));
		return ERR_INVAL;
	}
	e = shaper_new(config->n_destinations, config->n_devices, &s.shaper);
	if (e != ERR_OK) {
		zone_free(s.zone);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void shaping_end(struct shaping *s)
{
	shaper_free(s->shaper);
	zone_free(s->zone);
	*s = (struct shaping){.shaper = NULL};
}

uint64_t shaping_burst(const struct config_shape *shape, uint64_t limit)
{
	uint64_t burst = limit / 8 * SHAPING_BURST_MS / 1000;

	if (shape->burst > 0)
		return shape->burst;
	if (burst > BUCKET_BURST_MAX)
		return BUCKET_BURST_MAX;
	return burst > SHAPING_BURST_LEAST ? burst : SHAPING_BURST_LEAST;
}

/* One limit of the configuration, and where it goes. */
struct place {
	const struct config_shape *shape;
	const char *name;
	enum shaper_level level;
	size_t index;
};

/* Returns the second at which to look again. */
static int64_t apply(struct shaping *s, const struct place *p, int64_t t,
		     uint64_t mono_ns)
{
	static const char *const kinds[] = {[SHAPER_TOTAL] = "total",
					    [SHAPER_DESTINATION] =
						"destination",
					    [SHAPER_DEVICE] = "device"};
	struct shaper_limit limit = {.rate =
					 timetable_limit(p->shape, s->zone, t),
				     .reserve = p->shape->reserve};

	limit.burst = shaping_burst(p->shape, limit.rate);
	if (shaper_set(s->shaper, p->level, p->index, limit, mono_ns))
		log_event(LOG_INFO, "rate-limit",
			  "at=%s%s%s bits_per_second=%llu burst=%llu",
			  kinds[p->level], p->name[0] != '\0' ? ":" : "",
			  p->name, (unsigned long long)limit.rate,
			  (unsigned long long)limit.burst);
	return timetable_next(p->shape, s->zone, t);
}

uint64_t shaping_apply(struct shaping *s, int64_t wall_ms, uint64_t mono_ns)
{
	int64_t t = wall_ms / 1000, next = INT64_MAX, at;
	struct place p = {
	    .shape = &s->config->rate, .name = "", .level = SHAPER_TOTAL};

	next = apply(s, &p, t, mono_ns);
	for (size_t i = 0; i < s->config->n_destinations; i++) {
		const struct config_destination *d =
		    &s->config->destinations[i];

		p = (struct place){&d->rate, d->name, SHAPER_DESTINATION, i};
		at = apply(s, &p, t, mono_ns);
		next = at < next ? at : next;
	}
	for (size_t i = 0; i < s->config->n_devices; i++) {
		const struct config_device *d = &s->config->devices[i];

		p = (struct place){&d->rate, d->name, SHAPER_DEVICE, i};
		at = apply(s, &p, t, mono_ns);
		next = at < next ? at : next;
	}
	if (next > (wall_ms + SHAPING_LOOK_MS) / 1000)
		return SHAPING_LOOK_MS;
	return next * 1000 > wall_ms ? (uint64_t)(next * 1000 - wall_ms) : 1;
}
