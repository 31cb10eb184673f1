#include "web-status/series.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

static const struct {
	const char *name;
	int64_t ms;
} ranges[SERIES_RANGES] = {
#define X(name, ms, word) {name, ms},
    SERIES_RANGE_MAP(X)
#undef X
};

size_t series_range(const struct web_request *r)
{
	char text[8];

	if (web_query(r, "range", text, sizeof(text)))
		for (size_t i = 0; i < SERIES_RANGES; i++)
			if (strcmp(ranges[i].name, text) == 0)
				return i;
	return 0;
}

const char *series_range_name(size_t range)
{
	return ranges[range].name;
}

int64_t series_range_ms(size_t range)
{
	return ranges[range].ms;
}

/* ---- points over time ------------------------------------------------------
 */

static unsigned bound_of(const char *name)
{
	unsigned i = 0;

	while (i + 1 < ROLLUP_BOUNDS && strcmp(rollup_bound_text[i], name) != 0)
		i++;
	return i;
}

static bool on_point(void *arg, const struct rollup_point *p)
{
	struct series *s = arg;
	struct series_point *at;
	int64_t i = (p->at_ms - s->from_ms) / s->step_ms;

	if (p->at_ms < s->from_ms || i >= (int64_t)s->n)
		return true;
	at = &s->at[i];
	if (p->metric == ROLLUP_SECONDS)
		at->seconds += p->value;
	else if (p->metric == ROLLUP_IN_BYTES)
		at->in_bytes += p->value;
	else if (p->metric == ROLLUP_OUT_BYTES)
		at->out_bytes += p->value;
	else if (p->metric == ROLLUP_QUEUE_COUNT)
		at->queue += p->value;
	else if (p->metric == ROLLUP_ACK_BUCKET)
		at->acks[bound_of(p->name)] += (uint64_t)p->value;
	return true;
}

enum err series_read(struct ledger_view *v, int64_t range_ms, int64_t now_ms,
		     unsigned max_points, struct series *out)
{
	enum rollup_level level =
	    rollup_level_for(now_ms - range_ms, now_ms, now_ms, max_points);
	uint64_t metrics =
	    ROLLUP_BIT(ROLLUP_SECONDS) | ROLLUP_BIT(ROLLUP_IN_BYTES) |
	    ROLLUP_BIT(ROLLUP_OUT_BYTES) | ROLLUP_BIT(ROLLUP_QUEUE_COUNT) |
	    ROLLUP_BIT(ROLLUP_ACK_BUCKET);
	int64_t step = rollup_step_ms(level);
	enum err e;

	*out = (struct series){.step_ms = step,
			       .from_ms = (now_ms - range_ms) / step * step};
	out->n = (size_t)((now_ms - out->from_ms) / step + 1);
	out->at = mem_zarray(out->n, sizeof(*out->at));
	if (out->at == NULL)
		return ERR_NOMEM;
	e = ledger_rollup(v, metrics, NULL, level, out->from_ms, now_ms + 1,
			  on_point, out);
	if (e != ERR_OK)
		series_free(out);
	return e;
}

void series_free(struct series *s)
{
	mem_free(s->at);
	*s = (struct series){0};
}

uint64_t series_rate(int64_t bytes, int64_t seconds)
{
	return seconds > 0 && bytes > 0
		   ? (uint64_t)((double)bytes * 8 / (double)seconds)
		   : 0;
}

bool series_latency(const struct series_point *s, unsigned percent,
		    uint64_t *us)
{
	uint64_t all = 0, seen = 0;

	for (unsigned i = 0; i < ROLLUP_BOUNDS; i++)
		all += s->acks[i];
	if (all == 0)
		return false;
	for (unsigned i = 0; i < ROLLUP_BOUNDS; i++) {
		seen += s->acks[i];
		if (seen * 100 < all * percent)
			continue;
		/* what is behind the last bound is shown as that */
		*us = rollup_bound_us[i + 1 < ROLLUP_BOUNDS ? i : i - 1];
		return true;
	}
	return false;
}

/* ---- sums by name ----------------------------------------------------------
 */

struct summing {
	const enum rollup_metric *metrics;
	size_t n;
	struct figures *out;
	size_t cap;
	bool short_of_memory;
};

static struct figure *named(struct summing *s, const char *name)
{
	struct figures *f = s->out;
	struct figure *more, *fresh;

	/* the same names come over and over, mostly in the same order */
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->at[i].name, name) == 0)
			return &f->at[i];
	if (f->n == s->cap) {
		more = mem_realloc(f->at, (s->cap + 64) * sizeof(*f->at));
		if (more == NULL)
			return NULL;
		f->at = more;
		s->cap += 64;
	}
	fresh = &f->at[f->n++];
	snprintf(fresh->name, sizeof(fresh->name), "%s", name);
	for (size_t i = 0; i < FIGURE_METRICS; i++)
		fresh->value[i] = -1;
	return fresh;
}

static bool on_figure(void *arg, const struct rollup_point *p)
{
	struct summing *s = arg;
	struct figure *f = named(s, p->name);

	if (f == NULL) {
		s->short_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->metrics[i] != p->metric)
			continue;
		if (rollup_kind_of(p->metric) == ROLLUP_SUM && f->value[i] > 0)
			f->value[i] += p->value;
		else
			f->value[i] = p->value;
	}
	return true;
}

enum err figures_read(struct ledger_view *v, const enum rollup_metric *metrics,
		      size_t n, int64_t from_ms, int64_t to_ms,
		      struct figures *out)
{
	struct summing s = {.metrics = metrics, .n = n, .out = out};
	enum rollup_level level =
	    rollup_level_for(from_ms, to_ms, to_ms, SERIES_ROWS_MAX);
	uint64_t bits = 0;
	enum err e;

	*out = (struct figures){0};
	for (size_t i = 0; i < n; i++)
		bits |= ROLLUP_BIT(metrics[i]);
	e = ledger_rollup(v, bits, NULL, level, from_ms, to_ms, on_figure, &s);
	if (e == ERR_OK && s.short_of_memory)
		e = ERR_NOMEM;
	if (e != ERR_OK)
		figures_free(out);
	return e;
}

const struct figure *figure_of(const struct figures *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->at[i].name, name) == 0)
			return &f->at[i];
	return NULL;
}

void figures_free(struct figures *f)
{
	mem_free(f->at);
	*f = (struct figures){0};
}
