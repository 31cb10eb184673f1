/* control_ops.c - the table of operations, and the one way to each: rights,
 * record, effect. */
#include <stdio.h>
#include <string.h>

#include "policy/limits.h"
#include "proxy/control_int.h"
#include "proxy/control_page.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger.h"

/* Longest wait for a record to be durable. */
enum { RECORD_MS = 8000 };

#define ORDER_KEYS                                                             \
	{                                                                      \
		"destination", "transfer", "to"                                \
	}

#define READS(name)                                                            \
	{                                                                      \
		name, CONTROL_SILENT, {NULL}, control_run_read                 \
	}

static const struct control_op ops[] = {
    {"status", CONTROL_SILENT, {NULL}, control_run_status},
    READS("queue-list"),
    READS("queue-show"),
    READS("association-list"),
    READS("association-show"),
    READS("operation-list"),
    READS("refused-list"),
    READS("device-list"),
    READS("transfers-search"),
    READS("transfers-show"),
    {"retry", CONTROL_ACTION, ORDER_KEYS, control_run_order},
    {"hold", CONTROL_ACTION, ORDER_KEYS, control_run_order},
    {"release", CONTROL_ACTION, ORDER_KEYS, control_run_order},
    {"discard", CONTROL_ACTION, ORDER_KEYS, control_run_order},
    {"redirect", CONTROL_ACTION, ORDER_KEYS, control_run_order},
    {"export", CONTROL_EXPORT, {"transfer"}, control_run_export},
    {"reload", CONTROL_ACTION, {NULL}, control_run_reload},
    {"audit-prune", CONTROL_ACTION, {NULL}, control_run_audit_prune},
    {"audit-hold",
     CONTROL_ACTION,
     {"action", "study", "all", "id", "reason"},
     control_run_audit_hold},
    {"audit-erase",
     CONTROL_ACTION,
     {"study", "before_ms"},
     control_run_audit_erase},
    {"audit-clock", CONTROL_ACTION, {NULL}, control_run_audit_clock},
    {"audit-head", CONTROL_ACTION, {NULL}, control_run_audit_head},
    {"audit-key", CONTROL_SILENT, {NULL}, control_run_audit_key},
    {"audit-heads", CONTROL_SILENT, {NULL}, control_run_audit_heads},
    {"audit-verify", CONTROL_SILENT, {NULL}, control_run_audit_verify},
    {"audit-export",
     CONTROL_EXPORT,
     {"format", "from", "to", "device", "destination", "study", "event", "user",
      "outcome", "reveal"},
     control_run_audit_export},
    {"transfers-export",
     CONTROL_EXPORT,
     {"format", "from", "to", "device", "destination", "study", "state",
      "reveal"},
     control_run_transfers_export},
    {"report",
     CONTROL_EXPORT,
     {"name", "format", "from", "to"},
     control_run_report},
    {"receipt", CONTROL_EXPORT, {"study", "reveal"}, control_run_receipt},
    /* whom they looked for is not on record, that they did is */
    {"search-key", CONTROL_ACTION, {NULL}, control_run_search_key},
    {"web-event", CONTROL_SILENT, {NULL}, control_run_web_event},
};

const struct control_op *control_op_at(size_t i)
{
	return i < ARRAY_LEN(ops) ? &ops[i] : NULL;
}

const struct control_op *control_op_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	}
	return NULL;
}

/* ---- answers ------------------------------------------------------------- */

void control_answer(struct control_connection *k, json_t *answer)
{
	if (answer == NULL)
		answer = control_error("out of memory");
	if (control_send(k->fd, answer) != ERR_OK)
		log_event(LOG_DEBUG, "control-gone", "fd=%d", k->fd);
	json_decref(answer);
}

void control_refuse(struct control_connection *k, const char *text)
{
	control_answer(k, control_error(text));
}

enum err control_ahead(struct control_connection *k, const char *key,
		       const json_t *value)
{
	json_t *line = json_pack("{s:O}", key, value);
	enum err e = line != NULL ? control_send(k->fd, line) : ERR_NOMEM;

	json_decref(line);
	return e;
}

const char *control_text(const json_t *request, const char *key)
{
	const char *s = json_string_value(json_object_get(request, key));

	return s != NULL ? s : "";
}

bool control_stopping(const struct control_connection *k)
{
	return atomic_load(&k->control->stopping);
}

/* ---- the record ---------------------------------------------------------- */

