/* main.c - which command was asked for. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_pki.h"
#include "proxy/cli_transfers.h"
#include "proxy/lib/mem.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
    {"serve", cli_serve, "run the daemon"},
    {"check", cli_check, "validate a configuration, explain what is wrong"},
    {"status", cli_status, "queues, destinations and devices at a glance"},
    {"reload", cli_reload, "take up a changed configuration, as far as it can"},
    {"queue", cli_queue, "list, show and steer what waits to be delivered"},
    {"association", cli_association, "what a peer proposed and what it got"},
    {"transfers", cli_transfers,
     "search, show and export what was transferred"},
    {"refused", cli_refused, "who was turned away, why, and the remedy"},
    {"rights", cli_rights, "who may do what, by role"},
    {"echo", cli_echo, "try a destination: TCP, TLS, association, C-ECHO"},
    {"hash", cli_hash, "the SHA-256 tree hash of a DICOM file's data set"},
    {"spool", cli_spool, "check the spool, or rebuild the ledger from it"},
    {"audit", cli_audit, "check the audit for tampering, sign, keep, erase"},
    {"pki", cli_pki, "make a small CA and certificates for a site"},
};

static void usage(FILE *to)
{
	fputs("usage: culvert COMMAND [OPTIONS]\n\n"
	      "Takes DICOM from devices that cannot protect it, and carries "
	      "it safely.\n\ncommands:\n",
	      to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
	fputs("\nculvert COMMAND --help says more, with examples.\n"
	      "The configuration is " CLI_DEFAULT_CONFIG
	      " unless -c names another.\n",
	      to);
}

int main(int argc, char **argv)
{
	/* a peer that closes early is an error code, not a signal */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("culvert %s\n", CULVERT_VERSION);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "culvert: unknown command '%s'\n\n", argv[1]);
	usage(stderr);
	return CLI_USAGE;
}
