#include "proxy/reading.h"

#include <stdio.h>
#include <string.h>

#include "proxy/control_io.h"
#include "proxy/lib/mem.h"
#include "proxy/rows.h"
#include "store/ledger_search.h"

enum { LIMIT = 100, PAGE = 200 /* rows read in one transaction */ };

struct reader {
	struct ledger_view *view;
	const json_t *request;
	reading_row_fn *row;
	void *arg;
	json_t *page;  /* what one transaction gave */
	uint64_t last; /* number of the last row */
	uint64_t left; /* rows still wanted */
	const char *error;
	uint64_t older;
};

/* ---- the question ---------------------------------------------------------
 */

/* NULL for "" and for none. */
static const char *text(const struct reader *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r->request, key));

	return s != NULL && s[0] != '\0' ? s : NULL;
}

static json_int_t number(const struct reader *r, const char *key)
{
	return json_integer_value(json_object_get(r->request, key));
}

static enum err refuse(struct reader *r, const char *error)
{
	r->error = error;
	return ERR_INVAL;
}

static enum err take_limit(struct reader *r)
{
	const json_t *limit = json_object_get(r->request, "limit");
	json_int_t n = limit != NULL ? json_integer_value(limit) : LIMIT;

	if (n < 1 || n > LEDGER_PAGE_MAX)
		return refuse(r, "not a limit: 1 to 1000 rows");
	r->left = (uint64_t)n;
	return ERR_OK;
}

/* ---- rows -------------------------------------------------------------------
 */

static bool add(struct reader *r, uint64_t number_of_row, json_t *row)
{
	r->last = number_of_row;
	return json_array_append_new(r->page, row) == 0;
}

/* The transaction is over: pass on what it gave. *n is how many. */
static enum err give(struct reader *r, size_t *n)
{
	enum err e = ERR_OK;

	*n = json_array_size(r->page);
	for (size_t i = 0; e == ERR_OK && i < *n; i++)
		if (!r->row(r->arg, json_array_get(r->page, i)))
			e = ERR_CANCELED;
	json_array_clear(r->page);
	return e;
}

/* Page by page, until there are no more or enough. page begins behind r->last.
 */
static enum err all_pages(struct reader *r,
			  enum err (*page)(struct reader *r, unsigned n))
{
	size_t got = 0;
	unsigned n;
	enum err e;

	do {
		n = r->left < PAGE ? (unsigned)r->left : PAGE;
		e = page(r, n);
		if (e == ERR_OK)
			e = give(r, &got);
		r->left -= got < r->left ? got : r->left;
	} while (e == ERR_OK && got == n && r->left > 0);
	return e;
}

static bool on_delivery(void *arg, const struct view_delivery *d)
{
	return add(arg, d->delivery, row_delivery(d));
}

static bool on_association(void *arg, const struct view_association *a)
{
	return add(arg, a->a.id, row_association(a));
}

static bool on_context(void *arg, const struct ledger_context *c)
{
	return add(arg, c->id, row_context(c));
}

static bool on_operation(void *arg, const struct view_operation *o)
{
	return add(arg, o->id, row_operation(o));
}

static bool on_refusal(void *arg, const struct view_refusal *f)
{
	return add(arg, f->id, row_refusal(f));
}

static bool on_device(void *arg, const struct view_device *d)
{
	return add(arg, 0, row_device(d));
}

static bool on_transfer(void *arg, const struct view_delivery *d)
{
	return add(arg, d->delivery, row_transfer(d));
}

static bool on_study(void *arg, const struct view_delivery *d,
		     const struct view_outgoing *out)
{
	return add(arg, d->delivery, row_sent(d, out));
}

/* ---- deliveries -------------------------------------------------------------
 */

static enum err list_state(struct reader *r, struct view_filter *f)
{
	size_t got = 0;
	enum err e;

	r->last = (uint64_t)number(r, "after");
	e = take_limit(r);
	while (e == ERR_OK && r->left > 0) {
		f->after = r->last;
		f->limit = r->left < PAGE ? (unsigned)r->left : PAGE;
		e = ledger_view_deliveries(r->view, f, on_delivery, r);
		if (e == ERR_OK)
			e = give(r, &got);
		r->left = got < f->limit ? 0 : r->left - got;
	}
	return e;
}

static enum err queue_list(struct reader *r)
{
	/* without a state: what still waits for something */
	static const enum delivery_state open[] = {
	    DELIVERY_QUARANTINED, DELIVERY_HELD, DELIVERY_QUEUED,
	    DELIVERY_ARRIVED, DELIVERY_UNCOMMITTED};
	struct view_filter f = {.destination = text(r, "destination"),
				.device = text(r, "device"),
				.study = text(r, "study")};
	const char *state = text(r, "state");
	enum err e = ERR_OK;

	f.any_state = state != NULL && strcmp(state, "all") == 0;
	if (state != NULL && !f.any_state &&
	    !delivery_state_parse(state, &f.state))
		return refuse(r, "no such state; see culvert queue --help");
	if (state != NULL)
		return list_state(r, &f);
	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(open); i++) {
		f.state = open[i];
		e = list_state(r, &f);
	}
	return e;
}

static enum err queue_show(struct reader *r)
{
	const char *transfer = text(r, "transfer");
	size_t n;
	enum err e = transfer != NULL
			 ? ledger_view_find(r->view, transfer, on_delivery, r)
			 : ERR_INVAL;

	if (e == ERR_NOTFOUND || e == ERR_INVAL)
		return refuse(r, "no such transfer; see culvert queue list "
				 "--state all");
	if (e == ERR_LIMIT)
		return refuse(r, "more than one transfer begins like this; "
				 "give more digits");
	return e == ERR_OK ? give(r, &n) : e;
}

