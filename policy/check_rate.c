/* Bandwidths: limits that cannot be reached, or mean nothing. */
#include "policy/check.h"
#include "policy/problem.h"
#include "policy/timetable.h"
#include "policy/value.h"

enum { TURN_MS = 10 }; /* who waits may sleep that long */

static void check_shape(const struct config_shape *s, const char *what,
			struct config_mark burst, struct config_errors *e)
{
	uint64_t most = timetable_most(s), need = most / 8 * TURN_MS / 1000;
	char have[VALUE_TEXT_LEN], limit[VALUE_TEXT_LEN];

	if (s->burst == 0)
		return;
	if (s->limit == 0 && s->timetable.n == 0)
		problem_warning(e, burst,
				"%s has a burst and no limit; example: rate: "
				"{limit: 200Mbit, burst: 1MiB}",
				what);
	else if (s->burst / 100 * (100 - s->reserve) < need)
		problem_warning(e, burst,
				"%s will not reach its limit of %s with bursts "
				"of %s; what 'reserve' leaves of it must be "
				"%llu bytes (%d ms) at least; or leave 'burst' "
				"out",
				what, value_bandwidth_text(most, limit),
				value_size_text(s->burst, have),
				(unsigned long long)need, TURN_MS);
}

void check_rates(const struct config *cfg, struct config_errors *e)
{
	char what[CONFIG_NAME_LEN + 16];

	check_shape(&cfg->rate, "the total rate",
		    config_where(cfg, "rate.burst"), e);
	for (size_t i = 0; i < cfg->n_destinations; i++) {
		const struct config_destination *d = &cfg->destinations[i];

		snprintf(what, sizeof(what), "destination '%s'", d->name);
		check_shape(
		    &d->rate, what,
		    check_at(cfg, "destinations", d->name, "rate.burst", d->at),
		    e);
	}
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct config_device *d = &cfg->devices[i];

		snprintf(what, sizeof(what), "device '%s'", d->name);
		check_shape(
		    &d->rate, what,
		    check_at(cfg, "devices", d->name, "rate.burst", d->at), e);
	}
}
