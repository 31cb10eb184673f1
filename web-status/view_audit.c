/* "/audit": the audit's rows, each checked against its hash as it is read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/mem.h"
#include "store/audit_head.h"
#include "store/audit_read.h"
#include "web-status/layout.h"
#include "web-status/query.h"
#include "web-status/views.h"

enum { AUDIT_PAGE = 50, AUDIT_BUDGET_NS = 60 * 1000000 };

enum field {
	F_FROM,
	F_TO,
	F_EVENT,
	F_DEVICE,
	F_DESTINATION,
	F_STUDY,
	F_USER,
	F_OUTCOME
};

static const struct column columns[] = {{W_ROW, true},    {W_TIME, false},
					{W_EVENT, false}, {W_OUTCOME, false},
					{W_WHO, false},   {W_DETAIL, false}};

static const struct {
	int32_t kind;
	const char *name;
	enum word word;
} kinds[] = {
#define X(number, name, text) {number, text, W_K_##name},
    AUDIT_EVENT_MAP(X)
#undef X
};

/* As the download's filter has them. */
static const struct {
	int32_t outcome;
	const char *name;
	enum word or_worse;
} outcomes[] = {{AUDIT_MINOR, "minor", W_O_FROM_MINOR},
		{AUDIT_SERIOUS, "serious", W_O_FROM_SERIOUS},
		{AUDIT_MAJOR, "major", W_O_MAJOR}};

/* ---- the filter
 * ----------------------------------------------------------------- */

static void take(struct query *q, const struct web_request *r)
{
	static const char *const names[] = {"from",   "to",          "event",
					    "device", "destination", "study",
					    "user",   "outcome"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)query_take(q, r, names[i]);
}

static void show_form(const struct page *p, const struct query *q)
{
	const struct config *cfg = p->config;

	out_raw(p->o, "<section class=\"sheet screen\"><div class=\"pad\">"
		      "<form class=\"search\" method=\"get\" "
		      "action=\"/audit\" role=\"search\">");
	field_text(p, &q->at[F_FROM], W_FROM, "datetime-local", 19);
	field_text(p, &q->at[F_TO], W_TO, "datetime-local", 19);
	field_choice(p, &q->at[F_EVENT], W_EVENT);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		field_option(p, &q->at[F_EVENT], kinds[i].name,
			     word_of(p, kinds[i].word));
	field_end(p);
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
	field_text(p, &q->at[F_STUDY], W_STUDY_UID, "text", 64);
	field_text(p, &q->at[F_USER], W_USER, "text", 64);
	field_choice(p, &q->at[F_OUTCOME], W_OUTCOME);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		field_option(p, &q->at[F_OUTCOME], outcomes[i].name,
			     word_of(p, outcomes[i].or_worse));
	field_end(p);
	field_buttons(p, "/audit");
	out_raw(p->o, "</form></div></section>");
}

static int32_t kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return 0;
}

static int32_t outcome_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (strcmp(outcomes[i].name, text) == 0)
			return outcomes[i].outcome;
	return 0;
}

/* kind is lent to the filter. */
static bool filter_of(const struct page *p, const struct query *q,
		      int32_t *kind, struct audit_filter *f)
{
	uint64_t before;

	*kind = kind_of(q->at[F_EVENT].value);
	*f = (struct audit_filter){.device = q->at[F_DEVICE].value,
				   .destination = q->at[F_DESTINATION].value,
				   .study = q->at[F_STUDY].value,
				   .user = q->at[F_USER].value,
				   .kinds = *kind != 0 ? kind : NULL,
				   .n_kinds = *kind != 0 ? 1 : 0,
				   .outcome_min =
				       outcome_of(q->at[F_OUTCOME].value),
				   .backwards = true,
				   .quick = true,
				   .budget_ns = AUDIT_BUDGET_NS};
	if (web_query_number(p->r, "older", 2, INT64_MAX, &before))
		f->to_seq = (int64_t)before - 1;
	return query_time(q->at[F_FROM].value, &f->from_ms) &&
	       query_time(q->at[F_TO].value, &f->to_ms);
}

/* ---- one row
 * --------------------------------------------------------------------- */

static void show_outcome(const struct page *p, int32_t outcome)
{
	if (outcome == AUDIT_SUCCESS)
		show_mark(p, LEVEL_OK, W_O_SUCCESS);
	else if (outcome == AUDIT_MINOR)
		show_mark(p, LEVEL_WARN, W_O_MINOR);
	else if (outcome == AUDIT_SERIOUS)
		show_mark(p, LEVEL_BAD, W_O_SERIOUS);
	else
		show_mark(p, LEVEL_BAD, W_O_MAJOR);
}

static void show_piece(const struct page *p, enum word w, const char *text)
{
	if (text[0] != '\0')
		out_printf(p->o, "<span class=\"under\">%s: %s</span>",
			   word_of(p, w), text);
}

