/* Output of a view: everything that comes from elsewhere is escaped. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "web-status/page.h"
#include "web-status/utf8.h"

struct web_out {
	struct buf buf;
	bool failed;
};

struct web_out *out_new(size_t max)
{
	struct web_out *o = mem_zalloc(sizeof(*o));

	if (o != NULL)
		buf_init(&o->buf, max);
	return o;
}

void out_free(struct web_out *o)
{
	if (o == NULL)
		return;
	buf_free(&o->buf);
	mem_free(o);
}

void out_clear(struct web_out *o)
{
	buf_clear(&o->buf);
	o->failed = false;
}

bool out_failed(const struct web_out *o)
{
	return o->failed;
}

size_t out_len(const struct web_out *o)
{
	return buf_len(&o->buf);
}

const char *out_data(const struct web_out *o)
{
	return out_len(o) > 0 ? (const char *)buf_data(&o->buf) : "";
}

void out_bytes(struct web_out *o, const void *p, size_t n)
{
	if (!o->failed && n > 0 && buf_append(&o->buf, p, n) != ERR_OK)
		o->failed = true;
}

/* ---- escaping ---------------------------------------------------------- */

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	}
	return NULL;
}

static bool shown(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n';
}

/* Writes one character of s[0..n); returns the bytes it took. */
static size_t text_one(struct web_out *o, const char *s, size_t n)
{
	size_t k = utf8_length(s, n);
	const char *e = entity(s[0]);

	if (e != NULL)
		out_bytes(o, e, strlen(e));
	else if (k == 0 || (k == 1 && !shown((unsigned char)s[0])))
		out_raw(o, "\xef\xbf\xbd"); /* U+FFFD */
	else
		out_bytes(o, s, k);
	return k > 0 ? k : 1;
}

void out_text_n(struct web_out *o, const char *s, size_t n)
{
	while (n > 0 && !o->failed) {
		size_t plain = 0;

		/* the common run at once */
		while (plain < n && entity(s[plain]) == NULL &&
		       (unsigned char)s[plain] < 0x7f &&
		       shown((unsigned char)s[plain]))
			plain++;
		out_bytes(o, s, plain);
		s += plain;
		n -= plain;
		if (n > 0) {
			size_t k = text_one(o, s, n);

			s += k;
			n -= k;
		}
	}
}

void out_text(struct web_out *o, const char *s)
{
	if (s != NULL)
		out_text_n(o, s, strlen(s));
}

/* RFC 3986 section 2.3. */
static bool unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void out_url(struct web_out *o, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; s != NULL && *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		char coded[3] = {'%', hex[c >> 4], hex[c & 15]};

		if (unreserved(c))
			out_bytes(o, s, 1);
		else
			out_bytes(o, coded, sizeof(coded));
	}
}

/* ---- formats ----------------------------------------------------------- */

enum { SPEC_MAX = 24, NUMBER_MAX = 512 };

/* One conversion as it stands in the format, and what its argument is. */
struct spec {
	char text[SPEC_MAX];
	size_t n;
	char size[3]; /* "", "l", "ll", "z", "j", "h", "hh" */
	char kind;
};

/* at: behind the '%'. Returns behind the conversion; NULL: none we know. */
static const char *spec_read(const char *at, struct spec *s)
{
	size_t sizes = 0;
	const char *from = at;

	memset(s, 0, sizeof(*s));
	at += strspn(at, "-+ #0123456789.*");
	while (strchr("lzjh", *at) != NULL && *at != '\0') {
		if (sizes >= 2)
			return NULL;
		s->size[sizes++] = *at++;
	}
	s->kind = *at;
	s->n = (size_t)(at - from) + 2;
	if (s->kind == '\0' || s->n >= sizeof(s->text))
		return NULL;
	s->text[0] = '%';
	memcpy(s->text + 1, from, s->n - 1);
	return at + 1;
}

