/* export_scan.c - a strict look at JSON and at times, without allocation. */
#include <string.h>

#include "store/export_in.h"

enum { DEPTH_MAX = 16 };

struct scan {
	const char *p;
	size_t left;
	unsigned depth;
};

static bool value(struct scan *s);

static bool take(struct scan *s, char c)
{
	if (s->left == 0 || *s->p != c)
		return false;
	s->p++;
	s->left--;
	return true;
}

static void skip_space(struct scan *s)
{
	while (take(s, ' ') || take(s, '\t'))
		;
}

static bool take_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->left < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	s->left -= n;
	return true;
}

static bool is_digit(const struct scan *s)
{
	return s->left > 0 && *s->p >= '0' && *s->p <= '9';
}

static bool digits(struct scan *s)
{
	if (!is_digit(s))
		return false;
	while (is_digit(s)) {
		s->p++;
		s->left--;
	}
	return true;
}

static bool number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return digits(s);
	}
	return true;
}

static bool escape(struct scan *s)
{
	if (take(s, 'u')) {
		for (int i = 0; i < 4; i++) {
			if (s->left == 0 ||
			    strchr("0123456789abcdefABCDEF", *s->p) == NULL ||
			    *s->p == '\0')
				return false;
			s->p++;
			s->left--;
		}
		return true;
	}
	if (s->left == 0 || *s->p == '\0' ||
	    strchr("\"\\/bfnrt", *s->p) == NULL)
		return false;
	s->p++;
	s->left--;
	return true;
}

static bool string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	while (s->left > 0) {
		uint8_t b = (uint8_t)*s->p;
		uint32_t code;
		size_t n;

		if (take(s, '"'))
			return true;
		if (take(s, '\\')) {
			if (!escape(s))
				return false;
			continue;
		}
		n = export_utf8((const uint8_t *)s->p, s->left, &code);
		if (b < 0x20 || n == 0)
			return false;
		s->p += n;
		s->left -= n;
	}
	return false;
}

static bool members(struct scan *s, char close, bool named)
{
	skip_space(s);
	if (take(s, close))
		return true;
	for (;;) {
		skip_space(s);
		if (named) {
			if (!string(s))
				return false;
			skip_space(s);
			if (!take(s, ':'))
				return false;
		}
		if (!value(s))
			return false;
		if (take(s, close))
			return true;
		if (!take(s, ','))
			return false;
	}
}

static bool nested(struct scan *s, char close, bool named)
{
	bool ok;

	if (s->depth >= DEPTH_MAX)
		return false;
	s->depth++;
	ok = members(s, close, named);
	s->depth--;
	return ok;
}

static bool value(struct scan *s)
{
	bool ok;

	skip_space(s);
	if (take(s, '{'))
		ok = nested(s, '}', true);
	else if (take(s, '['))
		ok = nested(s, ']', false);
	else if (s->left > 0 && *s->p == '"')
		ok = string(s);
	else
		ok = take_word(s, "true") || take_word(s, "false") ||
		     take_word(s, "null") || number(s);
	skip_space(s);
	return ok;
}

size_t export_json_value(const char *p, size_t n)
{
	struct scan s = {.p = p, .left = n};

	return value(&s) ? n - s.left : 0;
}

bool export_json_object(const char *p, size_t n)
{
	return n >= 2 && p[0] == '{' && p[n - 1] == '}' &&
	       export_json_value(p, n) == n;
}

/* ---- times ----------------------------------------------------------------
 */

static bool two(const char *p, int *out)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

/* The reverse of date_of() in export_text.c. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool parse_date(const char *p, size_t n, int64_t *ms)
{
	int c, y, mo, d, h, mi, s, f;

	if (n != 24 || !two(p, &c) || !two(p + 2, &y) || !two(p + 5, &mo) ||
	    !two(p + 8, &d) || !two(p + 11, &h) || !two(p + 14, &mi) ||
	    !two(p + 17, &s) || !two(p + 20, &f) || p[22] < '0' ||
	    p[22] > '9' || mo < 1 || mo > 12)
		return false;
	*ms = (days_of(c * 100 + y, mo, d) * 86400 + h * 3600 + mi * 60 + s) *
		  1000 +
	      f * 10 + (p[22] - '0');
	return true;
}

static bool parse_ms(const char *p, size_t n, int64_t *ms)
{
	bool minus = n > 3 && p[3] == '-';
	uint64_t v = 0;

	for (size_t i = minus ? 4 : 3; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || v > UINT64_MAX / 10 - 1)
			return false;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	*ms = (int64_t)(minus ? 0 - v : v);
	return true;
}

bool export_time_parse(const char *p, size_t n, int64_t *ms)
{
	char again[EXPORT_TIME_LEN];
	int64_t v = 0;
	bool ok = n > 3 && memcmp(p, "ms:", 3) == 0 ? parse_ms(p, n, &v)
						    : parse_date(p, n, &v);

	/* one spelling for each time */
	if (!ok || export_time_text(v, again) != n || memcmp(p, again, n) != 0)
		return false;
	*ms = v;
	return true;
}
