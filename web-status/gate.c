#include "web-status/gate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/worker.h"
#include "web-status/gate_int.h"

enum {
	SWEEP_MS = 250,
	BACKLOG = 256,
	TELL_MS = 10 * 1000, /* between two lines about refused connections */
	/* else the kernel keeps megabytes for one that takes nothing, and it is
	 * long before that shows */
	SEND_ROOM = 128 * 1024,
};

/* ---- what is known of a connection ------------------------------------- */

const char *peer_address(const struct web_peer *p)
{
	return p->address;
}

const char *peer_bucket(const struct web_peer *p)
{
	return p->bucket;
}

const char *peer_local(const struct web_peer *p)
{
	return p->local;
}

bool peer_on_loopback(const struct web_peer *p)
{
	return p->loopback;
}

const char *peer_fingerprint(const struct web_peer *p)
{
	return p->fingerprint;
}

const char *peer_subject(const struct web_peer *p)
{
	return p->subject;
}

/* Who holds one address of a /64 holds all of them. */
static void bucket_of(const struct sockaddr *sa, char out[ADDRESS_TEXT_LEN])
{
	struct sockaddr_in6 six;

	if (sa->sa_family == AF_INET6) {
		memcpy(&six, sa, sizeof(six));
		if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
			memset(six.sin6_addr.s6_addr + 8, 0, 8);
			sa = (const struct sockaddr *)&six;
		}
	}
	address_host_text(sa, out);
}

static bool is_loopback(const struct sockaddr *sa)
{
	struct sockaddr_in four;
	struct sockaddr_in6 six;

	if (sa->sa_family == AF_INET) {
		memcpy(&four, sa, sizeof(four));
		return ntohl(four.sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&six, sa, sizeof(six));
	return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) != 0;
}

static void describe(struct web_peer *p, int fd, const struct sockaddr *sa)
{
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof(local);

	address_host_text(sa, p->address);
	bucket_of(sa, p->bucket);
	if (getsockname(fd, (struct sockaddr *)&local, &len) != 0)
		return;
	address_host_text((struct sockaddr *)&local, p->local);
	p->loopback = is_loopback(sa) && is_loopback((struct sockaddr *)&local);
}

struct web_request *peer_request(const struct web_peer *p)
{
	return p->request;
}

void peer_set_request(struct web_peer *p, struct web_request *r)
{
	p->request = r;
}

/* ---- counting ---------------------------------------------------------- */

static unsigned of_bucket(const struct web_gate *g, const char *bucket)
{
	unsigned n = 0;

	LIST_EACH(node, tmp, &g->peers)
	n += strcmp(CONTAINER_OF(node, struct web_peer, node)->bucket,
		    bucket) == 0;
	return n;
}

static bool may_enter(struct web_gate *g, const char *bucket)
{
	const struct config *c = g->server->config;
	bool yes;

	pthread_mutex_lock(&g->lock);
	yes = g->n_peers < c->status.connections &&
	      of_bucket(g, bucket) < c->status.per_address;
	pthread_mutex_unlock(&g->lock);
	return yes;
}

/* A flood is one line now and then. */
static void tell_refused(struct web_gate *g, const char *address)
{
	uint64_t now = web_now_ms();

	g->refused++;
	if (g->told > 0 && now - g->told_ms < TELL_MS)
		return;
	log_event(LOG_WARN, "web-full", "peer=%s refused=%llu", address,
		  (unsigned long long)(g->refused - g->told));
	g->told = g->refused;
	g->told_ms = now;
}

static void enter(struct web_gate *g, struct web_peer *p)
{
	pthread_mutex_lock(&g->lock);
	list_push_back(&g->peers, &p->node);
	g->n_peers++;
	pthread_mutex_unlock(&g->lock);
}

/* Under lock. p is gone when nobody has it any more. */
static void leave(struct web_peer *p)
{
	if (p->http || p->stream)
		return;
	list_remove(&p->node);
	p->gate->n_peers--;
	mem_free(p);
}

/* ---- to HTTP and back -------------------------------------------------- */

static unsigned least_loaded(const struct web_gate *g)
{
	unsigned best = 0;

	for (unsigned i = 1; i < WEB_THREADS; i++)
		if (g->load[i] < g->load[best])
			best = i;
	return best;
}

static void done(struct web_peer *p)
{
	struct web_gate *g = p->gate;

	pthread_mutex_lock(&g->lock);
	p->http = false;
	p->fd = -1;
	g->load[p->thread]--;
	leave(p);
	pthread_mutex_unlock(&g->lock);
}

void gate_hand_over(struct web_peer *p, int fd)
{
	struct web_gate *g = p->gate;
	unsigned thread;

	pthread_mutex_lock(&g->lock);
	thread = least_loaded(g);
	p->thread = thread;
	p->fd = fd;
	p->http = true;
	p->deadline_ms = web_now_ms() + web_head_ms();
	g->load[thread]++;
	pthread_mutex_unlock(&g->lock);
	/* from here on it is HTTP's, and may be gone at any moment */
	if (!http_take(g->server, thread, fd))
		done(p);
}

void gate_stream_done(struct web_peer *p)
{
	struct web_gate *g = p->gate;

	pthread_mutex_lock(&g->lock);
	p->stream = false;
	leave(p);
	pthread_mutex_unlock(&g->lock);
}

struct web_peer *gate_peer(struct web_gate *g, int fd)
{
	struct web_peer *found = NULL;

	pthread_mutex_lock(&g->lock);
	LIST_EACH(node, tmp, &g->peers)
	{
		struct web_peer *p = CONTAINER_OF(node, struct web_peer, node);

		if (p->http && p->fd == fd)
			found = p;
	}
	pthread_mutex_unlock(&g->lock);
	return found;
}

