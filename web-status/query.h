/* query.h - what forms send, and links that send it again. */
#ifndef WEB_STATUS_QUERY_H
#define WEB_STATUS_QUERY_H

#include "web-status/show.h"

enum { QUERY_LEN = 129, QUERY_MAX = 12 };

/* One field of a search form. */
struct query_field {
	const char *name;
	char value[QUERY_LEN]; /* "" not given */
};

struct query {
	size_t n;
	struct query_field at[QUERY_MAX];
};

/* Take up the field of that name from the request. Returns its value. */
const char *query_take(struct query *q, const struct web_request *r,
		       const char *name);
/* Was anything given? */
bool query_any(const struct query *q);
/* "?a=1&amp;b=2" of what was given; returns whether anything was. */
bool query_link(const struct page *p, const struct query *q);

/* "2026-05-04", "2026-05-04T09:15", with seconds or not, UTC. 0 for "". False:
 * not a time; *ms is untouched. */
bool query_time(const char *text, int64_t *ms);

/* ---- fields of a form --------------------------------------------------- */

/* type: "text", "datetime-local"; max: of characters. */
void field_text(const struct page *p, const struct query_field *f,
		enum word label, const char *type, unsigned max);
/* A choice: field_choice(), any number of field_option(), field_end(). */
void field_choice(const struct page *p, const struct query_field *f,
		  enum word label);
void field_option(const struct page *p, const struct query_field *f,
		  const char *value, const char *text);
void field_end(const struct page *p);
/* The buttons at its end; path: of the form without a query. */
void field_buttons(const struct page *p, const char *path);

/* "Older" and "Newer" below a table, keeping the query. 0: not shown. */
void query_pages(const struct page *p, const char *path, const struct query *q,
		 uint64_t older, uint64_t newer);

#endif