static void add_member(struct audit_json *j, const char *key, const json_t *v)
{
	if (json_is_string(v) && json_string_length(v) > 0)
		audit_json_text(j, key, json_string_value(v));
	else if (json_is_integer(v))
		audit_json_number(j, key, json_integer_value(v));
	else if (json_is_boolean(v))
		audit_json_text(j, key, json_is_true(v) ? "yes" : "no");
}

/* What was asked for, as far as it may stand there. */
static void describe(const struct control_op *op, const json_t *request,
		     struct audit_event *e, struct audit_json *j)
{
	audit_json_text(j, "order", op->name);
	for (size_t i = 0; i < CONTROL_KEYS_MAX && op->keys[i] != NULL; i++) {
		const char *key = op->keys[i];
		const char *text = control_text(request, key);

		if (strcmp(key, "destination") == 0 &&
		    strlen(text) < sizeof(e->destination))
			snprintf(e->destination, sizeof(e->destination), "%s",
				 text);
		else if (strcmp(key, "study") == 0 &&
			 strlen(text) < sizeof(e->study))
			snprintf(e->study, sizeof(e->study), "%s", text);
		else
			add_member(j, key, json_object_get(request, key));
	}
}

static void log_order(const struct control_connection *k,
		      const struct control_op *op, const json_t *request)
{
	char text[4][160];

	log_event(
	    LOG_INFO, "order",
	    "op=%s user=%s role=%s destination=%s transfer=%s to=%s", op->name,
	    log_esc(k->peer.user, text[0], sizeof(text[0])), k->role,
	    log_esc(control_text(request, "destination"), text[1],
		    sizeof(text[1])),
	    log_esc(control_text(request, "transfer"), text[2],
		    sizeof(text[2])),
	    log_esc(control_text(request, "to"), text[3], sizeof(text[3])));
}

bool control_on_record(struct control_connection *k, struct audit_event *e)
{
	enum err err;

	snprintf(e->user, sizeof(e->user), "%s", k->peer.user);
	err = ledger_audit_sure(k->opt->ledger, e, RECORD_MS);
	if (err == ERR_OK)
		return true;
	log_event(LOG_ERROR, "order-not-recorded", "detail=\"%s\"",
		  err_text(err));
	control_refuse(k, "the audit cannot be written, so nothing was done; "
			  "look after the disk under records.path, see the "
			  "log");
	return false;
}

static bool record(struct control_connection *k, const struct control_op *op,
		   const json_t *request)
{
	struct audit_event *e;
	struct audit_json j;
	bool done;

	if (op->record == CONTROL_SILENT)
		return true;
	e = mem_zalloc(sizeof(*e));
	if (e == NULL) {
		control_refuse(k, "out of memory");
		return false;
	}
	e->kind =
	    op->record == CONTROL_EXPORT ? AUDIT_EXPORT : AUDIT_MANUAL_ACTION;
	j = audit_json_begin(e->detail, sizeof(e->detail));
	describe(op, request, e, &j);
	audit_json_text(&j, "role", k->role);
	audit_json_end(&j);
	log_order(k, op, request);
	done = control_on_record(k, e);
	mem_free(e);
	return done;
}

/* ---- those turned away ----------------------------------------------------
 */

static void audit_refused(const struct control *ctl, const char *user,
			  const char *op, const char *reason, uint64_t times)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = AUDIT_MANUAL_ACTION;
	e->outcome = AUDIT_SERIOUS;
	snprintf(e->user, sizeof(e->user), "%s", user);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "refused", reason);
	if (op[0] != '\0')
		audit_json_text(&j, "order", op);
	if (times > 0)
		audit_json_number(&j, "times", (int64_t)times);
	audit_json_end(&j);
	ledger_audit(ctl->opt.ledger, e);
	mem_free(e);
}

/* The key of a repeat: user in address, operation in reason. */
static void on_repeats(void *arg, const struct refusal *r)
{
	const struct control *ctl = arg;
	char user[100];

	log_event(LOG_WARN, "order-refused-again",
		  "user=%s op=%s times=%llu seconds=%llu",
		  log_esc(r->key.address, user, sizeof(user)), r->key.reason,
		  (unsigned long long)r->count,
		  (unsigned long long)((r->last_ms - r->first_ms) / 1000));
	audit_refused(ctl, r->key.address, r->key.reason, "rights", r->count);
}

void control_refusals_flush(struct control *ctl, bool all)
{
	refusals_flush(ctl->refusals, clock_mono_ns() / 1000000, all,
		       on_repeats, ctl);
}

/* op is one of the table's names, or "": what a caller makes up is not kept.
 * The first of its kind in a minute is written, further ones are counted. */
