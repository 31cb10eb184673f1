/* The parts of the page of now. */
#include "web-status/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/layout.h"

void now_verdict(const struct page *p, const struct now *n)
{
	part_begin(p, "verdict", "");
	verdict_show(p, &n->verdict, false);
	part_end(p);
}

/* ---- destinations
 * ------------------------------------------------------------ */

static const struct column destination_columns[] = {
    {W_DESTINATION, false}, {W_STATE, false},        {W_LINE_USE, false},
    {W_QUEUE, true},        {W_OLDEST, true},        {W_DRAIN, true},
    {W_QUALITY, false},     {W_LAST_SUCCESS, false},
};

static void under(const struct page *p, const char *class, const char *text)
{
	out_printf(p->o, "<span class=\"under %s\">%s</span>", class, text);
}

static void show_name(const struct page *p, const struct now_destination *d)
{
	const struct config_destination *c = d->config;

	out_text(p->o, c->name);
	out_printf(p->o,
		   "<span class=\"under\">%s · <span class=\"mono\">%s"
		   "</span></span>",
		   config_protocol_name(c->protocol),
		   c->protocol == CONFIG_DIRECTORY
		       ? c->path
		       : json_text_of(d->status, "endpoint"));
	if (c->protocol != CONFIG_DICOM)
		return;
	out_raw(p->o, "<span class=\"clear-text\">");
	if (c->plaintext_reason[0] != '\0')
		say_with(p, W_PLAINTEXT, c->plaintext_reason);
	else
		say(p, W_PLAINTEXT_NO_REASON);
	out_raw(p->o, "</span>");
}

static void show_endpoints_down(const struct page *p, const json_t *status)
{
	const json_t *list = json_object_get(status, "endpoints");
	const json_t *e;
	size_t i;

	if (json_array_size(list) < 2)
		return;
	json_array_foreach(list, i, e)
	{
		if (strcmp(json_text_of(e, "circuit"), "closed") == 0)
			continue;
		out_raw(p->o, "<span class=\"under err\">");
		say_with(p, W_ENDPOINT_DOWN, json_text_of(e, "endpoint"));
		out_raw(p->o, "</span>");
	}
}

static void show_state(const struct page *p, const struct now_destination *d)
{
	enum word w;
	enum level l = now_level(d, &w);
	const char *held = json_text_of(d->status, "held_why");
	const char *error = json_text_of(d->status, "error");

	show_mark(p, l, w);
	if (held[0] != '\0')
		show_error(p, held);
	else if (error[0] != '\0' && l != LEVEL_OK)
		show_error(p, error);
	show_endpoints_down(p, d->status);
}

static void show_next_limit(const struct page *p, const json_t *rate)
{
	char limit[SHOW_LEN];
	const char *at = json_text_of(rate, "next"); /* "2026-05-04 19:00" */
	int64_t next = json_number_of(rate, "next_limit");
	bool soon = json_number_of(rate, "next_ms") - p->now_ms < 86400000;

	if (at[0] == '\0')
		return;
	if (soon && strlen(at) > 11)
		at += 11;
	out_raw(p->o, "<span class=\"under\">");
	say_with(p, W_LIMIT_NEXT,
		 next > 0 ? rate_text((uint64_t)next, limit)
			  : word_of(p, W_NO_LIMIT),
		 at);
	out_raw(p->o, "</span>");
}

static void show_line(const struct page *p, const struct now_destination *d)
{
	uint64_t limit = (uint64_t)json_number_of(d->rate, "limit");
	char now[SHOW_LEN], of[SHOW_LEN];

	out_printf(p->o, "<span class=\"nowrap\">%s</span>",
		   rate_text(d->out_bits, now));
	if (limit == 0) {
		under(p, "", word_of(p, W_NO_LIMIT));
	} else {
		show_gauge(
		    p, (unsigned)((double)d->out_bits * 100 / (double)limit),
		    "");
		out_raw(p->o, "<span class=\"under\">");
		say_with(p, W_OF_LIMIT, rate_text(limit, of));
		out_raw(p->o, "</span>");
	}
	show_next_limit(p, d->rate);
}

