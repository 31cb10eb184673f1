/* control_search.c - the value that an identifier is found by. */
#include "proxy/control_op.h"
#include "store/ledger_search.h"

void control_run_search_key(struct control_connection *k, const json_t *request)
{
	const char *accession = control_text(request, "accession");
	const char *patient = control_text(request, "patient");
	enum search_identifier kind =
	    accession[0] != '\0' ? SEARCH_ACCESSION : SEARCH_PATIENT;
	int64_t key = 0;
	enum err e;

	if ((accession[0] != '\0') == (patient[0] != '\0')) {
		control_refuse(k, "search-key wants accession or patient, one "
				  "of them");
		return;
	}
	e = ledger_search_key(k->opt->ledger, kind,
			      accession[0] != '\0' ? accession : patient, &key);
	if (e == ERR_LIMIT)
		control_refuse(k, "no identifier is that long");
	else if (e != ERR_OK)
		control_refuse(k, "the value could not be computed; the log "
				  "says why");
	else if (key == 0)
		control_refuse(k, "an identifier of spaces is nobody's");
	else
		control_answer(
		    k, json_pack("{s:b,s:I}", "ok", 1, "key", (json_int_t)key));
}
