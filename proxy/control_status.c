#include "proxy/control_status.h"

#include "policy/config.h"
#include "policy/timetable.h"
#include "proxy/ack_meter.h"
#include "proxy/commitment.h"
#include "proxy/control_facts.h"
#include "proxy/control_io.h"
#include "proxy/destination.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/repository.h"
#include "proxy/scheduler.h"
#include "proxy/shaping.h"
#include "store/ledger.h"
#include "store/spool.h"

static json_t *endpoint_of(const struct destination_health *h)
{
	return json_pack("{s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:s}", "endpoint",
			 h->endpoint, "circuit", circuit_name(h->circuit),
			 "failures", (int)h->failures, "weight", (int)h->weight,
			 "tried", (json_int_t)h->picked, "answered_ms",
			 (json_int_t)h->answered_ms, "failed_ms",
			 (json_int_t)h->failed_ms, "echo_ms",
			 (json_int_t)h->echoed_ms, "error", h->why);
}

/* Of the line, as TCP sees it; null: never looked at. */
static json_t *line_of(struct destination *d)
{
	struct line_shown l;

	line_facts_show(&d->line, clock_mono_ns(), &l);
	if (l.age_ms == UINT64_MAX)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "rtt_us",
			 (json_int_t)l.rtt_us, "rtt_min_us",
			 (json_int_t)l.rtt_min_us, "retransmitted",
			 (json_int_t)l.retransmitted, "path_mtu",
			 (json_int_t)l.pmtu, "age_ms", (json_int_t)l.age_ms);
}

static json_t *endpoints_of(struct destination *d)
{
	struct destination_health h;
	json_t *list = json_array();

	for (size_t i = 0; destination_health(d, i, &h); i++)
		json_array_append_new(list, endpoint_of(&h));
	return list;
}

/* Of transfers under way that have several chunks. */
static json_t *large_of(const struct link_sender_status *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->n_large; i++)
		json_array_append_new(
		    list, json_pack("{s:I,s:I,s:I}", "delivery",
				    (json_int_t)l->large[i].delivery, "chunks",
				    (json_int_t)l->large[i].chunks, "durable",
				    (json_int_t)l->large[i].durable));
	return list;
}

/* Rates in bytes a second, times in microseconds; 0: not known yet. */
static json_t *link_of(const struct destination_status *d)
{
	const struct link_sender_status *l = &d->link;

	return json_pack(
	    "{s:s,s:s,s:i,s:I,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:o}",
	    "node", l->node, "peer", l->peer, "connections",
	    (int)l->connections, "open_ms", (json_int_t)l->open_ms, "transfers",
	    (int)l->transfers, "in_flight", (json_int_t)l->in_flight, "window",
	    (json_int_t)l->window, "rate", (json_int_t)l->rate, "delay_us",
	    (json_int_t)l->delay_us, "rtt_us", (json_int_t)l->rtt_us, "sent",
	    (json_int_t)l->sent, "again", (json_int_t)l->again, "arrived",
	    (json_int_t)d->arrived, "error", l->text, "large", large_of(l));
}

static json_t *status_of(const struct destination_status *d,
			 struct destination *destination)
{
	json_t *j = json_pack(
	    "{s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:s,"
	    "s:s,s:b,s:o}",
	    "name", d->name, "protocol", d->protocol, "endpoint", d->endpoint,
	    "state", destination_state_name(d->state), "queued",
	    (json_int_t)d->queued, "held", (json_int_t)d->held, "in_flight",
	    (int)d->in_flight, "associations", (int)d->associations, "retrying",
	    (int)d->retrying, "until_ms", (json_int_t)d->until_wall_ms,
	    "success_ms", (json_int_t)d->success_wall_ms, "error_ms",
	    (json_int_t)d->error_wall_ms, "delivered", (json_int_t)d->delivered,
	    "delivered_bytes", (json_int_t)d->delivered_bytes, "failures",
	    (json_int_t)d->failures, "error", d->error, "held_why", d->held_why,
	    "alert", (int)d->alert, "endpoints", endpoints_of(destination));

	(void)json_object_set_new(j, "line", line_of(destination));
	if (d->is_link)
		(void)json_object_set_new(j, "link", link_of(d));
	return j;
}

static json_t *spool_json(struct spool *spool)
{
	struct spool_stats s;

	spool_stats(spool, &s);
	return json_pack(
	    "{s:I,s:I,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:s}", "quota",
	    (json_int_t)s.quota, "used", (json_int_t)s.used, "segments",
	    (int)s.segments, "retired", (int)s.retired, "stored",
	    (json_int_t)s.stored, "stored_bytes", (json_int_t)s.stored_bytes,
	    "records", (json_int_t)s.records, "flushes", (json_int_t)s.flushes,
	    "prepare_flushes", (json_int_t)s.prepare_flushes, "full",
	    (int)s.full, "failed", (int)s.failed, "alert", s.alert);
}

static json_t *ledger_json(struct ledger *ledger)
{
	struct ledger_stats *s = mem_zalloc(sizeof(*s));
	json_t *j;

	if (s == NULL)
		return json_null();
	ledger_stats(ledger, s);
	j = json_pack("{s:I,s:I,s:b,s:b,s:b,s:s}", "applied",
		      (json_int_t)s->applied, "instances",
		      (json_int_t)s->instances, "writable", (int)s->writable,
		      "rebuilding", (int)s->rebuilding, "accepting",
		      (int)ledger_accepting(ledger), "alert", s->alert);
	mem_free(s);
	return j;
}

static json_t *commitment_json(struct commitment *commitment)
{
	struct commitment_stats s;

	commitment_stats(commitment, &s);
	return json_pack(
	    "{s:i,s:i,s:I,s:I,s:I}", "waiting", (int)s.waiting, "asked",
	    (int)s.asked, "oldest_ms", (json_int_t)s.oldest_ms, "reported",
	    (json_int_t)s.reported, "committed", (json_int_t)s.committed);
}

