#include "proxy/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/audit.h"
#include "store/export_verify.h"
#include "store/seal.h"

enum { SEND_AT = 32 * 1024, TEXT_MAX = 256 * 1024 };

struct report_run {
	struct report_job *job;
	const struct report *report;
	struct export *out; /* CSV, JSON Lines */
	struct buf text;    /* the others */
	struct seal_hash *hash;
	uint64_t rows, bytes;
};

static const struct report *const reports[] = {
    &report_monthly,        &report_access,  &report_refused,
    &report_failures,       &report_changes, &report_certificates,
    &report_reconciliation,
};

static const struct {
	const char *word, *suffix, *media;
} formats[] = {
    [REPORT_CSV] = {"csv", "csv", "text/csv; charset=utf-8"},
    [REPORT_JSONL] = {"jsonl", "jsonl", "application/x-ndjson"},
    [REPORT_TEXT] = {"text", "txt", "text/plain; charset=utf-8"},
    [REPORT_HTML] = {"html", "html", "text/html; charset=utf-8"},
};

bool report_format_parse(const char *text, enum report_format *out)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(text, formats[i].word) == 0) {
			*out = (enum report_format)i;
			return true;
		}
	}
	return false;
}

const char *report_format_suffix(enum report_format f)
{
	return formats[f].suffix;
}

const char *report_format_media(enum report_format f)
{
	return formats[f].media;
}

const char *report_name(size_t i)
{
	return i < ARRAY_LEN(reports) ? reports[i]->name : NULL;
}

static const struct report *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		if (strcmp(reports[i]->name, name) == 0)
			return reports[i];
	}
	return NULL;
}

const char *report_title(const char *name)
{
	const struct report *r = find(name);

	return r != NULL ? r->title : NULL;
}

const struct export_table *report_columns(const char *name)
{
	const struct report *r = find(name);

	return r != NULL ? &r->table : NULL;
}

enum err report_failed(struct report_job *j, enum err e, const char *why)
{
	if (j->why[0] == '\0')
		snprintf(j->why, sizeof(j->why), "%.250s",
			 why != NULL && why[0] != '\0' ? why : err_text(e));
	return e;
}

bool report_in_range(const struct report_job *j, int64_t ms)
{
	return ms >= j->from_ms && (j->to_ms == 0 || ms < j->to_ms);
}

/* Every byte of the file leaves here. */
static enum err send(void *arg, const void *p, size_t n)
{
	struct report_run *r = arg;

	seal_hash_update(r->hash, p, n);
	r->bytes += n;
	return r->job->sink(r->job->arg, p, n);
}

/* ---- text and pages
 * --------------------------------------------------------------- */

static enum err flush(struct report_run *r)
{
	enum err e = ERR_OK;

	if (buf_len(&r->text) > 0)
		e = send(r, buf_data(&r->text), buf_len(&r->text));
	buf_clear(&r->text);
	return e;
}

static enum err put(struct report_run *r, const char *text)
{
	enum err e = buf_append(&r->text, text, strlen(text));

	return e == ERR_OK && buf_len(&r->text) >= SEND_AT ? flush(r) : e;
}

static enum err put_escaped(struct report_run *r, const char *p, size_t n)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		char one[2] = {p[i], '\0'};

		e = put(r, p[i] == '<'    ? "&lt;"
			   : p[i] == '>'  ? "&gt;"
			   : p[i] == '&'  ? "&amp;"
			   : p[i] == '"'  ? "&quot;"
			   : p[i] == '\0' ? " "
					  : one);
	}
	return e;
}

/* A cell as text; made in room unless it is text. */
static const char *cell_text(enum export_type type, const struct export_cell *c,
			     char room[160], size_t *n)
{
	room[0] = '\0';
	if (c->none) {
		*n = 0;
		return room;
	}
	switch (type) {
	case EXPORT_TEXT:
	case EXPORT_JSON:
		*n = c->p != NULL ? c->len : 0;
		return c->p != NULL ? c->p : room;
	case EXPORT_NUMBER:
		snprintf(room, 160, "%" PRId64, c->number);
		break;
	case EXPORT_UNSIGNED:
		snprintf(room, 160, "%" PRIu64, (uint64_t)c->number);
		break;
	case EXPORT_TIME:
		(void)clock_text(c->number, room);
		break;
	case EXPORT_HEX:
		if (c->len <= 64)
			(void)export_hex(c->p, c->len, room);
		break;
	}
	*n = strlen(room);
	return room;
}

