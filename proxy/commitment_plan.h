/* commitment_plan.h - what a held commitment request needs next.
 *
 * Pure: facts in, one step out; no clock, no threads. The facts are those that
 * the ledger shows, so the same step follows after a restart. */
#ifndef PROXY_COMMITMENT_PLAN_H
#define PROXY_COMMITMENT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ledger.h"

/* Where an instance that is named in a request stands. */
enum named_state {
	NAMED_UNKNOWN, /* never seen here */
	NAMED_WAITING, /* queued, held, or at the far end of a link */
	NAMED_ARRIVED, /* acknowledged upstream */
	NAMED_LOST,    /* given up: quarantined, withdrawn, discarded */
};

enum named_state commitment_named(bool found, enum delivery_state s);

/* Where our request to the archive stands. */
enum asked_state {
	ASKED_NOT,
	ASKED_OPEN,   /* on its way, or accepted: a report is to come */
	ASKED_FAILED, /* given up: no report will come */
};

/* Of a request that exists and is in this state. */
enum asked_state commitment_asked(enum delivery_state s);

struct commitment_facts {
	int64_t now_ms, received_ms; /* wall clock */
	uint64_t unknown_ms;         /* longest wait for unknown ones */
	uint64_t deadline_ms;        /* longest wait at all */
	bool reported;               /* the report to the device is durable */
	bool covered; /* the same request again, its report is on its way */
	bool blocked; /* an older request with this transaction is open */
	enum asked_state asked;
	/* Our newest request was accepted, seen at this time; 0: not yet. And
	 * how many were sent after the first. */
	int64_t accepted_ms;
	unsigned repeats;
	/* Instances; counted only while not asked. */
	size_t waiting, unknown, arrived, lost;
};

enum commitment_step {
	STEP_WAIT,
	STEP_ASK,     /* the archive, for all that is not lost */
	STEP_REPEAT,  /* ask again: its report may have been lost */
	STEP_DENY,    /* report: nothing is left that could be asked for */
	STEP_REFUSED, /* report: our request was given up */
	STEP_OVERDUE, /* report: the deadline has passed */
	STEP_FINISH,  /* the device's request is answered */
};

struct commitment_plan {
	enum commitment_step step;
	/* STEP_WAIT: the plan changes at this time even if nothing happens. */
	int64_t again_ms;
};

struct commitment_plan commitment_plan(const struct commitment_facts *f);

#endif
