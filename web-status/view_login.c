/* The form to log in. */
#include "web-status/views.h"

static void problem(struct web_request *r, struct web_out *o)
{
	switch (web_login_problem(r)) {
	case WEB_LOGIN_FINE:
		return;
	case WEB_LOGIN_WRONG:
		out_raw(o, "<p role=\"alert\">Name or password is wrong.</p>");
		return;
	case WEB_LOGIN_WAIT:
		out_printf(o,
			   "<p role=\"alert\">Too many attempts: try again in "
			   "%u seconds.</p>",
			   web_login_wait(r));
		return;
	case WEB_LOGIN_STALE:
		out_raw(o, "<p role=\"alert\">The form was too old: please try "
			   "again.</p>");
		return;
	}
}

enum web_code view_login(struct web_request *r, struct web_out *o)
{
	out_raw(o, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
		   "<meta charset=\"utf-8\"><title>Log in</title></head><body>"
		   "<main><h1>Log in</h1>");
	problem(r, o);
	out_printf(o,
		   "<form method=\"post\" action=\"/login\">"
		   "<input type=\"hidden\" name=\"csrf\" value=\"%s\">"
		   "<input type=\"hidden\" name=\"next\" value=\"%s\">",
		   web_login_token(r), web_login_next(r));
	out_raw(o, "<p><label>Name <input name=\"name\" "
		   "autocomplete=\"username\" required></label></p>"
		   "<p><label>Password <input name=\"password\" "
		   "type=\"password\" autocomplete=\"current-password\" "
		   "required></label></p><button>Log in</button></form>"
		   "</main></body></html>\n");
	return WEB_OK;
}
