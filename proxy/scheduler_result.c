/* scheduler_result.c - what came of a task, by the verdict of outcome.h.
 *
 *   delivered             finished
 *   retry                 the item backs off; said of the destination, and
 *                         again by others, the destination backs off
 *   suspect               the item backs off; after quarantine_after failures
 *                         while others succeed: quarantine. Once the peer went
 *                         away on it twice it is tried alone, so that its
 *                         victims are not blamed
 *   hold                  scheduler_hold.c
 *   not opened            the lane backs off; when no other lane is open, the
 *                         destination does */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"

enum {
	BUSY_MANY = 3,   /* answers "busy" in a row that slow a destination */
	ALONE_AFTER = 2, /* suspect failures before it is tried alone */
	WAITING_MAX = LEVEL_MAX / 2, /* items backing off in memory */
};

/* ---- words ------------------------------------------------------------- */

void result_error(struct dest *d, const struct verdict *v, const char *detail)
{
	d->error_ms = clock_wall_ms();
	verdict_text(v, detail, d->error, sizeof(d->error));
}

static void log_result(const struct dest *d, const struct task *t,
		       enum log_level level, const char *event)
{
	char id[TRANSFER_TEXT_LEN], text[512];

	log_event(
	    level, event,
	    "destination=%s transfer=%s assoc=%llu status=%04X outcome=%s "
	    "text=\"%s\"",
	    d->config->name, transfer_id_text(&t->item.transfer, id),
	    (unsigned long long)t->association, t->verdict.status,
	    t->verdict.code,
	    verdict_text(&t->verdict, t->detail, text, sizeof(text)));
}

static void record_attempt(struct dest *d, const struct item *it,
			   const struct task *t, uint64_t wait_ms)
{
	struct ledger_attempt a = {
	    .delivery = it->li.delivery,
	    .attempts = it->li.attempts,
	    .remote_status = t->verdict.status != 0 ? t->verdict.status : -1};

	a.next_attempt_ms =
	    wait_ms > 0 ? clock_wall_ms() + (int64_t)wait_ms : 0;
	verdict_text(&t->verdict, t->detail, a.error, sizeof(a.error));
	ledger_attempt(d->s->opt.ledger, &a);
}

static void record_outcome(struct dest *d, const struct item *it,
			   enum outcome_kind kind, uint16_t status)
{
	struct outcome o = {.id = it->li.transfer,
			    .kind = kind,
			    .status = status,
			    .at_ms = clock_wall_ms()};

	(void)snprintf(o.destination, sizeof(o.destination), "%s",
		       d->config->name);
	sched_outcome(d, &o);
}

/* ---- finished ---------------------------------------------------------- */

/* The destination is well: whatever slowed it is over. */
static void well(struct dest *d, struct lane *l)
{
	if (d->error[0] != '\0' && d->trying)
		log_event(LOG_INFO, "destination-well", "destination=%s",
			  d->config->name);
	d->open_failures = 0;
	d->busy_failures = 0;
	d->trying = false;
	d->not_before_ms = 0;
	l->failures = 0;
}

static void delivered(struct dest *d, struct item *it, const struct task *t)
{
	bool flagged = t->verdict.fate == FATE_FLAGGED;

	d->delivered++;
	d->delivered_bytes += it->li.length;
	d->success_ms = clock_wall_ms();
	log_result(d, t, flagged ? LOG_INFO : LOG_DEBUG,
		   flagged ? "delivered-flagged" : "delivered");
	record_outcome(d, it,
		       flagged ? OUTCOME_DELIVERED_FLAGGED : OUTCOME_DELIVERED,
		       t->verdict.status);
	window_drop(d, it, true);
}

/* In the far spool, and written down as that. */
static void arrived(struct dest *d, struct lane *l, struct item *it)
{
	if (it->hold != NULL)
		hold_release(d, it->hold);
	well(d, l);
	window_drop(d, it, true);
}

