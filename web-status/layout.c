#include "web-status/layout.h"

#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/lib/mem.h"

static const struct {
	const char *path;
	enum word word;
} places[] = {
    [AT_NOW] = {"/", W_NOW},
    [AT_TRANSFERS] = {"/transfers", W_TRANSFERS},
    [AT_REFUSED] = {"/refused", W_REFUSED},
    [AT_AUDIT] = {"/audit", W_AUDIT},
    [AT_CONFIGURATION] = {"/configuration", W_CONFIGURATION},
};

#define BRAND                                                                  \
	"<svg viewBox=\"0 0 32 32\" aria-hidden=\"true\"><path d=\"M5 23V17a"  \
	"11 11 0 0 1 22 0v6\" fill=\"none\" stroke=\"currentColor\" "          \
	"stroke-width=\"3\"/><path d=\"M10 23v-5a6 6 0 0 1 12 0v5\" "          \
	"fill=\"none\" stroke=\"#8fd6dd\" stroke-width=\"2.5\"/><path "        \
	"d=\"M4 26h24\" stroke=\"currentColor\" stroke-width=\"2.5\"/></svg>"

bool page_allowed(const struct page *p, const char *path)
{
	return right_allows(RIGHT_PAGE, path, web_roles(p->r));
}

/* ---- the head -------------------------------------------------------------
 */

static void put_head(const struct page *p, const char *title, const char *class)
{
	const char *theme = web_theme(p->r);

	out_printf(p->o, "<!DOCTYPE html>\n<html lang=\"%s\"",
		   p->language == WEB_ZH ? "zh-Hans" : "en");
	if (theme[0] != '\0')
		out_printf(p->o, " data-theme=\"%s\"", theme);
	out_raw(p->o, "><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		      "content=\"width=device-width, initial-scale=1\">");
	out_printf(p->o, "<title>%s · %s · Culvert</title>", title,
		   p->config->node);
	out_raw(p->o, "<link rel=\"icon\" href=\"/assets/icon.svg\" "
		      "type=\"image/svg+xml\"><link rel=\"stylesheet\" "
		      "href=\"/assets/culvert.css\"><script type=\"module\" "
		      "src=\"/assets/culvert.js\"></script></head>");
	out_printf(p->o, "<body class=\"%s\" data-copied=\"%s\">", class,
		   word_of(p, W_COPIED));
}

static void put_views(const struct page *p, enum tab at)
{
	out_printf(p->o, "<nav class=\"views\" aria-label=\"%s\"><ul>",
		   word_of(p, W_VIEWS));
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (!page_allowed(p, places[i].path))
			continue;
		out_printf(p->o, "<li><a href=\"%s\"", places[i].path);
		if (i == (size_t)at)
			out_raw(p->o, " aria-current=\"page\"");
		out_printf(p->o, ">%s</a></li>", word_of(p, places[i].word));
	}
	out_raw(p->o, "</ul></nav>");
}

/* The same page, with one more query parameter. What the query held of that
 * name stands behind it and does not count. */
static void put_here(const struct page *p, const char *name, const char *value)
{
	const char *rest = web_query_text(p->r);

	out_printf(p->o, "%s?%s=%s", web_path(p->r), name, value);
	if (rest[0] != '\0' && strncmp(rest, name, strlen(name)) != 0) {
		out_raw(p->o, "&amp;");
		out_text(p->o, rest);
	}
}

static void put_theme(const struct page *p, const char *value, enum word w)
{
	out_raw(p->o, "<li><a href=\"");
	put_here(p, "theme", value);
	out_printf(p->o, "\" data-theme-set=\"%s\">%s</a></li>", value,
		   word_of(p, w));
}

static void put_language(const struct page *p)
{
	bool zh = p->language == WEB_ZH;

	out_raw(p->o, "<li><a href=\"");
	put_here(p, "lang", zh ? "en" : "zh");
	out_printf(p->o, "\" hreflang=\"%s\" lang=\"%s\">%s</a></li>",
		   zh ? "en" : "zh-Hans", zh ? "en" : "zh-Hans",
		   word_of(p, W_OTHER_LANGUAGE));
}

