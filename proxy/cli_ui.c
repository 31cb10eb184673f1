#include "proxy/cli_ui.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"

bool cli_colours(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) == 1 && (no == NULL || no[0] == '\0') &&
	       term != NULL && strcmp(term, "dumb") != 0;
}

const char *cli_colour(enum cli_colour c)
{
	static const char *const sequences[] = {
	    [CLI_PLAIN] = "\x1b[0m",  [CLI_RED] = "\x1b[31m",
	    [CLI_GREEN] = "\x1b[32m", [CLI_YELLOW] = "\x1b[33m",
	    [CLI_BOLD] = "\x1b[1m",   [CLI_DIM] = "\x1b[2m"};
	static int takes = -1; /* commands have one thread */

	if (takes < 0)
		takes = cli_colours(stdout);
	return takes ? sequences[c] : "";
}

const char *cli_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

long long cli_integer(const json_t *j, const char *key)
{
	return (long long)json_integer_value(json_object_get(j, key));
}

int cli_json(json_t *j)
{
	if (j == NULL)
		return fputs("culvert: out of memory\n", stderr), CLI_FAILED;
	json_dumpf(j, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
	json_decref(j);
	return CLI_OK;
}

bool cli_take_json(int *argc, char **argv)
{
	bool found = false;
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			found = true;
		else
			argv[n++] = argv[i];
	}
	if (*argc > n)
		argv[n] = NULL;
	*argc = *argc > n ? n : *argc;
	return found;
}

int cli_ask_failed(enum err e)
{
	return e == ERR_NOTFOUND ? CLI_UNREACHABLE
	       : e == ERR_DENIED ? CLI_DENIED
				 : CLI_FAILED;
}

int cli_refused_answer(const json_t *answer)
{
	const char *reason =
	    json_string_value(json_object_get(answer, "reason"));

	return reason != NULL && strcmp(reason, "rights") == 0 ? CLI_DENIED
							       : CLI_FAILED;
}
