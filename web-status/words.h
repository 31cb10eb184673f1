/* words.h - every word of the page, in English and in Chinese: one row each.
 *
 *   X(NAME, "English", "Chinese")
 *
 * {1} to {4} stand for what the caller gives. A row without both languages
 * does not compile. The texts of conditions are not here but in
 * proxy/lib/condition_table.h. */
#ifndef WEB_STATUS_WORDS_H
#define WEB_STATUS_WORDS_H

#include "web-status/page.h"
#include "web-status/words_table.h"

enum word {
#define X(name, en, zh) W_##name,
	WORD_MAP(X)
#undef X
	    WORD_N
};

/* UTF-8, static, never NULL. */
const char *word_text(enum word w, enum web_language language);

#endif
