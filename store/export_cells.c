#include "store/export_cells.h"

#include <string.h>

static const char bad_number[] = "a number is not one";
static const char bad_time[] = "a time is not one";
static const char bad_hex[] = "hexadecimal digits are not what they should be";
static const char bad_fields[] = "it has not as many fields as the table";
static const char bad_quotes[] = "its quotes do not match";
static const char bad_json[] = "it is not a JSON object of this table";

/* ---- values -------------------------------------------------------------- */

static bool parse_unsigned(const char *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0 || n > 20)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)(p[i] - '0');

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*out = v;
	return true;
}

static bool parse_signed(const char *p, size_t n, int64_t *out)
{
	bool minus = n > 0 && p[0] == '-';
	uint64_t v;

	if (!parse_unsigned(p + minus, n - minus, &v) ||
	    v > (uint64_t)INT64_MAX + minus)
		return false;
	*out = (int64_t)(minus ? 0 - v : v);
	return true;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: the bytes take the room of their digits. */
static bool parse_hex(char *p, size_t n)
{
	if (n % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int hi = nibble(p[i]), lo = nibble(p[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		p[i / 2] = (char)(hi << 4 | lo);
	}
	return true;
}

/* Undo what stands for bytes that are no UTF-8, in place. Returns the length
 * that is left. */
static size_t undo_raw(char *p, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t len = export_utf8((const uint8_t *)p + i, n - i, &c);

		if (len == 3 && c >= EXPORT_RAW_FIRST && c <= EXPORT_RAW_LAST) {
			p[to++] = (char)(c - EXPORT_RAW_FIRST + 0x80);
			i += 3;
			continue;
		}
		len = len > 0 ? len : 1;
		memmove(p + to, p + i, len);
		to += len;
		i += len;
	}
	return to;
}

/* The text p[0..n), in the arena and not escaped any more, as a cell. */
static const char *to_cell(enum export_type type, char *p, size_t n,
			   struct export_cell *out)
{
	*out = (struct export_cell){0};
	switch (type) {
	case EXPORT_TEXT:
	case EXPORT_JSON:
		*out = export_bytes(p, undo_raw(p, n));
		return NULL;
	case EXPORT_NUMBER:
		return parse_signed(p, n, &out->number) ? NULL : bad_number;
	case EXPORT_UNSIGNED: {
		uint64_t v = 0;

		if (!parse_unsigned(p, n, &v))
			return bad_number;
		out->number = (int64_t)v;
		return NULL;
	}
	case EXPORT_TIME:
		return export_time_parse(p, n, &out->number) ? NULL : bad_time;
	case EXPORT_HEX:
		if (!parse_hex(p, n))
			return bad_hex;
		*out = export_bytes(p, n / 2);
		return NULL;
	}
	return bad_json;
}

static bool is_text(enum export_type t)
{
	return t == EXPORT_TEXT || t == EXPORT_JSON;
}

/* ---- CSV ----------------------------------------------------------------- */

/* One field from *at into the arena; *at stands behind it. */
static const char *csv_field(struct export_line *l, size_t *at, size_t *len)
{
	char *to = l->arena + l->used;
	size_t n = 0, i = *at;
	bool quoted = i < l->len && l->p[i] == '"';

	i += quoted;
	for (; i < l->len; i++) {
		if (quoted && l->p[i] == '"') {
			if (i + 1 >= l->len || l->p[i + 1] != '"')
				break;
			i++;
		} else if (!quoted && (l->p[i] == ',' || l->p[i] == '\r' ||
				       l->p[i] == '\n')) {
			break;
		} else if (!quoted && l->p[i] == '"') {
			return bad_quotes;
		}
		to[n++] = l->p[i];
	}
	if (quoted && i++ >= l->len)
		return bad_quotes;
	*len = n;
	*at = i;
	l->used += n;
	return NULL;
}

static const char *csv_cell(enum export_type type, struct export_line *l,
			    size_t *at, struct export_cell *out)
{
	char *text = l->arena + l->used;
	size_t n = 0;
	const char *why = csv_field(l, at, &n);

	if (why != NULL)
		return why;
	if (n == 0) {
		*out = export_none();
		return NULL;
	}
	if (is_text(type) && text[0] == '\'') {
		text++;
		n--;
	}
	return to_cell(type, text, n, out);
}

static bool at_end(const struct export_line *l, size_t at)
{
	at += at < l->len && l->p[at] == '\r';
	return at + 1 == l->len && l->p[at] == '\n';
}

const char *export_cells_csv(const struct export_table *t, bool reveal,
			     struct export_line *line,
			     struct export_cell *cells)
{
	size_t n = export_n_columns(t, reveal), at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *why;

		if (i > 0 && (at >= line->len || line->p[at++] != ','))
			return bad_fields;
		why = csv_cell(t->columns[i].type, line, &at, &cells[i]);
		if (why != NULL)
			return why;
	}
	return at_end(line, at) ? NULL : bad_fields;
}

/* ---- JSON ---------------------------------------------------------------- */

static void skip_space(const struct export_line *l, size_t *at)
{
	while (*at < l->len && (l->p[*at] == ' ' || l->p[*at] == '\t'))
		(*at)++;
}

static bool take(const struct export_line *l, size_t *at, char c)
{
	skip_space(l, at);
	if (*at >= l->len || l->p[*at] != c)
		return false;
	(*at)++;
	return true;
}

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = nibble(
		    (char)(p[i] >= 'A' && p[i] <= 'F' ? p[i] | 0x20 : p[i]));

		v = v << 4 | (uint32_t)d;
	}
	return v;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The escape behind the backslash at p[0..n), known to be well formed. Returns
 * the bytes taken. A lone surrogate becomes U+FFFD. */