static void show_who(const struct page *p, const struct audit_row *r)
{
	if (r->user[0] != '\0')
		out_text(p->o, r->user);
	else if (r->device[0] != '\0')
		out_text(p->o, r->device);
	else
		out_text(p->o, r->destination);
	if (r->peer[0] != '\0')
		out_printf(p->o, "<span class=\"under mono\">%s</span>",
			   r->peer);
	if (r->calling_ae[0] != '\0')
		out_printf(p->o, "<span class=\"under mono\">%s → %s</span>",
			   r->calling_ae, r->called_ae);
}

/* The members of the detail's object, one a line. */
static void show_detail(const struct page *p, const struct audit_row *r)
{
	json_t *detail = json_loads(r->detail, 0, NULL);
	const char *key;
	json_t *v;
	char text[256];

	if (detail == NULL)
		out_text(p->o, r->detail);
	json_object_foreach(detail, key, v)
	{
		char *dump =
		    json_is_string(v)
			? NULL
			: json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

		snprintf(text, sizeof(text), "%s",
			 dump != NULL                   ? dump
			 : json_string_value(v) != NULL ? json_string_value(v)
							: "");
		out_printf(p->o,
			   "<span class=\"pair\"><span class=\"soft\">%s</span>"
			   " %s</span> ",
			   key, text);
		free(dump);
	}
	json_decref(detail);
	show_piece(p, W_DESTINATION, r->destination);
	show_piece(p, W_STUDY, r->study);
	if (r->sealed_is == AUDIT_SEALED_HERE)
		out_printf(p->o, "<span class=\"under\">%s</span>",
			   word_of(p, W_SEALED));
	else if (r->sealed_is == AUDIT_SEALED_ERASED)
		out_printf(p->o, "<span class=\"under\">%s</span>",
			   word_of(p, W_ERASED));
}

/* What happened, and the word that exports and the filter have for it. */
static void show_kind(const struct page *p, int32_t kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].kind != kind)
			continue;
		out_printf(p->o, "%s<span class=\"under mono\">%s</span>",
			   word_of(p, kinds[i].word), kinds[i].name);
		return;
	}
	out_printf(p->o, "%d", kind);
}

/* ---- the rows
 * ---------------------------------------------------------------------- */

struct check {
	uint64_t good;
	int64_t bad; /* the first row that differs; 0: none */
};

/* Does the row give its hash, after the chain that stands in it? That it
 * follows the row before is for audit_verify.h, which sees all of them. */
static void check_row(struct check *c, const struct audit_row *r)
{
	uint8_t hash[AUDIT_CHAIN_LEN];

	if (!r->has_chain)
		return;
	audit_row_hash(r, r->prev_chain, hash);
	if (r->malformed == NULL && memcmp(hash, r->chain, sizeof(hash)) == 0)
		c->good++;
	else if (c->bad == 0)
		c->bad = r->seq;
}

static void row_of(struct table *t, const struct audit_row *r)
{
	const struct page *p = t->p;

	table_row(t, r->outcome == AUDIT_SUCCESS ? LEVEL_OK
		     : r->outcome == AUDIT_MINOR ? LEVEL_WARN
						 : LEVEL_BAD);
	table_cell(t);
	out_printf(p->o, "%" PRId64, r->seq);
	table_cell(t);
	show_time(p, r->wall_ms);
	table_cell(t);
	show_kind(p, r->kind);
	table_cell(t);
	show_outcome(p, r->outcome);
	table_cell(t);
	show_who(p, r);
	table_cell(t);
	show_detail(p, r);
}

struct listing {
	unsigned rows;
	int64_t last; /* number of the last row looked at */
	bool more;    /* there may be older ones */
	struct check check;
};

static enum err list_rows(struct table *t, struct audit_reader *reader,
			  struct listing *l)
{
	const struct audit_row *r;
	enum err e;

	while ((e = audit_read_next(reader, &r)) == ERR_OK && r != NULL) {
		if (l->rows == AUDIT_PAGE) {
			l->more = true;
			return ERR_OK;
		}
		l->rows++;
		l->last = r->seq;
		check_row(&l->check, r);
		row_of(t, r);
	}
	if (e == ERR_AGAIN) {
		l->more = true;
		l->last = audit_read_position(reader);
		return ERR_OK;
	}
	return e;
}

static void show_check(const struct page *p, const struct listing *l)
{
	char n[SHOW_LEN];

	if (l->check.bad != 0) {
		snprintf(n, sizeof(n), "%" PRId64, l->check.bad);
		out_raw(p->o, "<p class=\"note bad\">");
		say_with(p, W_AUDIT_PAGE_BAD, n);
		out_raw(p->o, "</p>");
	} else if (l->check.good > 0) {
		out_raw(p->o, "<p class=\"note\">");
		say_with(p, W_AUDIT_PAGE_OK, count_text(l->check.good, n));
		out_raw(p->o, "</p>");
	}
}

