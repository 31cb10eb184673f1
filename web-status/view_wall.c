/* "/wall": to be read from across a room. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/layout.h"
#include "web-status/now.h"
#include "web-status/views.h"

static void tile_figures(const struct page *p, const struct now_destination *d)
{
	char rate[SHOW_LEN], queue[SHOW_LEN], age[SHOW_LEN];
	int64_t oldest = d->ledger.oldest_queued_ms;

	out_printf(p->o, "<p class=\"big\">%s <small>%s</small></p><p>%s",
		   count_text(now_queue(d), queue), word_of(p, W_WAITING_N),
		   rate_text(d->out_bits, rate));
	if (oldest > 0 && now_queue(d) > 0) {
		out_raw(p->o, " · ");
		say_with(p, W_OLDEST_IS, span_text(p, p->now_ms - oldest, age));
	}
	if (now_drain_ms(d) > 0) {
		out_raw(p->o, " · ");
		say_with(p, W_DRAINED_IN, span_text(p, now_drain_ms(d), age));
	}
	out_raw(p->o, "</p>");
}

static void tile(const struct page *p, const struct now_destination *d)
{
	enum word state;
	enum level l = now_level(d, &state);

	out_printf(p->o, "<li class=\"tile\" data-level=\"%s\"><h2>%s</h2>",
		   level_text(l), d->config->name);
	show_mark(p, l, state);
	tile_figures(p, d);
	if (d->config->protocol == CONFIG_DICOM)
		out_printf(p->o, "<p><span class=\"clear-text\">%s</span></p>",
			   word_of(p, W_PLAINTEXT_NO_REASON));
	out_raw(p->o, "</li>");
}

void wall_grid(const struct page *p, const struct now *n)
{
	part_begin(p, "wall-grid", "");
	out_printf(p->o, "<ul class=\"wall-grid %s\">",
		   n->n_destinations <= 4 ? "few" : "many");
	for (size_t i = 0; i < n->n_destinations; i++)
		tile(p, &n->destinations[i]);
	out_raw(p->o, "</ul>");
	part_end(p);
}

static void foot_item(const struct page *p, enum word w, const char *value)
{
	out_printf(p->o, "<span>%s <b>%s</b></span>", word_of(p, w), value);
}

/* Of declared devices and of strangers. */
static uint64_t refusals_today(const struct now *n)
{
	const struct figure *all = figure_of(&n->devices, "");

	return all != NULL && all->value[3] > 0 ? (uint64_t)all->value[3] : 0;
}

static uint64_t images_today(const struct now *n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n->devices.n; i++)
		if (n->devices.at[i].value[0] > 0)
			sum += (uint64_t)n->devices.at[i].value[0];
	return sum;
}

void wall_foot(const struct page *p, const struct now *n)
{
	const json_t *spool = json_object_get(n->status, "spool");
	uint64_t used = (uint64_t)json_number_of(spool, "used");
	uint64_t quota = (uint64_t)json_number_of(spool, "quota");
	char text[SHOW_LEN], of[SHOW_LEN], use[2 * SHOW_LEN + 32];

	part_begin(p, "wall-foot", "foot");
	foot_item(p, W_TODAY_IMAGES, count_text(images_today(n), text));
	foot_item(p, W_TODAY_REFUSALS, count_text(refusals_today(n), text));
	word_with(p, W_SPOOL_USE,
		  (const char *const[]){bytes_text(used, text),
					bytes_text(quota, of), NULL},
		  use, sizeof(use));
	foot_item(p, W_SPOOL, use);
	out_printf(p->o, "<span>%s · ", p->config->node);
	show_time(p, p->now_ms);
	out_raw(p->o, "</span>");
	part_end(p);
}

enum web_code view_wall(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);
	struct now *n = now_gather(&p);

	if (n == NULL)
		return WEB_FAILED;
	page_begin_bare(&p, word_of(&p, W_WALL), "wall");
	part_begin(&p, "wall-verdict", "");
	verdict_show(&p, &n->verdict, true);
	part_end(&p);
	wall_grid(&p, n);
	wall_foot(&p, n);
	page_end_bare(&p);
	now_free(n);
	return WEB_OK;
}
