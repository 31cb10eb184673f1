#include "web-status/utf8.h"

#include <stdint.h>

static bool tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* RFC 3629 section 4: the second byte's range depends on the first. */
static bool second(uint8_t lead, uint8_t c)
{
	if (lead == 0xe0)
		return c >= 0xa0 && c <= 0xbf;
	if (lead == 0xed)
		return c >= 0x80 && c <= 0x9f;
	if (lead == 0xf0)
		return c >= 0x90 && c <= 0xbf;
	if (lead == 0xf4)
		return c >= 0x80 && c <= 0x8f;
	return tail(c);
}

static size_t announced(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	if (lead >= 0xf0 && lead <= 0xf4)
		return 4;
	return 0;
}

size_t utf8_length(const char *p, size_t n)
{
	const uint8_t *b = (const uint8_t *)p;
	size_t want = n > 0 ? announced(b[0]) : 0;

	if (want > n)
		return 0;
	if (want > 1 && !second(b[0], b[1]))
		return 0;
	for (size_t i = 2; i < want; i++)
		if (!tail(b[i]))
			return 0;
	return want;
}

bool utf8_valid(const char *p, size_t n)
{
	while (n > 0) {
		size_t k = utf8_length(p, n);

		if (k == 0)
			return false;
		p += k;
		n -= k;
	}
	return true;
}
