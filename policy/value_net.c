/* Addresses, ranges and endpoints. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "policy/value.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool value_is_v4(const uint8_t address[16])
{
	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

bool value_address(const char *text, uint8_t out[16])
{
	uint8_t v4[4], v6[16];

	if (inet_pton(AF_INET, text, v4) == 1) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + 12, v4, sizeof(v4));
		return true;
	}
	if (inet_pton(AF_INET6, text, v6) != 1)
		return false;
	memcpy(out, v6, sizeof(v6));
	return true;
}

/* Clear what lies beyond prefix; true if there was something. */
static bool clear_host_bits(uint8_t address[16], unsigned prefix)
{
	bool found = false;

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = prefix > i * 8 ? prefix - i * 8 : 0;
		uint8_t mask = (uint8_t)(0xff00u >> (keep < 8 ? keep : 8));

		if ((address[i] & (uint8_t)~mask) != 0)
			found = true;
		address[i] &= mask;
	}
	return found;
}

enum value_network_result value_network(const char *text,
					struct config_network *out)
{
	char address[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct config_network net = {.prefix = 128};
	uint64_t prefix;

	if (len >= sizeof(address))
		return VALUE_NETWORK_BAD;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!value_address(address, net.address))
		return VALUE_NETWORK_BAD;
	if (slash != NULL) {
		bool v4 = strchr(address, ':') == NULL;

		if (!value_number(slash + 1, &prefix) ||
		    prefix > (v4 ? 32u : 128u))
			return VALUE_NETWORK_BAD;
		net.prefix = (uint8_t)(v4 ? prefix + 96 : prefix);
	}
	*out = net;
	if (clear_host_bits(out->address, net.prefix))
		return VALUE_NETWORK_HOST_BITS;
	return VALUE_NETWORK_OK;
}

char *config_network_text(const struct config_network *net,
			  char out[CONFIG_NETWORK_TEXT_LEN])
{
	bool v4 = value_is_v4(net->address) && net->prefix >= 96;
	unsigned prefix = v4 ? net->prefix - 96u : net->prefix;
	char address[INET6_ADDRSTRLEN] = "?";

	if (v4)
		inet_ntop(AF_INET, net->address + 12, address, sizeof(address));
	else
		inet_ntop(AF_INET6, net->address, address, sizeof(address));
	if (net->prefix == 128)
		snprintf(out, CONFIG_NETWORK_TEXT_LEN, "%s", address);
	else
		snprintf(out, CONFIG_NETWORK_TEXT_LEN, "%.46s/%u", address,
			 prefix & 0xffu);
	return out;
}

/* RFC 1123 section 2.1, underscores tolerated. */
static bool is_dns_name(const char *text)
{
	size_t len = strlen(text), label = 0;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.') {
			if (label == 0 || text[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!(isascii(c) && (isalnum(c) || c == '_')) &&
		    !(c == '-' && label > 0))
			return false;
		if (++label > 63)
			return false;
	}
	return text[len - 1] != '-';
}

/* "10.1.4.300" is a mistyped address, not a name. */
static bool looks_numeric(const char *text)
{
	return text[strspn(text, "0123456789.")] == '\0';
}

bool value_host(const char *text)
{
	uint8_t address[16];

	if (value_address(text, address))
		return true;
	return is_dns_name(text) && !looks_numeric(text);
}

bool value_endpoint(const char *text, struct config_endpoint *out)
{
	const char *colon = strrchr(text, ':');
	bool brackets = text[0] == '[';
	struct config_endpoint ep = {.port = 0};
	uint64_t port;
	size_t len;

	if (colon == NULL || !value_number(colon + 1, &port) || port == 0 ||
	    port > 65535)
		return false;
	len = (size_t)(colon - text);
	if (brackets) {
		if (len < 3 || text[len - 1] != ']')
			return false;
		text++;
		len -= 2;
	}
	if (len >= sizeof(ep.host))
		return false;
	memcpy(ep.host, text, len);
	/* Brackets are for IPv6, and IPv6 needs them. */
	if (!value_host(ep.host) || brackets != (strchr(ep.host, ':') != NULL))
		return false;
	ep.port = (uint16_t)port;
	*out = ep;
	return true;
}
