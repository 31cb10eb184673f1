#include "web-status/parse.h"

#include <string.h>
#include <strings.h>

#include "proxy/lib/mem.h"
#include "web-status/utf8.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The byte at in[*at], which moves on; -1: broken. */
static int decoded(const char *in, size_t n, size_t *at, bool plus)
{
	char c = in[(*at)++];
	int high, low;

	if (c == '+' && plus)
		return ' ';
	if (c != '%')
		return (unsigned char)c;
	if (n - *at < 2)
		return -1;
	high = hex(in[*at]);
	low = hex(in[*at + 1]);
	*at += 2;
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool parse_decode(const char *in, size_t n, bool plus, char *out, size_t size)
{
	char text[WEB_PATH_MAX];
	size_t len = 0;

	for (size_t at = 0; at < n;) {
		int c = decoded(in, n, &at, plus);

		if (c < 0 || control((char)c) || len + 1 >= sizeof(text) ||
		    len + 1 >= size)
			return false;
		text[len++] = (char)c;
	}
	if (size == 0 || !utf8_valid(text, len))
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* ---- path -------------------------------------------------------------- */

static bool dots(const char *segment, size_t n)
{
	return (n == 1 && segment[0] == '.') ||
	       (n == 2 && segment[0] == '.' && segment[1] == '.');
}

static bool segments_ok(const char *path)
{
	const char *p = path;

	while (*p == '/') {
		size_t n = strcspn(++p, "/");

		if (dots(p, n) || (n == 0 && p[0] == '/'))
			return false;
		p += n;
	}
	return strchr(path, '\\') == NULL;
}

/* A '/' that is not one of the target's own. */
static bool hides_slash(const char *target, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++)
		if (target[i] == '%' && target[i + 1] == '2' &&
		    (target[i + 2] == 'f' || target[i + 2] == 'F'))
			return true;
	return false;
}

bool parse_path(const char *target, char *out, size_t size)
{
	char path[WEB_PATH_MAX];
	size_t n = strcspn(target, "?");

	if (target[0] != '/' || hides_slash(target, n) ||
	    !parse_decode(target, n, false, path, sizeof(path)) ||
	    !segments_ok(path) || strlen(path) >= size)
		return false;
	memcpy(out, path, strlen(path) + 1);
	return true;
}

/* ---- query and cookies ------------------------------------------------- */

bool parse_query(const char *query, const char *name, char *out, size_t size)
{
	unsigned count = 0;

	while (query != NULL && *query != '\0') {
		size_t n = strcspn(query, "&");
		const char *equals = memchr(query, '=', n);
		size_t key = equals != NULL ? (size_t)(equals - query) : n;
		char text[64];

		if (++count > WEB_PARAMETERS_MAX)
			return false;
		if (parse_decode(query, key, true, text, sizeof(text)) &&
		    strcmp(text, name) == 0)
			return equals == NULL
				   ? parse_decode("", 0, true, out, size)
				   : parse_decode(equals + 1, n - key - 1, true,
						  out, size);
		query += n + (query[n] == '&');
	}
	return false;
}

static bool cookie_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

static bool cookie_value(const char *p, size_t n, char *out, size_t size)
{
	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!cookie_char(p[i]))
			return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

bool parse_cookie(const char *header, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	while (header != NULL && *header != '\0') {
		size_t n;

		header += strspn(header, " \t;");
		n = strcspn(header, ";");
		if (n > len && strncmp(header, name, len) == 0 &&
		    header[len] == '=') {
			const char *v = header + len + 1;
			size_t left = n - len - 1;

			while (left > 0 && v[left - 1] == ' ')
				left--;
			return cookie_value(v, left, out, size);
		}
		header += n;
	}
	return false;
}

/* ---- language ---------------------------------------------------------- */

static const char *const languages[WEB_LANGUAGES] = {"en", "zh"};

bool parse_language_name(const char *text, enum web_language *out)
{
	for (unsigned i = 0; i < WEB_LANGUAGES; i++) {
		if (strcmp(text, languages[i]) == 0) {
			*out = (enum web_language)i;
			return true;
		}
	}
	return false;
}

/* Thousandths of "q=0.8" in p[0..n), 1000 where there is none. */
static unsigned weight(const char *p, size_t n)
{
	const char *q = memmem(p, n, "q=", 2);
	unsigned value = 0, unit = 100;

	if (q == NULL)
		return 1000;
	n -= (size_t)(q + 2 - p);
	q += 2;
	if (n == 0 || q[0] < '0' || q[0] > '1')
		return 0;
	value = q[0] == '1' ? 1000 : 0;
	for (size_t i = 2; i < n && i < 5 && q[1] == '.'; i++) {
		if (q[i] < '0' || q[i] > '9')
			break;
		value += (unsigned)(q[i] - '0') * unit;
		unit /= 10;
	}
	return value > 1000 ? 1000 : value;
}

/* "zh", "zh-CN", "zh-Hans;q=0.9" */
static bool is_language(const char *range, size_t n, const char *name)
{
	size_t len = strlen(name);

	return n >= len && strncasecmp(range, name, len) == 0 &&
	       (n == len || strchr("-; \t", range[len]) != NULL);
}

enum web_language parse_language(const char *header)
{
	enum web_language best = WEB_EN;
	unsigned most = 0;

	while (header != NULL && *header != '\0') {
		size_t n;

		header += strspn(header, ", \t");
		n = strcspn(header, ",");
		for (unsigned i = 0; i < WEB_LANGUAGES; i++) {
			if (is_language(header, n, languages[i]) &&
			    weight(header, n) > most) {
				most = weight(header, n);
				best = (enum web_language)i;
			}
		}
		header += n;
	}
	return best;
}

/* ---- host and origin --------------------------------------------------- */

static bool port_text(const char *p, uint16_t *port)
{
	unsigned long v = 0;

	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (unsigned long)(*p - '0');
		if (v > 65535)
			return false;
	}
	*port = (uint16_t)v;
	return v > 0;
}

