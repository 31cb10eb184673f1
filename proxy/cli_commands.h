/* cli_commands.h - the one table of commands, their words and options: what
 * main calls, "culvert help", completion and the manual's synopsis come from
 * it. */
#ifndef PROXY_CLI_COMMANDS_H
#define PROXY_CLI_COMMANDS_H

#include <stddef.h>
#include <stdio.h>

struct cli_option {
	const char *name;  /* "--limit" */
	const char *value; /* "N"; "FILE", "DIR": completed as files; "a|b":
			    * as these words; NULL: none */
};

enum { CLI_OPTIONS_MAX = 32 };

struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *words; /* "list|show ID", NULL: none; capitals are values */
	const char *help;  /* one line */
	struct cli_option options[CLI_OPTIONS_MAX]; /* ends with no name */
};

/* NULL after the last. */
const struct cli_command *cli_command_at(size_t i);
const struct cli_command *cli_command_find(const char *name);

/* "culvert help" */
void cli_commands_print(FILE *to);
/* The completion of bash, of zsh. */
void cli_completion_bash(FILE *to);
void cli_completion_zsh(FILE *to);
/* The synopsis of culvert(1), as roff. */
void cli_commands_man(FILE *to);

int cli_help(int argc, char **argv);
int cli_completion(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_top(int argc, char **argv);

#endif