static void quarantine(struct dest *d, struct item *it, const struct task *t)
{
	it->li.attempts++;
	d->failures++;
	result_error(d, &t->verdict, t->detail);
	log_result(d, t, LOG_ERROR, "quarantined");
	passage_note(&d->passage, AUDIT_QUARANTINE, &it->li, d->error);
	record_attempt(d, it, t, 0);
	record_outcome(d, it, OUTCOME_QUARANTINED, t->verdict.status);
	window_drop(d, it, true);
}

/* ---- again ------------------------------------------------------------- */

static void back_off(struct dest *d, struct item *it, const struct task *t)
{
	uint64_t wait = run_backoff(d->s, d->config->retry.first,
				    d->config->retry.max, it->failures++);

	if (wait < t->wait_ms)
		wait = t->wait_ms;
	it->li.attempts++;
	record_attempt(d, it, t, wait);
	if (it->hold == NULL && d->waiting.n >= WAITING_MAX) {
		/* the ledger keeps it until it is due */
		fetch_rescan(d, wait);
		window_drop(d, it, false);
		return;
	}
	window_wait(d, it, sched_now() + wait);
}

static void failed(struct dest *d, const struct task *t)
{
	d->failures++;
	result_error(d, &t->verdict, t->detail);
	log_result(d, t, LOG_WARN, "not-delivered");
}

static void slow_down(struct dest *d)
{
	uint64_t wait = run_backoff(d->s, OPEN_FIRST_MS,
				    d->config->retry.max < OPEN_MAX_MS
					? d->config->retry.max
					: OPEN_MAX_MS,
				    d->open_failures++);

	d->not_before_ms = sched_now() + wait;
	d->trying = true;
	for (size_t i = 0; i < d->n_lanes; i++) {
		d->lanes[i].not_before_ms = 0;
		d->lanes[i].failures = 0;
	}
}

static void retry(struct dest *d, struct item *it, const struct task *t)
{
	failed(d, t);
	if (t->verdict.of_destination && ++d->busy_failures >= BUSY_MANY) {
		d->busy_failures = 0;
		slow_down(d);
	}
	back_off(d, it, t);
}

/* Others were delivered since it failed first; or it is alone and the
 * destination had been well shortly before. */
static bool others_succeed(const struct dest *d, const struct item *it)
{
	bool alone = d->by_id.n == 1;

	if (d->delivered > it->delivered_then)
		return true;
	return alone && d->success_ms != 0 &&
	       it->suspect_ms - d->success_ms < ALONE_MS;
}

static void suspect(struct dest *d, struct item *it, const struct task *t)
{
	if (it->suspects++ == 0) {
		it->delivered_then = d->delivered;
		it->suspect_ms = clock_wall_ms();
	}
	if (it->suspects >= d->config->quarantine_after &&
	    others_succeed(d, it)) {
		quarantine(d, it, t);
		return;
	}
	failed(d, t);
	it->isolate = t->verdict.isolate && it->suspects >= ALONE_AFTER;
	back_off(d, it, t);
}

static void hold(struct dest *d, struct item *it, const struct task *t,
		 bool pair)
{
	char why[LEDGER_TEXT_LEN];

	failed(d, t);
	it->li.attempts++;
	record_attempt(d, it, t, 0);
	verdict_text(&t->verdict, t->detail, why, sizeof(why));
	hold_begin(d, it, pair, why);
}

/* ---- no association ---------------------------------------------------- */

static bool another_is_open(const struct dest *d, const struct lane *l)
{
	for (size_t i = 0; i < d->n_lanes; i++) {
		const struct lane *o = &d->lanes[i];

		if (o != l && o->impl != NULL && o->ops->is_open(o->impl))
			return true;
	}
	return false;
}

