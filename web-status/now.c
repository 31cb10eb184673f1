/* What is known of this moment; how it is shown is in now_show.c. */
#include "web-status/now.h"

#include <string.h>

#include "proxy/lib/mem.h"

/* The daemon knows the site's midnight; without it the day is that of UTC. */
static void find_today(struct now *n, int64_t now_ms)
{
	const json_t *today = json_object_get(n->status, "today");
	int64_t from = json_number_of(today, "from_ms");

	n->zone = from > 0 ? json_text_of(today, "zone") : "UTC";
	n->today_ms =
	    from > 0 && from <= now_ms ? from : now_ms / 86400000 * 86400000;
}

static bool on_destination(void *arg, const struct view_destination *d)
{
	struct now *n = arg;

	for (size_t i = 0; i < n->n_destinations; i++)
		if (strcmp(n->destinations[i].config->name, d->name) == 0)
			n->destinations[i].ledger = *d;
	return true;
}

/* Of the last minutes, by rollups. */
static void read_recent(struct now *n, int64_t now_ms)
{
	static const enum rollup_metric metrics[] = {
	    ROLLUP_OUT_BYTES, ROLLUP_RTT_US, ROLLUP_RETRANSMITS, ROLLUP_LINE};
	struct figures f;

	if (figures_read(n->ledger, metrics, ARRAY_LEN(metrics),
			 now_ms - NOW_RECENT_MS, now_ms, &f) != ERR_OK)
		return;
	for (size_t i = 0; i < n->n_destinations; i++) {
		struct now_destination *d = &n->destinations[i];
		const struct figure *g = figure_of(&f, d->config->name);

		if (g == NULL)
			continue;
		d->drain_bits = series_rate(g->value[0], NOW_RECENT_MS / 1000);
		d->rtt_us = g->value[1];
		d->retransmits = g->value[2];
		d->out_bits = g->value[3] > 0 ? (uint64_t)g->value[3] : 0;
	}
	figures_free(&f);
}

static void read_devices(struct now *n, int64_t now_ms)
{
	static const enum rollup_metric metrics[] = {
	    ROLLUP_IN_INSTANCES, ROLLUP_IN_BYTES, ROLLUP_IN_REFUSALS,
	    ROLLUP_REFUSALS};

	if (figures_read(n->ledger, metrics, ARRAY_LEN(metrics), n->today_ms,
			 now_ms, &n->devices) != ERR_OK)
		n->devices = (struct figures){0};
}

/* The entry of "rates" for a destination. */
static const json_t *rate_of(const json_t *status, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(status, "rates"), i, e)
	{
		if (strcmp(json_text_of(e, "of"), "destination") == 0 &&
		    strcmp(json_text_of(e, "name"), name) == 0)
			return e;
	}
	return NULL;
}

static int64_t higher(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* What the daemon says at this moment wins over what was a while ago. */
static void read_status(struct now_destination *d, const json_t *status)
{
	const json_t *line, *link;

	d->status = json_find(json_object_get(status, "destinations"), "name",
			      d->config->name);
	d->rate = rate_of(status, d->config->name);
	line = json_object_get(d->status, "line");
	link = json_object_get(d->status, "link");
	if (d->rate != NULL)
		d->out_bits = (uint64_t)json_number_of(d->rate, "out");
	if (json_number_of(line, "rtt_us") > 0)
		d->rtt_us = json_number_of(line, "rtt_us");
	else if (json_number_of(link, "rtt_us") > 0)
		d->rtt_us = json_number_of(link, "rtt_us");
	if (d->retransmits < 0 && json_is_object(line))
		d->retransmits = json_number_of(line, "retransmitted");
	if (json_number_of(line, "path_mtu") > 0)
		d->mtu = json_number_of(line, "path_mtu");
	if (d->out_bits == 0 && json_number_of(link, "rate") > 0 &&
	    json_number_of(link, "in_flight") > 0)
		d->out_bits = (uint64_t)json_number_of(link, "rate") * 8;
	d->drain_bits =
	    (uint64_t)higher((int64_t)d->drain_bits, (int64_t)d->out_bits);
}

/* Declared ones, and those made for the way back that have something. */
static bool worth_showing(const struct now_destination *d)
{
	return !d->config->implicit || now_queue(d) > 0 ||
	       json_true_of(d->status, "alert");
}

static void drop_quiet(struct now *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->n_destinations; i++)
		if (worth_showing(&n->destinations[i]))
			n->destinations[kept++] = n->destinations[i];
	n->n_destinations = kept;
}

