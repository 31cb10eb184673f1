/* show.h - the small pieces pages are made of: words, times, sizes, tables.
 *
 * Everything goes to p->o; text from outside is escaped on the way. */
#ifndef WEB_STATUS_SHOW_H
#define WEB_STATUS_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web-status/page.h"
#include "web-status/words.h"

struct page {
	struct web_request *r;
	struct web_out *o;
	const struct config *config;
	enum web_language language;
	int64_t now_ms; /* wall */
};

struct page page_of(struct web_request *r, struct web_out *o);

/* ---- words ----------------------------------------------------------------
 */

const char *word_of(const struct page *p, enum word w);
/* The words, escaped. */
void say(const struct page *p, enum word w);
/* The same with {1}, {2}, ... replaced by the texts that follow, escaped. At
 * most four of them. */
#define say_with(p, w, ...)                                                    \
	say_list(p, w, (const char *const[]){__VA_ARGS__, NULL})
void say_list(const struct page *p, enum word w, const char *const *texts);
/* As say_with(), but {1} stands for what is written in place by show_time(). */
void say_time(const struct page *p, enum word w, int64_t wall_ms);
/* The words into out[0..size), not escaped, cut to fit. Returns out. */
char *word_with(const struct page *p, enum word w, const char *const *texts,
		char *out, size_t size);

/* ---- values ----------------------------------------------------------------
 */

enum { SHOW_LEN = 48 };

/* "12,345"; "1.2 GB" (thousands); "48.2 Mbit/s"; "3 min". Return out. */
char *count_text(uint64_t n, char out[SHOW_LEN]);
char *bytes_text(uint64_t n, char out[SHOW_LEN]);
char *rate_text(uint64_t bits, char out[SHOW_LEN]);
char *span_text(const struct page *p, int64_t ms, char out[SHOW_LEN]);

void show_count(const struct page *p, uint64_t n);
void show_bytes(const struct page *p, uint64_t n);
void show_span(const struct page *p, int64_t ms);
/* A <time> element in UTC, to which a script adds the viewer's zone; "never"
 * for 0. */
void show_time(const struct page *p, int64_t wall_ms);
/* Only the part of percent in a bar, for the eye: the value stands beside it.
 * level: "", "warn" or "bad". */
void show_gauge(const struct page *p, unsigned percent, const char *level);

enum level { LEVEL_OK, LEVEL_IDLE, LEVEL_WARN, LEVEL_BAD };
const char *level_text(enum level l); /* "ok", "idle", "warn", "bad" */
/* A state: words with a mark whose shape differs, not only its colour. */
void show_mark(const struct page *p, enum level l, enum word w);

/* What went wrong, as the daemon put it: "cause (detail): remedy [CV3001]", or
 * "cause; remedy". Two lines; cause and remedy in the viewer's language where
 * the catalogue has them. */
void show_error(const struct page *p, const char *text);
/* The two parts of it on their own. remedy is "" where there is none. */
enum { ERROR_PART_LEN = 320 };
struct error_parts {
	char cause[ERROR_PART_LEN];
	char remedy[ERROR_PART_LEN];
	const char *code; /* "CV3001"; "" not in the catalogue */
};
void error_split(const struct page *p, const char *text,
		 struct error_parts *out);

/* ---- tables -----------------------------------------------------------------
 *
 *	struct table t = table_begin(p, columns, ARRAY_LEN(columns), W_DEVICES);
 *	table_row(&t, LEVEL_OK);
 *	table_cell(&t); ... table_cell(&t); ...
 *	table_end(&t);
 *
 * On a narrow screen each row becomes a block, each cell beside its heading;
 * roles are given so that it stays a table for a screen reader. */

struct column {
	enum word head;
	bool number; /* aligned to the right */
};

struct table {
	const struct page *p;
	const struct column *columns;
	size_t n, at;
	bool in_row;
};

/* label: what the table is called. The first cell of a row heads it. */
struct table table_begin(const struct page *p, const struct column *columns,
			 size_t n, enum word label);
void table_row(struct table *t, enum level l);
void table_cell(struct table *t);
void table_end(struct table *t);

/* A term and, after it, its value up to fact_end(). In <dl class="facts">. */
void fact(const struct page *p, enum word term);
void fact_end(const struct page *p);

/* ---- JSON -------------------------------------------------------------------
 */

/* Missing or of another type: "", 0, false. j may be NULL. */
const char *json_text_of(const json_t *j, const char *key);
int64_t json_number_of(const json_t *j, const char *key);
bool json_true_of(const json_t *j, const char *key);
/* The element of array whose name_key is name, or NULL. */
const json_t *json_find(const json_t *array, const char *name_key,
			const char *name);

#endif
