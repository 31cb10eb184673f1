/* fuzz_yaml.c - any bytes as a configuration.
 *
 * What loads must dump to something that loads to the same dump, and devices
 * and routes must then answer without reading out of bounds. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/config.h"
#include "policy/devices.h"
#include "policy/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config_errors errors;

static char *dump(const struct config *cfg, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		abort();
	config_dump(cfg, f);
	fclose(f);
	return text;
}

static void round_trip(const struct config *cfg)
{
	struct config *again = NULL;
	size_t len, len2;
	char *text = dump(cfg, &len), *text2;

	if (config_load_from_memory(text, len, "x.yaml", &again, &errors) !=
	    ERR_OK) {
		config_errors_print(&errors, stderr);
		abort();
	}
	text2 = dump(again, &len2);
	if (len != len2 || memcmp(text, text2, len) != 0)
		abort();
	free(text);
	free(text2);
	config_free(again);
}

/* One action, with the destinations that it needs, and resolved. */
static void check_route(const struct config *cfg, const struct config_route *r)
{
	const struct config_refs *to = r->action == CONFIG_FORWARD ? &r->forward
				       : r->action == CONFIG_RELAY ? &r->relay
								   : &r->hold;

	if ((r->forward.n > 0) + (r->relay.n > 0) + (r->hold.n > 0) != 1 ||
	    to->n == 0)
		abort();
	for (size_t i = 0; i < to->n; i++)
		if (to->v[i].index >= cfg->n_destinations)
			abort();
	if (r->action != CONFIG_FORWARD &&
	    cfg->destinations[config_route_peer(r)].protocol ==
		CONFIG_DIRECTORY)
		abort();
}

static void route(const struct config *cfg, size_t listener, size_t device,
		  const char *called)
{
	for (unsigned bit = 1; bit <= CONFIG_OTHER; bit <<= 1) {
		struct route_query q = {.listener = listener,
					.device = device,
					.called_ae = called,
					.service = (enum config_service)bit};
		const struct config_route *r = route_resolve(cfg, &q);

		if (r != NULL)
			check_route(cfg, r);
	}
}

static void ask(const struct config *cfg, size_t listener, size_t device)
{
	const struct config_device *d = &cfg->devices[device];
	const struct config_listener *l = &cfg->listeners[listener];
	struct sockaddr_in6 peer = {.sin6_family = AF_INET6};
	struct device_query q = {.listener = listener,
				 .peer = (const struct sockaddr *)&peer,
				 .calling_ae = d->ae_titles.v[0],
				 .called_ae = l->ae_titles.v[0]};
	struct device_verdict v;

	memcpy(&peer.sin6_addr, d->addresses.v[0].address, 16);
	if (device_match(cfg, &q, &v) != (v.reason == DEVICE_ADMITTED) ||
	    (v.reason == DEVICE_ADMITTED) != (v.cause[0] == '\0'))
		abort();
	for (size_t i = 0; i < l->ae_titles.n && i < 4; i++)
		route(cfg, listener, device, l->ae_titles.v[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *cfg = NULL;
	enum err e = config_load_from_memory((const char *)data, size, "x.yaml",
					     &cfg, &errors);

	if ((e == ERR_OK) != (cfg != NULL) ||
	    (e == ERR_INVAL) != (errors.n_errors > 0))
		abort();
	if (cfg == NULL)
		return 0;
	round_trip(cfg);
	for (size_t i = 0; i < cfg->n_listeners && i < 4; i++)
		for (size_t j = 0; j < cfg->n_devices && j < 8; j++)
			ask(cfg, i, j);
	config_free(cfg);
	return 0;
}