/* ---- audit repositories -------------------------------------------------- */

/* Rows by their seq, times in milliseconds since the epoch; 0: none yet. */
static json_t *repository_of(const struct repository_status *s)
{
	return json_pack(
	    "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "name",
	    s->name, "protocol", s->protocol, "address", s->address, "state",
	    repository_state_name(s->state), "sent", (json_int_t)s->sent,
	    "newest", (json_int_t)s->newest, "behind", (json_int_t)s->behind,
	    "head", (json_int_t)s->head, "messages", (json_int_t)s->messages,
	    "bytes", (json_int_t)s->bytes, "sent_ms", (json_int_t)s->sent_ms,
	    "error_ms", (json_int_t)s->error_ms, "error", s->error);
}

static json_t *repositories_json(struct repositories *all)
{
	struct repository_status s;
	json_t *list = json_array();

	for (size_t i = 0; repositories_status(all, i, &s); i++)
		json_array_append_new(list, repository_of(&s));
	return list;
}

/* ---- limits of bandwidth ------------------------------------------------ */

static json_t *rate_of(const struct shaping_report *r)
{
	char entry[TIMETABLE_TEXT_LEN] = "";

	if (r->entry != NULL)
		(void)timetable_text(r->entry, entry);
	return json_pack("{s:s,s:s,s:I,s:I,s:s,s:I,s:I,s:I,s:s,s:I}", "of",
			 shaping_level_name(r->level), "name", r->name, "limit",
			 (json_int_t)r->limit, "burst", (json_int_t)r->burst,
			 "entry", entry, "out", (json_int_t)r->out, "in",
			 (json_int_t)r->in, "next_ms",
			 (json_int_t)r->next_s * 1000, "next", r->next,
			 "next_limit", (json_int_t)r->next_limit);
}

static json_t *rates_of(const struct shaping *s)
{
	json_t *list = json_array();
	struct shaping_report r;
	size_t at = 0;

	while (s != NULL && shaping_report(s, &at, clock_wall_ms(), &r))
		json_array_append_new(list, rate_of(&r));
	return list;
}

/* Since when "today" is, by the site's clock; zone "": this machine's. */
static json_t *today_of(const struct shaping *s)
{
	if (s == NULL)
		return json_null();
	return json_pack("{s:I,s:s}", "from_ms",
			 (json_int_t)shaping_day(s, clock_wall_ms()), "zone",
			 s->zone_name);
}

/* ---- acknowledgements ---------------------------------------------------- */

/* A histogram since start, by upper bounds in seconds; not cumulative. */
static json_t *acknowledgements_json(void)
{
	json_t *buckets = json_array();
	struct ack_figures a;

	ack_meter_read(&a);
	for (size_t i = 0; i < ROLLUP_BOUNDS; i++)
		json_array_append_new(
		    buckets, json_pack("{s:s,s:I}", "le", rollup_bound_text[i],
				       "count", (json_int_t)a.bucket[i]));
	return json_pack("{s:I,s:I,s:o}", "count", (json_int_t)a.count,
			 "sum_us", (json_int_t)a.sum_us, "buckets", buckets);
}

/* ---- the whole ----------------------------------------------------------- */

static json_t *figures(const struct control_options *o, int64_t started_ms)
{
	struct destination_status d;
	json_t *list = json_array();

	for (size_t i = 0; scheduler_status(o->scheduler, i, &d); i++)
		json_array_append_new(list, status_of(&d, o->destinations[i]));
	return json_pack(
	    "{s:b,s:s,s:s,s:I,s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "ok", 1,
	    "node", o->config->node, "version", CULVERT_VERSION, "uptime_ms",
	    (json_int_t)(clock_wall_ms() - started_ms), "associations",
	    o->associations(o->arg), "acknowledgements",
	    acknowledgements_json(), "spool", spool_json(o->spool), "ledger",
	    ledger_json(o->ledger), "commitment",
	    commitment_json(o->commitment), "rates", rates_of(o->shaping),
	    "repositories", repositories_json(o->repositories), "destinations",
	    list);
}

json_t *control_status(const struct control_options *o, int64_t started_ms)
{
	json_t *j = figures(o, started_ms);

	if (j == NULL)
		return NULL;
	control_queue_facts(json_object_get(j, "destinations"), o->ledger);
	(void)json_object_update_new(
	    j, json_pack("{s:I,s:o,s:o,s:o}", "now_ms",
			 (json_int_t)clock_wall_ms(), "today",
			 today_of(o->shaping), "certificates",
			 control_certificates(o->config), "disks",
			 control_disks(o->config)));
	(void)json_object_set_new(j, "alerts", control_alerts(j));
	return j;
}

static json_t *changes_of(const struct reload_result *v, bool live)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n_changes; i++) {
		const struct config_change *c = &v->changes[i];

		/* cut text may end within a character: not packed then */
		if (c->live == live)
			json_array_append_new(
			    list,
			    json_pack("{s:s,s:s,s:s}", "option", c->path,
				      "before", c->before, "after", c->after));
	}
	return list;
}

json_t *control_reloaded(const struct reload_result *v)
{
	json_t *error;

	if (!v->taken) {
		error = control_error(v->why);
		return error != NULL ? error
				     : control_error("refused; the log says "
						     "why");
	}
	return json_pack("{s:b,s:I,s:I,s:o,s:o}", "ok", 1, "n_changed",
			 (json_int_t)v->n_live, "n_restart",
			 (json_int_t)v->n_restart, "changed",
			 changes_of(v, true), "restart", changes_of(v, false));
}
