#include "proxy/admission.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "policy/match.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"
#include "store/ledger.h"

/* Listeners that would have more handshakes than they may. */
struct queue {
	uint64_t pauses;    /* not reported yet */
	unsigned waiting;   /* most of them at once, likewise */
	uint64_t logged_ms; /* 0: no report is due */
};

struct admission {
	const struct config *cfg;
	struct ledger *ledger;
	struct limits *limits;
	struct refusals *refusals;
	pthread_mutex_t lock; /* of the queues */
	struct queue *queues; /* by listener */
	atomic_uint_least64_t refused;
	atomic_uint_least64_t *refused_as; /* by device */
};

enum { QUEUE_WINDOW_MS = 60 * 1000 };

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

enum err admission_new(const struct config *cfg, struct ledger *ledger,
		       struct admission **out)
{
	struct admission *a = mem_zalloc(sizeof(*a));
	enum err e = ERR_NOMEM;

	if (a == NULL)
		return ERR_NOMEM;
	a->cfg = cfg;
	a->ledger = ledger;
	(void)pthread_mutex_init(&a->lock, NULL);
	a->queues = mem_zarray(cfg->n_listeners + 1, sizeof(*a->queues));
	a->refused_as = mem_zarray(cfg->n_devices + 1, sizeof(*a->refused_as));
	if (a->queues != NULL && a->refused_as != NULL)
		e = limits_new(cfg, now_ms(), &a->limits);
	if (e == ERR_OK)
		e = refusals_new(&a->refusals);
	if (e != ERR_OK) {
		admission_free(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

void admission_free(struct admission *a)
{
	if (a == NULL)
		return;
	limits_free(a->limits);
	refusals_free(a->refusals);
	mem_free(a->queues);
	mem_free(a->refused_as);
	(void)pthread_mutex_destroy(&a->lock);
	mem_free(a);
}

void admission_take(struct admission *a, const struct config *fresh)
{
	limits_take(a->limits, fresh, now_ms());
}

/* ---- handshakes -------------------------------------------------------- */

/* Under the lock. */
static void report_queue(struct admission *a, size_t listener)
{
	struct queue *q = &a->queues[listener];

	if (q->pauses > 0)
		log_event(LOG_WARN, "handshakes-limited-again",
			  "listener=%s times=%llu most_waiting=%u",
			  a->cfg->listeners[listener].name,
			  (unsigned long long)q->pauses, q->waiting);
	*q = (struct queue){.pauses = 0};
}

void admission_waited(struct admission *a, size_t listener, unsigned n)
{
	struct queue *q = &a->queues[listener];

	(void)pthread_mutex_lock(&a->lock);
	if (q->logged_ms == 0) {
		q->logged_ms = now_ms();
		log_event(LOG_WARN, "handshakes-limited",
			  "listener=%s waiting=%u",
			  a->cfg->listeners[listener].name, n);
	} else {
		q->pauses++;
		q->waiting = n > q->waiting ? n : q->waiting;
	}
	(void)pthread_mutex_unlock(&a->lock);
}

static void flush_queues(struct admission *a, bool all)
{
	uint64_t now = now_ms();

	(void)pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->cfg->n_listeners; i++)
		if (a->queues[i].logged_ms > 0 &&
		    (all || now - a->queues[i].logged_ms >= QUEUE_WINDOW_MS))
			report_queue(a, i);
	(void)pthread_mutex_unlock(&a->lock);
}

uint64_t admission_handshake(struct admission *a, size_t listener)
{
	return limits_handshake(a->limits, listener, now_ms());
}

/* ---- who comes and goes ------------------------------------------------ */

enum limit_verdict admission_connect(struct admission *a, size_t listener)
{
	return limits_connect(a->limits, listener);
}

enum limit_verdict admission_associate(struct admission *a, size_t listener,
				       size_t device)
{
	return limits_associate(a->limits, listener, device, now_ms());
}

void admission_leave(struct admission *a, size_t listener, int device)
{
	limits_disconnect(a->limits, listener, device);
}

static void audit_repeats(struct admission *a, const struct refusal *r)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = AUDIT_ASSOCIATION_REFUSED;
	e->outcome = AUDIT_MINOR;
	snprintf(e->listener, sizeof(e->listener), "%s", r->key.listener);
	snprintf(e->peer, sizeof(e->peer), "%s", r->key.address);
	snprintf(e->calling_ae, sizeof(e->calling_ae), "%s", r->key.calling_ae);
	snprintf(e->called_ae, sizeof(e->called_ae), "%s", r->key.called_ae);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "reason", r->key.reason);
	audit_json_number(&j, "times", (int64_t)r->count);
	audit_json_number(&j, "seconds",
			  (int64_t)((r->last_ms - r->first_ms) / 1000));
	audit_json_end(&j);
	ledger_audit(a->ledger, e);
	mem_free(e);
}

