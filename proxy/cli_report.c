#include "proxy/cli_report.h"

#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_download.h"
#include "proxy/cli_export.h"
#include "proxy/cli_table.h"
#include "proxy/report.h"
#include "store/export_verify.h"

static const char help[] =
    "usage: culvert report [-c FILE] NAME [--from T] [--to T]\n"
    "       [--format csv|jsonl|text|html] [--late SECONDS] [-o FILE] "
    "[--force]\n"
    "       culvert report --columns\n"
    "       culvert report --verify FILE [--manifest M] [--key PUB.pem] "
    "[--json]\n\n"
    "  monthly         transfers by month, device and destination\n"
    "  access          who may do what: roles, commands, pages, devices\n"
    "  refused         refused attempts, why, and what would admit them\n"
    "  failures        deliveries that failed, are held, or took longer than\n"
    "                  --late (3600 unless said)\n"
    "  changes         changes of the configuration and manual actions\n"
    "  certificates    certificates in use, and how long they last\n"
    "  reconciliation  by study: what began against what was transferred\n\n"
    "Text on standard output unless said otherwise. With -o FILE a signed "
    "manifest,\nFILE.manifest.json, comes with it (--manifest names it "
    "otherwise): --verify checks\nboth on any machine, exit status 0 it is "
    "what was made, 3 it is not. Auditors\nonly; each goes on record.\n\n"
    "examples:\n"
    "  culvert report monthly --from 2026-05-01 --to 2026-05-31\n"
    "  culvert report reconciliation --format html -o may.html\n"
    "  culvert report --verify may.html --key edge-01.pub\n";

static int fetch(const char *path, struct cli_download *d)
{
	struct config *cfg = cli_config(path);
	int rc = CLI_FAILED;

	if (cfg != NULL) {
		d->socket = cfg->control.path;
		rc = cli_download(d);
	}
	config_free(cfg);
	return rc;
}

static bool option(int argc, char **argv, int *i, json_t *request,
		   struct cli_download *d)
{
	uint64_t late;

	if (strcmp(argv[*i], "--force") == 0)
		return d->force = true;
	if ((strcmp(argv[*i], "-o") == 0 ||
	     strcmp(argv[*i], "--manifest") == 0) &&
	    *i + 1 < argc) {
		const char **to = argv[*i][1] == 'o' ? &d->out : &d->manifest;

		*to = argv[++*i];
		return true;
	}
	if (strcmp(argv[*i], "--late") == 0 && *i + 1 < argc)
		return cli_number(argv[++*i], &late) && late > 0 &&
		       late < INT32_MAX &&
		       json_object_set_new(request, "late_s",
					   json_integer((json_int_t)late)) == 0;
	if (argv[*i][0] != '-')
		return json_object_get(request, "name") == NULL &&
		       json_object_set_new(request, "name",
					   json_string(argv[*i])) == 0;
	return cli_export_option(argc, argv, i, request);
}

static int print_columns(bool troff)
{
	for (size_t i = 0; report_name(i) != NULL; i++) {
		const char *name = report_name(i);

		printf(troff ? ".SS %s\n%s.\n" : "%s: %s\n", name,
		       report_title(name));
		if (cli_export_columns(report_columns(name), troff) != CLI_OK)
			return CLI_FAILED;
		if (!troff)
			putchar('\n');
	}
	return CLI_OK;
}

int cli_report(int argc, char **argv)
{
	struct cli_download d = {.command = "culvert report", .out = "-"};
	json_t *request;
	const char *path;
	bool good;
	int rc = CLI_USAGE;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--columns") == 0 ||
		    strcmp(argv[i], "--columns-troff") == 0)
			return print_columns(argv[i][9] == '-');
		if (strcmp(argv[i], "--verify") == 0)
			return cli_export_verify(
			    "culvert report", &export_table_report, argc, argv);
	}
	path = cli_take_config(&argc, argv);
	request = json_pack("{s:s}", "op", "report");
	good = path != NULL && request != NULL;
	for (int i = 1; good && i < argc; i++)
		good = option(argc, argv, &i, request, &d);
	if (good && json_object_get(request, "name") != NULL) {
		d.request = request;
		rc = fetch(path, &d);
	} else {
		fputs(help, stderr);
	}
	json_decref(request);
	return rc;
}
