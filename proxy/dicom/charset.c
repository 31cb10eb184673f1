#include "proxy/dicom/charset.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/lib/mem.h"

enum { ESC = 0x1B };

/* What the bytes 21..7e stand for now. */
enum g0 { G0_ASCII, G0_JIS_X0208, G0_JIS_X0212 };

struct text {
	const char *g1_first; /* iconv's name for bytes 80..ff at the start */
	const char *g1;       /* now; NULL: none */
	enum g0 g0;
	char *out;
	size_t len, cap; /* cap leaves room for the NUL */
	bool full;
};

/* ---- output ---- */

static void put(struct text *t, char c)
{
	if (t->len == t->cap || t->full)
		t->full = true;
	else
		t->out[t->len++] = c;
}

/* Convert n bytes of a set that iconv names; '?' for each byte in error. */
static void put_iconv(struct text *t, const char *set, const uint8_t *bytes,
		      size_t n)
{
	char *in = (char *)(uintptr_t)bytes; /* iconv(3) does not write it */
	iconv_t cd = iconv_open("UTF-8", set);
	size_t room;
	char *out;

	if (cd == (iconv_t)-1) {
		put(t, '?');
		return;
	}
	while (n > 0 && !t->full) {
		out = t->out + t->len;
		room = t->cap - t->len;
		if (iconv(cd, &in, &n, &out, &room) != (size_t)-1)
			n = 0;
		else if (errno == E2BIG)
			t->full = true;
		t->len = (size_t)(out - t->out);
		if (n > 0 && !t->full) { /* EILSEQ, EINVAL */
			put(t, '?');
			in++;
			n--;
			(void)iconv(cd, NULL, NULL, NULL, NULL);
		}
	}
	(void)iconv_close(cd);
}

/* JIS X 0201 katakana, which glibc's iconv does not have. */
static const char KATAKANA[] = "katakana";

static void put_katakana(struct text *t, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n && !t->full; i++) {
		unsigned code = 0xFF61u + bytes[i] - 0xA1u;

		if (bytes[i] < 0xA1 || bytes[i] > 0xDF) {
			put(t, '?');
		} else if (t->cap - t->len < 3) {
			t->full = true;
		} else {
			put(t, (char)(0xE0 | code >> 12));
			put(t, (char)(0x80 | (code >> 6 & 0x3F)));
			put(t, (char)(0x80 | (code & 0x3F)));
		}
	}
}

/* ---- declared names ---- */

struct set {
	unsigned number; /* ISO-IR registration */
	const char *iconv_name;
};

static const struct set g1_sets[] = {
    {100, "ISO-8859-1"},  {101, "ISO-8859-2"}, {109, "ISO-8859-3"},
    {110, "ISO-8859-4"},  {144, "ISO-8859-5"}, {127, "ISO-8859-6"},
    {126, "ISO-8859-7"},  {138, "ISO-8859-8"}, {148, "ISO-8859-9"},
    {203, "ISO-8859-15"}, {166, "TIS-620"},    {13, KATAKANA},
    {149, "EUC-KR"},      {58, "GB2312"},
};

static const char *g1_by_number(unsigned number)
{
	for (size_t i = 0; i < ARRAY_LEN(g1_sets); i++) {
		if (g1_sets[i].number == number)
			return g1_sets[i].iconv_name;
	}
	return NULL;
}

/* The first declared value, upper case, only letters and digits. */
static void first_name(const uint8_t *declared, size_t n, char *out,
		       size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n && declared[i] != '\\'; i++) {
		if (isascii(declared[i]) && isalnum(declared[i]) &&
		    len + 1 < size)
			out[len++] = (char)toupper(declared[i]);
	}
	out[len] = '\0';
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* Sets without code extensions: iconv's name when name is one, else NULL. */
static const char *whole_set(const char *name)
{
	if (ends_with(name, "GB18030"))
		return "GB18030";
	if (ends_with(name, "GBK"))
		return "GBK";
	if (strcmp(name, "ISOIR192") == 0 ||
	    strcmp(name, "ISO2022IR192") == 0 || strcmp(name, "UTF8") == 0)
		return "UTF-8";
	return NULL;
}

/* "ISOIR100", "ISO2022IR100", "ISO100", "ISO88591" */
static const char *initial_g1(const char *name)
{
	static const char *const prefixes[] = {"ISO2022IR", "ISO2022", "ISOIR",
					       "ISO"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], n) != 0)
			continue;
		if (strcmp(name + n, "88591") == 0)
			return "ISO-8859-1";
		return g1_by_number((unsigned)strtoul(name + n, NULL, 10));
	}
	return NULL;
}

/* ---- ISO 2022 (PS3.3 tables C.12-3 and C.12-4) ---- */

struct escape {
	const char *bytes; /* after ESC */
	enum g0 g0;
	bool is_g1;
	unsigned number; /* of the G1 set */
};

