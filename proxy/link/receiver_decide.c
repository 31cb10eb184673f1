/* receiver_decide.c - whether an offer is taken, and where it goes. The routes
 * are ours; what the archives accept is what they said last. */
#include <string.h>

#include "policy/routes.h"
#include "policy/services.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/link/receiver_int.h"

/* How long an answer of an archive is good before it is asked again. */
enum { FRESH_MS = 10 * 60 * 1000 };

static const struct config *config_of(const struct rx_transfer *t)
{
	return t->home->receiver->opt.config;
}

/* ---- where it goes ----------------------------------------------------- */

static const struct config_route *route_of(const struct rx_transfer *t)
{
	struct route_query q = {.listener = t->session->listener,
				.device = t->session->device,
				.called_ae = t->in->called_ae,
				.service = CONFIG_STORAGE};
	const struct config_route *r;

	if (service_of(t->in->sop_class) != CONFIG_STORAGE)
		return NULL;
	r = route_resolve(config_of(t), &q);
	return r != NULL && r->action == CONFIG_FORWARD ? r : NULL;
}

static void take_route(struct instance *in, const struct config_route *r)
{
	in->n_destinations = 0;
	in->commit = 0;
	for (size_t i = 0; i < r->forward.n; i++) {
		(void)INSTANCE_SET(in->destinations[i], r->forward.v[i].name);
		in->n_destinations++;
		if (r->commit.n > 0 &&
		    r->commit.v[0].index == r->forward.v[i].index)
			in->commit = in->n_destinations;
	}
}

bool rx_local_fields(struct rx_transfer *t)
{
	const struct rx_session *s = t->session;
	const struct config_route *r = route_of(t);
	struct instance *in = t->in;

	if (r == NULL)
		return false;
	(void)INSTANCE_SET(in->listener, s->facts.row.party);
	(void)INSTANCE_SET(in->device, s->facts.row.device);
	(void)INSTANCE_SET(in->peer, s->facts.row.peer);
	in->association = s->facts.row.id;
	in->device_priority = (int8_t)config_of(t)->devices[s->device].priority;
	in->has_origin = true;
	in->origin = t->origin;
	take_route(in, r);
	return true;
}

/* ---- what the archive accepts ------------------------------------------ */

static bool is_refused(const struct rx_transfer *t,
		       const struct config_destination *d)
{
	struct capabilities *c = t->home->receiver->opt.capabilities;
	char calling[CONFIG_AE_LEN], called[CONFIG_AE_LEN];
	struct capability_key key = {.destination = d->name,
				     .calling_ae = calling,
				     .called_ae = called,
				     .abstract = t->in->sop_class,
				     .transfer_syntax = t->in->transfer_syntax};
	enum capability known;
	uint64_t age_ms;

	if (d->protocol == CONFIG_DIRECTORY)
		return false;
	destination_aes(d, t->in->calling_ae, t->in->called_ae, calling,
			called);
	known = capability_lookup(c, &key, &age_ms);
	if (known == CAPABILITY_UNKNOWN || age_ms > FRESH_MS)
		capability_want(c, &key);
	return known == CAPABILITY_REFUSED;
}

static bool all_accept(const struct rx_transfer *t)
{
	const struct config *c = config_of(t);
	bool all = true;

	for (size_t i = 0; i < t->in->n_destinations; i++) {
		int d = config_destination_find(c, t->in->destinations[i]);

		/* every one is asked, so that the prober learns of them all */
		if (d >= 0 && is_refused(t, &c->destinations[d]))
			all = false;
	}
	return all;
}

/* ---- the decision ------------------------------------------------------ */

static struct rx_no no_of(enum err e)
{
	struct rx_no no = {.code = LINK_REFUSED_STORE, .retry_s = RX_RETRY_S};

	if (e == ERR_NOSPACE) {
		no.code = LINK_REFUSED_NO_SPACE;
		no.retry_s = RX_RETRY_SPACE_S;
	} else if (e == ERR_BUSY) {
		no.code = LINK_REFUSED_BUSY;
		no.retry_s = 1;
	} else if (e == ERR_LIMIT) {
		no.code = LINK_REFUSED_BUSY;
		no.text = "too many unfinished transfers are kept";
	}
	return no;
}

static bool spool_is_full(const struct rx_transfer *t)
{
	struct spool_stats st;

	spool_stats(t->home->receiver->opt.spool, &st);
	return st.full;
}

/* It would fill the spool and never be whole. */
static bool is_too_large(const struct rx_transfer *t)
{
	struct spool_stats st;

	spool_stats(t->home->receiver->opt.spool, &st);
	return t->whole.chunks > SPOOL_PARTIAL_CHUNKS ||
	       t->whole.length > st.quota / 4 * 3;
}

/* For good: LINK_RX_EV_DECLINED. code 0: no objection. */
static struct rx_no objection(struct rx_transfer *t)
{
	if (instance_is_message(t->in->command))
		return (struct rx_no){.code = LINK_REFUSED_META,
				      .text =
					  "only instances travel over a link"};
	if (t->complete && is_too_large(t))
		return RX_NO(TOO_LARGE);
	if (!rx_local_fields(t))
		return RX_NO(NO_ROUTE);
	if (!all_accept(t))
		return RX_NO(NOT_ACCEPTED);
	return (struct rx_no){0};
}

static void taken(struct rx_transfer *t)
{
	struct rx_session *s = t->session;
	struct transfer_id id = t->origin.id;

	if (!rx_transfer_event(t, LINK_RX_EV_TAKEN, NULL))
		return;
	rx_chunks_release(t);
	t = rx_transfer_find(s, &id); /* its eager chunk may have ended it */
	if (t != NULL)
		(void)rx_transfer_look(t);
}

void rx_decide(struct rx_transfer *t)
{
	struct rx_no no = objection(t);
	enum err e = ERR_OK;

	if (no.code != 0) {
		(void)rx_transfer_event(t, LINK_RX_EV_DECLINED, &no);
		return;
	}
	if (!t->complete || t->whole.chunks > 1 || rx_store_has(t))
		e = rx_store_open(t);
	else if (spool_is_full(t))
		e = ERR_NOSPACE;
	if (e == ERR_OK) {
		taken(t);
		return;
	}
	if (e == ERR_NOSPACE)
		(void)spool_partial_make_room(t->home->receiver->opt.spool);
	no = no_of(e);
	(void)rx_transfer_event(t, LINK_RX_EV_PUT_OFF, &no);
}
