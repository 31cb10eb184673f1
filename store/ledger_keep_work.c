/* ledger_keep_work.c - orders carried out, piece by piece. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "store/ledger_keep_in.h"

enum { SETTLE_S = 30 /* longest wait for others, readers or writers */ };

enum err keep_record(struct ledger *l, struct audit_event *e, int64_t *seq)
{
	enum err err;

	e->wall_ms = clock_wall_ms();
	e->mono_ns = clock_mono_ns();
	err = audit_append(l->audit, e);
	if (err == ERR_AGAIN) { /* another month */
		err = audit_commit(l->audit);
		if (err == ERR_OK)
			err = audit_append(l->audit, e);
	}
	if (err == ERR_OK)
		err = audit_commit(l->audit);
	if (err == ERR_OK)
		err = audit_flush(l->audit);
	if (err != ERR_OK)
		audit_undo(l->audit);
	else if (seq != NULL)
		*seq = audit_seq(l->audit);
	return err;
}

/* ---- holds ------------------------------------------------------------------
 */

struct looking {
	const char *study; /* "": any hold counts; NULL: one of all does */
	bool found;
};

static bool on_hold(void *arg, const struct audit_hold *h)
{
	struct looking *s = arg;

	if (s->study == NULL)
		s->found = h->study[0] == '\0';
	else
		s->found = h->study[0] == '\0' || s->study[0] == '\0' ||
			   strcmp(h->study, s->study) == 0;
	return !s->found;
}

/* In doubt it is. */
static bool is_held(struct ledger *l, const char *study)
{
	struct audit_pruned *beside = audit_beside(l->audit);
	struct looking s = {.study = study};

	return beside == NULL ||
	       audit_hold_each(beside, on_hold, &s) != ERR_OK || s.found;
}

static bool on_listed(void *arg, const struct audit_hold *h)
{
	struct ledger_keep_result *r = arg;

	r->holds[r->n_holds++] = *h;
	return r->n_holds < LEDGER_HOLDS_MAX;
}

static enum err hold(struct ledger *l)
{
	const struct ledger_keep_order *o = &l->keeper->order;
	struct audit_hold h = {.since_ms = clock_wall_ms()};

	snprintf(h.study, sizeof(h.study), "%s", o->study);
	snprintf(h.reason, sizeof(h.reason), "%s", o->reason);
	snprintf(h.user, sizeof(h.user), "%s", o->user);
	return audit_hold_add(audit_beside(l->audit), &h, &l->keeper->r->id);
}

static void do_holds(struct ledger *l, enum ledger_keep_op op)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_pruned *beside = audit_beside(l->audit);
	enum err e = beside != NULL ? ERR_OK : ERR_IO;

	if (e == ERR_OK && op == LEDGER_KEEP_HOLD)
		e = hold(l);
	else if (e == ERR_OK && op == LEDGER_KEEP_UNHOLD)
		e = audit_hold_remove(beside, k->order.id);
	else if (e == ERR_OK)
		e = audit_hold_each(beside, on_listed, k->r);
	keep_finish(l, e,
		    e == ERR_NOTFOUND
			? "no such hold; culvert audit hold list shows them"
			: NULL);
}

/* ---- erasing ----------------------------------------------------------------
 */

/* by: the row that says so, when it is written already. */
static void erase_begin(struct ledger *l, const struct audit_pending *o)
{
	struct ledger_keeper *k = l->keeper;

	memset(&k->what, 0, sizeof(k->what));
	memset(&k->place, 0, sizeof(k->place));
	memcpy(k->what.study, o->study, sizeof(k->what.study));
	memcpy(k->user, o->user, sizeof(k->user));
	k->what.before_ms = o->before_ms;
	k->by = o->by;
	k->total = 0;
	k->settle_ns = 0;
	if (is_held(l, o->study)) {
		keep_finish(l, ERR_DENIED,
			    "a legal hold covers it; see culvert audit hold "
			    "list");
		return;
	}
	k->step = k->by != 0 ? KEEP_ERASE : KEEP_ERASE_COUNT;
}

