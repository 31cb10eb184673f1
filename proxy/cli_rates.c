/* cli_rates.c - limits of bandwidth in `culvert status`. */
#include "proxy/cli_rates.h"

#include <stdio.h>

enum { RATE_LEN = 24 };

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static double number_of(const json_t *j, const char *key)
{
	return (double)json_integer_value(json_object_get(j, key));
}

/* "50 Mbit/s" */
static const char *rate_text(double bits, const char *zero, char out[RATE_LEN])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s",
					    "Gbit/s", "Tbit/s"};
	size_t u = 0;

	if (bits <= 0)
		return zero;
	while (bits >= 999.5 && u < sizeof(units) / sizeof(units[0]) - 1) {
		bits /= 1000;
		u++;
	}
	(void)snprintf(out, RATE_LEN, "%.4g %s", bits, units[u]);
	return out;
}

static void print_rate(const json_t *r)
{
	char limit[RATE_LEN], out[RATE_LEN], in[RATE_LEN], next[RATE_LEN];
	const char *name = text_of(r, "name"), *entry = text_of(r, "entry");
	const char *when = text_of(r, "next");

	printf("%-16s %-11s %13s %13s %13s  %s", name, text_of(r, "of"),
	       rate_text(number_of(r, "limit"), "none", limit),
	       rate_text(number_of(r, "out"), "-", out),
	       rate_text(number_of(r, "in"), "-", in),
	       entry[0] != '\0' ? entry : "always");
	if (when[0] != '\0')
		printf("; %s from %s",
		       rate_text(number_of(r, "next_limit"), "none", next),
		       when);
	fputs("\n", stdout);
}

void cli_rates(const json_t *status)
{
	const json_t *list = json_object_get(status, "rates"), *r;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("\n%-16s %-11s %13s %13s %13s  %s\n", "limit", "of", "now",
	       "out", "in", "by which hours");
	json_array_foreach(list, i, r) print_rate(r);
}
