#include "proxy/cli_commands.h"

#include <string.h>

#include "proxy/cli.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_pki.h"
#include "proxy/cli_receipt.h"
#include "proxy/cli_report.h"
#include "proxy/cli_transfers.h"
#include "proxy/lib/mem.h"

#define CONFIG                                                                 \
	{                                                                      \
		"-c", "FILE"                                                   \
	}
#define JSON                                                                   \
	{                                                                      \
		"--json", NULL                                                 \
	}
#define LIMIT                                                                  \
	{                                                                      \
		"--limit", "N"                                                 \
	}
#define EXPORT                                                                 \
	{"--format", "csv|jsonl|dicom"}, {"--bom", NULL}, {"--reveal", NULL},  \
	    {"-o", "FILE"}, {"--manifest", "FILE"}, {"--force", NULL},         \
	{                                                                      \
		"--columns", NULL                                              \
	}
#define STATES                                                                 \
	"queued|held|quarantined|arrived|uncommitted|delivered|committed|"     \
	"withdrawn|discarded|all"

static const struct cli_command table[] = {
    {"serve", cli_serve, NULL, "run the daemon", {CONFIG}},
    {"check",
     cli_check,
     NULL,
     "validate a configuration, explain what is wrong",
     {CONFIG,
      {"--connect", NULL},
      {"--show", NULL},
      {"--options", NULL},
      {"--options-man", NULL},
      JSON}},
    {"status",
     cli_status,
     NULL,
     "queues, destinations and devices at a glance",
     {CONFIG, JSON}},
    {"top",
     cli_top,
     NULL,
     "the same, live, in the terminal",
     {CONFIG, {"--once", NULL}, {"--every", "SECONDS"}}},
    {"rates",
     cli_rates,
     NULL,
     "limits of bandwidth, and what is used of them",
     {CONFIG, JSON}},
    {"reload",
     cli_reload,
     NULL,
     "take up a changed configuration, as far as it can",
     {CONFIG}},
    {"queue",
     cli_queue,
     "list|show TRANSFER|retry|hold|release|redirect|discard|export TRANSFER "
     "FILE",
     "list, show and steer what waits to be delivered",
     {CONFIG,
      {"--destination", "NAME"},
      {"--device", "NAME"},
      {"--study", "UID"},
      {"--state", STATES},
      LIMIT,
      {"--after", "ID"},
      {"--to", "DESTINATION"},
      {"--yes", NULL},
      JSON}},
    {"association",
     cli_association,
     "list|show ID|operations",
     "what a peer proposed and what it got",
     {CONFIG, LIMIT, {"--before", "ID"}, JSON}},
    {"refused",
     cli_refused,
     "ID",
     "who was turned away, why, and the remedy",
     {CONFIG, LIMIT, {"--before", "ID"}, JSON}},
    {"explain",
     cli_explain,
     "CODE|NAME",
     "what a code of the log means, and what to do",
     {{"--list", NULL}, {"--man", NULL}, {"--language", "en|zh"}, JSON}},
    {"echo",
     cli_echo,
     "DESTINATION",
     "try a destination: TCP, TLS, association, C-ECHO",
     {CONFIG, {"--calling", "AE"}, {"--called", "AE"}}},
    {"hash",
     cli_hash,
     "FILE",
     "the SHA-256 tree hash of a DICOM file's data set",
     {{"--data-set", NULL}}},
    {"spool",
     cli_spool,
     "check|rebuild",
     "check the spool, or rebuild the ledger from it",
     {CONFIG, JSON}},
    {"transfers",
     cli_transfers,
     "search|show STUDY|export|verify FILE",
     "find what was transferred, and export it",
     {CONFIG,
      {"--from", "TIME"},
      {"--to", "TIME"},
      {"--device", "NAME"},
      {"--calling", "AE"},
      {"--destination", "NAME"},
      {"--study", "UID"},
      {"--accession", "NUMBER"},
      {"--patient", "ID"},
      {"--state", STATES},
      {"--after", "ID"},
      LIMIT,
      {"--key", "FILE"},
      EXPORT,
      JSON}},
    {"receipt",
     cli_receipt,
     "STUDY",
     "a signed page about a study, and checking one",
     {CONFIG,
      {"-o", "FILE"},
      {"--html", NULL},
      JSON,
      {"--reveal", NULL},
      {"--force", NULL},
      {"--verify", "FILE"},
      {"--key", "FILE"}}},
    {"report",
     cli_report,
     "monthly|access|refused|failures|changes|certificates|reconciliation",
     "the ready reports for compliance",
     {CONFIG,
      {"--from", "TIME"},
      {"--to", "TIME"},
      {"--format", "csv|jsonl|text|html"},
      {"--late", "SECONDS"},
      {"-o", "FILE"},
      {"--manifest", "FILE"},
      {"--force", NULL},
      {"--columns", NULL},
      {"--verify", "FILE"},
      {"--key", "FILE"},
      JSON}},
    {"audit",
     cli_audit,
     "verify|export|head|key|prune|hold|erase|confirm-clock",
     "check the audit for tampering, export it, sign, keep, erase",
     {CONFIG,
      {"--dir", "DIR"},
      {"--key", "FILE"},
      {"--head", "FILE"},
      {"--of", "DEVICE"},
      {"--all", NULL},
      {"--before", "DATE"},
      {"--yes", NULL},
      {"--export", "FILE"},
      {"--from", "TIME"},
      {"--to", "TIME"},
      {"--from-seq", "N"},
      {"--to-seq", "N"},
      {"--device", "NAME"},
      {"--destination", "NAME"},
      {"--study", "UID"},
      {"--event", "EVENT"},
      {"--user", "NAME"},
      {"--outcome", "minor|serious|major"},
      EXPORT,
      JSON}},
    {"pki",
     cli_pki,
     "init DIR|issue DIR NAME|show FILE",
     "make a small CA and certificates for a site",
     {{"--name", "NAME"},
      {"--days", "N"},
      {"--not-after", "DATE"},
      {"--san", "NAME"},
      {"--server", NULL},
      {"--client", NULL},
      {"--both", NULL}}},
    {"web",
     cli_web,
     "passwd USER",
     "the status page, and who may log in to it",
     {CONFIG, {"--file", "FILE"}, {"--role", "ROLES"}, {"--delete", NULL}}},
    {"metrics",
     cli_metrics,
     NULL,
     "the daemon's figures as metrics",
     {CONFIG, {"--openmetrics", NULL}}},
    {"rights",
     cli_rights,
     NULL,
     "who may do what, by role",
     {JSON, {"--man", NULL}, {"--markdown", NULL}}},
    {"completion",
     cli_completion,
     "bash|zsh",
     "the shell's completion of all this",
     {{0}}},
    {"help", cli_help, NULL, "this list", {{"--man", NULL}}},
};