void control_refuse_rights(struct control_connection *k, const char *op,
			   const char *why)
{
	struct refusal_key key = {.listener = "control"};
	char user[160];

	control_answer(k, json_pack("{s:b,s:s,s:s}", "ok", 0, "error", why,
				    "reason", "rights"));
	snprintf(key.address, sizeof(key.address), "%.47s", k->peer.user);
	snprintf(key.reason, sizeof(key.reason), "%s", op);
	refusals_merge(k->control->refusals, &key);
	if (!refusals_note(k->control->refusals, &key,
			   clock_mono_ns() / 1000000, on_repeats, k->control))
		return;
	log_event(LOG_WARN, "order-refused",
		  "user=%s op=%s role=%s detail=\"%s\"",
		  log_esc(k->peer.user, user, sizeof(user)), op, k->role, why);
	audit_refused(k->control, k->peer.user, op, "rights", 0);
}

/* ---- the way in -----------------------------------------------------------
 */

static const char *group_of(const struct control_connection *k, unsigned role)
{
	const struct config *c = k->opt->config;

	switch ((enum role)role) {
	case ROLE_OPERATOR:
		return c->control.groups.operators;
	case ROLE_SECURITY:
		return c->control.groups.security;
	case ROLE_AUDITOR:
		return c->control.groups.auditors;
	}
	return "";
}

/* "culvert-operator or culvert-auditor". */
static void groups_text(const struct control_connection *k, unsigned roles,
			char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned bit = 1; bit < ROLE_ANY; bit <<= 1) {
		if ((roles & bit) == 0 || n >= size)
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s%s",
				      n > 0 ? " or " : "", group_of(k, bit));
	}
}

static void refuse_role(struct control_connection *k, const char *op,
			const struct right *right)
{
	char groups[256], why[512];

	groups_text(k, right->roles, groups, sizeof(groups));
	if (right->roles == ROLE_NONE)
		snprintf(why, sizeof(why),
			 "%s is for the daemon's own processes", op);
	else
		snprintf(why, sizeof(why),
			 "%s may not %s; it takes a member of the group %s, or "
			 "root; culvert rights shows who may do what",
			 k->peer.user, op, groups);
	control_refuse_rights(k, op, why);
}

static void refuse_stranger(struct control_connection *k)
{
	char groups[256], why[512];

	groups_text(k, ROLE_ANY, groups, sizeof(groups));
	snprintf(why, sizeof(why),
		 "%s holds no role here; have it made a member of the group "
		 "%s, or run as root; culvert rights shows who may do what",
		 k->peer.user, groups);
	control_refuse_rights(k, "", why);
}

static bool may(struct control_connection *k, const struct control_op *op)
{
	const struct right *right = right_find(RIGHT_OP, op->name);

	if (right != NULL && (k->peer.own || (right->roles & k->peer.roles)))
		return true;
	if (right != NULL && k->peer.roles != ROLE_NONE)
		refuse_role(k, op->name, right);
	else
		refuse_stranger(k);
	return false;
}

static bool page_may(struct control_connection *k, const struct control_op *op,
		     const json_t *request)
{
	const char *why = k->peer.page
			      ? control_page_refuses(k->opt->config, &k->peer,
						     op->name, request)
			      : NULL;

	if (why != NULL)
		control_refuse_rights(k, op->name, why);
	return why == NULL;
}

static bool take_as(struct control_connection *k, const json_t *request)
{
	enum err e = control_peer_as(&k->peer, request);

	if (e == ERR_DENIED)
		control_refuse_rights(
		    k, "", "\"as\" is for root and the daemon's own user");
	else if (e != ERR_OK)
		control_refuse(k, "\"as\" wants a user and a list of roles");
	return e == ERR_OK;
}

void control_dispatch(struct control_connection *k, const json_t *request)
{
	const struct control_op *op =
	    control_op_find(control_text(request, "op"));
	const struct right *right =
	    op != NULL ? right_find(RIGHT_OP, op->name) : NULL;

	role_text(k->peer.roles, k->role);
	if (!take_as(k, request))
		return;
	if (op == NULL && k->peer.roles == ROLE_NONE) {
		refuse_stranger(k);
		return;
	}
	if (op == NULL) {
		control_refuse(k, "unknown request");
		return;
	}
	if (!may(k, op) || !page_may(k, op, request))
		return;
	if (!k->peer.own && right != NULL)
		role_text(k->peer.roles & right->roles, k->role);
	if (record(k, op, request))
		op->run(k, request);
}
