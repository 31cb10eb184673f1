#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/clock.h"
#include "tests/unit/link_conn_kit.h"
#include "tests/unit/net_fixture.h"

struct conn_kit ck;

/* ---- a side ------------------------------------------------------------- */

static uint16_t answer(struct side *s, uint16_t no, char *text)
{
	assert_int_equal(s->n_closed, 0);
	if (no != 0 && s->no_text != NULL)
		snprintf(text, LINK_TEXT_MAX + 1, "%s", s->no_text);
	return no;
}

static uint16_t on_up(void *arg, char text[LINK_TEXT_MAX + 1])
{
	struct side *s = arg;

	s->n_up++;
	return answer(s, s->no_up, text);
}

static uint16_t on_hello(void *arg, const struct link_hello *theirs,
			 const struct link_terms *terms,
			 struct link_hello *ours, char text[LINK_TEXT_MAX + 1])
{
	struct side *s = arg;

	s->n_hello++;
	s->theirs = *theirs;
	s->terms = *terms;
	if (s == &ck.server)
		memset(ours->session, 0x5e, LINK_ID_LEN);
	if (s->bye_in_hello)
		link_conn_bye(s->c, LINK_BYE_BUSY, false, "not now");
	return answer(s, s->no_hello, text);
}

static uint16_t on_join(void *arg, const struct link_join *join,
			struct link_terms *terms, char text[LINK_TEXT_MAX + 1])
{
	struct side *s = arg;

	s->n_join++;
	s->join = *join;
	*terms = s->terms;
	return answer(s, s->no_join, text);
}

static uint16_t on_joined(void *arg, char text[LINK_TEXT_MAX + 1])
{
	struct side *s = arg;

	s->n_joined++;
	return answer(s, s->no_joined, text);
}

static void on_open(void *arg)
{
	struct side *s = arg;

	s->n_open++;
	assert_true(link_conn_open(s->c));
	if (s->drop_in_open)
		link_conn_drop(s->c);
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct side *s = arg;

	assert_int_equal(s->n_open, 1);
	assert_int_equal(s->n_closed, 0);
	if (s->n_frames < (int)sizeof(s->order))
		s->order[s->n_frames] = (uint8_t)f->type;
	s->n_frames++;
	s->last = f->type;
	if (f->type != LINK_DATA) {
		if (s->n_frames == s->n_data + 1)
			s->first_other = s->n_data;
		return;
	}
	s->n_data++;
	s->data_bytes += f->data.data.len;
	for (size_t i = 0; i < f->data.data.len; i += 97)
		assert_int_equal(f->data.data.p[i],
				 (uint8_t)(f->data.offset + i));
}

static void on_room(void *arg)
{
	struct side *s = arg;

	s->n_room++;
	assert_true(link_conn_room(s->c) >= LINK_FRAME_MAX);
	if (s->on_room != NULL)
		s->on_room(s);
}

static void on_silent(void *arg)
{
	struct side *s = arg;

	s->n_silent++;
}

static void on_closed(void *arg, const struct link_conn_end *end)
{
	struct side *s = arg;

	assert_int_equal(s->n_closed, 0);
	assert_non_null(end->text);
	assert_true(end->text[0] != '\0');
	s->n_closed++;
	s->end = *end;
	snprintf(s->text, sizeof(s->text), "%s", end->text);
	s->c = NULL;
}

const struct link_conn_events side_events = {
    .on_up = on_up,
    .on_hello = on_hello,
    .on_join = on_join,
    .on_joined = on_joined,
    .on_open = on_open,
    .on_frame = on_frame,
    .on_room = on_room,
    .on_silent = on_silent,
    .on_closed = on_closed,
};

/* ---- raw ------------------------------------------------------------------
 */

static void raw_open(void *arg)
{
	struct raw *r = arg;

	r->n_open++;
}

