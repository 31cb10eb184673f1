/* export_text.c - cells as the text of a file: CSV and JSON. Written for speed:
 * it runs for each cell of millions of rows. */
#include <string.h>

#include "proxy/lib/mem.h"
#include "store/export_in.h"

enum { NAME_MAX_LEN = 40 /* of a column */ };

/* What a byte is within a text. */
enum byte_class {
	PLAIN,
	HIGH,      /* part of a character of several bytes, or none */
	CSV_ONLY,  /* , */
	BOTH,      /* " */
	JSON_ONLY, /* backslash */
	BREAK,     /* CR, LF */
	CONTROL,
};

static enum byte_class class_of(uint8_t b)
{
	static const uint8_t table[128] = {CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   BREAK,
					   CONTROL,
					   CONTROL,
					   BREAK,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   CONTROL,
					   ['"'] = BOTH,
					   [','] = CSV_ONLY,
					   ['\\'] = JSON_ONLY};

	return b < 128 ? (enum byte_class)table[b] : HIGH;
}

/* ---- characters --------------------------------------------------------- */

size_t export_utf8(const uint8_t *p, size_t n, uint32_t *code)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80             ? 1
		     : (p[0] & 0xe0) == 0xc0 ? 2
		     : (p[0] & 0xf0) == 0xe0 ? 3
		     : (p[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	if (len == 1) {
		*code = p[0];
		return 1;
	}
	c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return len;
}

/* One character, or one byte that is none, from p to *out. Returns the bytes
 * taken. */
static size_t put_high(const uint8_t *p, size_t n, char **out)
{
	uint32_t c = 0;
	size_t len = export_utf8(p, n, &c);

	if (len > 0 && (c < EXPORT_RAW_FIRST || c > EXPORT_RAW_LAST)) {
		memcpy(*out, p, len);
		*out += len;
		return len;
	}
	c = EXPORT_RAW_FIRST + (uint32_t)(p[0] - 0x80);
	*(*out)++ = (char)(0xe0 | c >> 12);
	*(*out)++ = (char)(0x80 | (c >> 6 & 0x3f));
	*(*out)++ = (char)(0x80 | (c & 0x3f));
	return 1;
}

/* ---- numbers, times, hexadecimal ---------------------------------------- */

static char *put_unsigned(char *at, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

static char *put_signed(char *at, int64_t v)
{
	if (v >= 0)
		return put_unsigned(at, (uint64_t)v);
	*at++ = '-';
	return put_unsigned(at, 0 - (uint64_t)v);
}

static char *put_digits(char *at, int64_t v, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		at[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return at + width;
}

/* Days since 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant's
 * civil_from_days). */
static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = yoe + era * 400 + (*m <= 2);
}

#define MS_DAY   86400000LL
#define MS_FIRST (-62167219200000LL) /* 0000-01-01 */
#define MS_END   253402300800000LL   /* 10000-01-01 */

static char *put_bytes(char *at, const void *p, size_t n)
{
	if (n > 0)
		memcpy(at, p, n);
	return at + n;
}

/* The bytes of a cell, which has none of them without a pointer. */
static const uint8_t *bytes_of(const struct export_cell *c, size_t *n)
{
	static const uint8_t none[1];

	*n = c->p != NULL ? c->len : 0;
	return c->p != NULL ? c->p : none;
}

static char *put_time(char *at, int64_t ms)
{
	int64_t days, left, y, m, d;

	if (ms < MS_FIRST || ms >= MS_END)
		return put_signed(put_bytes(at, "ms:", 3), ms);
	days = ms >= 0 ? ms / MS_DAY : -((-ms + MS_DAY - 1) / MS_DAY);
	left = ms - days * MS_DAY;
	date_of(days, &y, &m, &d);
	at = put_digits(at, y, 4);
	*at++ = '-';
	at = put_digits(at, m, 2);
	*at++ = '-';
	at = put_digits(at, d, 2);
	*at++ = 'T';
	at = put_digits(at, left / 3600000, 2);
	*at++ = ':';
	at = put_digits(at, left / 60000 % 60, 2);
	*at++ = ':';
	at = put_digits(at, left / 1000 % 60, 2);
	*at++ = '.';
	at = put_digits(at, left % 1000, 3);
	*at++ = 'Z';
	return at;
}

size_t export_time_text(int64_t ms, char out[EXPORT_TIME_LEN])
{
	return (size_t)(put_time(out, ms) - out);
}

static char *put_hex(char *at, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*at++ = digits[p[i] >> 4];
		*at++ = digits[p[i] & 15];
	}
	return at;
}

/* ---- CSV ----------------------------------------------------------------- */

bool export_is_formula(const uint8_t *p, size_t n)
{
	uint32_t c;

	if (n == 0 || export_utf8(p, n, &c) == 0)
		return false;
	switch (c) {
	case '=':
	case '+':
	case '-':
	case '@':
	case '\t':
	case '\r':
	case '\n':
	case '\'':
	case 0xff1d: /* the same four, full width */
	case 0xff0b:
	case 0xff0d:
	case 0xff20:
		return true;
	}
	return false;
}

/* What there is in a text that is not just copied. */
struct looks {
	bool quotes; /* has to stand in quotes */
	bool plain;  /* every byte can be copied as it is */
};

static struct looks look_at(const uint8_t *p, size_t n)
{
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++)
		seen |= 1u << class_of(p[i]);
	return (struct looks){
	    .quotes = (seen & (1u << CSV_ONLY | 1u << BOTH | 1u << BREAK)) != 0,
	    .plain = (seen & (1u << HIGH | 1u << BOTH)) == 0};
}

