/* The form to log in. */
#include <stdio.h>

#include "policy/config.h"
#include "web-status/layout.h"
#include "web-status/views.h"

static void show_problem(const struct page *p)
{
	char text[SHOW_LEN];

	switch (web_login_problem(p->r)) {
	case WEB_LOGIN_FINE:
		return;
	case WEB_LOGIN_WRONG:
		out_printf(p->o, "<p class=\"note bad\" role=\"alert\">%s</p>",
			   word_of(p, W_LOGIN_WRONG));
		return;
	case WEB_LOGIN_WAIT:
		out_raw(p->o, "<p class=\"note bad\" role=\"alert\">");
		say_with(
		    p, W_LOGIN_WAIT,
		    span_text(p, (int64_t)web_login_wait(p->r) * 1000, text));
		out_raw(p->o, "</p>");
		return;
	case WEB_LOGIN_STALE:
		out_printf(p->o, "<p class=\"note warn\" role=\"alert\">%s</p>",
			   word_of(p, W_LOGIN_STALE));
		return;
	}
}

static void show_form(const struct page *p)
{
	out_printf(p->o,
		   "<form method=\"post\" action=\"/login\">"
		   "<input type=\"hidden\" name=\"csrf\" value=\"%s\">"
		   "<input type=\"hidden\" name=\"next\" value=\"%s\">",
		   web_login_token(p->r), web_login_next(p->r));
	out_printf(p->o,
		   "<div><label for=\"name\">%s</label><input id=\"name\" "
		   "name=\"name\" autocomplete=\"username\" "
		   "autocapitalize=\"none\" required autofocus></div>",
		   word_of(p, W_USER));
	out_printf(p->o,
		   "<div><label for=\"password\">%s</label><input "
		   "id=\"password\" name=\"password\" type=\"password\" "
		   "autocomplete=\"current-password\" required></div>"
		   "<div><button>%s</button></div></form>",
		   word_of(p, W_PASSWORD), word_of(p, W_LOGIN));
}

enum web_code view_login(struct web_request *r, struct web_out *o)
{
	struct page p = page_of(r, o);

	page_begin_bare(&p, word_of(&p, W_LOGIN), "alone");
	out_raw(o, "<section class=\"sheet login\"><header><h1>");
	say_with(&p, W_LOGIN_TITLE, p.config->node);
	out_raw(o, "</h1></header><div class=\"pad\">");
	show_problem(&p);
	show_form(&p);
	out_raw(o, "</div></section>");
	page_end_bare(&p);
	return WEB_OK;
}
