/* fake_wire.h - bytes of the standard, for peers that tests play. */
#ifndef TESTS_UNIT_FAKE_WIRE_H
#define TESTS_UNIT_FAKE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t wire_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static inline uint16_t wire_le16(const uint8_t *p)
{
	return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t wire_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[1] << 8 | p[0];
}

/* Read all n bytes from a blocking socket. False: it ended. */
bool wire_rx(int fd, void *to, size_t n);
/* Write all, as long as the socket lets us. */
void wire_tx(int fd, const void *from, size_t n);
/* A padded value as text, cut to fit. */
void wire_text(char *out, size_t size, const uint8_t *p, size_t n);

/* Put an item or sub-item (PS3.8 9.3.2), an element of a command set (PS3.7
 * 6.3.1), one that is a number. Each returns its length. */
size_t wire_item(uint8_t *out, uint8_t type, const void *p, size_t n);
size_t wire_element(uint8_t *out, uint16_t element, const void *p, size_t n);
size_t wire_us(uint8_t *out, uint16_t element, uint16_t v);

#endif
