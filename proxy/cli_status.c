#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_link.h"
#include "proxy/cli_rates.h"
#include "proxy/cli_read.h"
#include "proxy/cli_table.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"

static const char help[] =
    "usage: culvert status [-c FILE] [--json]\n\n"
    "Asks the running daemon how it is: destinations, queues, spool, devices.\n"
    "Exit status 1 when something needs a person, 3 when the daemon does not\n"
    "answer.\n\n"
    "  --json   the daemon's own answer, for programs\n\n"
    "example:\n"
    "  culvert status\n";

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static long long number_of(const json_t *j, const char *key)
{
	return (long long)json_integer_value(json_object_get(j, key));
}

static void print_alert(const char *where, const char *text)
{
	printf("%sALERT%s  %s: %s\n", cli_colour(CLI_RED),
	       cli_colour(CLI_PLAIN), where, text);
}

/* The one line that says whether all is well. Returns how many things are
 * not. */
static unsigned print_verdict(const json_t *a)
{
	const json_t *spool = json_object_get(a, "spool");
	const json_t *ledger = json_object_get(a, "ledger");
	const json_t *d;
	unsigned n = 0;
	size_t i;

	if (text_of(spool, "alert")[0] != '\0') {
		print_alert("spool", text_of(spool, "alert"));
		n++;
	}
	if (text_of(ledger, "alert")[0] != '\0') {
		print_alert("ledger", text_of(ledger, "alert"));
		n++;
	}
	json_array_foreach(json_object_get(a, "destinations"), i, d)
	{
		const char *why = text_of(d, "held_why");

		if (!json_is_true(json_object_get(d, "alert")))
			continue;
		print_alert(text_of(d, "name"),
			    why[0] != '\0' ? why : text_of(d, "error"));
		n++;
	}
	json_array_foreach(json_object_get(a, "repositories"), i, d)
	{
		if (text_of(d, "error")[0] == '\0')
			continue;
		printf("ALERT  repository %s: %s\n", text_of(d, "name"),
		       text_of(d, "error"));
		n++;
	}
	if (n == 0)
		printf("%sall is well%s\n", cli_colour(CLI_GREEN),
		       cli_colour(CLI_PLAIN));
	return n;
}

static const char *ago(int64_t wall_ms, char out[CLI_AGE_LEN + 8])
{
	char age[CLI_AGE_LEN];

	if (wall_ms == 0)
		return "never";
	snprintf(out, CLI_AGE_LEN + 8, "%s ago", cli_age(wall_ms, age));
	return out;
}

/* One line each, but for a single one that answers: of that the destination's
 * own line says enough. */
static void print_endpoints(const json_t *destination)
{
	const json_t *list = json_object_get(destination, "endpoints");
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
	{
		char answered[CLI_AGE_LEN + 8], echo[CLI_AGE_LEN + 8];
		const char *why = text_of(e, "error");

		if (json_array_size(list) == 1 && number_of(e, "failures") == 0)
			continue;
		printf("  %-28s circuit %-9s  answered %s, asked by C-ECHO "
		       "%s\n",
		       text_of(e, "endpoint"), text_of(e, "circuit"),
		       ago(number_of(e, "answered_ms"), answered),
		       ago(number_of(e, "echo_ms"), echo));
		if (why[0] != '\0')
			printf("  %-28s %s\n", "", why);
	}
}

static void print_destinations(const json_t *a)
{
	const json_t *d;
	size_t i;

	printf("\n%-16s %-10s %8s %8s %9s %12s %10s\n", "destination", "state",
	       "queued", "held", "in flight", "delivered", "last");
	json_array_foreach(json_object_get(a, "destinations"), i, d)
	{
		char age[CLI_AGE_LEN];

		printf("%-16s %-10s %8lld %8lld %9lld %12lld %10s\n",
		       text_of(d, "name"), text_of(d, "state"),
		       number_of(d, "queued"), number_of(d, "held"),
		       number_of(d, "in_flight"), number_of(d, "delivered"),
		       cli_age(number_of(d, "success_ms"), age));
		if (text_of(d, "error")[0] != '\0')
			printf("%-16s last error %s ago: %s\n", "",
			       cli_age(number_of(d, "error_ms"), age),
			       text_of(d, "error"));
		cli_link(d);
		print_endpoints(d);
	}
}

