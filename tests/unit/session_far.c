#include "tests/unit/session_far.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

struct acceptor far;

static void far_send(struct far *f, const struct link_frame *frame)
{
	uint8_t bytes[LINK_FRAME_MAX];
	struct iovec iov = {bytes, 0};

	assert_int_equal(
	    link_frame_encode(frame, bytes, sizeof(bytes), &iov.iov_len),
	    ERR_OK);
	if (f->s != NULL)
		(void)!stream_write(f->s, &iov, 1);
}

void far_bye(struct far *f, uint16_t reason, bool whole)
{
	far_send(f, &(struct link_frame){.type = LINK_BYE,
					 .flags = whole ? LINK_F_LINK : 0,
					 .why.code = reason});
	stream_finish(f->s);
}

void far_ack(struct far *f)
{
	static const uint8_t run[LINK_RUN_LEN] = {0, 0, 0, 0, 0, 0, 0, 1};

	far_send(f, &(struct link_frame){.type = LINK_ACK, .runs = {run, 1}});
}

static void far_hello(struct far *f)
{
	far.n_hello++;
	if (far.no_hello != 0) {
		far_bye(f, far.no_hello, true);
		return;
	}
	far.hello.session[0]++;
	f->number = 0;
	far_send(f,
		 &(struct link_frame){.type = LINK_HELLO, .hello = far.hello});
}

static void far_join(struct far *f, const struct link_join *j)
{
	far.n_join++;
	far.joins[j->number]++;
	if (far.no_join != 0 ||
	    memcmp(j->session, far.hello.session, LINK_ID_LEN) != 0) {
		far_bye(f, far.no_join != 0 ? far.no_join : LINK_BYE_SESSION,
			false);
		return;
	}
	for (unsigned i = 0; i < far.n_fars; i++)
		if (&far.fars[i] != f && far.fars[i].number == j->number)
			far.fars[i].number = -1;
	f->number = j->number;
	far_send(f, &(struct link_frame){.type = LINK_JOINED, .join = *j});
}

static void far_frame(struct far *f, const struct link_frame *frame)
{
	if (frame->type == LINK_BYE) {
		far.n_bye++;
		far.bye = frame->why.code;
		far.bye_link = (frame->flags & LINK_F_LINK) != 0;
		stream_finish(f->s);
	} else if (f->muted) {
		return;
	} else if (frame->type == LINK_HELLO) {
		far_hello(f);
	} else if (frame->type == LINK_JOIN) {
		far_join(f, &frame->join);
	} else if (frame->type == LINK_PING) {
		far_send(f, &(struct link_frame){.type = LINK_PONG,
						 .stamp = frame->stamp});
	}
}

static void far_read(void *arg, const uint8_t *p, size_t n)
{
	struct far *f = arg;

	while (n > 0) {
		struct link_frame frame;
		size_t used;
		enum err e = link_stream_next(&f->in, p, n, &used, &frame);

		p += used;
		n -= used;
		if (e != ERR_OK)
			return;
		far_frame(f, &frame);
	}
}

static void far_closed(void *arg, enum err why, const char *detail)
{
	struct far *f = arg;

	(void)why;
	(void)detail;
	buf_free(&f->hold);
	f->s = NULL;
	f->number = -1;
}

static const struct stream_events far_events = {.on_read = far_read,
						.on_closed = far_closed};

void far_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct stream_options o = {.tls = far.tls};
	struct far *f = &far.fars[far.n_fars];

	(void)arg;
	(void)peer;
	if (far.cut || far.n_fars == FARS) {
		close(fd);
		return;
	}
	far.n_fars++;
	f->number = -1;
	f->muted = far.deaf;
	buf_init(&f->hold, LINK_FRAME_MAX);
	link_stream_init(&f->in, &f->hold);
	if (stream_accept(far.w, fd, &o, &far_events, f, &f->s) != ERR_OK)
		f->s = NULL;
}

struct far *far_of(int number)
{
	for (unsigned i = 0; i < far.n_fars; i++)
		if (far.fars[i].s != NULL && far.fars[i].number == number)
			return &far.fars[i];
	fail_msg("no connection %d", number);
	return NULL;
}

void far_cut(int number)
{
	stream_close(far_of(number)->s, ERR_CANCELED);
}
