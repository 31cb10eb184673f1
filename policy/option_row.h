/* option_row.h - what the option tables are written with. Internal to
 * options*.c. */
#ifndef POLICY_OPTION_ROW_H
#define POLICY_OPTION_ROW_H

#include <stddef.h>

#include "policy/option.h"

#define FIELD(type, f) offsetof(struct type, f), sizeof(((struct type *)0)->f)
#define KIB            1024ull
#define MIB            (KIB * 1024)
#define GIB            (MIB * 1024)
#define TIB            (GIB * 1024)
#define KBIT           1000ull
#define GBIT           (KBIT * 1000 * 1000)
#define SEC            1000ull
#define MIN            (60 * SEC)
#define HOUR           (60 * MIN)
#define DAY            (24 * HOUR)

/* Words that more than one table has. */
extern const struct option_word option_tls_versions[];
extern const struct option_word option_tls_profiles[];

/* Under repositories.NAME, in options_repository.c. */
extern const struct option options_repository[];
extern const size_t options_repository_n;

#endif
