#include "proxy/destination.h"

#include <stdio.h>
#include <string.h>

#include "proxy/endpoints.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"
#include "proxy/net/tls.h"

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
	    .tls13_only = d->config->protocol == CONFIG_LINK ||
			  c->min_version == CONFIG_TLS_1_3,
	    .alpn = d->config->protocol == CONFIG_LINK ? LINK_ALPN : NULL,
	};

	return tls_client_new(&o, &d->tls, why);
}

static uint64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

enum err destination_open(const struct config_destination *c,
			  struct destination **out, char why[TLS_WHY_LEN])
{
	struct destination *d = mem_zalloc(sizeof(*d));
	enum err e;

	(void)snprintf(why, TLS_WHY_LEN, "out of memory");
	if (d == NULL)
		return ERR_NOMEM;
	d->config = c;
	(void)pthread_mutex_init(&d->lock, NULL);
	e = endpoints_new(c, now_ms(), &d->endpoints);
	if (e == ERR_OK &&
	    (c->protocol == CONFIG_DICOM_TLS || c->protocol == CONFIG_LINK))
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
	endpoints_free(d->endpoints);
	(void)pthread_mutex_destroy(&d->lock);
	mem_free(d);
}

static enum err open_one(const struct config_destination *c,
			 struct destination **out, char why[TLS_WHY_LEN])
{
	char text[TLS_WHY_LEN];
	enum err e = destination_open(c, out, text);

	if (e == ERR_OK)
		return e;
	(void)snprintf(why, TLS_WHY_LEN, "destination %s: %.*s", c->name,
		       TLS_WHY_LEN - 64, text);
	return e == ERR_NOMEM ? e : ERR_INVAL;
}

enum err destinations_open(const struct config *cfg, struct ledger *ledger,
			   struct capabilities *capabilities,
			   struct destination ***out, char why[TLS_WHY_LEN])
{
	size_t n = cfg->n_destinations;
	struct destination **all =
	    mem_zarray(n + 1, sizeof(struct destination *));

	(void)snprintf(why, TLS_WHY_LEN, "out of memory");
	if (all == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		enum err e = open_one(&cfg->destinations[i], &all[i], why);

		if (e != ERR_OK) {
			destinations_close(all, n);
			return e;
		}
		all[i]->ledger = ledger;
		all[i]->capabilities = capabilities;
		all[i]->index = i;
	}
	*out = all;
	return ERR_OK;
}

void destinations_shape(struct destination **destinations, size_t n,
			struct shaper *s)
{
	for (size_t i = 0; i < n; i++)
		destinations[i]->shaper = s;
}

void destinations_close(struct destination **destinations, size_t n)
{
	for (size_t i = 0; destinations != NULL && i < n; i++)
		destination_close(destinations[i]);
	mem_free(destinations);
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

/* ---- endpoints --------------------------------------------------------- */

const char *circuit_name(enum circuit c)
{
	static const char *const names[] = {
	    [CIRCUIT_CLOSED] = "closed",
	    [CIRCUIT_OPEN] = "open",
	    [CIRCUIT_HALF_OPEN] = "half-open",
	};

	return names[c];
}

bool destination_available(struct destination *d)
{
	bool yes;

	(void)pthread_mutex_lock(&d->lock);
	yes = endpoints_available(d->endpoints, now_ms());
	(void)pthread_mutex_unlock(&d->lock);
	return yes;
}

size_t destination_pick(struct destination *d, struct destination_round *round)
{
	size_t i;

	(void)pthread_mutex_lock(&d->lock);
	i = endpoints_pick(d->endpoints, round, now_ms());
	(void)pthread_mutex_unlock(&d->lock);
	return i;
}

/* What is said of a change is gathered under the lock and said without. */
struct change {
	enum endpoint_change what;
	uint32_t failures;
	uint64_t down_ms, pause_ms;
};

static void log_change(const struct destination *d, size_t i,
		       const struct change *c, const char *why)
{
	char endpoint[DESTINATION_ENDPOINT_LEN];

	(void)destination_endpoint(d->config, i, endpoint);
	if (c->what == ENDPOINT_DOWN)
		log_event(LOG_WARN, "endpoint-down",
			  "destination=%s endpoint=%s failures=%u pause_s=%llu "
			  "detail=\"%s\"",
			  d->config->name, endpoint, c->failures,
			  (unsigned long long)(c->pause_ms / 1000), why);
	else if (c->what == ENDPOINT_UP)
		log_event(LOG_INFO, "endpoint-up",
			  "destination=%s endpoint=%s down_s=%llu",
			  d->config->name, endpoint,
			  (unsigned long long)(c->down_ms / 1000));
}

void destination_mark(struct destination *d, size_t i, const char *why)
{
	struct endpoint *p = &d->endpoints->v[i];
	int64_t wall = clock_wall_ms();
	uint64_t now = now_ms();
	struct change c;

	(void)pthread_mutex_lock(&d->lock);
	c.what = endpoints_mark(d->endpoints, i, why != NULL, now);
	c.failures = p->failures;
	c.down_ms = now - p->opened_ms;
	c.pause_ms = d->endpoints->pause_ms;
	if (why == NULL)
		p->answered_wall_ms = wall;
	else
		p->failed_wall_ms = wall;
	(void)snprintf(p->why, sizeof(p->why), "%s", why != NULL ? why : "");
	(void)pthread_mutex_unlock(&d->lock);
	if (c.what != ENDPOINT_SAME)
		log_change(d, i, &c, why);
}

bool destination_health(struct destination *d, size_t i,
			struct destination_health *out)
{
	const struct endpoint *p = &d->endpoints->v[i];

	if (i >= d->endpoints->n)
		return false;
	(void)destination_endpoint(d->config, i, out->endpoint);
	(void)pthread_mutex_lock(&d->lock);
	out->circuit = endpoints_circuit(d->endpoints, i, now_ms());
	out->failures = p->failures;
	out->weight = p->weight;
	out->picked = p->picked;
	out->answered_ms = p->answered_wall_ms;
	out->failed_ms = p->failed_wall_ms;
	out->echoed_ms = p->echoed_wall_ms;
	memcpy(out->why, p->why, sizeof(out->why));
	(void)pthread_mutex_unlock(&d->lock);
	return true;
}

uint64_t destination_echo_in(struct destination *d, size_t i)
{
	uint64_t ms;

	if (d->config->protocol == CONFIG_LINK)
		return UINT64_MAX; /* it has PING */
	(void)pthread_mutex_lock(&d->lock);
	ms = endpoints_echo_in(d->endpoints, i, now_ms());
	(void)pthread_mutex_unlock(&d->lock);
	return ms;
}

void destination_echoed(struct destination *d, size_t i)
{
	(void)pthread_mutex_lock(&d->lock);
	d->endpoints->v[i].echoed_wall_ms = clock_wall_ms();
	(void)pthread_mutex_unlock(&d->lock);
}