/* Several tasks of one lane come back for one reason. */
static void not_opened(struct dest *d, struct lane *l, const struct task *t)
{
	if (another_is_open(d, l)) { /* the archive's limit, most likely */
		l->not_before_ms =
		    sched_now() +
		    run_backoff(d->s, OPEN_FIRST_MS, OPEN_MAX_MS, l->failures);
		l->failures += l->n == 0;
		return;
	}
	if (d->not_before_ms > sched_now())
		return; /* said before */
	d->failures++;
	result_error(d, &t->verdict, t->detail);
	slow_down(d);
	log_event(LOG_WARN, "destination-unreachable",
		  "destination=%s outcome=%s wait_ms=%llu text=\"%s\"",
		  d->config->name, t->verdict.code,
		  (unsigned long long)(d->not_before_ms - sched_now()),
		  d->error);
}

static void unopened(struct dest *d, struct lane *l, struct item *it,
		     const struct task *t)
{
	if (t->verdict.fate == FATE_HOLD_DESTINATION) {
		hold(d, it, t, true);
		return;
	}
	window_ready(d, it);
	if (t->verdict.fate != FATE_QUARANTINE)
		not_opened(d, l, t);
}

/* ---- entry ------------------------------------------------------------- */

static void answered(struct dest *d, struct lane *l, struct item *it,
		     const struct task *t)
{
	bool is_context = it->hold != NULL && it->hold->abstract[0] != '\0';

	if (t->verdict.of_destination == false || t->verdict.status != 0)
		d->trying = false;
	/* it came as far as an answer: neither pair nor context is refused */
	if (it->hold != NULL && t->verdict.fate != FATE_HOLD_CONTEXT)
		hold_release(d, it->hold);
	else if (it->hold != NULL && !is_context)
		hold_release(d, it->hold);
	switch (t->verdict.fate) {
	case FATE_DELIVERED:
	case FATE_FLAGGED:
		well(d, l);
		delivered(d, it, t);
		break;
	case FATE_RETRY:
		if (strcmp(t->verdict.code, "stopped") == 0)
			window_ready(d, it);
		else
			retry(d, it, t);
		break;
	case FATE_SUSPECT:
		suspect(d, it, t);
		break;
	case FATE_HOLD_CONTEXT:
		well(d, l);
		hold(d, it, t, false);
		break;
	case FATE_HOLD_DESTINATION:
		hold(d, it, t, true);
		break;
	case FATE_QUARANTINE:
		quarantine(d, it, t);
		break;
	case FATE_N:
		break;
	}
}

static void came_back(struct dest *d, struct lane *l, struct item *it,
		      const struct task *t)
{
	if (it->withdrawn) {
		window_drop(d, it, true);
		return;
	}
	switch (t->end) {
	case TASK_ANSWERED:
		answered(d, l, it, t);
		break;
	case TASK_NOT_OPENED:
		unopened(d, l, it, t);
		break;
	case TASK_RETURNED:
		window_ready(d, it);
		break;
	case TASK_ARRIVED:
		arrived(d, l, it);
		break;
	case TASK_WITHDRAWN:
		window_drop(d, it, true);
		break;
	}
}

/* What the audit says of it. */
static enum passage_end passage_of(const struct task *t)
{
	if (t->end == TASK_ARRIVED)
		return PASSAGE_DONE;
	if (t->end != TASK_ANSWERED || strcmp(t->verdict.code, "stopped") == 0)
		return PASSAGE_BACK;
	if (t->verdict.fate == FATE_DELIVERED)
		return PASSAGE_DONE;
	return t->verdict.fate == FATE_FLAGGED ? PASSAGE_FLAGGED : PASSAGE_NOT;
}

void result_done(struct msg *m)
{
	struct task *t = CONTAINER_OF(m, struct task, msg);
	struct lane *l = t->lane;
	struct dest *d = l->dest;
	struct item *it = window_find(d, t->item.delivery);

	l->n--;
	l->bytes -= t->item.length;
	d->in_flight--;
	it->state = ITEM_BLOCKED; /* in no heap, until it is decided */
	if (d->alone == it)
		d->alone = NULL;
	passage_end(&d->passage, t, passage_of(t));
	came_back(d, l, it, t);
	mem_free(t);
	run_dest(d);
	sched_settled(d->s);
}