const struct cli_command *cli_command_at(size_t i)
{
	return i < ARRAY_LEN(table) ? &table[i] : NULL;
}

const struct cli_command *cli_command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

void cli_commands_print(FILE *to)
{
	fputs("usage: culvert COMMAND [OPTIONS]\n\n"
	      "Takes DICOM from devices that cannot protect it, and carries "
	      "it safely.\n\ncommands:\n",
	      to);
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		fprintf(to, "  %-12s %s\n", table[i].name, table[i].help);
	fputs("\nculvert COMMAND --help says more, with examples.\n"
	      "The configuration is " CLI_DEFAULT_CONFIG
	      " unless -c names another.\n",
	      to);
}

/* roff: a minus that may be copied */
static void roff(FILE *to, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '-')
			fputc('\\', to);
		fputc(*text, to);
	}
}

/* a|b: a line may break before each */
static void alternatives(FILE *to, const char *text, const char *bar)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			fputs(bar, to);
		else
			fputc(*text, to);
	}
}

void cli_commands_man(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct cli_command *c = &table[i];

		fprintf(to, ".SY culvert\n.B %s\n", c->name);
		if (c->words != NULL) {
			fputs(".I \"", to);
			alternatives(to, c->words, " | ");
			fputs("\"\n", to);
		}
		for (size_t o = 0; c->options[o].name != NULL; o++) {
			fputs(".OP ", to);
			roff(to, c->options[o].name);
			if (c->options[o].value != NULL) {
				fputc(' ', to);
				alternatives(to, c->options[o].value, "\\:|");
			}
			fputc('\n', to);
		}
		fputs(".YS\n", to);
	}
}

static const char help[] =
    "usage: culvert help [COMMAND]\n"
    "       culvert help --man\n\n"
    "Lists the commands, or says what one of them does, as COMMAND --help.\n\n"
    "  --man   the synopsis of culvert(1)\n\n"
    "example:\n"
    "  culvert help queue\n";

int cli_help(int argc, char **argv)
{
	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--man") == 0) {
		cli_commands_man(stdout);
		return CLI_OK;
	}
	if (argc == 2 && cli_command_find(argv[1]) != NULL) {
		char flag[] = "--help";
		char *args[] = {argv[1], flag, NULL};

		return cli_command_find(argv[1])->run(2, args);
	}
	if (argc > 1) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cli_commands_print(stdout);
	return CLI_OK;
}
