/* The configuration in force, as YAML again. */
#include <string.h>

#include "policy/option.h"
#include "policy/syntaxes.h"
#include "policy/value.h"

struct list_field {
	size_t n;
	const void *v;
};

/* Double quotes, with YAML's own escapes (all text here is one line). */
static void quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static uint64_t number(const struct option *o, const unsigned char *field)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	if (o->width == sizeof(v16)) {
		memcpy(&v16, field, sizeof(v16));
		return v16;
	}
	if (o->width == sizeof(v32)) {
		memcpy(&v32, field, sizeof(v32));
		return v32;
	}
	memcpy(&v64, field, sizeof(v64));
	return v64;
}

static void dump_words(FILE *out, const struct option *o, uint64_t v)
{
	const char *before = o->type == OPTION_SET ? "[" : "";

	for (const struct option_word *w = o->words; w->word != NULL; w++) {
		bool is =
		    o->type == OPTION_SET ? (v & w->value) != 0 : v == w->value;

		if (w->later != NULL || !is)
			continue;
		fprintf(out, "%s%s", before, w->word);
		before = ", ";
	}
	fputs(o->type == OPTION_SET ? "]" : "", out);
}

static void dump_endpoint(FILE *out, const struct config_endpoint *ep)
{
	bool v6 = strchr(ep->host, ':') != NULL;

	fprintf(out, "\"%s%s%s:%u\"", v6 ? "[" : "", ep->host, v6 ? "]" : "",
		ep->port);
}

static void dump_entry(FILE *out, const struct option *o, const void *v,
		       size_t i)
{
	const struct config_network *nets = v;
	const struct config_endpoint *eps = v;
	const struct config_ref *refs = v;
	char net[CONFIG_NETWORK_TEXT_LEN];

	if (o->type == OPTION_AES)
		quoted(out, ((const char(*)[CONFIG_AE_LEN])v)[i]);
	else if (o->type == OPTION_NETWORKS)
		quoted(out, config_network_text(&nets[i], net));
	else if (o->type == OPTION_ENDPOINTS)
		dump_endpoint(out, &eps[i]);
	else if (o->type == OPTION_SYNTAXES)
		fputs(syntax_name(((const char(*)[CONFIG_UID_LEN])v)[i]), out);
	else if (o->type == OPTION_TEXTS)
		quoted(out, ((const char(*)[CONFIG_TEXT_LEN])v)[i]);
	else if (o->type == OPTION_FINGERPRINTS)
		quoted(out, ((const char(*)[CONFIG_FINGERPRINT_LEN])v)[i]);
	else if (o->type == OPTION_NUMBERS)
		fprintf(out, "%u", (unsigned)((const uint32_t *)v)[i]);
	else
		quoted(out, refs[i].name);
}

static void dump_list(FILE *out, const struct option *o,
		      const unsigned char *field)
{
	struct list_field list;

	memcpy(&list, field, sizeof(list));
	for (size_t i = 0; i < list.n; i++) {
		fputs(i == 0 ? "[" : ", ", out);
		dump_entry(out, o, list.v, i);
	}
	fputc(']', out);
}

static void dump_single(FILE *out, const struct option *o,
			const unsigned char *field)
{
	struct list_field list;

	memcpy(&list, field, sizeof(list));
	if (list.n > 0)
		dump_entry(out, o, list.v, 0);
}

static void dump_timetable(FILE *out, const unsigned char *field)
{
	char days[VALUE_TEXT_LEN], hours[VALUE_TEXT_LEN], limit[VALUE_TEXT_LEN];
	struct config_timetable table;

	memcpy(&table, field, sizeof(table));
	for (size_t i = 0; i < table.n; i++) {
		const struct config_hours *h = &table.v[i];

		fprintf(out, "%s{days: %s, hours: \"%s\", limit: %s}",
			i == 0 ? "[" : ", ", value_days_text(h->days, days),
			value_hours_text(h->from, h->to, hours),
			value_bandwidth_text(h->limit, limit));
	}
	fputc(']', out);
}