static void raw_read(void *arg, const uint8_t *p, size_t n)
{
	struct raw *r = arg;

	assert_int_equal(buf_append(&r->got, p, n), ERR_OK);
}

static void raw_closed(void *arg, enum err why, const char *detail)
{
	struct raw *r = arg;

	(void)why;
	r->n_closed++;
	r->s = NULL;
	snprintf(r->detail, sizeof(r->detail), "%s", detail);
}

static const struct stream_events raw_events = {
    .on_open = raw_open, .on_read = raw_read, .on_closed = raw_closed};

/* ---- the worker --------------------------------------------------------- */

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	(void)arg;
	(void)peer;
	if (ck.raw_serves) {
		struct stream_options o = {.tls = ck.server_ctx};

		assert_int_equal(stream_accept(ck.w, fd, &o, &raw_events,
					       &ck.raw, &ck.raw.s),
				 ERR_OK);
		return;
	}
	if (ck.server.c != NULL || ck.server.n_closed > 0)
		close(fd);
	else if (link_conn_accept(ck.w, fd, &ck.server_opts, &side_events,
				  &ck.server, &ck.server.c) != ERR_OK)
		ck.server.n_closed++;
}

const char *ck_endpoint(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "localhost:%u", listener_port(ck.l));
	return text;
}

static struct link_hello hello(uint8_t fill, const char *node)
{
	struct link_hello h = {
	    .version_min = LINK_VERSION,
	    .version_max = LINK_VERSION,
	    .features = LINK_TAKES | LINK_FOLLOW | LINK_JOINS,
	    .position = fill,
	    .window = 64 << 20,
	    .transfers = 1024,
	    .keepalive_ms = 1000,
	    .connections = 4,
	    .chunk_log2 = LINK_CHUNK_LOG2,
	};

	memset(h.spool, fill, LINK_ID_LEN);
	memset(h.epoch, fill + 1, LINK_ID_LEN);
	snprintf(h.node, sizeof(h.node), "%s", node);
	return h;
}

static struct tls_context *context(bool server, const char *alpn)
{
	struct tls_options o = {
	    .ca = net_file("ca.pem"),
	    .certificate = net_file(server ? "server.pem" : "client.pem"),
	    .key = net_file(server ? "server.key" : "client.key"),
	    .tls13_only = true,
	    .alpn = alpn,
	};
	char why[TLS_WHY_LEN];
	struct tls_context *c = NULL;

	if ((server ? tls_server_new : tls_client_new)(&o, &c, why) != ERR_OK)
		fail_msg("%s", why);
	return c;
}

int ck_setup(void **state)
{
	char why[LISTENER_WHY_LEN];

	(void)state;
	memset(&ck, 0, sizeof(ck));
	ck.live = net_mem_live();
	assert_int_equal(worker_new(0, &ck.w), ERR_OK);
	assert_int_equal(listener_open(worker_loop(ck.w), "127.0.0.1:0", 16,
				       on_accept, NULL, &ck.l, why),
			 ERR_OK);
	ck.server_ctx = context(true, LINK_ALPN);
	ck.client_ctx = context(false, LINK_ALPN);
	ck.server_hello = hello(0xa0, "hospital");
	ck.client_hello = hello(0x10, "edge");
	ck.server_hello.features = LINK_TAKES | LINK_JOINS;
	ck.client_hello.features = LINK_FOLLOW | LINK_JOINS;
	ck.server_opts.tls = ck.server_ctx;
	ck.server_opts.hello = &ck.server_hello;
	ck.client_opts.tls = ck.client_ctx;
	ck.client_opts.hello = &ck.client_hello;
	buf_init(&ck.raw.got, 8 << 20);
	return 0;
}

int ck_teardown(void **state)
{
	(void)state;
	net_mem_ok();
	listener_close(ck.l, NULL, NULL);
	worker_stop(ck.w); /* aborts unless every handle is closed */
	assert_null(ck.server.c);
	assert_null(ck.client.c);
	assert_null(ck.raw.s);
	tls_context_unref(ck.server_ctx);
	tls_context_unref(ck.client_ctx);
	buf_free(&ck.raw.got);
	assert_int_equal(net_mem_live(), ck.live);
	return 0;
}

