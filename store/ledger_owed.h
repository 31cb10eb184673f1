/* ledger_owed.h - instances of which the audit has no row yet. Private to
 * store/ledger*.c; ledger thread.
 *
 * The audit counts instances by association and study, and its rows are made
 * when those are through: a process that is killed takes the counts along. So
 * what is not on record stands in the table owed, in the transaction that makes
 * rows of the instance, until the row of the audit is on the disk. A start
 * after an end that was no stop writes what is left there, as recovered. It is
 * rather written twice than not at all. */
#ifndef STORE_LEDGER_OWED_H
#define STORE_LEDGER_OWED_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"
#include "store/instance.h"

struct ledger;
struct post;

enum { OWED_SLOTS = 32 }; /* kept in memory, in a transaction */

enum owed_kind { OWED_RECEIVED, OWED_SENT }; /* values are stored */

/* What came since the last flush. Of the mirror. */
struct mirror_owed {
	int64_t run;
	enum owed_kind kind;
	int64_t whom; /* row id: an origin, or a destination */
	int64_t series;
	uint64_t instances, bytes;
	int64_t first_ms, last_ms;
};

/* The lists are empty from the beginning. */
struct ledger_owed {
	int64_t run;     /* this process; what is of others is lower */
	uint64_t past;   /* records up to here were there at the start */
	int64_t from_ms; /* when the process before began, as far as known */
	enum { OWED_DONE, OWED_FORGET, OWED_WRITE } todo; /* with the past */
	uint64_t retry_ns;
	uint64_t rows, instances; /* written */
	/* Rows of the audit: committed, on the disk, and taken off in the open
	 * transaction. */
	struct list committed, synced, taken;
	unsigned n;
};

/* At the start, with spool and audit open. */
void ledger_owed_init(struct ledger *l);
void ledger_owed_free(struct ledger *l);
/* The number of this run; in a transaction. */
enum err ledger_owed_load(struct ledger *l) MUST_CHECK;
/* An instance has become rows; a delivery of one has got there. */
enum err ledger_owed_received(struct ledger *l, const struct instance *in,
			      int64_t origin, int64_t series) MUST_CHECK;
enum err ledger_owed_sent(struct ledger *l, int64_t destination, int64_t series,
			  uint64_t bytes, int64_t at_ms) MUST_CHECK;
enum err ledger_owed_flush(struct ledger *l) MUST_CHECK;

/* A row of the audit was committed; all such are on the disk. */
void ledger_owed_row(struct ledger *l, const struct post *p);
void ledger_owed_synced(struct ledger *l);
/* Take off what such rows say, once the ledger has come as far. */
enum err ledger_owed_take(struct ledger *l) MUST_CHECK;
/* The transaction is committed; or undone. */
void ledger_owed_taken(struct ledger *l);
void ledger_owed_undo(struct ledger *l);

/* One step of what the process before left. Outside a transaction. */
enum err ledger_owed_settle(struct ledger *l) MUST_CHECK;

#endif
