/* line - a slow, long line between the bench's processes: a TCP forwarder.
 *
 * Each direction is a FIFO that all connections share: a piece (--mtu bytes at
 * most) enters when the queue has room, leaves at the line's rate when those
 * before it have left, and arrives --delay later. Connections that wait to
 * enter take turns. See --help for what this is not. */
#include "tests/bench/args.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_CONNECTIONS = 500,
	PIECE = 1500,
	SOCKET_BUFFER = 128 * 1024, /* asked of the kernel, both ways */
};

enum way { UP, DOWN, WAYS }; /* from the one who connected, and to it */

struct piece {
	struct piece *next;
	uint64_t leaves, arrives; /* monotonic ns */
	size_t connection, n, sent;
	uint8_t b[PIECE];
};

struct direction {
	struct piece *first, *last; /* on the line, oldest first */
	struct piece *queued;       /* the first that has not left yet */
	size_t queue;               /* bytes that have not left */
	uint64_t free_at;           /* when the line has sent the last one */
	uint64_t bytes, most_queued;
	size_t turn; /* the connection that may enter next */
};

/* ends[UP] is the socket that connected to us, ends[DOWN] the far one. */
struct connection {
	int ends[WAYS];
	bool eof[WAYS];     /* that end sends no more */
	bool stalled[WAYS]; /* that end takes no more for now */
	struct piece *due[WAYS], *due_last[WAYS]; /* arrived, not taken */
	size_t flying;                            /* its pieces on the line */
	bool broken;
};

static struct {
	const char *host;
	uint64_t port, to, queue, mtu;
	double mbit, delay;
} opt = {
    .host = "127.0.0.1",
    .queue = 64 * 1024,
    .mtu = PIECE,
    .mbit = 80,
    .delay = 0.01,
};

static struct connection *connections[MAX_CONNECTIONS];
static struct direction directions[WAYS];
static struct piece *spare;
static int listener;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct piece *piece_get(void)
{
	struct piece *p = spare;

	if (p)
		spare = p->next;
	else
		p = malloc(sizeof(*p));
	if (!p)
		abort();
	p->next = NULL;
	p->n = p->sent = 0;
	return p;
}

static void piece_put(struct piece *p)
{
	p->next = spare;
	spare = p;
}

/* --- connections --- */

