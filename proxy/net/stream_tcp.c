/* stream_tcp.c - what is asked of the kernel's TCP, and what it tells. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "proxy/lib/mem.h"
#include "proxy/net/stream_int.h"

enum {
	KEEPALIVE_IDLE_S = 60,
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_COUNT = 6,
	/* Data unacknowledged, or a window closed, for so long: dead. */
	USER_TIMEOUT_MS = 180 * 1000,
};

bool stream_tcp_take(struct stream *s, const struct stream_options *o)
{
	s->notsent_max = o->notsent_max;
	if (o->congestion == NULL || o->congestion[0] == '\0')
		return true;
	s->congestion = mem_strdup(o->congestion);
	return s->congestion != NULL;
}

static void set_congestion(struct stream *s, int fd)
{
	const char *why;

	if (s->congestion == NULL ||
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, s->congestion,
		       (socklen_t)strlen(s->congestion)) == 0)
		return;
	why = errno == ENOENT
		  ? "this kernel does not have it; load its module (modprobe "
		    "tcp_NAME) or see net.ipv4.tcp_available_congestion_control"
		  : "it is not allowed; add it to "
		    "net.ipv4.tcp_allowed_congestion_control";
	snprintf(s->note, sizeof(s->note),
		 "congestion control \"%.15s\" is not used: %s", s->congestion,
		 why);
}

static void set_notsent(struct stream *s, int fd)
{
	unsigned max = s->notsent_max;

	if (max != 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &max,
			   sizeof(max));
}

void stream_tcp_options(struct stream *s)
{
	int fd, interval = KEEPALIVE_INTERVAL_S, count = KEEPALIVE_COUNT;
	unsigned user_timeout = USER_TIMEOUT_MS;

	/* Failures here cost comfort, not correctness. */
	uv_tcp_nodelay(&s->tcp, 1);
	uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_IDLE_S);
	if (uv_fileno((uv_handle_t *)&s->tcp, &fd) != 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
		   sizeof(user_timeout));
	set_congestion(s, fd);
	set_notsent(s, fd);
}

void stream_set_notsent(struct stream *s, uint32_t bytes)
{
	int fd;

	if (s->notsent_max == bytes || bytes == 0)
		return;
	s->notsent_max = bytes;
	if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
		set_notsent(s, fd);
}

void stream_ack_at_once(struct stream *s)
{
	int fd, on = 1;

	if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

const char *stream_note(const struct stream *s)
{
	return s->note;
}

bool stream_bytes_acked(const struct stream *s, uint64_t *out)
{
	uint64_t sent = s->bytes_out;
	int fd, left;

	if (s->state == STREAM_DIAL ||
	    uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0 ||
	    ioctl(fd, SIOCOUTQ, &left) != 0 || left < 0)
		return false;
	/* what uv_write() has handed over in part is in left, not in sent */
	*out = sent > (uint64_t)left ? sent - (uint64_t)left : 0;
	return true;
}

bool stream_tcp_info(const struct stream *s, struct stream_tcp *out)
{
	int fd;

	return s->state != STREAM_DIAL &&
	       uv_fileno((const uv_handle_t *)&s->tcp, &fd) == 0 &&
	       tcp_facts(fd, out);
}
