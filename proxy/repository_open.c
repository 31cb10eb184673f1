#include "proxy/repository_open.h"

#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "store/audit_row.h"
#include "store/ledger_identity.h"
#include "store/ledger_search.h"
#include "store/ledger_view.h"
#include "store/spool.h"

struct repository_opener {
	char records[CONFIG_PATH_LEN];
	struct seal *seal;
	struct ledger_view *view; /* NULL: not opened yet */
	struct ledger_identity identity;
	uint8_t query[AUDIT_SEALED_LEN];
};

enum err repository_opener_new(const char *records, struct spool *spool,
			       struct repository_opener **out)
{
	struct repository_opener *o = mem_zalloc(sizeof(*o));
	enum err e;

	if (o == NULL)
		return ERR_NOMEM;
	(void)snprintf(o->records, sizeof(o->records), "%s", records);
	e = ledger_identity_key(spool_key(spool), spool_id(spool), &o->seal);
	if (e != ERR_OK) {
		mem_free(o);
		return e;
	}
	*out = o;
	return ERR_OK;
}

void repository_opener_free(struct repository_opener *o)
{
	if (o == NULL)
		return;
	ledger_view_close(o->view);
	seal_free(o->seal);
	mem_wipe(o, sizeof(*o));
	mem_free(o);
}

/* ---- the patient of a study ------------------------------------------------
 */

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	uint64_t *seq = arg;

	*seq = d->seq;
	return false;
}

/* One of the study's instances, sealed identity and all. */
static enum err find(struct repository_opener *o, const char *study)
{
	struct search_filter f = {.study = study, .limit = 1};
	struct search_page page;
	uint8_t sealed[LEDGER_IDENTITY_MAX];
	uint64_t seq = 0;
	size_t n = 0;
	enum err e = ERR_OK;

	if (o->view == NULL)
		e = ledger_view_open(o->records, &o->view, NULL);
	if (e == ERR_OK)
		e = ledger_search(o->view, &f, on_delivery, &seq, &page);
	if (e == ERR_OK && seq == 0)
		e = ERR_NOTFOUND;
	if (e == ERR_OK)
		e = ledger_view_identity(o->view, seq, sealed, sizeof(sealed),
					 &n);
	if (e == ERR_OK)
		e = ledger_identity_open(o->seal, sealed, n, &o->identity);
	if (e != ERR_OK && e != ERR_NOTFOUND) {
		ledger_view_close(o->view); /* another may be there now */
		o->view = NULL;
	}
	return e;
}

/* ---- rows
 * -------------------------------------------------------------------- */

static void open_query(struct repository_opener *o, const struct audit_row *row,
		       struct repository_opened *out)
{
	if ((row->kind != AUDIT_QUERY && row->kind != AUDIT_RETRIEVE) ||
	    row->sealed == NULL || row->sealed_len > sizeof(o->query) ||
	    ledger_identifier_open(o->seal, row->sealed, row->sealed_len,
				   o->query, &out->query_len) != ERR_OK)
		return;
	out->query = o->query;
}

bool repository_open(void *arg, const struct audit_row *row,
		     struct repository_opened *out)
{
	struct repository_opener *o = arg;

	memset(out, 0, sizeof(*out));
	mem_wipe(&o->identity, sizeof(o->identity));
	mem_wipe(o->query, sizeof(o->query));
	if (row == NULL)
		return false;
	open_query(o, row, out);
	if (row->study[0] != '\0' && find(o, row->study) == ERR_OK)
		out->identity = (struct audit_message_identity){
		    .patient_id = o->identity.patient_id,
		    .patient_name = o->identity.patient_name,
		    .accession = o->identity.accession};
	return true;
}
