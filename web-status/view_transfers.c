/* "/transfers": finding what came and where it is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/lib/mem.h"
#include "store/ledger_search.h"
#include "web-status/layout.h"
#include "web-status/query.h"
#include "web-status/transfer.h"
#include "web-status/views.h"

enum { TRANSFERS_PAGE = 50 };

enum field {
	F_FROM,
	F_TO,
	F_DEVICE,
	F_DESTINATION,
	F_STATE,
	F_STUDY,
	F_ACCESSION
};

static const struct column columns[] = {
    {W_RECEIVED, false},    {W_STUDY, false}, {W_DEVICE, false},
    {W_DESTINATION, false}, {W_STATE, false}, {W_SIZE, true},
    {W_ATTEMPTS, true},
};

/* ---- the form ---------------------------------------------------------------
 */

static void take(struct query *q, const struct web_request *r)
{
	static const char *const names[] = {"from",        "to",    "device",
					    "destination", "state", "study",
					    "accession"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)query_take(q, r, names[i]);
}

static void show_names(const struct page *p, const struct query *q)
{
	const struct config *cfg = p->config;

	field_choice(p, &q->at[F_DEVICE], W_DEVICE);
	for (size_t i = 0; i < cfg->n_devices; i++)
		field_option(p, &q->at[F_DEVICE], cfg->devices[i].name,
			     cfg->devices[i].name);
	field_end(p);
	field_choice(p, &q->at[F_DESTINATION], W_DESTINATION);
	for (size_t i = 0; i < cfg->n_destinations; i++)
		field_option(p, &q->at[F_DESTINATION],
			     cfg->destinations[i].name,
			     cfg->destinations[i].name);
	field_end(p);
	field_choice(p, &q->at[F_STATE], W_STATE);
	for (int s = 0; s < DELIVERY_N_STATES; s++)
		field_option(
		    p, &q->at[F_STATE],
		    delivery_state_text((enum delivery_state)s),
		    word_of(p, transfer_state((enum delivery_state)s, NULL)));
	field_end(p);
}

static void show_form(const struct page *p, const struct query *q)
{
	out_raw(p->o, "<section class=\"sheet screen\"><div class=\"pad\">"
		      "<form class=\"search\" method=\"get\" "
		      "action=\"/transfers\" role=\"search\">");
	field_text(p, &q->at[F_FROM], W_FROM, "datetime-local", 19);
	field_text(p, &q->at[F_TO], W_TO, "datetime-local", 19);
	show_names(p, q);
	field_text(p, &q->at[F_STUDY], W_STUDY_UID, "text", 64);
	if ((web_roles(p->r) & ROLE_AUDITOR) != 0)
		field_text(p, &q->at[F_ACCESSION], W_ACCESSION, "text", 64);
	field_buttons(p, "/transfers");
	out_raw(p->o, "</form></div></section>");
}

/* ---- the search
 * ---------------------------------------------------------------- */

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

/* The daemon knows the value that stands for an accession number. False: why
 * was written. */
static bool accession_key(const struct page *p, const char *text, int64_t *key)
{
	json_t *ask =
	    json_pack("{s:s,s:s}", "op", "search-key", "accession", text);
	json_t *answer = NULL;
	enum err e = ask != NULL ? web_control(p->r, ask, &answer) : ERR_NOMEM;
	bool ok = e == ERR_OK && json_true_of(answer, "ok");

	if (ok)
		*key = json_number_of(answer, "key");
	if (!ok) {
		out_raw(p->o, "<p class=\"note warn\">");
		say_with(p, W_ACCESSION_FAILED,
			 e == ERR_OK ? json_text_of(answer, "error")
				     : err_text(e));
		out_raw(p->o, "</p>");
	}
	json_decref(ask);
	json_decref(answer);
	return ok;
}

/* False: something given cannot be searched for, and the page says so. */
static bool filter_of(const struct page *p, const struct query *q,
		      struct search_filter *f)
{
	uint64_t place;

	*f = (struct search_filter){
	    .device = or_null(q->at[F_DEVICE].value),
	    .destination = or_null(q->at[F_DESTINATION].value),
	    .study = or_null(q->at[F_STUDY].value),
	    .has_state = delivery_state_parse(q->at[F_STATE].value, &f->state),
	    .limit = TRANSFERS_PAGE};
	(void)delivery_state_parse(q->at[F_STATE].value, &f->state);
	if (!query_time(q->at[F_FROM].value, &f->from_ms) ||
	    !query_time(q->at[F_TO].value, &f->to_ms)) {
		out_printf(p->o, "<p class=\"note warn\">%s</p>",
			   word_of(p, W_BAD_TIME));
		return false;
	}
	if (web_query_number(p->r, "older", 1, UINT64_MAX, &place)) {
		f->place = place;
	} else if (web_query_number(p->r, "newer", 1, UINT64_MAX, &place)) {
		f->place = place;
		f->way = SEARCH_NEWER;
	}
	if (q->at[F_ACCESSION].value[0] == '\0')
		return true;
	return accession_key(p, q->at[F_ACCESSION].value, &f->accession);
}