struct now *now_gather(const struct page *p)
{
	const struct config *cfg = p->config;
	struct now *n = mem_zalloc(sizeof(*n));

	if (n == NULL)
		return NULL;
	n->destinations =
	    mem_zarray(cfg->n_destinations + 1, sizeof(*n->destinations));
	if (n->destinations == NULL) {
		mem_free(n);
		return NULL;
	}
	n->n_destinations = cfg->n_destinations;
	for (size_t i = 0; i < cfg->n_destinations; i++)
		n->destinations[i] =
		    (struct now_destination){.config = &cfg->destinations[i],
					     .rtt_us = -1,
					     .retransmits = -1,
					     .mtu = -1};
	n->status = web_status(p->r, NULL);
	find_today(n, p->now_ms);
	n->ledger = web_ledger(p->r, &n->why);
	if (n->ledger != NULL) {
		if (ledger_view_destinations(n->ledger, on_destination, n) !=
		    ERR_OK)
			n->why = ledger_view_why(n->ledger);
		read_recent(n, p->now_ms);
		read_devices(n, p->now_ms);
	}
	for (size_t i = 0; i < n->n_destinations; i++)
		read_status(&n->destinations[i], n->status);
	drop_quiet(n);
	verdict_of(cfg, n->status, &n->verdict);
	return n;
}

void now_free(struct now *n)
{
	if (n == NULL)
		return;
	figures_free(&n->devices);
	json_decref(n->status);
	mem_free(n->destinations);
	mem_free(n);
}

/* ---- what follows from it ---------------------------------------------------
 */

enum level now_level(const struct now_destination *d, enum word *state)
{
	static const struct {
		const char *name;
		enum word word;
		enum level level;
	} states[] = {
	    {"idle", W_S_IDLE, LEVEL_OK},
	    {"sending", W_S_SENDING, LEVEL_OK},
	    {"connecting", W_S_CONNECTING, LEVEL_OK},
	    {"backing off", W_S_BACKOFF, LEVEL_BAD},
	    {"held", W_S_HELD, LEVEL_BAD},
	    {"held by operator", W_S_OPERATOR, LEVEL_WARN},
	    {"stopped", W_S_STOPPED, LEVEL_WARN},
	};
	const char *name = json_text_of(d->status, "state");

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(states[i].name, name) != 0)
			continue;
		*state = states[i].word;
		if (states[i].level == LEVEL_OK &&
		    json_text_of(d->status, "held_why")[0] != '\0')
			return LEVEL_WARN;
		return states[i].level;
	}
	*state = W_UNKNOWN;
	return LEVEL_IDLE;
}

uint64_t now_queue(const struct now_destination *d)
{
	const struct view_destination *l = &d->ledger;

	if (d->status != NULL)
		return (uint64_t)json_number_of(d->status, "queued");
	return l->count[DELIVERY_QUEUED] + l->count[DELIVERY_HELD];
}

int64_t now_drain_ms(const struct now_destination *d)
{
	uint64_t bytes = d->ledger.bytes[DELIVERY_QUEUED];

	if (now_queue(d) == 0)
		return 0;
	if (d->drain_bits < 1000 || bytes == 0)
		return -1;
	return (int64_t)((double)bytes * 8000 / (double)d->drain_bits);
}
