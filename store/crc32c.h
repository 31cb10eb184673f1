/* crc32c.h - the Castagnoli CRC (RFC 3720 appendix B.4). Pure. */
#ifndef STORE_CRC32C_H
#define STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C of n bytes; "123456789" gives 0xe3069283. */
uint32_t crc32c(const void *p, size_t n);

#endif