static void erase_ordered(struct ledger *l)
{
	const struct ledger_keep_order *order = &l->keeper->order;
	struct audit_pending o = {.before_ms = order->before_ms};

	memcpy(o.study, order->study, sizeof(o.study));
	memcpy(o.user, order->user, sizeof(o.user));
	erase_begin(l, &o);
}

/* Before the row and behind it: whatever ends the daemon from here on, the next
 * one goes on, in the name of the same row if it was written. */
static enum err erase_pending(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_pruned *beside = audit_beside(l->audit);
	struct audit_pending o = {.before_ms = k->what.before_ms, .by = k->by};

	memcpy(o.study, k->what.study, sizeof(o.study));
	memcpy(o.user, k->user, sizeof(o.user));
	return beside != NULL ? audit_pending_set(beside, &o) : ERR_IO;
}

static enum err erase_on_record(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_event ev;
	enum err e = erase_pending(l);

	audit_erase_event(&k->what, k->user, k->r->values, &ev);
	if (e != ERR_OK)
		return e;
	e = keep_record(l, &ev, &k->by);
	if (e == ERR_OK)
		return erase_pending(l);
	/* who ordered it is told that it is not done */
	(void)!audit_pending_remove(audit_beside(l->audit), k->what.study,
				    k->what.before_ms);
	return e;
}

static void erase_settle(struct ledger *l)
{
	l->keeper->settle_ns = clock_mono_ns();
	l->keeper->step = KEEP_ERASE_SETTLE;
}

/* All are counted: on record, then again in earnest. */
static void erase_counted(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	enum err e;

	if (k->r->values == 0) {
		/* one before may not have come to that */
		erase_settle(l);
		return;
	}
	e = erase_on_record(l);
	if (e != ERR_OK) {
		keep_finish(l, e, audit_why(l->audit));
		return;
	}
	k->total = k->r->values;
	k->r->values = 0;
	memset(&k->place, 0, sizeof(k->place));
	k->step = KEEP_ERASE;
}

/* Somebody else writes there: again, but not for ever. */
static void erase_waits(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	uint64_t now = clock_mono_ns();

	if (k->settle_ns == 0)
		k->settle_ns = now;
	else if (now - k->settle_ns > SETTLE_S * 1000000000ULL)
		keep_finish(l, ERR_BUSY,
			    "somebody else writes to the files of the audit "
			    "all the time; end that, and give the order again, "
			    "it goes on from where it is");
}

static void erase_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool more = true;
	enum err e = audit_erase_some(l->audit, &k->what, k->by, &k->place,
				      &k->r->values, &more);

	if (e == ERR_BUSY) {
		erase_waits(l);
		return;
	}
	k->settle_ns = 0;
	if (e != ERR_OK) {
		keep_finish(l, e, audit_why(l->audit));
	} else if (!more) {
		k->series =
		    (struct erase_place){.really = k->step == KEEP_ERASE};
		k->step = k->step == KEEP_ERASE ? KEEP_ERASE_SERIES
						: KEEP_ERASE_COUNT_SERIES;
	}
}

/* The ledger is a copy that comes and goes; the audit is not. */
static bool ledger_is_away(struct ledger *l)
{
	if (l->db != NULL)
		return false;
	keep_finish(l, ERR_BUSY,
		    "the ledger is not open at this moment, see the log; give "
		    "the order again, it goes on from where it is");
	return true;
}

static void erase_series_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool more = true;
	enum err e;

	if (ledger_is_away(l))
		return;
	e = ledger_erase_some(l, &k->what, &k->series, &k->r->values, &more);
	if (e != ERR_OK) {
		ledger_failed(l, e);
		(void)ledger_is_away(l);
	} else if (!more && !k->series.really) {
		erase_counted(l);
	} else if (!more) {
		erase_settle(l);
	}
}

static void erase_end(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_pruned *beside = audit_beside(l->audit);
	enum err e = ERR_IO;

	if (beside != NULL)
		e = audit_pending_remove(beside, k->what.study,
					 k->what.before_ms);
	keep_finish(l, e,
		    "it is erased, but audit-pruned.db cannot be written "
		    "just now");
}