static void show_study_link(const struct page *p, const struct view_delivery *d)
{
	char command[8];

	if (d->command != 0) {
		snprintf(command, sizeof(command), "%04X", d->command);
		say_with(p, W_MESSAGE, command);
		return;
	}
	out_raw(p->o, "<a class=\"uid\" href=\"/transfers/");
	out_url(p->o, d->study);
	out_printf(p->o, "\">%s</a>", d->study);
}

static bool on_row(void *arg, const struct view_delivery *d)
{
	struct table *t = arg;
	const struct page *p = t->p;

	table_row(t, transfer_level(d->state));
	table_cell(t);
	show_time(p, d->received_ms);
	table_cell(t);
	show_study_link(p, d);
	table_cell(t);
	out_printf(p->o,
		   "%s<span class=\"under\">%s · <span class=\"mono\">%s"
		   "</span></span>",
		   d->device, d->modality, d->calling_ae);
	table_cell(t);
	out_text(p->o, d->destination);
	table_cell(t);
	transfer_show_state(p, d);
	table_cell(t);
	show_bytes(p, d->length);
	table_cell(t);
	show_count(p, d->attempts);
	return true;
}

static void show_downloads(const struct page *p, const struct query *q)
{
	static const struct {
		const char *format;
		enum word word;
	} formats[] = {{"csv", W_FORMAT_CSV}, {"jsonl", W_FORMAT_JSONL}};

	out_printf(p->o, "<p class=\"row screen small\"><span>%s:</span>",
		   word_of(p, W_DOWNLOAD_FILTERED));
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		out_raw(p->o, "<a href=\"/transfers/export?");
		(void)query_link(p, q);
		out_printf(p->o, "format=%s\">%s</a>", formats[i].format,
			   word_of(p, formats[i].word));
	}
	out_raw(p->o, "</p>");
}

static void show_results(const struct page *p, struct ledger_view *v,
			 const struct query *q, const struct search_filter *f)
{
	struct search_page page = {0};
	struct table t;
	enum err e;

	out_raw(p->o, "<section class=\"sheet\">");
	t = table_begin(p, columns, ARRAY_LEN(columns), W_TRANSFERS);
	e = ledger_search(v, f, on_row, &t, &page);
	table_end(&t);
	if (e != ERR_OK) {
		out_raw(p->o, "<p class=\"empty\">");
		say_with(p, W_LEDGER_GONE, ledger_view_why(v));
		out_raw(p->o, "</p>");
	} else if (page.rows == 0) {
		out_printf(
		    p->o, "<p class=\"empty\">%s</p>",
		    word_of(p, page.cut ? W_LOOK_FURTHER : W_NOTHING_FOUND));
	}
	query_pages(p, "/transfers", q, page.older,
		    f->place != 0 ? page.newer : 0);
	out_raw(p->o, "</section>");
}

static void show_unready(const struct page *p, struct ledger_view *v)
{
	uint64_t left;
	char n[SHOW_LEN];

	if (ledger_search_unready(v, &left) != ERR_OK || left == 0)
		return;
	out_raw(p->o, "<p class=\"note\">");
	say_with(p, W_UNREADY, count_text(left, n));
	out_raw(p->o, "</p>");
}

enum web_code view_transfers(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	struct query q = {0};
	struct search_filter f;
	const char *why = "";
	struct ledger_view *v = web_ledger(r, &why);

	take(&q, r);
	if (v == NULL) {
		page_sorry(&p, AT_TRANSFERS, W_TRANSFERS, W_LEDGER_GONE, why);
		return WEB_OK;
	}
	page_begin(&p, AT_TRANSFERS, word_of(&p, W_TRANSFERS));
	out_printf(o, "<div class=\"head\"><h1>%s</h1>",
		   word_of(&p, W_TRANSFERS));
	show_downloads(&p, &q);
	out_raw(o, "</div>");
	show_form(&p, &q);
	if (q.at[F_ACCESSION].value[0] != '\0')
		show_unready(&p, v);
	if (filter_of(&p, &q, &f))
		show_results(&p, v, &q, &f);
	page_end(&p);
	return WEB_OK;
}