static char *put_csv_bytes(char *at, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (p[i] >= 0x80) {
			i += put_high(p + i, n - i, &at);
			continue;
		}
		if (p[i] == '"')
			*at++ = '"';
		*at++ = (char)p[i++];
	}
	return at;
}

static char *put_csv_text(char *at, const uint8_t *p, size_t n)
{
	struct looks looks = look_at(p, n);

	if (looks.quotes)
		*at++ = '"';
	if (export_is_formula(p, n))
		*at++ = '\'';
	at = looks.plain ? put_bytes(at, p, n) : put_csv_bytes(at, p, n);
	if (looks.quotes)
		*at++ = '"';
	return at;
}

static char *put_csv(char *at, enum export_type type,
		     const struct export_cell *c)
{
	size_t n;
	const uint8_t *p = bytes_of(c, &n);

	if (c->none)
		return at;
	switch (type) {
	case EXPORT_TEXT:
	case EXPORT_JSON:
		return put_csv_text(at, p, n);
	case EXPORT_NUMBER:
		return put_signed(at, c->number);
	case EXPORT_UNSIGNED:
		return put_unsigned(at, (uint64_t)c->number);
	case EXPORT_TIME:
		return put_time(at, c->number);
	case EXPORT_HEX:
		return put_hex(at, p, n);
	}
	return at;
}

/* ---- JSON ---------------------------------------------------------------- */

static char *put_escaped(char *at, uint8_t b)
{
	static const char digits[] = "0123456789abcdef";

	*at++ = '\\';
	switch (b) {
	case '"':
	case '\\':
		*at++ = (char)b;
		return at;
	case '\n':
		*at++ = 'n';
		return at;
	case '\r':
		*at++ = 'r';
		return at;
	case '\t':
		*at++ = 't';
		return at;
	}
	at = put_bytes(at, "u00", 3);
	*at++ = digits[b >> 4];
	*at++ = digits[b & 15];
	return at;
}

/* How many bytes from p on JSON takes as they are. */
static size_t plain_bytes(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && (class_of(p[i]) == PLAIN || class_of(p[i]) == CSV_ONLY))
		i++;
	return i;
}

