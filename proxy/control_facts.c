#include "proxy/control_facts.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "policy/config.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls_inspect.h"
#include "store/ledger.h"

enum { LOOK_MS = 60 * 1000, WARN_DAYS = 30, DAY_S = 86400 };

/* ---- certificates -------------------------------------------------------- */

static json_t *certificate_of(const char *kind, const char *name,
			      const char *path)
{
	struct tls_certificate *c = mem_zalloc(sizeof(*c));
	char why[TLS_WHY_LEN], used_by[80];
	json_t *j;

	snprintf(used_by, sizeof(used_by), "%s %s", kind, name);
	if (c == NULL)
		return NULL;
	if (tls_certificate_read(path, c, why) == ERR_OK)
		j = json_pack("{s:s,s:s,s:s,s:I,s:i}", "used_by", used_by,
			      "file", path, "subject", c->subject,
			      "not_after_ms", (json_int_t)c->not_after * 1000,
			      "days_left", c->days_left);
	else
		j = json_pack("{s:s,s:s,s:s}", "used_by", used_by, "file", path,
			      "error", why);
	mem_free(c);
	return j;
}

static json_t *read_all(const struct config *cfg)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];

		if (l->tls.certificate[0] != '\0')
			json_array_append_new(
			    list, certificate_of("listener", l->name,
						 l->tls.certificate));
	}
	for (size_t i = 0; i < cfg->n_destinations; i++) {
		const struct config_destination *d = &cfg->destinations[i];

		if (d->tls.certificate[0] != '\0')
			json_array_append_new(
			    list, certificate_of("destination", d->name,
						 d->tls.certificate));
	}
	return list;
}

static void set_days(json_t *list)
{
	json_int_t now = clock_wall_ms() / 1000;
	json_t *c;
	size_t i;

	json_array_foreach(list, i, c)
	{
		const json_t *end = json_object_get(c, "not_after_ms");

		if (end != NULL)
			(void)json_object_set_new(
			    c, "days_left",
			    json_integer(
				(json_integer_value(end) / 1000 - now) /
				DAY_S));
	}
}

json_t *control_certificates(const struct config *cfg)
{
	static json_t *kept; /* of the main loop */
	static const struct config *of;
	static uint64_t read_ms;
	uint64_t now = clock_mono_ns() / 1000000;

	if (kept == NULL || of != cfg || now - read_ms > LOOK_MS) {
		json_decref(kept);
		kept = read_all(cfg);
		of = cfg;
		read_ms = now;
	}
	set_days(kept);
	return json_deep_copy(kept);
}

/* ---- disks --------------------------------------------------------------- */

static void add_disk(json_t *list, const char *of, const char *path)
{
	struct statvfs v;

	if (statvfs(path, &v) == 0)
		json_array_append_new(
		    list,
		    json_pack("{s:s,s:s,s:I,s:I}", "path", path, "of", of,
			      "free",
			      (json_int_t)v.f_bavail * (json_int_t)v.f_frsize,
			      "total",
			      (json_int_t)v.f_blocks * (json_int_t)v.f_frsize));
}

json_t *control_disks(const struct config *cfg)
{
	json_t *list = json_array();

	add_disk(list, "spool", cfg->spool.path);
	add_disk(list, "records", cfg->records.path);
	return list;
}

/* ---- queues -------------------------------------------------------------- */

/* What was delivered there when it was last looked at, by place in the list:
 * that of the configuration. Of the main loop. */
static struct mark {
	uint64_t at_ms;
	json_int_t bytes, rate;
} marks[LEDGER_N_DESTINATIONS];

static json_int_t rate_of(size_t i, json_int_t bytes)
{
	uint64_t now = clock_mono_ns() / 1000000;
	struct mark *m = &marks[i % LEDGER_N_DESTINATIONS];

	if (m->at_ms == 0 || bytes < m->bytes)
		*m = (struct mark){.at_ms = now, .bytes = bytes};
	if (now - m->at_ms >= CONTROL_RATE_MS)
		*m = (struct mark){.at_ms = now,
				   .bytes = bytes,
				   .rate = (bytes - m->bytes) * 1000 /
					   (json_int_t)(now - m->at_ms)};
	return m->rate;
}