static int width_of(const struct export_column *c)
{
	int name = (int)strlen(c->name);
	int least = c->type == EXPORT_TIME ? CLOCK_TEXT_LEN - 1 : 10;

	return name > least ? name : least;
}

/* Control characters would move the cursor. */
static enum err put_plain(struct report_run *r, const char *p, size_t n)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		char one[2] = {p[i], '\0'};

		e = put(r,
			(unsigned char)p[i] < 0x20 || p[i] == 0x7f ? "?" : one);
	}
	return e;
}

static enum err text_cell(struct report_run *r, size_t i, const char *p,
			  size_t n)
{
	int width = width_of(&r->report->table.columns[i]);
	bool last = i + 1 == r->report->table.n;
	char pad[64];
	enum err e = put_plain(r, p, n);

	if (e != ERR_OK || last)
		return e;
	snprintf(pad, sizeof(pad), "%*s",
		 (n < (size_t)width ? width - (int)n : 0) + 2, "");
	return put(r, pad);
}

static enum err page_cell(struct report_run *r, const char *p, size_t n,
			  enum export_type type)
{
	enum err e = put(r, type == EXPORT_NUMBER || type == EXPORT_UNSIGNED
				? "<td class=\"n\">"
				: "<td>");

	if (e == ERR_OK)
		e = put_escaped(r, p, n);
	return e == ERR_OK ? put(r, "</td>") : e;
}

static enum err formatted_row(struct report_run *r,
			      const struct export_cell *cells)
{
	const struct export_table *t = &r->report->table;
	bool page = r->job->format == REPORT_HTML;
	enum err e = page ? put(r, "<tr>") : ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < t->n; i++) {
		char room[160] = "";
		size_t n;
		const char *p =
		    cell_text(t->columns[i].type, &cells[i], room, &n);

		e = page ? page_cell(r, p, n, t->columns[i].type)
			 : text_cell(r, i, p, n);
	}
	return e == ERR_OK ? put(r, page ? "</tr>\n" : "\n") : e;
}

static const char style[] =
    "<style>body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#111;"
    "background:#fff}h1{font-size:1.4rem;margin:0}table{border-collapse:"
    "collapse;margin:1rem 0}th,td{border:1px solid #bbb;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:"
    "#f2f2f2}.n{text-align:right;font-variant-numeric:tabular-nums}@media "
    "print{body{margin:0;font-size:9pt}thead{display:table-header-group}"
    "tr{break-inside:avoid}}</style>\n";

static void range_text(const struct report_job *j, char out[120])
{
	char from[CLOCK_TEXT_LEN], to[CLOCK_TEXT_LEN], now[CLOCK_TEXT_LEN];

	snprintf(out, 120, "%s to %s, made %s",
		 j->from_ms != 0 ? clock_text(j->from_ms, from)
				 : "the beginning",
		 j->to_ms != 0 ? clock_text(j->to_ms, to) : "now",
		 clock_text(clock_wall_ms(), now));
}

static enum err put_head(struct report_run *r)
{
	const struct export_table *t = &r->report->table;
	bool page = r->job->format == REPORT_HTML;
	char title[512], range[120];
	enum err e;

	range_text(r->job, range);
	snprintf(title, sizeof(title),
		 page ? "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta "
			"charset=\"utf-8\"><title>%s</title>\n"
		      : "%s\n",
		 r->report->title);
	e = put(r, title);
	if (e == ERR_OK && page)
		e = put(r, style);
	snprintf(title, sizeof(title),
		 page ? "</head>\n<body>\n<h1>%s</h1>\n<p>%s: %s (UTC)</p>\n"
			"<table>\n<thead><tr>"
		      : "%.0s%s: %s (UTC)\n\n",
		 r->report->title, r->job->config->node, range);
	if (e == ERR_OK)
		e = put(r, title);
	for (size_t i = 0; e == ERR_OK && i < t->n; i++) {
		const char *name = t->columns[i].name;

		if (!page) {
			e = text_cell(r, i, name, strlen(name));
			continue;
		}
		snprintf(title, sizeof(title), "<th>%s</th>", name);
		e = put(r, title);
	}
	return e == ERR_OK ? put(r, page ? "</tr></thead>\n<tbody>\n" : "\n")
			   : e;
}