static void show_queue(const struct page *p, const struct now_destination *d)
{
	int64_t held = json_number_of(d->status, "held");
	const json_t *link = json_object_get(d->status, "link");
	int64_t arrived = json_number_of(link, "arrived");
	char text[SHOW_LEN];

	show_count(p, now_queue(d));
	if (d->ledger.bytes[DELIVERY_QUEUED] > 0)
		under(p, "",
		      bytes_text(d->ledger.bytes[DELIVERY_QUEUED], text));
	if (held > 0) {
		out_raw(p->o, "<span class=\"under err\">");
		say_with(p, W_OF_HELD, count_text((uint64_t)held, text));
		out_raw(p->o, "</span>");
	}
	if (arrived > 0) {
		out_raw(p->o, "<span class=\"under\">");
		say_with(p, W_ARRIVED_N, count_text((uint64_t)arrived, text));
		out_raw(p->o, "</span>");
	}
}

static void show_drain(const struct page *p, const struct now_destination *d)
{
	int64_t ms = now_drain_ms(d);

	if (ms == 0)
		out_raw(p->o, "<span class=\"soft\">–</span>");
	else if (ms > 0)
		show_span(p, ms);
	else
		say(p, W_STANDS);
}

/* A loopback answers in less than a hundredth. */
static void show_rtt(const struct page *p, int64_t us)
{
	char text[24] = "<0.01";

	if (us >= 10)
		snprintf(text, sizeof(text), us < 1000 ? "%.2f" : "%.1f",
			 (double)us / 1000);
	say_with(p, W_RTT, text);
}

static void show_quality(const struct page *p, const struct now_destination *d)
{
	char text[24];
	bool any = false;

	if (d->rtt_us > 0) {
		show_rtt(p, d->rtt_us);
		any = true;
	}
	if (d->retransmits >= 0) {
		snprintf(text, sizeof(text), "%" PRId64, d->retransmits);
		out_raw(p->o, "<span class=\"under\">");
		say_with(p, W_RETRANSMITS, text);
		out_raw(p->o, "</span>");
		any = true;
	}
	if (d->mtu > 0) {
		snprintf(text, sizeof(text), "%" PRId64, d->mtu);
		out_raw(p->o, "<span class=\"under\">");
		say_with(p, W_MTU, text);
		out_raw(p->o, "</span>");
		any = true;
	}
	if (!any)
		out_raw(p->o, "<span class=\"soft\">–</span>");
}

static void show_last(const struct page *p, const struct now_destination *d)
{
	int64_t ms = json_number_of(d->status, "success_ms");

	show_time(p, ms > 0 ? ms : d->ledger.last_delivered_ms);
}

static void destination_row(struct table *t, const struct now_destination *d)
{
	const struct page *p = t->p;
	enum word w;
	int64_t oldest = d->ledger.oldest_queued_ms;

	table_row(t, now_level(d, &w));
	table_cell(t);
	show_name(p, d);
	table_cell(t);
	show_state(p, d);
	table_cell(t);
	show_line(p, d);
	table_cell(t);
	show_queue(p, d);
	table_cell(t);
	if (oldest > 0 && now_queue(d) > 0)
		show_span(p, p->now_ms - oldest);
	else
		out_raw(p->o, "<span class=\"soft\">–</span>");
	table_cell(t);
	show_drain(p, d);
	table_cell(t);
	show_quality(p, d);
	table_cell(t);
	show_last(p, d);
}

void now_destinations(const struct page *p, const struct now *n)
{
	struct table t;

	part_begin(p, "destinations", "");
	sheet_begin(p, W_DESTINATIONS);
	t = table_begin(p, destination_columns, ARRAY_LEN(destination_columns),
			W_DESTINATIONS);
	for (size_t i = 0; i < n->n_destinations; i++)
		destination_row(&t, &n->destinations[i]);
	table_end(&t);
	sheet_end(p);
	part_end(p);
}

/* ---- devices
 * ------------------------------------------------------------------ */

static const struct column device_columns[] = {
    {W_DEVICE, false},     {W_LAST_SEEN, false},     {W_TODAY_IMAGES, true},
    {W_TODAY_BYTES, true}, {W_TODAY_REFUSALS, true},
};

struct seen {
	const struct config *config;
	int64_t *last_ms; /* by index of device */
};

static bool on_device(void *arg, const struct view_device *d)
{
	struct seen *s = arg;
	int i = config_device_find(s->config, d->name);

	if (i >= 0)
		s->last_ms[i] = d->last_seen_ms;
	return true;
}