static const struct ledger_destination_stats *
stats_of(const struct ledger_stats *s, const json_t *destination)
{
	const char *name =
	    json_string_value(json_object_get(destination, "name"));

	for (size_t i = 0; name != NULL && i < s->n_destinations; i++) {
		if (strcmp(s->destinations[i].name, name) == 0)
			return &s->destinations[i];
	}
	return NULL;
}

static void add_queue(json_t *destination, size_t i,
		      const struct ledger_destination_stats *d)
{
	json_int_t rate = rate_of(i, json_integer_value(json_object_get(
					 destination, "delivered_bytes")));
	json_int_t bytes = 0, drain = 0;

	if (d != NULL)
		bytes = (json_int_t)d->bytes[DELIVERY_QUEUED];
	if (bytes > 0)
		drain = rate > 0 ? bytes / rate : -1;
	(void)json_object_update_new(
	    destination,
	    json_pack(
		"{s:I,s:I,s:I,s:I,s:I}", "queued_bytes", bytes, "quarantined",
		d != NULL ? (json_int_t)d->count[DELIVERY_QUARANTINED] : 0,
		"oldest_ms", d != NULL ? (json_int_t)d->oldest_queued_ms : 0,
		"rate", rate, "drain_s", drain));
}

void control_queue_facts(json_t *destinations, struct ledger *ledger)
{
	struct ledger_stats *s = mem_zalloc(sizeof(*s));
	json_t *d;
	size_t i;

	if (s == NULL)
		return;
	ledger_stats(ledger, s);
	json_array_foreach(destinations, i, d)
	{
		add_queue(d, i, stats_of(s, d));
	}
	mem_free(s);
}

/* ---- alerts -------------------------------------------------------------- */

static const char *const severities[] = {[CONDITION_NOTE] = "note",
					 [CONDITION_WARN] = "warning",
					 [CONDITION_ERROR] = "error"};

/* fallback: a condition's name, for texts that name none. */
static void add_alert(json_t *list, const char *of, const char *text,
		      const char *fallback)
{
	const struct condition *c = condition_in_text(text);
	enum condition_severity severity = CONDITION_WARN;
	json_t *alert;

	if (text[0] == '\0')
		return;
	if (c == NULL)
		c = condition_find(fallback);
	if (c != NULL)
		severity = c->severity;
	alert =
	    json_pack("{s:s,s:s,s:s,s:s}", "code", c != NULL ? c->code : "",
		      "of", of, "text", text, "severity", severities[severity]);
	if (severity == CONDITION_ERROR)
		json_array_insert_new(list, 0, alert);
	else
		json_array_append_new(list, alert);
}

static const char *text_in(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static void of_destinations(json_t *list, const json_t *all)
{
	const json_t *d;
	size_t i;

	json_array_foreach((json_t *)all, i, d)
	{
		const char *held = text_in(d, "held_why");
		char of[64];

		if (!json_is_true(json_object_get(d, "alert")))
			continue;
		snprintf(of, sizeof(of), "destination %s", text_in(d, "name"));
		add_alert(list, of,
			  held[0] != '\0' ? held : text_in(d, "error"),
			  "destination-unreachable");
	}
}

static void of_certificates(json_t *list, const json_t *all)
{
	const json_t *c;
	size_t i;

	json_array_foreach((json_t *)all, i, c)
	{
		const json_t *days = json_object_get(c, "days_left");
		json_int_t n = json_integer_value(days);
		char text[160];

		if (days == NULL || n >= WARN_DAYS)
			continue;
		if (n < 0)
			snprintf(text, sizeof(text),
				 "the certificate has expired; have it issued "
				 "anew");
		else
			snprintf(text, sizeof(text),
				 "the certificate ends in %lld days; have it "
				 "issued anew",
				 (long long)n);
		add_alert(list, text_in(c, "used_by"), text,
			  "certificate-expires");
	}
}

json_t *control_alerts(const json_t *status)
{
	const json_t *ledger = json_object_get(status, "ledger");
	json_t *list = json_array();

	add_alert(list, "spool",
		  text_in(json_object_get(status, "spool"), "alert"),
		  "spool-alert");
	add_alert(list, "records", text_in(ledger, "alert"), "ledger-failing");
	of_destinations(list, json_object_get(status, "destinations"));
	of_certificates(list, json_object_get(status, "certificates"));
	return list;
}
