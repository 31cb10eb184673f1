#include "proxy/cli_web.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/lib/log.h"
#include "web-status/server.h"

static const char help[] =
    "usage: culvert web [-c FILE]\n"
    "       culvert web passwd -f FILE USER --role ROLES\n\n"
    "Serves the status page that the configuration's section status "
    "describes,\n"
    "in the foreground. culvert serve starts it by itself; so this is for a\n"
    "page while the daemon is down, or under a user of its own.\n\n"
    "  -c, --config FILE   the configuration (" CLI_DEFAULT_CONFIG ")\n\n"
    "culvert web passwd --help says how users are added.\n\n"
    "examples:\n"
    "  culvert web -c /etc/culvert/culvert.yaml\n"
    "  culvert web passwd -f /etc/culvert/users anna --role operator\n";

/* "--parent=PID", as serve calls it: end with that process. */
static int take_parent(int *argc, char **argv)
{
	long pid;

	if (*argc != 2 || strncmp(argv[1], "--parent=", 9) != 0)
		return 0;
	pid = strtol(argv[1] + 9, NULL, 10);
	*argc = 1;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	return (int)pid;
}

static int serve(const struct config *cfg, int parent)
{
	if (cfg->status.address.host[0] == '\0') {
		fputs("culvert: the configuration has no section 'status'; "
		      "example: status: {address: 127.0.0.1:8104}\n",
		      stderr);
		return CLI_FAILED;
	}
	log_set_level((enum log_level)cfg->log.level);
	return web_run(cfg, parent);
}

int cli_web(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	int rc, parent;

	if (argc > 1 && strcmp(argv[1], "passwd") == 0)
		return cli_web_passwd(argc - 1, argv + 1);
	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	parent = path != NULL ? take_parent(&argc, argv) : 0;
	if (path == NULL || argc > 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = serve(cfg, parent);
	config_free(cfg);
	return rc;
}
