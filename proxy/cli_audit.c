#include "proxy/cli_audit.h"

#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_export.h"
#include "proxy/lib/mem.h"

static const char help[] =
    "usage: culvert audit COMMAND [-c FILE] [OPTIONS]\n\n"
    "The audit: who did what, in a chain of hashes whose head is signed each\n"
    "minute.\n\n"
    "  verify          check that it is what was written: nothing changed,\n"
    "                  taken out, put in or moved\n"
    "                  --export FILE checks an export, on any machine\n"
    "  export          write rows to a file, with a signed manifest\n"
    "  head            print the newest signed head, to be kept elsewhere\n"
    "  key             print the public key that heads are checked with\n"
    "  prune           remove what is older than records.retention\n"
    "  hold            legal hold: keep what would be pruned or erased\n"
    "  erase           erase sealed values; the chain stays whole\n"
    "  confirm-clock   the clock is right, pruning may go on\n\n"
    "verify reads the files where the caller may, and asks the daemon "
    "otherwise;\n"
    "head and key ask the daemon, and read files when it does not answer. "
    "What\n"
    "changes something is on record before it takes effect.\n\n"
    "culvert audit COMMAND --help says more, with examples.\n";

/* Of the files here, or of an export that was taken elsewhere. */
static int verify(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--export") == 0)
			return cli_audit_verify_export(argc, argv);
	return cli_audit_verify(argc, argv);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
    {"verify", verify},         {"export", cli_audit_export},
    {"head", cli_audit_head},   {"key", cli_audit_key},
    {"prune", cli_audit_prune}, {"hold", cli_audit_hold},
    {"erase", cli_audit_erase}, {"confirm-clock", cli_audit_clock},
};

int cli_audit(int argc, char **argv)
{
	cli_word_first(argc, argv);
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (argc > 1 && cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (argc > 1)
		fprintf(stderr, "culvert audit: unknown command '%s'\n\n",
			argv[1]);
	fputs(help, stderr);
	return CLI_USAGE;
}
