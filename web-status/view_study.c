/* "/transfers/UID": one study, instance by instance. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_search.h"
#include "web-status/layout.h"
#include "web-status/query.h"
#include "web-status/transfer.h"
#include "web-status/views.h"

enum { STUDY_PAGE = 100 };

static const struct column columns[] = {
    {W_INSTANCE, false},     {W_RECEIVED, false}, {W_DESTINATION, false},
    {W_STATE, false},        {W_SIZE, true},      {W_ATTEMPTS, true},
    {W_PROTECTED_BY, false},
};

static bool on_study(void *arg, const struct view_study *s)
{
	*(struct view_study *)arg = *s;
	return false;
}

/* ---- what the study is
 * --------------------------------------------------------- */

static void text_fact(const struct page *p, enum word w, const char *text)
{
	fact(p, w);
	out_text(p->o, text);
	fact_end(p);
}

static void count_fact(const struct page *p, enum word w, uint64_t n)
{
	fact(p, w);
	show_count(p, n);
	fact_end(p);
}

static void deliveries_fact(const struct page *p, const struct view_study *s)
{
	fact(p, W_DELIVERIES);
	for (int i = 0; i < DELIVERY_N_STATES; i++) {
		enum level l;
		enum word w = transfer_state((enum delivery_state)i, &l);
		char n[SHOW_LEN];

		if (s->count[i] == 0)
			continue;
		out_printf(p->o, "<span class=\"mark %s\">%s %s</span> ",
			   level_text(l), count_text(s->count[i], n),
			   word_of(p, w));
	}
	fact_end(p);
}

static void show_summary(const struct page *p, const struct view_study *s)
{
	out_raw(p->o, "<section class=\"sheet\"><div class=\"pad\">"
		      "<dl class=\"facts\">");
	text_fact(p, W_DEVICE, s->device);
	text_fact(p, W_CALLING, s->calling_ae);
	text_fact(p, W_MODALITY, s->modality);
	count_fact(p, W_SERIES, s->series);
	count_fact(p, W_INSTANCES, s->instances);
	fact(p, W_SIZE);
	show_bytes(p, s->bytes);
	fact_end(p);
	fact(p, W_FIRST_LAST);
	out_raw(p->o, "<span class=\"line\">");
	show_time(p, s->first_ms);
	out_raw(p->o, "</span><span class=\"line\">");
	show_time(p, s->last_ms);
	out_raw(p->o, "</span>");
	fact_end(p);
	deliveries_fact(p, s);
	out_raw(p->o, "</dl></div></section>");
}

/* ---- its instances
 * --------------------------------------------------------------- */

struct listing {
	struct table table;
	const json_t *status; /* NULL: not known */
	unsigned rows;
	uint64_t last; /* delivery, for the next page */
};

static void show_instance(const struct page *p, const struct view_delivery *d)
{
	char root[65];

	for (size_t i = 0; i < sizeof(d->root); i++)
		snprintf(root + 2 * i, 3, "%02x", d->root[i]);
	out_printf(p->o, "<span class=\"uid\">%s</span>", d->sop_instance);
	out_printf(p->o,
		   "<details><summary>%s</summary><dl class=\"facts small\">",
		   word_of(p, W_DETAIL));
	out_printf(p->o,
		   "<div class=\"long\"><dt>%s</dt><dd class=\"uid\">%s</dd>"
		   "</div>",
		   word_of(p, W_HASH), root);
	out_printf(p->o, "<div><dt>%s</dt><dd class=\"uid\">%s</dd></div>",
		   word_of(p, W_SERIES), d->series);
	out_printf(p->o, "<div><dt>%s</dt><dd class=\"uid\">%s</dd></div>",
		   word_of(p, W_SOP_CLASS), d->sop_class);
	out_printf(p->o, "<div><dt>%s</dt><dd class=\"uid\">%s</dd></div>",
		   word_of(p, W_TRANSFER_SYNTAX), d->transfer_syntax);
	out_printf(p->o, "<div><dt>%s</dt><dd>%s → %s</dd></div>",
		   word_of(p, W_CALLING), d->calling_ae, d->called_ae);
	out_printf(p->o, "<div><dt>%s</dt><dd>%s</dd></div></dl></details>",
		   word_of(p, W_PEER), d->peer);
}

/* What the daemon says of its transfer at this moment, or NULL. */
static const json_t *progress_of(const json_t *status,
				 const struct view_delivery *d)
{
	const json_t *to = json_find(json_object_get(status, "destinations"),
				     "name", d->destination);
	const json_t *large =
	    json_object_get(json_object_get(to, "link"), "large");
	const json_t *e;
	size_t i;

	json_array_foreach(large, i, e)
	{
		if ((uint64_t)json_number_of(e, "delivery") == d->delivery)
			return e;
	}
	return NULL;
}

/* A script asks for it again and again: live.js. */
static void show_progress(const struct page *p, const struct view_delivery *d,
			  const json_t *progress)
{
	uint64_t all = (uint64_t)json_number_of(progress, "chunks");
	uint64_t done = (uint64_t)json_number_of(progress, "durable");
	char a[SHOW_LEN], b[SHOW_LEN];

	out_printf(p->o,
		   "<span class=\"under progress\" id=\"chunks-%" PRIu64 "\">",
		   d->delivery);
	say_with(p, W_CHUNKS_SENT, count_text(done, a), count_text(all, b));
	show_gauge(p, all > 0 ? (unsigned)(done * 100 / all) : 0, "");
	out_raw(p->o, "</span>");
}

