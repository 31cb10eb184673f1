#include "proxy/control_io.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "proxy/lib/buf.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

void control_deadline(int fd)
{
	struct timeval tv = {.tv_sec = CONTROL_IO_SECONDS};

	/* without it the peer could only keep its own thread */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

json_t *control_error(const char *text)
{
	return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

enum err control_send_bytes(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return ERR_IO;
		at += w;
		n -= (size_t)w;
	}
	return ERR_OK;
}

enum err control_send(int fd, const json_t *j)
{
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
	enum err e;

	if (text == NULL)
		return ERR_NOMEM;
	e = control_send_bytes(fd, text, strlen(text));
	if (e == ERR_OK)
		e = control_send_bytes(fd, "\n", 1);
	free(text);
	return e;
}

static bool readable(int fd, uint64_t end_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_mono_ns();

	return now < end_ns &&
	       poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) != 0;
}

/* Peek, so that nothing behind the line is taken. */
static enum err receive_line(int fd, uint64_t end_ns, struct buf *line)
{
	char part[4096];

	for (;;) {
		const char *end;
		size_t take;
		ssize_t n;

		if (!readable(fd, end_ns))
			return ERR_TIMEOUT;
		n = recv(fd, part, sizeof(part), MSG_PEEK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		end = memchr(part, '\n', (size_t)n);
		take = end != NULL ? (size_t)(end - part) + 1 : (size_t)n;
		if (recv(fd, part, take, 0) != (ssize_t)take)
			return ERR_IO;
		if (buf_append(line, part, take) != ERR_OK)
			return ERR_LIMIT;
		if (end != NULL)
			return ERR_OK;
	}
}

enum err control_receive(int fd, unsigned seconds, json_t **out)
{
	struct buf line;
	enum err e;
	json_t *j;

	buf_init(&line, CONTROL_LINE_MAX);
	e = receive_line(fd, clock_mono_ns() + seconds * 1000000000ull, &line);
	if (e == ERR_OK) {
		j = json_loadb((const char *)buf_data(&line), buf_len(&line), 0,
			       NULL);
		if (json_is_object(j)) {
			*out = j;
		} else {
			json_decref(j);
			e = ERR_PROTO;
		}
	}
	buf_free(&line);
	return e;
}
