#include "proxy/cli_export.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_download.h"
#include "proxy/lib/mem.h"
#include "store/export_audit.h"

static const char help[] =
    "usage: culvert audit export [-c FILE] [OPTIONS]\n"
    "       culvert audit export --columns\n\n"
    "Writes rows of the audit to a file, and beside it a signed manifest:\n"
    "culvert audit verify --export FILE checks both, on any machine, with\n"
    "the public key only. The export itself goes on record.\n\n"
    "  --event E[,E...]   start, stop, association-refused, export, ...\n"
    "  --user TEXT        what was done by hand by this user\n"
    "  --outcome minor|serious|major   such failures, and worse ones\n"
    "  --from-seq N, --to-seq N\n"
    "  --columns          print what each column means\n";

static const char examples[] =
    "\nexamples:\n"
    "  culvert audit export --from 2026-05-01 --to 2026-05-31 -o may.csv\n"
    "  culvert audit export --format jsonl --event export,manual-action -o -\n"
    "  culvert audit export --format dicom --device ct-room-2\n";

int cli_export_columns(const struct export_table *t, bool troff)
{
	size_t n = export_reference(t, troff, NULL, 0);
	char *text = mem_zalloc(n + 1);

	if (text == NULL)
		return CLI_FAILED;
	(void)export_reference(t, troff, text, n + 1);
	fputs(text, stdout);
	mem_free(text);
	return CLI_OK;
}

/* Options of the file, not of what is in it. */
static bool file_option(int argc, char **argv, int *i, struct cli_download *d)
{
	const char **to =
	    strcmp(argv[*i], "-o") == 0 || strcmp(argv[*i], "--output") == 0
		? &d->out
	    : strcmp(argv[*i], "--manifest") == 0 ? &d->manifest
						  : NULL;

	if (strcmp(argv[*i], "--force") == 0)
		return d->force = true;
	if (to == NULL || *i + 1 >= argc)
		return false;
	*to = argv[++*i];
	return true;
}

static int run(const char *path, struct cli_download *d)
{
	struct config *cfg = cli_config(path);
	int rc;

	if (cfg == NULL)
		return CLI_FAILED;
	d->socket = cfg->control.path;
	rc = cli_download(d);
	config_free(cfg);
	return rc;
}

int cli_export_table(const char *command, const char *op,
		     const struct export_table *t, int argc, char **argv)
{
	struct cli_download d = {.command = command};
	const char *path = cli_take_config(&argc, argv);
	json_t *request = json_pack("{s:s}", "op", op);
	bool good = path != NULL && request != NULL;
	int rc;

	for (int i = 1; good && i < argc; i++) {
		if (strcmp(argv[i], "--columns") == 0 ||
		    strcmp(argv[i], "--columns-troff") == 0) {
			json_decref(request);
			return cli_export_columns(t, argv[i][9] == '-');
		}
		good = file_option(argc, argv, &i, &d) ||
		       cli_export_option(argc, argv, &i, request);
		if (!good && i < argc)
			fprintf(stderr, "%s: '%s' is not understood\n", command,
				argv[i]);
	}
	if (good) {
		d.request = request;
		rc = run(path, &d);
	} else {
		fprintf(stderr, "%s --help shows how it is used\n", command);
		rc = CLI_USAGE;
	}
	json_decref(request);
	return rc;
}

int cli_audit_export(int argc, char **argv)
{
	if (cli_wants_help(argc, argv)) {
		printf("%s%s%s", help, cli_export_help, examples);
		return CLI_OK;
	}
	return cli_export_table("culvert audit export", "audit-export",
				&export_table_audit, argc, argv);
}

int cli_audit_verify_export(int argc, char **argv)
{
	return cli_export_verify("culvert audit verify", &export_table_audit,
				 argc, argv);
}
