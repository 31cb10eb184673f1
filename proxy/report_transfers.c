/* report_transfers.c - what the ledger says of deliveries: by month, what
 * failed or was late, and whether all that began was transferred. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/report.h"
#include "store/ledger_search.h"

enum { PAGE = 500, MONTH_LEN = 8, KEYS_MAX = 20000 };

typedef enum err delivery_fn(void *arg, const struct view_delivery *d);

struct page {
	struct view_delivery rows[PAGE];
	unsigned n;
};

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	struct page *p = arg;

	p->rows[p->n++] = *d;
	return p->n < PAGE;
}

static enum err walk_pages(struct report_job *j, struct ledger_view *v,
			   struct page *p, delivery_fn *fn, void *arg)
{
	struct search_filter f = {.from_ms = j->from_ms,
				  .to_ms = j->to_ms != 0 ? j->to_ms
							 : clock_wall_ms() + 1,
				  .way = SEARCH_NEWER,
				  .limit = PAGE};
	struct view_state s = {0};
	enum err e = ledger_view_state(v, &s);

	for (;;) {
		struct search_page page;

		p->n = 0;
		if (e == ERR_OK)
			e = ledger_search(v, &f, on_delivery, p, &page);
		if (e != ERR_OK)
			return report_failed(j, e, ledger_view_why(v));
		for (unsigned i = p->n; e == ERR_OK && i > 0; i--)
			e = fn(arg, &p->rows[i - 1]);
		if (e != ERR_OK || page.newer == 0)
			return e;
		f.place = page.newer;
		if (!j->go_on(j->arg, p->n > 0 ? p->rows[0].seq : 0, s.applied))
			return ERR_CANCELED;
	}
}

static enum err walk(struct report_job *j, delivery_fn *fn, void *arg)
{
	struct ledger_view *v = NULL;
	struct page *p = mem_zalloc(sizeof(*p));
	char why[LEDGER_WHY_LEN] = "";
	enum err e = p != NULL
			 ? ledger_view_open(j->config->records.path, &v, why)
			 : ERR_NOMEM;

	if (e != ERR_OK)
		(void)report_failed(j, e, why);
	else
		e = walk_pages(j, v, p, fn, arg);
	ledger_view_close(v);
	mem_free(p);
	return e;
}

static bool is_done(enum delivery_state s)
{
	return s == DELIVERY_DELIVERED || s == DELIVERY_COMMITTED ||
	       s == DELIVERY_UNCOMMITTED;
}

static bool is_given_up(enum delivery_state s)
{
	return s == DELIVERY_WITHDRAWN || s == DELIVERY_DISCARDED;
}

/* ---- by month
 * ----------------------------------------------------------------------- */

struct month {
	char month[MONTH_LEN], device[33], destination[33];
	uint64_t deliveries, bytes, done, waiting, quarantined, given_up;
};

struct months {
	struct month *at;
	size_t n, cap, last;
};

static struct month *month_find(struct months *m, const char *month,
				const struct view_delivery *d)
{
	for (size_t k = 0; k < m->n; k++) {
		/* most rows are like the one before */
		size_t i = (m->last + k) % m->n;
		struct month *x = &m->at[i];

		if (strcmp(x->month, month) == 0 &&
		    strcmp(x->device, d->device) == 0 &&
		    strcmp(x->destination, d->destination) == 0) {
			m->last = i;
			return x;
		}
	}
	return NULL;
}

static struct month *month_of(struct months *m, const struct view_delivery *d)
{
	char when[CLOCK_TEXT_LEN], month[MONTH_LEN];
	struct month *x, *more;

	clock_text(d->received_ms, when);
	snprintf(month, sizeof(month), "%.7s", when);
	x = month_find(m, month, d);
	if (x != NULL || m->n == KEYS_MAX)
		return x;
	if (m->n == m->cap) {
		size_t cap = m->cap != 0 ? 2 * m->cap : 64;

		more = mem_realloc(m->at, cap * sizeof(*more));
		if (more == NULL)
			return NULL;
		m->at = more;
		m->cap = cap;
	}
	x = &m->at[m->n++];
	*x = (struct month){0};
	memcpy(x->month, month, sizeof(month));
	snprintf(x->device, sizeof(x->device), "%s", d->device);
	snprintf(x->destination, sizeof(x->destination), "%s", d->destination);
	return x;
}

static enum err count_month(void *arg, const struct view_delivery *d)
{
	struct month *x;

