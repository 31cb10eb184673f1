#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err parse_port(const char *text, uint16_t *port)
{
	unsigned v = 0;
	size_t n = 0;

	for (; text[n] != '\0'; n++) {
		if (n == 5 || text[n] < '0' || text[n] > '9')
			return ERR_INVAL;
		v = v * 10 + (unsigned)(text[n] - '0');
	}
	if (n == 0 || v > UINT16_MAX)
		return ERR_INVAL;
	*port = (uint16_t)v;
	return ERR_OK;
}

static bool host_char(char c, bool bracketed)
{
	if (bracketed && (c == ':' || c == '%'))
		return true;
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

enum err address_split(const char *text, char host[ADDRESS_HOST_LEN],
		       uint16_t *port)
{
	bool bracketed = text[0] == '[';
	const char *begin = text + bracketed;
	const char *end = strchr(begin, bracketed ? ']' : ':');
	size_t n;

	if (end == NULL || end == begin)
		return ERR_INVAL;
	n = (size_t)(end - begin);
	if (n >= ADDRESS_HOST_LEN || (bracketed && end[1] != ':'))
		return ERR_INVAL;
	for (size_t i = 0; i < n; i++)
		if (!host_char(begin[i], bracketed))
			return ERR_INVAL;
	if (parse_port(end + 1 + bracketed, port) != ERR_OK)
		return ERR_INVAL;
	memcpy(host, begin, n);
	host[n] = '\0';
	return ERR_OK;
}

static bool numeric6(const char *host, struct sockaddr_in6 *sin6)
{
	char addr[INET6_ADDRSTRLEN];
	const char *scope = strchr(host, '%');
	size_t n = scope != NULL ? (size_t)(scope - host) : strlen(host);

	if (n >= sizeof(addr))
		return false;
	memcpy(addr, host, n);
	addr[n] = '\0';
	if (inet_pton(AF_INET6, addr, &sin6->sin6_addr) != 1)
		return false;
	sin6->sin6_family = AF_INET6;
	if (scope == NULL)
		return true;
	sin6->sin6_scope_id = if_nametoindex(scope + 1);
	if (sin6->sin6_scope_id == 0)
		sin6->sin6_scope_id = (uint32_t)strtoul(scope + 1, NULL, 10);
	return sin6->sin6_scope_id != 0;
}

enum err address_numeric(const char *host, uint16_t port,
			 struct sockaddr_storage *out)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port)};
	struct sockaddr_in6 sin6 = {.sin6_port = htons(port)};

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &sin.sin_addr) == 1) {
		memcpy(out, &sin, sizeof(sin));
		return ERR_OK;
	}
	if (numeric6(host, &sin6)) {
		memcpy(out, &sin6, sizeof(sin6));
		return ERR_OK;
	}
	return ERR_NOTFOUND;
}

bool address_is_numeric(const char *host)
{
	struct sockaddr_storage ss;

	return address_numeric(host, 0, &ss) == ERR_OK;
}

/* The mapped IPv4 address inside an IPv6 one, or the address itself. */
static const void *unmap(const struct sockaddr *sa, int *family)
{
	const struct sockaddr_in6 *sin6 = (const void *)sa;

	*family = sa->sa_family;
	if (sa->sa_family == AF_INET)
		return &((const struct sockaddr_in *)(const void *)sa)
			    ->sin_addr;
	if (sa->sa_family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr))
		return &sin6->sin6_addr;
	*family = AF_INET;
	return sin6->sin6_addr.s6_addr + 12;
}

static uint32_t scope_of(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *sin6 = (const void *)sa;

	return sa->sa_family == AF_INET6 ? sin6->sin6_scope_id : 0;
}

char *address_host_text(const struct sockaddr *sa, char out[ADDRESS_TEXT_LEN])
{
	int family;
	const void *addr = unmap(sa, &family);
	size_t n;

	if (addr == NULL ||
	    inet_ntop(family, addr, out, ADDRESS_TEXT_LEN) == NULL) {
		memcpy(out, "?", 2);
		return out;
	}
	n = strlen(out);
	if (scope_of(sa) != 0)
		snprintf(out + n, ADDRESS_TEXT_LEN - n, "%%%u", scope_of(sa));
	return out;
}

uint16_t address_port(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohs(
		    ((const struct sockaddr_in *)(const void *)sa)->sin_port);
	if (sa->sa_family == AF_INET6)
		return ntohs(
		    ((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
	return 0;
}

char *address_text(const struct sockaddr *sa, char out[ADDRESS_TEXT_LEN])
{
	char host[ADDRESS_TEXT_LEN];
	int n;

	address_host_text(sa, host);
	n = snprintf(out, ADDRESS_TEXT_LEN,
		     strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
		     address_port(sa));
	if (n < 0 || strcmp(host, "?") == 0)
		memcpy(out, "?", 2);
	return out;
}

void address_host(const char *peer, char *out, size_t out_size)
{
	const char *colon = strrchr(peer, ':');
	size_t n = colon != NULL ? (size_t)(colon - peer) : strlen(peer);

	if (n >= 2 && peer[0] == '[' && peer[n - 1] == ']') {
		peer++;
		n -= 2;
	}
	if (n >= out_size)
		n = out_size - 1;
	memcpy(out, peer, n);
	out[n] = '\0';
}
