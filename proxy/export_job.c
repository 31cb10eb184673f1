/* export_job.c - what exports of all tables have in common. */
#include "proxy/export_job.h"

#include <stdio.h>
#include <string.h>

#include "proxy/audit_message.h"
#include "proxy/dicom/identify.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

enum err export_job_failed(struct export_job *j, enum err e, const char *why)
{
	if (j->why[0] == '\0')
		snprintf(j->why, sizeof(j->why), "%s",
			 why != NULL && why[0] != '\0' ? why : err_text(e));
	return e;
}

static void run_free(struct export_run *r)
{
	export_free(r->out);
	seal_free(r->seal);
	if (r->message != NULL)
		mem_wipe(r->message, AUDIT_MESSAGE_LEAST);
	mem_free(r->message);
	mem_wipe(r, sizeof(*r));
	mem_free(r);
}

static enum err open_seal(struct export_run *r)
{
	struct export_job *j = r->job;

	if (!j->request.reveal)
		return ERR_OK;
	if (j->key == NULL)
		return export_job_failed(j, ERR_NOKEY,
					 "the data key is not at hand");
	return ledger_identity_key(j->key, j->spool, &r->seal);
}

static void describe(struct export_job *j, const struct export_table *t)
{
	struct export_manifest *m = &j->manifest;

	*m = (struct export_manifest){0};
	snprintf(m->table, sizeof(m->table), "%s", t->name);
	snprintf(m->format, sizeof(m->format), "%s",
		 export_format_text(j->request.format));
	snprintf(m->node, sizeof(m->node), "%s", j->node);
	snprintf(m->program, sizeof(m->program), "%s", CULVERT_VERSION);
	snprintf(m->user, sizeof(m->user), "%s", j->user);
	m->bom = j->request.bom;
	m->reveal = j->request.reveal;
	m->made_ms = clock_wall_ms();
	export_request_filter(&j->request, m->filter);
}

enum err export_run_begin(struct export_job *j, const struct export_table *t,
			  struct export_run **out)
{
	struct export_run *r = mem_zalloc(sizeof(*r));
	struct export_options o = {.table = t,
				   .format = j->request.format,
				   .bom = j->request.bom,
				   .reveal = j->request.reveal,
				   .sink = j->sink,
				   .arg = j->arg};
	enum err e = ERR_NOMEM;

	if (r == NULL)
		return export_job_failed(j, ERR_NOMEM, NULL);
	r->job = j;
	r->table = t;
	describe(j, t);
	r->message = mem_zalloc(AUDIT_MESSAGE_LEAST);
	if (r->message != NULL)
		e = open_seal(r);
	if (e == ERR_OK && j->signer == NULL)
		e = export_job_failed(j, ERR_NOKEY,
				      "there is no key to sign with");
	if (e == ERR_OK)
		e = export_new(&o, &r->out);
	if (e != ERR_OK) {
		run_free(r);
		return export_job_failed(j, e, NULL);
	}
	*out = r;
	return ERR_OK;
}

enum err export_run_end(struct export_run *r, enum err e)
{
	struct export_job *j = r->job;

	if (e == ERR_OK)
		e = export_end(r->out, &j->manifest.totals);
	if (e == ERR_OK)
		e = export_manifest_sign(j->signer, &j->manifest);
	run_free(r);
	return e == ERR_OK ? ERR_OK : export_job_failed(j, e, NULL);
}

void export_run_identify(struct export_run *r)
{
	struct ledger_identity *to = &r->identity;
	struct identify *id = mem_zalloc(sizeof(*id));
	struct identity *found = mem_zalloc(sizeof(*found));

	*to = (struct ledger_identity){0};
	if (id != NULL && found != NULL && r->salted_len > AUDIT_SALT_LEN) {
		identify_init(id, TS_IMPLICIT_LE);
		(void)identify_feed(id, r->salted + AUDIT_SALT_LEN,
				    r->salted_len - AUDIT_SALT_LEN);
		identify_end(id, found);
		INSTANCE_SET(to->accession, found->accession);
		INSTANCE_SET(to->patient_id, found->patient_id);
		INSTANCE_SET(to->patient_name, found->patient_name);
		mem_wipe(found, sizeof(*found));
		mem_wipe(id, sizeof(*id));
	}
	mem_free(found);
	mem_free(id);
}

enum err export_run_message(struct export_run *r, const struct audit_row *row,
			    bool opened)
{
	struct audit_message_identity identity = {
	    .patient_id = r->identity.patient_id,
	    .patient_name = r->identity.patient_name,
	    .accession = r->identity.accession};
	struct audit_message_source source = {.node = r->job->node};
	struct audit_facts f = {.seq = (uint64_t)row->seq,
				.wall_ms = row->wall_ms,
				.kind = row->kind,
				.outcome = row->outcome,
				.association = row->association,
				.listener = row->listener,
				.device = row->device,
				.destination = row->destination,
				.peer = row->peer,
				.local = row->local,
				.calling_ae = row->calling_ae,
				.called_ae = row->called_ae,
				.fingerprint = row->fingerprint,
				.study = row->study,
				.user = row->user,
				.detail = row->detail,
				.chain = row->has_chain ? row->chain : NULL};
	size_t n;
	enum err e;

	if (opened) {
		f.identity = &identity;
		if (r->salted_len > AUDIT_SALT_LEN) {
			f.query = r->salted + AUDIT_SALT_LEN;
			f.query_len = r->salted_len - AUDIT_SALT_LEN;
		}
	}
	e = audit_message_row(&source, &f, 0, r->message, AUDIT_MESSAGE_LEAST,
			      &n);
	return e == ERR_OK ? export_message(r->out, r->message, n) : e;
}
