/* audit_read_int.h - what audit_read.c, audit_read_file.c and audit_read_sql.c
 * share. Nobody else includes it. */
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
	bool indexed; /* and what audit_filter.quick finds rows by */
	bool waiting; /* row holds one that was not given out */
	sqlite3 *db;  /* NULL: closed */
	sqlite3_stmt *rows, *seek, *blob, *erased;
	sqlite3_stmt *span; /* NULL: no times asked for, or not quick */
	int64_t window;     /* numbers at a time */
	bool stepping;      /* rows is inside a window */
	int64_t until;      /* the end of that window */
	struct audit_row *row;
	uint8_t *sealed; /* AUDIT_SEALED_LEN */
};

/* Whether the month in name can hold times asked for. */
bool audit_file_matters(const char *name, const struct audit_filter *filter);
/* Open f->path; ERR_CORRUPT: damaged, or no audit database. ERR_UNSUPPORTED:
 * of a newer program. filter NULL: only for audit_file_span(). */
enum err audit_file_open(struct audit_file *f,
			 const struct audit_filter *filter,
			 char why[AUDIT_WHY_LEN]) MUST_CHECK;
/* The statements that audit_file_row() and audit_file_window() step. */
enum err audit_file_prepare(struct audit_file *f,
			    const struct audit_filter *filter) MUST_CHECK;
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
