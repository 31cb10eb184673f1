/* cli_read.h - rows of the ledger for a command: from the daemon, by the rights
 * of who asks, or from the file when no daemon answers and it may be read. */
#ifndef PROXY_CLI_READ_H
#define PROXY_CLI_READ_H

#include <jansson.h>

struct config;

/* row is borrowed; proxy/rows.h says what is in it. */
typedef void cli_row_fn(void *arg, const json_t *row);

/* Ask what proxy/reading.h says; request is taken. command stands in front of
 * what goes wrong, which is said on stderr. CLI_OK: fn ran for each row, and
 * *answer (NULL: not wanted) is a new reference; else what the command ends
 * with. */
int cli_read(const struct config *cfg, const char *command, json_t *request,
	     cli_row_fn *fn, void *arg, json_t **answer);

/* A cli_row_fn: appends the row to the array arg. */
void cli_read_append(void *arg, const json_t *row);

#endif
