/* What went wrong, in place of what was asked for. */
#include "web-status/views.h"

static const char *says(unsigned code)
{
	switch (code) {
	case 400:
		return "The request is not valid.";
	case 401:
	case 403:
		return "This is not for your role.";
	case 404:
		return "There is nothing here.";
	case 405:
		return "This page is read-only.";
	case 414:
		return "The address is too long.";
	case 421:
		return "This server does not go by that name; status.hosts "
		       "lists its names.";
	case 429:
		return "Too much at once; try again shortly.";
	case 503:
		return "It does not answer now; try again shortly.";
	}
	return "Something went wrong here; the log says more.";
}

enum web_code view_error(struct web_request *r, struct web_out *o)
{
	unsigned code = web_error_code(r);

	out_raw(o, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
		   "<meta charset=\"utf-8\">");
	out_printf(o,
		   "<title>%u</title></head><body><main><h1>%u</h1><p>%s</p>"
		   "<p><a href=\"/\">Now</a></p></main></body></html>\n",
		   code, code, says(code));
	return WEB_OK;
}
