#include "tests/bench/line_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ends[LINE_UP] is the socket that connected to us, the other the far one. */
struct line_conn {
	int ends[LINE_WAYS];
	bool eof[LINE_WAYS];               /* that end sends no more */
	bool stalled[LINE_WAYS];           /* that end takes no more for now */
	struct line_piece *due[LINE_WAYS]; /* arrived, not taken */
	struct line_piece *due_last[LINE_WAYS];
	size_t flying; /* pieces on the line */
	bool broken;
};

uint64_t line_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- coming and going --- */

static void options(const struct line *l, int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (l->buffer == 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &l->buffer, sizeof(l->buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &l->buffer, sizeof(l->buffer));
}

static int dial(const struct line *l, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr *sa = (const void *)to;

	options(l, fd);
	if (connect(fd, sa, sizeof(*to)) != 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

void line_accept(struct line *l, const struct line_port *port)
{
	int fd =
	    accept4(port->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct line_conn *c;
	size_t i = 0;

	if (fd < 0)
		return;
	while (i < LINE_CONNECTIONS && l->connections[i])
		i++;
	c = i < LINE_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	options(l, fd);
	c->ends[LINE_UP] = fd;
	c->ends[LINE_DOWN] = dial(l, &port->to);
	if (c->ends[LINE_DOWN] < 0) {
		close(fd);
		free(c);
		return;
	}
	l->accepted++;
	l->connections[i] = c;
	if (i >= l->top)
		l->top = i + 1;
}

static uint64_t drop_due(struct line *l, struct line_conn *c, enum line_way w)
{
	uint64_t n = 0;

	while (c->due[w]) {
		struct line_piece *p = c->due[w];

		c->due[w] = p->next;
		n += p->n - p->sent;
		line_piece_put(&l->queues[w], p);
	}
	return n;
}

static void forget(struct line *l, size_t i)
{
	struct line_conn *c = l->connections[i];

	for (enum line_way w = LINE_UP; w < LINE_WAYS; w++) {
		(void)drop_due(l, c, w);
		close(c->ends[w]);
	}
	free(c);
	l->connections[i] = NULL;
	while (l->top > 0 && !l->connections[l->top - 1])
		l->top--;
}

/* Ended both ways with nothing on the line, or broken: forget it. */
static void reap(struct line *l, size_t i)
{
	struct line_conn *c = l->connections[i];
	bool over = c->eof[LINE_UP] && c->eof[LINE_DOWN] && !c->due[LINE_UP] &&
		    !c->due[LINE_DOWN];

	if (c->flying == 0 && (c->broken || over))
		forget(l, i);
}

void line_cut_all(struct line *l, uint64_t now)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	struct line_cut cut = {.at = now};

	for (enum line_way w = LINE_UP; w < LINE_WAYS; w++) {
		cut.inside[w] = line_queue_inside(&l->queues[w]);
		cut.waiting[w] = l->queues[w].waiting;
		line_queue_cut(&l->queues[w], now);
	}
	for (size_t i = l->top; i-- > 0;) {
		struct line_conn *c = l->connections[i];

		if (!c)
			continue;
		cut.connections++;
		for (enum line_way w = LINE_UP; w < LINE_WAYS; w++) {
			cut.due[w] += drop_due(l, c, w);
			setsockopt(c->ends[w], SOL_SOCKET, SO_LINGER, &hard,
				   sizeof(hard));
		}
		forget(l, i);
	}
	if (l->n_cuts < LINE_CUTS)
		l->cuts[l->n_cuts] = cut;
	l->n_cuts++;
}

/* --- entering --- */

/* One piece of one connection; an empty one carries the FIN. */
static bool read_one(struct line *l, size_t i, enum line_way w, uint64_t now)
{
	struct line_conn *c = l->connections[i];
	struct line_queue *q = &l->queues[w];
	struct line_piece *p;
	ssize_t n;

	if (!c || c->eof[w] || c->broken || c->stalled[!w])
		return false;
	p = line_piece_get(q);
	n = recv(c->ends[w], p->b, q->mtu, 0);
	if (n < 0) {
		c->broken |= errno != EAGAIN && errno != EINTR;
		line_piece_put(q, p);
		return false;
	}
	c->eof[w] = n == 0;
	p->n = (size_t)n;
	p->connection = i;
	c->flying++;
	line_faults_enter(&l->faults, w, p->b, p->n, now);
	line_queue_enter(q, p, now);
	return true;
}

/* In turns, until the queue is full or nobody has anything. */
static void fill(struct line *l, enum line_way w, uint64_t now)
{
	size_t idle = 0;

	while (idle < l->top && line_queue_room(&l->queues[w])) {
		size_t i = l->turn[w]++ % l->top;

		idle = read_one(l, i, w, now) ? 0 : idle + 1;
		if (line_faults_cut(&l->faults, now))
			line_cut_all(l, now);
	}
}

/* --- arriving --- */

static void take_due(struct line *l, struct line_conn *c, enum line_way w)
{
	int fd = c->ends[!w];

	c->stalled[!w] = false;
	while (c->due[w] && !c->broken) {
		struct line_piece *p = c->due[w];
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
		line_piece_put(&l->queues[w], p);
	}
}

static void arrive(struct line *l, enum line_way w, uint64_t now)
{
	struct line_piece *p;

	while ((p = line_queue_take(&l->queues[w], now))) {
		struct line_conn *c = l->connections[p->connection];

		c->flying--;
		if (c->due[w])
			c->due_last[w]->next = p;
		else
			c->due[w] = p;
		c->due_last[w] = p;
		take_due(l, c, w);
	}
}

/* --- all of it --- */

static bool stands_still(struct line *l, uint64_t now)
{
	uint64_t over;

	l->still = line_faults_still(&l->faults, now, &over);
	for (enum line_way w = LINE_UP; w < LINE_WAYS && over > 0; w++)
		line_queue_shift(&l->queues[w], over);
	return l->still;
}

void line_move(struct line *l, uint64_t now)
{
	if (line_faults_cut(&l->faults, now))
		line_cut_all(l, now);
	if (stands_still(l, now))
		return;
	for (enum line_way w = LINE_UP; w < LINE_WAYS; w++) {
		arrive(l, w, now);
		fill(l, w, now);
	}
	for (size_t i = 0; i < l->top; i++) {
		struct line_conn *c = l->connections[i];

		for (enum line_way w = LINE_UP; c && w < LINE_WAYS; w++)
			if (c->stalled[!w])
				take_due(l, c, w);
	}
	for (size_t i = l->top; i-- > 0;)
		if (l->connections[i])
			reap(l, i);
}

nfds_t line_watch(const struct line *l, struct pollfd *f)
{
	nfds_t n = 0;

	for (size_t i = 0; i < l->top && !l->still; i++) {
		const struct line_conn *c = l->connections[i];

		for (enum line_way w = LINE_UP; c && w < LINE_WAYS; w++) {
			bool in = !c->eof[w] && !c->broken && !c->stalled[!w] &&
				  line_queue_room(&l->queues[w]);
			bool out = c->stalled[w];

			if (!in && !out)
				continue;
			f[n].fd = c->ends[w];
			f[n].events =
			    (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
			f[n++].revents = 0;
		}
	}
	return n;
}

uint64_t line_next(const struct line *l)
{
	uint64_t at = line_faults_next(&l->faults);

	for (enum line_way w = LINE_UP; w < LINE_WAYS && !l->still; w++) {
		uint64_t t = line_queue_next(&l->queues[w]);

		at = t < at ? t : at;
	}
	return at;
}
