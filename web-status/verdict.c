#include "web-status/verdict.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

enum { DISK_LOW_PERCENT = 5, EXPIRY_BAD_DAYS = 7, EXPIRY_WARN_DAYS = 30 };

/* NULL: the list is full, or memory is short. */
static struct trouble *add(struct verdict *v, enum level l, enum word head,
			   enum word remedy, const char *subject)
{
	struct trouble *t;
	size_t at = v->n;

	if (v->n == VERDICT_MAX)
		return NULL;
	/* behind those that are as grave */
	while (at > 0 && v->at[at - 1].level < l)
		at--;
	memmove(&v->at[at + 1], &v->at[at], (v->n - at) * sizeof(v->at[0]));
	v->n++;
	t = &v->at[at];
	*t = (struct trouble){.level = l, .head = head, .remedy = remedy};
	snprintf(t->subject, sizeof(t->subject), "%s", subject);
	if (l > v->level)
		v->level = l;
	return t;
}

static void add_detail(struct trouble *t, const char *detail)
{
	if (t != NULL)
		snprintf(t->detail, sizeof(t->detail), "%s", detail);
}

/* ---- what the daemon says --------------------------------------------------
 */

static void look_at_spool(struct verdict *v, const json_t *spool)
{
	const char *alert = json_text_of(spool, "alert");

	if (json_true_of(spool, "failed"))
		add_detail(add(v, LEVEL_BAD, W_T_SPOOL_FAILED, W_R_SPOOL_FAILED,
			       "spool"),
			   alert);
	else if (json_true_of(spool, "full"))
		add_detail(
		    add(v, LEVEL_BAD, W_T_SPOOL_FULL, W_R_SPOOL_FULL, "spool"),
		    alert);
	else if (alert[0] != '\0')
		add_detail(add(v, LEVEL_WARN, W_T_SPOOL_ALERT, W_R_SPOOL_ALERT,
			       "spool"),
			   alert);
}

static void look_at_ledger(struct verdict *v, const json_t *ledger)
{
	const char *alert = json_text_of(ledger, "alert");

	if (!json_is_object(ledger))
		return;
	if (!json_true_of(ledger, "writable"))
		add_detail(add(v, LEVEL_BAD, W_T_LEDGER, W_R_LEDGER, "ledger"),
			   alert);
	else if (!json_true_of(ledger, "accepting"))
		add_detail(
		    add(v, LEVEL_BAD, W_T_NOT_ACCEPTING, W_R_LEDGER, "ledger"),
		    alert);
	if (json_true_of(ledger, "rebuilding"))
		(void)add(v, LEVEL_WARN, W_T_REBUILDING, W_R_REBUILDING,
			  "ledger");
}

static bool endpoint_down(const json_t *destination, const char **why)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(destination, "endpoints"), i, e)
	{
		if (strcmp(json_text_of(e, "circuit"), "closed") == 0)
			continue;
		*why = json_text_of(e, "error");
		return true;
	}
	return false;
}

static void look_at_destination(struct verdict *v, const json_t *d)
{
	const char *name = json_text_of(d, "name");
	const char *state = json_text_of(d, "state");
	const char *held = json_text_of(d, "held_why");
	const char *why = json_text_of(d, "error");
	bool waiting = json_number_of(d, "queued") > 0;

	v->waiting += (uint64_t)json_number_of(d, "queued");
	v->destinations++;
	if (strcmp(state, "held by operator") == 0)
		(void)add(v, LEVEL_WARN, W_T_OPERATOR, W_R_OPERATOR, name);
	else if (strcmp(state, "held") == 0 || held[0] != '\0')
		add_detail(add(v, LEVEL_BAD, W_T_HELD, W_R_HELD, name),
			   held[0] != '\0' ? held : why);
	else if (strcmp(state, "backing off") == 0 || json_true_of(d, "alert"))
		add_detail(add(v, waiting ? LEVEL_BAD : LEVEL_WARN, W_T_DOWN,
			       W_R_DOWN, name),
			   why);
	else if (endpoint_down(d, &why))
		add_detail(add(v, LEVEL_WARN, W_T_ENDPOINT, W_R_ENDPOINT, name),
			   why);
}

/* ---- what the page sees itself ---------------------------------------------
 */

static void look_at_disk(struct verdict *v, const char *path)
{
	uint64_t left, all;

	if (path[0] != '\0' && facts_disk(path, &left, &all) &&
	    left < all / 100 * DISK_LOW_PERCENT)
		(void)add(v, LEVEL_WARN, W_T_DISK, W_R_DISK, path);
}

static void look_at_certificate(struct verdict *v,
				const struct fact_certificate *f)
{
	enum level l = f->days_left < EXPIRY_BAD_DAYS ? LEVEL_BAD : LEVEL_WARN;
	struct trouble *t;

	if (!f->readable || f->days_left >= EXPIRY_WARN_DAYS)
		return;
	t = add(v, l, f->days_left < 0 ? W_T_EXPIRED : W_T_EXPIRES, W_R_EXPIRES,
		f->used_by);
	if (t == NULL)
		return;
	snprintf(t->number, sizeof(t->number), "%d", f->days_left);
	add_detail(t, f->path);
}

