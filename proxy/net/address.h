/* address.h - "host:port" texts and socket addresses. Pure but for the name
 * look-up, which lives in stream.c. */
#ifndef PROXY_NET_ADDRESS_H
#define PROXY_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/lib/err.h"

enum {
	ADDRESS_HOST_LEN = 256, /* RFC 1035: 253, and a NUL */
	ADDRESS_TEXT_LEN = 80,  /* "[ipv6%scope]:65535" and a NUL */
};

/* Split "host:port", "1.2.3.4:port" or "[v6]:port". ERR_INVAL: no port, port
 * above 65535, empty or overlong host, stray characters. An IPv6 address needs
 * its brackets. host is without them. */
enum err address_split(const char *text, char host[ADDRESS_HOST_LEN],
		       uint16_t *port) MUST_CHECK;

/* A numeric host (IPv4, or IPv6 with or without %scope) and a port.
 * ERR_NOTFOUND: host is a name. */
enum err address_numeric(const char *host, uint16_t port,
			 struct sockaddr_storage *out) MUST_CHECK;

/* True for "10.0.0.1" and "::1", false for names. */
bool address_is_numeric(const char *host);

/* "10.0.0.1:104", "[::1]:104"; "?" for other families. An IPv4 address that
 * came mapped into IPv6 is shown as IPv4. Returns out. */
char *address_text(const struct sockaddr *sa, char out[ADDRESS_TEXT_LEN]);
/* The same without the port and without brackets. */
char *address_host_text(const struct sockaddr *sa, char out[ADDRESS_TEXT_LEN]);
/* "10.1.4.20:51234" -> "10.1.4.20", "[::1]:104" -> "::1", cut to fit: what a
 * peer's connections have in common. */
void address_host(const char *peer, char *out, size_t out_size);
uint16_t address_port(const struct sockaddr *sa);

#endif
