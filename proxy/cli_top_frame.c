#include "proxy/cli_top_frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_table.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"

enum { BAR = 20 };

static void say(struct top_frame *f, enum cli_colour c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct top_frame *f, enum cli_colour c, const char *fmt, ...)
{
	struct top_line *l;
	va_list ap;

	if (f->n == TOP_LINES_MAX)
		return;
	l = &f->lines[f->n++];
	l->colour = c;
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	for (char *p = l->text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

/* ---- alerts ------------------------------------------------------------- */

static void alert(struct top_frame *f, const char *where, const char *text)
{
	const struct condition *c = condition_in_text(text);

	say(f, CLI_RED, "ALERT  %s: %s", where, text);
	if (c != NULL && strstr(text, c->remedy[CONDITION_EN]) == NULL)
		say(f, CLI_YELLOW, "       %s  %s", c->code,
		    c->remedy[CONDITION_EN]);
}

static void alerts(struct top_frame *f, const json_t *a)
{
	static const char *const parts[] = {"spool", "ledger"};
	size_t before = f->n, i;
	const json_t *d;

	for (i = 0; i < 2; i++) {
		const char *t = cli_text(json_object_get(a, parts[i]), "alert");

		if (t[0] != '\0')
			alert(f, parts[i], t);
	}
	json_array_foreach(json_object_get(a, "destinations"), i, d)
	{
		const char *why = cli_text(d, "held_why");

		if (json_is_true(json_object_get(d, "alert")))
			alert(f, cli_text(d, "name"),
			      why[0] != '\0' ? why : cli_text(d, "error"));
	}
	if (f->n == before)
		say(f, CLI_GREEN, "all is well");
}

/* ---- tables ------------------------------------------------------------- */

/* Bits a second: "49.8 Mbit/s". */
static const char *bits(double v, char out[24])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s",
					    "Gbit/s"};
	size_t u = 0;

	while (v >= 1000 && u < 3) {
		v /= 1000;
		u++;
	}
	snprintf(out, 24, "%.*f %s", v < 100 && u > 0 ? 1 : 0, v, units[u]);
	return out;
}

static const char *bar(double share, char out[BAR + 1])
{
	double v = share < 0 ? 0 : share > 1 ? 1 : share;
	int n = (int)(v * BAR + 0.5);

	memset(out, '.', BAR);
	memset(out, '#', (size_t)n);
	out[BAR] = '\0';
	return out;
}

static const json_t *by_name(const json_t *status, const char *name)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(status, "destinations"), i, d)
	{
		if (strcmp(cli_text(d, "name"), name) == 0)
			return d;
	}
	return NULL;
}

/* Delivered since the answer before, bits a second; below 0: not known. */
static double speed(const json_t *status, const json_t *before, const json_t *d)
{
	const json_t *old =
	    before != NULL ? by_name(before, cli_text(d, "name")) : NULL;
	long long ms = old == NULL ? 0
				   : cli_integer(status, "uptime_ms") -
					 cli_integer(before, "uptime_ms");
	long long n = old == NULL ? 0
				  : cli_integer(d, "delivered_bytes") -
					cli_integer(old, "delivered_bytes");

	return ms <= 0 || n < 0 ? -1 : (double)n * 8000 / (double)ms;
}

static enum cli_colour colour_of(const json_t *d)
{
	if (json_is_true(json_object_get(d, "alert")))
		return CLI_RED;
	return cli_text(d, "error")[0] != '\0' &&
		       cli_integer(d, "error_ms") > cli_integer(d, "success_ms")
		   ? CLI_YELLOW
		   : CLI_PLAIN;
}

static void destinations(struct top_frame *f, const json_t *a,
			 const json_t *before)
{
	const json_t *d;
	size_t i;

	say(f, CLI_PLAIN, "%s", "");
	say(f, CLI_BOLD, "%-16s %-12s %8s %6s %6s %5s %10s %12s %10s",
	    "destination", "state", "queued", "held", "retry", "open",
	    "delivered", "speed", "last");
	json_array_foreach(json_object_get(a, "destinations"), i, d)
	{
		double v = speed(a, before, d);
		char age[CLI_AGE_LEN], rate[24];

		say(f, colour_of(d),
		    "%-16s %-12s %8lld %6lld %6lld %5lld %10lld %12s %10s",
		    cli_text(d, "name"), cli_text(d, "state"),
		    cli_integer(d, "queued"), cli_integer(d, "held"),
		    cli_integer(d, "retrying"), cli_integer(d, "associations"),
		    cli_integer(d, "delivered"), v < 0 ? "-" : bits(v, rate),
		    cli_age(cli_integer(d, "success_ms"), age));
	}
}