static void show_size(const struct listing *l, const struct view_delivery *d)
{
	const struct page *p = l->table.p;
	const json_t *progress = progress_of(l->status, d);
	char n[SHOW_LEN];

	show_bytes(p, d->length);
	if (d->chunks < 2)
		return;
	if (progress != NULL && d->state == DELIVERY_QUEUED) {
		show_progress(p, d, progress);
		return;
	}
	out_raw(p->o, "<span class=\"under\">");
	say_with(p, W_CHUNKS, count_text(d->chunks, n));
	out_raw(p->o, "</span>");
}

static void show_protection(const struct page *p,
			    const struct view_outgoing *out)
{
	if (out->association == 0) {
		out_raw(p->o, "<span class=\"soft\">–</span>");
		return;
	}
	if (out->tls_version[0] == '\0') {
		out_printf(p->o, "<span class=\"clear-text\">%s</span>",
			   word_of(p, W_PLAINTEXT_NO_REASON));
	} else {
		out_text(p->o, out->tls_version);
		out_printf(p->o, "<span class=\"under\">%s · %s</span>",
			   out->tls_suite, out->tls_group);
	}
	out_printf(p->o, "<span class=\"under\">%s</span>", out->subject);
}

static bool on_instance(void *arg, const struct view_delivery *d,
			const struct view_outgoing *out)
{
	struct listing *l = arg;
	struct table *t = &l->table;

	l->rows++;
	l->last = d->delivery;
	table_row(t, transfer_level(d->state));
	table_cell(t);
	show_instance(t->p, d);
	table_cell(t);
	show_time(t->p, d->received_ms);
	table_cell(t);
	out_text(t->p->o, d->destination);
	table_cell(t);
	transfer_show_state(t->p, d);
	if (d->changed_ms > 0 && d->state != DELIVERY_QUEUED) {
		out_raw(t->p->o, "<span class=\"under\">");
		show_time(t->p, d->changed_ms);
		out_raw(t->p->o, "</span>");
	}
	table_cell(t);
	show_size(l, d);
	table_cell(t);
	show_count(t->p, d->attempts);
	table_cell(t);
	show_protection(t->p, out);
	return true;
}

static void show_pages(const struct page *p, const struct listing *l,
		       uint64_t after)
{
	bool more = l->rows == STUDY_PAGE;

	if (!more && after == 0)
		return;
	out_raw(p->o, "<div class=\"pages\"><div>");
	if (after != 0)
		out_printf(p->o, "<a class=\"button quiet\" href=\"%s\">%s</a>",
			   web_path(p->r), word_of(p, W_FIRST_PAGE));
	out_raw(p->o, "</div>");
	if (more)
		out_printf(p->o,
			   "<a class=\"button quiet\" rel=\"next\" "
			   "href=\"%s?after=%" PRIu64 "\">%s</a>",
			   web_path(p->r), l->last, word_of(p, W_NEXT));
	out_raw(p->o, "</div>");
}

static enum err show_instances(const struct page *p, struct ledger_view *v,
			       const char *study)
{
	json_t *status = web_status(p->r, NULL);
	struct listing l = {.status = status};
	uint64_t after;
	enum err e;

	if (!web_query_number(p->r, "after", 1, UINT64_MAX, &after))
		after = 0;
	out_raw(p->o, "<section class=\"sheet\">");
	l.table = table_begin(p, columns, ARRAY_LEN(columns), W_INSTANCES);
	e = ledger_search_study(v, study, after, STUDY_PAGE, on_instance, &l);
	table_end(&l.table);
	if (e == ERR_OK && l.rows == 0)
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_STUDY_UNKNOWN));
	show_pages(p, &l, after);
	out_raw(p->o, "</section>");
	json_decref(status);
	return e;
}

static void show_heading(const struct page *p, const char *study)
{
	out_raw(p->o, "<div class=\"head\"><h1>");
	say(p, W_STUDY);
	out_raw(p->o, " <span class=\"uid\">");
	out_text(p->o, study);
	out_raw(p->o, "</span></h1><p class=\"row screen\"><a href=\""
		      "/transfers/receipt?study=");
	out_url(p->o, study);
	out_printf(p->o,
		   "\">%s</a><a href=\"/transfers/receipt?format=json"
		   "&amp;study=",
		   word_of(p, W_RECEIPT));
	out_url(p->o, study);
	out_printf(p->o, "\">%s</a></p></div>", word_of(p, W_RECEIPT_JSON));
}

enum web_code view_study(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	const char *study = web_tail(r), *why = "";
	struct ledger_view *v = web_ledger(r, &why);
	struct view_study *s = mem_zalloc(sizeof(*s));
	struct study_filter f = {.study = study, .limit = 1};
	struct search_page page;
	char title[128];
	enum err e;

	if (v == NULL || s == NULL) {
		page_sorry(&p, AT_TRANSFERS, W_STUDY, W_LEDGER_GONE, why);
		mem_free(s);
		return WEB_OK;
	}
	word_with(&p, W_STUDY_TITLE, (const char *const[]){study, NULL}, title,
		  sizeof(title));
	page_begin(&p, AT_TRANSFERS, title);
	show_heading(&p, study);
	e = ledger_search_studies(v, &f, on_study, s, &page);
	if (e == ERR_OK && s->study[0] != '\0')
		show_summary(&p, s);
	if (e == ERR_OK)
		e = show_instances(&p, v, study);
	if (e != ERR_OK) {
		out_raw(o, "<p class=\"note warn\">");
		say_with(&p, W_LEDGER_GONE, ledger_view_why(v));
		out_raw(o, "</p>");
	}
	page_end(&p);
	mem_free(s);
	return WEB_OK;
}