/* Takes one argument; the compiler has checked it against the format. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int number_write(char out[NUMBER_MAX], const struct spec *s, va_list *ap)
{
	if (strchr("feg", s->kind) != NULL)
		return snprintf(out, NUMBER_MAX, s->text, va_arg(*ap, double));
	if (strcmp(s->size, "ll") == 0)
		return snprintf(out, NUMBER_MAX, s->text,
				va_arg(*ap, long long));
	if (s->size[0] == 'j')
		return snprintf(out, NUMBER_MAX, s->text,
				va_arg(*ap, intmax_t));
	if (s->size[0] == 'z')
		return snprintf(out, NUMBER_MAX, s->text, va_arg(*ap, size_t));
	if (strcmp(s->size, "l") == 0)
		return snprintf(out, NUMBER_MAX, s->text, va_arg(*ap, long));
	return snprintf(out, NUMBER_MAX, s->text, va_arg(*ap, int));
}
#pragma GCC diagnostic pop

/* '*' becomes its number, so that one argument is left. */
static bool star_fill(struct spec *s, va_list *ap)
{
	char *star;

	while ((star = strchr(s->text, '*')) != NULL) {
		char rest[SPEC_MAX];
		size_t room = sizeof(s->text) - (size_t)(star - s->text);

		memcpy(rest, star + 1, strlen(star + 1) + 1);
		if ((size_t)snprintf(star, room, "%d%s", va_arg(*ap, int),
				     rest) >= room)
			return false;
	}
	return true;
}

/* "%.8s" shows at most 8 bytes. */
static size_t text_limit(const struct spec *s)
{
	const char *dot = strchr(s->text, '.');
	size_t n = 0;

	if (dot == NULL)
		return SIZE_MAX;
	for (dot++; *dot >= '0' && *dot <= '9' && n < WEB_OUT_MAX; dot++)
		n = n * 10 + (size_t)(*dot - '0');
	return n;
}

static void write_one(struct web_out *o, struct spec *s, va_list *ap)
{
	char number[NUMBER_MAX];
	int n;

	if (!star_fill(s, ap)) {
		o->failed = true;
		return;
	}
	if (s->kind == 's') {
		const char *text = va_arg(*ap, const char *);

		if (text != NULL)
			out_text_n(o, text, strnlen(text, text_limit(s)));
		return;
	}
	n = strchr("diuxXcfeg", s->kind) != NULL ? number_write(number, s, ap)
						 : -1;
	if (n < 0 || n >= NUMBER_MAX)
		o->failed = true;
	else
		out_text_n(o, number, (size_t)n);
}

static void format_all(struct web_out *o, const char *fmt, va_list *ap)
{
	while (*fmt != '\0' && !o->failed) {
		size_t plain = strcspn(fmt, "%");
		struct spec s;

		out_bytes(o, fmt, plain);
		fmt += plain;
		if (*fmt == '\0')
			return;
		if (fmt[1] == '%') {
			out_bytes(o, "%", 1);
			fmt += 2;
			continue;
		}
		fmt = spec_read(fmt + 1, &s);
		if (fmt == NULL) {
			o->failed = true;
			return;
		}
		write_one(o, &s, ap);
	}
}

void out_printf(struct web_out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_all(o, fmt, &ap);
	va_end(ap);
}

/* ---- JSON -------------------------------------------------------------- */

/* Inside HTML a "</script>" or "<!--" must not appear. */
static int json_bytes(const char *p, size_t n, void *arg)
{
	struct web_out *o = arg;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '<')
			out_raw(o, "\\u003c");
		else if (p[i] == '>')
			out_raw(o, "\\u003e");
		else if (p[i] == '&')
			out_raw(o, "\\u0026");
		else
			out_bytes(o, p + i, 1);
	}
	return o->failed ? -1 : 0;
}

void out_json(struct web_out *o, const struct json_t *j)
{
	if (j == NULL ||
	    json_dump_callback(j, json_bytes, o,
			       JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		o->failed = true;
}

/* Not UTF-8: keep what is ASCII. */
static json_t *json_ascii(const char *s)
{
	char *clean = mem_strdup(s);
	json_t *j;

	for (char *p = clean; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = clean != NULL ? json_string(clean) : NULL;
	mem_free(clean);
	return j;
}

void out_json_string(struct web_out *o, const char *s)
{
	json_t *j = json_string(s);

	if (j == NULL)
		j = json_ascii(s);
	out_json(o, j);
	json_decref(j);
}
