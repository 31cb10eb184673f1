/* charset.h - text of a data set to UTF-8 (PS3.5 section 6.1, PS3.3 section
 * C.12.1.1.2).
 *
 * No state between calls. iconv(3) allocates by libc for the length of a call,
 * and only for text beyond ASCII. Input is hostile. */
#ifndef PROXY_DICOM_CHARSET_H
#define PROXY_DICOM_CHARSET_H

#include <stddef.h>
#include <stdint.h>

/* Convert n bytes of a value of VR SH, LO or PN. declared: the value of
 * (0008,0005), n_declared bytes, 0 for absent; names are recognised loosely
 * ("ISO-IR 100"). Single-byte sets, UTF-8, GB18030, GBK, and ISO 2022 escapes
 * (also undeclared ones) are known.
 *
 * out, of size >= 2 bytes, is valid UTF-8 with a NUL, trimmed of spaces at
 * both ends and of NULs, cut between characters when it does not fit. What
 * cannot be decoded, and control characters, are '?'. */
void charset_to_utf8(const uint8_t *declared, size_t n_declared,
		     const uint8_t *bytes, size_t n, char *out, size_t size);

#endif
