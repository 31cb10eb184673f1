/* args.h - long options of the bench tools, from a table. */
#ifndef TESTS_BENCH_ARGS_H
#define TESTS_BENCH_ARGS_H

#include <stddef.h>

enum arg_kind {
	ARG_FLAG,    /* bool: set to true */
	ARG_TEXT,    /* const char * */
	ARG_NUMBER,  /* uint64_t; K, M or G multiply by powers of 1024 */
	ARG_SECONDS, /* double */
};

struct arg {
	const char *name; /* without dashes; NULL ends the table */
	enum arg_kind kind;
	void *value;
	const char *help; /* with the default, if there is one */
};

/* Fill in what argv names. --help prints intro and the table on stdout and
 * ends with status 0; what it does not know, with status 2. */
void args_parse(int argc, char **argv, const char *intro,
		const struct arg *table);

/* Print why, and how to get help, and end with status 2. */
_Noreturn void args_refuse(const char *why);

#endif
