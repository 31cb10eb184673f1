/* audit_read.h - the audit's rows in order of seq, across the month files.
 *
 * Read-only, beside a daemon that writes or without one. A clock that stepped
 * back lets the numbers of two months interleave: rows come merged. A read
 * transaction lasts for AUDIT_READ_WINDOW numbers at most, or until
 * audit_read_pause(): call that before waiting for a slow taker. Memory is
 * constant. A reader is for one thread. */
#ifndef STORE_AUDIT_READ_H
#define STORE_AUDIT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit_row.h"

struct audit_reader; /* opaque */

enum { AUDIT_READ_WINDOW = 4096 };

/* All zero: everything, upwards. Text is borrowed until the reader is closed;
 * NULL or "" means any. */
struct audit_filter {
	int64_t from_ms, to_ms;   /* of wall time, both inclusive; 0: open */
	int64_t from_seq, to_seq; /* both inclusive; 0: open */
	const char *listener;
	const char *device;
	const char *destination;
	const char *study;
	const char *user;
	const char *calling_ae;
	uint64_t association;
	const int32_t *kinds; /* any of these; NULL: all */
	size_t n_kinds;
	int32_t outcome_min; /* at least this serious */
	bool backwards;      /* from the newest to the oldest */
	bool sealed;         /* fetch the sealed values, too */
	/* By the indexes and the names of the months: for a page, which has to
	 * come soon. Without it every row is looked at, which nobody can hide
	 * by editing an index. */
	bool quick;
	/* Numbers looked at before audit_read_next() says ERR_AGAIN, so that a
	 * page with a rare filter comes in bounded time; 0: no bound. */
	uint64_t budget;
	uint64_t budget_ns; /* the same in time; 0: no bound */
};

/* filter NULL: everything. dir: records.path. Rows committed later than this
 * call are left out. ERR_NOTFOUND: no audit there; ERR_UNSUPPORTED: written by
 * a newer program; ERR_IO; ERR_NOMEM. why (NULL is fine) in words. */
enum err audit_read_open(const char *dir, const struct audit_filter *filter,
			 struct audit_reader **out,
			 char why[AUDIT_WHY_LEN]) MUST_CHECK;
/* The next row, valid until the next call; NULL after the last.
 *
 *   ERR_AGAIN    the budget is used up: the next call goes on; *row is NULL
 *   ERR_CORRUPT  a file is damaged: audit_read_file() says which. It is left
 *                out from here on, and the next call goes on without it
 *   ERR_IO, ERR_BUSY, ERR_NOMEM */
enum err audit_read_next(struct audit_reader *r,
			 const struct audit_row **row) MUST_CHECK;
/* End the transaction; the next row begins another. */
void audit_read_pause(struct audit_reader *r);
/* The lowest and highest number there was when it was opened; 0: none. */
void audit_read_span(const struct audit_reader *r, int64_t *first,
		     int64_t *last);
/* How far it has come: the last number that was looked at. */
int64_t audit_read_position(const struct audit_reader *r);
/* The file of the last row, without its directory: "audit-2026-05.db". */
const char *audit_read_file(const struct audit_reader *r);
const char *audit_read_why(const struct audit_reader *r);
void audit_read_close(struct audit_reader *r); /* NULL is fine */

#endif
