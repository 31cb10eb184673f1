/* "/refused": who was turned away, why, and what would admit them. */
#include <inttypes.h>
#include <string.h>

#include "proxy/lib/condition.h"
#include "proxy/lib/mem.h"
#include "store/ledger_view.h"
#include "web-status/admit.h"
#include "web-status/layout.h"
#include "web-status/query.h"
#include "web-status/views.h"

enum { REFUSED_PAGE = 50 };

static const struct column columns[] = {
    {W_WHO, false}, {W_WHEN, false}, {W_WHY, false}, {W_ADMIT, false}};

struct listing {
	struct table table;
	unsigned rows;
	uint64_t last;
};

static void show_who(const struct page *p, const struct view_refusal *r)
{
	out_printf(p->o, "<span class=\"mono\">%s</span>", r->first.peer);
	if (r->first.calling_ae[0] != '\0') {
		out_raw(p->o, "<span class=\"under\">");
		say_with(p, W_CALLS_ITSELF, r->first.calling_ae);
		out_raw(p->o, "</span>");
	}
	out_raw(p->o, "<span class=\"under\">");
	say_with(p, W_CALLS, r->first.called_ae, r->first.listener);
	out_raw(p->o, "</span>");
}

static void show_when(const struct page *p, const struct view_refusal *r)
{
	char n[SHOW_LEN];

	show_time(p, r->last_ms);
	if (r->count < 2)
		return;
	out_raw(p->o, "<span class=\"under\">");
	say_with(p, W_TIMES_N, count_text(r->count, n));
	out_raw(p->o, " · ");
	say_time(p, W_SINCE, r->first.at_ms);
	out_raw(p->o, "</span>");
}

static void show_why(const struct page *p, const struct view_refusal *r)
{
	const struct condition *c = condition_find(r->first.reason);
	enum condition_language l =
	    p->language == WEB_ZH ? CONDITION_ZH : CONDITION_EN;

	if (c == NULL) {
		out_printf(p->o, "<span class=\"mono\">%s</span>",
			   r->first.reason);
		return;
	}
	out_printf(p->o,
		   "%s<span class=\"under\"><span class=\"mono\">%s %s</span>"
		   "</span>",
		   c->cause[l], c->code, c->name);
}

static void show_admit(const struct page *p, const struct view_refusal *r)
{
	const struct condition *c = condition_find(r->first.reason);
	char yaml[ADMIT_LEN];

	/* the daemon names names, in English */
	if (p->language == WEB_ZH && c != NULL)
		out_text(p->o, c->remedy[CONDITION_ZH]);
	else
		out_text(p->o, r->first.remedy);
	if (!admit_yaml(p->config, &r->first, yaml))
		return;
	out_printf(p->o, "<pre class=\"yaml\" tabindex=\"0\" data-copy=\"%s\">",
		   word_of(p, W_COPY));
	out_text(p->o, yaml);
	out_raw(p->o, "</pre>");
}

static bool on_row(void *arg, const struct view_refusal *r)
{
	struct listing *l = arg;
	struct table *t = &l->table;

	l->rows++;
	l->last = r->id;
	table_row(t, LEVEL_OK);
	table_cell(t);
	show_who(t->p, r);
	table_cell(t);
	show_when(t->p, r);
	table_cell(t);
	show_why(t->p, r);
	table_cell(t);
	show_admit(t->p, r);
	return true;
}

static void show_pages(const struct page *p, const struct listing *l,
		       uint64_t before)
{
	bool more = l->rows == REFUSED_PAGE;

	if (!more && before == 0)
		return;
	out_raw(p->o, "<div class=\"pages\"><div>");
	if (before != 0)
		out_printf(p->o,
			   "<a class=\"button quiet\" href=\"/refused\">%s</a>",
			   word_of(p, W_NEWEST));
	out_raw(p->o, "</div>");
	if (more)
		out_printf(p->o,
			   "<a class=\"button quiet\" rel=\"next\" "
			   "href=\"/refused?before=%" PRIu64 "\">%s</a>",
			   l->last, word_of(p, W_OLDER));
	out_raw(p->o, "</div>");
}

static void show_rows(const struct page *p, struct ledger_view *v)
{
	struct listing l = {.rows = 0};
	uint64_t before;
	enum err e;

	if (!web_query_number(p->r, "before", 1, UINT64_MAX, &before))
		before = 0;
	out_raw(p->o, "<section class=\"sheet\">");
	l.table = table_begin(p, columns, ARRAY_LEN(columns), W_REFUSED);
	e = ledger_view_refusals(v, before, REFUSED_PAGE, on_row, &l);
	table_end(&l.table);
	if (e != ERR_OK) {
		out_raw(p->o, "<p class=\"empty\">");
		say_with(p, W_LEDGER_GONE, ledger_view_why(v));
		out_raw(p->o, "</p>");
	} else if (l.rows == 0) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_REFUSED_NONE));
	}
	show_pages(p, &l, before);
	out_raw(p->o, "</section>");
}

enum web_code view_refused(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	const char *why = "";
	struct ledger_view *v = web_ledger(r, &why);

	if (v == NULL) {
		page_sorry(&p, AT_REFUSED, W_REFUSED, W_LEDGER_GONE, why);
		return WEB_OK;
	}
	page_begin(&p, AT_REFUSED, word_of(&p, W_REFUSED));
	out_printf(o, "<div><h1>%s</h1><p class=\"soft\">%s %s</p></div>",
		   word_of(&p, W_REFUSED), word_of(&p, W_REFUSED_INTRO),
		   word_of(&p, W_ADMIT_CARE));
	show_rows(&p, v);
	page_end(&p);
	return WEB_OK;
}
