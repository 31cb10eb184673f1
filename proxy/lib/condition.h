/* condition.h - the catalogue of conditions: everything that somebody may have
 * to act on, each with a code, its cause and its remedy.
 *
 * One place for the log, the pages, the commands and the manual. The texts
 * stand in condition_table.h. A code never changes its meaning and is never
 * given twice; the thousands are the area. The name is the word in the log
 * (the event, or the outcome of a transfer). Nothing here allocates or can
 * fail; all is const and shared by threads. */
#ifndef PROXY_LIB_CONDITION_H
#define PROXY_LIB_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/lib/condition_table.h"

enum condition_id {
#define X(id, ...) CONDITION_##id,
	CONDITION_MAP(X)
#undef X
	    CONDITION_N
};

enum condition_language { CONDITION_EN, CONDITION_ZH, CONDITION_LANGUAGES };

enum condition_severity {
	CONDITION_NOTE,  /* nothing failed; worth knowing */
	CONDITION_WARN,  /* something waits or was refused */
	CONDITION_ERROR, /* act soon: work stands still or something is lost */
};

struct condition {
	enum condition_id id;
	unsigned number;  /* 7001 */
	const char *code; /* "CV7001" */
	const char *name; /* "spool-full" */
	enum condition_severity severity;
	/* Plain words without a final full stop, UTF-8; never NULL. */
	const char *cause[CONDITION_LANGUAGES];
	const char *remedy[CONDITION_LANGUAGES];
};

/* In the order of codes. */
const struct condition *condition_get(enum condition_id id);

/* By code, in any case ("cv7001", "7001"), or by name; NULL: there is none. */
const struct condition *condition_find(const char *code_or_name);

/* The condition that a line of the log with this event is of; NULL: none, or
 * the line itself says which (its code= is that of a cause which varies). */
const struct condition *condition_of_event(const char *event);

/* The code of what condition_of_event() finds, "" for none. */
const char *condition_code(const char *event);

/* The first condition that a text names as "[CV7001]"; NULL: none. Texts of
 * failures end with it, so that whoever shows them can say more; the first is
 * that of the detail, when there are two. */
const struct condition *condition_in_text(const char *text);

/* Lines of this event say themselves of which condition they are. */
bool condition_event_varies(const char *event);

/* What the thousands of its code stand for: "spool". Returns "" for none. */
const char *condition_area(const struct condition *c,
			   enum condition_language language);

/* "warning"; and in Chinese. */
const char *condition_severity_text(enum condition_severity s,
				    enum condition_language language);

/* "zh", "zh-CN", "zh_CN.UTF-8", "en", "C": -1 for one that we do not have.
 * NULL or "" is English. */
int condition_language(const char *tag);

#endif
