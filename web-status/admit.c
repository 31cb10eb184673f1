#include "web-status/admit.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"

struct lines {
	char *out;
	size_t len;
};

static void put(struct lines *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct lines *l, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(l->out + l->len, ADMIT_LEN - l->len, fmt, args);
	va_end(args);
	if (n > 0)
		l->len += (size_t)n < ADMIT_LEN - l->len
			      ? (size_t)n
			      : ADMIT_LEN - l->len - 1;
}

/* A YAML scalar: plain where it is safe, else in double quotes. */
static void put_scalar(struct lines *l, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz_";
	static const char more[] = "0123456789-.";
	size_t n = strspn(s, plain);

	if (n > 0 && s[n + strspn(s + n, more)] == '\0') {
		put(l, "%s", s);
		return;
	}
	put(l, "\"");
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			put(l, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			put(l, "\\x%02X", (unsigned)(unsigned char)*s);
		else
			put(l, "%c", *s);
	}
	put(l, "\"");
}

/* "    key: [A, B, NEW]" */
static void put_aes(struct lines *l, const char *key,
		    const struct config_aes *have, const char *fresh)
{
	put(l, "    %s: [", key);
	for (size_t i = 0; have != NULL && i < have->n && i < 8; i++) {
		put_scalar(l, have->v[i]);
		put(l, ", ");
	}
	put_scalar(l, fresh);
	put(l, "]\n");
}

/* ---- whom it is about -------------------------------------------------------
 */

static bool to_bytes(const char *text, uint8_t out[16])
{
	struct in_addr four;

	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	if (inet_pton(AF_INET, text, &four) != 1)
		return false;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &four, 4);
	return true;
}

static bool covers(const struct config_network *n, const uint8_t a[16])
{
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;

	if (n->prefix > 128 || memcmp(n->address, a, whole) != 0)
		return false;
	return rest == 0 || ((n->address[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

/* The device at that address, or NULL. */
static const struct config_device *at_address(const struct config *cfg,
					      const char *peer)
{
	uint8_t a[16];

	if (!to_bytes(peer, a))
		return NULL;
	for (size_t i = 0; i < cfg->n_devices; i++)
		for (size_t k = 0; k < cfg->devices[i].addresses.n; k++)
			if (covers(&cfg->devices[i].addresses.v[k], a))
				return &cfg->devices[i];
	return NULL;
}

static const struct config_device *called_so(const struct config *cfg,
					     const char *ae)
{
	for (size_t i = 0; i < cfg->n_devices; i++)
		for (size_t k = 0; k < cfg->devices[i].ae_titles.n; k++)
			if (strcmp(cfg->devices[i].ae_titles.v[k], ae) == 0)
				return &cfg->devices[i];
	return NULL;
}

/* ---- one for each reason
 * ------------------------------------------------------ */

static bool admit_address(struct lines *l, const struct config *cfg,
			  const struct ledger_refusal *r)
{
	(void)cfg;
	if (r->calling_ae[0] == '\0' || strcmp(r->calling_ae, "*") == 0)
		return false;
	put(l, "devices:\n  new-device:\n    ae_title: ");
	put_scalar(l, r->calling_ae);
	put(l,
	    "\n    address: \"%s\"\n    services: [storage, "
	    "verification]\n",
	    r->peer);
	return true;
}

static bool admit_calling(struct lines *l, const struct config *cfg,
			  const struct ledger_refusal *r)
{
	const struct config_device *d = at_address(cfg, r->peer);

	if (d == NULL || r->calling_ae[0] == '\0')
		return false;
	put(l, "devices:\n  %s:\n", d->name);
	put_aes(l, "ae_title", &d->ae_titles, r->calling_ae);
	return true;
}

static bool admit_elsewhere(struct lines *l, const struct config *cfg,
			    const struct ledger_refusal *r)
{
	const struct config_device *d = called_so(cfg, r->calling_ae);
	char net[CONFIG_NETWORK_TEXT_LEN];

	if (d == NULL)
		return false;
	put(l, "devices:\n  %s:\n    address: [", d->name);
	for (size_t i = 0; i < d->addresses.n && i < 8; i++)
		put(l, "\"%s\", ",
		    config_network_text(&d->addresses.v[i], net));
	put(l, "\"%s\"]\n", r->peer);
	return true;
}

static bool admit_called(struct lines *l, const struct config *cfg,
			 const struct ledger_refusal *r)
{
	int i = config_listener_find(cfg, r->listener);

	if (i < 0 || r->called_ae[0] == '\0')
		return false;
	put(l, "listeners:\n  %s:\n", r->listener);
	put_aes(l, "ae_titles", &cfg->listeners[i].ae_titles, r->called_ae);
	return true;
}

static bool admit_listener(struct lines *l, const struct config *cfg,
			   const struct ledger_refusal *r)
{
	const struct config_device *d = called_so(cfg, r->calling_ae);

	if (d == NULL)
		return false;
	put(l, "devices:\n  %s:\n    listeners: [", d->name);
	for (size_t i = 0; i < d->listeners.n && i < 8; i++)
		put(l, "%s, ", cfg->listeners[d->listeners.v[i].index].name);
	put(l, "%s]\n", r->listener);
	return true;
}

static bool admit_call(struct lines *l, const struct config *cfg,
		       const struct ledger_refusal *r)
{
	const struct config_device *d = called_so(cfg, r->calling_ae);

	if (d == NULL || r->called_ae[0] == '\0')
		return false;
	put(l, "devices:\n  %s:\n", d->name);
	put_aes(l, "called", &d->called, r->called_ae);
	return true;
}

static bool admit_more(struct lines *l, const struct config *cfg,
		       const struct ledger_refusal *r)
{
	int i = config_listener_find(cfg, r->listener);
	bool device = strcmp(r->reason, "device-full") == 0;

	if (i < 0)
		return false;
	put(l, "listeners:\n  %s:\n    limits: {%s: %u}\n", r->listener,
	    device ? "per_device" : "associations",
	    2 * (device ? cfg->listeners[i].limits.per_device
			: cfg->listeners[i].limits.associations));
	return true;
}

bool admit_yaml(const struct config *cfg, const struct ledger_refusal *r,
		char out[ADMIT_LEN])
{
	static const struct {
		const char *reason;
		bool (*fn)(struct lines *l, const struct config *cfg,
			   const struct ledger_refusal *r);
	} rows[] = {{"address-unknown", admit_address},
		    {"calling-ae-unknown", admit_calling},
		    {"calling-ae-elsewhere", admit_elsewhere},
		    {"called-ae-unknown", admit_called},
		    {"listener-denied", admit_listener},
		    {"called-ae-denied", admit_call},
		    {"device-full", admit_more},
		    {"listener-full", admit_more}};
	struct lines l = {.out = out};

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].reason, r->reason) == 0)
			return rows[i].fn(&l, cfg, r);
	return false;
}
