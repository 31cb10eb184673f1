/* syntaxes.h - short names of transfer syntaxes (PS3.5 section 10, PS3.6
 * annex A), as the configuration writes them. Pure. */
#ifndef POLICY_SYNTAXES_H
#define POLICY_SYNTAXES_H

#include <stddef.h>

struct syntax {
	const char *name; /* "explicit-le" */
	const char *uid;
};

/* The i-th known one, or NULL after the last. */
const struct syntax *syntax_at(size_t i);
/* NULL if there is none of that name. */
const char *syntax_uid(const char *name);
/* The short name, or the UID itself where there is none. */
const char *syntax_name(const char *uid);

#endif
