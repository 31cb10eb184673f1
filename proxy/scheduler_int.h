/* scheduler_int.h - shared by the files of the scheduler; not for others.
 *
 * scheduler.c           start, stop, hints, status
 * scheduler_window.c    what of the queue is in memory
 * scheduler_fetch.c     filling it from the ledger
 * scheduler_run.c       who sends what next
 * scheduler_result.c    what came of it
 * scheduler_hold.c      contexts and AE pairs that wait
 * scheduler_early.c     what still comes in: cut-through
 * scheduler_orders.c    what an operator does
 * scheduler_link.c      a destination that is a link
 *
 * Everything here lives on the main loop's thread. */
#ifndef PROXY_SCHEDULER_INT_H
#define PROXY_SCHEDULER_INT_H

#include <stdatomic.h>
#include <uv.h>

#include "policy/config.h"
#include "proxy/destination.h"
#include "proxy/early.h"
#include "proxy/heap.h"
#include "proxy/idmap.h"
#include "proxy/lane.h"
#include "proxy/lib/list.h"
#include "proxy/link/link_sender.h"
#include "proxy/passage.h"
#include "proxy/prober.h"
#include "proxy/reader.h"
#include "proxy/recent.h"
#include "proxy/scheduler.h"
#include "proxy/task.h"
#include "store/ledger.h"
#include "store/spool.h"

enum {
	WINDOW_MAX = 4096, /* items of one destination in memory */
	LEVEL_MAX = 1024,  /* of them, of one priority */
	LEVELS = 16,
	LANE_DEPTH = 2,   /* tasks given to a lane: one ahead */
	DONE_MAX = 32768, /* finished ones remembered against stale answers */
	HOLDS_MAX = 256,  /* of one destination */
	AGING_MS = 10 * 60 * 1000, /* a level is worth this much age */
	OPEN_FIRST_MS = 1000,      /* back-off of a destination not reached */
	OPEN_MAX_MS = 60 * 1000,
	RESCAN_MS = 2000, /* for what was left out of the window */
	ALONE_MS = 10 * 60 * 1000,
};

enum item_state {
	ITEM_READY,   /* in dest.ready */
	ITEM_WAITING, /* in dest.waiting, until its time */
	ITEM_BLOCKED, /* an earlier one of the same UID is in the window */
	ITEM_FLYING,  /* given to a lane */
};

/* A delivery in the window. */
struct item {
	struct heap_node heap; /* of ready or waiting */
	struct ledger_item li;
	char calling_ae[17], called_ae[17]; /* as used there */
	enum item_state state;
	unsigned level;
	struct item *later;      /* of the same UID, in order of arrival */
	unsigned suspects;       /* failures that count against it */
	unsigned failures;       /* back to back, for the back-off */
	uint64_t delivered_then; /* dest.delivered at the first suspect one */
	int64_t suspect_ms;      /* wall, of the first one */
	bool isolate;            /* to be tried alone */
	bool withdrawn;          /* flying, but an order has ended it */
	struct hold *hold;       /* it is that hold's probe */
};

/* A context or, with abstract "", an AE pair that waits. */
struct hold {
	struct list node; /* in dest.holds */
	char calling_ae[17], called_ae[17];
	char abstract[65], transfer_syntax[65];
	struct item *probe; /* tried now and then; NULL: none at hand */
	uint64_t skipped;   /* others seen and left out */
	int64_t since_ms;   /* wall */
	char why[LEDGER_TEXT_LEN];
};

struct lane {
	struct dest *dest;
	const struct lane_ops *ops;
	void *impl;             /* NULL: not made yet */
	unsigned n;             /* tasks given */
	uint64_t bytes;         /* of them */
	bool early;             /* one that still comes in has it */
	uint64_t not_before_ms; /* monotonic */
	unsigned failures;
	char calling_ae[17], called_ae[17]; /* of the last task */
	char study[65];
};

/* Of one priority: how far the ledger was read. */
struct level {
	struct ledger_cursor after;
	bool begun; /* after is beyond its first */
	bool end;   /* nothing more at the moment */
	unsigned n; /* in the window */
};

struct done {
	uint64_t delivery, uid_hash;
};

struct dest {
	struct scheduler *s;
	const struct config_destination *config;
	struct destination *destination; /* borrowed */
	struct recent *recent;
	struct prober *prober;
	struct reader *writers; /* of a directory */
	struct lane *lanes;
	size_t n_lanes;
	uv_timer_t timer;

	/* Window. */
	struct idmap by_id;  /* delivery -> item */
	struct idmap by_uid; /* uid_hash -> earliest item */
	struct heap ready, waiting;
	struct level levels[LEVELS];
	struct done *done; /* ring of DONE_MAX, made when needed */
	size_t done_at, n_done;
	struct idmap done_ids, done_uids;
	bool fetching;
	uint64_t rescan_at_ms; /* monotonic; 0: not needed */
	/* Until then a hint may speak of old ones: released, redirected. */
	uint64_t old_hints_until_ms;

	/* Sending. */
	unsigned in_flight;
	struct item *alone; /* is to be, or is, tried alone */
	uint64_t not_before_ms;
	unsigned open_failures; /* back to back */
	unsigned busy_failures;
	bool trying; /* after a back-off: one lane only until it works */
	bool held_by_operator;
	bool stopped;
	struct list holds;
	size_t n_holds;
	struct list unposted; /* of struct unposted */
	struct list flights;  /* scheduler_early.c; empty: none comes in */
	unsigned n_flying;    /* of them, given to a lane */
	uint64_t early_not_before_ms;

	struct passage passage; /* studies on their way, for the audit */

	/* Figures. */
	_Atomic bool hinted;
	uint64_t delivered, delivered_bytes, failures;
	int64_t success_ms, error_ms;
	char error[512];
};

