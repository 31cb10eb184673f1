/* layout.h - what every page has around its content. */
#ifndef WEB_STATUS_LAYOUT_H
#define WEB_STATUS_LAYOUT_H

#include "web-status/show.h"

/* Which page is marked in the bar; AT_NOTHING: none. */
enum tab {
	AT_NOW,
	AT_TRANSFERS,
	AT_REFUSED,
	AT_AUDIT,
	AT_CONFIGURATION,
	AT_NOTHING
};

/* Everything up to and with <main>. title: of the page, not escaped. */
void page_begin(const struct page *p, enum tab at, const char *title);
/* The same without bar and foot, for the wall and for log-in. class: of the
 * body, a literal. */
void page_begin_bare(const struct page *p, const char *title,
		     const char *class);
void page_end(const struct page *p);
void page_end_bare(const struct page *p);

/* Begin and end a piece that is replaced as it changes (live.js): its id. */
void part_begin(const struct page *p, const char *id, const char *class);
void part_end(const struct page *p);

/* A framed section with a heading. */
void sheet_begin(const struct page *p, enum word heading);
void sheet_end(const struct page *p);

/* A page that only says what is wrong: heading and one sentence, escaped. */
void page_sorry(const struct page *p, enum tab at, enum word heading,
		enum word sentence, const char *why);

/* May the viewer see that page? */
bool page_allowed(const struct page *p, const char *path);

#endif