static bool host_char(char c, bool bracketed)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || c == '.' || c == '-')
		return true;
	return bracketed ? c == ':' || c == '%' : c == '_';
}

static bool host_copy(const char *p, size_t n, bool bracketed, char *out,
		      size_t size)
{
	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!host_char(p[i], bracketed))
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
	out[n] = '\0';
	return true;
}

bool parse_host(const char *header, char *out, size_t size, uint16_t *port)
{
	bool bracketed = header[0] == '[';
	const char *from = header + bracketed;
	size_t n = strcspn(from, bracketed ? "]" : ":");
	const char *rest = from + n;
	uint16_t given = 0;

	if (bracketed && *rest++ != ']')
		return false;
	if (*rest == ':' && !port_text(rest + 1, &given))
		return false;
	if (*rest != ':' && *rest != '\0')
		return false;
	if (!host_copy(from, n, bracketed, out, size))
		return false;
	if (port != NULL)
		*port = given;
	return true;
}

bool parse_same_origin(const char *origin, const char *host, bool tls)
{
	const char *scheme = tls ? "https://" : "http://";
	uint16_t standard = tls ? 443 : 80, a, b;
	char x[PARSE_HOST_LEN], y[PARSE_HOST_LEN];

	if (strncmp(origin, scheme, strlen(scheme)) != 0 ||
	    !parse_host(origin + strlen(scheme), x, sizeof(x), &a) ||
	    !parse_host(host, y, sizeof(y), &b))
		return false;
	return strcmp(x, y) == 0 &&
	       (a != 0 ? a : standard) == (b != 0 ? b : standard);
}

/* ---- the rest ---------------------------------------------------------- */

bool parse_etag_match(const char *header, const char *etag)
{
	size_t len = strlen(etag);

	while (header != NULL && *header != '\0') {
		size_t n;

		header += strspn(header, ", \t");
		n = strcspn(header, ", \t");
		if (n == 1 && header[0] == '*')
			return true;
		if (n > 2 && strncmp(header, "W/", 2) == 0) {
			header += 2;
			n -= 2;
		}
		if (n == len && strncmp(header, etag, len) == 0)
			return true;
		header += n;
	}
	return false;
}

bool parse_is_local(const char *text)
{
	char path[WEB_PATH_MAX];

	if (text[0] != '/' || text[1] == '/' || text[1] == '\\')
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (control(*p) || *p == '\\' || *p == '#' ||
		    (unsigned char)*p >= 0x7f)
			return false;
	return parse_path(text, path, sizeof(path));
}
