#include "web-status/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/mem.h"

const char *query_take(struct query *q, const struct web_request *r,
		       const char *name)
{
	struct query_field *f = &q->at[q->n < QUERY_MAX ? q->n++ : q->n - 1];

	f->name = name;
	if (!web_query(r, name, f->value, sizeof(f->value)))
		f->value[0] = '\0';
	return f->value;
}

bool query_any(const struct query *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->at[i].value[0] != '\0')
			return true;
	return false;
}

bool query_link(const struct page *p, const struct query *q)
{
	bool any = false;

	for (size_t i = 0; i < q->n; i++) {
		if (q->at[i].value[0] == '\0')
			continue;
		out_printf(p->o, "%s=", q->at[i].name);
		out_url(p->o, q->at[i].value);
		out_raw(p->o, "&amp;");
		any = true;
	}
	return any;
}

bool query_time(const char *text, int64_t *ms)
{
	static const char *const formats[] = {
	    "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S",
	    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M"};

	if (text[0] == '\0') {
		*ms = 0;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, formats[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		*ms = (int64_t)timegm(&tm) * 1000;
		return true;
	}
	return false;
}

/* ---- fields -----------------------------------------------------------------
 */

void field_text(const struct page *p, const struct query_field *f,
		enum word label, const char *type, unsigned max)
{
	out_printf(p->o,
		   "<div><label for=\"f-%s\">%s</label><input id=\"f-%s\" "
		   "name=\"%s\" type=\"%s\" value=\"%s\" maxlength=\"%u\" "
		   "autocomplete=\"off\" spellcheck=\"false\"></div>",
		   f->name, word_of(p, label), f->name, f->name, type, f->value,
		   max);
}

void field_choice(const struct page *p, const struct query_field *f,
		  enum word label)
{
	out_printf(p->o,
		   "<div><label for=\"f-%s\">%s</label><select id=\"f-%s\" "
		   "name=\"%s\">",
		   f->name, word_of(p, label), f->name, f->name);
	field_option(p, f, "", word_of(p, W_ANY));
}

void field_option(const struct page *p, const struct query_field *f,
		  const char *value, const char *text)
{
	out_printf(p->o, "<option value=\"%s\"", value);
	if (strcmp(f->value, value) == 0)
		out_raw(p->o, " selected");
	out_printf(p->o, ">%s</option>", text);
}

void field_end(const struct page *p)
{
	out_raw(p->o, "</select></div>");
}

void field_buttons(const struct page *p, const char *path)
{
	out_printf(p->o,
		   "<div class=\"row\"><button>%s</button>"
		   "<a class=\"button quiet\" href=\"%s\">%s</a></div>",
		   word_of(p, W_SEARCH), path, word_of(p, W_CLEAR_SEARCH));
}

static void page_link(const struct page *p, const char *path,
		      const struct query *q, const char *way, uint64_t place,
		      enum word w)
{
	out_printf(p->o, "<a class=\"button quiet\" rel=\"%s\" href=\"%s?",
		   strcmp(way, "older") == 0 ? "next" : "prev", path);
	(void)query_link(p, q);
	out_printf(p->o, "%s=%" PRIu64 "\">%s</a>", way, place, word_of(p, w));
}

void query_pages(const struct page *p, const char *path, const struct query *q,
		 uint64_t older, uint64_t newer)
{
	if (older == 0 && newer == 0)
		return;
	out_raw(p->o, "<div class=\"pages\"><div class=\"row\">");
	if (newer != 0) {
		out_printf(p->o, "<a class=\"button quiet\" href=\"%s?", path);
		(void)query_link(p, q);
		out_printf(p->o, "\">%s</a>", word_of(p, W_NEWEST));
		page_link(p, path, q, "newer", newer, W_NEWER);
	}
	out_raw(p->o, "</div>");
	if (older != 0)
		page_link(p, path, q, "older", older, W_OLDER);
	out_raw(p->o, "</div>");
}
