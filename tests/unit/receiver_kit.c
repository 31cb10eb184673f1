/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/unit/receiver_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/limits.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/offer.h"
#include "store/ledger_origin.h"
#include "store/seal.h"
#include "store/spool_partial.h"
#include "store/tree.h"
#include "tests/unit/config_load.h"

enum { PATIENCE_MS = 20000 };

struct rk rk;

static const char config_text[] =
    "node: cloud\n"
    "listeners:\n"
    "  links: {address: 127.0.0.1:2763, protocol: link,\n"
    "    tls: {ca: ca.pem, certificate: c.pem, key: c.key},\n"
    "    link: {window: 2MiB, transfers: 8}}\n"
    "devices:\n"
    "  edge-1: {ae_title: \"*\", address: 127.0.0.1, services: [link],\n"
    "    certificate: {san: one.example}}\n"
    "  edge-2: {ae_title: \"*\", address: 127.0.0.2, services: [link],\n"
    "    certificate: {san: two.example}}\n"
    "destinations:\n"
    "  cloud: {protocol: directory, path: out}\n"
    "  picky: {protocol: dicom, endpoints: \"127.0.0.1:11112\",\n"
    "    plaintext: {allowed: test}}\n"
    "routes:\n"
    "  - {service: storage, called: ARCHIVE, forward: cloud}\n"
    "  - {service: storage, called: PICKY, forward: picky}\n";

/* ---- life ---------------------------------------------------------------- */

static void on_origin(void *arg, const struct ledger_origin *o)
{
	(void)arg;
	if (rk.r != NULL)
		link_receiver_origin(rk.r, o);
}

void rk_start(void)
{
	struct link_receiver_options o = {.config = rk.config,
					  .capabilities = rk.capabilities,
					  .admission = rk.admission,
					  .workers = rk.workers,
					  .n_workers = 2};
	uint8_t epoch[LINK_ID_LEN];

	fixture_open_spool(&rk.f);
	rk.f.ledger_options.on_origin = on_origin;
	assert_int_equal(seal_random(epoch, sizeof(epoch)), ERR_OK);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(worker_start(i, &rk.workers[i]), ERR_OK);
	fixture_open_ledger(&rk.f);
	assert_int_equal(admission_new(rk.config, rk.f.l, &rk.admission),
			 ERR_OK);
	o.spool = rk.f.spool;
	o.ledger = rk.f.l;
	o.admission = rk.admission;
	o.epoch = epoch;
	assert_int_equal(link_receiver_new(&o, &rk.r), ERR_OK);
}

void rk_stop(void)
{
	while (link_receiver_pending(rk.r) > 0)
		(void)usleep(1000);
	for (unsigned i = 0; i < 2; i++)
		worker_stop(rk.workers[i]);
	assert_int_equal(atomic_load(&rk.open), 0);
	admission_flush(rk.admission, true);
	fixture_close(&rk.f);
	link_receiver_free(rk.r);
	rk.r = NULL;
	admission_free(rk.admission);
}

static int listen_somewhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_ANY);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int rk_setup(void **state)
{
	(void)state;
	memset(&rk, 0, sizeof(rk));
	log_set_level(LOG_WARN);
	rk.config = good(config_text);
	rk.data = malloc(RK_MOST);
	assert_non_null(rk.data);
	for (size_t i = 0; i < RK_MOST; i++)
		rk.data[i] = (uint8_t)(i * 7 + i / 251 + (i >> 20));
	rk.listener = listen_somewhere();
	fixture_init(&rk.f);
	assert_int_equal(capability_new(NULL, &rk.capabilities), ERR_OK);
	rk_start();
	return 0;
}

int rk_teardown(void **state)
{
	(void)state;
	rk_stop();
	capability_free(rk.capabilities);
	fixture_free(&rk.f);
	config_free(rk.config);
	(void)close(rk.listener);
	free(rk.data);
	return 0;
}

struct thing rk_thing(unsigned n, uint64_t length)
{
	struct thing t = {
	    .in = fixture_instance(n), .data = rk.data, .length = length};
	uint8_t leaves[8][SEAL_HASH_LEN];

	assert_true(length <= RK_MOST);
	assert_true(link_chunks(length, &t.chunks));
	memset(&t.in.id, 0, sizeof(t.in.id));
	t.in.id.b[0] = (uint8_t)n;
	t.in.id.b[15] = 0xaa;
	for (uint32_t i = 0; i < t.chunks; i++) {
		uint64_t from = (uint64_t)i * CHUNK_LEN;
		uint64_t left = length - from;

		assert_int_equal(
		    tree_leaf_of(t.data + from,
				 left < CHUNK_LEN ? (size_t)left : CHUNK_LEN,
				 leaves[i]),
		    ERR_OK);
	}
	assert_int_equal(tree_root_of(length,
				      (const uint8_t(*)[SEAL_HASH_LEN])leaves,
				      t.chunks, t.root),
			 ERR_OK);
	return t;
}

