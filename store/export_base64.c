#include <string.h>

#include "store/export_manifest.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t export_base64(const uint8_t *p, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;

		v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? p[i + 2] : 0;
		out[len++] = digits[v >> 18];
		out[len++] = digits[v >> 12 & 63];
		out[len++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		out[len++] = i + 2 < n ? digits[v & 63] : '=';
	}
	out[len] = '\0';
	return len;
}

static int digit(char c)
{
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

static bool quartet(const char *p, unsigned pad, uint32_t *v)
{
	*v = 0;
	for (unsigned i = 0; i < 4; i++) {
		int d = i >= 4 - pad ? 0 : digit(p[i]);

		if (d < 0)
			return false;
		*v = *v << 6 | (uint32_t)d;
	}
	/* bits that stand for nothing are zero: one spelling only */
	return (*v & ((1u << 8 * pad) - 1)) == 0;
}

enum err export_base64_parse(const char *p, size_t n, uint8_t *out, size_t cap,
			     size_t *len)
{
	size_t got = 0;

	if (n % 4 != 0)
		return ERR_INVAL;
	for (size_t i = 0; i < n; i += 4) {
		bool last = i + 4 == n;
		unsigned pad = !last || p[i + 3] != '=' ? 0
			       : p[i + 2] == '='        ? 2
							: 1;
		uint32_t v;

		if (!quartet(p + i, pad, &v))
			return ERR_INVAL;
		if (3 - pad > cap - got)
			return ERR_LIMIT;
		for (unsigned b = 0; b < 3 - pad; b++)
			out[got++] = (uint8_t)(v >> (16 - 8 * b));
	}
	*len = got;
	return ERR_OK;
}

char *export_hex(const uint8_t *p, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex[p[i] >> 4];
		out[2 * i + 1] = hex[p[i] & 15];
	}
	out[2 * n] = '\0';
	return out;
}
