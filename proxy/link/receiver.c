#include "proxy/link/receiver.h"

#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"
#include "proxy/net/address.h"
#include "store/seal.h"

enum { EXPIRE_EVERY_MS = 60 * 1000 };

static uint64_t mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

void rx_owner(const char *device, const uint8_t spool[LINK_ID_LEN],
	      uint8_t out[RX_OWNER_LEN])
{
	static const char prefix[] = "culvert link owner";
	struct seal_hash *h = seal_hash_new();

	memset(out, 0, RX_OWNER_LEN);
	if (h == NULL)
		return; /* the caller sees it: no owner is zero */
	seal_hash_update(h, prefix, sizeof(prefix) - 1);
	seal_hash_update(h, device, strlen(device) + 1);
	seal_hash_update(h, spool, LINK_ID_LEN);
	seal_hash_end(h, out);
	seal_hash_free(h);
}

void rx_epoch(struct link_receiver *r, uint8_t out[LINK_ID_LEN])
{
	pthread_mutex_lock(&r->lock);
	memcpy(out, r->epoch, LINK_ID_LEN);
	pthread_mutex_unlock(&r->lock);
}

void rx_epoch_renew(struct link_receiver *r)
{
	uint8_t fresh[LINK_ID_LEN];

	if (seal_random(fresh, sizeof(fresh)) != ERR_OK)
		return;
	pthread_mutex_lock(&r->lock);
	memcpy(r->epoch, fresh, LINK_ID_LEN);
	pthread_mutex_unlock(&r->lock);
}

/* ---- a worker's part --------------------------------------------------- */

bool rx_home_post(struct rx_home *h, struct msg *m)
{
	bool taken = false;

	pthread_mutex_lock(&h->lock);
	if (!h->closed)
		taken = worker_post(h->worker, m);
	pthread_mutex_unlock(&h->lock);
	return taken;
}

static void on_tick(uv_timer_t *timer)
{
	struct rx_home *h = CONTAINER_OF(timer, struct rx_home, tick);

	LIST_EACH(it, tmp, &h->sessions)
	{
		rx_session_tick(CONTAINER_OF(it, struct rx_session, node));
	}
}

/* The worker stops: what the ledger still answers finds nobody. */
static void on_stop(struct worker_hook *hook)
{
	struct rx_home *h = CONTAINER_OF(hook, struct rx_home, hook);

	h->draining = true;
	atomic_store(&h->receiver->stopping, true);
	pthread_mutex_lock(&h->lock);
	LIST_EACH(it, tmp, &h->sessions)
	{
		rx_session_forget_asks(
		    CONTAINER_OF(it, struct rx_session, node));
	}
	h->closed = true;
	pthread_mutex_unlock(&h->lock);
	uv_close((uv_handle_t *)&h->tick, NULL);
}

/* On its thread, with the first connection. */
static bool home_begin(struct rx_home *h)
{
	if (h->begun)
		return true;
	if (uv_timer_init(worker_loop(h->worker), &h->tick) != 0)
		return false;
	(void)uv_timer_start(&h->tick, on_tick, RX_TICK_MS, RX_TICK_MS);
	h->hook.fn = on_stop;
	worker_hook_add(h->worker, &h->hook);
	h->begun = true;
	return true;
}

static void home_init(struct rx_home *h, struct link_receiver *r,
		      struct worker *w)
{
	h->receiver = r;
	h->worker = w;
	h->said.run = rx_store_said;
	list_init(&h->wires);
	list_init(&h->sessions);
	list_init(&h->dirty);
	pthread_mutex_init(&h->lock, NULL);
}

/* ---- questions to the ledger ------------------------------------------- */

struct rx_ask *rx_ask_new(struct rx_session *s, size_t max,
			  void (*run)(struct msg *m))
{
	struct rx_ask *a;

	if (s->home->closed)
		return NULL;
	a = mem_zalloc(sizeof(*a));
	if (a == NULL)
		return NULL;
	a->msg.run = run;
	a->home = s->home;
	a->session = s;
	a->max = max;
	a->answers = mem_zarray(max > 0 ? max : 1, sizeof(*a->answers));
	if (a->answers != NULL)
		return a;
	mem_free(a);
	return NULL;
}

void rx_ask_free(struct rx_ask *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n_lookups; i++)
		mem_free(a->lookups[i]);
	mem_free(a->answers);
	mem_free(a);
}

void rx_ask_answered(void *arg, enum err e, const struct ledger_origin *v,
		     size_t n)
{
	struct rx_ask *a = arg;

	a->e = e;
	a->n = e == ERR_OK && n <= a->max ? n : 0;
	if (a->n > 0)
		memcpy(a->answers, v, a->n * sizeof(*v));
	if (!rx_home_post(a->home, &a->msg))
		rx_ask_free(a);
}