static void link_row(struct top_frame *f, const json_t *d, const json_t *l)
{
	bool open = cli_integer(l, "open_ms") != 0;
	char flight[32], rate[24], trip[24] = "-";

	if (cli_integer(l, "rtt_us") > 0)
		snprintf(trip, sizeof(trip), "%.1f ms",
			 (double)cli_integer(l, "rtt_us") / 1000);
	say(f, open ? CLI_PLAIN : CLI_YELLOW,
	    "%-16s %-12.40s %5lld %9lld %10s %12s %10s %8lld  %s",
	    cli_text(d, "name"), open ? cli_text(l, "node") : "closed",
	    cli_integer(l, "connections"), cli_integer(l, "transfers"),
	    cli_bytes((unsigned long long)cli_integer(l, "in_flight"), flight,
		      sizeof(flight)),
	    cli_integer(l, "rate") > 0
		? bits(8.0 * (double)cli_integer(l, "rate"), rate)
		: "-",
	    trip, cli_integer(l, "arrived"), cli_text(l, "error"));
}

/* Destinations that are another Culvert: how their lines are. */
static void links(struct top_frame *f, const json_t *a)
{
	bool any = false;
	const json_t *d, *l;
	size_t i;

	json_array_foreach(json_object_get(a, "destinations"), i, d)
	{
		l = json_object_get(d, "link");
		if (l == NULL)
			continue;
		if (!any) {
			say(f, CLI_PLAIN, "%s", "");
			say(f, CLI_BOLD,
			    "%-16s %-12s %5s %9s %10s %12s %10s %8s", "link",
			    "to", "lines", "transfers", "under way", "measured",
			    "round trip", "arrived");
		}
		any = true;
		link_row(f, d, l);
	}
}

/* Bits a second, as status has them. */
static void rates(struct top_frame *f, const json_t *a)
{
	const json_t *list = json_object_get(a, "rates"), *r;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	say(f, CLI_PLAIN, "%s", "");
	say(f, CLI_BOLD, "%-28s %12s %12s  use", "limit", "used", "of");
	json_array_foreach(list, i, r)
	{
		double used = (double)cli_integer(r, "out");
		double most = (double)cli_integer(r, "limit");
		char at[64], one[24], two[24], drawn[BAR + 1];

		snprintf(at, sizeof(at), "%s %s", cli_text(r, "of"),
			 cli_text(r, "name"));
		say(f, most > 0 && used > 0.9 * most ? CLI_YELLOW : CLI_PLAIN,
		    "%-28s %12s %12s  %s", at, bits(used, one),
		    most > 0 ? bits(most, two) : "no limit",
		    most > 0 ? bar(used / most, drawn) : "");
	}
}

static void spool(struct top_frame *f, const json_t *a)
{
	const json_t *s = json_object_get(a, "spool");
	unsigned long long used = (unsigned long long)cli_integer(s, "used");
	unsigned long long quota = (unsigned long long)cli_integer(s, "quota");
	double share = quota > 0 ? (double)used / (double)quota : 0;
	char one[32], two[32], drawn[BAR + 1];

	say(f, CLI_PLAIN, "%s", "");
	say(f, share > 0.8 ? CLI_YELLOW : CLI_PLAIN,
	    "spool  %s  %.0f%%  %s of %s; %lld instances taken since start",
	    bar(share, drawn), share * 100, cli_bytes(used, one, sizeof(one)),
	    cli_bytes(quota, two, sizeof(two)), cli_integer(s, "stored"));
}

static void devices_of(struct top_frame *f, const struct top_device *d,
		       size_t n)
{
	char age[CLI_AGE_LEN], bytes[32];

	if (n == 0)
		return;
	say(f, CLI_PLAIN, "%s", "");
	say(f, CLI_BOLD, "%-16s %10s %12s %12s", "device", "last seen",
	    "instances", "bytes");
	for (size_t i = 0; i < n; i++)
		say(f, CLI_PLAIN, "%-16.40s %10s %12llu %12s", d[i].name,
		    cli_age(d[i].last_ms, age),
		    (unsigned long long)d[i].instances,
		    cli_bytes(d[i].bytes, bytes, sizeof(bytes)));
}

void top_frame(struct top_frame *f, const json_t *a, const json_t *before,
	       const char *why, const struct top_device *devices,
	       size_t n_devices, int64_t now_ms)
{
	char when[CLOCK_TEXT_LEN];

	f->n = 0;
	clock_text(now_ms, when);
	if (a == NULL) {
		say(f, CLI_BOLD, "culvert  %s", when);
		say(f, CLI_RED, "%s", why);
		return;
	}
	say(f, CLI_BOLD, "%s  culvert %s  up %lld s  %lld associations  %s",
	    cli_text(a, "node"), cli_text(a, "version"),
	    cli_integer(a, "uptime_ms") / 1000, cli_integer(a, "associations"),
	    when);
	alerts(f, a);
	destinations(f, a, before);
	links(f, a);
	rates(f, a);
	spool(f, a);
	devices_of(f, devices, n_devices);
}
