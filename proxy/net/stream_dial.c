/* stream_dial.c - name look-up and TCP connect, address by address.
 *
 * The look-up runs in libuv's thread pool and cannot always be cancelled: its
 * request is a block of its own, which a closing stream leaves behind. */
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "proxy/lib/mem.h"
#include "proxy/net/stream_int.h"

enum { ADDRESSES_MAX = 8 };

struct dial {
	struct stream *s; /* NULL: left behind */
	bool looking_up;
	unsigned n, next;
	uv_getaddrinfo_t lookup;
	uv_connect_t connect;
	struct sockaddr_storage addresses[ADDRESSES_MAX];
};

static void try_next(struct dial *d);

/* ---- texts ------------------------------------------------------------ */

static void connect_failed(struct stream *s, int status)
{
	const char *hint = "";

	if (status == UV_ECONNREFUSED)
		hint = ": nothing listens there; check address and port, and "
		       "that the service runs";
	else if (status == UV_EHOSTUNREACH || status == UV_ENETUNREACH)
		hint = ": check routing and firewall";
	else if (status == UV_ETIMEDOUT)
		hint = ": no answer; check address and firewall";
	stream_end(s, status == UV_ETIMEDOUT ? ERR_TIMEOUT : ERR_IO,
		   "cannot connect to %s: %s%s", s->endpoint,
		   uv_strerror(status), hint);
}

/* ---- connect ---------------------------------------------------------- */

/* Every address gets its part of the time that is left. */
static void share_time(struct stream *s, unsigned parts)
{
	uint64_t now = stream_now(s);
	uint64_t left = s->connect_at > now ? s->connect_at - now : 1;

	s->phase_at = now + (left + parts - 1) / parts;
	stream_timer_arm(s);
}

static void on_tcp_reborn(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	if (s->state == STREAM_CLOSING) {
		stream_handle_closed(handle);
		return;
	}
	stream_must0(uv_tcp_init(&s->worker->loop, &s->tcp));
	s->tcp.data = s;
	try_next(s->dial);
}

static void attempt_failed(struct dial *d, int status)
{
	struct stream *s = d->s;

	if (d->next < d->n)
		/* a socket that failed to connect cannot try again */
		uv_close((uv_handle_t *)&s->tcp, on_tcp_reborn);
	else
		connect_failed(s, status);
}

bool stream_dial_another(struct stream *s)
{
	struct dial *d = s->dial;

	if (d == NULL || d->looking_up || d->next >= d->n)
		return false;
	if (!uv_is_closing((uv_handle_t *)&s->tcp))
		attempt_failed(d, UV_ETIMEDOUT);
	return true;
}

static void on_connected(uv_connect_t *req, int status)
{
	struct stream *s = req->handle->data;

	if (s->state != STREAM_DIAL || uv_is_closing((uv_handle_t *)&s->tcp))
		return;
	if (status != 0) {
		attempt_failed(s->dial, status);
		return;
	}
	mem_free(s->dial);
	s->dial = NULL;
	stream_connected(s);
}

static void try_next(struct dial *d)
{
	const struct sockaddr_storage *ss = &d->addresses[d->next++];
	int rc;

	share_time(d->s, d->n - d->next + 1);
	rc = uv_tcp_connect(&d->connect, &d->s->tcp,
			    (const struct sockaddr *)ss, on_connected);
	if (rc != 0)
		attempt_failed(d, rc);
}

/* ---- look-up ---------------------------------------------------------- */

static void take_addresses(struct dial *d, const struct addrinfo *list)
{
	for (; list != NULL && d->n < ADDRESSES_MAX; list = list->ai_next) {
		struct sockaddr_storage *ss = &d->addresses[d->n];

		if (list->ai_addrlen > sizeof(*ss) ||
		    (list->ai_family != AF_INET && list->ai_family != AF_INET6))
			continue;
		memcpy(ss, list->ai_addr, list->ai_addrlen);
		d->n++;
	}
}

static void on_looked_up(uv_getaddrinfo_t *req, int status,
			 struct addrinfo *list)
{
	struct dial *d = CONTAINER_OF(req, struct dial, lookup);

	d->looking_up = false;
	if (d->s == NULL) {
		mem_free(d);
	} else if (status != 0) {
		stream_end(d->s, ERR_NOTFOUND,
			   "the name in %s does not resolve: %s: check the "
			   "spelling and the DNS servers of this machine",
			   d->s->endpoint, uv_strerror(status));
	} else {
		take_addresses(d, list);
		if (d->n > 0)
			try_next(d);
		else
			connect_failed(d->s, UV_EAI_NODATA);
	}
	uv_freeaddrinfo(list);
}

enum err stream_dial_begin(struct stream *s, const char *host, uint16_t port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	struct dial *d = mem_zalloc(sizeof(*d));
	char service[8];

	if (d == NULL)
		return ERR_NOMEM;
	d->s = s;
	s->dial = d;
	if (address_numeric(host, port, &d->addresses[0]) == ERR_OK) {
		d->n = 1;
		try_next(d);
		return ERR_OK;
	}
	snprintf(service, sizeof(service), "%u", port);
	if (uv_getaddrinfo(&s->worker->loop, &d->lookup, on_looked_up, host,
			   service, &hints) != 0)
		return ERR_NOMEM;
	d->looking_up = true;
	return ERR_OK;
}

void stream_dial_drop(struct stream *s)
{
	struct dial *d = s->dial;

	if (d->looking_up) {
		s->dial = NULL;
		d->s = NULL;
		uv_cancel((uv_req_t *)&d->lookup);
	}
	/* else: connect is libuv's until its callback; freed with the stream */
}