static void on_repeats(void *arg, const struct refusal *r)
{
	struct admission *a = arg;
	char calling[80], called[80];

	if (r->count == 0)
		return;
	log_event(LOG_WARN, "refused-again",
		  "listener=%s peer=%s calling=%s called=%s code=%s reason=%s "
		  "times=%llu seconds=%llu",
		  r->key.listener, r->key.address,
		  log_esc(r->key.calling_ae, calling, sizeof(calling)),
		  log_esc(r->key.called_ae, called, sizeof(called)),
		  condition_code(r->key.reason), r->key.reason,
		  (unsigned long long)r->count,
		  (unsigned long long)((r->last_ms - r->first_ms) / 1000));
	if (strcmp(r->key.reason, REFUSAL_TLS) != 0)
		audit_repeats(a, r);
}

static void audit(struct admission *a, const struct refusal_facts *f,
		  const char *listener)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json j;

	if (e == NULL)
		return; /* the ledger's row and the log line stand */
	e->kind = AUDIT_ASSOCIATION_REFUSED;
	e->outcome = AUDIT_MINOR;
	snprintf(e->listener, sizeof(e->listener), "%s", listener);
	snprintf(e->peer, sizeof(e->peer), "%s", f->peer);
	snprintf(e->calling_ae, sizeof(e->calling_ae), "%s", f->calling_ae);
	snprintf(e->called_ae, sizeof(e->called_ae), "%s", f->called_ae);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "reason", f->reason);
	audit_json_text(&j, "cause", f->cause);
	audit_json_end(&j);
	ledger_audit(a->ledger, e);
	mem_free(e);
}

static void record(struct admission *a, const struct refusal_facts *f,
		   const struct refusal_key *key)
{
	struct ledger_refusal row = {.at_ms = clock_wall_ms()};

	snprintf(row.listener, sizeof(row.listener), "%s", key->listener);
	snprintf(row.peer, sizeof(row.peer), "%s", key->address);
	snprintf(row.calling_ae, sizeof(row.calling_ae), "%s", key->calling_ae);
	snprintf(row.called_ae, sizeof(row.called_ae), "%s", key->called_ae);
	snprintf(row.reason, sizeof(row.reason), "%s", key->reason);
	snprintf(row.remedy, sizeof(row.remedy), "%s", f->remedy);
	ledger_refusal(a->ledger, &row);
}

/* What the catalogue says of it. A handshake that failed: its cause says more
 * than its reason. */
static const struct condition *condition_of(const struct refusal_facts *f)
{
	const struct condition *c =
	    f->tls && f->cause != NULL ? condition_in_text(f->cause) : NULL;

	return c != NULL ? c : condition_of_event(f->reason);
}

uint64_t admission_refused(const struct admission *a)
{
	return atomic_load(&a->refused);
}

uint64_t admission_refused_as(const struct admission *a, size_t device)
{
	return device < a->cfg->n_devices ? atomic_load(&a->refused_as[device])
					  : 0;
}

static void count(struct admission *a, const char *calling_ae)
{
	atomic_fetch_add(&a->refused, 1);
	for (size_t i = 0; calling_ae[0] != '\0' && i < a->cfg->n_devices;
	     i++) {
		if (!match_ae(&a->cfg->devices[i].ae_titles, calling_ae))
			continue;
		atomic_fetch_add(&a->refused_as[i], 1);
		return;
	}
}

static void refuse(struct admission *a, const struct refusal_facts *f,
		   const char *code)
{
	const char *listener = a->cfg->listeners[f->listener].name;
	struct refusal_key key = {0};
	char calling[80], called[80];

	address_host(f->peer, key.address, sizeof(key.address));
	snprintf(key.listener, sizeof(key.listener), "%s", listener);
	snprintf(key.calling_ae, sizeof(key.calling_ae), "%s", f->calling_ae);
	snprintf(key.called_ae, sizeof(key.called_ae), "%s", f->called_ae);
	snprintf(key.reason, sizeof(key.reason), "%s", f->reason);
	refusals_merge(a->refusals, &key);
	record(a, f, &key);
	count(a, f->calling_ae);
	if (!refusals_note(a->refusals, &key, now_ms(), on_repeats, a))
		return;
	log_event(LOG_WARN, "refused",
		  "listener=%s peer=%s calling=%s called=%s code=%s reason=%s "
		  "cause=\"%s\" remedy=\"%s\"",
		  listener, f->peer,
		  log_esc(f->calling_ae, calling, sizeof(calling)),
		  log_esc(f->called_ae, called, sizeof(called)), code,
		  f->reason, f->cause, f->remedy);
	if (!f->tls)
		audit(a, f, listener);
}

void admission_refuse(struct admission *a, const struct refusal_facts *f)
{
	const struct condition *c = condition_of(f);
	struct refusal_facts all = *f;

	/* what failed in a handshake is counted apart */
	if (f->tls && c != NULL)
		all.reason = c->name;
	if (all.cause == NULL)
		all.cause = c != NULL ? c->cause[CONDITION_EN] : "";
	if (all.remedy == NULL)
		all.remedy = c != NULL ? c->remedy[CONDITION_EN] : "";
	refuse(a, &all, c != NULL ? c->code : "");
}

void admission_flush(struct admission *a, bool all)
{
	refusals_flush(a->refusals, now_ms(), all, on_repeats, a);
	flush_queues(a, all);
}
