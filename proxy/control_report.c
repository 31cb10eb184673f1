/* control_report.c - {"op":"report", "name":N, "format":"csv"|"jsonl"|"text"|
 * "html", "from":ms, "to":ms, "late_s":N}: the file in frames, and its signed
 * manifest. */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/control_stream.h"
#include "proxy/lib/mem.h"
#include "proxy/report.h"

enum { LATE_S = 3600 };

static int64_t number_of(const json_t *request, const char *key)
{
	return json_integer_value(json_object_get(request, key));
}

static void send_report(struct control_connection *k, struct report_job *j)
{
	struct control_stream s;
	char name[EXPORT_NAME_LEN];
	enum err e;

	control_stream_name(k, j->name, report_format_suffix(j->format), name);
	e = control_stream_begin(&s, k, name, report_format_media(j->format),
				 false);
	j->sink = control_stream_put;
	j->go_on = control_stream_go_on;
	j->arg = &s;
	if (e == ERR_OK)
		e = report_make(j);
	control_stream_sign_off(&s, e, j->name, &j->manifest, j->why);
	j->arg = NULL;
}

void control_run_report(struct control_connection *k, const json_t *request)
{
	const char *format = control_text(request, "format");
	const char *name = control_text(request, "name");
	struct report_job *j = mem_zalloc(sizeof(*j));

	if (j == NULL) {
		control_refuse(k, err_text(ERR_NOMEM));
		return;
	}
	j->config = k->opt->config;
	j->name = name;
	j->user = k->peer.user;
	j->signer = k->opt->signer;
	j->from_ms = number_of(request, "from");
	j->to_ms = number_of(request, "to");
	j->late_ms = number_of(request, "late_s") * 1000;
	j->format = REPORT_TEXT;
	if (j->late_ms <= 0)
		j->late_ms = LATE_S * 1000;
	if (report_title(name) == NULL)
		control_refuse(k, "no such report; see culvert report --help");
	else if (format[0] != '\0' && !report_format_parse(format, &j->format))
		control_refuse(k, "no such format; csv, jsonl, text or html");
	else
		send_report(k, j);
	mem_free(j);
}
