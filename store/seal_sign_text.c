#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/coding.h>

#include "store/seal_sign.h"

enum err seal_base64(const void *p, size_t n, char *out, size_t size)
{
	word32 len;

	if (size == 0 || size > UINT32_MAX || n > size ||
	    (n + 2) / 3 * 4 >= size)
		return ERR_LIMIT;
	len = (word32)size - 1;
	if (n > 0 && Base64_Encode_NoNl(p, (word32)n, (byte *)out, &len) != 0)
		return ERR_LIMIT;
	out[n > 0 ? len : 0] = '\0';
	return ERR_OK;
}

enum err seal_unbase64(const char *text, size_t len, uint8_t *out, size_t cap,
		       size_t *n)
{
	word32 size;

	if (len == 0 || len > UINT32_MAX / 2 || cap > UINT32_MAX)
		return ERR_INVAL;
	size = (word32)cap;
	if (Base64_Decode((const byte *)text, (word32)len, out, &size) != 0)
		return ERR_INVAL;
	*n = size;
	return ERR_OK;
}

char *seal_hex(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[at[i] >> 4];
		out[2 * i + 1] = digits[at[i] & 15];
	}
	out[2 * n] = '\0';
	return out;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool seal_unhex(const char *text, size_t len, uint8_t *out, size_t n)
{
	if (len / 2 != n || len % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
