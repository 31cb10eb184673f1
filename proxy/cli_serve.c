#include <stdio.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/lib/log.h"
#include "proxy/server.h"

static const char help[] =
    "usage: culvert serve [-c FILE]\n\n"
    "Runs the daemon in the foreground; the log goes to stderr. SIGTERM and\n"
    "SIGINT stop it in order: messages in flight are answered first. A second\n"
    "one stops it at once.\n\n"
    "  -c, --config FILE   the configuration (" CLI_DEFAULT_CONFIG ")\n\n"
    "examples:\n"
    "  culvert check -c /etc/culvert/culvert.yaml && culvert serve\n"
    "  systemctl start culvert\n";

int cli_serve(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || argc > 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	log_set_level((enum log_level)cfg->log.level);
	log_set_format((enum log_format)cfg->log.format);
	rc = server_run(cfg);
	config_free(cfg);
	return rc;
}
