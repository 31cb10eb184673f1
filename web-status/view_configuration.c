/* "/configuration": who may do what, and the values in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "policy/devices.h"
#include "policy/roles.h"
#include "policy/routes.h"
#include "proxy/lib/mem.h"
#include "web-status/layout.h"
#include "web-status/rights_zh.h"
#include "web-status/views.h"

/* ---- devices
 * ------------------------------------------------------------------- */

static const struct column device_columns[] = {{W_DEVICE, false},
					       {W_AE_TITLES, false},
					       {W_ADDRESSES, false},
					       {W_IDENTITY, false},
					       {W_SERVICE, false}};

static void show_addresses(const struct page *p, const struct config_device *d)
{
	char text[CONFIG_NETWORK_TEXT_LEN];

	for (size_t i = 0; i < d->addresses.n; i++)
		out_printf(p->o, "%s<span class=\"mono\">%s</span>",
			   i > 0 ? ", " : "",
			   config_network_text(&d->addresses.v[i], text));
}

static void show_texts(const struct page *p, const struct config_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		out_printf(p->o, "<span class=\"under\">%s</span>", t->v[i]);
}

static void show_identity(const struct page *p, const struct config_device *d)
{
	size_t n = d->certificate.fingerprints.n + d->certificate.subjects.n +
		   d->certificate.sans.n;

	if (n == 0) {
		out_printf(p->o, "<span class=\"cross\">%s</span>",
			   word_of(p, W_NONE));
		return;
	}
	for (size_t i = 0; i < d->certificate.fingerprints.n; i++)
		out_printf(p->o, "<span class=\"under mono\">%.16s…</span>",
			   d->certificate.fingerprints.v[i]);
	show_texts(p, &d->certificate.subjects);
	show_texts(p, &d->certificate.sans);
}

static bool holds(const struct config_refs *refs, size_t index)
{
	if (refs->n == 0)
		return true;
	for (size_t i = 0; i < refs->n; i++)
		if (refs->v[i].index == index)
			return true;
	return false;
}

static void show_route(const struct page *p, const struct config_route *r)
{
	static const enum word words[] = {[CONFIG_FORWARD] = W_A_FORWARD,
					  [CONFIG_RELAY] = W_A_RELAY,
					  [CONFIG_HOLD] = W_A_HOLD};
	const struct config_refs *to = r->action == CONFIG_FORWARD ? &r->forward
				       : r->action == CONFIG_RELAY ? &r->relay
								   : &r->hold;

	out_printf(p->o, " → %s ", word_of(p, words[r->action]));
	for (size_t i = 0; i < to->n; i++)
		out_printf(p->o, "%s%s", i > 0 ? ", " : "",
			   p->config->destinations[to->v[i].index].name);
	if (r->called.n > 0)
		out_printf(p->o, " <span class=\"mono soft\">(%s%s)</span>",
			   r->called.v[0], r->called.n > 1 ? ", …" : "");
}

/* Every route that may take that service from the device; the first whose
 * other conditions fit wins. */
static void show_service(const struct page *p, size_t device, unsigned bit)
{
	const struct config *cfg = p->config;
	unsigned routed = bit == CONFIG_LINK_SERVICE ? CONFIG_STORAGE : bit;
	bool any = false;

	out_printf(p->o, "<li>%s",
		   config_service_name((enum config_service)bit));
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct config_route *r = &cfg->routes[i];

		if ((r->services & routed) == 0 || !holds(&r->devices, device))
			continue;
		show_route(p, r);
		any = true;
		if (r->called.n == 0 && r->listeners.n == 0)
			break;
	}
	if (!any)
		out_printf(p->o, " <span class=\"mark warn\">%s</span>",
			   word_of(p, W_NO_ROUTE));
	out_raw(p->o, "</li>");
}

static void device_row(struct table *t, size_t i)
{
	const struct page *p = t->p;
	const struct config_device *d = &p->config->devices[i];

	table_row(t, LEVEL_OK);
	table_cell(t);
	out_text(p->o, d->name);
	table_cell(t);
	for (size_t k = 0; k < d->ae_titles.n; k++)
		out_printf(p->o, "%s<span class=\"mono\">%s</span>",
			   k > 0 ? ", " : "", d->ae_titles.v[k]);
	table_cell(t);
	show_addresses(p, d);
	table_cell(t);
	show_identity(p, d);
	table_cell(t);
	out_raw(p->o, "<ul class=\"plain\">");
	for (unsigned bit = 1; bit <= CONFIG_LINK_SERVICE; bit <<= 1)
		if ((d->services & bit) != 0)
			show_service(p, i, bit);
	out_raw(p->o, "</ul>");
}