/* ---- connections ----------------------------------------------------------
 */

struct handing {
	struct msg msg;
	int fd;
	sem_t done;
};

static void on_handing(struct msg *m)
{
	struct handing *h = CONTAINER_OF(m, struct handing, msg);

	assert_true(admission_connect(rk.admission, 0) == LIMIT_PASS);
	assert_int_equal(
	    link_receiver_accept(rk.r, rk.next, h->fd, 0, NULL, &rk.open),
	    ERR_OK);
	(void)sem_post(&h->done);
}

static void on_drain(struct msg *m)
{
	struct handing *h = CONTAINER_OF(m, struct handing, msg);

	link_receiver_drain(rk.r, 0, false);
	(void)sem_post(&h->done);
}

static void hand_over(struct handing *h)
{
	(void)sem_init(&h->done, 0, 0);
	assert_true(worker_post(rk.workers[rk.next], &h->msg));
	(void)sem_wait(&h->done);
	(void)sem_destroy(&h->done);
}

void rk_drain(void)
{
	struct handing h = {.msg.run = on_drain};

	hand_over(&h);
}

void edge_connect(struct edge *e, const char *from)
{
	struct handing h = {.msg.run = on_handing};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);

	memset(e, 0, sizeof(*e));
	e->k = &rk;
	e->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(inet_pton(AF_INET, from, &a.sin_addr), 1);
	assert_int_equal(bind(e->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(rk.listener, (struct sockaddr *)&a, &len),
			 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(e->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	h.fd = accept4(rk.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(h.fd >= 0);
	hand_over(&h);
}

void edge_close(struct edge *e)
{
	(void)close(e->fd);
	e->fd = -1;
}

static void write_all(struct edge *e, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = send(e->fd, p, n, MSG_NOSIGNAL);

		assert_true(done > 0);
		p += done;
		n -= (size_t)done;
	}
}

void edge_send(struct edge *e, const struct link_frame *f)
{
	uint8_t out[LINK_FRAME_MAX];
	size_t len;

	assert_int_equal(link_frame_encode(f, out, sizeof(out), &len), ERR_OK);
	write_all(e, out, len);
}

/* False: the end. */
static bool read_all(struct edge *e, uint8_t *p, size_t n)
{
	while (n > 0) {
		struct pollfd fd = {.fd = e->fd, .events = POLLIN};
		ssize_t got;

		if (poll(&fd, 1, PATIENCE_MS) != 1)
			fail_msg("nothing comes");
		got = recv(e->fd, p, n, 0);
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

/* False: the end. */
static bool read_frame(struct edge *e)
{
	struct link_header h;
	const char *why = "";

	if (!read_all(e, e->frame, LINK_HEADER_LEN))
		return false;
	assert_int_equal(
	    link_header_decode(e->frame, LINK_HEADER_LEN, &h, &why), ERR_OK);
	assert_true(read_all(e, e->frame + LINK_HEADER_LEN, h.body_len));
	if (link_body_decode(&h, e->frame + LINK_HEADER_LEN, &e->f, &why) !=
	    ERR_OK)
		fail_msg("%s", why);
	return true;
}

static void note_accepts(struct edge *e)
{
	struct link_bytes list = e->f.accepts.list;

	e->n_accepts++;
	e->n_pairs += e->f.accepts.pairs;
	memset(e->accepts_ae, 0, sizeof(e->accepts_ae));
	memcpy(e->accepts_ae, e->f.accepts.called_ae.p,
	       e->f.accepts.called_ae.len);
	(void)link_accepts_next(&list, &e->pair);
}

static bool is_aside(struct edge *e)
{
	if (e->f.type == LINK_ACCEPTS)
		note_accepts(e);
	if (e->f.type == LINK_PING)
		edge_send(e, &(struct link_frame){.type = LINK_PONG,
						  .stamp = e->f.stamp});
	return e->f.type == LINK_PING || e->f.type == LINK_PONG ||
	       e->f.type == LINK_ACCEPTS;
}

const struct link_frame *edge_next(struct edge *e)
{
	do {
		if (!read_frame(e))
			fail_msg("the connection ended");
	} while (is_aside(e));
	return &e->f;
}

const struct link_frame *edge_expect(struct edge *e, enum link_type type)
{
	const struct link_frame *f = edge_next(e);

	if (f->type != type)
		fail_msg("%s came, %s was expected",
			 link_type_name((uint8_t)f->type),
			 link_type_name((uint8_t)type));
	return f;
}

void edge_ends(struct edge *e, uint16_t reason)
{
	uint16_t said = 0;

	while (read_frame(e)) {
		if (e->f.type == LINK_BYE)
			said = e->f.why.code;
		else if (!is_aside(e))
			fail_msg("%s came", link_type_name((uint8_t)e->f.type));
	}
	assert_int_equal(said, reason);
	edge_close(e);
}

void edge_silent(struct edge *e, unsigned ms)
{
	struct pollfd fd = {.fd = e->fd, .events = POLLIN};

	while (poll(&fd, 1, (int)ms) == 1) {
		assert_true(read_frame(e));
		if (!is_aside(e))
			fail_msg("%s came", link_type_name((uint8_t)e->f.type));
	}
}

/* ---- HELLO and JOIN -------------------------------------------------------
 */

void edge_hello(struct edge *e, unsigned store)
{
	struct link_frame f = {
	    .type = LINK_HELLO,
	    .hello = {.version_min = LINK_VERSION,
		      .version_max = LINK_VERSION,
		      .features = LINK_FOLLOW | LINK_JOINS | LINK_HEADS,
		      .window = 0,
		      .transfers = 0,
		      .keepalive_ms = 5000,
		      .connections = 4,
		      .chunk_log2 = LINK_CHUNK_LOG2,
		      .node = "edge-01"}};

	memset(e->spool, (int)store, sizeof(e->spool));
	memcpy(f.hello.spool, e->spool, sizeof(e->spool));
	memset(f.hello.epoch, 0x77, sizeof(f.hello.epoch));
	edge_send(e, &f);
	e->theirs = edge_expect(e, LINK_HELLO)->hello;
}

void edge_open(struct edge *e)
{
	edge_connect(e, "127.0.0.1");
	edge_hello(e, 1);
}

void edge_join(struct edge *e, const struct edge *first, uint8_t number)
{
	struct link_frame f = {.type = LINK_JOIN, .join = {.number = number}};

	memcpy(f.join.session, first->theirs.session, LINK_ID_LEN);
	edge_send(e, &f);
	assert_int_equal(edge_expect(e, LINK_JOINED)->join.number, number);
}

/* ---- transfers ------------------------------------------------------------
 */

static void content(struct link_frame *f, const struct thing *t,
		    uint8_t meta[INSTANCE_ENCODED_MAX])
{
	f->id = t->in.id;
	f->content.meta.p = meta;
	f->content.meta.len = link_offer_meta(&t->in, meta);
	if (f->type == LINK_OFFER && (f->flags & LINK_F_COMPLETE) == 0)
		return;
	f->content.length = t->length;
	f->content.chunks = t->chunks;
	memcpy(f->content.root, t->root, sizeof(t->root));
}

void edge_offer(struct edge *e, const struct thing *t, uint8_t flags)
{
	uint8_t meta[INSTANCE_ENCODED_MAX];
	struct link_frame f = {.type = LINK_OFFER, .flags = flags};

	content(&f, t, meta);
	edge_send(e, &f);
}

void edge_root(struct edge *e, const struct thing *t)
{
	uint8_t meta[INSTANCE_ENCODED_MAX];
	struct link_frame f = {.type = LINK_ROOT};

	content(&f, t, meta);
	edge_send(e, &f);
}

static size_t length_of(const struct thing *t, uint32_t index)
{
	uint64_t left = t->length - (uint64_t)index * CHUNK_LEN;

	return left < CHUNK_LEN ? (size_t)left : CHUNK_LEN;
}

void edge_part(struct edge *e, const struct thing *t, uint32_t index, size_t n)
{
	const uint8_t *from = t->data + (size_t)index * CHUNK_LEN;

	for (size_t at = 0; at < n;) {
		size_t now = n - at < LINK_DATA_MAX ? n - at : LINK_DATA_MAX;
		struct link_frame f = {.type = LINK_DATA, .id = t->in.id};

		f.data.index = index;
		f.data.offset = (uint32_t)at;
		f.data.data.p = from + at;
		f.data.data.len = now;
		edge_send(e, &f);
		at += now;
	}
}

void edge_end(struct edge *e, const struct thing *t, uint32_t index)
{
	struct link_frame f = {.type = LINK_CHUNK_END, .id = t->in.id};

	f.end.index = index;
	f.end.length = (uint32_t)length_of(t, index);
	assert_int_equal(tree_leaf_of(t->data + (size_t)index * CHUNK_LEN,
				      f.end.length, f.end.leaf),
			 ERR_OK);
	edge_send(e, &f);
}

void edge_data(struct edge *e, const struct thing *t, uint32_t index)
{
	edge_part(e, t, index, length_of(t, index));
	edge_end(e, t, index);
}

void edge_has(struct edge *e, const struct thing *t, uint32_t n)
{
	const struct link_frame *f = edge_expect(e, LINK_HAVE);

	assert_true(transfer_id_equal(&f->id, &t->in.id));
	assert_int_equal(f->runs.n, n > 0 ? 1 : 0);
	if (n > 0) {
		assert_int_equal(link_run_at(f->runs, 0).first, 0);
		assert_int_equal(link_run_at(f->runs, 0).count, n);
	}
}

void edge_acked(struct edge *e, const struct thing *t, uint32_t first,
		uint32_t n)
{
	uint32_t seen = 0;

	while (seen < n) {
		const struct link_frame *f = edge_expect(e, LINK_ACK);

		assert_true(transfer_id_equal(&f->id, &t->in.id));
		for (uint32_t i = 0; i < f->runs.n; i++) {
			struct link_run r = link_run_at(f->runs, i);

			assert_true(r.first >= first &&
				    r.first + r.count <= first + n);
			seen += r.count;
		}
	}
}

void edge_arrived(struct edge *e, const struct thing *t)
{
	const struct link_frame *f = edge_next(e);

	while (f->type == LINK_ACK)
		f = edge_next(e);
	if (f->type != LINK_ARRIVED)
		fail_msg("%s came", link_type_name((uint8_t)f->type));
	assert_true(transfer_id_equal(&f->id, &t->in.id));
	assert_memory_equal(f->arrived.root, t->root, sizeof(t->root));
	assert_true(f->arrived.position > 0);
}

void edge_refused(struct edge *e, const struct thing *t, uint16_t code)
{
	const struct link_frame *f = edge_next(e);

	while (f->type == LINK_ACK)
		f = edge_next(e);
	if (f->type != LINK_REFUSED)
		fail_msg("%s came", link_type_name((uint8_t)f->type));
	assert_true(transfer_id_equal(&f->id, &t->in.id));
	assert_int_equal(f->why.code, code);
}

void edge_ids(struct edge *e, enum link_type type, const struct thing *t)
{
	struct link_frame f = {.type = type, .ids = {.p = t->in.id.b, .n = 1}};

	edge_send(e, &f);
}

/* ---- stores ---------------------------------------------------------------
 */

struct answer {
	sem_t done;
	enum err e;
	struct ledger_origin origin;
};

static void on_answer(void *arg, enum err e, const struct ledger_origin *v,
		      size_t n)
{
	struct answer *a = arg;

	a->e = e;
	if (e == ERR_OK && n == 1)
		a->origin = v[0];
	(void)sem_post(&a->done);
}

struct ledger_origin rk_origin(const char *device, const struct thing *t)
{
	static const char prefix[] = "culvert link owner";
	struct instance_origin o = {.id = t->in.id};
	struct seal_hash *h = seal_hash_new();
	struct answer a = {.e = ERR_OK};
	uint8_t spool[LINK_ID_LEN];

	memset(spool, 1, sizeof(spool)); /* edge_open()'s */
	seal_hash_update(h, prefix, sizeof(prefix) - 1);
	seal_hash_update(h, device, strlen(device) + 1);
	seal_hash_update(h, spool, sizeof(spool));
	seal_hash_end(h, o.peer);
	seal_hash_free(h);
	fixture_barrier(&rk.f);
	(void)sem_init(&a.done, 0, 0);
	assert_int_equal(ledger_origins(rk.f.l, &o, 1, on_answer, &a), ERR_OK);
	(void)sem_wait(&a.done);
	(void)sem_destroy(&a.done);
	assert_int_equal(a.e, ERR_OK);
	return a.origin;
}

void rk_outcome(const struct thing *t, enum outcome_kind kind)
{
	struct ledger_origin o = rk_origin("edge-1", t);

	assert_int_equal(o.state, ORIGIN_ARRIVED);
	fixture_outcome(&rk.f, &o.transfer, kind, "cloud");
}

size_t rk_kept(void)
{
	return spool_partial_list(rk.f.spool, NULL, 0);
}
