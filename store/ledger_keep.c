/* ledger_keep.c - orders, from the thread that asks to the ledger's. */
#include "store/ledger_keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "store/ledger_keep_in.h"

enum { LOOK_MS = 50, HOUR_S = 3600, FIRST_S = 60 };

enum err ledger_keeper_new(struct ledger *l)
{
	struct ledger_keeper *k = mem_zalloc(sizeof(*k));
	pthread_condattr_t attr;

	if (k == NULL)
		return ERR_NOMEM;
	(void)pthread_mutex_init(&k->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&k->answered, &attr);
	(void)pthread_condattr_destroy(&attr);
	k->next_ns = clock_mono_ns() + FIRST_S * 1000000000ULL;
	l->keeper = k;
	return ERR_OK;
}

void ledger_keeper_free(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (k == NULL)
		return;
	audit_prune_free(k->prune);
	(void)pthread_cond_destroy(&k->answered);
	(void)pthread_mutex_destroy(&k->lock);
	mem_free(k);
	l->keeper = NULL;
}

/* ---- the thread that asks ---------------------------------------------------
 */

static void wait_a_little(struct ledger_keeper *k)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	(void)pthread_cond_timedwait(&k->answered, &k->lock, &until);
}

bool ledger_keep_is_busy(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool yes;

	(void)pthread_mutex_lock(&k->lock);
	yes = k->ordered && (k->waiting || !k->done);
	(void)pthread_mutex_unlock(&k->lock);
	return yes;
}

/* Without the lock: it may take a while to tell somebody. */
static bool asked_to_stop(struct ledger_keeper *k, ledger_keep_stop_fn *stop,
			  void *arg)
{
	uint64_t so_far = k->so_far, in_all = k->in_all;
	bool yes;

	if (stop == NULL)
		return false;
	(void)pthread_mutex_unlock(&k->lock);
	yes = stop(arg, so_far, in_all);
	(void)pthread_mutex_lock(&k->lock);
	return yes && !k->done;
}

enum err ledger_keep(struct ledger *l, const struct ledger_keep_order *order,
		     ledger_keep_stop_fn *stop, void *arg,
		     struct ledger_keep_result *out)
{
	struct ledger_keeper *k = l->keeper;
	enum err e = ERR_OK;

	(void)pthread_mutex_lock(&k->lock);
	if (k->ordered && k->done && !k->waiting)
		k->ordered = false; /* nobody waited for its end */
	if (k->ordered || k->closing) {
		e = k->closing ? ERR_CANCELED : ERR_BUSY;
		(void)pthread_mutex_unlock(&k->lock);
		return e;
	}
	k->order = *order;
	k->ordered = k->waiting = true;
	k->done = false;
	k->so_far = k->in_all = 0;
	while (!k->done && !k->closing && !asked_to_stop(k, stop, arg))
		wait_a_little(k);
	if (k->done) {
		*out = k->result;
		k->ordered = false;
	} else {
		e = ERR_CANCELED; /* the next to come finds it done, or busy */
	}
	k->waiting = false;
	(void)pthread_mutex_unlock(&k->lock);
	return e;
}

/* ---- the ledger's thread ----------------------------------------------------
 */

/* What an order left half done is looked for again. */
void keep_again_later(struct ledger *l)
{
	l->keeper->pending_ns = clock_mono_ns() + HOUR_S * 1000000000ULL;
}

void keep_finish(struct ledger *l, enum err e, const char *why)
{
	struct ledger_keeper *k = l->keeper;

	k->step = KEEP_IDLE;
	k->r->e = e;
	if (e != ERR_OK)
		keep_again_later(l);
	if (e != ERR_OK)
		snprintf(k->r->why, sizeof(k->r->why), "%s",
			 why != NULL && why[0] != '\0' ? why : err_text(e));
	if (k->resumed && e != ERR_OK)
		log_event(LOG_WARN, "audit-erase-unfinished", "detail=\"%s\"",
			  k->r->why);
	audit_prune_free(k->prune); /* why may stand in it */
	k->prune = NULL;
	if (!k->manual)
		return;
	(void)pthread_mutex_lock(&k->lock);
	k->done = true;
	(void)pthread_cond_signal(&k->answered);
	(void)pthread_mutex_unlock(&k->lock);
}

/* An order that nobody waits for any more is done with when it is done. */
static bool take_order(struct ledger_keeper *k)
{
	bool taken;

	(void)pthread_mutex_lock(&k->lock);
	taken = k->ordered && !k->done;
	if (taken)
		memset(&k->result, 0, sizeof(k->result));
	(void)pthread_mutex_unlock(&k->lock);
	return taken;
}

static bool order_waits(struct ledger_keeper *k)
{
	bool yes;

	(void)pthread_mutex_lock(&k->lock);
	yes = k->ordered && !k->done;
	(void)pthread_mutex_unlock(&k->lock);
	return yes;
}

/* What is ordered may be a hold: it comes before the next month. */
static void give_way(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (k->step != KEEP_MONTH || k->manual || !order_waits(k))
		return;
	keep_finish(l, ERR_OK, NULL);
	k->next_ns = 0; /* and then on */
}

static bool hour_is_over(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	uint64_t now = clock_mono_ns();

	if (l->o.retention_audit_ms == 0 && l->o.retention_transfers_ms == 0)
		return false;
	if (now < k->next_ns)
		return false;
	k->next_ns = now + HOUR_S * 1000000000ULL;
	return true;
}

/* Before any order: what was begun before the start is not held since. */
static bool resume(struct ledger *l)
{
	return l->db != NULL && clock_mono_ns() >= l->keeper->pending_ns &&
	       keep_resume(l);
}

/* CULVERT_TEST_KEEP_MS: so long from one piece to the next. */
static bool rests(struct ledger_keeper *k)
{
	uint64_t ms = 0;
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_KEEP_MS");

	if (hook != NULL)
		ms = strtoul(hook, NULL, 10);
#endif
	return k->step != KEEP_IDLE &&
	       clock_mono_ns() - k->piece_ns < ms * 1000000ULL;
}

void ledger_keep_work(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (l->stopping || l->audit_failed_ns != 0 || rests(k))
		return;
	k->piece_ns = clock_mono_ns();
	give_way(l);
	if (k->step != KEEP_IDLE) {
		keep_step(l);
		keep_tell(l);
	} else if (resume(l)) {
		return;
	} else if (take_order(k)) {
		keep_begin(l, true);
	} else if (hour_is_over(l)) {
		keep_begin(l, false);
	}
}

bool ledger_keep_busy(const struct ledger *l)
{
	enum keep_step step = l->keeper->step;

	if (rests(l->keeper))
		return false;
	return step != KEEP_IDLE && step != KEEP_ERASE_SETTLE &&
	       step != KEEP_TRANSFERS_SETTLE && l->audit_failed_ns == 0;
}

void ledger_keep_tick(struct ledger *l)
{
	keep_clock_watch(l);
}

void ledger_keep_close(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;

	if (k == NULL)
		return;
	(void)pthread_mutex_lock(&k->lock);
	k->closing = true;
	(void)pthread_cond_signal(&k->answered);
	(void)pthread_mutex_unlock(&k->lock);
}
