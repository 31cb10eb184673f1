#include "web-status/metrics.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

enum kind { GAUGE, COUNTER, INFO, HISTOGRAM };

/* One family. key: where its value stands; how: what unit that is in. */
enum how { AS_IS, FLAG, FROM_MS, FROM_US, AGE_MS };

struct family {
	const char *name; /* without _total, _info */
	enum kind kind;
	const char *unit; /* "" or what the name ends in */
	const char *help;
	const char *part; /* member of the status, or of an item; "" itself */
	const char *key;
	enum how how;
};

struct out {
	struct buf *buf;
	enum metrics_format format;
	enum err e;
	json_int_t now_ms;
};

/* ---- text ---------------------------------------------------------------- */

static void put(struct out *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct out *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	if (o->e != ERR_OK)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		o->e = ERR_LIMIT;
	else
		o->e = buf_append(o->buf, text, (size_t)n);
}

/* Quotes, backslashes and line ends; that it is UTF-8 jansson has seen to. */
static void put_label(struct out *o, const char *name, const char *value)
{
	put(o, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			put(o, "\\n");
		else if (*value == '"' || *value == '\\')
			put(o, "\\%c", *value);
		else
			put(o, "%c", *value);
	}
	put(o, "\"");
}

static const char *type_of(const struct out *o, enum kind kind)
{
	switch (kind) {
	case GAUGE:
		return "gauge";
	case COUNTER:
		return "counter";
	case INFO:
		return o->format == METRICS_OPEN ? "info" : "gauge";
	case HISTOGRAM:
		return "histogram";
	}
	return "unknown";
}

static const char *suffix_of(enum kind kind)
{
	switch (kind) {
	case COUNTER:
		return "_total";
	case INFO:
		return "_info";
	case GAUGE:
	case HISTOGRAM:
		break;
	}
	return "";
}

static void put_head(struct out *o, const struct family *f)
{
	bool open = o->format == METRICS_OPEN;
	const char *suffix = open ? "" : suffix_of(f->kind);

	put(o, "# TYPE %s%s %s\n", f->name, suffix, type_of(o, f->kind));
	if (open && f->unit[0] != '\0')
		put(o, "# UNIT %s %s\n", f->name, f->unit);
	put(o, "# HELP %s%s %s\n", f->name, suffix, f->help);
}

static void put_number(struct out *o, json_int_t v, enum how how)
{
	switch (how) {
	case AS_IS:
		put(o, " %lld\n", (long long)v);
		return;
	case FLAG:
		put(o, " %d\n", v != 0);
		return;
	case AGE_MS:
		v = v > 0 && o->now_ms > v ? o->now_ms - v : 0;
		/* fall through */
	case FROM_MS:
		put(o, " %.3f\n", (double)v / 1e3);
		return;
	case FROM_US:
		put(o, " %.6f\n", (double)v / 1e6);
		return;
	}
}

/* ---- values -------------------------------------------------------------- */

static bool number_of(const json_t *j, json_int_t *out)
{
	if (json_is_boolean(j))
		*out = json_is_true(j);
	else if (json_is_integer(j))
		*out = json_integer_value(j);
	else
		return false;
	return true;
}

static const json_t *part_of(const json_t *j, const char *part)
{
	return part[0] != '\0' ? json_object_get(j, part) : j;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static void one(struct out *o, const struct family *f, const json_t *status)
{
	json_int_t v;

	if (!number_of(json_object_get(part_of(status, f->part), f->key), &v))
		return;
	put_head(o, f);
	put(o, "%s%s", f->name, suffix_of(f->kind));
	put_number(o, v, f->how);
}

/* A series for each item of a list that has the value. */
static void each(struct out *o, const struct family *f, const json_t *list,
		 const char *label, const char *name)
{
	bool headed = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		json_int_t v;

		if (!number_of(json_object_get(part_of(item, f->part), f->key),
			       &v))
			continue;
		if (!headed)
			put_head(o, f);
		headed = true;
		put(o, "%s%s{", f->name, suffix_of(f->kind));
		put_label(o, label, text_of(item, name));
		put(o, "}");
		put_number(o, v, f->how);
	}
}

/* ---- the families -------------------------------------------------------- */

