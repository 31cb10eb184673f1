#include "tests/bench/args.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void args_refuse(const char *why)
{
	fprintf(stderr, "%s (see --help)\n", why);
	exit(2);
}

static void help(const char *intro, const struct arg *table)
{
	fputs(intro, stdout);
	for (; table->name; table++)
		printf("  --%-14s %s\n", table->name, table->help);
	exit(0);
}

static uint64_t number(const char *s)
{
	char *end;
	unsigned long long v = strtoull(s, &end, 10);

	if (end == s || strchr("KMG", *end) == NULL ||
	    (*end != '\0' && end[1] != '\0'))
		args_refuse("not a number");
	if (*end == 'K')
		v <<= 10;
	else if (*end == 'M')
		v <<= 20;
	else if (*end == 'G')
		v <<= 30;
	return v;
}

static void set(const struct arg *a, const char *value)
{
	switch (a->kind) {
	case ARG_FLAG:
		*(bool *)a->value = true;
		return;
	case ARG_TEXT:
		*(const char **)a->value = value;
		return;
	case ARG_NUMBER:
		*(uint64_t *)a->value = number(value);
		return;
	case ARG_SECONDS:
		*(double *)a->value = atof(value);
		return;
	}
}

static const struct arg *find(const struct arg *table, const char *word)
{
	if (strncmp(word, "--", 2) != 0)
		return NULL;
	while (table->name && strcmp(table->name, word + 2) != 0)
		table++;
	return table->name ? table : NULL;
}

void args_parse(int argc, char **argv, const char *intro,
		const struct arg *table)
{
	for (int i = 1; i < argc; i++) {
		const struct arg *a = find(table, argv[i]);

		if (strcmp(argv[i], "--help") == 0)
			help(intro, table);
		if (!a)
			args_refuse(argv[i]);
		if (a->kind != ARG_FLAG && i + 1 == argc)
			args_refuse("a value is missing");
		set(a, a->kind == ARG_FLAG ? NULL : argv[++i]);
	}
}
