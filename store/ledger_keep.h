/* ledger_keep.h - how long records stay: retention, legal holds, erasing.
 *
 * An order is worked on by the ledger thread in small pieces between its own
 * work; one at a time. Once an hour the thread prunes by itself what is older
 * than ledger_options.retention_*: months of the audit, finished transfers,
 * associations and refusals. Nothing is pruned while the clock is not
 * synchronised or has jumped by more than an hour, until LEDGER_KEEP_CLOCK
 * (not after that either, once it jumps again); nothing that is held. Each
 * pruning and erasing is an audit row of its own before it takes effect.
 * Erasing that the end of the process cut short is gone on with at the next
 * start, in the name of the same row, before any other order. */
#ifndef STORE_LEDGER_KEEP_H
#define STORE_LEDGER_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit.h"
#include "store/audit_head.h"
#include "store/audit_pruned.h"

struct ledger;

enum ledger_keep_op {
	LEDGER_KEEP_PRUNE,  /* now, not within the hour */
	LEDGER_KEEP_ERASE,  /* study, or before_ms */
	LEDGER_KEEP_HOLD,   /* study ("": all), reason */
	LEDGER_KEEP_UNHOLD, /* id */
	LEDGER_KEEP_HOLDS,  /* list them */
	LEDGER_KEEP_CLOCK,  /* it is right: pruning may go on */
	LEDGER_KEEP_HEAD    /* sign one now */
};

struct ledger_keep_order {
	enum ledger_keep_op op;
	char study[65];
	int64_t before_ms;
	int64_t id;
	char reason[256];
	char user[65]; /* for the record */
};

enum { LEDGER_HOLDS_MAX = 256 };

struct ledger_keep_result {
	enum err e;
	char why[AUDIT_WHY_LEN]; /* "cause; remedy", unless ERR_OK */
	uint64_t months, rows;   /* of the audit, pruned */
	uint64_t transfers, associations;
	uint64_t values; /* erased */
	int64_t id;      /* of a new hold */
	size_t n_holds;
	struct audit_hold holds[LEDGER_HOLDS_MAX];
	struct audit_head head; /* number 0: none */
};

/* Whether to wait no longer. so_far rows or values are done of in_all (0: not
 * known). */
typedef bool ledger_keep_stop_fn(void *arg, uint64_t so_far, uint64_t in_all);

/* Whether an order is under way. Any thread. */
bool ledger_keep_is_busy(struct ledger *l);

/* Have an order carried out and wait for its end, or until stop (NULL: never)
 * says so, which is asked every 50 ms; what was begun is then carried on to its
 * end all the same. Any thread but the ledger's and a loop's.
 *
 *   ERR_OK        *out says how it went
 *   ERR_BUSY      another one is under way
 *   ERR_CANCELED  by stop, or the ledger closes */
enum err ledger_keep(struct ledger *l, const struct ledger_keep_order *order,
		     ledger_keep_stop_fn *stop, void *arg,
		     struct ledger_keep_result *out) MUST_CHECK;

#endif
