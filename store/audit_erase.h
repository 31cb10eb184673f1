/* audit_erase.h - taking sealed values away for good, on record.
 *
 * The chain holds only a salted commitment to a sealed value; the salt is
 * sealed with it. So a blob can go, and all rows still verify; that it went is
 * a row (AUDIT_ERASED) of its own, written first, and a line in the table
 * erased that names that row. Ledger thread. */
#ifndef STORE_AUDIT_ERASE_H
#define STORE_AUDIT_ERASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/audit.h"

/* Of a study, or of all rows before a moment. */
struct audit_erase {
	char study[65];    /* "": none */
	int64_t before_ms; /* 0: none */
};

/* The AUDIT_ERASED row that says so. values: how many there are. */
void audit_erase_event(const struct audit_erase *what, const char *user,
		       uint64_t values, struct audit_event *out);
/* before_ms out of the detail of such a row; 0: it is of a study. */
int64_t audit_erase_before(const char *detail);

/* How far it has come: all zero at first. */
struct audit_erase_place {
	char name[64]; /* of the file at hand */
	int64_t seq;   /* the last number looked at in it */
	bool inside;
};

enum { AUDIT_ERASE_BATCH = 1000 };

/* One batch: at most AUDIT_ERASE_BATCH values of one file are looked at; those
 * that fit are counted in *values and, unless by is 0, erased in the name of
 * row by. *more false: that was the last. Files from before there was a chain
 * are left alone: what they sealed cannot be erased by itself. Errors as
 * audit_append(), ERR_BUSY (somebody else writes there); after any of them the
 * next call does the same batch. */
enum err audit_erase_some(struct audit *a, const struct audit_erase *what,
			  int64_t by, struct audit_erase_place *at,
			  uint64_t *values, bool *more) MUST_CHECK;

#endif
