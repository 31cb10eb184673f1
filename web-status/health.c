/* What watches the machine asks: does the page run, are images taken in. */
#include <jansson.h>
#include <string.h>

#include "web-status/data.h"
#include "web-status/server_int.h"

#define TEXT "text/plain; charset=utf-8"

bool health_is(const char *path)
{
	return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0;
}

static bool is_true(const json_t *status, const char *part, const char *key)
{
	return json_is_true(
	    json_object_get(json_object_get(status, part), key));
}

/* Why no image would be taken in now, or NULL. */
static const char *unready(const json_t *status)
{
	if (status == NULL)
		return "the daemon does not answer\n";
	if (is_true(status, "spool", "failed"))
		return "the spool's disk has failed\n";
	if (is_true(status, "spool", "full"))
		return "the spool is full\n";
	if (!is_true(status, "ledger", "accepting"))
		return "the audit cannot be written\n";
	return NULL;
}

enum MHD_Result health_answer(struct web_request *r)
{
	json_t *status = NULL;
	const char *why = NULL;

	r->out = out_new(WEB_OUT_MAX);
	if (r->out == NULL)
		return MHD_NO;
	if (strcmp(r->path, "/readyz") == 0) {
		status = data_status(r->server->data, NULL);
		why = unready(status);
		json_decref(status);
	}
	web_set_type(r, TEXT);
	r->code = why != NULL ? WEB_UNAVAILABLE : WEB_OK;
	out_text(r->out, why != NULL ? why : "ok\n");
	return respond_page(r);
}
