/* control_audit.c - orders about the audit: prune, hold, erase, the clock, a
 * head. They are the ledger's (store/ledger_keep.h); this waits for their end.
 */
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "proxy/control_op.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "store/ledger_keep.h"

enum { TELL_NS = 500 * 1000000 };

struct waiting {
	struct control_connection *k;
	uint64_t told_ns;
};

/* Nobody has to wait for the end: what was begun is carried on to it. */
static bool stop_waiting(void *arg, uint64_t so_far, uint64_t in_all)
{
	struct waiting *w = arg;
	uint64_t now = clock_mono_ns();
	json_t *progress;
	enum err e;

	if (control_stopping(w->k))
		return true;
	if (now - w->told_ns < TELL_NS)
		return false;
	w->told_ns = now;
	progress = json_pack("{s:I,s:I}", "done", (json_int_t)so_far, "total",
			     (json_int_t)in_all);
	e = control_ahead(w->k, "progress", progress);
	json_decref(progress);
	return e != ERR_OK;
}

static json_t *holds_of(const struct ledger_keep_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_holds; i++) {
		const struct audit_hold *h = &r->holds[i];

		json_array_append_new(
		    list,
		    json_pack("{s:I,s:s,s:s,s:s,s:I}", "id", (json_int_t)h->id,
			      "study", h->study, "reason", h->reason, "user",
			      h->user, "since_ms", (json_int_t)h->since_ms));
	}
	return list;
}

static json_t *done(const struct ledger_keep_result *r)
{
	char head[AUDIT_HEAD_FILE_LEN] = "";

	if (r->head.number > 0)
		(void)audit_head_file(&r->head, head);
	return json_pack(
	    "{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:s}", "ok", 1, "months",
	    (json_int_t)r->months, "rows", (json_int_t)r->rows, "transfers",
	    (json_int_t)r->transfers, "associations",
	    (json_int_t)r->associations, "values", (json_int_t)r->values, "id",
	    (json_int_t)r->id, "holds", holds_of(r), "head", head);
}

static void carry_out(struct control_connection *k, struct ledger_keep_order *o)
{
	struct waiting w = {.k = k, .told_ns = clock_mono_ns()};
	struct ledger_keep_result *r = mem_zalloc(sizeof(*r));
	enum err e = ERR_NOMEM;

	snprintf(o->user, sizeof(o->user), "%s", k->peer.user);
	if (r != NULL)
		e = ledger_keep(k->opt->ledger, o, stop_waiting, &w, r);
	if (e == ERR_BUSY)
		control_refuse(k, "another order about the records is under "
				  "way; try again when it is done");
	else if (e == ERR_CANCELED)
		control_refuse(k, "the daemon is stopping; what was begun is "
				  "not finished; give the order again when it "
				  "is back");
	else if (e != ERR_OK)
		control_refuse(k, err_text(e));
	else if (r->e != ERR_OK)
		control_refuse(k, r->why);
	else
		control_answer(k, done(r));
	mem_free(r);
}

/* False: too long; the caller has been told. */
static bool take_text(struct control_connection *k, const json_t *request,
		      const char *key, char *out, size_t size)
{
	const char *text = control_text(request, key);

	if (strlen(text) < size) {
		memcpy(out, text, strlen(text) + 1);
		return true;
	}
	control_refuse(k, strcmp(key, "study") == 0
			      ? "not a study UID: it has more than 64 "
				"characters"
			      : "the reason is too long: 255 bytes at most");
	return false;
}

static json_int_t take_number(const json_t *request, const char *key)
{
	return json_integer_value(json_object_get(request, key));
}

void control_run_audit_prune(struct control_connection *k,
			     const json_t *request)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_PRUNE};

	(void)request;
	carry_out(k, &o);
}

/* A new one; while other work on the records is under way, the last. */
void control_run_audit_head(struct control_connection *k, const json_t *request)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_HEAD};
	char text[AUDIT_HEAD_FILE_LEN];
	struct audit_head h;

	(void)request;
	if (!ledger_keep_is_busy(k->opt->ledger)) {
		carry_out(k, &o);
		return;
	}
	if (audit_head_newest(k->opt->config->records.path, &h) != ERR_OK) {
		control_refuse(k, "there is no head yet: one is signed each "
				  "minute");
		return;
	}
	(void)audit_head_file(&h, text);
	control_answer(k, json_pack("{s:b,s:s}", "ok", 1, "head", text));
}

void control_run_audit_clock(struct control_connection *k,
			     const json_t *request)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_CLOCK};

	(void)request;
	carry_out(k, &o);
}

void control_run_audit_erase(struct control_connection *k,
			     const json_t *request)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_ERASE,
				      .before_ms =
					  take_number(request, "before_ms")};

	if (!take_text(k, request, "study", o.study, sizeof(o.study)))
		return;
	if ((o.study[0] != '\0') == (o.before_ms > 0)) {
		control_refuse(k, "either a study or a moment is wanted");
		return;
	}
	carry_out(k, &o);
}

void control_run_audit_hold(struct control_connection *k, const json_t *request)
{
	struct ledger_keep_order o = {.op = LEDGER_KEEP_HOLDS,
				      .id = take_number(request, "id")};
	const char *action = control_text(request, "action");
	bool all = json_is_true(json_object_get(request, "all"));

	if (!take_text(k, request, "study", o.study, sizeof(o.study)) ||
	    !take_text(k, request, "reason", o.reason, sizeof(o.reason)))
		return;
	if (strcmp(action, "add") == 0)
		o.op = LEDGER_KEEP_HOLD;
	else if (strcmp(action, "remove") == 0)
		o.op = LEDGER_KEEP_UNHOLD;
	else if (strcmp(action, "list") != 0) {
		control_refuse(k, "unknown action: add, list or remove");
		return;
	}
	if (o.op == LEDGER_KEEP_HOLD &&
	    (all == (o.study[0] != '\0') || o.reason[0] == '\0')) {
		control_refuse(k, "a hold is of a study or of all, and has a "
				  "reason");
		return;
	}
	carry_out(k, &o);
}
