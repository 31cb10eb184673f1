/* shaping_take.c - copies of the limits, from one configuration or the next. */
#include <stdio.h>
#include <string.h>

#include "policy/change.h"
#include "proxy/lib/mem.h"
#include "proxy/shaping_int.h"

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

static enum err load_zone(const struct config *config, struct zone **out,
			  char why[SHAPING_WHY_LEN])
{
	enum err e;

	*out = NULL;
	e = zone_load(config->time_zone, out);
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	/* nobody is stopped by a zone that is not needed */
	if (config->time_zone[0] == '\0' && !has_hours(config))
		return ERR_OK;
	(void)snprintf(
	    why, SHAPING_WHY_LEN,
	    "time zone '%s' cannot be used (%s): choose one that stands "
	    "in " ZONE_DIRECTORY " (package tzdata); example: time_zone: "
	    "Europe/Berlin",
	    config->time_zone[0] != '\0' ? config->time_zone : "/etc/localtime",
	    err_text(e));
	return ERR_INVAL;
}

/* ---- copies ------------------------------------------------------------ */

static enum err copy(const struct config_shape *from, struct config_shape *out)
{
	size_t n = from->timetable.n;

	*out = *from;
	out->timetable.v = NULL;
	if (n == 0)
		return ERR_OK;
	out->timetable.v = mem_zarray(n, sizeof(*out->timetable.v));
	if (out->timetable.v == NULL) {
		out->timetable.n = 0;
		return ERR_NOMEM;
	}
	memcpy(out->timetable.v, from->timetable.v,
	       n * sizeof(*out->timetable.v));
	return ERR_OK;
}

static void free_shapes(struct config_shape *v, size_t n)
{
	for (size_t i = 0; v != NULL && i < n; i++)
		mem_free(v[i].timetable.v);
	mem_free(v);
}

struct shaping_place shaping_place(const struct shaping *s, size_t i)
{
	const struct config *c = s->config;

	if (i == 0)
		return (struct shaping_place){"", SHAPER_TOTAL, 0};
	i--;
	if (i < c->n_destinations)
		return (struct shaping_place){c->destinations[i].name,
					      SHAPER_DESTINATION, i};
	i -= c->n_destinations;
	return (struct shaping_place){c->devices[i].name, SHAPER_DEVICE, i};
}

/* What fresh says of it; NULL: nothing. */
static const struct config_shape *find(const struct config *fresh,
				       const struct shaping *s, size_t i)
{
	struct shaping_place p = shaping_place(s, i);
	int at;

	switch (p.level) {
	case SHAPER_TOTAL:
		break;
	case SHAPER_DESTINATION:
		at = change_destination(fresh, s->config, p.index);
		return at >= 0 ? &fresh->destinations[at].rate : NULL;
	case SHAPER_DEVICE:
		at = change_device(fresh, s->config, p.index);
		return at >= 0 ? &fresh->devices[at].rate : NULL;
	}
	return &fresh->rate;
}

static enum err copy_all(const struct shaping *s, const struct config *fresh,
			 struct config_shape *out)
{
	static const struct config_shape none;
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < s->n; i++) {
		const struct config_shape *from = find(fresh, s, i);

		if (from == NULL)
			from = s->shapes != NULL ? &s->shapes[i] : &none;
		e = copy(from, &out[i]);
	}
	return e;
}

enum err shaping_take(struct shaping *s, const struct config *fresh,
		      char why[SHAPING_WHY_LEN])
{
	struct config_shape *shapes;
	struct zone *zone;
	enum err e = load_zone(fresh, &zone, why);

	if (e != ERR_OK)
		return e;
	shapes = mem_zarray(s->n, sizeof(*shapes));
	e = shapes != NULL ? copy_all(s, fresh, shapes) : ERR_NOMEM;
	if (e != ERR_OK) {
		free_shapes(shapes, s->n);
		zone_free(zone);
		return e;
	}
	free_shapes(s->shapes, s->n);
	zone_free(s->zone);
	s->shapes = shapes;
	s->zone = zone;
	(void)snprintf(s->zone_name, sizeof(s->zone_name), "%s",
		       fresh->time_zone);
	return ERR_OK;
}

/* ---- birth and end ----------------------------------------------------- */

enum err shaping_begin(const struct config *config, struct shaping *out,
		       char why[SHAPING_WHY_LEN])
{
	struct shaping s = {.config = config,
			    .n =
				1 + config->n_destinations + config->n_devices};
	enum err e = shaping_take(&s, config, why);

	if (e == ERR_OK) {
		s.uses = mem_zarray(s.n, sizeof(*s.uses));
		e = s.uses != NULL ? ERR_OK : ERR_NOMEM;
	}
	if (e == ERR_OK)
		e = shaper_new(config->n_destinations, config->n_devices,
			       &s.shaper);
	if (e != ERR_OK) {
		shaping_end(&s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void shaping_end(struct shaping *s)
{
	shaper_free(s->shaper);
	zone_free(s->zone);
	free_shapes(s->shapes, s->n);
	mem_free(s->uses);
	*s = (struct shaping){.shaper = NULL};
}
