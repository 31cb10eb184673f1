/* repository_udp.c - RFC 5426: a datagram a message.
 *
 * Nobody acknowledges. What can be noticed is that nothing listens there: the
 * kernel learns of it and says so with the next datagram. So the first one
 * after a pause goes alone, and the last tick's rows go again. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/repository_int.h"

enum { EACH_TICK = 100 }; /* datagrams, so that nobody is flooded */

static void drop_socket(struct repository *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

static void refused(struct repository *r, int error)
{
	char text[REPOSITORY_WHY_LEN];

	(void)snprintf(text, sizeof(text), "cannot send to %s: %s%s",
		       r->endpoint, strerror(error),
		       error == ECONNREFUSED
			   ? ": nothing listens there; check address and "
			     "port, and that the service runs"
			   : "; check routing and firewall");
	drop_socket(r);
	repository_queue_seek(&r->queue, r->back);
	repository_down(r, text);
}

/* ---- the socket ------------------------------------------------------------
 */

static int connected(const struct addrinfo *list)
{
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		int fd = socket(a->ai_family,
				SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static void on_address(uv_getaddrinfo_t *q, int status, struct addrinfo *list)
{
	struct repository *r = q->data;

	r->looking_up = false;
	if (r->closing) {
		uv_freeaddrinfo(list);
		return;
	}
	if (status != 0) {
		char text[REPOSITORY_WHY_LEN];

		(void)snprintf(text, sizeof(text),
			       "cannot find %s: %s; check the name and this "
			       "machine's DNS",
			       r->config->address.host, uv_strerror(status));
		repository_down(r, text);
		return;
	}
	r->fd = connected(list);
	uv_freeaddrinfo(list);
	if (r->fd < 0) {
		refused(r, errno);
		return;
	}
	r->probed = false;
	repository_queue_seek(&r->queue, r->arrived + 1);
	repository_queue_head_again(&r->queue);
	r->back = r->queue.next;
	r->state = REPOSITORY_CONNECTED;
}

static void look_up(struct repository *r)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", r->config->address.port);
	r->lookup.data = r;
	r->state = REPOSITORY_CONNECTING;
	r->looking_up = true;
	if (uv_getaddrinfo(worker_loop(r->all->worker), &r->lookup, on_address,
			   r->config->address.host, port, &hints) == 0)
		return;
	r->looking_up = false;
	repository_down(r, "out of memory");
}

/* ---- sending ----------------------------------------------------------------
 */

/* Of an earlier datagram. */
static int pending_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return errno;
	return error;
}

/* False: no more for now. */
static bool send_one(struct repository *r)
{
	int64_t seq, before = r->queue.next;
	ssize_t n;
	size_t len;
	int error;
	enum err e =
	    repository_queue_next(&r->queue, (size_t)r->config->datagram,
				  r->batch, REPOSITORY_BATCH, &len, &seq);

	if (e != ERR_OK) {
		if (e != ERR_AGAIN) {
			drop_socket(r);
			repository_unreadable(r);
		}
		return false;
	}
	n = send(r->fd, r->batch, len, 0);
	error = n < 0 ? errno : 0;
	if (r->config->identity != 0)
		mem_wipe(r->batch, len);
	if (error == EAGAIN || error == ENOBUFS) {
		repository_queue_seek(&r->queue, before);
		return false;
	}
	if (error != 0) {
		refused(r, error);
		return false;
	}
	repository_count(r, 1, len);
	return true;
}

static void send_some(struct repository *r)
{
	int most = r->probed ? EACH_TICK : 1;
	int error = pending_error(r->fd);

	if (error != 0) {
		refused(r, error);
		return;
	}
	/* the tick before brought no refusal */
	if (r->back < r->queue.next) {
		if (!r->probed)
			repository_up(r, "");
		r->probed = true;
		repository_arrived(r, r->queue.next - 1);
	}
	r->back = r->queue.next;
	while (most-- > 0 && r->state == REPOSITORY_CONNECTED && send_one(r))
		;
	repository_queue_pause(&r->queue);
}

void repository_udp_tick(struct repository *r)
{
	switch (r->state) {
	case REPOSITORY_WAITING:
		if (repository_now(r) >= r->retry_at_ms)
			look_up(r);
		else
			repository_queue_look(&r->queue);
		return;
	case REPOSITORY_CONNECTING:
		return;
	case REPOSITORY_CONNECTED:
		send_some(r);
		return;
	}
}

void repository_udp_close(struct repository *r)
{
	if (r->looking_up)
		(void)uv_cancel((uv_req_t *)&r->lookup);
	drop_socket(r);
}
