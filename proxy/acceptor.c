#include "proxy/acceptor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/admission.h"
#include "proxy/association.h"
#include "proxy/handshakes.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/frame.h"
#include "proxy/link/receiver.h"
#include "proxy/net/address.h"
#include "proxy/net/listener.h"
#include "proxy/net/tls.h"
#include "proxy/net/worker.h"
#include "proxy/throttle.h"

enum { BACKLOG = 512, PORT_TEXT_LEN = CONFIG_HOST_LEN + 16 };

struct port { /* one listener */
	struct acceptor *acceptor;
	size_t index;
	struct listener *listener; /* NULL: closed */
	struct throttle *throttle; /* NULL: no TLS there */
};

struct acceptor {
	struct acceptor_options opt;
	struct tls_context **tls;     /* by listener */
	struct port *ports;           /* by listener */
	struct association_env *envs; /* by worker */
	atomic_uint open;
};

/* ---- to a worker ------------------------------------------------------- */

struct handover {
	struct msg msg;
	struct acceptor *acceptor;
	struct association_env *env;
	int fd;
	size_t listener;
};

static bool is_link(const struct acceptor *a, size_t listener)
{
	return a->opt.config->listeners[listener].protocol == CONFIG_LINK;
}

static enum err begin(const struct handover *h)
{
	struct acceptor *a = h->acceptor;

	if (!is_link(a, h->listener))
		return association_begin(h->env, h->fd, h->listener);
	return link_receiver_accept(a->opt.links, (size_t)(h->env - a->envs),
				    h->fd, h->listener, a->tls[h->listener],
				    &a->open);
}

static void on_handover(struct msg *m)
{
	struct handover *h = CONTAINER_OF(m, struct handover, msg);

	struct worker *w = h->env->worker;
	enum err e = begin(h);

	if (e != ERR_OK && e != ERR_CANCELED)
		log_event(LOG_ERROR, "accept-failed",
			  "listener=%s detail=\"%s\"",
			  h->env->config->listeners[h->listener].name,
			  "out of memory or descriptors");
	worker_load_add(w, -1); /* it counts for itself now */
	mem_free(h);
}

static struct association_env *least_loaded(struct acceptor *a)
{
	size_t best = 0;

	for (size_t i = 1; i < a->opt.n_workers; i++) {
		if (worker_load(a->opt.workers[i]) <
		    worker_load(a->opt.workers[best]))
			best = i;
	}
	return &a->envs[best];
}

static void refuse(struct port *p, int fd, const struct sockaddr *peer,
		   enum limit_verdict v)
{
	char text[ADDRESS_TEXT_LEN];

	admission_refuse(
	    p->acceptor->opt.admission,
	    &(struct refusal_facts){.listener = p->index,
				    .peer = address_text(peer, text),
				    .calling_ae = "",
				    .called_ae = "",
				    .reason = limit_verdict_name(v)});
	close(fd);
}

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct port *p = arg;
	struct acceptor *a = p->acceptor;
	enum limit_verdict v;
	struct handover *h;

	if (!throttle_accepted(p->throttle, fd)) {
		close(fd);
		return;
	}
	v = admission_connect(a->opt.admission, p->index);
	if (v != LIMIT_PASS) {
		refuse(p, fd, peer, v);
		return;
	}
	h = mem_zalloc(sizeof(*h));
	if (h == NULL) {
		admission_leave(a->opt.admission, p->index, -1);
		close(fd);
		return;
	}
	h->msg.run = on_handover;
	h->acceptor = a;
	h->env = is_link(a, p->index)
		     ? &a->envs[link_receiver_worker(a->opt.links, peer)]
		     : least_loaded(a);
	h->fd = fd;
	h->listener = p->index;
	/* before the worker knows: the next of a burst goes elsewhere */
	worker_load_add(h->env->worker, 1);
	if (!worker_post(h->env->worker, &h->msg)) {
		worker_load_add(h->env->worker, -1);
		admission_leave(a->opt.admission, p->index, -1);
		close(fd);
		mem_free(h);
	}
}

/* ---- start ------------------------------------------------------------- */

static enum err load_tls(struct acceptor *a, size_t i, char why[768])
{
	const struct config_listener *l = &a->opt.config->listeners[i];
	struct tls_options o = {
	    .profile = TLS_PROFILE_BCP195,
	    .ca = l->tls.ca,
	    .certificate = l->tls.certificate,
	    .key = l->tls.key,
	    .alpn = l->protocol == CONFIG_LINK ? LINK_ALPN : NULL,
	    .tls13_only = l->protocol == CONFIG_LINK ||
			  l->tls.min_version == CONFIG_TLS_1_3};
	enum err e;

