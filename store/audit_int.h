/* audit_int.h - what the files of the audit's writer share. Nobody else
 * includes it.
 *
 *   audit.c         rows: append, commit, sync
 *   audit_month.c   the month files: which is open, what was there before
 *   audit_sign.c    heads
 *   audit_pruned.c  audit-pruned.db: what is kept of months that are gone
 *   audit_prune.c   taking a month away
 *   audit_erase.c   taking sealed values away */
#ifndef STORE_AUDIT_INT_H
#define STORE_AUDIT_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/audit.h"
#include "store/audit_head.h"
#include "store/audit_pruned.h"
#include "store/audit_row.h"
#include "store/db.h"

enum {
	AUDIT_MONTH_LEN = 8, /* "2026-05" */
	AUDIT_DIR_LEN = 512,
	AUDIT_PATH_LEN = AUDIT_DIR_LEN + 264,
	AUDIT_CACHE = 1 << 20
};

/* Where the chain stands after a row. */
struct audit_point {
	int64_t seq;
	bool has_chain; /* false: no row has one yet */
	uint8_t chain[AUDIT_CHAIN_LEN];
};

struct audit {
	char dir[AUDIT_DIR_LEN];
	char path[AUDIT_DIR_LEN + 32];
	char month[AUDIT_MONTH_LEN]; /* "" when none is open */
	char
	    found[AUDIT_MONTH_LEN]; /* of the last row there was at the start */
	bool stopped; /* those rows end with a stop, or a start that failed */
	bool unclean; /* not with a stop that is signed */
	int64_t began_ms; /* the newest start among them */
	char boot[AUDIT_BOOT_LEN];
	uint8_t log[AUDIT_LOG_LEN];
	sqlite3 *db;
	sqlite3_stmt *insert, *insert_sealed;
	struct db_identity identity;
	struct audit_point added;     /* the last row added */
	struct audit_point committed; /* the last row committed */
	bool in_transaction;
	bool unsynced;
	struct audit_row row; /* scratch of audit_append() */

	char node[AUDIT_NODE_LEN];
	struct seal_signer *signer;  /* borrowed; NULL: no heads */
	struct audit_head head;      /* the newest; number 0: none */
	uint64_t head_ns;            /* when it was tried last; 0: not yet */
	struct audit_pruned *pruned; /* NULL: not to be had just now */

	char gap[AUDIT_WHY_LEN]; /* waits for audit_gap() */
	char told[AUDIT_WHY_LEN];
	char why[AUDIT_WHY_LEN];
};

/* audit.c */
void audit_say(struct audit *a, const char *what);

/* audit_month.c: look at what is there; sets log, added, committed, head and
 * perhaps gap. ERR_IO, ERR_NOMEM. */
enum err audit_month_find(struct audit *a) MUST_CHECK;
enum err audit_month_open(struct audit *a,
			  const char month[AUDIT_MONTH_LEN]) MUST_CHECK;
void audit_month_close(struct audit *a);
/* The names of the month files, "audit-2026-05.db" without the directory. */
typedef enum err audit_month_fn(void *arg, const char *name, const char *path);
enum err audit_month_each(const char *dir, audit_month_fn *fn,
			  void *arg) MUST_CHECK;

/* audit_read_file.c: as db_open(), and where the directory cannot be written
 * and nobody has the file open, read it as it lies there. */
enum err audit_db_open(const struct db_options *o, sqlite3 **out,
		       char why[DB_WHY_LEN]) MUST_CHECK;
/* audit_head_read.c: the newest head in a month file. ERR_NOTFOUND: none. */
enum err audit_head_of(sqlite3 *db, struct audit_head *out) MUST_CHECK;
/* A statement that gives columns number, seq, chain, wall_ms, node, log,
 * key_id, sig stands on a row: false: it holds what no head does. */
bool audit_head_column(sqlite3_stmt *st, struct audit_head *out);

#endif
