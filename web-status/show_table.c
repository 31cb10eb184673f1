/* Tables and lists of facts. */
#include "web-status/show.h"

struct table table_begin(const struct page *p, const struct column *columns,
			 size_t n, enum word label)
{
	out_printf(p->o,
		   "<div class=\"wide\" role=\"region\" aria-label=\"%s\" "
		   "tabindex=\"0\"><table class=\"stack\" role=\"table\" "
		   "aria-label=\"%s\"><thead role=\"rowgroup\">"
		   "<tr role=\"row\">",
		   word_of(p, label), word_of(p, label));
	for (size_t i = 0; i < n; i++)
		out_printf(p->o,
			   "<th role=\"columnheader\" scope=\"col\" "
			   "class=\"%s\">%s</th>",
			   columns[i].number ? "n" : "t",
			   word_of(p, columns[i].head));
	out_raw(p->o, "</tr></thead><tbody role=\"rowgroup\">");
	return (struct table){.p = p, .columns = columns, .n = n};
}

static void cell_end(struct table *t)
{
	if (t->at == 0)
		return;
	if (t->at == 1)
		out_raw(t->p->o, "</th>");
	else
		out_raw(t->p->o, "</td>");
}

static void row_end(struct table *t)
{
	if (!t->in_row)
		return;
	cell_end(t);
	out_raw(t->p->o, "</tr>");
	t->in_row = false;
	t->at = 0;
}

void table_row(struct table *t, enum level l)
{
	row_end(t);
	out_printf(t->p->o, "<tr role=\"row\" data-level=\"%s\">",
		   level_text(l));
	t->in_row = true;
}

void table_cell(struct table *t)
{
	const struct column *c = &t->columns[t->at < t->n ? t->at : t->n - 1];

	cell_end(t);
	if (t->at++ == 0)
		out_printf(t->p->o,
			   "<th role=\"rowheader\" scope=\"row\" "
			   "class=\"%s\">",
			   c->number ? "n" : "t");
	else
		out_printf(t->p->o,
			   "<td role=\"cell\" class=\"%s\" data-label=\"%s\">",
			   c->number ? "n" : "t", word_of(t->p, c->head));
}

void table_end(struct table *t)
{
	row_end(t);
	out_raw(t->p->o, "</tbody></table></div>");
}

void fact(const struct page *p, enum word term)
{
	out_raw(p->o, "<div><dt>");
	say(p, term);
	out_raw(p->o, "</dt><dd>");
}

void fact_end(const struct page *p)
{
	out_raw(p->o, "</dd></div>");
}
