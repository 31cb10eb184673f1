#include "proxy/sampler.h"

#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/ack_meter.h"
#include "proxy/admission.h"
#include "proxy/destination.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler.h"
#include "proxy/shaping.h"
#include "store/ledger.h"
#include "store/ledger_rollup.h"
#include "store/spool.h"

/* A line that was looked at longer ago says nothing of this step. */
enum { LINE_FRESH_MS = 15000 };

/* What had been counted at the sample before. */
struct before_destination {
	uint64_t delivered, delivered_bytes, failures, retransmitted;
};

struct sampler {
	struct sampler_options o;
	int64_t step; /* the last one sampled, in steps since the epoch */
	uint64_t mono_ns;
	struct ack_figures ack;
	uint64_t refused;
	struct before_destination *destinations; /* by index in config */
	uint64_t *refused_as;                    /* by device in config */
	struct ledger_device_stats *devices, *now;
	size_t n_devices, max_devices;

	struct ledger_stats *ledger;
	size_t n;
	struct sample_value values[SAMPLE_MAX];
};

/* ---- life ---------------------------------------------------------------- */

enum err sampler_new(const struct sampler_options *o, struct sampler **out)
{
	struct sampler *s = mem_zalloc(sizeof(*s));
	const struct config *c = o->config;

	if (s == NULL)
		return ERR_NOMEM;
	s->o = *o;
	/* Those of older configurations stand in the ledger, too. */
	s->max_devices = c->n_devices + CONFIG_DEVICES_MAX;
	s->destinations =
	    mem_zarray(c->n_destinations + 1, sizeof(*s->destinations));
	s->refused_as = mem_zarray(c->n_devices + 1, sizeof(*s->refused_as));
	s->devices = mem_zarray(s->max_devices, sizeof(*s->devices));
	s->now = mem_zarray(s->max_devices, sizeof(*s->now));
	s->ledger = mem_zalloc(sizeof(*s->ledger));
	if (s->destinations == NULL || s->refused_as == NULL ||
	    s->devices == NULL || s->now == NULL || s->ledger == NULL) {
		sampler_free(s);
		return ERR_NOMEM;
	}
	s->n_devices = ledger_devices(o->ledger, s->devices, s->max_devices);
	*out = s;
	return ERR_OK;
}

void sampler_free(struct sampler *s)
{
	if (s == NULL)
		return;
	mem_free(s->destinations);
	mem_free(s->refused_as);
	mem_free(s->devices);
	mem_free(s->now);
	mem_free(s->ledger);
	mem_free(s);
}

/* ---- values -------------------------------------------------------------- */

static void put(struct sampler *s, enum rollup_metric metric, const char *name,
		uint64_t value)
{
	struct sample_value *v = &s->values[s->n];

	if (s->n == SAMPLE_MAX)
		return;
	v->metric = metric;
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->value = value < INT64_MAX ? (int64_t)value : INT64_MAX;
	s->n++;
}

/* What has come since *before; nothing is left out of nothing. */
static void put_more(struct sampler *s, enum rollup_metric metric,
		     const char *name, uint64_t *before, uint64_t now)
{
	if (now > *before)
		put(s, metric, name, now - *before);
	*before = now;
}

/* ---- the whole ----------------------------------------------------------- */

static void put_acknowledgements(struct sampler *s)
{
	struct ack_figures now;

	ack_meter_read(&now);
	for (size_t i = 0; i < ROLLUP_BOUNDS; i++)
		put_more(s, ROLLUP_ACK_BUCKET, rollup_bound_text[i],
			 &s->ack.bucket[i], now.bucket[i]);
	put_more(s, ROLLUP_ACK_US, "", &s->ack.sum_us, now.sum_us);
}

static void put_totals(struct sampler *s, uint64_t mono_ns)
{
	struct spool_stats spool;

	spool_stats(s->o.spool, &spool);
	put(s, ROLLUP_SECONDS, "",
	    (mono_ns - s->mono_ns + 500000000) / 1000000000);
	put(s, ROLLUP_SPOOL_USED, "", spool.used);
	put(s, ROLLUP_SPOOL_QUOTA, "", spool.quota);
	put(s, ROLLUP_ASSOCIATIONS, "", (uint64_t)s->o.associations(s->o.arg));
	put_more(s, ROLLUP_REFUSALS, "", &s->refused,
		 admission_refused(s->o.admission));
	put_acknowledgements(s);
}

/* ---- destinations -------------------------------------------------------- */

static const struct ledger_destination_stats *
queue_of(const struct ledger_stats *l, const char *name)
{
	for (size_t i = 0; i < l->n_destinations; i++)
		if (strcmp(l->destinations[i].name, name) == 0)
			return &l->destinations[i];
	return NULL;
}