static void look_at_certificates(const struct config *cfg, struct verdict *v)
{
	struct fact_certificate *all =
	    mem_zarray(FACT_CERTIFICATES_MAX, sizeof(*all));
	size_t n = all != NULL
		       ? facts_certificates(cfg, all, FACT_CERTIFICATES_MAX)
		       : 0;

	for (size_t i = 0; i < n; i++)
		look_at_certificate(v, &all[i]);
	mem_free(all);
}

void verdict_of(const struct config *cfg, const json_t *status,
		struct verdict *out)
{
	const json_t *d;
	size_t i;

	*out = (struct verdict){.level = LEVEL_OK};
	if (status == NULL) {
		(void)add(out, LEVEL_BAD, W_T_DAEMON, W_R_DAEMON, "");
	} else {
		look_at_spool(out, json_object_get(status, "spool"));
		look_at_ledger(out, json_object_get(status, "ledger"));
		json_array_foreach(json_object_get(status, "destinations"), i,
				   d)
		{
			look_at_destination(out, d);
		}
	}
	look_at_disk(out, cfg->spool.path);
	if (strcmp(cfg->spool.path, cfg->records.path) != 0)
		look_at_disk(out, cfg->records.path);
	look_at_certificates(cfg, out);
}

/* ---- the band ---------------------------------------------------------------
 */

static void show_sign(const struct page *p, enum level l)
{
	out_raw(p->o, "<svg viewBox=\"0 0 32 32\" fill=\"none\" "
		      "stroke=\"currentColor\" stroke-width=\"3\" "
		      "aria-hidden=\"true\">");
	if (l == LEVEL_OK)
		out_raw(p->o, "<circle cx=\"16\" cy=\"16\" r=\"13\"/><path "
			      "d=\"m10 16.5 4.5 4.5 8-9.5\"/>");
	else if (l == LEVEL_BAD)
		out_raw(p->o, "<path d=\"M10.6 3h10.8L29 10.6v10.8L21.4 29H10.6"
			      "L3 21.4V10.6z\"/><path d=\"M16 9v9m0 3.4v3\"/>");
	else
		out_raw(p->o, "<path stroke-linejoin=\"round\" d=\"M16 4 30 28"
			      "H2z\"/><path d=\"M16 12v8m0 2.6v2.6\"/>");
	out_raw(p->o, "</svg>");
}

/* What the daemon says is at hand wins over what can be said of all such
 * cases. The remedy of a certificate names its file, all others the subject. */
static void show_remedy(const struct page *p, const struct trouble *t)
{
	bool file = t->remedy == W_R_EXPIRES;
	struct error_parts e = {.code = ""};

	if (t->detail[0] != '\0' && !file)
		error_split(p, t->detail, &e);
	if (e.code[0] != '\0' && e.remedy[0] != '\0')
		out_text(p->o, e.remedy);
	else
		say_with(p, t->remedy, file ? t->detail : t->subject,
			 t->number);
}

static void show_cause(const struct page *p, const struct trouble *t)
{
	struct error_parts e;

	if (t->detail[0] == '\0' || t->remedy == W_R_EXPIRES)
		return;
	error_split(p, t->detail, &e);
	out_printf(p->o,
		   "<p class=\"small\">%s <span class=\"mono\">%s</span></p>",
		   e.cause, e.code);
}

static void show_rest(const struct page *p, const struct verdict *v)
{
	char n[24];

	snprintf(n, sizeof(n), "%zu", v->n - 1);
	out_raw(p->o, "<p>");
	say_with(p, W_ALSO, n);
	out_raw(p->o, "</p><ul class=\"rest\">");
	for (size_t i = 1; i < v->n; i++) {
		const struct trouble *t = &v->at[i];

		out_printf(p->o, "<li><span class=\"mark %s\">",
			   level_text(t->level));
		say_with(p, t->head, t->subject, t->number);
		out_raw(p->o, "</span> → ");
		show_remedy(p, t);
		out_raw(p->o, "</li>");
	}
	out_raw(p->o, "</ul>");
}

static void show_well(const struct page *p, const struct verdict *v)
{
	char destinations[24], waiting[SHOW_LEN], devices[24];

	snprintf(destinations, sizeof(destinations), "%zu", v->destinations);
	snprintf(devices, sizeof(devices), "%zu", p->config->n_devices);
	out_raw(p->o, "<h1>");
	say(p, W_ALL_WELL);
	out_raw(p->o, "</h1><p>");
	say_with(p, W_ALL_WELL_MORE, destinations,
		 count_text(v->waiting, waiting), devices);
	out_raw(p->o, "</p>");
}

void verdict_show(const struct page *p, const struct verdict *v, bool brief)
{
	const struct trouble *t = &v->at[0];

	out_printf(p->o,
		   "<section class=\"verdict\" role=\"status\" "
		   "data-level=\"%s\">",
		   level_text(v->level));
	show_sign(p, v->level);
	out_raw(p->o, "<div>");
	if (v->n == 0) {
		show_well(p, v);
	} else {
		out_raw(p->o, "<h1>");
		say_with(p, t->head, t->subject, t->number);
		out_raw(p->o, "</h1><p><span class=\"first\">");
		say(p, W_DO_FIRST);
		out_raw(p->o, "</span> ");
		show_remedy(p, t);
		out_raw(p->o, "</p>");
		show_cause(p, t);
		if (v->n > 1 && !brief)
			show_rest(p, v);
	}
	out_raw(p->o, "</div></section>");
}
