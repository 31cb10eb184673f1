/* cli_ui.h - colours, and reading the daemon's answers, for commands. */
#ifndef PROXY_CLI_UI_H
#define PROXY_CLI_UI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "proxy/lib/err.h"

enum cli_colour {
	CLI_PLAIN,
	CLI_RED,
	CLI_GREEN,
	CLI_YELLOW,
	CLI_BOLD,
	CLI_DIM
};

/* Whether f takes colours: a terminal that is not dumb, and NO_COLOR is not
 * set (no-color.org). */
bool cli_colours(FILE *f);

/* The sequence that begins a colour on stdout, CLI_PLAIN ends it; "" when
 * stdout takes none. */
const char *cli_colour(enum cli_colour c);

/* "" when key is none or no string. */
const char *cli_text(const json_t *j, const char *key);
long long cli_integer(const json_t *j, const char *key);

/* j with two spaces of indentation on stdout; takes the reference. CLI_OK, or
 * CLI_FAILED for NULL (memory). */
int cli_json(json_t *j);

/* Removes "--json" from argv; true when it was there. */
bool cli_take_json(int *argc, char **argv);

/* What a command that the daemon did not answer ends with: CLI_UNREACHABLE,
 * CLI_DENIED or CLI_FAILED. */
int cli_ask_failed(enum err e);

/* What one ends with that the daemon refused: CLI_DENIED if the caller may not,
 * else CLI_FAILED. */
int cli_refused_answer(const json_t *answer);

#endif