	if (l->protocol == CONFIG_DICOM)
		return ERR_OK;
	e = tls_server_new(&o, &a->tls[i], why);
	if (e == ERR_OK)
		handshakes_watch(a->opt.handshakes, l->name, a->tls[i]);
	return e;
}

static enum err open_port(struct acceptor *a, size_t i, char why[768])
{
	const struct config_listener *l = &a->opt.config->listeners[i];
	char address[PORT_TEXT_LEN];
	enum err e;

	snprintf(address, sizeof(address),
		 strchr(l->address.host, ':') != NULL ? "[%s]:%u" : "%s:%u",
		 l->address.host, l->address.port);
	a->ports[i].acceptor = a;
	a->ports[i].index = i;
	e = listener_open(a->opt.loop, address, BACKLOG, on_accept,
			  &a->ports[i], &a->ports[i].listener, why);
	if (e == ERR_OK && l->protocol != CONFIG_DICOM)
		e = throttle_open(a->opt.loop, a->opt.admission, i,
				  a->ports[i].listener, &a->ports[i].throttle);
	if (e == ERR_OK)
		log_event(LOG_INFO, "listening",
			  "listener=%s protocol=%s address=%s port=%u", l->name,
			  config_protocol_name(l->protocol), l->address.host,
			  listener_port(a->ports[i].listener));
	return e;
}

static void start_envs(struct acceptor *a)
{
	for (size_t i = 0; i < a->opt.n_workers; i++) {
		struct association_env *env = &a->envs[i];

		*env = (struct association_env){
		    .config = a->opt.config,
		    .spool = a->opt.spool,
		    .ledger = a->opt.ledger,
		    .capabilities = a->opt.capabilities,
		    .destinations = a->opt.destinations,
		    .commitment = a->opt.commitment,
		    .shaper = a->opt.shaper,
		    .early = a->opt.early,
		    .admission = a->opt.admission,
		    .tls = a->tls,
		    .worker = a->opt.workers[i],
		    .n_open = &a->open};
		list_init(&env->open);
	}
}

enum err acceptor_start(const struct acceptor_options *opt,
			struct acceptor **out, char why[768])
{
	size_t n = opt->config->n_listeners;
	struct acceptor *a = mem_zalloc(sizeof(*a));
	enum err e = ERR_OK;

	if (a == NULL)
		return ERR_NOMEM;
	a->opt = *opt;
	a->tls = mem_zarray(n, sizeof(struct tls_context *));
	a->ports = mem_zarray(n, sizeof(*a->ports));
	a->envs = mem_zarray(opt->n_workers, sizeof(*a->envs));
	if (a->tls == NULL || a->ports == NULL || a->envs == NULL) {
		snprintf(why, 768, "out of memory");
		e = ERR_NOMEM;
	} else {
		start_envs(a);
	}
	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = load_tls(a, i, why);
	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = open_port(a, i, why);
	/* on an error too: the caller drains and frees what there is */
	*out = a;
	return e;
}

/* ---- the end ----------------------------------------------------------- */

unsigned acceptor_open(const struct acceptor *a)
{
	return atomic_load(&a->open);
}

struct drain {
	struct msg msg;
	struct acceptor *acceptor;
	struct association_env *env;
	bool force;
};

static void on_drain(struct msg *m)
{
	struct drain *d = CONTAINER_OF(m, struct drain, msg);

	association_drain(d->env, d->force);
	link_receiver_drain(d->acceptor->opt.links,
			    (size_t)(d->env - d->acceptor->envs), d->force);
	mem_free(d);
}

static void close_ports(struct acceptor *a)
{
	for (size_t i = 0; i < a->opt.config->n_listeners; i++) {
		if (a->ports == NULL || a->ports[i].listener == NULL)
			continue;
		throttle_close(a->ports[i].throttle);
		listener_close(a->ports[i].listener, NULL, NULL);
		a->ports[i].listener = NULL;
	}
}

void acceptor_drain(struct acceptor *a, bool force)
{
	close_ports(a);
	for (size_t i = 0; a->envs != NULL && i < a->opt.n_workers; i++) {
		struct drain *d = mem_zalloc(sizeof(*d));

		if (d == NULL)
			return; /* they end by their deadlines */
		d->msg.run = on_drain;
		d->acceptor = a;
		d->env = &a->envs[i];
		d->force = force;
		if (!worker_post(a->opt.workers[i], &d->msg))
			mem_free(d);
	}
}

void acceptor_free(struct acceptor *a)
{
	for (size_t i = 0; a->tls != NULL && i < a->opt.config->n_listeners;
	     i++)
		tls_context_unref(a->tls[i]);
	mem_free(a->tls);
	mem_free(a->ports);
	mem_free(a->envs);
	mem_free(a);
}
