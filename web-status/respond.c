/* Responses: their headers, and how each kind of body is sent. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "web-status/asset.h"
#include "web-status/server_int.h"
#include "web-status/views.h"

#define HTML "text/html; charset=utf-8"

static void add(struct MHD_Response *m, const char *name, const char *value)
{
	(void)MHD_add_response_header(m, name, value);
}

/* No outside request, no frame, nothing inline. */
#define POLICY                                                                 \
	"default-src 'none'; script-src 'self'; style-src 'self'; "            \
	"connect-src 'self'; img-src 'self' data:; font-src 'self'; "          \
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

void respond_headers(struct web_request *r, struct MHD_Response *m,
		     const char *type)
{
	add(m, "Content-Type", type);
	add(m, "Content-Security-Policy", POLICY);
	add(m, "X-Content-Type-Options", "nosniff");
	add(m, "X-Frame-Options", "DENY");
	/* no-referrer would make a browser's form send "Origin: null" */
	add(m, "Referrer-Policy", "same-origin");
	add(m, "Cross-Origin-Opener-Policy", "same-origin");
	add(m, "Cross-Origin-Resource-Policy", "same-origin");
	add(m, "Permissions-Policy",
	    "camera=(), geolocation=(), microphone=(), payment=()");
	if (r->server->tls)
		add(m, "Strict-Transport-Security", "max-age=31536000");
	for (unsigned i = 0; i < r->n_cookies; i++)
		add(m, "Set-Cookie", r->cookies[i]);
	if (r->close)
		add(m, "Connection", "close");
}

static enum MHD_Result queue(struct web_request *r, struct MHD_Response *m,
			     unsigned code)
{
	enum MHD_Result done =
	    m != NULL ? MHD_queue_response(r->connection, code, m) : MHD_NO;

	if (m != NULL)
		MHD_destroy_response(m);
	return done;
}

enum MHD_Result respond_asset(struct web_request *r, const struct web_asset *a)
{
	bool same =
	    parse_etag_match(request_header(r, "If-None-Match"), a->etag);
	struct MHD_Response *m = MHD_create_response_from_buffer(
	    same ? 0 : a->n, (void *)(uintptr_t)a->bytes,
	    MHD_RESPMEM_PERSISTENT);

	if (m == NULL)
		return MHD_NO;
	respond_headers(r, m, a->type);
	add(m, "Cache-Control", "no-cache");
	add(m, "ETag", a->etag);
	return queue(r, m, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK);
}

static const char *type_of(const struct web_request *r)
{
	if (r->type[0] != '\0')
		return r->type;
	return r->route != NULL && r->route->type != NULL ? r->route->type
							  : HTML;
}

static void add_special(struct web_request *r, struct MHD_Response *m)
{
	char text[128];

	add(m, "Cache-Control", "no-store");
	if (r->location[0] != '\0')
		add(m, "Location", r->location);
	if (r->download[0] != '\0') {
		snprintf(text, sizeof(text), "attachment; filename=\"%s\"",
			 r->download);
		add(m, "Content-Disposition", text);
	}
	if (r->retry_after_s > 0) {
		snprintf(text, sizeof(text), "%u", r->retry_after_s);
		add(m, "Retry-After", text);
	}
	if (r->code == MHD_HTTP_METHOD_NOT_ALLOWED)
		add(m, "Allow", "GET, HEAD");
}

enum MHD_Result respond_page(struct web_request *r)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(
	    out_len(r->out), (void *)(uintptr_t)out_data(r->out),
	    MHD_RESPMEM_MUST_COPY);

	if (m == NULL)
		return MHD_NO;
	respond_headers(r, m, type_of(r));
	add_special(r, m);
	return queue(r, m, r->code);
}

enum MHD_Result respond_body(struct web_request *r)
{
	struct MHD_Response *m = body_response(r);

	if (m == NULL)
		return respond_error(r, MHD_HTTP_SERVICE_UNAVAILABLE);
	respond_headers(r, m, type_of(r));
	add_special(r, m);
	return queue(r, m, r->code);
}

enum MHD_Result respond_error(struct web_request *r, unsigned code)
{
	if (r->out == NULL)
		r->out = out_new(WEB_OUT_MAX);
	if (r->out == NULL)
		return MHD_NO;
	out_clear(r->out);
	r->code = code;
	r->type[0] = r->download[0] = r->location[0] = '\0';
	r->route = NULL;
	if ((unsigned)view_error(r, r->out) != WEB_OK || out_failed(r->out))
		return MHD_NO;
	if (code == MHD_HTTP_SERVICE_UNAVAILABLE && r->retry_after_s == 0)
		r->retry_after_s = 2;
	return respond_page(r);
}
