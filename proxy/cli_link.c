#include "proxy/cli_link.h"

#include <stdio.h>

#include "proxy/cli.h"
#include "proxy/cli_table.h"

static long long number_of(const json_t *j, const char *key)
{
	return (long long)json_integer_value(json_object_get(j, key));
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static const char *bytes(long long n, char out[32])
{
	return cli_bytes((unsigned long long)n, out, 32);
}

static void print_open(const json_t *l)
{
	char age[CLI_AGE_LEN], flight[32], window[32];

	printf(
	    "  link to %s (%s), open for %s, %lld connection%s: %lld "
	    "transfers, %s of %s under way\n",
	    text_of(l, "node"), text_of(l, "peer"),
	    cli_age(number_of(l, "open_ms"), age), number_of(l, "connections"),
	    number_of(l, "connections") == 1 ? "" : "s",
	    number_of(l, "transfers"), bytes(number_of(l, "in_flight"), flight),
	    bytes(number_of(l, "window"), window));
}

/* Only what was measured. */
static void print_measured(const json_t *l)
{
	long long rate = number_of(l, "rate"), delay = number_of(l, "delay_us");
	long long rtt = number_of(l, "rtt_us");
	char text[32];

	if (rate == 0 && delay == 0 && rtt == 0)
		return;
	printf("  measured:");
	if (rate > 0)
		printf(" %s/s", bytes(rate, text));
	if (delay > 0)
		printf(" durable there after %.1f ms", (double)delay / 1000);
	if (rtt > 0)
		printf(" round trip %.1f ms", (double)rtt / 1000);
	printf("\n");
}

void cli_link(const json_t *destination)
{
	const json_t *l = json_object_get(destination, "link");
	char sent[32], again[32];

	if (l == NULL)
		return;
	if (number_of(l, "open_ms") != 0)
		print_open(l);
	else
		printf("  link closed%s%s\n",
		       text_of(l, "error")[0] != '\0' ? ": " : "",
		       text_of(l, "error"));
	printf("  arrived there, not yet delivered: %lld; sent since start: "
	       "%s, of it again: %s\n",
	       number_of(l, "arrived"), bytes(number_of(l, "sent"), sent),
	       bytes(number_of(l, "again"), again));
	print_measured(l);
}