static void show_matrix(const struct page *p)
{
	struct table t;

	sheet_begin(p, W_MATRIX);
	out_printf(p->o, "<p class=\"pad soft\">%s</p>",
		   word_of(p, W_MATRIX_INTRO));
	if (p->config->n_devices == 0) {
		out_printf(p->o, "<p class=\"empty\">%s</p>",
			   word_of(p, W_NO_DEVICES));
	} else {
		t = table_begin(p, device_columns, ARRAY_LEN(device_columns),
				W_MATRIX);
		for (size_t i = 0; i < p->config->n_devices; i++)
			device_row(&t, i);
		table_end(&t);
	}
	sheet_end(p);
}

/* ---- roles
 * ---------------------------------------------------------------------- */

static const struct column role_columns[] = {{W_RIGHT, false},
					     {W_OPERATOR, false},
					     {W_SECURITY, false},
					     {W_AUDITOR, false}};

static void role_cell(struct table *t, const struct right *r, unsigned bit)
{
	const struct page *p = t->p;

	table_cell(t);
	if (r->open)
		out_text(p->o, word_of(p, W_NOBODY_NEEDED));
	else if ((r->roles & bit) != 0)
		out_printf(p->o, "<span class=\"tick\">✓ %s</span>",
			   word_of(p, W_YES));
	else
		out_raw(p->o, "<span class=\"cross\">–</span>");
}

static void show_roles(const struct page *p)
{
	struct table t;
	const struct right *r;

	sheet_begin(p, W_ROLES);
	t = table_begin(p, role_columns, ARRAY_LEN(role_columns), W_ROLES);
	for (size_t i = 0; (r = right_at(i)) != NULL; i++) {
		table_row(&t, LEVEL_OK);
		table_cell(&t);
		out_printf(p->o,
			   "<span class=\"mono\">%s</span><span "
			   "class=\"under\">%s</span>",
			   r->command[0] != '\0' ? r->command : r->name,
			   p->language == WEB_ZH ? right_what_zh(r) : r->what);
		role_cell(&t, r, ROLE_OPERATOR);
		role_cell(&t, r, ROLE_SECURITY);
		role_cell(&t, r, ROLE_AUDITOR);
	}
	table_end(&t);
	sheet_end(p);
}

/* ---- values
 * ---------------------------------------------------------------------- */

/* The key of a line and what follows it. */
static void show_line(const struct page *p, const char *s, size_t n)
{
	size_t indent = strspn(s, " -");
	const char *colon = memchr(s, ':', n);

	if (indent < n && s[indent] == '#') {
		out_raw(p->o, "<span class=\"c\">");
		out_text_n(p->o, s, n);
		out_raw(p->o, "</span>");
	} else if (colon != NULL && indent < (size_t)(colon - s)) {
		out_text_n(p->o, s, indent);
		out_raw(p->o, "<span class=\"k\">");
		out_text_n(p->o, s + indent, (size_t)(colon - s) - indent);
		out_raw(p->o, "</span>");
		out_text_n(p->o, colon, n - (size_t)(colon - s));
	} else {
		out_text_n(p->o, s, n);
	}
}

static void show_yaml(const struct page *p, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		show_line(p, text, n);
		out_raw(p->o, "\n");
		text += n + (text[n] == '\n');
	}
}

static void show_values(const struct page *p)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	sheet_begin(p, W_EFFECTIVE);
	out_printf(p->o, "<p class=\"pad soft\">%s</p>",
		   word_of(p, W_EFFECTIVE_INTRO));
	if (f != NULL) {
		config_dump(p->config, f);
		fclose(f);
	}
	out_printf(p->o,
		   "<pre class=\"yaml\" tabindex=\"0\" role=\"region\" "
		   "aria-label=\"%s\">",
		   word_of(p, W_EFFECTIVE));
	if (text != NULL)
		show_yaml(p, text);
	out_raw(p->o, "</pre>");
	sheet_end(p);
	free(text);
}

enum web_code view_configuration(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);

	page_begin(&p, AT_CONFIGURATION, word_of(&p, W_CONFIGURATION));
	out_printf(o, "<h1>%s</h1>", word_of(&p, W_CONFIGURATION));
	show_matrix(&p);
	out_raw(o, "<div class=\"side\">");
	show_values(&p);
	show_roles(&p);
	out_raw(o, "</div>");
	page_end(&p);
	return WEB_OK;
}
