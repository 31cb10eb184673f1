/* export.h - tables written out as a stream: CSV, JSON Lines, DICOM audit
 * messages.
 *
 * A table is a list of columns; a row is one cell for each. Bytes leave through
 * a sink as they are made, so memory does not grow with the number of rows.
 * Nothing here knows what the rows mean.
 *
 * CSV is RFC 4180: comma, CRLF, a line with the names first, quotes where they
 * are needed; on request UTF-8's byte order mark in front. A text that begins
 * with = + - @ or their full-width forms, TAB, CR, LF or an apostrophe gets an
 * apostrophe in front, so that no spreadsheet takes it for a formula; who reads
 * it back drops one leading apostrophe of a text. Numbers stay as they are.
 *
 * JSON Lines: one object a line, every column of the table in its order, null
 * for none.
 *
 * DICOM: <AuditMessages>, one AuditMessage of PS3.15 A.5 a line, and
 * </AuditMessages>; the caller encodes the messages.
 *
 * Text that is not UTF-8 goes out with U+FFFD for what is wrong. */
#ifndef STORE_EXPORT_H
#define STORE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

enum export_format { EXPORT_CSV, EXPORT_JSONL, EXPORT_DICOM };

/* "csv", "jsonl", "dicom". */
const char *export_format_text(enum export_format f);
bool export_format_parse(const char *text, enum export_format *out);
/* What a file of this format is called: "csv", "jsonl", "xml". */
const char *export_format_suffix(enum export_format f);
/* For an HTTP header; static. */
const char *export_format_media(enum export_format f);

enum export_type {
	EXPORT_TEXT,     /* p, len: UTF-8 */
	EXPORT_NUMBER,   /* number, signed */
	EXPORT_UNSIGNED, /* number, its 64 bits unsigned */
	EXPORT_TIME,     /* number: wall milliseconds; RFC 3339, UTC */
	EXPORT_HEX,      /* p, len: bytes; lower-case hexadecimal digits */
	EXPORT_JSON,     /* p, len: the text of a JSON object */
};

struct export_column {
	const char *name; /* lower-case words joined by _ */
	enum export_type type;
	bool reveal; /* only there when sealed values are opened */
	const char *what;
};

struct export_table {
	const char *name;
	const struct export_column *columns; /* those to reveal stand last */
	size_t n;
};

enum {
	EXPORT_COLUMNS_MAX = 48,
	EXPORT_CELL_MAX = 8192, /* bytes of p; more is ERR_LIMIT */
	EXPORT_ROW_MAX = 256 * 1024
};

/* p is borrowed for the call. none: no value; so is a text of length 0. */
struct export_cell {
	bool none;
	uint32_t len;
	const void *p;
	int64_t number;
};

static inline struct export_cell export_none(void)
{
	return (struct export_cell){.none = true};
}

static inline struct export_cell export_number(int64_t v)
{
	return (struct export_cell){.number = v};
}

static inline struct export_cell export_bytes(const void *p, size_t n)
{
	return (struct export_cell){.none = n == 0, .p = p, .len = (uint32_t)n};
}

/* text NULL or "": none. */
struct export_cell export_text(const char *text);

/* Columns that a table has with or without those to reveal. */
size_t export_n_columns(const struct export_table *t, bool reveal);

/* Takes n bytes, blocking while the reader is slow. Any error ends the export
 * and is given back. */
typedef enum err export_sink_fn(void *arg, const void *p, size_t n);

struct export_options {
	const struct export_table *table; /* borrowed while it lives */
	enum export_format format;
	bool bom; /* CSV only */
	bool reveal;
	export_sink_fn *sink;
	void *arg;
};

struct export_totals {
	uint64_t rows;
	uint64_t bytes;
	uint8_t sha256[32]; /* of all bytes */
};

struct export; /* opaque; one thread at a time */

/* Writes the head. ERR_NOMEM; what the sink says. */
enum err export_new(const struct export_options *o,
		    struct export **out) MUST_CHECK;
/* cells: export_n_columns(). Not for DICOM. ERR_LIMIT: a cell is too long;
 * nothing of the row was written. */
enum err export_row(struct export *x,
		    const struct export_cell *cells) MUST_CHECK;
/* DICOM: one message, without a line's end in it. ERR_LIMIT above
 * EXPORT_ROW_MAX. */
enum err export_message(struct export *x, const char *text,
			size_t n) MUST_CHECK;
/* Writes what is left. *out is the truth from here on. */
enum err export_end(struct export *x, struct export_totals *out) MUST_CHECK;
/* What was written so far, the hash excepted. */
void export_so_far(const struct export *x, struct export_totals *out);
void export_free(struct export *x); /* NULL is fine */

/* ---- pure: one row ----------------------------------------------------- */

/* The line of names (CSV only) or of one row as it stands in a file, its line
 * end included; what a reader compares with. out has EXPORT_ROW_MAX bytes.
 * Returns the length; 0: does not fit. */
size_t export_row_text(const struct export_table *t, enum export_format f,
		       bool reveal, const struct export_cell *cells, char *out);
size_t export_head_text(const struct export_table *t, enum export_format f,
			bool reveal, char *out);

/* The column reference: a line a column with name, form and meaning, as man
 * page source (troff) or plain text. Returns the length it has or would have
 * had, like snprintf(). */
size_t export_reference(const struct export_table *t, bool troff, char *out,
			size_t cap);

#endif