static const struct escape escapes[] = {
    {"(B", G0_ASCII, false, 0},      {"(J", G0_ASCII, false, 0},
    {"$B", G0_JIS_X0208, false, 0},  {"$@", G0_JIS_X0208, false, 0},
    {"$(D", G0_JIS_X0212, false, 0}, {")I", G0_ASCII, true, 13},
    {"$)C", G0_ASCII, true, 149},    {"$)A", G0_ASCII, true, 58},
    {"-A", G0_ASCII, true, 100},     {"-B", G0_ASCII, true, 101},
    {"-C", G0_ASCII, true, 109},     {"-D", G0_ASCII, true, 110},
    {"-L", G0_ASCII, true, 144},     {"-G", G0_ASCII, true, 127},
    {"-F", G0_ASCII, true, 126},     {"-H", G0_ASCII, true, 138},
    {"-M", G0_ASCII, true, 148},     {"-b", G0_ASCII, true, 203},
    {"-T", G0_ASCII, true, 166},
};

/* Obey the escape sequence at p[0..n); returns its length. */
static size_t on_escape(struct text *t, const uint8_t *p, size_t n)
{
	size_t len = 1;

	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		size_t m = strlen(escapes[i].bytes);

		if (n - 1 < m || memcmp(p + 1, escapes[i].bytes, m) != 0)
			continue;
		if (escapes[i].is_g1)
			t->g1 = g1_by_number(escapes[i].number);
		else
			t->g0 = escapes[i].g0;
		return 1 + m;
	}
	put(t, '?');
	while (len < n && p[len] >= 0x20 && p[len] <= 0x2F)
		len++;
	return len < n ? len + 1 : len;
}

/* At the delimiters of names and values the initial sets are back. A data set
 * that declares no initial G1 keeps the last one: real files rely on it. */
static void on_delimiter(struct text *t)
{
	t->g0 = G0_ASCII;
	if (t->g1_first != NULL)
		t->g1 = t->g1_first;
}

/* One character of a two-byte G0 set; returns the bytes taken. */
static size_t on_double(struct text *t, const uint8_t *p, size_t n)
{
	uint8_t euc[3] = {0x8F};

	if (n < 2 || p[1] < 0x21 || p[1] > 0x7E) {
		put(t, '?');
		return 1;
	}
	euc[1] = p[0] | 0x80;
	euc[2] = p[1] | 0x80;
	if (t->g0 == G0_JIS_X0212)
		put_iconv(t, "EUC-JP", euc, 3);
	else
		put_iconv(t, "EUC-JP", euc + 1, 2);
	return 2;
}

static size_t on_high(struct text *t, const uint8_t *p, size_t n)
{
	size_t run = 1;

	while (run < n && p[run] >= 0x80)
		run++;
	if (t->g1 == KATAKANA)
		put_katakana(t, p, run);
	else if (t->g1 != NULL)
		put_iconv(t, t->g1, p, run);
	else
		for (size_t i = 0; i < run; i++)
			put(t, '?');
	return run;
}

static size_t on_byte(struct text *t, const uint8_t *p, size_t n)
{
	if (*p == ESC)
		return on_escape(t, p, n);
	if (*p >= 0x80)
		return on_high(t, p, n);
	if (t->g0 != G0_ASCII && *p >= 0x21 && *p <= 0x7E)
		return on_double(t, p, n);
	if (*p == '^' || *p == '=' || *p == '\\' || *p < 0x20)
		on_delimiter(t);
	put(t, (char)*p);
	return 1;
}

/* ---- whole values ---- */

static bool is_plain(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == ESC || bytes[i] >= 0x80)
			return false;
	}
	return true;
}

/* Control characters, C1 as UTF-8 encodes them too, become '?'. */
static size_t without_controls(char *s, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t b = (uint8_t)s[i];
		uint8_t next = i + 1 < n ? (uint8_t)s[i + 1] : 0;

		if (b == 0xC2 && next >= 0x80 && next <= 0x9F) {
			s[to++] = '?';
			i++;
		} else {
			s[to++] = b < 0x20 || b == 0x7F ? '?' : s[i];
		}
	}
	return to;
}

static bool is_padding(uint8_t b)
{
	return b == ' ' || b == '\0';
}

void charset_to_utf8(const uint8_t *declared, size_t n_declared,
		     const uint8_t *bytes, size_t n, char *out, size_t size)
{
	struct text t = {.out = out, .cap = size - 1};
	const char *whole;
	char name[24];

	first_name(declared, n_declared, name, sizeof(name));
	whole = whole_set(name);
	t.g1 = t.g1_first = initial_g1(name);
	while (n > 0 && is_padding(bytes[0])) {
		bytes++;
		n--;
	}
	while (n > 0 && is_padding(bytes[n - 1]))
		n--;
	if (whole != NULL && !is_plain(bytes, n)) {
		put_iconv(&t, whole, bytes, n);
		n = 0;
	}
	for (size_t used; n > 0 && !t.full; bytes += used, n -= used)
		used = on_byte(&t, bytes, n);
	t.len = without_controls(out, t.len);
	while (t.len > 0 && out[t.len - 1] == ' ')
		t.len--;
	out[t.len] = '\0';
}