static enum err put_tail(struct report_run *r)
{
	char text[80];
	enum err e = ERR_OK;

	if (r->job->format == REPORT_HTML)
		e = put(r, "</tbody>\n</table>\n");
	snprintf(text, sizeof(text),
		 r->job->format == REPORT_HTML ? "<p>%" PRIu64
						 " rows</p>\n</body>\n</html>\n"
					       : "\n%" PRIu64 " rows\n",
		 r->rows);
	if (e == ERR_OK)
		e = put(r, text);
	return e == ERR_OK ? flush(r) : e;
}

/* ---- all
 * ----------------------------------------------------------------------------
 */

enum err report_row(struct report_run *r, const struct export_cell *cells)
{
	r->rows++;
	return r->out != NULL ? export_row(r->out, cells)
			      : formatted_row(r, cells);
}

static enum err begin(struct report_run *r)
{
	struct report_job *j = r->job;
	struct export_options o = {
	    .table = &r->report->table,
	    .format = j->format == REPORT_CSV ? EXPORT_CSV : EXPORT_JSONL,
	    .sink = send,
	    .arg = r};

	if (j->format == REPORT_CSV || j->format == REPORT_JSONL)
		return export_new(&o, &r->out);
	return put_head(r);
}

static enum err end(struct report_run *r)
{
	struct export_totals totals;

	return r->out != NULL ? export_end(r->out, &totals) : put_tail(r);
}

static void add_time(struct audit_json *to, const char *key, int64_t ms)
{
	char when[CLOCK_TEXT_LEN];

	if (ms != 0)
		audit_json_text(to, key, clock_text(ms, when));
}

/* What the manifest says, but for what is known at the end. */
static void describe(struct report_job *j)
{
	struct export_manifest *m = &j->manifest;
	struct audit_json asked;

	*m = (struct export_manifest){.made_ms = clock_wall_ms()};
	snprintf(m->table, sizeof(m->table), "%s", export_table_report.name);
	snprintf(m->format, sizeof(m->format), "%s", formats[j->format].word);
	snprintf(m->node, sizeof(m->node), "%s", j->config->node);
	snprintf(m->program, sizeof(m->program), "%s", CULVERT_VERSION);
	snprintf(m->user, sizeof(m->user), "%s", j->user);
	asked = audit_json_begin(m->filter, EXPORT_FILTER_LEN);
	audit_json_text(&asked, "report", j->name);
	add_time(&asked, "from", j->from_ms);
	add_time(&asked, "to", j->to_ms);
	if (find(j->name) == &report_failures)
		audit_json_number(&asked, "late_s", j->late_ms / 1000);
	audit_json_end(&asked);
}

static enum err sign(struct report_run *r)
{
	struct export_manifest *m = &r->job->manifest;

	m->totals.rows = r->rows;
	m->totals.bytes = r->bytes;
	seal_hash_end(r->hash, m->totals.sha256);
	return export_manifest_sign(r->job->signer, m);
}

static enum err make(struct report_run *r)
{
	enum err e = begin(r);

	if (e == ERR_OK)
		e = r->report->run(r, r->job);
	if (e == ERR_OK)
		e = end(r);
	return e == ERR_OK ? sign(r) : e;
}

enum err report_make(struct report_job *j)
{
	struct report_run r = {.job = j, .report = find(j->name)};
	enum err e = ERR_NOMEM;

	if (r.report == NULL)
		return report_failed(j, ERR_NOTFOUND, "no such report");
	if (j->signer == NULL)
		return report_failed(j, ERR_NOKEY,
				     "there is no key to sign with");
	describe(j);
	buf_init(&r.text, TEXT_MAX);
	r.hash = seal_hash_new();
	if (r.hash != NULL)
		e = make(&r);
	export_free(r.out);
	seal_hash_free(r.hash);
	buf_free(&r.text);
	return e == ERR_OK ? ERR_OK : report_failed(j, e, NULL);
}