static void put_queue(struct sampler *s, const char *name, int64_t wall_ms)
{
	const struct ledger_destination_stats *q = queue_of(s->ledger, name);
	int64_t oldest;

	if (q == NULL)
		return;
	oldest = q->oldest_queued_ms;
	put(s, ROLLUP_QUEUE_COUNT, name, q->count[DELIVERY_QUEUED]);
	put(s, ROLLUP_QUEUE_BYTES, name, q->bytes[DELIVERY_QUEUED]);
	put(s, ROLLUP_QUEUE_AGE_MS, name,
	    oldest != 0 && wall_ms > oldest ? (uint64_t)(wall_ms - oldest) : 0);
}

static void put_line(struct sampler *s, size_t i, const char *name,
		     uint64_t mono_ns)
{
	struct line_shown line;

	line_facts_show(&s->o.destinations[i]->line, mono_ns, &line);
	put_more(s, ROLLUP_RETRANSMITS, name, &s->destinations[i].retransmitted,
		 line.retransmitted);
	if (line.age_ms <= LINE_FRESH_MS && line.rtt_us > 0)
		put(s, ROLLUP_RTT_US, name, line.rtt_us);
}

static void put_destination(struct sampler *s, size_t i,
			    const struct destination_status *d)
{
	struct before_destination *before = &s->destinations[i];

	put_more(s, ROLLUP_OUT_INSTANCES, d->name, &before->delivered,
		 d->delivered);
	put_more(s, ROLLUP_OUT_BYTES, d->name, &before->delivered_bytes,
		 d->delivered_bytes);
	put_more(s, ROLLUP_FAILURES, d->name, &before->failures, d->failures);
}

static void put_destinations(struct sampler *s, struct scheduler *scheduler,
			     int64_t wall_ms, uint64_t mono_ns)
{
	const struct config *c = s->o.config;
	struct destination_status d;

	ledger_stats(s->o.ledger, s->ledger);
	for (size_t i = 0; i < c->n_destinations; i++) {
		put_queue(s, c->destinations[i].name, wall_ms);
		put_line(s, i, c->destinations[i].name, mono_ns);
		if (scheduler != NULL && scheduler_status(scheduler, i, &d))
			put_destination(s, i, &d);
	}
}

static void put_limits(struct sampler *s, int64_t wall_ms)
{
	struct shaping_report r;
	size_t at = 0;

	while (shaping_report(s->o.shaping, &at, wall_ms, &r)) {
		if (r.level != SHAPER_DESTINATION)
			continue;
		put(s, ROLLUP_LIMIT, r.name, r.limit);
		put(s, ROLLUP_LINE, r.name, r.out);
	}
}

/* ---- devices ------------------------------------------------------------- */

/* Mostly they stand where they stood; new ones begin with nothing. */
static struct ledger_device_stats *before_of(struct sampler *s, size_t i,
					     const char *name)
{
	static const struct ledger_device_stats none;

	if (i < s->n_devices && strcmp(s->devices[i].name, name) == 0)
		return &s->devices[i];
	for (size_t k = 0; k < s->n_devices; k++)
		if (strcmp(s->devices[k].name, name) == 0)
			return &s->devices[k];
	if (s->n_devices == s->max_devices)
		return NULL;
	s->devices[s->n_devices] = none;
	snprintf(s->devices[s->n_devices].name,
		 sizeof(s->devices[s->n_devices].name), "%s", name);
	return &s->devices[s->n_devices++];
}

static void put_devices(struct sampler *s)
{
	size_t n = ledger_devices(s->o.ledger, s->now, s->max_devices);
	size_t values = s->n;

	for (size_t i = 0; i < n; i++) {
		const struct ledger_device_stats *d = &s->now[i];
		struct ledger_device_stats *before = before_of(s, i, d->name);

		if (before == NULL)
			continue;
		put_more(s, ROLLUP_IN_INSTANCES, d->name, &before->instances,
			 d->instances);
		put_more(s, ROLLUP_IN_BYTES, d->name, &before->bytes, d->bytes);
		put_more(s, ROLLUP_IN_ASSOCIATIONS, d->name,
			 &before->associations, d->associations);
	}
	/* A lost ledger counts again what it counted before. */
	if (s->ledger->rebuilding)
		s->n = values;
	for (size_t i = 0; i < s->o.config->n_devices; i++)
		put_more(s, ROLLUP_IN_REFUSALS, s->o.config->devices[i].name,
			 &s->refused_as[i],
			 admission_refused_as(s->o.admission, i));
}

/* ---- a sample ------------------------------------------------------------ */

void sampler_tick(struct sampler *s, struct scheduler *scheduler,
		  int64_t wall_ms, uint64_t mono_ns)
{
	int64_t step = wall_ms / SAMPLE_STEP_MS;
	struct ledger_sample sample = {.at_ms = step * SAMPLE_STEP_MS,
				       .values = s->values};

	if (s->mono_ns == 0)
		s->mono_ns = mono_ns;
	if (s->step == 0)
		s->step = step;
	if (step == s->step)
		return;
	s->step = step;
	s->n = 0;
	put_totals(s, mono_ns);
	put_destinations(s, scheduler, wall_ms, mono_ns);
	put_limits(s, wall_ms);
	put_devices(s);
	s->mono_ns = mono_ns;
	sample.n = s->n;
	ledger_sample(s->o.ledger, &sample);
}