/* ---- associations -----------------------------------------------------------
 */

static enum err associations_page(struct reader *r, unsigned n)
{
	return ledger_view_associations(r->view, r->last, n, on_association, r);
}

static enum err association_list(struct reader *r)
{
	r->last = (uint64_t)number(r, "before");
	return all_pages(r, associations_page);
}

static enum err association_show(struct reader *r)
{
	size_t n;
	enum err e = ledger_view_association(r->view, (uint64_t)number(r, "id"),
					     on_association, on_context, r);

	if (e == ERR_NOTFOUND)
		return refuse(r, "no such association; see culvert association "
				 "list");
	return e == ERR_OK ? give(r, &n) : e;
}

static enum err operations_page(struct reader *r, unsigned n)
{
	return ledger_view_operations(r->view,
				      (uint64_t)number(r, "association"),
				      r->last, n, on_operation, r);
}

static enum err operation_list(struct reader *r)
{
	r->last = (uint64_t)number(r, "before");
	return all_pages(r, operations_page);
}

static enum err refusals_page(struct reader *r, unsigned n)
{
	return ledger_view_refusals(r->view, r->last, n, on_refusal, r);
}

static enum err refused_list(struct reader *r)
{
	r->last = (uint64_t)number(r, "before");
	return all_pages(r, refusals_page);
}

static enum err device_list(struct reader *r)
{
	size_t n;
	enum err e = ledger_view_devices(r->view, on_device, r);

	return e == ERR_OK ? give(r, &n) : e;
}

/* ---- transfers --------------------------------------------------------------
 */

static enum err take_filter(struct reader *r, struct search_filter *f)
{
	const char *state = text(r, "state");

	*f = (struct search_filter){.from_ms = number(r, "from"),
				    .to_ms = number(r, "to"),
				    .device = text(r, "device"),
				    .calling_ae = text(r, "calling"),
				    .destination = text(r, "destination"),
				    .study = text(r, "study"),
				    .accession = number(r, "accession"),
				    .patient = number(r, "patient"),
				    .place = (uint64_t)number(r, "after")};
	f->has_state = state != NULL;
	if (state != NULL && !delivery_state_parse(state, &f->state))
		return refuse(r, "no such state; see culvert transfers --help");
	return ERR_OK;
}

static enum err transfers_search(struct reader *r)
{
	struct search_filter f;
	struct search_page page = {0};
	size_t got;
	enum err e = take_filter(r, &f);

	do {
		f.limit = r->left < PAGE ? (unsigned)r->left : PAGE;
		if (e == ERR_OK)
			e = ledger_search(r->view, &f, on_transfer, r, &page);
		if (e == ERR_OK)
			e = give(r, &got);
		if (e != ERR_OK)
			return e;
		r->left -= got;
		f.place = r->older = page.older;
	} while (got == f.limit && r->left > 0 && page.older != 0);
	return ERR_OK;
}

static enum err study_page(struct reader *r, unsigned n)
{
	return ledger_search_study(r->view, text(r, "study"), r->last, n,
				   on_study, r);
}

static enum err transfers_show(struct reader *r)
{
	enum err e;

	r->left = UINT64_MAX;
	e = text(r, "study") != NULL ? all_pages(r, study_page) : ERR_OK;
	return e == ERR_OK && r->last == 0
		   ? refuse(r, "no such study; see culvert transfers search")
		   : e;
}

/* ---- all of them ------------------------------------------------------------
 */

static const struct {
	const char *op;
	enum err (*ask)(struct reader *r);
} questions[] = {
    {"queue-list", queue_list},
    {"queue-show", queue_show},
    {"association-list", association_list},
    {"association-show", association_show},
    {"operation-list", operation_list},
    {"refused-list", refused_list},
    {"device-list", device_list},
    {"transfers-search", transfers_search},
    {"transfers-show", transfers_show},
};

/* The question's index, or how many there are. */
static size_t find(const char *op)
{
	size_t i = 0;

	while (i < ARRAY_LEN(questions) && strcmp(questions[i].op, op) != 0)
		i++;
	return i;
}

bool reading_is(const char *op)
{
	return find(op) < ARRAY_LEN(questions);
}

static json_t *answer_of(const struct reader *r, enum err e)
{
	if (e == ERR_OK)
		return json_pack("{s:b,s:I}", "ok", 1, "older",
				 (json_int_t)r->older);
	if (e == ERR_CANCELED || e == ERR_NOMEM)
		return NULL;
	return control_error(r->error != NULL ? r->error
					      : ledger_view_why(r->view));
}

json_t *reading_ask(const char *records, const json_t *request,
		    reading_row_fn *row, void *arg)
{
	struct reader r = {.request = request, .row = row, .arg = arg};
	const char *op = text(&r, "op");
	size_t which = find(op != NULL ? op : "");
	char why[LEDGER_WHY_LEN] = "";
	json_t *answer;
	enum err e;

	if (which == ARRAY_LEN(questions))
		return control_error("unknown request");
	e = ledger_view_open(records, &r.view, why);
	if (e != ERR_OK)
		return control_error(why[0] != '\0' ? why : err_text(e));
	r.page = json_array();
	e = r.page != NULL ? take_limit(&r) : ERR_NOMEM;
	if (e == ERR_OK)
		e = questions[which].ask(&r);
	answer = answer_of(&r, e);
	json_decref(r.page);
	ledger_view_close(r.view);
	return answer;
}