static void erase_settle_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (ledger_is_away(l))
		return;
	if (ledger_erase_settled(l))
		erase_end(l);
	else if (clock_mono_ns() - k->settle_ns > SETTLE_S * 1000000000ULL)
		keep_finish(l, ERR_BUSY,
			    "the values are erased, but somebody reads the "
			    "ledger all the time, so that its log still holds "
			    "them; end that, and give the order again");
}

/* ---- months -----------------------------------------------------------------
 */

static void months_done(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (l->o.retention_transfers_ms == 0) {
		keep_finish(l, ERR_OK, NULL);
		return;
	}
	k->rows = (struct prune_place){
	    .cutoff_ms =
		clock_wall_ms() - (int64_t)l->o.retention_transfers_ms};
	k->step = KEEP_TRANSFERS_LOOK;
}

static void month_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	enum err e = ERR_OK;

	if (l->o.retention_audit_ms != 0)
		e = audit_prune_begin(l->audit,
				      clock_wall_ms() -
					  (int64_t)l->o.retention_audit_ms,
				      &k->prune);
	if (e != ERR_OK)
		keep_finish(l, e, audit_why(l->audit));
	else if (k->prune == NULL)
		months_done(l);
	else
		k->step = KEEP_MONTH_READ;
}

static enum err month_end(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_event ev;
	enum err e;

	audit_prune_event(k->prune, k->manual ? k->order.user : "", &ev);
	e = keep_record(l, &ev, NULL);
	if (e == ERR_OK)
		e = audit_prune_end(k->prune);
	if (e != ERR_OK)
		return e;
	log_event(LOG_INFO, "audit-pruned", "month=%s rows=%llu",
		  audit_prune_month(k->prune),
		  (unsigned long long)audit_prune_rows(k->prune));
	k->r->months++;
	k->r->rows += audit_prune_rows(k->prune);
	audit_prune_free(k->prune);
	k->prune = NULL;
	k->step = KEEP_MONTH;
	return ERR_OK;
}

static void month_read_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool done = false;
	enum err e = audit_prune_read(k->prune, &done);

	if (e == ERR_OK && done)
		e = month_end(l);
	if (e == ERR_OK || e == ERR_BUSY)
		return;
	log_event(LOG_ERROR, "audit-prune-refused", "month=%s detail=\"%s\"",
		  audit_prune_month(k->prune), audit_prune_why(k->prune));
	keep_finish(l, e, audit_prune_why(k->prune));
}

/* ---- transfers --------------------------------------------------------------
 */

static void transfers_found(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_event ev = {.kind = AUDIT_TRANSFERS_PRUNED};
	struct audit_json j = audit_json_begin(ev.detail, sizeof(ev.detail));
	char when[CLOCK_TEXT_LEN];
	enum err e;

	audit_json_text(&j, "before", clock_text(k->rows.cutoff_ms, when));
	audit_json_end(&j);
	if (k->manual)
		snprintf(ev.user, sizeof(ev.user), "%s", k->order.user);
	e = keep_record(l, &ev, NULL);
	if (e != ERR_OK) {
		keep_finish(l, e, audit_why(l->audit));
		return;
	}
	k->rows = (struct prune_place){.cutoff_ms = k->rows.cutoff_ms,
				       .really = true};
	k->step = KEEP_TRANSFERS;
}

static void transfers_end(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	k->r->transfers = k->rows.transfers;
	k->r->associations = k->rows.associations;
	if (k->rows.really)
		log_event(LOG_INFO, "transfers-pruned",
			  "transfers=%llu associations=%llu",
			  (unsigned long long)k->rows.transfers,
			  (unsigned long long)k->rows.associations);
	keep_finish(l, ERR_OK, NULL);
}

static void transfers_step(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool more = true;
	enum err e;

	if (l->db == NULL || is_held(l, NULL)) {
		transfers_end(l); /* all is held, or another time */
		return;
	}
	e = ledger_prune_some(l, &k->rows, &more);
	if (e != ERR_OK) {
		ledger_failed(l, e);
		keep_finish(l, e, "the ledger failed; see the log");
	} else if (!k->rows.really &&
		   k->rows.transfers + k->rows.associations > 0) {
		transfers_found(l);
	} else if (!more) {
		k->step = KEEP_TRANSFERS_SETTLE;
	}
}

