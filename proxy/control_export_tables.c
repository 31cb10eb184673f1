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

static void run(struct control_connection *k, struct export_job *j,
		const char *table, enum err (*job)(struct export_job *))
{
	struct control_stream s;
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
		e = job(j);
	control_stream_sign_off(&s, e, table, &j->manifest, j->why);
	j->arg = NULL;
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
		control_refuse_rights(k, control_text(request, "op"),
				      "only an auditor may open sealed "
				      "values; leave --reveal out");
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
