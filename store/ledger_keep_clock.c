/* ledger_keep_clock.c - may the clock be believed?
 *
 * Wall time decides what is old enough to be pruned: a clock that stands years
 * ahead would take all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "store/ledger_keep_in.h"

enum { HOUR_MS = 3600 * 1000 };

static bool synchronised(void)
{
	struct timex t = {0};
	int state;
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_CLOCK");

	if (hook != NULL)
		return hook[0] == '1';
#endif
	state = adjtimex(&t);
	return state >= 0 && state != TIME_ERROR &&
	       (t.status & STA_UNSYNC) == 0;
}

static void suspect(struct ledger *l, int64_t step_ms)
{
	struct audit_pruned *beside = audit_beside(l->audit);
	char why[AUDIT_WHY_LEN], when[CLOCK_TEXT_LEN];

	snprintf(why, sizeof(why), "the clock jumped by %lld s at %s",
		 (long long)(step_ms / 1000),
		 clock_text(clock_wall_ms(), when));
	log_event(LOG_WARN, "clock-suspect", "detail=\"%s\"", why);
	l->keeper->confirmed = false;
	if (beside == NULL || audit_clock_set(beside, why) != ERR_OK)
		log_event(LOG_WARN, "clock-suspect-unwritten", "dir=%s",
			  l->dir);
}

/* At the start: the newest head cannot be of tomorrow. */
static int64_t step_since_head(struct ledger *l, int64_t now)
{
	const struct audit_head *head = audit_signed(l->audit);

	return head != NULL && head->wall_ms - now > HOUR_MS
		   ? now - head->wall_ms
		   : 0;
}

int64_t keep_clock_step(int64_t *known, int64_t offset)
{
	int64_t step = *known != 0 ? offset - *known : 0;

	if (step <= HOUR_MS && step >= -HOUR_MS && *known != 0)
		return 0;
	*known = offset;
	return step;
}

static int64_t offset_now(void)
{
	return clock_wall_ms() - (int64_t)(clock_mono_ns() / 1000000);
}

void keep_clock_watch(struct ledger *l)
{
	struct ledger_keeper *k = l->keeper;
	bool first = k->offset_ms == 0;
	int64_t step = keep_clock_step(&k->offset_ms, offset_now());

	if (first)
		step = step_since_head(l, clock_wall_ms());
	if (step != 0)
		suspect(l, step);
}

bool keep_clock_fit(struct ledger *l, char why[AUDIT_WHY_LEN])
{
	struct audit_pruned *beside = audit_beside(l->audit);

	if (beside == NULL || audit_clock_get(beside, why) != ERR_OK) {
		snprintf(why, AUDIT_WHY_LEN,
			 "audit-pruned.db cannot be read; look after the disk "
			 "under records.path");
		return false;
	}
	if (why[0] == '\0' && !l->keeper->confirmed && !synchronised())
		snprintf(why, AUDIT_WHY_LEN, "the clock is not synchronised");
	if (why[0] == '\0')
		return true;
	snprintf(why + strnlen(why, AUDIT_WHY_LEN),
		 AUDIT_WHY_LEN - strnlen(why, AUDIT_WHY_LEN),
		 "; if it is right, an auditor confirms it: culvert audit "
		 "confirm-clock");
	return false;
}

enum err keep_clock_confirm(struct ledger *l)
{
	struct audit_pruned *beside = audit_beside(l->audit);
	enum err e = beside != NULL ? audit_clock_set(beside, "") : ERR_IO;

	if (e == ERR_OK) {
		l->keeper->offset_ms = offset_now(); /* that is right */
		l->keeper->confirmed = true;
		l->keeper->told = false;
	}
	return e;
}
