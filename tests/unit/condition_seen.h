/* condition_seen.h - a test has provoked a condition and looks at its text. */
#ifndef TESTS_UNIT_CONDITION_SEEN_H
#define TESTS_UNIT_CONDITION_SEEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/lib/condition.h"

/* The test has looked at words that differ from case to case. */
static inline void condition_asserted(const struct condition *c)
{
	assert_non_null(c);
	printf("# provoked %s %s: %s\n", c->code, c->cause[CONDITION_EN],
	       c->remedy[CONDITION_EN]);
}

/* c is of this code, its words are in text (what a person reads), and its
 * cause has the phrase that the test expects. Printed for
 * tests/conditions.py. */
static inline void condition_seen(const struct condition *c, const char *code,
				  const char *phrase, const char *text)
{
	assert_non_null(c);
	assert_string_equal(c->code, code);
	if (strstr(c->cause[CONDITION_EN], phrase) == NULL)
		fail_msg("%s: \"%s\" has no \"%s\"", code,
			 c->cause[CONDITION_EN], phrase);
	if (strstr(text, c->cause[CONDITION_EN]) == NULL &&
	    strstr(text, c->remedy[CONDITION_EN]) == NULL)
		fail_msg("%s is not in \"%s\"", code, text);
	condition_asserted(c);
}

#endif
