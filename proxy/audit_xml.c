#include "proxy/audit_xml.h"

#include <stdbool.h>
#include <string.h>

#include "proxy/audit_message.h"

void xml_raw(struct wr *w, const char *markup)
{
	wr_bytes(w, markup, strlen(markup));
}

/* Length of the UTF-8 sequence at s[0..n), n > 0, if it is a character that
 * XML 1.0 allows; else 0. */
static size_t character(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0;
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	if (len == 1)
		return s[0] >= 0x20 ? 1 : 0;
	c = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) ||
	    c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c == 0xfffe ||
	    c == 0xffff)
		return 0;
	return len;
}

static const char *entity(unsigned char c)
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
	case '\t':
	case '\n':
	case '\r':
		return " ";
	}
	return NULL;
}

/* A sequence that max cuts is left out, one that is damaged is not. */
static bool is_cut(const unsigned char *s, size_t left, size_t had)
{
	return left < 4 && had > left && character(s, had) > left;
}

void xml_text(struct wr *w, const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t had = strnlen(text, max + 4);
	size_t n = had < max ? had : max;

	while (n > 0) {
		const char *e = entity(*s);
		size_t len = character(s, n);

		if (e == NULL && len == 0 && is_cut(s, n, had))
			return;
		if (e != NULL)
			xml_raw(w, e);
		else if (len > 0)
			wr_bytes(w, s, len);
		else
			xml_raw(w, "\xef\xbf\xbd");
		len = len > 0 ? len : 1;
		s += len;
		n -= len;
		had -= len;
	}
}

void xml_attribute(struct wr *w, const char *name, const char *text)
{
	wr_u8(w, ' ');
	xml_raw(w, name);
	xml_raw(w, "=\"");
	xml_text(w, text, AUDIT_MESSAGE_TEXT_MAX);
	wr_u8(w, '"');
}

void xml_optional(struct wr *w, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		xml_attribute(w, name, text);
}

void xml_base64(struct wr *w, const void *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
				     "pqrstuvwxyz0123456789+/";
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t v = (uint32_t)s[i] << 16;

		if (have > 1)
			v |= (uint32_t)s[i + 1] << 8;
		if (have > 2)
			v |= s[i + 2];
		for (size_t k = 0; k < 4; k++)
			wr_u8(w, k <= have
				     ? (uint8_t)digits[v >> (18 - 6 * k) & 0x3f]
				     : '=');
	}
}

void xml_code(struct wr *w, const char *name, const char *code,
	      const char *system, const char *meaning)
{
	wr_u8(w, '<');
	xml_raw(w, name);
	xml_attribute(w, "csd-code", code);
	xml_attribute(w, "codeSystemName", system);
	xml_attribute(w, "originalText", meaning);
	xml_raw(w, "/>");
}