static const struct family of_node[] = {
    {"culvert_uptime_seconds", GAUGE, "seconds", "Time since the start.", "",
     "uptime_ms", FROM_MS},
    {"culvert_associations", GAUGE, "", "Inbound associations open now.", "",
     "associations", AS_IS},
    {"culvert_spool_quota_bytes", GAUGE, "bytes",
     "Most that the spool takes of the disk.", "spool", "quota", AS_IS},
    {"culvert_spool_used_bytes", GAUGE, "bytes", "What the spool takes now.",
     "spool", "used", AS_IS},
    {"culvert_spool_full", GAUGE, "",
     "1: new instances are refused, as the quota is used.", "spool", "full",
     FLAG},
    {"culvert_spool_failed", GAUGE, "",
     "1: the spool's disk failed, and instances are refused.", "spool",
     "failed", FLAG},
    {"culvert_spool_instances", COUNTER, "",
     "Instances made durable since the start.", "spool", "stored", AS_IS},
    {"culvert_spool_stored_bytes", COUNTER, "bytes",
     "Bytes made durable since the start.", "spool", "stored_bytes", AS_IS},
    {"culvert_spool_flushes", COUNTER, "",
     "Flushes of the spool to its disk since the start.", "spool", "flushes",
     AS_IS},
    {"culvert_ledger_writable", GAUGE, "",
     "0: the ledger cannot be written now.", "ledger", "writable", FLAG},
    {"culvert_ledger_accepting", GAUGE, "",
     "0: new associations are refused, as they could not be recorded.",
     "ledger", "accepting", FLAG},
    {"culvert_ledger_rebuilding", GAUGE, "",
     "1: the ledger is being made anew from the spool.", "ledger", "rebuilding",
     FLAG},
    {"culvert_ledger_instances", COUNTER, "",
     "Instances recorded since the ledger began.", "ledger", "instances",
     AS_IS},
    {"culvert_commitment_waiting", GAUGE, "",
     "Commitment requests that wait for their instances.", "commitment",
     "waiting", AS_IS},
    {"culvert_commitment_oldest_seconds", GAUGE, "seconds",
     "Age of the oldest of them.", "commitment", "oldest_ms", AGE_MS},
    {"culvert_commitment_reports", COUNTER, "",
     "Commitment reports given to devices since the start.", "commitment",
     "reported", AS_IS},
};

static const struct family of_destination[] = {
    {"culvert_destination_queue_instances", GAUGE, "",
     "Deliveries that wait, those being sent included.", "", "queued", AS_IS},
    {"culvert_destination_queue_bytes", GAUGE, "bytes",
     "Bytes of the deliveries that wait.", "", "queued_bytes", AS_IS},
    {"culvert_destination_queue_oldest_seconds", GAUGE, "seconds",
     "How long the oldest of them waits.", "", "oldest_ms", AGE_MS},
    {"culvert_destination_held_instances", GAUGE, "",
     "Deliveries held until the destination takes them or somebody acts.", "",
     "held", AS_IS},
    {"culvert_destination_quarantined_instances", GAUGE, "",
     "Deliveries in quarantine.", "", "quarantined", AS_IS},
    {"culvert_destination_in_flight", GAUGE, "", "Deliveries being sent.", "",
     "in_flight", AS_IS},
    {"culvert_destination_associations", GAUGE, "",
     "Associations or connections open to it.", "", "associations", AS_IS},
    {"culvert_destination_delivered_instances", COUNTER, "",
     "Deliveries done since the start.", "", "delivered", AS_IS},
    {"culvert_destination_delivered_bytes", COUNTER, "bytes",
     "Bytes delivered since the start.", "", "delivered_bytes", AS_IS},
    {"culvert_destination_failures", COUNTER, "",
     "Attempts that failed since the start.", "", "failures", AS_IS},
    {"culvert_destination_alert", GAUGE, "",
     "1: somebody must look; the status says why.", "", "alert", FLAG},
    {"culvert_destination_drain_seconds", GAUGE, "seconds",
     "When the queue will be empty at the rate of now; -1: not at it.", "",
     "drain_s", AS_IS},
    {"culvert_destination_round_trip_seconds", GAUGE, "seconds",
     "Round-trip time of the line as TCP measures it.", "line", "rtt_us",
     FROM_US},
    {"culvert_destination_retransmitted_segments", COUNTER, "",
     "TCP segments sent again since the start.", "line", "retransmitted",
     AS_IS},
    {"culvert_destination_path_mtu_bytes", GAUGE, "bytes",
     "Largest packet of the way there.", "line", "path_mtu", AS_IS},
    {"culvert_destination_last_success_seconds", GAUGE, "seconds",
     "Time of the last delivery, as seconds since 1970.", "", "success_ms",
     FROM_MS},
};

static const struct family of_certificate[] = {
    {"culvert_certificate_expiry_seconds", GAUGE, "seconds",
     "When a certificate ends, as seconds since 1970.", "", "not_after_ms",
     FROM_MS},
};

static const struct family of_disk[] = {
    {"culvert_disk_free_bytes", GAUGE, "bytes",
     "Free on the file system that holds it.", "", "free", AS_IS},
    {"culvert_disk_size_bytes", GAUGE, "bytes",
     "Size of the file system that holds it.", "", "total", AS_IS},
};