void peer_http_done(struct web_peer *p)
{
	done(p);
}

static bool is_seen(const struct gate_seen *s, const struct web_peer *p)
{
	return strcmp(s->fingerprint, p->fingerprint) == 0 &&
	       strcmp(s->address, p->address) == 0;
}

/* Under lock: the entry of p, or the one that gives way to it. */
static struct gate_seen *seen_entry(struct web_gate *g,
				    const struct web_peer *p)
{
	struct gate_seen *oldest = &g->seen[0];

	for (size_t i = 0; i < GATE_SEEN_MAX; i++) {
		if (is_seen(&g->seen[i], p))
			return &g->seen[i];
		if (g->seen[i].used_ms < oldest->used_ms)
			oldest = &g->seen[i];
	}
	return oldest;
}

bool peer_first_use(struct web_peer *p)
{
	uint64_t now = web_now_ms();
	struct gate_seen *s;
	bool first;

	pthread_mutex_lock(&p->gate->lock);
	s = seen_entry(p->gate, p);
	first = !is_seen(s, p) || now - s->used_ms > GATE_SEEN_MS;
	memcpy(s->fingerprint, p->fingerprint, sizeof(s->fingerprint));
	memcpy(s->address, p->address, sizeof(s->address));
	s->used_ms = now;
	pthread_mutex_unlock(&p->gate->lock);
	return first;
}

void peer_deadline(struct web_peer *p, uint64_t ms)
{
	pthread_mutex_lock(&p->gate->lock);
	p->deadline_ms = ms > 0 ? web_now_ms() + ms : 0;
	pthread_mutex_unlock(&p->gate->lock);
}

/* HTTP sees an end, and closes. The socket cannot have been closed, and its
 * number given to another: peer_http_done() comes first. */
static void on_sweep(uv_timer_t *t)
{
	struct web_gate *g = t->data;
	uint64_t now = web_now_ms();

	pthread_mutex_lock(&g->lock);
	LIST_EACH(node, tmp, &g->peers)
	{
		struct web_peer *p = CONTAINER_OF(node, struct web_peer, node);

		if (!p->http || p->deadline_ms == 0 || now < p->deadline_ms)
			continue;
		p->deadline_ms = 0;
		shutdown(p->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- accepting --------------------------------------------------------- */

static void bound_room(int fd)
{
	const int room = SEND_ROOM;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static void on_accept(void *arg, int fd, const struct sockaddr *sa)
{
	struct web_gate *g = arg;
	char bucket[ADDRESS_TEXT_LEN];
	struct web_peer *p;

	bucket_of(sa, bucket);
	if (!may_enter(g, bucket)) {
		close(fd);
		tell_refused(g, bucket);
		return;
	}
	p = mem_zalloc(sizeof(*p));
	if (p == NULL) {
		close(fd);
		return;
	}
	p->gate = g;
	p->fd = -1;
	p->stream = true; /* ours, until it is handed over */
	describe(p, fd, sa);
	bound_room(fd);
	enter(g, p);
	if (g->tls == NULL) {
		gate_hand_over(p, fd);
		gate_stream_done(p);
	} else if (bridge_open(p, fd) != ERR_OK) {
		gate_stream_done(p);
	}
}

static void address_of(const struct config *c, char out[ADDRESS_TEXT_LEN + 300])
{
	bool six = strchr(c->status.address.host, ':') != NULL;

	snprintf(out, ADDRESS_TEXT_LEN + 300, "%s%s%s:%u", six ? "[" : "",
		 c->status.address.host, six ? "]" : "",
		 c->status.address.port);
}

static enum err listen_now(struct web_gate *g)
{
	char address[ADDRESS_TEXT_LEN + 300], why[LISTENER_WHY_LEN];
	enum err e;

	address_of(g->server->config, address);
	e = listener_open(worker_loop(g->server->worker), address, BACKLOG,
			  on_accept, g, &g->listener, why);
	if (e != ERR_OK)
		log_event(LOG_ERROR, "web-listen", "address=%s detail=\"%s\"",
			  address, why);
	return e;
}

enum err gate_open(struct web_server *s, struct web_gate **out)
{
	struct web_gate *g = mem_zalloc(sizeof(*g));
	enum err e = ERR_OK;

	if (g == NULL)
		return ERR_NOMEM;
	g->server = s;
	pthread_mutex_init(&g->lock, NULL);
	list_init(&g->peers);
	if (s->tls)
		e = bridge_context(s->config, &g->tls);
	if (e == ERR_OK)
		e = listen_now(g);
	if (e != ERR_OK) {
		gate_free(g);
		return e;
	}
	uv_timer_init(worker_loop(s->worker), &g->sweep);
	g->sweep.data = g;
	uv_timer_start(&g->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*out = g;
	return ERR_OK;
}

bool gate_reload(struct web_gate *g)
{
	struct tls_context *fresh = NULL;

	if (g->tls == NULL)
		return true;
	if (bridge_context(g->server->config, &fresh) != ERR_OK)
		return false;
	tls_context_unref(g->tls);
	g->tls = fresh;
	return true;
}

void gate_close(struct web_gate *g)
{
	if (g->listener == NULL)
		return;
	listener_close(g->listener, NULL, NULL);
	g->listener = NULL;
	uv_close((uv_handle_t *)&g->sweep, NULL);
}

void gate_free(struct web_gate *g)
{
	if (g == NULL)
		return;
	tls_context_unref(g->tls);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}
