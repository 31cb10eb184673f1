/* control_export_tables.c - {"op":"audit-export"} and
 * {"op":"transfers-export"}: export_frames.h says what is asked and what comes.
 * On the connection's own thread. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/control_stream.h"
#include "proxy/export_job.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

/* What went out is on record, too; that it was asked for already is. */
static void record_end(struct control_connection *k, const struct export_job *j,
		       const char *table, enum err result)
{
	const struct export_manifest *m = &j->manifest;
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json d;
	char sha[65];

	if (e == NULL)
		return;
	e->kind = AUDIT_EXPORT;
	e->outcome = result == ERR_OK ? AUDIT_SUCCESS : AUDIT_MINOR;
	snprintf(e->user, sizeof(e->user), "%s", k->peer.user);
	d = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&d, "exported", table);
	audit_json_text(&d, "result", err_text(result));
	if (result == ERR_OK) {
		audit_json_number(&d, "rows", (int64_t)m->totals.rows);
		audit_json_text(&d, "sha256",
				export_hex(m->totals.sha256, 32, sha));
	}
	audit_json_end(&d);
	ledger_audit(k->opt->ledger, e);
	mem_free(e);
}

static void run(struct control_connection *k, struct export_job *j,
		const char *table, enum err (*job)(struct export_job *))
{
	struct control_stream s;
	char *manifest = mem_zalloc(EXPORT_MANIFEST_MAX);
	char name[EXPORT_NAME_LEN];
	enum err e;

	control_stream_name(k, table, export_format_suffix(j->request.format),
			    name);
	e = control_stream_begin(&s, k, name,
				 export_format_media(j->request.format),
				 j->request.zip);
	j->sink = control_stream_put;
	j->go_on = control_stream_go_on;
	j->arg = &s;
	if (e == ERR_OK)
		e = manifest != NULL ? job(j) : ERR_NOMEM;
	if (e == ERR_OK && export_manifest_text(&j->manifest, manifest) == 0)
		e = ERR_LIMIT;
	control_stream_end(&s, e, e == ERR_OK ? manifest : "",
			   j->why[0] != '\0' ? j->why : err_text(e));
	j->arg = NULL;
	record_end(k, j, table, e);
	mem_free(manifest);
}

static void export_table(struct control_connection *k, const json_t *request,
			 const char *table,
			 enum err (*job)(struct export_job *))
{
	struct export_job *j = mem_zalloc(sizeof(*j));
	char why[256] = "out of memory";

	if (j == NULL ||
	    export_request_parse(request, &j->request, why) != ERR_OK) {
		control_refuse(k, why);
	} else if (j->request.reveal && (k->peer.roles & ROLE_AUDITOR) == 0) {
		control_refuse(k, "only an auditor may open sealed values; "
				  "leave --reveal out");
	} else {
		j->records = k->opt->config->records.path;
		j->node = k->opt->config->node;
		j->user = k->peer.user;
		j->key = spool_key(k->opt->spool);
		j->spool = spool_id(k->opt->spool);
		j->signer = k->opt->signer;
		run(k, j, table, job);
	}
	mem_free(j);
}

void control_run_audit_export(struct control_connection *k,
			      const json_t *request)
{
	export_table(k, request, "audit", export_job_audit);
}

void control_run_transfers_export(struct control_connection *k,
				  const json_t *request)
{
	export_table(k, request, "transfers", export_job_transfers);
}
