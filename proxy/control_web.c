/* control_web.c - what the process of the status page may not write itself:
 * log-ins, their failures and log-outs go on record here.
 *
 *   {"op":"web-event", "event":"login-failed", "user":U, "address":A,
 *    "method":"password", "more":N}
 *
 * more: that many others like it were left out before it. Only the daemon's own
 * user and root may say so. */
#include <stdio.h>
#include <string.h>

#include "proxy/control_op.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

enum { RECORD_MS = 8000 };

static const struct {
	const char *event;
	enum audit_kind kind;
	enum audit_outcome outcome;
} events[] = {
    {"login", AUDIT_LOGIN, AUDIT_SUCCESS},
    {"login-failed", AUDIT_LOGIN_FAILED, AUDIT_MINOR},
    {"login-delayed", AUDIT_LOGIN_FAILED, AUDIT_SERIOUS},
    {"logout", AUDIT_LOGOUT, AUDIT_SUCCESS},
};

static int event_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (strcmp(events[i].event, name) == 0)
			return (int)i;
	return -1;
}

static void fill(struct audit_event *e, const json_t *request, int which)
{
	json_int_t more = json_integer_value(json_object_get(request, "more"));
	struct audit_json j;
	char number[24];

	e->kind = events[which].kind;
	e->outcome = events[which].outcome;
	/* whose log-in it is, or would be; not that of the page's process */
	snprintf(e->user, sizeof(e->user), "%s", control_text(request, "user"));
	snprintf(e->peer, sizeof(e->peer), "%s",
		 control_text(request, "address"));
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "page", events[which].event);
	audit_json_text(&j, "method", control_text(request, "method"));
	if (more > 0) {
		snprintf(number, sizeof(number), "%lld", (long long)more);
		audit_json_text(&j, "left_out_before", number);
	}
	audit_json_end(&j);
}

void control_run_web_event(struct control_connection *k, const json_t *request)
{
	int which = event_find(control_text(request, "event"));
	struct audit_event *e;

	if (!k->peer.own) {
		control_refuse(k, "only the status page says so");
		return;
	}
	if (which < 0) {
		control_refuse(k, "no such event");
		return;
	}
	e = mem_zalloc(sizeof(*e));
	if (e == NULL) {
		control_refuse(k, "out of memory");
		return;
	}
	fill(e, request, which);
	if (ledger_audit_sure(k->opt->ledger, e, RECORD_MS) == ERR_OK)
		control_answer(k, json_pack("{s:b}", "ok", 1));
	else
		control_refuse(k, "the audit cannot be written");
	mem_free(e);
}