int ck_group_setup(void **state)
{
	(void)state;
	net_mem_install();
	net_file("ca.pem");
	return 0;
}

/* ---- time ---------------------------------------------------------------- */

void ck_turn(void)
{
	uv_run(worker_loop(ck.w), UV_RUN_NOWAIT);
	usleep(100);
}

uint64_t ck_now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

void ck_run(uint64_t ms)
{
	uint64_t end = ck_now_ms() + ms;

	while (ck_now_ms() < end)
		ck_turn();
}

/* ---- two ends ------------------------------------------------------------ */

void ck_dial(void)
{
	assert_int_equal(link_conn_dial(ck.w, ck_endpoint(), &ck.client_opts,
					&side_events, &ck.client, &ck.client.c),
			 ERR_OK);
}

void ck_both_open(void)
{
	ck_dial();
	UNTIL((ck.client.n_open && ck.server.n_open) || ck.client.n_closed ||
	      ck.server.n_closed);
	if (ck.client.n_closed || ck.server.n_closed)
		fail_msg("client: %s\nserver: %s", ck.client.text,
			 ck.server.text);
}

/* ---- raw ------------------------------------------------------------------
 */

void ck_raw_dial(const char *alpn)
{
	struct stream_options o = {.out_cap = 64 << 20};
	struct tls_context *ctx = context(false, alpn);

	o.tls = ctx;
	assert_int_equal(stream_connect(ck.w, ck_endpoint(), &o, &raw_events,
					&ck.raw, &ck.raw.s),
			 ERR_OK);
	tls_context_unref(ctx);
}

void ck_raw_open(void)
{
	ck_raw_dial(LINK_ALPN);
	UNTIL(ck.raw.n_open && ck.server.n_up);
}

void ck_raw_put(const void *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};

	assert_int_equal(stream_write(ck.raw.s, &iov, 1), ERR_OK);
}

void ck_raw_frame(const struct link_frame *f)
{
	uint8_t bytes[LINK_FRAME_MAX];
	size_t n;

	assert_int_equal(link_frame_encode(f, bytes, sizeof(bytes), &n),
			 ERR_OK);
	ck_raw_put(bytes, n);
}

void ck_raw_hello(void)
{
	struct link_frame f = {.type = LINK_HELLO, .hello = ck.client_hello};

	ck_raw_open();
	ck_raw_frame(&f);
	(void)ck_raw_expect(LINK_HELLO);
	assert_int_equal(ck.server.n_open, 1);
}

struct link_frame ck_raw_expect(enum link_type type)
{
	static uint8_t bytes[LINK_FRAME_MAX];
	struct link_header h;
	struct link_frame f;
	const char *why = "";
	size_t n;

	UNTIL(buf_len(&ck.raw.got) >= LINK_HEADER_LEN);
	assert_int_equal(link_header_decode(buf_data(&ck.raw.got),
					    LINK_HEADER_LEN, &h, &why),
			 ERR_OK);
	n = LINK_HEADER_LEN + h.body_len;
	UNTIL(buf_len(&ck.raw.got) >= n);
	memcpy(bytes, buf_data(&ck.raw.got), n);
	buf_consume(&ck.raw.got, n);
	assert_int_equal(
	    link_body_decode(&h, bytes + LINK_HEADER_LEN, &f, &why), ERR_OK);
	if (f.type != type)
		fail_msg("%s came instead of %s",
			 link_type_name((uint8_t)f.type),
			 link_type_name((uint8_t)type));
	return f;
}

void ck_says(const char *text, const char *const words[])
{
	for (; *words != NULL; words++)
		if (strstr(text, *words) == NULL)
			fail_msg("\"%s\" is not in: %s", *words, text);
}