void rx_ask_done(void *arg, enum err e)
{
	rx_ask_answered(arg, e, NULL, 0);
}

/* ---- the process's part ------------------------------------------------ */

static uint64_t longest_keep(const struct config *c)
{
	uint64_t keep = 0;

	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct config_listener *l = &c->listeners[i];

		if (l->protocol == CONFIG_LINK && l->link.keep > keep)
			keep = l->link.keep;
	}
	return keep;
}

enum err link_receiver_new(const struct link_receiver_options *o,
			   struct link_receiver **out)
{
	struct link_receiver *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->homes = mem_zarray(o->n_workers, sizeof(*r->homes));
	r->heads_ns =
	    mem_zarray(o->config->n_devices + 1, sizeof(*r->heads_ns));
	if (r->homes == NULL || r->heads_ns == NULL) {
		mem_free(r->heads_ns);
		mem_free(r->homes);
		mem_free(r);
		return ERR_NOMEM;
	}
	r->opt = *o;
	memcpy(r->epoch, o->epoch, sizeof(r->epoch));
	r->opt.epoch = r->epoch;
	r->keep_ms = longest_keep(o->config);
	r->expired_ms = mono_ms();
	list_init(&r->directory);
	list_init(&r->finishing);
	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < o->n_workers; i++)
		home_init(&r->homes[i], r, o->workers[i]);
	*out = r;
	return ERR_OK;
}

void link_receiver_free(struct link_receiver *r)
{
	if (r == NULL)
		return;
	LIST_EACH(it, tmp, &r->finishing)
	{
		rx_transfer_free(CONTAINER_OF(it, struct rx_transfer, node));
	}
	for (size_t i = 0; i < r->opt.n_workers; i++)
		pthread_mutex_destroy(&r->homes[i].lock);
	pthread_mutex_destroy(&r->lock);
	mem_free(r->heads_ns);
	mem_free(r->homes);
	mem_free(r);
}

size_t link_receiver_worker(const struct link_receiver *r,
			    const struct sockaddr *peer)
{
	char text[ADDRESS_TEXT_LEN];
	uint32_t h = 2166136261u; /* FNV-1a */
	const char *port;

	address_text(peer, text);
	port = strrchr(text, ':');
	for (const char *p = text; *p != '\0' && p != port; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return (h ^ h >> 16) % r->opt.n_workers;
}

enum err link_receiver_accept(struct link_receiver *r, size_t worker, int fd,
			      size_t listener, struct tls_context *tls,
			      atomic_uint *n_open)
{
	struct rx_home *h = &r->homes[worker];

	if (!h->draining && home_begin(h))
		return rx_wire_accept(h, fd, listener, tls, n_open);
	rx_wire_refuse(h, fd, listener);
	return ERR_CANCELED;
}

void link_receiver_drain(struct link_receiver *r, size_t worker, bool force)
{
	struct rx_home *h = &r->homes[worker];

	h->draining = true;
	atomic_store(&r->stopping, true);
	LIST_EACH(it, tmp, &h->wires)
	{
		struct rx_wire *w = CONTAINER_OF(it, struct rx_wire, node);

		if (w->session != NULL)
			rx_session_because(w->session, "the daemon stops");
		if (force)
			link_conn_drop(w->conn);
		else
			link_conn_bye(w->conn, LINK_BYE_SHUTDOWN, true, NULL);
	}
}

void link_receiver_origin(struct link_receiver *r,
			  const struct ledger_origin *o)
{
	rx_told_post(r, o);
}

void link_receiver_tick(struct link_receiver *r)
{
	uint64_t now = mono_ms();
	size_t n;

	if (r->keep_ms == 0 || now - r->expired_ms < EXPIRE_EVERY_MS)
		return;
	r->expired_ms = now;
	n = spool_partial_expire(r->opt.spool,
				 clock_wall_ms() - (int64_t)r->keep_ms);
	if (n > 0)
		log_event(LOG_WARN, "link-expired", "transfers=%zu", n);
}

unsigned link_receiver_pending(const struct link_receiver *r)
{
	return atomic_load(&r->counts.finishing);
}

void link_receiver_stats(const struct link_receiver *r,
			 struct link_receiver_stats *out)
{
	const struct rx_counts *c = &r->counts;

	*out = (struct link_receiver_stats){
	    .sessions = atomic_load(&c->sessions),
	    .connections = atomic_load(&c->connections),
	    .transfers = atomic_load(&c->transfers),
	    .arrived = atomic_load(&c->arrived),
	    .arrived_bytes = atomic_load(&c->arrived_bytes),
	    .chunks = atomic_load(&c->chunks),
	    .chunks_again = atomic_load(&c->chunks_again),
	    .chunks_bad = atomic_load(&c->chunks_bad),
	    .refused = atomic_load(&c->refused),
	    .told_delivered = atomic_load(&c->told_delivered)};
}
