/* listener.c - see listener.h.
 *
 * The socket is ours and libuv only polls it: so the accepted descriptor can
 * go to any thread's loop. One descriptor is kept in reserve: when the process
 * runs out, it is given up for a moment to accept and drop a connection, since
 * otherwise the loop would spin on a socket it cannot empty. */
#include "proxy/net/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/address.h"

enum { ACCEPT_BATCH = 64 }; /* per turn: other work gets its share */

struct listener {
	uv_poll_t poll;
	int fd, reserve; /* reserve: -1 while it is given up */
	uint16_t port;
	bool paused, closing, spell; /* spell: out of descriptors, logged */
	uint64_t starved;
	listener_accept_fn *fn;
	void *arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
	char address[ADDRESS_TEXT_LEN];
};

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- accepting -------------------------------------------------------- */

static bool out_of_descriptors(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	       error == ENOMEM;
}

static void drop_one(struct listener *l)
{
	int fd;

	if (!l->spell)
		log_event(LOG_ERROR, "listener-starved", "address=%s",
			  l->address);
	l->spell = true;
	if (l->reserve >= 0)
		close(l->reserve);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		l->starved++;
		close(fd);
	}
	l->reserve = reserve_open();
}

/* False: nothing more to accept now. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(l->fd, (struct sockaddr *)&peer, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && out_of_descriptors(errno)) {
		drop_one(l);
		return true;
	}
	if (fd < 0) /* the rest are errors of one connection: ECONNABORTED */
		return errno != EAGAIN && errno != EWOULDBLOCK;
	if (l->reserve < 0)
		l->reserve = reserve_open();
	if (l->spell && l->reserve >= 0) {
		l->spell = false;
		log_event(LOG_INFO, "listener-recovered",
			  "address=%s dropped=%llu", l->address,
			  (unsigned long long)l->starved);
	}
	l->fn(l->arg, fd, (const struct sockaddr *)&peer);
	return true;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct listener *l = CONTAINER_OF(poll, struct listener, poll);

	(void)status; /* accept says more precisely what is wrong */
	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && !l->paused && !l->closing; i++)
		if (!accept_one(l))
			return;
}

void listener_pause(struct listener *l)
{
	if (l->closing || l->paused)
		return;
	l->paused = true;
	uv_poll_stop(&l->poll);
}

void listener_resume(struct listener *l)
{
	if (l->closing || !l->paused)
		return;
	l->paused = false;
	uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

unsigned listener_waiting(const struct listener *l)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_unacked; /* of a socket that listens: its queue */
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

uint64_t listener_starved(const struct listener *l)
{
	return l->starved;
}

/* ---- birth and end ---------------------------------------------------- */

static enum err bind_failed(const char *address, int error, char *why)
{
	const char *remedy = "";
	enum err e = ERR_IO;

	switch (error) {
	case EADDRINUSE:
		e = ERR_EXISTS;
		remedy = ": another program has this port (ss -ltnp names "
			 "it); stop that, or choose another port";
		break;
	case EACCES:
	case EPERM:
		e = ERR_DENIED;
		remedy = ": ports below 1024 need CAP_NET_BIND_SERVICE (the "
			 "systemd unit has it); or choose a higher port";
		break;
	case EADDRNOTAVAIL:
		e = ERR_NOTFOUND;
		remedy = ": this machine has no such address (ip addr lists "
			 "them); 0.0.0.0 listens on all";
		break;
	}
	snprintf(why, LISTENER_WHY_LEN, "cannot listen at %s: %s%s", address,
		 strerror(error), remedy);
	return e;
}

static int socket_listen(const struct sockaddr_storage *ss, int backlog)
{
	int one = 1, saved;
	int fd = socket(ss->ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						  : sizeof(struct sockaddr_in);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)ss, len) == 0 &&
	    listen(fd, backlog) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static enum err parse(const char *address, struct sockaddr_storage *ss,
		      char *why)
{
	char host[ADDRESS_HOST_LEN];
	uint16_t port;

	if (address_split(address, host, &port) == ERR_OK &&
	    address_numeric(host, port, ss) == ERR_OK)
		return ERR_OK;
	snprintf(why, LISTENER_WHY_LEN,
		 "cannot listen at \"%.100s\": not an address and a port; "
		 "write 0.0.0.0:104, 10.1.4.1:104 or [::]:104",
		 address);
	return ERR_INVAL;
}

static void remember_name(struct listener *l)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	getsockname(l->fd, (struct sockaddr *)&ss, &len);
	l->port = address_port((struct sockaddr *)&ss);
	address_text((struct sockaddr *)&ss, l->address);
}

enum err listener_open(uv_loop_t *loop, const char *address, int backlog,
		       listener_accept_fn *fn, void *arg, struct listener **out,
		       char why[LISTENER_WHY_LEN])
{
	struct sockaddr_storage ss;
	struct listener *l;
	enum err e = parse(address, &ss, why);

	if (e != ERR_OK)
		return e;
	l = mem_zalloc(sizeof(*l));
	if (l == NULL) {
		snprintf(why, LISTENER_WHY_LEN, "out of memory");
		return ERR_NOMEM;
	}
	l->fn = fn;
	l->arg = arg;
	l->fd = socket_listen(&ss, backlog);
	if (l->fd < 0) {
		e = bind_failed(address, errno, why);
		goto err_after_zalloc;
	}
	l->reserve = reserve_open();
	remember_name(l);
	e = ERR_IO;
	if (uv_poll_init(loop, &l->poll, l->fd) != 0) {
		snprintf(why, LISTENER_WHY_LEN,
			 "cannot watch the socket of %s: out of resources",
			 address);
		goto err_after_socket;
	}
	uv_poll_start(&l->poll, UV_READABLE, on_poll);
	*out = l;
	return ERR_OK;

err_after_socket:
	close(l->fd);
	if (l->reserve >= 0)
		close(l->reserve);
err_after_zalloc:
	mem_free(l);
	return e;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct listener *l =
	    CONTAINER_OF((uv_poll_t *)handle, struct listener, poll);
	void (*on_closed)(void *arg) = l->on_closed;
	void *arg = l->closed_arg;

	mem_free(l);
	if (on_closed != NULL)
		on_closed(arg);
}

void listener_close(struct listener *l, void (*on_closed)(void *arg), void *arg)
{
	assert(!l->closing);
	l->closing = true;
	l->on_closed = on_closed;
	l->closed_arg = arg;
	uv_close((uv_handle_t *)&l->poll, on_poll_closed);
	/* after uv_close(), which takes it out of epoll */
	close(l->fd);
	if (l->reserve >= 0)
		close(l->reserve);
}