static uint64_t figure_value(const struct figure *f, size_t i)
{
	return f != NULL && f->value[i] > 0 ? (uint64_t)f->value[i] : 0;
}

static void device_row(struct table *t, const struct now *n,
		       const struct config_device *d, int64_t last_ms)
{
	const struct page *p = t->p;
	const struct figure *f = figure_of(&n->devices, d->name);
	uint64_t refused = figure_value(f, 2);

	table_row(t, refused > 0 ? LEVEL_WARN : LEVEL_OK);
	table_cell(t);
	out_printf(p->o, "%s<span class=\"under mono\">%s</span>", d->name,
		   d->ae_titles.n > 0 ? d->ae_titles.v[0] : "");
	table_cell(t);
	show_time(p, last_ms);
	table_cell(t);
	show_count(p, figure_value(f, 0));
	table_cell(t);
	show_bytes(p, figure_value(f, 1));
	table_cell(t);
	if (refused > 0)
		out_raw(p->o, "<span class=\"mark warn\">");
	show_count(p, refused);
	if (refused > 0)
		out_raw(p->o, "</span>");
}

/* Whose day it is. */
static void show_today(const struct page *p, const struct now *n)
{
	out_raw(p->o, "<p class=\"small soft\">");
	if (n->zone[0] != '\0')
		say_with(p, W_TODAY_ZONE, n->zone);
	else
		say(p, W_TODAY_HERE);
	out_raw(p->o, " · ");
	say_time(p, W_SINCE, n->today_ms);
	out_raw(p->o, "</p>");
}

void now_devices(const struct page *p, const struct now *n)
{
	const struct config *cfg = p->config;
	struct seen s = {
	    .config = cfg,
	    .last_ms = mem_zarray(cfg->n_devices + 1, sizeof(*s.last_ms))};
	struct table t;

	part_begin(p, "devices", "");
	out_printf(p->o, "<section class=\"sheet\"><header><h2>%s</h2>",
		   word_of(p, W_DEVICES));
	show_today(p, n);
	out_raw(p->o, "</header>");
	if (cfg->n_devices == 0 || s.last_ms == NULL) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_NO_DEVICES));
	} else {
		if (n->ledger != NULL &&
		    ledger_view_devices(n->ledger, on_device, &s) != ERR_OK)
			memset(s.last_ms, 0,
			       cfg->n_devices * sizeof(*s.last_ms));
		t = table_begin(p, device_columns, ARRAY_LEN(device_columns),
				W_DEVICES);
		for (size_t i = 0; i < cfg->n_devices; i++)
			device_row(&t, n, &cfg->devices[i], s.last_ms[i]);
		table_end(&t);
	}
	mem_free(s.last_ms);
	sheet_end(p);
	part_end(p);
}

/* ---- the machine
 * ---------------------------------------------------------------- */

static void disk_fact(const struct page *p, const char *path)
{
	uint64_t left, all;
	char a[SHOW_LEN], b[SHOW_LEN];
	unsigned used;

	if (!facts_disk(path, &left, &all))
		return;
	used = (unsigned)(100 - left * 100 / all);
	out_raw(p->o, "<div class=\"long\"><dt>");
	say_with(p, W_DISK, path);
	out_raw(p->o, "</dt><dd>");
	say_with(p, W_DISK_USE, bytes_text(left, a), bytes_text(all, b));
	show_gauge(p, used, used > 95 ? "bad" : used > 85 ? "warn" : "");
	fact_end(p);
}

static void spool_fact(const struct page *p, const json_t *spool)
{
	uint64_t used = (uint64_t)json_number_of(spool, "used");
	uint64_t quota = (uint64_t)json_number_of(spool, "quota");
	unsigned part =
	    quota > 0 ? (unsigned)((double)used * 100 / (double)quota) : 0;
	char a[SHOW_LEN], b[SHOW_LEN];

	fact(p, W_SPOOL);
	say_with(p, W_SPOOL_USE, bytes_text(used, a), bytes_text(quota, b));
	show_gauge(p, part,
		   part >= p->config->spool.high_water  ? "bad"
		   : part >= p->config->spool.low_water ? "warn"
							: "");
	fact_end(p);
}

