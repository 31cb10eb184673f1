/* audit_json.c - one flat JSON object into a fixed field, always valid. */
#include "store/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Kept free for the end: ,"cut":true} and the NUL. */
enum { JSON_TAIL = 13, JSON_MIN = 16 };

struct audit_json audit_json_begin(char *out, size_t cap)
{
	assert(cap >= JSON_MIN);
	out[0] = '{';
	out[1] = '\0';
	return (struct audit_json){.base = out, .len = 1, .cap = cap};
}

static bool put(struct audit_json *j, const char *p, size_t n)
{
	if (n + JSON_TAIL + 1 > j->cap - j->len)
		return false;
	memcpy(j->base + j->len, p, n);
	j->len += n;
	return true;
}

/* Length of the valid UTF-8 sequence at s, 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		lo = 0xa0;
	if (s[0] == 0xed)
		hi = 0x9f;
	if (s[0] == 0xf0)
		lo = 0x90;
	if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool put_char(struct audit_json *j, const unsigned char **at)
{
	const unsigned char *s = *at;
	size_t n = utf8_len(s);
	char esc[8];

	*at += n != 0 ? n : 1;
	if (n == 0)
		return put(j, "\xef\xbf\xbd", 3);
	if (*s == '"' || *s == '\\') {
		esc[0] = '\\';
		esc[1] = (char)*s;
		return put(j, esc, 2);
	}
	if (*s < 0x20 || *s == 0x7f) {
		snprintf(esc, sizeof(esc), "\\u%04x", *s);
		return put(j, esc, 6);
	}
	return put(j, (const char *)s, n);
}

static bool put_string(struct audit_json *j, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (!put(j, "\"", 1))
		return false;
	while (*s != '\0')
		if (!put_char(j, &s))
			return false;
	return put(j, "\"", 1);
}

static bool put_key(struct audit_json *j, const char *key)
{
	return (j->len == 1 || put(j, ",", 1)) && put_string(j, key) &&
	       put(j, ":", 1);
}

/* Take back a member that did not fit. */
static void settle(struct audit_json *j, size_t before, bool fits)
{
	if (!fits) {
		j->len = before;
		j->cut = true;
	}
	j->base[j->len] = '\0';
}

void audit_json_text(struct audit_json *j, const char *key, const char *value)
{
	size_t before = j->len;

	settle(j, before, put_key(j, key) && put_string(j, value));
}

void audit_json_number(struct audit_json *j, const char *key, int64_t value)
{
	size_t before = j->len;
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, value);

	settle(j, before, put_key(j, key) && put(j, text, (size_t)n));
}

void audit_json_true(struct audit_json *j, const char *key)
{
	size_t before = j->len;

	settle(j, before, put_key(j, key) && put(j, "true", 4));
}

void audit_json_end(struct audit_json *j)
{
	const char *tail = !j->cut       ? "}"
			   : j->len == 1 ? "\"cut\":true}"
					 : ",\"cut\":true}";

	memcpy(j->base + j->len, tail, strlen(tail) + 1);
	j->len += strlen(tail);
}