/* Limits are of a level and, but for the total, of a name. */
static void put_limits(struct out *o, const json_t *status)
{
	static const struct family f = {
	    "culvert_limit_bytes_per_second",
	    GAUGE,
	    "",
	    "Limit of the hour in bytes a second; 0: none.",
	    "",
	    "",
	    AS_IS};
	const json_t *list = json_object_get(status, "rates");
	json_int_t v;

	if (json_array_size(list) > 0)
		put_head(o, &f);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i);

		if (!number_of(json_object_get(r, "limit"), &v))
			continue;
		put(o, "%s{", f.name);
		put_label(o, "level", text_of(r, "of"));
		put(o, ",");
		put_label(o, "name", text_of(r, "name"));
		put(o, "} %lld\n", (long long)v / 8);
	}
}

static void lists(struct out *o, const json_t *status)
{
	const struct {
		const struct family *families;
		size_t n;
		const char *list, *label, *name;
	} all[] = {{of_destination, ARRAY_LEN(of_destination), "destinations",
		    "destination", "name"},
		   {of_certificate, ARRAY_LEN(of_certificate), "certificates",
		    "used_by", "used_by"},
		   {of_disk, ARRAY_LEN(of_disk), "disks", "path", "path"}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const json_t *list = json_object_get(status, all[i].list);

		for (size_t k = 0; k < all[i].n; k++)
			each(o, &all[i].families[k], list, all[i].label,
			     all[i].name);
	}
}

/* ---- those of another shape -----------------------------------------------
 */

static void put_build(struct out *o, const json_t *status)
{
	static const struct family f = {
	    "culvert_build", INFO, "", "What runs here.", "", "", AS_IS};

	put_head(o, &f);
	put(o, "culvert_build_info{");
	put_label(o, "node", text_of(status, "node"));
	put(o, ",");
	put_label(o, "version", text_of(status, "version"));
	put(o, "} 1\n");
}

static void put_up(struct out *o, bool up)
{
	static const struct family f = {
	    "culvert_up", GAUGE, "", "1: the daemon answers.", "", "", AS_IS};

	put_head(o, &f);
	put(o, "culvert_up %d\n", up);
}

static void put_alerts(struct out *o, const json_t *status)
{
	static const struct family f = {
	    "culvert_alerts",
	    GAUGE,
	    "",
	    "Alerts that stand now; culvert explain CODE says what to do.",
	    "",
	    "",
	    AS_IS};
	const json_t *list = json_object_get(status, "alerts");

	if (list == NULL)
		return;
	put_head(o, &f);
	put(o, "culvert_alerts %zu\n", json_array_size(list));
}

/* Buckets stand there each for itself, with le as text, the last "+Inf". */
static void put_latency(struct out *o, const json_t *status)
{
	static const struct family f = {
	    "culvert_acknowledgement_seconds",
	    HISTOGRAM,
	    "seconds",
	    "From the last byte of an instance to its acknowledgement.",
	    "",
	    "",
	    AS_IS};
	const json_t *a = json_object_get(status, "acknowledgements");
	const json_t *buckets = json_object_get(a, "buckets");
	json_int_t v, sum = 0, total_us = 0;

	if (json_array_size(buckets) == 0)
		return;
	put_head(o, &f);
	for (size_t i = 0; i < json_array_size(buckets); i++) {
		const json_t *b = json_array_get(buckets, i);

		if (number_of(json_object_get(b, "count"), &v))
			sum += v;
		put(o, "%s_bucket{", f.name);
		put_label(o, "le", text_of(b, "le"));
		put(o, "} %lld\n", (long long)sum);
	}
	(void)number_of(json_object_get(a, "sum_us"), &total_us);
	put(o, "%s_sum %.6f\n%s_count %lld\n", f.name, (double)total_us / 1e6,
	    f.name, (long long)sum);
}

/* ---- entry --------------------------------------------------------------- */

enum metrics_format metrics_format_for(const char *accept)
{
	return accept != NULL &&
		       strstr(accept, "application/openmetrics-text") != NULL
		   ? METRICS_OPEN
		   : METRICS_TEXT;
}

enum err metrics_render(const json_t *status, enum metrics_format format,
			struct buf *out)
{
	struct out o = {.buf = out, .format = format};

	put_up(&o, status != NULL);
	if (status != NULL) {
		(void)number_of(json_object_get(status, "now_ms"), &o.now_ms);
		put_build(&o, status);
		for (size_t i = 0; i < ARRAY_LEN(of_node); i++)
			one(&o, &of_node[i], status);
		lists(&o, status);
		put_limits(&o, status);
		put_alerts(&o, status);
		put_latency(&o, status);
	}
	if (format == METRICS_OPEN)
		put(&o, "# EOF\n");
	return o.e;
}
