#include "policy/problem.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum {
	EDIT_MAX_LEN = 40, /* longer words are never "near" */
	EDIT_FAR = 99,
	EDIT_STEP = 2 /* cost of one edit; a change of case costs half */
};

void problem_init(struct config_errors *e, const char *file)
{
	memset(e, 0, sizeof(*e));
	snprintf(e->file, sizeof(e->file), "%s", file);
}

static void keep(struct config_problem *list, size_t *n, struct config_mark at,
		 const char *fmt, va_list args)
    __attribute__((format(printf, 4, 0)));

static void keep(struct config_problem *list, size_t *n, struct config_mark at,
		 const char *fmt, va_list args)
{
	if (*n < CONFIG_PROBLEMS_MAX) {
		list[*n].at = at;
		vsnprintf(list[*n].text, sizeof(list[*n].text), fmt, args);
	}
	(*n)++;
}

void problem_error(struct config_errors *e, struct config_mark at,
		   const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	keep(e->errors, &e->n_errors, at, fmt, args);
	va_end(args);
}

void problem_warning(struct config_errors *e, struct config_mark at,
		     const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	keep(e->warnings, &e->n_warnings, at, fmt, args);
	va_end(args);
}

static bool is_after(struct config_mark a, struct config_mark b)
{
	return a.line != b.line ? a.line > b.line : a.column > b.column;
}

static void sort(struct config_problem *list, size_t n)
{
	if (n > CONFIG_PROBLEMS_MAX)
		n = CONFIG_PROBLEMS_MAX;
	for (size_t i = 1; i < n; i++) {
		struct config_problem p = list[i];
		size_t j = i;

		for (; j > 0 && is_after(list[j - 1].at, p.at); j--)
			list[j] = list[j - 1];
		list[j] = p;
	}
}

void problem_sort(struct config_errors *e)
{
	sort(e->errors, e->n_errors);
	sort(e->warnings, e->n_warnings);
}

static void print(const struct config_errors *e, const struct config_problem *p,
		  const char *kind, FILE *out)
{
	if (p->at.line > 0)
		fprintf(out, "%s:%d:%d: %s%s\n", e->file, p->at.line,
			p->at.column, kind, p->text);
	else
		fprintf(out, "%s: %s%s\n", e->file, kind, p->text);
}

void config_errors_print(const struct config_errors *e, FILE *out)
{
	for (size_t i = 0; i < e->n_errors && i < CONFIG_PROBLEMS_MAX; i++)
		print(e, &e->errors[i], "", out);
	if (e->n_errors > CONFIG_PROBLEMS_MAX)
		fprintf(out, "%s: and more errors after these\n", e->file);
	for (size_t i = 0; i < e->n_warnings && i < CONFIG_PROBLEMS_MAX; i++)
		print(e, &e->warnings[i], "warning: ", out);
	if (e->n_warnings > CONFIG_PROBLEMS_MAX)
		fprintf(out, "%s: and more warnings after these\n", e->file);
}

/* UTF-8 from the file is shown as it is: libyaml has checked it. */
char *problem_quote(const char *text, char out[PROBLEM_QUOTE_LEN])
{
	static const char hex[] = "0123456789abcdef";
	/* Room for an escape, and after it for what ends a cut text. */
	const size_t full = PROBLEM_QUOTE_LEN - sizeof("\\x00...'");
	size_t n = 0;

	out[n++] = '\'';
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (n > full) {
			/* Never leave half of a UTF-8 sequence. */
			while (n > 1 &&
			       ((unsigned char)out[n - 1] & 0xc0) == 0x80)
				n--;
			if (n > 1 && (unsigned char)out[n - 1] >= 0xc0)
				n--;
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (c < 0x20 || c == 0x7f) {
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		} else {
			out[n++] = (char)c;
		}
	}
	out[n++] = '\'';
	out[n] = '\0';
	return out;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t replace_cost(char a, char b)
{
	if (a == b)
		return 0;
	if (tolower((unsigned char)a) == tolower((unsigned char)b) ||
	    (strchr("-_ ", a) != NULL && strchr("-_ ", b) != NULL))
		return EDIT_STEP / 2;
	return EDIT_STEP;
}

/* Optimal string alignment, three rows. */
size_t edit_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t rows[3][EDIT_MAX_LEN + 1];

	if (la > EDIT_MAX_LEN || lb > EDIT_MAX_LEN)
		return EDIT_FAR;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j * EDIT_STEP;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = rows[i % 3], *up = rows[(i - 1) % 3];

		now[0] = i * EDIT_STEP;
		for (size_t j = 1; j <= lb; j++) {
			now[j] = least(up[j], now[j - 1]) + EDIT_STEP;
			now[j] =
			    least(now[j],
				  up[j - 1] + replace_cost(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] =
				    least(now[j],
					  rows[(i - 2) % 3][j - 2] + EDIT_STEP);
		}
	}
	return (rows[la % 3][lb] + 1) / EDIT_STEP;
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	size_t d = edit_distance(n->text, candidate);
	size_t len = strlen(candidate), enough = len < 3 ? 1 : len < 6 ? 2 : 3;

	if (d > enough || d >= len)
		return;
	if (n->best == NULL || d < n->best_distance) {
		n->best = candidate;
		n->best_distance = d;
	}
}
