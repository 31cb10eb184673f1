#include "proxy/destination.h"

#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls.h"

enum { AVOID_MS = 30 * 1000 }; /* an endpoint that failed comes last */

static void choose(const char *configured, const char *device,
		   char out[CONFIG_AE_LEN])
{
	(void)snprintf(out, CONFIG_AE_LEN, "%s",
		       configured[0] != '\0' ? configured : device);
}

void destination_aes(const struct config_destination *d, const char *calling_ae,
		     const char *called_ae, char out_calling[CONFIG_AE_LEN],
		     char out_called[CONFIG_AE_LEN])
{
	choose(d->calling_ae_title, calling_ae, out_calling);
	choose(d->ae_title, called_ae, out_called);
}

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static enum err load_tls(struct destination *d, char why[TLS_WHY_LEN])
{
	const struct config_tls *c = &d->config->tls;
	struct tls_options o = {
	    .profile = TLS_PROFILE_BCP195,
	    .ca = or_null(c->ca),
	    .certificate = or_null(c->certificate),
	    .key = or_null(c->key),
	    .tls13_only = c->min_version == CONFIG_TLS_1_3,
	};

	return tls_client_new(&o, &d->tls, why);
}

enum err destination_open(const struct config_destination *c,
			  struct destination **out, char why[TLS_WHY_LEN])
{
	struct destination *d = mem_zalloc(sizeof(*d));
	enum err e = ERR_OK;

	(void)snprintf(why, TLS_WHY_LEN, "out of memory");
	if (d == NULL)
		return ERR_NOMEM;
	d->config = c;
	d->avoid_until = mem_zarray(c->endpoints.n + 1, sizeof(uint64_t));
	if (d->avoid_until == NULL)
		e = ERR_NOMEM;
	if (e == ERR_OK && c->protocol == CONFIG_DICOM_TLS)
		e = load_tls(d, why);
	if (e != ERR_OK) {
		destination_close(d);
		return e;
	}
	*out = d;
	return ERR_OK;
}

void destination_close(struct destination *d)
{
	if (d == NULL)
		return;
	tls_context_unref(d->tls);
	mem_free((void *)d->avoid_until);
	mem_free(d);
}

char *destination_endpoint(const struct config_destination *c, size_t i,
			   char out[DESTINATION_ENDPOINT_LEN])
{
	const struct config_endpoint *e;
	bool v6;

	out[0] = '\0';
	if (c->protocol == CONFIG_DIRECTORY) {
		(void)snprintf(out, DESTINATION_ENDPOINT_LEN, "%.*s",
			       DESTINATION_ENDPOINT_LEN - 1, c->path);
		return out;
	}
	if (i >= c->endpoints.n)
		return out;
	e = &c->endpoints.v[i];
	v6 = strchr(e->host, ':') != NULL;
	(void)snprintf(out, DESTINATION_ENDPOINT_LEN, "%s%s%s:%u",
		       v6 ? "[" : "", e->host, v6 ? "]" : "", e->port);
	return out;
}

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

size_t destination_pick(const struct destination *d, size_t attempt)
{
	uint64_t now = now_ms();
	size_t n = d->config->endpoints.n, seen = 0;

	/* first round: those that answer; second: those that failed lately */
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < n; i++) {
			bool avoid = atomic_load(&d->avoid_until[i]) > now;

			if (avoid == (round == 1) && seen++ == attempt)
				return i;
		}
	}
	return n > 0 ? attempt % n : 0;
}

void destination_mark(struct destination *d, size_t endpoint, bool failed)
{
	atomic_store(&d->avoid_until[endpoint],
		     failed ? now_ms() + AVOID_MS : 0);
}
