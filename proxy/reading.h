/* reading.h - what the commands that only read the ledger ask it.
 *
 * The daemon answers them over the control socket (control_op.h), so that who
 * holds a role needs no right to the files; a command whose daemon does not
 * answer asks the file by the same code. A question is a request of the
 * socket; "op" is one of
 *
 *   queue-list        "state" ("": what waits; "all"), "destination",
 *                     "device", "study", "after"
 *   queue-show        "transfer"
 *   association-list  "before"
 *   association-show  "id": the association, then each of its contexts
 *   operation-list    "association" (0: of any), "before"
 *   refused-list      "before"
 *   device-list
 *   transfers-search  "from", "to", "device", "calling", "destination",
 *                     "study", "state", "accession", "patient" (both as
 *                     search-key says), "after"; answers "older" as well
 *   transfers-show    "study"
 *
 * and "limit" with each list, 1 to LEDGER_PAGE_MAX (100 unless given). Rows
 * are objects as proxy/rows.h makes them. Nothing that is sealed is opened. */
#ifndef PROXY_READING_H
#define PROXY_READING_H

#include <jansson.h>
#include <stdbool.h>

/* One row, borrowed. Called between the short transactions that read a page,
 * so it may wait. False: nobody listens any more. */
typedef bool reading_row_fn(void *arg, const json_t *row);

/* Whether that is the name of a question. */
bool reading_is(const char *op);

/* Ask the ledger in the directory records. Memory is that of a page, however
 * many rows there are. Returns the answer, a new reference: {"ok":true, ...} or
 * {"ok":false, "error":"cause; remedy"}; NULL when memory is out, or row said
 * false. Any thread. */
json_t *reading_ask(const char *records, const json_t *request,
		    reading_row_fn *row, void *arg);

#endif
