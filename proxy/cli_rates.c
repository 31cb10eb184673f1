/* cli_rates.c - limits of bandwidth, in `culvert status` and alone. */
#include "proxy/cli_rates.h"

#include <stdio.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"

static const char help[] =
    "usage: culvert rates [-c FILE] [--json]\n\n"
    "The limits of bandwidth in force now, in all, of destinations and of\n"
    "devices: how much of each is used, by which hours it holds, and when it\n"
    "changes. Exit status 3 when the daemon does not answer.\n\n"
    "  --json   an array; limit, out and in are bits a second, limit 0 is "
    "none\n\n"
    "example:\n"
    "  culvert rates\n";

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

void cli_print_rates(const json_t *status)
{
	const json_t *list = json_object_get(status, "rates"), *r;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("\n%-16s %-11s %13s %13s %13s  %s\n", "limit", "of", "now",
	       "out", "in", "by which hours");
	json_array_foreach(list, i, r) print_rate(r);
}

static int show(const json_t *answer, bool json)
{
	json_t *list = json_object_get(answer, "rates");

	if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "culvert rates: %s\n",
			text_of(answer, "error"));
		return cli_refused_answer(answer);
	}
	if (json)
		return cli_json(list != NULL ? json_incref(list)
					     : json_array());
	if (json_array_size(list) == 0)
		printf("no limits are configured (rate, "
		       "destinations.NAME.rate, devices.NAME.rate)\n");
	cli_print_rates(answer);
	return CLI_OK;
}

static int ask(const struct config *cfg, bool json)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = NULL;
	char why[256];
	enum err e =
	    control_ask(cfg->control.path, request, &answer, NULL, why);
	int rc;

	json_decref(request);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert rates: %s\n", why);
		return cli_ask_failed(e);
	}
	rc = show(answer, json);
	json_decref(answer);
	return rc;
}

int cli_rates(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	bool json;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	json = cli_take_json(&argc, argv);
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc != 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = ask(cfg, json);
	config_free(cfg);
	return rc;
}
