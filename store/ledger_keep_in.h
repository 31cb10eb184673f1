/* ledger_keep_in.h - what ledger_keep*.c and ledger_prune.c share. */
#ifndef STORE_LEDGER_KEEP_IN_H
#define STORE_LEDGER_KEEP_IN_H

#include <pthread.h>

#include "store/audit_erase.h"
#include "store/audit_prune.h"
#include "store/ledger_in.h"
#include "store/ledger_keep.h"

enum keep_step {
	KEEP_IDLE,
	KEEP_ERASE_COUNT,        /* how many there are: in the audit, */
	KEEP_ERASE_COUNT_SERIES, /* and in the ledger */
	KEEP_ERASE,
	KEEP_ERASE_SERIES,
	KEEP_ERASE_SETTLE, /* out of the ledger's log */
	KEEP_MONTH,        /* which is next */
	KEEP_MONTH_READ,
	KEEP_TRANSFERS_LOOK, /* is there anything at all */
	KEEP_TRANSFERS,
	KEEP_TRANSFERS_SETTLE /* until they are committed */
};

/* Where pruning of the ledger's rows has come to. */
struct prune_place {
	int64_t cutoff_ms;
	bool really; /* false: stop at the first that would go */
	int64_t seq; /* instances up to here were looked at */
	int64_t association;
	bool instances_done;
	uint64_t transfers, associations;
};

/* Where erasing in the ledger has come to. */
struct erase_place {
	bool really; /* false: count only */
	bool flushed;
	int64_t id; /* series up to here were looked at */
};

struct ledger_keeper {
	pthread_mutex_t lock; /* from here: both sides */
	pthread_cond_t answered;
	bool ordered, waiting, done, closing;
	uint64_t so_far, in_all; /* of what is ordered; 0: not known */
	struct ledger_keep_order order;
	struct ledger_keep_result result;

	/* The ledger thread's. */
	enum keep_step step;
	bool manual;  /* somebody waits for it */
	bool resumed; /* erasing that was begun before the start */
	struct ledger_keep_result own, *r; /* r: of what is under way */
	struct audit_erase what;
	char user[65];       /* who has it erased */
	uint64_t pending_ns; /* when to look for erasing that is not done */
	struct audit_erase_place place;
	int64_t by;
	struct audit_prune *prune;
	struct prune_place rows;
	struct erase_place series;
	uint64_t total;     /* values to erase */
	uint64_t settle_ns; /* since when somebody is in the way; 0: nobody */
	uint64_t next_ns;   /* of the hourly one */
	uint64_t piece_ns;  /* the last piece */
	bool told;          /* that pruning waits */

	int64_t offset_ms; /* wall minus monotonic; 0: not known yet */
	bool confirmed;    /* an auditor said the clock is right */
};

/* ledger_keep_clock.c: watch it; may it be believed? why in words. */
void keep_clock_watch(struct ledger *l);
/* By how much the clock has moved since *known (wall minus monotonic time; 0:
 * not known yet), in one step or in many, if that is more than an hour; *known
 * is then offset. Else 0. */
int64_t keep_clock_step(int64_t *known, int64_t offset);
bool keep_clock_fit(struct ledger *l, char why[AUDIT_WHY_LEN]);
enum err keep_clock_confirm(struct ledger *l) MUST_CHECK;

/* ledger_keep_work.c: one piece of what is under way. */
void keep_begin(struct ledger *l, bool manual);
void keep_step(struct ledger *l);
/* Erasing that was begun and not ended: on with it. False: there is none. */
bool keep_resume(struct ledger *l);
void keep_again_later(struct ledger *l);
/* How far it is, for the one who waits. */
void keep_tell(struct ledger *l);
/* A row, durable; *seq (NULL is fine) is its number. */
enum err keep_record(struct ledger *l, struct audit_event *e,
		     int64_t *seq) MUST_CHECK;
void keep_finish(struct ledger *l, enum err e, const char *why);

/* ledger_prune.c: one batch, in the ledger's transaction. *more false: that
 * was the last, or (not really) one was found: then a count is not 0. */
enum err ledger_prune_some(struct ledger *l, struct prune_place *at,
			   bool *more) MUST_CHECK;

/* ledger_erase.c: one batch of series, in the ledger's transaction; *values
 * more fit. *more false: that was the last. */
enum err ledger_erase_some(struct ledger *l, const struct audit_erase *what,
			   struct erase_place *at, uint64_t *values,
			   bool *more) MUST_CHECK;
/* False: not yet; ask again. */
bool ledger_erase_settled(struct ledger *l);
/* A series' row is going, or has changed: it is not remembered any more. Flush
 * the mirror first. */
void ledger_series_forget(struct ledger *l, int64_t id);

#endif
