/* export_job_audit.c - rows of the audit, in order. */
#include <string.h>

#include "proxy/export_job.h"
#include "proxy/lib/mem.h"
#include "store/export_audit.h"

enum { PAGE = 2048 };

static struct audit_filter filter_of(const struct export_request *q)
{
	return (struct audit_filter){.from_ms = q->from_ms,
				     /* ours ends before it */
				     .to_ms = q->to_ms != 0 ? q->to_ms - 1 : 0,
				     .from_seq = q->from_seq,
				     .to_seq = q->to_seq,
				     .device = q->device,
				     .destination = q->destination,
				     .study = q->study,
				     .user = q->user,
				     .kinds = q->n_kinds > 0 ? q->kinds : NULL,
				     .n_kinds = q->n_kinds,
				     .outcome_min = q->outcome_min,
				     .sealed = q->reveal,
				     .budget = PAGE};
}

/* Whether what is sealed could be opened: then it is in r. */
static bool opened(struct export_run *r, const struct audit_row *row)
{
	size_t n = 0;

	if (r->seal == NULL || row->sealed == NULL ||
	    row->sealed_len > EXPORT_CELL_MAX)
		return false;
	if (ledger_identifier_reveal(r->seal, row->sealed, row->sealed_len,
				     r->salted + AUDIT_SALT_LEN, &n,
				     r->salted) != ERR_OK)
		return false;
	r->salted_len = AUDIT_SALT_LEN + n;
	export_run_identify(r);
	return true;
}

static void note_ends(struct export_manifest *m, const struct audit_row *row,
		      bool first)
{
	if (first) {
		m->first = (uint64_t)row->seq;
		m->first_ms = row->wall_ms;
		memcpy(m->prev_chain, row->prev_chain, sizeof(m->prev_chain));
	}
	/* with a time filter a clock that stepped leaves rows out */
	if (!first && (uint64_t)row->seq != m->last + 1)
		m->contiguous = false;
	m->last = (uint64_t)row->seq;
	m->last_ms = row->wall_ms;
	memcpy(m->chain, row->chain, sizeof(m->chain));
}

static enum err put_row(struct export_run *r, const struct audit_row *row)
{
	struct export_opened what = {0};
	bool open;

	if (row->malformed != NULL)
		return export_job_failed(
		    r->job, ERR_CORRUPT,
		    "a row holds what Culvert never writes: it was edited; see "
		    "culvert audit verify");
	open = opened(r, row);
	if (r->job->request.format == EXPORT_DICOM)
		return export_run_message(r, row, open);
	if (open) {
		what.salted = r->salted;
		what.len = r->salted_len;
		what.identity = r->identity;
	}
	export_audit_cells(row, &what, r->cells);
	return export_row(r->out, r->cells);
}

static bool pause_between(struct export_run *r, struct audit_reader *in)
{
	int64_t first, last, at = audit_read_position(in);

	audit_read_pause(in);
	audit_read_span(in, &first, &last);
	if (r->job->request.from_seq > first)
		first = r->job->request.from_seq;
	if (r->job->request.to_seq != 0 && r->job->request.to_seq < last)
		last = r->job->request.to_seq;
	return r->job->go_on(r->job->arg,
			     at > first ? (uint64_t)(at - first) : 0,
			     last > first ? (uint64_t)(last - first) : 0);
}

static enum err put_rows(struct export_run *r, struct audit_reader *in)
{
	struct export_manifest *m = &r->job->manifest;
	const struct audit_row *row;
	uint64_t n = 0, page = 0;
	enum err e;

	for (;;) {
		e = audit_read_next(in, &row);
		if (e != ERR_OK && e != ERR_AGAIN)
			return export_job_failed(r->job, e, audit_read_why(in));
		if (e == ERR_OK && row == NULL)
			return ERR_OK;
		if (e == ERR_OK) {
			note_ends(m, row, n++ == 0);
			e = put_row(r, row);
			if (e != ERR_OK)
				return e;
			if (++page < PAGE)
				continue;
		}
		page = 0;
		if (!pause_between(r, in))
			return ERR_CANCELED;
	}
}

enum err export_job_audit(struct export_job *j)
{
	struct audit_filter filter = filter_of(&j->request);
	struct audit_reader *in = NULL;
	struct export_run *r = NULL;
	char why[AUDIT_WHY_LEN] = "";
	enum err e = audit_read_open(j->records, &filter, &in, why);

	if (e != ERR_OK)
		return export_job_failed(j, e, why);
	e = export_run_begin(j, &export_table_audit, &r);
	if (e == ERR_OK) {
		bool range = export_request_is_range(&j->request);

		j->manifest.contiguous = range;
		e = put_rows(r, in);
		/* without times every number that is not there is missing */
		if (j->request.from_ms == 0 && j->request.to_ms == 0)
			j->manifest.contiguous = range;
		e = export_run_end(r, e);
	}
	audit_read_close(in);
	return e;
}
