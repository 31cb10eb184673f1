/* How things stand now. */
#include "policy/config.h"
#include "web-status/views.h"

enum web_code view_now(struct web_request *r, struct web_out *o)
{
	const struct config *cfg = web_config(r);

	out_raw(o, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
		   "<meta charset=\"utf-8\">");
	out_printf(o, "<title>%s</title></head><body><h1>%s</h1>", cfg->node,
		   cfg->node);
	out_raw(o, "</body></html>\n");
	return WEB_OK;
}
