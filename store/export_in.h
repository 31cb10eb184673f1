/* export_in.h - shared by the writer and the reader of exports. Private. */
#ifndef STORE_EXPORT_IN_H
#define STORE_EXPORT_IN_H

#include "store/export.h"

/* Bytes that are no UTF-8 must survive the way out and back, as row hashes go
 * over them: byte b stands as U+EF80 + b - 0x80, and so do the bytes of a
 * genuine character of that range. */
enum { EXPORT_RAW_FIRST = 0xef80, EXPORT_RAW_LAST = 0xefff };

/* Bytes of the UTF-8 character at p[0..n), n > 0, *code set; 0: none. */
size_t export_utf8(const uint8_t *p, size_t n, uint32_t *code);
/* The most bytes that the cells of one row may take in a file. */
size_t export_row_bound(const struct export_table *t, bool reveal,
			const struct export_cell *cells);
/* A text of n bytes at p that CSV puts an apostrophe before. */
bool export_is_formula(const uint8_t *p, size_t n);

enum { EXPORT_TIME_LEN = 32 };
/* RFC 3339 with milliseconds, or "ms:N" outside the years 0 to 9999. Returns
 * the length. */
size_t export_time_text(int64_t ms, char out[EXPORT_TIME_LEN]);
/* The exact reverse; false for anything else. */
bool export_time_parse(const char *p, size_t n, int64_t *ms);

/* Bytes of the JSON value at p, white space around it not included; 0: not
 * one, or deeper than 16. Line ends count as errors: a value is on one line. */
size_t export_json_value(const char *p, size_t n);
/* Is p[0..n) one JSON object and nothing else? */
bool export_json_object(const char *p, size_t n);

#endif