	if (instance_is_message(d->command))
		return ERR_OK;
	x = month_of(arg, d);
	if (x == NULL)
		return ERR_NOMEM;
	x->deliveries++;
	x->bytes += d->length;
	if (is_done(d->state))
		x->done++;
	else if (d->state == DELIVERY_QUARANTINED)
		x->quarantined++;
	else if (is_given_up(d->state))
		x->given_up++;
	else
		x->waiting++;
	return ERR_OK;
}

static enum err run_monthly(struct report_run *r, struct report_job *j)
{
	struct months m = {0};
	enum err e = walk(j, count_month, &m);

	for (size_t i = 0; e == ERR_OK && i < m.n; i++) {
		const struct month *x = &m.at[i];
		struct export_cell cells[] = {
		    export_text(x->month),
		    export_text(x->device),
		    export_text(x->destination),
		    export_number((int64_t)x->deliveries),
		    export_number((int64_t)x->bytes),
		    export_number((int64_t)x->done),
		    export_number((int64_t)x->waiting),
		    export_number((int64_t)x->quarantined),
		    export_number((int64_t)x->given_up)};

		e = report_row(r, cells);
	}
	mem_free(m.at);
	return e;
}

static const struct export_column monthly_columns[] = {
    {"month", EXPORT_TEXT, false, "When the instances came in (UTC)."},
    {"device", EXPORT_TEXT, false, "Who sent them."},
    {"destination", EXPORT_TEXT, false, "Where they go."},
    {"instances", EXPORT_UNSIGNED, false, "How many."},
    {"bytes", EXPORT_UNSIGNED, false, "Their data sets."},
    {"transferred", EXPORT_UNSIGNED, false, "Delivered or committed."},
    {"waiting", EXPORT_UNSIGNED, false, "Queued, held or on their way."},
    {"quarantined", EXPORT_UNSIGNED, false, "Set aside, with a reason."},
    {"given_up", EXPORT_UNSIGNED, false, "Withdrawn or discarded."},
};

const struct report report_monthly = {
    "monthly",
    "Transfers by month",
    {"monthly", monthly_columns, ARRAY_LEN(monthly_columns)},
    run_monthly};

/* ---- failed and late
 * ------------------------------------------------------------------- */

struct failures {
	struct report_run *run;
	const struct report_job *job;
	int64_t now;
};

static const char *verdict_of(const struct failures *f,
			      const struct view_delivery *d, int64_t waited)
{
	if (d->state == DELIVERY_QUARANTINED || is_given_up(d->state))
		return "failed";
	if (d->state == DELIVERY_HELD)
		return "held";
	if (waited > f->job->late_ms)
		return is_done(d->state) ? "late" : "waits too long";
	return NULL;
}

static enum err look_at(void *arg, const struct view_delivery *d)
{
	struct failures *f = arg;
	int64_t end =
	    is_done(d->state) && d->changed_ms != 0 ? d->changed_ms : f->now;
	int64_t waited = end - d->received_ms;
	const char *verdict = verdict_of(f, d, waited);
	struct export_cell cells[] = {
	    export_text(verdict),
	    export_number((int64_t)d->delivery),
	    export_number(d->received_ms),
	    d->changed_ms != 0 ? export_number(d->changed_ms) : export_none(),
	    export_number(waited / 1000),
	    export_text(delivery_state_text(d->state)),
	    export_text(d->device),
	    export_text(d->destination),
	    export_text(d->study),
	    export_text(d->sop_instance),
	    export_number(d->attempts),
	    export_text(d->last_error)};

	return verdict != NULL ? report_row(f->run, cells) : ERR_OK;
}

static enum err run_failures(struct report_run *r, struct report_job *j)
{
	struct failures f = {.run = r, .job = j, .now = clock_wall_ms()};

	return walk(j, look_at, &f);
}

static const struct export_column failures_columns[] = {
    {"verdict", EXPORT_TEXT, false,
     "failed, held, late (it took longer than --late), waits too long."},
    {"delivery", EXPORT_UNSIGNED, false, "Number of the delivery."},
    {"received", EXPORT_TIME, false, "When the instance came in."},
    {"changed", EXPORT_TIME, false, "When the state became what it is."},
    {"waited_s", EXPORT_NUMBER, false, "Seconds, until then or until now."},
    {"state", EXPORT_TEXT, false, "State of the delivery."},
    {"device", EXPORT_TEXT, false, "Who sent it."},
    {"destination", EXPORT_TEXT, false, "Where it goes."},
    {"study", EXPORT_TEXT, false, "Study Instance UID."},
    {"sop_instance", EXPORT_TEXT, false, "SOP Instance UID."},
    {"attempts", EXPORT_UNSIGNED, false, "How often it was tried."},
    {"last_error", EXPORT_TEXT, false, "What went wrong last."},
};

