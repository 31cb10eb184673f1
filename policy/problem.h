/* problem.h - collecting configuration errors and warnings, with a place and
 * a way out in every one. Internal to policy. */
#ifndef POLICY_PROBLEM_H
#define POLICY_PROBLEM_H

#include <stddef.h>

#include "policy/config.h"

void problem_init(struct config_errors *e, const char *file);

/* Text that comes from the file goes through problem_quote() first. */
void problem_error(struct config_errors *e, struct config_mark at,
		   const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void problem_warning(struct config_errors *e, struct config_mark at,
		     const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Order both lists by place. */
void problem_sort(struct config_errors *e);

enum { PROBLEM_QUOTE_LEN = 80 };

/* 'text', cut and with everything unprintable escaped. Returns out. */
char *problem_quote(const char *text, char out[PROBLEM_QUOTE_LEN]);

/* The nearest to text of those offered, one after the other, if it is near
 * enough to be what was meant. Start from {.text = ...}. */
struct nearest {
	const char *text; /* borrowed */
	const char *best; /* borrowed; NULL while nothing is near */
	size_t best_distance;
};

void nearest_offer(struct nearest *n, const char *candidate);

/* Number of letters to insert, delete, replace or swap with a neighbour;
 * capped at 99, and case counts half (rounded up in total). */
size_t edit_distance(const char *a, const char *b);

#endif