static size_t unescape(const char *p, size_t n, char *to, size_t *put)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	uint32_t c, low;

	if (p[0] != 'u') {
		to[0] = into[strchr(from, p[0]) - from];
		*put = 1;
		return 1;
	}
	c = hex4(p + 1);
	if (c < 0xd800 || c > 0xdfff) {
		*put = put_utf8(to, c);
		return 5;
	}
	low = c < 0xdc00 && n >= 11 && p[5] == '\\' && p[6] == 'u' ? hex4(p + 7)
								   : 0;
	if (low < 0xdc00 || low > 0xdfff) {
		*put = put_utf8(to, 0xfffd);
		return 5;
	}
	*put = put_utf8(to, 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff));
	return 11;
}

/* A string that was scanned already, quotes included. */
static size_t json_string(struct export_line *l, const char *p, size_t n)
{
	char *to = l->arena + l->used;
	size_t len = 0;

	for (size_t i = 1; i + 1 < n;) {
		size_t put = 1;

		if (p[i] == '\\') {
			i++;
			i += unescape(p + i, n - 1 - i, to + len, &put);
		} else {
			to[len] = p[i++];
		}
		len += put;
	}
	l->used += len;
	return len;
}

static const char *json_cell(enum export_type type, struct export_line *l,
			     const char *p, size_t n, struct export_cell *out)
{
	char *text = l->arena + l->used;
	bool quoted = p[0] == '"';

	if (n == 4 && memcmp(p, "null", 4) == 0) {
		*out = export_none();
		return NULL;
	}
	if (quoted != (type != EXPORT_NUMBER && type != EXPORT_UNSIGNED) &&
	    !(type == EXPORT_JSON && p[0] == '{'))
		return bad_json;
	if (quoted) {
		n = json_string(l, p, n);
	} else {
		memcpy(text, p, n);
		l->used += n;
		if (type == EXPORT_JSON) { /* as it stands */
			*out = export_bytes(text, n);
			return NULL;
		}
	}
	return to_cell(type, text, n, out);
}

static bool json_name(const struct export_line *l, size_t *at, const char *name)
{
	size_t n = strlen(name);

	if (!take(l, at, '"') || l->len - *at < n + 1 ||
	    memcmp(l->p + *at, name, n) != 0 || l->p[*at + n] != '"')
		return false;
	*at += n + 1;
	return take(l, at, ':');
}

static const char *json_member(const struct export_column *c,
			       struct export_line *l, size_t *at,
			       struct export_cell *out)
{
	const char *value;
	size_t n;

	if (!json_name(l, at, c->name))
		return bad_json;
	skip_space(l, at);
	value = l->p + *at;
	n = export_json_value(value, l->len - *at);
	if (n == 0)
		return bad_json;
	*at += n;
	while (value[n - 1] == ' ' || value[n - 1] == '\t')
		n--;
	return json_cell(c->type, l, value, n, out);
}

const char *export_cells_json(const struct export_table *t, bool reveal,
			      struct export_line *line,
			      struct export_cell *cells)
{
	size_t n = export_n_columns(t, reveal), at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *why;

		if (!take(line, &at, i == 0 ? '{' : ','))
			return bad_json;
		why = json_member(&t->columns[i], line, &at, &cells[i]);
		if (why != NULL)
			return why;
	}
	if (!take(line, &at, '}'))
		return bad_json;
	return at_end(line, at) ? NULL : bad_json;
}
