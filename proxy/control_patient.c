/* control_patient.c - {"op":"patient", "study":UID}: what is sealed of a study
 * opened, {"patient":{"name":...,"id":...,"accession":...}}; null for what it
 * does not have. That they were opened, and by whom, is on record by then. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/control_op.h"
#include "proxy/lib/mem.h"
#include "store/ledger_identity.h"
#include "store/ledger_search.h"
#include "store/spool.h"

static bool on_instance(void *arg, const struct view_delivery *d,
			const struct view_outgoing *out)
{
	(void)out;
	*(uint64_t *)arg = d->seq;
	return false;
}

static json_t *text_of(const char *text)
{
	json_t *j = text[0] != '\0' ? json_string(text) : NULL;

	return j != NULL ? j : json_null();
}

/* The seal's key is the daemon's. NULL: nothing is kept of it. */
static json_t *open_it(const struct control_options *o, const uint8_t *sealed,
		       size_t n)
{
	struct ledger_identity who;
	struct seal *seal = NULL;
	json_t *out = NULL;

	if (ledger_identity_key(spool_key(o->spool), spool_id(o->spool),
				&seal) == ERR_OK &&
	    ledger_identity_open(seal, sealed, n, &who) == ERR_OK)
		out = json_pack("{s:o,s:o,s:o}", "name",
				text_of(who.patient_name), "id",
				text_of(who.patient_id), "accession",
				text_of(who.accession));
	mem_wipe(&who, sizeof(who));
	seal_free(seal);
	return out;
}

/* NULL: why says what is missing. */
static json_t *find(const struct control_options *o, const char *study,
		    char why[LEDGER_WHY_LEN])
{
	struct ledger_view *v = NULL;
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	uint64_t seq = 0;
	json_t *found = NULL;
	size_t n;

	if (ledger_view_open(o->config->records.path, &v, why) != ERR_OK)
		return NULL;
	if (ledger_search_study(v, study, 0, 1, on_instance, &seq) == ERR_OK &&
	    seq != 0 &&
	    ledger_view_identity(v, seq, sealed, sizeof(sealed), &n) == ERR_OK)
		found = open_it(o, sealed, n);
	if (found == NULL)
		(void)snprintf(why, LEDGER_WHY_LEN,
			       "nothing is kept of this patient; the values "
			       "were erased, or pruned");
	ledger_view_close(v);
	return found;
}

void control_run_patient(struct control_connection *k, const json_t *request)
{
	const char *study = control_text(request, "study");
	char why[LEDGER_WHY_LEN] = "";
	json_t *found;

	if (study[0] == '\0' || strlen(study) > 64) {
		control_refuse(k, "no study is named");
		return;
	}
	found = find(k->opt, study, why);
	if (found == NULL)
		control_refuse(k, why);
	else
		control_answer(
		    k, json_pack("{s:b,s:o}", "ok", 1, "patient", found));
}
