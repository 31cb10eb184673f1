/* control_read.c - what the reading commands ask (proxy/reading.h): each row is
 * a line ahead of the answer. On the connection's own thread. */
#include "policy/config.h"
#include "proxy/control_op.h"
#include "proxy/reading.h"

static bool on_row(void *arg, const json_t *row)
{
	struct control_connection *k = arg;

	return !control_stopping(k) && control_ahead(k, "row", row) == ERR_OK;
}

/* The value that stands for an identifier finds a patient as the identifier
 * does. */
static bool asks_by_identifier(const json_t *request)
{
	return json_integer_value(json_object_get(request, "accession")) != 0 ||
	       json_integer_value(json_object_get(request, "patient")) != 0;
}

void control_run_read(struct control_connection *k, const json_t *request)
{
	const char *op = control_text(request, "op");
	json_t *answer;

	if (asks_by_identifier(request) &&
	    (k->peer.roles & ROLE_AUDITOR) == 0) {
		control_refuse_rights(k, op,
				      "only an auditor may search by patient "
				      "or accession number");
		return;
	}
	answer = reading_ask(k->opt->config->records.path, request, on_row, k);
	if (answer != NULL || !control_stopping(k))
		control_answer(k, answer);
	else
		control_refuse(k, "the daemon is stopping");
}
