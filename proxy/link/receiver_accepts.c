/* receiver_accepts.c - what the archives accept, for the edge to promise its
 * devices: one list for each called AE title that routes name, and one for all
 * others. Only what an archive has said itself; a directory takes anything and
 * says nothing. */
#include <stdlib.h>
#include <string.h>

#include "policy/match.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

enum {
	PAIRS_MAX = 8192,    /* of one archive; more are not told */
	LOOK_MS = 10 * 1000, /* between two looks whether something changed */
	LIST_MAX = LINK_BODY_MAX - 11 - LINK_AE_MAX,
};

struct answer {
	struct capability_pair pair;
	bool accepted;
};

/* What one archive has answered, for one called AE title. */
struct answers {
	const char *called; /* NULL: any */
	struct answer *v;
	size_t n, cap;
	uint64_t age_ms;
};

/* ---- what an archive accepts ------------------------------------------- */

static bool grow(struct answers *a)
{
	size_t cap = a->cap > 0 ? 2 * a->cap : 64;
	struct answer *v;

	if (a->n < a->cap)
		return true;
	if (a->n >= PAIRS_MAX)
		return false;
	v = mem_realloc(a->v, cap * sizeof(*v));
	if (v == NULL)
		return false;
	a->v = v;
	a->cap = cap;
	return true;
}

static bool is_uid(const char *text)
{
	size_t n = strlen(text);

	return n > 0 && n <= LINK_UID_MAX && strspn(text, ".0123456789") == n;
}

static void on_pair(void *arg, const struct capability_key *key, bool accepted,
		    uint64_t age_ms)
{
	struct answers *a = arg;
	struct answer *n;

	if (a->called != NULL && strcmp(a->called, key->called_ae) != 0)
		return;
	if (!is_uid(key->abstract) || !is_uid(key->transfer_syntax) || !grow(a))
		return;
	n = &a->v[a->n++];
	memset(n, 0, sizeof(*n));
	strncpy(n->pair.abstract, key->abstract, LINK_UID_MAX);
	strncpy(n->pair.transfer_syntax, key->transfer_syntax, LINK_UID_MAX);
	n->accepted = accepted;
	if (age_ms < a->age_ms)
		a->age_ms = age_ms;
}

static int by_pair(const void *x, const void *y)
{
	const struct answer *a = x, *b = y;
	int c = strcmp(a->pair.abstract, b->pair.abstract);

	return c != 0
		   ? c
		   : strcmp(a->pair.transfer_syntax, b->pair.transfer_syntax);
}

/* Sorted, each pair once, and only if it was accepted whoever called. */
static void settle(struct answers *a)
{
	size_t n = 0;

	if (a->n > 0)
		qsort(a->v, a->n, sizeof(*a->v), by_pair);
	for (size_t i = 0; i < a->n;) {
		struct answer first = a->v[i];

		for (; i < a->n && by_pair(&first, &a->v[i]) == 0; i++)
			first.accepted = first.accepted && a->v[i].accepted;
		if (first.accepted)
			a->v[n++] = first;
	}
	a->n = n;
}

/* a without what b does not have. */
static void narrow(struct answers *a, const struct answers *b)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < a->n; i++) {
		while (k < b->n && by_pair(&b->v[k], &a->v[i]) < 0)
			k++;
		if (k < b->n && by_pair(&b->v[k], &a->v[i]) == 0)
			a->v[n++] = a->v[i];
	}
	a->n = n;
}

static void ask(struct capabilities *c, const struct config_destination *d,
		const char *called_ae, struct answers *out)
{
	char calling[CONFIG_AE_LEN], called[CONFIG_AE_LEN];

	*out = (struct answers){.age_ms = UINT64_MAX};
	destination_aes(d, "", called_ae, calling, called);
	if (called[0] != '\0')
		out->called = called;
	capability_each(c, d->name, on_pair, out);
	settle(out);
	out->called = NULL;
}

