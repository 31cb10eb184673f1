/* Figures over time: a place for each chart, which a script fills from
 * /series, and the same figures as a table for everybody. */
#include <stdio.h>

#include "proxy/lib/mem.h"
#include "web-status/now.h"
#include "web-status/views.h"

static const enum word range_words[SERIES_RANGES] = {
#define X(name, ms, word) word,
    SERIES_RANGE_MAP(X)
#undef X
};

static void show_ranges(const struct page *p, size_t range)
{
	out_printf(p->o, "<nav aria-label=\"%s\"><ul class=\"choice\">",
		   word_of(p, W_RANGE));
	for (size_t i = 0; i < SERIES_RANGES; i++)
		out_printf(p->o,
			   "<li><a href=\"/?range=%s#charts\" "
			   "aria-current=\"%s\">%s</a></li>",
			   series_range_name(i), i == range ? "true" : "false",
			   word_of(p, range_words[i]));
	out_raw(p->o, "</ul></nav>");
}

/* ---- one chart and its table -----------------------------------------------
 */

enum chart { CHART_RATE, CHART_QUEUE, CHART_LATENCY, CHART_N };

static const struct {
	const char *id;
	enum word title;
	size_t n;
	enum word series[2];
} charts[CHART_N] = {
    [CHART_RATE] = {"rate", W_THROUGHPUT, 2, {W_SERIES_IN, W_SERIES_OUT}},
    [CHART_QUEUE] = {"queue", W_QUEUED, 1, {W_SERIES_COUNT, W_SERIES_COUNT}},
    [CHART_LATENCY] = {"latency", W_LATENCY, 2, {W_SERIES_P50, W_SERIES_P99}},
};

static void show_latency(const struct page *p, const struct series_point *s,
			 unsigned percent)
{
	uint64_t us;

	if (series_latency(s, percent, &us))
		out_printf(p->o, "%g ms", (double)us / 1000);
	else
		out_raw(p->o, "–");
}

static void show_value(const struct page *p, enum chart c, size_t i,
		       const struct series_point *s)
{
	char text[SHOW_LEN];

	switch (c) {
	case CHART_RATE:
		out_text(p->o, rate_text(series_rate(i == 0 ? s->in_bytes
							    : s->out_bytes,
						     s->seconds),
					 text));
		break;
	case CHART_QUEUE:
		show_count(p, (uint64_t)s->queue);
		break;
	case CHART_LATENCY:
		show_latency(p, s, i == 0 ? 50 : 99);
		break;
	case CHART_N:
		break;
	}
}

static void show_rows(const struct page *p, enum chart c,
		      const struct series *s)
{
	for (size_t k = s->n; k > 0; k--) {
		const struct series_point *at = &s->at[k - 1];

		if (at->seconds == 0)
			continue;
		out_raw(p->o, "<tr><td>");
		show_time(p, s->from_ms + (int64_t)(k - 1) * s->step_ms);
		out_raw(p->o, "</td>");
		for (size_t i = 0; i < charts[c].n; i++) {
			out_raw(p->o, "<td class=\"n\">");
			show_value(p, c, i, at);
			out_raw(p->o, "</td>");
		}
		out_raw(p->o, "</tr>");
	}
}

static void show_table(const struct page *p, enum chart c,
		       const struct series *s)
{
	out_printf(p->o,
		   "<details open><summary>%s</summary><div role=\"region\" "
		   "tabindex=\"0\" aria-label=\"%s\"><table><thead><tr>"
		   "<th scope=\"col\">%s</th>",
		   word_of(p, W_AS_TABLE), word_of(p, charts[c].title),
		   word_of(p, W_TIME));
	for (size_t i = 0; i < charts[c].n; i++)
		out_printf(p->o, "<th scope=\"col\" class=\"n\">%s</th>",
			   word_of(p, charts[c].series[i]));
	out_raw(p->o, "</tr></thead><tbody>");
	show_rows(p, c, s);
	out_raw(p->o, "</tbody></table></div></details>");
}

