#include "policy/match.h"

#include <string.h>

#include "policy/value.h"

bool match_ae(const struct config_aes *list, const char *ae)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], ae) == 0)
			return true;
	return false;
}

bool match_ref(const struct config_refs *list, size_t index)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].index == index)
			return true;
	return false;
}

bool match_ae_or_any(const struct config_aes *list, const char *ae)
{
	return list->n == 0 || match_ae(list, ae);
}

bool match_ref_or_any(const struct config_refs *list, size_t index)
{
	return list->n == 0 || match_ref(list, index);
}

static bool same_bits(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

static bool is_v4_range(const struct config_network *net)
{
	return net->prefix >= 96 && value_is_v4(net->address);
}

/* A range of IPv6, "::/0" too, does not speak for IPv4. */
bool match_address(const struct config_network *net, const uint8_t address[16])
{
	return value_is_v4(address) == is_v4_range(net) &&
	       same_bits(net->address, address, net->prefix);
}

bool match_overlap(const struct config_network *a,
		   const struct config_network *b)
{
	unsigned bits = a->prefix < b->prefix ? a->prefix : b->prefix;

	return is_v4_range(a) == is_v4_range(b) &&
	       same_bits(a->address, b->address, bits);
}

static const struct config_network loopback_v4 = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 0}, 104};
static const struct config_network loopback_v6 = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};

bool match_loopback(const uint8_t address[16])
{
	return match_address(&loopback_v4, address) ||
	       match_address(&loopback_v6, address);
}

bool match_needs_certificate(const struct config_device *d)
{
	return d->certificate.fingerprints.n > 0 ||
	       d->certificate.subjects.n > 0 || d->certificate.sans.n > 0;
}

/* Whether something from net can arrive at a socket bound to host. */
static bool meets(const char *host, const struct config_network *net)
{
	static const uint8_t any[16];
	uint8_t bound[16];

	/* config_load() has checked that it is numeric. */
	if (!value_address(host, bound) || memcmp(bound, any, 16) == 0)
		return true; /* [::] takes both families */
	if (match_address(&loopback_v4, bound))
		return match_overlap(&loopback_v4, net);
	if (match_address(&loopback_v6, bound))
		return match_overlap(&loopback_v6, net);
	return value_is_v4(bound) == is_v4_range(net);
}

bool match_reaches(const struct config *cfg, const struct config_device *d,
		   size_t listener)
{
	const struct config_listener *l = &cfg->listeners[listener];

	if (!match_ref_or_any(&d->listeners, listener))
		return false;
	if (match_needs_certificate(d) && l->protocol == CONFIG_DICOM)
		return false;
	if (l->protocol == CONFIG_LINK
		? (d->services & CONFIG_LINK_SERVICE) == 0
		: (d->services & CONFIG_SERVICES_ALL) == 0)
		return false;
	for (size_t i = 0; i < d->addresses.n; i++)
		if (meets(l->address.host, &d->addresses.v[i]))
			return true;
	return false;
}

const char *match_common_ae(const struct config_aes *a,
			    const struct config_aes *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (match_ae(b, a->v[i]))
			return a->v[i];
	return NULL;
}

/* One AE title that the listener answers to, the device may call and the
 * route is for. */
static bool can_call(const struct config_listener *l,
		     const struct config_device *d,
		     const struct config_route *r)
{
	if (l->protocol == CONFIG_LINK) /* the AE titles are the far devices' */
		return true;
	for (size_t i = 0; i < l->ae_titles.n; i++)
		if (match_ae_or_any(&d->called, l->ae_titles.v[i]) &&
		    match_ae_or_any(&r->called, l->ae_titles.v[i]))
			return true;
	return false;
}

unsigned match_taken(const struct config *cfg, const struct config_route *r,
		     size_t device)
{
	const struct config_device *d = &cfg->devices[device];

	unsigned taken = 0;

	if (!match_ref_or_any(&r->devices, device))
		return 0;
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (match_ref_or_any(&r->listeners, i) &&
		    match_reaches(cfg, d, i) &&
		    can_call(&cfg->listeners[i], d, r))
			taken |= cfg->listeners[i].protocol == CONFIG_LINK
				     ? (unsigned)CONFIG_STORAGE
				     : d->services;
	return r->services & taken;
}

char *match_trim_ae(const char *ae, char out[CONFIG_AE_LEN])
{
	size_t len = strnlen(ae, CONFIG_AE_LEN - 1);

	while (len > 0 && *ae == ' ') {
		ae++;
		len--;
	}
	while (len > 0 && ae[len - 1] == ' ')
		len--;
	memset(out, 0, CONFIG_AE_LEN);
	memcpy(out, ae, len);
	return out;
}
