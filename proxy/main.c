/* main.c - which command was asked for. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_commands.h"

int main(int argc, char **argv)
{
	const struct cli_command *c;

	/* a peer that closes early is an error code, not a signal */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		cli_commands_print(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_commands_print(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("culvert %s\n", CULVERT_VERSION);
		return CLI_OK;
	}
	c = cli_command_find(argv[1]);
	if (c != NULL)
		return c->run(argc - 1, argv + 1);
	fprintf(stderr, "culvert: unknown command '%s'\n\n", argv[1]);
	cli_commands_print(stderr);
	return CLI_USAGE;
}