static void show_chart(const struct page *p, enum chart c, size_t range,
		       const struct series *s)
{
	static const char *const keys[] = {"one", "two"};

	out_printf(p->o,
		   "<figure class=\"chart\"><figcaption><span>%s</span>"
		   "<span class=\"at\" aria-hidden=\"true\"></span>"
		   "<span class=\"keys\">",
		   word_of(p, charts[c].title));
	for (size_t i = 0; i < charts[c].n && i < ARRAY_LEN(keys); i++)
		out_printf(p->o, "<span class=\"key %s\">%s</span>", keys[i],
			   word_of(p, charts[c].series[i]));
	out_printf(p->o,
		   "</span></figcaption><div class=\"plot\" data-chart=\"%s\" "
		   "data-range=\"%s\" aria-hidden=\"true\"></div>",
		   charts[c].id, series_range_name(range));
	show_table(p, c, s);
	out_raw(p->o, "</figure>");
}

static bool has_figures(const struct series *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].seconds > 0)
			return true;
	return false;
}

void now_charts(const struct page *p, const struct now *n)
{
	size_t range = series_range(p->r);
	struct series s = {0};

	out_printf(p->o,
		   "<section class=\"sheet\" id=\"charts\"><header><h2>%s</h2>",
		   word_of(p, W_CHARTS));
	show_ranges(p, range);
	out_raw(p->o, "</header>");
	if (n->ledger == NULL ||
	    series_read(n->ledger, series_range_ms(range), p->now_ms,
			SERIES_ROWS_MAX, &s) != ERR_OK ||
	    !has_figures(&s)) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_NO_FIGURES));
	} else {
		out_raw(p->o, "<div class=\"side three\">");
		for (enum chart c = CHART_RATE; c < CHART_N; c++)
			show_chart(p, c, range, &s);
		out_raw(p->o, "</div>");
	}
	out_raw(p->o, "</section>");
	series_free(&s);
}

/* ---- the same for the script
 * ------------------------------------------------- */

typedef void value_fn(struct web_out *o, const struct series_point *s);

static void put_in(struct web_out *o, const struct series_point *s)
{
	out_printf(o, "%ju", (uintmax_t)series_rate(s->in_bytes, s->seconds));
}

static void put_out(struct web_out *o, const struct series_point *s)
{
	out_printf(o, "%ju", (uintmax_t)series_rate(s->out_bytes, s->seconds));
}

static void put_queue(struct web_out *o, const struct series_point *s)
{
	out_printf(o, "%jd", (intmax_t)s->queue);
}

static void put_latency(struct web_out *o, const struct series_point *s,
			unsigned percent)
{
	uint64_t us;

	if (series_latency(s, percent, &us))
		out_printf(o, "%g", (double)us / 1e6);
	else
		out_raw(o, "null");
}

static void put_p50(struct web_out *o, const struct series_point *s)
{
	put_latency(o, s, 50);
}

static void put_p99(struct web_out *o, const struct series_point *s)
{
	put_latency(o, s, 99);
}

static void put_list(struct web_out *o, const char *name, value_fn *fn,
		     const struct series *s)
{
	out_printf(o, ",\"%s\":[", name);
	for (size_t i = 0; i < s->n; i++) {
		if (i > 0)
			out_raw(o, ",");
		if (s->at[i].seconds == 0)
			out_raw(o, "null");
		else
			fn(o, &s->at[i]);
	}
	out_raw(o, "]");
}

enum web_code view_series(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	const char *why;
	struct ledger_view *v = web_ledger(r, &why);
	struct series s;

	if (v == NULL || series_read(v, series_range_ms(series_range(r)),
				     p.now_ms, SERIES_POINTS_MAX, &s) != ERR_OK)
		return WEB_UNAVAILABLE;
	out_printf(o, "{\"from\":%jd,\"step\":%jd,\"n\":%zu",
		   (intmax_t)(s.from_ms / 1000), (intmax_t)(s.step_ms / 1000),
		   s.n);
	put_list(o, "in", put_in, &s);
	put_list(o, "out", put_out, &s);
	put_list(o, "queue", put_queue, &s);
	put_list(o, "p50", put_p50, &s);
	put_list(o, "p99", put_p99, &s);
	out_raw(o, "}\n");
	series_free(&s);
	return WEB_OK;
}
