/* utf8.h - is this UTF-8 (RFC 3629)? Pure. */
#ifndef WEB_STATUS_UTF8_H
#define WEB_STATUS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that p[0..n) begins with, 1..4; 0: it begins with
 * none (overlong, surrogate, above U+10FFFF, cut), or n is 0. */
size_t utf8_length(const char *p, size_t n);
/* All of p[0..n) is whole characters. */
bool utf8_valid(const char *p, size_t n);

#endif
