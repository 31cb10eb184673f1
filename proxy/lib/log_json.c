#include "proxy/lib/log_json.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 40 };

/* ---- reading pairs ------------------------------------------------------ */

static bool is_key(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* Length of the key that text begins with, when '=' follows; or 0. */
static size_t key_at(const char *text)
{
	size_t n = 0;

	while (is_key(text[n]))
		n++;
	return text[n] == '=' ? n : 0;
}

/* p is at a quote inside a quoted value. */
static bool ends_value(const char *p)
{
	if (p[1] == '\0')
		return true;
	return p[1] == ' ' && (p[2] == '\0' || key_at(p + 2) > 0);
}

static size_t quoted_length(const char *p)
{
	const char *begin = p;

	while (*p != '\0' && !(*p == '"' && ends_value(p)))
		p++;
	return (size_t)(p - begin);
}

int log_pair_next(const char **at, struct log_pair *out)
{
	const char *p = *at + strspn(*at, " ");
	size_t n = key_at(p);

	*out = (struct log_pair){.key = p, .key_len = n};
	if (*p == '\0')
		return 0;
	if (n > 0)
		p += n + 1;
	out->quoted = n > 0 && *p == '"';
	out->value = p + (out->quoted ? 1 : 0);
	out->value_len =
	    out->quoted ? quoted_length(out->value) : strcspn(p, " ");
	p = out->value + out->value_len;
	*at = p + (out->quoted && *p == '"' ? 1 : 0);
	return 1;
}

/* ---- writing JSON ------------------------------------------------------- */

struct text {
	char *out;
	size_t n, size; /* room is left for '}' and NUL */
	bool full;
};

static void put(struct text *t, const char *p, size_t n)
{
	if (n > t->size - t->n)
		t->full = true;
	if (t->full)
		return;
	memcpy(t->out + t->n, p, n);
	t->n += n;
}

static void put_char(struct text *t, uint8_t c)
{
	char u[8];

	if (c == '"' || c == '\\') {
		u[0] = '\\';
		u[1] = (char)c;
		put(t, u, 2);
	} else if (c < 0x20 || c == 0x7f) {
		(void)snprintf(u, sizeof(u), "\\u%04x", c);
		put(t, u, 6);
	} else {
		u[0] = (char)c;
		put(t, u, 1);
	}
}

/* Bytes of the UTF-8 character at p (RFC 3629), 0 when it is none. */
static size_t utf8(const uint8_t *p, size_t left)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c;

	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 87
				      : -1;
}

/* The character that \xNN stands for, or -1. */
static int escaped(const char *p, size_t left)
{
	int c;

	if (left < 4 || p[0] != '\\' || p[1] != 'x' || hex(p[2]) < 0 ||
	    hex(p[3]) < 0)
		return -1;
	c = hex(p[2]) * 16 + hex(p[3]);
	return c > 0 && c < 0x80 ? c : -1;
}

static void put_value(struct text *t, const char *p, size_t n, bool quoted)
{
	for (size_t i = 0; i < n;) {
		int c = quoted ? escaped(p + i, n - i) : -1;
		size_t wide = utf8((const uint8_t *)p + i, n - i);

		if (c >= 0) {
			put_char(t, (uint8_t)c);
			i += 4;
		} else if (wide > 0) {
			put(t, p + i, wide);
			i += wide;
		} else if ((uint8_t)p[i] >= 0x80) {
			put(t, "\xef\xbf\xbd", 3);
			i++;
		} else {
			put_char(t, (uint8_t)p[i++]);
		}
	}
}

/* ,"key":"value" or nothing when there is no room for all of it. */
static void put_pair(struct text *t, const char *key, size_t key_len,
		     unsigned again, const struct log_pair *v)
{
	size_t before = t->n;
	char number[16] = "";
	size_t digits = (size_t)snprintf(number, sizeof(number), ".%u", again);

	put(t, ",\"", 2);
	put(t, key, key_len);
	if (again > 1)
		put(t, number, digits);
	put(t, "\":\"", 3);
	put_value(t, v->value, v->value_len, v->quoted != 0);
	put(t, "\"", 1);
	if (t->full)
		t->n = before;
}

/* How often the key has come, this time included. */
static unsigned count_key(struct log_pair *seen, size_t *n,
			  const struct log_pair *p)
{
	unsigned times = 1;

	for (size_t i = 0; i < *n; i++)
		if (seen[i].key_len == p->key_len &&
		    memcmp(seen[i].key, p->key, p->key_len) == 0)
			times++;
	seen[(*n)++] = *p;
	return times;
}

static void put_words(struct text *t, const char *pairs)
{
	struct log_pair p;
	bool any = false;

	while (log_pair_next(&pairs, &p)) {
		if (p.key_len > 0)
			continue;
		put(t, any ? " " : ",\"words\":\"", any ? 1 : 10);
		put_value(t, p.value, p.value_len, false);
		any = true;
	}
	if (any)
		put(t, "\"", 1);
}

size_t log_json(char *out, size_t size, const char *when, const char *level,
		const char *event, const char *pairs)
{
	static const char *const ours[] = {"time", "level", "event"};
	struct log_pair seen[KEYS_MAX], p;
	struct text t = {.out = out, .size = size - 2};
	size_t n = 0, before;
	const char *at = pairs;

	assert(size >= 256);
	for (; n < 3; n++)
		seen[n] = (struct log_pair){.key = ours[n],
					    .key_len = strlen(ours[n])};
	t.n = (size_t)snprintf(out, size - 2,
			       "{\"time\":\"%.30s\",\"level\":\"%.8s\","
			       "\"event\":\"%.80s\"",
			       when, level, event);
	while (n < KEYS_MAX && log_pair_next(&at, &p))
		if (p.key_len > 0)
			put_pair(&t, p.key, p.key_len, count_key(seen, &n, &p),
				 &p);
	before = t.n;
	put_words(&t, pairs);
	if (t.full)
		t.n = before;
	out[t.n++] = '}';
	out[t.n] = '\0';
	return t.n;
}
