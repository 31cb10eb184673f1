/* conn_out.c - what a link's connection sends, and how much of it waits. */
#include <assert.h>

#include "proxy/link/conn_int.h"

/* The peer takes nothing, however little it is told. */
static void overflow(struct link_conn *c)
{
	conn_text(c, "%s does not read: %zu bytes wait for it", c->peer,
		  stream_queued(c->stream));
	conn_close(c, ERR_LIMIT);
}

static enum err put(struct link_conn *c, const struct iovec *iov, unsigned n,
		    bool record)
{
	enum err e = record ? stream_write_records(c->stream, iov, n)
			    : stream_write(c->stream, iov, n);

	if (e == ERR_LIMIT)
		overflow(c);
	if (e != ERR_OK)
		return e;
	c->sent_us = conn_now_us();
	c->frames_out++;
	return ERR_OK;
}

enum err conn_put(struct link_conn *c, const struct link_frame *f)
{
	uint8_t bytes[LINK_FRAME_MAX];
	struct iovec iov = {bytes, 0};
	enum err e = link_frame_encode(f, bytes, sizeof(bytes), &iov.iov_len);

	return e == ERR_OK ? put(c, &iov, 1, false) : ERR_INVAL;
}

void conn_put_stamp(struct link_conn *c, enum link_type type, uint64_t stamp)
{
	struct link_frame f = {.type = type, .stamp = stamp};

	(void)conn_put(c, &f);
}

enum err link_conn_send(struct link_conn *c, const struct link_frame *f)
{
	return link_conn_open(c) ? conn_put(c, f) : ERR_CLOSED;
}

enum err link_conn_send_data(struct link_conn *c, const struct transfer_id *id,
			     uint32_t index, uint32_t offset, const uint8_t *p,
			     uint32_t n)
{
	uint8_t head[LINK_DATA_HEAD];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)p, n}};
	enum err e;

	if (!link_conn_open(c))
		return ERR_CLOSED;
	link_data_head(head, id, index, offset, n);
	e = put(c, iov, 2, true);
	if (e != ERR_OK)
		return e;
	c->given += sizeof(head) + n;
	return ERR_OK;
}

static size_t room_now(const struct link_conn *c)
{
	size_t queued = stream_queued(c->stream);
	size_t room = queued < CONN_QUEUE ? CONN_QUEUE - queued : 0;
	size_t left = c->given < LINK_CONN_TURN ? LINK_CONN_TURN - c->given : 0;

	room = left < room ? left : room;
	return room >= LINK_FRAME_MAX ? room : 0;
}

size_t link_conn_room(struct link_conn *c)
{
	size_t room;

	if (!link_conn_open(c))
		return 0;
	room = room_now(c);
	if (room == 0 && !stream_blocked(c->stream)) {
		stream_push(c->stream);
		room = room_now(c);
	}
	if (room == 0) {
		c->wants_room = true;
		stream_want_drain(c->stream);
	}
	return room;
}

void conn_on_drain(void *arg)
{
	struct link_conn *c = arg;

	c->given = 0;
	if (!c->wants_room || !link_conn_open(c))
		return;
	if (room_now(c) == 0) {
		stream_want_drain(c->stream);
		return;
	}
	c->wants_room = false;
	if (c->ev->on_room != NULL)
		c->ev->on_room(c->arg);
}

uint64_t link_conn_written(const struct link_conn *c)
{
	return c->stream != NULL
		   ? stream_bytes_out(c->stream) + stream_queued(c->stream)
		   : 0;
}

size_t link_conn_queued(const struct link_conn *c)
{
	return c->stream != NULL ? stream_queued(c->stream) : 0;
}
