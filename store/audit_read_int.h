/* audit_read_int.h - what audit_read.c and audit_read_file.c share. Nobody
 * else includes it. */
#ifndef STORE_AUDIT_READ_INT_H
#define STORE_AUDIT_READ_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/audit_int.h"
#include "store/audit_read.h"

enum { AUDIT_NAME_LEN = 64 };

/* One month file. */
struct audit_file {
	char path[AUDIT_PATH_LEN];
	char name[AUDIT_NAME_LEN];
	int64_t first, last; /* when the reader was opened; 0: empty */
	int64_t next;        /* the next number to look for */
	bool damaged;        /* to be said once */
	bool done;
	bool chained; /* has the columns of the chain */
	bool waiting; /* row holds one that was not given out */
	sqlite3 *db;  /* NULL: closed */
	sqlite3_stmt *rows, *seek, *blob, *erased;
	bool stepping; /* rows is inside a window */
	int64_t until; /* the end of that window */
	struct audit_row *row;
	uint8_t *sealed; /* AUDIT_SEALED_LEN */
};

/* Open f->path; ERR_CORRUPT: damaged, or no audit database. ERR_UNSUPPORTED:
 * of a newer program. */
enum err audit_file_open(struct audit_file *f,
			 const struct audit_filter *filter,
			 char why[AUDIT_WHY_LEN]) MUST_CHECK;
void audit_file_close(struct audit_file *f);
/* Sets first and last. The file must be open. */
enum err audit_file_span(struct audit_file *f) MUST_CHECK;
/* Whether the window has another row; if so it is in f->row. */
enum err audit_file_row(struct audit_file *f, const struct audit_filter *filter,
			bool *got) MUST_CHECK;
/* Begin the next window at or behind (before) f->next; *got false: no more. */
enum err audit_file_window(struct audit_file *f,
			   const struct audit_filter *filter,
			   bool *got) MUST_CHECK;

#endif