static void ledger_fact(const struct page *p, const json_t *ledger)
{
	char n[SHOW_LEN];

	fact(p, W_LEDGER);
	if (json_true_of(ledger, "rebuilding"))
		show_mark(p, LEVEL_WARN, W_LEDGER_REBUILDING);
	else if (!json_true_of(ledger, "writable"))
		show_mark(p, LEVEL_BAD, W_LEDGER_STUCK);
	else
		say_with(p, W_LEDGER_OK,
			 count_text(
			     (uint64_t)json_number_of(ledger, "instances"), n));
	fact_end(p);
}

static void commitment_fact(const struct page *p, const json_t *c)
{
	char a[SHOW_LEN], b[SHOW_LEN];

	fact(p, W_COMMITMENT);
	say_with(p, W_COMMITMENT_N,
		 count_text((uint64_t)json_number_of(c, "waiting"), a),
		 count_text((uint64_t)json_number_of(c, "asked"), b));
	fact_end(p);
}

static void daemon_facts(const struct page *p, const json_t *status)
{
	fact(p, W_UPTIME);
	show_span(p, json_number_of(status, "uptime_ms"));
	fact_end(p);
	fact(p, W_ASSOCIATIONS);
	show_count(p, (uint64_t)json_number_of(status, "associations"));
	fact_end(p);
	spool_fact(p, json_object_get(status, "spool"));
	ledger_fact(p, json_object_get(status, "ledger"));
	commitment_fact(p, json_object_get(status, "commitment"));
}

void now_machine(const struct page *p, const struct now *n)
{
	part_begin(p, "machine", "");
	sheet_begin(p, W_MACHINE);
	out_raw(p->o, "<div class=\"pad\"><dl class=\"facts\">");
	if (n->status != NULL)
		daemon_facts(p, n->status);
	disk_fact(p, p->config->spool.path);
	if (strcmp(p->config->spool.path, p->config->records.path) != 0)
		disk_fact(p, p->config->records.path);
	out_raw(p->o, "</dl>");
	if (n->ledger == NULL) {
		out_raw(p->o, "<p class=\"note warn\">");
		say_with(p, W_LEDGER_GONE, n->why != NULL ? n->why : "");
		out_raw(p->o, "</p>");
	}
	out_raw(p->o, "</div>");
	sheet_end(p);
	part_end(p);
}

/* ---- certificates
 * ---------------------------------------------------------------- */

static const struct column certificate_columns[] = {
    {W_CERTIFICATE, false},
    {W_USED_BY, false},
    {W_VALID_UNTIL, false},
    {W_DAYS_LEFT, true},
};

static void certificate_row(struct table *t, const struct fact_certificate *f)
{
	const struct page *p = t->p;
	enum level l = !f->readable || f->days_left < 7 ? LEVEL_BAD
		       : f->days_left < 30              ? LEVEL_WARN
							: LEVEL_OK;
	char days[SHOW_LEN];

	table_row(t, l);
	table_cell(t);
	out_printf(p->o, "%s<span class=\"under mono\">%s</span>",
		   f->readable ? f->subject : word_of(p, W_UNKNOWN), f->path);
	table_cell(t);
	out_text(p->o, f->used_by);
	table_cell(t);
	if (f->readable)
		show_time(p, f->not_after_ms);
	table_cell(t);
	if (f->readable)
		out_printf(p->o, "<span class=\"mark %s\">%s%s</span>",
			   level_text(l), f->days_left < 0 ? "−" : "",
			   count_text((uint64_t)abs(f->days_left), days));
}

void now_certificates(const struct page *p)
{
	struct fact_certificate *all =
	    mem_zarray(FACT_CERTIFICATES_MAX, sizeof(*all));
	size_t n = all != NULL ? facts_certificates(p->config, all,
						    FACT_CERTIFICATES_MAX)
			       : 0;
	struct table t;

	sheet_begin(p, W_CERTIFICATES);
	if (n == 0) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_NO_CERTIFICATES));
	} else {
		t = table_begin(p, certificate_columns,
				ARRAY_LEN(certificate_columns), W_CERTIFICATES);
		for (size_t i = 0; i < n; i++)
			certificate_row(&t, &all[i]);
		table_end(&t);
	}
	sheet_end(p);
	mem_free(all);
}
