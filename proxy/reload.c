#include "proxy/reload.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proxy/admission.h"
#include "proxy/config_record.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/shaping.h"
#include "store/ledger.h"

enum { BY_LEN = 65, VALUE_LEN = 2 * CHANGE_TEXT_LEN };

struct asked {
	char by[BY_LEN];
	reload_done_fn *done; /* NULL: nobody waits */
	void *arg;
};

struct reload {
	struct reload_options opt;
	uv_work_t work;
	bool busy, again;
	struct asked now, next;
	struct config *last;  /* the latest that was taken; NULL: that of the
				 start */
	struct config *fresh; /* just read */
	enum err e;
	struct config_errors errors;
	struct reload_result result;
};

enum err reload_new(const struct reload_options *opt, struct reload **out)
{
	struct reload *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->opt = *opt;
	*out = r;
	return ERR_OK;
}

void reload_free(struct reload *r)
{
	if (r == NULL)
		return;
	assert(!r->busy);
	config_free(r->last);
	mem_free(r);
}

/* ---- on a thread of its own --------------------------------------------- */

static void keep(struct reload_result *v, const struct config_change *c)
{
	if (v->n_changes < RELOAD_CHANGES_MAX)
		v->changes[v->n_changes++] = *c;
}

static void on_live(void *arg, const struct config_change *c)
{
	struct reload_result *v = arg;

	if (!c->live)
		return;
	v->n_live++;
	keep(v, c);
}

static void on_other(void *arg, const struct config_change *c)
{
	struct reload_result *v = arg;

	if (c->live)
		return;
	v->n_restart++;
	keep(v, c);
}

/* What is live against what was taken last, all else against what runs. */
static enum err compare(struct reload *r)
{
	const struct config *start = r->opt.config;
	const struct config *last = r->last != NULL ? r->last : start;
	enum err e = config_changes(last, r->fresh, on_live, &r->result);

	if (e != ERR_OK)
		return e;
	return config_changes(start, r->fresh, on_other, &r->result);
}

static void on_work(uv_work_t *work)
{
	struct reload *r = CONTAINER_OF(work, struct reload, work);

	r->e = config_load(r->opt.config->file, &r->fresh, &r->errors);
	if (r->e == ERR_OK)
		r->e = compare(r);
}

/* ---- what came of it ---------------------------------------------------- */

static void audit(struct reload *r)
{
	const struct reload_result *v = &r->result;
	struct audit_event *e = mem_zalloc(sizeof(*e));
	char text[VALUE_LEN + 8];
	struct audit_json j;

	if (e == NULL)
		return; /* the log has it */
	e->kind = v->taken ? AUDIT_CONFIG_LOADED : AUDIT_CONFIG_REFUSED;
	e->outcome = v->taken ? AUDIT_SUCCESS : AUDIT_MINOR;
	(void)snprintf(e->user, sizeof(e->user), "%s", r->now.by);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	if (!v->taken)
		audit_json_text(&j, "cause", v->why);
	else
		audit_json_number(&j, "restart", (int64_t)v->n_restart);
	for (size_t i = 0; v->taken && i < v->n_changes; i++) {
		const struct config_change *c = &v->changes[i];

		if (!c->live)
			continue;
		(void)snprintf(text, sizeof(text), "%s -> %s", c->before,
			       c->after);
		audit_json_text(&j, c->path, text);
	}
	audit_json_end(&j);
	ledger_audit(r->opt.ledger, e);
	mem_free(e);
}

static void log_change(const struct config_change *c)
{
	char before[VALUE_LEN], after[VALUE_LEN];

	log_event(c->live ? LOG_INFO : LOG_WARN,
		  c->live ? "config-changed" : "config-needs-restart",
		  "option=%s before=%s after=%s", c->path,
		  log_esc(c->before, before, sizeof(before)),
		  log_esc(c->after, after, sizeof(after)));
}

static void tell_taken(struct reload *r)
{
	const struct reload_result *v = &r->result;

	for (size_t i = 0; i < v->n_changes; i++)
		log_change(&v->changes[i]);
	log_event(LOG_INFO, "config-loaded",
		  "by=\"%s\" file=%s changed=%zu need_restart=%zu", r->now.by,
		  r->opt.config->file, v->n_live, v->n_restart);
}

