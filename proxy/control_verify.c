/* control_verify.c - the audit's key, heads that came over links, and its check
 * (proxy/auditing.h), for who may not read the files.
 *
 * The check runs on its connection's own thread, which steps back and gives way
 * to images; one at a time. It reads pages in short transactions. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/auditing.h"
#include "proxy/control_int.h"
#include "proxy/control_pace.h"
#include "proxy/lib/clock.h"

enum { TELL_NS = 500 * 1000000 };

static bool on_row(void *arg, const json_t *row)
{
	struct control_connection *k = arg;

	return !control_stopping(k) && control_ahead(k, "row", row) == ERR_OK;
}

static void answer(struct control_connection *k, json_t *answer)
{
	if (answer != NULL || !control_stopping(k))
		control_answer(k, answer);
	else
		control_refuse(k, "the daemon is stopping");
}

void control_run_audit_key(struct control_connection *k, const json_t *request)
{
	char pem[SEAL_PEM_LEN];
	enum err e = seal_signer_pem(k->opt->signer, pem);

	(void)request;
	if (e == ERR_OK)
		control_answer(k, json_pack("{s:b,s:s}", "ok", 1, "pem", pem));
	else
		control_refuse(k, err_text(e));
}

void control_run_audit_heads(struct control_connection *k,
			     const json_t *request)
{
	const char *device = control_text(request, "device");

	if (device[0] == '\0')
		control_refuse(k, "a device is wanted");
	else
		answer(k, auditing_heads(k->opt->config->records.path, device,
					 on_row, k));
}

/* ---- the check --------------------------------------------------------------
 */

struct check {
	struct control_connection *k;
	struct control_pace pace;
	uint64_t told_ns;
};

/* CULVERT_TEST_VERIFY_MS: it takes so long from one progress to the next. */
static void take_time(void)
{
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_VERIFY_MS");

	if (hook != NULL)
		(void)usleep((useconds_t)(strtoul(hook, NULL, 10) * 1000));
#endif
}

static bool on_fault(void *arg, const json_t *row)
{
	return on_row(((struct check *)arg)->k, row);
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct check *c = arg;
	json_t *progress;
	uint64_t now;
	enum err e;

	take_time();
	now = clock_mono_ns();
	if (control_stopping(c->k))
		return false;
	control_pace_keep(&c->pace, c->k);
	if (now - c->told_ns < TELL_NS)
		return true;
	c->told_ns = now;
	progress = json_pack("{s:I,s:I}", "done", (json_int_t)done, "total",
			     (json_int_t)total);
	e = control_ahead(c->k, "progress", progress);
	json_decref(progress);
	return e == ERR_OK;
}

static enum err add_key(struct auditing *a, const char *pem)
{
	char why[SEAL_WHY_LEN];
	enum err e = pem != NULL && a->n_keys < AUDITING_KEYS_MAX
			 ? seal_verifier_new(pem, &a->keys[a->n_keys], why)
			 : ERR_INVAL;

	if (e == ERR_OK)
		a->n_keys++;
	return e;
}

static enum err take_keys(struct control_connection *k, struct auditing *a,
			  const json_t *keys)
{
	char pem[SEAL_PEM_LEN];
	enum err e = ERR_OK;
	const json_t *key;
	size_t i;

	if (json_array_size(keys) == 0) {
		e = seal_signer_pem(k->opt->signer, pem);
		return e == ERR_OK ? add_key(a, pem) : e;
	}
	json_array_foreach(keys, i, key)
	{
		if (e == ERR_OK)
			e = add_key(a, json_string_value(key));
	}
	return e;
}

static enum err take_heads(struct auditing *a, const json_t *heads)
{
	enum err e = ERR_OK;
	const json_t *head;
	size_t i;

	json_array_foreach(heads, i, head)
	{
		const char *text = json_string_value(head);

		if (e == ERR_OK)
			e = text != NULL
				? auditing_add_head(a, text, strlen(text))
				: ERR_INVAL;
	}
	return e;
}

static void check(struct control_connection *k, const json_t *request)
{
	struct check c = {.k = k};
	struct auditing a = {.dir = k->opt->config->records.path,
			     .all =
				 json_is_true(json_object_get(request, "all")),
			     .row = on_fault,
			     .progress = on_progress,
			     .arg = &c};

	if (take_keys(k, &a, json_object_get(request, "keys")) != ERR_OK) {
		control_refuse(k, "not public keys (PEM) on P-256");
	} else if (take_heads(&a, json_object_get(request, "heads")) !=
		   ERR_OK) {
		control_refuse(k, "not heads as culvert audit head prints "
				  "them");
	} else {
		control_pace_begin(&c.pace);
		answer(k, auditing_check(&a));
	}
	auditing_free(&a);
}

void control_run_audit_verify(struct control_connection *k,
			      const json_t *request)
{
	if (atomic_exchange(&k->control->verifying, true)) {
		control_refuse(k, "another check of the audit is under way; "
				  "try again when it is done");
		return;
	}
	check(k, request);
	atomic_store(&k->control->verifying, false);
}