/* ---- begin and go on --------------------------------------------------------
 */

static void prune_begin(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	char why[AUDIT_WHY_LEN];

	if (keep_clock_fit(l, why)) {
		k->step = KEEP_MONTH;
		return;
	}
	if (!k->told)
		log_event(LOG_WARN, "prune-waits", "detail=\"%s\"", why);
	k->told = true;
	keep_finish(l, ERR_DENIED, why);
}

void keep_tell(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	uint64_t n = k->r->values + k->r->rows + k->rows.transfers +
		     k->rows.associations;

	if (k->prune != NULL)
		n += audit_prune_rows(k->prune);
	(void)pthread_mutex_lock(&k->lock);
	k->so_far = k->manual && k->step != KEEP_IDLE ? n : 0;
	k->in_all = k->total;
	(void)pthread_mutex_unlock(&k->lock);
}

static void sign_now(struct ledger *l)
{
	enum err e = audit_sign_now(l->audit);
	const struct audit_head *h = audit_signed(l->audit);

	if (e == ERR_OK && h != NULL)
		l->keeper->r->head = *h;
	keep_finish(l, e, audit_why(l->audit));
}

void keep_begin(struct ledger *l, bool manual)
{
	struct ledger_keeper *k = l->keeper;

	k->manual = manual;
	k->resumed = false;
	k->total = 0;
	k->rows = (struct prune_place){.really = false};
	k->r = manual ? &k->result : &k->own;
	if (!manual) {
		memset(k->r, 0, sizeof(*k->r));
		prune_begin(l);
		return;
	}
	switch (k->order.op) {
	case LEDGER_KEEP_PRUNE:
		prune_begin(l);
		return;
	case LEDGER_KEEP_ERASE:
		erase_ordered(l);
		return;
	case LEDGER_KEEP_HOLD:
	case LEDGER_KEEP_UNHOLD:
	case LEDGER_KEEP_HOLDS:
		do_holds(l, k->order.op);
		return;
	case LEDGER_KEEP_CLOCK:
		keep_finish(l, keep_clock_confirm(l), NULL);
		return;
	case LEDGER_KEEP_HEAD:
		sign_now(l);
		return;
	}
}

bool keep_resume(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	struct audit_pruned *beside = audit_beside(l->audit);
	struct audit_pending o;
	enum err e = ERR_IO;

	if (beside != NULL)
		e = audit_pending_get(beside, &o);
	if (e == ERR_NOTFOUND)
		k->pending_ns = UINT64_MAX;
	else if (e != ERR_OK)
		keep_again_later(l);
	if (e != ERR_OK)
		return false;
	log_event(LOG_INFO, "audit-erase-resumed", "row=%lld", (long long)o.by);
	k->manual = false;
	k->resumed = true;
	k->rows = (struct prune_place){.really = false};
	k->r = &k->own;
	memset(k->r, 0, sizeof(*k->r));
	erase_begin(l, &o);
	return true;
}

void keep_step(struct ledger *l)
{
	switch (l->keeper->step) {
	case KEEP_IDLE:
		return;
	case KEEP_ERASE_COUNT:
	case KEEP_ERASE:
		erase_step(l);
		return;
	case KEEP_ERASE_COUNT_SERIES:
	case KEEP_ERASE_SERIES:
		erase_series_step(l);
		return;
	case KEEP_ERASE_SETTLE:
		erase_settle_step(l);
		return;
	case KEEP_MONTH:
		month_step(l);
		return;
	case KEEP_MONTH_READ:
		month_read_step(l);
		return;
	case KEEP_TRANSFERS_LOOK:
	case KEEP_TRANSFERS:
		transfers_step(l);
		return;
	case KEEP_TRANSFERS_SETTLE:
		if (!l->in_transaction)
			transfers_end(l);
		return;
	}
}