static void put_logout(const struct page *p)
{
	if (web_user(p->r)[0] != '\0')
		out_printf(p->o, "<li class=\"user\">%s</li>", web_user(p->r));
	if (!web_can_logout(p->r))
		return;
	out_printf(p->o,
		   "<li><form method=\"post\" action=\"/logout\"><input "
		   "type=\"hidden\" name=\"csrf\" value=\"%s\"><button>%s"
		   "</button></form></li>",
		   web_csrf(p->r), word_of(p, W_LOGOUT));
}

static void put_tools(const struct page *p)
{
	const char *theme = web_theme(p->r);

	out_printf(p->o,
		   "<ul class=\"tools\" aria-label=\"%s\"><li class=\"pulse\" "
		   "hidden data-on=\"%s\" data-off=\"%s\"></li>",
		   word_of(p, W_SETTINGS), word_of(p, W_LIVE),
		   word_of(p, W_LIVE_OFF));
	put_language(p);
	if (strcmp(theme, "dark") != 0)
		put_theme(p, "dark", W_DARK);
	if (strcmp(theme, "light") != 0)
		put_theme(p, "light", W_LIGHT);
	put_logout(p);
	out_raw(p->o, "</ul>");
}

void page_begin(const struct page *p, enum tab at, const char *title)
{
	put_head(p, title, "page");
	out_printf(p->o, "<a class=\"skip\" href=\"#main\">%s</a>",
		   word_of(p, W_SKIP));
	out_raw(p->o,
		"<header class=\"bar\"><a class=\"brand\" href=\"/\">" BRAND
		"<span>Culvert <span class=\"node\">");
	out_text(p->o, p->config->node);
	out_raw(p->o, "</span></span></a>");
	put_views(p, at);
	put_tools(p);
	out_raw(p->o, "</header><main id=\"main\" tabindex=\"-1\">");
}

void page_begin_bare(const struct page *p, const char *title, const char *class)
{
	put_head(p, title, class);
	out_raw(p->o, "<main id=\"main\">");
}

void page_end_bare(const struct page *p)
{
	out_raw(p->o, "</main></body></html>\n");
}

void page_end(const struct page *p)
{
	out_raw(p->o, "</main><footer><span>");
	say_time(p, W_MADE_AT, p->now_ms);
	out_raw(p->o, "</span><span class=\"screen\"><a href=\"/wall\">");
	say(p, W_WALL);
	out_raw(p->o, "</a></span><span>");
	say_with(p, W_VERSION, CULVERT_VERSION);
	out_printf(p->o, " · <a href=\"/assets/notices.txt\">%s</a>",
		   word_of(p, W_NOTICES));
	out_raw(p->o, "</span></footer></body></html>\n");
}

/* ---- pieces ---------------------------------------------------------------
 */

void part_begin(const struct page *p, const char *id, const char *class)
{
	out_printf(p->o, "<div id=\"part-%s\" class=\"part %s\">", id, class);
}

void part_end(const struct page *p)
{
	out_raw(p->o, "</div>");
}

void sheet_begin(const struct page *p, enum word heading)
{
	out_raw(p->o, "<section class=\"sheet\"><header><h2>");
	say(p, heading);
	out_raw(p->o, "</h2></header>");
}

void sheet_end(const struct page *p)
{
	out_raw(p->o, "</section>");
}

void page_sorry(const struct page *p, enum tab at, enum word heading,
		enum word sentence, const char *why)
{
	page_begin(p, at, word_of(p, heading));
	out_raw(p->o, "<h1>");
	say(p, heading);
	out_raw(p->o, "</h1><p class=\"note warn\">");
	say_with(p, sentence, why);
	out_raw(p->o, "</p>");
	page_end(p);
}