static void tell_refused(struct reload *r)
{
	char text[2 * CONFIG_PROBLEM_LEN];

	for (size_t i = 0; i < r->errors.n_errors && i < CONFIG_PROBLEMS_MAX;
	     i++)
		log_event(
		    LOG_ERROR, "config-problem", "line=%d detail=%s",
		    r->errors.errors[i].at.line,
		    log_esc(r->errors.errors[i].text, text, sizeof(text)));
	log_event(LOG_ERROR, "config-refused", "by=\"%s\" file=%s detail=%s",
		  r->now.by, r->opt.config->file,
		  log_esc(r->result.why, text, sizeof(text)));
}

/* The file did not load, or could not be compared. */
static void explain(struct reload *r)
{
	struct reload_result *v = &r->result;
	const struct config_problem *p = &r->errors.errors[0];

	if (r->errors.n_errors == 0)
		(void)snprintf(v->why, sizeof(v->why), "%s", err_text(r->e));
	else if (r->errors.n_errors == 1)
		(void)snprintf(v->why, sizeof(v->why), "line %d: %s",
			       p->at.line, p->text);
	else
		(void)snprintf(v->why, sizeof(v->why),
			       "line %d: %s (and %zu more)", p->at.line,
			       p->text, r->errors.n_errors - 1);
}

/* ---- taking it up ------------------------------------------------------- */

static bool take(struct reload *r)
{
	struct reload_result *v = &r->result;

	if (r->e != ERR_OK) {
		explain(r);
		return false;
	}
	r->e = shaping_take(r->opt.shaping, r->fresh, v->why);
	if (r->e == ERR_NOMEM)
		explain(r);
	if (r->e != ERR_OK)
		return false;
	/* from here on nothing fails */
	r->opt.reshape(r->opt.arg);
	admission_take(r->opt.admission, r->fresh);
	log_set_level((enum log_level)r->fresh->log.level);
	log_set_format((enum log_format)r->fresh->log.format);
	config_free(r->last);
	r->last = r->fresh;
	r->fresh = NULL;
	return true;
}

static void begin(struct reload *r);

static void on_read(uv_work_t *work, int status)
{
	struct reload *r = CONTAINER_OF(work, struct reload, work);
	struct reload_result *v = &r->result;

	if (status != 0)
		r->e = ERR_NOMEM; /* it never ran */
	v->taken = take(r);
	config_free(r->fresh);
	r->fresh = NULL;
	if (!v->taken)
		v->n_live = v->n_restart = v->n_changes = 0;
	if (v->taken)
		tell_taken(r);
	else
		tell_refused(r);
	audit(r);
	for (size_t i = 0; i < v->n_changes; i++)
		config_record_change(r->opt.ledger, r->now.by, &v->changes[i]);
	r->busy = false;
	if (r->now.done != NULL)
		r->now.done(r->now.arg, v);
	if (r->again) {
		r->again = false;
		r->now = r->next;
		begin(r);
	}
}

static void begin(struct reload *r)
{
	r->busy = true;
	r->result = (struct reload_result){.taken = false};
	r->errors = (struct config_errors){.n_errors = 0};
	r->fresh = NULL;
	if (uv_queue_work(r->opt.loop, &r->work, on_work, on_read) != 0)
		on_read(&r->work, UV_ENOMEM);
}

static void tell_overtaken(const struct asked *q)
{
	static const struct reload_result overtaken = {
	    .why = "another reload was asked for behind this one; the log says "
		   "what came of it"};

	if (q->done != NULL)
		q->done(q->arg, &overtaken);
}

void reload_start(struct reload *r, const char *by, reload_done_fn *done,
		  void *arg)
{
	struct asked q = {.done = done, .arg = arg};

	(void)snprintf(q.by, sizeof(q.by), "%s", by);
	if (!r->busy) {
		r->now = q;
		begin(r);
		return;
	}
	if (r->again)
		tell_overtaken(&r->next);
	r->again = true;
	r->next = q;
}
