/* export_read.h - reading back what export.h wrote.
 *
 * Bytes are pushed in, in pieces of any size; rows come out by callback. Input
 * is hostile: a row is at most EXPORT_ROW_MAX bytes, a cell at most the row.
 * The format is known from the first bytes. A row that is not well formed is
 * told with the reason, and reading goes on with the next line. */
#ifndef STORE_EXPORT_READ_H
#define STORE_EXPORT_READ_H

#include "store/export.h"

struct export_read_row {
	uint64_t row; /* 1 is the first; the line of names does not count */
	const struct export_cell *cells; /* NULL: not readable, or DICOM */
	const char *why;  /* what is wrong with it; NULL: nothing. With cells:
			   * readable, but not byte for byte as Culvert writes
			   * what it says */
	const char *text; /* the row as it stands, its line end included */
	size_t len;
};

typedef void export_read_fn(void *arg, const struct export_read_row *row);

struct export_reader; /* opaque; one thread at a time */

/* t is borrowed. ERR_NOMEM. */
enum err export_reader_new(const struct export_table *t, export_read_fn *fn,
			   void *arg, struct export_reader **out) MUST_CHECK;
void export_reader_free(struct export_reader *r); /* NULL is fine */

/* ERR_CORRUPT: not an export of this table, or a row without an end; no more
 * can be read, export_reader_why() says what is wrong. ERR_NOMEM. */
enum err export_reader_feed(struct export_reader *r, const void *p,
			    size_t n) MUST_CHECK;
/* All was fed: tells a last row that has no end. ERR_CORRUPT: the end that the
 * format has is missing. */
enum err export_reader_end(struct export_reader *r) MUST_CHECK;

const char *export_reader_why(const struct export_reader *r);
uint64_t export_reader_rows(const struct export_reader *r);
/* Known after the first row; CSV, without reveal, before. */
enum export_format export_reader_format(const struct export_reader *r);
bool export_reader_reveal(const struct export_reader *r);

#endif
