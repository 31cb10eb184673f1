/* view_metrics.c - /metrics, for Prometheus and what reads like it. */
#include <jansson.h>

#include "proxy/lib/buf.h"
#include "web-status/metrics.h"
#include "web-status/server_int.h"
#include "web-status/views.h"

enum web_code view_metrics(struct web_request *r, struct web_out *o)
{
	enum metrics_format format =
	    metrics_format_for(request_header(r, "Accept"));
	json_t *status = web_status(r, NULL);
	struct buf text;
	enum err e;

	buf_init(&text, METRICS_MAX);
	e = metrics_render(status, format, &text);
	json_decref(status);
	web_set_type(r, format == METRICS_OPEN ? METRICS_OPEN_TYPE
					       : METRICS_TEXT_TYPE);
	if (e == ERR_OK)
		out_bytes(o, (const char *)buf_data(&text), buf_len(&text));
	buf_free(&text);
	return e == ERR_OK ? WEB_OK : WEB_UNAVAILABLE;
}
