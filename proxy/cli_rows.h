/* cli_rows.h - rows of the ledger as JSON, for --json. Keys are stable: a later
 * version may add some. Times are "..._ms", milliseconds since 1970; "" and
 * null are what is not known. A new reference each; NULL: out of memory. */
#ifndef PROXY_CLI_ROWS_H
#define PROXY_CLI_ROWS_H

#include <jansson.h>

struct ledger_context;
struct view_association;
struct view_delivery;
struct view_operation;
struct view_refusal;

json_t *cli_row_delivery(const struct view_delivery *d);
json_t *cli_row_association(const struct view_association *v);
json_t *cli_row_context(const struct ledger_context *c);
json_t *cli_row_operation(const struct view_operation *v);
json_t *cli_row_refusal(const struct view_refusal *r);

/* A string whatever its bytes: what is no UTF-8 is escaped as in the log. */
void cli_row_text(json_t *j, const char *key, const char *text);

#endif
