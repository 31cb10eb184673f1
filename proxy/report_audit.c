/* report_audit.c - who was turned away, and what was changed. */
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "proxy/report.h"
#include "store/audit_read.h"
#include "store/ledger_view.h"

/* ---- refused
 * ------------------------------------------------------------------------- */

struct refused {
	struct report_run *run;
	const struct report_job *job;
	uint64_t before;
	unsigned n;
	bool over; /* older than what is asked for */
	enum err e;
};

static bool on_refusal(void *arg, const struct view_refusal *v)
{
	struct refused *f = arg;
	struct export_cell cells[] = {
	    export_number(v->first.at_ms),    export_number(v->last_ms),
	    export_number((int64_t)v->count), export_text(v->first.listener),
	    export_text(v->first.peer),       export_text(v->first.calling_ae),
	    export_text(v->first.called_ae),  export_text(v->first.reason),
	    export_text(v->first.remedy)};

	f->n++;
	f->before = v->id;
	/* a row lasts for an hour at most from its first */
	f->over = v->last_ms < f->job->from_ms;
	if (v->last_ms >= f->job->from_ms &&
	    (f->job->to_ms == 0 || v->first.at_ms < f->job->to_ms))
		f->e = report_row(f->run, cells);
	return f->e == ERR_OK;
}

static enum err walk_refused(struct refused *f, struct report_job *j,
			     struct ledger_view *v)
{
	do {
		enum err e;

		f->n = 0;
		e = ledger_view_refusals(v, f->before, 500, on_refusal, f);
		if (e != ERR_OK)
			return report_failed(j, e, ledger_view_why(v));
		if (!j->go_on(j->arg, 0, 0))
			return ERR_CANCELED;
	} while (f->e == ERR_OK && f->n > 0 && !f->over);
	return f->e;
}

static enum err run_refused(struct report_run *r, struct report_job *j)
{
	struct refused f = {.run = r, .job = j};
	struct ledger_view *v = NULL;
	char why[LEDGER_WHY_LEN] = "";
	enum err e = ledger_view_open(j->config->records.path, &v, why);

	if (e != ERR_OK)
		return report_failed(j, e, why);
	e = walk_refused(&f, j, v);
	ledger_view_close(v);
	return e;
}

static const struct export_column refused_columns[] = {
    {"first", EXPORT_TIME, false, "First of the attempts alike."},
    {"last", EXPORT_TIME, false, "Last of them, within an hour."},
    {"count", EXPORT_UNSIGNED, false, "How many."},
    {"listener", EXPORT_TEXT, false, "Where."},
    {"peer", EXPORT_TEXT, false, "From which address."},
    {"calling_ae", EXPORT_TEXT, false, "As whom."},
    {"called_ae", EXPORT_TEXT, false, "For whom."},
    {"reason", EXPORT_TEXT, false, "Why it was turned away."},
    {"remedy", EXPORT_TEXT, false, "What would admit it."},
};

const struct report report_refused = {
    "refused",
    "Refused attempts",
    {"refused", refused_columns, ARRAY_LEN(refused_columns)},
    run_refused};

/* ---- changes
 * -------------------------------------------------------------------------- */

static enum err put_change(struct report_run *r, const struct audit_row *a)
{
	struct export_cell cells[] = {
	    export_number(a->seq),
	    export_number(a->wall_ms),
	    export_text(audit_kind_text((enum audit_kind)a->kind)),
	    export_number(a->outcome),
	    export_text(a->user),
	    export_bytes(a->detail, strlen(a->detail))};

	return report_row(r, cells);
}

static enum err walk_changes(struct report_run *r, struct report_job *j,
			     struct audit_reader *in)
{
	const struct audit_row *row;
	enum err e;

	for (;;) {
		e = audit_read_next(in, &row);
		if (e == ERR_AGAIN) {
			int64_t first, last, at = audit_read_position(in);

			audit_read_pause(in);
			audit_read_span(in, &first, &last);
			if (!j->go_on(j->arg, (uint64_t)(at - first),
				      (uint64_t)(last - first)))
				return ERR_CANCELED;
			continue;
		}
		if (e != ERR_OK)
			return report_failed(j, e, audit_read_why(in));
		if (row == NULL)
			return ERR_OK;
		e = put_change(r, row);
		if (e != ERR_OK)
			return e;
	}
}

static enum err run_changes(struct report_run *r, struct report_job *j)
{
	static const int32_t kinds[] = {
	    AUDIT_CONFIG_LOADED, AUDIT_CONFIG_REFUSED, AUDIT_CONFIG_CHANGED,
	    AUDIT_SIGNING_KEY_MADE, AUDIT_MANUAL_ACTION};
	struct audit_filter f = {.from_ms = j->from_ms,
				 .to_ms = j->to_ms != 0 ? j->to_ms - 1 : 0,
				 .kinds = kinds,
				 .n_kinds = ARRAY_LEN(kinds),
				 .budget = 2048};
	struct audit_reader *in = NULL;
	char why[AUDIT_WHY_LEN] = "";
	enum err e = audit_read_open(j->config->records.path, &f, &in, why);

	if (e != ERR_OK)
		return report_failed(j, e, why);
	e = walk_changes(r, j, in);
	audit_read_close(in);
	return e;
}

static const struct export_column changes_columns[] = {
    {"seq", EXPORT_NUMBER, false, "Number of the row in the audit."},
    {"time", EXPORT_TIME, false, "When."},
    {"event", EXPORT_TEXT, false,
     "config-loaded, config-changed, config-refused, manual-action, ..."},
    {"outcome", EXPORT_NUMBER, false, "0 success; else it was refused."},
    {"user", EXPORT_TEXT, false, "Who."},
    {"detail", EXPORT_JSON, false, "What, with the value before and after."},
};

const struct report report_changes = {
    "changes",
    "Configuration changes and manual actions",
    {"changes", changes_columns, ARRAY_LEN(changes_columns)},
    run_changes};