const struct report report_failures = {
    "failures",
    "Failed and late deliveries",
    {"failures", failures_columns, ARRAY_LEN(failures_columns)},
    run_failures};

/* ---- begun against transferred
 * ------------------------------------------------------------ */

struct studies {
	struct view_study rows[SEARCH_STUDIES_MAX];
	unsigned n;
};

static bool on_study(void *arg, const struct view_study *s)
{
	struct studies *p = arg;

	p->rows[p->n++] = *s;
	return p->n < SEARCH_STUDIES_MAX;
}

static enum err put_study(struct report_run *r, const struct view_study *s)
{
	uint64_t done = 0, up = 0, all = 0;
	struct export_cell cells[12];
	const char *verdict;

	for (size_t i = 0; i < DELIVERY_N_STATES; i++) {
		enum delivery_state state = (enum delivery_state)i;

		all += s->count[i];
		done += is_done(state) ? s->count[i] : 0;
		up += is_given_up(state) ? s->count[i] : 0;
	}
	verdict = s->partly_counted  ? "too many to count"
		  : all == 0         ? "went nowhere"
		  : done == all      ? "complete"
		  : done + up == all ? "incomplete: given up"
		  : s->count[DELIVERY_QUARANTINED] > 0
		      ? "incomplete: quarantined"
		      : "on its way";
	cells[0] = export_text(s->study);
	cells[1] = export_number(s->first_ms);
	cells[2] = export_number(s->last_ms);
	cells[3] = export_text(s->device);
	cells[4] = export_text(s->modality);
	cells[5] = export_number((int64_t)s->instances);
	cells[6] = export_number((int64_t)s->bytes);
	cells[7] = export_number((int64_t)all);
	cells[8] = export_number((int64_t)done);
	cells[9] = export_number((int64_t)up);
	cells[10] = export_number((int64_t)(all - done - up));
	cells[11] = export_text(verdict);
	return report_row(r, cells);
}

static enum err walk_studies(struct report_run *r, struct report_job *j,
			     struct ledger_view *v, struct studies *p)
{
	struct study_filter f = {.from_ms = j->from_ms,
				 .to_ms = j->to_ms != 0 ? j->to_ms
							: clock_wall_ms() + 1,
				 .way = SEARCH_NEWER,
				 .limit = SEARCH_STUDIES_MAX};

	for (;;) {
		struct search_page page;
		enum err e;

		p->n = 0;
		e = ledger_search_studies(v, &f, on_study, p, &page);
		if (e != ERR_OK)
			return report_failed(j, e, ledger_view_why(v));
		for (unsigned i = p->n; e == ERR_OK && i > 0; i--)
			e = put_study(r, &p->rows[i - 1]);
		if (e != ERR_OK || page.newer == 0)
			return e;
		f.place = page.newer;
		if (!j->go_on(j->arg, 0, 0))
			return ERR_CANCELED;
	}
}

static enum err run_reconciliation(struct report_run *r, struct report_job *j)
{
	struct studies *p = mem_zalloc(sizeof(*p));
	struct ledger_view *v = NULL;
	char why[LEDGER_WHY_LEN] = "";
	enum err e = p != NULL
			 ? ledger_view_open(j->config->records.path, &v, why)
			 : ERR_NOMEM;

	if (e != ERR_OK)
		(void)report_failed(j, e, why);
	else
		e = walk_studies(r, j, v, p);
	ledger_view_close(v);
	mem_free(p);
	return e;
}

static const struct export_column reconciliation_columns[] = {
    {"study", EXPORT_TEXT, false, "Study Instance UID."},
    {"first", EXPORT_TIME, false, "Its first instance came."},
    {"last", EXPORT_TIME, false, "Its last one so far."},
    {"device", EXPORT_TEXT, false, "Who sent it."},
    {"modality", EXPORT_TEXT, false, "Modality."},
    {"instances", EXPORT_UNSIGNED, false,
     "Received; one that was sent twice counts twice."},
    {"bytes", EXPORT_UNSIGNED, false, "Their data sets."},
    {"begun", EXPORT_UNSIGNED, false, "Deliveries: instances x destinations."},
    {"transferred", EXPORT_UNSIGNED, false, "Of them delivered or committed."},
    {"given_up", EXPORT_UNSIGNED, false, "Withdrawn or discarded."},
    {"missing", EXPORT_UNSIGNED, false, "Neither: they still wait."},
    {"verdict", EXPORT_TEXT, false,
     "complete, on its way, incomplete (why), went nowhere."},
};

const struct report report_reconciliation = {
    "reconciliation",
    "Begun against transferred, by study",
    {"reconciliation", reconciliation_columns,
     ARRAY_LEN(reconciliation_columns)},
    run_reconciliation};
