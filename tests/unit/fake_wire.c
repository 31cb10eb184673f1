#include "tests/unit/fake_wire.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool wire_rx(int fd, void *to, size_t n)
{
	uint8_t *p = to;

	while (n > 0) {
		ssize_t k = read(fd, p, n);

		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

void wire_tx(int fd, const void *from, size_t n)
{
	const uint8_t *p = from;

	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

void wire_text(char *out, size_t size, const uint8_t *p, size_t n)
{
	n = n < size ? n : size - 1;
	memcpy(out, p, n);
	out[n] = '\0';
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\0'))
		out[--n] = '\0';
}

size_t wire_item(uint8_t *out, uint8_t type, const void *p, size_t n)
{
	out[0] = type;
	out[1] = 0;
	out[2] = (uint8_t)(n >> 8);
	out[3] = (uint8_t)n;
	memcpy(out + 4, p, n);
	return 4 + n;
}

size_t wire_element(uint8_t *out, uint16_t element, const void *p, size_t n)
{
	uint8_t head[8] = {0,
			   0,
			   (uint8_t)element,
			   (uint8_t)(element >> 8),
			   (uint8_t)n,
			   (uint8_t)(n >> 8)};

	memcpy(out, head, 8);
	memcpy(out + 8, p, n);
	return 8 + n;
}

size_t wire_us(uint8_t *out, uint16_t element, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	return wire_element(out, element, b, 2);
}