static void options(int fd)
{
	int one = 1, size = SOCKET_BUFFER;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int dial(void)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)opt.to),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr *sa = (void *)&a;

	inet_pton(AF_INET, opt.host, &a.sin_addr);
	options(fd);
	if (connect(fd, sa, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void accept_one(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *c;
	size_t i = 0;

	if (fd < 0)
		return;
	while (i < MAX_CONNECTIONS && connections[i])
		i++;
	c = i < MAX_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	options(fd);
	c->ends[UP] = fd;
	c->ends[DOWN] = dial();
	if (c->ends[DOWN] < 0) {
		close(fd);
		free(c);
		return;
	}
	connections[i] = c;
}

static void drop_due(struct connection *c, enum way w)
{
	while (c->due[w]) {
		struct piece *p = c->due[w];

		c->due[w] = p->next;
		piece_put(p);
	}
}

/* Ended both ways with nothing on the line, or broken: forget it. */
static void reap(size_t i)
{
	struct connection *c = connections[i];
	bool over = c->eof[UP] && c->eof[DOWN] && !c->due[UP] && !c->due[DOWN];

	if (c->flying > 0 || !(c->broken || over))
		return;
	drop_due(c, UP);
	drop_due(c, DOWN);
	close(c->ends[UP]);
	close(c->ends[DOWN]);
	free(c);
	connections[i] = NULL;
}

/* --- entering --- */

static void enter(struct direction *d, struct piece *p, uint64_t now)
{
	uint64_t took = (uint64_t)((double)p->n * 8e3 / opt.mbit);

	if (d->free_at < now)
		d->free_at = now;
	d->free_at += took;
	p->leaves = d->free_at;
	p->arrives = p->leaves + (uint64_t)(opt.delay * 1e9);
	if (d->last)
		d->last->next = p;
	else
		d->first = p;
	d->last = p;
	if (!d->queued)
		d->queued = p;
	d->queue += p->n;
	d->bytes += p->n;
	if (d->queue > d->most_queued)
		d->most_queued = d->queue;
}

/* One piece of one connection; an empty one carries the FIN. */
static bool read_one(size_t i, enum way w, uint64_t now)
{
	struct connection *c = connections[i];
	struct piece *p;
	ssize_t n;

	if (!c || c->eof[w] || c->broken || c->stalled[!w])
		return false;
	p = piece_get();
	n = recv(c->ends[w], p->b, opt.mtu, 0);
	if (n < 0) {
		c->broken |= errno != EAGAIN && errno != EINTR;
		piece_put(p);
		return false;
	}
	c->eof[w] = n == 0;
	p->n = (size_t)n;
	p->connection = i;
	c->flying++;
	enter(&directions[w], p, now);
	return true;
}

static bool has_room(const struct direction *d)
{
	return d->queue + opt.mtu <= opt.queue;
}

/* In turns, until the queue is full or nobody has anything. */
static void fill(enum way w, uint64_t now)
{
	struct direction *d = &directions[w];
	size_t idle = 0;

	while (has_room(d) && idle < MAX_CONNECTIONS) {
		size_t i = d->turn++ % MAX_CONNECTIONS;

		idle = read_one(i, w, now) ? 0 : idle + 1;
	}
}

/* --- arriving --- */

static void take_due(struct connection *c, enum way w)
{
	int fd = c->ends[!w];

	c->stalled[!w] = false;
	while (c->due[w] && !c->broken) {
		struct piece *p = c->due[w];
		ssize_t n = 0;

		if (p->n == 0)
			shutdown(fd, SHUT_WR);
		else
			n = send(fd, p->b + p->sent, p->n - p->sent,
				 MSG_NOSIGNAL);
		if (n < 0) {
			c->stalled[!w] = errno == EAGAIN;
			c->broken = errno != EAGAIN && errno != EINTR;
			return;
		}
		p->sent += (size_t)n;
		if (p->sent < p->n)
			continue;
		c->due[w] = p->next;
		piece_put(p);
	}
}

static void arrive(struct direction *d, enum way w, uint64_t now)
{
	while (d->queued && d->queued->leaves <= now) {
		d->queue -= d->queued->n;
		d->queued = d->queued->next;
	}
	while (d->first && d->first->arrives <= now) {
		struct piece *p = d->first;
		struct connection *c = connections[p->connection];

		d->first = p->next;
		if (!d->first)
			d->last = NULL;
		p->next = NULL;
		c->flying--;
		if (c->due[w])
			c->due_last[w]->next = p;
		else
			c->due[w] = p;
		c->due_last[w] = p;
		take_due(c, w);
	}
}

/* --- the loop --- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When something on the line moves next. */
static uint64_t next_event(void)
{
	uint64_t at = UINT64_MAX;

	for (enum way w = UP; w < WAYS; w++) {
		const struct direction *d = &directions[w];

		if (d->first)
			at = sooner(at, d->first->arrives);
		if (d->queued && !has_room(d))
			at = sooner(at, d->queued->leaves);
	}
	return at;
}

static void print_stat(void)
{
	printf("{\"up\": %llu, \"down\": %llu, \"most_queued_up\": %llu, "
	       "\"most_queued_down\": %llu, \"ns\": %llu}\n",
	       (unsigned long long)directions[UP].bytes,
	       (unsigned long long)directions[DOWN].bytes,
	       (unsigned long long)directions[UP].most_queued,
	       (unsigned long long)directions[DOWN].most_queued,
	       (unsigned long long)now_ns());
	fflush(stdout);
}

/* False at the end of stdin. */
static bool command(void)
{
	char b[64];
	ssize_t n = read(STDIN_FILENO, b, sizeof(b));

	for (ssize_t i = 0; i < n; i++)
		if (b[i] == '\n')
			print_stat();
	return n > 0;
}

static nfds_t watch(struct pollfd *f, bool stdin_open)
{
	nfds_t n = 2;

	f[0] = (struct pollfd){.fd = listener, .events = POLLIN};
	f[1] = (struct pollfd){
	    .fd = stdin_open ? STDIN_FILENO : -1,
	    .events = POLLIN,
	};
	for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
		const struct connection *c = connections[i];

		for (enum way w = UP; c && w < WAYS; w++) {
			bool in = !c->eof[w] && !c->broken && !c->stalled[!w] &&
				  has_room(&directions[w]);

			f[n].fd = c->ends[w];
			f[n].events = (short)((in ? POLLIN : 0) |
					      (c->stalled[w] ? POLLOUT : 0));
			f[n].revents = 0;
			if (f[n].events != 0)
				n++;
		}
	}
	return n;
}

static void wait_for(struct pollfd *f, nfds_t n)
{
	uint64_t at = next_event(), now = now_ns();
	struct timespec t = {0};

	if (at != UINT64_MAX && at > now) {
		t.tv_sec = (time_t)((at - now) / 1000000000u);
		t.tv_nsec = (long)((at - now) % 1000000000u);
	}
	(void)ppoll(f, n, at == UINT64_MAX ? NULL : &t, NULL);
}

static void work(void)
{
	static struct pollfd f[2 + WAYS * MAX_CONNECTIONS];
	bool stdin_open = true;

	for (;;) {
		uint64_t now;

		wait_for(f, watch(f, stdin_open));
		now = now_ns();
		for (enum way w = UP; w < WAYS; w++) {
			arrive(&directions[w], w, now);
			fill(w, now);
		}
		for (size_t i = 0; i < MAX_CONNECTIONS; i++)
			for (enum way w = UP; connections[i] && w < WAYS; w++)
				if (connections[i]->stalled[!w])
					take_due(connections[i], w);
		for (size_t i = 0; i < MAX_CONNECTIONS; i++)
			if (connections[i])
				reap(i);
		if (f[0].revents & POLLIN)
			accept_one();
		if (f[1].revents != 0)
			stdin_open = command();
	}
}

static const char intro[] =
    "usage: line --port PORT --to PORT [options]\n"
    "Forward TCP from 127.0.0.1:PORT to --host, slowly. Each line on stdin is\n"
    "answered with one JSON line: bytes so far, the fullest queue, the time.\n"
    "\n"
    "Both directions have the rate, delay and queue for themselves; in each,\n"
    "all connections share one FIFO. What it cannot model: loss, and all that\n"
    "follows from it (retransmission, congestion control, who gets how much "
    "of\n"
    "the line: here all who wait take turns); TCP's own round trips (the\n"
    "handshake, slow start, the window: either end talks to a kernel that is\n"
    "near); headers of lower layers; jitter. A full queue makes senders wait,\n"
    "where a real one drops. What waits for the queue stands in the kernel's\n"
    "buffers of its own connection and delays no other.\n";

static const struct arg table[] = {
    {"port", ARG_NUMBER, &opt.port, ""},
    {"to", ARG_NUMBER, &opt.to, "port to forward to"},
    {"host", ARG_TEXT, &opt.host, "IPv4 address of it, default 127.0.0.1"},
    {"mbit", ARG_SECONDS, &opt.mbit, "10^6 bits a second, default 80"},
    {"delay", ARG_SECONDS, &opt.delay, "seconds one way, default 0.01"},
    {"queue", ARG_NUMBER, &opt.queue, "bytes before the line, default 64K"},
    {"mtu", ARG_NUMBER, &opt.mtu, "bytes of a piece, default 1500"},
    {NULL, ARG_FLAG, NULL, NULL},
};

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct sockaddr *sa = (void *)&a;
	int one = 1;

	args_parse(argc, argv, intro, table);
	if (opt.port == 0 || opt.port > 65535 || opt.to == 0 || opt.to > 65535)
		args_refuse("--port or --to is missing");
	if (opt.mtu == 0 || opt.mtu > PIECE || opt.queue < opt.mtu)
		args_refuse("--mtu is 1 to 1500, --queue not less");
	if (!(opt.mbit > 0) || !(opt.delay >= 0))
		args_refuse("--mbit or --delay makes no sense");
	if (inet_pton(AF_INET, opt.host, &a.sin_addr) != 1)
		args_refuse("--host is an IPv4 address");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)opt.port);
	listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, sa, sizeof(a)) != 0 || listen(listener, 512) != 0) {
		perror("line: listen");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	work();
}