static void dump_value(FILE *out, const struct option *o,
		       const unsigned char *field)
{
	char text[VALUE_TEXT_LEN];
	struct config_rate rate;

	switch (o->type) {
	case OPTION_NUMBER:
	case OPTION_PERCENT:
		fprintf(out, "%llu", (unsigned long long)number(o, field));
		return;
	case OPTION_SIZE:
		fputs(value_size_text(number(o, field), text), out);
		return;
	case OPTION_DURATION:
		fputs(value_duration_text(number(o, field), text), out);
		return;
	case OPTION_BANDWIDTH:
		fputs(value_bandwidth_text(number(o, field), text), out);
		return;
	case OPTION_ENUM:
	case OPTION_SET:
		dump_words(out, o, number(o, field));
		return;
	case OPTION_NAME:
	case OPTION_AE:
	case OPTION_PATH:
	case OPTION_HOST:
	case OPTION_TEXT:
	case OPTION_ZONE:
		quoted(out, (const char *)field);
		return;
	case OPTION_RATE:
		memcpy(&rate, field, sizeof(rate));
		fputs(value_rate_text(rate, text), out);
		return;
	case OPTION_ADDRESS:
	case OPTION_ENDPOINT:
		dump_endpoint(
		    out, (const struct config_endpoint *)(const void *)field);
		return;
	case OPTION_AES:
	case OPTION_NETWORKS:
	case OPTION_ENDPOINTS:
	case OPTION_SYNTAXES:
	case OPTION_TEXTS:
	case OPTION_FINGERPRINTS:
	case OPTION_LISTENERS:
	case OPTION_DEVICES:
	case OPTION_DESTINATIONS:
	case OPTION_NUMBERS:
		dump_list(out, o, field);
		return;
	case OPTION_TIMETABLE:
		dump_timetable(out, field);
		return;
	case OPTION_DESTINATION:
		dump_single(out, o, field);
		return;
	}
}

/* Not set, and without a default of its own. */
static bool is_absent(const struct option *o, const unsigned char *field)
{
	if (o->initial != NULL)
		return false;
	if (o->type == OPTION_ENUM)
		return false;
	for (size_t i = 0; i < o->width; i++)
		if (field[i] != 0)
			return false;
	return true;
}

void option_print(FILE *out, const struct option *o, const void *base)
{
	const unsigned char *field = (const unsigned char *)base + o->offset;

	if (!is_absent(o, field))
		dump_value(out, o, field);
}

/* The maps that a path is in: "status.tls" of "status.tls.key". */
static size_t group_length(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL ? (size_t)(dot - path) : 0;
}

/* Whether the first n bytes of path are a map that is open already. */
static bool is_open(const char *last, const char *path, size_t n)
{
	return strncmp(last, path, n) == 0 &&
	       (last[n] == '\0' || last[n] == '.');
}

/* Open the maps between the last path printed and this one. Returns how deep
 * it stands. */
static int open_groups(FILE *out, const char *path, char last[64], int depth)
{
	size_t len = group_length(path), from = 0;

	while (from < len) {
		size_t n = strcspn(path + from, ".");

		if (!is_open(last, path, from + n))
			fprintf(out, "%*s%.*s:\n", depth, "", (int)n,
				path + from);
		from += n + 1;
		depth += 2;
	}
	snprintf(last, 64, "%.*s", (int)len, path);
	return depth;
}

/* Every option of a scope. */
static void dump_struct(FILE *out, const char *scope, const void *base,
			int depth)
{
	const struct option *o;
	char group[64] = "";

	for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
		const unsigned char *field =
		    (const unsigned char *)base + o->offset;
		const char *path = o->path + strlen(scope);
		size_t in;

		if (strcmp(option_scope(o->path), scope) != 0 ||
		    is_absent(o, field))
			continue;
		in = group_length(path);
		fprintf(out, "%*s%s: ", open_groups(out, path, group, depth),
			"", path + in + (in > 0 ? 1 : 0));
		dump_value(out, o, field);
		fputc('\n', out);
	}
}

/* Implicit destinations follow from the devices when this is loaded. */
static size_t n_declared(const struct config *cfg)
{
	size_t n = 0;

	while (n < cfg->n_destinations && !cfg->destinations[n].implicit)
		n++;
	return n;
}

void config_dump(const struct config *cfg, FILE *out)
{
	dump_struct(out, "", cfg, 0);
	fputs(cfg->n_listeners > 0 ? "listeners:\n" : "", out);
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		fprintf(out, "  \"%s\":\n", cfg->listeners[i].name);
		dump_struct(out, "listeners.NAME.", &cfg->listeners[i], 4);
	}
	fputs(cfg->n_devices > 0 ? "devices:\n" : "", out);
	for (size_t i = 0; i < cfg->n_devices; i++) {
		fprintf(out, "  \"%s\":\n", cfg->devices[i].name);
		dump_struct(out, "devices.NAME.", &cfg->devices[i], 4);
	}
	fputs(n_declared(cfg) > 0 ? "destinations:\n" : "", out);
	for (size_t i = 0; i < n_declared(cfg); i++) {
		fprintf(out, "  \"%s\":\n", cfg->destinations[i].name);
		dump_struct(out, "destinations.NAME.", &cfg->destinations[i],
			    4);
	}
	fputs(cfg->n_repositories > 0 ? "repositories:\n" : "", out);
	for (size_t i = 0; i < cfg->n_repositories; i++) {
		fprintf(out, "  \"%s\":\n", cfg->repositories[i].name);
		dump_struct(out, "repositories.NAME.", &cfg->repositories[i],
			    4);
	}
	fputs(cfg->n_routes > 0 ? "routes:\n" : "", out);
	for (size_t i = 0; i < cfg->n_routes; i++) {
		fputs("  -\n", out);
		dump_struct(out, "routes.N.", &cfg->routes[i], 4);
	}
}
