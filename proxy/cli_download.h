/* cli_download.h - take an export from the daemon into files, and check one. */
#ifndef PROXY_CLI_DOWNLOAD_H
#define PROXY_CLI_DOWNLOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/export.h"

struct cli_download {
	const char *command; /* "culvert audit export", for messages */
	const char *socket;  /* control.path */
	const json_t *request;
	/* NULL: the daemon's own name, in the working directory; "-": standard
	 * output, and no manifest unless one is named. */
	const char *out;
	const char *manifest; /* NULL: out + ".manifest.json" */
	bool bare;            /* there is no manifest: a report, a receipt */
	bool force;           /* replace what is there */
};

/* Files appear whole or not at all: written aside, flushed, renamed. Returns
 * CLI_OK or CLI_FAILED, said on stderr. */
int cli_download(const struct cli_download *d);

/* culvert audit verify --export, culvert transfers verify: argv is the command
 * and what follows it. */
int cli_export_verify(const char *command, const struct export_table *t,
		      int argc, char **argv);

/* "2026-05-04", "2026-05-04T09:15[:27[.123]]Z" as Unix milliseconds. A date
 * alone is its begin, or with end the begin of the next day. False: neither. */
bool cli_time_parse(const char *text, bool end, int64_t *ms);

/* What the commands that ask for a table have in common. The value of option
 * i is taken into request; *i moves on. False: not one of them, or its value is
 * missing or wrong. */
bool cli_export_option(int argc, char **argv, int *i, json_t *request);
extern const char cli_export_help[];

#endif
