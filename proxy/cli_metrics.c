#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_ui.h"
#include "proxy/control.h"
#include "proxy/lib/buf.h"
#include "web-status/metrics.h"

static const char help[] =
    "usage: culvert metrics [-c FILE] [--openmetrics]\n\n"
    "The daemon's figures as metrics, in the text format of Prometheus or as\n"
    "OpenMetrics. The page serves the same at /metrics; this is for a machine\n"
    "without it, by node_exporter's textfile collector. When the daemon does\n"
    "not answer there is culvert_up 0, and exit status 1.\n\n"
    "examples:\n"
    "  culvert metrics > /var/lib/prometheus/node-exporter/culvert.prom.new\n"
    "  culvert metrics | promtool check metrics\n";

static int show(const struct config *cfg, enum metrics_format format)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = NULL;
	char why[256];
	enum err e =
	    control_ask(cfg->control.path, request, &answer, NULL, why);
	bool up = e == ERR_OK;
	struct buf out;
	int rc = CLI_OK;

	json_decref(request);
	if (!up) {
		fprintf(stderr, "culvert metrics: %s\n", why);
		rc = CLI_FAILED; /* as the help says, whatever the cause */
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "culvert metrics: %s\n",
			cli_text(answer, "error"));
		rc = cli_refused_answer(answer);
		up = false;
	}
	buf_init(&out, METRICS_MAX);
	e = metrics_render(up ? answer : NULL, format, &out);
	if (e == ERR_OK)
		fwrite(buf_data(&out), 1, buf_len(&out), stdout);
	else
		fprintf(stderr, "culvert metrics: %s\n", err_text(e));
	buf_free(&out);
	json_decref(answer);
	return e == ERR_OK ? rc : CLI_FAILED;
}

int cli_metrics(int argc, char **argv)
{
	enum metrics_format format = METRICS_TEXT;
	const char *path;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (argc == 2 && strcmp(argv[1], "--openmetrics") == 0) {
		format = METRICS_OPEN;
		argc--;
	}
	if (path == NULL || argc > 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = show(cfg, format);
	config_free(cfg);
	return rc;
}