static char *put_json_text(char *at, const uint8_t *p, size_t n)
{
	*at++ = '"';
	for (size_t i = 0; i < n;) {
		size_t run = plain_bytes(p + i, n - i);

		at = put_bytes(at, p + i, run);
		i += run;
		if (i < n && class_of(p[i]) == HIGH)
			i += put_high(p + i, n - i, &at);
		else if (i < n)
			at = put_escaped(at, p[i++]);
	}
	*at++ = '"';
	return at;
}

static char *put_json(char *at, enum export_type type,
		      const struct export_cell *c)
{
	size_t n;
	const uint8_t *p = bytes_of(c, &n);

	if (c->none)
		return put_bytes(at, "null", 4);
	switch (type) {
	case EXPORT_JSON:
		return export_json_object((const char *)p, n)
			   ? put_bytes(at, p, n)
			   : put_json_text(at, p, n);
	case EXPORT_TEXT:
		return put_json_text(at, p, n);
	case EXPORT_NUMBER:
		return put_signed(at, c->number);
	case EXPORT_UNSIGNED:
		return put_unsigned(at, (uint64_t)c->number);
	case EXPORT_TIME:
		*at++ = '"';
		at = put_time(at, c->number);
		*at++ = '"';
		return at;
	case EXPORT_HEX:
		*at++ = '"';
		at = put_hex(at, p, n);
		*at++ = '"';
		return at;
	}
	return at;
}

/* ---- rows ---------------------------------------------------------------- */

size_t export_row_bound(const struct export_table *t, bool reveal,
			const struct export_cell *cells)
{
	size_t n = export_n_columns(t, reveal), bound = 16;

	for (size_t i = 0; i < n; i++) {
		if (!cells[i].none && cells[i].p != NULL)
			bound += 6 * (size_t)cells[i].len;
		bound += 40 + NAME_MAX_LEN;
	}
	return bound;
}

static char *put_csv_row(char *at, const struct export_table *t, size_t n,
			 const struct export_cell *cells)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*at++ = ',';
		at = put_csv(at, t->columns[i].type, &cells[i]);
	}
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

static char *put_json_row(char *at, const struct export_table *t, size_t n,
			  const struct export_cell *cells)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = t->columns[i].name;

		*at++ = i == 0 ? '{' : ',';
		*at++ = '"';
		at = put_bytes(at, name, strlen(name));
		*at++ = '"';
		*at++ = ':';
		at = put_json(at, t->columns[i].type, &cells[i]);
	}
	*at++ = '}';
	*at++ = '\n';
	return at;
}

size_t export_row_text(const struct export_table *t, enum export_format f,
		       bool reveal, const struct export_cell *cells, char *out)
{
	size_t n = export_n_columns(t, reveal);
	char *end = out;

	for (size_t i = 0; i < n; i++) {
		if (!cells[i].none && cells[i].p != NULL &&
		    cells[i].len > EXPORT_CELL_MAX)
			return 0;
	}
	if (export_row_bound(t, reveal, cells) > EXPORT_ROW_MAX)
		return 0;
	switch (f) {
	case EXPORT_CSV:
		end = put_csv_row(out, t, n, cells);
		break;
	case EXPORT_JSONL:
		end = put_json_row(out, t, n, cells);
		break;
	case EXPORT_DICOM:
		break;
	}
	return (size_t)(end - out);
}

size_t export_head_text(const struct export_table *t, enum export_format f,
			bool reveal, char *out)
{
	static const char open[] = "<AuditMessages>\n";
	size_t n = export_n_columns(t, reveal), len = 0;

	switch (f) {
	case EXPORT_CSV:
		for (size_t i = 0; i < n; i++) {
			const char *name = t->columns[i].name;

			if (i > 0)
				out[len++] = ',';
			len =
			    (size_t)(put_bytes(out + len, name, strlen(name)) -
				     out);
		}
		return (size_t)(put_bytes(out + len, "\r\n", 2) - out);
	case EXPORT_JSONL:
		return 0;
	case EXPORT_DICOM:
		return (size_t)(put_bytes(out, open, sizeof(open) - 1) - out);
	}
	return 0;
}
