/* rows.h - rows of the ledger as JSON. Keys are stable: a later
 * version may add some. Times are "..._ms", milliseconds since 1970; "" and
 * null are what is not known. A new reference each; NULL: out of memory. */
#ifndef PROXY_ROWS_H
#define PROXY_ROWS_H

#include <jansson.h>

struct ledger_context;
struct view_association;
struct view_delivery;
struct view_device;
struct view_operation;
struct view_outgoing;
struct view_refusal;

json_t *row_delivery(const struct view_delivery *d);
/* The same, and "over": what it went over. */
json_t *row_sent(const struct view_delivery *d,
		 const struct view_outgoing *out);
/* As an export has it: keys and texts of its columns, none that is sealed. */
json_t *row_transfer(const struct view_delivery *d);
json_t *row_device(const struct view_device *d);
json_t *row_association(const struct view_association *v);
json_t *row_context(const struct ledger_context *c);
json_t *row_operation(const struct view_operation *v);
json_t *row_refusal(const struct view_refusal *r);

/* A string whatever its bytes: what is no UTF-8 is escaped as in the log. */
void row_text(json_t *j, const char *key, const char *text);

#endif