/* An outcome that the spool did not take yet. */
struct unposted {
	struct list node;
	struct outcome outcome;
};

struct scheduler {
	struct scheduler_options opt;
	struct reader *reader;
	struct health *health; /* NULL: not made */
	struct dest *dests;
	size_t n_dests;
	uint64_t random;
	uint64_t last_flight;
	int64_t started_ms; /* wall */
	struct msg hint_msg;
	_Atomic bool hint_posted;
	struct msg want_msg;
	_Atomic bool want_posted;
	unsigned pending; /* fetches, orders and others that will come back */

	bool stopping;
	uv_timer_t stop_timer;
	bool grace_over, closing_parts;
	size_t n_parts; /* uv handles, lanes, probers that still close */
	scheduler_stopped_fn *stopped;
	void *stopped_arg;
	struct list orders;
};

/* scheduler.c */
uint64_t sched_now(void); /* monotonic ms */
struct dest *sched_dest(struct scheduler *s, const char *name);
/* One thing less is pending: may end the stop. */
void sched_settled(struct scheduler *s);
/* Write an outcome, now or as soon as the spool takes it. */
void sched_outcome(struct dest *d, const struct outcome *o);
void sched_flush_outcomes(struct dest *d);

/* scheduler_window.c */

/* The item with this delivery id, or NULL. */
struct item *window_find(const struct dest *d, uint64_t delivery);
/* Take li in, ready or blocked. ERR_NOMEM; ERR_BUSY: an earlier one of its UID
 * is open, but not at hand: later. */
enum err window_add(struct dest *d, const struct ledger_item *li,
		    unsigned level, struct item **out) MUST_CHECK;
/* Out of the window, and freed. finished: it will not come again; else later
 * ones of its UID go too. Not while flying. */
void window_drop(struct dest *d, struct item *it, bool finished);
/* Finished lately: the ledger may not know yet. */
bool window_is_done(const struct dest *d, uint64_t delivery);
void window_forget_done(struct dest *d, uint64_t delivery);
void window_ready(struct dest *d, struct item *it);
void window_wait(struct dest *d, struct item *it, uint64_t until_ms);
/* Move what has waited long enough to ready. */
void window_wake(struct dest *d, uint64_t now_ms);
void window_free(struct dest *d);

/* scheduler_fetch.c */

/* Ask for more when there is room. */
void fetch_more(struct dest *d);
/* There may be new ones. */
void fetch_again(struct dest *d);
/* Read from the beginning after ms at the latest: something was left out. */
void fetch_rescan(struct dest *d, uint64_t ms);
/* All that is due is in the window, as far as is known. */
bool fetch_is_done(const struct dest *d);

/* scheduler_run.c */

/* If it is not made yet. */
enum err run_make_lane(struct lane *l) MUST_CHECK;
/* Do what can be done now, set the timer for what comes next. */
void run_dest(struct dest *d);
/* first * 2^n, at most max, 20 per cent either way. */
uint64_t run_backoff(struct scheduler *s, uint64_t first, uint64_t max,
		     unsigned n);
/* Give it, of which the rest still comes in, to a lane that has nothing else
 * to do, or to a link. NULL: there is none, or no memory. */
struct lane *run_give_early(struct dest *d, const struct item *it,
			    uint64_t flight, void (*done)(struct msg *m));

/* scheduler_result.c */
void result_done(struct msg *m); /* task.done */
void result_error(struct dest *d, const struct verdict *v, const char *detail);

/* scheduler_hold.c */

/* The hold that it falls under, or NULL. */
struct hold *hold_of(const struct dest *d, const struct item *it);
/* Begin or renew the hold of it, which is its probe or dropped. pair: of the
 * AE pair. */
void hold_begin(struct dest *d, struct item *it, bool pair, const char *why);
/* Its probe went through, or hold is empty: let the others go. */
void hold_release(struct dest *d, struct hold *h);
/* it falls under h: make it its probe, or leave it out. true: dropped. */
bool hold_take(struct dest *d, struct hold *h, struct item *it);
/* it leaves the window. */
void hold_forget(struct dest *d, struct item *it);
/* The queue is read from its beginning: what is left out is counted anew. */
void hold_count_again(struct dest *d);
/* Holds that nothing in the queue falls under any more are over. */
void hold_prune(struct dest *d);
void hold_free_all(struct dest *d);

/* scheduler_early.c */

/* early_desk.fn; arg: the scheduler. */
void early_heard(void *arg, const struct early_news *news);
/* it came into the window: it may be flying already. */
void early_meet(struct dest *d, struct item *it);
/* it has to wait until what flies has come back. */
bool early_bars(struct dest *d, const struct item *it);
/* What is whole finds no lane: what is not goes back. */
void early_give_way(struct dest *d);
/* Let one begin, if nothing else is to be done. */
void early_run(struct dest *d, uint64_t now_ms);
/* When to run again, monotonic ms; 0: for no reason of these. */
uint64_t early_due(const struct dest *d, uint64_t now_ms);
/* The scheduler stops. */
void early_stop(struct dest *d);
void early_free(struct dest *d);

/* Try all that waits now: by order of an operator. */
void run_all_now(struct dest *d);

/* scheduler_orders.c */
void orders_cancel(struct scheduler *s);

/* scheduler_link.c */
bool link_is(const struct dest *d);
/* Tasks that the lane may have, before it takes this one. */
unsigned link_depth(const struct dest *d, const struct item *it);
enum err link_lane(struct lane *l, struct worker *worker) MUST_CHECK;
/* It is not to be sent any more. Nothing, if d is no link. */
void link_withdraw(const struct dest *d, const struct transfer_id *id,
		   enum link_withdraw why);
void link_status(const struct dest *d, struct destination_status *out);

#endif
