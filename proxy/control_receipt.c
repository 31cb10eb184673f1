/* control_receipt.c - {"op":"receipt", "study":UID, "format":"json"|"html",
 * "reveal":bool}: the file in frames (export_frames.h), without a manifest. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "policy/roles.h"
#include "proxy/control_stream.h"
#include "proxy/lib/mem.h"
#include "proxy/receipt.h"
#include "store/spool.h"

static void send_file(struct control_connection *k, bool html,
		      const struct buf *file)
{
	struct control_stream s;
	char name[EXPORT_NAME_LEN];
	enum err e;

	control_stream_name(k, "receipt", html ? "html" : "json", name);
	e = control_stream_begin(
	    &s, k, name, html ? "text/html; charset=utf-8" : "application/json",
	    false);
	if (e == ERR_OK)
		e = control_stream_put(&s, buf_data(file), buf_len(file));
	control_stream_end(&s, e, "", err_text(e));
}

/* There may be a patient in it. */
static void drop(struct buf *b)
{
	if (b->base != NULL)
		mem_wipe(b->base, b->cap);
	buf_free(b);
}

static void make(struct control_connection *k, const struct receipt_job *j,
		 bool html)
{
	struct buf json, page;
	char why[256] = "";
	enum err e;

	buf_init(&json, RECEIPT_MAX);
	buf_init(&page, RECEIPT_MAX);
	e = receipt_make(j, &json, why);
	if (e == ERR_OK && html) {
		e = receipt_html(buf_data(&json), buf_len(&json), j->signer,
				 &page);
		if (e != ERR_OK)
			snprintf(why, sizeof(why), "%s", err_text(e));
	}
	if (e != ERR_OK)
		control_refuse(k, why);
	else
		send_file(k, html, html ? &page : &json);
	drop(&page);
	drop(&json);
}

void control_run_receipt(struct control_connection *k, const json_t *request)
{
	const struct control_options *o = k->opt;
	struct receipt_job j = {.records = o->config->records.path,
				.node = o->config->node,
				.user = k->peer.user,
				.study = control_text(request, "study"),
				.signer = o->signer};
	bool reveal = json_is_true(json_object_get(request, "reveal"));

	if (reveal) {
		j.key = spool_key(o->spool);
		j.spool = spool_id(o->spool);
	}
	if (j.study[0] == '\0' || strlen(j.study) > 64)
		control_refuse(k, "no study is named");
	else if (reveal && (k->peer.roles & ROLE_AUDITOR) == 0)
		control_refuse_rights(k, "receipt",
				      "only an auditor may open sealed "
				      "values; leave --reveal out");
	else
		make(k, &j,
		     strcmp(control_text(request, "format"), "html") == 0);
}
