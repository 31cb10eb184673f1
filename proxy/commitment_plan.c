#include "proxy/commitment_plan.h"

enum {
	REPEAT_MS = 600000, /* first pause before the archive is asked again */
	REPEAT_SHARE = 8,   /* or this part of the deadline, if that is less */
	REPEATS = 7,        /* the pause doubles that often */
};

enum named_state commitment_named(bool found, enum delivery_state s)
{
	if (!found)
		return NAMED_UNKNOWN;
	switch (s) {
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_ARRIVED: /* not at an archive */
		return NAMED_WAITING;
	case DELIVERY_DELIVERED:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_COMMITTED:
		return NAMED_ARRIVED;
	case DELIVERY_QUARANTINED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_DISCARDED:
		break;
	}
	return NAMED_LOST;
}

enum asked_state commitment_asked(enum delivery_state s)
{
	switch (s) {
	case DELIVERY_QUEUED:
	case DELIVERY_HELD:
	case DELIVERY_ARRIVED:
	case DELIVERY_DELIVERED:
	case DELIVERY_UNCOMMITTED:
	case DELIVERY_COMMITTED:
		return ASKED_OPEN;
	case DELIVERY_QUARANTINED:
	case DELIVERY_WITHDRAWN:
	case DELIVERY_DISCARDED:
		break;
	}
	return ASKED_FAILED;
}

static int64_t after(int64_t from_ms, uint64_t wait_ms)
{
	int64_t room = from_ms > 0 ? INT64_MAX - from_ms : INT64_MAX;

	return wait_ms < (uint64_t)room ? from_ms + (int64_t)wait_ms
					: INT64_MAX;
}

static struct commitment_plan step(enum commitment_step s)
{
	return (struct commitment_plan){.step = s};
}

static struct commitment_plan wait_until(int64_t ms)
{
	return (struct commitment_plan){.step = STEP_WAIT, .again_ms = ms};
}

/* Not asked yet, and nobody is before it. */
static struct commitment_plan plan_asking(const struct commitment_facts *f,
					  int64_t deadline)
{
	int64_t patience = after(f->received_ms, f->unknown_ms);

	if (f->waiting > 0)
		return wait_until(deadline);
	if (f->unknown > 0 && f->now_ms < patience)
		return wait_until(patience < deadline ? patience : deadline);
	return step(f->unknown + f->arrived > 0 ? STEP_ASK : STEP_DENY);
}

/* Asked, and no report yet: archives report once, and may have done so while
 * nobody listened. */
static struct commitment_plan plan_repeating(const struct commitment_facts *f,
					     int64_t deadline)
{
	uint64_t pause = f->deadline_ms / REPEAT_SHARE;
	int64_t again;

	if (f->accepted_ms == 0)
		return wait_until(deadline);
	if (pause > REPEAT_MS)
		pause = REPEAT_MS;
	again = after(f->accepted_ms,
		      pause << (f->repeats < REPEATS ? f->repeats : REPEATS));
	if (f->now_ms >= again)
		return step(STEP_REPEAT);
	return wait_until(again < deadline ? again : deadline);
}

struct commitment_plan commitment_plan(const struct commitment_facts *f)
{
	int64_t deadline = after(f->received_ms, f->deadline_ms);

	if (f->reported || f->covered)
		return step(STEP_FINISH);
	if (f->now_ms >= deadline)
		return step(STEP_OVERDUE);
	switch (f->asked) {
	case ASKED_FAILED:
		return step(STEP_REFUSED);
	case ASKED_OPEN:
		return plan_repeating(f, deadline);
	case ASKED_NOT:
		break;
	}
	return f->blocked ? wait_until(deadline) : plan_asking(f, deadline);
}