/* What all archives of a route accept. False: none of them says. */
static bool gather(const struct rx_session *s, const struct config_route *r,
		   const char *called_ae, struct answers *out)
{
	const struct link_receiver_options *o = &s->home->receiver->opt;
	bool any = false;

	for (size_t i = 0; i < r->forward.n; i++) {
		const struct config_destination *d =
		    &o->config->destinations[r->forward.v[i].index];
		struct answers more;

		if (d->protocol == CONFIG_DIRECTORY)
			continue;
		ask(o->capabilities, d, called_ae, any ? &more : out);
		if (any) {
			narrow(out, &more);
			mem_free(more.v);
		}
		any = true;
	}
	return any;
}

/* ---- telling ----------------------------------------------------------- */

/* FNV-1a. */
static uint64_t mix(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 1099511628211u;
	return (h ^ 0xff) * 1099511628211u;
}

static void send_list(struct rx_session *s, struct rx_wire *w,
		      const char *called_ae, const struct answers *a)
{
	uint8_t list[LIST_MAX];
	struct link_frame f = {.type = LINK_ACCEPTS};
	size_t i = 0;

	f.accepts.serial = s->accepts_serial;
	f.accepts.age_s = a->age_ms / 1000 < UINT32_MAX
			      ? (uint32_t)(a->age_ms / 1000)
			      : UINT32_MAX;
	f.accepts.called_ae.p = (const uint8_t *)called_ae;
	f.accepts.called_ae.len = strlen(called_ae);
	do {
		f.accepts.list.p = list;
		f.accepts.list.len = 0;
		f.accepts.pairs = 0;
		while (i < a->n &&
		       link_accepts_put(list, sizeof(list), &f.accepts.list.len,
					a->v[i].pair.abstract,
					a->v[i].pair.transfer_syntax)) {
			f.accepts.pairs++;
			i++;
		}
		f.flags = i < a->n ? LINK_F_MORE : 0;
		if (link_conn_send(w->conn, &f) != ERR_OK)
			return;
	} while (i < a->n);
}

static bool serves(const struct rx_session *s, const struct config_route *r)
{
	return (r->services & CONFIG_STORAGE) != 0 &&
	       r->action == CONFIG_FORWARD &&
	       match_ref_or_any(&r->listeners, s->listener) &&
	       match_ref_or_any(&r->devices, s->device);
}

/* The first route that takes an AE title is the one. */
static bool is_taken(const struct rx_session *s, size_t route, const char *ae)
{
	const struct config *c = s->home->receiver->opt.config;

	for (size_t i = 0; i < route; i++)
		if (serves(s, &c->routes[i]) &&
		    match_ae_or_any(&c->routes[i].called, ae))
			return true;
	return false;
}

static uint64_t one_list(struct rx_session *s, const struct config_route *r,
			 const char *ae, struct rx_wire *w, uint64_t h)
{
	struct answers a = {.v = NULL};

	if (gather(s, r, ae, &a) && (a.n > 0 || s->accepts_serial > 1)) {
		h = mix(h, ae);
		for (size_t p = 0; p < a.n; p++)
			h = mix(mix(h, a.v[p].pair.abstract),
				a.v[p].pair.transfer_syntax);
		if (w != NULL)
			send_list(s, w, ae, &a);
	}
	mem_free(a.v);
	return h;
}

/* w NULL: only what the lists add up to. */
static uint64_t each_list(struct rx_session *s, struct rx_wire *w)
{
	const struct config *c = s->home->receiver->opt.config;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < c->n_routes; i++) {
		const struct config_route *r = &c->routes[i];

		if (!serves(s, r))
			continue;
		for (size_t k = 0; k == 0 || k < r->called.n; k++) {
			const char *ae = r->called.n > 0 ? r->called.v[k] : "";

			if (!is_taken(s, i, ae))
				h = one_list(s, r, ae, w, h);
		}
	}
	return h;
}

void rx_accepts_tell(struct rx_session *s)
{
	uint64_t now = clock_mono_ns() / 1000000;
	struct rx_wire *w = rx_session_wire(s);
	uint64_t h;

	if (w == NULL || s->ending ||
	    (s->accepts_ms != 0 && now - s->accepts_ms < LOOK_MS))
		return;
	s->accepts_ms = now;
	h = each_list(s, NULL);
	if (h == s->accepts_hash)
		return;
	s->accepts_hash = h;
	s->accepts_serial++;
	(void)each_list(s, w);
}
