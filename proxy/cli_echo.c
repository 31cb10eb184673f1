#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/destination.h"

enum { ECHO_DEADLINE_MS = 20000 };

static const char help[] =
    "usage: culvert echo [-c FILE] [--calling AE] [--called AE] DESTINATION\n\n"
    "Tries a configured destination step by step: name, TCP, TLS, "
    "association,\n"
    "C-ECHO. The first step that fails is shown with its cause and remedy.\n\n"
    "  --calling AE   our AE title, where the configuration names none\n"
    "  --called AE    theirs, likewise\n\n"
    "example:\n"
    "  culvert echo cloud\n";

static void on_step(void *arg, bool ok, const char *step, const char *text)
{
	(void)arg;
	printf("%-6s %s%s%s\n", ok ? "ok" : "FAILED", step,
	       text[0] != '\0' ? ": " : "", text);
	fflush(stdout);
}

/* A device is called by its own AE title, from one of ours. */
void cli_echo_aes(const struct config *cfg, size_t destination,
		  const char **calling, const char **called)
{
	int i = config_destination_device(cfg, destination);
	const struct config_device *d;

	if (i < 0)
		return;
	d = &cfg->devices[i];
	if (*called == NULL && strcmp(d->ae_titles.v[0], "*") != 0)
		*called = d->ae_titles.v[0];
	if (*calling == NULL)
		*calling = cfg->listeners[0].ae_titles.v[0];
}

static int echo(const struct config *cfg, const char *name, const char *calling,
		const char *called)
{
	int i = config_destination_find(cfg, name);

	if (i < 0) {
		fprintf(stderr,
			"culvert echo: no destination '%s'; there are:", name);
		for (size_t n = 0; n < cfg->n_destinations; n++)
			fprintf(stderr, " %s", cfg->destinations[n].name);
		fputs("\n", stderr);
		return CLI_FAILED;
	}
	cli_echo_aes(cfg, (size_t)i, &calling, &called);
	return destination_echo(&cfg->destinations[i], calling, called,
				ECHO_DEADLINE_MS, on_step, NULL) == ERR_OK
		   ? CLI_OK
		   : CLI_FAILED;
}

int cli_echo(int argc, char **argv)
{
	const char *path, *name = NULL, *calling = NULL, *called = NULL;
	struct config *cfg;
	int rc;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	for (int i = 1; path != NULL && i < argc; i++) {
		if (strcmp(argv[i], "--calling") == 0 && i + 1 < argc)
			calling = argv[++i];
		else if (strcmp(argv[i], "--called") == 0 && i + 1 < argc)
			called = argv[++i];
		else if (argv[i][0] != '-' && name == NULL)
			name = argv[i];
		else
			path = NULL;
	}
	if (path == NULL || name == NULL) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	if (cfg == NULL)
		return CLI_FAILED;
	rc = echo(cfg, name, calling, called);
	config_free(cfg);
	return rc;
}
