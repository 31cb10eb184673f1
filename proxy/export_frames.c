#include "proxy/export_frames.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/control_io.h"
#include "proxy/lib/rd.h"
#include "proxy/lib/wr.h"

enum { HEAD_LEN = 5, PROGRESS_LEN = 16 };

enum err export_frame_send(int fd, char kind, const void *p, size_t n)
{
	uint8_t head[HEAD_LEN];
	struct wr w = wr_init(head, sizeof(head));
	enum err e;

	wr_u8(&w, (uint8_t)kind);
	wr_u32(&w, (uint32_t)n);
	e = control_send_bytes(fd, head, w.len);
	return e == ERR_OK && n > 0 ? control_send_bytes(fd, p, n) : e;
}

static ptrdiff_t failed(struct export_frames *f, const char *why)
{
	f->left = 0;
	if (f->error[0] == '\0')
		snprintf(f->error, sizeof(f->error), "%s", why);
	return -1;
}

static bool read_all(int fd, void *to, size_t n)
{
	char *p = to;

	while (n > 0) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static bool read_text(struct export_frames *f, char *to, size_t n)
{
	to[0] = '\0';
	if (n >= EXPORT_FRAME_TEXT || !read_all(f->fd, to, n))
		return false;
	to[n] = '\0';
	return true;
}

/* A frame that is not data. */
static bool take_frame(struct export_frames *f, char kind, size_t n)
{
	uint8_t p[PROGRESS_LEN];
	struct rd r;

	switch (kind) {
	case 'p':
		if (n != sizeof(p) || !read_all(f->fd, p, n))
			return false;
		r = rd_init(p, n);
		f->done = rd_u64(&r);
		f->total = rd_u64(&r);
		return true;
	case 'm':
		f->whole = read_text(f, f->manifest, n);
		f->manifest_len = n;
		return f->whole;
	case 'e':
		return read_text(f, f->error, n);
	}
	return false;
}

ptrdiff_t export_frames_read(struct export_frames *f, uint8_t *p, size_t cap)
{
	ssize_t got;

	while (f->left == 0) {
		uint8_t head[HEAD_LEN];
		struct rd r = rd_init(head, sizeof(head));
		char kind;
		size_t n;

		if (f->whole)
			return 0;
		if (f->error[0] != '\0')
			return -1;
		if (!read_all(f->fd, head, sizeof(head)))
			return failed(f, "the daemon broke off");
		kind = (char)rd_u8(&r);
		n = rd_u32(&r);
		if (kind == 'd' && n > 0 && n <= EXPORT_FRAME_MAX)
			f->left = n;
		else if (!take_frame(f, kind, n))
			return failed(f, "the daemon's bytes cannot be "
					 "understood, or it broke off");
	}
	do
		got = read(f->fd, p, cap < f->left ? cap : f->left);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return failed(f, "the daemon broke off");
	f->left -= (size_t)got;
	return got;
}