static void show_rows(const struct page *p, const struct query *q,
		      struct audit_reader *reader)
{
	struct listing l = {.rows = 0};
	struct table t;
	enum err e;

	out_raw(p->o, "<section class=\"sheet\">");
	t = table_begin(p, columns, ARRAY_LEN(columns), W_AUDIT);
	e = list_rows(&t, reader, &l);
	table_end(&t);
	if (e != ERR_OK) {
		out_raw(p->o, "<p class=\"empty\">");
		say_with(p, W_AUDIT_MISSING, audit_read_why(reader));
		out_raw(p->o, "</p>");
	} else if (l.rows == 0) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, l.more ? W_AUDIT_GO_ON : W_AUDIT_NONE));
	}
	query_pages(p, "/audit", q, l.more ? (uint64_t)l.last : 0, 0);
	out_raw(p->o, "<div class=\"pad\">");
	show_check(p, &l);
	out_raw(p->o, "</div></section>");
}

/* ---- the state of the chain
 * ---------------------------------------------------------- */

static void show_head(const struct page *p, int64_t last)
{
	struct audit_head h;
	char seq[24], key[2 * SEAL_KEY_ID_LEN + 1];

	fact(p, W_AUDIT_HEAD);
	if (audit_head_newest(p->config->records.path, &h) != ERR_OK) {
		show_mark(p, LEVEL_WARN, W_AUDIT_HEAD_NONE);
		fact_end(p);
		return;
	}
	snprintf(seq, sizeof(seq), "%" PRId64, h.seq);
	for (size_t i = 0; i < SEAL_KEY_ID_LEN; i++)
		snprintf(key + 2 * i, 3, "%02x", h.key_id[i]);
	say_with(p, W_AUDIT_HEAD_AT, seq, "");
	show_time(p, h.wall_ms);
	fact_end(p);
	fact(p, W_AUDIT_UNSIGNED);
	show_count(p, last > h.seq ? (uint64_t)(last - h.seq) : 0);
	fact_end(p);
	fact(p, W_AUDIT_KEY);
	out_printf(p->o, "<span class=\"mono\">%s</span>", key);
	fact_end(p);
}

static void show_downloads(const struct page *p, const struct query *q)
{
	static const struct {
		const char *format;
		enum word word;
	} formats[] = {{"csv", W_FORMAT_CSV},
		       {"jsonl", W_FORMAT_JSONL},
		       {"dicom", W_FORMAT_DICOM}};

	out_printf(p->o, "<div class=\"screen\"><dt>%s</dt><dd class=\"row\">",
		   word_of(p, W_DOWNLOAD_FILTERED));
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		out_raw(p->o, "<a href=\"/audit/export?");
		(void)query_link(p, q);
		out_printf(p->o, "format=%s\">%s</a>", formats[i].format,
			   word_of(p, formats[i].word));
	}
	fact_end(p);
}

static void show_state(const struct page *p, const struct query *q,
		       const struct audit_reader *reader)
{
	int64_t first, last;

	audit_read_span(reader, &first, &last);
	out_raw(p->o, "<section class=\"sheet\"><div class=\"pad\">"
		      "<dl class=\"facts\">");
	fact(p, W_AUDIT_ROWS);
	show_count(p, last > 0 ? (uint64_t)(last - first + 1) : 0);
	fact_end(p);
	show_head(p, last);
	show_downloads(p, q);
	out_printf(p->o, "</dl><p class=\"small soft\">%s</p></div></section>",
		   word_of(p, W_AUDIT_VERIFY_HOW));
}

enum web_code view_audit(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	struct query q = {0};
	struct audit_filter f;
	struct audit_reader *reader;
	char why[AUDIT_WHY_LEN] = "";
	int32_t kind;
	bool fine;

	take(&q, r);
	fine = filter_of(&p, &q, &kind, &f);
	if (audit_read_open(p.config->records.path, &f, &reader, why) !=
	    ERR_OK) {
		page_sorry(&p, AT_AUDIT, W_AUDIT, W_AUDIT_MISSING, why);
		return WEB_OK;
	}
	page_begin(&p, AT_AUDIT, word_of(&p, W_AUDIT));
	out_printf(o, "<h1>%s</h1>", word_of(&p, W_AUDIT));
	show_state(&p, &q, reader);
	show_form(&p, &q);
	if (fine)
		show_rows(&p, &q, reader);
	else
		out_printf(o, "<p class=\"note warn\">%s</p>",
			   word_of(&p, W_BAD_TIME));
	page_end(&p);
	audit_read_close(reader);
	return WEB_OK;
}