static void print_spool(const json_t *a)
{
	const json_t *s = json_object_get(a, "spool");
	char used[32], quota[32], bytes[32];

	printf("\nspool  %s of %s used%s; %lld instances (%s) taken since "
	       "start, %lld flushes\n",
	       cli_bytes((unsigned long long)number_of(s, "used"), used,
			 sizeof(used)),
	       cli_bytes((unsigned long long)number_of(s, "quota"), quota,
			 sizeof(quota)),
	       json_is_true(json_object_get(s, "full")) ? " (FULL)" : "",
	       number_of(s, "stored"),
	       cli_bytes((unsigned long long)number_of(s, "stored_bytes"),
			 bytes, sizeof(bytes)),
	       number_of(s, "flushes"));
}

/* Nothing where nobody asks for it. */
static void print_commitment(const json_t *a)
{
	const json_t *s = json_object_get(a, "commitment");
	long long waiting = number_of(s, "waiting");
	long long asked = number_of(s, "asked");
	long long reported = number_of(s, "reported");
	long long committed = number_of(s, "committed");
	char age[CLI_AGE_LEN];

	if (waiting + asked + reported + committed == 0)
		return;
	printf("commitment  %lld requests wait for their instances, %lld for "
	       "the archive",
	       waiting, asked);
	if (waiting + asked > 0)
		printf(" (oldest %s)", cli_age(number_of(s, "oldest_ms"), age));
	printf("; %lld answered, %lld instances committed to us since start\n",
	       reported, committed);
}

/* Nothing where there is none. */
static void print_repositories(const json_t *a)
{
	const json_t *list = json_object_get(a, "repositories");
	const json_t *r;
	size_t i;

	if (json_array_size(list) > 0)
		printf("\n%-16s %-10s %12s %12s %10s\n", "repository", "state",
		       "sent to seq", "behind", "last");
	json_array_foreach(list, i, r)
	{
		char age[CLI_AGE_LEN];

		printf("%-16s %-10s %12lld %12lld %10s\n", text_of(r, "name"),
		       text_of(r, "state"), number_of(r, "sent"),
		       number_of(r, "behind"),
		       cli_age(number_of(r, "sent_ms"), age));
		if (text_of(r, "error")[0] != '\0')
			printf("%-16s last error %s ago: %s\n", "",
			       cli_age(number_of(r, "error_ms"), age),
			       text_of(r, "error"));
	}
}

static void on_device(void *arg, const json_t *d)
{
	char age[CLI_AGE_LEN], bytes[32];

	(void)arg;
	printf("%-16s %10s ago %10lld instances %12s\n", text_of(d, "name"),
	       cli_age(number_of(d, "last_seen_ms"), age),
	       (long long)number_of(d, "instances"),
	       cli_bytes((unsigned long long)number_of(d, "bytes"), bytes,
			 sizeof(bytes)));
}

static void print_devices(const struct config *cfg)
{
	printf("\ndevice             last seen\n");
	(void)cli_read(cfg, "culvert status",
		       json_pack("{s:s}", "op", "device-list"), on_device, NULL,
		       NULL);
}

static int status(const struct config *cfg, bool as_json)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = NULL;
	char why[256];
	int rc = CLI_FAILED;
	enum err e =
	    control_ask(cfg->control.path, request, &answer, NULL, why);

	json_decref(request);
	if (e != ERR_OK) {
		fprintf(stderr, "culvert status: %s\n", why);
		return cli_ask_failed(e);
	}
	if (as_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		fputs("\n", stdout);
		rc = CLI_OK;
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "culvert status: %s\n",
			text_of(answer, "error"));
		rc = cli_refused_answer(answer);
	} else {
		printf("%s  culvert %s, up %lld s, %lld associations\n",
		       text_of(answer, "node"), text_of(answer, "version"),
		       number_of(answer, "uptime_ms") / 1000,
		       number_of(answer, "associations"));
		rc = print_verdict(answer) == 0 ? CLI_OK : CLI_FAILED;
		print_destinations(answer);
		cli_print_rates(answer);
		print_spool(answer);
		print_commitment(answer);
		print_repositories(answer);
		print_devices(cfg);
	}
	json_decref(answer);
	return rc;
}

int cli_status(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	bool as_json;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	as_json = argc == 2 && strcmp(argv[1], "--json") == 0;
	if (path == NULL || argc > (as_json ? 2 : 1)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = status(cfg, as_json);
	config_free(cfg);
	return rc;
}
